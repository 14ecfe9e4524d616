//! `likeness export` and `likeness import`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::harness::{Ended, Scratch, has_pack};

/// Bytes of a template that points mostly along one axis: another for each number, and of unit length.
fn template(number: usize) -> Vec<u8> {
    let mut numbers = [0.0_f32; 128];
    numbers[number % 128] = 0.8;
    numbers[(number / 128 + number % 128 + 1) % 128] = 0.6;
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, idx| word << 8 | u32::from(*group.get(idx).unwrap_or(&0)));
        for idx in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * idx) & 63) as usize] as char;
            text.push(if idx <= group.len() { digit } else { '=' });
        }
    }
    text
}

fn header() -> Value {
    json!({"format": "likeness-archive", "version": 1, "pack": "default-2", "dimensions": 128})
}

fn face(number: usize) -> Value {
    json!({"external_id": format!("e{number}"), "subject": format!("s{number}"),
           "fields": {"floor": number, "team": "blue"}, "template": base64(&template(number))})
}

fn text(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A library with the tenant `acme`, and `in.zst` with these lines; nothing, with the reason printed, without a pack.
fn with_archive(lines: &[Value]) -> Option<Scratch> {
    if !has_pack() {
        return None;
    }
    let scratch = Scratch::new();
    scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme"]);
    fs::write(scratch.path().join("in.zst"), zstd::encode_all(text(lines).as_bytes(), 3).unwrap()).unwrap();
    Some(scratch)
}

fn run(scratch: &Scratch, arguments: &[&str]) -> Ended {
    scratch.run(&[arguments, &["--data", "data"]].concat())
}

fn lines_of(scratch: &Scratch, file: &str) -> Vec<Value> {
    let bytes = fs::read(scratch.path().join(file)).unwrap();
    let plain = String::from_utf8(zstd::decode_all(bytes.as_slice()).unwrap()).unwrap();
    plain.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn faces_come_in_by_template_and_go_out_again() {
    let n_faces = 2500;
    let lines: Vec<Value> = std::iter::once(header()).chain((0..n_faces).map(face)).collect();
    let Some(scratch) = with_archive(&lines) else { return };
    let imported = run(&scratch, &["import", "in.zst", "--set", "staff", "--tenant", "acme", "--json"]);
    assert_eq!(imported.code, Some(0), "{}", imported.talk);
    let told: Value = serde_json::from_str(&imported.data).unwrap();
    assert_eq!((&told["faces"], &told["enrolled"]), (&json!(n_faces), &json!(n_faces)));

    // The set has no capacity, and the fields that the faces have.
    let sets: Value = serde_json::from_str(&run(&scratch, &["face-set", "list", "--json"]).data).unwrap();
    let set = &sets["face_sets"][0];
    assert_eq!((&set["n_faces"], set.get("capacity")), (&json!(n_faces), None));
    assert_eq!(set["fields"], json!([{"name": "floor", "type": "long"}, {"name": "team", "type": "string"}]));

    // Once more enrols nothing.
    let again = run(&scratch, &["import", "in.zst", "--set", "staff"]);
    assert_eq!(again.data, format!("enrolled 0 faces into `staff`, {n_faces} already enrolled\n"));
    let mut command = scratch.command(&["import", "-", "--set", "staff", "--data", "data"]);
    command.stdin(fs::File::open(scratch.path().join("in.zst")).unwrap());
    assert_eq!(crate::harness::ended(command).data, again.data, "from standard input");

    let exported = run(&scratch, &["export", "staff", "out.zst", "--tenant", "acme"]);
    assert_eq!(exported.data, format!("exported {n_faces} faces of `staff` to out.zst\n"), "{}", exported.talk);
    let mode = fs::metadata(scratch.path().join("out.zst")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(!scratch.path().join("out.zst.partial").exists());
    let out = lines_of(&scratch, "out.zst");
    assert_eq!((&out[0]["faces"], out[0].get("thumbnails")), (&json!(n_faces), None));
    let cut: Vec<Value> = out[..n_faces].to_vec();
    fs::write(scratch.path().join("cut"), text(&cut)).unwrap();
    let refused = run(&scratch, &["import", "cut", "--set", "cut", "--tenant", "acme"]);
    assert_eq!(refused.code, Some(2), "{}", refused.talk);
    assert!(refused.talk.contains(&format!("ends after {} of {n_faces} faces", n_faces - 1)), "{}", refused.talk);
    // Pictures are asked for of sets that keep them only.
    let refused = run(&scratch, &["export", "staff", "pictures.zst", "--thumbnails"]);
    assert!(refused.code == Some(2) && refused.talk.contains("keeps no thumbnails"), "{}", refused.talk);
    let refused = run(&scratch, &["import", "out.zst", "--set", "staff", "--thumbnails"]);
    assert!(refused.code == Some(2) && refused.talk.contains("keeps no thumbnails"), "{}", refused.talk);
    assert!(!scratch.path().join("pictures.zst").exists());
    run(&scratch, &["face-set", "delete", "cut", "--yes"]);
    for (name, value) in header().as_object().unwrap() {
        assert_eq!(out[0][name], *value);
    }
    assert_eq!(out.len(), 1 + n_faces);
    for (line, face) in out[1..].iter().zip(&lines[1..]) {
        for (name, value) in face.as_object().unwrap() {
            assert_eq!(line[name], *value, "{name}");
        }
    }

    // What was exported is the same after another turn, also without external ids, also through a server.
    let without_external_id = |line: &Value| {
        let mut line = line.clone();
        line.as_object_mut().unwrap().remove("external_id");
        line
    };
    let bare: Vec<Value> = out.iter().map(without_external_id).collect();
    let other = Scratch::new();
    fs::write(other.path().join("bare.ndjson"), text(&bare)).unwrap();
    other.data_of(&["key", "create", "--data", "data", "--tenant", "acme"]);
    let Some(mut server) = other.serve(&[]) else { return };
    for n_new in [n_faces, 0] {
        let imported = run(&other, &["import", "bare.ndjson", "--set", "copy", "--json"]);
        let told: Value = serde_json::from_str(&imported.data).unwrap_or_else(|_| panic!("{}", imported.talk));
        assert_eq!(told["enrolled"], json!(n_new));
    }
    let exported = run(&other, &["export", "copy", "copy.zst"]);
    assert_eq!(exported.code, Some(0), "{}", exported.talk);
    server.stop();
    let copy = lines_of(&other, "copy.zst");
    assert_eq!(copy[1..], bare[1..]);
}

/// Issue 15, find 7: `-` made a file of that name.
#[test]
fn an_archive_goes_to_standard_output_and_what_cannot_is_refused() {
    let lines: Vec<Value> = std::iter::once(header()).chain((0..3).map(face)).collect();
    let Some(scratch) = with_archive(&lines) else { return };
    run(&scratch, &["import", "in.zst", "--set", "staff"]);
    let output = scratch.command(&["export", "staff", "-", "--data", "data"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "exported 3 faces of `staff`\n");
    fs::write(scratch.path().join("out.zst"), &output.stdout).unwrap();
    assert_eq!(lines_of(&scratch, "out.zst").len(), 4);
    for (arguments, words) in [
        (&["export", "staff", "-", "--json"][..], "`--json` prints to standard output"),
        (&["backup", "-"], "not written to standard output"),
        (&["recover", "--to", "-"], "not written to standard output"),
        (&["calibrate", "photos", "-o", "-"], "not written to standard output"),
        (&["detect", "a.jpg", "-o", "-"], "not written to standard output"),
        (&["explain", "a.jpg", "b.jpg", "--crops", "-"], "not written to standard output"),
        (&["man", "-"], "not written to standard output"),
    ] {
        let refused = run(&scratch, arguments);
        assert_eq!((refused.code, refused.data.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(refused.talk.contains(words), "{arguments:?}: {}", refused.talk);
    }
    assert!(!scratch.path().join("-").exists());
}

#[test]
fn an_import_that_cannot_be_as_asked_makes_no_set_and_one_that_does_not_fit_enrols_what_does() {
    let lines: Vec<Value> = std::iter::once(header()).chain((0..9).map(face)).collect();
    let Some(scratch) = with_archive(&lines) else { return };
    let refused = run(&scratch, &["import", "in.zst", "--set", "staff", "--skip", "10"]);
    assert_eq!((refused.code, refused.data.as_str()), (Some(2), ""), "{}", refused.talk);
    assert!(refused.talk.contains("`--skip` is 10, and the archive has 9 faces"), "{}", refused.talk);
    assert_eq!(run(&scratch, &["face-set", "list", "--json"]).data, "{\"face_sets\":[]}\n");

    let full = run(&scratch, &["import", "in.zst", "--set", "staff", "--capacity", "5"]);
    assert_eq!((full.code, full.data.as_str()), (Some(2), "enrolled 5 faces into `staff`\n"), "{}", full.talk);
    assert!(full.talk.contains("line 7: face set `staff`"), "{}", full.talk);
    // Run again in the same words it goes on; other words are not passed over.
    let again = run(&scratch, &["import", "in.zst", "--set", "staff", "--capacity", "5"]);
    assert!(again.talk.contains("line 7: face set `staff`"), "{}", again.talk);
    let other = run(&scratch, &["import", "in.zst", "--set", "staff", "--capacity", "50"]);
    assert_eq!((other.code, other.data.as_str()), (Some(2), ""), "{}", other.talk);
    assert!(other.talk.contains("`staff` exists and has a capacity of 5"), "{}", other.talk);
    // A set that was made for nothing does not stay.
    run(&scratch, &["tenant", "set", "acme", "--faces-max", "5"]);
    let full = run(&scratch, &["import", "in.zst", "--set", "other"]);
    assert_eq!((full.code, full.data.as_str()), (Some(2), "enrolled 0 faces into `other`\n"), "{}", full.talk);
    assert!(full.talk.contains("removed face set `other` again"), "{}", full.talk);
    let sets: Value = serde_json::from_str(&run(&scratch, &["face-set", "list", "--json"]).data).unwrap();
    assert_eq!((sets["face_sets"].as_array().unwrap().len(), &sets["face_sets"][0]["name"]), (1, &json!("staff")));
    let unwritten = run(&scratch, &["export", "staff", "nosuch/x.zst"]);
    assert_eq!(unwritten.code, Some(2));
    assert!(unwritten.talk.contains("cannot write nosuch/x.zst: "), "{}", unwritten.talk);
}

#[test]
fn faces_of_persons_stay_theirs() {
    let mut lines = vec![header()];
    for number in 0..3 {
        let person = json!({"key": "anna", "name": "Anna"});
        lines.push(json!({"person": person, "template": base64(&template(number)), "id": (number + 7).to_string()}));
    }
    lines.push(face(9));
    let Some(scratch) = with_archive(&lines) else { return };
    for expected in ["enrolled 4 faces into `staff`\n", "enrolled 0 faces into `staff`, 4 already enrolled\n"] {
        let imported = run(&scratch, &["import", "in.zst", "--set", "staff"]);
        assert_eq!(imported.data, expected, "{}", imported.talk);
    }
    run(&scratch, &["export", "staff", "out.zst"]);
    let out = lines_of(&scratch, "out.zst");
    let persons = out.iter().filter(|line| line["person"] == json!({"key": "anna", "name": "Anna"})).count();
    assert_eq!((out.len(), persons), (5, 3));
}

/// A person has each face once, in however many sets it is shown; and those whose faces are all known join the set.
#[test]
fn faces_of_persons_are_not_enrolled_again_by_another_set() {
    let mut lines = vec![header()];
    for number in 0..4 {
        let mut line =
            json!({"person": {"key": "anna"}, "template": base64(&template(number)), "id": (number + 7).to_string()});
        if number % 2 == 1 {
            line["external_id"] = json!(format!("photo-{number}"));
        }
        lines.push(line);
    }
    let Some(scratch) = with_archive(&lines) else { return };
    assert_eq!(run(&scratch, &["import", "in.zst", "--set", "staff"]).data, "enrolled 4 faces into `staff`\n");
    for set in ["copy", "copy", "other"] {
        let imported = run(&scratch, &["import", "in.zst", "--set", set]);
        assert_eq!(imported.data, format!("enrolled 0 faces into `{set}`, 4 already enrolled\n"), "{}", imported.talk);
    }
    let sets: Value = serde_json::from_str(&run(&scratch, &["face-set", "list", "--json"]).data).unwrap();
    let counts: Vec<_> = sets["face_sets"].as_array().unwrap().iter().map(|set| &set["n_faces"]).collect();
    assert_eq!(counts, [&json!(4); 3]);
}

/// Each is refused with its line and what is expected; what stands before it is enrolled, and nothing behind it.
#[test]
fn a_bad_line_is_named() {
    let bad = [
        (json!({"template": "AAAA"}), "`template` has 3 bytes, expected 4 for each number"),
        (json!({"template": "not base64!"}), "`template` is not standard base64 with padding"),
        (json!({"template": base64(&[0; 512])}), "a template has only finite numbers, not all zero"),
        (json!({"template": base64(&1.0_f32.to_le_bytes())}), "the template has 1 numbers, expected 128"),
        (
            json!({"template": base64(&template(1)), "fields": {"floor": "third"}}),
            "custom field `floor` is the text `third`, expected a whole number",
        ),
        (json!({"template": base64(&template(1)), "fields": {"other": 1}}), "custom field `other` is not defined"),
        (json!({"template": base64(&template(1)), "subject": ""}), "subject"),
        (
            json!({"template": base64(&template(1)), "created_at": "yesterday"}),
            "`created_at` is no time, expected RFC 3339",
        ),
        (json!({"template": base64(&template(1)), "colour": "red"}), "line 3 is no face: unknown field `colour`"),
        (json!({"subject": "x"}), "line 3 is no face: missing field `template`"),
        (
            json!({"template": base64(&template(2)), "external_id": "e1"}),
            "line 3: `external_id` is that of another face, in line 2",
        ),
        (header(), "line 3 is the header of another archive"),
        (json!([1]), "line 3 is no face"),
    ];
    let mut head = header();
    head["fields"] = json!([{"name": "floor", "type": "long"}, {"name": "team", "type": "string"}]);
    let Some(scratch) = with_archive(&[]) else { return };
    for (idx, (line, expected)) in bad.into_iter().enumerate() {
        let lines = [head.clone(), face(1), line, face(2)];
        fs::write(scratch.path().join("bad.ndjson"), text(&lines)).unwrap();
        let set = format!("set{idx}");
        let imported = run(&scratch, &["import", "bad.ndjson", "--set", &set]);
        assert_eq!(imported.code, Some(2), "{expected}");
        assert!(imported.talk.contains(expected), "{expected}: {}", imported.talk);
        assert!(imported.talk.contains("line 3"), "{}", imported.talk);
        let listed: Value =
            serde_json::from_str(&run(&scratch, &["face", "list", "--set", &set, "--json"]).data).unwrap();
        let faces = listed["faces"].as_array().unwrap();
        let external_ids: Vec<_> = faces.iter().map(|face| &face["external_id"]).collect();
        assert_eq!(external_ids, [&json!("e1")], "{expected}");
    }
}

#[test]
fn a_bad_file_is_named() {
    let Some(scratch) = with_archive(&[header(), face(1), face(2)]) else { return };
    let whole = fs::read(scratch.path().join("in.zst")).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    let mut other_pack = header();
    other_pack["pack"] = json!("default-1");
    let head = |name: &str, value: Value| {
        let mut head = header();
        head[name] = value;
        text(&[head]).into_bytes()
    };
    run(&scratch, &["face-set", "create", "staff"]);
    let files: [(Vec<u8>, &str); 8] = [
        (whole[..whole.len() - 9].to_vec(), "the archive ends in the middle"),
        (flipped, "the archive is damaged"),
        (Vec::new(), "is empty, expected a header"),
        (b"photograph".to_vec(), "line 1 is no header of an archive"),
        (head("format", json!("zip")), "`format` is \"zip\", expected `likeness-archive`"),
        (head("version", json!(2)), "`version` is 2, expected 1"),
        (head("dimensions", json!(512)), "`dimensions` is 512, templates of `default-2` have 128"),
        (head("pack", json!("arc-9")), "model pack `arc-9` is not loaded"),
    ];
    for (bytes, expected) in files {
        fs::write(scratch.path().join("bad"), bytes).unwrap();
        let imported = run(&scratch, &["import", "bad", "--set", "staff"]);
        assert_eq!(imported.code, Some(2), "{expected}");
        assert!(imported.talk.contains(expected), "{expected}: {}", imported.talk);
    }
    let missing = run(&scratch, &["import", "nowhere", "--set", "staff"]);
    assert!(missing.talk.contains("cannot read nowhere"), "{}", missing.talk);
    let exists = run(&scratch, &["export", "staff", "in.zst"]);
    assert!(exists.talk.contains("in.zst exists already\n  hint: `--force` replaces it"), "{}", exists.talk);
    // A symbolic link goes on leading to the archive.
    std::os::unix::fs::symlink("in.zst", scratch.path().join("link.zst")).unwrap();
    assert_eq!(run(&scratch, &["export", "staff", "link.zst", "--force"]).code, Some(0));
    assert!(scratch.path().join("link.zst").is_symlink());
    assert_eq!(lines_of(&scratch, "in.zst").len(), 1, "no face is in `staff`");
    std::os::unix::fs::symlink("gone.zst", scratch.path().join("astray.zst")).unwrap();
    let astray = run(&scratch, &["export", "staff", "astray.zst"]);
    assert!(astray.code == Some(2) && astray.talk.contains("leads to no file"), "{}", astray.talk);
    // A set has no folders.
    let empty = run(&scratch, &["calibrate", "--set", "staff", "--tenant", "acme"]);
    assert!(empty.talk.contains("two faces or more with its name (`subject`)"), "{}", empty.talk);
    for other in [".", "/dev/null"] {
        let refused = run(&scratch, &["export", "staff", other, "--force"]);
        assert_eq!(refused.code, Some(2), "{other}");
        assert!(refused.talk.contains(&format!("{other} is no file\n  hint: name a file, or `-`")), "{}", refused.talk);
    }
    let unknown = run(&scratch, &["export", "nobody", "out.zst"]);
    assert!(unknown.talk.contains("face set `nobody` does not exist"), "{}", unknown.talk);
    assert!(!scratch.path().join("out.zst").exists() && !scratch.path().join("out.zst.partial").exists());
}
