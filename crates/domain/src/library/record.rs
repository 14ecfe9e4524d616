//! Who did what: the record of commits, for people.

use std::collections::{HashMap, HashSet};

use super::Library;
use crate::access::{Caller, Grant};
use crate::ports::{BEGIN_ANEW, ChangeRef, CommitRecord, RecordPlace};
use crate::types::{FaceSetId, FaceSetName, PersonId, PersonKey, Revision};
use crate::{Error, Kind, Result, limits};

/// Commits that are read at a time when only those of one face set are wanted.
const READ_AT_ONCE: usize = 1000;

/// Commits that are looked at for one page of those of one face set: bounds what a page costs.
const LOOKED_AT_MAX: usize = 20_000;

/// Where somebody goes on to read the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPosition {
    /// Behind everything that was read.
    pub place: RecordPlace,
    /// Up to which revision the reader has been told that not all commits are kept; `None` for one that begins.
    pub told: Option<Revision>,
}

impl From<Revision> for RecordPosition {
    /// Of a reader that begins behind a revision.
    fn from(revision: Revision) -> Self {
        Self { place: revision.into(), told: None }
    }
}

impl RecordPosition {
    /// `Changed` if commits behind the place may have been compacted since: the shares of a tenant lose their oldest commits
    /// each by itself, so that the commit of the place may still be there when later ones are gone.
    fn need_whole(&self, compacted: Revision) -> Result<()> {
        match self.told {
            Some(told) if compacted > told.max(self.place.revision) => {
                let message = format!(
                    "the record of changes does not go on from where `cursor` ends, behind commit {}: up to commit {} not all are \
                     kept any more",
                    self.place.revision.0, compacted.0
                );
                Err(Error::new(Kind::Changed, message).with_field("cursor").with_hint(BEGIN_ANEW))
            }
            _ => Ok(()),
        }
    }
}

/// A stretch of the record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Oldest first.
    pub commits: Vec<CommitRecord>,
    /// Names of the face sets that they mention and that are still there.
    pub face_sets: HashMap<FaceSetId, FaceSetName>,
    /// Keys of the persons that they mention and that are still there.
    pub persons: HashMap<PersonId, PersonKey>,
    /// Up to this one not all commits of the tenant are kept any more.
    pub compacted: Revision,
    /// How far it goes: what comes after that is new.
    pub reached: RecordPosition,
    /// Whether the next stretch begins there already. A stretch may be empty and yet not be the last.
    pub has_more: bool,
}

impl Library {
    /// The tenant's commits after a position, at most `limit` of them; with a face set only what changed of that and its
    /// gallery. Needs the manage grant, for every face set. `Changed` for a position that may be of another history, or behind
    /// which commits are gone that the reader was not told of; `FaceSetNotFound`; `InvalidArgument` for a limit above [`limits::PERSON_PAGE_MAX`].
    pub async fn record(
        &self,
        caller: &Caller,
        face_set: Option<&FaceSetName>,
        after: RecordPosition,
        limit: u64,
    ) -> Result<Record> {
        caller.require(Grant::Manage)?;
        caller.require_every_face_set("see who changed what")?;
        if !(1..=limits::PERSON_PAGE_MAX).contains(&limit) {
            let message = format!("`limit` is {limit}, expected 1 to {}", limits::PERSON_PAGE_MAX);
            return Err(Error::invalid("limit", message));
        }
        let limit = limit as usize; // At most a thousand.
        let wanted = match face_set {
            Some(name) => Some(self.existing_face_set(caller, name).await?.face_set.id),
            None => None,
        };
        let store = &self.ports.store;
        let mut commits: Vec<CommitRecord> = Vec::new();
        let (mut reached, mut n_looked_at) = (after, 0);
        let (compacted, has_more) = loop {
            let n_read = if wanted.is_some() { READ_AT_ONCE } else { limit };
            let page = store.record_after(caller.tenant, reached.place, n_read).await?;
            reached.need_whole(page.compacted)?;
            let mut has_more = page.has_more;
            n_looked_at += page.commits.len();
            reached = RecordPosition { place: page.reached, told: Some(page.compacted) };
            for commit in page.commits {
                let Some(commit) = concerning(commit, wanted) else { continue };
                if commits.len() == limit {
                    has_more = true;
                    reached.place = commits.last().map_or(reached.place, place_of);
                    break;
                }
                commits.push(commit);
            }
            if !has_more {
                break (page.compacted, false);
            }
            if commits.len() == limit || n_looked_at >= LOOKED_AT_MAX {
                break (page.compacted, true);
            }
        };
        let sets = store.face_sets(caller.tenant).await?.into_iter();
        let face_sets = sets.map(|summary| (summary.face_set.id, summary.face_set.name)).collect();
        let mut mentioned: Vec<PersonId> =
            commits.iter().flat_map(|commit| &commit.changes).filter_map(person_of).collect();
        mentioned.sort_unstable_by_key(|person| person.get());
        mentioned.dedup();
        let persons = match mentioned.is_empty() {
            true => Vec::new(),
            false => store.persons(caller.tenant, mentioned).await?,
        };
        let persons = persons.into_iter().map(|person| (person.id, person.key)).collect();
        Ok(Record { commits, face_sets, persons, compacted, reached, has_more })
    }

    /// A place in the record of commits before every one that is made from now on; `None` if none is known at the moment.
    pub fn place_in_record(&self) -> Option<RecordPlace> {
        self.ports.index.revision().map(RecordPlace::from)
    }

    /// How many faces the tenant's requests of that id have enrolled in the set after a place in the record, and how far that
    /// goes. `None` where that is not known: commits from there on are not kept any more, are of another history, or are too
    /// many. For whoever takes up, or tells of, work that somebody else has begun.
    pub async fn faces_enrolled_by(
        &self,
        caller: &Caller,
        request_id: &str,
        face_set: FaceSetId,
        after: RecordPlace,
    ) -> Result<Option<(u64, RecordPlace)>> {
        let (mut reached, mut n_looked_at) = (after, 0);
        let mut enrolled = HashSet::new();
        while n_looked_at < LOOKED_AT_MAX {
            let page = match self.ports.store.record_after(caller.tenant, reached, READ_AT_ONCE).await {
                Err(error) if error.kind() == Kind::Changed => return Ok(None),
                page => page?,
            };
            if after.revision < page.compacted {
                return Ok(None);
            }
            reached = page.reached;
            n_looked_at += page.commits.len();
            for CommitRecord { actor, changes, .. } in page.commits {
                // A person that joined has brought faces that were enrolled before.
                let is_of_person = changes.iter().any(|change| matches!(change, ChangeRef::PersonChanged(_)));
                if actor.request_id.as_str() == request_id && !is_of_person {
                    enrolled.extend(changes.iter().filter_map(|change| match change {
                        ChangeRef::Put(set, face) if *set == face_set => Some(*face),
                        _ => None,
                    }));
                }
            }
            if !page.has_more {
                return Ok(Some((enrolled.len() as u64, reached)));
            }
        }
        Ok(None)
    }
}

/// What of a commit concerns the face set, if one is given; `None` if nothing does.
fn concerning(commit: CommitRecord, face_set: Option<FaceSetId>) -> Option<CommitRecord> {
    let Some(wanted) = face_set else { return Some(commit) };
    let CommitRecord { mut changes, revision, at, actor, mark } = commit;
    changes.retain(|change| face_set_of(change) == Some(wanted));
    (!changes.is_empty()).then_some(CommitRecord { changes, revision, at, actor, mark })
}

/// The place behind a commit.
fn place_of(commit: &CommitRecord) -> RecordPlace {
    RecordPlace { revision: commit.revision, mark: Some(commit.mark) }
}

fn face_set_of(change: &ChangeRef) -> Option<FaceSetId> {
    match change {
        ChangeRef::Opened(face_set)
        | ChangeRef::Closed(face_set)
        | ChangeRef::Put(face_set, _)
        | ChangeRef::Removed(face_set, _)
        | ChangeRef::FaceSetChanged(face_set) => Some(*face_set),
        ChangeRef::PersonChanged(_)
        | ChangeRef::PersonDeleted(_)
        | ChangeRef::TransientFaceKept(_)
        | ChangeRef::TransientFaceGone(_)
        | ChangeRef::TemplatePut(..)
        | ChangeRef::TenantMade(_)
        | ChangeRef::TenantChanged(_)
        | ChangeRef::TenantDeleted(_)
        | ChangeRef::Key(..) => None,
    }
}

fn person_of(change: &ChangeRef) -> Option<PersonId> {
    match change {
        ChangeRef::PersonChanged(person) | ChangeRef::PersonDeleted(person) => Some(*person),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_goes_on_only_where_it_misses_nothing_that_it_was_not_told_of() {
        let position = |revision: u64, told: Option<u64>| RecordPosition {
            place: Revision(revision).into(),
            told: told.map(Revision),
        };
        for (position, compacted) in [
            (position(0, None), 0),
            (position(5, None), 306),
            (position(5, Some(0)), 0),
            (position(5, Some(0)), 5),
            (position(500, Some(0)), 306),
            // In the middle of a first reading of a record that was not whole when it began.
            (position(5, Some(306)), 306),
            (position(5, Some(306)), 200),
        ] {
            position.need_whole(Revision(compacted)).unwrap();
        }
        for (position, compacted) in
            [(position(5, Some(0)), 6), (position(5, Some(306)), 307), (position(5, Some(3)), 306)]
        {
            let error = position.need_whole(Revision(compacted)).unwrap_err();
            assert_eq!((error.kind(), error.field()), (Kind::Changed, Some("cursor")), "{error}");
            assert!(error.message().contains(&format!("up to commit {compacted} not all")), "{error}");
        }
    }
}
