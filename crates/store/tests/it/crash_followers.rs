//! Power gone while commits are followed: whatever was written, killed, compacted and restarted in which order, a follower
//! ends with what the store has.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use likeness_domain::filter::Filter;
use likeness_domain::ports::{FaceScope, FaceSelector, GalleryStore, Page};
use likeness_domain::types::{FaceOwner, FacePatch, FieldValue, NewFace, PersonId, TimestampMs};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger};
use likeness_store::embedded::{EmbeddedStore, Settings};
use likeness_store::folder::DataFolder;
use likeness_store::index::BruteForceIndex;

use crate::crash::{Killer, child_task, say};
use crate::follower::{Followed, Follower};
use crate::patience::block_on;

/// So few commits are kept that a follower that slept is too late, and deletes of more than two faces are made in steps.
const SETTINGS: Settings =
    Settings { commits_max: 60, commit_age_max: Duration::from_secs(3600), delete_rows: 2, ..Settings::DEFAULT };

fn open<I: likeness_domain::ports::VectorIndex + 'static>(dir: &Path, index: &Arc<I>) -> EmbeddedStore {
    EmbeddedStore::open_locked(DataFolder::lock(dir).unwrap(), Arc::clone(index) as _, SETTINGS, clock()).unwrap()
}

/// Numbers that look random (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Writes of every kind that an index sees, for ever, with a follower in the same process that reads now and then. Some
/// writes fail, for want of a name or room; that is part of it.
async fn write_for_ever(dir: &Path, first: u64) {
    let own = Arc::new(Ledger::default());
    let store = open(dir, &own);
    let mut follower = Follower::new();
    let mut random = Random(first.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for number in first.. {
        let set_name = format!("set-{}", random.below(3));
        let set = store.face_set(ours(), name(&set_name)).await.unwrap().map(|set| set.face_set.id);
        let Some(set) = set else {
            store.create_face_set(by(ours()), face_set(&set_name), None).await.unwrap();
            continue;
        };
        let (owner, scope) = (FaceOwner::FaceSet(set), FaceScope::FaceSet(set));
        match random.below(12) {
            0..=3 => {
                // Not waited for one by one: a kill may come between their commits.
                let adding: Vec<_> = (0..4)
                    .map(|part| {
                        let aged = valued(number * 4 + part, "age", FieldValue::Whole(part as i64));
                        let new = NewFace { fields: aged.fields, ..face(number * 4 + part) };
                        store.add_faces(by(ours()), owner, vec![new], None)
                    })
                    .collect();
                for added in adding {
                    added.await.unwrap();
                }
            }
            4 => {
                let filter = Arc::new(Filter::Whole { field_idx: 1, min: 2, max: i64::MAX });
                store.delete_faces(by(ours()), scope, FaceSelector::Filter(filter)).await.unwrap();
            }
            5 => {
                let page = Page { offset: random.below(5), limit: 3 };
                let some = store.list_faces(ours(), scope, page).await.unwrap();
                let ids = some.into_iter().map(|face| face.id).collect();
                store.delete_faces(by(ours()), scope, FaceSelector::Ids(ids)).await.unwrap();
            }
            6 => {
                let page = Page { offset: random.below(5), limit: 1 };
                for known in store.list_faces(ours(), scope, page).await.unwrap() {
                    let subject = Some(subject(&format!("label-{number}")));
                    let patch = FacePatch { subject, ..FacePatch::default() };
                    let now = TimestampMs(number as i64);
                    store.update_face(by(ours()), scope, known.id, patch, now).await.unwrap();
                }
            }
            7 => {
                let id = PersonId::new(number).unwrap();
                let new = likeness_domain::types::NewPerson { id, ..person(&format!("person-{number}")) };
                let join = vec![face_set("set-0"), face_set("set-1")];
                let (anna, _) = store.create_person(by(ours()), new, join, None).await.unwrap();
                let faces = vec![face((1 << 40) + number)];
                store.add_faces(by(ours()), FaceOwner::Person(anna.id), faces, None).await.unwrap();
            }
            8 => {
                let (members, _) = store.members(ours(), set, Page { offset: 0, limit: 1 }).await.unwrap();
                for member in members {
                    let left = vec![name("set-0")];
                    store.leave_face_sets(by(ours()), member.id, left).await.unwrap();
                    store.join_face_sets(by(ours()), member.id, vec![face_set("set-2")], None).await.unwrap();
                    if random.below(2) == 0 {
                        store.delete_person(by(ours()), member.id).await.unwrap();
                    }
                }
            }
            9 if random.below(4) == 0 => store.delete_face_set(by(ours()), set, false).await.unwrap(),
            9 | 10 => {
                follower.follow(&store).await;
            }
            _ => {
                if follower.check(&store, &own, &[ours()]).await == Followed::TooOld {
                    follower = Follower::new();
                }
            }
        }
        say("done", number);
    }
}

/// A follower that lives through the kills of its store, and one that is new each time.
#[test]
fn followers_end_with_what_the_store_has_after_any_kill() {
    if let Some((dir, first)) = child_task() {
        block_on(write_for_ever(&dir, first));
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let mut killer = Killer::new("crash_followers::followers_end_with_what_the_store_has_after_any_kill");
    let (mut n_done, mut n_too_old, mut n_followed) = (0, 0, 0);
    let mut lasting = Follower::new();
    for _ in 0..Killer::N_ROUNDS {
        killer.run_and_kill(scratch.path(), |line| n_done += u64::from(line.starts_with("done ")));
        block_on(async {
            let own = Arc::new(Ledger::default());
            let store = open(scratch.path(), &own);
            for (name, follower) in [("lasting", &mut lasting), ("new", &mut Follower::new())] {
                match follower.check(&store, &own, &[ours()]).await {
                    Followed::TooOld if name == "lasting" => n_too_old += 1,
                    Followed::TooOld => {}
                    _ => n_followed += 1,
                }
            }
            check_lists(&store, &own).await;
        });
        if n_too_old > 0 {
            // Filled from the tables, as the index of a store that is opened is; from there on it follows again.
            n_too_old = 0;
            lasting = block_on(async {
                let index = Arc::new(BruteForceIndex::new());
                let store = open(scratch.path(), &index);
                let reached = store.report(false).await.unwrap().revision;
                Follower::filled(index, reached)
            });
            let own = Arc::new(Ledger::default());
            let store = open(scratch.path(), &own);
            assert_eq!(block_on(lasting.check(&store, &own, &[ours()])), Followed::Everything);
            n_followed += 1;
        }
    }
    assert!(n_done > 50 && n_followed > 10, "{n_done} writes, followed to the end {n_followed} times");
}

/// The store's own index, filled at opening, has what the store lists; nothing hangs in the air.
async fn check_lists(store: &EmbeddedStore, own: &Ledger) {
    for set in store.face_sets(ours()).await.unwrap() {
        let id = set.face_set.id;
        let listed = store.list_faces(ours(), FaceScope::FaceSet(id), EVERYTHING).await.unwrap();
        let listed: Vec<_> = listed.into_iter().map(|face| face.id).collect();
        let searched: Vec<_> = own.rows(id).iter().map(|row| row.entry.face).collect();
        assert_eq!(searched, listed, "set {id}");
    }
    assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
}
