//! Jobs: a queue in a table.
//!
//! # Invariants
//! - A job is undone while `expires_at` is NULL, and done, with a result, once it is not. An empty result is that of a
//!   cancelled job; what was done has one that is not empty.
//! - `job_kinds.n_undone` counts the undone jobs of a kind; a thorough report verifies it.

use bytes::Bytes;
use likeness_domain::ports::{Cancel, Job, JobOutcome, JobPage, JobStore, NewJob, Pending};
use likeness_domain::types::{AccessKeyId, JobId, JobLease, TenantId, TimestampMs};
use rusqlite::{Connection, Row};

use super::errors::{Answer, Failure};
use super::face_sets::free_id;
use super::transaction::{Manner, WriteTx};
use super::{EmbeddedStore, codec, rows, tenants};
use crate::bounds;

/// Jobs forgotten in one commit: bounds how long other writes wait.
const FORGET_ROWS: u64 = 200;

/// Columns of [`job_row`].
const JOB_COLUMNS: &str = "id, tenant, kind, payload, result, n_attempts, due_at, created_at, expires_at, key";

fn job_row(row: &Row<'_>) -> Answer<Job> {
    job_row_at(row, 0)
}

/// The same where the columns begin with `first`.
fn job_row_at(row: &Row<'_>, first: usize) -> Answer<Job> {
    let result = row.get::<_, Option<Vec<u8>>>(first + 4)?;
    let is_cancelled = result.as_ref().is_some_and(Vec::is_empty);
    let payload = Bytes::from(row.get::<_, Vec<u8>>(first + 3)?);
    let (payload, result) = match is_cancelled {
        true => (Bytes::new(), Some(payload).filter(|so_far| !so_far.is_empty())),
        false => (payload, result.map(Bytes::from)),
    };
    Ok(Job {
        id: job_id(row.get(first)?)?,
        tenant: codec::tenant_of(row.get_ref(first + 1)?.as_blob().map_err(rusqlite::Error::from)?)?,
        kind: row.get(first + 2)?,
        payload,
        result,
        is_cancelled,
        n_attempts: row.get(first + 5)?,
        due_at: TimestampMs(row.get(first + 6)?),
        created_at: TimestampMs(row.get(first + 7)?),
        expires_at: row.get::<_, Option<i64>>(first + 8)?.map(TimestampMs),
        key: rows::key_id(row, first + 9)?,
    })
}

/// Reads every job; lists those that cannot be what was written.
pub(super) fn check(conn: &Connection, problems: &mut Vec<String>) -> Answer<()> {
    let mut statement = conn.prepare(&format!("SELECT {JOB_COLUMNS} FROM jobs ORDER BY sequence"))?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        match job_row(row) {
            Err(Failure::Damaged(what)) => {
                let id = row.get::<_, i64>(0)?;
                problems.push(format!("job {id}: {what}: it is not done; ask for it again"));
            }
            other => drop(other?),
        }
    }
    Ok(())
}

fn job_id(value: u64) -> Answer<JobId> {
    JobId::new(value).ok_or_else(|| Failure::Damaged("the id of a job is out of range".into()))
}

fn enqueue(tx: &mut WriteTx<'_>, new_jobs: Vec<NewJob>, waiting_max: u64) -> Answer<Vec<JobId>> {
    for (kind, n_more) in bounds::by_kind(&new_jobs) {
        let sql = "SELECT n_undone FROM job_kinds WHERE kind = ?1";
        let n_undone = rows::first(tx.conn, sql, [kind], |row| Ok(row.get::<_, u64>(0)?))?.unwrap_or(0);
        bounds::check_room(kind, n_undone, n_more, waiting_max)?;
        // Counted only where it may matter: it takes a look at every waiting job.
        if bounds::is_above_room_of_tenant(n_undone.saturating_add(n_more), waiting_max) {
            let own = bounds::by_kind_and_tenant(&new_jobs).into_iter().filter(|((other, _), _)| *other == kind);
            for ((_, tenant), n_more) in own {
                let sql = "SELECT count(*) FROM jobs WHERE kind = ?1 AND tenant = ?2 AND expires_at IS NULL";
                let n_own = tx
                    .conn
                    .prepare_cached(sql)?
                    .query_row((kind, codec::tenant_bytes(tenant)), |row| row.get::<_, u64>(0))?;
                bounds::check_room_of_tenant(kind, n_own, n_more, waiting_max)?;
            }
        }
    }
    tx.idle = new_jobs.is_empty();
    insert(tx, new_jobs)
}

fn insert(tx: &mut WriteTx<'_>, new_jobs: Vec<NewJob>) -> Answer<Vec<JobId>> {
    for new in &new_jobs {
        tenants::refuse_deleted(tx.conn, new.tenant)?;
    }
    for (kind, n_more) in bounds::by_kind(&new_jobs) {
        tx.conn
            .prepare_cached(
                "INSERT INTO job_kinds (kind, n_undone) VALUES (?1, ?2)
                 ON CONFLICT (kind) DO UPDATE SET n_undone = n_undone + excluded.n_undone",
            )?
            .execute((kind, n_more))?;
    }
    let mut ids = Vec::with_capacity(new_jobs.len());
    for new in new_jobs {
        let id = free_id(tx.conn, "SELECT 1 FROM jobs WHERE id = ?1", new.id.get())?;
        let sequence = tx.next_sequence();
        tx.conn
            .prepare_cached(
                "INSERT INTO jobs (sequence, id, tenant, kind, payload, due_at, created_at, key)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                sequence,
                id,
                codec::tenant_bytes(new.tenant),
                new.kind,
                &*new.payload,
                new.due_at.0,
                new.created_at.0,
                new.key.as_ref().map(AccessKeyId::as_str),
            ))?;
        ids.push(job_id(id)?);
    }
    Ok(ids)
}

fn claim(
    tx: &mut WriteTx<'_>,
    kind: &str,
    now: TimestampMs,
    lease_until: TimestampMs,
    served: Option<TenantId>,
) -> Answer<Option<Job>> {
    // Ids are stored so that they sort as they compare. Nothing comes before an empty one.
    let sql = "SELECT sequence FROM jobs WHERE kind = ?1 AND expires_at IS NULL AND due_at <= ?2
               ORDER BY tenant <= ?3, tenant, due_at, sequence LIMIT 1";
    let served = served.map(codec::tenant_bytes);
    let served = served.as_ref().map_or(&[][..], |id| &id[..]);
    let Some(sequence) = rows::first(tx.conn, sql, (kind, now.0, served), |row| Ok(row.get::<_, u64>(0)?))? else {
        tx.idle = true;
        return Ok(None);
    };
    tx.conn
        .prepare_cached("UPDATE jobs SET due_at = ?2, n_attempts = n_attempts + 1 WHERE sequence = ?1")?
        .execute((sequence, lease_until.0))?;
    rows::first(tx.conn, &format!("SELECT {JOB_COLUMNS} FROM jobs WHERE sequence = ?1"), [sequence], job_row)
}

fn settle(tx: &mut WriteTx<'_>, lease: JobLease, outcome: JobOutcome, follow_ups: Vec<NewJob>) -> Answer<bool> {
    let (id, until) = (lease.job.get(), lease.until.0);
    let sql = "SELECT sequence, kind FROM jobs WHERE id = ?1 AND expires_at IS NULL AND due_at = ?2";
    let found = |row: &Row<'_>| Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?));
    let Some((sequence, kind)) = rows::first(tx.conn, sql, (id, until), found)? else {
        let so_far = bounds::so_far(&outcome);
        let sql = "UPDATE jobs SET payload = ?2 WHERE id = ?1 AND result = x'' AND due_at = ?3";
        let is_told = !so_far.is_empty() && tx.conn.prepare_cached(sql)?.execute((id, so_far, until))? > 0;
        tx.idle = !is_told;
        return Ok(false);
    };
    let is_done = match outcome {
        JobOutcome::Done { result, expires_at } => {
            tx.conn
                .prepare_cached("UPDATE jobs SET payload = x'', result = ?2, expires_at = ?3 WHERE sequence = ?1")?
                .execute((sequence, &*result, expires_at.0))?;
            tx.erased = true;
            true
        }
        JobOutcome::Continue { payload, due_at, so_far: _ } => {
            tx.conn
                .prepare_cached("UPDATE jobs SET payload = ?2, due_at = ?3, n_attempts = 0 WHERE sequence = ?1")?
                .execute((sequence, &*payload, due_at.0))?;
            tx.erased = true;
            false
        }
        JobOutcome::Again { due_at } => {
            tx.conn.prepare_cached("UPDATE jobs SET due_at = ?2 WHERE sequence = ?1")?.execute((sequence, due_at.0))?;
            false
        }
        JobOutcome::Forgotten => {
            tx.conn.prepare_cached("DELETE FROM jobs WHERE sequence = ?1")?.execute([sequence])?;
            tx.erased = true;
            true
        }
    };
    if is_done {
        tx.conn.prepare_cached("UPDATE job_kinds SET n_undone = n_undone - 1 WHERE kind = ?1")?.execute([kind])?;
    }
    insert(tx, follow_ups)?;
    Ok(true)
}

fn by_id(conn: &Connection, tenant: TenantId, id: JobId, now: TimestampMs) -> Answer<Option<Job>> {
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs WHERE id = ?1 AND tenant = ?2 AND (expires_at IS NULL OR expires_at > ?3)"
    );
    rows::first(conn, &sql, (id.get(), codec::tenant_bytes(tenant), now.0), job_row)
}

/// See `JobStore::jobs`; a place is a sequence.
fn page(conn: &Connection, tenant: TenantId, from: Option<u64>, limit: u64, now: TimestampMs) -> Answer<JobPage> {
    let sql = "SELECT sequence, id, tenant, kind, x'', iif(length(result) > 0, x'01', result), n_attempts, due_at, created_at,
                      expires_at, key
               FROM jobs WHERE tenant = ?1 AND sequence <= ?2 AND (expires_at IS NULL OR expires_at > ?3)
               ORDER BY sequence DESC LIMIT ?4";
    let from = from.map_or(i64::MAX, rows::number);
    let limit = limit.min(u64::from(u32::MAX));
    let params = (codec::tenant_bytes(tenant), from, now.0, limit + 1);
    let mut found = rows::all(conn, sql, params, |row| {
        let job = job_row_at(row, 1)?;
        // At most one byte was read, which says whether it was cancelled.
        Ok((row.get::<_, u64>(0)?, Job { result: job.result.map(|_| Bytes::new()), ..job }))
    })?;
    let next = if found.len() as u64 > limit { found.pop().map(|(sequence, _)| sequence) } else { None };
    Ok(JobPage { jobs: found.into_iter().map(|(_, job)| job).collect(), next })
}

fn cancel(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    id: JobId,
    only_unbegun: bool,
    (expires_at, so_far): (TimestampMs, &[u8]),
) -> Answer<Cancel> {
    let sql = "SELECT sequence, kind, n_attempts > 0 FROM jobs WHERE id = ?1 AND tenant = ?2 AND expires_at IS NULL";
    let found = |row: &Row<'_>| Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?));
    let (sequence, kind) = match rows::first(tx.conn, sql, (id.get(), codec::tenant_bytes(tenant)), found)? {
        Some((sequence, kind, is_begun)) if !(only_unbegun && is_begun) => (sequence, kind),
        other => {
            tx.idle = true;
            return Ok(if other.is_some() { Cancel::TooLate } else { Cancel::NotFound });
        }
    };
    tx.conn
        .prepare_cached("UPDATE jobs SET payload = ?3, result = x'', expires_at = ?2 WHERE sequence = ?1")?
        .execute((sequence, expires_at.0, so_far))?;
    tx.conn.prepare_cached("UPDATE job_kinds SET n_undone = n_undone - 1 WHERE kind = ?1")?.execute([kind])?;
    tx.erased = true;
    Ok(Cancel::Done)
}

fn next_due(conn: &Connection, kind: &str) -> Answer<Option<TimestampMs>> {
    let sql = "SELECT due_at FROM jobs WHERE kind = ?1 AND expires_at IS NULL ORDER BY due_at LIMIT 1";
    rows::first(conn, sql, [kind], |row| Ok(TimestampMs(row.get(0)?)))
}

fn void_leases(tx: &mut WriteTx<'_>, now: TimestampMs) -> Answer<u64> {
    let sql = "UPDATE jobs SET due_at = ?1 WHERE expires_at IS NULL AND n_attempts > 0 AND due_at > ?1";
    let n_begun = tx.conn.prepare_cached(sql)?.execute([now.0])? as u64;
    tx.idle = n_begun == 0;
    Ok(n_begun)
}

/// Erases some of what is past its time; fewer than [`FORGET_ROWS`] means that nothing is left.
fn purge_some(tx: &mut WriteTx<'_>, now: TimestampMs) -> Answer<u64> {
    let sql = "DELETE FROM jobs WHERE sequence IN
               (SELECT sequence FROM jobs WHERE expires_at IS NOT NULL AND expires_at <= ?1 LIMIT ?2)";
    let n_forgotten = tx.conn.prepare_cached(sql)?.execute((now.0, FORGET_ROWS))? as u64;
    tx.erased = n_forgotten > 0;
    tx.idle = n_forgotten == 0;
    Ok(n_forgotten)
}

impl JobStore for EmbeddedStore {
    fn enqueue(&self, jobs: Vec<NewJob>, waiting_max: u64) -> Pending<'_, Vec<JobId>> {
        self.write("accept the jobs", move |tx| {
            bounds::check_jobs(&jobs)?;
            enqueue(tx, jobs, waiting_max)
        })
    }

    fn claim(
        &self,
        kind: &'static str,
        now: TimestampMs,
        lease_until: TimestampMs,
        served: Option<TenantId>,
    ) -> Pending<'_, Option<Job>> {
        self.write("claim a job", move |tx| claim(tx, kind, now, lease_until, served))
    }

    fn settle(&self, lease: JobLease, outcome: JobOutcome, follow_ups: Vec<NewJob>) -> Pending<'_, bool> {
        self.write("settle the job", move |tx| {
            bounds::check_outcome(&outcome)?;
            bounds::check_jobs(&follow_ups)?;
            settle(tx, lease, outcome, follow_ups)
        })
    }

    fn job(&self, tenant: TenantId, id: JobId, now: TimestampMs) -> Pending<'_, Option<Job>> {
        self.read("look up the job", move |conn| by_id(conn, tenant, id, now))
    }

    fn jobs(&self, tenant: TenantId, from: Option<u64>, limit: u64, now: TimestampMs) -> Pending<'_, JobPage> {
        self.read_one("list the jobs", move |conn| page(conn, tenant, from, limit, now))
    }

    fn cancel(
        &self,
        tenant: TenantId,
        id: JobId,
        only_unbegun: bool,
        expires_at: TimestampMs,
        so_far: Bytes,
    ) -> Pending<'_, Cancel> {
        self.write_in(Manner::DELETE, "cancel the job", move |tx| {
            cancel(tx, tenant, id, only_unbegun, (expires_at, &so_far))
        })
    }

    fn next_due(&self, kind: &'static str) -> Pending<'_, Option<TimestampMs>> {
        self.read("see when a job is due", move |conn| next_due(conn, kind))
    }

    fn void_leases(&self, now: TimestampMs) -> Pending<'_, u64> {
        self.write("take up jobs that were begun", move |tx| void_leases(tx, now))
    }

    fn forget(&self, now: TimestampMs) -> Pending<'_, u64> {
        Box::pin(async move {
            let mut n_forgotten = 0;
            loop {
                let n_more = self.write_in(Manner::DELETE, "forget jobs", move |tx| purge_some(tx, now)).await?;
                n_forgotten += n_more;
                if n_more < FORGET_ROWS {
                    return Ok(n_forgotten);
                }
            }
        })
    }
}
