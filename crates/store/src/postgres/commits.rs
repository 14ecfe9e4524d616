//! Stored commits: read by followers, with the rows as they are now, and compacted by the maintenance.

use std::collections::HashMap;
use std::sync::Arc;

use likeness_domain::ports::{ChangeRef, Commit, CommitPage, CommitRecord, GalleryChange, RecordPage, RecordPlace};
use likeness_domain::types::{
    AccessKeyId, Actor, FaceId, FaceSet, FaceSetId, RequestId, Revision, TenantId, TimestampMs,
};
use tokio_postgres::Row;

use super::checksums::Checksum;
use super::errors::{Answer, Failure};
use super::rows::{self, FACE_COLUMNS, SET_COLUMNS, VECTOR_COLUMNS};
use super::session::Session;
use crate::commits::{
    Gone, LastCommit, Rows, check_place, end_of_record, mark_of, refs_of, resolved as resolved_change,
};
use crate::embedded::codec;
use crate::gallery::entry;
use crate::shares::{MARK_REQUEST, Part, surplus};

/// The channel on which commits are announced.
pub(super) const CHANNEL: &str = "likeness_commits";

/// A commit by its number, and by its checksum against mistaking it for one of another history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) revision: Revision,
    pub(super) checksum: i64,
}

/// A row of `commits`, with its changes by reference.
pub(super) struct Stored {
    pub(super) position: Position,
    at: TimestampMs,
    actor: Actor,
    changes: Vec<ChangeRef>,
    mark: u64,
}

/// Number and checksum of the last commit; the checksum is 0 when that commit is compacted away or there is none.
pub(super) async fn last(session: &Session) -> Answer<Position> {
    let sql =
        "SELECT s.revision, coalesce(c.checksum, 0) FROM store AS s LEFT JOIN commits AS c ON c.revision = s.revision";
    let row = session.one(sql, &[]).await?;
    Ok(Position { revision: Revision(rows::whole(&row, 0)?), checksum: row.try_get(1)? })
}

/// Commits from that revision on, at most `limit`.
pub(super) async fn from(session: &Session, revision: Revision, limit: i64) -> Answer<Vec<Stored>> {
    let sql = "SELECT revision, at, tenant, key, request, changes, checksum FROM commits
               WHERE revision >= $1 ORDER BY revision LIMIT $2";
    let found = session.query(sql, &[&rows::number(revision.0), &limit]).await?;
    found.iter().map(stored).collect()
}

impl Stored {
    /// What changed, by reference.
    #[cfg(feature = "milvus")]
    pub(super) fn changes(&self) -> &[ChangeRef] {
        &self.changes
    }

    /// Whether the changes of this commit are gone, and it only says so.
    fn is_mark(&self) -> bool {
        self.changes.is_empty()
    }
}

/// The checksum of a commit. Its revision is not part of it, as that is known only when it is kept; together they name a
/// commit: a server that was promoted without it has another one, or none, under the number.
pub(super) fn checksum_of(at: i64, tenant: &[u8], key: Option<&str>, request: &str, changes: &[u8]) -> i64 {
    Checksum::of("commits")
        .number(at)
        .bytes(tenant)
        .bytes(key.map(str::as_bytes))
        .bytes(request.as_bytes())
        .bytes(changes)
        .finish()
}

fn stored(row: &Row) -> Answer<Stored> {
    let damaged = || Failure::Damaged("a commit is malformed".into());
    let (at, tenant, key): (i64, &[u8], Option<&str>) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    let (request, changes, checksum): (&str, &[u8], i64) = (row.try_get(4)?, row.try_get(5)?, row.try_get(6)?);
    let revision = rows::whole(row, 0)?;
    rows::need_intact(checksum, checksum_of(at, tenant, key, request, changes), "commit", revision)?;
    let tenant = codec::tenant_of(tenant)?;
    Ok(Stored {
        position: Position { revision: Revision(revision), checksum },
        at: TimestampMs(at),
        mark: mark_of(Revision(revision), TimestampMs(at), tenant, (key, request), changes),
        actor: Actor {
            tenant,
            key: key.map(|key| AccessKeyId::new(key).ok_or_else(damaged)).transpose()?,
            request_id: RequestId::new(request).ok_or_else(damaged)?,
            key_must_be_usable: false,
            lease: None,
        },
        changes: refs_of(changes).ok_or_else(damaged)?,
    })
}

/// See `GalleryStore::changes_after`. The session sees one state.
pub(super) async fn after(session: &Session, revision: Revision, limit: usize) -> Answer<CommitPage> {
    let row = session.one("SELECT revision, compacted FROM store", &[]).await?;
    let (newest, compacted) = (Revision(rows::whole(&row, 0)?), Revision(rows::whole(&row, 1)?));
    if revision < compacted {
        return Ok(CommitPage::TooOld { compacted });
    }
    let limit = limit.min(u32::MAX as usize);
    let stored = match from(session, Revision(revision.0 + 1), limit as i64).await {
        Ok(stored) => stored,
        // A damaged commit: whoever asks must not go on without it, and the tables have everything.
        Err(Failure::Damaged(_)) => return Ok(CommitPage::TooOld { compacted: newest }),
        Err(failure) => return Err(failure),
    };
    if !is_chain(&stored, revision) || (stored.len() < limit && revision.0 + (stored.len() as u64) < newest.0) {
        tracing::error!(after = revision.0, "commits are missing; who asks for them is sent to the tables");
        return Ok(CommitPage::TooOld { compacted: newest });
    }
    let reached = stored.last().map_or(revision, |last| last.position.revision);
    Ok(CommitPage::Commits { commits: resolved(session, stored).await?, reached, has_more: reached < newest })
}

/// See `GalleryStore::record_after`. The session sees one state.
pub(super) async fn record_after(
    session: &Session,
    tenant: TenantId,
    after: RecordPlace,
    limit: usize,
) -> Answer<RecordPage> {
    // Up to its mark the tenant's record is not whole, nor before the first commit of anybody that has not gone by its age.
    let sql = "SELECT s.revision,
                   greatest(least(s.compacted, coalesce((SELECT min(revision) - 1 FROM commits), s.compacted)),
                       (SELECT coalesce(max(revision), 0) FROM commits
                        WHERE tenant = $1 AND revision <= s.compacted AND length(changes) = 0)), s.compacted FROM store AS s";
    let row = session.one(sql, &[&rows::tenant_bytes(tenant)]).await?;
    let gone = Revision(rows::whole(&row, 2)?);
    let (newest, compacted) = (Revision(rows::whole(&row, 0)?), Revision(rows::whole(&row, 1)?));
    let gone = Gone { of_anybody: gone, of_tenant: compacted };
    check_place(after, newest, gone, last_commit(session, after.revision).await?)?;
    let limit = limit.min(u32::MAX as usize);
    // The rows after a revision are read until there are enough of the tenant's; the table has no index by tenant.
    let sql = "SELECT revision, at, tenant, key, request, changes, checksum FROM commits
               WHERE revision > $1 AND tenant = $2 AND length(changes) > 0 ORDER BY revision LIMIT $3";
    let (behind, n_rows) = (rows::number(after.revision.0), limit as i64 + 1);
    let found = session.query(sql, &[&behind, &rows::tenant_bytes(tenant), &n_rows]).await?;
    let has_more = found.len() > limit;
    let found = &found[..found.len().min(limit)];
    let reached = match found.last() {
        Some(last) if has_more => {
            let mark = rows::intact(std::slice::from_ref(last), stored)?.pop().map(|stored| stored.mark);
            RecordPlace { revision: Revision(rows::whole(last, 0)?), mark }
        }
        _ => end_of_record(after, newest, last_commit(session, newest).await?),
    };
    let kept = |Stored { position, at, actor, changes, mark }| CommitRecord {
        revision: position.revision,
        at,
        actor,
        changes,
        mark,
    };
    let commits = rows::intact(found, stored)?.into_iter().map(kept).collect();
    Ok(RecordPage { commits, compacted, reached, has_more })
}

/// The last commit up to that number; one that only marks what is gone is none.
async fn last_commit(session: &Session, up_to: Revision) -> Answer<LastCommit> {
    let sql = "SELECT revision, at, tenant, key, request, changes, checksum FROM commits
               WHERE revision <= $1 AND length(changes) > 0 ORDER BY revision DESC LIMIT 1";
    let Some(row) = session.first(sql, &[&rows::number(up_to.0)]).await? else { return Ok(None) };
    let mark = rows::intact(std::slice::from_ref(&row), stored)?.pop().map(|stored| stored.mark);
    Ok(Some((Revision(rows::whole(&row, 0)?), mark)))
}

/// Whether these are the commits right after `revision`, each following the one before it. A mark stands for a commit whose
/// changes nobody gets to know any more.
pub(super) fn is_chain(stored: &[Stored], revision: Revision) -> bool {
    let follows = |(stored, expected): (&Stored, u64)| stored.position.revision.0 == expected && !stored.is_mark();
    stored.iter().zip(revision.0 + 1..).all(follows)
}

/// The commits with the rows as they are now.
pub(super) async fn resolved(session: &Session, stored: Vec<Stored>) -> Answer<Vec<Commit>> {
    let mut found = Found::default();
    found.look_up(session, stored.iter().flat_map(|stored| &stored.changes)).await?;
    let mut commits = Vec::with_capacity(stored.len());
    for Stored { position, at, actor, changes, .. } in stored {
        let mut resolved = Vec::with_capacity(changes.len());
        for change in changes {
            resolved.extend(resolved_change(change, &mut found)?);
        }
        commits.push(Commit { revision: position.revision, at, actor, changes: resolved });
    }
    Ok(commits)
}

/// The rows of these faces in the gallery of the set, of those that are in it.
#[cfg(feature = "milvus")]
pub(super) async fn shown(
    session: &Session,
    face_set: FaceSetId,
    faces: &[FaceId],
) -> Answer<Vec<likeness_domain::ports::GalleryEntry>> {
    let refs: Vec<ChangeRef> = faces.iter().map(|face| ChangeRef::Put(face_set, *face)).collect();
    let mut found = Found::default();
    found.look_up(session, refs.iter()).await?;
    let entry = |change| match change {
        GalleryChange::Put { entry, .. } => Some(entry),
        _ => None,
    };
    Ok(found.shown.into_values().filter_map(entry).collect())
}

/// Rows that commits refer to, looked up together.
#[derive(Default)]
struct Found {
    sets: HashMap<FaceSetId, FaceSet>,
    shown: HashMap<(FaceSetId, FaceId), GalleryChange>,
}

impl Found {
    async fn look_up(&mut self, session: &Session, changes: impl Iterator<Item = &ChangeRef>) -> Answer<()> {
        let (mut sets, mut puts) = (Vec::new(), HashMap::<FaceSetId, Vec<i64>>::new());
        for change in changes {
            match change {
                ChangeRef::Opened(set) => sets.push(rows::number(set.get())),
                ChangeRef::Put(set, face) => {
                    sets.push(rows::number(set.get()));
                    puts.entry(*set).or_default().push(rows::number(face.get()));
                }
                _ => {}
            }
        }
        if sets.is_empty() {
            return Ok(());
        }
        sets.sort_unstable();
        sets.dedup();
        let sql = format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.id = ANY($1) AND s.name IS NOT NULL");
        for row in rows::intact(&session.query(&sql, &[&sets]).await?, rows::set_row)? {
            self.sets.insert(row.face_set.id, row.face_set);
        }
        for (id, faces) in puts {
            let Some(set) = self.sets.get(&id) else { continue };
            let sql = format!(
                "SELECT {FACE_COLUMNS}, {VECTOR_COLUMNS} FROM faces AS f
                 JOIN gallery AS g ON g.face_set = $2 AND g.sequence = f.sequence
                 JOIN templates AS t ON t.face = f.sequence AND t.pack = $3
                 WHERE f.id = ANY($1)"
            );
            let found = session.query(&sql, &[&faces, &rows::number(id.get()), &set.pack.as_str()]).await?;
            let read = |row: &Row| rows::face_and_template(row, set.tenant, &set.pack);
            for (row, template) in rows::intact(&found, read)? {
                let entry = entry(&row.face, template, row.sequence.cast_unsigned(), &set.schema);
                self.shown.insert((id, row.face.id), GalleryChange::Put { face_set: id, entry });
            }
        }
        Ok(())
    }
}

impl Rows for Found {
    type Error = Failure;

    fn opened(&mut self, face_set: FaceSetId) -> Answer<Option<GalleryChange>> {
        Ok(self.sets.get(&face_set).map(|set| GalleryChange::Open {
            face_set,
            pack: set.pack.clone(),
            schema: Arc::new(set.schema.clone()),
        }))
    }

    fn put(&mut self, face_set: FaceSetId, face: FaceId) -> Answer<Option<GalleryChange>> {
        Ok(self.shown.get(&(face_set, face)).cloned())
    }
}

/// Deletes the oldest commits, at most so many, that are older than `before`; 0 if there are none.
pub(super) async fn compact_old(session: &Session, before: TimestampMs, n_max: i64) -> Answer<u64> {
    // In order: a commit is deleted only with all before it, and the last one never, as it names the store's position.
    let sql = "WITH kept AS (SELECT least((SELECT coalesce(min(revision), s.revision) - 1 FROM commits WHERE at >= $1),
                       s.revision - 1, (SELECT max(revision) FROM (SELECT revision FROM commits ORDER BY revision LIMIT $2)
                       AS oldest)) AS after FROM store AS s),
                    gone AS (DELETE FROM commits USING kept WHERE revision <= kept.after RETURNING revision)
               UPDATE store SET compacted = greatest(compacted, (SELECT max(revision) FROM gone))
               WHERE EXISTS (SELECT 1 FROM gone) RETURNING (SELECT count(*) FROM gone)";
    let row = session.first(sql, &[&before.0, &n_max]).await?;
    row.map_or(Ok(0), |row| rows::whole(&row, 0))
}

/// Deletes the oldest commits of the largest shares ([`crate::shares`]) until there are no more than `commits_max` in all, at
/// most so many; 0 if there are none. Counts them all.
pub(super) async fn compact_surplus(session: &Session, commits_max: u64, n_max: i64) -> Answer<u64> {
    // Numbers have no gap, so mostly that tells enough.
    let sql = "SELECT s.revision - coalesce((SELECT min(revision) - 1 FROM commits), s.revision) FROM store AS s";
    if rows::whole(&session.one(sql, &[]).await?, 0)? <= commits_max {
        return Ok(0);
    }
    let part_sql = Part::sql();
    let sql = format!("SELECT tenant, {part_sql}, count(*) FROM commits WHERE length(changes) > 0 GROUP BY 1, 2");
    let found = session.query(&sql, &[]).await?;
    let mut shares = Vec::with_capacity(found.len());
    for row in &found {
        let (tenant, part): (Vec<u8>, i32) = (row.try_get(0)?, row.try_get(1)?);
        shares.push(((tenant, part), rows::whole(row, 2)?));
    }
    let by_ref: Vec<_> = shares.iter().map(|(share, n)| (share, *n)).collect();
    let (mut n_gone, mut last_gone) = (0, 0);
    for ((tenant, part), n) in surplus(&by_ref, commits_max) {
        let n = rows::number(n).min(n_max - n_gone);
        if n == 0 {
            break;
        }
        // The last one of all never, as it names the store's position.
        let sql = format!(
            "WITH gone AS (SELECT revision FROM commits WHERE tenant = $1 AND length(changes) > 0 AND {part_sql} = $2
                               AND revision < (SELECT revision FROM store) ORDER BY revision LIMIT $3),
                  deleted AS (DELETE FROM commits AS c USING gone WHERE c.revision = gone.revision RETURNING c.revision, c.at)
             SELECT revision, at, count(*) OVER () FROM deleted ORDER BY revision DESC LIMIT 1"
        );
        let Some(row) = session.first(&sql, &[tenant, part, &n]).await? else { continue };
        let (last, at, n_deleted): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let sql = "DELETE FROM commits WHERE tenant = $1 AND length(changes) = 0 AND revision < $2";
        session.execute(sql, &[tenant, &last]).await?;
        let sql = "INSERT INTO commits (revision, at, tenant, request, changes, checksum) SELECT $1, $2, $3, $4, $5, $6
                   WHERE NOT EXISTS (SELECT 1 FROM commits WHERE tenant = $3 AND length(changes) = 0)";
        let nothing: &[u8] = &[];
        let checksum = checksum_of(at, tenant, None, MARK_REQUEST, nothing);
        session.execute(sql, &[&last, &at, tenant, &MARK_REQUEST, &nothing, &checksum]).await?;
        (n_gone, last_gone) = (n_gone + n_deleted, last_gone.max(last));
    }
    // At the end, as every commit changes that row.
    session.execute("UPDATE store SET compacted = greatest(compacted, $1)", &[&last_gone]).await?;
    Ok(n_gone.cast_unsigned())
}

/// Up to which revision commits are not all there any more.
pub(super) async fn compacted(session: &Session) -> Answer<Revision> {
    Ok(Revision(rows::whole(&session.one("SELECT compacted FROM store", &[]).await?, 0)?))
}
