//! Detect and compare, routes in general, and what is not available.

use axum::body::Body;
use likeness_domain::types::Aspects;
use serde_json::{Value, json};

use super::server::{F1, F1B, F2, G, N, Server, base64};

fn detect(server: &Server, picture: &str, attributes: Value) -> super::server::Reply {
    server.post("/face-detect", json!({"image_base64": base64(picture), "attributes": attributes}))
}

fn compare(server: &Server, first: &str, second: &str) -> super::server::Reply {
    server.post("/face-compare", json!({"image1_base64": base64(first), "image2_base64": base64(second)}))
}

#[test]
fn case_082_and_083_compare() {
    let server = Server::new();
    let same = compare(&server, F1, F1B).ok();
    assert!(same.json["similarity"].as_f64().unwrap() >= 0.93, "{}", same.text);
    assert_eq!(same.json["image1_face"]["bounding_box"]["width"], 120);
    assert_eq!(same.json["image2_face"]["bounding_box"]["width"], 100);
    let other = compare(&server, F1, F2).ok();
    assert!(other.json["similarity"].as_f64().unwrap() < 0.93, "{}", other.text);
    assert_eq!(compare(&server, F1, F1).ok().json["similarity"], 1.0);
    compare(&server, F1, N).bad("FRS.0501");
    compare(&server, N, F1).bad("FRS.0501");
}

#[test]
fn case_084_one_image_is_not_enough() {
    let server = Server::new();
    for body in [json!({"image1_base64": base64(F1)}), json!({"image2_base64": base64(F1)}), json!({})] {
        server.post("/face-compare", body).bad("FRS.0011");
    }
}

#[test]
fn case_085_compare_by_form() {
    let server = Server::new();
    let reply = server.post_form("/face-compare", &[("image1_file", F1), ("image2_file", F1B)]).ok();
    assert!(reply.json["similarity"].as_f64().unwrap() >= 0.93);
}

#[test]
fn case_086_and_088_detect() {
    let server = Server::new();
    let reply = detect(&server, G, json!(null)).ok();
    assert_eq!(
        reply.json,
        json!({"faces": [
            {"bounding_box": {"width": 150, "height": 150, "top_left_x": 200, "top_left_y": 200}},
            {"bounding_box": {"width": 80, "height": 80, "top_left_x": 10, "top_left_y": 10}},
        ]})
    );
    assert_eq!(detect(&server, N, json!("2")).ok().json, json!({"faces": []}));
}

/// Anna at 34, smiling, a little turned away, in a good picture.
const SEEN: &str = "face anna 120x130+10+20 age=33.6 male=0.12 expression=happy yaw=-12.5 pitch=4 roll=1.25 mouth=0.1 \
    total=0.81 sharpness=0.94 frontal=0.89 visibility=0.98 illumination=0.86";

const EVERY_CODE: &str = "0,1,2,3,4, 5,6,7,8,11,12,13,21";

#[test]
fn every_attribute_code_is_answered() {
    let server = Server::new();
    let face = detect(&server, SEEN, json!(EVERY_CODE)).ok().json["faces"][0].clone();
    let unknown = "unknown";
    assert_eq!(
        face["attributes"],
        json!({
            "headpose": {"pitch_angle": 4.0, "roll_angle": 1.25, "yaw_angle": -12.5},
            "gender": "female",
            "age": 34,
            "dress": {"glass": unknown, "hat": unknown},
            "smile": "yes",
            "mask": unknown, "hair": unknown, "beard": unknown,
            "quality": {"total_score": 0.81, "blur": 0.06, "pose": 0.11, "occlusion": 0.02, "illumination": 0.14},
            "expression": {"type": "happy", "probability": 0.94},
            "face_angle": 0,
        })
    );
    let lengths = ["eyes_contour", "mouth_contour", "face_contour", "eyebrow_contour", "nose_contour"].map(|part| {
        let points = face["landmark"][part].as_array().unwrap();
        assert!(points.iter().all(|point| point["x"].is_i64() && point["y"].is_i64()), "{points:?}");
        points.len()
    });
    assert_eq!(lengths, [12, 20, 17, 10, 9]);
}

#[test]
fn every_expression_has_the_vendors_word() {
    let server = Server::new();
    let words = [
        ("neutral", "neutral"),
        ("happy", "happy"),
        ("sad", "sad"),
        ("angry", "angry"),
        ("fearful", "fear"),
        ("disgusted", "disgust"),
        ("surprised", "surprise"),
    ];
    for (ours, theirs) in words {
        let picture = format!("face anna 120x130+10+20 expression={ours}");
        let attributes = detect(&server, &picture, json!("5,13")).ok().json["faces"][0]["attributes"].clone();
        assert_eq!(attributes["expression"]["type"], theirs);
        assert_eq!(attributes["smile"], if ours == "happy" { "yes" } else { "none" });
    }
}

#[test]
fn attributes_nobody_measures_are_unknown_or_left_out() {
    let server = Server::new();
    let face = |codes: Value| detect(&server, F1, codes).ok().json["faces"][0].clone();
    let attributes = |codes: Value| face(codes).get("attributes").cloned();
    assert_eq!(attributes(json!("")), None);
    let dress = json!({"glass": "unknown", "hat": "unknown"});
    // How a face lies is seen from the detector's points, which are always there.
    assert_eq!(
        attributes(json!(EVERY_CODE)),
        Some(json!({"dress": dress, "smile": "unknown", "mask": "unknown", "hair": "unknown", "beard": "unknown",
            "expression": {"type": "unknown"}, "face_angle": 0}))
    );
    assert_eq!(face(json!(3)).get("landmark"), None);
    assert_eq!(attributes(json!("1,2,12")), Some(json!({})));
    assert_eq!(attributes(json!(6)), Some(json!({"mask": "unknown"})));
}

#[test]
fn nothing_is_measured_that_is_not_asked_for() {
    let server = Server::new();
    let assessed = |codes: Value| {
        let before = server.analyzer.requests().len();
        detect(&server, SEEN, codes).ok();
        server.analyzer.requests()[before].assess.aspects
    };
    assert_eq!(assessed(json!(null)), Aspects::NONE);
    assert_eq!(assessed(json!("4,6,7,8,11,99")), Aspects::NONE);
    assert_eq!(assessed(json!("21")), Aspects::POINTS, "the angle comes from the points");
    assert_eq!(assessed(json!("2,12")), Aspects::AGE_AND_GENDER.and(Aspects::QUALITY));
    let face = detect(&server, SEEN, json!("13")).ok().json["faces"][0].clone();
    assert_eq!(face["attributes"].as_object().unwrap().len(), 1);
    assert_eq!(face.get("landmark"), None);
}

#[test]
fn how_a_face_lies_is_told_when_it_is_asked_for() {
    let server = Server::new();
    let found = detect(&server, "face anna 120x130+10+20", json!("21")).ok();
    assert_eq!(found.json["faces"][0]["attributes"], json!({"face_angle": 0}), "its fake points are upright");
}

#[test]
fn case_087_exactly_what_was_asked_for() {
    let server = Server::new();
    let attributes = detect(&server, SEEN, json!("2,12")).ok().json["faces"][0]["attributes"].clone();
    let names: Vec<&String> = attributes.as_object().unwrap().keys().collect();
    assert_eq!(names, ["age", "quality"]);
}

#[test]
fn case_089_and_090_codes() {
    let server = Server::new();
    assert_eq!(detect(&server, SEEN, json!("2,99")).ok().json["faces"][0]["attributes"], json!({"age": 34}));
    for wrong in [json!("age"), json!("2,"), json!("2,x"), json!("-1"), json!("100"), json!("1.5"), json!([2])] {
        detect(&server, F1, wrong).bad("FRS.0012");
    }
}

#[test]
fn case_091_the_older_version_s_path_answers_the_same() {
    let server = Server::with_lib_a();
    server.add(F1, "anna", json!({}));
    let post = |version: &str, path: &str| {
        let target = format!("/{version}/{}{path}", server.acme.project);
        let body = json!({"image_base64": base64(F1)}).to_string();
        server.send_signed_in(server.request("POST", &target, body)).ok().json
    };
    for path in ["/face-detect", "/face-sets/lib-a/search"] {
        assert_eq!(post("v1", path), post("v2", path));
    }
}

#[test]
fn case_097_unknown_routes_and_methods_are_the_gateway_s_404() {
    let server = Server::new();
    let project = &server.acme.project;
    for (method, target) in [
        ("GET", format!("/v2/{project}/unknown")),
        ("PATCH", format!("/v2/{project}/face-sets")),
        ("POST", format!("/v2/{project}/face/quality/blur-classify")),
        ("GET", format!("/v3/{project}/face-sets")),
        ("GET", format!("/v4/{project}/face-sets")),
        ("GET", format!("/v2/{project}/face-sets//faces")),
        ("GET", format!("/v2/{project}/face-sets/lib-a/faces//")),
        ("GET", "/v2".to_owned()),
        ("DELETE", "/v3/auth/tokens".to_owned()),
        ("GET", format!("/v2/{project}/%FF")),
        ("OPTIONS", format!("/v2/{project}/face-sets")),
    ] {
        let reply = server.send_signed_in(server.request(method, &target, Body::empty())).refused(404, "APIG.0101");
        assert_eq!(reply.json["request_id"].as_str().unwrap(), reply.headers["x-request-id"]);
    }
}

#[test]
fn a_trailing_slash_is_forgiven() {
    let server = Server::with_lib_a();
    for path in ["/face-sets/", "/face-sets/lib-a/", "/face-sets/lib-a/faces/"] {
        server.get(path).ok();
    }
}

#[test]
fn case_098_headers_that_mean_nothing_here_change_nothing() {
    let server = Server::new();
    let mut request = server.request("GET", &server.target("/face-sets"), Body::empty());
    let headers = request.headers_mut();
    headers.insert("enterprise-project-id", "nonsense".parse().unwrap());
    headers.insert("x-security-token", "whatever".parse().unwrap());
    headers.remove("content-type");
    server.send_signed_in(request).ok();
}

/// `Server::send` holds every answer to the shape; here are errors of every layer, from the gateway to the library.
#[test]
fn case_099_every_error_has_its_shape() {
    let server = Server::with_lib_a();
    let target = |path: &str| server.target(path);
    let unsigned = server.send(server.request("GET", &target("/face-sets"), Body::empty()));
    let unknown = server.send_signed_in(server.request("PATCH", &target("/face-sets"), Body::empty()));
    let missing = server.send_signed_in(server.request("GET", &target("/face-sets/nobody"), Body::empty()));
    let no_json = server.send_signed_in(server.request("POST", &target("/face-detect"), Body::from("{")));
    let expected = [(unsigned, 401, "APIG."), (unknown, 404, "APIG."), (missing, 400, "FRS."), (no_json, 400, "FRS.")];
    for (reply, status, family) in expected {
        assert_eq!(reply.status, status, "{}", reply.text);
        assert!(reply.json["error_code"].as_str().unwrap().starts_with(family), "{}", reply.text);
    }
}

#[test]
fn outside_the_dialects_paths_are_plainly_unknown() {
    let server = Server::new();
    for (target, status) in [("/healthz", 200), ("/readyz", 200), ("/readyz/x", 404), ("/", 300), ("/vx", 404)] {
        let request = server.request("GET", target, Body::empty());
        let status_of = |request| server.raw(request).0;
        assert_eq!(status_of(request), status, "{target}");
    }
    let shown = |target: &str| server.raw(server.request("GET", target, Body::empty())).2;
    assert_eq!(shown("/healthz"), r#"{"status":"ok"}"#);
    assert_eq!(
        shown("/readyz"),
        concat!(
            r#"{"status":"ok","engines":{"detector":"fake f32"},"parts":{"disk":{"state":"ok"},"#,
            r#""index":{"state":"ok"},"pipeline":{"state":"ok"},"store":{"state":"ok"}}}"#
        )
    );
}
