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
    let first: Vec<_> = shown.data.lines().take(15).collect();
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
