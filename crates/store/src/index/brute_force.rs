//! The plainest index: every row, every time.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};

use super::state::Reached;
use likeness_domain::filter::{Filter, FilterRow};
use likeness_domain::ports::{GalleryChange, GalleryEntry, GallerySearch, Hit, Pending, VectorIndex};
use likeness_domain::types::{FaceSetId, PackId, Revision, Similarity};

/// Scans every row with the definitions themselves ([`likeness_domain::filter::Filter::matches`],
/// [`likeness_domain::types::Template::similarity`]): the oracle of other indexes, and a double for tests elsewhere.
#[derive(Default)]
pub struct BruteForceIndex {
    galleries: RwLock<HashMap<FaceSetId, (PackId, Vec<GalleryEntry>)>>,
    reached: Reached,
}

const POISONED: &str = "a change of the index was cut short by a panic";

impl BruteForceIndex {
    /// An index without face sets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every row of a set, in no particular order.
    pub fn rows(&self, face_set: FaceSetId) -> Vec<GalleryEntry> {
        self.galleries.read().expect(POISONED).get(&face_set).map_or_else(Vec::new, |(_, rows)| rows.clone())
    }

    fn scan(&self, question: &GallerySearch) -> Vec<Hit> {
        let galleries = self.galleries.read().expect(POISONED);
        let Some((_, rows)) = galleries.get(&question.face_set) else { return Vec::new() };
        let passes =
            |row: &&GalleryEntry| question.filter.as_ref().is_none_or(|filter| filter.matches(filter_row(row)));
        let mut found: Vec<(Similarity, &GalleryEntry)> = rows
            .iter()
            .filter(passes)
            .filter_map(|row| Some((row.template.similarity(&question.probe)?, row)))
            .filter(|(similarity, _)| *similarity >= question.similarity_min)
            .collect();
        found.sort_by(|(a_similarity, a), (b_similarity, b)| {
            let by_similarity = b_similarity.get().total_cmp(&a_similarity.get());
            by_similarity.then(a.sequence.cmp(&b.sequence)).then(a.face.cmp(&b.face))
        });
        let mut persons = HashSet::new();
        found
            .into_iter()
            .filter(|(_, row)| !question.one_per_person || row.person.is_none_or(|person| persons.insert(person)))
            .take(question.top_k)
            .map(|(similarity, row)| Hit { face: row.face, person: row.person, similarity, sequence: row.sequence })
            .collect()
    }
}

/// What a filter looks at.
fn filter_row(row: &GalleryEntry) -> FilterRow<'_> {
    FilterRow { face: row.face, subject: row.subject.as_deref(), values: &row.values }
}

impl VectorIndex for BruteForceIndex {
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        let mut galleries = self.galleries.write().expect(POISONED);
        for change in changes {
            match change {
                GalleryChange::Open { face_set, pack, schema: _ } => {
                    galleries.entry(face_set).or_insert_with(|| (pack, Vec::new()));
                }
                GalleryChange::Close { face_set } => {
                    galleries.remove(&face_set);
                }
                GalleryChange::Put { face_set, entry } => {
                    if let Some((pack, rows)) = galleries.get_mut(&face_set)
                        && entry.template.pack() == pack
                    {
                        rows.retain(|row| row.face != entry.face);
                        rows.push(entry);
                    }
                }
                GalleryChange::Remove { face_set, face } => {
                    if let Some((_, rows)) = galleries.get_mut(&face_set) {
                        rows.retain(|row| row.face != face);
                    }
                }
            }
        }
        self.reached.advance(revision);
        Box::pin(std::future::ready(Ok(())))
    }

    fn revision(&self) -> Option<Revision> {
        self.reached.get()
    }

    fn restart(&self) -> Pending<'_, ()> {
        self.reached.stop();
        self.galleries.write().expect(POISONED).clear();
        Box::pin(std::future::ready(Ok(())))
    }

    fn resume(&self, revision: Revision) -> Pending<'_, ()> {
        self.reached.resume(revision);
        Box::pin(std::future::ready(Ok(())))
    }

    fn search(&self, question: GallerySearch) -> Pending<'_, Vec<Hit>> {
        Box::pin(async move {
            self.reached.check()?;
            Ok(self.scan(&question))
        })
    }

    fn matching(&self, face_set: FaceSetId, filter: Arc<Filter>) -> Pending<'_, Vec<u64>> {
        Box::pin(async move {
            self.reached.check()?;
            let mut sequences: Vec<u64> = self
                .rows(face_set)
                .iter()
                .filter(|row| filter.matches(filter_row(row)))
                .map(|row| row.sequence)
                .collect();
            sequences.sort_unstable();
            Ok(sequences)
        })
    }

    fn n_rows(&self, face_set: FaceSetId) -> usize {
        self.galleries.read().expect(POISONED).get(&face_set).map_or(0, |(_, rows)| rows.len())
    }
}
