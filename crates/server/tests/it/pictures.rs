//! Commands that only look at pictures: compare, detect, eval, bench. They make no data folder.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Scratch, Server, has_pack};
use crate::library::{grey_bmp, portraits};

#[test]
fn two_photographs_of_one_person_are_the_same() {
    let Some(portraits) = portraits().filter(|_| has_pack()) else { return };
    let scratch = Scratch::new();
    let compare = |a: &str, b: &str, more: &[&str]| {
        let (a, b) = (portraits.join(a), portraits.join(b));
        scratch.run(&[&["compare", a.to_str().unwrap(), b.to_str().unwrap()], more].concat())
    };
    let same = compare("obama.jpg", "obama2.jpg", &[]);
    assert_eq!((same.code, same.talk.as_str()), (Some(0), ""));
    assert!(same.data.starts_with("similarity  0."), "{}", same.data);
    assert!(same.data.ends_with("\nverdict     same person at FAR 1e-4 (threshold 0.4289)\n"), "{}", same.data);

    let different = compare("obama.jpg", "biden.jpg", &["--json", "--far", "1e-6"]);
    assert_eq!(different.code, Some(1));
    let answer: Value = serde_json::from_str(&different.data).unwrap();
    assert_eq!(answer["same"], Value::Bool(false));
    assert!((answer["similarity_min"].as_f64().unwrap() - 0.5626).abs() < 1e-6, "{answer}");
    assert_eq!(answer["far_asked"], 1e-6);
    let beyond = compare("obama.jpg", "biden.jpg", &["--far", "1e-9"]);
    assert_eq!(beyond.code, Some(2));
    let expected = "error: `far` is 1e-9, expected 1e-6 to 1e-1, measured for model pack `default-2`, or 1\n  hint: ";
    assert!(beyond.talk.starts_with(expected), "{}", beyond.talk);
    assert!(!scratch.path().join(".local/share/likeness/data").exists(), "no library is made");
}

/// An empty photograph is named as that by every command, and what is missing by both words that would do.
#[test]
fn what_cannot_be_looked_at_is_named() {
    if !has_pack() {
        return;
    }
    let scratch = Scratch::new();
    fs::write(scratch.path().join("empty.jpg"), "").unwrap();
    fs::write(scratch.path().join("full.jpg"), "no picture").unwrap();
    scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme"]);
    for arguments in [
        &["search", "empty.jpg", "--set", "staff", "--data", "data"][..],
        &["face", "add", "empty.jpg", "--set", "staff", "--data", "data"],
        &["compare", "empty.jpg", "full.jpg"],
        &["explain", "full.jpg", "empty.jpg"],
        &["detect", "empty.jpg"],
    ] {
        let refused = scratch.run(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}");
        assert!(refused.talk.contains("cannot read photograph empty.jpg: it is empty"), "{}", refused.talk);
    }
    // Nothing of it is a fault of the program.
    for arguments in [&["compare", "none.jpg", "full.jpg", "--json"][..], &["calibrate", "none", "--json"]] {
        let refused = scratch.run(arguments);
        assert!(refused.talk.contains("\"code\":\"invalid_argument\""), "{}", refused.talk);
    }
    let refused = scratch.run(&["explain", "full.jpg", "full.jpg", "--false-matches", "1"]);
    assert!(refused.code == Some(2) && refused.talk.contains("needs a gallery"), "{}", refused.talk);
    let refused = scratch.run(&["explain", "full.jpg"]);
    assert!(refused.code == Some(2) && refused.talk.contains("--set NAME"), "{}", refused.talk);
    let refused = scratch.run(&["calibrate"]);
    assert!(refused.code == Some(2) && refused.talk.contains("--set NAME"), "{}", refused.talk);
    let refused = scratch.run(&["explain", "full.jpg", "full.jpg", "--crops", "empty.jpg"]);
    assert!(refused.code == Some(2) && refused.talk.contains("expected a folder"), "{}", refused.talk);
    let refused = scratch.run(&["compare", "full.jpg", "full.jpg", "--far", "0"]);
    assert!(refused.code == Some(2), "{}", refused.talk);
}

/// Operating points that a small sample shows: 1e-1 and 1e-2.
const COARSE: &str = "pack = \"default-2\"\nmeasured_on = \"our gate\"\n\
    operating_points = [{ far = 1e-1, similarity = 0.22 }, { far = 1e-2, similarity = 0.3114 }]\n";

#[test]
fn points_that_do_not_show_the_default_rate_are_taken_only_with_another_that_is_said() {
    let Some(portraits) = portraits().filter(|_| has_pack()) else { return };
    let scratch = Scratch::new();
    let source = std::path::PathBuf::from(std::env::var_os("LIKENESS_HOME").unwrap());
    let home = scratch.path().join("own");
    fs::create_dir(&home).unwrap();
    for part in ["packs", "runtime"] {
        std::os::unix::fs::symlink(source.join(part), home.join(part)).unwrap();
    }
    fs::write(scratch.path().join("gate.toml"), COARSE).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = scratch.command(arguments);
        command.env("LIKENESS_HOME", &home);
        crate::harness::ended(command)
    };
    let photos = ["obama.jpg", "obama2.jpg"].map(|name| portraits.join(name).to_str().unwrap().to_owned());
    let compare = |more: &[&str]| run(&[&["compare", &photos[0], &photos[1]], more].concat());

    let refused = run(&["pack", "calibrate", "gate.toml"]);
    assert_eq!(refused.code, Some(2), "{}", refused.data);
    let expected =
        "error: `gate.toml` shows rates from 1e-1 to 1e-2, not 1e-4, which holds where nobody says which rate\n";
    assert!(refused.talk.starts_with(expected), "{}", refused.talk);
    assert!(refused.talk.contains("--default-far 1e-2` lets pass 100 times as many strangers"), "{}", refused.talk);
    assert!(compare(&[]).data.ends_with("at FAR 1e-4 (threshold 0.4289)\n"), "nothing has changed");
    let beyond = run(&["pack", "calibrate", "gate.toml", "--default-far", "1e-4"]);
    assert_eq!(beyond.code, Some(2));
    assert!(beyond.talk.contains("1e-4, expected 1e-2 to 1e-1"), "{}", beyond.talk);

    // As a file that an earlier release took over: requests without a rate are refused, and it is said.
    fs::create_dir(home.join("calibrations")).unwrap();
    fs::write(home.join("calibrations/default-2.toml"), COARSE).unwrap();
    let without = compare(&[]);
    assert_eq!(without.code, Some(2), "{}", without.data);
    assert!(without.talk.contains("error: `far` is missing, and the default of 1e-4 was not"), "{}", without.talk);
    assert_eq!(compare(&["--far", "0.01"]).code, Some(0));
    assert!(run(&["pack", "list"]).data.contains("requests have to say a rate: 1e-4 was not measured"));
    let doctor = run(&["doctor", "--quick", "--data", "data"]);
    assert!(doctor.data.contains("requests have to say a rate"), "{}", doctor.data);

    // The cure of a file that cannot be read is not to install the pack again.
    fs::write(home.join("calibrations/default-2.toml"), "points [").unwrap();
    let doctor = run(&["doctor", "--data", "data"]);
    assert!(doctor.data.contains("cure: `likeness pack calibrate --reset default-2` removes them"), "{}", doctor.data);
    assert_eq!(run(&["pack", "calibrate", "--reset", "default-2"]).code, Some(0));

    let taken = run(&["pack", "calibrate", "gate.toml", "--default-far", "0.01"]);
    assert_eq!(taken.code, Some(0), "{}", taken.talk);
    let shares =
        "requests about a person of more than 1 face have to say a rate: each face is held to its share of 1e-2";
    assert!(taken.talk.contains(&format!("warning: {shares}")), "{}", taken.talk);
    assert!(run(&["doctor", "--quick", "--data", "data"]).data.contains(&format!("warn  default rate {shares}")));
    let said = "where no rate is said, the false-accept rate is 1e-2";
    for command in [&["pack", "list"][..], &["thresholds"], &["config", "show"]] {
        assert!(run(command).data.contains(said), "{command:?}");
    }
    assert!(taken.data.contains(said), "{}", taken.data);
    assert!(compare(&[]).data.ends_with("at FAR 1e-2 (threshold 0.3114)\n"));
    let answer: Value = serde_json::from_str(&compare(&["--json"]).data).unwrap();
    assert_eq!((answer.get("far_asked"), &answer["far_applied"]), (None, &Value::from(0.01)));
    let shown: Value = serde_json::from_str(&run(&["config", "show", "--json"]).data).unwrap();
    assert_eq!(shown["pack"]["default_far"], 0.01);

    // Numbers of dialects at rates that were not measured are no looser than by the pack's own points.
    let table: Value = serde_json::from_str(&run(&["thresholds", "--json"]).data).unwrap();
    let own: Value = serde_json::from_str(&scratch.run(&["thresholds", "--json"]).data).unwrap();
    let at = |table: &Value, idx: usize| table["thresholds"][idx]["similarity"].as_f64().unwrap();
    assert!((at(&table, 1) - 0.3114).abs() < 1e-6 && at(&own, 3) > 0.42, "{table} {own}");
    assert_eq!(table["default_far"], 0.01);
    // And each can be looked up, although nobody knows its rate.
    let rows = table["thresholds"].as_array().unwrap();
    let usual = rows.iter().find(|row| row["numbers"]["aliyun"] == 80.0).expect("the number that clients have");
    assert_eq!((&usual["far"], &usual["far_bound"]), (&Value::from(0.01), &Value::from("at_most")), "{table}");
    assert!(at(&own, 3) <= usual["similarity"].as_f64().unwrap() + 1e-6, "{table} {own}");
    let shown = run(&["thresholds"]).data;
    assert!(shown.contains("<1e-2") && shown.contains("<: not measured"), "{shown}");

    // A server goes on with the points that it was started with.
    let mut serving = scratch.command(&["serve", "--listen", "127.0.0.1:0", "--data", "data"]);
    serving.env("LIKENESS_HOME", &home);
    let mut server = Server::start(serving);
    server.wait_for("listening on http://127.0.0.1:");
    let differs = "warn  thresholds   the server decides by other operating points of default-2 than are installed";
    assert!(!run(&["doctor", "--quick", "--data", "data"]).data.contains(differs));
    assert_eq!(run(&["pack", "calibrate", "--reset", "default-2"]).code, Some(0));
    assert!(run(&["doctor", "--quick", "--data", "data"]).data.contains(differs));
    server.stop();
}

#[test]
fn a_match_is_explained_and_its_crops_are_written_on_request() {
    let Some(portraits) = portraits().filter(|_| has_pack()) else { return };
    let scratch = Scratch::new();
    let explain = |a: &str, b: &str, more: &[&str]| {
        let (a, b) = (portraits.join(a), portraits.join(b));
        scratch.run(&[&["explain", a.to_str().unwrap(), b.to_str().unwrap()], more].concat())
    };
    let same = explain("obama.jpg", "obama2.jpg", &["--crops", "crops"]);
    assert_eq!(same.code, Some(0), "{}", same.talk);
    assert!(same.data.starts_with("verdict       same person at FAR 1e-4\nsimilarity    0."), "{}", same.data);
    assert!(same.data.contains("\nfirst image   ") && same.data.contains("passes the quality gate "), "{}", same.data);
    assert!(same.data.contains("\n- a match "), "{}", same.data);
    // What it has drawn is drawn anew; a file of that name which is somebody else's is not lost.
    assert_eq!(explain("obama.jpg", "obama2.jpg", &["--crops", "crops"]).code, Some(0));
    fs::create_dir(scratch.path().join("mine")).unwrap();
    fs::write(scratch.path().join("mine/crop-2.png"), "mine").unwrap();
    let refused = explain("obama.jpg", "obama2.jpg", &["--crops", "mine"]);
    let expected =
        "error: mine/crop-2.png exists already, and is no picture that likeness has drawn\n  hint: `--force`";
    assert!(refused.code == Some(2) && refused.talk.starts_with(expected), "{}", refused.talk);
    assert_eq!(fs::read(scratch.path().join("mine/crop-2.png")).unwrap(), b"mine");
    assert_eq!(explain("obama.jpg", "obama2.jpg", &["--crops", "mine", "--force"]).code, Some(0));
    for name in ["crops/crop-1.png", "crops/crop-2.png"] {
        let crop = fs::read(scratch.path().join(name)).unwrap();
        assert!(crop.starts_with(b"\x89PNG\r\n"), "{name}");
    }
    let different = explain("obama.jpg", "biden.jpg", &["--json"]);
    assert_eq!(different.code, Some(1));
    let answer: Value = serde_json::from_str(&different.data).unwrap();
    let faces = answer["explanation"]["faces"].as_array().unwrap();
    assert_eq!(faces.len(), 2);
    assert!(faces.iter().all(|face| face.get("crop").is_none() && face["quality"]["sharpness"].is_number()));
    assert!(answer["explanation"]["remarks"][0].as_str().unwrap().starts_with("no match"), "{answer}");
}

#[test]
fn faces_are_found_and_drawn() {
    let Some(portraits) = portraits().filter(|_| has_pack()) else { return };
    let scratch = Scratch::new();
    let photo = portraits.join("biden.jpg");
    let found = scratch.run(&["detect", photo.to_str().unwrap(), "-o", "out.png"]);
    assert_eq!(found.code, Some(0), "{}", found.talk);
    assert!(found.data.starts_with("left  top  width  height  score  quality  yaw  pitch  roll"), "{}", found.data);
    assert!(found.talk.starts_with("1 face in a picture of ") && found.talk.ends_with("drawn to out.png\n"));
    assert!(fs::read(scratch.path().join("out.png")).unwrap().starts_with(b"\x89PNG\r\n"));
    assert_eq!(scratch.run(&["detect", photo.to_str().unwrap(), "-o", "out.JPG"]).code, Some(0));
    assert!(fs::read(scratch.path().join("out.JPG")).unwrap().starts_with(&[0xff, 0xd8, 0xff]));

    // Again into the same file, and not into somebody else's.
    let again = |more: &[&str]| scratch.run(&[&["detect", photo.to_str().unwrap(), "--assess", "none"], more].concat());
    assert_eq!(again(&["-o", "out.png"]).code, Some(0));
    fs::write(scratch.path().join("other.png"), "mine").unwrap();
    let refused = again(&["-o", "other.png"]);
    assert!(refused.code == Some(2) && refused.talk.contains("other.png exists already"), "{}", refused.talk);
    assert_eq!(fs::read(scratch.path().join("other.png")).unwrap(), b"mine");
    assert_eq!(again(&["-o", "other.png", "--force"]).code, Some(0));
    // Still a picture.
    assert_eq!(scratch.run(&["detect", "other.png", "--assess", "none"]).code, Some(0));

    fs::write(scratch.path().join("grey.bmp"), grey_bmp()).unwrap();
    let none = scratch.run(&["detect", "grey.bmp", "--json", "--assess", "none"]);
    assert_eq!(none.code, Some(1));
    assert_eq!(none.data, "{\"image_width\":64,\"image_height\":64,\"faces\":[]}\n");
}

#[test]
fn a_picture_name_of_another_kind_is_refused_before_the_photograph_is_read() {
    let scratch = Scratch::new();
    let refused = scratch.run(&["detect", "absent.jpg", "-o", "out.gif"]);
    assert_eq!(refused.code, Some(2));
    let expected =
        "error: cannot write a picture named `out.gif`, expected a name that ends with .png, .jpg or .jpeg\n";
    assert_eq!(refused.talk, expected);
}

#[test]
fn what_no_pack_measures_is_said_with_how_to_install_it() {
    let Some(portraits) = portraits().filter(|_| has_pack()) else { return };
    let scratch = Scratch::new();
    let photo = portraits.join("obama.jpg");
    let detect = |more: &[&str]| scratch.run(&[&["detect", photo.to_str().unwrap()], more].concat());
    let bare = detect(&["--assess", "none"]);
    assert!(bare.data.starts_with("left  top  width  height  score\n"), "{}", bare.data);
    assert_eq!(bare.talk.lines().count(), 1, "{}", bare.talk);

    let ended = detect(&["--json"]);
    let answer: Value = serde_json::from_str(&ended.data).unwrap();
    let missing: Vec<&str> =
        answer["not_measured"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let face = &answer["faces"][0];
    // Which packs are installed is the machine's business; either way, each word is measured or missed, with a cure.
    for (word, member) in [("landmarks68", "landmarks68"), ("expression", "expressions"), ("age_gender", "age")] {
        assert_eq!(missing.contains(&word), face.get(member).is_none(), "{word}");
        assert_eq!(missing.contains(&word), ended.talk.contains("hint: `likeness pack install attributes`"), "{word}");
    }
    assert_eq!(missing.contains(&"liveness"), face.get("liveness").is_none());
    assert!(face["pose"]["yaw"].is_number() && face["quality"]["total"].is_number() && face["turn"] == 0, "{face}");

    let wrong = detect(&["--assess", "charm"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.talk.contains("`assess` has \"charm\", expected `all` or words of"), "{}", wrong.talk);
}

#[test]
fn an_evaluation_counts_missing_faces_as_errors() {
    let Some(portraits) = portraits().filter(|_| has_pack()) else { return };
    let scratch = Scratch::new();
    for name in ["obama.jpg", "obama2.jpg", "biden.jpg", "biden2.jpg"] {
        fs::copy(portraits.join(name), scratch.path().join(name)).unwrap();
    }
    fs::write(scratch.path().join("grey.bmp"), grey_bmp()).unwrap();
    let pairs = "fold,image_a,image_b,same\n1,obama.jpg,obama2.jpg,1\n1,obama.jpg,biden.jpg,0\n\
        2,biden.jpg,biden2.jpg,1\n2,obama2.jpg,biden2.jpg,0\n2,obama.jpg,grey.bmp,1\n2,biden.jpg,grey.bmp,0\n";
    fs::write(scratch.path().join("pairs.csv"), pairs).unwrap();
    let ended = scratch.run(&["eval", "pairs", "pairs.csv", "--images", ".", "--json", "--plot", "roc.svg"]);
    assert_eq!(ended.code, Some(0), "{}", ended.talk);
    assert_eq!(ended.talk, "no face: grey.bmp\nROC drawn to roc.svg\n");
    let answer: Value = serde_json::from_str(&ended.data).unwrap();
    assert_eq!((&answer["pairs"], &answer["no_face"]), (&6.into(), &1.into()));
    assert_eq!(answer["folds"][0]["accuracy"], 1.0);
    assert_eq!(answer["folds"][1]["accuracy"], 0.5);
    assert_eq!((&answer["accuracy"], &answer["accuracy_sd"]), (&0.75.into(), &0.25.into()));
    // Of six pairs no rate is stated.
    let unstated = serde_json::json!({});
    assert_eq!((&answer["tar_at_far"], &answer["folds"][0]["tar_at_far"]), (&unstated, &unstated));
    let interval: Vec<f64> = serde_json::from_value(answer["accuracy_interval"].clone()).unwrap();
    assert!(interval[0] < 0.5 && (0.75..1.0).contains(&interval[1]), "{interval:?}");
    assert!(fs::read_to_string(scratch.path().join("roc.svg")).unwrap().starts_with("<svg "));

    let missing = scratch.run(&["eval", "pairs", "nowhere.csv", "--images", "."]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.talk.starts_with("error: cannot read pairs file nowhere.csv: "), "{}", missing.talk);
}

#[test]
fn all_pairs_of_a_folder_of_persons_are_compared() {
    let Some(portraits) = portraits().filter(|_| has_pack()) else { return };
    let scratch = Scratch::new();
    for (person, names) in [("obama", ["obama.jpg", "obama2.jpg"]), ("biden", ["biden.jpg", "biden2.jpg"])] {
        let folder = scratch.path().join("persons").join(person);
        fs::create_dir_all(&folder).unwrap();
        for name in names {
            fs::copy(portraits.join(name), folder.join(name)).unwrap();
        }
    }
    fs::write(scratch.path().join("persons/obama/grey.bmp"), grey_bmp()).unwrap();
    let all_pairs = |more: &[&str]| scratch.run(&[&["eval", "all-pairs", "persons"], more].concat());
    let ended = all_pairs(&["--json", "--names", "--roc", "roc.svg"]);
    assert_eq!(ended.code, Some(0), "{}", ended.talk);
    let answer: Value = serde_json::from_str(&ended.data).unwrap();
    assert_eq!((&answer["persons"], &answer["photographs"], &answer["no_face"]), (&2.into(), &5.into(), &1.into()));
    assert_eq!((&answer["genuine_pairs"], &answer["impostor_pairs"]), (&2.into(), &4.into()));
    assert_eq!(answer["left_out"][0], "obama/grey.bmp");
    // Four impostor pairs show no rate at all.
    assert!(answer["rates"].as_array().unwrap().iter().all(|rate| rate.get("tar").is_none()));
    assert!(fs::read_to_string(scratch.path().join("roc.svg")).unwrap().starts_with("<svg "));
    assert_eq!(all_pairs(&["--roc", "roc.png"]).code, Some(0));
    assert!(fs::read(scratch.path().join("roc.png")).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"));
    assert!(all_pairs(&[]).data.contains("1e-6              -       -"), "{}", all_pairs(&[]).data);

    let refused = all_pairs(&["--roc", "roc.gif"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.talk.contains("expected a name that ends with .png or .svg"), "{}", refused.talk);
}

/// Minutes of work, so only where LIKENESS_TEST_LFW is set. Measured: 99.61 % (0.28 over the folds), TAR 99.44 % at FAR
/// 1e-2 and 99.22 % at 1e-3, as the reference pipeline on the same folds.
#[test]
#[expect(clippy::print_stdout, reason = "a skipped test says why")]
fn the_default_pack_is_as_accurate_as_it_was_measured() {
    let lfw = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/eval/lfw");
    if std::env::var_os("LIKENESS_TEST_LFW").is_none() || !lfw.is_dir() || !has_pack() {
        println!("skipped: LIKENESS_TEST_LFW is not set, or {} or the pack is absent", lfw.display());
        return;
    }
    let lfw = lfw.canonicalize().unwrap();
    let (pairs, images) = (lfw.join("pairs.csv"), lfw.join("images"));
    let scratch = Scratch::new();
    let data =
        scratch.data_of(&["eval", "pairs", pairs.to_str().unwrap(), "--images", images.to_str().unwrap(), "--json"]);
    let answer: Value = serde_json::from_str(&data).unwrap();
    assert_eq!((&answer["pairs"], &answer["no_face"]), (&1800.into(), &0.into()));
    let at_least = |figure: &str, least: f64| {
        let measured = answer.pointer(figure).and_then(Value::as_f64).unwrap();
        assert!(measured >= least, "{figure} is {measured}, expected at least {least}");
    };
    at_least("/accuracy", 0.993);
    // 900 pairs of two people show no rate of 1e-2, of which there would be nine.
    assert_eq!(answer["tar_at_far"], serde_json::json!({}));
}

#[test]
fn anybody_can_run_the_bench() {
    if !has_pack() {
        return;
    }
    let scratch = Scratch::new();
    let data = scratch.data_of(&["bench", "--faces", "1000", "--seconds", "1", "--json", "--scratch", "."]);
    let report: Value = serde_json::from_str(&data).unwrap();
    assert_eq!((&report["pack"], &report["dimensions"]), (&"default-2".into(), &128.into()));
    assert_eq!(report["search"][0]["faces"], 1000);
    for figure in ["/search/0/per_second", "/stages/detect_ms", "/stages/embed_ms", "/enrolment/1/per_second"] {
        assert!(
            report.pointer(figure).and_then(Value::as_f64).is_some_and(|figure| figure > 0.0),
            "{figure}: {report}"
        );
    }
    let names = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains("likeness-bench")).collect();
    assert!(left.is_empty(), "the scratch library is removed: {left:?}");
}

#[test]
fn a_search_over_http_is_measured_beside_the_index_alone() {
    let scratch = Scratch::new();
    let few = ["--faces", "1000", "--connections", "4", "--rounds", "1", "--seconds", "1"];
    let data = scratch.data_of(&[&["bench", "http", "--json", "--scratch", "."], &few[..]].concat());
    let report: Value = serde_json::from_str(&data).unwrap();
    assert_eq!((&report["faces"], &report["connections"], &report["top_k"]), (&1000.into(), &4.into(), &10.into()));
    for figure in ["/index/searches", "/index/cpu_us", "/http/searches", "/http/cpu_us", "/http/median_ms", "/ratio"] {
        let figure_above_0 = report.pointer(figure).and_then(Value::as_f64).is_some_and(|figure| figure > 0.0);
        assert!(figure_above_0, "{figure}: {report}");
    }
    let left = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("likeness-bench")).collect();
    assert!(left.is_empty(), "the scratch library is removed: {left:?}");
}

#[test]
fn a_measurement_that_is_interrupted_leaves_nothing() {
    for signal in [Signal::TERM, Signal::INT] {
        for (command, talk) in [("http", "making up faces"), ("search", "filling a gallery")] {
            let scratch = Scratch::new();
            let many = ["bench", command, "--faces", "3000000"];
            let folder = if command == "http" { &["--scratch", "new/scratch"][..] } else { &[] };
            let mut command = scratch.command(&[&many[..], folder].concat());
            command.env("TMPDIR", scratch.path());
            let mut bench = Server::start(command);
            bench.wait_for(talk);
            bench.signal(signal);
            bench.wait_for("interrupted");
            assert_eq!(bench.wait().code(), Some(2), "{}", bench.talk());
            let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}
