//! What goes over the wire, and nothing more. Lower camel case, but for the gateway's refusals.

use serde::{Deserialize, Serialize};

use crate::http::request_id::as_uuid;

/// What every service answer is wrapped in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope<'a, T> {
    pub(super) code: u16,
    pub(super) msg: &'a str,
    pub(super) request_id: &'a str,
    /// The typed models of the newer SDK read this spelling only.
    #[serde(rename = "RequestId")]
    pub(super) typed_request_id: &'a str,
    pub(super) data: Option<T>,
}

/// An answer with the code that says it was done.
#[derive(Debug, Serialize)]
pub(super) struct Done<T> {
    pub(super) code: u16,
    #[serde(flatten)]
    pub(super) answer: T,
}

/// A refusal of the gateway: Pascal case, because the older SDK looks for nothing else.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GatewayError<'a> {
    pub(super) request_id: &'a str,
    pub(super) host_id: &'a str,
    pub(super) code: &'a str,
    pub(super) message: &'a str,
}

/// What a call answers, where that is more than its own parts. Ids of a person's faces are texts, and numbers in
/// [`FaceItem`]: so it is documented.
#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(super) enum Answer {
    PersonInGroups { person_id: String, group_ids: Vec<String> },
    PersonSet { person_id: String },
    Person { person_id: String, name: String, group_ids: Vec<String>, face_ids: Vec<String>, note: String },
    PersonDeleted { person_id: String, delete_count: u64 },
    Faces { person_id: String, group_ids: Option<Vec<String>>, face_image_items: Vec<FaceItem> },
    FacesDeleted { person_id: String, face_ids: Vec<String>, delete_count: usize },
    Groups { group_ids: Vec<String> },
    Persons { person_ids: Vec<String>, current_page: u64, page_size: u64, total_count: u64 },
    PersonsFound { top_person_data: Vec<FaceFound> },
}

/// One image or face of [`Answer::Faces`].
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FaceItem {
    pub(super) success: bool,
    pub(super) face_id: Option<FaceIdShown>,
    pub(super) code: Option<u16>,
    pub(super) msg: Option<String>,
    pub(super) url: Option<String>,
}

/// A face's id as a number; what was asked for and is no number comes back as it was.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum FaceIdShown {
    Number(u64),
    Text(String),
}

/// Answer of UploadCredentials.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UploadGranted {
    pub(super) access_key_id: String,
    pub(super) access_key_secret: String,
    pub(super) security_token: String,
    /// Milliseconds since 1970.
    pub(super) expired_time: i64,
    pub(super) oss_endpoint: String,
    pub(super) oss_internal_endpoint: String,
    pub(super) upload_bucket: &'static str,
    pub(super) upload_folder: String,
}

/// One task of a scan, DetectFace, and SearchPerson where the image is at fault.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskAnswer {
    pub(super) code: u16,
    pub(super) msg: String,
    pub(super) data_id: Option<String>,
    pub(super) task_id: Option<String>,
    pub(super) url: Option<String>,
    pub(super) extras: Option<Empty>,
    pub(super) results: Option<Vec<SceneResult>>,
    pub(super) faces: Option<Vec<DetectedFace>>,
}

/// `{}`.
#[derive(Debug, Serialize)]
pub(super) struct Empty {}

/// What a scene says of a task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SceneResult {
    pub(super) scene: &'static str,
    pub(super) label: &'static str,
    pub(super) suggestion: &'static str,
    pub(super) rate: f64,
    pub(super) top_person_data: Option<Vec<FaceFound>>,
}

/// One face of the query image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FaceFound {
    pub(super) face_item: FaceBox,
    pub(super) persons: Vec<PersonFound>,
}

/// Where it is, in pixels of the upright image.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FaceBox {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Who resembles it. The face's id is a text here.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PersonFound {
    pub(super) person_id: String,
    pub(super) face_id: String,
    pub(super) rate: f64,
    pub(super) name: String,
    pub(super) note: String,
}

/// One face of DetectFace. The names inside are unconfirmed; attributes nobody measured are left out.
#[derive(Debug, Serialize)]
pub(super) struct DetectedFace {
    pub(super) location: Location,
    pub(super) quality: Option<Quality>,
    pub(super) smile: Option<Smile>,
}

/// How much it smiles, 0 to 100.
#[derive(Debug, Serialize)]
pub(super) struct Smile {
    pub(super) rate: f64,
}

/// Where it is.
#[derive(Debug, Serialize)]
pub(super) struct Location {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) w: u32,
    pub(super) h: u32,
}

/// What was measured of it: 0 to 100, and the direction of the head in degrees.
#[derive(Debug, Serialize)]
pub(super) struct Quality {
    pub(super) blur: Option<f64>,
    pub(super) integrity: Option<f64>,
    pub(super) pitch: Option<f64>,
    pub(super) yaw: Option<f64>,
    pub(super) roll: Option<f64>,
}

/// A request id of the server (32 hex digits) in the vendor's spelling, an upper-case UUID. The log has the same digits.
pub(super) fn request_id(id: &str) -> String {
    let upper = id.to_ascii_uppercase();
    let is_hex = upper.len() == 32 && upper.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { as_uuid(&upper) } else { upper }
}
