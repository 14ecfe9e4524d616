use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// A tar file of these files; a path with `|` is split there into prefix and name.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, content) in files {
        let (prefix, name) = path.split_once('|').unwrap_or(("", path));
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[257..263].copy_from_slice(b"ustar\0");
        header[345..345 + prefix.len()].copy_from_slice(prefix.as_bytes());
        bytes.extend(header);
        bytes.extend(*content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

#[track_caller]
fn check_damaged(archive: &[u8]) {
    assert!(matches!(take(archive, "b"), Err(Unreadable::Damaged(_))));
}

#[test]
fn file_is_found_among_others_and_whole() {
    let long = [7; 1000];
    let archive = gzipped(&tar(&[("a", b""), ("a/b", &long), ("deep/er|b", b"other"), ("b", b"this one")]));
    let taken = |member| take(&archive[..], member).unwrap_or_else(|_| panic!("{member} is there"));
    assert_eq!(taken("b"), b"this one");
    assert_eq!(taken("a/b"), long);
    assert_eq!(taken("deep/er/b"), b"other");
    assert!(matches!(take(&archive[..], "er/b"), Err(Unreadable::Absent)));
}

#[test]
fn cut_off_or_scrambled_archive_is_damaged() {
    let plain = tar(&[("a", &[1; 600]), ("b", &[2; 600])]);
    check_damaged(b"");
    check_damaged(b"no archive at all");
    check_damaged(&gzipped(&plain[..1700]));
    let archive = gzipped(&plain);
    check_damaged(&archive[..archive.len() / 2]);
    let mut wrong_size = plain.clone();
    wrong_size[124..136].copy_from_slice(b"not a number");
    check_damaged(&gzipped(&wrong_size));
}

#[test]
fn file_that_claims_to_be_huge_is_refused_unread() {
    let mut archive = tar(&[("b", b"")]);
    archive[124..136].copy_from_slice(b"77777777777\0");
    assert!(matches!(take(&gzipped(&archive)[..], "b"), Err(Unreadable::TooLarge(0o77_777_777_777))));
}
