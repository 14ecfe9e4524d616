//! Stored commits: written with the write itself, read by followers, compacted by the maintenance.

use std::collections::HashMap;
use std::sync::Arc;

use likeness_domain::ports::{Change, ChangeRef, Commit, CommitPage, CommitRecord, GalleryChange, RecordPage};
use likeness_domain::types::{
    AccessKeyId, Actor, FaceId, FaceSet, FaceSetId, RequestId, Revision, TenantId, TimestampMs,
};
use rusqlite::{Connection, Row};

use super::checksums::{COMMITS, Columns};
use super::errors::{Answer, Failure};
use super::rows::{self, FACE_COLUMNS, SET_COLUMNS, VECTOR_COLUMNS};
use super::{codec, opening};
use crate::commits::{Rows, bytes_of, refs_of, resolved};
use crate::gallery::entry;

/// Keeps a commit; `previous` is the one kept before it.
pub(super) fn insert(
    conn: &Connection,
    revision: Revision,
    previous: Revision,
    at: TimestampMs,
    actor: &Actor,
    changes: &[Change],
) -> Answer<()> {
    conn.prepare_cached(&COMMITS.insert())?.execute((
        revision.0,
        previous.0,
        at.0,
        codec::tenant_bytes(actor.tenant),
        actor.key.as_ref().map(AccessKeyId::as_str),
        actor.request_id.as_str(),
        bytes_of(changes),
    ))?;
    Ok(())
}

/// A row of `commits`, with its changes by reference.
struct Stored {
    revision: Revision,
    previous: Revision,
    at: TimestampMs,
    actor: Actor,
    changes: Vec<ChangeRef>,
}

/// The question for commits, of `commits AS c`.
static COMMIT_SQL: Columns = Columns::new(|| {
    let intact = COMMITS.intact("c");
    format!("SELECT c.revision, c.at, c.tenant, c.key, c.request, c.changes, {intact}, c.previous FROM commits AS c")
});

/// A row of [`COMMIT_SQL`].
fn stored_row(row: &Row<'_>) -> Answer<Stored> {
    rows::need_intact(row, 6, "commit", 0)?;
    let damaged = || Failure::Damaged("a commit is malformed".into());
    let key = row.get::<_, Option<String>>(3)?;
    Ok(Stored {
        revision: Revision(row.get(0)?),
        previous: Revision(row.get(7)?),
        at: TimestampMs(row.get(1)?),
        actor: Actor {
            tenant: codec::tenant_of(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?,
            key: key.map(|key| AccessKeyId::new(&key).ok_or_else(damaged)).transpose()?,
            request_id: RequestId::new(&row.get::<_, String>(4)?).ok_or_else(damaged)?,
            key_must_be_usable: false,
        },
        changes: refs_of(row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?).ok_or_else(damaged)?,
    })
}

/// See `GalleryStore::record_after`.
pub(super) fn record_after(
    conn: &Connection,
    tenant: TenantId,
    revision: Revision,
    limit: usize,
) -> Answer<RecordPage> {
    let compacted = Revision(conn.query_row("SELECT compacted FROM store", [], |row| row.get(0))?);
    let newest = opening::revisions(conn)?.0;
    // The rows after a revision are read until there are enough of the tenant's; the table has no index by tenant.
    let sql = format!("{COMMIT_SQL} WHERE c.revision > ?1 AND c.tenant = ?2 ORDER BY c.revision LIMIT ?3");
    let limit_sql = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let after = rows::number(revision.max(compacted).0);
    let params = (after, codec::tenant_bytes(tenant), limit_sql);
    let mut found = rows::all(conn, &sql, params, |row| {
        let revision = Revision(row.get(0)?);
        match stored_row(row) {
            // One that is damaged counts for the stretch all the same.
            Err(Failure::Damaged(_)) => Ok((revision, None)),
            stored => Ok((revision, Some(stored?))),
        }
    })?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().map_or(revision, |(last, _)| *last);
    let reached = if has_more { last } else { newest.max(revision) };
    let kept = |Stored { revision, at, actor, changes, .. }| CommitRecord { revision, at, actor, changes };
    let commits = found.into_iter().filter_map(|(_, stored)| stored.map(kept)).collect();
    Ok(RecordPage { commits, compacted, reached, has_more })
}

/// See `GalleryStore::changes_after`.
pub(super) fn after(conn: &Connection, revision: Revision, limit: usize) -> Answer<CommitPage> {
    let compacted = Revision(conn.query_row("SELECT compacted FROM store", [], |row| row.get(0))?);
    if revision < compacted {
        return Ok(CommitPage::TooOld { compacted });
    }
    let sql = format!("{COMMIT_SQL} WHERE c.revision > ?1 ORDER BY c.revision LIMIT ?2");
    let limit_sql = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut stored = rows::intact(conn, &sql, (rows::number(revision.0), limit_sql), stored_row)?;
    let (newest, last_commit) = opening::revisions(conn)?;
    if !is_chain(&stored, revision, last_commit, limit) {
        // A damaged or missing commit: whoever asks must not go on without it, and the tables have everything.
        tracing::error!(after = revision.0, "commits are damaged or missing; who asks for them is sent to the tables");
        return Ok(CommitPage::TooOld { compacted: newest });
    }
    let has_more = stored.len() > limit;
    stored.truncate(limit);
    let reached = match stored.last() {
        Some(last) if has_more => last.revision,
        None if has_more => revision,
        // Writes that kept no commit count as reached too.
        _ => newest.max(revision),
    };
    let mut found = Found { conn, sets: HashMap::new() };
    let mut commits = Vec::with_capacity(stored.len());
    for Stored { revision, at, actor, changes, .. } in stored {
        let mut found_changes = Vec::with_capacity(changes.len());
        for change in changes {
            found_changes.extend(resolved(change, &mut found)?);
        }
        commits.push(Commit { revision, at, actor, changes: found_changes });
    }
    Ok(CommitPage::Commits { commits, reached, has_more })
}

/// Whether these, after `revision`, are all up to `last_commit` or to the page's end, each naming the one before it.
fn is_chain(stored: &[Stored], revision: Revision, last_commit: Revision, limit: usize) -> bool {
    let mut reached = revision;
    for (idx, commit) in stored.iter().enumerate() {
        // The first one's predecessor may be any commit that the caller has.
        let follows = if idx == 0 { commit.previous <= reached } else { commit.previous == reached };
        if !follows {
            return false;
        }
        reached = commit.revision;
    }
    stored.len() > limit || reached >= last_commit
}

/// Looks rows up, each set once.
struct Found<'a> {
    conn: &'a Connection,
    sets: HashMap<FaceSetId, Option<FaceSet>>,
}

impl Found<'_> {
    fn set(&mut self, id: FaceSetId) -> Answer<Option<FaceSet>> {
        if let Some(known) = self.sets.get(&id) {
            return Ok(known.clone());
        }
        let sql = format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.id = ?1 AND s.name IS NOT NULL");
        let set = rows::intact(self.conn, &sql, [id.get()], rows::set_row)?.pop().map(|row| row.face_set);
        self.sets.insert(id, set.clone());
        Ok(set)
    }
}

impl Rows for Found<'_> {
    type Error = Failure;

    fn opened(&mut self, face_set: FaceSetId) -> Answer<Option<GalleryChange>> {
        let opened = |set: FaceSet| GalleryChange::Open { face_set, pack: set.pack, schema: Arc::new(set.schema) };
        Ok(self.set(face_set)?.map(opened))
    }

    fn put(&mut self, face_set: FaceSetId, face: FaceId) -> Answer<Option<GalleryChange>> {
        let Some(set) = self.set(face_set)? else { return Ok(None) };
        let sql = format!(
            "SELECT {FACE_COLUMNS}, {VECTOR_COLUMNS} FROM faces AS f
             CROSS JOIN gallery AS g ON g.face_set = ?2 AND g.sequence = f.sequence
             CROSS JOIN templates AS t ON t.face = f.sequence AND t.pack = ?3
             WHERE f.id = ?1"
        );
        let params = (face.get(), face_set.get(), set.pack.as_str());
        // A damaged row is as good as gone: whoever follows must not stop at it for ever.
        let found = rows::intact(self.conn, &sql, params, |row| rows::face_and_template(row, set.tenant, &set.pack))?;
        Ok(found.into_iter().next().map(|(row, template)| GalleryChange::Put {
            face_set,
            entry: entry(&row.face, template, row.sequence, &set.schema),
        }))
    }
}

/// Deletes up to `n_max` of the oldest commits that are more than `commits_max` or older than `before`; returns how many.
pub(super) fn compact_some(conn: &Connection, commits_max: u64, before: TimestampMs, n_max: usize) -> Answer<usize> {
    // Revisions of writes that kept no commit count as well: a bound, not an exact number.
    let newest = opening::revisions(conn)?.0.0;
    let kept_after = i64::try_from(newest.saturating_sub(commits_max)).unwrap_or(i64::MAX);
    let sql = "SELECT revision, at FROM commits ORDER BY revision LIMIT ?1";
    let oldest = rows::all(conn, sql, [n_max], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let too_old = oldest.iter().take_while(|&&(revision, at)| revision <= kept_after || at < before.0);
    let Some((n_gone, last)) = too_old.enumerate().map(|(idx, &(revision, _))| (idx + 1, revision)).last() else {
        return Ok(0);
    };
    conn.prepare_cached("DELETE FROM commits WHERE revision <= ?1")?.execute([last])?;
    conn.prepare_cached("UPDATE store SET compacted = max(compacted, ?1)")?.execute([last])?;
    Ok(n_gone)
}

/// Reads every commit that is not compacted; lists those that cannot be what was written, and gaps between them.
pub(super) fn check(conn: &Connection, problems: &mut Vec<String>) -> Answer<()> {
    let last_commit = opening::revisions(conn)?.1.0;
    let compacted: u64 = conn.query_row("SELECT compacted FROM store", [], |row| row.get(0))?;
    let mut reached = compacted;
    let sql = format!("{COMMIT_SQL} WHERE c.revision > ?1 ORDER BY c.revision");
    let mut statement = conn.prepare(&sql)?;
    let mut found = statement.query([compacted])?;
    let mut gap = |from: u64, to: u64| {
        problems.push(format!(
            "commits after {from} and before {to} are missing: followers fill themselves anew, and the audit log has a gap"
        ));
    };
    let mut malformed = Vec::new();
    while let Some(row) = found.next()? {
        let (revision, previous) = (row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(7)?.cast_unsigned());
        let tenant: Answer<TenantId> = codec::tenant_of(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?);
        if !row.get::<_, bool>(6)? {
            // It is in the damage log and cannot say what came before it.
        } else if tenant.is_err() || refs_of(row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?).is_none() {
            malformed.push(format!(
                "commit {revision} is malformed: followers fill themselves anew, and the audit log has a gap"
            ));
        } else if previous != reached {
            gap(reached, revision);
        }
        reached = revision;
    }
    if reached < last_commit {
        gap(reached, last_commit + 1);
    }
    problems.extend(malformed);
    Ok(())
}
