//! What an operator may set for this dialect.

use std::convert::Infallible;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

/// Limits and habits of the service. The defaults are the vendor's documented values where there are some.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Most face sets of a tenant that joining may lead to. Default 100.
    pub groups_max: u64,
    /// Most faces of a person. Default 20.
    pub faces_max: u64,
    /// Bytes of a request's body. Default 1 MiB: images do not travel in bodies.
    pub body_bytes_max: usize,
    /// Bytes of an image. Default 20 MB, which is also the library's bound.
    pub image_bytes_max: usize,
    /// Width and height of an image. Default 12,000, the library's bound; the vendor takes 30,000.
    pub image_side_max: u32,
    /// Milliseconds that fetching one image may take. Default 3000.
    pub fetch_deadline_ms: u64,
    /// Milliseconds that a synchronous scan may take; tasks that are not done then have code 581. Default 6000.
    pub scan_deadline_ms: u64,
    /// Rate from which a comparison (`sface-1`) suggests `review`. Default 70.
    pub compare_review_rate: u32,
    /// Rate from which a search (`sface-n`) suggests `review`. Default 80.
    pub search_review_rate: u32,
    /// Persons below this rate are left out of a search's answer. Default 0: the five most similar, however little.
    pub search_rate_min: u32,
    /// Code for a person that does not exist. Default 404; one old client expects 500.
    pub unknown_person_code: u16,
    /// Whose calls per second are bounded by the vendor's documented values. Default nobody's.
    pub limited: LimitedTenants,
    /// Asynchronous tasks that may wait. Default 10,000.
    pub tasks_waiting_max: u64,
    /// Where clients find this server to put files; without it uploads are disabled, as by default.
    pub upload_endpoint: Option<UploadEndpoint>,
    /// Bytes of a tenant's uploads that may lie here at a time. Default 1 GiB.
    pub uploads_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            groups_max: 100,
            faces_max: 20,
            body_bytes_max: 1024 * 1024,
            image_bytes_max: 20 * 1024 * 1024,
            image_side_max: 12_000,
            fetch_deadline_ms: 3000,
            scan_deadline_ms: 6000,
            compare_review_rate: 70,
            search_review_rate: 80,
            search_rate_min: 0,
            unknown_person_code: 404,
            limited: LimitedTenants::default(),
            tasks_waiting_max: 10_000,
            upload_endpoint: None,
            uploads_bytes_max: 1024 * 1024 * 1024,
        }
    }
}

/// Names of tenants, or `*` for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitedTenants(Vec<String>);

impl LimitedTenants {
    /// Whether the tenant of that name is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == "*" || known == name)
    }
}

impl FromIterator<String> for LimitedTenants {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

impl FromStr for LimitedTenants {
    type Err = Infallible;

    /// Names between commas.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }
}

/// Scheme, host and port under which clients reach this server: `http://192.0.2.7:7080`.
///
/// The host is an IP address or `localhost`: before the name of any other host the vendor's storage client puts the
/// name of the bucket, which no name server would know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadEndpoint(String);

impl UploadEndpoint {
    /// As it is told to clients.
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
