//! A client of the Huawei dialect, for tests of the others: what they make must be seen by it.

use axum::body::Body;
use http::{HeaderMap, Request};
use serde_json::{Value, json};

use crate::tests::testbed::tenant_id;

/// What a test's server answers: status, headers and body.
type Reply = (u16, HeaderMap, String);

/// Signed in with a token for the project of the tenant `0x1111`, as the tests' servers make their first tenant.
pub(crate) struct HuaweiClient<'a> {
    send: Box<dyn Fn(Request<Body>) -> Reply + 'a>,
    token: String,
}

impl<'a> HuaweiClient<'a> {
    /// Signs in with a key, its secret and the name of its tenant.
    pub(crate) fn new(send: impl Fn(Request<Body>) -> Reply + 'a, (key, secret): (&str, &str), tenant: &str) -> Self {
        let user = json!({"name": key, "password": secret, "domain": {"name": tenant}});
        let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": "cn-north-4"}}}});
        let request = Request::post("/v3/auth/tokens").header("content-type", "application/json");
        let (status, headers, text) = send(request.body(Body::from(body.to_string())).unwrap());
        assert_eq!(status, 201, "{text}");
        Self { send: Box::new(send), token: headers["x-subject-token"].to_str().unwrap().to_owned() }
    }

    /// A call that is done.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let request = Request::builder().method(method).uri(format!("/v2/{}{path}", tenant_id(0x1111)));
        let request = request.header("content-type", "application/json").header("x-auth-token", &self.token);
        let (status, _, text) = (self.send)(request.body(Body::from(body.to_string())).unwrap());
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }
}
