use super::*;

#[test]
fn the_clock_moves_only_when_told() {
    let clock = FakeClock::default();
    assert_eq!(clock.now(), TimestampMs(1_772_352_000_000));
    clock.advance(Duration::from_secs(2));
    assert_eq!(clock.now(), TimestampMs(1_772_352_002_000));
    clock.set(5);
    assert_eq!(clock.now(), TimestampMs(5));
}

#[test]
fn the_clock_rings_when_the_time_has_come() {
    let clock = std::sync::Arc::new(FakeClock::new(0));
    let sleeper = std::thread::spawn({
        let clock = clock.clone();
        move || {
            crate::block_on(clock.sleep_until(TimestampMs(30)));
            clock.now()
        }
    });
    for _ in 0..3 {
        clock.advance(Duration::from_millis(10));
    }
    assert_eq!(sleeper.join().unwrap(), TimestampMs(30));
    crate::block_on(clock.sleep_until(TimestampMs(29)));
}

#[test]
fn one_seed_gives_one_sequence() {
    let draw = |seed| {
        let (ids, mut bytes) = (SeededIds::new(seed), [0; 21]);
        ids.fill(&mut bytes);
        bytes
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    assert_ne!(draw(7)[..8], draw(7)[8..16]);
}

#[test]
fn the_generator_is_splitmix64() {
    // First number of the reference implementation for seed 1234567.
    let (ids, mut bytes) = (SeededIds::new(1_234_567), [0; 8]);
    ids.fill(&mut bytes);
    assert_eq!(u64::from_le_bytes(bytes), 6_457_827_717_110_365_317);
}
