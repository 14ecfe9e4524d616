//! Commits: kept for as long as the process lives.

use std::convert::Infallible;
use std::sync::Arc;

use likeness_domain::ports::{ChangeRef, Commit, CommitPage, CommitRecord, GalleryChange, RecordPage, RecordPlace};
use likeness_domain::types::{AccessKeyId, Actor, FaceId, FaceSetId, Revision, TenantId, TimestampMs};

use super::State;
use crate::commits::{Gone, LastCommit, Rows, bytes_of_refs, check_place, end_of_record, mark_of, resolved};

/// A commit, with its changes by reference.
pub(super) struct Stored {
    pub(super) revision: Revision,
    pub(super) at: TimestampMs,
    pub(super) actor: Actor,
    pub(super) changes: Vec<ChangeRef>,
}

impl State {
    pub(super) fn changes_after(&self, revision: Revision, limit: usize) -> CommitPage {
        let later: Vec<&Stored> = self.commits.iter().filter(|stored| stored.revision > revision).collect();
        let page = &later[..later.len().min(limit)];
        let has_more = later.len() > limit;
        let reached = match page.last() {
            Some(last) if has_more => last.revision,
            None if has_more => revision,
            _ => self.revision.max(revision),
        };
        let commits = page.iter().map(|stored| {
            let resolved = stored.changes.iter().map(|change| resolved(change.clone(), &mut Found(self)));
            Commit {
                revision: stored.revision,
                at: stored.at,
                actor: stored.actor.clone(),
                changes: resolved.filter_map(|Ok(change)| change).collect(),
            }
        });
        CommitPage::Commits { commits: commits.collect(), reached, has_more }
    }

    fn last_commit(&self, up_to: Revision) -> LastCommit {
        let last = self.commits.iter().rfind(|stored| stored.revision <= up_to)?;
        Some((last.revision, Some(last.mark())))
    }

    pub(super) fn record_after(
        &self,
        tenant: TenantId,
        after: RecordPlace,
        limit: usize,
    ) -> likeness_domain::Result<RecordPage> {
        let gone = Gone { of_anybody: Revision(0), of_tenant: Revision(0) };
        check_place(after, self.revision, gone, self.last_commit(after.revision))?;
        let is_meant = |stored: &&Stored| stored.revision > after.revision && stored.actor.tenant == tenant;
        let mut commits: Vec<CommitRecord> = self
            .commits
            .iter()
            .filter(is_meant)
            .take(limit.saturating_add(1))
            .map(|stored| CommitRecord {
                revision: stored.revision,
                at: stored.at,
                actor: stored.actor.clone(),
                changes: stored.changes.clone(),
                mark: stored.mark(),
            })
            .collect();
        let has_more = commits.len() > limit;
        commits.truncate(limit);
        let last =
            || commits.last().map_or(after, |last| RecordPlace { revision: last.revision, mark: Some(last.mark) });
        let end = || end_of_record(after, self.revision, self.last_commit(self.revision));
        let reached = if has_more { last() } else { end() };
        Ok(RecordPage { commits, compacted: Revision(0), reached, has_more })
    }
}

impl Stored {
    fn mark(&self) -> u64 {
        let Actor { tenant, key, request_id, .. } = &self.actor;
        let key = key.as_ref().map(AccessKeyId::as_str);
        let changes = bytes_of_refs(self.changes.iter().cloned());
        mark_of(self.revision, self.at, *tenant, (key, request_id.as_str()), &changes)
    }
}

struct Found<'a>(&'a State);

impl Rows for Found<'_> {
    type Error = Infallible;

    fn opened(&mut self, face_set: FaceSetId) -> Result<Option<GalleryChange>, Infallible> {
        let found = self.0.face_sets.values().find(|other| other.id == face_set);
        Ok(found.map(|found| GalleryChange::Open {
            face_set,
            pack: found.pack.clone(),
            schema: Arc::new(found.schema.clone()),
        }))
    }

    fn put(&mut self, face_set: FaceSetId, face: FaceId) -> Result<Option<GalleryChange>, Infallible> {
        let set = self.0.face_sets.values().find(|other| other.id == face_set);
        let sequence = self.0.faces.iter().find(|(_, other)| other.id == face).map(|(&sequence, _)| sequence);
        Ok(set.zip(sequence).and_then(|(set, sequence)| self.0.put_change(sequence, set)))
    }
}
