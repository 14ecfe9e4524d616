//! Power loss and faults while a library of an older layout is brought up to date: whenever that happens, the library ends with
//! everything in the newest layout, and the copy that is kept before is whole.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use likeness_domain::ports::GalleryStore;
use likeness_store::conformance::Ledger;
use likeness_store::embedded::{DATABASE_FILE, EmbeddedStore, SCHEMA_VERSION, verify_backup};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::disk::{Disk, Fault, Random, unwatch};
use crate::patience::block_on;
use crate::power::is_slow_run;

/// Libraries of older layouts (`tests/data/README.md`).
const LIBRARIES: [&[u8]; 8] = [
    include_bytes!("../data/1/likeness.db"),
    include_bytes!("../data/2/likeness.db"),
    include_bytes!("../data/3/likeness.db"),
    include_bytes!("../data/4/likeness.db"),
    include_bytes!("../data/5/likeness.db"),
    include_bytes!("../data/6/likeness.db"),
    include_bytes!("../data/7/likeness.db"),
    include_bytes!("../data/8/likeness.db"),
];

/// The rows of every table, but of `store`, whose library id is made with the upgrade, and without what depends on the time of the
/// upgrade.
type Content = BTreeMap<String, Vec<Vec<Value>>>;

fn open(dir: &Path) -> likeness_domain::Result<EmbeddedStore> {
    EmbeddedStore::open(dir, Arc::new(Ledger::default()))
}

/// Opens the library on a disk that works, checks all of it and returns what is in it.
fn content(dir: &Path) -> Result<Content, String> {
    let store = open(dir).map_err(|error| format!("it does not open: {error}"))?;
    let report = block_on(store.report(true)).map_err(|error| error.to_string())?;
    if (report.schema_version, report.problems.as_slice()) != (SCHEMA_VERSION, &[]) {
        return Err(format!("layout {}, problems {:?}", report.schema_version, report.problems));
    }
    drop(store);
    let read = || {
        let conn = Connection::open(dir.join(DATABASE_FILE))?;
        let mut names = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'store'")?;
        let names = names.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        names
            .into_iter()
            .map(|name| {
                let mut rows = conn.prepare(&format!("SELECT * FROM {name} ORDER BY 1, 2"))?;
                let columns = rows.column_names().enumerate();
                // The report has compared the checksums.
                let columns = columns.filter(|&(_, name)| !["updated_at", "checksum"].contains(&name));
                let columns = columns.map(|(idx, _)| idx).collect::<Vec<_>>();
                let rows = rows.query_map([], |row| columns.iter().map(|&idx| row.get(idx)).collect())?;
                Ok((name, rows.collect::<rusqlite::Result<_>>()?))
            })
            .collect::<rusqlite::Result<Content>>()
    };
    read().map_err(|error| error.to_string())
}

/// The copy of before is either whole or not there.
fn check_copy(dir: &Path, layout: u32) -> Result<bool, String> {
    let copy = dir.join(format!("likeness-layout-{layout}.backup"));
    if !copy.exists() {
        return Ok(false);
    }
    let found = verify_backup(&copy, &mut |_, _, _| Ok(())).map_err(|error| format!("its copy: {error}"))?;
    match (found.schema_version, found.problems.as_slice()) {
        (version, []) if version == layout => Ok(true),
        (version, problems) => Err(format!("its copy: layout {version}, problems {problems:?}")),
    }
}

/// Upgrades a library with a fault at a call, and again on a disk that works. Returns the calls that the fault concerns.
fn upgrade(layout: u32, expected: &Content, at: u64, fault: Fault, seed: u64) -> Result<u64, String> {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    std::fs::write(dir.join(DATABASE_FILE), LIBRARIES[layout as usize - 1]).unwrap();
    let disk = Disk::under(dir);
    disk.fail_at(at, fault);
    let is_open = open(dir).is_ok();
    let n_calls = disk.n_calls(fault);
    if fault == Fault::PowerOff {
        disk.power_off();
        disk.lose_power(&mut Random::new(seed));
    } else {
        disk.heal();
    }
    unwatch(&disk);
    check_copy(dir, layout)?;
    let found = content(dir)?;
    if !check_copy(dir, layout)? {
        return Err("no copy is kept".into());
    }
    match expected.iter().find(|&(table, rows)| found.get(table) != Some(rows)) {
        None if found.len() == expected.len() => Ok(n_calls),
        None => Err(format!("it has the tables {:?}", found.keys())),
        Some((table, rows)) => {
            let found = found.get(table).map_or(&[][..], Vec::as_slice);
            let differs = rows.iter().zip(found).find(|(row, found)| row != found);
            let (n_rows, n_found) = (rows.len(), found.len());
            Err(format!("opened: {is_open}; {table} has {n_found} rows of {n_rows}, the first to differ: {differs:?}"))
        }
    }
}

/// At every call in the slow run, at some two dozen of each layout otherwise.
#[test]
fn an_upgrade_of_any_layout_survives_what_happens_at_any_call() {
    let mut n_runs = 0;
    for layout in (1..).take(LIBRARIES.len()) {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join(DATABASE_FILE), LIBRARIES[layout as usize - 1]).unwrap();
        let expected = content(scratch.path()).unwrap();
        assert!(!expected["faces"].is_empty() && !expected["templates"].is_empty());
        for fault in [Fault::PowerOff, Fault::BrokenOnce, Fault::BrokenFrom, Fault::FullFrom, Fault::TornOnce] {
            let n_calls = upgrade(layout, &expected, u64::MAX / 2, fault, 0).unwrap();
            assert!(n_calls > 20, "{fault:?} concerns calls of an upgrade: {n_calls}");
            let every = if is_slow_run() { 1 } else { (n_calls / 5).max(1) };
            // Others for each layout and fault.
            let first = 1 + if is_slow_run() { 0 } else { (u64::from(layout) * 7 + fault as u64 * 3) % every };
            for at in (first..=n_calls).step_by(every as usize) {
                upgrade(layout, &expected, at, fault, at)
                    .unwrap_or_else(|what| panic!("layout {layout}, {fault:?} at call {at} of {n_calls}: {what}"));
                n_runs += 1;
            }
        }
    }
    eprintln!("{n_runs} upgrades with a fault each");
}
