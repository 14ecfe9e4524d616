//! What every setting changes.

use serde_json::json;

use super::server::{P1, P2, Server, base64};
use crate::yuanli::Settings;
use crate::yuanli::settings::{NextType, TimeOffset};

fn lib_a_with(settings: Settings) -> Server {
    let server = Server::with(settings);
    server.make("lib_a");
    server
}

fn base() -> Settings {
    Settings::default()
}

#[test]
fn without_superset_only_what_is_documented_or_needed_is_sent() {
    let server = lib_a_with(Settings { superset_responses: false, ..base() });
    let members = |json: &serde_json::Value| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let made = server.call("create", &[("group_id", "lib_b"), ("group_name", "x")]).ok().json;
    assert_eq!(members(&made), "group_data group_id group_name model_version request_id time_used");
    let added = server.call("add", &[("group_id", "lib_a"), ("file", P1), ("user_id", "u")]).ok().json;
    assert_eq!(members(&added), "add_time face_token group_id request_id time_used user_data user_id");
    let found = server.search(P1, &[]).ok().json;
    assert_eq!(members(&found), "group_id request_id results time_used");
    assert_eq!(members(&found["results"][0]), "confidence face_token user_data user_id");
    let info = server.call("group_info", &[("group_id", "lib_a")]).ok().json;
    assert_eq!(members(&info["info"]), "add_time group_data group_id group_name model_version");
}

#[test]
fn errors_with_unknown_names_can_be_renamed() {
    let server = lib_a_with(Settings {
        unknown_group_error: "INVALID_OUTER_ID",
        group_exist_error: "A".to_owned(),
        group_quota_error: "B".to_owned(),
        face_quota_error: "C".to_owned(),
        max_groups: Some(1),
        max_faces_total: Some(1),
        ..base()
    });
    server.call("free", &[("group_id", "nowhere")]).bad("INVALID_OUTER_ID");
    server.call("create", &[("group_id", "lib_a"), ("group_name", "x")]).bad("A");
    server.call("create", &[("group_id", "lib_b"), ("group_name", "x")]).bad("B");
    server.add(P1, "u1");
    server.call("add", &[("group_id", "lib_a"), ("file", P1), ("user_id", "u")]).bad("C");
    assert_eq!(server.n_listed(), 1);
}

#[test]
fn the_face_quota_counts_every_library() {
    let server = lib_a_with(Settings { max_faces_total: Some(2), ..base() });
    server.make("lib_b");
    server.add(P1, "u1");
    let add_b = || server.call("add", &[("group_id", "lib_b"), ("file", P2), ("user_id", "u")]);
    let token = add_b().ok().token();
    add_b().bad("QUOTA_EXCEEDED");
    server.call("delete", &[("group_id", "lib_b"), ("face_tokens", &token)]).ok();
    add_b().ok();
    let unbounded = lib_a_with(Settings { max_faces_total: None, max_groups: None, ..base() });
    unbounded.add(P1, "u1");
}

#[test]
fn times_and_positions_are_written_as_wanted() {
    let server =
        lib_a_with(Settings { group_time_offset: "-03:30".parse().unwrap(), next_type: NextType::Int, ..base() });
    let info = server.call("group_info", &[("group_id", "lib_a")]).ok().json;
    assert_eq!(info["info"]["add_time"], "2029-12-31T20:30:50-03:30");
    server.add(P1, "u1");
    server.add(P1, "u1");
    assert_eq!(server.call("list", &[("group_id", "lib_a"), ("limit", "1")]).ok().json["next"], json!(2));
}

#[test]
fn offsets_are_read_as_they_are_written() {
    for text in ["+08:00", "-03:30", "+00:00", "+23:59", "-00:30"] {
        assert_eq!(text.parse::<TimeOffset>().unwrap().to_string(), text);
    }
    for text in ["", "8", "08:00", "+8:00", "+24:00", "+08:60", "+08:0", "+0+:00", "\u{e9}08:00"] {
        assert!(text.parse::<TimeOffset>().is_err(), "{text}");
    }
}

#[test]
fn ranges_can_be_strict_or_clamped() {
    let strict = lib_a_with(Settings { strict_start_max: true, ..base() });
    strict.call("list", &[("group_id", "lib_a"), ("start", "1000")]).ok();
    strict.call("list", &[("group_id", "lib_a"), ("start", "1001")]).bad("BAD_ARGUMENTS: start");
    let clamped = lib_a_with(Settings { clamp_limits: true, ..base() });
    clamped.add(P1, "u1");
    for (name, value) in [("limit", "5000"), ("limit", "0"), ("start", "0"), ("start", "-3")] {
        let reply = clamped.call("list", &[("group_id", "lib_a"), (name, value)]).ok();
        assert_eq!(reply.list("face_tokens").len(), 1, "{name}={value}");
    }
    clamped.call("list", &[("group_id", "lib_a"), ("limit", "x")]).bad("BAD_ARGUMENTS: limit");
    assert_eq!(clamped.search(P1, &[("limit", "1000")]).ok().found().len(), 1);
}

#[test]
fn both_pictures_can_be_refused() {
    let server = lib_a_with(Settings { strict_coexistence: true, ..base() });
    let fields = [("group_id", "lib_a"), ("user_id", "u"), ("file", P1), ("image", &base64(P2))];
    server.call("add", &fields).bad("COEXISTENCE_ARGUMENTS");
    server.call("search", &fields).bad("COEXISTENCE_ARGUMENTS");
}

#[test]
fn the_word_for_all_faces_can_be_allowed() {
    let server = lib_a_with(Settings { allow_remove_all: true, ..base() });
    (0..3).for_each(|_| drop(server.add(P1, "u1")));
    let reply = server.call("delete", &[("group_id", "lib_a"), ("face_tokens", "RemoveAllFaceTokens")]).ok();
    assert_eq!((&reply.json["face_removed"], &reply.json["face_count"]), (&json!(3), &json!(0)));
    assert_eq!(server.n_listed(), 0);
}

#[test]
fn an_empty_library_can_be_an_error() {
    let server = lib_a_with(Settings { empty_group_error: true, ..base() });
    server.search(P1, &[]).bad("EMPTY_FACESET");
    server.add(P1, "u1");
    assert_eq!(server.search(P1, &[]).ok().found().len(), 1);
}

#[test]
fn a_dot_can_be_allowed() {
    let server = lib_a_with(Settings { allow_dot_in_ids: true, ..base() });
    server.make("a.b");
    // What stands for a step in paths is no name of any dialect.
    for name in [".", ".."] {
        server.call("create", &[("group_id", name), ("group_name", "x")]).bad("BAD_ARGUMENTS: group_id");
    }
    server.call("add", &[("group_id", "a.b"), ("file", P1), ("user_id", "u.1")]).ok();
}

#[test]
fn pictures_and_calls_can_be_bounded_otherwise() {
    let server = lib_a_with(Settings {
        min_side: 100,
        max_side: 200,
        max_image_bytes: 60,
        max_qps: Some(1),
        concurrency_status: 429,
        ..base()
    });
    server.call("group_list", &[]).refused(429, "CONCURRENCY_LIMIT_EXCEEDED");
    let wait = || server.clock.advance(std::time::Duration::from_secs(1));
    wait();
    server.search("size 99x150", &[]).bad("INVALID_IMAGE_SIZE: file");
    wait();
    server.search("size 150x201", &[]).bad("INVALID_IMAGE_SIZE: file");
    wait();
    server.search(&format!("size 150x150{}", " ".repeat(60)), &[]).bad("IMAGE_FILE_TOO_LARGE: file");
}
