//! Faces: cases 45 to 58, and what other dialects' callers see of them.

use likeness_domain::access::Caller;
use likeness_domain::library::{
    AddFaces, CreateFaceSet, DeleteFaces, ImageInput, ImageSource, Probe, Search, Threshold,
};
use likeness_domain::policy::QualityThresholds;
use likeness_domain::ports::{FaceChoice, ImageFormats, ImageRules, Page};
use likeness_domain::types::{FaceSetName, FieldSchema, GivenFields, Subject};
use serde_json::{Value, json};

use super::server::{Server, img};

fn urls(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| img(name)).collect()
}

#[tokio::test]
async fn cases_45_to_48_each_image_has_its_own_outcome() {
    let server = Server::new().await;
    server.person("p1", &["g2", "g1"]).await;
    let body = json!({"personId": "p1", "urls": urls(&["a1.jpg", "wall.jpg", "ab.jpg"]), "bizType": "x"});
    let reply = server.post("/sface/face/add", body).await;
    let id = reply.json["data"]["faceImageItems"][0]["faceId"].as_u64().expect("a number");
    assert!(id < 1 << 53 && reply.text.contains(&format!("\"faceId\":{id},")), "without quotes or exponent");
    let expected = json!({"code": 200, "personId": "p1", "groupIds": ["g2", "g1"], "faceImageItems": [
        {"success": true, "faceId": id, "url": img("a1.jpg")},
        {"success": false, "code": 400, "msg": "NO_FACE", "url": img("wall.jpg")},
        {"success": false, "code": 400, "msg": "MULTIPLE_FACES", "url": img("ab.jpg")},
    ]});
    assert_eq!(reply.ok(), expected);
    let shown = server.post("/sface/person", json!({"personId": "p1"})).await.ok();
    assert_eq!(shown["faceIds"], json!([id.to_string()]), "a text here");
    for body in [json!({"personId": "p1"}), json!({"personId": "p1", "faceIds": []})] {
        let faces = server.post("/sface/faces", body.clone()).await.ok();
        // Addition 3: the path of the oldest client.
        assert_eq!(server.post("/sface/getFaces", body).await.ok(), faces);
        assert_eq!(faces["faceImageItems"], json!([{"success": true, "faceId": id, "url": img("a1.jpg")}]));
    }
}

#[tokio::test]
async fn a_face_that_is_not_good_enough_is_told_with_the_reasons() {
    let server = Server::new().await;
    server.person("p1", &["g1"]).await;
    let body = json!({"personId": "p1", "urls": urls(&["blurred.jpg", "a1.jpg"])});
    let items = &server.post("/sface/face/add", body).await.ok()["faceImageItems"];
    let message = "POOR_QUALITY: the face is too poor to be enrolled: blurred (sharpness 0.05, expected at least 0.10)";
    assert_eq!(items[0], json!({"success": false, "code": 400, "msg": message, "url": img("blurred.jpg")}));
    assert_eq!(items[1]["success"], true);
}

#[tokio::test]
async fn case_49_an_unknown_id_is_told_apart() {
    let server = Server::new().await;
    server.person("p1", &["g1"]).await;
    let id = server.faces("p1", &["a1.jpg"]).await[0];
    let body = json!({"personId": "p1", "faceIds": ["999", id.to_string(), 7, "x"]});
    let items = server.post("/sface/faces", body).await.ok()["faceImageItems"].clone();
    let expected = json!([
        {"success": false, "faceId": 999},
        {"success": true, "faceId": id, "url": img("a1.jpg")},
        {"success": false, "faceId": 7},
        {"success": false, "faceId": "x"},
    ]);
    assert_eq!(items, expected);
    server.post("/sface/faces", json!({"personId": "p1", "faceIds": [true]})).await.fault(400, "BAD_REQUEST");
    server.post("/sface/faces", json!({"personId": "p2"})).await.fault(404, "NOT_FOUND: person");
}

#[tokio::test]
async fn case_50_a_person_has_20_faces() {
    let server = Server::new().await;
    server.person("p1", &["g1"]).await;
    // The same picture twice is two faces.
    assert_eq!(server.faces("p1", &["a1.jpg"; 19]).await.len(), 19);
    let body = json!({"personId": "p1", "urls": urls(&["b1.jpg", "a1.jpg", "a2.jpg"])});
    let items = server.post("/sface/face/add", body).await.ok()["faceImageItems"].clone();
    let outcome = |item: &Value| (item["success"].as_bool().unwrap(), item["msg"].as_str().unwrap_or("").to_owned());
    let outcomes: Vec<_> = items.as_array().unwrap().iter().map(outcome).collect();
    assert_eq!(outcomes, [(true, "".into()), (false, "FACE_LIMIT".into()), (false, "FACE_LIMIT".into())]);
    let shown = server.post("/sface/person", json!({"personId": "p1"})).await.ok();
    assert_eq!(shown["faceIds"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn cases_51_and_52_a_request_that_is_wrong_downloads_nothing() {
    let server = Server::new().await;
    let unknown = json!({"personId": "p1", "urls": urls(&["a1.jpg"])});
    server.post("/sface/face/add", unknown).await.fault(404, "NOT_FOUND: person");
    let unknown = json!({"personId": "p1", "urls": ["ftp://h/a.jpg"]});
    server.post("/sface/face/add", unknown).await.fault(404, "NOT_FOUND: person");
    server.person("p1", &["g1"]).await;
    for body in [
        json!({"personId": "p1"}),
        json!({"personId": "p1", "urls": []}),
        json!({"personId": "p1", "urls": img("a1.jpg")}),
        json!({"personId": "p1", "urls": [1]}),
        json!({"personId": "p1", "urls": urls(&["a1.jpg"; 21])}),
        json!({"urls": urls(&["a1.jpg"])}),
    ] {
        server.post("/sface/face/add", body).await.fault(400, "BAD_REQUEST");
    }
    assert_eq!(server.fetcher.fetched(), [""; 0]);
}

#[tokio::test]
async fn cases_53_to_55_what_is_wrong_with_an_address() {
    let server = Server::new().await;
    server.person("p1", &["g1"]).await;
    let long = format!("http://img.test/{}", "x".repeat(2048));
    let table = [
        (img("slow.jpg"), 592, "DOWNLOAD_TIMEOUT"),
        (img("big.jpg"), 589, "TOO_LARGE"),
        (img("text.txt"), 590, "BAD_FORMAT"),
        (img("gone.jpg"), 404, "NOT_FOUND"),
        (img("locked.jpg"), 403, "FORBIDDEN"),
        (img("down.jpg"), 480, "DOWNLOAD_FAILED"),
        (img("wide.jpg"), 480, "DOWNLOAD_FAILED: IMAGE_TOO_MUCH_PIXELS"),
        (img("redirects.jpg"), 401, "NOT_ALLOWED"),
        ("file:///etc/hosts".into(), 401, "NOT_ALLOWED"),
        ("oss://bucket.oss-cn-shanghai.aliyuncs.com/a.jpg".into(), 401, "NOT_ALLOWED"),
        ("data:image/jpeg;base64,AAAA".into(), 400, "BAD_REQUEST"),
        ("img.test/a.jpg".into(), 400, "BAD_REQUEST"),
        ("http://img.test/\na.jpg".into(), 400, "BAD_REQUEST"),
        ("".into(), 400, "BAD_REQUEST"),
        (long, 400, "BAD_REQUEST"),
        (img("a1.jpg"), 200, ""),
    ];
    let given: Vec<&str> = table.iter().map(|(url, _, _)| url.as_str()).collect();
    let data = server.post("/sface/face/add", json!({"personId": "p1", "urls": given})).await.ok();
    for ((url, code, msg), item) in table.iter().zip(data["faceImageItems"].as_array().unwrap()) {
        assert_eq!(item["url"], json!(url));
        assert_eq!(item["success"], *code == 200, "{url}");
        if *code != 200 {
            assert_eq!(item["code"], *code, "{url}: {item}");
            assert!(item["msg"].as_str().unwrap().starts_with(msg), "{url}: {item}");
        }
    }
}

#[tokio::test]
async fn cases_56_to_58_only_what_was_there_is_deleted() {
    let server = Server::new().await;
    server.person("p1", &["g1"]).await;
    server.person("p2", &["g1"]).await;
    let ids = server.faces("p1", &["a1.jpg", "a2.jpg", "b1.jpg"]).await;
    let theirs = server.faces("p2", &["b1.jpg"]).await[0];
    let delete =
        async |faces: Value| server.post("/sface/face/delete", json!({"personId": "p1", "faceIds": faces})).await.ok();
    let first = ids[0].to_string();
    let expected = json!({"code": 200, "personId": "p1", "faceIds": [first], "deleteCount": 1});
    assert_eq!(delete(json!([first, "999", first])).await, expected);
    assert_eq!(delete(json!([first])).await["deleteCount"], 0);
    assert_eq!(delete(json!([ids[1]])).await["faceIds"], json!([ids[1].to_string()]));
    assert_eq!(delete(json!([theirs.to_string(), "x", "99999999999999999999"])).await["deleteCount"], 0);
    assert_eq!(server.found("b1.jpg", "g1").await, ["p1", "p2"], "the other person's face is untouched");
    for faces in [json!([]), json!("1"), json!([null]), json!([-1]), json!([1.5])] {
        let body = json!({"personId": "p1", "faceIds": faces});
        server.post("/sface/face/delete", body).await.fault(400, "BAD_REQUEST");
    }
    server.post("/sface/face/delete", json!({"personId": "p3", "faceIds": ["1"]})).await.fault(404, "NOT_FOUND");
}

fn picture(text: &str) -> ImageInput {
    ImageInput {
        source: ImageSource::Bytes(text.to_owned().into()),
        rules: ImageRules { formats: ImageFormats::ALL, bytes_max: 1 << 20, side_max: 4096, side_min: 1 },
        fetch_deadline: std::time::Duration::from_secs(1),
        count: likeness_domain::ports::Count::No,
    }
}

#[tokio::test]
async fn other_dialects_see_the_same_faces_both_ways() {
    let server = Server::new().await;
    let caller = Caller::server(server.tenant, "other dialect");
    let staff = FaceSetName::new("staff").unwrap();
    let (name, schema) = (staff.clone(), FieldSchema::default());
    let made = CreateFaceSet {
        name,
        label: None,
        note: None,
        tags: Default::default(),
        schema,
        capacity: None,
        quality_gate: None,
        thumbnails: false,
    };
    server.library.create_face_set(&caller, made).await.unwrap();
    let add = async |text: &str, label: Option<&str>| {
        let added = AddFaces {
            face_set: staff.clone(),
            image: picture(text),
            choice: FaceChoice::Largest,
            subject: label.map(|label| Subject::new(label).unwrap()),
            external_id: None,
            fields: GivenFields::new(),
            note: None,
            thresholds: QualityThresholds::NONE,
            accept_doubtful: false,
            first_id: None,
        };
        server.library.add_faces(&caller, added).await.unwrap().faces[0].id
    };
    let theirs = add("face carl 50x50+1+1", Some("card 7")).await;
    add("face carl~0.9 50x50+1+1", Some("card 7")).await;
    let nameless = add("face carl~0.85 50x50+1+1", None).await;
    server.fetcher.serve(&img("c.jpg"), "face carl 60x60+1+1");

    // Theirs are found here: by their label, each label once, or as somebody without a name.
    assert_eq!(server.post("/sface/groups", json!({})).await.ok()["groupIds"], json!(["staff"]));
    assert_eq!(server.found("c.jpg", "staff").await, ["card 7", ""]);
    server.person("p1", &["staff"]).await;
    let ours = server.faces("p1", &["a1.jpg"]).await[0];

    // Ours are found and listed there.
    let listed = async || {
        let page = Page { offset: 0, limit: 10 };
        let (_, faces) = server.library.list_faces(&caller, &staff, page).await.unwrap();
        faces.into_iter().map(|face| face.id.get()).collect::<Vec<u64>>()
    };
    assert!(listed().await.contains(&ours));
    let search = Search {
        face_set: staff.clone(),
        probe: Probe::Image(picture("face anna 50x50+1+1")),
        top_k: 1,
        threshold: Threshold::NONE,
        filter: None,
        sort: Vec::new(),
        one_per_person: false,
    };
    let best = server.library.search(&caller, search).await.unwrap();
    assert_eq!(best.candidates[0].face.id.get(), ours);

    // A delete on either side is a delete.
    for id in [theirs, nameless] {
        server.library.delete_faces(&caller, &staff, DeleteFaces::Ids(vec![id])).await.unwrap();
    }
    assert_eq!(server.found("c.jpg", "staff").await[0], "card 7", "the second picture of that label");
    let body = json!({"personId": "p1", "faceIds": [ours.to_string()]});
    server.post("/sface/face/delete", body).await.ok();
    assert!(!listed().await.contains(&ours));
    let again = server.faces("p1", &["a1.jpg"]).await[0];
    let id = likeness_domain::types::FaceId::new(again).unwrap();
    server.library.delete_faces(&caller, &staff, DeleteFaces::Ids(vec![id])).await.unwrap();
    let shown = server.post("/sface/person", json!({"personId": "p1"})).await.ok();
    assert_eq!(shown["faceIds"], json!([]));

    // A set that was made on purpose stays when its last member leaves.
    server.post("/sface/person/delete", json!({"personId": "p1"})).await.ok();
    assert_eq!(server.post("/sface/groups", json!({})).await.ok()["groupIds"], json!(["staff"]));
}
