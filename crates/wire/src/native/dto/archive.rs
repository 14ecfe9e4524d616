//! Faces with their templates, as archives have them: one object a face, the same over HTTP and in a file.

use serde::{Deserialize, Serialize};

use super::{Detection, Quality, Values};

/// A face with its template. Everything but the template may be missing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchivedFace {
    /// Its id where it was exported: a decimal number in a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The caller's own id of this observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Label saying who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Custom values by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Values>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where its image came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The person who owns it; without one it belongs to the set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<ArchivedPerson>,
    /// Where it was in its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection: Option<Detection>,
    /// How good that image was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// When it was enrolled, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// A small picture of it: a JPEG file of at most 8 KiB and 512 x 512 pixels without metadata, in standard base64. It is kept
    /// where the set keeps thumbnails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<String>,
    /// Its template: 32-bit floats, little-endian, in standard base64 with padding. It is brought to unit length.
    pub template: String,
}

// Templates never reach a log: shape only.
impl std::fmt::Debug for ArchivedFace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ArchivedFace({} characters of template)", self.template.len())
    }
}

/// A person who owns faces.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchivedPerson {
    /// Unique within the tenant.
    pub key: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A stretch of a set's faces with templates.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArchivePage {
    /// The model pack of the templates.
    pub pack: String,
    /// In order of enrolment.
    pub faces: Vec<ArchivedFace>,
    /// Faces of the stretch that are damaged and therefore left out.
    pub n_damaged: u64,
    /// `from` of the next stretch; left out at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Request to enrol faces by their templates.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportFaces {
    /// The model pack of the templates; it has to be the set's.
    pub pack: String,
    /// The faces, at most 1,000.
    pub faces: Vec<ArchivedFace>,
}

/// What became of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FacesImported {
    /// Faces enrolled by this call.
    pub n_enrolled: u64,
    /// Faces that the set had already, or that the call had twice.
    pub n_known: u64,
}
