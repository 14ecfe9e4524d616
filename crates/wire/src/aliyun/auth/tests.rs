//! The five vectors of the reference, through the public door of this module, and what a signature must not forgive.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Request};
use likeness_domain::ports::{CredentialStore, NonceStore};
use likeness_domain::types::{Secret, Tenant, TenantId, TenantName};
use likeness_store::index::BruteForceIndex;
use likeness_store::memory::MemoryStore;
use likeness_testkit::block_on;
use std::sync::Arc;

use super::*;

pub(in super::super) const KEY_ID: &str = "TestKeyId001";
pub(in super::super) const SECRET: &str = "TestSecretDoNotUse00000000001";
/// 2026-11-21 20:36:40 GMT.
pub(in super::super) const NOW: TimestampMs = TimestampMs(1_795_293_400_000);

/// A request of the reference.
#[derive(Clone)]
pub(in super::super) struct Vector {
    pub(in super::super) target: &'static str,
    pub(in super::super) headers: Vec<(&'static str, &'static str)>,
    pub(in super::super) body: &'static str,
}

/// Vectors A to E of sections 3.3 and 3.4.
pub(in super::super) fn vector(name: char) -> Vector {
    let c1 = |action, authorization| {
        vec![
            ("accept", "application/json"),
            ("date", "Sat, 21 Nov 2026 20:36:33 GMT"),
            ("x-acs-action", action),
            ("x-acs-region-id", "cn-shanghai"),
            ("x-acs-signature-method", "HMAC-SHA1"),
            ("x-acs-signature-version", "1.0"),
            ("x-acs-version", "2018-05-09"),
            ("authorization", authorization),
        ]
    };
    let with = |mut headers: Vec<_>, md5| {
        headers.extend([("content-md5", md5), ("content-type", "application/octet-stream")]);
        headers
    };
    match name {
        'A' => Vector {
            target: "/green/sface/face/add?RegionId=cn-shanghai",
            headers: with(c1("AddFaces", "acs TestKeyId001:+1/TlH4WnZTHgh83q8tzl0YugxI="), "mZYs6zzgfD21oQIXq//A+Q=="),
            body: r#"{"personId": "p1", "urls": ["http://h/a.jpg"]}"#,
        },
        'B' => Vector {
            target: "/green/sface/groups?RegionId=cn-shanghai",
            headers: c1("GetGroups", "acs TestKeyId001:+kb90ovYe9z1ww7AWcQlMClqcf4="),
            body: "",
        },
        'C' => Vector {
            target: "/green/sface/face/add?ClientInfo=%7B%22ip%22%3A%22127.0.0.2%22%2C%22userNick%22%3A%22%E5%B0%8F+%E6%98%8E%2B%26%3D%22%7D&RegionId=cn-shanghai",
            headers: with(c1("AddFaces", "acs TestKeyId001:9sYQas8Ej7UVMkQFwzbDa0/nHBU="), "raZF38ChD+jQtw+PtURQVw=="),
            body: r#"{"personId": "p1"}"#,
        },
        'D' => Vector {
            target: "/green/sface/face/add",
            headers: vec![
                ("accept", "application/json"),
                ("content-type", "application/json; charset=utf-8"),
                ("date", "Sat, 21 Nov 2026 20:36:34 GMT"),
                ("x-acs-action", "AddFaces"),
                ("x-acs-credentials-provider", "static_ak"),
                ("x-acs-signature-method", "HMAC-SHA1"),
                ("x-acs-signature-nonce", "d60d25f0aac0a0510abacc407808ccf4"),
                ("x-acs-signature-version", "1.0"),
                ("x-acs-version", "2018-05-09"),
                ("authorization", "acs TestKeyId001:gqL7jzGqsPDWazCUk3tIhVcw0Us="),
            ],
            body: r#"{"personId":"p1"}"#,
        },
        _ => Vector {
            target: "/green/sface/face/add?ClientInfo=%7B%22ip%22%3A%221.1.1.1%22%2C%22userNick%22%3A%22a+b%2B%E5%B0%8F%22%7D&RegionId=cn-shanghai",
            headers: vec![
                ("accept", "application/json"),
                ("content-type", "application/json; charset=utf-8"),
                ("host", "sface.example.test:8080"),
                ("user-agent", "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2"),
                ("x-acs-action", "AddFaces"),
                ("x-acs-content-sha256", "0e189ee1c69f3d200d2ec4f86c318595c3c04dfe267667347e759b73f300ae24"),
                ("x-acs-credentials-provider", "static_ak"),
                ("x-acs-date", "2026-11-21T20:36:34Z"),
                ("x-acs-signature-nonce", "3f0c062df9f7831c2ad48d42f0281ce6"),
                ("x-acs-version", "2018-05-09"),
                (
                    "authorization",
                    "ACS3-HMAC-SHA256 Credential=TestKeyId001,SignedHeaders=accept;content-type;host;user-agent;x-acs-action;x-acs-content-sha256;x-acs-credentials-provider;x-acs-date;x-acs-signature-nonce;x-acs-version,Signature=1db1834f82c7aac02567cd39aa4d6e8fa28ddb68912b83e530271de2c6125e4a",
                ),
            ],
            body: r#"{"personId":"p1","urls":["http://h/a.jpg"]}"#,
        },
    }
}

impl Vector {
    /// The same with another value for one header.
    pub(in super::super) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
        self
    }

    fn head(&self) -> Parts {
        let mut request = Request::post(self.target).body(()).unwrap();
        for (name, value) in &self.headers {
            request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        request.into_parts().0
    }
}

fn store(enabled: bool) -> MemoryStore {
    let store = MemoryStore::open(Arc::new(BruteForceIndex::new()));
    let tenant = Tenant::new(TenantId::from_bits(1), TenantName::new("acme").unwrap(), NOW);
    let tenant = block_on(store.ensure_tenant(likeness_testkit::caller(1).actor(), tenant)).unwrap();
    let (id, secret) = (AccessKeyId::new(KEY_ID).unwrap(), Secret::new(SECRET).unwrap());
    block_on(store.add_key(
        likeness_testkit::caller(1).actor(),
        AccessKey { enabled, ..AccessKey::new(id, secret, tenant, NOW) },
    ))
    .unwrap();
    store
}

/// The tenant's name, or code of the refusal.
fn check_with(store: &MemoryStore, vector: &Vector, now: TimestampMs) -> Result<String, (u16, &'static str)> {
    check_under(&Settings::default(), store, vector, now)
}

fn check_under(
    settings: &Settings,
    store: &MemoryStore,
    vector: &Vector,
    now: TimestampMs,
) -> Result<String, (u16, &'static str)> {
    let told = |refusal: Refusal| {
        assert!(refusal.code != MISMATCH || refusal.message.contains(':'), "an old SDK needs a colon");
        (refusal.status.as_u16(), refusal.code)
    };
    let head = vector.head();
    let signed = block_on(examine(&head, store, now)).map_err(told)?;
    let once: &dyn NonceStore = store;
    let key = block_on(signed.verify(&head, vector.body.as_bytes(), once, now, settings)).map_err(told)?;
    Ok(key.0.tenant.name.as_str().to_owned())
}

fn check(vector: &Vector) -> Result<String, (u16, &'static str)> {
    check_with(&store(true), vector, NOW)
}

#[test]
fn the_vectors_are_accepted() {
    for name in ['A', 'B', 'C', 'D', 'E'] {
        assert_eq!(check(&vector(name)), Ok("acme".to_owned()), "vector {name}");
    }
}

#[test]
fn a_nonce_is_good_for_one_request_and_only_a_signed_one_uses_it_up() {
    for name in ['D', 'E'] {
        let store = store(true);
        let forged = Vector { body: r#"{"personId":"p2"}"#, ..vector(name) };
        let forged = if name == 'D' { forged.with("accept", "text/plain") } else { forged };
        assert_eq!(check_with(&store, &forged, NOW), Err((400, MISMATCH)), "{name}");
        assert!(check_with(&store, &vector(name), NOW).is_ok(), "{name}");
        assert_eq!(check_with(&store, &vector(name), NOW), Err((400, "SignatureNonceUsed")), "{name}");
    }
    let store = store(true);
    for _ in 0..2 {
        assert!(check_with(&store, &vector('B'), NOW).is_ok(), "without a nonce nothing is used up");
    }
}

#[test]
fn what_the_vendor_lets_pass_unsigned_can_be_refused() {
    let md5 = Settings { require_content_md5: true, ..Settings::default() };
    let nonce = Settings { require_nonce: true, ..Settings::default() };
    let without_md5 = {
        let mut a = vector('A');
        a.headers.retain(|(name, _)| *name != "content-md5");
        a
    };
    for (settings, vector, expected) in [
        (&md5, without_md5, Some("MissingContentMD5")),
        (&md5, vector('A').with("content-md5", ""), Some("MissingContentMD5")),
        (&md5, vector('A'), None),
        // Without a body there is nothing to cover, and the other scheme always covers it.
        (&md5, vector('B'), None),
        (&md5, vector('E'), None),
        (&nonce, vector('B'), Some("MissingSignatureNonce")),
        (&nonce, vector('D'), None),
        (&nonce, vector('E'), None),
    ] {
        let code = check_under(settings, &store(true), &vector, NOW).err().map(|(_, code)| code);
        assert_eq!(code, expected, "{}", vector.target);
    }
}

#[test]
fn what_is_not_as_it_was_signed_is_refused() {
    let a = || vector('A');
    let e = || vector('E');
    for (what, changed, expected) in [
        ("body under MD5", Vector { body: r#"{"personId": "p2", "urls": ["http://h/a.jpg"]}"#, ..a() }, "ContentMD5NotMatched"),
        ("body under SHA-256", Vector { body: "{}", ..e() }, MISMATCH),
        ("query", Vector { target: "/green/sface/face/add?RegionId=cn-beijing", ..a() }, MISMATCH),
        ("path", Vector { target: "/green/sface/face/delete?RegionId=cn-shanghai", ..a() }, MISMATCH),
        ("signed header", a().with("x-acs-action", "DeleteFaces"), MISMATCH),
        ("header more", a().with("x-acs-more", "1"), MISMATCH),
        ("user agent", e().with("user-agent", "AlibabaCloud (Linux; x86_64) Python/3.11.8 Core/0.4.3 TeaDSL/2"), MISMATCH),
        ("host", e().with("host", "sface.example.test"), MISMATCH),
        ("signature", a().with("authorization", "acs TestKeyId001:+1/TlH4WnZTHgh83q8tzl0YugxI"), MISMATCH),
        ("method word", a().with("x-acs-signature-method", "HMAC-SM3"), "InvalidSignatureMethod"),
        ("scheme", e().with("authorization", "ACS3-HMAC-SM3 Credential=TestKeyId001,SignedHeaders=host,Signature=00"), "InvalidSignatureMethod"),
        ("no host signed", e().with("authorization", "ACS3-HMAC-SHA256 Credential=TestKeyId001,SignedHeaders=x-acs-date;x-acs-content-sha256;x-acs-signature-nonce,Signature=00"), MISMATCH),
        ("other words", a().with("authorization", "Bearer TestKeyId001"), "MissingAuthorization"),
        ("no colon", a().with("authorization", "acs TestKeyId001"), "MissingAuthorization"),
        ("twice a word", e().with("authorization", "ACS3-HMAC-SHA256 Credential=a,Credential=b,SignedHeaders=host,Signature=00"), "MissingAuthorization"),
        ("no date", { let mut b = vector('B'); b.headers.retain(|(name, _)| *name != "date"); b }, "MissingDate"),
        ("no ACS3 date", { let mut e = e(); e.headers.retain(|(name, _)| *name != "x-acs-date"); e }, "MissingXAcsDate"),
        ("no ACS3 hash", { let mut e = e(); e.headers.retain(|(name, _)| *name != "x-acs-content-sha256"); e }, "MissingXAcsContentSha256"),
        ("date in words", a().with("date", "yesterday"), "InvalidTimeStamp.Format"),
    ] {
        assert_eq!(check(&changed), Err((400, expected)), "{what}");
    }
    assert_eq!(
        check(&a().with("authorization", "acs TestKeyId002:+1/TlH4WnZTHgh83q8tzl0YugxI=")),
        Err((404, "InvalidAccessKeyId.NotFound"))
    );
    assert_eq!(check_with(&store(false), &a(), NOW), Err((400, "InvalidAccessKeyId.Inactive")));
}

#[test]
fn a_clock_may_be_15_minutes_off() {
    let at = |minutes: i64, ms: i64| {
        check_with(&store(true), &vector('B'), TimestampMs(1_795_293_393_000 + minutes * 60_000 + ms))
    };
    for (minutes, ms) in [(15, 0), (-15, 0), (0, 0)] {
        assert!(at(minutes, ms).is_ok(), "{minutes} minutes");
    }
    for (minutes, ms) in [(15, 1), (-15, -1), (20, 0)] {
        assert_eq!(at(minutes, ms), Err((400, "InvalidTimeStamp.Expired")), "{minutes} minutes");
    }
}

#[test]
fn an_empty_parameter_is_signed_with_or_without_its_equals_sign() {
    let sign = |resource: &str| {
        let to_sign = format!("POST\n\n\n\nSat, 21 Nov 2026 20:36:33 GMT\nx-acs-version:2018-05-09\n{resource}");
        STANDARD.encode(signing::hmac_sha1(SECRET.as_bytes(), to_sign.as_bytes()))
    };
    for resource in ["/green/sface/groups?ClientInfo=&RegionId=x", "/green/sface/groups?ClientInfo&RegionId=x"] {
        for target in ["/green/sface/groups?RegionId=x&ClientInfo=", "/green/sface/groups?ClientInfo&RegionId=x"] {
            let (mut head, ()) = Request::post(target).body(()).unwrap().into_parts();
            head.headers.insert("date", HeaderValue::from_static("Sat, 21 Nov 2026 20:36:33 GMT"));
            head.headers.insert("x-acs-version", HeaderValue::from_static("2018-05-09"));
            let (signatures, _) = acs1::signatures(&head, SECRET.as_bytes());
            assert!(signatures.contains(&sign(resource)), "{resource} for {target}");
        }
    }
}

#[test]
fn a_security_token_nobody_handed_out_is_refused_after_the_signature() {
    let store = store(true);
    let head = |authorization: &str| {
        let (mut head, ()) = Request::post("/green/sface/groups").body(()).unwrap().into_parts();
        for (name, value) in [
            ("date", "Sat, 21 Nov 2026 20:36:33 GMT"),
            ("x-acs-security-token", "token"),
            ("x-acs-version", "2018-05-09"),
            ("authorization", authorization),
        ] {
            head.headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        head
    };
    let right = acs1::signatures(&head("x"), SECRET.as_bytes()).0.remove(0);
    let code = |signature: &str| {
        let head = head(&format!("acs {KEY_ID}:{signature}"));
        let signed = block_on(examine(&head, &store, NOW)).unwrap();
        block_on(signed.verify(&head, b"", &store, NOW, &Settings::default())).unwrap_err().code
    };
    assert_eq!(code(&right), "InvalidSecurityToken.Malformed");
    assert_eq!(code("wrong"), MISMATCH);
}

#[test]
fn fuzz_entries_take_anything() {
    for data in
        [&b""[..], b"/a?b=%zz&c\nacs a:b\nx", b"/\nACS3-HMAC-SHA256 Credential=a,SignedHeaders=host;\xff,Signature=1\n"]
    {
        fuzz_signature(data);
        fuzz_acs3(data);
    }
}
