//! What rows say besides their vectors and their cells, in as few bytes as their numbers allow.

use likeness_domain::types::{FaceId, PersonId};

/// What a row says besides its vector and its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowLabel {
    pub(super) face: FaceId,
    pub(super) sequence: u64,
    pub(super) person: Option<PersonId>,
}

/// The labels of a segment's rows.
///
/// # Invariants
/// There are as many sequences as faces, and as many persons or none at all.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    faces: Vec<FaceId>,
    sequences: Sequences,
    /// Empty while no row has a person.
    persons: Vec<Option<PersonId>>,
}

/// Numbers given one after the other: those of one segment mostly lie close together.
#[derive(Debug, Clone)]
enum Sequences {
    /// Distances from `base`, which is 2³¹ below the first one as far as there are such numbers.
    Near {
        base: u64,
        distances: Vec<u32>,
    },
    Far(Vec<u64>),
}

impl Labels {
    /// Of no row.
    pub(super) const NONE: Self =
        Self { faces: Vec::new(), sequences: Sequences::Near { base: 0, distances: Vec::new() }, persons: Vec::new() };

    pub(super) fn len(&self) -> usize {
        self.faces.len()
    }

    /// The faces of all rows.
    pub(super) fn faces(&self) -> &[FaceId] {
        &self.faces
    }

    pub(super) fn get(&self, row: usize) -> RowLabel {
        let sequence = match &self.sequences {
            Sequences::Near { base, distances } => base + u64::from(distances[row]),
            Sequences::Far(sequences) => sequences[row],
        };
        RowLabel { face: self.faces[row], sequence, person: self.persons.get(row).copied().flatten() }
    }

    /// Sets the label of a row, which is an existing one or the next.
    pub(super) fn set(&mut self, row: usize, label: RowLabel) {
        self.sequences.set(row, label.sequence);
        let RowLabel { face, person, .. } = label;
        if person.is_some() && self.persons.is_empty() {
            self.persons.reserve_exact(self.faces.capacity());
            self.persons.resize(self.faces.len(), None);
        }
        let has_persons = person.is_some() || !self.persons.is_empty();
        if row == self.faces.len() {
            self.faces.push(face);
            if has_persons {
                self.persons.push(person);
            }
            return;
        }
        self.faces[row] = face;
        if has_persons {
            self.persons[row] = person;
        }
    }

    /// Removes the last one.
    pub(super) fn pop(&mut self) {
        self.faces.pop();
        self.persons.pop();
        match &mut self.sequences {
            Sequences::Near { distances, .. } => drop(distances.pop()),
            Sequences::Far(sequences) => drop(sequences.pop()),
        }
    }

    /// Makes room for just so many rows.
    pub(super) fn reserve_for(&mut self, n_rows: usize) {
        let n_more = n_rows.saturating_sub(self.len());
        self.faces.reserve_exact(n_more);
        if !self.persons.is_empty() {
            self.persons.reserve_exact(n_more);
        }
        match &mut self.sequences {
            Sequences::Near { distances, .. } => distances.reserve_exact(n_more),
            Sequences::Far(sequences) => sequences.reserve_exact(n_more),
        }
    }
}

impl Sequences {
    fn set(&mut self, row: usize, sequence: u64) {
        if let Sequences::Near { base, distances } = self {
            if distances.is_empty() {
                *base = sequence.saturating_sub(1 << 31);
            }
            let distance = sequence.checked_sub(*base).and_then(|distance| u32::try_from(distance).ok());
            match distance {
                Some(distance) => return put(distances, row, distance),
                None => {
                    let mut far = Vec::with_capacity(distances.capacity());
                    far.extend(distances.iter().map(|distance| *base + u64::from(*distance)));
                    *self = Sequences::Far(far);
                }
            }
        }
        if let Sequences::Far(sequences) = self {
            put(sequences, row, sequence);
        }
    }
}

/// Sets an existing number or the next.
fn put<T>(numbers: &mut Vec<T>, row: usize, number: T) {
    match numbers.get_mut(row) {
        Some(slot) => *slot = number,
        None => numbers.push(number),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn label() -> impl Strategy<Value = RowLabel> {
        let sequence = prop_oneof![8 => 0_u64..100, 4 => (1_u64 << 40)..(1 << 40) + 100, 1 => any::<u64>()];
        let person = prop_oneof![4 => Just(0_u64), 1 => 1_u64..9];
        (1_u64..100, sequence, person).prop_map(|(face, sequence, person)| RowLabel {
            face: FaceId::new(face).unwrap(),
            sequence,
            person: PersonId::new(person),
        })
    }

    proptest! {
        #[test]
        fn labels_are_what_a_list_of_them_is(
            steps in prop::collection::vec((any::<prop::sample::Index>(), prop::option::weighted(0.8, label())), 0..200),
        ) {
            let (mut labels, mut list) = (Labels::NONE, Vec::new());
            for (at, label) in steps {
                match label {
                    Some(label) => {
                        let row = at.index(list.len() + 1);
                        labels.reserve_for(row + 1);
                        labels.set(row, label);
                        if row == list.len() { list.push(label) } else { list[row] = label }
                    }
                    None => {
                        labels.pop();
                        list.pop();
                    }
                }
                prop_assert_eq!(labels.len(), list.len());
                prop_assert_eq!((0..list.len()).map(|row| labels.get(row)).collect::<Vec<_>>(), list.clone());
                prop_assert_eq!(labels.faces().to_vec(), list.iter().map(|label| label.face).collect::<Vec<_>>());
            }
        }
    }
}
