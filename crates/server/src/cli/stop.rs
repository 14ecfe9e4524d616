//! Signals that ask a command to end, so that it can put away what it has half done.

use tokio::signal::unix::{SignalKind, signal};

/// Ready at the first SIGINT (Ctrl+C), SIGTERM (service managers, `timeout`) or SIGHUP (a terminal that is closed; not where that is
/// ignored, as by `nohup`). From then on these signals do nothing else.
pub(crate) async fn asked() {
    let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
    if !ignores_hangup() {
        kinds.push(SignalKind::hangup());
    }
    // One that cannot be listened to keeps its own effect.
    let mut heard: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    std::future::poll_fn(|context| match heard.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
        true => std::task::Poll::Ready(()),
        false => std::task::Poll::Pending,
    })
    .await;
}

/// Whether this process was started to ignore SIGHUP, which listening to it would undo: proc(5), `SigIgn`, a mask in hexadecimal
/// digits with signal 1 as its lowest bit.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_ends_a_command_is_heard() {
        for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
            let mut asked = std::pin::pin!(asked());
            let first = std::future::poll_fn(|context| std::task::Poll::Ready(asked.as_mut().poll(context).is_ready()));
            assert!(!first.await, "nobody has asked yet");
            rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
            asked.await;
        }
    }
}
