use super::*;

const MIB: usize = 1 << 20;

fn budget(bytes_max: usize, peer_bytes_max: usize) -> Arc<BodyBudget> {
    BodyBudget::new(BodyBounds { bytes_max, peer_bytes_max, wait_max: Duration::from_secs(5) })
}

fn peer(last: u8) -> Peer {
    Peer::from(IpAddr::from([192, 0, 2, last]))
}

#[test]
fn peers_are_addresses_and_networks() {
    let peer = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
    assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
    assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
    assert_eq!(peer("2001:db8:0:1::1"), peer("2001:db8:0:1:ffff::2"));
    assert_ne!(peer("2001:db8:0:1::1"), peer("2001:db8:0:2::1"));
}

#[tokio::test(start_paused = true)]
async fn room_is_bounded_for_a_peer_for_strangers_and_for_all() {
    let budget = budget(100, 30);
    let _of_peer = budget.reserve(peer(1), Sender::Known, 30).await.expect("there is room");
    assert!(budget.reserve(peer(1), Sender::Known, 1).await.is_none(), "one peer has its part only");
    let _stranger = budget.reserve(peer(2), Sender::Unknown, 30).await.expect("there is room");
    assert!(budget.reserve(peer(3), Sender::Unknown, 30).await.is_none(), "strangers have half only");
    let third = budget.reserve(peer(3), Sender::Known, 30).await.expect("there is room");
    assert!(budget.reserve(peer(4), Sender::Known, 30).await.is_none(), "it is all there is");
    assert_eq!(budget.n_bytes(), 90);
    drop(third);
    assert_eq!(budget.n_bytes(), 60);
    assert!(budget.reserve(peer(4), Sender::Known, 30).await.is_some());
    assert_eq!((budget.take_peak(), budget.take_peak()), (90, 60));
}

#[tokio::test(start_paused = true)]
async fn a_body_larger_than_a_part_is_read_alone() {
    let budget = budget(100, 30);
    let large = budget.reserve(peer(1), Sender::Unknown, 1000).await.expect("it is alone");
    assert_eq!(budget.n_bytes(), 30);
    assert!(budget.reserve(peer(1), Sender::Known, 1).await.is_none());
    drop(large);
    assert_eq!(budget.n_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_body_did_not_need_goes_to_whoever_waits() {
    let budget = budget(100, 100);
    let first = budget.reserve(peer(1), Sender::Known, 100).await.expect("there is room");
    let waiting = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move { budget.reserve(peer(2), Sender::Known, 50).await.is_some() }
    });
    tokio::task::yield_now().await;
    first.arrived(50);
    assert!(waiting.await.unwrap());
    assert_eq!(budget.n_bytes(), 50);
}

#[tokio::test(start_paused = true)]
async fn the_peer_that_holds_least_comes_first() {
    let budget = budget(100, 90);
    let (_held, released) = (
        budget.reserve(peer(1), Sender::Known, 40).await.expect("there is room"),
        budget.reserve(peer(3), Sender::Known, 60).await.expect("there is room"),
    );
    let order = Arc::new(Mutex::new(Vec::new()));
    let wait = |name: &'static str, from: Peer| {
        let (budget, order) = (Arc::clone(&budget), Arc::clone(&order));
        tokio::spawn(async move {
            let room = budget.reserve(from, Sender::Known, 50).await;
            order.lock().unwrap().push((name, room.is_some()));
        })
    };
    let first = wait("holds some and came first", peer(1));
    tokio::task::yield_now().await;
    let second = wait("holds none", peer(2));
    tokio::task::yield_now().await;
    drop(released);
    first.await.unwrap();
    second.await.unwrap();
    let order = order.lock().unwrap().clone();
    assert_eq!(order, [("holds none", true), ("holds some and came first", true)]);
}

#[tokio::test(start_paused = true)]
async fn a_large_body_is_not_kept_out_by_small_ones() {
    let budget = budget(100, 100);
    let small = budget.reserve(peer(1), Sender::Known, 60).await.expect("there is room");
    let large = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move { budget.reserve(peer(2), Sender::Known, 90).await.is_some() }
    });
    tokio::task::yield_now().await;
    let late = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move { budget.reserve(peer(3), Sender::Known, 20).await.is_some() }
    });
    tokio::task::yield_now().await;
    assert_eq!(budget.n_bytes(), 60, "the late one would fit, but waits behind the large one");
    drop(small);
    assert!(large.await.unwrap() && late.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_loses_its_room_only_while_somebody_waits() {
    let budget = budget(MIB, MIB);
    let slow = budget.reserve(peer(1), Sender::Known, MIB).await.expect("there is room");
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(tokio::time::timeout(Duration::ZERO, slow.lost()).await.is_err(), "nobody waits");
    let waiting = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move { budget.reserve(peer(2), Sender::Known, MIB).await.is_some() }
    });
    slow.lost().await;
    drop(slow);
    assert!(waiting.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_arrives_or_has_arrived_keeps_its_room() {
    let budget = budget(2 * MIB, MIB);
    let quick = budget.reserve(peer(1), Sender::Known, MIB).await.expect("there is room");
    let whole = budget.reserve(peer(2), Sender::Known, MIB).await.expect("there is room");
    whole.arrived(MIB);
    quick.received(10 * RATE_MIN);
    assert!(budget.reserve(peer(3), Sender::Known, MIB).await.is_none());
    for kept in [quick, whole] {
        assert!(tokio::time::timeout(Duration::ZERO, kept.lost()).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_leaves_nothing_behind() {
    let budget = budget(100, 100);
    let held = budget.reserve(peer(1), Sender::Known, 100).await.expect("there is room");
    {
        let waiting = std::pin::pin!(budget.reserve(peer(2), Sender::Known, 100));
        assert!(tokio::time::timeout(Duration::from_millis(1), waiting).await.is_err());
    }
    drop(held);
    let state = budget.state();
    assert!(state.waiting.is_empty() && state.holding.is_empty() && state.of_peer.is_empty());
    assert_eq!((state.n_bytes, state.n_bytes_unknown), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_allowance_holds_its_room_until_its_last_clone() {
    let budget = budget(100, 100);
    let allowance = BodyAllowance::new(Arc::clone(&budget), peer(1));
    let mut extensions = Extensions::new();
    extensions.insert(allowance.clone());
    let of_request = BodyAllowance::of(&extensions).expect("it was put there");
    drop(of_request.reserve(Sender::Known, 100).await.expect("there is room"));
    drop((extensions, of_request));
    assert_eq!(budget.n_bytes(), 100);
    drop(allowance);
    assert_eq!(budget.n_bytes(), 0);
}
