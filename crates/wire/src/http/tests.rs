use std::collections::BTreeMap;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use likeness_testkit::{SeededIds, block_on};
use proptest::prelude::*;
use serde::Serialize;

use super::body::{BodyError, Upload};
use super::form::{Form, FormError, PARTS_MAX};
use super::json::{self, VALUES_MAX, Value};
use super::media_type::{self, MediaType};
use super::{base64_text, request_id, target};

#[test]
fn base64_is_read_as_people_write_it() {
    for text in ["aGk=", "aGk", " a G\r\nk=\t", "data:image/png;base64,aGk=", "data:;base64,aGk", "aGl="] {
        assert_eq!(base64_text::decode(text).as_deref(), Some(&b"hi"[..]), "{text}");
    }
    for text in ["", " ", "a", "aGk!", "aGk=aGk=", "data:image/png,aGk=", "data:", "a-_b"] {
        assert_eq!(base64_text::decode(text), None, "{text}");
    }
}

#[test]
fn a_body_is_read_up_to_its_bound() {
    let read = |bytes: &'static [u8], bytes_max: usize| {
        block_on(Upload::new(&HeaderMap::new(), Body::from(bytes)).read(bytes_max))
    };
    assert_eq!(read(b"four", 4), Ok(Bytes::from_static(b"four")));
    assert_eq!(read(b"four", 3), Err(BodyError::TooLong));
    assert_eq!(read(b"", 0), Ok(Bytes::new()));
}

#[test]
fn an_announced_length_is_believed_only_against_the_client() {
    let mut headers = HeaderMap::new();
    headers.insert("content-length", "5".parse().unwrap());
    let mut upload = Upload::new(&headers, Body::from("abc"));
    assert_eq!(block_on(upload.read(4)), Err(BodyError::TooLong));
    headers.insert("content-length", "1".parse().unwrap());
    let mut upload = Upload::new(&headers, Body::from("abc"));
    assert_eq!(block_on(upload.read(2)), Err(BodyError::TooLong));
}

#[test]
fn media_types_are_matched_by_their_essence() {
    let of = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", text.parse().unwrap());
        media_type::of(&headers)
    };
    let form = |boundary: &str| MediaType::Form { boundary: Some(boundary.to_owned()) };
    assert_eq!(media_type::of(&HeaderMap::new()), MediaType::Missing);
    assert_eq!(of("Application/JSON ; charset=utf8"), MediaType::Json);
    assert_eq!(of("multipart/form-data; boundary=a=b"), form("a=b"));
    assert_eq!(of("multipart/form-data; x=y; Boundary=\"a b\""), form("a b"));
    assert_eq!(of("multipart/form-data"), MediaType::Form { boundary: None });
    assert_eq!(of("multipart/form-data; boundary="), MediaType::Form { boundary: None });
    assert_eq!(of("application/x-www-form-urlencoded"), MediaType::UrlEncoded);
    assert_eq!(of("text/html"), MediaType::Other);
}

fn read_form(body: &str) -> Result<Form, FormError> {
    block_on(Form::read(Bytes::copy_from_slice(body.as_bytes()), "b"))
}

#[test]
fn a_form_keeps_its_parts_in_order_and_the_last_of_one_name_counts() {
    let part = |name: &str, extra: &str, text: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{extra}\r\n\r\n{text}\r\n")
    };
    let body =
        part("x", "", "1") + &part("f", "; filename=\"\u{e9}.jpg\"", "\r\n--") + &part("x", "", "2") + "--b--\r\n";
    let form = read_form(&body).unwrap();
    let names: Vec<(&str, bool)> = form.parts.iter().map(|part| (part.name.as_str(), part.is_file)).collect();
    assert_eq!(names, [("x", false), ("f", true), ("x", false)]);
    assert_eq!(form.get("x").unwrap().bytes, "2");
    assert_eq!(form.get("f").unwrap().bytes, "\r\n--");
    assert!(form.get("y").is_none());
    let many = part("x", "", "1").repeat(PARTS_MAX);
    assert_eq!(read_form(&(many.clone() + "--b--")).unwrap().parts.len(), PARTS_MAX);
    assert_eq!(read_form(&(many + &part("x", "", "1") + "--b--")).unwrap_err(), FormError::TooManyParts);
    assert_eq!(read_form(&part("x", "", "1")).unwrap_err(), FormError::Malformed);
}

/// The parts lie in the memory of the body, which is counted once.
#[test]
fn the_parts_of_a_form_are_not_copied() {
    let body =
        Bytes::from("preamble--b \t\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\nphoto\r\n--b--");
    let form = block_on(Form::read(body.clone(), "b")).unwrap();
    let part = form.get("f").unwrap();
    assert!(part.is_file && part.bytes == "photo" && body.as_ptr_range().contains(&part.bytes.as_ptr()));
    let nameless = read_form("--b\r\nContent-Type: x/y\r\n\r\n1\r\n--b\r\n\r\n\r\n\r\n2\r\n--b--").unwrap();
    assert!(nameless.parts.is_empty());
    let head = format!("--b\r\nA: {}\r\n\r\n1\r\n--b--", "x".repeat(20_000));
    for malformed in
        ["", "--b", "--b\r\n", "--bx\r\nA: b\r\n\r\n1\r\n--b--", "--b\r\nno header\r\n\r\n1\r\n--b--", &head]
    {
        assert_eq!(read_form(malformed).unwrap_err(), FormError::Malformed, "{malformed:.40}");
    }
}

#[test]
fn json_keeps_order_lets_the_last_win_and_has_bounds() {
    let Some(Value::Object(object)) = Value::parse(br#"{"b":1,"a":-2.5,"b":null,"c":[true,"x"]}"#) else { panic!() };
    let names: Vec<&str> = object.members().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["b", "a", "b", "c"]);
    assert_eq!(object.get("b"), None, "null is absent, also when it comes last");
    assert_eq!(object.get("a"), Some(&Value::Real(-2.5)));
    assert_eq!(object.get("c"), Some(&Value::List(vec![Value::Boolean(true), Value::Text("x".to_owned())])));
    assert_eq!(Value::parse(b"18446744073709551615"), Some(Value::Real(18_446_744_073_709_551_615.0)));
    assert_eq!(Value::parse(b"9223372036854775807"), Some(Value::Whole(i64::MAX)));
    for wrong in [&b""[..], b"{", b"1 2", b"1e999", b"\xff", b"'a'", b"{\"a\":}", b"nul"] {
        assert_eq!(Value::parse(wrong), None, "{}", String::from_utf8_lossy(wrong));
    }
    let list = |n_values: usize| format!("[{}0]", "0,".repeat(n_values - 2));
    assert!(Value::parse(list(VALUES_MAX).as_bytes()).is_some());
    assert!(Value::parse(list(VALUES_MAX + 1).as_bytes()).is_none());
}

#[test]
fn reals_are_written_plainly() {
    let written = |number: f64| String::from_utf8(json::write(&number)).unwrap();
    assert_eq!(written(0.1), "0.1");
    assert_eq!(written(1.0), "1.0");
    assert_eq!(written(1e-7), "0.0000001");
    assert_eq!(written(-0.0), "-0.0");
    assert_eq!(written(f64::NAN), "null");
    assert_eq!(written(1e300).len(), 303);
}

#[test]
fn members_that_are_none_are_left_out() {
    #[derive(Serialize, Default)]
    struct Body {
        first: Option<u8>,
        second: Option<&'static str>,
        inner: Option<Box<Body>>,
        list: Vec<Option<bool>>,
        map: BTreeMap<&'static str, Option<f32>>,
    }
    let written = |body: &Body| String::from_utf8(json::write(body)).unwrap();
    assert_eq!(written(&Body::default()), r#"{"list":[],"map":{}}"#);
    let inner = Body { first: Some(1), ..Body::default() };
    let body = Body {
        second: Some("a\"\u{1}"),
        inner: Some(inner.into()),
        list: vec![Some(true), None],
        map: [("a\n", Some(0.1)), ("b", None), ("c", Some(f32::NAN))].into(),
        ..Body::default()
    };
    let expected =
        r#"{"second":"a\"\u0001","inner":{"first":1,"list":[],"map":{}},"list":[true,null],"map":{"a\n":0.1}}"#;
    assert_eq!(written(&body), expected);
}

proptest! {
    #[test]
    fn reals_come_back_as_they_were(number in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO) {
        #[derive(Serialize)]
        struct Body { number: f64 }
        let text = json::write(&Body { number });
        prop_assert!(!text[9..].contains(&b'e') && !text[9..].contains(&b'E'));
        let Some(Value::Object(object)) = Value::parse(&text) else { panic!() };
        prop_assert_eq!(object.get("number"), Some(&Value::Real(number)));
    }

    #[test]
    fn whatever_is_encoded_decodes(plain: Vec<u8>) {
        let encoded = target::encode(&plain);
        prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte)));
        prop_assert_eq!(target::decode(encoded.as_bytes()).into_owned(), plain);
    }
}

#[test]
fn paths_and_queries_are_taken_apart_as_bytes() {
    let segments = |path: &str| target::segments(path).map(|segments| segments.join("|"));
    assert_eq!(segments("/a/b%20c/%2F").as_deref(), Some("a|b c|/"));
    assert_eq!(segments("/a/").as_deref(), Some("a"));
    assert_eq!(segments("/a//").as_deref(), Some("a|"));
    assert_eq!(segments("/").as_deref(), Some(""));
    assert_eq!(segments("a"), None);
    assert_eq!(segments("/%FF"), None);
    let pairs = target::query_pairs("b=1+2&&a&=x&b=%C3%A9=&%zz=%");
    let expected: [(&[u8], &[u8]); 5] =
        [(b"b", b"1+2"), (b"a", b""), (b"", b"x"), (b"b", "\u{e9}=".as_bytes()), (b"%zz", b"%")];
    assert!(pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).eq(expected), "{pairs:?}");
}

#[test]
fn a_request_id_of_the_listener_is_kept() {
    let ids = SeededIds::new(1);
    let mut extensions = http::Extensions::new();
    assert_eq!(request_id::of(&extensions, &ids).len(), 32);
    assert_ne!(request_id::of(&extensions, &ids), request_id::of(&extensions, &ids));
    extensions.insert(request_id::RequestId("theirs".to_owned()));
    assert_eq!(request_id::of(&extensions, &ids), "theirs");
}
