//! Persons and groups: cases 27 to 44.

use serde_json::{Value, json};

use super::server::{KEY, OTHER, Server, img};
use crate::aliyun::Settings;

async fn groups(server: &Server) -> Value {
    server.post("/sface/groups", json!({})).await.ok()["groupIds"].clone()
}

#[tokio::test]
async fn cases_27_28_and_34_a_person_comes_with_its_groups() {
    let server = Server::new().await;
    let body = json!({"personId": "p1", "groupIds": ["g2", "g1", "g2"], "name": "N", "note": "M", "bizType": 7});
    let added = server.post("/sface/person/add", body.clone()).await.ok();
    assert_eq!(added, json!({"code": 200, "personId": "p1", "groupIds": ["g2", "g1"]}));
    assert_eq!(groups(&server).await, json!(["g1", "g2"]));
    server.post("/sface/person/add", body).await.fault(400, "BAD_REQUEST: person already exists");
    let shown = server.post("/sface/person", json!({"personId": "p1"})).await.ok();
    let expected =
        json!({"code": 200, "personId": "p1", "name": "N", "note": "M", "groupIds": ["g2", "g1"], "faceIds": []});
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn cases_29_and_30_ids_have_an_alphabet_and_a_length() {
    let server = Server::new().await;
    let long = "x".repeat(33);
    for body in [
        json!({"personId": "p"}),
        json!({"personId": "p", "groupIds": []}),
        json!({"personId": "p", "groupIds": null}),
        json!({"personId": "p", "groupIds": "g"}),
        json!({"personId": "p", "groupIds": [1]}),
        json!({"personId": "p", "groupIds": ["bad group"]}),
        json!({"personId": "p", "groupIds": ["g", long]}),
        json!({"personId": long, "groupIds": ["g"]}),
        json!({"personId": "a.b", "groupIds": ["g"]}),
        json!({"personId": "", "groupIds": ["g"]}),
        json!({"personId": 1, "groupIds": ["g"]}),
        json!({"personId": "p", "groupIds": ["g"], "name": "n".repeat(257)}),
        json!({"personId": "p", "groupIds": ["g"], "note": "n".repeat(1025)}),
        json!({"personId": "p", "groupIds": ["g"], "name": 1}),
        json!({"personId": "p", "groupIds": vec!["g"; 101]}),
    ] {
        server.post("/sface/person/add", body).await.fault(400, "BAD_REQUEST");
    }
    assert_eq!(groups(&server).await, json!([]));
    server.post("/sface/person", json!({"personId": "p"})).await.fault(404, "NOT_FOUND: person");
    let longest = "A_-z0123456789012345678901234567";
    assert_eq!(longest.len(), 32);
    server.person(longest, &[longest]).await;
}

#[tokio::test]
async fn case_31_group_101_is_one_too_many() {
    let server = Server::new().await;
    let first: Vec<String> = (0..99).map(|number| format!("g{number}")).collect();
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    server.person("p1", &first).await;
    let body = json!({"personId": "p2", "groupIds": ["g0", "x1", "x2"]});
    server.post("/sface/person/add", body).await.fault(400, "BAD_REQUEST: too many groups");
    let body = json!({"personId": "p1", "groupIds": ["x1", "x2"]});
    server.post("/sface/person/groups/add", body).await.fault(400, "BAD_REQUEST: too many groups");
    server.post("/sface/person", json!({"personId": "p2"})).await.fault(404, "NOT_FOUND: person");
    assert_eq!(groups(&server).await.as_array().unwrap().len(), 99);
    server.person("p2", &["g0", "x1"]).await;
}

#[tokio::test]
async fn cases_32_and_33_what_is_not_given_stays() {
    let server = Server::new().await;
    server.person("p1", &["g1"]).await;
    let set = async |body: Value| {
        assert_eq!(server.post("/sface/person/update", body).await.ok(), json!({"code": 200, "personId": "p1"}));
        let shown = server.post("/sface/person", json!({"personId": "p1"})).await.ok();
        (shown["name"].as_str().unwrap().to_owned(), shown["note"].as_str().unwrap().to_owned())
    };
    assert_eq!(set(json!({"personId": "p1", "note": "night shift"})).await, ("N".into(), "night shift".into()));
    assert_eq!(set(json!({"personId": "p1"})).await, ("N".into(), "night shift".into()));
    assert_eq!(set(json!({"personId": "p1", "name": "", "note": null})).await, ("".into(), "night shift".into()));
    let unknown = json!({"personId": "p2", "note": "x"});
    server.post("/sface/person/update", unknown.clone()).await.fault(404, "NOT_FOUND: person");
    let old = Server::with(Settings { unknown_person_code: 500, ..Settings::default() }).await;
    old.post("/sface/person/update", unknown).await.fault(500, "NOT_FOUND: person");
}

#[tokio::test]
async fn cases_35_to_37_memberships_come_and_go_and_groups_with_them() {
    let server = Server::new().await;
    server.person("p1", &["g1", "g2"]).await;
    server.faces("p1", &["a1.jpg"]).await;
    let added = server.post("/sface/person/groups/add", json!({"personId": "p1", "groupIds": ["g2", "g3"]})).await.ok();
    assert_eq!(added, json!({"code": 200, "personId": "p1", "groupIds": ["g1", "g2", "g3"]}));
    assert_eq!(server.found("a2.jpg", "g3").await, ["p1"]);
    let leave = async |groups: Value| {
        let body = json!({"personId": "p1", "groupIds": groups});
        server.post("/sface/person/groups/delete", body).await.ok()["groupIds"].clone()
    };
    assert_eq!(leave(json!(["g3", "g9"])).await, json!(["g3"]));
    assert_eq!(groups(&server).await, json!(["g1", "g2"]));
    assert_eq!(leave(json!(["g1", "g2"])).await, json!(["g1", "g2"]));
    assert_eq!(groups(&server).await, json!([]));
    let shown = server.post("/sface/person", json!({"personId": "p1"})).await.ok();
    assert_eq!((&shown["groupIds"], shown["faceIds"].as_array().unwrap().len()), (&json!([]), 1));
    for path in ["/sface/person/groups/add", "/sface/person/groups/delete"] {
        server.post(path, json!({"personId": "p2", "groupIds": ["g1"]})).await.fault(404, "NOT_FOUND: person");
        server.post(path, json!({"personId": "p1"})).await.fault(400, "BAD_REQUEST");
        server.post(path, json!({"personId": "p1", "groupIds": ["a b"]})).await.fault(400, "BAD_REQUEST");
    }
}

#[tokio::test]
async fn cases_38_to_41_persons_come_in_pages() {
    let server = Server::new().await;
    let names: Vec<String> = (0..25).map(|number| format!("p{number}")).collect();
    for name in &names {
        server.person(name, &["g1"]).await;
    }
    let first = server.post("/sface/group/persons", json!({"groupId": "g1"})).await.ok();
    let expected = json!({"code": 200, "personIds": names[..20], "currentPage": 1, "pageSize": 20, "totalCount": 25});
    assert_eq!(first, expected);
    let second = server.post("/sface/group/persons", json!({"groupId": "g1", "currentPage": "2"})).await.ok();
    assert_eq!((&second["personIds"], &second["currentPage"]), (&json!(names[20..]), &json!(2)));
    let after = json!({"groupId": "g1", "currentPage": 4, "pageSize": 100});
    let after = server.post("/sface/group/persons", after).await.ok();
    assert_eq!((&after["personIds"], &after["totalCount"]), (&json!([]), &json!(25)));
    for body in [
        json!({"groupId": "g1", "pageSize": 0}),
        json!({"groupId": "g1", "pageSize": 101}),
        json!({"groupId": "g1", "currentPage": 0}),
        json!({"groupId": "g1", "currentPage": -1}),
        json!({"groupId": "g1", "currentPage": 1.5}),
        json!({"groupId": "a b"}),
        json!({}),
    ] {
        server.post("/sface/group/persons", body).await.fault(400, "BAD_REQUEST");
    }
    let unknown = server.post("/sface/group/persons", json!({"groupId": "g9"})).await.ok();
    assert_eq!((&unknown["personIds"], &unknown["totalCount"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn cases_42_and_43_a_deleted_person_is_gone_at_once() {
    let server = Server::new().await;
    server.person("p1", &["g1"]).await;
    server.person("p2", &["g1"]).await;
    server.faces("p1", &["a1.jpg", "a2.jpg"]).await;
    let delete = async |id: &str| server.post("/sface/person/delete", json!({"personId": id})).await.ok();
    assert_eq!(delete("p1").await, json!({"code": 200, "personId": "p1", "deleteCount": 1}));
    server.post("/sface/person", json!({"personId": "p1"})).await.fault(404, "NOT_FOUND: person");
    assert_eq!(server.found("a1.jpg", "g1").await, [""; 0]);
    assert_eq!(delete("p1").await["deleteCount"], 0);
    assert_eq!(delete("p2").await["deleteCount"], 1);
    assert_eq!(groups(&server).await, json!([]));
}

#[tokio::test]
async fn case_44_accounts_do_not_see_each_other() {
    let server = Server::new().await;
    server.person("p1", &["g1"]).await;
    let id = server.faces("p1", &["a1.jpg"]).await[0];
    let theirs = async |path: &str, body: Value| server.post_as(OTHER, path, body).await;
    assert_eq!(theirs("/sface/groups", json!({})).await.ok()["groupIds"], json!([]));
    for (path, body) in [
        ("/sface/person", json!({"personId": "p1"})),
        ("/sface/person/update", json!({"personId": "p1", "name": "x"})),
        ("/sface/faces", json!({"personId": "p1"})),
        ("/sface/face/delete", json!({"personId": "p1", "faceIds": [id.to_string()]})),
        ("/sface/face/add", json!({"personId": "p1", "urls": [img("a1.jpg")]})),
        ("/sface/person/groups/add", json!({"personId": "p1", "groupIds": ["g1"]})),
        ("/sface/person/groups/delete", json!({"personId": "p1", "groupIds": ["g1"]})),
        ("/sface/search", json!({"url": img("a1.jpg"), "groupId": "g1"})),
    ] {
        let reply = theirs(path, body).await;
        let code = if reply.json["code"] == 200 { &reply.json["data"]["code"] } else { &reply.json["code"] };
        assert_eq!(code, 404, "{path}: {}", reply.text);
    }
    assert_eq!(theirs("/sface/person/delete", json!({"personId": "p1"})).await.ok()["deleteCount"], 0);
    assert_eq!(theirs("/sface/group/persons", json!({"groupId": "g1"})).await.ok()["totalCount"], 0);
    // The same ids are theirs to use, and what they do with them is not ours.
    let same = json!({"personId": "p1", "groupIds": ["g1"]});
    theirs("/sface/person/add", same).await.ok();
    let their_id = theirs("/sface/face/add", json!({"personId": "p1", "urls": [img("b1.jpg")]})).await.ok();
    assert_ne!(their_id["faceImageItems"][0]["faceId"], id);
    theirs("/sface/face/delete", json!({"personId": "p1", "faceIds": [id]})).await.ok();
    theirs("/sface/person/delete", json!({"personId": "p1"})).await.ok();
    assert_eq!(server.found("a1.jpg", "g1").await, ["p1"]);
    let task = json!({"scenes": ["sface-n"], "tasks": [{"url": img("a1.jpg"), "extras": {"groupId": "g1"}}]});
    assert_eq!(server.post_as(OTHER, "/image/scan", task.clone()).await.ok()[0]["code"], 404);
    let accepted = server.post_as(KEY, "/image/asyncscan", task).await.ok();
    let ids = json!([accepted[0]["taskId"]]);
    assert_eq!(server.post_as(KEY, "/image/results", ids.clone()).await.ok()[0]["code"], 280);
    assert_eq!(server.post_as(OTHER, "/image/results", ids).await.ok()[0]["code"], 594);
}
