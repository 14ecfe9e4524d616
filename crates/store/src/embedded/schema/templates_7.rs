//! To layout 7: the templates of every face move to the table that can hold several packs a face, and every row that matters
//! gets a checksum.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::super::checksums::{FACES, RECORDS, TABLES, TEMPLATES, THUMBNAIL_SETS, THUMBNAILS};
use super::Answer;

/// Rows copied by one statement.
const CHUNK_ROWS: u64 = 10_000;

/// Time between two lines about the progress.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Makes the new table, copies all rows, drops the old table. Runs inside the transaction of the whole upgrade, so a crash
/// leaves the old layout.
pub(super) fn upgrade(conn: &Connection) -> Answer<()> {
    conn.execute_batch(include_str!("../schema-7.sql"))?;
    let n_rows: u64 = conn.query_row("SELECT count(*) FROM templates_6", [], |row| row.get(0))?;
    let mut copy = conn.prepare(
        "INSERT INTO templates (id, face, pack, vector, checksum)
         SELECT t.sequence, t.sequence, f.pack, t.vector, row_checksum('templates', t.sequence, f.pack, t.vector)
         FROM templates_6 AS t
         CROSS JOIN faces AS f ON f.sequence = t.sequence
         WHERE t.sequence > ?1 ORDER BY t.sequence LIMIT ?2",
    )?;
    let (mut n_copied, mut last) = (0, 0);
    let mut line_at = Instant::now() + LINE_EVERY;
    loop {
        let n_more = copy.execute((last, CHUNK_ROWS))? as u64;
        if n_more == 0 {
            break;
        }
        n_copied += n_more;
        last = conn.last_insert_rowid() as u64;
        if Instant::now() >= line_at {
            tracing::info!(n_copied, n_rows, "upgrading the store's layout: templates move to their own table");
            line_at = Instant::now() + LINE_EVERY;
        }
    }
    drop(copy);
    conn.execute_batch(
        "DROP TABLE templates_6;
         CREATE UNIQUE INDEX templates_of_face ON templates (face, pack);",
    )?;
    checksums(conn)
}

/// Computes the checksums of the rows that were there.
fn checksums(conn: &Connection) -> Answer<()> {
    // Tables of later layouts are not there yet.
    let others = [FACES.name, TEMPLATES.name, RECORDS.name, THUMBNAIL_SETS.name, THUMBNAILS.name];
    let few = TABLES.iter().filter(|table| !others.contains(&table.name));
    for table in few {
        conn.execute(&format!("UPDATE {} SET checksum = {}", table.name, table.checksum()), [])?;
    }
    let last: u64 = conn.query_row("SELECT coalesce(max(sequence), 0) FROM faces", [], |row| row.get(0))?;
    let sql = format!("UPDATE faces SET checksum = {} WHERE sequence > ?1 AND sequence <= ?2", FACES.checksum());
    let mut update = conn.prepare(&sql)?;
    let (mut reached, mut n_done) = (0, 0);
    let mut line_at = Instant::now() + LINE_EVERY;
    while reached < last {
        n_done += update.execute((reached, reached + CHUNK_ROWS))?;
        reached += CHUNK_ROWS;
        if Instant::now() >= line_at {
            tracing::info!(n_done, "upgrading the store's layout: faces get checksums");
            line_at = Instant::now() + LINE_EVERY;
        }
    }
    Ok(())
}
