//! What models cost, whatever else the machine is doing.

use std::time::Duration;

/// Processor time of this process so far: what a model takes must not depend on what else the machine is doing, and
/// a start among many busy programs would measure their turns.
#[cfg(unix)]
#[expect(unsafe_code, reason = "a function of the C library, which has no safe wrapper")]
pub(super) fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes that variable, and the clock exists wherever this is compiled.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(outcome, 0, "the clock of this process can be read");
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// The time since the first call.
#[cfg(not(unix))]
pub(super) fn processor_time() -> Duration {
    static STARTED: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    STARTED.get_or_init(std::time::Instant::now).elapsed()
}
