//! Commands on a library: face sets, faces, import, search.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use expect_test::expect;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Scratch, has_pack};

/// Every command of these tests works on this folder.
const DATA: [&str; 2] = ["--data", "data"];

fn with(arguments: &[&'static str]) -> Vec<&'static str> {
    [arguments, &DATA].concat()
}

fn tenant(scratch: &Scratch, name: &str) {
    scratch.data_of(&["key", "create", "--data", "data", "--tenant", name]);
}

/// A folder of what lies beside the project; `None`, with the reason printed, where it is absent. Photographs in it are
/// never copied into the project.
#[expect(clippy::print_stdout, reason = "a skipped test says why")]
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder);
    if path.is_dir() {
        return path.canonicalize().ok();
    }
    println!("skipped: there is no folder {}", path.display());
    None
}

/// The shared portraits.
pub(crate) fn portraits() -> Option<PathBuf> {
    shared("eval/portraits")
}

/// A grey picture: lawful, and without a face.
pub(crate) fn grey_bmp() -> Vec<u8> {
    let (side, header) = (64_u32, 54_u32);
    let pixels = side * side * 3;
    let mut bmp = b"BM".to_vec();
    for number in [header + pixels, 0, header, 40, side, side] {
        bmp.extend(number.to_le_bytes());
    }
    bmp.extend([1, 0, 24, 0]);
    for number in [0, pixels, 2835, 2835, 0, 0] {
        bmp.extend(number.to_le_bytes());
    }
    bmp.resize((header + pixels) as usize, 128);
    bmp
}

/// A folder to import: two people, one file that is no picture, one picture without a face, one file to leave alone.
fn photographs(scratch: &Scratch, portraits: &Path) {
    let dir = scratch.path().join("photos");
    fs::create_dir_all(dir.join("obama")).unwrap();
    for (from, to) in [("obama.jpg", "obama/1.jpg"), ("obama2.jpg", "obama/2.jpg"), ("biden.jpg", "biden_1.jpg")] {
        fs::copy(portraits.join(from), dir.join(to)).unwrap();
    }
    fs::write(dir.join("broken.jpg"), "not a picture").unwrap();
    fs::write(dir.join("grey.bmp"), grey_bmp()).unwrap();
    fs::write(dir.join("notes.txt"), "left alone").unwrap();
}

/// A library with two people, or nothing with the reason printed.
fn fixture() -> Option<(Scratch, PathBuf)> {
    let portraits = portraits().filter(|_| has_pack())?;
    let scratch = Scratch::new();
    tenant(&scratch, "acme");
    photographs(&scratch, &portraits);
    let imported = scratch.run(&with(&["face", "import", "photos", "--set", "people", "--create"]));
    assert_eq!(imported.code, Some(1), "{}", imported.talk);
    Some((scratch, portraits))
}

#[test]
fn what_needs_no_picture_needs_no_pack() {
    let scratch = Scratch::new();
    tenant(&scratch, "acme");
    let without_pack = |arguments: &[&'static str]| {
        let mut command = scratch.command(&with(arguments));
        command.env("LIKENESS_HOME", "no-packs");
        crate::harness::ended(command)
    };
    let listed = without_pack(&["face-set", "list"]);
    assert_eq!((listed.code, listed.data.as_str(), listed.talk.as_str()), (Some(0), "", "there is no face set yet\n"));
    assert_eq!(without_pack(&["face-set", "list", "--json"]).data, "{\"face_sets\":[]}\n");
    for arguments in [
        &["face-set", "show", "people"][..],
        &["face-set", "delete", "people", "--yes"],
        &["face", "list", "--set", "people"],
        &["face", "show", "1", "--set", "people"],
        &["face", "delete", "1", "--set", "people", "--yes"],
    ] {
        let refused = without_pack(arguments);
        assert_eq!((refused.code, refused.data.as_str()), (Some(2), ""));
        assert!(refused.talk.starts_with("error: ") && refused.talk.contains("people"), "{}", refused.talk);
    }
}

#[test]
fn the_tenant_is_named_or_the_only_one() {
    let scratch = Scratch::new();
    let mut said = String::new();
    let mut list = |arguments: &[&'static str]| {
        let ended = scratch.run(&with(&[&["face-set", "list"], arguments].concat()));
        said += &format!("{:?} {}{}", ended.code.unwrap(), ended.data, ended.talk);
    };
    tenant(&scratch, "acme");
    list(&[]);
    tenant(&scratch, "other");
    list(&[]);
    list(&["--tenant", "nobody"]);
    list(&["--tenant", "other"]);
    expect![[r#"
        0 there is no face set yet
        2 error: there are several tenants
          hint: choose one with `--tenant`: acme, other
        2 error: there is no tenant `nobody`
          hint: the tenants are: acme, other
        0 there is no face set yet
    "#]]
    .assert_eq(&said);
}

#[test]
fn what_is_missing_is_said_before_anything_is_done() {
    let scratch = Scratch::new();
    tenant(&scratch, "acme");
    fs::create_dir(scratch.path().join("empty")).unwrap();
    let mut said = String::new();
    for arguments in [
        &["face", "import", "empty", "--set", "people"][..],
        &["face", "import", "nowhere", "--set", "people"],
        &["face", "add", "nowhere.jpg", "--set", "people"],
        &["search", "empty", "--set", "people"],
        &["compare", "nowhere.jpg", "empty"],
        &["face-set", "create", "people", "--field", "age"],
    ] {
        let ended = scratch.run(&with(arguments));
        assert_eq!((ended.code, ended.data.as_str()), (Some(2), ""));
        said += &ended.talk;
    }
    expect![[r#"
        error: there is no photograph below empty
          hint: photographs are files ending in jpg, jpeg, png, bmp, webp or gif
        error: cannot read folder nowhere: No such file or directory (os error 2)
        error: cannot read photograph nowhere.jpg: No such file or directory (os error 2)
        error: cannot read photograph empty: it is a folder
        error: cannot read photograph nowhere.jpg: No such file or directory (os error 2)
        error: `--field` is `age`, expected NAME:TYPE
    "#]]
    .assert_eq(&said);
}

#[test]
fn a_mistyped_data_folder_is_named_and_not_made() {
    let scratch = Scratch::new();
    for arguments in [
        &["face-set", "list"][..],
        &["face", "list", "--set", "people"],
        &["key", "list"],
        &["key", "delete", "ABCDEFGHIJ0123456789"],
        &["tenant", "list"],
        &["tenant", "delete", "acme", "--yes"],
        &["export", "people", "out.zst"],
    ] {
        let ended = scratch.run(&[arguments, &["--data", "typo"]].concat());
        assert_eq!((ended.code, ended.data.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ended.talk.starts_with("error: there is no library in typo\n"), "{arguments:?}: {}", ended.talk);
        assert!(!scratch.path().join("typo").exists(), "{arguments:?}");
    }
}

#[test]
fn a_folder_is_imported_once_however_often() {
    let Some(portraits) = portraits().filter(|_| has_pack()) else { return };
    let scratch = Scratch::new();
    tenant(&scratch, "acme");
    photographs(&scratch, &portraits);
    let mut said = String::new();
    for arguments in [
        &["face", "import", "photos", "--set", "people"][..],
        &["face", "import", "photos", "--set", "people", "--create"],
        &["face", "import", "photos", "--set", "people", "--json"],
        &["face-set", "list"],
    ] {
        let ended = scratch.run(&with(arguments));
        // Photographs are looked at side by side, so refusals come in any order.
        let mut talk: Vec<_> = ended.talk.split_inclusive('\n').collect();
        if arguments[1] == "import" && ended.code == Some(1) {
            talk.sort_unstable();
        }
        let (line, talk, code) = (arguments.join(" "), talk.concat(), ended.code.unwrap());
        said += &format!("$ likeness {line}\n{}{talk}-> {code}\n", ended.data);
    }
    expect![[r#"
        $ likeness face import photos --set people
        error: face set `people` does not exist
          hint: add `--create` to make it
        -> 2
        $ likeness face import photos --set people --create
        enrolled 3 faces of 2 subjects into `people`, 2 refused
        made face set `people`
        passed over: 1 with another ending (notes.txt)
        refused: broken.jpg: data is no image in a known format, expected one of JPEG, PNG, BMP, WebP, GIF
        refused: grey.bmp: the image shows no face
        -> 1
        $ likeness face import photos --set people --json
        {"face_set":"people","n_files":5,"enrolled":0,"already_enrolled":3,"refused":[{"file":"broken.jpg","kind":"image_format","message":"data is no image in a known format, expected one of JPEG, PNG, BMP, WebP, GIF"},{"file":"grey.bmp","kind":"no_face_in_image","message":"the image shows no face"}],"interrupted":false,"passed_over":[{"file":"notes.txt","reason":"ending"}],"files":[{"file":"biden_1.jpg","subject":"biden","outcome":"already_enrolled"},{"file":"broken.jpg","subject":"broken","outcome":"refused"},{"file":"grey.bmp","subject":"grey","outcome":"refused"},{"file":"obama/1.jpg","subject":"obama","outcome":"already_enrolled"},{"file":"obama/2.jpg","subject":"obama","outcome":"already_enrolled"}]}
        refused: broken.jpg: data is no image in a known format, expected one of JPEG, PNG, BMP, WebP, GIF
        refused: grey.bmp: the image shows no face
        -> 1
        $ likeness face-set list
        name    faces  capacity  pack
        people      3         -  default-2
        -> 0
    "#]].assert_eq(&said);

    // A photograph put in another one's place is new; what was refused is gone; the rest is known.
    fs::copy(portraits.join("biden2.jpg"), scratch.path().join("photos/biden_1.jpg")).unwrap();
    for name in ["broken.jpg", "grey.bmp"] {
        fs::remove_file(scratch.path().join("photos").join(name)).unwrap();
    }
    let again = scratch.data_of(&with(&["face", "import", "photos", "--set", "people"]));
    assert_eq!(again, "enrolled 1 face of 1 subject into `people`, 2 already enrolled\n");
}

#[test]
fn nothing_in_a_folder_ends_an_import() {
    let Some(portraits) = portraits().filter(|_| has_pack()) else { return };
    let scratch = Scratch::new();
    tenant(&scratch, "acme");
    photographs(&scratch, &portraits);
    let photos = scratch.path().join("photos");
    fs::write(photos.join("a_first.jpg"), "").unwrap();
    fs::write(photos.join("bell\u{7}.jpg"), "x").unwrap();
    fs::create_dir(photos.join("turned\u{202e}")).unwrap();
    fs::write(photos.join("turned\u{202e}/gpj.jpg"), "").unwrap();
    let long = "l".repeat(250);
    fs::create_dir(photos.join(&long)).unwrap();
    fs::copy(portraits.join("biden2.jpg"), photos.join(&long).join("1.jpg")).unwrap();
    symlink(&photos, photos.join("again")).unwrap();
    symlink("nowhere", photos.join("gone.jpg")).unwrap();
    let import = ["face", "import", "photos", "--set", "people", "--create", "--json"];
    let ended = scratch.run(&with(&import));
    assert_eq!(ended.code, Some(1), "{}", ended.talk);
    let report: Value = serde_json::from_str(&ended.data).unwrap();
    assert_eq!((&report["enrolled"], &report["interrupted"]), (&Value::from(4), &Value::from(false)), "{report}");
    let pairs = |list: &str, member: &str| -> Vec<String> {
        let items = report[list].as_array().unwrap().iter();
        items
            .map(|item| format!("{} {}", item["file"].as_str().unwrap().escape_debug(), item[member].as_str().unwrap()))
            .collect()
    };
    expect![[r#"
        a_first.jpg empty
        bell\u{7}.jpg name
        broken.jpg image_format
        grey.bmp no_face_in_image
        turned\u{202e}/gpj.jpg empty"#]]
    .assert_eq(&pairs("refused", "kind").join("\n"));
    expect![[r#"
        again seen_before
        gone.jpg broken_link
        notes.txt ending"#]]
    .assert_eq(&pairs("passed_over", "reason").join("\n"));
    assert_eq!(pairs("files", "outcome").len(), 9);
    assert!(ended.talk.contains("refused: bell\\u{7}.jpg: ") && !ended.talk.contains('\u{202e}'), "{}", ended.talk);
}

#[test]
fn two_imports_at_once_make_one_face_set_and_enrol_each_face_once() {
    let Some(portraits) = portraits().filter(|_| has_pack()) else { return };
    let scratch = Scratch::new();
    tenant(&scratch, "acme");
    photographs(&scratch, &portraits);
    let Some(mut server) = scratch.serve(&[]) else { return };
    let import = ["face", "import", "photos", "--set", "people", "--create", "--json"];
    let reports: Vec<Value> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| scratch.run(&with(&import)))).collect();
        let ended = runs.into_iter().map(|run| run.join().unwrap());
        ended.map(|ended| serde_json::from_str(&ended.data).unwrap_or_else(|_| panic!("{}", ended.talk))).collect()
    });
    let sum = |member: &str| reports.iter().map(|report| report[member].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("enrolled"), sum("already_enrolled")), (3, 3), "{reports:?}");
    server.stop();
}

// Without a server a command has the folder for itself: the second waits, says so, and finds everything there.
#[test]
fn two_imports_at_once_without_a_server_work_one_after_the_other() {
    let Some(portraits) = portraits().filter(|_| has_pack()) else { return };
    let scratch = Scratch::new();
    tenant(&scratch, "acme");
    photographs(&scratch, &portraits);
    let import = ["face", "import", "photos", "--set", "people", "--create", "--json"];
    let runs: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| scratch.run(&with(&import)))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let reports: Vec<Value> =
        runs.iter().map(|run| serde_json::from_str(&run.data).unwrap_or_else(|_| panic!("{}", run.talk))).collect();
    let mut counts: Vec<(&Value, &Value)> =
        reports.iter().map(|report| (&report["enrolled"], &report["already_enrolled"])).collect();
    counts.sort_by_key(|(enrolled, _)| enrolled.as_u64());
    assert_eq!(counts, [(&0.into(), &3.into()), (&3.into(), &0.into())], "{reports:?}");
    let waited: Vec<_> = runs.iter().filter(|run| run.talk.contains(" is in use by process ")).collect();
    assert!(waited.iter().all(|run| run.talk.contains("waiting until that has ended")), "{waited:?}");
}

#[test]
fn somebody_is_found_until_deleted() {
    let Some((scratch, portraits)) = fixture() else { return };
    let probe = portraits.join("obama3.jpg");
    let stranger = portraits.join("astronaut.png");
    let search = |photo: &Path| scratch.run(&["search", photo.to_str().unwrap(), "--set", "people", "--data", "data"]);

    let found = search(&probe);
    assert_eq!(found.code, Some(0));
    let threshold = "threshold 0.4289: FAR 1e-4 per comparison, 3e-4 false matches expected among 3 faces";
    assert!(found.talk.starts_with(threshold), "{}", found.talk);
    let lines: Vec<_> = found.data.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["similarity", "FAR", "false", "matches", "subject", "face", "id", "external", "id"]
    );
    assert_eq!(lines.len(), 3, "both photographs of one, none of the other: {}", found.data);
    assert!(lines[1..].iter().all(|line| line.contains("  obama  ") && line.contains("  obama/")), "{}", found.data);

    let nobody = search(&stranger);
    assert_eq!((nobody.code, nobody.data.as_str()), (Some(1), ""));
    assert!(
        nobody.talk.starts_with("nobody in `people` reaches similarity 0.4289\nthreshold: FAR 1e-4"),
        "{}",
        nobody.talk
    );
    let photo = probe.to_str().unwrap();
    let refused = scratch.run(&["search", photo, "--set", "people", "--data", "data", "--false-matches", "1e-6"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused
            .talk
            .contains("`false_matches` is 0.000001, expected 3e-6 to 3e-1 among 3 faces; 3.3e-7 per comparison")
    );

    // What is refused is named as it was written, and what 1 means elsewhere is said.
    for (far, said) in [("0.10000001", "`--far` is 0.10000001, expected"), ("1", "1 is no threshold")] {
        let refused = scratch.run(&with(&["thresholds", "--set", "people", "--far", far]));
        assert!(refused.code == Some(2) && refused.talk.contains(said), "{}", refused.talk);
    }
    let table = scratch.data_of(&with(&["thresholds", "--set", "people", "--false-matches", "0.001", "--json"]));
    let table: Value = serde_json::from_str(&table).unwrap();
    assert_eq!((&table["pack"], &table["n_faces"]), (&Value::from("default-2"), &Value::from(3)));
    let rows = table["thresholds"].as_array().unwrap();
    assert_eq!(rows.len(), 7, "six measured points and the one asked for: {table}");
    let asked = rows.iter().find(|row| (row["false_matches"].as_f64().unwrap() - 1e-3).abs() < 1e-6).unwrap();
    assert!((asked["far"].as_f64().unwrap() * 3.0 - 1e-3).abs() < 1e-6, "{asked}");
    let usual = rows.iter().find(|row| row["far"] == 1e-4).unwrap();
    let numbers = ["huawei", "aliyun", "yuanli", "facepp"].map(|dialect| usual["numbers"][dialect].as_f64().unwrap());
    assert_eq!(numbers, [0.93, 80.0, 80.0, 69.101]);

    let gone = scratch.run(&with(&["face", "delete", "--subject", "obama", "--set", "people", "--yes"]));
    assert_eq!((gone.code, gone.data.as_str()), (Some(0), "deleted 2 faces from `people`\n"));
    let gone = scratch.run(&with(&["face", "delete", "--subject", "obama", "--set", "people", "--yes"]));
    assert_eq!((gone.code, gone.data.as_str()), (Some(1), "deleted 0 faces from `people`\n"));
    assert_eq!(search(&probe).code, Some(1));
}

#[test]
fn commands_speak_to_a_running_server_as_to_the_folder() {
    let Some((scratch, portraits)) = fixture() else { return };
    let probe = portraits.join("obama3.jpg");
    let commands = [
        with(&["face-set", "show", "people", "--json"]),
        with(&["face", "list", "--set", "people"]),
        with(&["face", "show", "7", "--set", "people"]),
        with(&["search", "PROBE", "--set", "people", "--json", "--top", "1"]),
        with(&["search", "PROBE", "--set", "people", "--far", "2"]),
    ];
    let run_all = || {
        let run = |arguments: &Vec<&'static str>| {
            let of = |word: &&'static str| if *word == "PROBE" { probe.to_str().unwrap() } else { *word };
            let ended = scratch.run(&arguments.iter().map(of).collect::<Vec<_>>());
            format!("{arguments:?}: {:?}\n{}{}", ended.code, ended.data, ended.talk)
        };
        commands.iter().map(run).collect::<String>()
    };
    let alone = run_all();
    let Some(mut server) = scratch.serve(&[]) else { return };
    assert_eq!(run_all(), alone);
    let photo = portraits.join("astronaut.png");
    let added = scratch.data_of(&[
        "face",
        "add",
        photo.to_str().unwrap(),
        "--set",
        "people",
        "--subject",
        "eileen",
        "--external-id",
        "e-1",
        "--data",
        "data",
        "--json",
    ]);
    let added: Value = serde_json::from_str(&added).unwrap();
    assert_eq!(added["faces"][0]["subject"], json!("eileen"));
    // A killed server leaves its socket behind, which is in nobody's way.
    server.signal(Signal::KILL);
    server.wait();
    assert!(scratch.data().join("likeness.sock").exists());
    let listed = scratch.data_of(&with(&["face", "list", "--set", "people"]));
    assert!(listed.contains("eileen") && listed.contains("e-1"), "{listed}");
}

#[test]
fn custom_fields_are_typed_and_filtered() {
    let Some(portraits) = portraits().filter(|_| has_pack()) else { return };
    let scratch = Scratch::new();
    tenant(&scratch, "acme");
    let photo = portraits.join("obama_small.jpg");
    let photo = photo.to_str().unwrap();
    let mut said = String::new();
    for arguments in [
        &["face-set", "create", "people", "--field", "age:integer", "--field", "city:string", "--capacity", "1"][..],
        &["face", "add", photo, "--set", "people", "--subject", "obama", "--field", "age=old"],
        &[
            "face",
            "add",
            photo,
            "--set",
            "people",
            "--subject",
            "obama",
            "--field",
            "age=62",
            "--field",
            "city=Chicago",
        ],
        &["face", "add", photo, "--set", "people"],
        &["search", photo, "--set", "people", "--filter", "age:[0 TO 61]"],
        &["face", "delete", "--filter", "city:Chicago", "--set", "people", "--dry-run"],
        &["face", "delete", "--filter", "city:Chicago", "--set", "people", "--dry-run", "--json"],
        &["face", "delete", "--subject", "nobody", "--set", "people", "--dry-run"],
        &["face", "delete", "--filter", "city:Chicago", "--set", "people"],
        &["face-set", "delete", "people", "--only-if-empty"],
    ] {
        if arguments[..2] == ["face", "delete"] {
            let found = [&["search", photo, "--set", "people", "--filter", "age:[62 TO 62]", "--json"][..], &DATA];
            let found: Value = serde_json::from_str(&scratch.data_of(&found.concat())).unwrap();
            assert_eq!(found["candidates"][0]["similarity"], 1.0, "it is the same photograph");
            assert_eq!(found["candidates"][0]["face"]["fields"], json!({"age": 62, "city": "Chicago"}));
        }
        let ended = scratch.run(&[arguments, &DATA].concat());
        let line = arguments.join(" ").replace(photo, "PHOTO");
        said += &format!("$ likeness {line}\n{}{}-> {}\n", ended.data, ended.talk, ended.code.unwrap());
    }
    // A long number can only be the new face's id.
    let is_id = |word: &str| word.len() > 8 && word.bytes().all(|byte| byte.is_ascii_digit());
    let said: Vec<_> = said.split(' ').map(|word| if is_id(word) { "[id]" } else { word }).collect();
    expect![[r#"
        $ likeness face-set create people --field age:integer --field city:string --capacity 1
        made face set `people` with pack default-2
        -> 0
        $ likeness face add PHOTO --set people --subject obama --field age=old
        error: custom field `age` is the text `old`, expected a whole number from -2147483648 to 2147483647: its type is integer
        -> 2
        $ likeness face add PHOTO --set people --subject obama --field age=62 --field city=Chicago
        enrolled face [id] into `people` as `obama`
        -> 0
        $ likeness face add PHOTO --set people
        error: face set `people` holds at most 1 faces
        -> 2
        $ likeness search PHOTO --set people --filter age:[0 TO 61]
        nobody in `people` reaches similarity 0.4289
        threshold: FAR 1e-4 per comparison, 1e-4 false matches expected among 1 face (95 %: 7.6e-5 to 1.3e-4)
        -> 1
        $ likeness face delete --filter city:Chicago --set people --dry-run
        would delete 1 face from `people`
        -> 0
        $ likeness face delete --filter city:Chicago --set people --dry-run --json
        {"n_faces":1}
        -> 0
        $ likeness face delete --subject nobody --set people --dry-run
        would delete 0 faces from `people`
        -> 1
        $ likeness face delete --filter city:Chicago --set people
        deleted 1 face from `people`
        -> 0
        $ likeness face-set delete people --only-if-empty
        deleted face set `people`
        -> 0
    "#]]
    .assert_eq(&said.join(" "));
}

/// Whoever names a database means that one, not the library of a server that happens to run in the usual folder.
#[test]
fn a_command_that_names_another_library_is_refused_beside_a_server() {
    let scratch = Scratch::new();
    let Some(_server) = scratch.serve(&["--quickstart"]) else { return };
    let elsewhere = ["--data", "data", "--store", "postgres://127.0.0.1:1/x"];
    for command in [
        &["face-set", "create", "visitors"][..],
        &["face-set", "delete", "demo", "--yes"],
        &["person", "create", "anna"],
        &["search", "--face-id", "1", "--set", "demo"],
        &["job", "list"],
        &["check"],
        &["console"],
    ] {
        let ended = scratch.run(&[command, &elsewhere].concat());
        assert_eq!(ended.code, Some(2), "{command:?}: {}", ended.talk);
        let said = "`store` is `postgres://127.0.0.1:1/x`, and the server that runs in ";
        assert!(ended.talk.contains(said) && ended.talk.contains("leave `--store`"), "{command:?}: {}", ended.talk);
    }
    let looked = scratch.run(&[&["doctor"], &elsewhere[..]].concat());
    assert!(looked.data.contains("the server that runs in"), "{}", looked.data);
    assert_ne!(looked.code, Some(0));
    // Nothing was written, and without the option it is the server's library.
    assert!(!scratch.data_of(&["face-set", "list", "--data", "data", "--json"]).contains("visitors"));
}
