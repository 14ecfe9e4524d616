//! Power loss at any call, and a call of any kind that fails.

use std::sync::atomic::{AtomicUsize, Ordering};

use likeness_store::conformance::Ledger;
use likeness_store::embedded::{EmbeddedStore, check};

use crate::disk::{Disk, Fault, Random, unwatch};
use crate::history::Known;
use crate::patience::block_on;

pub(crate) fn is_slow_run() -> bool {
    std::env::var_os("LIKENESS_SLOW_TESTS").is_some()
}

/// Opens a folder whose disk works, and compares.
fn compare(known: &mut Known, dir: &std::path::Path) -> Result<(EmbeddedStore, std::sync::Arc<Ledger>), String> {
    let (store, index) = Known::open(dir).map_err(|error| format!("it does not open: {error}"))?;
    block_on(known.compare(&store, &index))?;
    Ok((store, index))
}

/// One history: writes, power loss at some call, a look at what is left, several times over. Returns the writes that were
/// acknowledged.
fn history(seed: u64, lies: bool) -> Result<u64, String> {
    let mut random = Random::new(seed);
    let scratch = tempfile::tempdir().unwrap();
    let disk = Disk::under(scratch.path());
    let mut known = Known::default();
    for round in 0..3 {
        // Half of the losses while the store is opened, closed or still busy with what was written in the round before.
        let n_calls_max = if random.one_in(2) { 60 } else { 1500 };
        disk.fail_at(1 + random.below(n_calls_max), Fault::PowerOff);
        if lies && round == 1 {
            disk.lie();
        }
        if let Ok((store, _)) = Known::open(scratch.path()) {
            let n_writes = 1 + random.below(25) as usize;
            block_on(known.write(&store, &mut random, n_writes));
            disk.power_off();
        }
        disk.power_off();
        disk.lose_power(&mut random);
        drop(compare(&mut known, scratch.path()).map_err(|what| format!("seed {seed}, round {round}: {what}"))?);
    }
    unwatch(&disk);
    Ok(known.n_acknowledged)
}

/// 10,000 histories in the slow run, or as many as the variable says.
#[test]
fn no_acknowledged_write_is_lost_with_the_power() {
    let rounds = std::env::var("LIKENESS_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let n_histories = rounds.unwrap_or(if is_slow_run() { 10_000 } else { 150 });
    let mut n_acknowledged = 0;
    for seed in 0..n_histories {
        n_acknowledged += history(seed, false).unwrap_or_else(|what| panic!("{what}"));
    }
    assert!(n_acknowledged > 5 * n_histories, "the histories wrote something: {n_acknowledged}");
    eprintln!("{n_histories} histories, {n_acknowledged} acknowledged writes");
}

/// A disk that says it has flushed and has not loses writes, and these tests see it: they would see a flush that is missing.
#[test]
fn a_flush_that_is_missing_is_noticed() {
    let n_noticed = (0..20).filter(|&seed| history(seed, true).is_err()).count();
    assert!(n_noticed >= 5, "noticed in {n_noticed} of 20 histories");
}

/// Faults of a disk that works afterwards.
const FAULTS: [Fault; 6] =
    [Fault::BrokenOnce, Fault::BrokenFrom, Fault::FullOnce, Fault::FullFrom, Fault::ShortOnce, Fault::TornOnce];

/// One history with a fault at a call: whatever fails says so, nothing that was acknowledged is lost, then or after a restart,
/// with a healed disk everything works again, and a thorough check finds nothing. Returns the calls that the history made, of
/// those that each fault concerns.
fn faulty(fault: Option<(u64, Fault)>) -> Result<[u64; FAULTS.len()], String> {
    let mut random = Random::new(7);
    let scratch = tempfile::tempdir().unwrap();
    let disk = Disk::under(scratch.path());
    let mut known = Known::default();
    if let Some((at, fault)) = fault {
        disk.fail_at(at, fault);
    }
    for _ in 0..3 {
        // With a disk that fails even opening may fail.
        if let Ok((store, _)) = Known::open(scratch.path()) {
            for _ in 0..3 {
                block_on(known.write(&store, &mut random, 6));
            }
        }
    }
    let n_calls = FAULTS.map(|fault| disk.n_calls(fault));
    disk.heal();
    {
        let (store, index) = compare(&mut known, scratch.path())?;
        block_on(known.write(&store, &mut random, 6));
        block_on(known.compare(&store, &index)).map_err(|what| format!("healed: {what}"))?;
    }
    drop(compare(&mut known, scratch.path()).map_err(|what| format!("opened again: {what}"))?);
    let report = check(scratch.path(), true, &mut |_| {}).map_err(|error| error.to_string())?;
    unwatch(&disk);
    match report.problems.as_slice() {
        [] => Ok(n_calls),
        problems => Err(format!("a check finds {problems:?}")),
    }
}

/// Every call in the slow run, a dozen for each fault otherwise.
#[test]
fn every_call_may_fail() {
    let n_calls = faulty(None).unwrap();
    let mut runs = Vec::new();
    for (idx, (fault, n_calls)) in FAULTS.into_iter().zip(n_calls).enumerate() {
        let every = if is_slow_run() { 1 } else { (n_calls / 12).max(1) as usize };
        // Other calls for each kind.
        let first = if is_slow_run() { 1 } else { 1 + (idx as u64 * 5) % every as u64 };
        runs.extend((first..=n_calls).step_by(every).map(|at| (at, fault)));
        eprintln!("{fault:?}: {n_calls} calls");
    }
    let next = AtomicUsize::new(0);
    // They wait for each other's threads more than for the processor.
    let found: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..if is_slow_run() { 16 } else { 4 })
            .map(|_| {
                scope.spawn(|| {
                    let mut found = Vec::new();
                    while let Some(&(at, fault)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        found.extend(faulty(Some((at, fault))).err().map(|what| format!("{fault:?} at {at}: {what}")));
                    }
                    found
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(found.is_empty(), "{found:#?}");
    eprintln!("{} histories with a fault each", runs.len());
}
