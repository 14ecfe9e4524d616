//! The vectors of the reference and what a signature must not forgive. The signing here is written from the
//! specification's text and shares no code with what it tests.

use http::{HeaderValue, Request};
use likeness_domain::types::{TenantId, TenantName};

use super::*;
use crate::huawei::tests::signing::{self, Signer};

const PROJECT: &str = "0123456789abcdef0123456789abcdef";
const NOW: TimestampMs = TimestampMs(1_767_323_045_000); // 2026-01-02 03:04:05 UTC

struct Vector {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
    algorithm: &'static str,
    canonical_sha256: &'static str,
    signature: &'static str,
}

fn vector(number: usize) -> Vector {
    let json = ("content-type", "application/json".to_owned());
    let project = ("x-project-id", PROJECT.to_owned());
    let v1 = Vector {
        method: "GET",
        target: format!("/v2/{PROJECT}/face-sets"),
        headers: vec![json.clone(), project.clone()],
        body: "",
        algorithm: "SDK-HMAC-SHA256",
        canonical_sha256: "328ae730d055ebb5f514ea168e3590eebbcbf56ca2cecdddf3e58b64d24b0d98",
        signature: "bd0b4717fccc6008194af065fd84462f9b2746bfa9e611ae4b82e22c2f22c25e",
    };
    match number {
        1 => v1,
        2 => Vector {
            target: format!("/v2/{PROJECT}/face-sets/lib-a/faces?offset=0&limit=5"),
            canonical_sha256: "061047647b655f5b60a7d9f0e929168902b812e46ed8891f6f786fcf8b822e78",
            signature: "732a98fa3b9b2a415057de9f4b0b8d3d3284b1cc8a15daef024b293cf96ec624",
            ..v1
        },
        3 => Vector {
            method: "DELETE",
            target: format!("/v2/{PROJECT}/face-sets/lib-a/faces?external_image_id=a%20b%2Bc~%C3%A9"),
            headers: vec![json],
            canonical_sha256: "06c2eb7b36cecfbc58343b1b490efea6fc6780a0da2c58f9242c5a0a17f50eb4",
            signature: "b6c4d4cc57c311215e2c12d9a0eca669d2288d4e3a8f0b1e7d325833080eb9ca",
            ..v1
        },
        4 => Vector {
            method: "POST",
            headers: vec![json, project, ("x-security-token", "sts-token-1".to_owned())],
            body: r#"{"face_set_name":"lib-a"}"#,
            canonical_sha256: "d10935e0d907fd17dc887f84fea51d6d2adb44deb13bdb43c9c34c09cfd9a1f8",
            signature: "70f511a1fdd3e213d0189eacc799895416f2460b6f78dbf8e39573e60217e3f4",
            ..v1
        },
        5 => Vector {
            method: "POST",
            target: format!("/v2/{PROJECT}/face-detect"),
            headers: vec![
                ("content-type", "multipart/form-data; boundary=bnd".to_owned()),
                ("x-sdk-content-sha256", "UNSIGNED-PAYLOAD".to_owned()),
            ],
            body: "--bnd--",
            canonical_sha256: "aacb1754a8c8c7568899c7f1cc5fefddc5084bd5a39aaa8ddfa61bed3074ce9e",
            signature: "21c64aad0d2f117f1e308385062ed4f896788d549e7953ed426a6909b5695f04",
            ..v1
        },
        6 => Vector {
            algorithm: "V11-HMAC-SHA256",
            signature: "affb31ed359559e41d817c058ece8b68ec292afed9e608fd41496fb962fdfe1c",
            ..v1
        },
        _ => unreachable!("there are six vectors"),
    }
}

impl Vector {
    fn head(&self) -> Parts {
        let mut request = Request::builder()
            .method(self.method)
            .uri(&self.target)
            .header("host", "127.0.0.1:8443")
            .header("x-sdk-date", "20260102T030405Z");
        let mut names = vec!["host", "x-sdk-date"];
        for (name, value) in &self.headers {
            request = request.header(*name, value);
            names.push(name);
        }
        names.sort_unstable();
        let key = match self.algorithm {
            "SDK-HMAC-SHA256" => "Access=FRSTESTAK0001".to_owned(),
            _ => "Credential=FRSTESTAK0001/20260102/cn-north-4/frs".to_owned(),
        };
        let (word, names, signature) = (self.algorithm, names.join(";"), self.signature);
        let authorization = format!("{word} {key}, SignedHeaders={names}, Signature={signature}");
        request.header("authorization", authorization).body(()).unwrap().into_parts().0
    }
}

fn key() -> AccessKey {
    let tenant =
        likeness_domain::types::Tenant::new(TenantId::parse(PROJECT).unwrap(), TenantName::new("acme").unwrap(), NOW);
    let (id, secret) = ("FRSTESTAK0001", "frs-test-secret-key-0001");
    AccessKey::new(AccessKeyId::new(id).unwrap(), Secret::new(secret).unwrap(), tenant, NOW)
}

fn verify_at(head: &Parts, body: &[u8], now: TimestampMs) -> Result<(), String> {
    let claim = Claim::read(head, now).map_err(str::to_owned)?;
    let signed = Signed { claim, key: key() };
    signed.verify(head, body, now).map(|_| ()).map_err(|failure| {
        assert_eq!(failure.code().map(|code| code.text), Some("APIG.0301"));
        format!("{failure:?}")
    })
}

#[track_caller]
fn check_refused(head: &Parts, body: &[u8], part_of_reason: &str) {
    let reason = verify_at(head, body, NOW).expect_err("this must not verify");
    assert!(reason.contains(part_of_reason), "{reason}");
}

#[test]
fn every_vector_verifies_and_its_canonical_request_has_the_stated_hash() {
    for number in 1..=6 {
        let vector = vector(number);
        let (head, body) = (vector.head(), vector.body.as_bytes());
        let claim = Claim::read(&head, NOW).unwrap();
        let payload = payload_hash(&head.headers, body).unwrap();
        let canonical = canonical_request(&head, &claim.signed_headers, &payload).unwrap();
        assert_eq!(sha256_hex(&canonical), vector.canonical_sha256, "V{number}");
        assert_eq!(verify_at(&head, body, NOW), Ok(()), "V{number}");
    }
}

#[test]
fn canonical_request_of_v1_reads_as_printed_in_the_reference() {
    let head = vector(1).head();
    let payload = payload_hash(&head.headers, b"").unwrap();
    let canonical = canonical_request(&head, "content-type;host;x-project-id;x-sdk-date", &payload).unwrap();
    let expected = format!(
        "GET\n/v2/{PROJECT}/face-sets/\n\ncontent-type:application/json\nhost:127.0.0.1:8443\nx-project-id:{PROJECT}\n\
         x-sdk-date:20260102T030405Z\n\ncontent-type;host;x-project-id;x-sdk-date\n\
         e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(String::from_utf8(canonical).unwrap(), expected);
}

#[test]
fn v11_derives_the_stated_key() {
    let key = key();
    assert_eq!(
        derived_key(&key.id, &key.secret, "20260102/cn-north-4/frs"),
        "406d40c87c8f6eb4ca9b84254b37faddb970accec7695ea63c16c202c56db1dd"
    );
}

#[test]
fn case_008_pairs_of_a_query_may_come_in_any_order() {
    let mut vector = vector(2);
    assert_eq!(verify_at(&vector.head(), b"", NOW), Ok(()));
    vector.target = format!("/v2/{PROJECT}/face-sets/lib-a/faces?limit=5&offset=0");
    assert_eq!(verify_at(&vector.head(), b"", NOW), Ok(()));
}

#[test]
fn case_010_an_altered_security_token_breaks_the_signature() {
    let vector = vector(4);
    let mut head = vector.head();
    head.headers.insert("x-security-token", HeaderValue::from_static("sts-token-2"));
    check_refused(&head, vector.body.as_bytes(), "does not match");
}

#[test]
fn case_011_an_unsigned_payload_may_be_anything_but_a_signed_word_may_not_become_one() {
    let vector5 = vector(5);
    assert_eq!(verify_at(&vector5.head(), b"one body", NOW), Ok(()));
    assert_eq!(verify_at(&vector5.head(), b"another body", NOW), Ok(()));
    // Nobody can turn a request that was signed with its body into one that was not.
    let vector4 = vector(4);
    let mut head = vector4.head();
    head.headers.insert("x-sdk-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    check_refused(&head, b"something else", "does not match");
}

#[test]
fn addition_1_without_a_body_its_hash_or_the_word_for_none_is_signed() {
    let mut vector = vector(1);
    vector.headers.push(("x-sdk-content-sha256", "UNSIGNED-PAYLOAD".to_owned()));
    let signed_over = |payload: &[u8]| {
        let mut head = vector.head();
        let claim = Claim::read(&head, NOW).unwrap();
        let canonical = canonical_request(&head, &claim.signed_headers, payload).unwrap();
        let signature = hex(&sign_claim(&claim, &key().secret, &canonical));
        let authorization = head.headers["authorization"].to_str().unwrap().replace(vector.signature, &signature);
        head.headers.insert("authorization", HeaderValue::from_str(&authorization).unwrap());
        head
    };
    let (of_hash, of_word) = (signed_over(sha256_hex(b"").as_bytes()), signed_over(UNSIGNED_PAYLOAD));
    assert_eq!((verify_at(&of_hash, b"", NOW), verify_at(&of_word, b"", NOW)), (Ok(()), Ok(())));
    // With a body the hash of none covers nothing.
    check_refused(&of_hash, b"a body", "does not match");
    check_refused(&signed_over(b"another word"), b"", "does not match");
    // Without the header nobody said so.
    let mut silent = of_word;
    silent.headers.insert("x-sdk-content-sha256", HeaderValue::from_static("something"));
    check_refused(&silent, b"", "does not match");
}

#[test]
fn case_012_one_wrong_digit_is_wrong() {
    let mut vector = vector(1);
    let changed = vector.signature.replace("c25e", "c25f");
    vector.signature = Box::leak(changed.into_boxed_str());
    check_refused(&vector.head(), b"", "does not match");
}

#[test]
fn case_013_a_clock_may_be_off_by_15_minutes_and_not_more() {
    let head = vector(1).head();
    let minutes = |n: i64| TimestampMs(NOW.0 + n * 60_000);
    assert_eq!(verify_at(&head, b"", minutes(15)), Ok(()));
    assert_eq!(verify_at(&head, b"", minutes(-15)), Ok(()));
    assert!(verify_at(&head, b"", minutes(16)).unwrap_err().contains("15 minutes"));
    assert!(verify_at(&head, b"", minutes(-16)).unwrap_err().contains("15 minutes"));
}

#[test]
fn case_014_a_changed_body_breaks_the_signature() {
    check_refused(&vector(4).head(), br#"{"face_set_name":"lib-b"}"#, "does not match");
}

#[test]
fn case_016_a_canonical_path_without_its_trailing_slash_is_wrong() {
    let signer = Signer { id: "FRSTESTAK0001", secret: "frs-test-secret-key-0001", date: "20260102T030405Z" };
    let target = format!("/v2/{PROJECT}/face-sets");
    let headers = [("host", "127.0.0.1:8443"), ("x-sdk-date", signer.date)];
    for (path_suffix, expected) in [("/", true), ("", false)] {
        let canonical = signing::canonical("GET", &format!("{target}{path_suffix}"), &[], &headers, b"");
        let authorization = signer.authorization("SDK-HMAC-SHA256", &canonical, "host;x-sdk-date");
        let mut request = Request::builder().uri(&target).header("authorization", authorization);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let head = request.body(()).unwrap().into_parts().0;
        assert_eq!(verify_at(&head, b"", NOW).is_ok(), expected, "canonical path ending in {path_suffix:?}");
    }
}

#[test]
fn a_given_body_hash_must_be_the_body_s() {
    let mut headers = HeaderMap::new();
    let hash = sha256_hex(b"body");
    headers.insert(CONTENT_SHA256, HeaderValue::from_str(&hash).unwrap());
    assert_eq!(payload_hash(&headers, b"body"), Ok(hash.clone().into_bytes()));
    assert!(payload_hash(&headers, b"other").is_err());
    headers.insert(CONTENT_SHA256, HeaderValue::from_static("whatever"));
    assert!(payload_hash(&headers, b"body").is_err(), "a word of no meaning signs nothing");
    assert_eq!(payload_hash(&headers, b""), Ok(sha256_hex(b"").into_bytes()), "an empty body ignores it");
}

#[test]
fn a_signed_header_must_be_there_exactly_once() {
    let mut head = vector(1).head();
    head.headers.append("x-project-id", HeaderValue::from_static("other"));
    check_refused(&head, b"", "not there exactly once");
    head.headers.remove("x-project-id");
    check_refused(&head, b"", "not there exactly once");
}

#[test]
fn header_values_count_as_the_bytes_they_are() {
    let signer = Signer { id: "FRSTESTAK0001", secret: "frs-test-secret-key-0001", date: "20260102T030405Z" };
    let agent = "caf\u{e9}/1.0";
    let headers = [("host", "h"), ("user-agent", agent), ("x-sdk-date", signer.date)];
    let canonical = signing::canonical("GET", "/v2/a%2Fb c/", &[], &headers, b"");
    let canonical = canonical.replace("/v2/a%2Fb c/", "/v2/a/b%20c/");
    let authorization = signer.authorization("SDK-HMAC-SHA256", &canonical, "host;user-agent;x-sdk-date");
    let mut head = Request::builder().uri("/v2/a%2Fb%20c").body(()).unwrap().into_parts().0;
    head.headers.insert("authorization", HeaderValue::from_str(&authorization).unwrap());
    for (name, value) in headers {
        head.headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    assert_eq!(verify_at(&head, b"", NOW), Ok(()));
}

#[test]
fn garbage_in_the_header_is_refused_and_nothing_else() {
    let good = "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-sdk-date, Signature=";
    let zeros = "0".repeat(64);
    assert!(parse(format!("{good}{zeros}").as_bytes()).is_some());
    assert!(
        parse(format!("  SDK-HMAC-SHA256   Access=AK ,SignedHeaders=host,   Signature={zeros} ").as_bytes()).is_some()
    );
    let upper = "A".repeat(64);
    let bad = [
        String::new(),
        "SDK-HMAC-SHA256".to_owned(),
        "SDK-HMAC-SHA256 ".to_owned(),
        format!("{good}{upper}"),
        format!("{good}{zeros}0"),
        format!("{good}{zeros}, Access=AK"),
        format!("{good}{zeros}, Extra=1"),
        format!("SDK-HMAC-SM3 Access=AK, SignedHeaders=host, Signature={zeros}"),
        format!("SDK-HMAC-SHA256 Credential=AK/20260102/r/s, SignedHeaders=host, Signature={zeros}"),
        format!("V11-HMAC-SHA256 Access=AK, SignedHeaders=host, Signature={zeros}"),
        format!("V11-HMAC-SHA256 Credential=AK/2026010/r/s, SignedHeaders=host, Signature={zeros}"),
        format!("V11-HMAC-SHA256 Credential=AK/20260102/r, SignedHeaders=host, Signature={zeros}"),
        format!("SDK-HMAC-SHA256 Access=../etc, SignedHeaders=host, Signature={zeros}"),
        format!("AWS4-HMAC-SHA256 Access=AK, SignedHeaders=host, Signature={zeros}"),
    ];
    for text in bad {
        assert!(parse(text.as_bytes()).is_none(), "{text}");
    }
    assert!(parse(b"SDK-HMAC-SHA256 Access=\xff, SignedHeaders=host, Signature=").is_none());
}

#[test]
fn dates_have_one_spelling() {
    assert_eq!(parse_date(b"20260102T030405Z"), Some(NOW));
    for bad in
        ["2026-01-02T03:04:05Z", "20260102T030405", "20261302T030405Z", "20260102T250405Z", "", "T20260102030405Z"]
    {
        assert_eq!(parse_date(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn a_day_that_is_not_the_date_s_is_refused() {
    let mut head = vector(6).head();
    let text = head.headers["authorization"].to_str().unwrap().replace("/20260102/", "/20260103/");
    head.headers.insert("authorization", HeaderValue::from_str(&text).unwrap());
    check_refused(&head, b"", "day");
}

proptest::proptest! {
    #[test]
    fn nothing_makes_the_parser_fall(data: Vec<u8>) {
        fuzz_signature(&data);
        let with_header = [b"/v2/%zz?a&=%\nSDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-sdk-date, Signature=", &*hex(&[7; 32]).into_bytes(), b"\n", &data].concat();
        fuzz_signature(&with_header);
    }
}
