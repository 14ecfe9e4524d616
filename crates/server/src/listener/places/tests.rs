use std::net::IpAddr;
use std::time::Duration;

use likeness_wire::http::budget::SLOW_START;

use super::*;

fn bounds(connections_max: usize, connections_per_peer_max: usize) -> Settings {
    Settings { connections_max, connections_per_peer_max, ..Settings::default() }
}

fn peer(last: u8) -> Option<Peer> {
    Some(Peer::from(IpAddr::from([192, 0, 2, last])))
}

fn busy(places: &Arc<Places>, peer: Option<Peer>) -> Arc<Place> {
    let place = places.enter(peer);
    place.set_phase(Phase::Busy);
    place
}

/// Lets so many seconds of the paused clock pass.
async fn after(seconds: u64) {
    let never = std::future::pending::<()>();
    assert!(tokio::time::timeout(Duration::from_secs(seconds), never).await.is_err());
}

async fn is_sent_away(place: &Place) -> bool {
    tokio::time::timeout(Duration::ZERO, place.sent_away()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn the_longest_waiting_of_the_peer_with_most_connections_goes_first() {
    let places = Places::new(&bounds(5, 5));
    let alone = places.enter(peer(1));
    tokio::time::advance(Duration::from_secs(1)).await;
    let at_work = busy(&places, peer(2));
    tokio::time::advance(Duration::from_secs(1)).await;
    let (longest, later) = (places.enter(peer(2)), places.enter(peer(2)));
    tokio::time::advance(Duration::from_secs(1)).await;
    later.received();
    let _fifth = places.enter(peer(3));
    let newcomer = places.enter(peer(4));
    assert!(is_sent_away(&longest).await);
    for kept in [&alone, &at_work, &later, &newcomer] {
        assert!(!is_sent_away(kept).await);
    }
    assert!(newcomer.may_work(&bounds(5, 5)).await);
}

#[tokio::test(start_paused = true)]
async fn a_peer_above_its_bound_loses_its_own_connections_only() {
    let places = Places::new(&bounds(100, 2));
    let other = places.enter(peer(1));
    let (first, second) = (places.enter(peer(2)), places.enter(peer(2)));
    let _third = places.enter(peer(2));
    assert!(is_sent_away(&first).await);
    assert!(!is_sent_away(&second).await && !is_sent_away(&other).await);
}

#[tokio::test(start_paused = true)]
async fn the_connections_of_a_proxy_are_not_counted() {
    let places = Places::new(&bounds(100, 2));
    let all: Vec<_> = (0..50).map(|_| places.enter(None)).collect();
    for place in &all {
        assert!(!is_sent_away(place).await);
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_are_at_work_a_request_waits_for_a_place_and_no_longer_than_it_may() {
    let bounds = bounds(2, 2);
    let places = Places::new(&bounds);
    let (first, second) = (busy(&places, peer(1)), busy(&places, peer(2)));
    let waiting = places.enter(peer(3));
    let before = Instant::now();
    assert!(!waiting.may_work(&bounds).await);
    assert_eq!(before.elapsed(), bounds.body_wait_max);
    drop(first);
    assert!(waiting.may_work(&bounds).await);
    assert!(!is_sent_away(&second).await);
}

#[tokio::test(start_paused = true)]
async fn one_that_has_just_come_is_not_sent_away_before_it_is_heard() {
    let bounds = bounds(2, 2);
    let places = Places::new(&bounds);
    let (_at_work, just_come) = (busy(&places, peer(1)), places.enter(peer(2)));
    let next = places.enter(peer(3));
    assert!(!is_sent_away(&just_come).await && !is_sent_away(&next).await);
    let before = Instant::now();
    assert!(next.may_work(&bounds).await, "it may have the place of one that stays silent");
    assert_eq!(before.elapsed(), FIRST_BYTE);
    assert!(is_sent_away(&just_come).await);
}

/// A few bytes a second hold no place that others need; a body that arrives quickly enough does, and so does a request whose
/// body is there.
#[tokio::test(start_paused = true)]
async fn a_body_that_arrives_too_slowly_loses_its_place_to_others() {
    let bounds = bounds(3, 3);
    let places = Places::new(&bounds);
    let (at_work, slow, quick) = (busy(&places, peer(1)), busy(&places, peer(2)), busy(&places, peer(3)));
    slow.waits_for_body(1000, Duration::ZERO);
    quick.waits_for_body(300_000, Duration::ZERO);
    let newcomer = busy(&places, peer(4));
    assert!(!is_sent_away(&slow).await, "it has only begun");
    let before = Instant::now();
    assert!(newcomer.may_work(&bounds).await);
    assert_eq!(before.elapsed(), SLOW_START + Duration::from_secs(1));
    assert!(is_sent_away(&slow).await);
    assert!(!is_sent_away(&at_work).await && !is_sent_away(&quick).await);
    // Time in which nobody waited for the client does not count.
    let paused = busy(&places, peer(5));
    paused.waits_for_body(1000, Duration::from_secs(1));
    paused.waits_for_body_no_more();
    assert_eq!(paused.phase(), Phase::Busy);
    paused.set_phase(Phase::Idle);
    paused.waits_for_body(1000, Duration::ZERO);
    assert_eq!(paused.phase(), Phase::Idle, "its request has been answered");
}

#[tokio::test(start_paused = true)]
async fn a_request_in_a_reserved_place_takes_that_of_one_that_has_become_idle() {
    let bounds = bounds(1, 1);
    let places = Places::new(&bounds);
    let first = busy(&places, peer(1));
    let waiting = busy(&places, peer(2));
    first.set_phase(Phase::Idle);
    assert!(waiting.may_work(&bounds).await);
    assert!(is_sent_away(&first).await);
}

#[tokio::test(start_paused = true)]
async fn a_freed_place_goes_to_a_peer_that_may_have_it() {
    let bounds = bounds(3, 2);
    let places = Places::new(&bounds);
    let _of_first = (busy(&places, peer(1)), busy(&places, peer(1)));
    let of_other = busy(&places, peer(2));
    let (above_its_bound, in_bounds) = (busy(&places, peer(1)), busy(&places, peer(3)));
    drop(of_other);
    assert!(in_bounds.may_work(&bounds).await);
    assert!(!above_its_bound.may_work(&bounds).await);
}

#[tokio::test(start_paused = true)]
async fn reserved_places_are_bounded_too_and_never_refuse_a_newcomer() {
    let places = Places::new(&bounds(1, 1));
    let at_work = busy(&places, peer(1));
    let mut reserved: Vec<_> = (0..RESERVED).map(|_| busy(&places, peer(2))).collect();
    let silent = places.enter(peer(3));
    assert!(is_sent_away(&reserved.remove(0)).await, "the one that has waited longest makes room");
    let _newcomer = places.enter(peer(4));
    assert!(is_sent_away(&silent).await, "one without a request goes first");
    assert!(!is_sent_away(&at_work).await);
    assert_eq!(places.state().open.len(), 1 + RESERVED);
}

#[tokio::test(start_paused = true)]
async fn a_head_and_the_pause_before_it_have_bounds_of_their_own() {
    let bounds =
        Settings { head_timeout: Duration::from_secs(20), idle_timeout: Duration::from_secs(75), ..bounds(10, 10) };
    let places = Places::new(&bounds);
    let elapsed = async |place: &Place| {
        let before = Instant::now();
        place.waited_too_long(&bounds).await;
        before.elapsed().as_secs()
    };
    let place = places.enter(peer(1));
    assert_eq!(elapsed(&place).await, 20, "nothing came");
    place.set_phase(Phase::Busy);
    place.set_phase(Phase::Idle);
    assert_eq!(elapsed(&place).await, 75, "no second request came");
    place.set_phase(Phase::Idle);
    let slow = async {
        after(70).await;
        place.received();
        after(10).await;
        // More of the same head does not begin it anew.
        place.received();
    };
    assert_eq!(tokio::join!(elapsed(&place), slow).0, 90, "its head began after 70 seconds");
    place.set_phase(Phase::Busy);
    let at_work = tokio::time::timeout(Duration::from_secs(1000), place.waited_too_long(&bounds)).await;
    assert!(at_work.is_err(), "a request at work has bounds of its own");
}
