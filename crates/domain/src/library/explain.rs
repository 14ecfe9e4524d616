//! Why two faces are taken for one person, or are not.

use bytes::Bytes;

use super::probes::Bounds;
use super::{Candidate, ImageInput, Library, Search, SearchAnswer, Wanted};
use crate::access::{Caller, Grant};
use crate::ports::{AnalyzedFace, Assess, Doubt, FaceChoice};
use crate::types::{Aspects, Detection, Face, FaceOwner, PackId, Pose, Quality, Similarity, Template};
use crate::{Error, Kind, Result};

/// Hits that are looked through for the next person: so many photographs of one person a gallery may have.
const HITS_MAX: usize = 200;

/// A face with what bears on how far its template can be trusted.
#[derive(Clone)]
pub struct ExaminedFace {
    /// Where it is.
    pub detection: Detection,
    /// How good it is.
    pub quality: Quality,
    /// Where the head looks, if that was measured.
    pub pose: Option<Pose>,
    /// Why it is not certain that it can be recognised. Its template may match nobody, or strangers.
    pub doubt: Option<Doubt>,
    /// The crop that the recogniser saw, as a PNG file; only if it was asked for.
    pub crop: Option<Bytes>,
}

// A picture of a face is never printed.
impl std::fmt::Debug for ExaminedFace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { detection, quality, pose, doubt, crop } = self;
        f.debug_struct("ExaminedFace")
            .field("detection", detection)
            .field("quality", quality)
            .field("pose", pose)
            .field("doubt", doubt)
            .field("crop_bytes", &crop.as_ref().map(Bytes::len))
            .finish()
    }
}

/// Answer of [`Library::explain`].
#[derive(Debug)]
pub struct Explanation {
    /// The largest face of each image.
    pub faces: [ExaminedFace; 2],
    /// How many faces each image shows, if that was asked for.
    pub n_faces_in_images: [Option<usize>; 2],
    /// How similar they are.
    pub similarity: Similarity,
    /// The pack that said so.
    pub pack: PackId,
}

/// Answer of [`Library::explain_search`].
#[derive(Debug)]
pub struct SearchExplanation {
    /// What the search itself answers.
    pub answer: SearchAnswer,
    /// The face that was looked for, if it came with an image.
    pub probe: Option<ExaminedFace>,
    /// The most similar face among those that a candidate may be, whether or not it reaches the threshold.
    pub best: Option<Candidate>,
    /// The most similar face of somebody else than [`SearchExplanation::best`] shows.
    pub next: Option<Candidate>,
}

impl From<AnalyzedFace> for ExaminedFace {
    fn from(face: AnalyzedFace) -> Self {
        let AnalyzedFace { detection, quality, assessment, doubt, .. } = face;
        Self { detection, quality, pose: assessment.pose, doubt, crop: assessment.crop }
    }
}

/// What is measured of an examined face.
fn examination(crops: bool) -> Assess {
    let aspects = Aspects::QUALITY.and(Aspects::POSE).and(Aspects::POINTS);
    let aspects = if crops { aspects.and(Aspects::CROP) } else { aspects };
    Assess { aspects, faces: FaceChoice::Largest }
}

impl Library {
    /// As [`Library::compare`], with what bears on the verdict. Faces in doubt are not refused but said to be so. `crops`
    /// asks for the crops that the recogniser saw. Needs the search grant. The image kinds and `NoFaceInImage`.
    pub async fn explain(&self, caller: &Caller, images: [ImageInput; 2], crops: bool) -> Result<Explanation> {
        caller.require(Grant::Search)?;
        let pack = self.default_pack()?.id.clone();
        let [first, second] = &images;
        let (first, second) = super::together::both(
            self.examined_face(caller, first, &pack, "first image", crops),
            self.examined_face(caller, second, &pack, "second image", crops),
        )
        .await?;
        let (first, first_template, n_in_first) = first;
        let (second, second_template, n_in_second) = second;
        let similarity = first_template.similarity(&second_template).ok_or_else(super::foreign_template)?;
        Ok(Explanation { faces: [first, second], n_faces_in_images: [n_in_first, n_in_second], similarity, pack })
    }

    async fn examined_face(
        &self,
        caller: &Caller,
        image: &ImageInput,
        pack: &PackId,
        which: &'static str,
        crops: bool,
    ) -> Result<(ExaminedFace, Template, Option<usize>)> {
        let wanted = Wanted::embedded(FaceChoice::Largest);
        let analysis = self.analyze(caller, image, pack, wanted, examination(crops)).await;
        let analysis = analysis.map_err(|err| err.with_field(which))?;
        let (n_faces, face) = (analysis.n_faces, analysis.faces.into_iter().next());
        let none = || Error::new(Kind::NoFaceInImage, format!("the {which} shows no face")).with_field(which);
        let face = face.ok_or_else(none)?;
        let template = super::template_of(&face, pack)?;
        Ok((face.into(), template, n_faces))
    }

    /// As [`Library::search`], with what bears on the verdict: the face that was looked for, who is most similar, and who
    /// comes next. Two faces show one person if one person owns them, or if they have the same label. Needs the search
    /// grant. Checked as in [`Library::search`].
    pub async fn explain_search(&self, caller: &Caller, request: Search, crops: bool) -> Result<SearchExplanation> {
        let filter = request.filter.clone();
        let (answer, sought) = self.search_examined(caller, request, examination(crops)).await?;
        let filter = filter.as_ref().map(|expr| expr.check(&answer.face_set.schema)).transpose()?;
        // Over the same faces as the candidates, whatever they reach.
        let bounds = Bounds {
            face_set: answer.face_set.id,
            top_k: HITS_MAX,
            similarity_min: Similarity::MIN,
            filter: filter.map(std::sync::Arc::new),
            one_per_person: false,
        };
        let ranked = self.candidates(caller, &sought, bounds).await?;
        let best = ranked.first().cloned();
        let next = best
            .as_ref()
            .and_then(|best| ranked.iter().find(|candidate| !is_same_person(&best.face, &candidate.face)).cloned());
        Ok(SearchExplanation { answer, probe: sought.face.map(ExaminedFace::from), best, next })
    }
}

/// Whether both faces are known to be of one person.
fn is_same_person(a: &Face, b: &Face) -> bool {
    let owned = match (a.owner, b.owner) {
        (FaceOwner::Person(a), FaceOwner::Person(b)) => a == b,
        _ => false,
    };
    a.id == b.id || owned || (a.subject.is_some() && a.subject == b.subject)
}
