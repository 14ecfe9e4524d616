//! What an operator may set for this dialect.

use likeness_domain::access::Limits;
use likeness_domain::limits;
use likeness_domain::settings::UnlessZero;

likeness_domain::settings! {
    /// Limits and habits of the service. The defaults are the vendor's documented values where there are some.
    pub struct Settings in "facepp." {
        held_hours: u32 = "72", 1..=limits::TRANSIENT_FACE_LIFETIME_MAX.as_secs() / 3600,
            "hours that a face found in a picture can be used by its token without being in a face set, 1 to 72; this \
             long its template is stored";
        max_faces_per_set: u64 = "10000", 1..=1_000_000_000,
            "faces a face set made through this dialect may hold; the vendor's value";
        max_face_sets: Option<u64> = "0", UnlessZero(1_000_000),
            "most face sets of a tenant; 0 for no bound";
        min_side: u32 = "48", 1..=limits::IMAGE_SIDE_MAX.into(),
            "least width and height of an image in pixels";
        max_side: u32 = "4096", 1..=limits::IMAGE_SIDE_MAX.into(),
            "largest width and height of an image in pixels";
        max_image_bytes: usize = "2097152", 1024..=limits::IMAGE_BYTES_MAX as u64,
            "bytes of an image: 2 MiB, the vendor's value";
        max_body_bytes: usize = "8388608", 1024..=4 * limits::IMAGE_BYTES_MAX as u64,
            "bytes of a request's body: 8 MiB, room for two images as base64";
        fetch_timeout_s: u32 = "10", 1..=600,
            "seconds for fetching an image by its address";
        max_qps: Option<u32> = "0", UnlessZero(1_000_000),
            "calls a second of one key before it is told to slow down; 0 for no bound";
    }
}

impl Settings {
    /// The vendor's numbers, as the gate and the library want them.
    pub(super) fn limits(&self) -> Limits {
        Limits { face_sets_max: self.max_face_sets, face_set_faces_max: Some(self.max_faces_per_set), ..Limits::NONE }
    }
}
