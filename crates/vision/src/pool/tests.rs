use std::sync::atomic::{AtomicU64, Ordering};
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

/// A pool of one worker whose clock stands still but for the tasks that move it, and that clock in milliseconds.
fn pool_with_clock(queue_max: usize, wait_max: Duration) -> (Pool<u32>, Arc<AtomicU64>) {
    let now_ms = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&now_ms);
    let clock = Box::new(move || Duration::from_millis(clock.load(Ordering::SeqCst)));
    (Pool::start_with_clock(vec![0_u32], queue_max, wait_max, clock).expect("starts"), now_ms)
}

/// Teaches the pool that a task takes so long.
fn teach(pool: &Pool<u32>, now_ms: &Arc<AtomicU64>, task_ms: u64) {
    let now_ms = Arc::clone(now_ms);
    let work = move |_: &mut u32| {
        now_ms.fetch_add(task_ms, Ordering::SeqCst);
        Ok(())
    };
    pool.submit(work).expect("is taken").blocking_recv().expect("answers").expect("works");
    // The answer goes out a moment before the time is noted.
    while pool.load().n_busy > 0 {
        std::thread::yield_now();
    }
}

/// Keeps the worker busy until the sender is dropped.
fn occupy(pool: &Pool<u32>) -> (mpsc::Sender<()>, Answer<()>) {
    let (release, held) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let busy = pool.submit(move |_| {
        begun.send(()).expect("the test waits");
        let _ = held.recv();
        Ok(())
    });
    has_begun.recv().expect("begins");
    (release, busy.expect("is taken"))
}

#[test]
fn a_task_that_would_wait_too_long_is_refused_early() {
    let (pool, now_ms) = pool_with_clock(100, Duration::from_secs(3));
    teach(&pool, &now_ms, 2000);
    let (release, busy) = occupy(&pool);
    // One may always wait; the next one waits 2 s, the one after it 4 s.
    let waiting = [pool.submit(count).expect("is first"), pool.submit(count).expect("waits 2 s")];
    assert_eq!(pool.load().expected_wait, Duration::from_secs(4));
    for _ in 0..3 {
        let refused = pool.submit(count).expect_err("would wait 4 s");
        assert_eq!(refused.kind(), Kind::Overloaded, "which every dialect answers with `Retry-After`");
        assert_eq!(refused.message(), "an image would wait 4000 ms for analysis, expected at most 3000 ms");
    }
    drop(release);
    busy.blocking_recv().expect("answers").expect("ends");
    for answer in waiting {
        answer.blocking_recv().expect("answers").expect("counts");
    }
    pool.submit(count).expect("nobody waits any more").blocking_recv().expect("answers").expect("counts");
}

#[test]
fn one_task_a_worker_may_wait_however_slow_tasks_are() {
    let (pool, now_ms) = pool_with_clock(100, Duration::from_secs(1));
    teach(&pool, &now_ms, 60_000);
    let (release, _busy) = occupy(&pool);
    let waiting = pool.submit(count).expect("a caller that sends one after the other is served");
    assert!(pool.submit(count).expect_err("waits a minute").message().contains("would wait 60000 ms"));
    drop(release);
    assert_eq!(waiting.blocking_recv().expect("answers").expect("counts"), 1);
}

#[test]
fn the_expected_wait_follows_what_tasks_take_and_passes_over_those_that_were_given_up() {
    let (pool, now_ms) = pool_with_clock(100, Duration::from_secs(3));
    teach(&pool, &now_ms, 1000);
    teach(&pool, &now_ms, 2000);
    let (release, busy) = occupy(&pool);
    drop(pool.submit(count).expect("waits"));
    // A fifth of the newest: 1.2 s.
    assert_eq!(pool.load().expected_wait, Duration::from_millis(1200));
    drop(release);
    busy.blocking_recv().expect("answers").expect("ends");
    while pool.load().n_busy + pool.load().n_queued > 0 {
        std::thread::yield_now();
    }
    let (release, _busy) = occupy(&pool);
    let _waiting = pool.submit(count).expect("waits");
    // The busy one took no time by this clock, the one that was given up does not count: 1.2 s x 0.8.
    assert_eq!(pool.load().expected_wait, Duration::from_millis(960));
    drop(release);
}

#[test]
fn tasks_at_work_for_longer_than_others_took_count_for_the_expected_wait() {
    let (pool, now_ms) = pool_with_clock(100, Duration::from_secs(3));
    teach(&pool, &now_ms, 10);
    let (release, _busy) = occupy(&pool);
    let _waiting = pool.submit(count).expect("is first");
    assert_eq!(pool.load().expected_wait, Duration::from_millis(10));
    now_ms.fetch_add(4000, Ordering::SeqCst);
    assert_eq!(pool.load().expected_wait, Duration::from_secs(4));
    let refused = pool.submit(count).expect_err("the task at work takes 4 s already");
    assert_eq!(refused.message(), "an image would wait 4000 ms for analysis, expected at most 3000 ms");
    drop(release);
}

#[test]
fn whoever_has_waited_twice_as_long_as_is_allowed_is_refused_but_for_one_a_worker() {
    let (pool, now_ms) = pool_with_clock(100, Duration::from_secs(3));
    teach(&pool, &now_ms, 10);
    let (release, busy) = occupy(&pool);
    let first = pool.submit(count).expect("is first");
    let mut second = pool.submit(count).expect("waits 10 ms");
    now_ms.fetch_add(5999, Ordering::SeqCst);
    pool.submit(count).expect_err("looks after those that wait, too");
    second.try_recv().expect_err("may still wait");
    now_ms.fetch_add(1, Ordering::SeqCst);
    pool.submit(count).expect_err("looks after those that wait, too");
    let refused = second.blocking_recv().expect("answers").expect_err("has waited 6 s");
    assert_eq!(refused.kind(), Kind::Overloaded, "which every dialect answers with `Retry-After`");
    assert_eq!(
        refused.message(),
        "an image waited 6000 ms for analysis, since those before it took longer than expected"
    );
    drop(release);
    busy.blocking_recv().expect("answers").expect("ends");
    assert_eq!(first.blocking_recv().expect("answers").expect("counts"), 1);
}

#[test]
fn who_waits_too_long_is_refused_while_all_workers_are_busy_and_nobody_else_comes() {
    let pool = Pool::start(vec![0_u32], 100, Duration::from_millis(20)).expect("starts");
    let (release, _busy) = occupy(&pool);
    let _first = pool.submit(count).expect("is first");
    let second = pool.submit(count).expect("nothing is known of how long tasks take");
    let refused = second.blocking_recv().expect("answers").expect_err("has waited 40 ms");
    assert_eq!(refused.kind(), Kind::Overloaded);
    drop(release);
}
