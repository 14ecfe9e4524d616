//! What an operator may set for this dialect.

use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use likeness_domain::access::Limits;
use likeness_domain::limits;
use likeness_domain::settings::{ListOf, Parsed, Truth, Unset};

likeness_domain::settings! {
    /// Limits and habits of the service. The defaults are the vendor's documented values where there are some.
    pub struct Settings in "aliyun." {
        groups_max: u64 = "100", 1..=1_000_000,
            "most face sets of a tenant that joining groups may lead to; the vendor's quota";
        faces_max: u64 = "20", 1..=limits::PAGE_LIMIT_MAX,
            "most faces of a person; the vendor's quota";
        body_bytes_max: usize = "1048576", 1024..=limits::IMAGE_BYTES_MAX as u64,
            "bytes of a request's body: 1 MiB, since images do not travel in bodies";
        image_bytes_max: usize = "20971520", 1024..=limits::IMAGE_BYTES_MAX as u64,
            "bytes of an image: 20 MB, the vendor's bound";
        image_side_max: u32 = "12000", 1..=limits::IMAGE_SIDE_MAX.into(),
            "width and height of an image in pixels; the library's bound, the vendor takes 30,000";
        fetch_deadline_ms: u64 = "3000", 1..=600_000,
            "milliseconds that fetching one image may take; the vendor's bound";
        scan_deadline_ms: u64 = "6000", 1..=600_000,
            "milliseconds that a synchronous scan may take, all its tasks together; the vendor's bound";
        compare_review_rate: u32 = "70", 0..=100,
            "rate from which a comparison of two images suggests `review`: passed by one comparison of two strangers in a thousand";
        search_review_rate: u32 = "80", 0..=100,
            "rate from which a search in a group suggests `review`: passed by one comparison of two strangers in ten thousand, so the more faces a group has, the more strangers";
        search_rate_min: u32 = "0", 0..=100,
            "persons below this rate are left out of a search; by default the five most similar are listed, however little";
        unknown_person_code: u16 = "404", 400..=599,
            "code for a person that does not exist; one old client expects 500";
        limited_tenants: Vec<String> = "", ListOf("names of tenants, or *"),
            "tenants whose calls a second are bounded by the vendor's documented values, `*` for all; by default \
             nobody's are";
        tasks_waiting_max: u64 = "10000", 1..=1_000_000,
            "asynchronous tasks that may wait before more are refused; at a few a second an hour of work";
        require_content_md5: bool = "false", Truth,
            "whether a call of signature version 1.0 with a body must have `Content-MD5`: without it the signature does not \
             cover the body, which anybody on the way may then exchange; the vendor asks for none";
        require_nonce: bool = "false", Truth,
            "whether a call must have a nonce: without one anybody who reads it may repeat it for 15 minutes; the vendor asks \
             for none";
        upload_endpoint: Option<UploadEndpoint> = "", Unset(Parsed("an address such as http://192.0.2.7:7080")),
            "where clients reach this server to upload files, such as `http://192.0.2.7:7080`: scheme, IP address or \
             localhost, and port; without it uploads are disabled";
        uploads_bytes_max: u64 = "1073741824", 1..=u64::MAX,
            "bytes of a tenant's uploads that may lie here at a time: 1 GiB; each is forgotten after an hour";
    }
}

impl Settings {
    /// The vendor's numbers, as the gate and the library want them.
    pub(super) fn limits(&self) -> Limits {
        Limits { face_sets_max: Some(self.groups_max), person_faces_max: Some(self.faces_max), ..Limits::NONE }
    }
}

impl Settings {
    /// Whether calls of the tenant with that name are bounded by the vendor's documented values.
    pub fn limits_calls_of(&self, tenant: &str) -> bool {
        self.limited_tenants.iter().any(|known| known == "*" || known == tenant)
    }
}

/// Scheme, host and port under which clients reach this server: `http://192.0.2.7:7080`.
///
/// The host is an IP address or `localhost`: before the name of any other host the vendor's storage client puts the
/// name of the bucket, which no name server would know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadEndpoint(String);

impl UploadEndpoint {
    /// As clients get it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UploadEndpoint {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (scheme, authority) = text.split_once("://").ok_or(())?;
        let uri: Uri = text.parse().map_err(|_| ())?;
        let host = uri.host().ok_or(())?;
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_found = host == "localhost" || address.parse::<IpAddr>().is_ok();
        let is_bare = matches!(scheme, "http" | "https") && !authority.contains(['/', '?', '#', '@']);
        if is_found && is_bare { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}
