use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use expect_test::{Expect, expect, expect_file};

use likeness_domain::Error;
use likeness_domain::settings::Shape;

use super::raw::Written;
use super::settings::{ENV_CONFIG, Row, SETTINGS};
use super::{Config, RawConfig, resolve, show};

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// Settings from a file's text and an environment; the machine is one with a home folder and two processors.
fn settle(file: &str, environment: &[(&str, &str)], flags: RawConfig) -> Result<RawConfig, Error> {
    let two_processors = RawConfig::from_toml("workers = 2", Path::new("machine"))?;
    Ok(RawConfig::defaults(Some(Path::new("/home/u/.local/share")))
        .overruled_by(two_processors)
        .overruled_by(RawConfig::from_toml(file, Path::new("likeness.toml"))?)
        .overruled_by(RawConfig::from_env(&variables(environment))?)
        .overruled_by(flags))
}

#[track_caller]
fn check_refused(file: &str, environment: &[(&str, &str)], expected: Expect) {
    let refused = settle(file, environment, RawConfig::default()).and_then(|raw| Config::from_raw(&raw));
    expected.assert_eq(&crate::outcome::diagnosis(&refused.expect_err("these settings should be refused")));
}

#[test]
fn the_reference_is_complete_and_without_doubles() {
    let names: BTreeSet<_> = SETTINGS.iter().map(|row| row.setting.name).collect();
    let variables: BTreeSet<_> = SETTINGS.iter().map(|row| row.env.as_str()).collect();
    assert_eq!([names.len(), variables.len()], [SETTINGS.len(); 2]);
    assert!(!variables.contains(ENV_CONFIG));
    // A table may be opened once in a file, so its settings must stand together, behind those of no table.
    let tables: Vec<_> =
        SETTINGS.iter().map(|row| row.setting.name.split_once('.').map_or("", |(table, _)| table)).collect();
    let mut runs = tables.clone();
    runs.dedup();
    assert_eq!(runs.len(), tables.iter().collect::<BTreeSet<_>>().len());
    assert_eq!(runs[0], "");
}

#[test]
fn defaults_are_a_complete_configuration() {
    let config = Config::from_raw(&settle("", &[], RawConfig::default()).unwrap()).unwrap();
    assert!(config.general.listen.ip().is_loopback());
    assert_eq!(config.data().unwrap(), Path::new("/home/u/.local/share/likeness/library"));
    assert_eq!(config.home().unwrap(), Path::new("/home/u/.local/share/likeness"));
    assert_eq!(config.listener.grace, Duration::from_secs(25));
    assert!(config.fetch.allow.is_empty());
    assert_eq!(config.general.pack, likeness_vision::pack::default_pack_id());
    assert_eq!(config.wire, likeness_wire::Settings::default(), "the dialects' own defaults are the vendors' values");
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let mut flags = RawConfig::default();
    flags.set_flag("listen", "--listen", Some("127.0.0.1:4"));
    let file = "listen = '127.0.0.1:2'\nqueue_max = 2\n[log]\nformat = 'json'\n[fetch]\nallow = ['a', 'b:81']";
    let environment = &[("LIKENESS_LISTEN", "127.0.0.1:3"), ("LIKENESS_QUEUE_MAX", "3"), ("LIKENESS_PACK", "")];
    let raw = settle(file, environment, flags).unwrap();
    expect![[r#"
        listen = "127.0.0.1:4" # flag --listen
        # listen_operations is not set
        console = true # default
        data = "/home/u/.local/share/likeness/library" # default
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
        home = "/home/u/.local/share/likeness" # default
        pack = "default-2" # default
        quality_gate = "low" # default
        analysis_memory_mib = 256 # default
        workers = 2 # file machine
        queue_max = 3 # environment LIKENESS_QUEUE_MAX
        calls_per_second = 1000 # default
        weights = [] # default
        inference_runtime = "auto" # default
        inference_precision = "auto" # default
        queue_wait_max_ms = 2000 # default

        [milvus]
        # url is not set
        # database is not set
        # token_file is not set
        # ca_file is not set
        from_faces = 10000000 # default
        look_every_ms = 5000 # default

        [listener]
        connections_max = 512 # default
        connections_per_peer_max = 256 # default
        head_timeout_s = 20 # default
        idle_timeout_s = 75 # default
        body_timeout_s = 60 # default
        body_memory_mib = 256 # default
        body_memory_per_peer_mib = 64 # default
        body_wait_max_ms = 5000 # default
        write_timeout_s = 30 # default
        head_bytes_max = 65536 # default
        head_lines_max = 256 # default
        grace_s = 25 # default
        # client_address_header is not set
        trusted_proxies = [] # default
        cors_origins = [] # default

        [tls]
        # certificate is not set
        # key is not set
        # client_ca is not set
        client_certificates = "required" # default

        [fetch]
        enabled = true # default
        allow = ["a","b:81"] # file likeness.toml
        deny = [] # default
        names_max = 32 # default
        name_wait_max_ms = 5000 # default
        concurrent_max = 32 # default
        queue_max = 1024 # default

        [video]
        program = "ffmpeg" # default
        confinement = "required" # default
        deadline_s = 20 # default
        concurrent_max = 2 # default
        queue_max = 8 # default

        [archives]
        # folder is not set
        lifetime_s = 3600 # default
        total_mib = 8192 # default
        tenant_mib = 2048 # default
        tenant_max = 8 # default

        [huawei]
        project_name = "cn-north-4" # default
        face_sets_max = 10 # default
        capacity_max = 100000 # default
        capacity_step = 10000 # default
        page_end_max = 10000 # default
        top_n_max = 1000 # default
        body_bytes_max = 12582912 # default
        image_bytes_max = 8388608 # default
        image_side_max = 4096 # default
        fetch_deadline_ms = 10000 # default
        # object_storage is not set
        field_text_strict = false # default
        # calls_per_second is not set

        [aliyun]
        groups_max = 100 # default
        faces_max = 20 # default
        body_bytes_max = 1048576 # default
        image_bytes_max = 20971520 # default
        image_side_max = 12000 # default
        fetch_deadline_ms = 3000 # default
        scan_deadline_ms = 6000 # default
        compare_review_rate = 70 # default
        search_review_rate = 80 # default
        search_rate_min = 0 # default
        unknown_person_code = 404 # default
        limited_tenants = [] # default
        tasks_waiting_max = 10000 # default
        require_content_md5 = false # default
        require_nonce = false # default
        # upload_endpoint is not set
        uploads_bytes_max = 1073741824 # default

        [yuanli]
        superset_responses = true # default
        bad_sign_error = "authorization" # default
        sign_skew_s = 0 # default
        sign_life_max_s = 86400 # default
        concurrency_status = 403 # default
        unknown_group_error = "INVALID_GROUP_ID" # default
        group_exist_error = "GROUP_EXIST" # default
        group_quota_error = "GROUP_QUOTA_EXCEEDED" # default
        face_quota_error = "QUOTA_EXCEEDED" # default
        group_time_offset = "+08:00" # default
        next_type = "string" # default
        strict_start_max = false # default
        clamp_limits = false # default
        strict_coexistence = false # default
        allow_remove_all = false # default
        empty_group_error = false # default
        allow_dot_in_ids = false # default
        min_side = 48 # default
        max_side = 4096 # default
        max_image_bytes = 10485760 # default
        max_body_bytes = 20971520 # default
        max_groups = 10 # default
        max_faces_total = 5000000 # default
        max_qps = 0 # default
        min_face_quality = 0 # default
        min_face_px = 40 # default

        [facepp]
        held_hours = 72 # default
        max_faces_per_set = 10000 # default
        max_face_sets = 0 # default
        min_side = 48 # default
        max_side = 4096 # default
        max_image_bytes = 2097152 # default
        max_body_bytes = 8388608 # default
        fetch_timeout_s = 10 # default
        max_qps = 0 # default

        [log]
        # level is not set
        format = "json" # file likeness.toml

        [traces]
        # endpoint is not set
        one_in = 1 # default"#]]
    .assert_eq(&show::text(&raw, true));
}

#[test]
fn what_is_shown_can_be_read_again() {
    let environment = &[("LIKENESS_FETCH_ALLOW", "photos.test, [::1]:9000,"), ("LIKENESS_LOG_LEVEL", "debug")];
    let raw = settle("", environment, RawConfig::default()).unwrap();
    let again = RawConfig::from_toml(&show::text(&raw, false), Path::new("again")).unwrap();
    for Row { setting, .. } in SETTINGS.iter() {
        let written = |raw: &RawConfig| raw.get(setting.name).map(|(written, _)| written.clone());
        assert_eq!(written(&raw), written(&again), "{}", setting.name);
    }
    let allowed = Written::List(vec!["photos.test".to_owned(), "[::1]:9000".to_owned()]);
    assert_eq!(raw.get("fetch.allow").unwrap().0, allowed);
}

#[test]
fn json_tells_value_origin_and_meaning() {
    let raw = settle("[fetch]\nallow = ['photos.test']", &[], RawConfig::default()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&show::json(&raw, None, Some(1e-4))).unwrap();
    assert_eq!(json.as_object().unwrap().len(), SETTINGS.len());
    assert!(json["inference_runtime"].get("in_use").is_none(), "nothing was measured");
    let engines = serde_json::json!({ "mesh": { "runtime": "openvino", "precision": "f32" } });
    let with_engines: serde_json::Value = serde_json::from_str(&show::json(&raw, Some(engines), None)).unwrap();
    assert_eq!(with_engines["inference_runtime"]["in_use"]["mesh"]["runtime"], "openvino");
    assert_eq!(with_engines.as_object().unwrap().len(), SETTINGS.len());
    assert_eq!(json["queue_max"]["value"], 64);
    assert_eq!(json["queue_max"]["origin"], "default");
    assert_eq!(json["queue_max"]["env"], "LIKENESS_QUEUE_MAX");
    assert_eq!(json["fetch.allow"]["value"][0], "photos.test");
    assert_eq!(json["fetch.allow"]["origin"], "file likeness.toml");
    assert_eq!(json["log.level"]["value"], serde_json::Value::Null);
}

#[test]
fn mistakes_name_the_setting_its_origin_and_the_cure() {
    check_refused(
        "[listener]\nconnection_max = 1",
        &[],
        expect![[r#"
            error: settings file likeness.toml has an unknown key `listener.connection_max`
              hint: did you mean `listener.connections_max`?"#]],
    );
    check_refused(
        "colour = 'blue'",
        &[],
        expect![[r#"
            error: settings file likeness.toml has an unknown key `colour`
              hint: run `likeness config show` to see all keys"#]],
    );
    check_refused(
        "",
        &[("LIKENESS_QUEUEMAX", "1")],
        expect![[r#"
            error: unknown environment variable LIKENESS_QUEUEMAX
              hint: did you mean LIKENESS_QUEUE_MAX?"#]],
    );
    // A password that stands where it is refused is not shown either.
    check_refused(
        "store = 'postgres://likeness:s3cret@db.example/likeness'",
        &[],
        expect![
            "error: `store` is `postgres://***@db.example/likeness` (file likeness.toml), expected postgres://USER@HOST:PORT/DATABASE without a password"
        ],
    );
    check_refused("queue_max = 0", &[], expect!["error: `queue_max` is `0` (file likeness.toml), expected 1 to 65536"]);
    check_refused(
        "",
        &[("LIKENESS_WORKERS", "many")],
        expect!["error: `workers` is `many` (environment LIKENESS_WORKERS), expected 1 to 256"],
    );
    check_refused(
        "listen = 'localhost'",
        &[],
        expect![
            "error: `listen` is `localhost` (file likeness.toml), expected an address and port such as 127.0.0.1:7080"
        ],
    );
    check_refused(
        "[fetch]\nallow = ['http://photos.test']",
        &[],
        expect!["error: `fetch.allow` is `http://photos.test` (file likeness.toml), expected HOST or HOST:PORT"],
    );
    check_refused(
        "[log]\nformat = 'xml'",
        &[],
        expect!["error: `log.format` is `xml` (file likeness.toml), expected text or json"],
    );
    check_refused(
        "workers = '2'",
        &[],
        expect!["error: `workers` in settings file likeness.toml is not a whole number"],
    );
    check_refused(
        "queue_max = 1\nqueue_max = 2",
        &[],
        expect![[r#"
            error: cannot read settings file likeness.toml: TOML parse error at line 2, column 1
              |
            2 | queue_max = 2
              | ^^^^^^^^^
            duplicate key"#]],
    );
}

/// Issue 15: the server ended with "another program has that port", which was its own.
#[test]
fn one_place_is_not_given_to_two_listeners() {
    let settled = |listen: &str, operations: &str| {
        let raw =
            settle(&format!("listen = '{listen}'\nlisten_operations = '{operations}'"), &[], RawConfig::default());
        raw.and_then(|raw| Config::from_raw(&raw)).map(|_| ())
    };
    for (listen, operations) in [
        ("127.0.0.1:7080", "127.0.0.1:7080"),
        ("0.0.0.0:7080", "127.0.0.1:7080"),
        ("10.0.0.1:7080", "0.0.0.0:7080"),
        ("[::]:7080", "127.0.0.1:7080"),
        ("[::ffff:127.0.0.1]:7080", "127.0.0.1:7080"),
        ("[::1]:7080", "[::]:7080"),
    ] {
        let error = settled(listen, operations).unwrap_err().to_string();
        let said = format!("`listen_operations` is `{operations}` (file likeness.toml), which is a place of `listen`");
        assert!(error.contains(&said), "{error}");
    }
    for (listen, operations) in [
        ("127.0.0.1:7080", "127.0.0.1:7081"),
        ("127.0.0.1:7080", "10.0.0.1:7080"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("[::1]:7080", "0.0.0.0:7080"),
    ] {
        settled(listen, operations).unwrap();
    }
}

#[test]
fn variables_of_others_are_passed_over() {
    // Container managers make these for a service named likeness; the quick start's file makes the last two.
    let others = &[
        ("LIKENESS_PORT", "tcp://10.0.0.1:80"),
        ("LIKENESS_SERVICE_HOST", "10.0.0.1"),
        ("LIKENESS_PORT_7080_TCP_ADDR", "10.0.0.1"),
        ("LIKENESS_URL", "http://127.0.0.1:7080"),
        ("LIKENESS_TENANT", "demo"),
    ];
    assert_eq!(RawConfig::from_env(&variables(others)).unwrap(), RawConfig::default());
}

#[test]
fn the_file_is_found_by_flag_or_environment() {
    let folder = tempfile::tempdir().unwrap();
    let (by_flag, by_env) = (folder.path().join("flag.toml"), folder.path().join("env.toml"));
    std::fs::write(&by_flag, "queue_max = 1").unwrap();
    std::fs::write(&by_env, "queue_max = 2").unwrap();
    let environment = variables(&[(ENV_CONFIG, by_env.to_str().unwrap()), ("HOME", "/home/u")]);
    let queue_max = |file| {
        let raw = resolve(file, environment.clone().into_iter(), RawConfig::default()).unwrap();
        Config::from_raw(&raw).unwrap().general.queue_max
    };
    assert_eq!(queue_max(Some(by_flag.as_path())), 1);
    assert_eq!(queue_max(None), 2);
    let missing = resolve(Some(Path::new("/nonexistent/likeness.toml")), std::iter::empty(), RawConfig::default());
    assert!(missing.unwrap_err().to_string().starts_with("cannot read settings file /nonexistent/likeness.toml"));
}

#[test]
fn a_user_without_a_home_is_asked_for_a_folder() {
    let raw = resolve(None, std::iter::empty(), RawConfig::default()).unwrap();
    let config = Config::from_raw(&raw).unwrap();
    assert!(config.data().unwrap_err().to_string().contains("`--data DIR`"));
    assert!(config.home().unwrap_err().to_string().contains("LIKENESS_HOME"));
}

/// The table of `docs/configuration.md` is made from the reference, so it cannot drift: run with `UPDATE_EXPECT=1`.
#[test]
fn the_documented_reference_is_the_one_in_the_code() {
    let mut table = String::from("| Key | Variable | Default | Meaning |\n|---|---|---|---|\n");
    for Row { setting, env } in SETTINGS.iter() {
        let default = match (setting.shape, setting.default) {
            (Shape::List, "") => "none".to_owned(),
            (_, "") => "see meaning".to_owned(),
            (_, text) => format!("`{text}`"),
        };
        table += &format!("| `{}` | `{}` | {default} | {} |\n", setting.name, env, setting.about);
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once("<!-- reference begins -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- reference ends -->\n").unwrap();
    expect_file![path]
        .assert_eq(&format!("{before}<!-- reference begins -->\n{table}<!-- reference ends -->\n{after}"));
}

/// Errors end up in journals.
#[test]
fn a_refused_address_is_shown_without_its_password() {
    for (setting, value, shown) in [
        ("store", "postgres://u:hidden@127.0.0.1:1/x", "postgres://***@127.0.0.1:1/x"),
        ("store", "postgres://u:hid/d@en@127.0.0.1:1/x", "postgres://***@127.0.0.1:1/x"),
        ("store", "postgres://u@127.0.0.1:1/x?Password=hidden&a=b", "postgres://u@127.0.0.1:1/x?Password=***&a=b"),
        ("store", "host=a password=hidden dbname=x", "host=a password=*** dbname=x"),
        ("milvus.url", "http://user:hidden@127.0.0.1:19530", "http://***@127.0.0.1:19530"),
    ] {
        let raw = settle(&format!("{setting} = '{value}'"), &[], RawConfig::default());
        let error = raw.and_then(|raw| Config::from_raw(&raw)).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{setting}` is `{shown}` (file likeness.toml), expected ")), "{error}");
    }
}
