//! Cases B01 to B23 and F01: libraries.

use serde_json::json;

use super::server::{OTHER, P1, Server};

#[test]
fn b01_b02_a_library_is_made_once() {
    let server = Server::new();
    let fields = [("group_id", "lib_a"), ("group_name", "Alpha")];
    let made = server.call("create", &fields).ok().json;
    let expected = [("group_id", "lib_a"), ("group_name", "Alpha"), ("group_data", ""), ("model_version", "s21")];
    for (member, value) in expected {
        assert_eq!(made[member], value);
        assert_eq!(made["info"][member], value);
    }
    assert_eq!(made["info"]["add_time"], "2030-01-01T08:00:50+08:00");
    server.call("create", &fields).bad("GROUP_EXIST");
    assert_eq!(server.call("group_list", &[]).ok().list("group_infos").len(), 1);
}

#[test]
fn b03_b04_b05_a_library_has_a_name() {
    let server = Server::new();
    let create = |id, name: &str| server.call("create", &[("group_id", id), ("group_name", name)]);
    server.call("create", &[("group_id", "lib_a")]).bad("MISSING_ARGUMENTS: group_name");
    server.call("create", &[]).bad("MISSING_ARGUMENTS: group_name");
    create("lib_a", "").bad("BAD_ARGUMENTS: group_name");
    create("", "").bad("MISSING_ARGUMENTS: group_id");
    let name = "\u{4eba}".repeat(60);
    assert_eq!(create("lib_a", &name).ok().json["group_name"], name);
    create("lib_b", &"\u{4eba}".repeat(61)).bad("BAD_ARGUMENTS: group_name");
}

#[test]
fn b06_b07_b08_ids_have_their_alphabet() {
    let server = Server::new();
    let create = |id: &str| server.call("create", &[("group_id", id), ("group_name", "x")]);
    assert_eq!(create("A-%@#&_9").ok().json["group_id"], "A-%@#&_9");
    for id in ["a b", "\u{e9}", "a.b", "a/b", "a\nb"] {
        create(id).bad("BAD_ARGUMENTS: group_id");
    }
    create(&"a".repeat(48)).ok();
    create(&"a".repeat(49)).bad("BAD_ARGUMENTS: group_id");
}

#[test]
fn b09_b10_data_and_model_version() {
    let server = Server::new();
    let create = |id: &str, name: &str, value: &str| {
        server.call("create", &[("group_id", id), ("group_name", "x"), (name, value)])
    };
    let data = "\u{1f600}".repeat(128);
    assert_eq!(create("lib_a", "group_data", &data).ok().json["group_data"], data);
    create("lib_b", "group_data", &"x".repeat(129)).bad("BAD_ARGUMENTS: group_data");
    create("lib_b", "model_version", "s99").bad("BAD_ARGUMENTS: model_version");
    create("lib_b", "model_version", "s21").ok();
}

#[test]
fn b11_the_eleventh_library_is_too_many() {
    let server = Server::new();
    (0..10).for_each(|idx| server.make(&format!("lib_{idx}")));
    server.call("create", &[("group_id", "lib_10"), ("group_name", "x")]).bad("GROUP_QUOTA_EXCEEDED");
    server.call("create", &[("group_id", "lib_9"), ("group_name", "x")]).bad("GROUP_EXIST");
}

#[test]
fn b12_libraries_are_listed_oldest_first() {
    let server = Server::new();
    server.make("zeta");
    server.make("alpha");
    let reply = server.call("group_list", &[]).ok();
    let listed = reply.list("group_infos");
    assert_eq!([&listed[0]["group_id"], &listed[1]["group_id"]], ["zeta", "alpha"]);
    let expected = json!({"group_id": "zeta", "group_name": "Alpha", "group_data": "", "model_version": "s21",
        "add_time": "2030-01-01T08:00:50+08:00"});
    assert_eq!(listed[0], expected);
}

#[test]
fn b13_b14_one_library_is_told_under_info() {
    let server = Server::with_lib_a();
    let reply = server.call("group_info", &[("group_id", "lib_a")]).ok();
    let expected = json!({"group_id": "lib_a", "group_name": "Alpha", "group_data": "", "model_version": "s21",
        "add_time": "2030-01-01T08:00:50+08:00", "face_count": 0});
    assert_eq!(reply.json["info"], expected);
    assert_eq!(reply.json.as_object().unwrap().len(), 3);
    server.call("group_info", &[("group_id", "lib_b")]).bad("INVALID_GROUP_ID");
    server.call("group_info", &[]).bad("MISSING_ARGUMENTS: group_id");
}

#[test]
fn b15_nobody_sees_the_libraries_of_others() {
    let server = Server::with_lib_a();
    let token = server.add(P1, "u1");
    let ask = |name: &str, fields: &[(&str, &str)]| server.call_as(OTHER, name, fields);
    ask("group_info", &[("group_id", "lib_a")]).bad("INVALID_GROUP_ID");
    assert_eq!(ask("group_list", &[]).ok().list("group_infos").len(), 0);
    ask("create", &[("group_id", "lib_a"), ("group_name", "mine")]).ok();
    ask("face_info", &[("group_id", "lib_a"), ("face_token", &token)]).bad("INVALID_FACE_TOKEN");
    let deleted = ask("delete", &[("group_id", "lib_a"), ("face_tokens", &token)]).ok();
    assert_eq!(deleted.json["face_removed"], 0);
    assert_eq!(server.n_listed(), 1);
}

#[test]
fn b16_b23_a_freed_library_is_gone_and_its_id_free() {
    let server = Server::with_lib_a();
    let freed = server.call("free", &[("group_id", "lib_a")]).ok().json;
    assert_eq!(freed["group_id"], "lib_a");
    assert_eq!(freed.as_object().unwrap().len(), 3);
    server.call("group_info", &[("group_id", "lib_a")]).bad("INVALID_GROUP_ID");
    server.call("free", &[("group_id", "lib_a")]).bad("INVALID_GROUP_ID");
    server.make("lib_a");
    assert_eq!(server.n_listed(), 0);
}

#[test]
fn b17_b18_b19_a_library_with_faces_is_freed_only_on_request() {
    let server = Server::with_lib_a();
    let token = server.add(P1, "u1");
    server.call("free", &[("group_id", "lib_a")]).bad("NOT_EMPTY");
    server.call("free", &[("group_id", "lib_a"), ("check_empty", "1")]).bad("NOT_EMPTY");
    server.call("face_info", &[("group_id", "lib_a"), ("face_token", &token)]).ok();
    server.call("free", &[("group_id", "lib_a"), ("check_empty", "0")]).ok();
    server.make("lib_a");
    server.call("face_info", &[("group_id", "lib_a"), ("face_token", &token)]).bad("INVALID_FACE_TOKEN");
    assert_eq!(server.search(P1, &[]).ok().found().len(), 0);
}

#[test]
fn b20_b21_b22_what_free_refuses() {
    let server = Server::with_lib_a();
    for value in ["2", "yes", "true", "-1"] {
        server.call("free", &[("group_id", "lib_a"), ("check_empty", value)]).bad("BAD_ARGUMENTS: check_empty");
    }
    server.call("free", &[("group_id", "lib_b")]).bad("INVALID_GROUP_ID");
    server.call("free", &[]).bad("MISSING_ARGUMENTS: group_id");
    server.call("free", &[("group_id", "")]).bad("MISSING_ARGUMENTS: group_id");
}

#[test]
fn f01_of_two_at_once_one_makes_the_library() {
    let server = Server::new();
    let replies: Vec<u16> = std::thread::scope(|scope| {
        let create = || server.call("create", &[("group_id", "lib_a"), ("group_name", "x")]).status;
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(replies.iter().filter(|&&status| status == 200).count(), 1, "{replies:?}");
    assert_eq!(replies.iter().filter(|&&status| status == 400).count(), 3, "{replies:?}");
}
