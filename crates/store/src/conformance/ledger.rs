//! An index that writes down what it is given and finds fault with what breaks the contract.

use std::collections::{BTreeMap, HashMap};
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use likeness_domain::filter::{Filter, FilterRow};
use likeness_domain::ports::{GalleryChange, GalleryEntry, GallerySearch, Hit, Pending, VectorIndex};
use likeness_domain::types::{Face, FaceId, FaceOwner, FaceSetId, FieldSchema, PackId, PersonId, Revision};
use likeness_domain::{Error, Kind};

use crate::gallery::slots;

/// An index for tests. It panics in the store's hands when changes come out of order or make no sense; a store that is
/// given that has a bug.
#[derive(Default)]
pub struct Ledger {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    revision: Revision,
    n_applied: usize,
    filled: bool,
    galleries: BTreeMap<u64, Gallery>,
    faults: Vec<String>,
    /// What the next commit meets.
    fail_next: bool,
    lag_next: Option<Duration>,
    n_restarts: usize,
    is_stopped: bool,
}

struct Gallery {
    pack: PackId,
    schema: Arc<FieldSchema>,
    /// By sequence.
    rows: BTreeMap<u64, GalleryEntry>,
    sequences: HashMap<FaceId, u64>,
}

/// A row as the index was given it.
#[derive(Debug, Clone)]
pub struct LedgerRow {
    /// The row.
    pub entry: GalleryEntry,
}

/// What can be compared of a row at a glance.
pub type Words = (FaceId, Option<PersonId>, Option<String>, String);

impl LedgerRow {
    /// Everything but the template and the sequence.
    pub fn words(&self) -> Words {
        let entry = &self.entry;
        (entry.face, entry.person, entry.subject.as_deref().map(str::to_owned), format!("{:?}", entry.values))
    }
}

/// What a gallery of that schema should show of the face.
pub(super) fn words(face: &Face, schema: &FieldSchema) -> Words {
    let person = match face.owner {
        FaceOwner::FaceSet(_) => None,
        FaceOwner::Person(person) => Some(person),
    };
    let subject = face.subject.as_ref().map(|subject| subject.as_str().to_owned());
    (face.id, person, subject, format!("{:?}", slots(&face.fields, schema)))
}

fn rows_of(state: &State, face_set: FaceSetId) -> Vec<LedgerRow> {
    let Some(gallery) = state.galleries.get(&face_set.get()) else { return Vec::new() };
    gallery.rows.values().map(|entry| LedgerRow { entry: entry.clone() }).collect()
}

impl Ledger {
    fn with<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(state.faults, [] as [&str; 0], "the store broke its contract with the index");
        look(&state)
    }

    /// The store is open: from now on each commit is the one after the last. `revision` is the store's.
    pub fn is_filled(&self, revision: Revision) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.filled = true;
        state.revision = revision;
    }

    /// The next commit fails.
    pub fn fail_next(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).fail_next = true;
    }

    /// The next commit takes so long.
    pub fn lag_next(&self, lag: Duration) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).lag_next = Some(lag);
    }

    /// How often it was filled anew.
    pub fn n_restarts(&self) -> usize {
        self.with(|state| state.n_restarts)
    }

    /// The rows of a set, oldest first.
    pub fn rows(&self, face_set: FaceSetId) -> Vec<LedgerRow> {
        self.with(|state| rows_of(state, face_set))
    }

    /// Sets that are open.
    pub fn n_galleries(&self) -> usize {
        self.with(|state| state.galleries.len())
    }

    /// Number of the last commit, and of commits in all.
    pub fn progress(&self) -> (Revision, usize) {
        self.with(|state| (state.revision, state.n_applied))
    }
}

impl State {
    fn take(&mut self, change: GalleryChange) -> Result<(), String> {
        match change {
            GalleryChange::Open { face_set, pack, schema } => {
                let gallery = Gallery { pack, schema, rows: BTreeMap::new(), sequences: HashMap::new() };
                self.galleries.entry(face_set.get()).or_insert(gallery);
            }
            GalleryChange::Close { face_set } => {
                self.galleries.remove(&face_set.get()).ok_or(format!("closes unknown set {face_set}"))?;
            }
            GalleryChange::Put { face_set, entry } => {
                let gallery =
                    self.galleries.get_mut(&face_set.get()).ok_or(format!("puts into unknown set {face_set}"))?;
                if *entry.template.pack() != gallery.pack || entry.values.len() != gallery.schema.fields().len() {
                    return Err(format!("row of face {} does not fit set {face_set}", entry.face));
                }
                let before = gallery.sequences.insert(entry.face, entry.sequence);
                if let Some(before) = before.filter(|&before| before != entry.sequence) {
                    return Err(format!("face {} moved from {before} to {}", entry.face, entry.sequence));
                }
                gallery.rows.insert(entry.sequence, entry);
            }
            GalleryChange::Remove { face_set, face } => {
                let gallery =
                    self.galleries.get_mut(&face_set.get()).ok_or(format!("removes from unknown set {face_set}"))?;
                let sequence = gallery.sequences.remove(&face);
                if sequence.and_then(|sequence| gallery.rows.remove(&sequence)).is_none() {
                    return Err(format!("removes face {face}, which is not in set {face_set}"));
                }
            }
        }
        Ok(())
    }
}

impl VectorIndex for Ledger {
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.fail_next) {
            state.is_stopped = true;
            return Box::pin(ready(Err(Error::internal("cannot change the ledger", "the test told it to fail"))));
        }
        if let Some(lag) = state.lag_next.take() {
            drop(state);
            let (done, is_done) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                std::thread::sleep(lag);
                let _ = done.send(());
            });
            return Box::pin(async move {
                let _ = is_done.await;
                self.apply(revision, changes).await
            });
        }
        // While a store is opened, all of a long past comes as one revision.
        let is_next = if state.filled { revision.0 == state.revision.0 + 1 } else { revision >= state.revision };
        if !is_next {
            let fault = format!("revision {} after {}", revision.0, state.revision.0);
            state.faults.push(fault);
        }
        state.revision = revision;
        state.n_applied += 1;
        for change in changes {
            if let Err(fault) = state.take(change) {
                state.faults.push(fault);
            }
        }
        Box::pin(ready(Ok(())))
    }

    fn amend(&self, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            // What is not there may be taken out once more.
            let is_there = match &change {
                GalleryChange::Close { face_set } => state.galleries.contains_key(&face_set.get()),
                GalleryChange::Remove { face_set, face } => {
                    state.galleries.get(&face_set.get()).is_some_and(|gallery| gallery.sequences.contains_key(face))
                }
                GalleryChange::Open { .. } | GalleryChange::Put { .. } => true,
            };
            if let Err(fault) = if is_there { state.take(change) } else { Ok(()) } {
                state.faults.push(fault);
            }
        }
        Box::pin(ready(Ok(())))
    }

    fn revision(&self) -> Option<Revision> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Some(state.revision).filter(|_| !state.is_stopped)
    }

    fn restart(&self) -> Pending<'_, ()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.galleries.clear();
        (state.filled, state.is_stopped, state.revision) = (false, true, Revision(0));
        state.n_restarts += 1;
        Box::pin(ready(Ok(())))
    }

    fn resume(&self, revision: Revision) -> Pending<'_, ()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.filled, state.is_stopped, state.revision) = (true, false, revision);
        Box::pin(ready(Ok(())))
    }

    fn search(&self, _question: GallerySearch) -> Pending<'_, Vec<Hit>> {
        Box::pin(std::future::ready(Err(Error::new(Kind::Unsupported, "a ledger is not searched"))))
    }

    fn matching(&self, face_set: FaceSetId, filter: Arc<Filter>) -> Pending<'_, Vec<u64>> {
        if self.revision().is_none() {
            return Box::pin(ready(Err(Error::new(Kind::Overloaded, "the ledger is being filled"))));
        }
        let passes = |row: &LedgerRow| {
            let entry = &row.entry;
            filter.matches(FilterRow { face: entry.face, subject: entry.subject.as_deref(), values: &entry.values })
        };
        // Reports ask, too: they are no place to tell a test of a broken contract.
        let rows = rows_of(&self.state.lock().unwrap_or_else(PoisonError::into_inner), face_set);
        Box::pin(ready(Ok(rows.iter().filter(|row| passes(row)).map(|row| row.entry.sequence).collect())))
    }

    fn n_rows(&self, face_set: FaceSetId) -> usize {
        self.rows(face_set).len()
    }
}
