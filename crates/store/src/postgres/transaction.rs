//! How a write is made: one transaction, alone within its tenant, numbered last.
//!
//! 1. The transaction takes the tenant's advisory lock, so that whatever it checks (limits, names, external ids) stays true
//!    until it commits. Writes of different tenants go on side by side.
//! 2. It does its work.
//! 3. Its last statement raises `store.revision` and keeps the commit under that number. The row stays locked until the
//!    commit is durable: so revisions have no gap, and who sees a commit sees all before it. A follower needs no more than
//!    "what comes after this number", and neither a slow transaction nor one of another program can hold it up or be
//!    skipped by it.
//! 4. The node's own index takes over the changes, and the caller is answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::task::{Context, Poll, Waker};

use likeness_domain::Kind;
use likeness_domain::ports::Change;
use likeness_domain::types::{AccessKeyId, Actor, Revision, TenantId};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::address::ALIVE_WITHIN;
use super::commits::{CHANNEL, Position, checksum_of};
use super::errors::{Answer, Failure, pause_before};
use super::session::Session;
use super::{Shared, rows, usage};
use crate::commits::bytes_of;

/// Most times that a transaction is made once more because another one was in its way.
const CONFLICTS_MAX: u32 = 12;

/// What a write works with.
pub(super) struct WriteTx {
    pub(super) session: Session,
    pub(super) shared: Arc<Shared>,
    /// What changed so far.
    pub(super) changes: Vec<Change>,
    /// Set by a write that hides rows for the maintenance to erase.
    pub(super) leaves_rows: bool,
}

/// The answer of a step of a write or read.
pub(super) type Step<'a, T> = std::pin::Pin<Box<dyn Future<Output = Answer<T>> + Send + 'a>>;

/// Reads or writes on a connection; called again where it has to be tried again.
pub(super) type OnSession<'f, T> = dyn for<'a> Fn(&'a Session) -> Step<'a, T> + Send + Sync + 'f;

/// The same in a transaction that becomes a commit.
pub(super) type InCommit<'f, T> = dyn for<'a> Fn(&'a mut WriteTx) -> Step<'a, T> + Send + Sync + 'f;

impl WriteTx {
    /// Adds a change, for the index and for the commit that is kept.
    pub(super) fn push(&mut self, change: impl Into<Change>) {
        self.changes.push(change.into());
    }

    /// Numbers larger than all before them, ascending.
    pub(super) async fn next_places(&self, n_places: usize) -> Answer<Vec<i64>> {
        let sql = "SELECT nextval('places') FROM generate_series(1, $1)";
        let n_places = i32::try_from(n_places).unwrap_or(i32::MAX);
        let found = self.session.query(sql, &[&n_places]).await?;
        let mut places: Vec<i64> = found.iter().map(|row| Ok(row.try_get(0)?)).collect::<Answer<_>>()?;
        places.sort_unstable();
        Ok(places)
    }

    pub(super) async fn next_place(&self) -> Answer<i64> {
        Ok(self.session.one("SELECT nextval('places')", &[]).await?.try_get(0)?)
    }
}

/// Ready when every write of the tenant that was handed over before is done.
pub(super) type Turn = std::pin::Pin<Box<dyn Future<Output = OwnedMutexGuard<()>> + Send>>;

/// Turns of the writes of each tenant, in the order in which they were handed over. In the database they would follow each
/// other anyway; this way they keep their order, and those that wait need no connection.
#[derive(Default)]
pub(super) struct Turns(StdMutex<HashMap<TenantId, Arc<Mutex<()>>>>);

impl Turns {
    /// Tenants that are remembered before those are forgotten that write nothing.
    const TENANTS: usize = 1024;

    /// The turn of a write that is handed over now.
    pub(super) fn take(&self, tenant: TenantId) -> Turn {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= Self::TENANTS {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        let turn = Arc::clone(turns.entry(tenant).or_default());
        let mut waiting = Box::pin(turn.lock_owned());
        // It stands in the queue from the first poll on, not from when its task happens to run.
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Box::pin(std::future::ready(turn)),
            Poll::Pending => waiting,
        }
    }
}

/// The number of the tenant's advisory lock.
fn lock_of(tenant: TenantId) -> i64 {
    let bits = tenant.to_bits();
    ((bits >> 64) as u64 ^ bits as u64).cast_signed()
}

/// The number of the advisory lock that every transaction that writes shares, so that whoever has it alone
/// ([migration](super::migration)) keeps all of them out before they have touched a table, and has waited for those under way.
pub(super) const WRITES_LOCK: i64 = 0x4c6b_5772_6974_6573;

/// Opens a transaction under the time limits for writes; `lock` are further statements. The database also finds out when this
/// machine has gone without a word: while it waits for rows of a `COPY` its time limits do not count, and the locks would be held
/// for as long as its own keepalive takes, two hours as Linux comes.
pub(super) async fn begin(shared: &Shared, session: &Session, lock: &str) -> Answer<()> {
    let (statement_ms, lock_ms) =
        (shared.settings.statement_timeout.as_millis(), shared.settings.lock_timeout.as_millis());
    let alive_s = ALIVE_WITHIN.as_secs();
    let sql = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = {statement_ms}; \
         SET LOCAL lock_timeout = {lock_ms}; SET LOCAL idle_in_transaction_session_timeout = {statement_ms}; \
         SET LOCAL tcp_keepalives_idle = {alive_s}; SET LOCAL tcp_keepalives_interval = {alive_s}; \
         SET LOCAL tcp_keepalives_count = 2; \
         SELECT pg_advisory_xact_lock_shared({WRITES_LOCK}); {lock}"
    );
    session.batch(&sql).await
}

impl Shared {
    /// Makes a write on somebody's behalf, again where another one was in its way or the server went away before the
    /// commit. When it is ready, the node's index has reached it.
    pub(super) async fn write_as<T>(self: &Arc<Self>, turn: Turn, actor: &Actor, act: &InCommit<'_, T>) -> Answer<T> {
        let turn = self.its_turn(turn).await?;
        let (mut n_conflicts, mut n_lost) = (0, 0);
        let give_up_at = tokio::time::Instant::now() + self.settings.reconnect_max;
        loop {
            let failure = match self.try_write(actor, act).await {
                Ok((answer, reached)) => {
                    // The next one need not wait for the index.
                    drop(turn);
                    if let Some(reached) = reached.filter(|_| self.is_following) {
                        self.follower.wait_until(reached.revision, self.settings.index_wait_max).await;
                    }
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            self.database.note(Some(&failure));
            let n_tries = if failure.is_conflict() && n_conflicts < CONFLICTS_MAX {
                n_conflicts += 1;
                n_conflicts
            } else if failure.is_disconnection() && tokio::time::Instant::now() < give_up_at {
                n_lost += 1;
                n_lost
            } else {
                return Err(failure);
            };
            tokio::time::sleep(pause_before(n_tries)).await;
        }
    }

    /// Waits for a turn: behind writes that the database does not answer it would take as long as all of them together.
    pub(super) async fn its_turn(&self, turn: Turn) -> Answer<OwnedMutexGuard<()>> {
        tokio::time::timeout(self.settings.statement_timeout, turn).await.map_err(|_| {
            let message = "earlier writes of the tenant still wait for the database, try again in a moment";
            Failure::said(Kind::Overloaded, message)
        })
    }

    async fn try_write<T>(self: &Arc<Self>, actor: &Actor, act: &InCommit<'_, T>) -> Answer<(T, Option<Position>)> {
        let session = self.database.session().await?;
        let mut tx = WriteTx { session, shared: Arc::clone(self), changes: Vec::new(), leaves_rows: false };
        let worked = async {
            let lock = format!("SELECT pg_advisory_xact_lock({})", lock_of(actor.tenant));
            begin(self, &tx.session, &lock).await?;
            usage::refuse_unusable(&tx.session, actor).await?;
            act(&mut tx).await
        };
        let answer = match worked.await {
            Ok(answer) => answer,
            Err(failure) => {
                tx.session.roll_back().await;
                return Err(failure);
            }
        };
        let WriteTx { session, changes, leaves_rows, .. } = tx;
        let reached = self.commit(session, actor, &changes).await?;
        if leaves_rows {
            self.erase.notify_one();
        }
        if let Some(reached) = reached.filter(|_| self.is_following) {
            self.follower.has_committed(reached, changes);
        }
        Ok((answer, reached))
    }

    /// Commits; `None` if nothing changed that anybody else needs to know.
    async fn commit(&self, session: Session, actor: &Actor, changes: &[Change]) -> Answer<Option<Position>> {
        let reached = if changes.is_empty() {
            None
        } else {
            match keep_commit(self, &session, actor, changes).await {
                Ok(reached) => Some(reached),
                Err(failure) => {
                    session.roll_back().await;
                    return Err(failure);
                }
            }
        };
        match session.batch("COMMIT").await {
            Ok(()) => Ok(reached),
            Err(failure) => {
                session.give_up();
                match reached {
                    Some(reached) if failure.is_disconnection() => match self.was_made(actor.tenant, reached).await? {
                        true => Ok(Some(reached)),
                        false => Err(failure),
                    },
                    None if failure.is_disconnection() => Err(Failure::InDoubt),
                    _ => Err(failure),
                }
            }
        }
    }

    /// Whether a commit was made whose answer got lost. The tenant's lock is free when the server has ended the transaction
    /// one way or the other; then the commit is there, on whichever server is the one to write to, or it is not.
    async fn was_made(&self, tenant: TenantId, reached: Position) -> Answer<bool> {
        let (lock_timeout, reconnect_max) = (self.settings.lock_timeout, self.settings.reconnect_max);
        let give_up_at = tokio::time::Instant::now() + reconnect_max;
        let silent = |_| Err(Failure::NoConnection("the database did not answer in time".into()));
        let mut n_tries = 0;
        loop {
            let looked = self.try_was_made(tenant, reached);
            match tokio::time::timeout(lock_timeout + reconnect_max, looked).await.unwrap_or_else(silent) {
                Err(failure) if failure.is_disconnection() && tokio::time::Instant::now() < give_up_at => {
                    n_tries += 1;
                    tokio::time::sleep(pause_before(n_tries)).await;
                }
                Err(_) => return Err(Failure::InDoubt),
                answer => return answer,
            }
        }
    }

    async fn try_was_made(&self, tenant: TenantId, reached: Position) -> Answer<bool> {
        let session = self.database.session().await?;
        let looked = async {
            begin(self, &session, &format!("SELECT pg_advisory_xact_lock({})", lock_of(tenant))).await?;
            let sql = "SELECT 1 FROM commits WHERE revision = $1 AND checksum = $2";
            let is_made = session.exists(sql, &[&rows::number(reached.revision.0), &reached.checksum]).await?;
            if is_made {
                // It may be on this server alone: one that breaks while a commit waits for its standby has the commit afterwards.
                // A commit behind it waits for the standby in its place.
                session.execute("UPDATE store SET revision = revision", &[]).await?;
                session.batch("COMMIT").await?;
            }
            Ok(is_made)
        };
        match looked.await {
            Ok(true) => Ok(true),
            looked => {
                session.roll_back().await;
                looked
            }
        }
    }
}

/// Raises the revision, keeps the commit and tells the other nodes, in one statement.
async fn keep_commit(shared: &Shared, session: &Session, actor: &Actor, changes: &[Change]) -> Answer<Position> {
    let (at, tenant) = (shared.clock.now().0, rows::tenant_bytes(actor.tenant));
    let (key, request) = (actor.key.as_ref().map(AccessKeyId::as_str), actor.request_id.as_str());
    let changes = bytes_of(changes);
    let checksum = checksum_of(at, &tenant, key, request, &changes);
    let sql = format!(
        "WITH next AS (UPDATE store SET revision = revision + 1 RETURNING revision),
              kept AS (INSERT INTO commits (revision, at, tenant, key, request, changes, checksum)
                       SELECT revision, $1, $2, $3, $4, $5, $6 FROM next)
         SELECT revision, pg_notify('{CHANNEL}', $7::int4 || ' ' || revision) FROM next"
    );
    let row = session.one(&sql, &[&at, &tenant, &key, &request, &changes, &checksum, &shared.node]).await?;
    Ok(Position { revision: Revision(rows::whole(&row, 0)?), checksum })
}
