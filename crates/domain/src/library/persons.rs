//! Persons: identities of the tenant that own faces and are members of face sets.

use super::faces::assess_for;
use super::{ImageInput, Library, Wanted, check_count, check_page, quota, together};
use crate::access::{Caller, Grant, Limits};
use crate::limits;
use crate::policy::{self, QualityThresholds};
use crate::ports::{FaceChoice, FaceMove, FacePage, FaceScope, FaceSelector, Page, PersonSummary};
use crate::types::{
    Face, FaceId, FaceOwner, FaceSet, FaceSetId, FaceSetName, FieldSchema, FieldValues, NewFace, NewFaceSet, NewPerson,
    Note, PackId, Person, PersonId, PersonKey, PersonPatch, Tags, Thumbnail, nfc, require_new_name,
};
use crate::{Error, Kind, Result};

/// Images of one request that are fetched and analysed at a time: enough that one slow host does not hold up the
/// others (twenty hosts that never answer take three deadlines), few enough to leave the analyzer's queue to other
/// callers.
const IMAGES_AT_ONCE: usize = 8;

/// See [`Library::create_person`].
#[derive(Debug, Clone)]
pub struct CreatePerson {
    /// Unique within the tenant.
    pub key: PersonKey,
    /// Name for people.
    pub name: Option<Note>,
    /// Free text.
    pub note: Option<Note>,
    /// The sets to be a member of.
    pub join: Join,
}

/// Face sets to become a member of; those that do not exist are made, without custom fields, for the default pack, if the
/// caller may make face sets, and are `FaceSetNotFound` otherwise.
#[derive(Debug, Clone)]
pub struct Join {
    /// Their names.
    pub face_sets: Vec<FaceSetName>,
    /// Most faces a set that is made may hold; `None` for what the caller's vendor gives a set.
    pub capacity: Option<u64>,
}

/// See [`Library::add_person_faces`].
#[derive(Clone)]
pub struct AddPersonFaces {
    /// Whose faces they are.
    pub person: PersonKey,
    /// The images, 1 to [`limits::IMAGES_PER_REQUEST_MAX`].
    pub images: Vec<PersonImage>,
}

/// One image of a person.
#[derive(Clone)]
pub struct PersonImage {
    /// It must show exactly one face.
    pub image: ImageInput,
    /// The caller's spelling of where it comes from, to be kept with the face.
    pub source: Option<Note>,
}

/// Answer of [`Library::add_person_faces`].
#[derive(Debug)]
pub struct PersonFacesAdded {
    /// The person.
    pub person: Person,
    /// The sets that show the faces, in order of joining.
    pub face_sets: Vec<FaceSet>,
    /// What became of each image, in their order.
    pub faces: Vec<Result<Face>>,
}

/// Answer of [`Library::members`].
#[derive(Debug)]
pub struct Members {
    /// The set.
    pub face_set: FaceSet,
    /// The page of its member persons, in order of joining.
    pub persons: Vec<Person>,
    /// How many there are in all.
    pub n_persons: u64,
}

/// Answer of [`Library::persons`].
#[derive(Debug)]
pub struct Persons {
    /// Persons in the order of their keys as bytes.
    pub persons: Vec<PersonSummary>,
    /// Behind which key the next stretch begins; `None` at the end.
    pub next: Option<PersonKey>,
}

/// See [`Library::split_person`].
#[derive(Debug, Clone)]
pub struct SplitPerson {
    /// Whose faces they are.
    pub from: PersonKey,
    /// Which of them, 1 to [`limits::SELECTOR_IDS_MAX`].
    pub faces: Vec<FaceId>,
    /// Key of the new person.
    pub key: PersonKey,
    /// Its name for people.
    pub name: Option<Note>,
    /// Free text about it.
    pub note: Option<Note>,
}

/// Answer of [`Library::merge_persons`].
#[derive(Debug)]
pub struct PersonMerged {
    /// Who has all faces now.
    pub person: Person,
    /// Its sets, in order of joining.
    pub face_sets: Vec<FaceSet>,
    /// Faces that it got.
    pub n_moved: u64,
}

/// Persons that one listing looks at for a key that may see few of them.
const PERSONS_LOOKED_AT_MAX: usize = 2000;

/// Persons that one listing looks at for a text that few have.
const PERSONS_READ_MAX: usize = 20_000;

/// The first faces of a person among which one with a picture is looked for.
const PORTRAITS_LOOKED_AT: u64 = 20;

/// Persons whose pictures are looked up at the same time.
const PORTRAITS_AT_ONCE: usize = 8;

/// Times that a merge gives away what the person that goes has got meanwhile.
const MERGE_TRIES: usize = 10;

/// Faces that one commit moves, as many as one of a large delete erases: others wait for no more.
const MOVED_AT_ONCE: u64 = 250;

impl Library {
    /// The persons that the caller sees, in the order of their keys, behind `after`; with `contains` those whose key or name
    /// has that text in it, small letters like capitals. Needs the read grant. `InvalidArgument` for a limit above
    /// [`limits::PERSON_PAGE_MAX`], for an empty text, and for one of more than [`limits::BEGINNING_CHARS_MAX`] characters. For
    /// a key for some face sets only, and with a text, a stretch may be shorter than `limit` although there is a next one.
    pub async fn persons(
        &self,
        caller: &Caller,
        after: Option<PersonKey>,
        contains: Option<String>,
        limit: u64,
    ) -> Result<Persons> {
        caller.require(Grant::Read)?;
        check_person_page(limit)?;
        let contains = contains.map(text_within).transpose()?;
        // Most persons are passed over then, so more are read at once.
        let (at_once, n_looked_at_max) = match contains {
            Some(_) if caller.face_sets.is_all() => (limits::PERSON_PAGE_MAX, PERSONS_READ_MAX),
            _ => (limit, PERSONS_LOOKED_AT_MAX),
        };
        let is_meant = |person: &Person| {
            let has = |text: &str| contains.as_deref().is_none_or(|wanted| text.to_lowercase().contains(wanted));
            has(person.key.as_str()) || person.name.as_ref().is_some_and(|name| has(name.as_str()))
        };
        let mut after = after;
        let mut persons: Vec<PersonSummary> = Vec::new();
        let mut n_looked_at = 0;
        loop {
            // One more than is wanted says whether there is a next stretch.
            let page = self.ports.store.persons_after(caller.tenant, after.clone(), at_once + 1).await?;
            let is_last = (page.len() as u64) <= at_once;
            for summary in page {
                let is_seen = is_meant(&summary.person) && self.sees_person(caller, summary.person.id).await?;
                if is_seen && persons.len() as u64 == limit {
                    return Ok(Persons { persons, next: after });
                }
                after = Some(summary.person.key.clone());
                n_looked_at += 1;
                if is_seen {
                    persons.push(summary);
                }
                if n_looked_at == n_looked_at_max {
                    return Ok(Persons { persons, next: after });
                }
            }
            if is_last {
                return Ok(Persons { persons, next: None });
            }
        }
    }

    /// The persons that own these faces, which the caller has been shown. Asks for no grant: the use case did.
    pub async fn owners(&self, caller: &Caller, faces: &[Face]) -> Result<Vec<Person>> {
        let owner = |face: &Face| match face.owner {
            FaceOwner::Person(person) => Some(person),
            FaceOwner::FaceSet(_) => None,
        };
        let mut ids: Vec<PersonId> = faces.iter().filter_map(owner).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() { Ok(Vec::new()) } else { self.ports.store.persons(caller.tenant, ids).await }
    }

    /// The faces that a person owns from a place on, as [`crate::ports::GalleryStore::faces_from`] has them. Needs the read
    /// grant. `InvalidArgument` for too long a stretch, `PersonNotFound`.
    pub async fn person_faces_from(
        &self,
        caller: &Caller,
        key: &PersonKey,
        from: u64,
        limit: u64,
    ) -> Result<(Person, FacePage)> {
        caller.require(Grant::Read)?;
        check_page(Page { offset: 0, limit })?;
        let person = self.existing_person(caller, key).await?;
        let page = self.ports.store.faces_from(caller.tenant, FaceScope::Person(person.id), from, limit).await?;
        Ok((person, page))
    }

    /// How many faces a person owns, which the caller has been shown. Asks for no grant: the use case did.
    pub async fn n_faces_of_person(&self, caller: &Caller, person: &Person) -> Result<u64> {
        self.ports.store.n_faces_of_person(caller.tenant, person.id).await
    }

    /// The sets of a person, which the caller has been shown, that the caller may use, in order of joining. Asks for no grant:
    /// the use case did.
    pub async fn memberships(&self, caller: &Caller, person: &Person) -> Result<Vec<FaceSet>> {
        self.face_sets_of(caller, person.id).await
    }

    /// Makes faces of one person those of another, all or none, and returns the other and them. Needs the enrol grant, and for keys for some
    /// face sets only that both persons are in no other set. `InvalidArgument` for no face or more than
    /// [`limits::SELECTOR_IDS_MAX`], `PersonNotFound`, `FaceNotFound` if `from` has none of them, `FaceExists`,
    /// `CapacityExceeded`.
    pub async fn move_person_faces(
        &self,
        caller: &Caller,
        from: &PersonKey,
        to: &PersonKey,
        faces: Vec<FaceId>,
    ) -> Result<(Person, Vec<Face>)> {
        caller.require(Grant::Enrol)?;
        check_moved(&faces)?;
        let (from, to) = self.two_persons(caller, from, to).await?;
        let moved = self.moved(caller, &from, &to, Some(faces), limits::SELECTOR_IDS_MAX as u64).await?;
        if moved.is_empty() {
            return Err(Error::new(Kind::FaceNotFound, format!("person `{}` has none of these faces", from.key)));
        }
        Ok((to, moved))
    }

    /// Gives all faces and face sets of `from` to `into` and deletes `from`. Needs the enrol and the delete grant, and for keys
    /// for some face sets only that both persons are in no other set. `PersonNotFound`, `FaceExists`, `CapacityExceeded`,
    /// `InvalidArgument` for one person twice. Many faces move in several steps: after a failure those that have moved stay
    /// where they are, `from` has the rest, and the call can be repeated.
    pub async fn merge_persons(&self, caller: &Caller, from: &PersonKey, into: &PersonKey) -> Result<PersonMerged> {
        caller.require(Grant::Enrol)?;
        caller.require(Grant::Delete)?;
        let (from, into) = self.two_persons(caller, from, into).await?;
        let mut n_moved = 0;
        for _ in 0..MERGE_TRIES {
            let given = self.give_all(caller, &from, &into).await;
            n_moved += given.map_err(|error| match n_moved {
                0 => error,
                _ => error.with_hint(format!("before that, {n_moved} faces became those of `{}`", into.key)),
            })?;
            // Only if nobody has given it anything since, as another merge the other way round does.
            if self.write(caller).await?.delete_merged_person(caller.actor(), from.id, into.id).await? {
                let face_sets = self.face_sets_of(caller, into.id).await?;
                return Ok(PersonMerged { person: into, face_sets, n_moved });
            }
        }
        let message = format!("person `{}` got faces or face sets all the while it was merged", from.key);
        Err(Error::new(Kind::Overloaded, message).with_hint("merge them again"))
    }

    /// Gives all face sets of a person and as many faces as it has at first to another; how many faces.
    async fn give_all(&self, caller: &Caller, from: &Person, into: &Person) -> Result<u64> {
        let face_sets = self.ports.store.face_sets_of(caller.tenant, from.id).await?;
        let names: Vec<FaceSetName> = face_sets.into_iter().map(|face_set| face_set.name).collect();
        let join = self.new_face_sets(caller, &Join { face_sets: names, capacity: None }).await?;
        if !join.is_empty() {
            let joined =
                self.write(caller).await?.join_face_sets(caller.actor(), into.id, join, join_limits(caller)).await;
            joined.map_err(|error| not_made(caller, error))?;
        }
        // Not until it has none: of two that are merged the other way round at the same time, each gets as many as it gives.
        let n_steps = self.ports.store.n_faces_of_person(caller.tenant, from.id).await?.div_ceil(MOVED_AT_ONCE);
        let mut n_moved = 0;
        for _ in 0..n_steps {
            let moved = self.moved(caller, from, into, None, MOVED_AT_ONCE).await?.len() as u64;
            n_moved += moved;
            if moved < MOVED_AT_ONCE {
                break;
            }
        }
        Ok(n_moved)
    }

    /// Makes a new person of some faces of another, member of the same face sets. Needs the enrol grant, and for keys for some
    /// face sets only that the person is in no other set. Returns the new person, its sets and its faces. `PersonNotFound`,
    /// `PersonExists`, `TooManyPersons`, `FaceNotFound` if the person has none of them, `CapacityExceeded`, `InvalidArgument`
    /// for no face or more than [`limits::SELECTOR_IDS_MAX`].
    pub async fn split_person(
        &self,
        caller: &Caller,
        request: SplitPerson,
    ) -> Result<(Person, Vec<FaceSet>, Vec<Face>)> {
        caller.require(Grant::Enrol)?;
        check_moved(&request.faces)?;
        let from = self.existing_person(caller, &request.from).await?;
        self.require_unshared_person(caller, from.id).await?;
        let has_none = || Error::new(Kind::FaceNotFound, format!("person `{}` has none of these faces", from.key));
        let scope = FaceScope::Person(from.id);
        if self.ports.store.faces(caller.tenant, scope, request.faces.clone()).await?.is_empty() {
            return Err(has_none());
        }
        let face_sets = self.ports.store.face_sets_of(caller.tenant, from.id).await?;
        let names = face_sets.into_iter().map(|face_set| face_set.name).collect();
        let join = Join { face_sets: names, capacity: None };
        let create = CreatePerson { key: request.key, name: request.name, note: request.note, join };
        let (person, face_sets) = self.create_person(caller, create).await?;
        let n_max = limits::SELECTOR_IDS_MAX as u64;
        let moved = match self.moved(caller, &from, &person, Some(request.faces), n_max).await {
            // Somebody else took them meanwhile.
            Ok(moved) if moved.is_empty() => Err(has_none()),
            moved => moved,
        };
        match moved {
            Ok(moved) => Ok((person, face_sets, moved)),
            Err(error) => {
                // It has no face yet; what cannot be taken back stays as a person without faces.
                let _ = self.ports.store.delete_person(caller.actor(), person.id).await;
                Err(error)
            }
        }
    }

    async fn moved(
        &self,
        caller: &Caller,
        from: &Person,
        to: &Person,
        ids: Option<Vec<FaceId>>,
        limit: u64,
    ) -> Result<Vec<Face>> {
        let faces = FaceMove { from: from.id, to: to.id, ids, limit, at: self.ports.clock.now() };
        self.write(caller).await?.move_faces(caller.actor(), faces, caller.write_limits()).await
    }

    /// Two different persons, both of which the caller may change.
    async fn two_persons(&self, caller: &Caller, from: &PersonKey, to: &PersonKey) -> Result<(Person, Person)> {
        let (from, to) = (self.existing_person(caller, from).await?, self.existing_person(caller, to).await?);
        if from.id == to.id {
            return Err(Error::invalid(
                "person",
                format!("person `{}` is named twice, expected two persons", from.key),
            ));
        }
        self.require_unshared_person(caller, from.id).await?;
        self.require_unshared_person(caller, to.id).await?;
        Ok((from, to))
    }

    /// Makes a person that is a member of some sets; all or nothing. Needs the enrol grant, and the manage grant for every
    /// face set where a set has to be made. A key for some face sets only has to name one of them. `PersonExists`,
    /// `TooManyFaceSets`, `TooManyPersons`, `FaceSetNotFound`. The sets come back in the order given, each once.
    pub async fn create_person(&self, caller: &Caller, request: CreatePerson) -> Result<(Person, Vec<FaceSet>)> {
        caller.require(Grant::Enrol)?;
        if request.join.face_sets.is_empty() {
            caller.require_every_face_set("make a person that is in no face set")?;
        }
        require_new_name("person key", request.key.as_str())?;
        let new = NewPerson {
            id: self.fresh_id(PersonId::new),
            key: request.key,
            name: request.name.map(Note::as_name),
            note: request.note,
            created_at: self.ports.clock.now(),
        };
        let join = self.new_face_sets(caller, &request.join).await?;
        let made = self.write(caller).await?.create_person(caller.actor(), new, join, join_limits(caller)).await;
        made.map_err(|error| not_made(caller, error))
    }

    /// A person and its sets, in order of joining. Needs the read grant. `PersonNotFound`.
    pub async fn person(&self, caller: &Caller, key: &PersonKey) -> Result<(Person, Vec<FaceSet>)> {
        caller.require(Grant::Read)?;
        let person = self.existing_person(caller, key).await?;
        let face_sets = self.face_sets_of(caller, person.id).await?;
        Ok((person, face_sets))
    }

    /// The same for whoever is about to do something with the person: any grant will do. `PersonNotFound`.
    pub async fn known_person(&self, caller: &Caller, key: &PersonKey) -> Result<(Person, Vec<FaceSet>)> {
        caller.require_any()?;
        let person = self.existing_person(caller, key).await?;
        let face_sets = self.face_sets_of(caller, person.id).await?;
        Ok((person, face_sets))
    }

    /// Changes a person's key, name or note. Needs the enrol grant. `PersonNotFound`, `PersonExists`, `Changed`.
    pub async fn update_person(&self, caller: &Caller, key: &PersonKey, mut patch: PersonPatch) -> Result<Person> {
        caller.require(Grant::Enrol)?;
        patch.name = patch.name.map(Note::as_name);
        if let Some(key) = &patch.key {
            require_new_name("person key", key.as_str())?;
        }
        let person = self.existing_person(caller, key).await?;
        self.require_unshared_person(caller, person.id).await?;
        self.write(caller).await?.update_person(caller.actor(), person.id, patch).await
    }

    /// Deletes a person with its memberships and faces, and returns how many faces. Needs the delete grant.
    /// `PersonNotFound`.
    pub async fn delete_person(&self, caller: &Caller, key: &PersonKey) -> Result<u64> {
        caller.require(Grant::Delete)?;
        let person = self.existing_person(caller, key).await?;
        self.require_unshared_person(caller, person.id).await?;
        self.write(caller).await?.delete_person(caller.actor(), person.id).await
    }

    /// Enrols one face from each image; each succeeds or fails by itself, and they are stored in their order. Needs the
    /// enrol grant. Refused as a whole: `InvalidArgument` (no image or too many), `PersonNotFound`, `PackUnavailable`.
    /// Each image: the image kinds, `NoFaceInImage`, `SeveralFacesInImage`, `PoorQuality`, `CapacityExceeded`.
    ///
    /// The pack is that of the set the person joined first, or the default one if it is in none: a face of another pack
    /// would be stored and never found. The quality gate is the strictest of those of the person's sets, or the library's
    /// default if it is in none; joining a stricter set later takes no face away.
    pub async fn add_person_faces(&self, caller: &Caller, request: AddPersonFaces) -> Result<PersonFacesAdded> {
        caller.require(Grant::Enrol)?;
        if request.images.is_empty() {
            return Err(Error::invalid("images", "no image given, expected at least one"));
        }
        check_count("images", request.images.len(), limits::IMAGES_PER_REQUEST_MAX)?;
        let person = self.existing_person(caller, &request.person).await?;
        self.require_unshared_person(caller, person.id).await?;
        let face_sets = self.ports.store.face_sets_of(caller.tenant, person.id).await?;
        let pack = match face_sets.first() {
            Some(face_set) => self.pack_of(face_set)?.id.clone(),
            None => self.default_pack()?.id.clone(),
        };
        let gate = face_sets.iter().map(|face_set| face_set.quality_gate).max().unwrap_or(self.default_gate);
        let thresholds = QualityThresholds::of(gate);
        let thumbnails = face_sets.iter().any(|face_set| face_set.thumbnails);
        let analysed = together::all(
            request.images.into_iter().map(|image| self.person_face(caller, image, &pack, (&thresholds, thumbnails))),
            IMAGES_AT_ONCE,
        )
        .await;
        let mut faces = Vec::with_capacity(analysed.len());
        for new in analysed {
            faces.push(match new {
                Ok(new) => self.add_person_face(caller, &person, new).await,
                Err(err) => Err(err),
            });
        }
        Ok(PersonFacesAdded { person, face_sets, faces })
    }

    /// The only face of an image, ready to be stored.
    async fn person_face(
        &self,
        caller: &Caller,
        image: PersonImage,
        pack: &PackId,
        (thresholds, thumbnails): (&QualityThresholds, bool),
    ) -> Result<NewFace> {
        let assess = assess_for(thresholds, FaceChoice::Largest, thumbnails);
        // All of them are searched for, since a picture that shows several people is refused.
        let wanted = Wanted { find: FaceChoice::All, ..Wanted::embedded(FaceChoice::Largest) };
        let analysis = self.analyze(caller, &image.image, pack, wanted, assess).await?;
        let n_faces = analysis.faces.len();
        if n_faces > 1 {
            let message = format!("the image shows {n_faces} faces, expected exactly one");
            return Err(Error::new(Kind::SeveralFacesInImage, message));
        }
        let Some(face) = analysis.faces.into_iter().next() else {
            return Err(Error::new(Kind::NoFaceInImage, "the image shows no face"));
        };
        if let Some(doubt) = face.doubt {
            return Err(policy::poor_quality_error(&[policy::doubtful(doubt)]));
        }
        let reasons = policy::poor_quality(&face.quality, &face.detection, thresholds);
        if !reasons.is_empty() {
            return Err(policy::poor_quality_error(&reasons));
        }
        Ok(NewFace {
            id: self.fresh_id(FaceId::new),
            spare_id: None,
            template: super::template_of(&face, pack)?,
            detection: face.detection,
            quality: face.quality,
            subject: None,
            external_id: None,
            fields: FieldValues::default(),
            note: None,
            source: image.source,
            thumbnail: face.assessment.thumbnail,
            created_at: self.ports.clock.now(),
        })
    }

    async fn add_person_face(&self, caller: &Caller, person: &Person, new: NewFace) -> Result<Face> {
        let owner = FaceOwner::Person(person.id);
        let added =
            self.write(caller).await?.add_faces(caller.actor(), owner, vec![new], caller.write_limits()).await?;
        let missing = || Error::internal("cannot add a face to a person", "the store returned none");
        added.into_iter().next().ok_or_else(missing)
    }

    /// The faces a person owns, in order of enrolment. Needs the read grant. `InvalidArgument` for too long a page,
    /// `PersonNotFound`.
    pub async fn list_person_faces(&self, caller: &Caller, key: &PersonKey, page: Page) -> Result<(Person, Vec<Face>)> {
        caller.require(Grant::Read)?;
        check_page(page)?;
        let person = self.existing_person(caller, key).await?;
        let faces = self.ports.store.list_faces(caller.tenant, FaceScope::Person(person.id), page).await?;
        Ok((person, faces))
    }

    /// Those of `ids` that the person owns, in the order asked for, each once. Needs the read grant. `InvalidArgument`
    /// for more than [`limits::SELECTOR_IDS_MAX`] ids, `PersonNotFound`.
    pub async fn person_faces(
        &self,
        caller: &Caller,
        key: &PersonKey,
        ids: Vec<FaceId>,
    ) -> Result<(Person, Vec<Face>)> {
        caller.require(Grant::Read)?;
        check_count("face ids", ids.len(), limits::SELECTOR_IDS_MAX)?;
        let person = self.existing_person(caller, key).await?;
        let faces = self.ports.store.faces(caller.tenant, FaceScope::Person(person.id), ids).await?;
        Ok((person, faces))
    }

    /// The small pictures of those of `ids` that the person owns and that have one, in the order asked for, if a face set of
    /// the person that the caller may use keeps them. Needs the read grant. `PersonNotFound`, `InvalidArgument` for more than
    /// [`limits::THUMBNAILS_MAX`] ids.
    pub async fn person_thumbnails(
        &self,
        caller: &Caller,
        key: &PersonKey,
        ids: Vec<FaceId>,
    ) -> Result<Vec<(FaceId, Thumbnail)>> {
        caller.require(Grant::Read)?;
        check_count("ids", ids.len(), limits::THUMBNAILS_MAX)?;
        let person = self.existing_person(caller, key).await?;
        if !self.shows_pictures(caller, person.id).await? {
            return Ok(Vec::new());
        }
        self.ports.store.thumbnails(caller.tenant, FaceScope::Person(person.id), ids).await
    }

    /// A small picture of each of those persons, which the caller has been shown, in their order: that of the first face that
    /// has one, under the terms of [`Library::person_thumbnails`]. Asks for no grant: the use case did.
    pub async fn portraits(&self, caller: &Caller, persons: &[PersonSummary]) -> Result<Vec<Option<Thumbnail>>> {
        if !self.ports.store.keeps_thumbnails(caller.tenant).await? {
            return Ok(vec![None; persons.len()]);
        }
        let of: Vec<(PersonId, u64)> = persons.iter().map(|summary| (summary.person.id, summary.n_faces)).collect();
        let found = of.into_iter().map(|(person, n_faces)| self.portrait(caller, person, n_faces));
        together::all(found, PORTRAITS_AT_ONCE).await.into_iter().collect()
    }

    async fn portrait(&self, caller: &Caller, person: PersonId, n_faces: u64) -> Result<Option<Thumbnail>> {
        let store = &self.ports.store;
        if n_faces == 0 || !self.shows_pictures(caller, person).await? {
            return Ok(None);
        }
        let scope = FaceScope::Person(person);
        let first = store.faces_from(caller.tenant, scope, 0, PORTRAITS_LOOKED_AT).await?;
        let ids = first.faces.into_iter().map(|face| face.id).collect();
        Ok(store.thumbnails(caller.tenant, scope, ids).await?.into_iter().next().map(|(_, picture)| picture))
    }

    /// Whether a face set of the person that the caller may use keeps small pictures.
    async fn shows_pictures(&self, caller: &Caller, person: PersonId) -> Result<bool> {
        let joined = self.ports.store.face_sets_of(caller.tenant, person).await?;
        Ok(joined.iter().any(|face_set| face_set.thumbnails && caller.sees(face_set.id)))
    }

    /// Deletes those of `ids` that the person owns, from every set, and returns them. Needs the delete grant.
    /// `InvalidArgument` for more than [`limits::SELECTOR_IDS_MAX`] ids, `PersonNotFound`.
    pub async fn delete_person_faces(
        &self,
        caller: &Caller,
        key: &PersonKey,
        ids: Vec<FaceId>,
    ) -> Result<(Person, Vec<FaceId>)> {
        caller.require(Grant::Delete)?;
        check_count("face ids", ids.len(), limits::SELECTOR_IDS_MAX)?;
        let person = self.existing_person(caller, key).await?;
        self.require_unshared_person(caller, person.id).await?;
        let scope = FaceScope::Person(person.id);
        let deleted = self.write(caller).await?.delete_faces(caller.actor(), scope, FaceSelector::Ids(ids)).await?;
        Ok((person, deleted))
    }

    /// Makes a person a member of these sets, all or none; being one already is fine. Needs the enrol grant, and the manage
    /// grant for every face set where a set has to be made. Returns all sets of the person that the caller may use, in order
    /// of joining. `FaceSetNotFound`, `PersonNotFound`, `TooManyFaceSets`, `CapacityExceeded`.
    pub async fn join_face_sets(&self, caller: &Caller, key: &PersonKey, join: Join) -> Result<Vec<FaceSet>> {
        caller.require(Grant::Enrol)?;
        let person = self.existing_person(caller, key).await?;
        let face_sets = self.new_face_sets(caller, &join).await?;
        let limits = join_limits(caller);
        let joined = self.write(caller).await?.join_face_sets(caller.actor(), person.id, face_sets, limits).await;
        let mut joined = joined.map_err(|error| not_made(caller, error))?;
        joined.retain(|face_set| caller.sees(face_set.id));
        Ok(joined)
    }

    /// Ends memberships; the faces stay the person's. Needs the delete grant. Returns the sets that were really left, in
    /// the order given; one that was made by joining it, and has neither members nor faces of its own now, is gone.
    /// `PersonNotFound`.
    pub async fn leave_face_sets(
        &self,
        caller: &Caller,
        key: &PersonKey,
        names: Vec<FaceSetName>,
    ) -> Result<Vec<FaceSet>> {
        caller.require(Grant::Delete)?;
        let person = self.existing_person(caller, key).await?;
        let mut names = names;
        if !caller.face_sets.is_all() {
            // A set that the caller may not use is left alone like one that the person is not in.
            let seen = self.face_sets_of(caller, person.id).await?;
            names.retain(|name| seen.iter().any(|face_set| face_set.name == *name));
        }
        self.write(caller).await?.leave_face_sets(caller.actor(), person.id, names).await
    }

    /// The member persons of a set. Needs the read grant. `InvalidArgument` for too long a page, `FaceSetNotFound`.
    pub async fn members(&self, caller: &Caller, name: &FaceSetName, page: Page) -> Result<Members> {
        caller.require(Grant::Read)?;
        check_page(page)?;
        let face_set = self.existing_face_set(caller, name).await?.face_set;
        let (persons, n_persons) = self.ports.store.members(caller.tenant, face_set.id, page).await?;
        Ok(Members { face_set, persons, n_persons })
    }

    pub(super) async fn existing_person(&self, caller: &Caller, key: &PersonKey) -> Result<Person> {
        let missing = || Error::new(Kind::PersonNotFound, format!("person `{key}` does not exist"));
        let person = self.ports.store.person(caller.tenant, key.clone()).await?.ok_or_else(missing)?;
        if self.sees_person(caller, person.id).await? { Ok(person) } else { Err(missing()) }
    }

    /// What the sets would be if they have to be made. A caller who may not make sets has to name existing ones.
    async fn new_face_sets(&self, caller: &Caller, join: &Join) -> Result<Vec<NewFaceSet>> {
        if !may_make_face_sets(caller) {
            for name in &join.face_sets {
                self.existing_face_set(caller, name).await?;
            }
        }
        for name in &join.face_sets {
            if let Err(refusal) = require_new_name("face set name", name.as_str()) {
                // One that is there from earlier is joined and not made.
                let found = self.existing_face_set(caller, name).await;
                found.map_err(|error| if error.kind() == Kind::FaceSetNotFound { refusal } else { error })?;
            }
        }
        let (pack, now) = (&self.default_pack()?.id, self.ports.clock.now());
        let new = |name: &FaceSetName| NewFaceSet {
            id: self.fresh_id(FaceSetId::new),
            name: name.clone(),
            label: None,
            note: None,
            tags: Tags::default(),
            pack: pack.clone(),
            schema: FieldSchema::default(),
            capacity: quota::capacity(caller, join.capacity),
            quality_gate: self.default_gate,
            thumbnails: false,
            created_at: now,
        };
        Ok(join.face_sets.iter().map(new).collect())
    }
}

/// Whether a set that a person joins is made if it is missing.
fn may_make_face_sets(caller: &Caller) -> bool {
    caller.face_sets.is_all() && caller.grants.contains(Grant::Manage)
}

/// The bounds for joining sets. Whoever may make none has a bound of none: a set that was looked up before the write may be
/// deleted by then, and would be made anew.
fn join_limits(caller: &Caller) -> Option<Limits> {
    let limits = caller.write_limits();
    match may_make_face_sets(caller) {
        true => limits,
        false => Some(Limits { face_sets_max: Some(0), ..limits.unwrap_or(Limits::NONE) }),
    }
}

/// What is said where a set would have had to be made under [`join_limits`].
fn not_made(caller: &Caller, error: Error) -> Error {
    match error.kind() {
        Kind::TooManyFaceSets if !may_make_face_sets(caller) => {
            Error::new(Kind::FaceSetNotFound, "a face set to join was deleted meanwhile")
        }
        _ => error,
    }
}

fn check_person_page(limit: u64) -> Result<()> {
    if (1..=limits::PERSON_PAGE_MAX).contains(&limit) {
        return Ok(());
    }
    Err(Error::invalid("limit", format!("`limit` is {limit}, expected 1 to {}", limits::PERSON_PAGE_MAX)))
}

/// A text that is looked for within others, as it is compared with them.
fn text_within(text: String) -> Result<String> {
    let text = nfc(text, limits::BEGINNING_CHARS_MAX).to_lowercase();
    let n_chars = text.chars().count();
    if (1..=limits::BEGINNING_CHARS_MAX).contains(&n_chars) {
        return Ok(text);
    }
    let message = format!("`contains` has {n_chars} characters, expected 1 to {}", limits::BEGINNING_CHARS_MAX);
    Err(Error::invalid("contains", message))
}

fn check_moved(faces: &[FaceId]) -> Result<()> {
    if faces.is_empty() {
        return Err(Error::new(Kind::FaceNotFound, "none of the face ids given is an id of a face"));
    }
    check_count("face ids", faces.len(), limits::SELECTOR_IDS_MAX)
}
