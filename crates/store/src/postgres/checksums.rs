//! A checksum on every row that matters: what a disk or a hand has changed must not become somebody else's face.
//!
//! It is the 64-bit XXH3 of the table's name and the row's values, computed by whoever writes a row and compared by whoever
//! reads one. Counters and numbers that only give an order of listing are left out.

use likeness_domain::types::{AccessKey, Face, FaceOwner, FaceSet, Person, Tenant, TimestampMs, TransientFace};
use xxhash_rust::xxh3::Xxh3;

use crate::embedded::codec;

/// Adds one value after the other.
pub(super) struct Checksum(Xxh3);

impl Checksum {
    /// Of a row of that table.
    pub(super) fn of(table: &'static str) -> Self {
        let mut hash = Xxh3::new();
        hash.update(table.as_bytes());
        Self(hash)
    }

    /// A whole number; `None` for NULL.
    pub(super) fn number(mut self, number: impl Into<Option<i64>>) -> Self {
        match number.into() {
            None => self.0.update(&[0]),
            Some(number) => {
                self.0.update(&[1]);
                self.0.update(&number.to_le_bytes());
            }
        }
        self
    }

    /// Bytes or a text; `None` for NULL.
    pub(super) fn bytes<'a>(mut self, bytes: impl Into<Option<&'a [u8]>>) -> Self {
        match bytes.into() {
            None => self.0.update(&[0]),
            Some(bytes) => {
                self.0.update(&[2]);
                self.0.update(&(bytes.len() as u64).to_le_bytes());
                self.0.update(bytes);
            }
        }
        self
    }

    fn text<'a>(self, text: impl Into<Option<&'a str>>) -> Self {
        self.bytes(text.into().map(str::as_bytes))
    }

    fn time(self, time: TimestampMs) -> Self {
        self.number(time.0)
    }

    /// The checksum; PostgreSQL's integers are signed, the bits are what counts.
    pub(super) fn finish(self) -> i64 {
        self.0.digest().cast_signed()
    }
}

pub(super) fn face(sequence: i64, face: &Face) -> i64 {
    let (owner, kind) = match face.owner {
        FaceOwner::FaceSet(id) => (id.get(), "set"),
        FaceOwner::Person(id) => (id.get(), "person"),
    };
    Checksum::of("faces")
        .number(sequence)
        .number(face.id.get().cast_signed())
        .number(face.source_face.get().cast_signed())
        .text(kind)
        .number(owner.cast_signed())
        .text(face.pack.as_str())
        .bytes(&codec::detection_bytes(&face.detection)[..])
        .bytes(codec::quality_bytes(&face.quality).as_deref())
        .text(face.subject.as_ref().map(|subject| subject.as_str()))
        .text(face.external_id.as_ref().map(|id| id.as_str()))
        .bytes(codec::fields_bytes(&face.fields).as_deref())
        .text(face.note.as_ref().map(|note| note.as_str()))
        .text(face.source.as_ref().map(|source| source.as_str()))
        .time(face.created_at)
        .time(face.updated_at)
        .finish()
}

pub(super) fn template(face: i64, pack: &str, vector: &[u8]) -> i64 {
    Checksum::of("templates").number(face).text(pack).bytes(vector).finish()
}

pub(super) fn thumbnail(face: i64, picture: &[u8]) -> i64 {
    Checksum::of("thumbnails").number(face).bytes(picture).finish()
}

pub(super) fn thumbnail_set(face_set: i64, wanted: bool) -> i64 {
    Checksum::of("thumbnail_sets").number(face_set).number(i64::from(wanted)).finish()
}

pub(super) fn face_set(set: &FaceSet) -> i64 {
    Checksum::of("face_sets")
        .number(set.id.get().cast_signed())
        .bytes(&codec::tenant_bytes(set.tenant)[..])
        .text(set.name.as_str())
        .text(set.label.as_ref().map(|label| label.as_str()))
        .text(set.note.as_ref().map(|note| note.as_str()))
        .text(set.tags.to_string().as_str())
        .text(set.pack.as_str())
        .text(codec::schema_text(&set.schema).as_str())
        .number(set.capacity.map(u64::cast_signed))
        .text(set.quality_gate.word())
        .time(set.created_at)
        .finish()
}

pub(super) fn person(person: &Person) -> i64 {
    Checksum::of("persons")
        .number(person.id.get().cast_signed())
        .bytes(&codec::tenant_bytes(person.tenant)[..])
        .text(person.key.as_str())
        .text(person.name.as_ref().map(|name| name.as_str()))
        .text(person.note.as_ref().map(|note| note.as_str()))
        .time(person.created_at)
        .finish()
}

pub(super) fn held(sequence: i64, face: &TransientFace, vector: &[u8]) -> i64 {
    Checksum::of("held_faces")
        .number(sequence)
        .number(face.id.get().cast_signed())
        .bytes(&codec::tenant_bytes(face.tenant)[..])
        .text(face.kept_by.as_ref().map(|key| key.as_str()))
        .text(face.template.pack().as_str())
        .bytes(&codec::detection_bytes(&face.detection)[..])
        .bytes(codec::quality_bytes(&face.quality).as_deref())
        .text(face.subject.as_ref().map(|subject| subject.as_str()))
        .bytes(vector)
        .time(face.created_at)
        .time(face.expires_at)
        .finish()
}

pub(super) fn tenant(tenant: &Tenant) -> i64 {
    let limits = &tenant.limits;
    let whole = |most: Option<u64>| most.map(|most| i64::try_from(most).unwrap_or(i64::MAX));
    Checksum::of("tenants")
        .bytes(&codec::tenant_bytes(tenant.id)[..])
        .text(tenant.name.as_str())
        .time(tenant.created_at)
        .number(whole(limits.face_sets_max))
        .number(whole(limits.faces_max))
        .number(whole(limits.persons_max))
        .number(whole(limits.face_set_faces_max))
        .number(whole(limits.person_faces_max))
        .number(limits.calls_per_second.map(i64::from))
        .finish()
}

pub(super) fn access_key(key: &AccessKey, face_sets: Option<&[u8]>) -> i64 {
    Checksum::of("access_keys")
        .text(key.id.as_str())
        .text(key.secret.reveal())
        .bytes(&codec::tenant_bytes(key.tenant.id)[..])
        .number(i64::from(key.enabled))
        .time(key.created_at)
        .text(key.grants.to_string().as_str())
        .bytes(face_sets)
        .text(key.label.as_ref().map(|label| label.as_str()))
        .number(key.expires_at.map(|at| at.0))
        .text(key.previous.as_ref().map(|previous| previous.secret.reveal()))
        .number(key.previous.as_ref().map(|previous| previous.valid_until.0))
        .finish()
}
