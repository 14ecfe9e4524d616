//! The calls under `faceset/async/`.

use std::time::Duration;

use serde_json::json;

use super::server::{OTHER, P1, P2, Server, token};

const ZEROS: &str = "00000000000000000000000000000000";

/// Hands a task in.
fn accepted(server: &Server, name: &str, tokens: &str) -> String {
    let fields = [("outer_id", "lobby"), ("face_tokens", tokens)];
    let reply = server.call(&format!("faceset/async/{name}"), &fields).ok();
    assert_eq!(reply.members(), "request_id task_id time_used");
    token(&reply.json["task_id"])
}

#[test]
fn faces_are_added_and_removed_later() {
    let server = Server::new();
    let made = server.make("lobby");
    let (anna, bert) = (server.token(P1), server.token(P2));
    let task = accepted(&server, "addface", &format!("{anna},{bert},{ZEROS}"));
    let status = |task: &str| server.call("faceset/async/task_status", &[("task_id", task)]).ok();
    assert_eq!((&status(&task).json["status"], status(&task).members().contains("face_added")), (&json!(0), false));
    assert!(server.tokens("lobby").is_empty());
    assert_eq!(server.work(), 1);
    let done = status(&task);
    assert_eq!(
        (&done.json["status"], &done.json["face_added"], &done.json["face_count"]),
        (&json!(1), &json!(2), &json!(2))
    );
    assert_eq!(done.json["failure_detail"], json!([{"face_token": ZEROS, "reason": "INVALID_FACE_TOKEN"}]));
    assert_eq!(done.json["faceset_token"], made.json["faceset_token"]);
    assert_eq!(server.tokens("lobby"), [anna.clone(), bert]);

    let first = accepted(&server, "removeface", &anna);
    let all = accepted(&server, "removeface", "RemoveAllFaceTokens");
    assert_eq!(server.work(), 2);
    assert_eq!(status(&first).json["face_removed"], 1);
    assert_eq!((&status(&all).json["face_removed"], &status(&all).json["face_count"]), (&json!(1), &json!(0)));
}

#[test]
fn a_task_for_a_set_that_is_gone_fails() {
    let server = Server::new();
    server.make("lobby");
    let task = accepted(&server, "addface", ZEROS);
    server.call("faceset/delete", &[("outer_id", "lobby")]).ok();
    server.work();
    let failed = server.call("faceset/async/task_status", &[("task_id", &task)]).ok();
    assert_eq!(
        (&failed.json["status"], &failed.json["task_failure_detail"]),
        (&json!(-1), &json!("INVALID_FACESET_TOKEN"))
    );
}

#[test]
fn what_async_calls_refuse() {
    let server = Server::new();
    server.make("lobby");
    let task = accepted(&server, "addface", ZEROS);
    let status = |task: &str| server.call("faceset/async/task_status", &[("task_id", task)]);
    server.call("faceset/async/task_status", &[]).bad("MISSING_ARGUMENTS: task_id");
    status(ZEROS).bad("INVALID_TASK_ID");
    status("x").bad("INVALID_TASK_ID");
    server.call_as(OTHER, "faceset/async/task_status", &[("task_id", &task)]).bad("INVALID_TASK_ID");
    let call = |fields: &[(&str, &str)]| server.call("faceset/async/addface", fields);
    call(&[("face_tokens", ZEROS)]).bad("MISSING_ARGUMENTS: faceset_token, outer_id");
    call(&[("outer_id", "lobby")]).bad("MISSING_ARGUMENTS: face_tokens");
    call(&[("outer_id", "nowhere"), ("face_tokens", ZEROS)]).bad("INVALID_OUTER_ID");
    call(&[("outer_id", "lobby"), ("face_tokens", &[ZEROS; 6].join(","))]).bad("INVALID_FACE_TOKENS_SIZE");
    server.work();
    status(&task).ok();
    server.clock.advance(Duration::from_hours(1));
    status(&task).bad("INVALID_TASK_ID");
}
