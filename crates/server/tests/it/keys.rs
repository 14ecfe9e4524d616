use expect_test::expect;
use likeness_testkit::Redactor;
use serde_json::Value;

use crate::harness::Scratch;

fn create(scratch: &Scratch, tenant: &str) -> Value {
    let made = scratch.data_of(&["key", "create", "--data", "data", "--tenant", tenant, "--json"]);
    serde_json::from_str(&made).unwrap()
}

#[test]
fn a_key_is_made_with_its_tenant_and_listed_without_its_secret() {
    let scratch = Scratch::new();
    let (first, second) = (create(&scratch, "acme"), create(&scratch, "acme"));
    let members: Vec<_> = first.as_object().unwrap().keys().collect();
    assert_eq!(members, ["access_key_id", "access_key_secret", "project_id", "tenant"]);
    assert_eq!(first["project_id"], second["project_id"], "one tenant is one project");
    assert_ne!(first["access_key_secret"], second["access_key_secret"]);
    assert_eq!(first["access_key_id"].as_str().unwrap().len(), 20);
    assert_eq!(first["access_key_secret"].as_str().unwrap().len(), 40);
    let other = create(&scratch, "other");
    assert_ne!(first["project_id"], other["project_id"]);

    let listed = scratch.data_of(&["key", "list", "--data", "data"]);
    assert_eq!(listed.lines().count(), 3);
    for key in [&first, &second, &other] {
        assert!(listed.contains(key["access_key_id"].as_str().unwrap()));
        assert!(!listed.contains(key["access_key_secret"].as_str().unwrap()));
    }
    let of_acme = scratch.data_of(&["key", "list", "--data", "data", "--tenant", "acme", "--json"]);
    let of_acme: Value = serde_json::from_str(&of_acme).unwrap();
    assert_eq!(of_acme["keys"].as_array().unwrap().len(), 2);
    assert_eq!(of_acme["keys"][0]["enabled"], true);
}

#[test]
fn a_key_is_disabled_enabled_and_deleted() {
    let scratch = Scratch::new();
    let key = create(&scratch, "acme");
    let id = key["access_key_id"].as_str().unwrap();
    let mut said = String::new();
    for act in ["disable", "list", "enable", "list", "delete", "list", "delete"] {
        let name = match act {
            "list" => vec![],
            "delete" => vec![id, "--yes"],
            _ => vec![id],
        };
        let ended = scratch.run(&[&["key", act, "--data", "data"], &name[..]].concat());
        said += &format!("$ key {act}\n{}{}-> {}\n", ended.data, ended.talk, ended.code.unwrap());
    }
    expect![[r#"
        $ key disable
        access key [KEY] is disabled
        -> 0
        $ key list
        acme  [KEY]  disabled  [time 1]
        -> 0
        $ key enable
        access key [KEY] is enabled
        -> 0
        $ key list
        acme  [KEY]  enabled   [time 1]
        -> 0
        $ key delete
        access key [KEY] is deleted
        -> 0
        $ key list
        there is no key yet
          hint: `likeness key create --tenant NAME` makes one
        -> 0
        $ key delete
        error: there is no access key [KEY]
          hint: `likeness key list` shows the keys
        -> 2
    "#]]
    .assert_eq(&Redactor::new().value(id, "KEY").redact(&said));
}

#[test]
fn unlawful_names_are_refused() {
    let scratch = Scratch::new();
    let refused = |arguments: &[&str]| {
        let ended = scratch.run(arguments);
        assert_eq!((ended.code, ended.data.as_str()), (Some(2), ""));
        ended.talk
    };
    expect![[r#"
        error: tenant name is not valid, expected 1 to 64 of A-Z a-z 0-9 _ - .
    "#]]
    .assert_eq(&refused(&["key", "create", "--data", "data", "--tenant", "no spaces"]));
    expect![[r#"
        error: `?` is not an access key id, expected 1 to 64 of A-Z a-z 0-9 _ -
    "#]]
    .assert_eq(&refused(&["key", "delete", "--data", "data", "?"]));
    expect![[r#"
        error: there is no tenant `nobody`
    "#]]
    .assert_eq(&refused(&["key", "list", "--data", "data", "--tenant", "nobody"]));
}

#[test]
fn check_tells_what_is_stored_and_makes_nothing() {
    let scratch = Scratch::new();
    let missing = scratch.run(&["check", "--data", "data"]);
    assert_eq!(missing.code, Some(2));
    expect![[r#"
        error: there is no library in data
          hint: name its data folder with `--data DIR` or LIKENESS_DATA
    "#]]
    .assert_eq(&missing.talk);
    assert!(!scratch.data().exists());

    create(&scratch, "acme");
    let report: Value =
        serde_json::from_str(&scratch.data_of(&["check", "--data", "data", "--thorough", "--json"])).unwrap();
    assert_eq!((&report["n_tenants"], &report["n_faces"]), (&1.into(), &0.into()));
    assert_eq!(report["problems"], serde_json::json!([]));
    let text = scratch.data_of(&["check", "--data", "data"]);
    assert!(text.contains("tenants         1\n") && text.ends_with("problems        none\n"), "{text}");
}

fn keys(scratch: &Scratch) -> Vec<Value> {
    let listed = scratch.data_of(&["key", "list", "--data", "data", "--json"]);
    serde_json::from_str::<Value>(&listed).unwrap()["keys"].as_array().unwrap().clone()
}

#[test]
fn a_key_has_grants_a_label_and_an_end_and_is_rotated() {
    let scratch = Scratch::new();
    let made = scratch.data_of(&[
        "key",
        "create",
        "--data",
        "data",
        "--tenant",
        "acme",
        "--grant",
        "search,read",
        "--expires",
        "90d",
        "--label",
        "door 3",
        "--json",
    ]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let key = &keys(&scratch)[0];
    assert_eq!((&key["label"], &key["grants"]), (&"door 3".into(), &serde_json::json!(["read", "search"])));
    assert!(key["expires_at"].is_string() && key["face_sets"].is_null() && key["last_used_at"].is_null());
    let listed = scratch.data_of(&["key", "list", "--data", "data"]);
    assert!(listed.contains("  may read,search  expires ") && listed.contains("\"door 3\""), "{listed}");

    let id = made["access_key_id"].as_str().unwrap();
    let rotated = scratch.data_of(&["key", "rotate", "--data", "data", id, "--overlap", "1h", "--json"]);
    let rotated: Value = serde_json::from_str(&rotated).unwrap();
    assert_eq!(rotated["access_key_id"], made["access_key_id"]);
    assert_ne!(rotated["access_key_secret"], made["access_key_secret"]);
    assert!(keys(&scratch)[0]["old_secret_valid_until"].is_string());
    assert_eq!(scratch.run(&["key", "rotate", "--data", "data", "NOBODY"]).code, Some(2));
}

#[test]
fn what_a_key_cannot_be_is_refused() {
    let scratch = Scratch::new();
    let refused = |more: &[&str]| {
        let ended = scratch.run(&[&["key", "create", "--data", "data", "--tenant", "acme"], more].concat());
        assert_eq!(ended.code, Some(2), "{}", ended.talk);
        ended.talk
    };
    expect![[r#"
        error: grant `write` is not known, expected some of read, search, enrol, delete, manage, templates, between commas
    "#]]
    .assert_eq(&refused(&["--grant", "read,write"]));
    expect![[r#"
        error: `--expires` is `soon`, expected a number and a unit, as in 90d, 12h, 30m or 45s
    "#]]
    .assert_eq(&refused(&["--expires", "soon"]));
    assert!(refused(&["--expires", "5\u{fc}"]).contains("expected a number and a unit"));
    expect![[r#"
        error: there is no tenant `acme`, so it has no face sets yet
    "#]]
    .assert_eq(&refused(&["--set", "staff"]));
    create(&scratch, "acme");
    expect![[r#"
        error: face set `staff` does not exist
          hint: `likeness face-set list` shows the face sets; a key can be limited to existing ones
    "#]]
    .assert_eq(&refused(&["--set", "staff"]));
    assert_eq!(keys(&scratch).len(), 1);
}

#[test]
fn a_tenant_is_limited_listed_and_deleted() {
    let scratch = Scratch::new();
    create(&scratch, "acme");
    create(&scratch, "other");
    let run =
        |arguments: &[&str]| scratch.run(&[&["tenant", arguments[0], "--data", "data"], &arguments[1..]].concat());
    assert_eq!(run(&["set", "acme", "--faces-max", "100", "--calls-per-second", "5"]).code, Some(0));
    assert_eq!(run(&["set", "acme", "--persons-max", "7", "--faces-max", "none"]).code, Some(0));
    let listed = run(&["list"]).data;
    assert!(listed.lines().next().unwrap().ends_with("  persons_max=7  calls_per_second=5"), "{listed}");
    let listed: Value = serde_json::from_str(&run(&["list", "--json"]).data).unwrap();
    let limits = &listed["tenants"][0]["limits"];
    assert_eq!((&limits["persons_max"], &limits["faces_max"]), (&7.into(), &Value::Null));
    for wrong in [&["set", "acme", "--faces-max", "-1"][..], &["set", "acme", "--faces-max=many"], &["set", "nobody"]] {
        assert_eq!(run(wrong).code, Some(2), "{wrong:?}");
    }

    let unconfirmed = run(&["delete", "acme"]);
    assert!(unconfirmed.code == Some(2) && unconfirmed.talk.contains("--yes"), "{}", unconfirmed.talk);
    assert_eq!(keys(&scratch).len(), 2);
    assert_eq!(run(&["delete", "acme", "--yes"]).code, Some(0));
    assert_eq!(run(&["delete", "acme", "--yes"]).code, Some(2));
    let left: Vec<_> = keys(&scratch).into_iter().map(|key| key["tenant"].clone()).collect();
    assert_eq!(left, ["other"]);
    let again = create(&scratch, "acme");
    assert_eq!(again["tenant"], "acme", "the name is free");
}

#[test]
fn what_was_done_to_a_key_is_told_in_json() {
    let scratch = Scratch::new();
    let id = create(&scratch, "acme")["access_key_id"].as_str().unwrap().to_owned();
    for (act, done) in [("disable", "disabled"), ("enable", "enabled"), ("delete", "deleted")] {
        let confirmed: &[&str] = if act == "delete" { &["--yes"] } else { &[] };
        let ended = scratch.run(&[&["key", act, &id, "--data", "data", "--json"], confirmed].concat());
        let told: Value = serde_json::from_str(&ended.data).unwrap();
        assert_eq!((ended.code, told), (Some(0), serde_json::json!({"access_key_id": id, done: true})));
    }
    // A script that took 1 for "no" went on with a key that it believed gone.
    for act in ["disable", "enable", "rotate", "delete"] {
        let ended = scratch.run(&["key", act, &id, "--data", "data", "--json"]);
        let told: Value = serde_json::from_str(&ended.talk).unwrap();
        assert_eq!((ended.code, ended.data.as_str(), &told["error"]["code"]), (Some(2), "", &"key_not_found".into()));
    }
}

#[test]
fn a_key_lives_for_a_second_at_least_and_a_hundred_years_at_most() {
    let scratch = Scratch::new();
    for (expires, is_taken) in
        [("0s", false), ("1s", true), ("36500d", true), ("36501d", false), ("4294967295d", false)]
    {
        let made = scratch.run(&["key", "create", "--data", "data", "--tenant", "acme", "--expires", expires]);
        assert_eq!(made.code == Some(0), is_taken, "{expires}: {}", made.talk);
        assert!(
            is_taken || made.talk.contains(&format!("`--expires` is `{expires}`, expected 1s to 36500d")),
            "{}",
            made.talk
        );
    }
}

/// An operator's key has a tenant of its own, whatever the variable of the shell names, and no other key has its grant.
#[test]
fn an_operators_key_is_made_apart_and_is_no_second_tenant_to_choose_from() {
    let scratch = Scratch::new();
    create(&scratch, "acme");
    let args = ["key", "create", "--data", "data", "--operator", "--json"];
    let made = scratch.command(&args).env("LIKENESS_TENANT", "acme").output().unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["tenant"], "operator");
    let id = made["access_key_id"].as_str().unwrap();
    let shown = scratch.data_of(&["key", "show", id, "--data", "data"]);
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["grants", "operate"])), "{shown}");

    // Who names no tenant means the only one that has faces.
    let sets = scratch.run(&["face-set", "list", "--data", "data"]);
    assert_eq!((sets.code, &*sets.talk), (Some(0), "there is no face set yet\n"));

    let refused = |args: &[&str]| {
        let ended = scratch.run(&[&["key", "create", "--data", "data"], args].concat());
        assert_eq!(ended.code, Some(2), "{}", ended.talk);
        ended.talk
    };
    expect![[r#"
        error: the grant `operate` is for keys of the tenant `operator` only
          hint: `likeness key create --operator` makes an operator's key
    "#]]
    .assert_eq(&refused(&["--tenant", "acme", "--grant", "operate"]));
    expect![[r#"
        error: the grant `operate` goes with no other
          hint: `likeness key create --operator` makes an operator's key
    "#]]
    .assert_eq(&refused(&["--tenant", "operator", "--grant", "operate,read"]));
    assert!(refused(&["--operator", "--grant", "read"]).contains("--grant"));
    expect![[r#"
        error: `--tenant` is `acme`, and a key with `--operator` is of no tenant that has faces
          hint: leave one of the two out
    "#]]
    .assert_eq(&refused(&["--operator", "--tenant", "acme"]));
    assert!(refused(&[]).contains("--tenant"));
}
