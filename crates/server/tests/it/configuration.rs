use expect_test::expect;

use crate::harness::{Scratch, ended};

#[test]
fn flag_beats_environment_beats_file() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path().join("likeness.toml"), "queue_max = 1\nworkers = 1\ndata = 'from-file'\n").unwrap();
    let mut command =
        scratch.command(&["config", "show", "--origin", "--config", "likeness.toml", "--data", "by-flag"]);
    command.env("LIKENESS_QUEUE_MAX", "2").env("LIKENESS_DATA", "from-environment").env("LIKENESS_HOME", "packs");
    let shown = ended(command);
    assert_eq!(shown.code, Some(0), "{}", shown.talk);
    let first: Vec<_> = shown.data.lines().take(17).collect();
    expect![[r#"
        listen = "127.0.0.1:7080" # default
        # listen_operations is not set
        console = true # default
        data = "by-flag" # flag --data
        # store is not set
        # store_password_file is not set
        store_connections = 16 # default
        data_open_to_others = false # default
        upgrade_copy = true # default
        disk_reserve_mib = 24 # default
        record_commits = 200000 # default
        record_days = 7 # default
        scrub_interval_days = 7 # default
        scrub_rows_per_second = 2000 # default
        home = "packs" # environment LIKENESS_HOME
        pack = "default-2" # default
        quality_gate = "low" # default"#]]
    .assert_eq(&first.join("\n"));
}

#[test]
fn mistakes_end_with_exit_code_2_and_a_hint() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path().join("likeness.toml"), "listenn = 'x'\n").unwrap();
    let refused = scratch.run(&["config", "show", "--config", "likeness.toml"]);
    assert_eq!((refused.code, refused.data.as_str()), (Some(2), ""));
    expect![[r#"
        error: settings file likeness.toml has an unknown key `listenn`
          hint: did you mean `listen`?
    "#]]
    .assert_eq(&refused.talk);
    let unknown = scratch.run(&["confg"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.talk.contains("a similar subcommand exists: 'config'"), "{}", unknown.talk);
    let wrong_host = scratch.run(&["serve", "--data", "data", "--fetch-allow", "http://photos.test/"]);
    assert_eq!(wrong_host.code, Some(2));
    expect![[r#"
        error: `fetch.allow` is `http://photos.test/` (flag --fetch-allow), expected HOST or HOST:PORT
    "#]]
    .assert_eq(&wrong_host.talk);
    assert!(!scratch.data().exists(), "nothing is made before the settings are settled");
}

#[cfg(not(feature = "opentelemetry"))]
#[test]
fn a_collector_is_refused_by_a_program_that_cannot_trace() {
    let scratch = Scratch::new();
    let mut command = scratch.command(&["serve", "--data", "data", "--listen", "127.0.0.1:0"]);
    command.env("LIKENESS_TRACES_ENDPOINT", "http://127.0.0.1:4318");
    let refused = crate::harness::ended(command);
    assert_eq!(refused.code, Some(2));
    assert_eq!(
        refused.talk,
        "error: this program was built without OpenTelemetry, and `traces.endpoint` is set\n  \
         hint: use a build with the feature `opentelemetry`, or leave `traces.endpoint` out\n"
    );
    let mut command = scratch.command(&["config", "show"]);
    command.env("LIKENESS_TRACES_ENDPOINT", "127.0.0.1:4318");
    let refused = crate::harness::ended(command);
    assert_eq!(
        refused.talk,
        "error: `traces.endpoint` is `127.0.0.1:4318` (environment LIKENESS_TRACES_ENDPOINT), expected an address such as \
         http://127.0.0.1:4318\n"
    );
}
