//! The bodies of answers, member for member as the vendor writes them: legacy clients refuse members they do not
//! know, and cannot read `null`. Those of the identity service, which no client of faces reads whole, stand where they are made.

use serde::{Serialize, Serializer};

/// Members of a JSON object in a given order.
#[derive(Debug, PartialEq)]
pub(super) struct Ordered<T>(pub(super) Vec<(String, T)>);

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// What a failed request answers.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Refusal<'a> {
    Service { error_code: &'a str, error_msg: &'a str },
    Gateway { error_msg: &'a str, error_code: &'a str, request_id: &'a str },
    Identity { error: IdentityError<'a> },
}

#[derive(Serialize)]
pub(super) struct IdentityError<'a> {
    pub(super) code: u16,
    pub(super) message: &'a str,
    pub(super) title: &'a str,
}

/// What an operation of the face service answers.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    FaceSet { face_set_info: FaceSetInfo },
    FaceSets { face_sets_info: Vec<FaceSetInfo> },
    FaceSetDeleted { face_set_name: String },
    Faces { face_set_id: String, face_set_name: String, faces: Vec<Face> },
    FacesChanged { face_number: u64, face_set_id: String, face_set_name: String },
    FacesFound { faces: Vec<Face> },
    FacesDetected { faces: Vec<DetectedFace> },
    FacesCompared { image1_face: ComparedFace, image2_face: ComparedFace, similarity: f64 },
    Liveness(Liveness),
    ServiceStatus { subscribe_status: bool, create_time: String },
}

/// What was judged of a clip or of a picture. The hyphens and the camel case of warnings are the vendor's.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Liveness {
    pub(super) video_result: Option<VideoResult>,
    pub(super) result: Option<StillResult>,
    pub(super) warning_list: Vec<Warning>,
}

#[derive(Serialize)]
pub(super) struct BoundingBox {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) top_left_x: u32,
    pub(super) top_left_y: u32,
}

#[derive(Serialize)]
pub(super) struct FieldDefinition {
    #[serde(rename = "type")]
    pub(super) field_type: &'static str,
}

#[derive(Serialize)]
pub(super) struct FaceSetInfo {
    pub(super) face_number: u64,
    pub(super) face_set_id: String,
    pub(super) face_set_name: String,
    pub(super) create_date: String,
    pub(super) face_set_capacity: u64,
    pub(super) external_fields: Ordered<FieldDefinition>,
}

#[derive(Serialize)]
pub(super) struct Face {
    pub(super) face_id: String,
    // Only faces enrolled through another dialect have none.
    pub(super) external_image_id: Option<String>,
    /// Of a face that was searched for.
    pub(super) similarity: Option<f64>,
    pub(super) bounding_box: BoundingBox,
    pub(super) external_fields: Ordered<serde_json::Value>,
}

#[derive(Serialize)]
pub(super) struct ComparedFace {
    pub(super) bounding_box: BoundingBox,
}

#[derive(Serialize)]
pub(super) struct DetectedFace {
    pub(super) bounding_box: BoundingBox,
    pub(super) attributes: Option<Attributes>,
    pub(super) landmark: Option<Landmark>,
}

/// Sixty-eight points by the part of the face they are on.
#[derive(Serialize)]
pub(super) struct Landmark {
    pub(super) eyes_contour: Vec<Pixel>,
    pub(super) mouth_contour: Vec<Pixel>,
    pub(super) face_contour: Vec<Pixel>,
    pub(super) eyebrow_contour: Vec<Pixel>,
    pub(super) nose_contour: Vec<Pixel>,
}

/// A point in whole pixels; may lie outside the picture.
#[derive(Serialize)]
pub(super) struct Pixel {
    pub(super) x: i64,
    pub(super) y: i64,
}

/// What is known of a face; members that were not asked for or are unknown are left out.
#[derive(Serialize, Default)]
pub(super) struct Attributes {
    pub(super) headpose: Option<HeadPose>,
    pub(super) gender: Option<&'static str>,
    pub(super) age: Option<u32>,
    pub(super) dress: Option<Dress>,
    pub(super) smile: Option<&'static str>,
    pub(super) mask: Option<&'static str>,
    pub(super) hair: Option<&'static str>,
    pub(super) beard: Option<&'static str>,
    pub(super) quality: Option<Quality>,
    pub(super) expression: Option<Expression>,
    pub(super) face_angle: Option<u32>,
}

/// Direction of the head, in degrees.
#[derive(Serialize)]
pub(super) struct HeadPose {
    pub(super) pitch_angle: f64,
    pub(super) roll_angle: f64,
    pub(super) yaw_angle: f64,
}

#[derive(Serialize)]
pub(super) struct Dress {
    pub(super) glass: &'static str,
    pub(super) hat: &'static str,
}

#[derive(Serialize)]
pub(super) struct Expression {
    #[serde(rename = "type")]
    pub(super) expression_type: &'static str,
    pub(super) probability: Option<f64>,
}

/// Figures from 0 to 1: the total is better when higher, the others when lower.
#[derive(Serialize)]
pub(super) struct Quality {
    pub(super) total_score: Option<f64>,
    pub(super) blur: Option<f64>,
    pub(super) pose: Option<f64>,
    pub(super) occlusion: Option<f64>,
    pub(super) illumination: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct VideoResult {
    pub(super) alive: bool,
    pub(super) actions: Vec<SeenAction>,
    pub(super) picture: String,
}

#[derive(Serialize)]
pub(super) struct SeenAction {
    pub(super) confidence: f64,
    pub(super) action: usize,
}

#[derive(Serialize)]
pub(super) struct StillResult {
    pub(super) alive: bool,
    pub(super) confidence: f64,
    pub(super) picture: String,
}

#[derive(Serialize)]
pub(super) struct Warning {
    #[serde(rename = "warningCode")]
    pub(super) code: u32,
    #[serde(rename = "warningMsg")]
    pub(super) message: &'static str,
}
