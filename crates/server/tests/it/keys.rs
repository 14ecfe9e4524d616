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
        let name = if act == "list" { vec![] } else { vec![id] };
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
        there is no access key [KEY]
        -> 1
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
