use super::*;
use expect_test::{Expect, expect};

const MANIFEST: &str = include_str!("../default-1.toml");
const MODEL_OF_DETECTOR: &[u8] = b"a detector";
const MODEL_OF_EMBEDDER: &[u8] = b"an embedder";

/// A user's own pack: nothing but a folder with a manifest and two files.
fn own_pack() -> (tempfile::TempDir, Home, PackId) {
    let scratch = tempfile::tempdir().unwrap();
    let home = Home::at(scratch.path());
    let id = PackId::new("mine-7").unwrap();
    let dir = home.pack_dir(&id);
    fs::create_dir_all(&dir).unwrap();
    let manifest = MANIFEST
        .replace("id = \"default\"\nversion = 1", "id = \"mine\"\nversion = 7")
        .replace(
            "f6fc21a6dbc7c46bc2f0c38d1546296c5555b38556bd50686bd1e6473b0373a7",
            &Digest::of(MODEL_OF_DETECTOR).to_string(),
        )
        .replace(
            "3fcd8d8101d4848068d402944e1d4e500b96e258bddeefdf7984895289bbb9cc",
            &Digest::of(MODEL_OF_EMBEDDER).to_string(),
        );
    fs::write(dir.join(MANIFEST_FILE), manifest).unwrap();
    fs::write(dir.join("yunet-2023mar.onnx"), MODEL_OF_DETECTOR).unwrap();
    fs::write(dir.join("sface-2021dec.onnx"), MODEL_OF_EMBEDDER).unwrap();
    (scratch, home, id)
}

/// The error with the scratch folder and digests taken out.
fn redacted(home: &Home, err: &likeness_domain::Error) -> String {
    assert_eq!(err.kind(), likeness_domain::Kind::PackUnavailable);
    let text = err.to_string().replace(home.path().to_str().unwrap(), "HOME");
    let words = text.split(' ').map(|word| {
        let hex = word.trim_end_matches([',', '\n']);
        if Digest::parse(hex).is_some() { word.replace(hex, "DIGEST") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ").replace(&Digest::of(MODEL_OF_EMBEDDER).to_string(), "DIGEST")
}

#[track_caller]
fn check_load(home: &Home, id: &PackId, expect: Expect) {
    expect.assert_eq(&redacted(home, &load(home, id).expect_err("must be refused")));
}

#[test]
fn a_users_own_pack_needs_only_a_manifest() {
    let (_scratch, home, id) = own_pack();
    let pack = load(&home, &id).unwrap();
    assert_eq!(pack.manifest().id(), &id);
    assert_eq!(&pack.read(&pack.manifest().recognition().unwrap().embed.file).unwrap()[..], MODEL_OF_EMBEDDER);
    let listed: Vec<_> =
        list(&home).unwrap().into_iter().map(|finding| (finding.name, finding.outcome.is_ok())).collect();
    assert_eq!(listed, [("mine-7".to_owned(), true)]);
    let verified = verify(&home, Some(&id)).unwrap();
    assert_eq!((verified[0].name.as_str(), verified[0].outcome.is_ok()), ("mine-7", true));
}

#[test]
fn a_replaced_model_is_refused_on_load_and_on_read() {
    let (_scratch, home, id) = own_pack();
    let loaded_before = load(&home, &id).unwrap();
    fs::write(home.pack_dir(&id).join("sface-2021dec.onnx"), "another embedder").unwrap();
    check_load(
        &home,
        &id,
        expect![[r#"
        `HOME/packs/mine-7/sface-2021dec.onnx` has digest DIGEST, its manifest states DIGEST
        hint: the file is damaged or was replaced; remove `HOME/packs/mine-7` and install the pack again"#]],
    );
    let err = loaded_before.read(&loaded_before.manifest().recognition().unwrap().embed.file).unwrap_err();
    assert!(redacted(&home, &err).contains("its manifest states DIGEST"));
    let verified = verify(&home, Some(&id)).unwrap();
    assert!(verified[0].outcome.is_err());
}

#[test]
fn a_missing_model_is_refused() {
    let (_scratch, home, id) = own_pack();
    fs::remove_file(home.pack_dir(&id).join("yunet-2023mar.onnx")).unwrap();
    check_load(
        &home,
        &id,
        expect![[r#"
        `HOME/packs/mine-7/yunet-2023mar.onnx` is missing
        hint: remove `HOME/packs/mine-7` and install the pack again, by `likeness pack install`"#]],
    );
}

#[test]
fn a_folder_must_not_answer_for_another_pack() {
    let (_scratch, home, id) = own_pack();
    let other = PackId::new("default-1").unwrap();
    fs::rename(home.pack_dir(&id), home.pack_dir(&other)).unwrap();
    check_load(
        &home,
        &other,
        expect![[r#"
        `HOME/packs/default-1/manifest.toml`: `pack.id` and `pack.version` make `mine-7`
        hint: rename the folder to `mine-7`"#]],
    );
}

#[test]
fn an_unknown_pack_is_named_with_a_hint() {
    let (_scratch, home, _) = own_pack();
    let id = PackId::new("arc-3").unwrap();
    check_load(
        &home,
        &id,
        expect![[r#"
        model pack `arc-3` is not installed
        hint: run `likeness pack list` to see the installed packs"#]],
    );
    assert!(verify(&home, Some(&id)).is_err());
}

#[test]
fn a_broken_pack_is_listed_with_what_is_wrong_and_hides_no_other() {
    let (_scratch, home, id) = own_pack();
    let broken = home.packs_dir().join("broken-1");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join(MANIFEST_FILE), "[pack]\nid = 5").unwrap();
    let listed = list(&home).unwrap();
    assert_eq!(listed.len(), 2);
    expect!["`HOME/packs/broken-1/manifest.toml`: line 2 (`id = 5`): invalid type: integer `5`, expected a string"]
        .assert_eq(&redacted(&home, listed[0].outcome.as_ref().unwrap_err()));
    assert_eq!(listed[1].name, id.as_str());
    // With the runtime, which is not there, either.
    let verified: Vec<_> =
        verify(&home, None).unwrap().into_iter().map(|finding| (finding.name, finding.outcome.is_ok())).collect();
    let expected = [("broken-1", false), ("mine-7", true), ("onnxruntime-1.31.1", false)];
    assert_eq!(verified, expected.map(|(name, ok)| (name.to_owned(), ok)));
}

#[test]
fn a_home_that_does_not_exist_has_no_packs() {
    let scratch = tempfile::tempdir().unwrap();
    let home = Home::at(scratch.path().join("nowhere"));
    assert!(list(&home).unwrap().is_empty());
    assert!(runtime(&home).unwrap_err().hint().is_some_and(|hint| hint == "run `likeness pack install`"));
}
