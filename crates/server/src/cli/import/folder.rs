//! Photographs below a folder, and whom they show by their place.

use std::path::{Path, PathBuf};

use likeness_domain::Error;

use super::photo;
use crate::cli::{failed, refused};

/// Sub-folders within sub-folders.
const DEPTH_MAX: usize = 32;

/// A photograph in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its path below the folder, with `/` between the parts.
    pub(super) relative: String,
    /// Whom it shows, by its place.
    pub(super) subject: String,
}

/// Every file below `dir` whose name says that it is a photograph, in order of their paths. Names that begin with a
/// dot are left out; links to folders are not followed.
pub(super) fn photographs(dir: &Path) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    walk(dir, &mut Vec::new(), &mut found)?;
    Ok(found)
}

fn walk(dir: &Path, parts: &mut Vec<String>, found: &mut Vec<Found>) -> Result<(), Error> {
    let cannot = |error: std::io::Error| failed(format!("cannot read folder {}: {error}", dir.display()));
    let mut entries = std::fs::read_dir(dir).map_err(cannot)?.collect::<Result<Vec<_>, _>>().map_err(cannot)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        if entry.file_type().map_err(cannot)?.is_dir() {
            if parts.len() == DEPTH_MAX {
                return Err(refused(format!("folder {} is nested too deeply", path.display())));
            }
            parts.push(name);
            walk(&path, parts, found)?;
            parts.pop();
        } else if photo::has_photo_name(&path) && path.is_file() {
            let subject = parts.first().cloned().unwrap_or_else(|| subject_of_file(&name));
            let relative = parts.iter().chain([&name]).cloned().collect::<Vec<_>>().join("/");
            found.push(Found { path, relative, subject });
        }
    }
    Ok(())
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

    #[test]
    fn a_sub_folder_says_whom_its_photographs_show() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        for path in ["bert/2019/a.JPG", "anna/1.png", "carla_3.gif", "notes.txt", ".hidden/x.jpg", "anna/.y.jpg"] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, b"x").expect("written");
        }
        let found = photographs(dir.path()).expect("readable");
        let words: Vec<_> = found.iter().map(|found| (found.relative.as_str(), found.subject.as_str())).collect();
        assert_eq!(words, [("anna/1.png", "anna"), ("bert/2019/a.JPG", "bert"), ("carla_3.gif", "carla")]);
    }
}
