//! Photographs below a folder, and whom they show by their place.
//!
//! A file's own fault never ends the walk: what cannot be read and what is left out is listed with its reason.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use likeness_domain::Error;
use likeness_domain::types::is_unseen;
use serde::Serialize;

use super::photo;
use crate::outcome::refused;

/// Sub-folders within sub-folders.
const DEPTH_MAX: usize = 32;

/// A photograph in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its path below the folder, with `/` between the parts; bytes that are not UTF-8 are written `\xNN`.
    pub(super) relative: String,
    /// Whom it shows, by its place.
    pub(super) subject: String,
}

/// Why a file or folder was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    /// Its name does not end like that of a photograph.
    Ending,
    /// Its name ends like that of a photograph in HEIC or AVIF, which are not decoded.
    NotDecoded,
    /// Its name begins with a dot.
    Hidden,
    /// It is a link to something that is not there.
    BrokenLink,
    /// It is a folder that was already walked through, under another name.
    SeenBefore,
    /// It is neither a file nor a folder.
    NoFile,
    /// It is a folder within more than [`DEPTH_MAX`] others.
    TooDeep,
    /// It is a folder that cannot be read.
    Unreadable,
}

impl Reason {
    /// For the summary, after a number.
    pub(super) fn words(self) -> &'static str {
        match self {
            Reason::Ending => "with another ending",
            Reason::NotDecoded => "HEIC or AVIF (convert to JPEG or PNG first)",
            Reason::Hidden => "hidden",
            Reason::BrokenLink => "links to nothing",
            Reason::SeenBefore => "folders seen before",
            Reason::NoFile => "neither files nor folders",
            Reason::TooDeep => "folders nested too deeply",
            Reason::Unreadable => "folders that cannot be read",
        }
    }
}

/// What was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PassedOver {
    /// Its path below the folder.
    pub(super) file: String,
    pub(super) reason: Reason,
}

/// What is below a folder.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Photographs, in order of their paths.
    pub(super) photographs: Vec<Found>,
    pub(super) passed_over: Vec<PassedOver>,
    /// Device and number of each folder on the way: one that is linked twice, or linked into itself, is walked through
    /// once.
    seen: HashSet<(u64, u64)>,
}

/// Every file below `dir` whose name says that it is a photograph. Links are followed.
pub(super) fn walk(dir: &Path) -> Result<Walk, Error> {
    let cannot = |error: std::io::Error| refused(format!("cannot read folder {}: {error}", dir.display()));
    let mut walk = Walk::default();
    walk.is_new(&std::fs::metadata(dir).map_err(cannot)?);
    walk.folder(dir, &mut Vec::new()).map_err(cannot)?;
    Ok(walk)
}

impl Walk {
    fn is_new(&mut self, folder: &Metadata) -> bool {
        self.seen.insert((folder.dev(), folder.ino()))
    }

    fn folder(&mut self, dir: &Path, parts: &mut Vec<String>) -> std::io::Result<()> {
        let mut entries = std::fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            parts.push(name_of(&entry.file_name()));
            if let Some(reason) = self.entry(&entry.path(), parts) {
                self.passed_over.push(PassedOver { file: parts.join("/"), reason });
            }
            parts.pop();
        }
        Ok(())
    }

    /// Takes in a file or a folder, or says why it is left out. `parts` are the names that lead to it, its own included.
    fn entry(&mut self, path: &Path, parts: &mut Vec<String>) -> Option<Reason> {
        let name = parts.last().map_or("", String::as_str);
        if name.starts_with('.') {
            return Some(Reason::Hidden);
        }
        // Of what a link leads to, which need not be there.
        let Ok(metadata) = std::fs::metadata(path) else { return Some(Reason::BrokenLink) };
        if metadata.is_dir() {
            if parts.len() > DEPTH_MAX {
                return Some(Reason::TooDeep);
            }
            if !self.is_new(&metadata) {
                return Some(Reason::SeenBefore);
            }
            return self.folder(path, parts).is_err().then_some(Reason::Unreadable);
        }
        if !photo::has_photo_name(path) {
            return Some(if is_not_decoded(path) { Reason::NotDecoded } else { Reason::Ending });
        }
        if !metadata.is_file() {
            return Some(Reason::NoFile);
        }
        let subject = if parts.len() > 1 { parts[0].clone() } else { subject_of_file(name) };
        self.photographs.push(Found { path: path.to_owned(), relative: parts.join("/"), subject });
        None
    }
}

/// Whether a file's name says that it is a photograph in a format that nothing here decodes.
fn is_not_decoded(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or("");
    ["heic", "heif", "hif", "avif"].iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// A name as text: bytes that are not UTF-8 become `\xNN`, so that different names stay different.
fn name_of(name: &OsStr) -> String {
    let chunks = name.as_bytes().utf8_chunks();
    chunks.fold(String::new(), |text, chunk| {
        let invalid: String = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect();
        text + chunk.valid() + &invalid
    })
}

/// A text for a terminal: characters that move the cursor, begin a line or turn the reading direction are shown by their numbers.
pub(super) fn shown(text: &str) -> String {
    let is_odd = |character: char| {
        character.is_control() || is_unseen(character) || matches!(character, '\u{200c}' | '\u{200d}')
    };
    text.chars().fold(String::new(), |mut shown, character| {
        if is_odd(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
        shown
    })
}

/// A file's name without extension and trailing number: `anna_2.jpg`, `anna (2).jpg` and `anna.jpg` all show `anna`.
/// A name that is nothing but a number is kept.
fn subject_of_file(name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let is_digit = |character: char| character.is_ascii_digit();
    let numbered = stem.strip_suffix(')').filter(|inner| inner.ends_with(is_digit)).unwrap_or(stem);
    let word = numbered.trim_end_matches(is_digit).trim_end_matches(['_', '-', '.', ' ', '(']);
    if word.is_empty() { stem.to_owned() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_name_says_whom_it_shows() {
        for name in ["anna.jpg", "anna2.jpg", "anna_02.png", "anna-7.jpg", "anna (2).jpg", "anna.1.webp"] {
            assert_eq!(subject_of_file(name), "anna", "{name}");
        }
        assert_eq!(subject_of_file("Anna_Smith_0001.jpg"), "Anna_Smith");
        assert_eq!(subject_of_file("0001.jpg"), "0001");
        assert_eq!(subject_of_file("Anna (Smith).jpg"), "Anna (Smith)");
    }

    fn write(dir: &Path, path: impl AsRef<Path>) {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, b"x").expect("written");
    }

    fn photographs(walk: &Walk) -> Vec<(&str, &str)> {
        walk.photographs.iter().map(|found| (found.relative.as_str(), found.subject.as_str())).collect()
    }

    fn passed_over(walk: &Walk) -> Vec<(&str, Reason)> {
        walk.passed_over.iter().map(|passed| (passed.file.as_str(), passed.reason)).collect()
    }

    #[test]
    fn a_sub_folder_says_whom_its_photographs_show_and_what_is_left_out_is_listed() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        for path in
            ["bert/2019/a.JPG", "anna/1.png", "carla_3.gif", "dora.HEIC", "notes.txt", ".hidden/x.jpg", "anna/.y.jpg"]
        {
            write(dir.path(), path);
        }
        let walk = walk(dir.path()).expect("readable");
        let expected = [("anna/1.png", "anna"), ("bert/2019/a.JPG", "bert"), ("carla_3.gif", "carla")];
        assert_eq!(photographs(&walk), expected);
        let expected = [
            (".hidden", Reason::Hidden),
            ("anna/.y.jpg", Reason::Hidden),
            ("dora.HEIC", Reason::NotDecoded),
            ("notes.txt", Reason::Ending),
        ];
        assert_eq!(passed_over(&walk), expected);
    }

    #[test]
    fn links_are_followed_once_and_lead_nowhere_twice() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        let elsewhere = tempfile::tempdir().expect("a scratch folder");
        write(elsewhere.path(), "1.jpg");
        write(dir.path(), "anna/1.jpg");
        let root = dir.path();
        symlink(elsewhere.path(), root.join("bert")).expect("linked");
        symlink(elsewhere.path(), root.join("carla")).expect("linked");
        symlink(root, root.join("anna/up")).expect("linked");
        symlink("nowhere", root.join("dora.jpg")).expect("linked");
        symlink("anna/1.jpg", root.join("emil.jpg")).expect("linked");
        std::os::unix::net::UnixListener::bind(root.join("socket.jpg")).expect("bound");
        let walk = walk(root).expect("readable");
        assert_eq!(photographs(&walk), [("anna/1.jpg", "anna"), ("bert/1.jpg", "bert"), ("emil.jpg", "emil")]);
        let expected = [
            ("anna/up", Reason::SeenBefore),
            ("carla", Reason::SeenBefore),
            ("dora.jpg", Reason::BrokenLink),
            ("socket.jpg", Reason::NoFile),
        ];
        assert_eq!(passed_over(&walk), expected);
    }

    #[test]
    fn a_folder_nested_too_deeply_is_left_out_and_the_rest_is_not() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        write(dir.path(), ["d"; DEPTH_MAX + 1].iter().collect::<PathBuf>().join("a.jpg"));
        write(dir.path(), "z.jpg");
        let walk = walk(dir.path()).expect("readable");
        assert_eq!(photographs(&walk), [("z.jpg", "z")]);
        assert_eq!(passed_over(&walk), [(["d"; DEPTH_MAX + 1].join("/").as_str(), Reason::TooDeep)]);
    }

    #[test]
    fn odd_names_stay_apart_and_are_shown_escaped() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        for name in [&b"a\xff.jpg"[..], b"a\xfe.jpg", b"b\x07.jpg"] {
            write(dir.path(), OsStr::from_bytes(name));
        }
        let walk = walk(dir.path()).expect("readable");
        let names: Vec<_> = photographs(&walk).iter().map(|(name, _)| shown(name)).collect();
        assert_eq!(names, ["a\\xfe.jpg", "a\\xff.jpg", "b\\u{7}.jpg"]);
        assert_eq!(shown("a\u{202e}gpj.b"), "a\\u{202e}gpj.b");
        assert_eq!(shown("Zoë 李"), "Zoë 李");
    }
}
