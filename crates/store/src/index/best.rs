//! The most similar rows seen so far.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use likeness_domain::ports::Hit;
use likeness_domain::types::{FaceId, PersonId, Similarity};

/// A row with everything that decides its place. The order is the order of hits: more similar first, then older.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranked {
    pub(crate) similarity: Similarity,
    pub(crate) sequence: u64,
    pub(crate) face: FaceId,
    pub(crate) person: Option<PersonId>,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        // A `Similarity` is never NaN.
        let similarity = other.similarity.partial_cmp(&self.similarity).unwrap_or(Ordering::Equal);
        similarity.then(self.sequence.cmp(&other.sequence)).then(self.face.cmp(&other.face))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

/// Keeps the best `top_k` of the rows it is offered, in any order, that reach `similarity_min`.
///
/// # Invariants
/// `ranked` has at most `top_k` rows; if folding to persons, each person at most once, with its best row so far. A row
/// pushed out can be forgotten: `top_k` better ones are kept, and what is kept only gets better.
#[derive(Debug)]
pub(crate) struct Best {
    top_k: usize,
    similarity_min: Similarity,
    /// Only when folding to persons: the kept row of each.
    of_person: Option<HashMap<PersonId, Ranked>>,
    ranked: BTreeSet<Ranked>,
    cutoff: f32,
}

impl Best {
    pub(crate) fn new(top_k: usize, similarity_min: Similarity, one_per_person: bool) -> Self {
        let of_person = one_per_person.then(HashMap::new);
        let mut best = Self { top_k, similarity_min, of_person, ranked: BTreeSet::new(), cutoff: 0.0 };
        best.set_cutoff();
        best
    }

    /// A row whose similarity is certainly below this would not be kept.
    pub(crate) fn cutoff(&self) -> f32 {
        self.cutoff
    }

    fn set_cutoff(&mut self) {
        let worst = self.ranked.last().filter(|_| self.ranked.len() >= self.top_k);
        let least = worst.map_or(self.similarity_min, |worst| worst.similarity).get();
        self.cutoff = match self.top_k {
            0 => f32::INFINITY,
            // Similarities are clamped at -1, bounds are not: at -1 nothing may be cut off.
            _ if least <= -1.0 => f32::NEG_INFINITY,
            _ => least,
        };
    }

    /// Keeps the row if it is among the best.
    pub(crate) fn offer(&mut self, row: Ranked) {
        if row.similarity < self.similarity_min || self.top_k == 0 {
            return;
        }
        let is_full = self.ranked.len() >= self.top_k;
        if is_full && self.ranked.last().is_some_and(|worst| *worst < row) {
            return;
        }
        if let (Some(of_person), Some(person)) = (&mut self.of_person, row.person) {
            if let Some(kept) = of_person.get_mut(&person) {
                if row < *kept {
                    self.ranked.remove(kept);
                    self.ranked.insert(row);
                    *kept = row;
                    self.set_cutoff();
                }
                return;
            }
            of_person.insert(person, row);
        }
        self.ranked.insert(row);
        if is_full && let Some(worst) = self.ranked.pop_last() {
            self.forget(worst);
        }
        self.set_cutoff();
    }

    fn forget(&mut self, row: Ranked) {
        if let (Some(of_person), Some(person)) = (&mut self.of_person, row.person) {
            of_person.remove(&person);
        }
    }

    /// Takes over what another part of the same search kept.
    pub(super) fn merge(&mut self, other: Best) {
        for row in other.ranked {
            self.offer(row);
        }
    }

    /// How many rows are kept.
    #[cfg(feature = "milvus")]
    pub(crate) fn n_rows(&self) -> usize {
        self.ranked.len()
    }

    /// What was kept, best first, to be offered elsewhere.
    #[cfg(feature = "milvus")]
    pub(crate) fn into_ranked(self) -> Vec<Ranked> {
        self.ranked.into_iter().collect()
    }

    /// What was kept, best first.
    pub(crate) fn into_hits(self) -> Vec<Hit> {
        let hit = |row: Ranked| Hit {
            face: row.face,
            person: row.person,
            similarity: row.similarity,
            sequence: row.sequence,
        };
        self.ranked.into_iter().map(hit).collect()
    }
}
