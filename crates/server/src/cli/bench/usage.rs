//! What this process has used so far: processor time and memory.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time that all threads of this process have spent on processors.
pub(super) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Time that those threads of this process have spent on processors whose names begin so; zero where the system does not say
/// (only Linux does).
pub(super) fn processor_time_of(threads: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let time = |task: std::fs::DirEntry| {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let is_meant = read("comm").starts_with(threads);
        is_meant.then(|| nanoseconds(&read("schedstat")))
    };
    tasks.filter_map(time).sum()
}

/// The first number of a file such as `1234 56 7`.
fn nanoseconds(schedstat: &str) -> Duration {
    let number = schedstat.split_whitespace().next().and_then(|number| number.parse().ok());
    Duration::from_nanos(number.unwrap_or(0))
}

/// Resident memory of this process now and at its highest, in MB; zero where the system does not say (only Linux does).
pub(super) fn memory_mb() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    (kilobytes(&status, "VmRSS:") / 1000.0, kilobytes(&status, "VmHWM:") / 1000.0)
}

/// Memory that this process has of its own, as opposed to its program's pages, in MB, without what the C library holds free;
/// zero where the system does not say (only Linux does).
pub(super) fn own_memory_mb() -> f64 {
    likeness_vision::runtime::give_memory_back();
    kilobytes(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), "RssAnon:") / 1000.0
}

/// A line such as `VmRSS:   1234 kB` of a status file, in kilobytes of 1,000 bytes.
fn kilobytes(status: &str, key: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    number.unwrap_or(0.0) * 1.024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_its_line() {
        let status = "Name:\tlikeness\nVmHWM:\t  250000 kB\nVmRSS:\t  125000 kB\n";
        assert_eq!((kilobytes(status, "VmRSS:"), kilobytes(status, "VmHWM:")), (128_000.0, 256_000.0));
        assert_eq!(kilobytes("Name:\tlikeness\n", "VmRSS:"), 0.0);
    }

    #[test]
    fn time_of_threads_is_counted_by_their_names() {
        let worked = || {
            let before = processor_time();
            while processor_time() - before < Duration::from_millis(2) {}
            (processor_time_of("worker-of-"), processor_time_of("nobody-is-"))
        };
        let thread = std::thread::Builder::new().name("worker-of-test".into()).spawn(worked).expect("a thread");
        let (meant, others) = thread.join().expect("no panic");
        assert_eq!(others, Duration::ZERO);
        assert!(!cfg!(target_os = "linux") || meant > Duration::ZERO, "{meant:?}");
        assert_eq!((nanoseconds("1234 56 7\n"), nanoseconds("")), (Duration::from_nanos(1234), Duration::ZERO));
    }

    #[test]
    fn processor_time_grows_with_work() {
        let before = processor_time();
        let mut sum = 0_u64;
        while processor_time() - before < Duration::from_millis(2) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }
}
