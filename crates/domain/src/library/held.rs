//! Held faces: found in an image, kept for a while, enrolled by their ids.

use super::{FaceHeld, FacesHeld, HeldOutcome, HoldFaces, KnownFace, Library, OriginComparison, check_count};
use crate::caller::{Caller, Grant};
use crate::limits;
use crate::policy::{self, FaceChoice, QualityFloor};
use crate::ports::{Assess, FaceScope};
use crate::types::{
    Aspects, Detection, FaceId, FaceOwner, FaceSet, FaceSetId, FaceSetKey, NewHeldFace, Quality, Subject, Template,
    TimestampMs,
};
use crate::{Error, Kind, Result};

impl Library {
    /// Finds every face of an image and holds it, largest first; no face is an empty list. Needs the search and the write
    /// grant. `PackUnavailable`, the image kinds. Quality is measured in any case, for the gates of sets that the faces may
    /// come to. When the tenant holds [`limits::HELD_FACES_MAX`] faces, the oldest go.
    pub async fn hold_faces(&self, caller: &Caller, request: HoldFaces) -> Result<FacesHeld> {
        caller.require(Grant::Search)?;
        caller.require(Grant::Write)?;
        let pack = match &request.pack {
            Some(id) => self.loaded_pack(id)?,
            None => self.default_pack()?,
        };
        let pack = pack.id.clone();
        let assess = Assess { aspects: request.assess.aspects.and(Aspects::QUALITY), ..request.assess };
        let analysis = self.analyze(caller, &request.image, &pack, FaceChoice::All, assess).await?;
        let mut found = analysis.faces;
        if let Some(place) = request.place {
            let boxes = found.iter().map(|face| face.detection.bounding_box);
            let meant = policy::at_place(boxes, place);
            found =
                found.into_iter().enumerate().filter(|&(idx, _)| Some(idx) == meant).map(|(_, face)| face).collect();
        }
        let now = self.ports.clock.now();
        let held_for = request.held_for.min(limits::HELD_FACE_TIME_MAX);
        let expires_at = TimestampMs(now.0.saturating_add(i64::try_from(held_for.as_millis()).unwrap_or(i64::MAX)));
        let mut new = Vec::with_capacity(found.len());
        let mut assessments = Vec::with_capacity(found.len());
        for face in found {
            new.push(NewHeldFace {
                id: self.fresh_id(FaceId::new),
                template: super::template_of(&face, &pack)?,
                detection: face.detection,
                quality: face.quality,
                created_at: now,
                expires_at,
            });
            assessments.push(face.assessment);
        }
        let held = match new.is_empty() {
            true => Vec::new(),
            false => self.ports.store.hold_faces(caller.tenant, new, limits::HELD_FACES_MAX).await?,
        };
        let faces = held.into_iter().zip(assessments).map(|(held, assessment)| FaceHeld { held, assessment }).collect();
        Ok(FacesHeld { image_width: analysis.image_width, image_height: analysis.image_height, faces })
    }

    /// Enrols held faces, which then are no longer held, or once more enrolled ones of these origins, into a set; what
    /// becomes of each is told, in the order given. Needs the write grant. `FaceSetNotFound`, `InvalidArgument` for more
    /// than [`limits::SELECTOR_IDS_MAX`].
    pub async fn add_held_faces(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
        origins: Vec<FaceId>,
    ) -> Result<Vec<HeldOutcome>> {
        caller.require(Grant::Write)?;
        check_count("face ids", origins.len(), limits::SELECTOR_IDS_MAX)?;
        let face_set = self.existing_face_set(caller, face_set).await?.face_set;
        let mut outcomes = Vec::with_capacity(origins.len());
        let floor = QualityFloor::of(face_set.quality_gate);
        for origin in origins {
            if floor != QualityFloor::NONE && !self.is_good_enough(caller, origin, &floor).await? {
                outcomes.push(HeldOutcome::PoorQuality);
                continue;
            }
            let (id, now) = (self.fresh_id(FaceId::new), self.ports.clock.now());
            let enrolled = self.ports.store.enrol_held_face(caller.tenant, face_set.id, origin, id, now).await;
            outcomes.push(match enrolled {
                Ok(_) => HeldOutcome::Added,
                Err(error) => match error.kind() {
                    Kind::FaceExists => HeldOutcome::Present,
                    Kind::FaceNotFound => HeldOutcome::Unknown,
                    Kind::CapacityExceeded => HeldOutcome::Full,
                    Kind::InvalidArgument => HeldOutcome::OtherPack,
                    _ => return Err(error),
                },
            });
        }
        Ok(outcomes)
    }

    /// Takes the faces of these origins out of a set and returns the origins that were there. What is enrolled elsewhere
    /// stays; what is not is gone for good; a person's face leaves every set. Needs the write grant. `FaceSetNotFound`,
    /// `InvalidArgument` for more than [`limits::SELECTOR_IDS_MAX`].
    pub async fn remove_origins(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
        origins: Vec<FaceId>,
    ) -> Result<Vec<FaceId>> {
        caller.require(Grant::Write)?;
        check_count("face ids", origins.len(), limits::SELECTOR_IDS_MAX)?;
        let face_set = self.existing_face_set(caller, face_set).await?.face_set;
        let scope = FaceScope::FaceSet(face_set.id);
        let found = self.ports.store.faces_of_origin(caller.tenant, Some(scope), origins).await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let selector = crate::ports::FaceSelector::Ids(found.iter().map(|face| face.id).collect());
        let gone = self.ports.store.delete_faces(caller.tenant, scope, selector).await?;
        let mut origins: Vec<FaceId> = Vec::with_capacity(gone.len());
        for face in found.iter().filter(|face| gone.contains(&face.id)) {
            if !origins.contains(&face.origin) {
                origins.push(face.origin);
            }
        }
        Ok(origins)
    }

    /// What is known of a face by its origin. Needs the read grant. `FaceNotFound`.
    pub async fn known_face(&self, caller: &Caller, origin: FaceId) -> Result<KnownFace> {
        caller.require(Grant::Read)?;
        let known = self.known(caller, origin).await?;
        let mut face_sets: Vec<FaceSet> = Vec::new();
        let mut owners: Vec<FaceSetId> = Vec::new();
        for face in self.ports.store.faces_of_origin(caller.tenant, None, vec![origin]).await? {
            match face.owner {
                FaceOwner::FaceSet(id) => owners.push(id),
                FaceOwner::Person(id) => {
                    let joined = self.ports.store.face_sets_of(caller.tenant, id).await?;
                    owners.extend(joined.iter().filter(|set| set.pack == *face.template.pack()).map(|set| set.id));
                }
            }
        }
        for id in owners {
            let found = self.ports.store.face_set_by_id(caller.tenant, id).await?;
            face_sets
                .extend(found.map(|found| found.face_set).filter(|new| face_sets.iter().all(|old| old.id != new.id)));
        }
        let Known { template: _, detection, quality: _, subject, expires_at } = known;
        Ok(KnownFace { detection, subject, expires_at, face_sets })
    }

    /// Labels a held face and every enrolled face of that origin. Needs the write grant. `FaceNotFound`.
    pub async fn label_origin(&self, caller: &Caller, origin: FaceId, subject: Subject) -> Result<()> {
        caller.require(Grant::Write)?;
        self.ports.store.label_origin(caller.tenant, origin, subject, self.ports.clock.now()).await
    }

    /// Deletes a held face and every enrolled face of that origin; returns how many those were. Needs the write grant.
    /// `FaceNotFound` if there was none.
    pub async fn delete_origin(&self, caller: &Caller, origin: FaceId) -> Result<u64> {
        caller.require(Grant::Write)?;
        match self.ports.store.delete_origin(caller.tenant, origin, self.ports.clock.now()).await? {
            0 => Err(unknown_origin()),
            n_deleted => Ok(n_deleted),
        }
    }

    /// How similar two faces known by their origins are. Needs the search grant. `FaceNotFound`, with [`Error::field`]
    /// saying which (`first face`, `second face`); `InvalidArgument` if their templates are of different packs.
    pub async fn compare_origins(&self, caller: &Caller, origins: [FaceId; 2]) -> Result<OriginComparison> {
        caller.require(Grant::Search)?;
        let [first, second] = origins;
        let first = self.known(caller, first).await.map_err(|err| err.with_field("first face"))?.template;
        let second = self.known(caller, second).await.map_err(|err| err.with_field("second face"))?.template;
        let similarity = first.similarity(&second).ok_or_else(|| {
            let message = format!("templates of packs `{}` and `{}` cannot be compared", first.pack(), second.pack());
            Error::invalid("second face", message)
        })?;
        Ok(OriginComparison { similarity, pack: first.pack().clone() })
    }

    /// Whether a face passes a set's gate, as far as its quality is known; an unknown face does.
    async fn is_good_enough(&self, caller: &Caller, origin: FaceId, floor: &QualityFloor) -> Result<bool> {
        match self.known(caller, origin).await {
            Ok(known) => Ok(policy::poor_quality(&known.quality, &known.detection, floor).is_empty()),
            Err(err) if err.kind() == Kind::FaceNotFound => Ok(true),
            Err(err) => Err(err),
        }
    }

    /// The template of a face known by its origin, held or enrolled anywhere in the tenant.
    pub(super) async fn known_template(&self, caller: &Caller, origin: FaceId) -> Result<Template> {
        Ok(self.known(caller, origin).await?.template)
    }

    async fn known(&self, caller: &Caller, origin: FaceId) -> Result<Known> {
        let now = self.ports.clock.now();
        if let Some(held) = self.ports.store.held_face(caller.tenant, origin, now).await? {
            let (detection, quality, subject) = (held.detection, held.quality, held.subject);
            let expires_at = Some(held.expires_at);
            return Ok(Known { template: held.template, detection, quality, subject, expires_at });
        }
        let enrolled = self.ports.store.faces_of_origin(caller.tenant, None, vec![origin]).await?;
        let face = enrolled.into_iter().next().ok_or_else(unknown_origin)?;
        let (detection, quality, subject) = (face.detection, face.quality, face.subject);
        Ok(Known { template: face.template, detection, quality, subject, expires_at: None })
    }
}

/// A face that is held or enrolled.
struct Known {
    template: Template,
    detection: Detection,
    quality: Quality,
    subject: Option<Subject>,
    expires_at: Option<TimestampMs>,
}

fn unknown_origin() -> Error {
    Error::new(Kind::FaceNotFound, "no face with that id is held or enrolled")
}
