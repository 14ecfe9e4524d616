//! Runs the binary. Nothing of the caller's environment reaches it but the folder of model packs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A server that takes longer than this for anything hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A scratch folder and a way to run `likeness` in it.
pub(crate) struct Scratch {
    folder: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) data: String,
    pub(crate) talk: String,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// The key that `serve --quickstart` made, as it goes into a head.
    pub(crate) fn quickstart_key(&self) -> String {
        let text = std::fs::read_to_string(self.data().join("quickstart.env")).unwrap();
        text.lines().find_map(|line| line.strip_prefix("export LIKENESS_KEY=")).unwrap().to_owned()
    }

    /// A command in the scratch folder, which is also the user's home.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_likeness"));
        command.args(arguments).current_dir(self.path()).env_clear().env("HOME", self.path()).stdin(Stdio::null());
        if let Some(home) = std::env::var_os("LIKENESS_HOME") {
            command.env("LIKENESS_HOME", home);
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments))
    }

    /// Runs a command that must succeed and returns its data.
    #[track_caller]
    pub(crate) fn data_of(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.talk);
        ended.data
    }

    /// Starts `likeness serve` on a free port and waits until it answers. `None`, with the reason printed, where no
    /// model pack is installed: a test does not download one.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Option<Server> {
        if !has_pack() {
            return None;
        }
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--data", "data"]);
        command.args(arguments).env("LIKENESS_WORKERS", "1");
        let server = Server::start(command);
        server.wait_for("listening on http://127.0.0.1:");
        Some(server)
    }
}

/// Runs a command to its end.
pub(crate) fn ended(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        data: String::from_utf8(output.stdout).unwrap(),
        talk: String::from_utf8(output.stderr).unwrap(),
    }
}

#[expect(clippy::print_stdout, reason = "a skipped test says why")]
pub(crate) fn has_pack() -> bool {
    let home = std::env::var_os("LIKENESS_HOME").map(PathBuf::from).unwrap_or_default();
    let installed = home.join("packs/default-2/manifest.toml").is_file();
    if !installed {
        println!("skipped: LIKENESS_HOME names no folder with the default model pack (`likeness pack install`)");
    }
    installed
}

/// A running `likeness serve`, killed when dropped.
pub(crate) struct Server {
    child: Child,
    talk: Arc<(Mutex<Talk>, Condvar)>,
}

#[derive(Default)]
struct Talk {
    text: String,
    ended: bool,
}

impl Server {
    pub(crate) fn start(mut command: Command) -> Server {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let talk = Arc::new((Mutex::new(Talk::default()), Condvar::new()));
        let (heard, stderr) = (Arc::clone(&talk), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                heard.0.lock().unwrap().text.push_str(&format!("{line}\n"));
                heard.1.notify_all();
            }
            heard.0.lock().unwrap().ended = true;
            heard.1.notify_all();
        });
        Server { child, talk }
    }

    /// Waits until its talk contains `text`.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        let talk = self.talk.0.lock().unwrap();
        let waiting = |talk: &mut Talk| !talk.text.contains(text) && !talk.ended;
        let (talk, _) = self.talk.1.wait_timeout_while(talk, PATIENCE, waiting).unwrap();
        assert!(talk.text.contains(text), "the server did not say `{text}`:\n{}", talk.text);
    }

    /// All it said so far.
    pub(crate) fn talk(&self) -> String {
        self.talk.0.lock().unwrap().text.clone()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port_after("listening on http://127.0.0.1:")
    }

    /// The port that the server's talk names after this text.
    pub(crate) fn port_after(&self, text: &str) -> u16 {
        let talk = self.talk();
        let after = talk.split(text).nth(1).unwrap();
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect_to(self.port())
    }

    /// One request to another port of the server; returns the whole answer as text.
    pub(crate) fn exchange_at(&self, port: u16, method: &str, target: &str, body: &str) -> String {
        let mut stream = connect_to(port);
        stream.write_all(request(method, target, body).as_bytes()).unwrap();
        read_to_end(&mut stream)
    }

    /// One request on a fresh connection; returns the whole answer as text.
    pub(crate) fn exchange(&self, method: &str, target: &str, body: &str) -> String {
        self.exchange_at(self.port(), method, target, body)
    }

    /// One request with these lines in its head besides, and any body; the whole answer.
    pub(crate) fn exchange_with(&self, method: &str, target: &str, lines: &str, body: &[u8]) -> String {
        let mut stream = self.connect();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        read_to_end(&mut stream)
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end after a signal.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// SIGTERM, and a clean end.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal(rustix::process::Signal::TERM);
        assert_eq!(self.wait().code(), Some(0), "{}", self.talk());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect_to(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn request(method: &str, target: &str, body: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The body of a token request by password.
pub(crate) fn password_body(key: &serde_json::Value) -> String {
    serde_json::json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": key["access_key_id"], "password": key["access_key_secret"], "domain": {"name": key["tenant"]},
        }}},
        "scope": {"project": {"id": key["project_id"]}},
    }})
    .to_string()
}
