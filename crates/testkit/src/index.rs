//! The index at its plainest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use likeness_domain::filter::{Filter, FilterRow};
use likeness_domain::ports::{GalleryChange, GalleryEntry, GallerySearch, Hit, Pending, VectorIndex};
use likeness_domain::types::{FaceSetId, PersonId, Revision};
use likeness_domain::{Error, Kind, Result};

/// Looks at every row, sorts, and cuts: the definition that a fast index must agree with. It can also be made to
/// misbehave as an index may when it lags behind or is busy.
#[derive(Default)]
pub struct BruteForceIndex {
    galleries: Mutex<HashMap<FaceSetId, Vec<GalleryEntry>>>,
    ghosts: Mutex<Vec<Hit>>,
    fail_next: Mutex<Option<Kind>>,
    reached: Mutex<Option<Revision>>,
}

impl BruteForceIndex {
    /// An index without galleries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a hit to the front of every later answer, whether or not there is such a face: what a search sees when a
    /// face is deleted between the scan and the look-up.
    pub fn haunt(&self, hit: Hit) {
        self.ghosts.lock().expect("no test panics inside").push(hit);
    }

    /// Makes the next search fail with this kind.
    pub fn fail_next(&self, kind: Kind) {
        *self.fail_next.lock().expect("no test panics inside") = Some(kind);
    }

    fn galleries(&self) -> MutexGuard<'_, HashMap<FaceSetId, Vec<GalleryEntry>>> {
        self.galleries.lock().expect("no test panics inside")
    }

    fn search_now(&self, question: &GallerySearch) -> Result<Vec<Hit>> {
        if let Some(kind) = self.fail_next.lock().expect("no test panics inside").take() {
            return Err(Error::new(kind, "the test told this search to fail"));
        }
        let galleries = self.galleries();
        let rows = galleries.get(&question.face_set).map_or(&[][..], Vec::as_slice);
        let passes = |row: &GalleryEntry| question.filter.as_ref().is_none_or(|filter| filter.matches(filter_row(row)));
        let mut found = Vec::new();
        for row in rows.iter().filter(|row| passes(row)) {
            let similarity = row.template.similarity(&question.probe);
            let similarity = similarity.expect("a probe is of the pack of the gallery it is looked for in");
            if similarity >= question.similarity_min {
                found.push((
                    row.sequence,
                    Hit { face: row.face, person: row.person, similarity, sequence: row.sequence },
                ));
            }
        }
        found.sort_by(|(a_sequence, a), (b_sequence, b)| {
            let by_similarity = b.similarity.partial_cmp(&a.similarity).expect("a similarity is a number");
            by_similarity.then(a_sequence.cmp(b_sequence))
        });
        let mut hits = self.ghosts.lock().expect("no test panics inside").clone();
        hits.extend(found.into_iter().map(|(_, hit)| hit));
        if question.one_per_person {
            let mut seen: Vec<PersonId> = Vec::new();
            hits.retain(|hit| match hit.person {
                Some(person) if seen.contains(&person) => false,
                Some(person) => {
                    seen.push(person);
                    true
                }
                None => true,
            });
        }
        hits.truncate(question.top_k);
        Ok(hits)
    }
}

/// What a filter looks at.
fn filter_row(row: &GalleryEntry) -> FilterRow<'_> {
    FilterRow { face: row.face, subject: row.subject.as_deref(), values: &row.values }
}

impl VectorIndex for BruteForceIndex {
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        *self.reached.lock().expect("no test panics inside") = Some(revision);
        let mut galleries = self.galleries();
        for change in changes {
            match change {
                GalleryChange::Open { face_set, .. } => {
                    galleries.entry(face_set).or_default();
                }
                GalleryChange::Close { face_set } => {
                    galleries.remove(&face_set);
                }
                GalleryChange::Put { face_set, entry } => {
                    let rows = galleries.entry(face_set).or_default();
                    rows.retain(|row| row.face != entry.face);
                    rows.push(entry);
                }
                GalleryChange::Remove { face_set, face } => {
                    galleries.entry(face_set).or_default().retain(|row| row.face != face);
                }
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn revision(&self) -> Option<Revision> {
        *self.reached.lock().expect("no test panics inside")
    }

    fn restart(&self) -> Pending<'_, ()> {
        self.galleries().clear();
        Box::pin(std::future::ready(Ok(())))
    }

    fn resume(&self, revision: Revision) -> Pending<'_, ()> {
        *self.reached.lock().expect("no test panics inside") = Some(revision);
        Box::pin(std::future::ready(Ok(())))
    }

    fn search(&self, question: GallerySearch) -> Pending<'_, Vec<Hit>> {
        Box::pin(std::future::ready(self.search_now(&question)))
    }

    fn matching(&self, face_set: FaceSetId, filter: Arc<Filter>) -> Pending<'_, Vec<u64>> {
        let galleries = self.galleries();
        let rows = galleries.get(&face_set).map_or(&[][..], Vec::as_slice);
        let passing = rows.iter().filter(|row| filter.matches(filter_row(row)));
        let mut sequences: Vec<u64> = passing.map(|row| row.sequence).collect();
        sequences.sort_unstable();
        Box::pin(std::future::ready(Ok(sequences)))
    }

    fn n_rows(&self, face_set: FaceSetId) -> usize {
        self.galleries().get(&face_set).map_or(0, Vec::len)
    }
}
