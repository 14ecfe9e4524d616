//! Cases D01 to D16: listing, showing and deleting faces.

use serde_json::json;

use super::server::{NOW_S, P1, P2, Reply, Server};

#[track_caller]
fn list(server: &Server, more: &[(&str, &str)]) -> Reply {
    let mut fields = vec![("group_id", "lib_a")];
    fields.extend(more);
    server.call("list", &fields)
}

#[track_caller]
fn delete(server: &Server, tokens: &str) -> Reply {
    server.call("delete", &[("group_id", "lib_a"), ("face_tokens", tokens)])
}

fn with_faces(n_faces: usize) -> Server {
    let server = Server::with_lib_a();
    for idx in 0..n_faces {
        server.add(P1, &format!("u{idx}"));
    }
    server
}

#[test]
fn d01_one_face_is_told_under_info() {
    let server = Server::with_lib_a();
    let token = server.add(P1, "u1");
    let reply = server.call("face_info", &[("group_id", "lib_a"), ("face_token", &token)]).ok();
    let expected = json!({"face_token": token, "user_id": "u1", "user_data": "", "add_time": NOW_S * 1000});
    assert_eq!(reply.json["info"], expected);
}

#[test]
fn d02_d03_a_token_that_is_not_in_the_library() {
    let server = Server::with_lib_a();
    server.make("lib_b");
    let token = server.add(P1, "u1");
    let ask = |group: &str, token: &str| server.call("face_info", &[("group_id", group), ("face_token", token)]);
    ask("lib_a", &"0".repeat(32)).bad("INVALID_FACE_TOKEN");
    ask("lib_b", &token).bad("INVALID_FACE_TOKEN");
    ask("lib_a", &token.to_uppercase()).bad("INVALID_FACE_TOKEN");
    ask("lib_a", "x").bad("INVALID_FACE_TOKEN");
    ask("nowhere", "x").bad("INVALID_GROUP_ID");
    ask("nowhere", &token).bad("INVALID_GROUP_ID");
    ask("lib_a", "").bad("MISSING_ARGUMENTS: face_token");
}

#[test]
fn d04_an_empty_library_lists_nothing() {
    let reply = list(&Server::with_lib_a(), &[]).ok();
    assert_eq!(reply.list("face_tokens").len(), 0);
    assert!(reply.json.get("next").is_none());
    list(&Server::new(), &[]).bad("INVALID_GROUP_ID");
}

#[test]
fn d05_d06_d07_d10_pages() {
    let server = with_faces(250);
    let page = |fields: &[(&str, &str)]| {
        let reply = list(&server, fields).ok();
        (reply.list("face_tokens").len(), reply.json.get("next").cloned())
    };
    assert_eq!(page(&[]), (100, Some("101".into())));
    assert_eq!(page(&[("start", "201")]), (50, None));
    assert_eq!(page(&[("limit", "1000")]), (250, None));
    assert_eq!(page(&[("start", "151")]), (100, None), "the last page, full");
    assert_eq!(page(&[("start", "251")]), (0, None));
    assert_eq!(page(&[("start", "99999999999999999999999")]), (0, None));
    let reply = list(&server, &[("start", "3"), ("limit", "2")]).ok();
    let users: Vec<&str> = reply.list("face_tokens").iter().map(|face| face["user_id"].as_str().unwrap()).collect();
    assert_eq!(users, ["u2", "u3"], "oldest first");
    assert_eq!(reply.list("face_tokens")[0].as_object().unwrap().len(), 4);
}

#[test]
fn d08_what_list_refuses() {
    let server = Server::with_lib_a();
    for value in ["1001", "0", "-5", "1.5", "x", "99999999999999999999999"] {
        list(&server, &[("limit", value)]).bad("BAD_ARGUMENTS: limit");
    }
    for value in ["0", "-1", "x", "1e2"] {
        list(&server, &[("start", value)]).bad("BAD_ARGUMENTS: start");
    }
}

#[test]
fn d09_a_start_beyond_the_documented_bound() {
    let server = with_faces(1600);
    let reply = list(&server, &[("start", "1500")]).ok();
    let faces = reply.list("face_tokens");
    assert_eq!((faces.len(), &reply.json["next"]), (100, &"1600".into()));
    assert_eq!(faces[0]["user_id"], "u1499");
}

#[test]
fn d11_d12_d13_delete_says_what_was_not_there() {
    let server = with_faces(3);
    server.make("lib_b");
    let elsewhere = server.call("add", &[("group_id", "lib_b"), ("file", P2), ("user_id", "x")]).ok().token();
    let reply = list(&server, &[]).ok();
    let tokens: Vec<String> =
        reply.list("face_tokens").iter().map(|face| face["face_token"].as_str().unwrap().to_owned()).collect();
    let zeros = "0".repeat(32);
    let removed = delete(&server, &format!("{}, {zeros} ,,{},", tokens[0], tokens[1])).ok();
    let expected = json!([{"face_token": zeros, "reason": "FACE_NOT_IN_GROUP"}]);
    assert_eq!((&removed.json["face_removed"], &removed.json["face_count"]), (&2.into(), &1.into()));
    assert_eq!(removed.json["failure_detail"], expected);
    assert_eq!(removed.json["group_id"], "lib_a");
    let none = delete(&server, &format!("{zeros},{elsewhere},junk,{}", tokens[0])).ok();
    assert_eq!((&none.json["face_removed"], &none.json["face_count"]), (&0.into(), &1.into()));
    let failed: Vec<&str> =
        none.list("failure_detail").iter().map(|item| item["face_token"].as_str().unwrap()).collect();
    assert_eq!(failed, [zeros.as_str(), elsewhere.as_str(), "junk", tokens[0].as_str()], "in the order given");
    let twice = delete(&server, &format!("{0},{0}", tokens[2])).ok();
    assert_eq!((&twice.json["face_removed"], twice.list("failure_detail").len()), (&1.into(), 1));
    assert_eq!(server.n_listed(), 0);
}

#[test]
fn d14_a_thousand_tokens_are_the_most() {
    let server = Server::with_lib_a();
    let token = server.add(P1, "u1");
    let many = |n: usize| format!("{token},{}", vec!["junk"; n - 1].join(","));
    delete(&server, &many(1001)).bad("INVALID_FACE_TOKENS_SIZE");
    assert_eq!(server.n_listed(), 1, "nothing was removed");
    assert_eq!(delete(&server, &many(1000)).ok().json["face_removed"], 1);
}

#[test]
fn d15_d16_what_delete_takes_for_tokens() {
    let server = with_faces(1);
    assert_eq!(delete(&server, "RemoveAllFaceTokens").ok().json["face_removed"], 0);
    assert_eq!(server.n_listed(), 1);
    server.call("delete", &[("group_id", "lib_a")]).bad("MISSING_ARGUMENTS: face_tokens");
    delete(&server, " , ,").bad("BAD_ARGUMENTS: face_tokens");
    let unknown = [("group_id", "nowhere"), ("face_tokens", "junk")];
    server.call("delete", &unknown).bad("INVALID_GROUP_ID");
}
