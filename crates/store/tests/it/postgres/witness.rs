//! What callers know of the faces of a set, and answers held to that: a face whose enrolment was acknowledged is found, one whose
//! delete was acknowledged is not, while servers and what they stand on go away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use likeness_domain::{Error, Kind};

use super::nodes::PATIENCE;

/// What callers know of a face.
#[derive(Clone, Copy, Default)]
pub(super) struct Life {
    /// Its enrolment was acknowledged.
    is_there: bool,
    /// Somebody has asked to delete it.
    may_be_gone: bool,
    /// And had that acknowledged.
    is_gone: bool,
}

/// Holds answers to what was acknowledged.
#[derive(Default)]
pub(super) struct Witness {
    lives: Mutex<BTreeMap<u64, Life>>,
    /// Acknowledged writes, and answers that were looked at.
    n_seen: Mutex<(u64, u64)>,
    has_seen: Condvar,
    pub(super) n_faces: AtomicU64,
    pub(super) is_over: AtomicBool,
}

/// Ends the load when whoever has it ends, in whatever manner.
pub(super) struct Ends<'a>(pub(super) &'a Witness);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
        self.0.has_seen.notify_all();
    }
}

impl Witness {
    pub(super) fn lives(&self) -> MutexGuard<'_, BTreeMap<u64, Life>> {
        self.lives.lock().unwrap()
    }

    pub(super) fn note(&self, number: u64, change: impl FnOnce(&mut Life)) {
        change(self.lives().entry(number).or_default());
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    pub(super) fn has_seen(&self, n_writes: u64, n_answers: u64) {
        let mut n_seen = self.n_seen.lock().unwrap();
        *n_seen = (n_seen.0 + n_writes, n_seen.1 + n_answers);
        self.has_seen.notify_all();
    }

    /// Waits for so many further writes and answers.
    #[track_caller]
    pub(super) fn wait_for(&self, n_writes: u64, n_answers: u64) {
        let mut n_seen = self.n_seen.lock().unwrap();
        let (wanted, started) = ((n_seen.0 + n_writes, n_seen.1 + n_answers), Instant::now());
        while n_seen.0 < wanted.0 || n_seen.1 < wanted.1 {
            assert!(!self.is_over(), "the load has ended");
            assert!(started.elapsed() < PATIENCE * 2, "writes and answers {:?}, wanted {wanted:?}", *n_seen);
            (n_seen, _) = self.has_seen.wait_timeout(n_seen, PATIENCE).unwrap();
        }
    }

    /// An answer to a search that began with that knowledge.
    #[track_caller]
    pub(super) fn check(&self, before: &BTreeMap<u64, Life>, found: &BTreeSet<u64>) {
        let now = self.lives();
        for (number, life) in before {
            let is_found = found.contains(number);
            assert!(!life.is_gone || !is_found, "the delete of face {number} was acknowledged and it is returned");
            let has_to_be = life.is_there && !now[number].may_be_gone;
            assert!(!has_to_be || is_found, "face {number} was acknowledged and is not found");
        }
        for number in found {
            assert!(now.contains_key(number), "nobody has enrolled face {number}");
        }
    }
}

/// A server as its callers see it.
pub(super) trait Peer: Sync {
    /// Whether it was acknowledged.
    fn add(&self, number: u64) -> bool;
    fn delete(&self, number: u64) -> bool;
    /// Faces that a search for all of them returns; `None` if it is refused.
    fn search(&self) -> Option<BTreeSet<u64>>;
    /// Nobody will answer any more.
    fn has_ended(&self) -> bool {
        false
    }
}

pub(super) fn enrol(peer: &dyn Peer, witness: &Witness, number: u64) -> bool {
    witness.note(number, |_| {});
    let is_done = peer.add(number);
    if is_done {
        witness.note(number, |life| life.is_there = true);
        witness.has_seen(1, 0);
    }
    is_done
}

pub(super) fn remove(peer: &dyn Peer, witness: &Witness, number: u64) -> bool {
    witness.note(number, |life| life.may_be_gone = true);
    let is_done = peer.delete(number);
    if is_done {
        witness.note(number, |life| life.is_gone = true);
        witness.has_seen(1, 0);
    }
    is_done
}

/// Asks once; whether it was answered.
pub(super) fn ask(peer: &dyn Peer, witness: &Witness) -> bool {
    let before = witness.lives().clone();
    let found = peer.search();
    if let Some(found) = &found {
        witness.check(&before, found);
        witness.has_seen(0, 1);
    }
    found.is_some()
}

#[track_caller]
pub(super) fn ask_patiently(peer: &dyn Peer, witness: &Witness) {
    let started = Instant::now();
    while !ask(peer, witness) {
        assert!(started.elapsed() < PATIENCE * 2, "searches are answered again");
    }
}

/// Enrols and deletes until it is over: every other face goes at once, and every fourth when three others have come.
pub(super) fn write_on(peer: &dyn Peer, witness: &Witness) {
    let _ends = Ends(witness);
    let mut mine = Vec::new();
    while !witness.is_over() && !peer.has_ended() {
        let number = witness.n_faces.fetch_add(1, Ordering::SeqCst) + 1;
        if enrol(peer, witness, number) {
            mine.push(number);
        }
        let going = if mine.len() % 4 == 3 { 3 } else { 1 };
        if mine.len() % 2 == 1 && mine.len() >= going {
            let number = mine.remove(mine.len() - going);
            remove(peer, witness, number);
        }
    }
}

pub(super) fn ask_on(peer: &dyn Peer, witness: &Witness) {
    let _ends = Ends(witness);
    while !witness.is_over() && !peer.has_ended() {
        ask(peer, witness);
    }
}

/// Both write and both are asked, all at once, while `meanwhile` goes on.
pub(super) fn under_load(peers: &[&dyn Peer], witness: &Witness, meanwhile: impl FnOnce()) {
    witness.is_over.store(false, Ordering::SeqCst);
    thread::scope(|scope| {
        for peer in peers {
            scope.spawn(|| write_on(*peer, witness));
            scope.spawn(|| ask_on(*peer, witness));
        }
        let _ends = Ends(witness);
        meanwhile();
    });
}

/// What a store that is away answers; anything else is a fault.
#[track_caller]
pub(super) fn refusal(error: &Error) {
    assert_eq!(error.kind(), Kind::Overloaded, "{error:?}");
}
