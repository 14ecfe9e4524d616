//! What an operator may set for this dialect.

use likeness_domain::access::{CountedBy, Limits, Rate};
use likeness_domain::limits;
use likeness_domain::settings::{Parsed, Truth, Unset};

likeness_domain::settings! {
    /// Limits and habits of the service. The defaults are the vendor's documented values.
    pub struct Settings in "huawei." {
        project_name: String = "cn-north-4", Parsed("a name"),
            "name of a tenant's one project besides the vendor's region names, and the name it is listed by";
        face_sets_max: u64 = "10", 1..=1_000_000,
            "most face sets of a tenant; the vendor's quota";
        capacity_max: u64 = "100000", 1..=1_000_000_000,
            "largest and default capacity of a face set, in faces; the vendor's quota";
        capacity_step: u64 = "10000", 1..=1_000_000_000,
            "capacities are multiples of this, as the vendor's are";
        page_end_max: u64 = "10000", 1..=1_000_000_000,
            "largest `offset + limit` of a listing; the vendor's bound";
        top_n_max: usize = "1000", 1..=limits::TOP_K_MAX as u64,
            "largest `top_n` of a search; the vendor's bound, and the most the library offers";
        body_bytes_max: usize = "12582912", 1024..=2 * limits::IMAGE_BYTES_MAX as u64,
            "bytes of a request's body: 12 MB, as the vendor's gateway takes";
        image_bytes_max: usize = "8388608", 1024..=limits::IMAGE_BYTES_MAX as u64,
            "bytes of an image or a clip, as base64 text or as a file: 8 MB, the vendor's bound";
        image_side_max: u32 = "4096", 1..=limits::IMAGE_SIDE_MAX.into(),
            "width and height of an image in pixels; the vendor's bound";
        fetch_deadline_ms: u64 = "10000", 1..=600_000,
            "milliseconds that fetching one image may take, all redirects together";
        object_storage: Option<String> = "", Unset(Parsed("an address")),
            "address in whose place `/bucket/key` image paths are fetched; by default none, and such paths cannot be read";
        field_text_strict: bool = "false", Truth,
            "whether texts of custom fields must keep to the documented letters, digits, `_` and `-`";
        calls_per_second: Option<u32> = "", Unset(1..=1_000_000),
            "calls a second of one tenant to one operation before it is told to slow down; by default no limit";
    }
}

impl Settings {
    /// The vendor's numbers, as the gate and the library want them.
    pub(super) fn limits(&self) -> Limits {
        Limits { face_sets_max: Some(self.face_sets_max), ..Limits::NONE }
    }

    /// The bound on calls of one tenant to one operation, where it is in force.
    pub(super) fn rate(&self) -> Option<Rate> {
        self.calls_per_second.map(|per_second| Rate { counted_by: CountedBy::TenantAndOperation, per_second })
    }
}
