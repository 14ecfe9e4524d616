//! What may be used only once.

use likeness_domain::ports::{NonceStore, Pending};
use likeness_domain::types::TimestampMs;

use super::EmbeddedStore;
use super::errors::Answer;
use super::transaction::{Manner, WriteTx};
use crate::bounds::{self, purged_at};

/// Expired tokens that are deleted whenever one is consumed. More than the one that is added, so the table shrinks to what
/// still counts; few, so that consuming one is quick.
const PRUNE_ROWS: u64 = 16;

/// The row that says when the latest of the tokens that were swept away expired. No scope is empty.
const PURGED: (&str, &[u8]) = ("", &[]);

fn consume(tx: &mut WriteTx<'_>, scope: &str, token: &[u8], now: TimestampMs, expires_at: TimestampMs) -> Answer<bool> {
    let still_counts = "SELECT 1 FROM spent WHERE scope = ?1 AND token = ?2 AND expires_at > ?3";
    let mut still_counts = tx.conn.prepare_cached(still_counts)?;
    // At a time before that row's, after the clock was set back, nobody knows any more what was spent.
    if still_counts.exists((PURGED.0, PURGED.1, now.0))? || still_counts.exists((scope, token, now.0))? {
        tx.idle = true;
        return Ok(false);
    }
    let expired = "FROM (SELECT scope, token, expires_at FROM spent WHERE expires_at <= ?1 AND scope <> '' \
                   ORDER BY expires_at LIMIT ?2)";
    tx.conn
        .prepare_cached(&format!(
            "INSERT INTO spent (scope, token, expires_at)
             SELECT ?3, ?4, max(expires_at) {expired} HAVING count(*) > 0
             ON CONFLICT (scope, token) DO UPDATE SET expires_at = max(expires_at, excluded.expires_at)"
        ))?
        .execute((purged_at(now).0, PRUNE_ROWS, PURGED.0, PURGED.1))?;
    tx.conn
        .prepare_cached(&format!("DELETE FROM spent WHERE (scope, token) IN (SELECT scope, token {expired})"))?
        .execute((purged_at(now).0, PRUNE_ROWS))?;
    // An expired row of this very token may be beyond those swept away.
    tx.conn
        .prepare_cached(
            "INSERT INTO spent (scope, token, expires_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (scope, token) DO UPDATE SET expires_at = excluded.expires_at",
        )?
        .execute((scope, token, expires_at.0))?;
    Ok(true)
}

impl NonceStore for EmbeddedStore {
    fn consume(&self, scope: &str, token: &[u8], now: TimestampMs, expires_at: TimestampMs) -> Pending<'_, bool> {
        if let Err(error) = bounds::check_token(scope, token) {
            return Box::pin(std::future::ready(Err(error)));
        }
        let (scope, token) = (scope.to_owned(), token.to_owned());
        // A request to delete may bring one.
        self.write_in(Manner::DELETE, "consume the token", move |tx| consume(tx, &scope, &token, now, expires_at))
    }
}
