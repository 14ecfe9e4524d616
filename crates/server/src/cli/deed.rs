//! What cannot be undone, and is done only if somebody confirms it.

use std::io::IsTerminal;

use likeness_domain::Error;

use super::table::counted;
use super::terminal::message;
use crate::outcome::{failed, refused};

/// Such a thing, by the names of what goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed<'a> {
    /// A tenant goes, with all it has.
    DeleteTenant(&'a str),
    /// An access key goes.
    DeleteKey(&'a str),
    /// A face set goes, with its own faces.
    DeleteFaceSet(&'a str),
    /// So many faces of a face set go.
    DeleteFaces(u64, &'a str),
    /// A person goes, with its faces.
    DeletePerson(&'a str),
    /// So many faces of a person go.
    DeletePersonFaces(u64, &'a str),
    /// The first person goes, and the second one has its faces.
    Merge(&'a str, &'a str),
}

impl Deed<'_> {
    /// Whether it may be done: `--yes` says so, or whoever sits at the terminal. Without a terminal there is nobody to ask.
    pub(crate) fn is_confirmed(self, yes: bool) -> Result<bool, Error> {
        if yes {
            return Ok(true);
        }
        if !std::io::stdin().is_terminal() {
            // What scripts could do before anybody was asked, they can still do without.
            return match self {
                Deed::DeleteTenant(name) => {
                    let message = format!("tenant `{name}` is deleted only if that is confirmed");
                    Err(refused(message).with_hint("confirm with `--yes`"))
                }
                _ => Ok(true),
            };
        }
        message(format_args!("this {}; there is no way back", self.means()));
        let (word, word_is) = self.word();
        message(format_args!("type {word_is} to confirm:"));
        let mut typed = String::new();
        let read = std::io::stdin().read_line(&mut typed);
        read.map_err(|error| failed(format!("cannot read the answer: {error}")))?;
        let is_confirmed = typed.trim() == word;
        if !is_confirmed {
            message("nothing is changed");
        }
        Ok(is_confirmed)
    }

    /// What it does.
    fn means(self) -> String {
        match self {
            Deed::DeleteTenant(name) => {
                format!("deletes tenant {name} with all its face sets, persons, faces and keys")
            }
            Deed::DeleteKey(id) => format!("deletes access key {id}; clients that sign with it are refused"),
            Deed::DeleteFaceSet(name) => format!("deletes face set `{name}` and its faces; persons keep theirs"),
            Deed::DeleteFaces(n_faces, name) => format!("deletes {} from `{name}`", counted(n_faces, "face")),
            Deed::DeletePerson(key) => format!("deletes person `{key}` and its faces, which all its face sets show"),
            Deed::DeletePersonFaces(n_faces, key) => {
                let faces = counted(n_faces, "face");
                format!("deletes {faces} of person `{key}`, which all its face sets show")
            }
            Deed::Merge(from, into) => {
                format!("gives all faces and face sets of person `{from}` to `{into}` and deletes `{from}`")
            }
        }
    }

    /// What has to be typed, and what that is.
    fn word(&self) -> (&str, &'static str) {
        match self {
            Deed::DeleteTenant(name) => (name, "the tenant's name"),
            Deed::DeleteKey(id) => (id, "the key's id"),
            Deed::DeleteFaceSet(name) => (name, "the face set's name"),
            Deed::DeletePerson(key) => (key, "the person's key"),
            Deed::Merge(from, _) => (from, "the key of the person that goes"),
            Deed::DeleteFaces(..) | Deed::DeletePersonFaces(..) => ("yes", "`yes`"),
        }
    }
}
