//! The console: pages in the binary, at `/console`. It serves files and nothing else; what the pages do, they do through
//! the native API like any other client.
//!
//! The files are made by `npm run build` in the folder `console` and put in by `build.rs`. A binary that was built without
//! them answers with a page that says so.

#[cfg(test)]
mod tests;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use likeness_wire::http::json;
use likeness_wire::native;
use serde::{Deserialize, Serialize};

/// Where the pages are.
pub(crate) const PREFIX: &str = "/console";

/// A file of the console.
#[derive(Debug)]
struct Asset {
    /// Below `/console/`.
    path: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

/// The built console; empty in a binary that was built without it.
static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/console_assets.rs"));

/// The page that every path without a file gets: the script in it reads the path.
const INDEX: &str = "index.html";

/// Files below this have a digest of their content in their name and never change.
const HASHED: &str = "assets/";

/// What the pages may load and run: files of this server only, no script or style in the page itself. Pictures that the
/// user chose are shown through `blob:` addresses.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; \
                      connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html";

/// Headers of every answer.
const HEADERS: [(header::HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(), geolocation=()"),
];

/// Answers `/console` and what is below it, and leaves the rest to `router`.
pub(crate) fn mount(router: Router) -> Router {
    router.layer(from_fn(|request: Request, next: Next| async move {
        match page(request.uri().path()) {
            Some(page) => answer(ASSETS, page, request.method(), request.headers()),
            None => next.run(request).await,
        }
    }))
}

/// The path below the console's folder; an empty one for the folder itself, `None` where it is not the console's.
fn page(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(PREFIX)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

/// Whether the binary has the console in it.
pub(crate) fn is_built_in() -> bool {
    !ASSETS.is_empty()
}

/// Where a server is reached; what [`address_router`] answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Address {
    /// `http://` and the address that it listens on.
    pub(crate) url: String,
    /// Whether the console is in the binary and switched on.
    pub(crate) has_console: bool,
}

/// Tells commands on this machine where the server is reached: `GET /address`, for the socket in the data folder only.
pub(crate) fn address_router(url: String, is_on: bool) -> Router {
    let address = Address { url, has_console: is_on && is_built_in() };
    let answer = move || std::future::ready(json::answer(StatusCode::OK, &address));
    Router::new().route(&format!("{}/address", native::PREFIX), get(answer))
}

fn answer(assets: &'static [Asset], page: &str, method: &Method, headers: &HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        let mut response = with(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "expected GET or HEAD\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let found = assets.iter().find(|asset| asset.path == page);
    let is_missing_file = found.is_none() && page.starts_with(HASHED);
    if is_missing_file {
        return with(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "no such file\n");
    }
    let Some(asset) = found.or_else(|| assets.iter().find(|asset| asset.path == INDEX)) else {
        return with(StatusCode::NOT_IMPLEMENTED, "text/html; charset=utf-8", MISSING);
    };
    let (encoding, body) = match (asset.brotli, asset.gzip) {
        (Some(packed), _) if accepts(headers, "br") => (Some("br"), packed),
        (_, Some(packed)) if accepts(headers, "gzip") => (Some("gzip"), packed),
        _ => (None, asset.plain),
    };
    let mut response = with(StatusCode::OK, media_type(asset.path), body);
    let answer_headers = response.headers_mut();
    if let Some(encoding) = encoding {
        answer_headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    answer_headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let caching = if asset.path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    answer_headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

fn with(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a client takes answers in that coding: it is named, or everything is, and not with a weight of nothing.
fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let lists = || headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let weight = |wanted: &str| {
        lists().flat_map(|list| list.split(',')).find_map(|item| {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = parameters.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
            name.trim().eq_ignore_ascii_case(wanted).then_some(weight.unwrap_or(1.0))
        })
    };
    weight(coding).or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// What a binary without the console answers.
const MISSING: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Likeness has no console here</title>
<h1>This program was built without its console</h1>
<p>The server itself is complete: the native API answers at <code>/likeness/v1</code>, and so do the dialects.
<p>To have the console, build it with Node.js 20.19 or later, then the program once more:
<pre>cd console
npm ci
npm run build
cd ..
cargo build --release</pre>
<p>The setting <code>console = false</code> (<code>LIKENESS_CONSOLE=false</code>) takes this page away.
</html>
";
