use std::sync::mpsc;

use super::*;

/// Longer than any test.
const PATIENT: Duration = Duration::from_hours(1);

/// A pool of one counting worker, kept busy until the sender is used or dropped.
fn busy_pool(queue_max: usize) -> (Pool<u32>, mpsc::Sender<()>, Answer<()>) {
    let pool = Pool::start(vec![0_u32], queue_max, PATIENT).expect("starts");
    let (release, held) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let busy = pool.submit(move |_| {
        begun.send(()).expect("the test waits");
        let _ = held.recv();
        Ok(())
    });
    has_begun.recv().expect("begins");
    (pool, release, busy.expect("is taken"))
}

fn count(worker: &mut u32) -> Result<u32> {
    *worker += 1;
    Ok(*worker)
}

#[test]
fn tasks_run_in_order_on_the_worker_they_reach() {
    let (pool, release, _busy) = busy_pool(8);
    let answers: Vec<_> = (0..5).map(|_| pool.submit(count).expect("is taken")).collect();
    drop(release);
    let numbers: Vec<_> = answers.into_iter().map(|answer| answer.blocking_recv().expect("answers")).collect();
    assert_eq!(numbers.into_iter().map(|n| n.expect("counts")).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

#[test]
fn full_queue_is_overloaded_at_once_and_recovers() {
    let (pool, release, _busy) = busy_pool(2);
    let waiting = [pool.submit(count).expect("is taken"), pool.submit(count).expect("is taken")];
    let load = pool.load();
    assert_eq!((load.n_workers, load.n_busy, load.n_queued, load.queue_max), (1, 1, 2, 2));
    let error = pool.submit(count).expect_err("a third does not fit");
    assert_eq!(error.kind(), Kind::Overloaded);
    assert_eq!(error.message(), "2 images are waiting for analysis already");
    drop(release);
    for answer in waiting {
        answer.blocking_recv().expect("answers").expect("counts");
    }
    assert_eq!(pool.submit(count).expect("is taken again").blocking_recv().expect("answers").expect("counts"), 3);
}

#[test]
fn tasks_whose_caller_has_gone_make_room_and_are_skipped() {
    let (pool, release, _busy) = busy_pool(2);
    drop(pool.submit(count).expect("is taken"));
    drop(pool.submit(count).expect("is taken"));
    let kept = pool.submit(count).expect("finds the place of those that are gone");
    drop(release);
    assert_eq!(kept.blocking_recv().expect("answers").expect("counts"), 1, "the others never ran");
}

#[test]
fn idle_workers_take_tasks_even_without_a_queue() {
    let pool = Pool::start(vec![0_u32, 0], 0, PATIENT).expect("starts");
    let answers = [pool.submit(count).expect("first worker"), pool.submit(count).expect("second worker")];
    for answer in answers {
        answer.blocking_recv().expect("answers").expect("counts");
    }
}

#[test]
fn panic_in_a_task_is_its_answer_and_the_worker_lives_on() {
    let pool = Pool::start(vec![0_u32], 4, PATIENT).expect("starts");
    let answer = pool.submit(|_| -> Result<()> { panic!("a decoder's bug") }).expect("is taken");
    let error = answer.blocking_recv().expect("answers").expect_err("panicked");
    assert_eq!(error.kind(), Kind::Internal);
    assert_eq!(error.message(), "image analysis failed unexpectedly");
    assert_eq!(format!("{error:?}"), "Internal: image analysis failed unexpectedly: panic: a decoder's bug");
    assert_eq!(pool.submit(count).expect("is taken").blocking_recv().expect("answers").expect("counts"), 1);
}

#[test]
fn shut_down_finishes_what_waits_and_refuses_what_comes() {
    let (pool, release, busy) = busy_pool(4);
    let waiting = pool.submit(count).expect("is taken");
    drop(release);
    pool.shut_down();
    busy.blocking_recv().expect("answers").expect("finishes");
    assert_eq!(waiting.blocking_recv().expect("answers").expect("counts"), 1);
    assert_eq!(pool.submit(count).expect_err("is shut down").kind(), Kind::Overloaded);
    pool.shut_down();
}

#[test]
fn pool_without_workers_is_refused() {
    assert_eq!(Pool::<u32>::start(vec![], 1, PATIENT).err().expect("refused").kind(), Kind::InvalidArgument);
}

#[test]
fn a_task_that_would_wait_too_long_is_refused_early() {
    let pool = Pool::start(vec![0_u32], 100, Duration::from_millis(30)).expect("starts");
    // One task teaches the pool how long a task takes: 20 ms by the clock, as work does.
    let work = |_: &mut u32| {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        Ok(())
    };
    pool.submit(work).expect("is taken").blocking_recv().expect("answers").expect("works");
    // The answer goes out a moment before the time is noted.
    while pool.load().n_busy > 0 {
        std::thread::yield_now();
    }
    // The first runs at once, one may always wait, and one more waits about 20 ms; further ones would wait longer.
    let outcomes: Vec<_> = (0..20).map(|_| pool.submit(work)).collect();
    let n_taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!((2..=6).contains(&n_taken), "{n_taken} were taken");
    let refused = outcomes.into_iter().find_map(Result::err).expect("one was refused");
    assert_eq!(refused.kind(), Kind::Overloaded);
    assert!(refused.message().contains("would wait"), "{}", refused.message());
}
