//! Liveness of clips and pictures. Clips are texts that the fake decoder reads; what makes a person alive is tested in
//! the domain, here is how it is asked and answered.

use likeness_domain::types::Aspects;
use likeness_testkit::FakeAnalyzer;
use serde_json::{Value, json};

use super::server::{F1, G, N, Reply, Server, base64};
use crate::huawei::Settings;

/// Two seconds in which a head turns to its left, to 30 degrees and back, and then nods.
fn clip() -> String {
    let turn = [0, 0, 0, 0, 0, 10, 20, 30, 20, 10, 0];
    let nod = [0, 0, -8, -16, -20, -16, -8, 0, 0];
    let poses = turn.map(|yaw| (yaw, 0)).into_iter().chain(nod.map(|pitch| (0, pitch)));
    let frames = poses.enumerate().map(|(idx, (yaw, pitch))| {
        format!("at {}\nface anna 200x240+100+100 mouth=0 live=0.9 yaw={yaw} pitch={pitch}\n", idx * 100)
    });
    format!("clip 2000\n{}", frames.collect::<String>())
}

fn live(server: &Server, body: Value) -> Reply {
    server.post("/live-detect", body)
}

fn asked(server: &Server, actions: &str) -> Reply {
    live(server, json!({"video_base64": base64(clip()), "actions": actions}))
}

fn warnings(reply: &Reply) -> Vec<u64> {
    let list = reply.json["warning-list"].as_array().unwrap();
    assert!(list.iter().all(|warning| !warning["warningMsg"].as_str().unwrap().is_empty()));
    list.iter().map(|warning| warning["warningCode"].as_u64().unwrap()).collect()
}

#[test]
fn case_092_a_clip_is_judged_on_both_versions_paths() {
    let server = Server::new();
    for version in ["v1", "v2"] {
        let target = format!("/{version}/{}/live-detect", server.acme.project);
        let body = json!({"video_base64": base64(clip()), "actions": "1,3"}).to_string();
        let reply = server.send_signed_in(server.request("POST", &target, body)).ok();
        let picture = base64("face anna 200x240+100+100 mouth=0 live=0.9 yaw=0 pitch=0");
        // The one picture at the peak is smoothed away: 20 degrees of 15 needed, and 16 of 10.
        let actions = json!([{"confidence": 0.666667, "action": 1}, {"confidence": 0.8, "action": 3}]);
        let result = json!({"alive": true, "actions": actions, "picture": picture});
        assert_eq!(reply.json, json!({"video-result": result, "warning-list": []}));
        server.send(server.request("POST", &target, "{}")).refused(401, "APIG.0301");
    }
}

#[test]
fn actions_in_another_order_are_not_seen() {
    let server = Server::new();
    for actions in ["3,1", "2", "4", "1,1"] {
        let reply = asked(&server, actions).ok();
        assert_eq!((&reply.json["video-result"]["alive"], warnings(&reply)), (&json!(false), vec![6]), "{actions}");
    }
}

#[test]
fn case_093_actions_and_clips_that_are_refused() {
    let server = Server::new();
    for wrong in ["9", "0", "1,6", "left", "1,,3", "-1", "1.5"] {
        asked(&server, wrong).bad("FRS.0702");
    }
    asked(&server, "1,2,3,4,5,1,2,3,4,5,1").bad("FRS.0704");
    let with = |clip: &str| live(&server, json!({"video_base64": base64(clip), "actions": "1"}));
    with("clip 20000").bad("FRS.0706");
    with("clip 500").bad("FRS.0706");
    with("a text file").bad("FRS.0701");
    live(&server, json!({"video_base64": "###", "actions": "1"})).bad("FRS.0015");
}

#[test]
fn case_094_what_is_missing() {
    let server = Server::new();
    for body in [
        json!({"video_base64": base64(clip())}),
        json!({"video_base64": base64(clip()), "actions": ""}),
        json!({"video_base64": base64(clip()), "actions": null}),
        json!({"actions": "1"}),
        json!({"video_base64": "", "actions": "1"}),
        json!({}),
    ] {
        live(&server, body).bad("FRS.0011");
    }
    live(&server, json!({"video_base64": base64(clip()), "actions": ["1"]})).bad("FRS.0012");
    assert_eq!(
        live(&server, json!({"video_base64": base64(clip()), "actions": 1})).ok().json["video-result"]["alive"],
        true
    );
}

#[test]
fn windows_are_one_for_each_action() {
    let server = Server::new();
    let with =
        |times: &str| live(&server, json!({"video_base64": base64(clip()), "actions": "1,3", "action_time": times}));
    for wrong in ["0-1000", "0-1000,1000-2000,2000-3000", "1000-0,0-1", "a-b,c-d", "0,1", "0-1000,", "-1-5,0-5"] {
        with(wrong).bad("FRS.0703");
    }
    assert_eq!(with("0-1000, 1000-2000").ok().json["video-result"]["alive"], true);
    assert_eq!(with("").ok().json["video-result"]["alive"], true, "empty counts as absent");
    let late = with("1500-2000,1500-2000").ok();
    assert_eq!((&late.json["video-result"]["alive"], warnings(&late)), (&json!(false), vec![6]));
}

#[test]
fn a_nod_is_as_deep_as_asked() {
    let server = Server::new();
    let with = |degrees: Value| {
        live(&server, json!({"video_base64": base64(clip()), "actions": "3", "nod_threshold": degrees}))
    };
    for wrong in [json!(0), json!(91), json!("x"), json!(true), json!(0.5)] {
        with(wrong).bad("FRS.0012");
    }
    assert_eq!(with(json!(15)).ok().json["video-result"]["alive"], true);
    assert_eq!(with(json!("30")).ok().json["video-result"]["alive"], false);
}

#[test]
fn a_clip_may_come_as_a_file_or_by_address() {
    let server = Server::new();
    let by_file = server.post_form("/live-detect", &[("actions", "1"), ("video_file", &clip())]).ok();
    assert_eq!(by_file.json["video-result"]["alive"], true);
    server.fetcher.serve("https://clips.test/1.mp4", clip());
    let by_url = live(&server, json!({"video_url": "https://clips.test/1.mp4", "actions": "1"})).ok();
    assert_eq!(by_url.json, by_file.json);
    live(&server, json!({"video_url": "https://clips.test/2.mp4", "actions": "1"})).bad("FRS.0036");
    live(&server, json!({"video_url": "/bucket/1.mp4", "actions": "1"})).bad("FRS.0022");
    live(&server, json!({"video_url": "nowhere", "actions": "1"})).bad("FRS.0021");
}

#[test]
fn a_clip_that_is_too_large_is_refused() {
    let server = Server::with(Settings { image_bytes_max: 1000, ..Settings::default() });
    asked(&server, "1").bad("FRS.0017");
    server.fetcher.serve("https://clips.test/1.mp4", clip());
    live(&server, json!({"video_url": "https://clips.test/1.mp4", "actions": "1"})).bad("FRS.0036");
}

#[test]
fn a_clip_without_a_face_is_an_answer_with_a_warning() {
    let server = Server::new();
    let frames: String = (0..20).map(|idx| format!("at {}\nsize 640x480\n", idx * 100)).collect();
    let reply = live(&server, json!({"video_base64": base64(format!("clip 2000\n{frames}")), "actions": "1"})).ok();
    let result = json!({"alive": false, "actions": [{"confidence": 0.0, "action": 1}], "picture": ""});
    assert_eq!((&reply.json["video-result"], warnings(&reply)), (&result, vec![5]));
}

#[test]
fn recorders_that_stop_a_little_early_or_late_are_warned() {
    let server = Server::new();
    let with = |ms: u32| {
        let clip = clip().replace("clip 2000", &format!("clip {ms}"));
        live(&server, json!({"video_base64": base64(clip), "actions": "1"}))
    };
    assert_eq!(warnings(&with(1000).ok()), [2]);
    assert_eq!(warnings(&with(15_000).ok()), [0; 0]);
    assert_eq!(warnings(&with(15_100).ok()), [3]);
    with(899).bad("FRS.0706");
    with(15_101).bad("FRS.0706");
}

#[test]
fn case_095_a_picture_is_judged() {
    let server = Server::new();
    for (live, alive) in [("0.9", true), ("0.5", false), ("0.500001", true), ("0.1", false)] {
        for version in ["v1", "v2"] {
            let scene = format!("{F1} live={live}");
            let target = format!("/{version}/{}/live-detect-face", server.acme.project);
            let body = json!({"image_base64": base64(&scene)}).to_string();
            let reply = server.send_signed_in(server.request("POST", &target, body)).ok();
            let confidence: f64 = live.parse().unwrap();
            let result = json!({"alive": alive, "confidence": confidence, "picture": base64(&scene)});
            assert_eq!(reply.json, json!({"result": result, "warning-list": []}));
        }
    }
    let by_file = server.post_form("/live-detect-face", &[("image_file", &format!("{F1} live=0.7"))]).ok();
    assert_eq!(by_file.json["result"]["confidence"], 0.7);
}

#[test]
fn case_096_a_picture_of_nobody_or_none() {
    let server = Server::new();
    let with = |picture: &str| server.post("/live-detect-face", json!({"image_base64": base64(picture)}));
    with(N).bad("FRS.0707");
    with("plain text").bad("FRS.0016");
    server.post("/live-detect-face", json!({})).bad("FRS.0011");
}

#[test]
fn the_flaws_of_a_picture_are_warnings() {
    let server = Server::new();
    let warned = |scene: &str| warnings(&server.post("/live-detect-face", json!({"image_base64": base64(scene)})).ok());
    assert_eq!(warned(&G.replace("200+200", "200+200 live=0.9")), [106]);
    let poor = "live=0.2 total=0.2 sharpness=0.1 frontal=0.1 visibility=0.1 illumination=0.1";
    assert_eq!(warned(&format!("{F1} {poor}")), [101, 102, 103, 104, 105]);
}

#[test]
fn what_is_not_installed_is_not_available() {
    let bare = Server::over(FakeAnalyzer::new().limited_to(Aspects::QUALITY), Settings::default());
    let reply = asked(&bare, "1").bad("FRS.0020");
    assert!(!reply.text.contains("hint"), "the hint is the operator's: {}", reply.text);
    bare.post("/live-detect-face", json!({"image_base64": base64(F1)})).bad("FRS.0020");
    let no_decoder = json!({"video_base64": base64("clip absent"), "actions": "1"});
    live(&Server::new(), no_decoder).bad("FRS.0020");
}
