//! Face sets, persons and faces as stored.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{CommitPage, FaceScope, FaceSelector, Pending, RecordPage, RecordPlace, TransientFaceStore};
use crate::access::{Limits, TenantUsage};
use crate::types::{
    Actor, ExternalId, Face, FaceId, FaceOwner, FacePatch, FaceSet, FaceSetBytes, FaceSetId, FaceSetName, FaceSetPatch,
    FaceSetSummary, NewFace, NewFaceSet, NewPerson, PackId, Person, PersonId, PersonKey, PersonPatch, Revision,
    Template, TenantId, Thumbnail, TimestampMs,
};

/// A stretch of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Entries to leave out at the start.
    pub offset: u64,
    /// Most entries to return.
    pub limit: u64,
}

/// A stretch of a face set's gallery with templates, for archives.
#[derive(Debug, Clone, Default)]
pub struct TemplatePage {
    /// Faces in order of enrolment, each with its template of the set's pack.
    pub faces: Vec<(Face, Template)>,
    /// Faces of the stretch that could not be read because they are damaged; they are not in `faces`.
    pub n_damaged: u64,
    /// Where the next stretch begins, for [`GalleryStore::faces_with_templates`]; `None` at the end.
    pub next: Option<u64>,
}

/// A stretch of a scope's faces, for listings that go on where an earlier one ended.
#[derive(Debug, Clone, Default)]
pub struct FacePage {
    /// Faces in order of enrolment.
    pub faces: Vec<Face>,
    /// Where the next stretch begins, for [`GalleryStore::faces_from`]; `None` at the end.
    pub next: Option<u64>,
}

/// Which faces go from one person to another.
#[derive(Debug, Clone)]
pub struct FaceMove {
    /// Who has them.
    pub from: PersonId,
    /// Who gets them.
    pub to: PersonId,
    /// Those of these that `from` owns; `None` for all of them.
    pub ids: Option<Vec<FaceId>>,
    /// Most of them, the first enrolled first.
    pub limit: u64,
    /// When it happens.
    pub at: TimestampMs,
}

/// An external id within the faces of an owner.
pub type OwnersId = (FaceOwner, ExternalId);

/// A person and how many faces it owns.
#[derive(Debug, Clone)]
pub struct PersonSummary {
    /// The person.
    pub person: Person,
    /// Faces that it owns.
    pub n_faces: u64,
}

/// What a store holds, for `check` and for people who wonder where their disk went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreReport {
    /// Backend and place, for people.
    pub backend: String,
    /// Version of the layout on disk.
    pub schema_version: u32,
    /// Number of the last commit.
    pub revision: Revision,
    /// Tenants.
    pub n_tenants: u64,
    /// Face sets.
    pub n_face_sets: u64,
    /// Persons.
    pub n_persons: u64,
    /// Faces.
    pub n_faces: u64,
    /// Transient faces, expired ones that are not yet erased among them.
    pub n_held_faces: u64,
    /// Faces that are deleted, or whose set or person is, and whose bytes are not yet erased.
    pub n_faces_to_erase: u64,
    /// Bytes of all files of the store.
    pub bytes_on_disk: u64,
    /// Of those, free for reuse.
    pub bytes_free: u64,
    /// What is damaged and what to do about it, a line each; empty when all is well.
    pub problems: Vec<String>,
    /// What is worth knowing and no problem, a line each: names that an upgrade joined or renamed; of a thorough report, names
    /// that look alike.
    pub notes: Vec<String>,
    /// What was looked at to find them, a line each.
    pub checked: Vec<String>,
    /// What was not looked at, and how that is done, a line each.
    pub not_checked: Vec<String>,
    /// How far the check of every row is that goes on beside other work; `None` if none was ever begun.
    pub scrub: Option<ScrubReport>,
}

/// How far a thorough [`GalleryStore::report`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportProgress {
    /// What is looked at, for people.
    pub stage: &'static str,
    /// Rows of the stage that are done.
    pub n_done: u64,
    /// Rows of the stage; 0 where that is not known.
    pub n_all: u64,
}

/// The check of every row that goes on beside other work ([`GalleryStore::scrub`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// When the pass began that is under way; `None` between two passes.
    pub started_at: Option<TimestampMs>,
    /// When the last whole pass ended; `None` before the first one.
    pub finished_at: Option<TimestampMs>,
    /// Rows read by the pass that is under way, or by the last one.
    pub n_rows_read: u64,
    /// About how many rows there were when it began.
    pub n_rows_all: u64,
}

/// What a step of [`GalleryStore::scrub`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScrubStep {
    /// It has read so many rows, and there is more to read.
    Read(u64),
    /// There is nothing to read before this time.
    NotBefore(TimestampMs),
}

/// How a store is at this moment, as far as it knows without looking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// Why writes fail on account of the machine (a full, broken or read-only disk), for people; `None` while they work.
    /// Reading and searching may work all the same.
    pub write_failure: Option<String>,
    /// Damaged rows that are neither searched nor returned.
    pub n_rows_set_aside: u64,
    /// The same by table, of every table whose rows can be told to be damaged; empty for a store without such tables.
    pub rows_set_aside_of: BTreeMap<&'static str, u64>,
    /// Other damage that was found since the store was opened: parts of tables that cannot be read, galleries that show a face
    /// that does not belong there.
    pub n_other_damage: u64,
    /// Times that acknowledged commits went missing, until somebody acknowledges it
    /// ([`GalleryStore::acknowledge_losses`]).
    pub n_losses: u64,
    /// How far the check of every row is that goes on beside other work; `None` if none was ever begun.
    pub scrub: Option<ScrubReport>,
    /// The service besides the store in which large face sets are searched; `None` if there is none.
    pub outside: Option<OutsideHealth>,
}

/// How a service is that has copies of large face sets, as this node sees it. Sets that are not there go on without it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutsideHealth {
    /// Its name, for people.
    pub name: &'static str,
    /// Why it cannot be used; `None` while it answers.
    pub trouble: Option<OutsideTrouble>,
    /// Face sets that are there, or on their way.
    pub n_sets: u64,
    /// Of those, the ones that are still being copied there for the first time, and searched in the nodes meanwhile.
    pub n_sets_moving: u64,
    /// Those that are copied anew, whose searches are refused meanwhile.
    pub n_sets_refused: u64,
    /// Commits that it does not have yet.
    pub n_commits_behind: u64,
    /// Faces of those sets that have changed and that it does not have yet, as far as this node keeps them in memory.
    pub n_faces_behind: u64,
}

/// See [`OutsideHealth`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideTrouble {
    /// Since when.
    pub since: TimestampMs,
    /// What it says, or that it does not answer, for people.
    pub why: String,
    /// What is to be changed, where it does not pass by itself.
    pub cure: Option<&'static str>,
}

/// The truth: face sets, persons and faces of every tenant. See the module's page for what a write promises.
///
/// Every method takes the tenant, writing ones as part of the [`Actor`], and nothing of another tenant is ever returned, counted or touched: an id of another
/// tenant's thing behaves exactly like an id that does not exist.
///
/// Ids inside `New*` values are proposals: an id already in use is replaced by the next free one (counting up, from
/// the largest to 1; a face with a spare id gets that one, or the next free one after it), so returned values, not proposed
/// ones, are what was stored.
///
/// Writes that take [`Limits`] hold them exactly, however many come at once: they are compared with what is stored in the
/// transaction that writes. `None` is for the server's own work, which has none.
///
/// Any method may answer [`crate::Kind::Overloaded`] (queue full), [`crate::Kind::StorageFull`] (writes only) or
/// [`crate::Kind::Internal`]; other kinds are named with the method.
pub trait GalleryStore: TransientFaceStore {
    /// Makes a face set. `FaceSetExists` if the name is taken; `TooManyFaceSets` if the tenant already has
    /// `face_sets_max`; a taken name is reported before a full quota.
    fn create_face_set(&self, actor: Actor, new: NewFaceSet, face_sets_max: Option<u64>) -> Pending<'_, FaceSet>;

    /// The set of that name.
    fn face_set(&self, tenant: TenantId, name: FaceSetName) -> Pending<'_, Option<FaceSetSummary>>;

    /// The set with that id.
    fn face_set_by_id(&self, tenant: TenantId, id: FaceSetId) -> Pending<'_, Option<FaceSetSummary>>;

    /// Changes a set's name, texts, tags, quality gate, capacity, or whether it keeps small pictures. `FaceSetNotFound`;
    /// `FaceSetExists` if the new name is another set's; `Overloaded` if it is to keep pictures again while its former ones
    /// are still being erased.
    fn update_face_set(&self, actor: Actor, face_set: FaceSetId, patch: FaceSetPatch) -> Pending<'_, FaceSet>;

    /// Every set, oldest first.
    fn face_sets(&self, tenant: TenantId) -> Pending<'_, Vec<FaceSetSummary>>;

    /// How many bytes the faces of a set take; of a set of more than [`FaceSetBytes::SAMPLE_MAX`] faces from a sample spread
    /// over it, so that it costs little whatever the size. Nothing for a set that does not exist.
    fn face_set_bytes(&self, tenant: TenantId, face_set: FaceSetId) -> Pending<'_, FaceSetBytes>;

    /// Deletes a set with its own faces; member persons lose the membership only. The name is free at once and the
    /// call is quick however many faces there are: their rows may be erased a little later, even across a restart, but
    /// nothing ever shows them again. `FaceSetNotFound`; `FaceSetNotEmpty` if `only_if_empty` and the gallery is not.
    fn delete_face_set(&self, actor: Actor, face_set: FaceSetId, only_if_empty: bool) -> Pending<'_, ()>;

    /// Enrols faces, all or none, in the given order. The owner must exist (`FaceSetNotFound`, `PersonNotFound`).
    /// `CapacityExceeded` if a set's gallery would pass the set's capacity, or one of the `limits` on faces would be passed:
    /// those of the tenant, of a person that owns them, and of each set that would show them. `FaceExists` if an external id is already used within the owner. `InvalidArgument` if a template is not
    /// of the owning set's pack.
    fn add_faces(
        &self,
        actor: Actor,
        owner: FaceOwner,
        faces: Vec<NewFace>,
        limits: Option<Limits>,
    ) -> Pending<'_, Vec<Face>> {
        self.add_faces_of(actor, vec![(owner, faces)], limits)
    }

    /// The same for faces of several owners, of whom each may come more than once: all or none, as one commit. The limits
    /// hold for all of them together.
    fn add_faces_of(
        &self,
        actor: Actor,
        faces: Vec<(FaceOwner, Vec<NewFace>)>,
        limits: Option<Limits>,
    ) -> Pending<'_, Vec<Face>>;

    /// Those of `ids` that are in the scope, in the order asked for, each once. As everywhere, a scope that does not exist
    /// is empty.
    fn faces(&self, tenant: TenantId, scope: FaceScope, ids: Vec<FaceId>) -> Pending<'_, Vec<Face>>;

    /// The templates of that pack of those of `ids` that are in the scope, or anywhere in the tenant, in the order asked
    /// for, each face once. A face without a template of that pack is left out, and one whose template is damaged if there is
    /// a whole one among the others; if there is none, that is [`crate::Kind::Internal`].
    fn templates(
        &self,
        tenant: TenantId,
        scope: Option<FaceScope>,
        ids: Vec<FaceId>,
        pack: PackId,
    ) -> Pending<'_, Vec<(FaceId, Template)>>;

    /// Faces of a set's gallery with their templates of the set's pack, at most `limit` of them, in order of enrolment from
    /// the place that an earlier answer's `next` named, or from the beginning (0). What is enrolled or deleted between two
    /// calls moves no other face out of the stretches. A set that does not exist is empty.
    fn faces_with_templates(
        &self,
        tenant: TenantId,
        face_set: FaceSetId,
        from: u64,
        limit: u64,
    ) -> Pending<'_, TemplatePage>;

    /// The small pictures of those of `ids` that are in the scope, in the order asked for, each once. Faces without one are
    /// left out, and damaged ones as if there were none. They are given to who asks in the scope of a set that keeps them
    /// ([`FaceSet::thumbnails`]), or of a person who is a member of one.
    ///
    /// A picture lives as long as its face and as long as a set that shows the face keeps pictures: it is erased when the
    /// last such set is deleted, left by the person who owns the face, or told to keep none; of many a little later.
    fn thumbnails(&self, tenant: TenantId, scope: FaceScope, ids: Vec<FaceId>)
    -> Pending<'_, Vec<(FaceId, Thumbnail)>>;

    /// Whether any face set of the tenant keeps small pictures of faces.
    fn keeps_thumbnails(&self, tenant: TenantId) -> Pending<'_, bool>;

    /// Gives faces templates of further packs, all or none; one of a pack that the face has already is replaced. A face of
    /// a person is from then on also in the galleries of those of the person's sets that have the template's pack.
    /// `FaceNotFound` if an id is no face of the tenant; `CapacityExceeded` if a set's gallery would pass its capacity.
    fn put_templates(&self, actor: Actor, templates: Vec<(FaceId, Template)>) -> Pending<'_, ()>;

    /// The face sets whose galleries show any of these faces, each once: by face in the order asked for, and those of a
    /// person's face in order of joining.
    fn face_sets_showing(&self, tenant: TenantId, faces: Vec<FaceId>) -> Pending<'_, Vec<FaceSet>>;

    /// The faces of the scope in order of enrolment.
    fn list_faces(&self, tenant: TenantId, scope: FaceScope, page: Page) -> Pending<'_, Vec<Face>>;

    /// Faces of the scope, at most `limit` of them, in order of enrolment from the place that an earlier answer's `next` named,
    /// or from the beginning (0). What is enrolled or deleted between two calls moves no other face out of the stretches.
    /// A scope that does not exist is empty. Damaged faces are left out, so a stretch may be shorter than `limit`.
    fn faces_from(&self, tenant: TenantId, scope: FaceScope, from: u64, limit: u64) -> Pending<'_, FacePage>;

    /// The faces at these places of a set's gallery ([`VectorIndex::matching`](super::VectorIndex::matching),
    /// [`GalleryStore::places_beginning`]), in order of enrolment. Places that are of no face of the gallery are passed over,
    /// and damaged faces left out.
    fn faces_at(&self, tenant: TenantId, face_set: FaceSetId, places: Vec<u64>) -> Pending<'_, Vec<Face>>;

    /// Places of faces of a set's gallery whose label or external id begins with one of the texts, or whose person's key or
    /// name does, at most `limit` of them, ascending; which ones where there are more is left open, the same ones in every store. It takes no longer in a
    /// large set than in a small one, but for its member persons.
    fn places_beginning(
        &self,
        tenant: TenantId,
        face_set: FaceSetId,
        texts: Vec<String>,
        limit: u64,
    ) -> Pending<'_, Vec<u64>>;

    /// Which of these external ids are used by faces the owner owns, in the order asked for, each once.
    fn external_ids(
        &self,
        tenant: TenantId,
        owner: FaceOwner,
        ids: Vec<ExternalId>,
    ) -> Pending<'_, Vec<(ExternalId, FaceId)>> {
        let asked = ids.into_iter().map(|id| (owner, id)).collect();
        Box::pin(async move {
            let used = self.external_ids_of(tenant, asked).await?;
            Ok(used.into_iter().map(|((_, id), face)| (id, face)).collect())
        })
    }

    /// The same for several owners.
    fn external_ids_of(&self, tenant: TenantId, ids: Vec<OwnersId>) -> Pending<'_, Vec<(OwnersId, FaceId)>>;

    /// Changes a face's label, note or custom fields. `FaceNotFound` if it is not in the scope.
    fn update_face(
        &self,
        actor: Actor,
        scope: FaceScope,
        face: FaceId,
        patch: FacePatch,
        now: TimestampMs,
    ) -> Pending<'_, Face>;

    /// Deletes every face of the scope that the selector means when the delete begins, and returns their ids in order of
    /// enrolment. Faces of member persons are deleted from the person, so from every set. None is an empty list. In the
    /// scope of a person a filter sees no custom fields, as they have no schema there.
    ///
    /// All or none for the caller. A few hundred faces are one commit. More may be erased in several commits of the same
    /// actor, so that other writes do not wait for all of them; readers may see some of the faces gone before others. Once
    /// the first is gone, the delete is finished whatever happens, also after a crash.
    fn delete_faces(&self, actor: Actor, scope: FaceScope, selector: FaceSelector) -> Pending<'_, Vec<FaceId>>;

    /// Makes a person that is a member of these sets, making the sets that are missing. `PersonExists`;
    /// `TooManyPersons` and `TooManyFaceSets` under the `limits`, as in [`GalleryStore::create_face_set`]. Returns the sets in the order given, each once.
    ///
    /// A set that was made by joining it is there for its members: when the last one leaves (or is deleted) and the set
    /// owns no face, it is deleted in the same commit. Sets made by [`GalleryStore::create_face_set`] stay.
    fn create_person(
        &self,
        actor: Actor,
        new: NewPerson,
        join: Vec<NewFaceSet>,
        limits: Option<Limits>,
    ) -> Pending<'_, (Person, Vec<FaceSet>)>;

    /// Makes persons members of a set, all or none, in the given order; those whose keys no person has are made, and the others
    /// stay as they are. Being a member already is fine. Returns the persons of these keys, in the order given, each once.
    /// `FaceSetNotFound`; `TooManyPersons` under the `limits`; `CapacityExceeded` as in [`GalleryStore::join_face_sets`].
    fn make_members(
        &self,
        actor: Actor,
        face_set: FaceSetId,
        persons: Vec<NewPerson>,
        limits: Option<Limits>,
    ) -> Pending<'_, Vec<Person>>;

    /// The person with that key.
    fn person(&self, tenant: TenantId, key: PersonKey) -> Pending<'_, Option<Person>>;

    /// Those persons that exist, in the order asked for.
    fn persons(&self, tenant: TenantId, ids: Vec<PersonId>) -> Pending<'_, Vec<Person>>;

    /// Those persons that have these keys, in the order asked for, each once, and whether they are members of that set.
    fn persons_named(
        &self,
        tenant: TenantId,
        keys: Vec<PersonKey>,
        face_set: FaceSetId,
    ) -> Pending<'_, Vec<(PersonSummary, bool)>>;

    /// Persons in the order of their keys as bytes, behind the key `after`, at most `limit` of them.
    fn persons_after(&self, tenant: TenantId, after: Option<PersonKey>, limit: u64) -> Pending<'_, Vec<PersonSummary>>;

    /// How many faces a person owns; 0 of one that is not there.
    fn n_faces_of_person(&self, tenant: TenantId, person: PersonId) -> Pending<'_, u64>;

    /// Makes faces of one person those of another, all or none, and returns them in order of enrolment. From then on they are
    /// in the galleries of the sets that `to` is a member of, and in no other; memberships stay. `PersonNotFound`; `FaceExists`
    /// if `to` has a face of the same external id; `CapacityExceeded` if a set's gallery would pass its capacity, or one of the
    /// `limits` on faces of a person or set would be passed.
    fn move_faces(&self, actor: Actor, faces: FaceMove, limits: Option<Limits>) -> Pending<'_, Vec<Face>>;

    /// Changes a person's key, name or note. `PersonNotFound`; `PersonExists` if the new key is another person's.
    fn update_person(&self, actor: Actor, person: PersonId, patch: PersonPatch) -> Pending<'_, Person>;

    /// Deletes a person, its memberships and all its faces; returns how many faces. `PersonNotFound`.
    fn delete_person(&self, actor: Actor, person: PersonId) -> Pending<'_, u64>;

    /// Deletes a person that has given all it had to another: that owns no face and is a member of no set that `into` is not a
    /// member of. Otherwise nothing is changed, and the answer is `false`. `PersonNotFound` if either is not there.
    fn delete_merged_person(&self, actor: Actor, person: PersonId, into: PersonId) -> Pending<'_, bool>;

    /// Makes a person a member of these sets, making those that are missing; all or none. Being a member already is
    /// fine. A set's pack need not be the person's faces' pack: faces without a template of the set's pack join no gallery. Returns all sets
    /// of the person after the call, in order of joining. `PersonNotFound`; `TooManyFaceSets` under the `limits`;
    /// `CapacityExceeded` if a set's gallery would pass its capacity or the limit on faces of a set.
    fn join_face_sets(
        &self,
        actor: Actor,
        person: PersonId,
        join: Vec<NewFaceSet>,
        limits: Option<Limits>,
    ) -> Pending<'_, Vec<FaceSet>>;

    /// Ends memberships; returns the sets the person really left, in the order given. `PersonNotFound`.
    fn leave_face_sets(&self, actor: Actor, person: PersonId, names: Vec<FaceSetName>) -> Pending<'_, Vec<FaceSet>>;

    /// The sets a person is a member of, in order of joining.
    fn face_sets_of(&self, tenant: TenantId, person: PersonId) -> Pending<'_, Vec<FaceSet>>;

    /// The member persons of a set in order of joining, and how many there are in all.
    fn members(&self, tenant: TenantId, face_set: FaceSetId, page: Page) -> Pending<'_, (Vec<Person>, u64)>;

    /// How much of its limits a tenant uses.
    fn usage(&self, tenant: TenantId) -> Pending<'_, TenantUsage>;

    /// Deletes the actor's tenant with everything of it: keys, face sets, persons, faces, transient faces, uploads, jobs. As
    /// with [`GalleryStore::delete_face_set`] all is hidden at once and the name is free; the rows may be erased a little
    /// later. Later writes for the tenant are refused (`Forbidden`). False if there is no such tenant.
    fn delete_tenant(&self, actor: Actor) -> Pending<'_, bool>;

    /// The commits after a revision, over all tenants, at most `limit` of them: what a follower has to apply, with the rows
    /// as they are now. A row that is gone is left out of them, as a later commit says so; so nothing of a deleted face is
    /// ever read from an old commit. Old commits are compacted away by age and number ([`CommitPage::TooOld`]): when there are
    /// too many, the oldest of whoever has most, so that nobody makes the record of another tenant shorter.
    fn changes_after(&self, revision: Revision, limit: usize) -> Pending<'_, CommitPage>;

    /// The record of a tenant's commits after a place, at most `limit` of them, by ids: for whoever wants to know who did
    /// what. A commit that is damaged is left out, as a report names it. [`crate::Kind::Changed`] if the store has not got as
    /// far as that place, or does not have its commit any more: then it may be of another history, and nobody knows what whoever
    /// was there has seen.
    fn record_after(&self, tenant: TenantId, after: RecordPlace, limit: usize) -> Pending<'_, RecordPage>;

    /// How it is. Never waits, so that it can be asked often.
    fn health(&self) -> StoreHealth;

    /// Tries whether something can be written; [`GalleryStore::health`] then says whether that worked. At most once a
    /// second something is written: in between nothing is done. Errors: [`crate::Kind::Overloaded`] if too many writes are
    /// waiting. A store that can always write has nothing to try.
    fn probe_writes(&self) -> Pending<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// What is stored, over all tenants. `thorough` also reads every row, checks every template and compares the index with
    /// the store.
    fn report(&self, thorough: bool) -> Pending<'_, StoreReport>;

    /// How far the thorough report is that was asked for last; `None` when none is made. Never waits.
    fn report_progress(&self) -> Option<ReportProgress> {
        None
    }

    /// Somebody has seen that acknowledged commits were lost: reports do not say so any more. Returns what they said.
    fn acknowledge_losses(&self) -> Pending<'_, Vec<String>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Reads the next rows again and compares their checksums, at most `n_rows_max` of them and no longer than some 20 ms; damaged
    /// ones are set aside. A pass over all rows begins `interval` after the last one ended and goes on where it was after a
    /// restart. Whoever calls it decides on the pauses between two steps. A store that keeps nothing on a disk has nothing to
    /// read.
    fn scrub(&self, now: TimestampMs, interval: Duration, n_rows_max: u64) -> Pending<'_, ScrubStep> {
        let _ = n_rows_max;
        let after = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        Box::pin(std::future::ready(Ok(ScrubStep::NotBefore(TimestampMs(now.0.saturating_add(after))))))
    }
}
