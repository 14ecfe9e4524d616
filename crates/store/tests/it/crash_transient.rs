//! Power gone while faces are held, enrolled and deleted.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use likeness_domain::ports::{FaceScope, GalleryStore, TransientFaceStore};
use likeness_domain::types::TimestampMs;
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{Ledger, first_templates};
use likeness_store::embedded::EmbeddedStore;

use crate::crash::{Killer, child_task, say};
use crate::patience::block_on;

const NOW: TimestampMs = TimestampMs(9_999);
/// More than one run holds.
const HELD_MAX: u64 = 1_000_000;
/// Ids of faces that are enrolled from held ones.
const ENROLLED: u64 = 1 << 40;

/// Holds faces four at a time: the first is left alone, the second enrolled, the third deleted, the fourth both.
async fn hold_for_ever(dir: &Path, first: u64) {
    let store = EmbeddedStore::open(dir, Arc::new(Ledger::default())).unwrap();
    let set = match store.face_set(ours(), name("staff")).await.unwrap() {
        Some(set) => set.face_set,
        None => store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap(),
    };
    for number in (first..).step_by(4) {
        store.keep_faces(by(ours()), (number..number + 4).map(held).collect(), HELD_MAX).await.unwrap();
        say("held", number);
        for number in [number + 1, number + 3] {
            let id = face_id(ENROLLED + number);
            store.enrol_transient_face(by(ours()), set.id, face_id(number), id, NOW, None).await.unwrap();
            say("enrolled", number);
        }
        for number in [number + 2, number + 3] {
            say("deleting", number);
            store.delete_source(by(ours()), face_id(number), NOW).await.unwrap();
            say("deleted", number);
        }
    }
}

#[derive(Default)]
struct Known {
    held: BTreeSet<u64>,
    enrolled: BTreeSet<u64>,
    maybe_deleted: BTreeSet<u64>,
    deleted: BTreeSet<u64>,
}

impl Known {
    fn hear(&mut self, line: &str) {
        let Some((word, number)) = line.split_once(' ') else { return };
        let Ok(number) = number.trim().parse::<u64>() else { return };
        match word {
            "held" => self.held.extend(number..number + 4),
            "enrolled" => self.enrolled.extend([number]),
            "deleting" => self.maybe_deleted.extend([number]),
            "deleted" => self.deleted.extend([number]),
            _ => {}
        }
    }
}

/// What was held is held or enrolled, never both; what was enrolled is found by the held face's id; what was deleted is
/// neither.
#[test]
fn held_faces_survive_a_kill_at_any_moment() {
    if let Some((dir, first)) = child_task() {
        block_on(hold_for_ever(&dir, first));
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    let mut killer = Killer::new("crash_transient::held_faces_survive_a_kill_at_any_moment");
    for _ in 0..Killer::N_ROUNDS {
        killer.run_and_kill(scratch.path(), |line| known.hear(line));
        block_on(check(scratch.path(), &known));
    }
    assert!(known.deleted.len() > 20, "the children had time to write: {}", known.deleted.len());
}

async fn check(dir: &Path, known: &Known) {
    let store = EmbeddedStore::open(dir, Arc::new(Ledger::default())).unwrap();
    assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
    for &number in known.held.difference(&known.maybe_deleted) {
        let held = store.held_face(ours(), face_id(number), NOW).await.unwrap().map(|held| held.template);
        let enrolled = store.faces_of_source(ours(), None, vec![face_id(number)]).await.unwrap();
        let found: Vec<_> = held.into_iter().chain(first_templates(&store, &enrolled).await).collect();
        assert_eq!(found, [template(number)], "held face {number} is there once");
    }
    let Some(set) = store.face_set(ours(), name("staff")).await.unwrap() else { return };
    let scope = Some(FaceScope::FaceSet(set.face_set.id));
    for &number in known.enrolled.difference(&known.maybe_deleted) {
        let found = store.faces_of_source(ours(), scope, vec![face_id(number)]).await.unwrap();
        assert_eq!(found.len(), 1, "the face enrolled from {number} is lost");
        assert_eq!(found[0].id.get(), ENROLLED + number);
        assert_eq!(first_templates(&store, &found).await, [template(number)]);
    }
    for &number in &known.deleted {
        assert!(store.held_face(ours(), face_id(number), NOW).await.unwrap().is_none(), "{number} is back");
        assert!(store.faces_of_source(ours(), None, vec![face_id(number)]).await.unwrap().is_empty());
    }
}
