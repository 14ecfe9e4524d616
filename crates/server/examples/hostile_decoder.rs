//! What a decoder does that a clip has taken over: it tries whatever its instructions name, and reports what came of it.
//!
//! For the tests of `video`, which name it in the place of ffmpeg. Its clip is a text of `NAME=VALUE` lines; its report
//! goes out in the form of pictures, which is the only way out that a decoder has. Every attempt is one that leaves no
//! harm behind where it succeeds, so that the tests can run it unconfined, too, and see that it would.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit};

type Outcome = Result<(), Box<dyn Error>>;

/// More than a decoder may have.
const MUCH_MEMORY: usize = 2 << 30;

/// The same.
const MANY_THREADS: usize = 500;

/// Argument of the program that it starts, itself, which then does nothing.
const NOTHING: &str = "nothing";

/// Pictures of two seconds, at the twelve a second that the program is asked for.
const N_PICTURES: usize = 24;

fn main() -> Outcome {
    if std::env::args().nth(1).as_deref() == Some(NOTHING) {
        return Ok(());
    }
    let clip = fs::read_to_string("/proc/self/fd/0")?;
    let named: BTreeMap<&str, &str> = clip.lines().filter_map(|line| line.split_once('=')).collect();
    if named.contains_key("many_threads") {
        return begin_threads();
    }
    if named.contains_key("no_end") {
        // Neither output nor processor time, and no end of its own.
        loop {
            std::thread::park();
        }
    }
    let value = |name: &str| named.get(name).copied().ok_or("it is not named in the clip");
    let parent = rustix::process::getppid().ok_or("it has no parent")?;
    let of_parent = |file: &str| format!("/proc/{}/{file}", parent.as_raw_nonzero());
    let attempts: [(&str, &dyn Fn() -> Outcome); 20] = [
        ("read the database", &|| read(value("database")?)),
        ("list the data folder", &|| fs::read_dir(value("data")?).map(drop).map_err(Into::into)),
        ("write to the data folder", &|| File::create(value("write")?).map(drop).map_err(Into::into)),
        ("change the database", &|| {
            OpenOptions::new().append(true).open(value("database")?).map(drop).map_err(Into::into)
        }),
        ("write a temporary file", &|| tempfile::tempfile().map(drop).map_err(Into::into)),
        ("remove a file", &|| Ok(fs::remove_file(value("remove")?)?)),
        ("rename a file", &|| Ok(fs::rename(value("rename")?, format!("{}.moved", value("rename")?))?)),
        ("read accounts", &|| read("/etc/passwd")),
        ("read memory of the parent", &|| File::open(of_parent("mem")).map(drop).map_err(Into::into)),
        ("read the environment of the parent", &|| read(&of_parent("environ"))),
        ("list what is open in the parent", &|| fs::read_dir(of_parent("fd")).map(drop).map_err(Into::into)),
        ("use a descriptor of the parent", &|| fs::metadata(value("descriptor")?).map(drop).map_err(Into::into)),
        ("connect to the socket of the data folder", &|| {
            UnixStream::connect(value("socket")?).map(drop).map_err(Into::into)
        }),
        ("connect to a port", &|| TcpStream::connect(value("address")?).map(drop).map_err(Into::into)),
        ("bind a port", &|| UdpSocket::bind("127.0.0.1:0").map(drop).map_err(Into::into)),
        ("signal the parent", &|| Ok(rustix::process::test_kill_process(parent)?)),
        ("signal its group", &|| Ok(rustix::process::test_kill_process_group(group_of(parent)?)?)),
        ("start a program", &|| {
            Command::new(std::env::current_exe()?).arg(NOTHING).status().map(drop).map_err(Into::into)
        }),
        ("take much memory", &|| Ok(Vec::<u8>::new().try_reserve_exact(MUCH_MEMORY)?)),
        ("raise its limits", &|| {
            Ok(rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: Some(64) })?)
        }),
    ];
    let mut report = String::new();
    for (name, attempt) in attempts {
        match attempt() {
            Ok(()) => report += &format!("{name}: done\n"),
            Err(error) => report += &format!("{name}: {error}\n"),
        }
    }
    let mut output = io::stdout().lock();
    for _ in 0..N_PICTURES {
        write!(output, "--ffmpeg\r\nContent-type: image/jpeg\r\nContent-length: {}\r\n\r\n{report}\r\n", report.len())?;
    }
    Ok(output.flush()?)
}

fn read(path: &str) -> Outcome {
    fs::read(path)?;
    Ok(())
}

fn group_of(process: Pid) -> Result<Pid, Box<dyn Error>> {
    Ok(rustix::process::getpgid(Some(process))?)
}

fn begin_threads() -> Outcome {
    for _ in 0..MANY_THREADS {
        std::thread::Builder::new().stack_size(64 * 1024).spawn(|| {
            loop {
                std::thread::park();
            }
        })?;
    }
    loop {
        std::thread::park();
    }
}
