//! Transient faces: found in an image, kept for a while, enrolled by their ids.

use super::{
    FaceKept, FacesKept, KeepFaces, KnownFace, Library, SourceFaceComparison, TransientFaceOutcome, Wanted, check_count,
};
use crate::access::{Caller, Grant};
use crate::limits;
use crate::policy::{self, QualityThresholds};
use crate::ports::{Assess, FaceChoice, FaceScope};
use crate::types::{
    Aspects, Face, FaceId, FaceSetKey, NewTransientFace, PackId, Subject, Template, TimestampMs, TransientFace,
};
use crate::{Error, Kind, Result};

impl Library {
    /// Finds every face of an image and holds it, largest first; no face is an empty list. Needs the search
    /// grant: keeping is no enrolment, as nobody finds such a face. `PackUnavailable`, the image kinds. Quality is measured in any case, for the gates of sets that the faces may
    /// come to. When the tenant holds [`limits::TRANSIENT_FACES_MAX`] faces, the oldest go.
    pub async fn keep_faces(&self, caller: &Caller, request: KeepFaces) -> Result<FacesKept> {
        caller.require(Grant::Search)?;
        let pack = match &request.pack {
            Some(id) => self.loaded_pack(id)?,
            None => self.default_pack()?,
        };
        let pack = pack.id.clone();
        let mut aspects = request.assess.aspects.and(Aspects::QUALITY);
        // Which set they will come to is not known yet, but whether any would keep a picture.
        if self.ports.store.keeps_thumbnails(caller.tenant).await? {
            aspects = aspects.and(Aspects::THUMBNAIL);
        }
        let assess = Assess { aspects, ..request.assess };
        let analysis = self.analyze(caller, &request.image, &pack, Wanted::embedded(FaceChoice::All), assess).await?;
        // What the mesh did not confirm has no template that could be compared, so nothing could be done with its id.
        let mut found: Vec<_> = analysis.faces.into_iter().filter(|face| face.doubt.is_none()).collect();
        if let Some(place) = request.place {
            let boxes = found.iter().map(|face| face.detection.bounding_box);
            let meant = policy::best_overlap(boxes, place);
            found =
                found.into_iter().enumerate().filter(|&(idx, _)| Some(idx) == meant).map(|(_, face)| face).collect();
        }
        let now = self.ports.clock.now();
        let lifetime = request.lifetime.min(limits::TRANSIENT_FACE_LIFETIME_MAX);
        let expires_at = TimestampMs(now.0.saturating_add(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX)));
        let mut new = Vec::with_capacity(found.len());
        let mut assessments = Vec::with_capacity(found.len());
        for mut face in found {
            new.push(NewTransientFace {
                id: self.fresh_id(FaceId::new),
                template: super::template_of(&face, &pack)?,
                detection: face.detection,
                quality: face.quality,
                thumbnail: face.assessment.thumbnail.take(),
                created_at: now,
                expires_at,
            });
            assessments.push(face.assessment);
        }
        let kept = match new.is_empty() {
            true => Vec::new(),
            false => self.write(caller).await?.keep_faces(caller.actor(), new, limits::TRANSIENT_FACES_MAX).await?,
        };
        let faces = kept.into_iter().zip(assessments).map(|(face, assessment)| FaceKept { face, assessment }).collect();
        Ok(FacesKept { image_width: analysis.image_width, image_height: analysis.image_height, faces })
    }

    /// Enrols transient faces, which then are transient no longer, or enrolled ones of these source faces once more, into a set; what
    /// becomes of each is returned, in the order given. Needs the enrol grant. `FaceSetNotFound`, `InvalidArgument` for more
    /// than [`limits::SELECTOR_IDS_MAX`].
    pub async fn add_transient_faces(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
        source_faces: Vec<FaceId>,
    ) -> Result<Vec<TransientFaceOutcome>> {
        caller.require(Grant::Enrol)?;
        check_count("face ids", source_faces.len(), limits::SELECTOR_IDS_MAX)?;
        let summary = self.existing_face_set(caller, face_set).await?;
        let face_set = &summary.face_set;
        let mut outcomes = Vec::with_capacity(source_faces.len());
        let thresholds = QualityThresholds::of(face_set.quality_gate);
        for source_face in source_faces {
            if !caller.face_sets.is_all() && !self.is_known(caller, source_face).await? {
                outcomes.push(TransientFaceOutcome::Unknown);
                continue;
            }
            if thresholds != QualityThresholds::NONE && !self.is_good_enough(caller, source_face, &thresholds).await? {
                outcomes.push(TransientFaceOutcome::PoorQuality);
                continue;
            }
            let (id, now) = (self.fresh_id(FaceId::new), self.ports.clock.now());
            let (actor, limits) = (caller.actor(), caller.write_limits());
            let enrolled =
                self.write(caller).await?.enrol_transient_face(actor, face_set.id, source_face, id, now, limits).await;
            outcomes.push(match enrolled {
                Ok(_) => TransientFaceOutcome::Added,
                Err(error) => match error.kind() {
                    Kind::FaceExists => TransientFaceOutcome::Present,
                    Kind::FaceNotFound => TransientFaceOutcome::Unknown,
                    Kind::CapacityExceeded => TransientFaceOutcome::Full,
                    Kind::InvalidArgument => TransientFaceOutcome::OtherPack,
                    _ => return Err(error),
                },
            });
        }
        Ok(outcomes)
    }

    /// Takes the faces of these source faces out of a set and returns the source faces that were there. What is enrolled elsewhere
    /// stays; what is not is gone for good; a person's face leaves every set. Needs the delete grant. `FaceSetNotFound`,
    /// `InvalidArgument` for more than [`limits::SELECTOR_IDS_MAX`].
    pub async fn remove_source_faces(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
        source_faces: Vec<FaceId>,
    ) -> Result<Vec<FaceId>> {
        caller.require(Grant::Delete)?;
        check_count("face ids", source_faces.len(), limits::SELECTOR_IDS_MAX)?;
        let face_set = self.existing_face_set(caller, face_set).await?.face_set;
        let scope = FaceScope::FaceSet(face_set.id);
        let found = self.ports.store.faces_of_source(caller.tenant, Some(scope), source_faces).await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        self.require_unshared_faces(caller, &found).await?;
        let selector = crate::ports::FaceSelector::Ids(found.iter().map(|face| face.id).collect());
        let gone = self.write(caller).await?.delete_faces(caller.actor(), scope, selector).await?;
        let mut source_faces: Vec<FaceId> = Vec::with_capacity(gone.len());
        for face in found.iter().filter(|face| gone.contains(&face.id)) {
            if !source_faces.contains(&face.source_face) {
                source_faces.push(face.source_face);
            }
        }
        Ok(source_faces)
    }

    /// What is known of a face by its source face. Needs the read grant. `FaceNotFound`.
    pub async fn known_face(&self, caller: &Caller, source_face: FaceId) -> Result<KnownFace> {
        caller.require(Grant::Read)?;
        let known = self.known(caller, source_face).await?;
        let enrolled = self.ports.store.faces_of_source(caller.tenant, None, vec![source_face]).await?;
        let ids: Vec<FaceId> = enrolled.iter().map(|face| face.id).collect();
        let mut face_sets = match ids.is_empty() {
            true => Vec::new(),
            false => self.ports.store.face_sets_showing(caller.tenant, ids).await?,
        };
        face_sets.retain(|face_set| caller.sees(face_set.id));
        Ok(match known {
            Known::Transient(face) => KnownFace {
                detection: face.detection,
                subject: face.subject,
                expires_at: Some(face.expires_at),
                face_sets,
            },
            Known::Enrolled(face) => {
                KnownFace { detection: face.detection, subject: face.subject, expires_at: None, face_sets }
            }
        })
    }

    /// Labels a transient face and every enrolled face of that source face. Needs the enrol grant. `FaceNotFound`.
    pub async fn label_source(&self, caller: &Caller, source_face: FaceId, subject: Subject) -> Result<()> {
        caller.require(Grant::Enrol)?;
        self.require_unshared_source(caller, source_face).await?;
        self.write(caller).await?.label_source(caller.actor(), source_face, subject, self.ports.clock.now()).await
    }

    /// Deletes a transient face and every enrolled face of that source face; returns how many those were. Needs the delete grant.
    /// `FaceNotFound` if there was none.
    pub async fn delete_source(&self, caller: &Caller, source_face: FaceId) -> Result<u64> {
        caller.require(Grant::Delete)?;
        self.require_unshared_source(caller, source_face).await?;
        match self.write(caller).await?.delete_source(caller.actor(), source_face, self.ports.clock.now()).await? {
            0 => Err(unknown_source_face()),
            n_deleted => Ok(n_deleted),
        }
    }

    /// Whether a face that is to be compared is known, before anything costlier is done. Needs the search grant. `FaceNotFound`.
    pub async fn require_source_face(&self, caller: &Caller, source_face: FaceId) -> Result<()> {
        caller.require(Grant::Search)?;
        self.known(caller, source_face).await.map(drop)
    }

    /// How similar two faces known by their source faces are. Needs the search grant. `FaceNotFound`, with [`Error::field`]
    /// saying which (`first face`, `second face`); `InvalidArgument` if their templates are of different packs.
    pub async fn compare_source_faces(
        &self,
        caller: &Caller,
        source_faces: [FaceId; 2],
    ) -> Result<SourceFaceComparison> {
        caller.require(Grant::Search)?;
        let [first, second] = source_faces;
        let first = self.known(caller, first).await.map_err(|err| err.with_field("first face"))?;
        let second = self.known(caller, second).await.map_err(|err| err.with_field("second face"))?;
        // Faces may have templates of several packs: any pack that both have can compare them.
        for pack in [first.pack(), second.pack()] {
            let one = self.template_of_known(caller, &first, pack).await?;
            let other = self.template_of_known(caller, &second, pack).await?;
            if let (Some(one), Some(other)) = (one, other) {
                let similarity = one.similarity(&other).ok_or_else(super::foreign_template)?;
                return Ok(SourceFaceComparison { similarity, pack: pack.clone() });
            }
        }
        let message = format!("templates of packs `{}` and `{}` cannot be compared", first.pack(), second.pack());
        Err(Error::invalid("second face", message))
    }

    /// Whether a face passes a set's gate, as far as its quality is known; an unknown face does.
    async fn is_good_enough(
        &self,
        caller: &Caller,
        source_face: FaceId,
        thresholds: &QualityThresholds,
    ) -> Result<bool> {
        match self.known(caller, source_face).await {
            Ok(Known::Transient(face)) => {
                Ok(policy::poor_quality(&face.quality, &face.detection, thresholds).is_empty())
            }
            Ok(Known::Enrolled(face)) => {
                Ok(policy::poor_quality(&face.quality, &face.detection, thresholds).is_empty())
            }
            Err(err) if err.kind() == Kind::FaceNotFound => Ok(true),
            Err(err) => Err(err),
        }
    }

    /// The template of that pack of a face known by its source face, transient or enrolled anywhere in the tenant.
    /// `InvalidArgument` if it has none of that pack.
    pub(super) async fn known_template(&self, caller: &Caller, source_face: FaceId, pack: &PackId) -> Result<Template> {
        let known = self.known(caller, source_face).await?;
        let template = self.template_of_known(caller, &known, pack).await?;
        template.ok_or_else(|| Error::invalid("probe", format!("the face's template is not of pack `{pack}`")))
    }

    async fn template_of_known(&self, caller: &Caller, known: &Known, pack: &PackId) -> Result<Option<Template>> {
        match known {
            Known::Transient(face) => Ok(Some(&face.template).filter(|template| template.pack() == pack).cloned()),
            Known::Enrolled(face) => {
                let found = self.ports.store.templates(caller.tenant, None, vec![face.id], pack.clone()).await?;
                Ok(found.into_iter().next().map(|(_, template)| template))
            }
        }
    }

    /// The transient face, or the oldest enrolled face of that source face that the caller sees. A key for some face sets only
    /// sees the transient faces that it kept itself.
    async fn known(&self, caller: &Caller, source_face: FaceId) -> Result<Known> {
        let now = self.ports.clock.now();
        if let Some(face) = self.ports.store.held_face(caller.tenant, source_face, now).await? {
            let is_seen = caller.face_sets.is_all() || face.kept_by == caller.key;
            return if is_seen { Ok(Known::Transient(Box::new(face))) } else { Err(unknown_source_face()) };
        }
        let enrolled = self.ports.store.faces_of_source(caller.tenant, None, vec![source_face]).await?;
        let seen = self.seen_faces(caller, enrolled).await?;
        Ok(Known::Enrolled(Box::new(seen.into_iter().next().ok_or_else(unknown_source_face)?)))
    }

    /// Whether the caller sees a face of that source face.
    async fn is_known(&self, caller: &Caller, source_face: FaceId) -> Result<bool> {
        match self.known(caller, source_face).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == Kind::FaceNotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Refuses to change every face of a source face unless the caller sees them all; `FaceNotFound` if it sees none.
    async fn require_unshared_source(&self, caller: &Caller, source_face: FaceId) -> Result<()> {
        if caller.face_sets.is_all() {
            return Ok(());
        }
        self.known(caller, source_face).await?;
        let enrolled = self.ports.store.faces_of_source(caller.tenant, None, vec![source_face]).await?;
        self.require_unshared_faces(caller, &enrolled).await
    }
}

/// A transient or an enrolled face.
enum Known {
    Transient(Box<TransientFace>),
    Enrolled(Box<Face>),
}

impl Known {
    /// The pack of the template it was found with.
    fn pack(&self) -> &PackId {
        match self {
            Known::Transient(face) => face.template.pack(),
            Known::Enrolled(face) => &face.pack,
        }
    }
}

fn unknown_source_face() -> Error {
    Error::new(Kind::FaceNotFound, "no face with that id is kept or enrolled")
}
