//! `detect`, `compare`, `search`, `face/getdetail`, `face/setuserid`.

use std::time::Duration;

use likeness_domain::Kind;
use likeness_domain::access::{Caller, Grant, Grants};
use likeness_domain::ports::CredentialStore;
use likeness_domain::types::{AccessKey, AccessKeyId, Aspects};
use likeness_testkit::{FakeAnalyzer, block_on};
use serde_json::json;

use super::server::{BOTH, Client, DEMO, NOBODY, P1, P1B, P2, Server, base64, token};
use crate::facepp::Settings;

const ZEROS: &str = "00000000000000000000000000000000";

#[test]
fn detect_tells_every_face_largest_first() {
    let server = Server::new();
    let reply = server.call("detect", &[("image_file", BOTH)]).ok();
    assert_eq!(reply.members(), "face_num faces image_id request_id time_used");
    assert_eq!(reply.json["face_num"], 2);
    let faces = reply.list("faces");
    assert_eq!(faces[0]["face_rectangle"], json!({"top": 20, "left": 10, "width": 120, "height": 130}));
    assert_eq!(faces[1]["face_rectangle"]["width"], 60);
    assert_ne!(token(&faces[0]["face_token"]), token(&faces[1]["face_token"]));
    assert_eq!(faces[0].as_object().unwrap().len(), 2, "nothing that was not asked for");
    assert_eq!(reply.json["image_id"].as_str().unwrap().len(), 24);
}

#[test]
fn no_face_is_an_answer() {
    let server = Server::new();
    server.make("lobby");
    server.add("lobby", P1);
    let reply = server.call("detect", &[("image_file", NOBODY)]).ok();
    assert_eq!((&reply.json["face_num"], &reply.json["faces"]), (&json!(0), &json!([])));
    let reply = server.call("search", &[("image_file", NOBODY), ("outer_id", "lobby")]).ok();
    assert_eq!((reply.members().as_str(), &reply.json["faces"]), ("faces image_id request_id time_used", &json!([])));
    let reply = server.call("compare", &[("image_file1", P1), ("image_file2", NOBODY)]).ok();
    assert_eq!(reply.members(), "faces1 faces2 image_id1 image_id2 request_id time_used");
    assert_eq!((reply.list("faces1").len(), reply.list("faces2").len()), (1, 0));
}

#[test]
fn pictures_come_in_three_ways_and_the_first_counts() {
    let server = Server::new();
    server.fetcher.serve("http://pictures.example/anna", P1);
    let width = |fields: &[(&str, &str)]| {
        server.call("detect", fields).ok().list("faces")[0]["face_rectangle"]["width"].as_u64().unwrap()
    };
    let (encoded, url) = (base64(P2), "http://pictures.example/anna");
    assert_eq!(width(&[("image_base64", &encoded)]), 90);
    assert_eq!(width(&[("image_base64", &format!("data:image/jpeg;base64,{encoded}"))]), 90);
    assert_eq!(width(&[("image_url", url)]), 120);
    assert_eq!(width(&[("image_url", url), ("image_base64", &encoded)]), 90);
    assert_eq!(width(&[("image_url", url), ("image_base64", &encoded), ("image_file", P1B)]), 100);
}

#[test]
fn what_is_no_picture() {
    let server = Server::new();
    let detect = |name: &str, value: &str| server.call("detect", &[(name, value)]);
    server.call("detect", &[]).bad("MISSING_ARGUMENTS: image_url, image_file, image_base64");
    detect("image_file", "no picture").bad("IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file");
    detect("image_file", "format bmp").bad("IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file");
    detect("image_file", "error corrupt").bad("IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file");
    detect("image_base64", "%%%").bad("IMAGE_ERROR_UNSUPPORTED_FORMAT: image_base64");
    detect("image_base64", &base64("no picture")).bad("IMAGE_ERROR_UNSUPPORTED_FORMAT: image_base64");
    detect("image_file", "size 47x100").bad("INVALID_IMAGE_SIZE: image_file");
    detect("image_file", "size 100x4097").bad("INVALID_IMAGE_SIZE: image_file");
    detect("image_file", "size 48x4096").ok();
    let small = Server::with(Settings { max_image_bytes: 20, ..Settings::default() });
    small.call("detect", &[("image_file", &" ".repeat(21))]).bad("IMAGE_FILE_TOO_LARGE: image_file");
}

#[test]
fn addresses_that_give_no_picture() {
    let server = Server::new();
    for kind in [Kind::UrlInvalid, Kind::UrlForbidden, Kind::UrlUnreachable, Kind::UrlNotFound, Kind::UrlDenied] {
        server.fetcher.fail("http://a.example/", kind);
        server.call("detect", &[("image_url", "http://a.example/")]).bad("INVALID_IMAGE_URL: image_url");
    }
    server.fetcher.fail("http://a.example/", Kind::UrlTimeout);
    let reply = server.call("detect", &[("image_url", "http://a.example/")]);
    reply.refused(412, "IMAGE_DOWNLOAD_TIMEOUT: image_url");
    let compare = [("image_url1", "http://a.example/"), ("image_file2", P1)];
    server.call("compare", &compare).refused(412, "IMAGE_DOWNLOAD_TIMEOUT: image_url1");
}

#[test]
fn a_rectangle_says_which_face_is_meant() {
    let server = Server::new();
    let at = |rectangle: &str| server.call("detect", &[("image_file", BOTH), ("face_rectangle", rectangle)]);
    assert_eq!(at("300,400,60,60").ok().list("faces")[0]["face_rectangle"]["width"], 60);
    assert_eq!(at("310, 405, 60, 60").ok().json["face_num"], 1);
    assert_eq!(at("0,300,60,60").ok().json["face_num"], 0);
    for rectangle in ["1,2,3", "1,2,3,0", "a,b,c,d", "1,2,3,4,5", "-1,2,3,4", "1,2,3,99999999999"] {
        at(rectangle).bad("BAD_ARGUMENTS: face_rectangle");
    }
    let fields = [("image_file1", BOTH), ("face_rectangle1", "300,400,60,60"), ("image_file2", P2)];
    let sure = server.call("compare", &fields).ok();
    assert!(sure.json["confidence"].as_f64().unwrap() > 90.0, "{}", sure.text);
}

#[test]
fn landmarks_and_attributes_as_far_as_measured() {
    let server = Server::new();
    let fields = [("image_file", P1), ("return_landmark", "2"), ("return_attributes", "gender,age,beauty,headpose")];
    let reply = server.call("detect", &fields).ok();
    let face = &reply.list("faces")[0];
    assert_eq!(face["landmark"]["nose_tip"], json!({"x": 70, "y": 98}));
    assert_eq!(face["landmark"].as_object().unwrap().len(), 5);
    assert!(face["attributes"].is_object());
    let requests = server.analyzer.requests();
    // Quality is measured of every transient face, for the gates of the sets it may be added to.
    let wanted = Aspects::LANDMARKS.and(Aspects::AGE_AND_GENDER).and(Aspects::POSE).and(Aspects::QUALITY);
    // The vendor's 83 and 106 points are made of the mesh's.
    assert_eq!(requests[0].assess.aspects, wanted.and(Aspects::MESH));
    for (name, value) in [
        ("return_landmark", "3"),
        ("return_landmark", "x"),
        ("return_attributes", "gender,shoe"),
        ("calculate_all", "2"),
    ] {
        server.call("detect", &[("image_file", P1), (name, value)]).bad(&format!("BAD_ARGUMENTS: {name}"));
    }
    let limited = Server::over(Settings::default(), FakeAnalyzer::new().limited_to(Aspects::NONE));
    let reply = limited.call("detect", &[("image_file", P1), ("return_attributes", "gender,age,smiling")]).ok();
    assert_eq!(reply.list("faces")[0]["attributes"], json!({}));
}

#[test]
fn five_faces_are_measured_unless_all_are_asked_for() {
    let server = Server::new();
    let scene: String = (0..7).map(|n| format!("face p{n} {0}x{0}+{1}+5\n", 60 - n, 70 * n)).collect();
    let n_measured = |all: &str| {
        let fields = [("image_file", scene.as_str()), ("return_landmark", "1"), ("calculate_all", all)];
        let reply = server.call("detect", &fields).ok();
        reply.list("faces").iter().map(|face| face.get("landmark").is_some()).collect::<Vec<_>>()
    };
    assert_eq!(n_measured("0"), [true, true, true, true, true, false, false]);
    assert_eq!(n_measured("1"), [true; 7]);
}

#[test]
fn compare_takes_tokens_and_pictures() {
    let server = Server::new();
    let (anna, bert) = (server.token(P1), server.token(P2));
    let same = server.call("compare", &[("face_token1", &anna), ("image_file2", P1)]).ok();
    assert_eq!(same.members(), "confidence faces2 image_id2 request_id thresholds time_used");
    assert_eq!(same.json["confidence"], 100.0);
    assert_eq!(same.json["thresholds"], json!({"1e-3": 62.327, "1e-4": 69.101, "1e-5": 73.975}));
    let other = server.call("compare", &[("face_token1", &anna), ("face_token2", &bert)]).ok();
    assert_eq!(other.members(), "confidence request_id thresholds time_used");
    assert!(other.json["confidence"].as_f64().unwrap() < 62.327, "{}", other.text);
    let pictures = [("image_base64_1", &*base64(P1)), ("image_base64_2", &*base64(BOTH))];
    let largest = server.call("compare", &pictures).ok();
    assert_eq!((largest.list("faces2").len(), &largest.json["confidence"]), (2, &json!(100.0)));
}

#[test]
fn compare_of_tokens_needs_the_grant_to_search_alone() {
    let server = Server::new();
    server.make("staff");
    let (anna, bert) = (server.add("staff", P1), server.token(P2));
    let seeker = Client { key: "seekerKey", ..DEMO };
    let key = block_on(server.store.key(AccessKeyId::new(DEMO.key).unwrap())).unwrap().unwrap();
    let by = Caller::server(key.tenant.id, "test").actor();
    let grants = Grants::of(&[Grant::Search]);
    let key = AccessKey { id: AccessKeyId::new(seeker.key).unwrap(), grants, ..key };
    block_on(server.store.add_key(by, key)).unwrap();
    let tokens = [("face_token1", &*anna), ("face_token2", &*bert)];
    server.call_as(seeker, "compare", &tokens).ok();
    server.call_as(seeker, "compare", &[("face_token1", &*anna), ("image_file2", P1)]).ok();
    let refused = server.call_as(seeker, "face/getdetail", &[("face_token", &*anna)]);
    refused.refused(403, "AUTHORIZATION_ERROR: Denied by Admin");
}

#[test]
fn compare_needs_two_faces() {
    let server = Server::new();
    let anna = server.token(P1);
    server.call("compare", &[]).bad("MISSING_ARGUMENTS: face_token1, image_url1, image_file1, image_base64_1");
    let missing = "MISSING_ARGUMENTS: face_token2, image_url2, image_file2, image_base64_2";
    server.call("compare", &[("face_token1", &anna)]).bad(missing);
    let n_analysed = server.analyzer.requests().len();
    for (name, picture) in [("face_token2", "image_file1"), ("face_token1", "image_file2")] {
        for unknown in [ZEROS, "x", &anna.to_uppercase()] {
            let error = format!("INVALID_FACE_TOKEN: {unknown}");
            server.call("compare", &[(picture, P1), (name, unknown)]).bad(&error);
        }
    }
    assert_eq!(server.analyzer.requests().len(), n_analysed, "no picture is looked at in vain");
}

#[test]
fn search_finds_who_was_added() {
    let server = Server::new();
    server.make("lobby");
    let (anna, bert) = (server.add("lobby", P1), server.add("lobby", P2));
    server.call("face/setuserid", &[("face_token", &anna), ("user_id", "Anna")]).ok();
    let found = server.call("search", &[("image_file", P1B), ("outer_id", "lobby")]).ok();
    assert_eq!(found.members(), "faces image_id request_id results thresholds time_used");
    let results = found.list("results");
    assert_eq!(results.len(), 1);
    assert_eq!((token(&results[0]["face_token"]), &results[0]["user_id"]), (anna.clone(), &json!("Anna")));
    assert!(results[0]["confidence"].as_f64().unwrap() > 73.975);
    let fields = [("face_token", bert.as_str()), ("outer_id", "lobby"), ("return_result_count", "5")];
    let found = server.call("search", &fields).ok();
    assert_eq!(found.members(), "request_id results thresholds time_used");
    let tokens: Vec<String> = found.list("results").iter().map(|result| token(&result["face_token"])).collect();
    assert_eq!(tokens, [bert, anna]);
    assert_eq!(found.list("results")[0]["user_id"], "");
}

#[test]
fn what_search_refuses() {
    let server = Server::new();
    server.make("lobby");
    let search = |fields: &[(&str, &str)]| server.call("search", fields);
    search(&[("outer_id", "lobby")]).bad("MISSING_ARGUMENTS: face_token, image_url, image_file, image_base64");
    search(&[("image_file", P1)]).bad("MISSING_ARGUMENTS: faceset_token, outer_id");
    search(&[("image_file", P1), ("outer_id", "lobby"), ("faceset_token", ZEROS)]).bad("COEXISTENCE_ARGUMENTS");
    search(&[("image_file", P1), ("outer_id", "lobby")]).bad("EMPTY_FACESET");
    search(&[("image_file", "no picture"), ("outer_id", "nowhere")]).bad("INVALID_OUTER_ID");
    search(&[("image_file", P1), ("faceset_token", ZEROS)]).bad("INVALID_FACESET_TOKEN");
    search(&[("face_token", ZEROS), ("outer_id", "lobby")]).bad(&format!("INVALID_FACE_TOKEN: {ZEROS}"));
    for count in ["0", "6", "1.5", "x", "-1"] {
        let fields = [("image_file", P1), ("outer_id", "lobby"), ("return_result_count", count)];
        search(&fields).bad("BAD_ARGUMENTS: return_result_count");
    }
}

#[test]
fn a_token_lives_three_days_or_as_long_as_it_is_in_a_set() {
    let server = Server::new();
    server.make("lobby");
    let (anna, bert) = (server.add("lobby", P1), server.token(P2));
    let detail = |token: &str| server.call("face/getdetail", &[("face_token", token)]);
    server.clock.advance(Duration::from_hours(72) - Duration::from_millis(1));
    detail(&bert).ok();
    server.clock.advance(Duration::from_millis(1));
    detail(&bert).bad(&format!("INVALID_FACE_TOKEN: {bert}"));
    detail(&anna).ok();
    server.call("search", &[("face_token", &anna), ("outer_id", "lobby")]).ok();
    server.call("faceset/removeface", &[("outer_id", "lobby"), ("face_tokens", &anna)]).ok();
    detail(&anna).bad(&format!("INVALID_FACE_TOKEN: {anna}"));
    let short = Server::with(Settings { held_hours: 1, ..Settings::default() });
    let anna = short.token(P1);
    short.clock.advance(Duration::from_hours(1));
    short.call("face/getdetail", &[("face_token", &anna)]).bad(&format!("INVALID_FACE_TOKEN: {anna}"));
}

#[test]
fn what_is_known_of_a_face() {
    let server = Server::new();
    server.call("faceset/create", &[("outer_id", "lobby"), ("display_name", "Lobby"), ("tags", "a,b")]).ok();
    server.make("roof");
    let anna = server.add("lobby", P1);
    let set = server.call("face/setuserid", &[("face_token", &anna), ("user_id", "Anna")]).ok();
    assert_eq!((&set.json["face_token"], &set.json["user_id"]), (&json!(anna), &json!("Anna")));
    server.call("faceset/addface", &[("outer_id", "roof"), ("face_tokens", &anna)]).ok();
    let known = server.call("face/getdetail", &[("face_token", &anna)]).ok();
    assert_eq!(known.members(), "face_rectangle face_token facesets request_id time_used user_id");
    assert_eq!((&known.json["user_id"], &known.json["face_rectangle"]["left"]), (&json!("Anna"), &json!(10)));
    let sets: Vec<_> = known.list("facesets").iter().map(|set| set["outer_id"].as_str().unwrap()).collect();
    assert_eq!((sets, &known.list("facesets")[0]["tags"]), (vec!["lobby", "roof"], &json!("a,b")));
}

#[test]
fn what_is_said_of_a_face_has_its_form() {
    let server = Server::new();
    let anna = server.token(P1);
    let set = |user_id: &str| server.call("face/setuserid", &[("face_token", &anna), ("user_id", user_id)]);
    server.call("face/setuserid", &[("user_id", "x")]).bad("MISSING_ARGUMENTS: face_token");
    server.call("face/setuserid", &[("face_token", &anna)]).bad("MISSING_ARGUMENTS: user_id");
    for user_id in ["a^b", "a@b", "a,b", "a&b", "a=b", "a*b", "a'b", "a\"b", "a\tb", &"x".repeat(256)] {
        set(user_id).bad("BAD_ARGUMENTS: user_id");
    }
    set(&"x".repeat(255)).ok();
    let unknown = format!("INVALID_FACE_TOKEN: {ZEROS}");
    server.call("face/setuserid", &[("face_token", ZEROS), ("user_id", "x")]).bad(&unknown);
    server.call("face/getdetail", &[("face_token", ZEROS)]).bad(&unknown);
    server.call("face/getdetail", &[]).bad("MISSING_ARGUMENTS: face_token");
}

#[test]
fn a_busy_server_refuses_a_picture() {
    let server = Server::new();
    server.analyzer.fail_next(likeness_domain::Kind::Overloaded);
    // That it says when to come back is checked of every such answer.
    server.call("detect", &[("image_file", P1)]).refused(403, "CONCURRENCY_LIMIT_EXCEEDED");
    server.call("detect", &[("image_file", P1)]).ok();
}
