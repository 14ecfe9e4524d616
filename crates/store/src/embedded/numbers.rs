//! What a restart must not forget: the numbers of a library, taken from its tables.

use likeness_domain::types::Revision;
use rusqlite::Connection;

use super::errors::Answer;

/// No library comes to this number by counting: a revision or sequence from here on is damaged, and counting on from it would end
/// where SQLite's integers end.
pub(super) const NUMBER_END: i64 = 1 << 60;

/// What a restart must not forget; kept in memory between commits and written with each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counters {
    pub(super) revision: Revision,
    pub(super) next_sequence: u64,
    /// Revision of the last write that was kept as a commit.
    pub(super) last_commit: Revision,
}

/// Revision of the last write and of the last commit that was kept, never less than what the tables show.
pub(super) fn revisions(conn: &Connection) -> Answer<(Revision, Revision)> {
    // Read as signed, since a damaged number may be anything.
    let sql = format!(
        "SELECT max(iif(revision < {NUMBER_END}, revision, 0), newest), newest FROM
             (SELECT revision, max(iif(compacted < {NUMBER_END}, compacted, 0),
                  iif(last_commit < {NUMBER_END}, last_commit, 0),
                  (SELECT coalesce(max(revision), 0) FROM commits WHERE revision < {NUMBER_END})) AS newest FROM store)"
    );
    let (revision, last_commit): (i64, i64) =
        conn.prepare_cached(&sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((Revision(positive(revision)), Revision(positive(last_commit))))
}

/// What the file remembers of earlier runs, never less than what the tables show. Reads the small tables whole.
pub(super) fn counters(conn: &Connection) -> Answer<Counters> {
    let (revision, last_commit) = revisions(conn)?;
    let largest = ["faces", "held_faces", "jobs", "face_sets", "memberships"]
        .map(|table| format!("coalesce((SELECT max(sequence) FROM {table} WHERE sequence < {NUMBER_END}), 0)"));
    let sql = format!(
        "SELECT max(iif(next_sequence < {NUMBER_END}, next_sequence, 0), 1 + max({})) FROM store",
        largest.join(", ")
    );
    let next_sequence = conn.query_row(&sql, [], |row| row.get(0))?;
    Ok(Counters { revision, next_sequence: positive(next_sequence).max(1), last_commit })
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
