//! A Milvus of the test's own: in a temporary folder, in a network namespace with loopback only, behind a port of 127.0.0.1.
//!
//! It ends with the test's process, however that ends: a shell waits for the end of its input, which the test holds open.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use likeness_store::milvus::Address;

/// Names the virtual environment with the packages of `requirements.txt`.
const VARIABLE: &str = "LIKENESS_TEST_MILVUS";

fn python() -> PathBuf {
    let folder = std::env::var_os(VARIABLE).map(PathBuf::from);
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venvs/milvus");
    folder.unwrap_or_else(usual).join("bin/python")
}

/// Whether a Milvus can be started here; where not, says that a test is skipped.
pub(crate) fn is_installed() -> bool {
    let has_namespaces = Command::new("unshare")
        .args(["-rn", "--pid", "--mount-proc", "--fork", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let is_there = python().exists() && has_namespaces;
    if !is_there {
        eprintln!(
            "skipped: no Milvus is installed in .venvs/milvus (tests/run makes it; {VARIABLE} names another place), or \
             namespaces of the network and of processes cannot be made here"
        );
    }
    is_there
}

/// Makes a certificate for 127.0.0.1 that signs itself, and its key, both in PEM.
pub(crate) fn make_certificate(certificate: &Path, key: &Path) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let pem = |what: &str, der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("ASCII")).collect();
        format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", lines.join("\n"))
    };
    std::fs::write(certificate, pem("CERTIFICATE", made.cert.der())).expect("the folder is ours");
    std::fs::write(key, pem("PRIVATE KEY", &made.signing_key.serialize_der())).expect("the folder is ours");
}

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variety {
    /// The server itself, of 2.3.
    Standalone,
    /// The small one, with today's protocol.
    Lite,
    /// The server itself, which asks for a password and speaks TLS with a certificate of its own.
    Secured,
}

/// A running server, stopped when it is dropped. Its port stays while it is stopped.
pub(crate) struct Server {
    variety: Variety,
    dir: tempfile::TempDir,
    running: Mutex<Option<Child>>,
    port: SocketAddr,
    /// Connections are refused, as if a cable were cut.
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Server {
    pub(crate) fn start(variety: Variety) -> Self {
        let dir = tempfile::Builder::new().prefix("lk-mv-").tempdir_in("/tmp").expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address");
        let (is_cut, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let server = Self { variety, dir, running: Mutex::new(None), port, is_cut, open };
        server.pass_on(listener);
        server.run();
        server
    }

    /// Where it is.
    pub(crate) fn address(&self) -> Address {
        match self.variety {
            Variety::Secured => self.address_with(Some("root:Milvus"), Some(&self.certificate())),
            _ => Address::parse(&self.url(), None, None).expect("a valid address"),
        }
    }

    /// The same as a text, of one that speaks no TLS.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.port)
    }

    /// The same over TLS, with that password and that authority.
    pub(crate) fn address_with(&self, token: Option<&str>, authorities: Option<&Path>) -> Address {
        Address::parse(&format!("https://{}", self.port), token, authorities).expect("a valid address")
    }

    /// Its own, which nobody has signed.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.path().join("server.pem")
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// Starts the program, on the data that is there, and waits until it answers.
    pub(crate) fn run(&self) {
        let data = self.dir.path().join("data");
        std::fs::create_dir_all(&data).expect("the folder is ours");
        if self.variety == Variety::Secured && !self.certificate().exists() {
            make_certificate(&self.certificate(), &self.dir.path().join("server.key"));
        }
        if self.variety != Variety::Lite {
            // Its programs, unpacked once: that takes longer than starting them.
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("milvus-2.3.5");
            std::fs::create_dir_all(&kept).expect("the build folder is ours");
            let _ = std::os::unix::fs::symlink(&kept, data.join("bin"));
        }
        let _ = std::fs::remove_file(self.socket());
        // With the /proc of its processes: a Milvus that does not find itself there loads no index.
        let script = r#"trap '' INT HUP TERM
            unshare -rn --pid --mount-proc --fork --kill-child=KILL "$1" "$2" "$3" "$4" "$5" 2>"$6/log" </dev/null & running=$!
            word=; read -r word; kill -KILL $running; wait; [ "$word" = keep ] || rm -rf "$6""#;
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", script, "sh"]).arg(python());
        watchdog.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/milvus/serve.py"));
        let kind = match self.variety {
            Variety::Standalone => "standalone",
            Variety::Lite => "lite",
            Variety::Secured => "secured",
        };
        watchdog.arg(kind).arg(&data).arg(self.socket());
        watchdog.arg(self.dir.path());
        watchdog.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut watchdog = watchdog.spawn().expect("a shell starts");
        let mut ready = String::new();
        let said = watchdog.stdout.take().expect("it is piped");
        let _ = BufReader::new(said).read_line(&mut ready);
        *self.running.lock().unwrap() = Some(watchdog);
        assert_eq!(ready, "ready\n", "Milvus does not start: {}", self.log());
        let started = Instant::now();
        while !self.is_answering() {
            assert!(started.elapsed() < Duration::from_secs(180), "Milvus does not answer: {}", self.log());
        }
    }

    /// Whether it answers the question for its version: it takes connections long before.
    fn is_answering(&self) -> bool {
        let address = self.address();
        // On a thread of its own, as a test may be within a runtime.
        let asked = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(likeness_store::milvus::version(address)).is_ok()
        });
        asked.join().expect("no panic")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// MiB in memory of all its processes.
    pub(crate) fn memory(&self) -> f64 {
        let first = self.running.lock().unwrap().as_ref().map_or(0, Child::id);
        let listed = Command::new("ps").args(["-e", "-o", "pid=,ppid=,rss="]).output().expect("ps is there");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
        let rows = listed.lines().map(|line| {
            let mut words = line.split_whitespace();
            (number(words.next()), number(words.next()), number(words.next()))
        });
        let rows: Vec<(u64, u64, u64)> = rows.collect();
        let (mut family, mut kib) = (vec![u64::from(first)], 0);
        while let Some(parent) = family.pop() {
            for (process, _, rss) in rows.iter().filter(|(_, of, _)| *of == parent) {
                family.push(*process);
                kib += rss;
            }
        }
        kib as f64 / 1024.0
    }

    /// Kills it and everything it started; its data stays.
    pub(crate) fn kill(&self) {
        if let Some(mut watchdog) = self.running.lock().unwrap().take() {
            if let Some(mut word) = watchdog.stdin.take() {
                let _ = word.write_all(b"keep\n");
            }
            let _ = watchdog.wait();
        }
    }

    /// Of the small one, killed: what it had confirmed and not yet written to its files is lost.
    pub(crate) fn lose_what_is_not_in_files(&self) {
        let mut folders = vec![self.dir.path().join("data")];
        let mut n_lost = 0;
        while let Some(folder) = folders.pop() {
            let is_log = folder.ends_with("wal");
            for found in std::fs::read_dir(folder).expect("the folder is ours").flatten().map(|found| found.path()) {
                if found.is_dir() {
                    folders.push(found);
                } else if is_log {
                    std::fs::remove_file(found).expect("the folder is ours");
                    n_lost += 1;
                }
            }
        }
        assert!(n_lost > 0, "there is a log to lose");
    }

    /// Copies its files, as of a volume whose copy may be put back; it is not running.
    pub(crate) fn copy_files(&self) {
        self.copy("data", "copy");
    }

    /// Puts the copied files back in place of its own; it is not running.
    pub(crate) fn put_back_files(&self) {
        self.copy("copy", "data");
    }

    fn copy(&self, from: &str, to: &str) {
        let (from, to) = (self.dir.path().join(from), self.dir.path().join(to));
        let _ = std::fs::remove_dir_all(&to);
        let status = Command::new("cp").arg("-a").args([from, to]).status().expect("cp is there");
        assert!(status.success());
    }

    /// Cuts every connection, and refuses others until it is mended.
    pub(crate) fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Passes connections to the port on to the socket.
    fn pass_on(&self, listener: TcpListener) {
        let (socket, is_cut, open) = (self.socket(), Arc::clone(&self.is_cut), Arc::clone(&self.open));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(there) = UnixStream::connect(&socket) else { continue };
                let _ = stream.set_nodelay(true);
                let (Ok(from), Ok(to), Ok(kept)) = (stream.try_clone(), there.try_clone(), stream.try_clone()) else {
                    continue;
                };
                open.lock().unwrap().push(kept);
                thread::spawn(move || {
                    let _ = io::copy(&mut &from, &mut &to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                thread::spawn(move || {
                    let _ = io::copy(&mut &there, &mut &stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
