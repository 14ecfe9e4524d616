//! Group pictures, and persons as probes.

use serde::{Deserialize, Serialize};

use super::{Candidate, Detection, FalseAcceptRate, FalseMatches, Image};

/// Request to find out who resembles each face of a picture, in one pass over the face set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchPicture {
    /// The picture.
    pub image: Image,
    /// Most faces of the picture, the largest ones, 1 to 256; 20 by default. Times `top` it is at most 10,000.
    pub faces_max: Option<u64>,
    /// Most candidates of each face, 1 to 1,000; 1 by default.
    pub top: Option<u64>,
    /// Least similarity (cosine, inclusive).
    pub similarity_min: Option<f32>,
    /// False-accept rate per comparison that the least similarity stands for.
    pub far: Option<f64>,
    /// How many strangers of the whole face set may be expected to be found for each face.
    pub false_matches: Option<f64>,
    /// Only faces that pass, as in `age:[18 TO *] && !subject:anna`; the language is in this document's description.
    pub filter: Option<String>,
    /// At most one face of each person.
    #[serde(default)]
    pub one_per_person: bool,
}

/// Who resembles the faces of a picture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PictureSearched {
    /// The model pack that compared.
    pub pack: String,
    /// How many faces the set has.
    pub n_faces: u64,
    /// The threshold that was applied.
    pub similarity_min: f32,
    /// What the threshold means in one comparison.
    #[serde(flatten)]
    pub rate: FalseAcceptRate,
    /// What it means among all faces of the set, for each face of the picture.
    #[serde(flatten)]
    pub in_gallery: FalseMatches,
    /// The faces of the picture, largest first; doubtful ones are left out.
    pub faces: Vec<FaceSearched>,
}

/// A face of a picture, and who resembles it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaceSearched {
    /// Where it is.
    pub probe: Detection,
    /// Best first.
    pub candidates: Vec<Candidate>,
}

/// Request to compare the largest face of an image with a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparePerson {
    /// The image.
    pub image: Image,
    /// False-accept rate of the verdict: how often a stranger is taken for the person, whatever the number of its faces; by
    /// default the model pack's `default_far`. Each face is held to `far` / `n_compared`, which has to have been measured.
    pub far: Option<f64>,
}

/// How similar a face is to a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PersonCompared {
    /// Cosine to the most similar face of the person, -1 to 1.
    pub similarity: f32,
    /// What the similarity means: with several faces of the person at most the sum of the rates of all comparisons.
    #[serde(flatten)]
    pub rate: FalseAcceptRate,
    /// Whether the similarity reaches the threshold.
    pub same: bool,
    /// The threshold that was applied.
    pub similarity_min: f32,
    /// The `far` of the request, if it had one.
    pub far_asked: Option<f64>,
    /// False-accept rate of the verdict: the one asked for, or the default of the model pack.
    pub far_applied: f64,
    /// Id of the most similar face of the person.
    pub face_id: String,
    /// How many faces of the person it was compared with: at most 64, those enrolled last.
    pub n_compared: u64,
    /// The model pack that compared.
    pub pack: String,
    /// Where the face was in the image.
    pub probe: Detection,
    /// How many faces the image shows, of which the largest was compared; left out where no other was seen.
    pub n_faces_in_image: Option<u64>,
}

/// Request to compare the largest face of an image with that of each of several others.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareMany {
    /// The image.
    pub image: Image,
    /// The others, 1 to 100, each a comparison of its own: a stranger passes for any of them up to so many times as often as
    /// `far` says. Uploads keep the request small.
    pub others: Vec<Image>,
    /// False-accept rate of the verdicts, per comparison; by default the model pack's `default_far`.
    pub far: Option<f64>,
}

/// How similar a face is to several others.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManyCompared {
    /// The threshold that was applied.
    pub similarity_min: f32,
    /// The `far` of the request, if it had one.
    pub far_asked: Option<f64>,
    /// False-accept rate that the threshold stands for: the one asked for, or the default of the model pack.
    pub far_applied: f64,
    /// The model pack that compared.
    pub pack: String,
    /// Where the face was in the image.
    pub probe: Detection,
    /// How many faces the image shows, of which the largest was compared; left out where no other was seen.
    pub n_faces_in_image: Option<u64>,
    /// One for each of the other images, in their order.
    pub others: Vec<OtherCompared>,
}

/// How similar the face is to that of another image, or why that image has none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OtherCompared {
    /// Whether the similarity reaches the threshold; false where there is an error.
    pub same: bool,
    /// Cosine, -1 to 1.
    pub similarity: Option<f32>,
    /// What the similarity means in one comparison.
    #[serde(default, flatten)]
    pub rate: Option<FalseAcceptRate>,
    /// Where the face was in the image.
    pub face: Option<Detection>,
    /// How many faces the image shows, of which the largest was compared; left out where no other was seen.
    pub n_faces_in_image: Option<u64>,
    /// Why it was not compared.
    pub error: Option<ImageFault>,
}

/// Why an image of several was passed over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageFault {
    /// For programs: the code that a request with this image alone is refused with.
    pub code: String,
    /// For people.
    pub message: String,
    /// What may help.
    pub hint: Option<String>,
}

/// How many faces are meant by a condition: what a delete with it would delete.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FacesMeant {
    /// Their number.
    pub n_faces: u64,
}

/// Request to keep an image for an hour, to be named in later requests instead of being sent again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutUpload {
    /// The image itself, in base64; no address.
    pub image: Image,
}

/// An image that is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Uploaded {
    /// Its name: `{"upload": ..}` in place of an image.
    pub upload: String,
    /// When it is forgotten, RFC 3339, UTC.
    pub expires_at: String,
}
