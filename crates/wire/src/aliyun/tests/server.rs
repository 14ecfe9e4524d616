//! A whole server in memory, with one account of the reference and another, and the requests to put to it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{KeyInit, Mac};
use http::Request;
use http_body_util::BodyExt;
use likeness_domain::Kind;
use likeness_domain::access::Caller;
use likeness_domain::library::Library;
use likeness_domain::library::jobs::Jobs;
use likeness_domain::ports::{Clock, CredentialStore, UploadStore};
use likeness_domain::types::{AccessKey, AccessKeyId, Secret, Tenant, TenantId, TenantName};
use likeness_testkit::{FakeAnalyzer, FakeClock, FakeFetcher, FakeWebhookSender, TaskDriver};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::aliyun::Settings;
use crate::aliyun::auth::tests::{KEY_ID, NOW, SECRET, Vector};
use crate::tests::testbed::Testbed;
use crate::{Services, Worker, router, workers};

/// Who signs.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) id: &'static str,
    pub(super) secret: &'static str,
}

pub(super) const KEY: Key = Key { id: KEY_ID, secret: SECRET };
/// The account that has no business with the first one's faces.
pub(super) const OTHER: Key = Key { id: "OtherKeyId001", secret: "OtherSecret" };

pub(super) struct Server {
    pub(super) router: Router,
    pub(super) library: Arc<Library>,
    pub(super) jobs: Arc<Jobs>,
    pub(super) credentials: Arc<dyn CredentialStore>,
    pictures: Arc<dyn UploadStore>,
    workers: Vec<Worker>,
    pub(super) clock: Arc<FakeClock>,
    pub(super) fetcher: Arc<FakeFetcher>,
    pub(super) analyzer: Arc<FakeAnalyzer>,
    pub(super) webhook_sender: Arc<FakeWebhookSender>,
    pub(super) tenant: TenantId,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) json: Value,
    pub(super) text: String,
}

/// Where the pictures are.
pub(super) fn img(name: &str) -> String {
    format!("http://img.test:8099/{name}")
}

impl Server {
    pub(super) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(super) async fn with(settings: Settings) -> Self {
        let bed = Testbed::new(FakeClock::new(NOW.0), FakeAnalyzer::new());
        let (store, clock) = (bed.store.clone(), bed.clock.clone());
        let tenant = TenantId::from_bits(0x1000_0000_0000_0001);
        for (id, name, key) in [(tenant, "acme", KEY), (TenantId::from_bits(2), "other", OTHER)] {
            let proposed = Tenant::new(id, TenantName::new(name).unwrap(), NOW);
            let by = Caller::server(id, "test").actor();
            let tenant = store.ensure_tenant(by.clone(), proposed).await.unwrap();
            let (id, secret) = (AccessKeyId::new(key.id).unwrap(), Secret::new(key.secret).unwrap());
            store.add_key(by, AccessKey::new(id, secret, tenant, NOW)).await.unwrap();
        }
        let jobs = Arc::new(Jobs::new(store.clone(), clock.clone(), clock.clone()));
        let webhook_sender = Arc::new(FakeWebhookSender::new());
        let wire = Services {
            jobs: jobs.clone(),
            webhook_sender: webhook_sender.clone(),
            ..bed.wire(crate::Settings { aliyun: settings, ..crate::Settings::default() })
        };
        let server = Self {
            workers: workers(wire.clone()),
            jobs,
            credentials: store.clone(),
            pictures: store,
            library: wire.library.clone(),
            router: router(wire),
            clock,
            fetcher: bed.fetcher,
            analyzer: bed.analyzer,
            webhook_sender,
            tenant,
        };
        server.hang_pictures();
        server
    }

    /// The pictures of the reference.
    fn hang_pictures(&self) {
        for (name, picture) in [
            ("a1.jpg", "face anna 120x130+10+20"),
            ("a2.jpg", "face anna~0.8 100x100+40+40"),
            ("b1.jpg", "face bert 90x90+300+100"),
            ("ab.jpg", "face bert 80x80+10+10\nface anna~0.9 150x150+200+200"),
            ("wall.jpg", "size 640x480"),
            ("blurred.jpg", "face anna 100x100+40+40 sharpness=0.05"),
            (
                "seen.jpg",
                "face anna 80x80+10+10 sharpness=0.9 visibility=0.75 yaw=-20 pitch=5.5 roll=1 expression=happy",
            ),
            ("yawing.jpg", "face anna 80x80+10+10 yaw=-20 pitch=5.5 roll=1"),
            ("text.txt", "nothing to see"),
            ("wide.jpg", "size 12001x10"),
        ] {
            self.fetcher.serve(&img(name), picture);
        }
        for (name, kind) in [
            ("slow.jpg", Kind::UrlTimeout),
            ("big.jpg", Kind::ImageTooLarge),
            ("gone.jpg", Kind::UrlNotFound),
            ("locked.jpg", Kind::UrlDenied),
            ("down.jpg", Kind::UrlUnreachable),
            ("redirects.jpg", Kind::UrlForbidden),
        ] {
            self.fetcher.fail(&img(name), kind);
        }
    }

    /// Has everything done that is due now.
    pub(super) fn work(&self) {
        TaskDriver::of(
            self.workers
                .iter()
                .map(|worker| Box::pin(self.jobs.work(&*worker.handler)) as likeness_testkit::Worker<'_>),
        );
    }

    /// Erases uploads whose time is over; how many.
    pub(super) async fn uploads_purged(&self) -> u64 {
        self.pictures.purge_expired_uploads(self.clock.now()).await.unwrap()
    }

    /// Sends a vector as it is.
    pub(super) async fn vector(&self, vector: &Vector) -> Reply {
        let mut request = Request::post(vector.target);
        for (name, value) in &vector.headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(vector.body)).unwrap()).await
    }

    /// A signed request of version 1.0, as the oldest SDK makes it; the signing shares no code with what it tests.
    /// The target has no query that would have to be decoded.
    pub(super) fn signed(&self, key: Key, target: &str, body: &str, extra: &[(&str, &str)]) -> Request<Body> {
        let date = "Sat, 21 Nov 2026 20:36:40 GMT";
        let all = [("x-acs-version", "2018-05-09")].into_iter().chain(extra.iter().copied());
        // The last of one name counts.
        let mut headers: Vec<(&str, &str)> = Vec::new();
        for (name, value) in all {
            headers.retain(|(other, _)| *other != name);
            headers.push((name, value));
        }
        headers.sort_unstable();
        let header = |name: &str| headers.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value);
        let (accept, md5, media_type) = (header("accept"), header("content-md5"), header("content-type"));
        let mut to_sign = format!("POST\n{accept}\n{md5}\n{media_type}\n{date}\n");
        for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("x-acs-")) {
            to_sign.push_str(&format!("{name}:{value}\n"));
        }
        to_sign.push_str(target);
        let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(key.secret.as_bytes()).unwrap();
        mac.update(to_sign.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let mut request =
            Request::post(target).header("date", date).header("authorization", format!("acs {}:{signature}", key.id));
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        request.body(Body::from(body.to_owned())).unwrap()
    }

    /// Sends and checks what holds for every answer.
    pub(super) async fn send(&self, request: Request<Body>) -> Reply {
        let target = request.uri().to_string();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(head.headers["content-type"], "application/json;charset=utf-8", "{target}");
        let json: Value = serde_json::from_str(&text).unwrap();
        let status = head.status.as_u16();
        let id = json["RequestId"].as_str().expect("every answer has an id that every client finds");
        assert_eq!((id.len(), id.to_uppercase().as_str()), (36, id));
        if status == 200 {
            assert_eq!(json["requestId"], id);
            assert!(json["code"].is_u64() && !json["msg"].as_str().unwrap().is_empty(), "{text}");
            assert_eq!(json["code"] == 200, json.get("data").is_some(), "{target}: {text}");
            // Whoever met a server that was too busy is told when to come back. Only tasks that are asked for later
            // report what has been.
            let is_busy = text.contains("\"code\":588") && !target.starts_with("/green/image/results");
            let retry_after = head.headers.get("retry-after").map(|seconds| seconds.to_str().unwrap());
            assert_eq!(retry_after, is_busy.then_some("2"), "{target}: {text}");
        } else {
            assert!(!json["Code"].as_str().unwrap().is_empty() && json["HostId"].is_string(), "{text}");
        }
        Reply { status, json, text }
    }

    /// A signed JSON request of the account.
    pub(super) async fn post(&self, path: &str, body: Value) -> Reply {
        self.post_as(KEY, path, body).await
    }

    pub(super) async fn post_as(&self, key: Key, path: &str, body: Value) -> Reply {
        self.send(self.signed(key, &format!("/green{path}"), &body.to_string(), &[])).await
    }

    /// Makes a person in these groups.
    pub(super) async fn person(&self, id: &str, groups: &[&str]) {
        let body = json!({"personId": id, "groupIds": groups, "name": "N", "note": "M"});
        self.post("/sface/person/add", body).await.ok();
    }

    /// Adds faces, all of which must be good; their ids.
    pub(super) async fn faces(&self, person: &str, pictures: &[&str]) -> Vec<u64> {
        let urls: Vec<String> = pictures.iter().map(|name| img(name)).collect();
        let data = self.post("/sface/face/add", json!({"personId": person, "urls": urls})).await.ok();
        let items = data["faceImageItems"].as_array().unwrap();
        items.iter().map(|item| item["faceId"].as_u64().unwrap_or_else(|| panic!("{item}"))).collect()
    }

    /// A scan of one task with one scene; the task's element.
    pub(super) async fn scan(&self, scene: &str, picture: &str, extras: Value) -> Value {
        let task = json!({"dataId": "t", "url": img(picture), "extras": extras});
        let data = self.post("/image/scan", json!({"scenes": [scene], "tasks": [task]})).await.ok();
        assert_eq!(data.as_array().unwrap().len(), 1);
        data[0].clone()
    }

    /// Persons that resemble the largest face of a picture, by id.
    pub(super) async fn found(&self, picture: &str, group: &str) -> Vec<String> {
        let task = self.scan("sface-n", picture, json!({"groupId": group})).await;
        let faces = task["results"][0]["topPersonData"].as_array().unwrap_or_else(|| panic!("{task}"));
        let persons = faces.first().map(|face| face["persons"].as_array().unwrap().clone()).unwrap_or_default();
        persons.iter().map(|person| person["personId"].as_str().unwrap().to_owned()).collect()
    }
}

impl Reply {
    /// Asserts success and gives the data.
    #[track_caller]
    pub(super) fn ok(self) -> Value {
        assert_eq!((self.status, self.json["code"].as_u64()), (200, Some(200)), "{}", self.text);
        assert_eq!(self.json["msg"], "OK");
        self.json["data"].clone()
    }

    /// Asserts a refusal in the envelope.
    #[track_caller]
    pub(super) fn fault(self, code: u64, msg: &str) {
        assert_eq!((self.status, self.json["code"].as_u64()), (200, Some(code)), "{}", self.text);
        assert!(self.json["msg"].as_str().unwrap().starts_with(msg), "{}", self.text);
    }

    /// Asserts a refusal of the gateway.
    #[track_caller]
    pub(super) fn gateway(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.json["Code"].as_str()), (status, Some(code)), "{}", self.text);
        self.json
    }
}
