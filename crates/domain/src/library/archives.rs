//! Archives: faces with their templates, out of one library and into another, so that neither needs the photographs.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::{Library, check_count, together};
use crate::access::{Caller, Grant};
use crate::limits;
use crate::ports::{FaceScope, OwnersId, PersonSummary};
use crate::types::{
    Detection, ExternalId, Face, FaceId, FaceOwner, FaceSet, FaceSetKey, FaceSetName, FaceSetSummary, FieldSchema,
    FieldValues, GivenFields, ID_END, NewFace, NewPerson, Note, PackId, Person, PersonId, PersonKey, Quality, Subject,
    Template, TenantId, Thumbnail, TimestampMs, require_new_name,
};
use crate::{Error, Kind, Result};

/// Answer of [`Library::export_faces`].
#[derive(Debug)]
pub struct FacesExported {
    /// The set.
    pub face_set: FaceSet,
    /// Faces in order of enrolment, each with its template of the set's pack.
    pub faces: Vec<(Face, Template)>,
    /// The persons who own some of these faces.
    pub persons: Vec<Person>,
    /// Small pictures of those that have one, if they were asked for.
    pub thumbnails: HashMap<FaceId, Thumbnail>,
    /// Faces of the stretch that are damaged and therefore left out.
    pub n_damaged: u64,
    /// Where the next stretch begins; `None` at the end.
    pub next: Option<u64>,
}

/// Which faces of a set, see [`Library::export_faces`].
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// The place that an earlier answer's `next` named, or 0.
    pub from: u64,
    /// At most so many, 1 to [`limits::ARCHIVE_FACES_MAX`].
    pub limit: u64,
    /// Also their small pictures.
    pub with_thumbnails: bool,
}

/// See [`Library::import_faces`].
#[derive(Debug, Clone)]
pub struct ImportFaces {
    /// Into which set.
    pub face_set: FaceSetName,
    /// At most [`limits::ARCHIVE_FACES_MAX`].
    pub faces: Vec<ArchivedFace>,
}

/// A face as an archive has it.
#[derive(Debug, Clone)]
pub struct ArchivedFace {
    /// Its id where it was exported. It keeps it here unless the id is in use.
    pub id: Option<FaceId>,
    /// Its template, of the set's pack.
    pub template: Template,
    /// Where it was in its image; an empty box if that is not known.
    pub detection: Detection,
    /// How good that image was.
    pub quality: Quality,
    /// Label saying who it is.
    pub subject: Option<Subject>,
    /// The caller's own id of this observation.
    pub external_id: Option<ExternalId>,
    /// Custom values; a person's face has none.
    pub fields: GivenFields,
    /// Free text.
    pub note: Option<Note>,
    /// Where the image came from.
    pub source: Option<Note>,
    /// When it was first enrolled; now, if that is not known.
    pub created_at: Option<TimestampMs>,
    /// A small picture of it, which is kept where a set that shows the face keeps them.
    pub thumbnail: Option<Thumbnail>,
    /// The person who owns it; without one it belongs to the set.
    pub person: Option<ArchivedPerson>,
}

/// A person as an archive has it.
#[derive(Debug, Clone)]
pub struct ArchivedPerson {
    /// Unique within the tenant.
    pub key: PersonKey,
    /// Name for people.
    pub name: Option<Note>,
    /// Free text.
    pub note: Option<Note>,
}

/// A face of an archive on its way into a set.
struct Arriving {
    face: ArchivedFace,
    /// Its custom values, as the set has them.
    fields: FieldValues,
    /// What it is known by if it has no external id: the same each time that this face comes to this owner.
    mark: u128,
}

impl Arriving {
    /// Who will own it: a person, or else the set.
    fn person_key(&self) -> Option<&PersonKey> {
        self.face.person.as_ref().map(|person| &person.key)
    }

    /// The id that it gets where it has none, or where its own is in use.
    fn spare_id(&self) -> Option<FaceId> {
        FaceId::new(folded(self.mark))
    }

    /// The ids by which it is known again. That after the spare one is where two marks have the same spare id.
    fn ids(&self) -> impl Iterator<Item = FaceId> + use<> {
        let spare = folded(self.mark);
        [self.face.id, FaceId::new(spare), FaceId::new(spare + 1)].into_iter().flatten()
    }
}

/// A person of an archive who exists.
struct KnownPerson {
    archived: ArchivedPerson,
    id: PersonId,
    /// Faces that the person owns.
    n_faces: u64,
    /// Of the set that the archive goes into.
    is_member: bool,
}

/// Persons whose faces are looked up at a time.
const LOOK_UPS_AT_ONCE: usize = 8;

/// How often faces are imported that others are in the way of.
const IMPORT_TRIES: usize = 8;

/// Answer of [`Library::import_faces`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FacesImported {
    /// Faces enrolled by this call.
    pub n_enrolled: u64,
    /// Faces that the set had already, or that the call had twice.
    pub n_known: u64,
}

impl Library {
    /// A stretch of a set's gallery with templates. Needs the read and the templates grant. Small pictures are given only of
    /// a set that keeps them. `FaceSetNotFound`, and `InvalidArgument` for a limit of 0 or above
    /// [`limits::ARCHIVE_FACES_MAX`].
    pub async fn export_faces(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
        stretch: Stretch,
    ) -> Result<FacesExported> {
        let Stretch { from, limit, with_thumbnails } = stretch;
        caller.require(Grant::Read)?;
        caller.require(Grant::Templates)?;
        let max = limits::ARCHIVE_FACES_MAX;
        if !(1..=max as u64).contains(&limit) {
            return Err(Error::invalid("limit", format!("`limit` is {limit}, expected 1 to {max}")));
        }
        let face_set = self.existing_face_set(caller, face_set).await?.face_set;
        let page = self.ports.store.faces_with_templates(caller.tenant, face_set.id, from, limit).await?;
        let mut seen = HashSet::new();
        let owners = page.faces.iter().filter_map(|(face, _)| match face.owner {
            FaceOwner::Person(person) => Some(person),
            FaceOwner::FaceSet(_) => None,
        });
        let owners: Vec<PersonId> = owners.filter(|&person| seen.insert(person)).collect();
        let persons = match owners.is_empty() {
            true => Vec::new(),
            false => self.ports.store.persons(caller.tenant, owners).await?,
        };
        let thumbnails = match with_thumbnails && face_set.thumbnails {
            true => {
                let ids = page.faces.iter().map(|(face, _)| face.id).collect();
                let scope = FaceScope::FaceSet(face_set.id);
                self.ports.store.thumbnails(caller.tenant, scope, ids).await?.into_iter().collect()
            }
            false => HashMap::new(),
        };
        let (faces, n_damaged, next) = (page.faces, page.n_damaged, page.next);
        Ok(FacesExported { face_set, faces, persons, thumbnails, n_damaged, next })
    }

    /// Refuses at once what could never be imported: needs the enrol and the templates grant, and where the set does not exist
    /// also the manage grant for every face set. The set, if there is one.
    pub async fn check_import(&self, caller: &Caller, face_set: &FaceSetName) -> Result<Option<FaceSet>> {
        caller.require(Grant::Enrol)?;
        caller.require(Grant::Templates)?;
        match self.existing_face_set(caller, face_set).await {
            Ok(summary) => Ok(Some(summary.face_set)),
            Err(error) if error.kind() == Kind::FaceSetNotFound => {
                // Keys for some face sets do not learn which others there are.
                let may_make = caller.grants.contains(Grant::Manage) && caller.face_sets.is_all();
                let hint = "a key for every face set with the grant `manage` lets an import make it";
                if may_make { Ok(None) } else { Err(error.with_hint(hint)) }
            }
            Err(error) => Err(error),
        }
    }

    /// The set of which a job is to make an archive, and its number of faces. Needs the read and the templates grant.
    /// `InvalidArgument` if small pictures are asked for of a set that keeps none.
    pub async fn check_export(
        &self,
        caller: &Caller,
        face_set: &FaceSetName,
        with_thumbnails: bool,
    ) -> Result<FaceSetSummary> {
        caller.require(Grant::Read)?;
        caller.require(Grant::Templates)?;
        let summary = self.existing_face_set(caller, face_set).await?;
        if with_thumbnails && !summary.face_set.thumbnails {
            let message = format!("face set `{face_set}` keeps no thumbnails");
            return Err(Error::invalid("include", message).with_hint("ask for an archive without them"));
        }
        Ok(summary)
    }

    /// Enrols faces by their templates, in their order. Faces that the set has already are passed over, so the same call
    /// made twice enrols nothing twice: a face is known by its external id or, having none, by its template and its id, for which
    /// another one that follows from set and face stands where it has none or that is in use. A person who has the face already
    /// does not get it again, wherever else it is shown. Persons that do not exist are made; all become
    /// members of the set. What somebody else deletes or enrols meanwhile is looked up anew.
    ///
    /// Needs the enrol and the templates grant; faces of persons also need a key for every face set, as a person's faces
    /// are shown by all sets of the person. `FaceSetNotFound`, `PackUnavailable`, `CapacityExceeded`, `TooManyPersons`,
    /// `FieldNotDefined`, `FieldTypeMismatch`, and `InvalidArgument` for too many faces, for a template of another pack or
    /// with another number of dimensions, and for two different faces with one external id. The faces are enrolled all or none,
    /// as one commit; the persons are made and become members in commits before it.
    pub async fn import_faces(&self, caller: &Caller, request: ImportFaces) -> Result<FacesImported> {
        for _ in 1..IMPORT_TRIES {
            match self.import_once(caller, request.clone()).await {
                // A person was deleted after it was looked up, or a face with the same external id enrolled.
                Err(error) if matches!(error.kind(), Kind::PersonNotFound | Kind::FaceExists) => {}
                answer => return answer,
            }
        }
        self.import_once(caller, request).await
    }

    async fn import_once(&self, caller: &Caller, request: ImportFaces) -> Result<FacesImported> {
        caller.require(Grant::Enrol)?;
        caller.require(Grant::Templates)?;
        check_count("faces", request.faces.len(), limits::ARCHIVE_FACES_MAX)?;
        let summary = self.existing_face_set(caller, &request.face_set).await?;
        let pack = self.pack_of(&summary.face_set)?;
        let no_fields = FieldSchema::default();
        let mut faces = Vec::with_capacity(request.faces.len());
        for (idx, face) in request.faces.into_iter().enumerate() {
            let schema = if face.person.is_some() { &no_fields } else { &summary.face_set.schema };
            let fields = check_template(&face.template, &pack.id, pack.dimensions)
                .and_then(|()| schema.typed(&face.fields))
                .map_err(|error| error.about(format_args!("face {}", idx + 1)))?;
            if let Some(person) = &face.person
                && let Err(refusal) = require_new_name("person key", person.key.as_str())
                // Whoever has such a key from earlier keeps it.
                && self.ports.store.person(caller.tenant, person.key.clone()).await?.is_none()
            {
                return Err(refusal.about(format_args!("face {}", idx + 1)));
            }
            let mark = mark(caller.tenant, &summary.face_set, &face);
            faces.push(Arriving { face, fields, mark });
        }
        if faces.iter().any(|arriving| arriving.face.person.is_some()) {
            caller.require_every_face_set("import faces of persons")?;
        }
        refuse_two_of_one_name(&faces)?;
        let n_given = faces.len() as u64;
        let known = self.known_persons(caller, &summary.face_set, &faces).await?;
        let faces = self.unknown_faces(caller, &summary.face_set, faces, &known).await?;
        // Before anybody is made or becomes a member.
        check_room(caller, &summary, faces.len() as u64, &known)?;
        self.check_limits(caller, &faces, &known).await?;

        let now = self.ports.clock.now();
        // Faces of strangers may all be known, and yet not shown by this set.
        let owners = self.make_members(caller, &summary.face_set, &faces, &known).await?;
        let mut batches: Vec<(FaceOwner, Vec<NewFace>)> = Vec::new();
        let mut external_ids: HashSet<OwnersId> = HashSet::new();
        let mut marks: HashSet<u128> = HashSet::new();
        for arriving in faces {
            let owner = match arriving.person_key() {
                None => FaceOwner::FaceSet(summary.face_set.id),
                Some(key) => {
                    let missing = || Error::internal("cannot make the persons members", "the store left one out");
                    FaceOwner::Person(*owners.get(key).ok_or_else(missing)?)
                }
            };
            let is_new = match &arriving.face.external_id {
                Some(id) => external_ids.insert((owner, id.clone())),
                None => marks.insert(arriving.mark),
            };
            if !is_new {
                continue;
            }
            let new = self.new_archived_face(arriving, now);
            match batches.last_mut() {
                Some((last, batch)) if *last == owner => batch.push(new),
                _ => batches.push((owner, vec![new])),
            }
        }
        if batches.is_empty() {
            return Ok(FacesImported { n_enrolled: 0, n_known: n_given });
        }
        let store = self.write(caller).await?;
        let n_enrolled = store.add_faces_of(caller.actor(), batches, caller.write_limits()).await?.len() as u64;
        Ok(FacesImported { n_enrolled, n_known: n_given - n_enrolled })
    }

    /// Refuses what the store will refuse when it is written: persons are made before their faces, and would stay without.
    async fn check_limits(&self, caller: &Caller, faces: &[Arriving], known: &[KnownPerson]) -> Result<()> {
        let Some(limits) = caller.write_limits() else { return Ok(()) };
        let mut owners: HashMap<&PersonKey, u64> = HashMap::new();
        for key in faces.iter().filter_map(Arriving::person_key) {
            *owners.entry(key).or_default() += 1;
        }
        let owned: HashMap<&PersonKey, u64> = known.iter().map(|known| (&known.archived.key, known.n_faces)).collect();
        for (key, &n_more) in &owners {
            limits.check_person_faces(owned.get(key).copied().unwrap_or(0), n_more)?;
        }
        if limits.faces_max.is_none() && limits.persons_max.is_none() {
            return Ok(());
        }
        let usage = self.ports.store.usage(caller.tenant).await?;
        limits.check_tenant_faces(usage.n_faces, faces.len() as u64)?;
        let n_new = owners.keys().filter(|key| !owned.contains_key(**key)).count() as u64;
        limits.check_persons(usage.n_persons, n_new)
    }

    /// Makes the persons who own these faces members of the set, and those of the known ones who are not; makes those who do not
    /// exist. The ids of the owners.
    async fn make_members(
        &self,
        caller: &Caller,
        face_set: &FaceSet,
        faces: &[Arriving],
        known: &[KnownPerson],
    ) -> Result<HashMap<PersonKey, PersonId>> {
        let mut members = HashMap::new();
        let mut seen: HashSet<&PersonKey> = HashSet::new();
        let strangers = known.iter().filter(|known| !known.is_member);
        let owners = faces.iter().filter_map(|arriving| arriving.face.person.as_ref());
        let wanted = strangers.map(|known| (&known.archived, known.n_faces)).chain(owners.map(|person| (person, 0)));
        // Faces of strangers become faces of the set's gallery, so few of them are one commit.
        let mut batches: Vec<(Vec<NewPerson>, u64)> = Vec::new();
        for (person, n_shown) in wanted.filter(|(person, _)| seen.insert(&person.key)) {
            let new = NewPerson {
                id: self.fresh_id(PersonId::new),
                key: person.key.clone(),
                name: person.name.clone().map(Note::as_name),
                note: person.note.clone(),
                created_at: self.ports.clock.now(),
            };
            match batches.last_mut() {
                Some((batch, n_faces)) if *n_faces + n_shown <= limits::ARCHIVE_FACES_MAX as u64 => {
                    batch.push(new);
                    *n_faces += n_shown;
                }
                _ => batches.push((vec![new], n_shown)),
            }
        }
        for (batch, _) in batches {
            let store = self.write(caller).await?;
            let made = store.make_members(caller.actor(), face_set.id, batch, caller.write_limits()).await?;
            members.extend(made.into_iter().map(|person| (person.key, person.id)));
        }
        Ok(members)
    }

    fn new_archived_face(&self, arriving: Arriving, now: TimestampMs) -> NewFace {
        let spare_id = arriving.spare_id();
        let Arriving { face, fields, .. } = arriving;
        NewFace {
            id: face.id.or(spare_id).unwrap_or_else(|| self.fresh_id(FaceId::new)),
            spare_id: spare_id.filter(|_| face.id.is_some()),
            template: face.template,
            detection: face.detection,
            quality: face.quality,
            subject: face.subject,
            external_id: face.external_id,
            fields,
            note: face.note,
            source: face.source,
            thumbnail: face.thumbnail,
            created_at: face.created_at.unwrap_or(now),
        }
    }

    /// Those persons who own these faces that exist.
    async fn known_persons(&self, caller: &Caller, face_set: &FaceSet, faces: &[Arriving]) -> Result<Vec<KnownPerson>> {
        let mut owners: HashMap<&PersonKey, &ArchivedPerson> = HashMap::new();
        let mut keys = Vec::new();
        for person in faces.iter().filter_map(|arriving| arriving.face.person.as_ref()) {
            if let Entry::Vacant(unseen) = owners.entry(&person.key) {
                unseen.insert(person);
                keys.push(person.key.clone());
            }
        }
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.ports.store.persons_named(caller.tenant, keys, face_set.id).await?;
        let known = |(summary, is_member): (PersonSummary, bool)| {
            let archived = (*owners.get(&summary.person.key)?).clone();
            Some(KnownPerson { archived, id: summary.person.id, n_faces: summary.n_faces, is_member })
        };
        Ok(found.into_iter().filter_map(known).collect())
    }

    /// Those of the faces that neither the set's gallery nor the person who owns them has yet.
    async fn unknown_faces(
        &self,
        caller: &Caller,
        face_set: &FaceSet,
        faces: Vec<Arriving>,
        known: &[KnownPerson],
    ) -> Result<Vec<Arriving>> {
        let ids: HashMap<&PersonKey, PersonId> = known.iter().map(|known| (&known.archived.key, known.id)).collect();
        let owner_of = |arriving: &Arriving| match arriving.person_key() {
            None => Some(FaceOwner::FaceSet(face_set.id)),
            Some(key) => ids.get(key).map(|&id| FaceOwner::Person(id)),
        };
        let owners_id = |arriving: &Arriving| Some((owner_of(arriving)?, arriving.face.external_id.clone()?));
        let named: Vec<OwnersId> = faces.iter().filter_map(owners_id).collect();
        let used: HashSet<OwnersId> = match named.is_empty() {
            true => HashSet::new(),
            false => {
                let used = self.ports.store.external_ids_of(caller.tenant, named).await?;
                used.into_iter().map(|(id, _)| id).collect()
            }
        };
        let mut nameless: HashMap<Option<&PersonKey>, Vec<FaceId>> = HashMap::new();
        for arriving in faces.iter().filter(|arriving| arriving.face.external_id.is_none()) {
            nameless.entry(arriving.person_key()).or_default().extend(arriving.ids());
        }
        let strangers = known.iter().filter(|known| !known.is_member);
        let mut scopes: Vec<(FaceScope, Vec<FaceId>)> = strangers
            .filter_map(|known| Some((FaceScope::Person(known.id), nameless.get(&Some(&known.archived.key))?.clone())))
            .collect();
        let all: Vec<FaceId> = nameless.into_values().flatten().collect();
        if !all.is_empty() {
            scopes.push((FaceScope::FaceSet(face_set.id), all));
        }
        let look_up = |(scope, ids): (FaceScope, Vec<FaceId>)| {
            self.ports.store.templates(caller.tenant, Some(scope), ids, face_set.pack.clone())
        };
        let mut templates: HashMap<FaceId, Template> = HashMap::new();
        for found in together::all(scopes.into_iter().map(look_up), LOOK_UPS_AT_ONCE).await {
            templates.extend(found?);
        }
        let is_known = |arriving: &Arriving| match owners_id(arriving) {
            Some(id) => used.contains(&id),
            None => {
                let is_nameless = arriving.face.external_id.is_none();
                is_nameless && arriving.ids().any(|id| templates.get(&id) == Some(&arriving.face.template))
            }
        };
        let is_unknown: Vec<bool> = faces.iter().map(|arriving| !is_known(arriving)).collect();
        Ok(faces.into_iter().zip(is_unknown).filter_map(|(face, is_unknown)| is_unknown.then_some(face)).collect())
    }
}

/// Refuses more faces than the set may hold besides those that it shows: new ones, and those that come with persons who
/// join. `CapacityExceeded`.
fn check_room(caller: &Caller, summary: &FaceSetSummary, n_new: u64, known: &[KnownPerson]) -> Result<()> {
    let bounds = [summary.face_set.capacity, caller.write_limits().and_then(|limits| limits.face_set_faces_max)];
    let Some(most) = bounds.into_iter().flatten().min() else { return Ok(()) };
    let n_joining: u64 = known.iter().filter(|known| !known.is_member).map(|known| known.n_faces).sum();
    let n_wanted = summary.n_faces + n_new + n_joining;
    if n_wanted <= most || n_wanted == summary.n_faces {
        return Ok(());
    }
    let name = &summary.face_set.name;
    Err(Error::new(Kind::CapacityExceeded, format!("face set `{name}` holds at most {most} faces")))
}

/// What a face without an external id is known by, in the set or, where it has one, with its person.
fn mark(tenant: TenantId, face_set: &FaceSet, face: &ArchivedFace) -> u128 {
    let mut mark = Mark::new();
    match &face.person {
        Some(person) => mark.part(tenant.to_string().as_bytes()).part(b"person").part(person.key.as_str().as_bytes()),
        None => mark.part(b"face set").part(&face_set.id.get().to_le_bytes()),
    };
    mark.part(&face.id.map_or(0, FaceId::get).to_le_bytes());
    mark.part(face.subject.as_ref().map_or("", Subject::as_str).as_bytes());
    for number in face.template.unit() {
        mark.part(&number.to_le_bytes());
    }
    mark.0
}

/// FNV-1a of 128 bits, the same in every process and on every machine.
struct Mark(u128);

impl Mark {
    fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn part(&mut self, bytes: &[u8]) -> &mut Self {
        // Its length comes first, so that no two rows of parts are the same bytes.
        for byte in bytes.len().to_le_bytes().into_iter().chain(bytes.iter().copied()) {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
        }
        self
    }
}

/// A mark as the number of an id, which has fewer bits.
fn folded(mark: u128) -> u64 {
    let [low, high] = [mark, mark >> 64].map(|half| (half & u128::from(u64::MAX)) as u64);
    (low ^ high.rotate_left(19)) % (ID_END - 2) + 1
}

/// Refuses two different faces of an owner under one external id: the second one would be taken for the first, and lost.
fn refuse_two_of_one_name(faces: &[Arriving]) -> Result<()> {
    let mut named: HashMap<(Option<&PersonKey>, &ExternalId), (usize, &ArchivedFace)> = HashMap::new();
    for (idx, arriving) in faces.iter().enumerate() {
        let face = &arriving.face;
        let Some(external_id) = &face.external_id else { continue };
        let (first, other) = named.entry((arriving.person_key(), external_id)).or_insert((idx, face));
        if other.id != face.id || other.template != face.template {
            let what = "expected one of its own for each face of an owner";
            let message =
                format!("face {}: `external_id` is that of another face, face {}; {what}", idx + 1, *first + 1);
            return Err(Error::invalid("external_id", message));
        }
    }
    Ok(())
}

fn check_template(template: &Template, pack: &PackId, dimensions: usize) -> Result<()> {
    if template.pack() != pack {
        let message = format!("the template is of model pack `{}`, the face set of `{pack}`", template.pack());
        return Err(Error::invalid("pack", message));
    }
    if template.unit().len() != dimensions {
        let message = format!("the template has {} numbers, expected {dimensions}", template.unit().len());
        return Err(Error::invalid("template", message));
    }
    Ok(())
}
