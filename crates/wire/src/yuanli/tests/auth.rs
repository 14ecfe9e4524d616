//! Cases A01 to A21: who asks, and what no call is.

use axum::body::Body;
use http::Request;

use super::server::{BASE, DEMO, DISABLED, NOW_S, Server};
use crate::megvii::tests::cases;
use crate::yuanli::Settings;
use crate::yuanli::settings::BadSign;

const V1: &str = "7DyuDpNA6AVLnGNkomBUQzaz6GFhPWRlbW9LZXktMDAwMV9BYkNkRWZHaElqS2xNbk9wUXImYj0xODkzNDU2MTAwJmM9MTg5MzQ1NjAwMCZkPTAxMjM0NTY3ODk=";
const V2: &str = "xomajvL6WwTo+rpeue/8fCkFgix2yZHmL4qialIUWiJhPWRlbW9LZXktMDAwMV9BYkNkRWZHaElqS2xNbk9wUXImYj0xODkzNDU2MTAwJmM9MTg5MzQ1NjAwMCZkPTAxMjM0NTY3ODk=";
const V3: &str = "LCb6y8oJnq1q6YJ6QMuM1A48EthhPWRlbW9LZXktMDAwMV9BYkNkRWZHaElqS2xNbk9wUXImYj0wJmM9MTg5MzQ1NjAwMCZkPTQy";
const INVALID: &str = "AUTHORIZATION_ERROR: INVALID_SIGN";
const EXPIRED: &str = "AUTHORIZATION_ERROR: EXPIRED_SIGN";

fn sha1(server: &Server, sign: &str) -> super::server::Reply {
    server.post("group_list", &[("sign", sign), ("sign_version", "hmac_sha1")])
}

#[test]
fn a01_a02_a03_sign_and_its_version_come_first() {
    let server = Server::new();
    server.post("group_list", &[]).bad("MISSING_ARGUMENTS: sign");
    server.post("group_list", &[("sign", ""), ("sign_version", "")]).bad("MISSING_ARGUMENTS: sign");
    server.post("group_list", &[("sign", V1)]).bad("MISSING_ARGUMENTS: sign_version");
    for version in ["md5", "HMAC_SHA1", "hmac_sha1 "] {
        server.post("group_list", &[("sign", V1), ("sign_version", version)]).bad("BAD_ARGUMENTS: sign_version");
    }
}

#[test]
fn a04_vector_1() {
    let reply = sha1(&Server::new(), V1).ok();
    assert_eq!(reply.list("group_infos").len(), 0);
}

#[test]
fn a05_a06_vector_2_and_the_digest_that_does_not_fit() {
    let server = Server::new();
    server.post("group_list", &[("sign", V2), ("sign_version", "hmac_sha256")]).ok();
    server.post("group_list", &[("sign", V1), ("sign_version", "hmac_sha256")]).refused(403, INVALID);
    sha1(&server, V2).refused(403, INVALID);
}

#[test]
fn a07_a08_what_is_not_signed_is_refused() {
    let server = Server::new();
    let changed = format!("8{}", &V1[1..]);
    sha1(&server, &changed).refused(403, INVALID);
    sha1(&server, "%%%").refused(403, INVALID);
    let other = Server::with(Settings { bad_sign_error: BadSign::Authentication, ..Settings::default() });
    sha1(&other, &changed).refused(403, "AUTHENTICATION_ERROR");
    sha1(&other, "%%%").refused(403, INVALID);
}

#[test]
fn a09_a10_a_sign_is_good_to_its_last_second() {
    let server = Server::new();
    server.clock.set(1_893_456_100_999);
    sha1(&server, V1).ok();
    server.clock.set(1_893_456_101_000);
    sha1(&server, V1).refused(403, EXPIRED);
    let lenient = Server::with(Settings { sign_skew_s: 5, ..Settings::default() });
    lenient.clock.set(1_893_456_105_000);
    sha1(&lenient, V1).ok();
}

#[test]
fn a11_a_sign_is_good_for_any_call() {
    let server = Server::new();
    sha1(&server, V1).ok();
    let fields = [("sign", V1), ("sign_version", "hmac_sha1"), ("group_id", "lib_a"), ("group_name", "Alpha")];
    server.post("create", &fields).ok();
}

#[test]
fn a12_a_sign_without_end_is_good_once() {
    let server = Server::new();
    sha1(&server, V3).ok();
    sha1(&server, V3).refused(403, EXPIRED);
    // However it is wrapped: it is the signature that is spent.
    sha1(&server, &format!("{}\r\n{}", &V3[..40], &V3[40..])).refused(403, EXPIRED);
    let late = Server::new();
    late.clock.set(1_893_456_301_000);
    sha1(&late, V3).refused(403, EXPIRED);
    late.clock.set(1_893_456_300_000);
    sha1(&late, V3).ok();
    let early = Server::new();
    early.clock.set(1_893_455_699_000);
    sha1(&early, V3).refused(403, EXPIRED);
}

#[test]
fn a13_an_unknown_key_is_told_apart() {
    let server = Server::new();
    let nobody = super::server::Client { key: "nobody", secret: "x" };
    sha1(&server, &nobody.sign("hmac_sha1", "0", NOW_S, "1")).refused(403, "AUTHENTICATION_ERROR");
    let impossible = super::server::Client { key: "no such/key", secret: "x" };
    sha1(&server, &impossible.sign("hmac_sha1", "0", NOW_S, "1")).refused(403, "AUTHENTICATION_ERROR");
}

#[test]
fn a14_a15_the_end_may_be_in_milliseconds_but_not_before_the_beginning() {
    let server = Server::new();
    let in_an_hour = ((NOW_S + 3600) * 1000).to_string();
    sha1(&server, &DEMO.sign("hmac_sha1", &in_an_hour, NOW_S, "1")).ok();
    let past = ((NOW_S - 1) * 1000).to_string();
    sha1(&server, &DEMO.sign("hmac_sha1", &past, NOW_S - 10, "1")).refused(403, EXPIRED);
    sha1(&server, &DEMO.sign("hmac_sha1", "1893456100", 1_893_456_101, "1")).refused(403, INVALID);
    // A beginning that is still to come is none of our business.
    sha1(&server, &DEMO.sign("hmac_sha1", "1893456900", 1_893_456_800, "12345678901")).ok();
}

#[test]
fn addition_1_a_sign_that_ends_in_more_than_a_day_is_refused() {
    let ends = |server: &Server, end: String| sha1(server, &DEMO.sign("hmac_sha1", &end, NOW_S, "1"));
    let after = |seconds: i64| (NOW_S + seconds).to_string();
    let server = Server::new();
    ends(&server, after(86_400)).ok();
    ends(&server, after(86_401)).refused(403, INVALID);
    ends(&server, format!("{}000", after(86_400))).ok();
    ends(&server, format!("{}000", after(86_401))).refused(403, INVALID);
    // In the year 584 billion, and in milliseconds of a time that is none.
    for end in ["18446744073709551615", "99999999999999"] {
        ends(&server, end.to_owned()).refused(403, INVALID);
    }
    let unbounded = Server::with(Settings { sign_life_max_s: None, ..Settings::default() });
    ends(&unbounded, "18446744073709551615".to_owned()).ok();
    let short = Server::with(Settings { sign_life_max_s: Some(60), ..Settings::default() });
    ends(&short, after(60)).ok();
    ends(&short, after(61)).refused(403, INVALID);
}

#[test]
fn a16_an_unescaped_plus_is_understood() {
    let server = Server::new();
    server.post_text("group_list", &format!("sign={V2}&sign_version=hmac_sha256")).ok();
    let escaped = V2.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    server.post_text("group_list", &format!("sign={escaped}&sign_version=hmac_sha256")).ok();
}

#[test]
fn a17_line_breaks_are_passed_over() {
    sha1(&Server::new(), &format!("{}\r\n{}\n", &V1[..76], &V1[76..])).ok();
}

#[test]
fn a18_a_disabled_key_is_told_so_only_if_it_can_sign() {
    let server = Server::new();
    let end = (NOW_S + 10).to_string();
    let reason = "AUTHORIZATION_ERROR: API_KEY_BE_DISCONTINUED";
    sha1(&server, &DISABLED.sign("hmac_sha1", &end, NOW_S, "1")).refused(403, reason);
    let forged = super::server::Client { key: DISABLED.key, secret: "guess" };
    sha1(&server, &forged.sign("hmac_sha1", &end, NOW_S, "1")).refused(403, INVALID);
}

#[test]
fn a19_everything_else_is_no_api() {
    let calls = ["nothing", "create/more", ""];
    cases::everything_else_is_no_api(&Server::new(), &calls, &["/finauth/v5/compare", "/finauth"]);
}

#[test]
fn a20_a_body_too_long_is_refused_in_plain_text() {
    let server = Server::with(Settings { max_body_bytes: 2000, ..Settings::default() });
    cases::a_body_too_long_is_refused_in_plain_text(&server);
}

#[test]
fn a21_every_request_has_an_id_of_its_own() {
    let server = Server::new();
    let ids = [(); 3].map(|()| sha1(&server, V1).json["request_id"].as_str().unwrap().to_owned());
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    assert!(ids[0].starts_with("1893456050,"));
    let failures = [(); 2].map(|()| server.post("x", &[]).json["request_id"].as_str().unwrap().to_owned());
    assert_ne!(failures[0], failures[1]);
}

#[test]
fn fields_may_be_in_the_query_and_the_body_wins() {
    let server = Server::new();
    let sign = V1.replace('+', "%2B");
    let target = format!("{BASE}create?sign={sign}&sign_version=hmac_sha1&group_id=lib_q&group_name=Query");
    server.send(Request::post(&target).body(Body::empty()).unwrap()).ok();
    let mut request = Server::multipart("create", Server::form(&[("group_id", "lib_b"), ("group_id", "lib_c")]));
    *request.uri_mut() = target.parse().unwrap();
    assert_eq!(server.send(request).ok().json["group_id"], "lib_b", "and of two in one body the first");
    let json = Request::post(format!("{BASE}group_list")).header("content-type", "application/json");
    let body = format!("{{\"sign\":\"{V1}\",\"sign_version\":\"hmac_sha1\"}}");
    server.send(json.body(Body::from(body)).unwrap()).bad("MISSING_ARGUMENTS: sign");
}
