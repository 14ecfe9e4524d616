//! Faces of a face set: enrol, list, get, update, delete.

use std::sync::Arc;

use super::{AddFaces, DeleteFaces, FacesAdded, Library, PassingFaces, RefusedFace, UpdateFace, Wanted};
use crate::access::{Caller, Grant};
use crate::filter::{Expr, Filter};
use crate::limits;
use crate::policy::{self, QualityThresholds};
use crate::ports::{AnalyzedFace, Assess, FaceChoice, FacePage, FaceScope, FaceSelector, Page};
use crate::types::{
    Aspects, ExternalId, Face, FaceId, FaceOwner, FacePatch, FaceSet, FaceSetId, FaceSetKey, FaceSetName, FieldSchema,
    FieldValues, NewFace, Template, Thumbnail, TimestampMs, nfc,
};
use crate::{Error, Kind, Result};

/// Faces of one image that are known again by [`AddFaces::first_id`].
const NUMBERED_MAX: usize = 100;

/// The id of the face that comes so many after the first.
fn nth_id(first: FaceId, face_idx: usize) -> Option<FaceId> {
    FaceId::new(first.get().checked_add(u64::try_from(face_idx).ok()?)?)
}

impl Library {
    /// Enrols faces from an image. Of the chosen ones, those that do not pass the set's quality gate and the request's
    /// thresholds are left out and reported; the others are enrolled, all or none. Needs the enrol grant. Checked in this
    /// order: `FaceSetNotFound`, custom fields (`FieldNotDefined`, `FieldTypeMismatch`), `PackUnavailable`, the image
    /// kinds, `NoFaceInImage`, `PoorQuality` if none is good enough (with the reasons of the largest),
    /// `CapacityExceeded`, `FaceExists`.
    pub async fn add_faces(&self, caller: &Caller, request: AddFaces) -> Result<FacesAdded> {
        caller.require(Grant::Enrol)?;
        check_choice(request.choice)?;
        let summary = self.existing_face_set(caller, &request.face_set).await?;
        let face_set = &summary.face_set;
        let fields = face_set.schema.typed(&request.fields)?;
        self.pack_of(face_set)?;
        if let Some(first) = request.first_id {
            let faces = self.faces_enrolled_as(caller, face_set.id, first).await?;
            if !faces.is_empty() {
                return Ok(FacesAdded { face_set: summary.face_set, faces, refused: Vec::new() });
            }
        }

        let thresholds = QualityThresholds::of(face_set.quality_gate).and(request.thresholds);
        let assess = assess_for(&thresholds, request.choice, face_set.thumbnails);
        let wanted = Wanted { face_side_min: thresholds.side_px, ..Wanted::embedded(request.choice) };
        let analysis = self.analyze(caller, &request.image, &face_set.pack, wanted, assess).await?;
        let n_chosen = request.choice.count(analysis.faces.len());
        if n_chosen == 0 {
            return Err(Error::new(Kind::NoFaceInImage, "the image shows no face"));
        }
        let (good, refused) =
            sorted_out(analysis.faces.into_iter().take(n_chosen), &thresholds, request.accept_doubtful);
        if let (true, Some(largest)) = (good.is_empty(), refused.first()) {
            return Err(policy::poor_quality_error(&largest.reasons));
        }
        let now = self.ports.clock.now();
        let mut faces = Vec::with_capacity(good.len());
        for (face_idx, analyzed) in good.into_iter().enumerate() {
            faces.push(self.new_face(&request, &fields, face_set, face_idx, analyzed, now)?);
        }
        let owner = FaceOwner::FaceSet(face_set.id);
        let faces = self.write(caller).await?.add_faces(caller.actor(), owner, faces, caller.write_limits()).await?;
        Ok(FacesAdded { face_set: summary.face_set, faces, refused })
    }

    /// Refuses requests to enrol that could not be met whatever their images show, and gives the face set they are for. Needs
    /// the enrol grant. `FaceSetNotFound`, and of the request that is named `InvalidArgument`, `FieldNotDefined` and
    /// `FieldTypeMismatch`; `PackUnavailable`.
    pub async fn check_add(&self, caller: &Caller, name: &FaceSetName, requests: &[AddFaces]) -> Result<FaceSet> {
        caller.require(Grant::Enrol)?;
        let face_set = self.existing_face_set(caller, name).await?.face_set;
        for (idx, request) in requests.iter().enumerate() {
            let fields = check_choice(request.choice).and_then(|()| face_set.schema.typed(&request.fields));
            fields.map_err(|error| {
                let place = error.field().map(|field| format!("photos[{idx}].{field}"));
                let error = error.about(format_args!("photo {}", idx + 1));
                place.into_iter().fold(error, Error::with_field)
            })?;
        }
        self.pack_of(&face_set)?;
        Ok(face_set)
    }

    /// An id for a face that is to be enrolled, see [`AddFaces::first_id`].
    pub fn fresh_face_id(&self) -> FaceId {
        self.fresh_id(FaceId::new)
    }

    /// The faces of the image that was enrolled with this [`AddFaces::first_id`]; none if it was not, or they are deleted. For
    /// whoever takes up, or tells of, work that somebody else has begun.
    pub async fn faces_enrolled_as(&self, caller: &Caller, face_set: FaceSetId, first: FaceId) -> Result<Vec<Face>> {
        let ids = (0..NUMBERED_MAX).map_while(|face_idx| nth_id(first, face_idx)).collect();
        self.ports.store.faces(caller.tenant, FaceScope::FaceSet(face_set), ids).await
    }

    fn new_face(
        &self,
        request: &AddFaces,
        fields: &FieldValues,
        face_set: &FaceSet,
        face_idx: usize,
        analyzed: AnalyzedFace,
        now: TimestampMs,
    ) -> Result<NewFace> {
        Ok(NewFace {
            id: request
                .first_id
                .and_then(|first| nth_id(first, face_idx))
                .unwrap_or_else(|| self.fresh_id(FaceId::new)),
            spare_id: None,
            template: super::template_of(&analyzed, &face_set.pack)?,
            detection: analyzed.detection,
            quality: analyzed.quality,
            subject: request.subject.clone(),
            external_id: request.external_id.as_ref().map(|first| numbered(first, face_idx)).transpose()?,
            fields: fields.clone(),
            note: request.note.clone(),
            source: None,
            thumbnail: analyzed.assessment.thumbnail,
            created_at: now,
        })
    }

    /// Faces in order of enrolment. Needs the read grant. `InvalidArgument` if the page is longer than
    /// [`limits::PAGE_LIMIT_MAX`]; `FaceSetNotFound`.
    pub async fn list_faces(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
        page: Page,
    ) -> Result<(FaceSet, Vec<Face>)> {
        caller.require(Grant::Read)?;
        super::check_page(page)?;
        let face_set = self.existing_face_set(caller, face_set).await?.face_set;
        let faces = self.ports.store.list_faces(caller.tenant, FaceScope::FaceSet(face_set.id), page).await?;
        Ok((face_set, faces))
    }

    /// Faces from a place on, as [`crate::ports::GalleryStore::faces_from`] has them: the place is an earlier answer's `next`,
    /// or 0. Needs the read grant. `InvalidArgument` for too long a stretch; `FaceSetNotFound`.
    pub async fn faces_from(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
        from: u64,
        limit: u64,
    ) -> Result<(FaceSet, FacePage)> {
        caller.require(Grant::Read)?;
        super::check_page(Page { offset: 0, limit })?;
        let face_set = self.existing_face_set(caller, face_set).await?.face_set;
        let scope = FaceScope::FaceSet(face_set.id);
        let page = self.ports.store.faces_from(caller.tenant, scope, from, limit).await?;
        Ok((face_set, page))
    }

    /// The faces that pass a filter, in order of enrolment, from a place on: an earlier answer's `next`, or 0. The page counts
    /// from there. Needs the read grant. As [`Library::list_faces`], and the errors of the filter.
    pub async fn faces_passing(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
        filter: Expr,
        from: u64,
        page: Page,
    ) -> Result<PassingFaces> {
        caller.require(Grant::Read)?;
        super::check_page(page)?;
        let face_set = self.existing_face_set(caller, face_set).await?.face_set;
        let filter = Arc::new(filter.check(&face_set.schema)?);
        let places = self.ports.index.matching(face_set.id, filter).await?;
        let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let begin = places.partition_point(|&place| place < from).saturating_add(whole(page.offset)).min(places.len());
        let end = begin.saturating_add(whole(page.limit)).min(places.len());
        let faces = self.ports.store.faces_at(caller.tenant, face_set.id, places[begin..end].to_vec()).await?;
        Ok(PassingFaces { faces, n_matching: places.len() as u64, next: places.get(end).copied() })
    }

    /// Faces whose label or external id begins with a text, or whose person's key or name does, at most `limit` of them, in
    /// order of enrolment; the text as it is, in small letters, and with a capital. Needs the read grant. `FaceSetNotFound`;
    /// `InvalidArgument` for an empty text, one of more than [`limits::BEGINNING_CHARS_MAX`] characters, and for a limit beyond
    /// [`limits::PAGE_LIMIT_MAX`].
    pub async fn faces_beginning(
        &self,
        caller: &Caller,
        name: &FaceSetName,
        text: &str,
        limit: u64,
    ) -> Result<Vec<Face>> {
        caller.require(Grant::Read)?;
        super::check_page(Page { offset: 0, limit })?;
        let text = nfc(text.to_owned(), limits::BEGINNING_CHARS_MAX);
        let n_chars = text.chars().count();
        if !(1..=limits::BEGINNING_CHARS_MAX).contains(&n_chars) {
            let message = format!("`begins` has {n_chars} characters, expected 1 to {}", limits::BEGINNING_CHARS_MAX);
            return Err(Error::invalid("begins", message));
        }
        let face_set = self.existing_face_set(caller, name).await?.face_set;
        let small = text.to_lowercase();
        let mut letters = small.chars();
        let capital: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        let mut texts = vec![text, small, capital];
        texts.sort_unstable();
        texts.dedup();
        let places = self.ports.store.places_beginning(caller.tenant, face_set.id, texts, limit).await?;
        self.ports.store.faces_at(caller.tenant, face_set.id, places).await
    }

    /// One face. Needs the read grant. `FaceSetNotFound`, `FaceNotFound`.
    pub async fn face(&self, caller: &Caller, name: &FaceSetName, face: FaceId) -> Result<(FaceSet, Face)> {
        caller.require(Grant::Read)?;
        let face_set = self.existing_face_set(caller, name).await?.face_set;
        let face = self.existing_face(caller, &face_set, face).await?;
        Ok((face_set, face))
    }

    /// Which of these external ids are already enrolled in the set. Needs the read grant. `InvalidArgument` for more
    /// than [`limits::EXTERNAL_IDS_MAX`] ids; `FaceSetNotFound`.
    pub async fn enrolled(&self, caller: &Caller, name: &FaceSetName, ids: Vec<ExternalId>) -> Result<Vec<ExternalId>> {
        caller.require(Grant::Read)?;
        super::check_count("external ids", ids.len(), limits::EXTERNAL_IDS_MAX)?;
        let face_set = self.existing_face_set(caller, name).await?.face_set;
        let owner = FaceOwner::FaceSet(face_set.id);
        let used = self.ports.store.external_ids(caller.tenant, owner, ids).await?;
        Ok(used.into_iter().map(|(external_id, _)| external_id).collect())
    }

    /// Changes a face's label, note and custom values, and takes away what is to be; values are laid over the present ones. Needs the enrol grant.
    /// `FaceSetNotFound`, `FaceNotFound`, `FieldNotDefined` (also for any custom value of a person's face, since those
    /// have none), `FieldTypeMismatch`, `Changed`.
    pub async fn update_face(
        &self,
        caller: &Caller,
        name: &FaceSetName,
        face: FaceId,
        request: UpdateFace,
    ) -> Result<(FaceSet, Face)> {
        caller.require(Grant::Enrol)?;
        let face_set = self.existing_face_set(caller, name).await?.face_set;
        if !caller.face_sets.is_all() {
            let known = self.existing_face(caller, &face_set, face).await?;
            self.require_unshared_faces(caller, &[known]).await?;
        }
        let UpdateFace { subject, fields, note, cleared, only_if } = request;
        let fields = match fields.is_empty() && cleared.fields.is_empty() {
            true => FieldValues::default(),
            false => {
                // A person is in many sets, each with its own fields, so its faces can have none.
                let no_fields = FieldSchema::default();
                let schema = match self.existing_face(caller, &face_set, face).await?.owner {
                    FaceOwner::FaceSet(_) => &face_set.schema,
                    FaceOwner::Person(_) => &no_fields,
                };
                for name in &cleared.fields {
                    schema.defined(name.as_str())?;
                }
                schema.typed(&fields)?
            }
        };
        let patch = FacePatch { subject, fields, note, cleared, only_if };
        let scope = FaceScope::FaceSet(face_set.id);
        let now = self.ports.clock.now();
        let face = self.write(caller).await?.update_face(caller.actor(), scope, face, patch, now).await?;
        Ok((face_set, face))
    }

    /// Deletes faces, all that are meant or none, and returns their ids; none is an empty list. Needs the delete
    /// grant. `FaceSetNotFound`, `UnknownField`, and `InvalidArgument` for a filter or value that does not fit the
    /// fields or for more than [`limits::SELECTOR_IDS_MAX`] ids.
    pub async fn delete_faces(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
        which: DeleteFaces,
    ) -> Result<(FaceSet, Vec<FaceId>)> {
        caller.require(Grant::Delete)?;
        let face_set = self.existing_face_set(caller, face_set).await?.face_set;
        let selector = selector(which, &face_set.schema)?;
        let scope = FaceScope::FaceSet(face_set.id);
        match &selector {
            FaceSelector::Ids(ids) if !caller.face_sets.is_all() => {
                let meant = self.ports.store.faces(caller.tenant, scope, ids.clone()).await?;
                self.require_unshared_faces(caller, &meant).await?;
            }
            _ => self.require_unshared_members(caller, &face_set).await?,
        }
        let deleted = self.write(caller).await?.delete_faces(caller.actor(), scope, selector).await?;
        Ok((face_set, deleted))
    }

    /// Checks whether [`Library::delete_faces`] could be asked for, and deletes nothing: grant, face set, fields. Errors as there.
    pub async fn check_delete(&self, caller: &Caller, name: &FaceSetName, which: DeleteFaces) -> Result<FaceSet> {
        caller.require(Grant::Delete)?;
        let face_set = self.existing_face_set(caller, name).await?.face_set;
        selector(which, &face_set.schema)?;
        Ok(face_set)
    }

    /// How many faces are meant: as many as [`Library::delete_faces`] would delete. Needs the read grant. Errors as there.
    pub async fn count_faces(&self, caller: &Caller, name: &FaceSetName, which: DeleteFaces) -> Result<u64> {
        caller.require(Grant::Read)?;
        let face_set = self.existing_face_set(caller, name).await?.face_set;
        let filter = match selector(which, &face_set.schema)? {
            FaceSelector::Ids(ids) => {
                let scope = FaceScope::FaceSet(face_set.id);
                return Ok(self.ports.store.faces(caller.tenant, scope, ids).await?.len() as u64);
            }
            FaceSelector::Subject(subject) => Arc::new(Filter::Subject(subject.as_str().into())),
            FaceSelector::Field { name, value } => Arc::new(Filter::equals(&face_set.schema, &name, &value)),
            FaceSelector::Filter(filter) => filter,
        };
        Ok(self.ports.index.matching(face_set.id, filter).await?.len() as u64)
    }

    /// The templates of the set's pack of those of `ids` that are in its gallery. Needs the read and the templates grant.
    /// `FaceSetNotFound`, `InvalidArgument` for more than [`limits::PAGE_LIMIT_MAX`] ids.
    pub async fn templates(
        &self,
        caller: &Caller,
        name: &FaceSetName,
        ids: Vec<FaceId>,
    ) -> Result<Vec<(FaceId, Template)>> {
        caller.require(Grant::Read)?;
        caller.require(Grant::Templates)?;
        super::check_count("face ids", ids.len(), limits::PAGE_LIMIT_MAX as usize)?;
        let face_set = self.existing_face_set(caller, name).await?.face_set;
        let scope = Some(FaceScope::FaceSet(face_set.id));
        self.ports.store.templates(caller.tenant, scope, ids, face_set.pack).await
    }

    /// The small picture of a face; `None` if there is none, as where the set keeps none or began to keep them later. Needs
    /// the read grant, as the labels and notes of the face do: who may read whose face it is may look at it. `FaceSetNotFound`,
    /// `FaceNotFound`.
    pub async fn thumbnail(&self, caller: &Caller, name: &FaceSetName, face: FaceId) -> Result<Option<Thumbnail>> {
        caller.require(Grant::Read)?;
        let face_set = self.existing_face_set(caller, name).await?.face_set;
        let scope = FaceScope::FaceSet(face_set.id);
        let found = self.ports.store.thumbnails(caller.tenant, scope, vec![face]).await?;
        match found.into_iter().next() {
            Some((_, thumbnail)) => Ok(Some(thumbnail)),
            None => self.existing_face(caller, &face_set, face).await.map(|_| None),
        }
    }

    /// The small pictures of those of `ids` that are in the set's gallery and have one, in the order asked for. Needs the read
    /// grant. `FaceSetNotFound`, `InvalidArgument` for more than [`limits::THUMBNAILS_MAX`] ids.
    pub async fn thumbnails(
        &self,
        caller: &Caller,
        name: &FaceSetName,
        ids: Vec<FaceId>,
    ) -> Result<Vec<(FaceId, Thumbnail)>> {
        caller.require(Grant::Read)?;
        super::check_count("ids", ids.len(), limits::THUMBNAILS_MAX)?;
        let face_set = self.existing_face_set(caller, name).await?.face_set;
        self.ports.store.thumbnails(caller.tenant, FaceScope::FaceSet(face_set.id), ids).await
    }

    /// The face of that id in the set's gallery, or [`Kind::FaceNotFound`].
    pub(super) async fn existing_face(&self, caller: &Caller, face_set: &FaceSet, face: FaceId) -> Result<Face> {
        let scope = FaceScope::FaceSet(face_set.id);
        let found = self.ports.store.faces(caller.tenant, scope, vec![face]).await?;
        found.into_iter().next().ok_or_else(|| super::no_such_face(face_set))
    }
}

/// What an enrolment needs to have measured: quality, unless the thresholds refuse nothing, and pictures if they are kept.
pub(super) fn assess_for(thresholds: &QualityThresholds, faces: FaceChoice, thumbnails: bool) -> Assess {
    let quality = if *thresholds == QualityThresholds::NONE { Aspects::NONE } else { Aspects::QUALITY };
    let aspects = if thumbnails { quality.and(Aspects::THUMBNAIL) } else { quality };
    if aspects.is_empty() { Assess::NOTHING } else { Assess { aspects, faces } }
}

/// The faces that are good enough, and the others with their reasons, both in the order given.
fn sorted_out(
    faces: impl Iterator<Item = AnalyzedFace>,
    thresholds: &QualityThresholds,
    accept_doubtful: bool,
) -> (Vec<AnalyzedFace>, Vec<RefusedFace>) {
    let (mut good, mut refused) = (Vec::new(), Vec::new());
    for face in faces {
        let reasons = match face.doubt {
            Some(doubt) if !accept_doubtful => vec![policy::doubtful(doubt)],
            _ => policy::poor_quality(&face.quality, &face.detection, thresholds),
        };
        match reasons.is_empty() {
            true => good.push(face),
            false => refused.push(RefusedFace { detection: face.detection, quality: face.quality, reasons }),
        }
    }
    (good, refused)
}

fn check_choice(choice: FaceChoice) -> Result<()> {
    match choice {
        FaceChoice::None | FaceChoice::LargestFew(0) => {
            Err(Error::invalid("choice", "`choice` means no face, expected at least one"))
        }
        _ => Ok(()),
    }
}

/// The external id of the face that is enrolled as the `face_idx`-th of an image: the caller's own for the first,
/// numbered for the others.
fn numbered(first: &ExternalId, face_idx: usize) -> Result<ExternalId> {
    match face_idx {
        0 => Ok(first.clone()),
        _ => ExternalId::new(format!("{first}#{face_idx}")),
    }
}

/// What the caller means, with fields looked up in the set's schema.
fn selector(which: DeleteFaces, schema: &FieldSchema) -> Result<FaceSelector> {
    Ok(match which {
        DeleteFaces::Ids(ids) => {
            super::check_count("face ids", ids.len(), limits::SELECTOR_IDS_MAX)?;
            FaceSelector::Ids(ids)
        }
        DeleteFaces::Subject(subject) => FaceSelector::Subject(subject),
        DeleteFaces::Field { name, value } => {
            let (field_idx, field_type) =
                schema.find(&name).ok_or_else(|| super::unknown_field(&name).with_field("field"))?;
            let value = value.typed(field_type).ok_or_else(|| {
                let (word, expected) = (field_type.word(), field_type.expected());
                Error::invalid("field value", format!("`{name}` is {value}, expected {expected}: its type is {word}"))
            })?;
            FaceSelector::Field { name: schema.fields()[field_idx].0.clone(), value }
        }
        DeleteFaces::Filter(expr) => FaceSelector::Filter(Arc::new(expr.check(schema)?)),
        DeleteFaces::All => FaceSelector::Filter(Arc::new(Filter::Every(Vec::new()))),
    })
}
