//! What an operator may set for this dialect.

/// Limits and habits of the service. The defaults are the vendor's documented values where there are some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Hours that a face found in a picture can be used by its token without being in a face set, 1 to 72. Default 72.
    pub held_hours: u32,
    /// Faces that a face set made here may hold. Default 10,000.
    pub max_faces_per_set: u64,
    /// Most face sets of a tenant; `None` for no bound. Default none.
    pub max_face_sets: Option<u64>,
    /// Least width and height of an image. Default 48.
    pub min_side: u32,
    /// Largest width and height of an image. Default 4096.
    pub max_side: u32,
    /// Bytes of an image. Default 2 MiB.
    pub max_image_bytes: usize,
    /// Bytes of a request's body. Default 8 MiB: two images as Base64, and words.
    pub max_body_bytes: usize,
    /// Seconds for fetching an image by its address. Default 10.
    pub fetch_timeout_s: u32,
    /// Calls per second of one key, with bursts of as many. Default none: no limit.
    pub max_qps: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            held_hours: 72,
            max_faces_per_set: 10_000,
            max_face_sets: None,
            min_side: 48,
            max_side: 4096,
            max_image_bytes: 2 * 1024 * 1024,
            max_body_bytes: 8 * 1024 * 1024,
            fetch_timeout_s: 10,
            max_qps: None,
        }
    }
}
