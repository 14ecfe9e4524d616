//! Erasing what is left of deleted face sets, persons and tenants, a few rows at a time, and compacting commits. One node at
//! a time does it, whichever comes first.
//!
//! A deleted set or person has lost its name, so nothing shows it or its faces any more. What is left is found by that
//! missing name, so erasing needs no notes of its own and goes on where it was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use likeness_domain::types::TimestampMs;

use super::errors::Answer;
use super::session::Session;
use super::transaction::Step;
use super::{Shared, commits, deletes, thumbnails, transaction};
use crate::pace::Pace;

/// Most faces of a deleted person that are erased within the delete itself.
pub(super) const AT_ONCE_MAX: i64 = 64;

/// Most rows erased in one transaction, and commits compacted.
const ROWS: usize = 1000;

/// Uploads erased in one transaction: they may be of 20 MB each.
const UPLOADS: i64 = 4;

/// How often it is looked whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Number of the advisory lock of whoever does the maintenance: "LkEraser" as bytes.
const LOCK: i64 = 0x4c6b_4572_6173_6572;

/// Makes steps of deletes that nobody makes, erases and compacts until the store is closed.
pub(super) async fn maintain(shared: Arc<Shared>) {
    let mut delete_pace = deletes::pace(&shared.settings);
    // Counting commits reads them all.
    let mut count_at = Instant::now();
    let mut erase_pace = Pace::new(ROWS, shared.settings.step_aim);
    loop {
        let worked = async {
            if deletes::make_abandoned(&shared, &mut delete_pace).await? {
                return Ok(1);
            }
            let mut n_compacted = in_turn(&shared, compact_old).await?;
            if count_at <= Instant::now() {
                let n_surplus = in_turn(&shared, compact_surplus).await?;
                if n_surplus < ROWS as u64 {
                    count_at = Instant::now() + LOOK_EVERY;
                }
                n_compacted = n_compacted.max(n_surplus);
            }
            let started = Instant::now();
            let n_rows = erase_pace.n_rows();
            let n_erased = in_turn(&shared, |_, session| Box::pin(erase_some(session, n_rows as i64))).await?;
            erase_pace.took(n_erased as usize, started.elapsed());
            // What has come since can wait for the next look.
            Ok(n_erased + u64::from(n_compacted == ROWS as u64))
        };
        match worked.await {
            Ok(0) => {
                let _ = tokio::time::timeout(LOOK_EVERY, shared.erase.notified()).await;
            }
            Ok(_) => {}
            Err(failure) => {
                shared.database.note(Some(&failure));
                tracing::debug!(%failure, "the maintenance of the database failed, it is tried again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Does some of what there is to do, in one transaction; 0 when there is nothing left, or another node does it.
async fn in_turn(shared: &Shared, act: impl for<'a> FnOnce(&'a Shared, &'a Session) -> Step<'a, u64>) -> Answer<u64> {
    let session = shared.database.session().await?;
    let worked = async {
        transaction::begin(shared, &session, "").await?;
        let is_ours: bool = session.one("SELECT pg_try_advisory_xact_lock($1)", &[&LOCK]).await?.try_get(0)?;
        let n_done = if is_ours { act(shared, &session).await? } else { 0 };
        session.batch("COMMIT").await?;
        Ok(n_done)
    };
    let outcome = worked.await;
    if outcome.is_err() {
        session.roll_back().await;
    }
    outcome
}

/// In a transaction of its own: it changes the row that every commit changes, which would otherwise wait for the erasing.
fn compact_old<'a>(shared: &'a Shared, session: &'a Session) -> Step<'a, u64> {
    let age_max = i64::try_from(shared.settings.commit_age_max.as_millis()).unwrap_or(i64::MAX);
    let before = TimestampMs(shared.clock.now().0.saturating_sub(age_max));
    Box::pin(commits::compact_old(session, before, ROWS as i64))
}

/// The same of those that are too many.
fn compact_surplus<'a>(shared: &'a Shared, session: &'a Session) -> Step<'a, u64> {
    Box::pin(commits::compact_surplus(session, shared.settings.commits_max, ROWS as i64))
}

async fn erase_some(session: &Session, n_rows_max: i64) -> Answer<u64> {
    if let Some(row) = session.first("SELECT id FROM face_sets WHERE name IS NULL LIMIT 1", &[]).await? {
        return erase_face_set(session, row.try_get(0)?, n_rows_max).await;
    }
    if let Some(row) = session.first("SELECT id FROM persons WHERE key IS NULL LIMIT 1", &[]).await? {
        return erase_person(session, row.try_get(0)?, n_rows_max).await;
    }
    let n_erased = thumbnails::erase_some(session, n_rows_max).await?;
    if n_erased > 0 {
        return Ok(n_erased);
    }
    // Last, since what a tenant had in sets and persons is erased with those.
    erase_tenant(session, n_rows_max).await
}

/// Its own faces, then its gallery and memberships, at last itself.
async fn erase_face_set(session: &Session, id: i64, n_rows_max: i64) -> Answer<u64> {
    let sql = "WITH gone AS (SELECT sequence FROM faces WHERE face_set = $1 LIMIT $2),
                    shown AS (DELETE FROM gallery AS g USING gone WHERE g.face_set = $1 AND g.sequence = gone.sequence),
                    vectors AS (DELETE FROM templates AS t USING gone WHERE t.face = gone.sequence)
               DELETE FROM faces AS f USING gone WHERE f.sequence = gone.sequence";
    let n_owned = session.execute(sql, &[&id, &n_rows_max]).await?;
    if n_owned > 0 {
        let sql = "UPDATE face_sets SET n_owned = n_owned - $2 WHERE id = $1";
        session.execute(sql, &[&id, &(n_owned as i64)]).await?;
        return Ok(n_owned);
    }
    let sql = "DELETE FROM gallery WHERE face_set = $1
               AND sequence IN (SELECT sequence FROM gallery WHERE face_set = $1 LIMIT $2) RETURNING sequence";
    let mut hidden: Vec<i64> = Vec::new();
    for row in session.query(sql, &[&id, &n_rows_max]).await? {
        hidden.push(row.try_get(0)?);
    }
    if !hidden.is_empty() {
        // Of members.
        thumbnails::drop_unwanted(session, &hidden).await?;
        return Ok(hidden.len() as u64);
    }
    let sql = "DELETE FROM memberships WHERE face_set = $1
               AND sequence IN (SELECT sequence FROM memberships WHERE face_set = $1 LIMIT $2)";
    let n_erased = session.execute(sql, &[&id, &n_rows_max]).await?;
    if n_erased > 0 {
        return Ok(n_erased);
    }
    let n_erased = thumbnails::erase_held(session, id, n_rows_max).await?;
    if n_erased > 0 {
        return Ok(n_erased);
    }
    session.execute("DELETE FROM thumbnail_sets WHERE face_set = $1", &[&id]).await?;
    session.execute("DELETE FROM face_sets WHERE id = $1 AND name IS NULL", &[&id]).await
}

/// The faces of a deleted person, which are in no gallery any more, then itself.
pub(super) async fn erase_person(session: &Session, id: i64, n_rows_max: i64) -> Answer<u64> {
    let sql = "WITH gone AS (SELECT sequence FROM faces WHERE person = $1 LIMIT $2),
                    vectors AS (DELETE FROM templates AS t USING gone WHERE t.face = gone.sequence)
               DELETE FROM faces AS f USING gone WHERE f.sequence = gone.sequence";
    let mut n_erased = session.execute(sql, &[&id, &n_rows_max]).await?;
    let sql = "UPDATE persons SET n_faces = n_faces - $2 WHERE id = $1";
    session.execute(sql, &[&id, &(n_erased as i64)]).await?;
    if n_erased < n_rows_max.cast_unsigned() {
        n_erased += session.execute("DELETE FROM persons WHERE id = $1 AND key IS NULL", &[&id]).await?;
    }
    Ok(n_erased)
}

/// What is left of a deleted tenant. Persons lose their keys here and are erased as deleted ones are.
async fn erase_tenant(session: &Session, n_rows_max: i64) -> Answer<u64> {
    let Some(row) = session.first("SELECT tenant FROM deleted_tenants WHERE NOT erased LIMIT 1", &[]).await? else {
        return Ok(0);
    };
    let tenant: Vec<u8> = row.try_get(0)?;
    for (sql, n_max) in [
        (
            "UPDATE persons SET key = NULL, name = NULL, note = NULL
             WHERE id IN (SELECT id FROM persons WHERE tenant = $1 AND key IS NOT NULL LIMIT $2)",
            n_rows_max,
        ),
        (
            "DELETE FROM held_faces WHERE sequence IN (SELECT sequence FROM held_faces WHERE tenant = $1 LIMIT $2)",
            n_rows_max,
        ),
        (
            "DELETE FROM pictures WHERE tenant = $1
             AND name IN (SELECT name FROM pictures WHERE tenant = $1 LIMIT $2)",
            n_rows_max.min(UPLOADS),
        ),
        ("DELETE FROM records WHERE number IN (SELECT number FROM records WHERE tenant = $1 LIMIT $2)", n_rows_max),
        ("DELETE FROM jobs WHERE sequence IN (SELECT sequence FROM jobs WHERE tenant = $1 LIMIT $2)", n_rows_max),
        (
            "DELETE FROM pending_deletes WHERE id IN (SELECT id FROM pending_deletes WHERE tenant = $1 LIMIT $2)",
            n_rows_max,
        ),
    ] {
        let n_erased = session.execute(sql, &[&tenant, &n_max]).await?;
        if n_erased > 0 {
            return Ok(n_erased);
        }
    }
    session.execute("DELETE FROM tenant_usage WHERE tenant = $1", &[&tenant]).await?;
    session.execute("UPDATE deleted_tenants SET erased = true WHERE tenant = $1", &[&tenant]).await
}
