//! Power gone: a process that writes is killed at random moments, again and again on the same folder.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use likeness_domain::ports::{FaceScope, FaceSelector, GalleryStore};
use likeness_domain::types::FaceOwner;
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger, first_templates};
use likeness_store::embedded::EmbeddedStore;

use crate::patience::block_on;

/// Where the child works, and the number of its first face.
const CHILD_DIR: &str = "LIKENESS_TEST_CRASH_DIR";
const CHILD_FIRST: &str = "LIKENESS_TEST_CRASH_FIRST";

/// What this process is to do if it is a child that will be killed.
pub(crate) fn child_task() -> Option<(PathBuf, u64)> {
    let first = std::env::var(CHILD_FIRST).ok()?.parse().unwrap();
    Some((std::env::var_os(CHILD_DIR)?.into(), first))
}

/// The child tells its parent.
pub(crate) fn say(word: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word} {number}").unwrap();
    out.flush().unwrap();
}

/// Runs one test of this binary again and again as a child, and kills it at random moments.
pub(crate) struct Killer {
    test: &'static str,
    n_rounds: u64,
    random: u64,
}

impl Killer {
    /// Kills of one run.
    pub(crate) const N_ROUNDS: u64 = 25;

    pub(crate) fn new(test: &'static str) -> Self {
        Self { test, n_rounds: 0, random: 0x2545_f491_4f6c_dd1d }
    }

    /// One child, from its start to its death; `hear` gets every line it said.
    pub(crate) fn run_and_kill(&mut self, dir: &Path, mut hear: impl FnMut(&str)) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", self.test, "--nocapture"])
            .env(CHILD_DIR, dir)
            .env(CHILD_FIRST, (1 + self.n_rounds * 100_000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        self.n_rounds += 1;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let mut n_lines_left = 1 + self.random % 150;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            hear(&line.unwrap());
            n_lines_left = n_lines_left.saturating_sub(1);
            if n_lines_left == 0 {
                // What the child said until it was dead is read to its end.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
    }
}

/// Writes and deletes for ever, saying beforehand what is tried and afterwards what was acknowledged.
async fn write_for_ever(dir: &Path, first: u64) {
    let store = EmbeddedStore::open(dir, Arc::new(Ledger::default())).unwrap();
    let set = match store.face_set(ours(), name("staff")).await.unwrap() {
        Some(set) => set.face_set,
        None => store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap(),
    };
    let (owner, scope) = (FaceOwner::FaceSet(set.id), FaceScope::FaceSet(set.id));
    for number in (first..).step_by(8) {
        // Eight writes under way at once; then three deletes, one of them of a whole set that was just filled.
        let writes: Vec<_> = (number..number + 8)
            .map(|number| {
                say("adding", number);
                (number, store.add_faces(by(ours()), owner, vec![full_face(number)], None))
            })
            .collect();
        for (number, write) in writes {
            write.await.unwrap();
            say("added", number);
        }
        let deletes: Vec<_> = [number + 1, number + 5]
            .map(|number| {
                say("deleting", number);
                (number, store.delete_faces(by(ours()), scope, FaceSelector::Ids(vec![face_id(number)])))
            })
            .into_iter()
            .collect();
        for (number, delete) in deletes {
            assert_eq!(delete.await.unwrap(), [face_id(number)]);
            say("deleted", number);
        }
        let passing = format!("passing-{number}");
        let other = store.create_face_set(by(ours()), face_set(&passing), None).await.unwrap();
        let faces = (0..50).map(|face_idx| face((1 << 40) + number * 64 + face_idx)).collect();
        store.add_faces(by(ours()), FaceOwner::FaceSet(other.id), faces, None).await.unwrap();
        store.delete_face_set(by(ours()), other.id, false).await.unwrap();
        say("set-gone", number);
    }
}

/// What the parent knows from the child's words.
#[derive(Default)]
struct Known {
    added: BTreeSet<u64>,
    maybe_added: BTreeSet<u64>,
    maybe_deleted: BTreeSet<u64>,
    deleted: BTreeSet<u64>,
    sets_gone: BTreeSet<u64>,
}

impl Known {
    fn hear(&mut self, line: &str) {
        // The test harness prints around it.
        let Some((word, number)) = line.split_once(' ') else { return };
        let Ok(number) = number.trim().parse() else { return };
        match word {
            "adding" => self.maybe_added.insert(number),
            "added" => self.added.insert(number),
            "deleting" => self.maybe_deleted.insert(number),
            "deleted" => self.deleted.insert(number),
            "set-gone" => self.sets_gone.insert(number),
            _ => false,
        };
    }

    fn n_heard(&self) -> usize {
        self.added.len() + self.deleted.len() + self.sets_gone.len()
    }
}

/// Every acknowledged face is there, no face whose delete was acknowledged is, in lists, counts and the index, and the
/// store hangs together.
#[test]
fn acknowledged_writes_survive_a_kill_at_any_moment() {
    if let Some((dir, first)) = child_task() {
        block_on(write_for_ever(&dir, first));
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    let mut killer = Killer::new("crash::acknowledged_writes_survive_a_kill_at_any_moment");
    for _ in 0..Killer::N_ROUNDS {
        killer.run_and_kill(scratch.path(), |line| known.hear(line));
        block_on(check(scratch.path(), &known));
    }
    assert!(known.n_heard() > 20, "the children had time to write: {}", known.n_heard());
}

async fn check(dir: &Path, known: &Known) {
    let index = Arc::new(Ledger::default());
    let store = EmbeddedStore::open(dir, Arc::clone(&index) as _).unwrap();
    let report = store.report(true).await.unwrap();
    assert_eq!(report.problems, [] as [String; 0]);
    for number in &known.sets_gone {
        let passing = name(&format!("passing-{number}"));
        assert!(store.face_set(ours(), passing).await.unwrap().is_none(), "set {number} is back");
    }
    let Some(set) = store.face_set(ours(), name("staff")).await.unwrap() else {
        assert!(known.added.is_empty(), "the set is lost");
        return;
    };
    let faces = store.list_faces(ours(), FaceScope::FaceSet(set.face_set.id), EVERYTHING).await.unwrap();
    let listed: BTreeSet<u64> = faces.iter().map(|face| face.id.get()).collect();
    for number in known.added.difference(&known.maybe_deleted) {
        assert!(listed.contains(number), "acknowledged face {number} is lost");
    }
    for number in &listed {
        assert!(!known.deleted.contains(number), "deleted face {number} is back");
        assert!(known.maybe_added.contains(number), "face {number} comes from nowhere");
    }
    let templates = first_templates(&store, &faces).await;
    assert!(faces.iter().map(|face| template(face.id.get())).eq(templates), "a template changed");
    assert_eq!(set.n_faces, listed.len() as u64);
    let searched: BTreeSet<u64> = index.rows(set.face_set.id).iter().map(|row| row.entry.face.get()).collect();
    assert_eq!(searched, listed);
}
