//! A whole server in memory and the requests to put to it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use likeness_store::memory::MemoryStore;
use likeness_testkit::{FakeAnalyzer, FakeClock, FakeFetcher};
use serde_json::{Value, json};

use crate::huawei::Settings;
use crate::router;
pub(super) use crate::tests::testbed::base64;
use crate::tests::testbed::{self, Testbed};

/// One face of one person, 120 pixels wide.
pub(super) const F1: &str = "face anna 120x130+10+20";
/// Another picture of the same person.
pub(super) const F1B: &str = "face anna~0.8 100x100+40+40";
/// Somebody else.
pub(super) const F2: &str = "face bert 90x90+300+100";
/// Two people; the second has the larger box.
pub(super) const G: &str = "face anna 80x80+10+10\nface carl 150x150+200+200";
/// Nobody.
pub(super) const N: &str = "size 640x480";

/// A tenant with a key.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) tenant: &'static str,
    pub(super) project: String,
    pub(super) key_id: &'static str,
    pub(super) secret: &'static str,
}

pub(super) struct Server {
    router: Router,
    pub(super) store: Arc<MemoryStore>,
    pub(super) clock: Arc<FakeClock>,
    pub(super) analyzer: Arc<FakeAnalyzer>,
    pub(super) fetcher: Arc<FakeFetcher>,
    /// Who most requests are from.
    pub(super) acme: Client,
    /// Somebody else.
    pub(super) other: Client,
    token: String,
}

/// An answer, checked for what every answer must be.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    pub(super) json: Value,
}

impl Server {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self::over(FakeAnalyzer::new(), settings)
    }

    /// With an analyzer that cannot do everything.
    pub(super) fn over(analyzer: FakeAnalyzer, settings: Settings) -> Self {
        let bed = Testbed::new(FakeClock::default(), analyzer);
        let acme = add_client(&bed, 0x1111, "acme", "AKACME", "acme-secret-0001");
        let other = add_client(&bed, 0x2222, "other", "AKOTHER", "other-secret-0001");
        let router = router(bed.wire(crate::Settings { huawei: settings, ..crate::Settings::default() }));
        let Testbed { store, clock, analyzer, fetcher, .. } = bed;
        let mut server = Self { router, store, clock, analyzer, fetcher, acme, other, token: String::new() };
        server.token = server.token_of(&server.acme);
        server
    }

    /// A fresh project token.
    pub(super) fn token_of(&self, client: &Client) -> String {
        let reply = self.send(self.request("POST", "/v3/auth/tokens", login(client, Some("cn-north-4")).to_string()));
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.headers["x-subject-token"].to_str().unwrap().to_owned()
    }

    /// A JSON request without credentials.
    pub(super) fn request(&self, method: &str, target: &str, body: impl Into<Body>) -> Request<Body> {
        let request = Request::builder().method(method).uri(target).header("content-type", "application/json");
        request.body(body.into()).unwrap()
    }

    /// The target of a path of acme's project, such as `/face-sets`.
    pub(super) fn target(&self, path: &str) -> String {
        format!("/v2/{}{path}", self.acme.project)
    }

    /// Sends with acme's token.
    pub(super) fn send_signed_in(&self, mut request: Request<Body>) -> Reply {
        request.headers_mut().insert("x-auth-token", self.token.parse().unwrap());
        self.send(request)
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.send_signed_in(self.request("GET", &self.target(path), Body::empty()))
    }

    pub(super) fn post(&self, path: &str, body: Value) -> Reply {
        self.send_signed_in(self.request("POST", &self.target(path), body.to_string()))
    }

    pub(super) fn put(&self, path: &str, body: Value) -> Reply {
        self.send_signed_in(self.request("PUT", &self.target(path), body.to_string()))
    }

    pub(super) fn delete(&self, path: &str) -> Reply {
        self.send_signed_in(self.request("DELETE", &self.target(path), Body::empty()))
    }

    pub(super) fn delete_with(&self, path: &str, body: Value) -> Reply {
        self.send_signed_in(self.request("DELETE", &self.target(path), body.to_string()))
    }

    /// Posts a form. A name ending in `_file` is sent as a file, as the SDK does: last, with a file name and without a
    /// content type.
    pub(super) fn post_form(&self, path: &str, parts: &[(&str, &str)]) -> Reply {
        let mut request = self.request("POST", &self.target(path), form("bnd", parts));
        request.headers_mut().insert("content-type", "multipart/form-data; boundary=bnd".parse().unwrap());
        self.send_signed_in(request)
    }

    /// Sends as it is and checks nothing.
    pub(super) fn raw(&self, request: Request<Body>) -> (u16, HeaderMap, String) {
        testbed::send(&self.router, request)
    }

    /// Sends as it is and checks what holds for every answer.
    #[track_caller]
    pub(super) fn send(&self, request: Request<Body>) -> Reply {
        let target = request.uri().to_string();
        let (status, headers, text) = self.raw(request);
        assert!(!headers["x-request-id"].is_empty(), "{target}");
        assert_eq!(headers["content-type"], "application/json; charset=UTF-8", "{target}");
        let json: Value = serde_json::from_str(&text).unwrap();
        if status <= 300 {
            check_members(&json, &text);
        } else if !target.starts_with("/v3/auth") || json.get("error_code").is_some() {
            for member in ["error_code", "error_msg"] {
                assert!(!json[member].as_str().unwrap().is_empty(), "{target}: {text}");
            }
        }
        assert_ne!(status, 500, "{target}: {text}");
        Reply { status, headers, text, json }
    }

    /// The set of most cases: `lib-a` with one field of each kind they need.
    pub(super) fn with_lib_a() -> Self {
        let server = Self::new();
        server.make_lib_a();
        server
    }

    pub(super) fn make_lib_a(&self) {
        let fields = json!({"age": {"type": "integer"}, "vip": {"type": "boolean"},
            "score": {"type": "double"}, "team": {"type": "string"}});
        self.post("/face-sets", json!({"face_set_name": "lib-a", "external_fields": fields})).ok();
    }

    /// Adds the one face of a picture to `lib-a`; returns its id.
    #[track_caller]
    pub(super) fn add(&self, picture: &str, label: &str, fields: Value) -> String {
        let body = json!({"image_base64": base64(picture), "external_image_id": label, "external_fields": fields});
        let reply = self.post("/face-sets/lib-a/faces", body).ok();
        reply.json["faces"][0]["face_id"].as_str().unwrap().to_owned()
    }

    /// Labels of a search's candidates, in order.
    pub(super) fn search(&self, body: Value) -> Vec<String> {
        labels(&self.post("/face-sets/lib-a/search", body).ok())
    }
}

impl Reply {
    /// Asserts success.
    #[track_caller]
    pub(super) fn ok(self) -> Reply {
        assert_eq!(self.status, 200, "{}", self.text);
        self
    }

    /// Asserts a refusal.
    #[track_caller]
    pub(super) fn refused(self, status: u16, code: &str) -> Reply {
        assert_eq!((self.status, self.json["error_code"].as_str().unwrap_or("none")), (status, code), "{}", self.text);
        self
    }

    /// Asserts one of the many refusals with status 400.
    #[track_caller]
    pub(super) fn bad(self, code: &str) -> Reply {
        self.refused(400, code)
    }
}

/// Labels of the faces in an answer.
pub(super) fn labels(reply: &Reply) -> Vec<String> {
    let faces = reply.json["faces"].as_array().unwrap();
    faces.iter().map(|face| face["external_image_id"].as_str().unwrap().to_owned()).collect()
}

/// The body of a token request.
pub(super) fn login(client: &Client, project: Option<&str>) -> Value {
    let user = json!({"name": client.key_id, "password": client.secret, "domain": {"name": client.tenant}});
    let mut body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}});
    if let Some(name) = project {
        body["auth"]["scope"] = json!({"project": {"name": name}});
    }
    body
}

/// A form with these parts, files where the name ends in `_file`.
pub(super) fn form(boundary: &str, parts: &[(&str, &str)]) -> String {
    let part = |(name, text): &(&str, &str)| {
        let file = if name.ends_with("_file") { "; filename=\"a.jpg\"" } else { "" };
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n")
    };
    format!("{}--{boundary}--\r\n", parts.iter().map(part).collect::<String>())
}

fn add_client(bed: &Testbed, bits: u128, tenant: &'static str, key_id: &'static str, secret: &'static str) -> Client {
    bed.add_key(bits, tenant, (key_id, secret), true).unwrap();
    Client { tenant, project: testbed::tenant_id(bits).to_string(), key_id, secret }
}

/// Case 100: no `null`, and no member that the reference does not have.
fn check_members(json: &Value, text: &str) {
    const KNOWN: &str = "\
        faces bounding_box width height top_left_x top_left_y attributes dress glass hat smile mask hair beard \
        quality expression type probability headpose pitch_angle roll_angle yaw_angle gender age face_angle \
        total_score blur pose occlusion illumination landmark eyes_contour mouth_contour face_contour \
        eyebrow_contour nose_contour x y image1_face image2_face similarity face_set_info face_sets_info face_number \
        face_set_id face_set_name create_date face_set_capacity external_fields face_id external_image_id token \
        methods issued_at expires_at user id name domain password_expires_at project roles catalog projects links \
        domain_id parent_id is_domain enabled description subscribe_status create_time status video-result alive \
        versions version values updated media-types base rel href endpoints interface region region_id url domains \
        actions confidence action picture warning-list warningCode warningMsg result";
    match json {
        Value::Null => panic!("null in {text}"),
        Value::Array(items) => items.iter().for_each(|item| check_members(item, text)),
        Value::Object(members) => {
            for (name, value) in members {
                assert!(KNOWN.split(' ').any(|known| known == name), "`{name}` is not in the reference: {text}");
                // Inside are names the caller chose.
                if name != "external_fields" {
                    check_members(value, text);
                }
            }
        }
        _ => {}
    }
}
