//! Answers to pages of other origins (CORS, <https://fetch.spec.whatwg.org/#http-cors-protocol>): which of them may read
//! what the Face++ dialect and the native API answer. Cookies are never for other origins, so such a page needs a key.

use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

/// Paths that pages of other origins may ask for: the APIs whose clients run in browsers.
const OPEN: [&str; 2] = ["/facepp/", "/likeness/v1/"];

/// What a page may send and read besides what every page may.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const SENT: HeaderValue = HeaderValue::from_static("authorization, content-type, idempotency-key, if-match");
const READ: HeaderValue = HeaderValue::from_static("etag, retry-after, x-request-id");

/// Seconds for which a browser need not ask again what a page may send.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// An origin whose pages may ask: `https://shop.example:8443`, or `*` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(String);

impl FromStr for Origin {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "*" {
            return Ok(Self(text.to_owned()));
        }
        // Compared with what browsers write: a scheme, a host in small letters, a port that is not the scheme's own.
        let text = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").ok_or(())?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let is_authority = !authority.is_empty()
            && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
        let usual_port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => "",
        };
        match is_scheme && is_authority {
            true => Ok(Self(text.strip_suffix(usual_port).unwrap_or(&text).to_owned())),
            false => Err(()),
        }
    }
}

/// The same router, whose answers the pages of these origins may read.
pub(crate) fn allow(router: Router, origins: &[Origin]) -> Router {
    if origins.is_empty() {
        return router;
    }
    let origins: Arc<[Origin]> = origins.into();
    router.layer(from_fn(move |request: Request, next: Next| {
        let allowed = allowed(&origins, &request);
        async move {
            let Some(allowed) = allowed else { return next.run(request).await };
            let mut response = match is_preflight(&request) {
                true => preflight(),
                false => next.run(request).await,
            };
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, READ);
            headers.append(header::VARY, HeaderValue::from_static("origin"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            response
        }
    }))
}

/// How the origin of a request is named in the answer; `None` if it has none or may not ask.
fn allowed(origins: &[Origin], request: &Request) -> Option<HeaderValue> {
    let path = request.uri().path();
    if !OPEN.iter().any(|open| path.starts_with(open)) {
        return None;
    }
    let origin = one(request.headers(), header::ORIGIN)?;
    if origins.iter().any(|allowed| allowed.0 == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    origins.iter().any(|allowed| allowed.0.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

fn one(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether a browser asks what a page may send.
fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, SENT);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    response
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;

    fn origins(texts: &[&str]) -> Vec<Origin> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        for (text, read) in [
            ("https://Shop.Example", "https://shop.example"),
            ("https://shop.example:443/", "https://shop.example"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("*", "*"),
        ] {
            assert_eq!(text.parse(), Ok(Origin(read.to_owned())), "{text}");
        }
        for text in ["", "shop.example", "https://", "https://a/b", "https://a b", "https://*.example", "null", "://x"]
        {
            assert_eq!(text.parse::<Origin>(), Err(()), "{text}");
        }
    }

    /// Addition A2 of Yuanli's and Face++'s reference: the vendor's JavaScript client asks from a page.
    #[tokio::test]
    async fn a2_pages_of_named_origins_read_the_answers_and_no_others() {
        const SHOP: &str = "https://shop.example";
        let answering = |allowed: &[&str]| {
            let plain = Router::new().fallback(|| std::future::ready(StatusCode::IM_A_TEAPOT));
            allow(plain, &origins(allowed))
        };
        let ask = async |router: Router, method: &str, path: &str, origin: &[&str]| {
            let mut request = http::Request::builder().method(method).uri(path);
            for origin in origin {
                request = request.header(header::ORIGIN, *origin);
            }
            let request = request.header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST").body(Body::empty()).unwrap();
            let response = router.oneshot(request).await.unwrap();
            let text =
                |name| response.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap().to_owned());
            assert_eq!(text(header::ACCESS_CONTROL_ALLOW_CREDENTIALS), None);
            (response.status().as_u16(), text(header::ACCESS_CONTROL_ALLOW_ORIGIN), text(header::VARY))
        };
        let (own, vary) = (Some(SHOP.to_owned()), Some("origin".to_owned()));
        for path in ["/facepp/v3/detect", "/likeness/v1/detect"] {
            let router = || answering(&["https://other.example", SHOP]);
            assert_eq!(ask(router(), "POST", path, &[SHOP]).await, (418, own.clone(), vary.clone()));
            assert_eq!(ask(router(), "OPTIONS", path, &[SHOP]).await, (204, own.clone(), vary.clone()));
            let all = Some("*".to_owned());
            assert_eq!(ask(answering(&["*"]), "POST", path, &["null"]).await, (418, all, vary.clone()));
            for origin in [&["https://evil.example"][..], &["null"], &[SHOP, SHOP], &["https://shop.example.evil"], &[]]
            {
                assert_eq!(ask(router(), "OPTIONS", path, origin).await, (418, None, None), "{origin:?}");
                assert_eq!(ask(answering(&[]), "POST", path, origin).await, (418, None, None), "{origin:?}");
            }
            assert_eq!(ask(answering(&[]), "OPTIONS", path, &[SHOP]).await, (418, None, None), "none by default");
        }
        for path in ["/v2/x/face-sets", "/green/x", "/finauth/x", "/console/", "/readyz", "/facepp"] {
            assert_eq!(ask(answering(&[SHOP]), "OPTIONS", path, &[SHOP]).await, (418, None, None), "{path}");
        }
    }
}
