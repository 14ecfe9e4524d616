//! Stored commits: written with the write itself, read by followers, compacted by the maintenance.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use likeness_domain::ports::{
    Change, ChangeRef, Commit, CommitPage, CommitRecord, GalleryChange, RecordPage, RecordPlace,
};
use likeness_domain::types::{
    AccessKeyId, Actor, FaceId, FaceSet, FaceSetId, RequestId, Revision, TenantId, TimestampMs,
};
use rusqlite::{Connection, Row};

use super::checksums::{COMMITS, Columns};
use super::errors::{Answer, Failure};
use super::rows::{self, FACE_COLUMNS, SET_COLUMNS, VECTOR_COLUMNS};
use super::{codec, numbers};
use crate::commits::{Gone, LastCommit, Rows, bytes_of, check_place, end_of_record, mark_of, refs_of, resolved};
use crate::gallery::entry;
use crate::shares::{MARK_REQUEST, Part, surplus};

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
    mark: u64,
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
    let (key, request) = (row.get::<_, Option<String>>(3)?, row.get::<_, String>(4)?);
    let (revision, at) = (Revision(row.get(0)?), TimestampMs(row.get(1)?));
    let tenant = codec::tenant_of(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
    let changes = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
    Ok(Stored {
        revision,
        previous: Revision(row.get(7)?),
        at,
        mark: mark_of(revision, at, tenant, (key.as_deref(), &request), changes),
        actor: Actor {
            tenant,
            key: key.map(|key| AccessKeyId::new(&key).ok_or_else(damaged)).transpose()?,
            request_id: RequestId::new(&request).ok_or_else(damaged)?,
            key_must_be_usable: false,
            lease: None,
        },
        changes: refs_of(changes).ok_or_else(damaged)?,
    })
}

/// See `GalleryStore::record_after`.
pub(super) fn record_after(
    conn: &Connection,
    tenant: TenantId,
    after: RecordPlace,
    limit: usize,
) -> Answer<RecordPage> {
    let compacted = compacted_of(conn, tenant)?;
    let newest = numbers::revisions(conn)?.0;
    let gone = Revision(conn.query_row("SELECT compacted FROM store", [], |row| row.get(0))?);
    let gone = Gone { of_anybody: gone, of_tenant: compacted };
    check_place(after, newest, gone, last_commit(conn, after.revision)?)?;
    let revision = after.revision;
    // The rows after a revision are read until there are enough of the tenant's; the table has no index by tenant.
    let sql = format!(
        "{COMMIT_SQL} WHERE c.revision > ?1 AND c.tenant = ?2 AND length(c.changes) > 0 ORDER BY c.revision LIMIT ?3"
    );
    let limit_sql = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let params = (rows::number(revision.0), codec::tenant_bytes(tenant), limit_sql);
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
    let mark = |stored: &Option<Stored>| stored.as_ref().map(|stored| stored.mark);
    let last = || found.last().map_or(after, |(last, stored)| RecordPlace { revision: *last, mark: mark(stored) });
    let reached = if has_more { last() } else { end_of_record(after, newest, last_commit(conn, newest)?) };
    let kept = |Stored { revision, at, actor, changes, mark, .. }| CommitRecord { revision, at, actor, changes, mark };
    let commits = found.into_iter().filter_map(|(_, stored)| stored.map(kept)).collect();
    Ok(RecordPage { commits, compacted, reached, has_more })
}

/// The last commit up to that number; one that only marks what is gone is none.
fn last_commit(conn: &Connection, up_to: Revision) -> Answer<LastCommit> {
    let sql = format!("{COMMIT_SQL} WHERE c.revision <= ?1 AND length(c.changes) > 0 ORDER BY c.revision DESC LIMIT 1");
    rows::first(conn, &sql, [rows::number(up_to.0)], |row| {
        let revision = Revision(row.get(0)?);
        match stored_row(row) {
            Err(Failure::Damaged(_)) => Ok((revision, None)),
            stored => Ok((revision, Some(stored?.mark))),
        }
    })
}

/// Up to where the record of a tenant is not whole: its mark, or the first commit of anybody that is still there, before which
/// all went by their age.
fn compacted_of(conn: &Connection, tenant: TenantId) -> Answer<Revision> {
    let sql = "SELECT max(min(s.compacted, coalesce((SELECT min(revision) - 1 FROM commits), s.compacted)),
                   coalesce((SELECT max(revision) FROM commits
                             WHERE tenant = ?1 AND revision <= s.compacted AND length(changes) = 0), 0)) FROM store AS s";
    let compacted: i64 = conn.prepare_cached(sql)?.query_row([codec::tenant_bytes(tenant)], |row| row.get(0))?;
    Ok(Revision(compacted.max(0).cast_unsigned()))
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
    let (newest, last_commit) = numbers::revisions(conn)?;
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

/// Whose commits of which part.
type Share = (Vec<u8>, Part);

/// Rows that are read in one go for each one that may be deleted in one.
const READS_PER_DELETE: usize = 8;

/// Which commits are there, by shares ([`crate::shares`]): 8 bytes for each. What was committed since it was asked last, also by
/// other processes, is read first.
#[derive(Debug, Default)]
pub(super) struct Kept {
    read_to: i64,
    shares: BTreeMap<Share, VecDeque<i64>>,
    /// The mark of each tenant.
    marks: HashMap<Vec<u8>, i64>,
}

/// What a step of the compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compacted {
    pub(super) n_gone: usize,
    /// Whether there may be more to do.
    pub(super) is_more: bool,
}

/// Deletes up to `n_max` commits that are older than `before`, or more than `commits_max` in all. After an error `kept` is to be
/// made anew.
pub(super) fn compact_some(
    conn: &Connection,
    kept: &mut Kept,
    commits_max: u64,
    (before, now): (TimestampMs, TimestampMs),
    n_max: usize,
) -> Answer<Compacted> {
    if kept.read_some(conn, n_max * READS_PER_DELETE)? {
        return Ok(Compacted { n_gone: 0, is_more: true });
    }
    let mut n_gone = kept.compact_old(conn, before, n_max)?;
    n_gone += kept.compact_surplus(conn, commits_max, now, n_max - n_gone)?;
    Ok(Compacted { n_gone, is_more: n_gone == n_max })
}

impl Kept {
    /// Reads the next rows; whether there may be more.
    fn read_some(&mut self, conn: &Connection, n_rows_max: usize) -> Answer<bool> {
        // Not beyond the last: behind a damaged number nothing would be read any more.
        let sql = "SELECT revision, tenant, substr(changes, 1, 1) FROM commits
                   WHERE revision > ?1 AND revision <= (SELECT revision FROM store) ORDER BY revision LIMIT ?2";
        let found = rows::all(conn, sql, (self.read_to, n_rows_max), |row| {
            // A damaged row, with whatever in it, has a share as well. Of no bytes SQLite makes NULL.
            let bytes = |idx| Ok::<_, Failure>(row.get_ref(idx)?.as_bytes_or_null().ok().flatten().map(<[u8]>::to_vec));
            Ok((row.get::<_, i64>(0)?, bytes(1)?.unwrap_or_default(), bytes(2)?))
        })?;
        let n_found = found.len();
        for (revision, tenant, tag) in found {
            self.read_to = revision;
            match tag.as_deref().and_then(<[u8]>::first) {
                Some(&tag) => self.shares.entry((tenant, Part::of_tag(tag))).or_default().push_back(revision),
                None => _ = self.marks.insert(tenant, revision),
            }
        }
        Ok(n_found == n_rows_max)
    }

    /// Deletes the oldest, of everybody, that are older than `before`.
    fn compact_old(&mut self, conn: &Connection, before: TimestampMs, n_max: usize) -> Answer<usize> {
        let sql = "SELECT revision, at FROM commits ORDER BY revision LIMIT ?1";
        let oldest = rows::all(conn, sql, [n_max], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        let too_old = oldest.iter().take_while(|&&(_, at)| at < before.0);
        let Some((n_gone, last)) = too_old.enumerate().map(|(idx, &(revision, _))| (idx + 1, revision)).last() else {
            return Ok(0);
        };
        conn.prepare_cached("DELETE FROM commits WHERE revision <= ?1")?.execute([last])?;
        raise_compacted(conn, last)?;
        for share in self.shares.values_mut() {
            let n_old = share.partition_point(|&revision| revision <= last);
            share.drain(..n_old);
        }
        self.marks.retain(|_, mark| *mark > last);
        self.shares.retain(|_, share| !share.is_empty());
        Ok(n_gone)
    }

    /// Deletes the oldest of the largest shares until there are no more than `commits_max` in all.
    fn compact_surplus(
        &mut self,
        conn: &Connection,
        commits_max: u64,
        now: TimestampMs,
        n_max: usize,
    ) -> Answer<usize> {
        let sizes: Vec<_> = self.shares.iter().map(|(share, revisions)| (share, revisions.len() as u64)).collect();
        let surplus: Vec<(Share, u64)> =
            surplus(&sizes, commits_max).into_iter().map(|(share, n)| (share.clone(), n)).collect();
        let mut n_gone = 0;
        for (share, n) in surplus {
            let Some(revisions) = self.shares.get_mut(&share) else { continue };
            let n = usize::try_from(n).unwrap_or(usize::MAX).min(n_max - n_gone);
            let gone: Vec<i64> = revisions.drain(..n).collect();
            let Some(&last) = gone.last() else { break };
            n_gone += n;
            let sql = "SELECT at FROM commits WHERE revision = ?1";
            let at = rows::first(conn, sql, [last], |row| Ok(row.get::<_, i64>(0)?))?.unwrap_or(now.0);
            for revision in gone {
                delete(conn, revision)?;
            }
            // A damaged time must not keep the mark, and all behind it, for ever.
            self.mark(conn, share.0, last, at.min(now.0))?;
            raise_compacted(conn, last)?;
        }
        self.shares.retain(|_, share| !share.is_empty());
        Ok(n_gone)
    }

    /// Marks up to where the tenant's record is not whole, unless it is known to be so further, or this is no tenant.
    fn mark(&mut self, conn: &Connection, tenant: Vec<u8>, revision: i64, at: i64) -> Answer<()> {
        let known = self.marks.get(&tenant).copied();
        if known.is_some_and(|known| known >= revision) || codec::tenant_of(&tenant).is_err() {
            return Ok(());
        }
        if let Some(known) = known {
            delete(conn, known)?;
        }
        let values = (revision, 0, at, &tenant, None::<&str>, MARK_REQUEST, &[0_u8; 0][..]);
        conn.prepare_cached(&COMMITS.insert())?.execute(values)?;
        self.marks.insert(tenant, revision);
        Ok(())
    }
}

fn delete(conn: &Connection, revision: i64) -> Answer<()> {
    conn.prepare_cached("DELETE FROM commits WHERE revision = ?1")?.execute([revision])?;
    Ok(())
}

fn raise_compacted(conn: &Connection, revision: i64) -> Answer<()> {
    conn.prepare_cached("UPDATE store SET compacted = max(compacted, ?1)")?.execute([revision])?;
    Ok(())
}

/// Reads every commit that is not compacted; lists those that cannot be what was written, and gaps between them.
pub(super) fn check(conn: &Connection, problems: &mut Vec<String>) -> Answer<()> {
    let last_commit = numbers::revisions(conn)?.1.0;
    let compacted: u64 = conn.query_row("SELECT compacted FROM store", [], |row| row.get(0))?;
    let mut reached = compacted;
    let sql = format!("{COMMIT_SQL} ORDER BY c.revision");
    let mut statement = conn.prepare(&sql)?;
    let mut found = statement.query([])?;
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
        } else if revision > compacted && previous != reached {
            gap(reached, revision);
        }
        reached = reached.max(revision);
    }
    if reached < last_commit {
        gap(reached, last_commit + 1);
    }
    problems.extend(malformed);
    Ok(())
}

#[cfg(test)]
mod tests;
