//! Things to store: small, different from each other, with every part filled where asked.

use std::sync::Arc;

use likeness_domain::access::Limits;
use likeness_domain::ports::Clock;
use likeness_domain::types::{
    AccessKeyId, Actor, BoundingBox, Detection, ExternalId, FaceId, FaceSetId, FaceSetName, FieldName, FieldSchema,
    FieldType, FieldValue, FieldValues, Landmarks, NewFace, NewFaceSet, NewPerson, NewTransientFace, Note, PackId,
    PersonId, PersonKey, Point, Quality, QualityGate, RequestId, Subject, Tags, Template, TenantId, Thumbnail,
    TimestampMs,
};

use super::{OURS, THEIRS};
use crate::clock::WallClock;

/// The tenant whose things are stored.
pub fn ours() -> TenantId {
    TenantId::from_bits(OURS)
}

/// The tenant who must not see them.
pub fn theirs() -> TenantId {
    TenantId::from_bits(THEIRS)
}

/// Somebody of that tenant, with a key and a request of its own.
pub fn by(tenant: TenantId) -> Actor {
    let key = if tenant == ours() { "our-key" } else { "their-key" };
    let request_id = RequestId::new("request-1").expect("a valid request id");
    Actor { tenant, key: AccessKeyId::new(key), request_id, key_must_be_usable: false, lease: None }
}

/// At most so many face sets of a tenant.
pub fn sets_max(most: u64) -> Option<Limits> {
    Some(Limits { face_sets_max: Some(most), ..Limits::NONE })
}

/// At most so many faces of a person, and so many that a set shows.
pub fn owner_faces_max(most: u64) -> Option<Limits> {
    Some(Limits { person_faces_max: Some(most), face_set_faces_max: Some(most), ..Limits::NONE })
}

/// The machine's clock.
pub fn clock() -> Arc<dyn Clock> {
    Arc::new(WallClock)
}

/// The usual pack.
pub fn pack() -> PackId {
    pack_named("sample-1")
}

/// A pack of that name.
pub fn pack_named(name: &str) -> PackId {
    PackId::new(name).expect("a valid pack id")
}

/// A name.
pub fn name(text: &str) -> FaceSetName {
    FaceSetName::new(text).expect("a valid name")
}

/// A person's key.
pub fn key(text: &str) -> PersonKey {
    PersonKey::new(text).expect("a valid key")
}

/// A free text.
pub fn note(text: &str) -> Note {
    Note::new(text).expect("a valid note")
}

/// Words joined by commas.
pub fn tags(text: &str) -> Tags {
    Tags::parse(text).expect("valid tags")
}

/// A label.
pub fn subject(text: &str) -> Subject {
    Subject::new(text).expect("a valid subject")
}

/// A caller's id.
pub fn external_id(text: &str) -> ExternalId {
    ExternalId::new(text).expect("a valid external id")
}

/// A field name.
pub fn field(text: &str) -> FieldName {
    FieldName::new(text).expect("a valid field name")
}

/// The id with that number.
pub fn face_id(value: u64) -> FaceId {
    FaceId::new(value).expect("a valid id")
}

/// Fields of every type: `city`, `age`, `badge`, `height`, `staff`.
pub fn schema() -> FieldSchema {
    let fields = [
        ("city", FieldType::String),
        ("age", FieldType::Integer),
        ("badge", FieldType::Long),
        ("height", FieldType::Double),
        ("staff", FieldType::Boolean),
    ];
    FieldSchema::new(fields.map(|(name, field_type)| (field(name), field_type))).expect("few fields")
}

/// A set named `name` with the fields of [`schema`]; its proposed id follows from the name.
pub fn face_set(text: &str) -> NewFaceSet {
    NewFaceSet {
        id: FaceSetId::new(number_of(text)).expect("a valid id"),
        name: name(text),
        label: None,
        note: None,
        tags: Tags::default(),
        pack: pack(),
        schema: schema(),
        capacity: None,
        quality_gate: QualityGate::None,
        thumbnails: false,
        created_at: TimestampMs(1_000),
    }
}

/// A set that holds so many.
pub fn small_face_set(text: &str, capacity: u64) -> NewFaceSet {
    NewFaceSet { capacity: Some(capacity), ..face_set(text) }
}

/// A person with that key; its proposed id follows from it.
pub fn person(text: &str) -> NewPerson {
    NewPerson {
        id: PersonId::new(number_of(text)).expect("a valid id"),
        key: key(text),
        name: None,
        note: None,
        created_at: TimestampMs(2_000),
    }
}

/// A face with nothing but what it must have; its template follows from `number`, which is also its proposed id.
pub fn face(number: u64) -> NewFace {
    NewFace {
        id: face_id(number),
        spare_id: None,
        template: template(number),
        detection: Detection {
            bounding_box: BoundingBox { left: 1, top: 2, width: 30, height: number as u32 % 1000 + 1 },
            score: 0.875,
            landmarks: Landmarks([Point { x: 1.5, y: -2.25 }; 5]),
        },
        quality: Quality::default(),
        subject: None,
        external_id: None,
        fields: FieldValues::default(),
        note: None,
        source: None,
        thumbnail: None,
        created_at: TimestampMs(3_000),
    }
}

/// A face to be held until the time 10,000; its template follows from `number`, which is also its proposed id.
pub fn held(number: u64) -> NewTransientFace {
    let NewFace { id, template, detection, .. } = face(number);
    let quality = Quality { total: Some(0.25), ..Quality::default() };
    let (created_at, expires_at) = (TimestampMs(4_000), TimestampMs(10_000));
    NewTransientFace { id, template, detection, quality, thumbnail: None, created_at, expires_at }
}

/// A face with every part filled.
pub fn full_face(number: u64) -> NewFace {
    NewFace {
        quality: Quality { total: Some(0.5), pose: Some(0.0), ..Quality::default() },
        subject: Some(subject("anna")),
        external_id: Some(external_id(&format!("photo-{number}"))),
        fields: FieldValues::new([
            (field("city"), FieldValue::Text("Zürich".into())),
            (field("age"), FieldValue::Whole(-7)),
            (field("badge"), FieldValue::Whole(i64::MIN)),
            (field("height"), FieldValue::Real(1.75)),
            (field("staff"), FieldValue::Boolean(true)),
        ]),
        note: Some(note("line one\nline two")),
        source: Some(note("https://pictures.example/anna.jpg")),
        ..face(number)
    }
}

/// A face with a picture, another one for each number.
pub fn pictured(number: u64) -> NewFace {
    NewFace { thumbnail: Some(thumbnail(number)), ..face(number) }
}

/// No picture, but as a JPEG file begins; another one for each number.
pub fn thumbnail(number: u64) -> Thumbnail {
    let bytes = [&[0xff, 0xd8, 0xff][..], &number.to_le_bytes()].concat();
    Thumbnail::new(bytes.into()).expect("few bytes")
}

/// A face with a label.
pub fn labelled(number: u64, label: &str) -> NewFace {
    NewFace { subject: Some(subject(label)), ..face(number) }
}

/// A face with one custom value.
pub fn valued(number: u64, name: &str, value: FieldValue) -> NewFace {
    NewFace { fields: FieldValues::new([(field(name), value)]), ..face(number) }
}

/// A face with an id of the caller's.
pub fn known_as(number: u64, id: &str) -> NewFace {
    NewFace { external_id: Some(external_id(id)), ..face(number) }
}

/// A unit vector of 16 dimensions, another one for each number.
pub fn template(number: u64) -> Template {
    template_of_pack(number, pack())
}

/// The same of another pack.
pub fn template_of_pack(number: u64, pack: PackId) -> Template {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut raw = [0.0; 16];
    for slot in &mut raw {
        // A plain xorshift: what matters is that the vectors differ and repeat from run to run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *slot = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
    }
    Template::new(pack, &raw).expect("not all zero")
}

/// A number that follows from a text, far from the small ones that cases propose by hand.
fn number_of(text: &str) -> u64 {
    text.bytes().fold(7, |number: u64, byte| (number * 257 + u64::from(byte)) % (1 << 40)) + 1_000_000
}
