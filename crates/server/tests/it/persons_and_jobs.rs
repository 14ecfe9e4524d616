//! `likeness person`, `likeness job` and renaming of face sets.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Ended, Scratch, has_pack};

fn run(scratch: &Scratch, arguments: &[&str]) -> Ended {
    scratch.run(&[arguments, &["--data", "data"]].concat())
}

/// What the command prints, which has to work.
#[track_caller]
fn told(scratch: &Scratch, arguments: &[&str]) -> String {
    let ended = run(scratch, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.talk);
    ended.data
}

/// Base64 of 128 numbers of which one is 1.
fn template(number: usize) -> String {
    // 512 bytes: 171 groups of three, of which the last has two.
    let mut bytes = vec![0_u8; 513];
    bytes[4 * number..4 * number + 4].copy_from_slice(&1.0_f32.to_le_bytes());
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|group| {
        let word = group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        (0..4).map(move |idx| char::from(DIGITS[(word >> (18 - 6 * idx) & 63) as usize]))
    });
    let text: String = digits.collect();
    format!("{}=", &text[..text.len() - 1])
}

#[test]
fn persons_are_listed_renamed_merged_and_deleted() {
    if !has_pack() {
        return;
    }
    let scratch = Scratch::new();
    scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme"]);
    assert_eq!(told(&scratch, &["person", "list", "--json"]), "{\"persons\":[]}\n");
    let mut lines =
        json!({"format": "likeness-archive", "version": 1, "pack": "default-2", "dimensions": 128}).to_string();
    for (number, key) in ["anna", "anna-2", "anna-2", "bert"].into_iter().enumerate() {
        let face = json!({"person": {"key": key}, "id": (number + 7).to_string(), "template": template(number)});
        lines.push_str(&format!("\n{face}"));
    }
    fs::write(scratch.path().join("in.ndjson"), lines).unwrap();
    told(&scratch, &["import", "in.ndjson", "--set", "staff"]);

    assert_eq!(
        told(&scratch, &["person", "list"]),
        "key     faces  name\nanna        1\nanna-2      2\nbert        1\n"
    );
    assert_eq!(
        told(&scratch, &["person", "rename", "bert", "--key", "carl", "--name", "Carl"]),
        "changed person `carl`, Carl\n"
    );
    let shown: Value = serde_json::from_str(&told(&scratch, &["person", "show", "carl", "--json"])).unwrap();
    assert_eq!((&shown["name"], &shown["face_sets"]), (&json!("Carl"), &json!(["staff"])));
    // Without a terminal nobody is asked: what deletes most has to be confirmed.
    let refused = run(&scratch, &["tenant", "delete", "acme"]);
    let expected = "error: tenant `acme` is deleted only if that is confirmed\n  hint: confirm with `--yes`\n";
    assert_eq!((refused.code, refused.data.as_str(), refused.talk.as_str()), (Some(2), "", expected));
    assert_eq!(
        told(&scratch, &["person", "merge", "anna-2", "anna"]),
        "merged person `anna-2` with 2 faces into `anna`\n"
    );
    assert_eq!(told(&scratch, &["person", "delete", "anna", "--yes"]), "deleted person `anna` and 3 faces\n");
    assert_eq!(told(&scratch, &["person", "list"]), "key   faces  name\ncarl      1  Carl\n");
    for (arguments, words) in [
        (&["person", "show", "anna"][..], "anna"),
        (&["person", "rename", "carl"], "nothing is said to change of person `carl`"),
        (&["person", "merge", "carl", "carl", "--yes"], "carl"),
        (&["person", "delete", "nobody", "--yes"], "nobody"),
    ] {
        let refused = run(&scratch, arguments);
        assert_eq!((refused.code, refused.data.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(refused.talk.starts_with("error: ") && refused.talk.contains(words), "{}", refused.talk);
    }

    // `set` is short for `face-set`.
    told(&scratch, &["set", "update", "staff", "--rename", "crew"]);
    let sets: Value = serde_json::from_str(&told(&scratch, &["set", "list", "--json"])).unwrap();
    assert_eq!(sets["face_sets"][0]["name"], "crew");
}

/// Everything that the native API can do with a person, in the words of the command line; and what it refuses.
#[test]
fn persons_are_made_given_faces_compared_moved_and_split() {
    let Some(portraits) = crate::library::portraits().filter(|_| has_pack()) else { return };
    let scratch = Scratch::new();
    scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme"]);
    let Some(mut server) = scratch.serve(&[]) else { return };
    let photo = |name: &str| portraits.join(name).to_str().unwrap().to_owned();
    let (obama, again, biden) = (photo("obama.jpg"), photo("obama2.jpg"), photo("biden.jpg"));
    let json_of = |arguments: &[&str]| -> Value {
        serde_json::from_str(&told(&scratch, &[arguments, &["--json"]].concat())).unwrap()
    };
    assert_eq!(
        told(&scratch, &["person", "create", "barack", "--name", "Barack", "--set", "staff"]),
        "made person `barack`, a member of `staff`\n"
    );
    let added = json_of(&["person", "face", "add", "barack", &obama, &again]);
    let ids: Vec<String> =
        added["faces"].as_array().unwrap().iter().map(|face| face["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 2);
    let added = told(&scratch, &["face", "add", &biden, "--person", "barack"]);
    let wrong = added.split(' ').nth(2).unwrap().to_owned();
    assert_eq!(added, format!("enrolled face {wrong} of person `barack`\n"));
    assert_eq!(json_of(&["person", "face", "list", "barack"])["faces"].as_array().unwrap().len(), 3);

    let same = run(&scratch, &["person", "compare", "barack", &obama]);
    assert!(same.code == Some(0) && same.data.contains("verdict     the person at FAR 1e-4"), "{}", same.data);
    let found = run(&scratch, &["search", "--person", "barack", "--set", "staff", "--far", "1", "--json"]);
    assert!(found.code == Some(1) && found.data.contains("\"candidates\":[]"), "a person's own faces are left out");
    let found = json_of(&["search", "--face-id", &ids[0], "--set", "staff"]);
    let found: Vec<_> = found["candidates"].as_array().unwrap().iter().map(|one| one["face"]["id"].clone()).collect();
    assert_eq!(found, [json!(ids[0]), json!(ids[1])]);

    assert_eq!(
        told(&scratch, &["person", "split", "barack", "joe", &wrong, "--name", "Joe"]),
        "made person `joe` of 1 face of `barack`, a member of `staff`\n"
    );
    let joined = run(&scratch, &["person", "join", "joe", "visitors"]);
    assert_eq!(joined.data, "person `joe` is a member of `staff`, `visitors`\n");
    assert_eq!(joined.talk, "made face set `visitors`\n");
    assert_eq!(run(&scratch, &["person", "join", "joe", "visitors"]).talk, "");
    let left = run(&scratch, &["person", "leave", "joe", "misspelt"]);
    assert_eq!((left.code, left.talk.as_str()), (Some(1), "person `joe` was no member of: misspelt\n"));
    assert_eq!(told(&scratch, &["person", "leave", "joe", "staff"]), "person `joe` is a member of `visitors`\n");
    assert_eq!(told(&scratch, &["person", "leave", "joe", "visitors"]), "person `joe` is a member of no face set\n");
    assert_eq!(told(&scratch, &["person", "move", "barack", "joe", &ids[0]]), "moved 1 face of `barack` to `joe`\n");
    let other = run(&scratch, &["person", "compare", "barack", &biden]);
    assert!(other.code == Some(1) && other.data.contains("somebody else"), "{}", other.data);
    // A typing error among several ids does not pass unseen.
    let removed = run(&scratch, &["person", "face", "remove", "joe", &ids[0], "77", "--yes"]);
    assert_eq!((removed.code, removed.data.as_str()), (Some(0), "deleted 1 face of person `joe`\n"));
    assert_eq!(removed.talk, "no faces of person `joe`: 77\n");
    let moved = run(&scratch, &["person", "move", "joe", "barack", &wrong, "78"]);
    assert_eq!((moved.code, moved.talk.as_str()), (Some(0), "no faces of person `joe`: 78\n"));
    told(&scratch, &["person", "move", "barack", "joe", &wrong]);
    assert!(told(&scratch, &["person", "show", "joe"]).contains("faces     1\n"));
    let some = run(&scratch, &["person", "face", "add", "joe", &biden, "missing.jpg"]);
    assert_eq!(some.code, Some(1));
    assert!(some.talk.ends_with("enrolled 1 of 2 photographs\n"), "{}", some.talk);
    assert_eq!(some.talk.matches("missing.jpg: ").count(), 2, "{}", some.talk);

    // A folder of photographs of one person, as often as one likes.
    let folder = scratch.path().join("photos");
    fs::create_dir(&folder).unwrap();
    for name in ["obama.jpg", "obama2.jpg"] {
        fs::copy(portraits.join(name), folder.join(name)).unwrap();
    }
    let import = ["face", "import", "photos", "--person", "o", "--create"];
    assert_eq!(told(&scratch, &import), "enrolled 2 faces of person `o`\n");
    assert_eq!(told(&scratch, &import), "enrolled 0 faces of person `o`, 2 already enrolled\n");

    let loose = json_of(&["face", "add", &biden, "--set", "staff", "--external-id", "b-1"]);
    let id = loose["faces"][0]["id"].as_str().unwrap();
    let update = |arguments: &[&str]| json_of(&[&["face", "update", id, "--set", "staff"], arguments].concat());
    let changed = update(&["--subject", "joe", "--note", "n", "--no-external-id"]);
    assert_eq!((&changed["subject"], &changed["note"], changed.get("external_id")), (&json!("joe"), &json!("n"), None));
    let changed = update(&["--subject", "", "--note", ""]);
    assert_eq!((changed.get("subject"), changed.get("note")), (None, None));

    let mut faults = Vec::new();
    for (arguments, words) in [
        (&["person", "create", "joe"][..], "joe"),
        (&["person", "face", "add", "nobody", &obama], "nobody"),
        (&["person", "face", "add", "joe", "missing.jpg"], "cannot read photograph missing.jpg"),
        (&["person", "join", "nobody", "staff"], "nobody"),
        (&["person", "leave", "nobody", "staff"], "nobody"),
        (&["person", "compare", "joe", &obama, "--far", "2"], "far"),
        (&["person", "move", "joe", "nobody", &wrong], "nobody"),
        (&["person", "split", "joe", "barack", &wrong], "barack"),
        (&["face", "update", id, "--set", "staff"], "nothing is said to change"),
        (&["face", "update", id, "--set", "staff", "--field", "floor=3"], "floor"),
        (&["face", "add", &obama, "--person", "joe", "--subject", "joe"], "--subject"),
        (&["face", "add", &obama], "--set"),
        (&["search", &obama, "--person", "joe", "--set", "staff"], "--person"),
        (&["search", "--set", "staff"], "required"),
        (&["search", "--person", "nobody", "--set", "staff"], "nobody"),
        (&["key", "show", "ABCDEFGHIJ0123456789"], "there is no access key ABCDEFGHIJ0123456789"),
        (&["key", "disable", "ABCDEFGHIJ0123456789"], "there is no access key ABCDEFGHIJ0123456789"),
        (&["key", "enable", "ABCDEFGHIJ0123456789"], "there is no access key ABCDEFGHIJ0123456789"),
        (&["key", "rotate", "ABCDEFGHIJ0123456789"], "there is no access key ABCDEFGHIJ0123456789"),
        (&["key", "delete", "ABCDEFGHIJ0123456789", "--yes"], "there is no access key ABCDEFGHIJ0123456789"),
        (&["tenant", "show", "nobody"], "there is no tenant"),
        (&["tenant", "set", "nobody"], "there is no tenant `nobody`"),
        (&["tenant", "delete", "nobody", "--yes"], "there is no tenant `nobody`"),
    ] {
        let refused = run(&scratch, arguments);
        let is_told = refused.talk.starts_with("error: ") && refused.talk.contains(words);
        if (refused.code, refused.data.as_str(), is_told) != (Some(2), "", true) {
            faults.push(format!("{arguments:?}: {refused:?}"));
        }
    }
    assert_eq!(faults, [] as [String; 0]);
    // What programs read has the codes of the native API.
    let coded = |arguments: &[&str]| {
        let ended = run(&scratch, &[arguments, &["--json"]].concat());
        let error: Value = serde_json::from_str(ended.talk.lines().last().unwrap_or_default()).unwrap();
        (ended.code, error["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    for (arguments, code) in [
        (&["key", "show", "ABC"][..], "key_not_found"),
        (&["key", "rotate", "ABC"], "key_not_found"),
        (&["tenant", "show", "nobody"], "tenant_not_found"),
        (&["tenant", "set", "nobody"], "tenant_not_found"),
        (&["tenant", "delete", "nobody", "--yes"], "tenant_not_found"),
        (&["key", "list", "--tenant", "nobody"], "tenant_not_found"),
        (&["face-set", "list", "--tenant", "nobody"], "tenant_not_found"),
    ] {
        assert_eq!(coded(arguments), (Some(2), code.to_owned()), "{arguments:?}");
    }
    let made = json_of(&["tenant", "create", "north", "--faces-max", "7"]);
    assert_eq!((&made["tenant"], &made["limits"]["faces_max"]), (&json!("north"), &json!(7)), "{made}");
    assert_eq!(coded(&["tenant", "create", "north"]), (Some(2), "tenant_exists".to_owned()));
    let shown = json_of(&["tenant", "show", "north"]);
    assert_eq!((&shown["limits"]["faces_max"], &shown["usage"]["n_faces"]), (&json!(7), &json!(0)), "{shown}");
    // One shape, whichever command tells of a tenant.
    let listed = json_of(&["tenant", "list"])["tenants"].as_array().unwrap().last().unwrap().clone();
    for member in ["tenant", "project_id", "created_at", "limits"] {
        assert_eq!(listed[member], shown[member], "{member}");
    }
    assert!(told(&scratch, &["tenant", "show", "north"]).contains("faces             0 of at most 7\n"));
    told(&scratch, &["tenant", "delete", "north", "--yes"]);
    let keys = json_of(&["key", "list"]);
    let key = keys["keys"][0]["access_key_id"].as_str().unwrap();
    assert_eq!(json_of(&["key", "show", key]), keys["keys"][0]);
    let shown = told(&scratch, &["key", "show", key]);
    assert!(
        shown.starts_with(&format!("id            {key}\n")) && shown.contains("state         enabled\n"),
        "{shown}"
    );
    server.stop();
}

#[test]
fn jobs_are_listed_shown_and_cancelled() {
    let scratch = Scratch::new();
    scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme"]);
    let listed = run(&scratch, &["job", "list"]);
    assert_eq!((listed.code, listed.data.as_str(), listed.talk.as_str()), (Some(0), "", "there is no job\n"));
    assert_eq!(told(&scratch, &["job", "list", "--json"]), "{\"jobs\":[]}\n");
    for act in ["show", "cancel"] {
        let refused = run(&scratch, &["job", act, "77"]);
        assert_eq!((refused.code, refused.data.as_str()), (Some(2), ""), "{act}");
        assert!(refused.talk.contains("job"), "{}", refused.talk);
    }
}

/// An archive of so many faces with ids from `first` on.
fn archive(n_faces: usize, first: usize) -> String {
    let templates: Vec<String> = (0..128).map(template).collect();
    let mut lines =
        json!({"format": "likeness-archive", "version": 1, "pack": "default-2", "dimensions": 128}).to_string();
    for number in 0..n_faces {
        lines.push_str(&format!("\n{{\"id\":\"{}\",\"template\":\"{}\"}}", first + number, templates[number % 128]));
    }
    lines
}

#[test]
fn jobs_of_a_running_server_are_waited_for_and_cancelled() {
    let scratch = Scratch::new();
    let grants = "read,search,enrol,delete,manage,templates";
    let made = scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme", "--grant", grants, "--json"]);
    let Some(mut server) = scratch.serve(&[]) else { return };
    let made: Value = serde_json::from_str(&made).unwrap();
    let of = |name: &str| made[name].as_str().unwrap();
    let key = format!("{}.{}", of("access_key_id"), of("access_key_secret"));
    let head = format!("Authorization: Bearer {key}\r\nContent-Type: application/x-ndjson\r\n");
    let import = |set: &str, archive: &str| {
        let target = format!("/likeness/v1/face-sets/{set}/archive/import-later");
        let answer = server.exchange_with("POST", &target, &head, archive.as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 202 "), "{answer}");
        serde_json::from_str::<Value>(body).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let mut with_a_bad_line = archive(6, 1000);
    with_a_bad_line.push_str("\n{\"id\":\"7\",\"template\":\"AAAA\"}");
    let small = import("staff", &with_a_bad_line);
    let shown = run(&scratch, &["job", "show", &small, "--wait"]);
    assert_eq!(shown.code, Some(0), "{} {}", shown.data, shown.talk);
    for line in [format!("id        {small}"), "state     done".to_owned(), "faces     6".to_owned()] {
        assert!(shown.data.lines().any(|shown| shown == line), "{line} is not in\n{}", shown.data);
    }
    assert!(shown.data.contains("refused   line 8: "), "{}", shown.data);

    // One import at a time: the second waits while the first, which takes seconds, goes on.
    let (large, waiting) = (import("large", &archive(30_000, 10_000)), import("other", &archive(3, 1)));
    let cancelled = told(&scratch, &["job", "cancel", &waiting]);
    assert_eq!(cancelled, format!("cancelled job {waiting}\n"));
    let shown = run(&scratch, &["job", "show", &waiting, "--wait", "--json"]);
    let job: Value = serde_json::from_str(&shown.data).unwrap();
    assert_eq!((shown.code, &job["state"]), (Some(1), &json!("cancelled")), "{}", shown.data);
    let cancelled: Value = serde_json::from_str(&told(&scratch, &["job", "cancel", &large, "--json"])).unwrap();
    assert_eq!(cancelled["cancelled"], large.as_str());
    assert_eq!(run(&scratch, &["job", "show", &large, "--wait"]).code, Some(1));

    let listed: Value = serde_json::from_str(&told(&scratch, &["job", "list", "--json"])).unwrap();
    let of = |id: &str| listed["jobs"].as_array().unwrap().iter().find(|job| job["id"] == id).unwrap()["state"].clone();
    assert_eq!([of(&small), of(&waiting), of(&large)], ["done", "cancelled", "cancelled"]);
    let table = told(&scratch, &["job", "list"]);
    assert!(table.lines().next().unwrap().split_whitespace().eq(["id", "kind", "state", "accepted"]), "{table}");
    let refused = run(&scratch, &["job", "cancel", &small]);
    assert_eq!((refused.code, refused.data.as_str()), (Some(2), ""), "it is done: {}", refused.talk);
    server.stop();
}
