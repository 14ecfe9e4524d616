//! Homes with the default pack of an earlier release, alone and beside the one of today.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Scratch, ended, has_pack};

const DATA: [&str; 2] = ["--data", "data"];

/// A scratch folder with a home that has the runtime and these packs of `LIKENESS_HOME`; `None`, with the reason printed,
/// if one of them is not installed there.
#[expect(clippy::print_stdout, reason = "a skipped test says why")]
fn home_with(packs: &[&str]) -> Option<(Scratch, PathBuf)> {
    if !has_pack() {
        return None;
    }
    let installed = PathBuf::from(std::env::var_os("LIKENESS_HOME")?);
    if let Some(absent) = packs.iter().find(|pack| !installed.join("packs").join(pack).is_dir()) {
        println!("skipped: LIKENESS_HOME has no model pack {absent} (`likeness pack install default-1`)");
        return None;
    }
    let scratch = Scratch::new();
    let home = scratch.path().join("packs-home");
    std::fs::create_dir_all(home.join("packs")).unwrap();
    symlink(installed.join("runtime").canonicalize().unwrap(), home.join("runtime")).unwrap();
    for pack in packs {
        let target = installed.join("packs").join(pack).canonicalize().unwrap();
        symlink(target, home.join("packs").join(pack)).unwrap();
    }
    scratch.data_of(&[&["key", "create", "--tenant", "owner"], &DATA[..]].concat());
    Some((scratch, home))
}

/// A command over that home which finds no pip to install anything with.
fn command(scratch: &Scratch, home: &Path, arguments: &[&str]) -> Command {
    let mut command = scratch.command(&[arguments, &DATA].concat());
    command.env("LIKENESS_HOME", home).env("PATH", "/nowhere").env("LIKENESS_WORKERS", "1");
    command
}

#[test]
fn a_home_with_only_the_earlier_default_pack_serves_on_without_a_network() {
    let Some((scratch, home)) = home_with(&["default-1"]) else { return };
    let made = ended(command(&scratch, &home, &["face-set", "create", "people"]));
    assert_eq!(
        (made.code, made.data.as_str()),
        (Some(0), "made face set `people` with pack default-1\n"),
        "{}",
        made.talk
    );
    for words in ["serves on", "default-1", "pip was not found", "likeness pack install"] {
        assert!(made.talk.contains(words), "{words}: {}", made.talk);
    }
}

#[test]
fn after_an_upgrade_old_sets_keep_their_pack_and_new_ones_get_the_default() {
    let Some((scratch, home)) = home_with(&["default-1", "default-2"]) else { return };
    let mut earlier = command(&scratch, &home, &["face-set", "create", "old"]);
    earlier.env("LIKENESS_PACK", "default-1");
    assert_eq!(ended(earlier).data, "made face set `old` with pack default-1\n");
    let made = ended(command(&scratch, &home, &["face-set", "create", "new"]));
    assert_eq!(made.data, "made face set `new` with pack default-2\n", "{}", made.talk);
    let listed = ended(command(&scratch, &home, &["face-set", "list"])).data;
    let packs: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(packs, ["pack", "default-1", "default-2"], "{listed}");
    let listed = ended(command(&scratch, &home, &["face-set", "list", "--json"])).data;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let packs: Vec<_> = listed["face_sets"].as_array().unwrap().iter().map(|face_set| &face_set["pack"]).collect();
    assert_eq!(packs, ["default-1", "default-2"]);
}

#[test]
fn a_pack_that_is_not_there_is_named_with_how_to_install_it() {
    let Some((scratch, home)) = home_with(&["default-2"]) else { return };
    let mut earlier = command(&scratch, &home, &["face-set", "create", "old"]);
    earlier.env("LIKENESS_PACK", "default-1");
    let refused = ended(earlier);
    assert_eq!(refused.code, Some(2), "{}", refused.talk);
    assert!(refused.talk.contains("model pack `default-1` is not installed"), "{}", refused.talk);
    assert!(refused.talk.contains("`likeness pack install default-1` installs it"), "{}", refused.talk);
}
