//! Stages that measure faces, alone in a pack and beside the others.

use likeness_domain::types::{Aspects, Expression};

use super::*;

const ATTRIBUTES: &str = include_str!("../../attributes.toml");
const LIVENESS: &str = include_str!("../../liveness.toml");

fn parse(text: &str) -> Result<Manifest> {
    Manifest::parse(text.as_bytes(), "manifest.toml")
}

#[track_caller]
fn check_stage_refused(text: &str, from: &str, to: &str, expect: Expect) {
    assert!(text.contains(from), "the manifest has no {from:?}");
    let err = parse(&text.replacen(from, to, 1)).expect_err("must be refused");
    assert_eq!(err.kind(), Kind::PackUnavailable);
    expect.assert_eq(err.message());
}

#[test]
fn our_stage_packs_state_what_their_models_need() {
    let attributes = parse(ATTRIBUTES).unwrap();
    assert!(attributes.recognition().is_none());
    assert_eq!(attributes.assess().words(), ["landmarks68", "expression", "age_gender"]);
    assert_eq!(attributes.files().len(), 3);
    assert_eq!(attributes.assess().expression.as_ref().unwrap().classes, Expression::ALL);
    let age_gender = attributes.assess().age_gender.clone().unwrap();
    assert_eq!((age_gender.male_idx, age_gender.age_years), (0, 1.0));
    let liveness = parse(LIVENESS).unwrap();
    assert_eq!(liveness.assess().aspects(), Aspects::LIVENESS);
    let stage = liveness.assess().liveness.as_ref().unwrap();
    assert_eq!(stage.models.iter().map(|model| model.crop).collect::<Vec<_>>(), [2.7, 4.0]);
    assert_eq!((stage.live_class, stage.input.side, stage.input.order), (1, 80, ColourOrder::Bgr));
}

#[test]
fn pack_may_recognise_and_assess() {
    let stage = ATTRIBUTES.split_once("[landmarks68]").unwrap().1;
    let manifest = parse(&format!("{DEFAULT}\n[landmarks68]{stage}")).unwrap();
    assert!(manifest.recognition().is_some());
    assert_eq!(manifest.files().len(), 5);
}

#[test]
fn stages_of_recognition_go_together() {
    check_refused(
        "dimension = 128\n",
        "",
        expect!["manifest.toml: has `detect`, `align`, `embed`, `score` but not `pack.dimension`: they go together"],
    );
    check_refused(
        "[align]\ntemplate = \"five-point-112\"\n",
        "",
        expect!["manifest.toml: has `pack.dimension`, `detect`, `embed`, `score` but not `align`: they go together"],
    );
    let bare = "[pack]\nid = \"bare\"\nversion = 1\nlicence = \"none\"\n";
    expect!["manifest.toml: has no stage: neither `detect`, `align`, `embed` and `score`, nor one that assesses"]
        .assert_eq(parse(bare).unwrap_err().message());
}

#[test]
fn stage_values_out_of_range_are_named_with_what_is_accepted() {
    check_stage_refused(
        ATTRIBUTES,
        "\"square-crop\"",
        "\"landscape\"",
        expect![[
            r#"manifest.toml: line 10 (`family = "landscape"`): unknown variant `landscape`, expected `square-crop`"#
        ]],
    );
    check_stage_refused(
        ATTRIBUTES,
        "crop = 1.0",
        "crop = 0.0",
        expect!["manifest.toml: `landmarks68.crop` is 0, expected above 0 to 8"],
    );
    check_stage_refused(
        ATTRIBUTES,
        "size = 112",
        "size = 4096",
        expect!["manifest.toml: `landmarks68.input.size` is 4096, expected 1 to 1024"],
    );
    check_stage_refused(
        ATTRIBUTES,
        "\"sad\"",
        "\"happy\"",
        expect![[
            r#"manifest.toml: `expression.classes` is ["neutral", "happy", "happy", "angry", "fearful", "disgusted", "surprised"], expected each of neutral, happy, sad, angry, fearful, disgusted, surprised once"#
        ]],
    );
    check_stage_refused(
        ATTRIBUTES,
        "[\"male\", \"female\"]",
        "[\"male\", \"male\"]",
        expect![[
            r#"manifest.toml: `age_gender.gender.classes` is ["male", "male"], expected male and female in any order"#
        ]],
    );
    check_stage_refused(
        ATTRIBUTES,
        "years = 1.0",
        "years = -1.0",
        expect!["manifest.toml: `age_gender.age.years` is -1, expected above 0 to 1000"],
    );
    check_stage_refused(
        LIVENESS,
        "live_class = 1",
        "live_class = 100",
        expect!["manifest.toml: `liveness.live_class` is 100, expected 0 to 99"],
    );
    check_stage_refused(
        LIVENESS,
        "minifasnet_v1se_4.0_80.onnx",
        "minifasnet_v2_2.7_80.onnx",
        expect!["manifest.toml: two stages name `minifasnet_v2_2.7_80.onnx` but state different digests"],
    );
}
