//! What an operator may set for this dialect.

/// Limits and habits of the service. The defaults are the vendor's documented values.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Name of a tenant's one project besides the region names, and the name it is listed by. Default `cn-north-4`.
    pub project_name: String,
    /// Most face sets of a tenant. Default 10.
    pub face_sets_max: u64,
    /// Largest and default capacity of a face set, in faces. Default 100,000.
    pub capacity_max: u64,
    /// Capacities are multiples of this. Default 10,000.
    pub capacity_step: u64,
    /// Largest `offset + limit` of a listing. Default 10,000.
    pub page_end_max: u64,
    /// Largest `top_n` of a search. Default 1000, which is also the most the library offers.
    pub top_n_max: usize,
    /// Bytes of a request's body. Default 12 MB.
    pub body_bytes_max: usize,
    /// Bytes of an image, as base64 text or as a file. Default 8 MB.
    pub image_bytes_max: usize,
    /// Width and height of an image. Default 4096.
    pub image_side_max: u32,
    /// Milliseconds that fetching one image may take. Default 10,000.
    pub fetch_deadline_ms: u64,
    /// Where object storage is: `image_url` values such as `/bucket/key` and `https://bucket.obs.REGION.myhuaweicloud.com/key`
    /// are fetched from this address followed by `/bucket/key`. Without it bucket paths cannot be read, and the second
    /// form is fetched as it is. Default none.
    pub object_storage: Option<String>,
    /// Whether text values of custom fields must keep to the documented `A-Z a-z 0-9 _ -`; otherwise any text of 1 to
    /// 256 characters is stored. Default false.
    pub field_text_strict: bool,
    /// Calls per second of one tenant to one operation, with bursts of as many; more are answered `FRS.0033`. The
    /// vendor allows about 10. Default none: no limit.
    pub calls_per_second: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            project_name: "cn-north-4".to_owned(),
            face_sets_max: 10,
            capacity_max: 100_000,
            capacity_step: 10_000,
            page_end_max: 10_000,
            top_n_max: 1000,
            body_bytes_max: 12 * 1024 * 1024,
            image_bytes_max: 8 * 1024 * 1024,
            image_side_max: 4096,
            fetch_deadline_ms: 10_000,
            object_storage: None,
            field_text_strict: false,
            calls_per_second: None,
        }
    }
}
