//! At which address a client reached this server, for links in answers and for cookies.

use http::{Extensions, HeaderMap, header};

/// Put into a request's extensions by a listener that has ended TLS itself.
#[derive(Debug, Clone, Copy)]
pub struct OverTls;

/// Whether the client came by TLS: to this server, or to a proxy before it that says so.
pub(crate) fn is_over_tls(headers: &HeaderMap, extensions: &Extensions) -> bool {
    let forwarded = headers.get("x-forwarded-proto").is_some_and(|value| value.as_bytes().starts_with(b"https"));
    forwarded || extensions.get::<OverTls>().is_some()
}

/// Scheme and authority by which the client came, such as `https://faces.example:7443`; empty where it names no host, so
/// that links are relative then.
pub(crate) fn base_url(headers: &HeaderMap, extensions: &Extensions) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_authority = !host.is_empty()
        && host.len() <= 255
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    match (is_authority, is_over_tls(headers, extensions)) {
        (false, _) => String::new(),
        (true, true) => format!("https://{host}"),
        (true, false) => format!("http://{host}"),
    }
}
