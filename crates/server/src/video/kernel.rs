//! The system calls by which a process gives up rights. The one place of this crate with unsafe code: no library that is
//! used here offers these calls.
#![expect(unsafe_code, reason = "system calls with descriptors by number and with structures of the kernel")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// First descriptor after standard input, output and error.
const FIRST_DESCRIPTOR: libc::c_uint = 3;

/// `LANDLOCK_CREATE_RULESET_VERSION`: asks for the version instead of making a ruleset.
const ASK_VERSION: libc::c_uint = 1;

/// `LANDLOCK_RULE_PATH_BENEATH`: a rule about what is below a folder, or a file.
const PATH_BENEATH: libc::c_uint = 1;

/// What a ruleset keeps from a process, unless a rule allows it; `struct landlock_ruleset_attr` of `linux/landlock.h`.
#[repr(C)]
pub(super) struct Handled {
    /// Of files, since version 1.
    pub(super) files: u64,
    /// Of the network, since version 4.
    pub(super) network: u64,
    /// Of processes outside, since version 6.
    pub(super) scopes: u64,
}

/// `struct landlock_path_beneath_attr`, which is packed.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: RawFd,
}

/// Has every descriptor but standard input, output and error closed when another program takes this one's place. Also
/// those that this program was itself given when it was started, which Landlock does not look at.
pub(super) fn close_at_exec() -> io::Result<()> {
    let last = libc::c_uint::MAX;
    // SAFETY: nothing is closed here, a flag is set; the call reads and writes no memory of this process.
    outcome(unsafe { libc::syscall(libc::SYS_close_range, FIRST_DESCRIPTOR, last, libc::CLOSE_RANGE_CLOEXEC) })
        .map(drop)
}

/// Gives up, for good, to gain rights by executing a program. The other calls need it.
pub(super) fn give_up_new_privileges() -> io::Result<()> {
    let (one, zero): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: the call takes numbers only.
    outcome(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, one, zero, zero, zero) }.into()).map(drop)
}

/// The version of Landlock in the kernel, at least 1; an error where there is none.
pub(super) fn landlock_version() -> io::Result<i64> {
    let none = std::ptr::null::<Handled>();
    // SAFETY: with this flag the call reads no structure, and says so by a null pointer of size 0.
    outcome(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, ASK_VERSION) })
}

/// A ruleset; `size` is as much of the structure as the kernel's version knows.
pub(super) fn landlock_ruleset(handled: &Handled, size: usize) -> io::Result<OwnedFd> {
    let size = size.min(size_of::<Handled>());
    let pointer: *const Handled = handled;
    let no_flags: libc::c_uint = 0;
    // SAFETY: the kernel reads `size` bytes at `pointer`, which are part of `handled`.
    let made = outcome(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, pointer, size, no_flags) })?;
    let made = RawFd::try_from(made).map_err(io::Error::other)?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// Allows these accesses to a file, or below a folder.
pub(super) fn landlock_allow(ruleset: BorrowedFd<'_>, path: BorrowedFd<'_>, allowed: u64) -> io::Result<()> {
    let rule = PathBeneath { allowed, parent: path.as_raw_fd() };
    let pointer: *const PathBeneath = &raw const rule;
    let no_flags: libc::c_uint = 0;
    // SAFETY: the kernel reads one structure of this kind at `pointer`; both descriptors are open while they are borrowed.
    let added =
        unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), PATH_BENEATH, pointer, no_flags) };
    outcome(added).map(drop)
}

/// Puts this thread, and what it executes, under the ruleset for good.
pub(super) fn landlock_restrict(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    let no_flags: libc::c_uint = 0;
    // SAFETY: the call takes numbers only; the descriptor is open while it is borrowed.
    outcome(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), no_flags) }).map(drop)
}

/// Has a program of the kernel's filter language judge every further system call of this thread, and of what it executes.
pub(super) fn filter_system_calls(program: &mut [libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    let pointer: *const libc::sock_fprog = &raw const program;
    let mode = libc::c_ulong::from(libc::SECCOMP_MODE_FILTER);
    // SAFETY: the kernel copies `len` instructions from the slice, which lives until the call returns.
    outcome(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, pointer) }.into()).map(drop)
}

fn outcome(returned: libc::c_long) -> io::Result<libc::c_long> {
    if returned >= 0 { Ok(returned) } else { Err(io::Error::last_os_error()) }
}
