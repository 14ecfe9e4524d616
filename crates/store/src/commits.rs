//! Commits as they are stored: who, when, and which rows changed, by their ids.
//!
//! A stored commit holds no vector and no text of a face: whoever reads it gets the rows that are still there. So deleting
//! a face erases it from every stored commit as well, without touching one.

use likeness_domain::ports::{BEGIN_ANEW, Change, ChangeRef, GalleryChange, KeyAction, RecordPlace};
use likeness_domain::types::{AccessKeyId, FaceId, FaceSetId, PackId, PersonId, Revision, TenantId, TimestampMs};
use likeness_domain::{Error, Kind};

/// A change by the ids of what changed.
pub(crate) fn ref_of(change: &Change) -> ChangeRef {
    match change {
        Change::Gallery(GalleryChange::Open { face_set, .. }) => ChangeRef::Opened(*face_set),
        Change::Gallery(GalleryChange::Close { face_set }) => ChangeRef::Closed(*face_set),
        Change::Gallery(GalleryChange::Put { face_set, entry }) => ChangeRef::Put(*face_set, entry.face),
        Change::Gallery(GalleryChange::Remove { face_set, face }) => ChangeRef::Removed(*face_set, *face),
        Change::FaceSetChanged(face_set) => ChangeRef::FaceSetChanged(*face_set),
        Change::PersonChanged(person) => ChangeRef::PersonChanged(*person),
        Change::PersonDeleted(person) => ChangeRef::PersonDeleted(*person),
        Change::TransientFaceKept(face) => ChangeRef::TransientFaceKept(*face),
        Change::TransientFaceGone(face) => ChangeRef::TransientFaceGone(*face),
        Change::TemplatePut(face, pack) => ChangeRef::TemplatePut(*face, pack.clone()),
        Change::TenantMade(tenant) => ChangeRef::TenantMade(*tenant),
        Change::TenantChanged(tenant) => ChangeRef::TenantChanged(*tenant),
        Change::TenantDeleted(tenant) => ChangeRef::TenantDeleted(*tenant),
        Change::Key(key, action) => ChangeRef::Key(key.clone(), *action),
    }
}

/// The change with its rows as `rows` finds them; `None` if they are gone.
pub(crate) fn resolved<E>(change: ChangeRef, rows: &mut impl Rows<Error = E>) -> Result<Option<Change>, E> {
    Ok(match change {
        ChangeRef::Opened(face_set) => rows.opened(face_set)?.map(Change::Gallery),
        ChangeRef::Put(face_set, face) => rows.put(face_set, face)?.map(Change::Gallery),
        ChangeRef::Closed(face_set) => Some(Change::Gallery(GalleryChange::Close { face_set })),
        ChangeRef::Removed(face_set, face) => Some(Change::Gallery(GalleryChange::Remove { face_set, face })),
        ChangeRef::FaceSetChanged(face_set) => Some(Change::FaceSetChanged(face_set)),
        ChangeRef::PersonChanged(person) => Some(Change::PersonChanged(person)),
        ChangeRef::PersonDeleted(person) => Some(Change::PersonDeleted(person)),
        ChangeRef::TransientFaceKept(face) => Some(Change::TransientFaceKept(face)),
        ChangeRef::TransientFaceGone(face) => Some(Change::TransientFaceGone(face)),
        ChangeRef::TemplatePut(face, pack) => Some(Change::TemplatePut(face, pack)),
        ChangeRef::TenantMade(tenant) => Some(Change::TenantMade(tenant)),
        ChangeRef::TenantChanged(tenant) => Some(Change::TenantChanged(tenant)),
        ChangeRef::TenantDeleted(tenant) => Some(Change::TenantDeleted(tenant)),
        ChangeRef::Key(key, action) => Some(Change::Key(key, action)),
    })
}

/// Tells a commit from another one that has its number in another history of the library; never 0. The same in every store, so
/// that a library that was moved goes on.
pub(crate) fn mark_of(
    revision: Revision,
    at: TimestampMs,
    tenant: TenantId,
    (key, request): (Option<&str>, &str),
    changes: &[u8],
) -> u64 {
    let (key, has_key) = (key.unwrap_or_default(), u64::from(key.is_some()));
    let lengths = [has_key, key.len() as u64, request.len() as u64].map(u64::to_le_bytes).concat();
    let bytes = [
        &revision.0.to_le_bytes()[..],
        &at.0.to_le_bytes(),
        &tenant.to_bits().to_le_bytes(),
        &lengths,
        key.as_bytes(),
        request.as_bytes(),
        changes,
    ];
    xxhash_rust::xxh3::xxh3_64(&bytes.concat()).max(1)
}

/// The last commit up to some number, with its mark if it can be read.
pub(crate) type LastCommit = Option<(Revision, Option<u64>)>;

/// What is gone of the record by compaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gone {
    /// Up to here commits of anybody may be gone.
    pub of_anybody: Revision,
    /// Up to here those of the tenant may be gone.
    pub of_tenant: Revision,
}

/// Refuses a place that may be of another history; `there` is the last commit up to its number. A place behind another tenant's
/// commit outlives it: where that was compacted and nothing of the tenant's own, there is nothing left to compare with, and the
/// number is taken at its word.
pub(crate) fn check_place(
    after: RecordPlace,
    newest: Revision,
    compacted: Gone,
    there: LastCommit,
) -> Result<(), Error> {
    let RecordPlace { revision, mark } = after;
    let is_gone = there.is_none_or(|(last, _)| last < revision)
        && revision <= compacted.of_anybody
        && compacted.of_tenant <= revision;
    let is_there = match mark {
        None => true,
        Some(0) => is_gone || there.is_none() && compacted.of_anybody <= revision,
        Some(_) => is_gone || there == Some((revision, mark)),
    };
    if is_there && revision <= newest {
        return Ok(());
    }
    let message = match is_there {
        true => format!("`since` is {}, and the library has got to {}: its history has changed", revision.0, newest.0),
        false => format!(
            "the record of changes does not go on from where `cursor` ends: it no longer has the commit {}, or has another one",
            revision.0
        ),
    };
    Err(Error::new(Kind::Changed, message).with_field(if is_there { "since" } else { "cursor" }).with_hint(BEGIN_ANEW))
}

/// Where a stretch of the record ends that goes on to the end.
pub(crate) fn end_of_record(after: RecordPlace, newest: Revision, last: LastCommit) -> RecordPlace {
    match last {
        Some((revision, mark)) if after.revision <= revision => RecordPlace { revision, mark },
        Some(_) => after,
        None => RecordPlace { revision: newest.max(after.revision), mark: Some(0) },
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

/// Per change a tag, then its ids (u64, little-endian; of a tenant u128) and, of a template or a key, the length of the
/// pack's or the key's id (u8) and that id.
pub(crate) fn bytes_of<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<u8> {
    bytes_of_refs(changes.into_iter().map(ref_of))
}

/// The same of changes by reference.
pub(crate) fn bytes_of_refs(changes: impl IntoIterator<Item = ChangeRef>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for change in changes {
        let (tag, numbers, text): (u8, [Option<u64>; 2], Option<&str>) = match &change {
            ChangeRef::Opened(set) => (b'o', [Some(set.get()), None], None),
            ChangeRef::Closed(set) => (b'c', [Some(set.get()), None], None),
            ChangeRef::Put(set, face) => (b'p', [Some(set.get()), Some(face.get())], None),
            ChangeRef::Removed(set, face) => (b'r', [Some(set.get()), Some(face.get())], None),
            ChangeRef::FaceSetChanged(set) => (b's', [Some(set.get()), None], None),
            ChangeRef::PersonChanged(person) => (b'n', [Some(person.get()), None], None),
            ChangeRef::PersonDeleted(person) => (b'd', [Some(person.get()), None], None),
            ChangeRef::TransientFaceKept(face) => (b'k', [Some(face.get()), None], None),
            ChangeRef::TransientFaceGone(face) => (b'g', [Some(face.get()), None], None),
            ChangeRef::TemplatePut(face, pack) => (b't', [Some(face.get()), None], Some(pack.as_str())),
            ChangeRef::TenantMade(tenant) => (b'N', halves(*tenant), None),
            ChangeRef::TenantChanged(tenant) => (b'T', halves(*tenant), None),
            ChangeRef::TenantDeleted(tenant) => (b'X', halves(*tenant), None),
            ChangeRef::Key(key, action) => (tag_of(*action), [None, None], Some(key.as_str())),
        };
        bytes.push(tag);
        bytes.extend(numbers.into_iter().flatten().flat_map(u64::to_le_bytes));
        if let Some(text) = text {
            bytes.push(text.len() as u8); // The id of a pack or a key has at most 64 bytes.
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// Everything that may be done with a key.
const KEY_ACTIONS: [KeyAction; 6] = [
    KeyAction::Made,
    KeyAction::Enabled,
    KeyAction::Disabled,
    KeyAction::Rotated,
    KeyAction::Deleted,
    KeyAction::Changed,
];

fn tag_of(action: KeyAction) -> u8 {
    match action {
        KeyAction::Made => b'A',
        KeyAction::Enabled => b'E',
        KeyAction::Disabled => b'D',
        KeyAction::Rotated => b'R',
        KeyAction::Deleted => b'L',
        KeyAction::Changed => b'K',
    }
}

/// A tenant's bits, the lower half first, so that its bytes are those of a little-endian u128.
fn halves(tenant: TenantId) -> [Option<u64>; 2] {
    let bits = tenant.to_bits();
    [Some(bits as u64), Some((bits >> 64) as u64)]
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
    Some(match *rest.split_off_first()? {
        b'o' => ChangeRef::Opened(FaceSetId::new(next_number(rest)?)?),
        b'c' => ChangeRef::Closed(FaceSetId::new(next_number(rest)?)?),
        b'p' => ChangeRef::Put(FaceSetId::new(next_number(rest)?)?, FaceId::new(next_number(rest)?)?),
        b'r' => ChangeRef::Removed(FaceSetId::new(next_number(rest)?)?, FaceId::new(next_number(rest)?)?),
        b's' => ChangeRef::FaceSetChanged(FaceSetId::new(next_number(rest)?)?),
        b'n' => ChangeRef::PersonChanged(PersonId::new(next_number(rest)?)?),
        b'd' => ChangeRef::PersonDeleted(PersonId::new(next_number(rest)?)?),
        b'k' => ChangeRef::TransientFaceKept(FaceId::new(next_number(rest)?)?),
        b'g' => ChangeRef::TransientFaceGone(FaceId::new(next_number(rest)?)?),
        b't' => ChangeRef::TemplatePut(FaceId::new(next_number(rest)?)?, PackId::new(next_text(rest)?)?),
        b'N' => ChangeRef::TenantMade(next_tenant(rest)?),
        b'T' => ChangeRef::TenantChanged(next_tenant(rest)?),
        b'X' => ChangeRef::TenantDeleted(next_tenant(rest)?),
        tag => {
            let action = KEY_ACTIONS.into_iter().find(|action| tag_of(*action) == tag)?;
            ChangeRef::Key(AccessKeyId::new(next_text(rest)?)?, action)
        }
    })
}

fn next_tenant(rest: &mut &[u8]) -> Option<TenantId> {
    Some(TenantId::from_bits(u128::from_le_bytes(rest.split_off(..16)?.try_into().ok()?)))
}

fn next_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let len = usize::from(*rest.split_off_first()?);
    std::str::from_utf8(rest.split_off(..len)?).ok()
}

fn next_number(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(rest.split_off(..8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_behind_a_neighbours_commit_outlives_it_and_no_other_place_does() {
        let (newest, at) = (Revision(1200), Revision(36));
        let place = RecordPlace { revision: at, mark: Some(7) };
        let check = |place, of_anybody, of_tenant, there| {
            let compacted = Gone { of_anybody: Revision(of_anybody), of_tenant: Revision(of_tenant) };
            check_place(place, newest, compacted, there).is_ok()
        };
        let own = Some((Revision(4), Some(9)));
        assert!(check(place, 0, 0, Some((at, Some(7)))));
        assert!(check(place, 180, 0, own) && check(place, 180, 36, None));
        assert!(!check(place, 180, 37, own), "something of the tenant's behind it is gone");
        assert!(!check(place, 35, 0, own), "it cannot have been compacted");
        assert!(!check(place, 180, 0, Some((at, Some(8)))) && !check(place, 180, 0, Some((at, None))));
        let at_begin = RecordPlace { revision: at, mark: Some(0) };
        assert!(check(at_begin, 0, 0, None) && check(at_begin, 180, 0, own));
        assert!(!check(at_begin, 0, 0, own));
    }

    #[test]
    fn changes_are_read_back_as_they_were_written() {
        let set = FaceSetId::new(7).unwrap();
        let (face, person) = (FaceId::new((1 << 45) - 1).unwrap(), PersonId::new(3).unwrap());
        let changes: Vec<Change> = [
            Change::Gallery(GalleryChange::Close { face_set: set }),
            Change::Gallery(GalleryChange::Remove { face_set: set, face }),
            Change::FaceSetChanged(set),
            Change::PersonChanged(person),
            Change::PersonDeleted(person),
            Change::TransientFaceKept(face),
            Change::TransientFaceGone(face),
            Change::TemplatePut(face, PackId::new("other-1").unwrap()),
            Change::TenantChanged(TenantId::from_bits(u128::MAX - 7)),
            Change::TenantDeleted(TenantId::from_bits(1 << 100)),
            Change::TenantMade(TenantId::from_bits(1)),
        ]
        .into_iter()
        .chain(KEY_ACTIONS.map(|action| Change::Key(AccessKeyId::new("AK1").unwrap(), action)))
        .collect();
        let bytes = bytes_of(&changes);
        let refs: Vec<ChangeRef> = changes.iter().map(ref_of).collect();
        assert_eq!(refs_of(&bytes), Some(refs));
        for cut in 1..bytes.len() {
            assert!(refs_of(&bytes[..cut]).is_none_or(|refs| refs.len() < changes.len()), "cut at {cut}");
        }
        assert_eq!(refs_of(b"zzzzzzzzz"), None);
    }
}
