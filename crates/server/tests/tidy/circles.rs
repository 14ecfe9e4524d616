//! The files of a room import each other in one direction: whoever opens one need not know the others' whole.
//!
//! Only `use` lines are read, as most names come by them. A room's own page (`mod.rs`, `lib.rs`) may know its files and be known
//! by them.

use std::collections::{BTreeMap, BTreeSet};

use super::{check_none, files, root};

/// The paths that a `use` line names.
fn paths(tree: &str, prefix: &[&str], found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let (before, inner) = match tree.split_once('{') {
        Some((before, inner)) => (before, inner.strip_suffix('}')),
        None => (tree, None),
    };
    let words = before.split("::").map(|word| word.split_whitespace().next().unwrap_or(""));
    let prefix: Vec<&str> = prefix.iter().copied().chain(words.filter(|word| !word.is_empty())).collect();
    let Some(inner) = inner else { return found.push(prefix.iter().map(|word| (*word).to_owned()).collect()) };
    let (mut depth, mut start) = (0, 0);
    for (at, character) in inner.char_indices().chain([(inner.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inner[start..at].trim().is_empty() {
                    paths(&inner[start..at], &prefix, found);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// Files by the names of the modules that lead to them, and what each imports.
fn imports(source: &std::path::Path) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let mut texts = BTreeMap::new();
    for path in files(source, ".rs") {
        let name = path.strip_prefix(source).expect("below it").with_extension("");
        let name: Vec<String> = name.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if !name.iter().any(|part| ["tests", "fuzz", "mod", "lib"].contains(&part.as_str())) {
            texts.insert(name, std::fs::read_to_string(&path).expect("a source can be read"));
        }
    }
    let known: BTreeSet<Vec<String>> = texts.keys().cloned().collect();
    let imported = texts.into_iter().map(|(name, text)| {
        let mut named = Vec::new();
        for line in
            text.split(';').filter_map(|piece| piece.rsplit_once("\nuse ").or_else(|| piece.rsplit_once(" use ")))
        {
            paths(line.1, &[], &mut named);
        }
        let files = named.iter().filter_map(|path| {
            let n_up = path.iter().take_while(|word| *word == "super").count();
            let mut at: Vec<String> = match path.first()?.as_str() {
                "super" => name[..name.len().checked_sub(n_up)?].to_vec(),
                "crate" => Vec::new(),
                _ => return None,
            };
            at.extend_from_slice(&path[n_up.max(1)..]);
            // The longest beginning that is a file: what follows is a name in it.
            (1..=at.len()).rev().map(|n| at[..n].to_vec()).find(|file| known.contains(file))
        });
        let files = files.filter(|file| *file != name).collect();
        (name, files)
    });
    imported.collect()
}

#[test]
fn files_import_each_other_in_one_direction() {
    for (room, n_imports_min) in [
        ("crates/domain/src", 50),
        ("crates/vision/src", 100),
        ("crates/store/src", 200),
        ("crates/wire/src", 200),
        ("crates/server/src", 100),
    ] {
        let mut imports = imports(&root().join(room));
        let n_imports: usize = imports.values().map(BTreeSet::len).sum();
        assert!(n_imports >= n_imports_min, "only {n_imports} imports of {room} are read");
        // What imports nothing that is left is in no circle.
        loop {
            let free: BTreeSet<Vec<String>> =
                imports.iter().filter(|(_, of)| of.is_empty()).map(|(name, _)| name.clone()).collect();
            if free.is_empty() {
                break;
            }
            imports.retain(|name, _| !free.contains(name));
            imports.values_mut().for_each(|of| of.retain(|name| !free.contains(name)));
        }
        // Nor is what nothing of the rest imports.
        loop {
            let wanted: BTreeSet<Vec<String>> = imports.values().flatten().cloned().collect();
            let n_before = imports.len();
            imports.retain(|name, _| wanted.contains(name));
            if imports.len() == n_before {
                break;
            }
        }
        let left = imports.iter().map(|(name, of)| {
            let of: Vec<String> = of.iter().map(|name| name.join("/")).collect();
            format!("{room}/{}.rs imports {}", name.join("/"), of.join(", "))
        });
        check_none("files that import each other in a circle", left.collect());
    }
}
