use super::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;

const DEFAULT: &str = include_str!("../default-1.toml");

mod assess;
mod mesh;

#[track_caller]
fn check_refused(from: &str, to: &str, expect: Expect) {
    assert!(DEFAULT.contains(from), "the default manifest has no {from:?}");
    let text = DEFAULT.replacen(from, to, 1);
    let err = Manifest::parse(text.as_bytes(), "manifest.toml").expect_err("must be refused");
    assert_eq!(err.kind(), Kind::PackUnavailable);
    assert_eq!(err.message().lines().count(), 1, "one line: {}", err.message());
    expect.assert_eq(err.message());
}

#[test]
fn the_default_pack_states_what_its_models_need() {
    let manifest = Manifest::parse(DEFAULT.as_bytes(), "default-1.toml").unwrap();
    assert_eq!(manifest.id().as_str(), "default-1");
    let recognition = manifest.recognition().unwrap();
    assert_eq!(recognition.dimensions, 128);
    assert_eq!(recognition.detect.input.frame, DetectFrame::MultipleOf(32));
    assert_eq!(recognition.detect.input.order, ColourOrder::Bgr);
    assert_eq!(recognition.detect.strides, [8, 16, 32]);
    assert_eq!(recognition.embed.input.order, ColourOrder::Rgb);
    assert_eq!(recognition.embed.output.as_deref(), Some("fc1"));
    let points = recognition.score.calibration.points();
    assert_eq!(points.len(), 6);
    assert_eq!((points[3].far, points[3].similarity.get()), (1e-4, 0.4148));
}

#[test]
fn a_fixed_size_detector_states_its_side() {
    let text = DEFAULT.replace("multiple_of = 32", "side = 640").replace("side_max = 2560", "side_max = 640");
    let manifest = Manifest::parse(text.as_bytes(), "manifest.toml").unwrap();
    assert_eq!(manifest.recognition().unwrap().detect.input.frame, DetectFrame::Fixed(640));
}

#[test]
fn a_typo_is_refused_with_its_place() {
    check_refused(
        "score_min",
        "score_mim",
        expect![
            "manifest.toml: line 16 (`score_mim = 0.6`): unknown field `score_mim`, expected one of `family`, `file`, `sha256`, `input`, `strides`, `score_min`, `nms_iou`, `side_max`, `first_pass`"
        ],
    );
    check_refused("nms_iou = 0.3\n", "", expect!["manifest.toml: line 9 (`[detect]`): missing field `nms_iou`"]);
    check_refused(
        "version = 1",
        "version = \"one\"",
        expect![[r#"manifest.toml: line 4 (`version = "one"`): invalid type: string "one", expected u32"#]],
    );
    check_refused(
        "\"yunet\"",
        "\"retinaface\"",
        expect![[
            r#"manifest.toml: line 10 (`family = "retinaface"`): unknown variant `retinaface`, expected `yunet`"#
        ]],
    );
    check_refused(
        "[align]",
        "[aling]",
        expect![
            "manifest.toml: line 22 (`[aling]`): unknown field `aling`, expected one of `pack`, `detect`, `mesh`, `align`, `embed`, `score`, `landmarks68`, `expression`, `age_gender`, `liveness`"
        ],
    );
    check_refused("[pack]", "[pack", expect!["manifest.toml: line 2 (`[pack`): unclosed table, expected `]`"]);
}

#[test]
fn a_value_out_of_range_is_named_with_what_is_accepted() {
    check_refused(
        "id = \"default\"",
        "id = \"../x\"",
        expect![[
            r#"manifest.toml: `pack.id` is "../x", expected 1 to 48 of a-z, 0-9, - and _, beginning with a letter or digit"#
        ]],
    );
    check_refused("version = 1", "version = 0", expect!["manifest.toml: `pack.version` is 0, expected 1 to 9999"]);
    check_refused(
        "dimension = 128",
        "dimension = 5000",
        expect!["manifest.toml: `pack.dimension` is 5000, expected 1 to 4096"],
    );
    check_refused(
        "side_max = 2560",
        "side_max = 100000",
        expect!["manifest.toml: `detect.side_max` is 100000, expected 32 to 8192"],
    );
    check_refused(
        "multiple_of = 32",
        "multiple_of = 12",
        expect!["manifest.toml: `detect.strides` is [8, 16, 32], expected 1 to 8 rising divisors of the input size 12"],
    );
    check_refused(
        "multiple_of = 32",
        "multiple_of = 32, side = 640",
        expect!["manifest.toml: `detect.input` needs either `multiple_of` (free size) or `side` (fixed size)"],
    );
    check_refused(
        "multiple_of = 32",
        "side = 640",
        expect!["manifest.toml: `detect.input.side` is 640, expected 2560 to 8192"],
    );
    check_refused(
        "score_min = 0.6",
        "score_min = nan",
        expect!["manifest.toml: `detect.score_min` is NaN, expected above 0 to 1"],
    );
    check_refused(
        "scale = 1.0",
        "scale = 0.0",
        expect!["manifest.toml: `detect.input.scale` is 0, expected a finite number other than 0"],
    );
    check_refused(
        "size = 112",
        "size = 160",
        expect!["manifest.toml: `embed.input.size` is 160, expected 112, the aligned crop's side"],
    );
    check_refused(
        "{ far = 1e-3, similarity = 0.3582",
        "{ far = 1e-3, similarity = 0.2",
        expect![
            "manifest.toml: `score.operating_points` must have `far` between 0 and 1, each once, a lower `far` a higher `similarity`, and ends of `far_interval` that do not rise"
        ],
    );
    check_refused(
        "{ far = 1e-3, similarity = 0.3582",
        "{ far = 1e-3, similarity = 0.3582, far_interval = [2e-3, 3e-3]",
        expect![
            "manifest.toml: `score.operating_points` has far_interval [0.002, 0.003] at far 0.001, expected 0 <= low <= far <= high <= 1"
        ],
    );
    check_refused(
        "tar = 0.9877",
        "tar = 98.77",
        expect!["manifest.toml: `score.operating_points` has tar 98.77, expected 0 to 1"],
    );
}

#[test]
fn a_file_outside_the_pack_is_refused() {
    check_refused(
        "\"yunet-2023mar.onnx\"",
        "\"../yunet.onnx\"",
        expect![[
            r#"manifest.toml: `detect.file` is "../yunet.onnx", expected the plain name of a file beside the manifest"#
        ]],
    );
    check_refused(
        "\"yunet-2023mar.onnx\"",
        "\"manifest.toml\"",
        expect![[
            r#"manifest.toml: `detect.file` is "manifest.toml", expected the plain name of a file beside the manifest"#
        ]],
    );
    check_refused(
        "\"f6fc21a6",
        "\"F6fc21a6",
        expect![[
            r#"manifest.toml: `detect.sha256` is "F6fc21a6dbc7c46bc2f0c38d1546296c5555b38556bd50686bd1e6473b0373a7", expected 64 lower-case hex digits"#
        ]],
    );
}

#[test]
fn a_huge_manifest_is_refused_unread() {
    let err = Manifest::parse(&vec![b' '; MANIFEST_BYTES_MAX + 1], "manifest.toml").unwrap_err();
    expect!["manifest.toml: has 65537 bytes, expected at most 65536"].assert_eq(err.message());
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Manifest::parse(&bytes, "manifest.toml");
    }

    #[test]
    fn a_damaged_manifest_never_panics(at in 0..DEFAULT.len(), byte in any::<u8>()) {
        let mut bytes = DEFAULT.as_bytes().to_vec();
        bytes[at] = byte;
        if let Err(err) = Manifest::parse(&bytes, "manifest.toml") {
            prop_assert_eq!(err.message().lines().count(), 1);
        }
    }
}
