//! Scans, sync and async, detection, search and quotas: cases 59 to 88.

use std::time::Duration;

use likeness_domain::Kind;
use likeness_domain::ports::{Clock, JobStore};
use serde_json::{Value, json};

use super::server::{KEY, Server, img};
use crate::aliyun::Settings;
use crate::aliyun::workers;

fn rate(task: &Value) -> f64 {
    assert_eq!(task["code"], 200, "{task}");
    task["results"][0]["rate"].as_f64().unwrap()
}

#[tokio::test]
async fn cases_59_to_61_two_photographs() {
    let server = Server::new().await;
    let compare = async |other: &str| server.scan("sface-1", "a1.jpg", json!({"faceUrl": img(other), "x": 1})).await;
    let same = compare("a2.jpg").await;
    assert_eq!((same["code"].as_u64(), same["msg"].as_str()), (Some(200), Some("OK")));
    assert_eq!((&same["dataId"], &same["url"], &same["extras"]), (&json!("t"), &json!(img("a1.jpg")), &json!({})));
    let result = &same["results"][0];
    assert_eq!(
        (&result["scene"], &result["label"], &result["suggestion"]),
        (&json!("sface-1"), &json!("normal"), &json!("review"))
    );
    let other = compare("b1.jpg").await;
    assert_eq!(other["results"][0]["suggestion"], "pass");
    assert!(rate(&same) > rate(&other) + 20.0, "{same} {other}");
    assert!(rate(&compare("a1.jpg").await) >= 99.0);
    assert!(rate(&compare("ab.jpg").await) > 80.0, "of several faces the largest counts");
}

#[tokio::test]
async fn cases_62_63_and_74_faults_of_one_task() {
    let server = Server::new().await;
    let check = async |scene: &str, url: &str, extras: Value, code: u64, msg: &str| {
        let body = json!({"scenes": [scene], "tasks": [{"url": url, "extras": extras}]});
        let task = server.post("/image/scan", body).await.ok()[0].clone();
        assert_eq!(task["code"], code, "{task}");
        assert!(task["msg"].as_str().unwrap().starts_with(msg) && task.get("results").is_none(), "{task}");
    };
    let good = img("a1.jpg");
    check("sface-1", &good, json!({}), 400, "BAD_REQUEST: `faceUrl` is missing").await;
    check("sface-1", &good, json!(null), 400, "BAD_REQUEST").await;
    check("sface-1", &good, json!("x"), 400, "BAD_REQUEST").await;
    check("sface-1", &good, json!({"faceUrl": img("wall.jpg")}), 400, "NO_FACE: faceUrl").await;
    check("sface-1", &img("wall.jpg"), json!({"faceUrl": good}), 400, "NO_FACE: url").await;
    check("sface-1", &good, json!({"faceUrl": img("gone.jpg")}), 404, "NOT_FOUND: faceUrl").await;
    check("sface-1", &img("text.txt"), json!({"faceUrl": good}), 590, "BAD_FORMAT: url").await;
    check("sface-1", &good, json!({"faceUrl": "file:///a"}), 401, "NOT_ALLOWED: faceUrl").await;
    check("sface-n", &good, json!({}), 400, "BAD_REQUEST: `groupId` is missing").await;
    check("sface-n", &good, json!({"groupId": "a b"}), 400, "BAD_REQUEST").await;
    check("sface-n", &good, json!({"groupId": "g9"}), 404, "NOT_FOUND: group").await;
    let long = format!("http://img.test/{}", "x".repeat(2049 - 16));
    check("sface-n", &long, json!({"groupId": "g9"}), 400, "BAD_REQUEST").await;
    check("sface-n", "", json!({"groupId": "g9"}), 400, "BAD_REQUEST: `url` is missing").await;
}

#[tokio::test]
async fn cases_64_65_68_and_70_every_face_is_looked_for_in_the_group() {
    let server = Server::new().await;
    server.person("p-anna", &["g1"]).await;
    server.person("p-bert", &["g1"]).await;
    server.person("p-carl", &["g2"]).await;
    let anna = server.faces("p-anna", &["a1.jpg"]).await[0];
    server.faces("p-bert", &["b1.jpg"]).await;
    server.faces("p-carl", &["a1.jpg"]).await;
    let one = server.scan("sface-n", "a2.jpg", json!({"groupId": "g1"})).await;
    let result = &one["results"][0];
    assert_eq!(result["suggestion"], "review");
    let faces = result["topPersonData"].as_array().unwrap();
    assert_eq!(faces.len(), 1);
    assert_eq!(faces[0]["faceItem"], json!({"x": 40, "y": 40, "width": 100, "height": 100}));
    let persons = faces[0]["persons"].as_array().unwrap();
    assert_eq!(persons.len(), 2, "not the one of the other group");
    assert_eq!(persons[0]["rate"], result["rate"]);
    assert!(persons[0]["rate"].as_f64() > persons[1]["rate"].as_f64());
    let expected = json!({"personId": "p-anna", "faceId": anna.to_string(), "name": "N", "note": "M"});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&persons[0][name], value);
    }

    let two = server.scan("sface-n", "ab.jpg", json!({"groupId": "g1"})).await;
    let faces = two["results"][0]["topPersonData"].as_array().unwrap();
    let best: Vec<_> = faces.iter().map(|face| face["persons"][0]["personId"].as_str().unwrap()).collect();
    assert_eq!(best, ["p-anna", "p-bert"], "the larger face first");

    let none = server.scan("sface-n", "wall.jpg", json!({"groupId": "g1"})).await;
    let expected =
        json!([{"scene": "sface-n", "label": "normal", "suggestion": "pass", "rate": 0.0, "topPersonData": []}]);
    assert_eq!(none["results"], expected);
    server.person("p-empty", &["g3"]).await;
    let empty = server.scan("sface-n", "a1.jpg", json!({"groupId": "g3"})).await;
    assert_eq!(empty["results"][0]["topPersonData"][0]["persons"], json!([]));
}

#[tokio::test]
async fn cases_66_67_and_75_five_persons_each_once_and_new_faces_at_once() {
    let server = Server::new().await;
    for number in 0..8 {
        let (id, picture) = (format!("p{number}"), format!("n{number}.jpg"));
        server.fetcher.serve(&img(&picture), format!("face person{number} 50x50+1+1"));
        server.person(&id, &["g1"]).await;
        server.faces(&id, &[&picture]).await;
        // Found by the very next request.
        assert_eq!(server.found(&picture, "g1").await[0], id);
    }
    let ids = server.faces("p0", &["a2.jpg", "a1.jpg", "b1.jpg"]).await;
    let task = server.scan("sface-n", "a1.jpg", json!({"groupId": "g1"})).await;
    let persons = task["results"][0]["topPersonData"][0]["persons"].as_array().unwrap().clone();
    assert_eq!(persons.len(), 5);
    assert_eq!(persons[0]["faceId"], json!(ids[1].to_string()), "the best of the person's faces");
    let mut names: Vec<_> = persons.iter().map(|person| person["personId"].as_str().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 5);
    let strict = Server::with(Settings { search_rate_min: 70, ..Settings::default() }).await;
    strict.person("p1", &["g1"]).await;
    strict.person("p2", &["g1"]).await;
    strict.faces("p1", &["a1.jpg"]).await;
    strict.faces("p2", &["b1.jpg"]).await;
    assert_eq!(strict.found("a1.jpg", "g1").await, ["p1"], "the operator's floor");
}

#[tokio::test]
async fn equal_rates_are_in_order_of_ids() {
    let server = Server::new().await;
    for id in ["c", "a", "b"] {
        server.person(id, &["g1"]).await;
        server.faces(id, &["a1.jpg"]).await;
    }
    assert_eq!(server.found("a1.jpg", "g1").await, ["a", "b", "c"]);
}

#[tokio::test]
async fn cases_69_and_71_to_73_requests_of_several_tasks() {
    let server = Server::new().await;
    let task =
        |id: &str, picture: &str| json!({"dataId": id, "url": img(picture), "extras": {"faceUrl": img("a1.jpg")}});
    let body = json!({"scenes": ["sface-1"], "tasks": [task("x", "gone.jpg"), task("y", "a2.jpg")]});
    let data = server.post("/image/scan", body).await.ok();
    assert_eq!((&data[0]["code"], &data[0]["dataId"]), (&json!(404), &json!("x")));
    assert_eq!((&data[1]["code"], &data[1]["dataId"]), (&json!(200), &json!("y")));
    assert!(data[0].get("results").is_none() && data[0]["taskId"] != data[1]["taskId"]);

    server.person("p1", &["g1"]).await;
    server.faces("p1", &["a1.jpg"]).await;
    let both = json!({"scenes": ["sface-n", "sface-1"],
        "tasks": [{"url": img("a1.jpg"), "extras": {"faceUrl": img("a1.jpg"), "groupId": "g1"}}]});
    let data = server.post("/image/scan", both).await.ok();
    let scenes: Vec<_> = data[0]["results"].as_array().unwrap().iter().map(|result| &result["scene"]).collect();
    assert_eq!(scenes, ["sface-n", "sface-1"]);
    assert!(data[0].get("dataId").is_none());

    let good = || task("x", "a2.jpg");
    for path in ["/image/scan", "/image/asyncscan"] {
        for body in [
            json!({"scenes": ["porn"], "tasks": [good()]}),
            json!({"scenes": ["sface-1", "liveness"], "tasks": [good()]}),
            json!({"scenes": [], "tasks": [good()]}),
            json!({"scenes": "sface-1", "tasks": [good()]}),
            json!({"tasks": [good()]}),
            json!({"scenes": ["sface-1"]}),
            json!({"scenes": ["sface-1"], "tasks": []}),
            json!({"scenes": ["sface-1"], "tasks": good()}),
            json!({"scenes": ["sface-1"], "tasks": ["x"]}),
            json!({"scenes": ["sface-1"], "tasks": vec![json!({"url": "http://a/"}); 101]}),
            json!({"scenes": ["sface-1"], "tasks": [good(), good()]}),
            json!({"scenes": ["sface-1"], "tasks": [{"dataId": "x".repeat(257), "url": "http://a/"}]}),
        ] {
            server.post(path, body).await.fault(400, "BAD_REQUEST");
        }
    }
}

/// The vendor's bound is for the request: what is done by then is told, the rest has its own code. Time stands still
/// here, and the deadline comes when nothing else is left to wait for.
#[tokio::test(start_paused = true)]
async fn a_task_that_a_scan_has_no_time_for_says_so() {
    let server = Server::new().await;
    server.fetcher.hang(&img("never.jpg"));
    let task =
        |id: &str, picture: &str| json!({"dataId": id, "url": img(picture), "extras": {"faceUrl": img("a1.jpg")}});
    let started = tokio::time::Instant::now();
    let body = json!({"scenes": ["sface-1"], "tasks": [task("x", "never.jpg"), task("y", "a2.jpg")]});
    let data = server.post("/image/scan", body).await.ok();
    assert_eq!((&data[0]["code"], &data[0]["msg"], &data[0]["dataId"]), (&json!(581), &json!("TIMEOUT"), &json!("x")));
    assert!(data[0].get("results").is_none());
    assert_eq!((&data[1]["code"], &data[1]["dataId"]), (&json!(200), &json!("y")));
    assert_eq!(started.elapsed().as_millis(), 6_000);
}

#[tokio::test]
async fn a_busy_or_broken_server_says_which() {
    let server = Server::new().await;
    for (kind, code, msg) in [
        (Kind::Overloaded, 588, "EXCEED_QUOTA"),
        (Kind::PackUnavailable, 586, "ALGO_FAILED"),
        (Kind::Internal, 500, "GENERAL_ERROR"),
    ] {
        server.analyzer.fail_next(kind);
        let task = server.scan("sface-1", "a1.jpg", json!({"faceUrl": img("a1.jpg")})).await;
        assert_eq!(task["code"], code, "{task}");
        assert!(task["msg"].as_str().unwrap().starts_with(msg), "{task}");
    }
}

async fn ask(server: &Server, ids: &Value) -> Value {
    server.post("/image/results", ids.clone()).await.ok()
}

#[tokio::test]
async fn cases_76_to_78_a_task_is_done_later_and_kept_for_an_hour() {
    let server = Server::new().await;
    let task =
        |id: &str, picture: &str| json!({"dataId": id, "url": img(picture), "extras": {"faceUrl": img("a1.jpg")}});
    let bad = json!({"dataId": "bad", "url": img("a1.jpg")});
    let body = json!({"scenes": ["sface-1"], "tasks": [task("x", "a2.jpg"), bad, task("y", "gone.jpg")]});
    let accepted = server.post("/image/asyncscan", body).await.ok();
    let id = accepted[0]["taskId"].clone();
    let expected = json!({"code": 200, "msg": "OK", "dataId": "x", "taskId": id, "url": img("a2.jpg")});
    assert_eq!(accepted[0], expected);
    assert_eq!((&accepted[1]["code"], accepted[1].get("taskId")), (&json!(400), None));
    let ids = json!([accepted[2]["taskId"], id, "img000000000000", "nonsense"]);
    let waiting = ask(&server, &ids).await;
    let codes = |answers: &Value| {
        answers.as_array().unwrap().iter().map(|one| one["code"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(codes(&waiting), [280, 280, 594, 594]);
    assert_eq!(
        waiting[1],
        json!({"code": 280, "msg": "PROCESSING", "dataId": "x", "taskId": id, "url": img("a2.jpg")})
    );

    server.work();
    let done = ask(&server, &json!({"taskIds": ids})).await;
    assert_eq!(codes(&done), [404, 200, 594, 594]);
    let sync = server.scan("sface-1", "a2.jpg", json!({"faceUrl": img("a1.jpg")})).await;
    assert_eq!(done[1]["results"], sync["results"], "the same as at once");
    assert_eq!((&done[1]["taskId"], &done[1]["dataId"]), (&id, &json!("x")));

    for wrong in [json!([]), json!({}), json!([1]), json!("img"), json!({"taskIds": []}), json!(vec!["img"; 101])] {
        server.post("/image/results", wrong).await.fault(400, "BAD_REQUEST");
    }
    // The requests of this suite are signed for a quarter of an hour at most, so an hour ends between two of them.
    let before = server.clock.now().0;
    server.clock.advance(Duration::from_secs(61 * 60));
    server.jobs.forget(server.clock.now()).await.unwrap();
    server.clock.set(before);
    assert_eq!(codes(&ask(&server, &ids).await), [594; 4]);
}

#[tokio::test]
async fn case_79_a_result_is_pushed_with_its_checksum() {
    assert_eq!(
        workers::checksum("1000000000000001", "seed01", br#"{"code":200,"taskId":"img-1"}"#),
        "3e7f8ca3c8c52b68ce6b36206536edfca77e70b9bf36379bfd84410ec6818d59"
    );
    let server = Server::new().await;
    let task = json!({"dataId": "小 &=+", "url": img("a2.jpg"), "extras": {"faceUrl": img("a1.jpg")}});
    let body = json!({"scenes": ["sface-1"], "tasks": [task], "callback": "http://back.test/x", "seed": "seed_01"});
    let id = server.post("/image/asyncscan", body).await.ok()[0]["taskId"].clone();
    server.work();
    let delivered = server.webhook_sender.delivered();
    let [(url, form)] = delivered.as_slice() else { panic!("{delivered:?}") };
    assert_eq!(url, "http://back.test/x");
    let pairs = crate::http::target::query_pairs(std::str::from_utf8(form).unwrap());
    let [(checksum_name, checksum), (content_name, content)] = pairs.as_slice() else { panic!("{pairs:?}") };
    assert_eq!((checksum_name.as_slice(), content_name.as_slice()), (&b"checksum"[..], &b"content"[..]));
    assert_eq!(checksum, workers::checksum(&server.tenant.to_string(), "seed_01", content).as_bytes());
    let content: Value = serde_json::from_slice(content).unwrap();
    assert_eq!(content, ask(&server, &json!([id])).await[0], "what asking for it tells too");
}

#[tokio::test]
async fn case_80_a_push_is_repeated_three_times() {
    let server = Server::new().await;
    let task = json!({"url": img("a2.jpg"), "extras": {"faceUrl": img("a1.jpg")}});
    let body = json!({"scenes": ["sface-1"], "tasks": [task], "callback": "http://back.test/", "seed": "s"});
    let ids = json!([server.post("/image/asyncscan", body).await.ok()[0]["taskId"]]);
    server.webhook_sender.answer(&[500, 302, 204, 500]);
    for (n_made, wait_s) in [(1, 5), (2, 30), (3, 120), (4, 3600)] {
        server.work();
        assert_eq!(server.webhook_sender.delivered().len(), n_made);
        server.clock.advance(Duration::from_millis(wait_s * 1000 - 1));
        server.work();
        assert_eq!(server.webhook_sender.delivered().len(), n_made, "not before its time");
        server.clock.advance(Duration::from_millis(1));
        if n_made == 3 {
            assert_eq!(ask(&server, &ids).await[0]["code"], 200, "asking works beside it");
        }
    }
    server.work();
    assert_eq!(server.webhook_sender.delivered().len(), 4, "then it is given up");
}

#[tokio::test]
async fn case_81_callbacks_that_are_refused() {
    let server = Server::new().await;
    let task = json!({"url": img("a2.jpg"), "extras": {"faceUrl": img("a1.jpg")}});
    for callback in [
        json!({"callback": "http://back.test/"}),
        json!({"callback": "http://back.test/", "seed": ""}),
        json!({"callback": "http://back.test/", "seed": "a-b"}),
        json!({"callback": "http://back.test/", "seed": "s".repeat(65)}),
        json!({"callback": "http://back.test/", "seed": "s", "cryptType": "SM3"}),
        json!({"callback": "http://10.0.0.1/", "seed": "s"}),
        json!({"callback": format!("http://back.test/{}", "x".repeat(2048)), "seed": "s"}),
    ] {
        let mut body = json!({"scenes": ["sface-1"], "tasks": [task]});
        body.as_object_mut().unwrap().extend(callback.as_object().unwrap().clone());
        server.post("/image/asyncscan", body).await.fault(400, "BAD_REQUEST");
    }
    server.work();
    assert_eq!(server.analyzer.requests().len(), 0, "no task was made");
    assert!(server.webhook_sender.delivered().is_empty());
}

#[tokio::test]
async fn a_busy_moment_delays_a_task_and_a_full_queue_refuses_it() {
    let server = Server::with(Settings { tasks_waiting_max: 2, ..Settings::default() }).await;
    let task = json!({"url": img("a2.jpg"), "extras": {"faceUrl": img("a1.jpg")}});
    let body = json!({"scenes": ["sface-1"], "tasks": [task]});
    let ids = json!([server.post("/image/asyncscan", body.clone()).await.ok()[0]["taskId"]]);
    server.post("/image/asyncscan", body.clone()).await.ok();
    server.post("/image/asyncscan", body).await.fault(588, "EXCEED_QUOTA");
    server.analyzer.fail_next(Kind::Overloaded);
    server.work();
    assert_eq!(ask(&server, &ids).await[0]["code"], 280);
    server.clock.advance(Duration::from_secs(1));
    server.work();
    assert_eq!(ask(&server, &ids).await[0]["code"], 200);
}

#[tokio::test]
async fn a_task_that_never_gets_its_turn_is_given_up_and_told() {
    let server = Server::new().await;
    let task = json!({"dataId": "x", "url": img("a2.jpg"), "extras": {"faceUrl": img("a1.jpg")}});
    let body = json!({"scenes": ["sface-1"], "tasks": [task], "callback": "http://back.test/", "seed": "s"});
    let ids = json!([server.post("/image/asyncscan", body).await.ok()[0]["taskId"]]);
    for wait_s in 1..=10 {
        server.analyzer.fail_next(Kind::Overloaded);
        server.work();
        assert_eq!(ask(&server, &ids).await[0]["code"], if wait_s < 10 { 280 } else { 588 });
        server.clock.advance(Duration::from_secs(wait_s));
    }
    let told = &ask(&server, &ids).await[0];
    assert_eq!((&told["dataId"], &told["url"]), (&json!("x"), &json!(img("a2.jpg"))));
    assert_eq!(server.webhook_sender.delivered().len(), 1, "whoever wanted to be told is told");
}

/// Whoever is deleted while a result or a push waits is in neither when it is told.
#[tokio::test]
async fn a_waiting_result_tells_nothing_of_who_was_deleted() {
    let server = Server::new().await;
    for (person, picture) in [("p-anna", "a1.jpg"), ("p-bert", "b1.jpg"), ("p-carl", "a2.jpg")] {
        let body = json!({"personId": person, "groupIds": ["g1"], "name": format!("Name of {person}"), "note": "Note"});
        server.post("/sface/person/add", body).await.ok();
        server.faces(person, &[picture]).await;
    }
    let task = json!({"url": img("a1.jpg"), "extras": {"groupId": "g1"}});
    let body = json!({"scenes": ["sface-n"], "tasks": [task], "callback": "http://back.test/", "seed": "s"});
    let ids = json!([server.post("/image/asyncscan", body).await.ok()[0]["taskId"]]);
    server.webhook_sender.answer(&[500]);
    server.work();
    let persons = async || {
        let told = ask(&server, &ids).await[0]["results"][0].clone();
        let persons = told["topPersonData"][0]["persons"].as_array().unwrap().clone();
        let ids: Vec<String> = persons.iter().map(|person| person["personId"].as_str().unwrap().to_owned()).collect();
        (ids, told["rate"].as_f64().unwrap())
    };
    assert_eq!(persons().await, (vec!["p-anna".to_owned(), "p-carl".to_owned(), "p-bert".to_owned()], 100.0));
    let id = crate::aliyun::scan::read_task_id(ids[0].as_str().unwrap()).unwrap();
    let job = server.jobs.job(server.tenant, id, server.clock.now()).await.unwrap().unwrap();
    let kept = String::from_utf8(job.result.unwrap().to_vec()).unwrap();
    assert!(!kept.contains("p-") && !kept.contains("Name") && !kept.contains("Note"), "{kept}");
    assert_eq!(job.payload, "", "the group's name is not kept either");

    server.post("/sface/person/delete", json!({"personId": "p-anna"})).await.ok();
    let (left, rate) = persons().await;
    assert_eq!(left, ["p-carl", "p-bert"]);
    assert!(rate < 100.0, "the rate is that of those who are left: {rate}");
    server.post("/sface/person/groups/delete", json!({"personId": "p-carl", "groupIds": ["g1"]})).await.ok();
    assert_eq!(persons().await.0, ["p-bert"], "who left the group is not told either");
    server.clock.advance(Duration::from_secs(5));
    server.work();
    let delivered = server.webhook_sender.delivered();
    let told = |form: &[u8]| String::from_utf8(form.to_vec()).unwrap().contains("p-anna");
    assert_eq!(delivered.iter().map(|(_, form)| told(form)).collect::<Vec<_>>(), [true, false]);
    server.post("/sface/person/delete", json!({"personId": "p-bert"})).await.ok();
    assert_eq!(persons().await, (vec![], 0.0), "the group went with its last member");
}

#[tokio::test]
async fn cases_82_to_84_detection() {
    let server = Server::new().await;
    let detect = async |body: Value| server.post("/face/detect", body).await;
    let found = detect(json!({"url": img("ab.jpg"), "dataId": "d1", "bizType": "x"})).await.ok();
    assert_eq!((&found["code"], &found["dataId"], &found["url"]), (&json!(200), &json!("d1"), &json!(img("ab.jpg"))));
    let locations: Vec<_> = found["faces"].as_array().unwrap().iter().map(|face| &face["location"]).collect();
    let expected = [json!({"x": 200, "y": 200, "w": 150, "h": 150}), json!({"x": 10, "y": 10, "w": 80, "h": 80})];
    assert_eq!(locations, expected.iter().collect::<Vec<_>>());
    assert_eq!(found["faces"][0].as_object().unwrap().len(), 1, "what was not measured is left out");
    let seen = detect(json!({"url": img("seen.jpg")})).await.ok()["faces"][0].clone();
    let location = json!({"x": 10, "y": 10, "w": 80, "h": 80});
    let quality = json!({"blur": 10.0, "integrity": 75.0, "pitch": 5.5, "yaw": -20.0, "roll": 1.0});
    assert_eq!(seen, json!({"location": location, "quality": quality, "smile": {"rate": 94.0}}));
    let yawing = detect(json!({"url": img("yawing.jpg")})).await.ok()["faces"][0].clone();
    assert_eq!(yawing, json!({"location": location, "quality": {"pitch": 5.5, "yaw": -20.0, "roll": 1.0}}));
    let none = detect(json!({"url": img("wall.jpg")})).await.ok();
    assert_eq!((&none["code"], &none["faces"]), (&json!(200), &json!([])));
    detect(json!({"dataId": "d"})).await.fault(400, "BAD_REQUEST");
    detect(json!({"url": 1})).await.fault(400, "BAD_REQUEST");
    let gone = detect(json!({"url": img("gone.jpg")})).await.ok();
    assert_eq!((&gone["code"], gone.get("faces")), (&json!(404), None));
    assert_eq!(detect(json!({"url": "oss://b/k"})).await.ok()["code"], 401);
}

#[tokio::test]
async fn search_person_is_a_scan_without_a_task() {
    let server = Server::new().await;
    server.person("p1", &["g1"]).await;
    server.person("p2", &["g1"]).await;
    server.faces("p1", &["a1.jpg"]).await;
    server.faces("p2", &["b1.jpg"]).await;
    let search = async |body: Value| server.post("/sface/search", body).await;
    let found = search(json!({"url": img("a2.jpg"), "groupId": "g1"})).await.ok();
    let scanned = server.scan("sface-n", "a2.jpg", json!({"groupId": "g1"})).await;
    assert_eq!(found["topPersonData"], scanned["results"][0]["topPersonData"]);
    let one = search(json!({"url": img("a2.jpg"), "groupId": "g1", "topN": 1})).await.ok();
    assert_eq!(one["topPersonData"][0]["persons"].as_array().unwrap().len(), 1);
    for body in [
        json!({"url": img("a2.jpg")}),
        json!({"groupId": "g1"}),
        json!({"url": "http://a/", "groupId": "g1", "topN": 6}),
    ] {
        search(body).await.fault(400, "BAD_REQUEST");
    }
    assert_eq!(search(json!({"url": img("gone.jpg"), "groupId": "g1"})).await.ok()["code"], 404);
    assert_eq!(search(json!({"url": img("a1.jpg"), "groupId": "g9"})).await.ok()["msg"], "NOT_FOUND: group");
}

#[tokio::test]
async fn case_85_calls_per_second_are_bounded_for_those_who_are_named() {
    let limited_tenants = vec!["acme".to_owned()];
    let server = Server::with(Settings { limited_tenants, ..Settings::default() }).await;
    server.person("p1", &["g1"]).await;
    let join = json!({"personId": "p1", "groupIds": ["g1"]});
    for n_calls in 0..30 {
        let reply = server.post("/sface/person/groups/add", join.clone()).await;
        if n_calls < 10 { drop(reply.ok()) } else { reply.fault(588, "EXCEED_QUOTA") }
    }
    // Others are not counted, and neither are other operations; a second later there is room again.
    let theirs = json!({"personId": "p1", "groupIds": ["g1"]});
    server.post_as(super::server::OTHER, "/sface/person/add", theirs).await.ok();
    server.post("/sface/groups", json!({})).await.ok();
    server.clock.advance(Duration::from_secs(1));
    server.post("/sface/person/groups/add", join).await.ok();
    // A scan counts its images.
    let tasks = |n_tasks: usize| json!({"scenes": ["sface-1"], "tasks": vec![json!({"url": "http://a/"}); n_tasks]});
    server.post("/image/scan", tasks(40)).await.ok();
    server.post("/image/scan", tasks(40)).await.fault(588, "EXCEED_QUOTA");
    server.post("/image/scan", tasks(10)).await.ok();
    let free = Server::new().await;
    free.person("p1", &["g1"]).await;
    for _ in 0..30 {
        free.post("/sface/person/groups/add", json!({"personId": "p1", "groupIds": ["g1"]})).await.ok();
    }
}

#[tokio::test]
async fn case_86_uploads_are_disabled() {
    let server = Server::new().await;
    let request = server.signed(KEY, "/green/credentials/uploadcredentials", "{}", &[]);
    server.send(request).await.fault(596, "PERMISSION_DENY: uploads are disabled");
    let address = format!("oss://likeness-uploads/{}/images/a.jpg", server.tenant);
    assert_eq!(server.post("/face/detect", json!({"url": address})).await.ok()["code"], 401);
}
