//! Local files: case 87.

use std::time::Duration;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{KeyInit, Mac};
use http::Request;
use http_body_util::BodyExt;
use likeness_domain::types::AccessKeyId;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::server::{KEY, Key, OTHER, Server};
use crate::aliyun::{Settings, fuzz_upload};

const DATE: &str = "Sat, 21 Nov 2026 20:36:40 GMT";
const FACE: &str = "face anna 120x130+10+20";

fn settings() -> Settings {
    Settings { upload_endpoint: Some("http://127.0.0.1:7080".parse().unwrap()), ..Settings::default() }
}

/// Temporary credentials, as they were handed out.
struct Granted {
    id: String,
    secret: String,
    token: String,
    folder: String,
    expires_at: i64,
}

/// A `PUT` that can be spoilt before it is sent.
struct Put {
    method: &'static str,
    path: String,
    signed_path: String,
    id: String,
    date: String,
    date_header: &'static str,
    md5: String,
    token: Option<String>,
    secret: String,
    body: Vec<u8>,
}

impl Server {
    async fn granted(&self, key: Key) -> Granted {
        let data = self.post_as(key, "/credentials/uploadcredentials", json!({})).await.ok();
        assert_eq!(data["ossEndpoint"], "http://127.0.0.1:7080");
        assert_eq!(data["ossInternalEndpoint"], "http://127.0.0.1:7080");
        assert_eq!(data["uploadBucket"], "likeness-uploads");
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        Granted {
            id: text("accessKeyId"),
            secret: text("accessKeySecret"),
            token: text("securityToken"),
            folder: text("uploadFolder"),
            expires_at: data["expiredTime"].as_i64().unwrap(),
        }
    }

    /// The storage's answer: status, and the code of a refusal.
    async fn put(&self, put: Put) -> (u16, String) {
        let md5_and_type = format!("{}\nimage/jpeg\n{}\n", put.md5, put.date);
        let token = put.token.as_ref().map(|token| format!("x-oss-security-token:{token}\n")).unwrap_or_default();
        let oss_date = match put.date_header {
            "x-oss-date" => format!("x-oss-date:{}\n", put.date),
            _ => String::new(),
        };
        let to_sign = format!("{}\n{md5_and_type}{oss_date}x-oss-meta-a:b\n{token}{}", put.method, put.signed_path);
        let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(put.secret.as_bytes()).unwrap();
        mac.update(to_sign.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let mut request = Request::builder()
            .method(put.method)
            .uri(&put.path)
            .header("authorization", format!("OSS {}:{signature}", put.id))
            .header("content-type", "image/jpeg")
            .header(put.date_header, &put.date)
            .header("x-oss-meta-a", "b");
        if !put.md5.is_empty() {
            request = request.header("content-md5", &put.md5);
        }
        if let Some(token) = put.token {
            request = request.header("x-oss-security-token", token);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(put.body)).unwrap()).await.unwrap();
        assert!(response.headers()["x-oss-request-id"].len() == 32);
        let status = response.status().as_u16();
        let text = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let code = text.split("<Code>").nth(1).and_then(|rest| rest.split("</Code>").next()).unwrap_or_default();
        assert_eq!(status == 200, text.is_empty(), "{text}");
        (status, code.to_owned())
    }

    async fn code_of(&self, key: Key, address: &str) -> Value {
        self.post_as(key, "/face/detect", json!({"url": address})).await.ok()["code"].clone()
    }
}

impl Granted {
    fn put(&self, name: &str, body: impl Into<Vec<u8>>) -> Put {
        let object = format!("{}/{name}", self.folder);
        Put {
            method: "PUT",
            path: format!("/likeness-uploads/{}", crate::http::target::encode(object.as_bytes())),
            signed_path: format!("/likeness-uploads/{object}"),
            id: self.id.clone(),
            date: DATE.to_owned(),
            date_header: "date",
            md5: String::new(),
            token: Some(self.token.clone()),
            secret: self.secret.clone(),
            body: body.into(),
        }
    }

    fn address(&self, name: &str) -> String {
        format!("oss://likeness-uploads/{}/{name}", self.folder)
    }
}

#[tokio::test]
async fn case_87_an_upload_is_an_image_of_its_account_for_an_hour() {
    let server = Server::with(settings()).await;
    let granted = server.granted(KEY).await;
    assert_eq!(granted.expires_at, crate::aliyun::auth::tests::NOW.0 + 3_600_000);
    assert_eq!(server.put(granted.put("images/a1 小.jpg", FACE)).await, (200, String::new()));
    let address = granted.address("images/a1 小.jpg");
    // Addition 2: a client that cannot set `Date`.
    let by_oss_date = Put { date_header: "x-oss-date", ..granted.put("images/b.jpg", FACE) };
    assert_eq!(server.put(by_oss_date).await, (200, String::new()));
    let stale = Put {
        date: "Sat, 21 Nov 2026 20:06:33 GMT".to_owned(),
        date_header: "x-oss-date",
        ..granted.put("c.jpg", FACE)
    };
    assert_eq!(server.put(stale).await, (403, "RequestTimeTooSkewed".to_owned()));
    server.person("p1", &["g1"]).await;
    let add = json!({"personId": "p1", "urls": [address, granted.address("images/other.jpg")]});
    let items = server.post("/sface/face/add", add).await.ok()["faceImageItems"].clone();
    assert_eq!((&items[0]["success"], &items[0]["url"]), (&json!(true), &json!(address)));
    assert_eq!((&items[1]["success"], &items[1]["code"]), (&json!(false), &json!(404)), "it was never put");
    let task = json!({"url": address, "extras": {"faceUrl": address, "groupId": "g1"}});
    let both = json!({"scenes": ["sface-1", "sface-n"], "tasks": [task]});
    let scanned = server.post("/image/scan", both.clone()).await.ok()[0].clone();
    assert_eq!((&scanned["code"], &scanned["results"][0]["rate"]), (&json!(200), &json!(100.0)));
    assert_eq!(server.fetcher.fetched(), [] as [String; 0], "never over the network");

    // A task that waits names it in its account's name too.
    let ids = json!([server.post("/image/asyncscan", both).await.ok()[0]["taskId"]]);
    server.work();
    assert_eq!(server.post("/image/results", ids).await.ok()[0]["results"], scanned["results"]);

    server.post_as(OTHER, "/sface/person/add", json!({"personId": "p1", "groupIds": ["g1"]})).await.ok();
    let theirs = server.post_as(OTHER, "/sface/face/add", json!({"personId": "p1", "urls": [address]})).await.ok();
    assert_eq!(theirs["faceImageItems"][0]["code"], 401);
    for refused in [
        address.replace("likeness-uploads", "another-bucket"),
        "oss://likeness-uploads.oss-cn-shanghai.aliyuncs.com/a.jpg".to_owned(),
        "oss://likeness-uploads".to_owned(),
        "oss://likeness-uploads/a.jpg".to_owned(),
        "oss://".to_owned(),
    ] {
        assert_eq!(server.code_of(KEY, &refused).await, 401, "{refused}");
    }
    assert_eq!(server.code_of(KEY, &granted.address("")).await, 400);

    // The requests of this suite are signed for a quarter of an hour at most, so an hour ends between two of them.
    let before = likeness_domain::ports::Clock::now(&*server.clock).0;
    server.clock.advance(Duration::from_secs(3600));
    assert_eq!(server.uploads_purged().await, 2);
    server.clock.set(before);
    assert_eq!(server.code_of(KEY, &address).await, 404);
}

#[tokio::test]
async fn uploads_that_are_refused() {
    let settings = Settings { image_bytes_max: 100, uploads_bytes_max: 150, ..settings() };
    let server = Server::with(settings).await;
    let granted = server.granted(KEY).await;
    let other = server.granted(OTHER).await;
    let good = || granted.put("a.jpg", FACE);
    let denied = |code: &str| (403, code.to_owned());
    for (spoilt, expected) in [
        (Put { method: "GET", ..good() }, (405, "MethodNotAllowed".to_owned())),
        (Put { method: "DELETE", ..good() }, (405, "MethodNotAllowed".to_owned())),
        (Put { path: format!("{}?acl", good().path), ..good() }, (400, "InvalidArgument".to_owned())),
        (Put { path: "/likeness-uploads".to_owned(), ..good() }, (400, "InvalidObjectName".to_owned())),
        (Put { path: "/likeness-uploads/%ff".to_owned(), ..good() }, (400, "InvalidObjectName".to_owned())),
        (granted.put("a\n.jpg", FACE), (400, "InvalidObjectName".to_owned())),
        (granted.put(&"x".repeat(256), FACE), (400, "InvalidObjectName".to_owned())),
        (Put { id: "STS".to_owned(), ..good() }, denied("InvalidAccessKeyId")),
        (Put { id: other.id.clone(), ..good() }, denied("InvalidAccessKeyId")),
        (Put { token: None, ..good() }, denied("InvalidAccessKeyId")),
        (
            Put { token: None, id: KEY.id.to_owned(), secret: KEY.secret.to_owned(), ..good() },
            denied("InvalidAccessKeyId"),
        ),
        (Put { token: Some("nonsense".to_owned()), ..good() }, denied("InvalidAccessKeyId")),
        (Put { token: Some(other.token.clone()), ..good() }, denied("InvalidAccessKeyId")),
        (Put { secret: other.secret.clone(), ..good() }, denied("SignatureDoesNotMatch")),
        (Put { signed_path: "/likeness-uploads/b.jpg".to_owned(), ..good() }, denied("SignatureDoesNotMatch")),
        (Put { date: "Sat, 21 Nov 2026 20:00:00 GMT".to_owned(), ..good() }, denied("RequestTimeTooSkewed")),
        (Put { date: "today".to_owned(), ..good() }, denied("RequestTimeTooSkewed")),
        (Put { body: vec![b'x'; 101], ..good() }, (400, "EntityTooLarge".to_owned())),
        (Put { md5: "AAAAAAAAAAAAAAAAAAAAAA==".to_owned(), ..good() }, (400, "InvalidDigest".to_owned())),
    ] {
        let what = format!("{} {} {}", spoilt.method, spoilt.path, spoilt.id);
        assert_eq!(server.put(spoilt).await, expected, "{what}");
    }
    // A folder is its account's alone, with credentials that are good.
    let theirs = Put { path: other.put("a.jpg", "").path, signed_path: other.put("a.jpg", "").signed_path, ..good() };
    assert_eq!(server.put(theirs).await, denied("AccessDenied"));
    assert_eq!(server.code_of(KEY, &granted.address("a.jpg")).await, 404, "nothing of all this was kept");

    let md5 = STANDARD.encode(<md5::Md5 as md5::Digest>::digest(vec![b'x'; 100]));
    assert_eq!(server.put(Put { md5, ..granted.put("a.jpg", vec![b'x'; 100]) }).await.0, 200);
    assert_eq!(server.put(granted.put("b.jpg", vec![b'x'; 51])).await, (503, "ServiceUnavailable".to_owned()));
    assert_eq!(server.put(granted.put("b.jpg", vec![b'x'; 50])).await.0, 200);
    assert_eq!(server.put(other.put("a.jpg", vec![b'x'; 100])).await.0, 200, "everybody has room of their own");

    let disabled = Server::new().await;
    assert_eq!(disabled.put(good()).await, (404, "NoSuchBucket".to_owned()));
}

/// An hour after they were handed out, and at once when the key that asked for them is switched off.
#[tokio::test]
async fn temporary_credentials_end() {
    let server = Server::with(settings()).await;
    let granted = server.granted(KEY).await;
    let put = async || {
        server.put(Put { date: "Sat, 21 Nov 2026 21:36:33 GMT".to_owned(), ..granted.put("a.jpg", FACE) }).await
    };
    server.clock.advance(Duration::from_millis(3_599_999));
    assert_eq!(put().await.0, 200);
    server.clock.advance(Duration::from_millis(1));
    assert_eq!(put().await, (403, "SecurityTokenExpired".to_owned()));
    server.clock.set(crate::aliyun::auth::tests::NOW.0);
    let switch = async |enabled: bool| {
        let id = AccessKeyId::new(KEY.id).unwrap();
        assert!(
            server
                .credentials
                .set_key_enabled(likeness_domain::access::Caller::server(server.tenant, "test").actor(), id, enabled)
                .await
                .unwrap()
        );
    };
    switch(false).await;
    assert_eq!(server.put(granted.put("a.jpg", FACE)).await, (403, "InvalidAccessKeyId".to_owned()));
    switch(true).await;
    assert_eq!(server.put(granted.put("a.jpg", FACE)).await.0, 200);
    // They sign uploads and nothing else.
    let request = server.signed(KEY, "/green/sface/groups", "{}", &[("x-acs-security-token", &granted.token)]);
    server.send(request).await.gateway(400, "InvalidSecurityToken.Malformed");
}

#[test]
fn an_upload_endpoint_is_an_address_that_needs_no_name_server() {
    let read = |text: &str| text.parse::<crate::aliyun::UploadEndpoint>().map(|endpoint| endpoint.as_str().to_owned());
    for good in ["http://127.0.0.1:7080", "https://192.0.2.7", "http://localhost:80", "http://[::1]:7080"] {
        assert_eq!(read(good).as_deref(), Ok(good));
    }
    assert_eq!(read("http://127.0.0.1:7080/").as_deref(), Ok("http://127.0.0.1:7080"));
    for bad in [
        "",
        "127.0.0.1:7080",
        "ftp://127.0.0.1",
        "http://faces.example",
        "http://127.0.0.1/x",
        "http://a@127.0.0.1",
        "http://127.0.0.1?x",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_reader_of_uploads_takes_anything() {
    for text in [&b""[..], b"/likeness-uploads/a/b\nOSS a:b\nAQ", b"/likeness-uploads/%ff\nOSS\n", b"\xff\n\xff\n\xff"]
    {
        fuzz_upload(text);
    }
}
