//! What may be used only once.

use likeness_domain::ports::{NonceStore, Pending};
use likeness_domain::types::TimestampMs;

use super::PostgresStore;
use super::errors::Answer;
use super::session::Session;
use crate::bounds::{self, purged_at};

/// Expired tokens that are deleted whenever one is consumed. More than the one that is added, so the table shrinks to what
/// still counts; few, so that consuming one is quick.
const PRUNE_ROWS: i64 = 16;

/// `scope` of the row that says when the latest of the tokens that were swept away expired; its token is empty. No scope is
/// empty.
const PURGED: &str = "";

async fn consume(
    session: &Session,
    scope: &str,
    token: &[u8],
    now: TimestampMs,
    expires_at: TimestampMs,
) -> Answer<bool> {
    // One statement, so that of several at once one is first. At a time before the row of those swept away, after the clock
    // was set back, nobody knows any more what was spent.
    let sql = "INSERT INTO spent AS s (scope, token, expires_at)
               SELECT $1, $2, $4 WHERE NOT EXISTS (SELECT 1 FROM spent WHERE scope = $5 AND token = '' AND expires_at > $3)
               ON CONFLICT (scope, token) DO UPDATE SET expires_at = excluded.expires_at WHERE s.expires_at <= $3";
    let is_first = session.execute(sql, &[&scope, &token, &now.0, &expires_at.0, &PURGED]).await? > 0;
    if is_first {
        let sql = "WITH gone AS (DELETE FROM spent WHERE (scope, token) IN
                       (SELECT scope, token FROM spent WHERE expires_at <= $1 AND scope <> $3 ORDER BY expires_at LIMIT $2
                        FOR UPDATE SKIP LOCKED) RETURNING expires_at)
                   INSERT INTO spent AS s (scope, token, expires_at)
                   SELECT $3, '', max(expires_at) FROM gone HAVING count(*) > 0
                   ON CONFLICT (scope, token) DO UPDATE SET expires_at = greatest(s.expires_at, excluded.expires_at)";
        session.execute(sql, &[&purged_at(now).0, &PRUNE_ROWS, &PURGED]).await?;
    }
    Ok(is_first)
}

impl NonceStore for PostgresStore {
    fn consume(&self, scope: &str, token: &[u8], now: TimestampMs, expires_at: TimestampMs) -> Pending<'_, bool> {
        if let Err(error) = bounds::check_token(scope, token) {
            return Box::pin(std::future::ready(Err(error)));
        }
        let (scope, token) = (scope.to_owned(), token.to_owned());
        self.write("consume the token", move |session| {
            let (scope, token) = (scope.clone(), token.clone());
            Box::pin(async move { consume(session, &scope, &token, now, expires_at).await })
        })
    }
}
