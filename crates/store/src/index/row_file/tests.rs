use likeness_domain::types::{FaceId, PackId, Template};

use super::*;
use crate::index::rotation::Rotation;

fn entry(number: u64) -> GalleryEntry {
    let raw: Vec<f32> = (0..20).map(|idx| (number as f32 + idx as f32).sin() + 2.0).collect();
    GalleryEntry {
        face: FaceId::new(number).unwrap(),
        sequence: number,
        person: None,
        template: Template::new(PackId::new("pack-1").unwrap(), &raw).unwrap(),
        subject: None,
        values: Box::new([]),
    }
}

fn file(folder: &Path) -> Arc<RowFile> {
    let files = RowFiles::new(folder, 1);
    assert_eq!(files.reopen([1; 16]).unwrap(), None);
    files.of(20).unwrap()
}

fn try_put(file: &RowFile, number: u64) -> Option<u32> {
    let entry = entry(number);
    let codes = RowCodes::new(entry.template.unit(), &Rotation::new(1, 20));
    file.put(FaceSetId::new(1).unwrap(), (&entry, &codes), &mut Vec::new())
}

fn put(file: &RowFile, number: u64) -> u32 {
    try_put(file, number).unwrap()
}

fn vector(file: &RowFile, slot: u32) -> Vec<f32> {
    let mut lines = [FloatLine::ZERO; 2];
    file.vector(slot, &mut Vec::new(), &mut lines).unwrap();
    assert!(lines[1].0[4..].iter().all(|number| *number == 0.0), "filled up with zeros");
    lines.iter().flat_map(|line| line.0).take(20).collect()
}

#[test]
fn vectors_are_read_as_they_were_written_and_free_slots_are_taken_first() {
    let scratch = tempfile::tempdir().unwrap();
    let file = file(scratch.path());
    let slots: Vec<u32> = (1..=5).map(|number| put(&file, number)).collect();
    assert_eq!(slots, [0, 1, 2, 3, 4]);
    for (slot, number) in slots.into_iter().zip(1..) {
        assert_eq!(vector(&file, slot), entry(number).template.unit());
    }
    file.free(vec![3, 1]);
    assert_eq!((vector(&file, 1), vector(&file, 3)), (vec![0.0; 20], vec![0.0; 20]));
    assert_eq!(vector(&file, 2), entry(3).template.unit());
    assert_eq!([6, 7, 8].map(|number| put(&file, number)), [1, 3, 5]);
}

#[test]
fn a_retired_slot_is_overwritten_when_nobody_who_may_read_it_is_left() {
    let scratch = tempfile::tempdir().unwrap();
    let file = file(scratch.path());
    let slots: Vec<u32> = (1..=3).map(|number| put(&file, number)).collect();
    let first: Arc<Epoch> = Arc::default();
    let early_search = Arc::clone(&first);
    let second = first.end();
    first.retire(Arc::clone(&file), vec![slots[0]]);
    drop(first);
    let late_search = Arc::clone(&second);
    let third = second.end();
    second.retire(Arc::clone(&file), vec![slots[1]]);
    drop(second);
    let is_there = |idx: usize| vector(&file, slots[idx]) != [0.0; 20];
    drop(late_search);
    assert!(is_there(0) && is_there(1), "the early search may read both");
    drop(early_search);
    assert!(!is_there(0) && !is_there(1) && is_there(2));
    drop(third);
    assert!(is_there(2));
}

#[test]
fn a_search_that_outlives_thousands_of_commits_ends_well() {
    let scratch = tempfile::tempdir().unwrap();
    let file = file(scratch.path());
    let search: Arc<Epoch> = Arc::default();
    let mut now = Arc::clone(&search);
    for number in 1..=100_000 {
        let next = now.end();
        if number % 1000 == 0 {
            now.retire(Arc::clone(&file), vec![put(&file, number)]);
        }
        now = next;
    }
    assert_eq!(put(&file, 1), 100, "no slot is free yet");
    drop(search);
    assert_eq!(put(&file, 2), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_vectors_in_memory_and_the_file_untrusted() {
    let scratch = tempfile::tempdir().unwrap();
    let full = RowFile::new(OpenOptions::new().read(true).write(true).open("/dev/full").unwrap(), 1, 20);
    assert_eq!(try_put(&full, 1), None);
    assert!(full.is_incomplete.load(Ordering::Relaxed));
    let files = RowFiles::new(&scratch.path().join("missing"), 1);
    assert!(files.of(20).is_none() && files.of(20).is_none());
}

#[test]
fn states_are_written_in_turn_and_the_last_whole_one_counts() {
    let scratch = tempfile::tempdir().unwrap();
    let file = file(scratch.path());
    for revision in 1..=5 {
        file.set_state(Revision(revision), Trust::InUse).unwrap();
    }
    let mut bytes = std::fs::read(scratch.path().join(format!("{ROWS_FILE}20"))).unwrap();
    assert_eq!(parse(&bytes).unwrap().1.revision, Revision(5));
    // A torn write leaves the one before.
    let at = HEAD_BYTES + (file.slots.lock().unwrap().n_states % 2) as usize * STATE_BYTES;
    bytes[at + 9] ^= 1;
    assert_eq!(parse(&bytes).unwrap().1.revision, Revision(4));
    fuzz_rows_file(&bytes);
    fuzz_rows_file(&bytes[100..]);
    fuzz_rows_file(&[]);
}

/// Issue 14: a start waited for ever for whoever would write into the pipe.
#[test]
fn what_is_no_regular_file_is_not_opened() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join(format!("{ROWS_FILE}20"));
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    std::fs::create_dir(scratch.path().join(format!("{ROWS_FILE}30"))).unwrap();
    let files = RowFiles::new(scratch.path(), 1);
    assert_eq!(files.reopen([1; 16]).unwrap(), None);
    assert!(files.of(20).is_none() && files.of(30).is_none(), "vectors stay in memory");
    files.filled(Revision(1));
    assert!(path.exists());
}
