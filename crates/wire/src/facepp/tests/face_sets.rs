//! The calls under `faceset/`.

use serde_json::json;

use super::server::{P1, P2, Reply, Server, token};
use crate::facepp::Settings;

const ZEROS: &str = "00000000000000000000000000000000";

fn failures(reply: &Reply) -> Vec<(&str, &str)> {
    reply
        .list("failure_detail")
        .iter()
        .map(|failure| (failure["face_token"].as_str().unwrap(), failure["reason"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_face_set_is_made_once() {
    let server = Server::new();
    let fields = [("outer_id", "lobby"), ("display_name", "Lobby"), ("tags", "a, b"), ("user_data", "x")];
    let made = server.call("faceset/create", &fields).ok();
    let members = "face_added face_count faceset_token failure_detail outer_id request_id time_used";
    assert_eq!(made.members(), members);
    assert_eq!((&made.json["outer_id"], &made.json["face_count"]), (&json!("lobby"), &json!(0)));
    server.call("faceset/create", &fields).bad("FACESET_EXIST");
    let detail = server.call("faceset/getdetail", &[("faceset_token", &token(&made.json["faceset_token"]))]).ok();
    let expected = [("display_name", "Lobby"), ("tags", "a,b"), ("user_data", "x"), ("outer_id", "lobby")];
    for (member, value) in expected {
        assert_eq!(detail.json[member], value);
    }
    assert_eq!((&detail.json["face_tokens"], &detail.json["face_count"]), (&json!([]), &json!(0)));
    let merged = server.call("faceset/create", &[("outer_id", "lobby"), ("force_merge", "1")]).ok();
    assert_eq!(merged.json["faceset_token"], made.json["faceset_token"]);
}

#[test]
fn a_face_set_needs_no_outer_id() {
    let server = Server::new();
    let (a, b) = (server.call("faceset/create", &[]).ok(), server.call("faceset/create", &[("outer_id", "")]).ok());
    assert_eq!((&a.json["outer_id"], &b.json["outer_id"]), (&json!(""), &json!("")));
    let (a, b) = (token(&a.json["faceset_token"]), token(&b.json["faceset_token"]));
    assert_ne!(a, b);
    let anna = server.token(P1);
    server.call("faceset/addface", &[("faceset_token", &a), ("face_tokens", &anna)]).ok();
    assert_eq!(server.call("faceset/getdetail", &[("faceset_token", &a)]).ok().json["face_tokens"], json!([anna]));
    let named = server.call("faceset/update", &[("faceset_token", &a), ("new_outer_id", "lobby")]).ok();
    assert_eq!((&named.json["outer_id"], &named.json["faceset_token"]), (&json!("lobby"), &json!(a)));
    assert_eq!(server.tokens("lobby"), [anna]);
    server.call("faceset/delete", &[("faceset_token", &b)]).ok();
    server.call("faceset/delete", &[("faceset_token", &b)]).bad("INVALID_FACESET_TOKEN");
}

#[test]
fn words_of_a_face_set_have_their_form() {
    let server = Server::new();
    let create = |name: &str, value: &str| server.call("faceset/create", &[(name, value)]);
    for (name, value) in [
        ("outer_id", "a@b".to_owned()),
        ("outer_id", "a,b".to_owned()),
        ("outer_id", "x".repeat(256)),
        ("display_name", "x".repeat(257)),
        ("tags", "a=b".to_owned()),
        ("tags", "x".repeat(256)),
        ("user_data", "a&b".to_owned()),
        ("user_data", "x".repeat(16 * 1024 + 1)),
        ("force_merge", "2".to_owned()),
    ] {
        create(name, &value).bad(&format!("BAD_ARGUMENTS: {name}"));
    }
    assert_eq!(server.call("faceset/getfacesets", &[]).ok().json["facesets"], json!([]));
    create("outer_id", &"x".repeat(255)).ok();
    create("display_name", &"\u{4eba}".repeat(256)).ok();
    create("user_data", &"x".repeat(16 * 1024)).ok();
    create("tags", &"x".repeat(255)).ok();
}

#[test]
fn face_sets_can_be_bounded() {
    let server = Server::with(Settings { max_face_sets: Some(1), max_faces_per_set: 1, ..Settings::default() });
    server.make("lobby");
    server.call("faceset/create", &[("outer_id", "roof")]).bad("FACESET_QUOTA_EXCEEDED");
    let (anna, bert) = (server.token(P1), server.token(P2));
    let tokens = format!("{anna},{bert}");
    let added = server.call("faceset/addface", &[("outer_id", "lobby"), ("face_tokens", &tokens)]).ok();
    assert_eq!((&added.json["face_added"], &added.json["face_count"]), (&json!(1), &json!(1)));
    assert_eq!(failures(&added), [(bert.as_str(), "QUOTA_EXCEEDED")]);
}

#[test]
fn faces_are_added_by_their_tokens() {
    let server = Server::new();
    let (anna, bert) = (server.token(P1), server.token(P2));
    let tokens = format!("{anna}, {ZEROS},,{bert}");
    let made = server.call("faceset/create", &[("outer_id", "lobby"), ("face_tokens", &tokens)]).ok();
    assert_eq!((&made.json["face_added"], &made.json["face_count"]), (&json!(2), &json!(2)));
    assert_eq!(failures(&made), [(ZEROS, "INVALID_FACE_TOKEN")]);
    assert_eq!(server.tokens("lobby"), [anna.clone(), bert]);
    let again = server.call("faceset/addface", &[("outer_id", "lobby"), ("face_tokens", &anna)]).ok();
    assert_eq!((&again.json["face_added"], &again.json["face_count"]), (&json!(0), &json!(2)));
    assert!(failures(&again).is_empty(), "what is there already is no failure");
}

#[test]
fn a_face_that_is_not_good_enough_is_a_failure_of_its_own() {
    let server = Server::new();
    server.make("lobby");
    let (blurred, anna) = (server.token("face bert 100x100+0+0 sharpness=0.05"), server.token(P1));
    let tokens = format!("{blurred},{anna}");
    let added = server.call("faceset/addface", &[("outer_id", "lobby"), ("face_tokens", &tokens)]).ok();
    assert_eq!(added.json["face_added"], 1);
    assert_eq!(failures(&added), [(blurred.as_str(), "LOW_QUALITY")]);
}

#[test]
fn tokens_are_counted() {
    let server = Server::new();
    server.make("lobby");
    let add = |tokens: &str| server.call("faceset/addface", &[("outer_id", "lobby"), ("face_tokens", tokens)]);
    add("").bad("MISSING_ARGUMENTS: face_tokens");
    add(" , ").bad("INVALID_FACE_TOKENS_SIZE");
    add(&[ZEROS; 6].join(",")).bad("INVALID_FACE_TOKENS_SIZE");
    assert_eq!(failures(&add(&[ZEROS; 5].join(",")).ok()).len(), 5);
    let remove = |tokens: &str| server.call("faceset/removeface", &[("outer_id", "lobby"), ("face_tokens", tokens)]);
    remove(&vec![ZEROS; 1001].join(",")).bad("INVALID_FACE_TOKENS_SIZE");
    assert_eq!(failures(&remove(&vec![ZEROS; 1000].join(",")).ok()).len(), 1000);
    remove("").bad("MISSING_ARGUMENTS: face_tokens");
    let create = [("outer_id", "roof"), ("face_tokens", &*[ZEROS; 6].join(","))];
    server.call("faceset/create", &create).bad("INVALID_FACE_TOKENS_SIZE");
    server.call("faceset/getdetail", &[("outer_id", "roof")]).bad("INVALID_OUTER_ID");
}

#[test]
fn removed_faces_are_found_no_more() {
    let server = Server::new();
    server.make("lobby");
    let (anna, bert) = (server.add("lobby", P1), server.add("lobby", P2));
    let tokens = format!("{anna},{ZEROS},{anna}");
    let removed = server.call("faceset/removeface", &[("outer_id", "lobby"), ("face_tokens", &tokens)]).ok();
    assert_eq!((&removed.json["face_removed"], &removed.json["face_count"]), (&json!(1), &json!(1)));
    assert_eq!(failures(&removed), [(ZEROS, "INVALID_FACE_TOKEN"), (&anna, "INVALID_FACE_TOKEN")]);
    let found = server.call("search", &[("image_file", P1), ("outer_id", "lobby"), ("return_result_count", "5")]).ok();
    assert_eq!(found.list("results").iter().map(|r| token(&r["face_token"])).collect::<Vec<_>>(), [bert]);
    // It was in no other set, so it is gone for good.
    let again = server.call("faceset/addface", &[("outer_id", "lobby"), ("face_tokens", &anna)]).ok();
    assert_eq!(failures(&again), [(anna.as_str(), "INVALID_FACE_TOKEN")]);
}

#[test]
fn a_word_removes_all() {
    let server = Server::new();
    server.make("lobby");
    (0..3).for_each(|_| drop(server.add("lobby", P1)));
    let fields = [("outer_id", "lobby"), ("face_tokens", "RemoveAllFaceTokens")];
    let removed = server.call("faceset/removeface", &fields).ok();
    assert_eq!((&removed.json["face_removed"], &removed.json["face_count"]), (&json!(3), &json!(0)));
    server.call("faceset/delete", &[("outer_id", "lobby")]).ok();
}

#[test]
fn a_face_set_with_faces_is_kept_unless_told() {
    let server = Server::new();
    let made = server.make("lobby");
    server.add("lobby", P1);
    let delete = |check: &str| server.call("faceset/delete", &[("outer_id", "lobby"), ("check_empty", check)]);
    server.call("faceset/delete", &[("outer_id", "lobby")]).bad("FACESET_NOT_EMPTY");
    delete("1").bad("FACESET_NOT_EMPTY");
    delete("2").bad("BAD_ARGUMENTS: check_empty");
    let deleted = delete("0").ok();
    assert_eq!(deleted.json["faceset_token"], made.json["faceset_token"]);
    delete("0").bad("INVALID_OUTER_ID");
}

#[test]
fn a_face_set_can_be_changed() {
    let server = Server::new();
    let made = server.call("faceset/create", &[("outer_id", "lobby"), ("display_name", "Lobby")]).ok();
    server.make("roof");
    let update = |fields: &[(&str, &str)]| {
        let mut all = vec![("outer_id", "lobby")];
        all.extend(fields);
        server.call("faceset/update", &all)
    };
    update(&[]).bad("MISSING_ARGUMENTS: new_outer_id, display_name, user_data, tags");
    update(&[("new_outer_id", "roof")]).bad("NEW_OUTER_ID_EXIST");
    update(&[("new_outer_id", "a@b")]).bad("BAD_ARGUMENTS: new_outer_id");
    // What stands for a step in paths is no name of any dialect.
    update(&[("new_outer_id", "..")]).bad("BAD_ARGUMENTS: new_outer_id");
    server.call("faceset/create", &[("outer_id", ".")]).bad("BAD_ARGUMENTS: outer_id");
    server.call("faceset/update", &[("outer_id", "x"), ("tags", "a")]).bad("INVALID_OUTER_ID");
    update(&[("user_data", "x"), ("tags", "a,b")]).ok();
    update(&[("display_name", ""), ("tags", "c")]).ok();
    let changed = update(&[("new_outer_id", "hall")]).ok();
    assert_eq!(
        (&changed.json["outer_id"], &changed.json["faceset_token"]),
        (&json!("hall"), &made.json["faceset_token"])
    );
    let detail = server.call("faceset/getdetail", &[("outer_id", "hall")]).ok();
    assert_eq!((&detail.json["user_data"], &detail.json["tags"]), (&json!("x"), &json!("c")));
    assert_eq!(detail.json["display_name"], "");
}

#[test]
fn face_sets_are_listed_by_tags_and_pages() {
    let server = Server::new();
    for (outer_id, tags) in [("lobby", "door,east"), ("roof", "east"), ("hall", "")] {
        server.call("faceset/create", &[("outer_id", outer_id), ("tags", tags)]).ok();
    }
    let listed = |fields: &[(&str, &str)]| {
        let reply = server.call("faceset/getfacesets", fields).ok();
        reply.list("facesets").iter().map(|set| set["outer_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&[]), ["lobby", "roof", "hall"]);
    assert_eq!(listed(&[("tags", "east")]), ["lobby", "roof"]);
    assert_eq!(listed(&[("tags", "east,door")]), ["lobby"]);
    assert_eq!(listed(&[("tags", "west")]), [] as [&str; 0]);
    assert_eq!(listed(&[("start", "3")]), ["hall"]);
    assert_eq!(listed(&[("start", "4")]), [] as [&str; 0]);
    (0..100).for_each(|n| drop(server.make(&format!("set-{n}"))));
    let first = server.call("faceset/getfacesets", &[]).ok();
    assert_eq!((first.list("facesets").len(), &first.json["next"]), (100, &json!("101")));
    let last = server.call("faceset/getfacesets", &[("start", "101")]).ok();
    assert_eq!((last.list("facesets").len(), last.json.get("next")), (3, None));
    for start in ["0", "x", "-1", "1.5"] {
        server.call("faceset/getfacesets", &[("start", start)]).bad("BAD_ARGUMENTS: start");
        server.call("faceset/getdetail", &[("outer_id", "lobby"), ("start", start)]).bad("BAD_ARGUMENTS: start");
    }
}

#[test]
fn faces_are_listed_by_pages() {
    let server = Server::new();
    server.make("lobby");
    let tokens: Vec<String> = (0..102).map(|n| server.add("lobby", &format!("face p{n} 50x50+1+1"))).collect();
    let detail = |start: &str| server.call("faceset/getdetail", &[("outer_id", "lobby"), ("start", start)]);
    let first = detail("1").ok();
    assert_eq!(first.json["next"], "101");
    assert_eq!(first.list("face_tokens").iter().map(token).collect::<Vec<_>>(), tokens[..100]);
    let last = detail("101").ok();
    assert_eq!((last.json.get("next"), &last.json["face_count"]), (None, &json!(102)));
    assert_eq!(last.list("face_tokens").iter().map(token).collect::<Vec<_>>(), tokens[100..]);
    assert!(detail("10000").ok().list("face_tokens").is_empty());
    detail("10001").bad("BAD_ARGUMENTS: start");
}

#[test]
fn a_face_set_is_named_in_one_way() {
    let server = Server::new();
    server.make("lobby");
    for name in ["addface", "removeface", "getdetail", "delete", "update"] {
        let call = |fields: &[(&str, &str)]| {
            let mut all = vec![("face_tokens", ZEROS), ("tags", "a")];
            all.extend(fields);
            server.call(&format!("faceset/{name}"), &all)
        };
        call(&[]).bad("MISSING_ARGUMENTS: faceset_token, outer_id");
        call(&[("outer_id", "lobby"), ("faceset_token", ZEROS)]).bad("COEXISTENCE_ARGUMENTS");
        call(&[("faceset_token", ZEROS)]).bad("INVALID_FACESET_TOKEN");
        call(&[("faceset_token", "x")]).bad("INVALID_FACESET_TOKEN");
        call(&[("outer_id", "nowhere")]).bad("INVALID_OUTER_ID");
    }
}
