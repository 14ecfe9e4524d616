//! A cable between a server and the database, which can be cut or fall silent.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::server;

/// What is between a server and the database.
pub(crate) struct Cable {
    folder: tempfile::TempDir,
    state: Arc<CableState>,
}

#[derive(Default)]
struct CableState {
    is_cut: AtomicBool,
    /// Nothing comes through, and nobody is told.
    is_silent: Mutex<bool>,
    speaks: Condvar,
    /// Until somebody commits.
    falls_silent_at_commit: AtomicBool,
    open: Mutex<Vec<UnixStream>>,
}

impl Cable {
    pub(crate) fn new(to: PathBuf) -> Self {
        let folder = tempfile::Builder::new().prefix("lk-cb-").tempdir_in("/tmp").unwrap();
        let listener = UnixListener::bind(folder.path().join(server::SOCKET)).unwrap();
        let state = Arc::new(CableState::default());
        let cable = Self { folder, state: Arc::clone(&state) };
        thread::spawn(move || {
            for here in listener.incoming().flatten() {
                if state.is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(there) = UnixStream::connect(&to) else { continue };
                let ends = [&here, &there].map(|end| end.try_clone().unwrap());
                state.open.lock().unwrap().extend(ends);
                for (from, to) in [(here.try_clone().unwrap(), there.try_clone().unwrap()), (there, here)] {
                    let state = Arc::clone(&state);
                    thread::spawn(move || state.pass_on(from, to));
                }
            }
        });
        cable
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    #[cfg(feature = "milvus")]
    pub(crate) fn cut(&self) {
        self.state.is_cut.store(true, Ordering::SeqCst);
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets the next `COMMIT` pass and nothing after it, its answer least of all.
    pub(crate) fn silence_at_commit(&self) {
        self.state.falls_silent_at_commit.store(true, Ordering::SeqCst);
    }

    /// Or lets it speak again: what was held goes on.
    pub(crate) fn silence(&self, is_silent: bool) {
        *self.state.is_silent.lock().unwrap() = is_silent;
        self.state.speaks.notify_all();
    }
}

/// Mends the cable when it is dropped, so that a test that has failed ends: calls wait for a silent one.
pub(crate) struct Mended<'a>(pub(crate) &'a Cable);

impl Drop for Mended<'_> {
    fn drop(&mut self) {
        self.0.state.is_cut.store(false, Ordering::SeqCst);
        self.0.silence(false);
    }
}

impl CableState {
    fn pass_on(&self, mut from: UnixStream, mut to: UnixStream) {
        let mut bytes = [0; 16 << 10];
        while let Ok(n_bytes @ 1..) = io::Read::read(&mut from, &mut bytes) {
            let held = self.speaks.wait_while(self.is_silent.lock().unwrap(), |is_silent| *is_silent);
            drop(held.unwrap());
            let is_commit = bytes[..n_bytes].windows(7).any(|word| word == b"COMMIT\0");
            if is_commit && self.falls_silent_at_commit.swap(false, Ordering::SeqCst) {
                *self.is_silent.lock().unwrap() = true;
            }
            if to.write_all(&bytes[..n_bytes]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}
