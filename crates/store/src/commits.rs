//! Commits as they are stored: who, when, and which rows changed, by their ids.
//!
//! A stored commit holds no vector and no text of a face: whoever reads it gets the rows that are still there. So deleting
//! a face erases it from every stored commit as well, without touching one.

use likeness_domain::ports::{Change, GalleryChange};
use likeness_domain::types::{FaceId, FaceSetId, PackId, PersonId};

/// A change by the ids of what changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChangeRef {
    Opened(FaceSetId),
    Closed(FaceSetId),
    Put(FaceSetId, FaceId),
    Removed(FaceSetId, FaceId),
    FaceSetChanged(FaceSetId),
    PersonChanged(PersonId),
    PersonDeleted(PersonId),
    TransientFaceKept(FaceId),
    TransientFaceGone(FaceId),
    TemplatePut(FaceId, PackId),
}

impl ChangeRef {
    pub(crate) fn of(change: &Change) -> Self {
        match change {
            Change::Gallery(GalleryChange::Open { face_set, .. }) => Self::Opened(*face_set),
            Change::Gallery(GalleryChange::Close { face_set }) => Self::Closed(*face_set),
            Change::Gallery(GalleryChange::Put { face_set, entry }) => Self::Put(*face_set, entry.face),
            Change::Gallery(GalleryChange::Remove { face_set, face }) => Self::Removed(*face_set, *face),
            Change::FaceSetChanged(face_set) => Self::FaceSetChanged(*face_set),
            Change::PersonChanged(person) => Self::PersonChanged(*person),
            Change::PersonDeleted(person) => Self::PersonDeleted(*person),
            Change::TransientFaceKept(face) => Self::TransientFaceKept(*face),
            Change::TransientFaceGone(face) => Self::TransientFaceGone(*face),
            Change::TemplatePut(face, pack) => Self::TemplatePut(*face, pack.clone()),
        }
    }

    /// The change with its rows as `rows` finds them; `None` if they are gone.
    pub(crate) fn resolved<E>(self, rows: &mut impl Rows<Error = E>) -> Result<Option<Change>, E> {
        Ok(match self {
            Self::Opened(face_set) => rows.opened(face_set)?.map(Change::Gallery),
            Self::Put(face_set, face) => rows.put(face_set, face)?.map(Change::Gallery),
            Self::Closed(face_set) => Some(Change::Gallery(GalleryChange::Close { face_set })),
            Self::Removed(face_set, face) => Some(Change::Gallery(GalleryChange::Remove { face_set, face })),
            Self::FaceSetChanged(face_set) => Some(Change::FaceSetChanged(face_set)),
            Self::PersonChanged(person) => Some(Change::PersonChanged(person)),
            Self::PersonDeleted(person) => Some(Change::PersonDeleted(person)),
            Self::TransientFaceKept(face) => Some(Change::TransientFaceKept(face)),
            Self::TransientFaceGone(face) => Some(Change::TransientFaceGone(face)),
            Self::TemplatePut(face, pack) => Some(Change::TemplatePut(face, pack)),
        })
    }
}

/// Finds the rows that stored commits refer to.
pub(crate) trait Rows {
    type Error;

    /// The set as a search sees it opened.
    fn opened(&mut self, face_set: FaceSetId) -> Result<Option<GalleryChange>, Self::Error>;

    /// The row of the face in the gallery of the set.
    fn put(&mut self, face_set: FaceSetId, face: FaceId) -> Result<Option<GalleryChange>, Self::Error>;
}

/// Per change a tag, then its ids (u64, little-endian) and, of a template, the length of the pack's id (u8) and the id.
pub(crate) fn bytes_of<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for change in changes {
        let (tag, ids, pack): (u8, [Option<u64>; 2], Option<PackId>) = match ChangeRef::of(change) {
            ChangeRef::Opened(set) => (b'o', [Some(set.get()), None], None),
            ChangeRef::Closed(set) => (b'c', [Some(set.get()), None], None),
            ChangeRef::Put(set, face) => (b'p', [Some(set.get()), Some(face.get())], None),
            ChangeRef::Removed(set, face) => (b'r', [Some(set.get()), Some(face.get())], None),
            ChangeRef::FaceSetChanged(set) => (b's', [Some(set.get()), None], None),
            ChangeRef::PersonChanged(person) => (b'n', [Some(person.get()), None], None),
            ChangeRef::PersonDeleted(person) => (b'd', [Some(person.get()), None], None),
            ChangeRef::TransientFaceKept(face) => (b'k', [Some(face.get()), None], None),
            ChangeRef::TransientFaceGone(face) => (b'g', [Some(face.get()), None], None),
            ChangeRef::TemplatePut(face, pack) => (b't', [Some(face.get()), None], Some(pack)),
        };
        bytes.push(tag);
        bytes.extend(ids.into_iter().flatten().flat_map(u64::to_le_bytes));
        if let Some(pack) = pack {
            bytes.push(pack.as_str().len() as u8); // A pack id has at most 64 bytes.
            bytes.extend_from_slice(pack.as_str().as_bytes());
        }
    }
    bytes
}

/// The changes again; `None` for bytes that are not what [`bytes_of`] writes.
pub(crate) fn refs_of(mut bytes: &[u8]) -> Option<Vec<ChangeRef>> {
    let mut refs = Vec::new();
    while !bytes.is_empty() {
        refs.push(next_ref(&mut bytes)?);
    }
    Some(refs)
}

fn next_ref(rest: &mut &[u8]) -> Option<ChangeRef> {
    let tag = *rest.split_off_first()?;
    let first = next_number(rest)?;
    Some(match tag {
        b'o' => ChangeRef::Opened(FaceSetId::new(first)?),
        b'c' => ChangeRef::Closed(FaceSetId::new(first)?),
        b'p' => ChangeRef::Put(FaceSetId::new(first)?, FaceId::new(next_number(rest)?)?),
        b'r' => ChangeRef::Removed(FaceSetId::new(first)?, FaceId::new(next_number(rest)?)?),
        b's' => ChangeRef::FaceSetChanged(FaceSetId::new(first)?),
        b'n' => ChangeRef::PersonChanged(PersonId::new(first)?),
        b'd' => ChangeRef::PersonDeleted(PersonId::new(first)?),
        b'k' => ChangeRef::TransientFaceKept(FaceId::new(first)?),
        b'g' => ChangeRef::TransientFaceGone(FaceId::new(first)?),
        b't' => {
            let len = usize::from(*rest.split_off_first()?);
            let pack = PackId::new(std::str::from_utf8(rest.split_off(..len)?).ok()?)?;
            ChangeRef::TemplatePut(FaceId::new(first)?, pack)
        }
        _ => return None,
    })
}

fn next_number(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(rest.split_off(..8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_back_as_they_were_written() {
        let set = FaceSetId::new(7).unwrap();
        let (face, person) = (FaceId::new((1 << 45) - 1).unwrap(), PersonId::new(3).unwrap());
        let changes = [
            Change::Gallery(GalleryChange::Close { face_set: set }),
            Change::Gallery(GalleryChange::Remove { face_set: set, face }),
            Change::FaceSetChanged(set),
            Change::PersonChanged(person),
            Change::PersonDeleted(person),
            Change::TransientFaceKept(face),
            Change::TransientFaceGone(face),
            Change::TemplatePut(face, PackId::new("other-1").unwrap()),
        ];
        let bytes = bytes_of(&changes);
        let refs: Vec<ChangeRef> = changes.iter().map(ChangeRef::of).collect();
        assert_eq!(refs_of(&bytes), Some(refs));
        for cut in 1..bytes.len() {
            assert!(refs_of(&bytes[..cut]).is_none_or(|refs| refs.len() < changes.len()), "cut at {cut}");
        }
        assert_eq!(refs_of(b"zzzzzzzzz"), None);
    }
}
