//! OpenVINO's libraries beside the rest: what is wrong with them is said, and costs nothing else.

use super::*;
use crate::pack::openvino;

const ARCHIVE: &str = "tinyvino-2.0-cp311-linux.whl";
const FILES: [(&str, &[u8]); 2] =
    [("tinyvino/libs/libc.so.2", b"an interface"), ("tinyvino/libs/libcpu.so", b"a plug-in")];

fn recipe() -> openvino::Recipe {
    let package = Package {
        client: Client::Pip,
        name: "tinyvino".into(),
        version: "2.0".into(),
        build: Build::ForThisMachine,
        bytes_about: 4096,
        sha256: None,
    };
    let files = FILES.iter().map(|(member, bytes)| Ingredient { member: (*member).into(), sha256: Digest::of(bytes) });
    openvino::Recipe { package, files: files.collect() }
}

fn install(scene: &Scene) -> Result<Installed> {
    install_all(&scene.home, &Source::Path(scene.archives()), &scene.recipes, Some(&recipe()), &())
}

/// Everything of the pack and ONNX Runtime, and of OpenVINO what `openvino` names.
#[track_caller]
fn check_there(scene: &Scene, openvino: &[&str]) {
    let mut expected: Vec<String> = EVERYTHING.iter().map(|&file| file.into()).collect();
    expected.extend(openvino.iter().map(|file| format!("runtime/openvino-2.0/{file}")));
    expected.sort();
    assert_eq!(files_under(scene.home.path()), expected);
}

#[test]
fn openvino_is_installed_with_the_rest_and_mended_when_damaged() {
    let scene = Scene::new();
    scene.put(ARCHIVE, &wheel(&FILES));
    install(&scene).unwrap();
    check_there(&scene, &["libc.so.2", "libcpu.so"]);
    let damaged = scene.home.openvino_dir("2.0").join("libcpu.so");
    fs::write(&damaged, b"a plug-").unwrap();
    let error = openvino::installed(&scene.home, &recipe()).expect_err("is damaged");
    assert_eq!(error.kind(), Kind::PackUnavailable);
    assert!(error.message().contains("libcpu.so` has digest "), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("run `likeness pack install` to fetch it again")), "{error}");
    install(&scene).unwrap();
    openvino::installed(&scene.home, &recipe()).expect("is whole again");
    assert_eq!(fs::read(damaged).unwrap(), b"a plug-in");
}

/// A damaged archive is refused with these words; all else is installed, and a whole one then mends it.
#[track_caller]
fn check_refused(archive: Option<&[u8]>, expect: Expect) {
    let scene = Scene::new();
    if let Some(archive) = archive {
        scene.put(ARCHIVE, archive);
    }
    let installed = install(&scene).expect("works without OpenVINO");
    assert_eq!(fs::read(&installed.runtime.path).unwrap(), LIBRARY, "ONNX Runtime is there");
    check_there(&scene, &[]);
    let error = install_openvino(&scene.home, &Source::Path(scene.archives()), &recipe(), &()).expect_err("is refused");
    assert_eq!(error.kind(), Kind::PackUnavailable);
    expect.assert_eq(&redacted(&error.to_string(), scene.scratch.path()));
    check_there(&scene, &[]);
    let error = openvino::installed(&scene.home, &recipe()).expect_err("is not there");
    assert!(error.message().starts_with("OpenVINO 2.0 is not installed in `"), "{error}");
    scene.put(ARCHIVE, &wheel(&FILES));
    install(&scene).unwrap();
    check_there(&scene, &["libc.so.2", "libcpu.so"]);
}

#[test]
fn without_its_archive_all_else_is_installed() {
    check_refused(
        None,
        expect![[r#"
            `DIR/archives` holds no archive of tinyvino 2.0 (`tinyvino-2.0-*.whl`)
            hint: fetch it with `pip download --no-deps --only-binary :all: tinyvino==2.0` on a machine with network"#]],
    );
}

#[test]
fn a_cut_off_archive_is_refused_and_all_else_installed() {
    let whole = wheel(&FILES);
    let expected = || {
        expect![[r#"
            `DIR/archives/tinyvino-2.0-cp311-linux.whl` cannot be unpacked: it is not a whole archive
            hint: the archive is damaged; fetch it again"#]]
    };
    for n_bytes in [0, 10, whole.len() / 2, whole.len() - 30] {
        check_refused(Some(&whole[..n_bytes]), expected());
    }
}

#[test]
fn a_library_with_a_wrong_digest_is_refused_and_all_else_installed() {
    check_refused(
        Some(&wheel(&[FILES[0], ("tinyvino/libs/libcpu.so", b"another plug-in")])),
        expect![[r#"
            `tinyvino/libs/libcpu.so` in `DIR/archives/tinyvino-2.0-cp311-linux.whl` has digest DIGEST, expected DIGEST
            hint: nothing was installed from it; fetch it again, and do not use it if the digest stays the same"#]],
    );
}

#[test]
fn an_archive_that_lacks_a_library_is_refused_and_all_else_installed() {
    check_refused(
        Some(&wheel(&FILES[..1])),
        expect![[r#"
            `DIR/archives/tinyvino-2.0-cp311-linux.whl` holds no `tinyvino/libs/libcpu.so`
            hint: this is not the archive it says it is; fetch it again from the package index"#]],
    );
}

#[test]
fn of_two_archives_the_whole_one_is_taken() {
    let scene = Scene::new();
    scene.put(ARCHIVE, &wheel(&FILES));
    scene.put("tinyvino-2.0-cp310-linux.whl", b"PK cut off");
    scene.put("tinyvino-2.0-cp312-linux.whl", b"");
    install(&scene).unwrap();
    check_there(&scene, &["libc.so.2", "libcpu.so"]);
}
