//! At which place of a gallery each face is.
//!
//! The faces are in the labels of the rows already, so this table holds no face: a place, and seven bits of its face's hash
//! that spare most looks at labels. Whoever asks says which face is at a place. Places that share a position follow each
//! other up to the next free one; the table has any length, so that it can grow by a quarter: with 5 bytes a position and at
//! most four fifths of them taken, a face takes 6.25 to 7.8 bytes, where a map from faces to places takes 18 to 36.

use likeness_domain::types::FaceId;

use super::kernel::mapped::Table;
use super::rotation::split_mix;

/// Length of the smallest table.
const LEN_MIN: usize = 16;

/// # Invariants
/// At most four fifths of the positions are taken. Between the position of a face's hash and the one that it is at, none is
/// free.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// For each position 0 if it is free, else the lowest bits of the face's hash with the highest bit set.
    tags: Table<u8>,
    /// For each position.
    places: Table<u32>,
    n_taken: usize,
}

impl Places {
    /// How many positions `n` faces need at least.
    fn len_for(n: usize) -> usize {
        (n + n.div_ceil(4)).max(LEN_MIN)
    }

    /// Whether so many more faces have room.
    pub(super) fn has_room(&self, n_more: usize) -> bool {
        Self::len_for(self.n_taken + n_more) <= self.tags.len()
    }

    /// Makes room for so many more faces than the gallery has, whose faces are given in the order of their places from 0.
    pub(super) fn reserve(&mut self, n_more: usize, faces: impl Iterator<Item = FaceId>) {
        if self.has_room(n_more) {
            return;
        }
        let len = Self::len_for(self.n_taken + n_more).max(self.tags.len() + self.tags.len() / 4);
        // What was there is let go of first: growing needs no memory for both.
        *self = Self::default();
        *self = Self { tags: Table::new(len), places: Table::new(len), n_taken: 0 };
        for (place, face) in (0..).zip(faces) {
            self.insert(face, place);
        }
    }

    /// The position of a hash, and its tag.
    fn home(&self, face: FaceId) -> (usize, u8) {
        let hash = split_mix(&mut face.get());
        (((u128::from(hash) * self.tags.len() as u128) >> 64) as usize, hash as u8 | 0x80)
    }

    fn after(&self, position: usize) -> usize {
        if position + 1 == self.tags.len() { 0 } else { position + 1 }
    }

    fn position_of(&self, face: FaceId, face_at: impl Fn(u32) -> FaceId) -> Option<usize> {
        if self.n_taken == 0 {
            return None;
        }
        let (mut position, tag) = self.home(face);
        while self.tags[position] != 0 {
            if self.tags[position] == tag && face_at(self.places[position]) == face {
                return Some(position);
            }
            position = self.after(position);
        }
        None
    }

    /// Where a face is.
    pub(super) fn get(&self, face: FaceId, face_at: impl Fn(u32) -> FaceId) -> Option<u32> {
        self.position_of(face, face_at).map(|position| self.places[position])
    }

    /// Adds a face that is not there, for which there must be room.
    pub(super) fn insert(&mut self, face: FaceId, place: u32) {
        assert!(self.has_room(1), "room was made for every face before");
        let (mut position, tag) = self.home(face);
        while self.tags[position] != 0 {
            position = self.after(position);
        }
        (self.tags[position], self.places[position]) = (tag, place);
        self.n_taken += 1;
    }

    /// Says that a face is at another place than `face_at` says, if it is there.
    pub(super) fn move_to(&mut self, face: FaceId, place: u32, face_at: impl Fn(u32) -> FaceId) {
        if let Some(position) = self.position_of(face, face_at) {
            self.places[position] = place;
        }
    }

    /// Takes a face out, and gives the place where it was.
    pub(super) fn remove(&mut self, face: FaceId, face_at: impl Fn(u32) -> FaceId) -> Option<u32> {
        let mut free = self.position_of(face, &face_at)?;
        let place = self.places[free];
        let mut position = self.after(free);
        while self.tags[position] != 0 {
            let home = self.home(face_at(self.places[position])).0;
            // It may move to the free position unless its own lies behind that.
            let is_behind = match free < position {
                true => free < home && home <= position,
                false => free < home || home <= position,
            };
            if !is_behind {
                (self.tags[free], self.places[free]) = (self.tags[position], self.places[position]);
                free = position;
            }
            position = self.after(position);
        }
        self.tags[free] = 0;
        self.n_taken -= 1;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn face(number: u64) -> FaceId {
        FaceId::new(number).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn it_says_what_a_map_says(steps in prop::collection::vec((1_u64..120, 0_u32..8), 0..600)) {
            // As a gallery does it: the last face takes the place of a removed one.
            let (mut places, mut faces, mut map) = (Places::default(), Vec::new(), HashMap::new());
            for (number, step) in steps {
                let asked = face(number);
                let at = |place: u32| faces[place as usize];
                prop_assert_eq!(places.get(asked, at), map.get(&asked).copied());
                if step < 5 && !map.contains_key(&asked) {
                    places.reserve(1 + step as usize, faces.iter().copied());
                    places.insert(asked, faces.len() as u32);
                    map.insert(asked, faces.len() as u32);
                    faces.push(asked);
                } else if step >= 5 {
                    let place = places.remove(asked, at);
                    prop_assert_eq!(place, map.remove(&asked));
                    if let Some(place) = place {
                        let last = faces[faces.len() - 1];
                        if last != asked {
                            places.move_to(last, place, at);
                            map.insert(last, place);
                        }
                        faces.swap_remove(place as usize);
                    }
                }
            }
            for (place, &asked) in faces.iter().enumerate() {
                prop_assert_eq!(places.get(asked, |place| faces[place as usize]), Some(place as u32));
            }
        }
    }

    #[test]
    fn a_face_takes_at_most_eight_bytes() {
        let (mut places, mut faces) = (Places::default(), Vec::new());
        for number in 1..100_000 {
            places.reserve(1, faces.iter().copied());
            places.insert(face(number), faces.len() as u32);
            faces.push(face(number));
            let n_bytes = places.tags.len() + 4 * places.places.len();
            assert!(n_bytes <= faces.len() * 8 || faces.len() < 100, "{n_bytes} bytes for {} faces", faces.len());
        }
    }
}
