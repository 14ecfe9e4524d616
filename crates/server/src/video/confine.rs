//! The decoder of clips is confined before it begins: by this program itself, in a process of its own, which then
//! becomes the decoder.
//!
//! [`command`] starts this executable again with [`WORD`]; [`run_if_asked`] is what the new process does instead of
//! reading a command line. It sets its limits, gives up its rights and executes the decoder in its place. So nothing has
//! to be done between `fork` and `exec` of a process with many threads, where hardly anything is allowed, and the
//! decoder has never run a single instruction with more rights than it needs.
//!
//! # What the decoder may still do
//! - Landlock: read and execute its own file and the libraries of the system, and nothing else that has a path; write
//!   nowhere; trace or signal nobody outside.
//! - seccomp: the system calls of [`ALLOWED`], some of them with certain arguments only. No socket, no new process
//!   (threads are allowed), no signal to another process, no limit raised, no other program's memory.
//! - Limits: address space, processor time, file sizes (none), descriptors. Only standard input, output and error are
//!   open in it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use libc::sock_filter;
use rustix::process::{Resource, Rlimit};
use tokio::process::Command;

use super::kernel;

/// First argument of the new process. Not among the commands: nobody has a reason to type it.
const WORD: &str = "run-confined";

/// Exit codes of the new process where it does not become the decoder.
pub(super) const CANNOT_CONFINE: i32 = 125;
pub(super) const CANNOT_EXECUTE: i32 = 126;

/// Address space of the decoder, of which its libraries take a quarter.
pub(super) const MEMORY_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Where libraries lie, those of the C library's loader, of distributions that keep them elsewhere, and its list.
const LIBRARIES: &[&str] = &[
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
];

/// How much of this a decoder gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Everything.
    Confined,
    /// Limits only.
    Limited,
}

impl Extent {
    fn word(self) -> &'static str {
        match self {
            Extent::Confined => "confined",
            Extent::Limited => "limited",
        }
    }
}

/// This executable, also after its file was replaced by a newer one.
pub(super) fn this_executable() -> PathBuf {
    "/proc/self/exe".into()
}

/// A command that runs `program` (an absolute path) with at most so many seconds of processor time. Arguments of the
/// program are to be added. `launcher` is this executable; its process group is its own.
pub(super) fn command(launcher: &Path, extent: Extent, cpu_seconds: u64, program: &Path) -> Command {
    let mut command = Command::new(launcher);
    command.args([WORD, extent.word(), &cpu_seconds.to_string()]).arg(program);
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).current_dir("/").process_group(0);
    command
}

/// Whether a process can be confined here; otherwise why not, for people. Confines one and looks whether it is.
pub(crate) async fn probe(launcher: &Path) -> Result<(), String> {
    let mut command = Command::new(launcher);
    command.arg(WORD).env_clear().stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| format!("this program cannot be started again: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match output.status.success() {
        true => Ok(()),
        // A kernel that ends the process instead of refusing says nothing.
        false if said.is_empty() => Err(format!("a confined process ended with {}", output.status)),
        false => Err(said),
    }
}

/// What a process does that was started by [`command`] or [`probe`]; nothing in any other. If all goes well it does not
/// return from the former, since the decoder takes its place.
#[expect(clippy::print_stdout, reason = "the answer to the process that started this one")]
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let arguments: Vec<OsString> = arguments.collect();
    let failure = match &arguments[..] {
        [] => match confine(None).and_then(|()| look()) {
            Ok(()) => return Some(ExitCode::SUCCESS),
            Err(reason) => (CANNOT_CONFINE, reason),
        },
        [extent, cpu_seconds, program, arguments @ ..] => {
            become_decoder(extent == Extent::Confined.word(), cpu_seconds.to_str(), Path::new(program), arguments)
        }
        _ => (CANNOT_EXECUTE, "expected an extent, seconds and a program".to_owned()),
    };
    let (code, reason) = failure;
    // Nobody takes it for a picture.
    println!("{reason}");
    Some(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn become_decoder(confined: bool, cpu_seconds: Option<&str>, program: &Path, arguments: &[OsString]) -> (i32, String) {
    let Some(cpu_seconds) = cpu_seconds.and_then(|seconds| seconds.parse().ok()) else {
        return (CANNOT_EXECUTE, "the seconds of processor time are not a number".to_owned());
    };
    // Where memory runs out, the decoder goes and not the server. A kernel that does not let us has nothing to lose.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    // Where confinement is not required, the kernel may be too old for this, too.
    let closed = kernel::close_at_exec().or_else(|error| if confined { Err(error) } else { Ok(()) });
    if let Err(error) = closed.and_then(|()| limit(cpu_seconds)) {
        return (CANNOT_CONFINE, format!("limits cannot be set: {error}"));
    }
    let mut command = std::process::Command::new(program);
    command.args(arguments);
    if confined && let Err(reason) = confine(Some(program)) {
        return (CANNOT_CONFINE, reason);
    }
    (CANNOT_EXECUTE, format!("{} cannot be executed: {}", program.display(), command.exec()))
}

fn limit(cpu_seconds: u64) -> io::Result<()> {
    let limits = [
        (Resource::Cpu, cpu_seconds),
        (Resource::Core, 0), // A memory dump would hold the clip.
        (Resource::Fsize, 0),
        (Resource::Nofile, 32),
        (Resource::As, MEMORY_BYTES_MAX),
    ];
    for (resource, bound) in limits {
        rustix::process::setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound) })?;
    }
    Ok(())
}

/// Gives up, for good, what [the module](self) says. `program` is what may be executed besides libraries.
fn confine(program: Option<&Path>) -> Result<(), String> {
    let pid = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    let mut filter = filter(pid).ok_or("seccomp: the filter is not known for this kind of processor")?;
    kernel::give_up_new_privileges().map_err(|error| format!("new privileges cannot be given up: {error}"))?;
    close_paths(program).map_err(|error| format!("Landlock (Linux 5.13 or later): {error}"))?;
    kernel::filter_system_calls(&mut filter).map_err(|error| format!("seccomp: {error}"))
}

/// Whether the confinement of this process holds.
fn look() -> Result<(), String> {
    if File::open("/proc/self/status").is_ok() {
        return Err("Landlock is in the kernel, but files can still be opened".to_owned());
    }
    if UdpSocket::bind("127.0.0.1:0").is_ok() {
        return Err("seccomp is in the kernel, but sockets can still be made".to_owned());
    }
    Ok(())
}

/// Rights to files, `LANDLOCK_ACCESS_FS_..`: to execute, read a file, and list a folder.
const EXECUTE: u64 = 1 << 0;
const READ_FILE: u64 = 1 << 2;
const READ_FOLDER: u64 = 1 << 3;

/// All rights to files that a version of Landlock knows: 13 in the first; linking elsewhere since 2, truncating since 3,
/// commands to devices since 5.
fn rights_to_files(version: i64) -> u64 {
    let n_rights = match version {
        ..=1 => 13,
        2 => 14,
        3 | 4 => 15,
        5.. => 16,
    };
    (1 << n_rights) - 1
}

/// Landlock. Its first version is enough, which covers files and tracing; what later ones add (truncation, devices, TCP,
/// signals) is taken where the kernel has it, and is refused by seccomp in any case.
fn close_paths(program: Option<&Path>) -> io::Result<()> {
    let version = kernel::landlock_version()?;
    // Binding and connecting TCP since 4, abstract sockets and signals since 6.
    let (network, scopes) = (if version >= 4 { 0b11 } else { 0 }, if version >= 6 { 0b11 } else { 0 });
    let handled = kernel::Handled { files: rights_to_files(version), network, scopes };
    let n_members = if version >= 6 {
        3
    } else if version >= 4 {
        2
    } else {
        1
    };
    let ruleset = kernel::landlock_ruleset(&handled, n_members * size_of::<u64>())?;
    for path in LIBRARIES.iter().map(Path::new).chain(program) {
        // What is not there need not be allowed.
        let Ok(file) = File::open(path) else { continue };
        let of_folder = if file.metadata()?.is_dir() { READ_FOLDER } else { 0 };
        kernel::landlock_allow(ruleset.as_fd(), file.as_fd(), EXECUTE | READ_FILE | of_folder)?;
    }
    kernel::landlock_restrict(ruleset.as_fd())
}

/// System calls of the C library and of decoders that need no look at their arguments: memory, reading and writing what
/// is open, opening (which Landlock judges), threads, clocks, a process's own signal handlers.
const ALLOWED: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Once for the decoder itself; Landlock says what else, and it stays confined.
    libc::SYS_execve,
];

/// Older forms of the same, which only this processor has.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[i64] = &[
    libc::SYS_arch_prctl,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_dup2,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_getrlimit,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[i64] = &[];

/// What is asked of an argument of a system call.
#[derive(Debug, Clone, Copy)]
enum Asked {
    /// Its low half, of which these bits, is this. The calls that this is used for read no more of it.
    Low { mask: u32, value: u32 },
    /// All of it is 0.
    Zero,
}

/// The number that the kernel has for this kind of processor, `AUDIT_ARCH_..`.
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xc000_003e)
} else if cfg!(target_arch = "aarch64") {
    Some(0xc000_00b7)
} else {
    None
};

/// Where `struct seccomp_data` has the number of the call, the processor, and the low half of the first argument; halves
/// have 4 bytes, the low one first.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

/// The seccomp filter of the process `pid`; `None` for a kind of processor that it is not known for. What is not allowed
/// looks as if the kernel did not have it, which C libraries are prepared for: `clone3` for one, whose arguments a filter
/// cannot see, then becomes `clone`.
fn filter(pid: u32) -> Option<Vec<sock_filter>> {
    let architecture = ARCHITECTURE?;
    let low = |value: u32| Asked::Low { mask: u32::MAX, value };
    let thread = libc::CLONE_THREAD.unsigned_abs();
    // Not F_SETOWN among them, which has signals sent to others.
    let fcntls = [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL];
    let ioctls = [libc::TCGETS, libc::FIONREAD, libc::FIOCLEX];
    let prctls = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_CAPBSET_READ, libc::PR_SET_VMA];
    let number = |call: libc::c_long| u32::try_from(call).ok();

    let mut program = vec![
        load(ARCHITECTURE_AT),
        skip_unless(architecture, 1),
        jump_over(1),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER_AT),
    ];
    for call in ALLOWED.iter().chain(ALLOWED_HERE) {
        program.extend([skip_unless(number(*call)?, 1), answer(libc::SECCOMP_RET_ALLOW)]);
    }
    // A thread, and no process. Signals to this process's own threads, with which the C library aborts. Limits are read,
    // and not set: an administrator could raise them.
    let mut conditional = vec![
        (libc::SYS_clone, 0, Asked::Low { mask: thread, value: thread }),
        (libc::SYS_tgkill, 0, low(pid)),
        (libc::SYS_prlimit64, 2, Asked::Zero),
    ];
    conditional.extend(fcntls.map(|command| (libc::SYS_fcntl, 1, low(command.unsigned_abs()))));
    conditional.extend(ioctls.map(|command| (libc::SYS_ioctl, 1, low(u32::try_from(command).unwrap_or(0)))));
    conditional.extend(prctls.map(|command| (libc::SYS_prctl, 0, low(command.unsigned_abs()))));
    for (call, argument_idx, asked) in conditional {
        let argument_at = ARGUMENTS_AT + 8 * argument_idx;
        let test = match asked {
            Asked::Low { mask, value } => {
                vec![load(argument_at), mask_with(mask), skip_unless(value, 1), answer(libc::SECCOMP_RET_ALLOW)]
            }
            Asked::Zero => vec![
                load(argument_at),
                skip_unless(0, 3),
                load(argument_at + 4),
                skip_unless(0, 1),
                answer(libc::SECCOMP_RET_ALLOW),
            ],
        };
        program.push(load(NUMBER_AT));
        program.push(skip_unless(number(call)?, u8::try_from(test.len()).ok()?));
        program.extend(test);
    }
    program.push(answer(libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()));
    Some(program)
}

/// Loads the 4 bytes there into the accumulator.
fn load(at: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, at)
}

/// Goes on if the accumulator is that, and leaves out so many instructions if not.
fn skip_unless(value: u32, n_skipped: u8) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, n_skipped, value)
}

fn jump_over(n_skipped: u32) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JA, 0, n_skipped)
}

/// Leaves these bits of the accumulator.
fn mask_with(mask: u32) -> sock_filter {
    instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, mask)
}

fn answer(verdict: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, verdict)
}

fn instruction(code: u32, if_not: u8, operand: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap_or(0), jt: 0, jf: if_not, k: operand }
}
