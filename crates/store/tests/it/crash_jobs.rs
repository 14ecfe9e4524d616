//! Power gone while persons, memberships, jobs and tokens are written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use likeness_domain::ports::{FaceScope, GalleryStore, JobOutcome, JobStore, NewJob, NonceStore};
use likeness_domain::types::FaceOwner;
use likeness_store::conformance::jobs::{at, job, job_id, settle};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger};
use likeness_store::embedded::EmbeddedStore;

use crate::crash::{Killer, child_task, say};
use crate::patience::block_on;

/// Persons join, fill and leave sets; jobs are accepted, claimed and settled with follow-ups; tokens are spent. For ever.
async fn write_for_ever(dir: &Path, first: u64) {
    let store = EmbeddedStore::open(dir, Arc::new(Ledger::default())).unwrap();
    for number in first.. {
        say("person-made?", number);
        let new = person(&format!("person-{number}"));
        let sets = vec![face_set("staff"), face_set(&format!("team-{number}"))];
        let (person, _) = store.create_person(by(ours()), new, sets, None).await.unwrap();
        store.add_faces(by(ours()), FaceOwner::Person(person.id), vec![face(number)], None).await.unwrap();
        say("person-made", number);
        if number % 3 == 0 {
            say("left?", number);
            store.leave_face_sets(by(ours()), person.id, vec![name("staff")]).await.unwrap();
            say("left", number);
        }
        if number % 4 == 0 {
            say("person-gone?", number);
            store.delete_person(by(ours()), person.id).await.unwrap();
            say("person-gone", number);
        }
        store.enqueue(vec![NewJob { due_at: at(number as i64), ..job(2 * number) }], u64::MAX).await.unwrap();
        say("accepted", 2 * number);
        if number % 2 == 0 {
            // The follow-up exists exactly when the job is done.
            let outcome = JobOutcome::Done { result: Bytes::from_static(b"done"), expires_at: at(i64::MAX) };
            let follow_up = NewJob { kind: "callback", ..job(2 * number + 1) };
            assert!(settle(&store, 2 * number, outcome, vec![follow_up]).await.unwrap());
            say("settled", 2 * number);
        }
        assert!(store.consume("nonce", &number.to_le_bytes(), at(0), at(1)).await.unwrap());
        say("spent", number);
    }
}

/// What the parent knows: for each word the numbers said.
#[derive(Default)]
struct Known(BTreeMap<String, BTreeSet<u64>>);

impl Known {
    fn hear(&mut self, line: &str) {
        // The test harness prints around it.
        let Some((word, number)) = line.split_once(' ') else { return };
        let Ok(number) = number.trim().parse() else { return };
        self.0.entry(word.to_owned()).or_default().insert(number);
    }

    fn said(&self, word: &str) -> impl Iterator<Item = u64> {
        self.0.get(word).into_iter().flatten().copied()
    }

    fn was_said(&self, word: &str, number: u64) -> bool {
        self.0.get(word).is_some_and(|numbers| numbers.contains(&number))
    }

    fn n_heard(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }
}

/// Whatever was acknowledged is so, whatever was not even tried is not, and nothing hangs in between.
async fn check_after_kill(dir: &Path, known: &Known) {
    let index = Arc::new(Ledger::default());
    let store = EmbeddedStore::open(dir, Arc::clone(&index) as _).unwrap();
    assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
    for number in known.said("person-made?") {
        let person = store.person(ours(), key(&format!("person-{number}"))).await.unwrap();
        let may_be_gone = known.was_said("person-gone?", number);
        let Some(person) = person else {
            assert!(may_be_gone || !known.was_said("person-made", number), "acknowledged person {number} is lost");
            continue;
        };
        assert!(!known.was_said("person-gone", number), "deleted person {number} is back");
        let sets = store.face_sets_of(ours(), person.id).await.unwrap();
        let is_staff = sets.iter().any(|set| set.name == name("staff"));
        assert!(is_staff || known.was_said("left?", number), "person {number} lost its membership");
        assert!(!is_staff || !known.was_said("left", number), "person {number} is a member again");
        assert_eq!(sets.len(), 1 + usize::from(is_staff), "its own team stays");
        let faces = store.list_faces(ours(), FaceScope::Person(person.id), EVERYTHING).await.unwrap();
        assert!(faces.len() == 1 || !known.was_said("person-made", number), "the face of person {number} is lost");
        for set in sets {
            let n_rows = index.rows(set.id).iter().filter(|row| row.entry.person == Some(person.id)).count();
            assert_eq!(n_rows, faces.len(), "what is searched is what is stored");
        }
    }
    for id in known.said("accepted") {
        let job = store.job(ours(), job_id(id), at(0)).await.unwrap();
        let Some(job) = job else { panic!("accepted job {id} is lost") };
        let follow_up = store.job(ours(), job_id(id + 1), at(0)).await.unwrap();
        assert_eq!(job.result.is_some(), follow_up.is_some(), "job {id} and its follow-up are settled in one commit");
        assert!(job.result.is_some() || !known.was_said("settled", id), "the result of job {id} is lost");
    }
    for number in known.said("spent") {
        let again = store.consume("nonce", &number.to_le_bytes(), at(0), at(1)).await.unwrap();
        assert!(!again, "token {number} could be spent twice");
    }
}

#[test]
fn acknowledged_persons_and_jobs_survive_a_kill_at_any_moment() {
    if let Some((dir, first)) = child_task() {
        block_on(write_for_ever(&dir, first));
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    let mut killer = Killer::new("crash_jobs::acknowledged_persons_and_jobs_survive_a_kill_at_any_moment");
    for _ in 0..Killer::N_ROUNDS {
        killer.run_and_kill(scratch.path(), |line| known.hear(line));
        block_on(check_after_kill(scratch.path(), &known));
    }
    assert!(known.n_heard() > 50, "the children had time to write: {}", known.n_heard());
}
