//! Whoever asks whether something can be written is told, though nobody writes.

use likeness_domain::ports::GalleryStore;
use likeness_domain::types::Revision;
use likeness_store::conformance::Ledger;
use likeness_store::embedded::EmbeddedStore;

use crate::disk::{Disk, Fault};
use crate::patience::block_on;

#[test]
fn a_trial_write_finds_a_broken_disk_and_changes_nothing() {
    // A full disk may take it in room that the log has already; that shows in what is free on the disk.
    for (fault, fails) in [(None, false), (Some(Fault::BrokenFrom), true)] {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::under(dir.path());
        let store = EmbeddedStore::open(dir.path(), std::sync::Arc::new(Ledger::default())).unwrap();
        let revision = || block_on(store.report(false)).map(|report| report.revision);
        let before: Revision = revision().unwrap();
        if let Some(fault) = fault {
            disk.fail_at(0, fault);
        }
        assert_eq!(store.health().write_failure, None, "nobody has looked");
        block_on(store.probe_writes()).unwrap();
        assert_eq!(store.health().write_failure.is_some(), fails, "{fault:?}: {:?}", store.health());
        disk.heal();
        assert_eq!(revision().unwrap(), before);
    }
}

/// Strangers may ask as often as they like: the disk is asked once a second.
#[test]
fn trial_writes_are_not_made_in_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::under(dir.path());
    let store = EmbeddedStore::open(dir.path(), std::sync::Arc::new(Ledger::default())).unwrap();
    let n_calls_before = disk.n_calls(Fault::PowerOff);
    block_on(store.probe_writes()).unwrap();
    let n_calls = disk.n_calls(Fault::PowerOff);
    let n_calls_of_one = n_calls - n_calls_before;
    assert!(n_calls_of_one > 2, "{n_calls_of_one} calls");
    let started = std::time::Instant::now();
    for _ in 0..100 {
        block_on(store.probe_writes()).unwrap();
    }
    // A machine on which a hundred questions take a second shows nothing.
    if started.elapsed() < std::time::Duration::from_millis(900) {
        // The store's own maintenance makes some calls, too.
        let n_calls = disk.n_calls(Fault::PowerOff) - n_calls;
        assert!(n_calls < 50 * n_calls_of_one, "{n_calls} calls, {n_calls_of_one} for one trial");
    }
}
