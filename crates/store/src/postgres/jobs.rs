//! Jobs: a queue in a table.
//!
//! # Invariants
//! - A job is undone while `expires_at` is NULL, and done, with a result, once it is not. An empty result is that of a
//!   cancelled job; what was done has one that is not empty.
//! - Jobs are accepted one kind at a time, under an advisory lock, so that their bounds hold exactly.

use std::sync::PoisonError;

use bytes::Bytes;
use likeness_domain::Result;
use likeness_domain::ports::{Cancel, Job, JobOutcome, JobPage, JobStore, NewJob, Pending};
use likeness_domain::types::{AccessKeyId, JobId, JobLease, TenantId, TimestampMs};
use tokio_postgres::Row;

use super::errors::{Answer, Failure};
use super::face_sets::free_id;
use super::rows::{self, number, tenant_bytes};
use super::session::Session;
use super::{NODE_IS_GONE, NODE_LOCKS, PURGE_ROWS, PostgresStore, usage};
use crate::bounds;
use crate::embedded::codec;

/// Columns of [`job_row`].
const JOB_COLUMNS: &str = "id, tenant, kind, payload, result, n_attempts, due_at, created_at, expires_at, key";

fn job_row(row: &Row) -> Answer<Job> {
    let damaged = || Failure::Damaged("the id of an access key is malformed".into());
    let key: Option<&str> = row.try_get(9)?;
    let result = row.try_get::<_, Option<Vec<u8>>>(4)?;
    let is_cancelled = result.as_ref().is_some_and(Vec::is_empty);
    let payload = Bytes::from(row.try_get::<_, Vec<u8>>(3)?);
    let (payload, result) = match is_cancelled {
        true => (Bytes::new(), Some(payload).filter(|so_far| !so_far.is_empty())),
        false => (payload, result.map(Bytes::from)),
    };
    Ok(Job {
        id: job_id(row.try_get(0)?)?,
        tenant: codec::tenant_of(row.try_get(1)?)?,
        kind: row.try_get(2)?,
        payload,
        result,
        is_cancelled,
        n_attempts: u32::try_from(row.try_get::<_, i64>(5)?).unwrap_or(u32::MAX),
        due_at: TimestampMs(row.try_get(6)?),
        created_at: TimestampMs(row.try_get(7)?),
        expires_at: row.try_get::<_, Option<i64>>(8)?.map(TimestampMs),
        key: key.map(|key| AccessKeyId::new(key).ok_or_else(damaged)).transpose()?,
    })
}

fn job_id(value: i64) -> Answer<JobId> {
    let id = u64::try_from(value).ok().and_then(JobId::new);
    id.ok_or_else(|| Failure::Damaged("the id of a job is out of range".into()))
}

async fn enqueue(session: &Session, new_jobs: &[NewJob], waiting_max: u64) -> Answer<Vec<JobId>> {
    let mut kinds = bounds::by_kind(new_jobs);
    // In the order of their names, so that two who accept jobs of several kinds do not wait for each other.
    kinds.sort_unstable();
    for (kind, _) in &kinds {
        session.one("SELECT pg_advisory_xact_lock(hashtextextended('jobs ' || $1, 0))", &[kind]).await?;
    }
    for (kind, n_more) in bounds::by_kind(new_jobs) {
        let sql = "SELECT count(*) FROM jobs WHERE kind = $1 AND expires_at IS NULL";
        let n_undone = rows::whole(&session.one(sql, &[&kind]).await?, 0)?;
        bounds::check_room(kind, n_undone, n_more, waiting_max)?;
        // Counted only where it may matter.
        if bounds::is_above_room_of_tenant(n_undone.saturating_add(n_more), waiting_max) {
            let own = bounds::by_kind_and_tenant(new_jobs).into_iter().filter(|((other, _), _)| *other == kind);
            for ((_, tenant), n_more) in own {
                let sql = "SELECT count(*) FROM jobs WHERE kind = $1 AND tenant = $2 AND expires_at IS NULL";
                let n_own = rows::whole(&session.one(sql, &[&kind, &tenant_bytes(tenant)]).await?, 0)?;
                bounds::check_room_of_tenant(kind, n_own, n_more, waiting_max)?;
            }
        }
    }
    insert(session, new_jobs).await
}

async fn insert(session: &Session, new_jobs: &[NewJob]) -> Answer<Vec<JobId>> {
    for new in new_jobs {
        usage::refuse_deleted(session, new.tenant).await?;
    }
    let mut ids = Vec::with_capacity(new_jobs.len());
    for new in new_jobs {
        let id = free_id(session, "SELECT 1 FROM jobs WHERE id = $1", new.id.get()).await?;
        let sql =
            "INSERT INTO jobs (id, tenant, kind, payload, due_at, created_at, key) VALUES ($1, $2, $3, $4, $5, $6, $7)";
        session
            .execute(
                sql,
                &[
                    &id,
                    &tenant_bytes(new.tenant),
                    &new.kind,
                    &&new.payload[..],
                    &new.due_at.0,
                    &new.created_at.0,
                    &new.key.as_ref().map(AccessKeyId::as_str),
                ],
            )
            .await?;
        ids.push(job_id(id)?);
    }
    Ok(ids)
}

/// A job that was begun and is not done, `$1` being now.
const BEGUN: &str = "expires_at IS NULL AND n_attempts > 0 AND due_at > $1";

async fn claim(
    session: &Session,
    node: i32,
    (kind, now): (&str, TimestampMs),
    lease_until: TimestampMs,
    served: Option<TenantId>,
) -> Answer<Option<Job>> {
    // Ids are stored so that they sort as they compare. Nothing comes before an empty one. A job that another worker takes at
    // this moment is passed over.
    let sql = format!(
        "UPDATE jobs SET due_at = $4, n_attempts = n_attempts + 1, node = $5 WHERE sequence =
             (SELECT sequence FROM jobs WHERE kind = $1 AND expires_at IS NULL AND due_at <= $2
              ORDER BY tenant <= $3, tenant, due_at, sequence LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING {JOB_COLUMNS}"
    );
    let served = served.map(tenant_bytes).unwrap_or_default();
    let row = session.first(&sql, &[&kind, &now.0, &served, &lease_until.0, &node]).await?;
    row.as_ref().map(job_row).transpose()
}

async fn settle(session: &Session, lease: JobLease, outcome: &JobOutcome, follow_ups: &[NewJob]) -> Answer<bool> {
    let (id, until) = (number(lease.job.get()), lease.until.0);
    let n_settled = match outcome {
        JobOutcome::Done { result, expires_at } => {
            let sql = "UPDATE jobs SET payload = '', result = $3, expires_at = $4
                       WHERE id = $1 AND expires_at IS NULL AND due_at = $2";
            session.execute(sql, &[&id, &until, &&result[..], &expires_at.0]).await?
        }
        JobOutcome::Continue { payload, due_at, so_far: _ } => {
            let sql = "UPDATE jobs SET payload = $3, due_at = $4, n_attempts = 0, node = NULL
                       WHERE id = $1 AND expires_at IS NULL AND due_at = $2";
            session.execute(sql, &[&id, &until, &&payload[..], &due_at.0]).await?
        }
        JobOutcome::Again { due_at } => {
            let sql = "UPDATE jobs SET due_at = $3, node = NULL
                       WHERE id = $1 AND expires_at IS NULL AND due_at = $2";
            session.execute(sql, &[&id, &until, &due_at.0]).await?
        }
        JobOutcome::Forgotten => {
            let sql = "DELETE FROM jobs WHERE id = $1 AND expires_at IS NULL AND due_at = $2";
            session.execute(sql, &[&id, &until]).await?
        }
    };
    let so_far = bounds::so_far(outcome);
    if n_settled > 0 {
        insert(session, follow_ups).await?;
    } else if !so_far.is_empty() {
        let sql = "UPDATE jobs SET payload = $3 WHERE id = $1 AND result = ''::bytea AND due_at = $2";
        session.execute(sql, &[&id, &until, &so_far]).await?;
    }
    Ok(n_settled > 0)
}

/// See `JobStore::jobs`; a place is a sequence.
async fn page(session: &Session, tenant: TenantId, from: Option<u64>, limit: u64, now: TimestampMs) -> Answer<JobPage> {
    let sql = "SELECT id, tenant, kind, ''::bytea, substring(result FROM 1 FOR 1), n_attempts, due_at,
                      created_at, expires_at, key, sequence
               FROM jobs WHERE tenant = $1 AND sequence <= $2 AND (expires_at IS NULL OR expires_at > $3)
               ORDER BY sequence DESC LIMIT $4";
    let limit = limit.min(u64::from(u32::MAX));
    let from = from.map_or(i64::MAX, number);
    let found = session.query(sql, &[&tenant_bytes(tenant), &from, &now.0, &number(limit + 1)]).await?;
    // One byte was read, which says whether it was cancelled.
    let outline = |row: &Row| job_row(row).map(|job| Job { result: job.result.map(|_| Bytes::new()), ..job });
    let mut jobs = found.iter().map(outline).collect::<Answer<Vec<_>>>()?;
    let next = match found.last() {
        Some(last) if jobs.len() as u64 > limit => Some(rows::whole(last, 10)?),
        _ => None,
    };
    jobs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(JobPage { jobs, next })
}

impl JobStore for PostgresStore {
    fn enqueue(&self, jobs: Vec<NewJob>, waiting_max: u64) -> Pending<'_, Vec<JobId>> {
        self.write("accept the jobs", move |session| {
            let jobs = jobs.clone();
            Box::pin(async move {
                bounds::check_jobs(&jobs)?;
                enqueue(session, &jobs, waiting_max).await
            })
        })
    }

    fn claim(
        &self,
        kind: &'static str,
        now: TimestampMs,
        lease_until: TimestampMs,
        served: Option<TenantId>,
    ) -> Pending<'_, Option<Job>> {
        let node = self.node();
        self.write("claim a job", move |session| Box::pin(claim(session, node, (kind, now), lease_until, served)))
    }

    fn settle(&self, lease: JobLease, outcome: JobOutcome, follow_ups: Vec<NewJob>) -> Pending<'_, bool> {
        self.write("settle the job", move |session| {
            let (outcome, follow_ups) = (outcome.clone(), follow_ups.clone());
            Box::pin(async move {
                bounds::check_outcome(&outcome)?;
                bounds::check_jobs(&follow_ups)?;
                settle(session, lease, &outcome, &follow_ups).await
            })
        })
    }

    fn job(&self, tenant: TenantId, id: JobId, now: TimestampMs) -> Pending<'_, Option<Job>> {
        self.read("look up the job", move |session| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT {JOB_COLUMNS} FROM jobs WHERE id = $1 AND tenant = $2
                     AND (expires_at IS NULL OR expires_at > $3)"
                );
                let row = session.first(&sql, &[&number(id.get()), &tenant_bytes(tenant), &now.0]).await?;
                row.as_ref().map(job_row).transpose()
            })
        })
    }

    fn jobs(&self, tenant: TenantId, from: Option<u64>, limit: u64, now: TimestampMs) -> Pending<'_, JobPage> {
        self.read("list the jobs", move |session| Box::pin(page(session, tenant, from, limit, now)))
    }

    fn cancel(
        &self,
        tenant: TenantId,
        id: JobId,
        only_unbegun: bool,
        expires_at: TimestampMs,
        so_far: Bytes,
    ) -> Pending<'_, Cancel> {
        self.write("cancel the job", move |session| {
            let so_far = so_far.clone();
            Box::pin(async move {
                let (id, tenant) = (number(id.get()), tenant_bytes(tenant));
                let sql = "UPDATE jobs SET payload = $5, result = ''::bytea, expires_at = $3
                           WHERE id = $1 AND tenant = $2 AND expires_at IS NULL AND NOT ($4::bool AND n_attempts > 0)";
                if session.execute(sql, &[&id, &tenant, &expires_at.0, &only_unbegun, &&so_far[..]]).await? > 0 {
                    return Ok(Cancel::Done);
                }
                let sql = "SELECT 1 FROM jobs WHERE id = $1 AND tenant = $2 AND expires_at IS NULL";
                let is_undone = session.first(sql, &[&id, &tenant]).await?.is_some();
                Ok(if is_undone { Cancel::TooLate } else { Cancel::NotFound })
            })
        })
    }

    fn next_due(&self, kind: &'static str) -> Pending<'_, Option<TimestampMs>> {
        self.read("see when a job is due", move |session| {
            Box::pin(async move {
                let sql = "SELECT min(due_at) FROM jobs WHERE kind = $1 AND expires_at IS NULL";
                Ok(session.one(sql, &[&kind]).await?.try_get::<_, Option<i64>>(0)?.map(TimestampMs))
            })
        })
    }

    /// Those of other nodes that are alive stay: a node shows that by the lock of its listening connection.
    fn void_leases(&self, now: TimestampMs) -> Pending<'_, u64> {
        let node = self.node();
        self.write("take up jobs that were begun", move |session| {
            Box::pin(async move {
                let sql = format!("UPDATE jobs SET due_at = $1 WHERE {BEGUN} AND (node = $2 OR {NODE_IS_GONE})");
                session.execute(&sql, &[&now.0, &node, &NODE_LOCKS]).await
            })
        })
    }

    fn take_over(&self, now: TimestampMs, under_way: Vec<JobLease>) -> Pending<'_, u64> {
        Box::pin(async move { Ok(self.take_over_others(now).await? + self.take_up_own(now, &under_way).await?) })
    }

    fn forget(&self, now: TimestampMs) -> Pending<'_, u64> {
        let sql = "DELETE FROM jobs WHERE sequence IN (SELECT sequence FROM jobs
                   WHERE expires_at IS NOT NULL AND expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
        self.purge("forget jobs", now, sql, PURGE_ROWS)
    }
}

impl PostgresStore {
    /// Makes jobs of servers due that are gone.
    async fn take_over_others(&self, now: TimestampMs) -> Result<u64> {
        let node = self.node();
        let absent: Vec<i32> = self
            .read("see whose jobs wait", move |session| {
                Box::pin(async move {
                    let sql =
                        format!("SELECT DISTINCT jobs.node FROM jobs WHERE {BEGUN} AND node <> $2 AND {NODE_IS_GONE}");
                    let found = session.query(&sql, &[&now.0, &node, &NODE_LOCKS]).await?;
                    found.iter().map(|row| Ok(row.try_get(0)?)).collect::<Answer<Vec<i32>>>()
                })
            })
            .await?;
        let before = std::mem::replace(
            &mut *self.absent.lock().unwrap_or_else(PoisonError::into_inner),
            absent.iter().copied().collect(),
        );
        let gone: Vec<i32> = absent.into_iter().filter(|node| before.contains(node)).collect();
        if gone.is_empty() {
            return Ok(0);
        }
        self.write("take over jobs of servers that are gone", move |session| {
            let gone = gone.clone();
            Box::pin(async move {
                let sql = format!("UPDATE jobs SET due_at = $1 WHERE {BEGUN} AND node = ANY($2) AND {NODE_IS_GONE}");
                session.execute(&sql, &[&now.0, &gone, &NODE_LOCKS]).await
            })
        })
        .await
    }

    /// Makes jobs due that this server has claimed though none of its workers is at them, as in a database that was put back to
    /// a moment at which one was.
    async fn take_up_own(&self, now: TimestampMs, under_way: &[JobLease]) -> Result<u64> {
        let node = self.node();
        let claimed: Vec<JobLease> = self
            .read("see which jobs are claimed", move |session| {
                Box::pin(async move {
                    let sql = format!("SELECT id, due_at FROM jobs WHERE {BEGUN} AND node = $2");
                    let found = session.query(&sql, &[&now.0, &node]).await?;
                    let lease =
                        |row: &Row| Ok(JobLease { job: job_id(row.try_get(0)?)?, until: TimestampMs(row.try_get(1)?) });
                    found.iter().map(lease).collect::<Answer<Vec<_>>>()
                })
            })
            .await?;
        let orphaned: Vec<JobLease> = claimed.into_iter().filter(|lease| !under_way.contains(lease)).collect();
        let before =
            std::mem::replace(&mut *self.orphaned.lock().unwrap_or_else(PoisonError::into_inner), orphaned.clone());
        let (ids, ends): (Vec<i64>, Vec<i64>) = orphaned
            .iter()
            .filter(|lease| before.contains(lease))
            .map(|lease| (number(lease.job.get()), lease.until.0))
            .unzip();
        if ids.is_empty() {
            return Ok(0);
        }
        self.write("take up jobs that nobody is at", move |session| {
            let (ids, ends) = (ids.clone(), ends.clone());
            Box::pin(async move {
                let sql = format!(
                    "UPDATE jobs SET due_at = $1 FROM unnest($3::int8[], $4::int8[]) AS claim (job, until)
                     WHERE {BEGUN} AND node = $2 AND id = claim.job AND due_at = claim.until"
                );
                session.execute(&sql, &[&now.0, &node, &ids, &ends]).await
            })
        })
        .await
    }
}
