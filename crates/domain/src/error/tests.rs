use std::collections::HashSet;
use std::io;

use super::*;

#[test]
fn every_kind_is_listed_once() {
    let distinct: HashSet<_> = Kind::ALL.iter().collect();
    assert_eq!(distinct.len(), Kind::ALL.len());
    // The last variant's number plus one is how many there are.
    assert_eq!(Kind::Internal as usize + 1, Kind::ALL.len());
}

#[test]
fn a_caller_sees_the_message_and_the_log_the_sources_too() {
    let err = Error::internal("cannot commit 3 faces", io::Error::other("sector 7 unreadable"));
    assert_eq!(err.to_string(), "cannot commit 3 faces");
    assert_eq!(err.message(), "cannot commit 3 faces");
    assert_eq!(format!("{err:?}"), "Internal: cannot commit 3 faces: sector 7 unreadable");
}

#[test]
fn a_hint_stands_beside_the_message() {
    let err = Error::internal("no pack", io::Error::other("empty")).with_hint("install one").about("default-2");
    assert_eq!((err.message(), err.hint()), ("default-2: no pack", Some("install one")));
    assert_eq!(err.to_string(), "default-2: no pack\nhint: install one");
    assert_eq!(format!("{err:?}"), "Internal: default-2: no pack: empty; hint: install one");
    assert_eq!(format!("{:?}", err.without_source()), "Internal: default-2: no pack; hint: install one");
}

#[test]
fn the_field_at_fault_is_named() {
    assert_eq!(Error::invalid("top_k", "too many").field(), Some("top_k"));
    assert_eq!(Error::new(Kind::NoFaceInImage, "none").field(), None);
    let err = Error::new(Kind::NoFaceInImage, "none").with_field("first image").with_source(io::Error::other("x"));
    assert_eq!((err.kind(), err.field()), (Kind::NoFaceInImage, Some("first image")));
}

#[test]
fn only_passing_troubles_are_retryable() {
    let retryable: Vec<_> = Kind::ALL.iter().filter(|kind| kind.is_retryable()).collect();
    assert_eq!(
        retryable,
        [&Kind::RateExceeded, &Kind::UrlUnreachable, &Kind::UrlTimeout, &Kind::Overloaded, &Kind::StorageFull]
    );
}

#[test]
fn long_texts_are_cut_between_characters() {
    assert_eq!(shortened("short"), "short");
    assert_eq!(shortened(&"ü".repeat(64)), "ü".repeat(64));
    assert_eq!(shortened(&"ü".repeat(65)), "ü".repeat(64));
}

/// Issue 17: several lines a minute said that the database is away.
#[test]
fn work_that_is_tried_again_is_told_of_when_it_begins_to_fail() {
    let mut repeated = Repeated::default();
    let (busy, full) = (Error::new(Kind::Overloaded, "busy"), Error::new(Kind::StorageFull, "full"));
    let tries = [None, Some(&busy), Some(&busy), Some(&full), Some(&full), Some(&busy), None, Some(&busy), None];
    let told = tries.map(|failure| repeated.news(failure).map(Error::message));
    let [busy, full] = ["busy", "full"].map(Some);
    assert_eq!(told, [None, busy, None, full, None, busy, None, busy, None]);
}
