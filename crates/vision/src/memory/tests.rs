use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;

#[test]
fn bytes_come_back_when_a_reservation_is_dropped() {
    let budget = Budget::new(100);
    let first = budget.acquire(60).expect("fits");
    let second = budget.acquire(40).expect("fits");
    assert_eq!(budget.free_bytes(), 0);
    drop(first);
    assert_eq!(budget.free_bytes(), 60);
    drop(second);
    assert_eq!(budget.free_bytes(), budget.capacity_bytes());
}

#[test]
fn what_exceeds_the_whole_budget_is_refused_at_once() {
    let budget = Budget::new(10 << 20);
    let _held = budget.acquire(10 << 20).expect("fits");
    let error = budget.acquire((10 << 20) + 1).expect_err("too large");
    assert_eq!((error.kind(), error.field()), (Kind::ImageDimensions, Some("image")));
    assert!(error.message().starts_with("image needs 11 MiB of memory to be analysed, expected at most 10 MiB"));
}

#[test]
fn a_reservation_shrinks_and_grows_within_what_is_free() {
    let budget = Budget::new(100);
    let mut reservation = budget.acquire(80).expect("fits");
    reservation.shrink(30);
    assert_eq!((reservation.n_bytes(), budget.free_bytes()), (30, 70));
    reservation.shrink(50);
    assert_eq!(reservation.n_bytes(), 30, "shrinking never grows");
    assert!(reservation.grow(100));
    assert!(!reservation.grow(101));
    assert_eq!(budget.free_bytes(), 0);
    drop(reservation);
    assert_eq!(budget.free_bytes(), 100);
}

#[test]
fn a_large_picture_is_served_before_small_ones_that_came_later() {
    let budget = Budget::new(100);
    let held = budget.acquire(50).expect("fits");
    let (sender, order) = mpsc::channel();
    let ask = |name: &'static str, n_bytes: u64| {
        let (budget, sender) = (budget.clone(), sender.clone());
        let before = budget.shared.lock().next_ticket;
        let thread = thread::spawn(move || {
            let reservation = budget.acquire(n_bytes).expect("fits");
            sender.send(name).expect("the test listens");
            drop(reservation);
        });
        while asked(&held) == before {
            thread::yield_now();
        }
        thread
    };
    let threads = [ask("large", 90), ask("small", 20)];
    // Fifty bytes are free, yet the small one waits its turn.
    assert!(order.recv_timeout(Duration::from_millis(50)).is_err());
    drop(held);
    assert_eq!([order.recv(), order.recv()], [Ok("large"), Ok("small")]);
    threads.into_iter().for_each(|thread| thread.join().expect("ends"));
}

/// How many reservations were asked for so far.
fn asked(reservation: &Reservation) -> u64 {
    reservation.shared.lock().next_ticket
}

#[test]
fn many_threads_never_hold_more_than_the_budget() {
    let budget = Budget::new(64);
    let threads: Vec<_> = (1..=8_u64)
        .map(|size| {
            let budget = budget.clone();
            thread::spawn(move || {
                for _ in 0..200 {
                    let reservation = budget.acquire(size * 8).expect("fits");
                    assert!(budget.free_bytes() <= 64 - size * 8);
                    drop(reservation);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no assertion failed"));
    assert_eq!(budget.free_bytes(), 64);
}
