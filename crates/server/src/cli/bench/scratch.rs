//! Folders of measurements, which go when these end or are interrupted.

use std::fs::DirBuilder;
use std::future::{Future, poll_fn, ready};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::Poll;

use likeness_domain::Error;

use crate::cli::stop;
use crate::outcome::failed;

/// How often it is tried to remove a folder in which a store that is being closed still makes files.
const REMOVALS_MAX: usize = 100;

/// A folder of this process, removed with what is in it; folders above it that were made for it go as well if nothing else
/// has come into them.
pub(super) struct Scratch {
    path: PathBuf,
    /// Dropped after what is in them is removed.
    _parents: Made,
}

/// Folders that were not there, the innermost first.
struct Made(Vec<PathBuf>);

impl Scratch {
    /// Makes it in `parent`.
    pub(super) fn make(parent: &Path) -> Result<Self, Error> {
        let path = parent.join(format!(".likeness-bench-{}", std::process::id()));
        let missing = parent.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let parents = Made(missing.map(Path::to_owned).collect());
        let mut folder = DirBuilder::new();
        folder.mode(0o700);
        // What has the name already is somebody else's.
        let made = folder.recursive(true).create(parent).and_then(|()| folder.recursive(false).create(&path));
        made.map_err(|error| failed(format!("cannot make scratch folder {}: {error}", path.display())))?;
        Ok(Self { path, _parents: parents })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // If it cannot be removed, its name says whose it was.
        let _ = (0..REMOVALS_MAX).find(|_| std::fs::remove_dir_all(&self.path).is_ok() || !self.path.exists());
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in &self.0 {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Whoever asks the command to end: the first signal that does is heard from here on.
pub(super) struct Stop(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Stop {
    /// Begins to listen.
    pub(super) async fn listen() -> Self {
        let mut asked: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(stop::asked());
        // Signals are listened to when it is first looked whether one has come.
        let came = poll_fn(|context| Poll::Ready(asked.as_mut().poll(context).is_ready())).await;
        Self(if came { Box::pin(ready(())) } else { asked })
    }

    /// What a measurement comes to, or an error when it is asked to end: it is dropped then, and its folder with it. It must
    /// wait for something now and then, so that the signal is seen.
    pub(super) async fn unless<T>(&mut self, measurement: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            () = &mut self.0 => Err(failed("interrupted; nothing of the measurement is kept")),
            measured = measurement => measured,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_goes_and_what_was_there_stays() {
        let there = tempfile::tempdir().unwrap();
        let (outer, inner) = (there.path().join("outer"), there.path().join("outer/inner"));
        let scratch = Scratch::make(&inner).unwrap();
        assert_eq!(scratch.path().parent(), Some(&*inner));
        std::fs::create_dir(scratch.path().join("library")).unwrap();
        assert!(Scratch::make(&inner).is_err(), "one process has one at a time");
        assert!(scratch.path().join("library").is_dir(), "a folder of the same name is left as it is");
        drop(scratch);
        assert!(!outer.exists() && there.path().is_dir());

        std::fs::create_dir(&outer).unwrap();
        drop(Scratch::make(&inner).unwrap());
        assert!(outer.is_dir() && !inner.exists(), "a folder that was there stays");

        let scratch = Scratch::make(&inner).unwrap();
        std::fs::write(inner.join("mine"), "").unwrap();
        drop(scratch);
        assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 1, "what others put there stays");
    }
}
