use axum::body::to_bytes;
use tower::ServiceExt;

use super::*;

static BUILT: &[Asset] = &[
    Asset { path: "assets/app-1a2b.js", plain: b"let a", brotli: Some(b"brotli"), gzip: Some(b"gzip") },
    Asset { path: "index.html", plain: b"<!doctype html>", brotli: None, gzip: Some(b"gzip") },
];

fn asked(page: &str, accept_encoding: &'static str) -> Response {
    let mut headers = HeaderMap::new();
    if !accept_encoding.is_empty() {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accept_encoding));
    }
    answer(BUILT, page, &Method::GET, &headers)
}

fn header_of<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

#[test]
fn only_the_console_s_own_paths_are_its() {
    assert_eq!(page("/console"), Some(""));
    assert_eq!(page("/console/sets/staff"), Some("sets/staff"));
    for path in ["/", "/consoles", "/likeness/v1/face-sets", "/v2/console", "*"] {
        assert_eq!(page(path), None, "{path}");
    }
}

#[test]
fn the_coding_is_the_best_that_the_client_takes() {
    for (accepted, coding) in [
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("*", "br"),
        ("*;q=0", ""),
        ("identity", ""),
        ("", ""),
    ] {
        let response = asked("assets/app-1a2b.js", accepted);
        assert_eq!(header_of(&response, "content-encoding"), coding, "{accepted}");
        assert_eq!(header_of(&response, "vary"), "accept-encoding");
    }
}

#[test]
fn files_with_a_digest_in_their_name_are_kept_and_pages_are_not() {
    assert_eq!(header_of(&asked("assets/app-1a2b.js", ""), "cache-control"), "public, max-age=31536000, immutable");
    for page in ["", "sets/staff", "index.html"] {
        let response = asked(page, "");
        assert_eq!(header_of(&response, "cache-control"), "no-cache");
        assert_eq!(header_of(&response, "content-type"), "text/html; charset=utf-8");
    }
    assert_eq!(asked("assets/gone.js", "").status(), StatusCode::NOT_FOUND);
}

#[test]
fn every_answer_forbids_what_is_not_of_this_server() {
    let missing = answer(&[], "", &Method::GET, &HeaderMap::new());
    assert_eq!(missing.status(), StatusCode::NOT_IMPLEMENTED);
    let refused = answer(BUILT, "", &Method::POST, &HeaderMap::new());
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    for response in [missing, refused, asked("", ""), asked("assets/gone.js", ""), asked("assets/app-1a2b.js", "br")] {
        let policy = header_of(&response, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(header_of(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header_of(&response, "x-frame-options"), "DENY");
    }
}

#[tokio::test]
async fn the_rest_is_left_to_the_dialects() {
    let router = mount(Router::new().fallback(|| async { "a dialect" }));
    let body = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = router.clone().oneshot(request).await.expect("an answer");
        to_bytes(response.into_body(), 1 << 20).await.expect("a body")
    };
    assert_eq!(body("/likeness/v1/face-sets").await, "a dialect");
    assert_eq!(body("/consoles").await, "a dialect");
    assert_ne!(body("/console/sets").await, "a dialect");
}
