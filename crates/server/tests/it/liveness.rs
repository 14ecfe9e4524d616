//! `likeness liveness`: one answer for a photograph, its exit code, and what is missing said with its cure.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Ended, Scratch, has_pack};
use crate::library::shared;

fn judge(scratch: &Scratch, file: &Path, more: &[&str]) -> Ended {
    scratch.run(&[&["liveness", file.to_str().unwrap()], more].concat())
}

#[test]
fn a_living_person_is_told_from_a_print_and_a_screen() {
    let (Some(pictures), true) = (shared("eval/liveness"), has_pack()) else { return };
    let scratch = Scratch::new();
    let live = judge(&scratch, &pictures.join("live_1.jpg"), &[]);
    if live.code == Some(2) {
        // Which packs are installed is the machine's business; then the cure is said.
        assert_eq!(live.data, "");
        assert!(
            live.talk.ends_with("hint: install one with `likeness pack install liveness --from DIR`\n"),
            "{}",
            live.talk
        );
        return;
    }
    let (probability, verdict) = live.data.split_once('\n').unwrap();
    assert_eq!((live.code, verdict, live.talk.as_str()), (Some(0), "alive\n", ""));
    assert!(probability.parse::<f64>().unwrap() > 0.5, "{}", live.data);
    for attack in ["attack_1.jpg", "attack_2.jpg"] {
        let refused = judge(&scratch, &pictures.join(attack), &["--json"]);
        let answer: Value = serde_json::from_str(&refused.data).unwrap();
        assert_eq!((refused.code, &answer["alive"]), (Some(1), &Value::Bool(false)), "{attack}");
        assert!(answer["probability"].as_f64().unwrap() < 0.5, "{answer}");
    }
}

#[test]
fn what_cannot_be_judged_is_said_with_a_hint() {
    if !has_pack() {
        return;
    }
    let scratch = Scratch::new();
    let file = scratch.path().join("clip.mp4");
    fs::write(&file, b"\0\0\0\x18ftypmp42 is no picture").unwrap();
    let unknown = judge(&scratch, &file, &["--actions", "wink"]);
    assert_eq!((unknown.code, unknown.data.as_str()), (Some(2), ""));
    assert!(
        unknown.talk.contains("`wink`, expected some of turn_left, turn_right, nod, open_mouth, blink"),
        "{}",
        unknown.talk
    );
    let picture = judge(&scratch, &file, &[]);
    assert_eq!((picture.code, picture.data.as_str()), (Some(2), ""));
    assert!(picture.talk.contains("hint: "), "{}", picture.talk);
    let absent = judge(&scratch, &scratch.path().join("absent.jpg"), &[]);
    assert_eq!(absent.code, Some(2));
    assert!(absent.talk.contains("cannot read ") && absent.talk.contains("absent.jpg"), "{}", absent.talk);
}
