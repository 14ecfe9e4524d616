//! The quality gate in our own words.

use super::*;

const SHARP: &str = "face anna 100x100+10+5 total=0.9 sharpness=0.9";
const BLURRED: &str = "face carl 80x80+400+5 total=0.4 sharpness=0.05";

#[tokio::test]
async fn a_gate_is_set_shown_and_changed() {
    let fixture = Fixture::with_set().await;
    let made = fixture.json(Method::POST, "/face-sets", json!({"name": "gate", "quality": "high"})).await;
    assert_eq!((made.0, &made.1["quality"]), (StatusCode::CREATED, &json!("high")));
    let patch = json!({"quality": "none", "label": "Gate", "note": ""});
    let (status, changed) = fixture.json(Method::PATCH, "/face-sets/gate", patch).await;
    assert_eq!((status, &changed["quality"], &changed["label"]), (StatusCode::OK, &json!("none"), &json!("Gate")));
    let mut shown = fixture.get("/face-sets/gate").await.1;
    // How much room it takes is counted for whoever asks for it alone.
    assert!(shown.as_object_mut().unwrap().remove("storage").is_some());
    assert_eq!(shown, changed);
    let wrong = fixture.json(Method::PATCH, "/face-sets/gate", json!({"quality": "best"})).await;
    assert_eq!(wrong.1["error"]["message"], "`quality` is `best`, expected none, low, medium or high");
    check_refused(wrong, Kind::InvalidArgument);
    check_refused(fixture.json(Method::PATCH, "/face-sets/nope", json!({})).await, Kind::FaceSetNotFound);
}

#[tokio::test]
async fn who_is_not_good_enough_is_told_with_the_reasons() {
    let fixture = Fixture::with_set().await;
    let refused = fixture.raw("/face-sets/staff/faces", BLURRED).await;
    let message = "the face is too poor to be enrolled: blurred (sharpness 0.05, expected at least 0.10)";
    assert_eq!(refused.1["error"]["message"], message);
    let failures = json!([{"figure": "sharpness", "value": 0.05, "least": 0.1}]);
    assert_eq!(rounded(&refused.1["error"]["failures"]), failures);
    check_refused(refused, Kind::PoorQuality);

    let (status, added) = fixture.raw("/face-sets/staff/faces?faces=all", &format!("{SHARP}\n{BLURRED}")).await;
    assert_eq!((status, added["faces"].as_array().map(Vec::len)), (StatusCode::CREATED, Some(1)));
    assert_eq!(added["refused"][0]["reasons"], json!(["blurred (sharpness 0.05, expected at least 0.10)"]));
    assert_eq!(rounded(&added["refused"][0]["failures"]), failures);
    assert_eq!(added["refused"][0]["detection"]["box"]["left"], 400);
}

/// Figures as people write them, who have no 32 bits.
fn rounded(failures: &Value) -> Value {
    let mut failures = failures.clone();
    for failure in failures.as_array_mut().into_iter().flatten() {
        for name in ["value", "least"] {
            let value = failure[name].as_f64().expect("a number");
            failure[name] = json!((value * 1e4).round() / 1e4);
        }
    }
    failures
}
