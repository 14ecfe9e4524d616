//! Slots that tenants share, in a time that only the test moves.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use likeness_domain::access::{Entering, FairBounds, FairSlots, Share, Slot};
use likeness_domain::types::TenantId;
use likeness_domain::{Kind, Result};
use likeness_testkit::FakeClock;

const BOUNDS: FairBounds = FairBounds { what: "calls", n_slots: 2, queue_max: 64, wait_ms_max: None };

fn share(tenant: u128, weight: u32) -> Share {
    Share { tenant: TenantId::from_bits(tenant), weight }
}

fn poll(entering: &mut Entering) -> Poll<Result<Slot>> {
    Pin::new(entering).poll(&mut Context::from_waker(Waker::noop()))
}

/// Tenants that call in a closed loop: each has so many connections, of which each calls again at once when it was
/// answered or refused.
struct Load {
    tenant: u128,
    weight: u32,
    n_connections: usize,
    call_ms: u64,
}

/// How a tenant fared.
#[derive(Debug, Default, PartialEq)]
struct Fared {
    n_answered: u32,
    n_refused: u32,
    /// Longest time between asking and having a slot, and the time with a slot of all calls together.
    wait_ms_longest: u64,
    busy_ms: u64,
}

/// Runs the loads against the slots for a while, a millisecond at a time.
fn run(bounds: FairBounds, loads: &[Load], for_ms: u64) -> BTreeMap<u128, Fared> {
    enum Connection {
        Idle,
        Waiting(Entering, u64),
        Working(#[expect(dead_code, reason = "held until it is dropped")] Slot, u64),
    }
    let clock = Arc::new(FakeClock::new(0));
    let slots = FairSlots::new(bounds, clock.clone());
    let mut fared: BTreeMap<u128, Fared> = loads.iter().map(|load| (load.tenant, Fared::default())).collect();
    let mut connections: Vec<(&Load, Connection)> =
        loads.iter().flat_map(|load| (0..load.n_connections).map(move |_| (load, Connection::Idle))).collect();
    for now_ms in 0..for_ms {
        for (load, connection) in &mut connections {
            let fared = fared.get_mut(&load.tenant).unwrap();
            if let Connection::Working(_, since) = connection
                && now_ms - *since >= load.call_ms
            {
                fared.n_answered += 1;
                fared.busy_ms += load.call_ms;
                *connection = Connection::Idle;
            }
            if let Connection::Idle = connection {
                *connection = Connection::Waiting(slots.enter(share(load.tenant, load.weight)), now_ms);
            }
        }
        for (load, connection) in &mut connections {
            let Connection::Waiting(entering, since) = connection else { continue };
            let fared = fared.get_mut(&load.tenant).unwrap();
            match poll(entering) {
                Poll::Pending => {}
                Poll::Ready(Ok(slot)) => {
                    fared.wait_ms_longest = fared.wait_ms_longest.max(now_ms - *since);
                    *connection = Connection::Working(slot, now_ms);
                }
                Poll::Ready(Err(error)) => {
                    assert_eq!(error.kind(), Kind::Overloaded);
                    fared.n_refused += 1;
                    *connection = Connection::Idle;
                }
            }
        }
        clock.advance(Duration::from_millis(1));
    }
    fared
}

fn load(tenant: u128, n_connections: usize) -> Load {
    Load { tenant, weight: 1, n_connections, call_ms: 10 }
}

#[test]
fn a_neighbour_of_a_flood_is_answered_as_if_there_were_two_callers() {
    let fared = run(BOUNDS, &[load(1, 90), load(2, 1)], 10_000);
    let neighbour = &fared[&2];
    // Its call takes 10 ms, and it waits for one of two slots that are free every 10 ms.
    assert!(neighbour.wait_ms_longest <= 20, "{fared:#?}");
    assert!(neighbour.n_answered >= 330 && neighbour.n_refused == 0, "{fared:#?}");
    // The flood gets what the neighbour does not use, and its own calls only are refused.
    assert!(fared[&1].busy_ms + neighbour.busy_ms >= 19_000 && fared[&1].n_refused > 0, "{fared:#?}");
}

#[test]
fn tenants_get_time_in_proportion_to_their_weights_whatever_their_calls_take() {
    let loads = [
        Load { tenant: 1, weight: 1, n_connections: 20, call_ms: 5 },
        Load { tenant: 2, weight: 1, n_connections: 5, call_ms: 50 },
        Load { tenant: 3, weight: 2, n_connections: 10, call_ms: 20 },
    ];
    let fared = run(BOUNDS, &loads, 20_000);
    let whole: u64 = fared.values().map(|fared| fared.busy_ms).sum();
    for (tenant, part) in [(1, 0.25), (2, 0.25), (3, 0.5)] {
        let got = fared[&tenant].busy_ms as f64 / whole as f64;
        assert!((got - part).abs() < 0.03, "tenant {tenant} got {got}: {fared:#?}");
    }
}

#[test]
fn a_tenant_alone_may_use_the_whole_queue() {
    let slots = FairSlots::new(BOUNDS, Arc::new(FakeClock::default()));
    let mut all: Vec<Entering> = (0..66).map(|_| slots.enter(share(1, 1))).collect();
    let granted: Vec<bool> = all.iter_mut().map(|entering| matches!(poll(entering), Poll::Ready(Ok(_)))).collect();
    assert!(granted[0] && slots.n_waiting() <= 64);
    assert_eq!(slots.n_waiting() + granted.iter().filter(|granted| **granted).count(), 66);
}

#[test]
fn in_a_full_queue_the_newest_call_of_the_longest_line_makes_room() {
    let slots = FairSlots::new(FairBounds { queue_max: 3, ..BOUNDS }, Arc::new(FakeClock::default()));
    let mut held: Vec<Entering> = (0..2).map(|_| slots.enter(share(9, 1))).collect();
    let _slots_held: Vec<_> = held.iter_mut().map(|entering| ready(poll(entering))).collect();
    let mut flood: Vec<Entering> = (0..3).map(|_| slots.enter(share(1, 1))).collect();
    // Its own next one is refused, and does not push out another of its own.
    assert_eq!(refused(&mut slots.enter(share(1, 1))), "3 calls are waiting already, try again later");
    let mut neighbour = slots.enter(share(2, 1));
    assert!(poll(&mut neighbour).is_pending());
    let made_room =
        "the newest of many waiting calls of this tenant had to make room for other tenants, try again later";
    assert_eq!(refused(&mut flood[2]), made_room);
    assert!(flood[..2].iter_mut().all(|entering| poll(entering).is_pending()));
    // Two to one: with a second call the neighbour would have as many as the flood, so nobody makes room.
    assert_eq!(refused(&mut slots.enter(share(2, 1))), "3 calls are waiting already, try again later");
    assert_eq!(slots.n_waiting(), 3);
}

#[test]
fn a_call_that_would_wait_too_long_behind_its_own_tenant_is_refused_and_others_are_not() {
    let clock = Arc::new(FakeClock::default());
    let slots = FairSlots::new(FairBounds { n_slots: 1, wait_ms_max: Some(1000), ..BOUNDS }, clock.clone());
    let slot = ready(poll(&mut slots.enter(share(1, 1))));
    clock.advance(Duration::from_millis(400));
    drop(slot);
    let _slot = ready(poll(&mut slots.enter(share(1, 1))));
    let _waiting = [slots.enter(share(1, 1)), slots.enter(share(1, 1))];
    assert_eq!(
        refused(&mut slots.enter(share(1, 1))),
        "2 calls of this tenant are waiting already, another one would wait 1.2 s, expected at most 1.0 s"
    );
    assert!(poll(&mut slots.enter(share(2, 1))).is_pending(), "a tenant's first call may always wait");
}

#[test]
fn calls_that_waited_twice_as_long_as_they_may_are_refused_when_one_before_them_ends() {
    let clock = Arc::new(FakeClock::default());
    let slots = FairSlots::new(FairBounds { n_slots: 1, wait_ms_max: Some(1000), ..BOUNDS }, clock.clone());
    // Nothing has ended yet, so nobody knows how long calls take.
    let slot = ready(poll(&mut slots.enter(share(1, 1))));
    let mut waiting = [slots.enter(share(1, 1)), slots.enter(share(1, 1)), slots.enter(share(1, 1))];
    clock.advance(Duration::from_millis(1500));
    let mut later = slots.enter(share(1, 1));
    clock.advance(Duration::from_millis(600));
    let mut other = slots.enter(share(2, 1));
    drop(slot);
    let late =
        "this call has waited 2.1 s for calls of this tenant that take longer than was expected, try again later";
    let [first, others @ ..] = &mut waiting;
    assert!(others.iter_mut().all(|entering| refused(entering) == late));
    // The oldest of the first tenant, the one that came later, and the other tenant's are left, of which one has the slot.
    assert_eq!(slots.n_waiting(), 2);
    let has_slot = [first, &mut other].map(|entering| poll(entering).is_ready());
    assert_eq!(has_slot.iter().filter(|&&has_slot| has_slot).count(), 1);
    assert!(poll(&mut later).is_pending());
}

/// Notes that it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// While the one before them is still at work, which may take long.
#[test]
fn calls_that_waited_too_long_are_told_in_time_but_for_the_oldest_of_a_tenant() {
    let clock = Arc::new(FakeClock::default());
    let bounds = FairBounds { n_slots: 1, wait_ms_max: Some(1000), ..BOUNDS };
    let slots = FairSlots::with_timer(bounds, clock.clone(), clock.clone());
    let slot = ready(poll(&mut slots.enter(share(1, 1))));
    let mut waiting = [slots.enter(share(1, 1)), slots.enter(share(1, 1)), slots.enter(share(2, 1))];
    let woken = [(); 3].map(|()| Arc::new(Woken::default()));
    let mut polled = || {
        let polled = waiting.iter_mut().zip(&woken).map(|(entering, woken)| {
            let waker = Arc::clone(woken).into();
            Pin::new(entering).poll(&mut Context::from_waker(&waker))
        });
        polled.collect::<Vec<_>>()
    };
    assert!(polled().iter().all(Poll::is_pending));
    clock.advance(Duration::from_millis(2000));
    assert!(polled().iter().all(Poll::is_pending), "not longer than twice as long yet");
    woken.iter().for_each(|woken| woken.0.store(false, Ordering::SeqCst));
    clock.advance(Duration::from_millis(1));
    assert!(woken[1].0.load(Ordering::SeqCst), "it need not be asked");
    let [first, second, other] = polled().try_into().ok().unwrap();
    assert!(first.is_pending() && other.is_pending(), "each is the oldest of its tenant");
    let Poll::Ready(Err(error)) = second else { panic!("it waits on") };
    assert_eq!(error.kind(), Kind::Overloaded);
    assert!(error.message().starts_with("this call has waited 2.0 s for calls of this tenant"), "{}", error.message());
    assert_eq!(slots.n_waiting(), 2);
    drop(slot);
    let has_slot = polled_slots(&mut waiting);
    assert_eq!(has_slot, 1, "the slot goes on to one of the two");
}

fn polled_slots([first, _, other]: &mut [Entering; 3]) -> usize {
    [first, other].into_iter().filter_map(|entering| poll(entering).is_ready().then_some(())).count()
}

#[test]
fn whoever_leaves_the_queue_or_never_takes_its_slot_holds_nothing() {
    let slots = FairSlots::new(FairBounds { n_slots: 1, ..BOUNDS }, Arc::new(FakeClock::default()));
    let slot = ready(poll(&mut slots.enter(share(1, 1))));
    let (left, granted, mut last) = (slots.enter(share(2, 1)), slots.enter(share(3, 1)), slots.enter(share(4, 1)));
    drop(left);
    assert_eq!(slots.n_waiting(), 2);
    drop(slot);
    assert_eq!(slots.n_waiting(), 1);
    // It has the slot and was never asked about it again.
    drop(granted);
    drop(ready(poll(&mut last)));
    assert!(matches!(poll(&mut slots.enter(share(1, 1))), Poll::Ready(Ok(_))));
}

#[test]
fn a_slot_wakes_who_waits_for_it() {
    struct Woken(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let slots = FairSlots::new(FairBounds { n_slots: 1, ..BOUNDS }, Arc::new(FakeClock::default()));
    let slot = ready(poll(&mut slots.enter(share(1, 1))));
    let woken = Arc::new(Woken(false.into()));
    let mut waiting = slots.enter(share(1, 1));
    let waker = Waker::from(woken.clone());
    assert!(Pin::new(&mut waiting).poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(!woken.0.load(std::sync::atomic::Ordering::Relaxed));
    drop(slot);
    assert!(woken.0.load(std::sync::atomic::Ordering::Relaxed));
}

fn ready(poll: Poll<Result<Slot>>) -> Slot {
    match poll {
        Poll::Ready(Ok(slot)) => slot,
        Poll::Ready(Err(error)) => panic!("{error}"),
        Poll::Pending => panic!("it waits"),
    }
}

fn refused(entering: &mut Entering) -> String {
    match poll(entering) {
        Poll::Ready(Err(error)) if error.kind() == Kind::Overloaded => error.message().to_owned(),
        Poll::Ready(_) => panic!("it is not refused as overload"),
        Poll::Pending => panic!("it waits"),
    }
}
