//! A pack with a first pass and a face mesh.

use super::*;

const WITH_MESH: &str = include_str!("../../default-2.toml");

#[track_caller]
fn check_mesh_refused(from: &str, to: &str, expect: Expect) {
    assert!(WITH_MESH.contains(from), "the manifest has no {from:?}");
    let text = WITH_MESH.replacen(from, to, 1);
    let err = Manifest::parse(text.as_bytes(), "manifest.toml").expect_err("must be refused");
    assert_eq!(err.kind(), Kind::PackUnavailable);
    expect.assert_eq(err.message());
}

#[test]
fn the_default_pack_finds_faces_in_two_passes_and_aligns_by_the_mesh() {
    let manifest = Manifest::parse(WITH_MESH.as_bytes(), "default-2.toml").unwrap();
    assert_eq!(manifest.id(), &crate::pack::default_pack_id());
    let files: Vec<_> = manifest.files().into_iter().map(|file| file.name.as_str()).collect();
    assert_eq!(files, ["yunet-2023mar.onnx", "face-mesh-468.onnx", "sface-2021dec.onnx"]);
    let recognition = manifest.recognition().unwrap();
    assert_eq!(recognition.detect.first_pass, Some(FirstPass { side: 320, score_sure: 0.85 }));
    assert_eq!(recognition.align.template, AlignTemplate::Mesh468_112);
    let mesh = recognition.mesh.as_ref().unwrap();
    assert_eq!(mesh.family, MeshFamily::FaceMesh468);
    assert_eq!((mesh.input.side, mesh.input.order, mesh.input.scale), (192, ColourOrder::Rgb, 255.0));
    assert_eq!((mesh.presence_min, mesh.presence_sure, mesh.tilt_max, mesh.passes_max), (8.0, 12.0, 4.0, 4));
    assert_eq!((mesh.points.as_str(), mesh.presence.as_str()), ("points", "presence"));
    assert_eq!(recognition.score.calibration.points()[3].similarity.get(), 0.4289);
}

#[test]
fn a_pack_without_a_mesh_has_neither_first_pass_nor_mesh() {
    let manifest = Manifest::parse(DEFAULT.as_bytes(), "default-1.toml").unwrap();
    let recognition = manifest.recognition().unwrap();
    assert_eq!((recognition.detect.first_pass, &recognition.mesh), (None, &None));
}

#[test]
fn alignment_by_the_mesh_needs_a_mesh() {
    let start = WITH_MESH.find("[mesh]").unwrap();
    let end = WITH_MESH.find("[align]").unwrap();
    let text = format!("{}{}", &WITH_MESH[..start], &WITH_MESH[end..]);
    let err = Manifest::parse(text.as_bytes(), "manifest.toml").unwrap_err();
    expect![[r#"manifest.toml: `align.template` is "mesh-468-112", which needs the points of `[mesh]`"#]]
        .assert_eq(err.message());
    let alone = format!("[pack]\nid = \"a\"\nversion = 1\nlicence = \"none\"\n{}", &WITH_MESH[start..end]);
    let err = Manifest::parse(alone.as_bytes(), "manifest.toml").unwrap_err();
    expect!["manifest.toml: has `mesh` but not `detect`, which finds the faces that the mesh is fitted to"]
        .assert_eq(err.message());
}

#[test]
fn mesh_values_out_of_range_are_named_with_what_is_accepted() {
    check_mesh_refused(
        "side = 320",
        "side = 4000",
        expect!["manifest.toml: `detect.first_pass.side` is 4000, expected 32 to 2560"],
    );
    check_mesh_refused(
        "score_sure = 0.85",
        "score_sure = 0.4",
        expect!["manifest.toml: `detect.first_pass.score_sure` is 0.4, expected 0.5 to 1"],
    );
    check_mesh_refused(
        "\"face-mesh-468\"",
        "\"face-mesh-478\"",
        expect![[
            r#"manifest.toml: line 24 (`family = "face-mesh-478"`): unknown variant `face-mesh-478`, expected `face-mesh-468`"#
        ]],
    );
    check_mesh_refused(
        "crop_scale = 1.5",
        "crop_scale = 0.5",
        expect!["manifest.toml: `mesh.crop_scale` is 0.5, expected 1 to 4"],
    );
    check_mesh_refused(
        "presence_min = 8.0",
        "presence_min = nan",
        expect!["manifest.toml: `mesh.presence_min` is NaN, expected -100 to 100"],
    );
    check_mesh_refused(
        "presence_sure = 12.0",
        "presence_sure = 7.0",
        expect!["manifest.toml: `mesh.presence_sure` is 7, expected 8 to 100"],
    );
    check_mesh_refused(
        "tilt_max = 4.0",
        "tilt_max = 0.0",
        expect!["manifest.toml: `mesh.tilt_max` is 0, expected above 0 to 90 degrees"],
    );
    check_mesh_refused(
        "passes_max = 4",
        "passes_max = 0",
        expect!["manifest.toml: `mesh.passes_max` is 0, expected 1 to 16"],
    );
    check_mesh_refused(
        "presence = \"presence\"",
        "presence = \"points\"",
        expect![[r#"manifest.toml: `mesh.points` and `mesh.presence` are both "points", expected two outputs"#]],
    );
}
