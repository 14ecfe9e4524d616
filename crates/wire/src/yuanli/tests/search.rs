//! Cases E01 to E14 and F02: searching.

use std::sync::Arc;

use likeness_store::index::BruteForceIndex;
use likeness_store::memory::MemoryStore;
use serde_json::json;

use super::server::{NOBODY, P1, P1B, P2, Server};
use crate::megvii::tests::cases;
use crate::yuanli::Settings;

fn with_two() -> (Server, String, String) {
    let server = Server::with_lib_a();
    let tokens = (server.add(P1, "anna"), server.add(P2, "bert"));
    (server, tokens.0, tokens.1)
}

#[test]
fn e01_e13_the_best_is_found() {
    let (server, anna, _) = with_two();
    let reply = server.search(P1B, &[]).ok();
    assert_eq!(reply.found(), [anna.as_str()]);
    let result = &reply.list("results")[0];
    assert!(result["score"].as_f64().unwrap() > 80.0);
    assert_eq!(result["score"], result["confidence"]);
    assert_eq!((&result["user_id"], &result["user_data"]), (&"anna".into(), &"".into()));
    assert!(result["add_time"].is_i64());
    assert_eq!(reply.json["faces"], json!([{"face_rectangle": {"top": 40, "left": 40, "width": 100, "height": 100}}]));
    assert_eq!(reply.json["thresholds"], json!({"1e-3": 75, "1e-4": 80, "1e-5": 85, "1e-6": 90}));
    assert_eq!((&reply.json["group_id"], &reply.json["model_version"]), (&"lib_a".into(), &"s21".into()));
    assert!(server.search(P1, &[]).ok().list("results")[0]["score"].as_f64().unwrap() > 98.0, "the same picture");
}

#[test]
fn e02_e03_e13_all_of_them_best_first_and_strictly_above_the_threshold() {
    let (server, anna, bert) = with_two();
    let reply = server.search(P1B, &[("limit", "100")]).ok();
    assert_eq!(reply.found(), [anna, bert]);
    let scores: Vec<f64> = reply.list("results").iter().map(|result| result["score"].as_f64().unwrap()).collect();
    assert!(scores[0] > scores[1], "{scores:?}");
    for score in &scores {
        assert!((0.0..=100.0).contains(score));
        assert!((score * 1000.0 - (score * 1000.0).round()).abs() < 1e-6, "{score} has at most three decimals");
    }
    let printed = |threshold: f64| {
        server.search(P1B, &[("limit", "100"), ("threshold", &threshold.to_string())]).ok().found().len()
    };
    assert_eq!(printed(scores[0]), 0, "equal is not above");
    assert_eq!(printed(scores[0] - 0.001), 1);
    assert_eq!(printed(scores[1]), 1);
    assert_eq!(printed(scores[1] - 0.001), 2);
}

#[test]
fn e04_e05_nobody_is_no_error() {
    let (server, ..) = with_two();
    assert_eq!(server.search("face dora 100x100+1+1", &[("threshold", "80")]).ok().found().len(), 0);
    let empty = Server::with_lib_a();
    assert_eq!(empty.search(P1, &[]).ok().found().len(), 0);
}

#[test]
fn e06_e07_what_search_refuses() {
    let (server, ..) = with_two();
    for value in ["0", "101", "1.5", "x"] {
        server.search(P1, &[("limit", value)]).bad("BAD_ARGUMENTS: limit");
    }
    for value in ["-1", "100.1", "abc", "NaN", "inf"] {
        server.search(P1, &[("threshold", value)]).bad("BAD_ARGUMENTS: threshold");
    }
    server.search(P1, &[("threshold", "8e1")]).ok();
    assert_eq!(server.search(P1, &[("threshold", "100")]).ok().found().len(), 0);
    server.search(P1, &[("multi_oriented_detection", "yes")]).bad("BAD_ARGUMENTS: multi_oriented_detection");
    server.call("search", &[("group_id", "lib_a")]).bad("MISSING_ARGUMENTS: image, file");
}

#[test]
fn e08_e09_a_picture_of_nobody_and_an_unknown_library() {
    let (server, ..) = with_two();
    server.search(NOBODY, &[]).bad("NO_FACE_FOUND: file");
    server.call("search", &[("group_id", "nowhere"), ("file", "broken")]).bad("INVALID_GROUP_ID");
    server.call("search", &[("group_id", "nowhere"), ("image", "not-base64!")]).bad("INVALID_GROUP_ID");
    assert_eq!(server.search(P1, &[("multi_oriented_detection", "1")]).ok().found().len(), 1);
}

#[test]
fn e10_e11_e12_what_is_added_is_found_and_what_is_deleted_is_not() {
    let server = Server::with_lib_a();
    server.make("lib_b");
    let token = server.add(P1, "u1");
    assert_eq!(server.search(P1, &[]).ok().found(), [token.as_str()]);
    assert_eq!(server.call("search", &[("group_id", "lib_b"), ("file", P1)]).ok().found().len(), 0);
    server.call("delete", &[("group_id", "lib_a"), ("face_tokens", &token)]).ok();
    assert_eq!(server.search(P1, &[]).ok().found().len(), 0);
}

#[test]
fn e14_token_and_score_survive_a_restart() {
    let index = Arc::new(BruteForceIndex::new());
    let store = Arc::new(MemoryStore::open(index.clone()));
    let before = Server::over(Settings::default(), store.clone(), index.clone());
    before.make("lib_a");
    before.add(P1, "u1");
    let found = before.search(P1B, &[]).ok().json["results"].clone();
    let after = Server::over(Settings::default(), before.store.clone(), index);
    assert_eq!(after.search(P1B, &[]).ok().json["results"], found);
}

#[test]
fn f02_calls_a_second_may_be_bounded() {
    cases::calls_a_second_are_bounded(&Server::with(Settings { max_qps: Some(1), ..Settings::default() }));
}

#[test]
fn a_full_queue_is_too_many_calls() {
    let server = Server::with_lib_a();
    server.analyzer.fail_next(likeness_domain::Kind::Overloaded);
    server.search(P1, &[]).refused(403, "CONCURRENCY_LIMIT_EXCEEDED");
}
