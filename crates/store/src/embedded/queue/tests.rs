use super::*;

#[test]
fn keeps_order_and_refuses_when_full() {
    let queue = Queue::new(3);
    for item in 1..=3 {
        queue.push(item).unwrap();
    }
    assert_eq!(queue.push(4), Err(Refused::Full));
    assert_eq!(queue.take(2, None), Taken::Items(vec![1, 2]));
    queue.push(4).unwrap();
    assert_eq!(queue.take(9, None), Taken::Items(vec![3, 4]));
    assert_eq!(queue.take(9, Some(Duration::ZERO)), Taken::Nothing);
    assert!(queue.is_empty());
}

#[test]
fn what_was_handed_over_before_closing_is_still_done() {
    let queue = Queue::new(3);
    queue.push("write").unwrap();
    queue.close();
    assert_eq!(queue.push("late"), Err(Refused::Closed));
    assert_eq!(queue.take(9, None), Taken::Items(vec!["write"]));
    assert_eq!(queue.take(9, None), Taken::Closed);
}

#[test]
fn closing_wakes_a_waiting_consumer() {
    let queue = Queue::<u8>::new(1);
    std::thread::scope(|scope| {
        let consumer = scope.spawn(|| queue.take(1, None));
        queue.close();
        assert_eq!(consumer.join().unwrap(), Taken::Closed);
    });
}

#[test]
fn a_nudge_lets_the_consumer_go_on_once() {
    let queue = Queue::new(1);
    queue.nudge();
    assert_eq!(queue.take(1, None), Taken::<u8>::Nothing);
    queue.nudge();
    queue.push(5).unwrap();
    assert_eq!(queue.take(1, None), Taken::Items(vec![5]));
    assert_eq!(queue.take(1, None), Taken::Nothing);
    std::thread::scope(|scope| {
        let consumer = scope.spawn(|| queue.take(1, None));
        queue.nudge();
        assert_eq!(consumer.join().unwrap(), Taken::Nothing);
    });
}
