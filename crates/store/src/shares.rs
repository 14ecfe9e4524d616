//! Which commits the record keeps: as many as a setting says over all tenants, in shares.
//!
//! Each tenant has a share for each [`Part`]. When there are too many commits the largest shares lose their oldest, so what a
//! tenant keeps in a part is never less than an equal share of the whole: nobody makes the record of another tenant shorter
//! by writing much, and whoever may only enrol does not make that of keys and deletes shorter.
//!
//! Of the commits of a tenant that went, the last leaves a mark: a row without changes and without who made it, under its
//! revision. Up to there the tenant's record is not whole. Followers need every commit: they are sent to the tables if they
//! are behind the last commit of anybody that went (`store.compacted`).

/// Kinds of commits that have shares of their own, by their first change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    /// Of keys, tenants and face sets.
    Rule,
    /// Of faces and persons that were deleted or taken out of sets.
    Removal,
    /// Everything else.
    Edit,
}

impl Part {
    /// With which bytes ([`super::commits::bytes_of`]) the changes of its commits begin; those of [`Self::Rule`] with any other.
    const TAGS: [(Self, &[u8]); 2] = [(Self::Removal, b"rd"), (Self::Edit, b"pnkgt")];

    /// That of a commit whose changes begin with this byte.
    pub(crate) fn of_tag(tag: u8) -> Self {
        Self::TAGS.into_iter().find(|(_, tags)| tags.contains(&tag)).map_or(Self::Rule, |(part, _)| part)
    }

    /// Its number in [`Self::sql`].
    #[cfg(feature = "postgres")]
    pub(crate) fn number(self) -> i32 {
        self as i32
    }

    /// The same in PostgreSQL's words, of the column `changes`.
    #[cfg(feature = "postgres")]
    pub(crate) fn sql() -> String {
        let of_tags = |(part, tags): (Self, &[u8])| {
            let tags: Vec<String> = tags.iter().map(u8::to_string).collect();
            format!("WHEN get_byte(changes, 0) IN ({}) THEN {} ", tags.join(", "), part.number())
        };
        let cases: String = Self::TAGS.into_iter().map(of_tags).collect();
        format!("(CASE {cases}ELSE {} END)", Self::Rule.number())
    }
}

/// The request of a row that is a mark only.
pub(crate) const MARK_REQUEST: &str = "compacted";

/// How many commits each share loses so that at most `n_max` are kept in all; those that lose none are left out.
pub(crate) fn surplus<S: Copy>(shares: &[(S, u64)], n_max: u64) -> Vec<(S, u64)> {
    let mut sizes: Vec<u64> = shares.iter().map(|&(_, n)| n).collect();
    sizes.sort_unstable();
    let (mut n_left, mut most) = (n_max, u64::MAX);
    for (idx, &size) in sizes.iter().enumerate() {
        let equal = n_left / (sizes.len() - idx) as u64;
        if size > equal {
            most = equal;
            break;
        }
        n_left -= size;
    }
    shares.iter().filter(|&&(_, n)| n > most).map(|&(share, n)| (share, n - most)).collect()
}

#[cfg(test)]
mod tests {
    use likeness_domain::ports::{Change, GalleryChange, KeyAction};
    use likeness_domain::types::{AccessKeyId, FaceId, FaceSetId, PersonId, TenantId};

    use super::*;
    use crate::commits::bytes_of;

    #[test]
    fn the_largest_shares_lose_what_is_too_much() {
        let check = |sizes: &[u64], n_max, expected: &[u64]| {
            let shares: Vec<_> = sizes.iter().copied().enumerate().collect();
            let mut kept = sizes.to_vec();
            surplus(&shares, n_max).into_iter().for_each(|(idx, n)| kept[idx] -= n);
            assert_eq!(kept, expected, "{sizes:?} in {n_max}");
        };
        check(&[], 5, &[]);
        check(&[3, 4], 7, &[3, 4]);
        check(&[1000, 4], 10, &[6, 4]);
        check(&[4, 1000, 3, 900], 100, &[4, 46, 3, 46]);
        check(&[9, 9, 9], 3, &[1, 1, 1]);
        check(&[9, 9, 9], 0, &[0, 0, 0]);
        check(&[u64::MAX, 1], 2, &[1, 1]);
    }

    #[test]
    fn commits_are_told_apart_by_their_first_change() {
        let (set, face, person) = (FaceSetId::new(1).unwrap(), FaceId::new(2).unwrap(), PersonId::new(3).unwrap());
        let part = |change: Change| Part::of_tag(bytes_of([&change])[0]);
        let tenant = TenantId::from_bits(4);
        let key = |action| Change::Key(AccessKeyId::new("AK1").unwrap(), action);
        for rule in [
            Change::TenantMade(tenant),
            Change::TenantChanged(tenant),
            Change::TenantDeleted(tenant),
            Change::FaceSetChanged(set),
            Change::Gallery(GalleryChange::Close { face_set: set }),
            key(KeyAction::Made),
            key(KeyAction::Enabled),
            key(KeyAction::Disabled),
            key(KeyAction::Rotated),
            key(KeyAction::Deleted),
            key(KeyAction::Changed),
        ] {
            assert_eq!(part(rule), Part::Rule);
        }
        for removal in [Change::Gallery(GalleryChange::Remove { face_set: set, face }), Change::PersonDeleted(person)] {
            assert_eq!(part(removal), Part::Removal);
        }
        for edit in [Change::PersonChanged(person), Change::TransientFaceKept(face), Change::TransientFaceGone(face)] {
            assert_eq!(part(edit), Part::Edit);
        }
        assert_eq!([b'p', b't'].map(Part::of_tag), [Part::Edit; 2]);
        assert_eq!(Part::of_tag(b'o'), Part::Rule);
    }
}
