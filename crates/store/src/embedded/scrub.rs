//! Reading every row again while the store works, a few at a time, so that damage is seen before somebody needs the row.
//!
//! A pass goes through all tables whose rows have checksums, and through the galleries, whose rows are compared with the faces,
//! in the order of each table's key. Where it is stands in a file of its own ([`SCRUB_FILE`]), so that it goes on there after
//! a restart. That file is worth nothing: without it a pass begins anew, so it is not flushed.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use likeness_domain::ports::{ScrubReport, ScrubStep};
use likeness_domain::types::TimestampMs;
use rusqlite::{Connection, ErrorCode};
use xxhash_rust::xxh3::xxh3_64;

use super::checksums::TABLES;
use super::errors::{Answer, Failure, RECOVER};
use super::health::{ANY_TABLE, GALLERY, Health};
use crate::folder::create_private;

/// Name of the file inside the data folder.
pub const SCRUB_FILE: &str = "likeness.scrub";

const MAGIC: &str = "LikenessScrub 1";

/// Longest time of a step, which holds one of the threads that read.
const STEP_TIME_MAX: Duration = Duration::from_millis(20);

/// How often the position is written down: as much is read again after a kill.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// Key before the first row of a table.
const BEFORE_FIRST: [i64; 2] = [i64::MIN; 2];

/// The tables in the order in which a pass reads them.
fn tables() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.name).chain([GALLERY])
}

/// Where the pass is, and what it has done.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pass {
    report: ScrubReport,
    /// Its place in [`tables`].
    table_idx: usize,
    /// Key of the last row that was read: the rowid and 0, or the two columns of the table's key.
    key: [i64; 2],
}

impl Default for Pass {
    fn default() -> Self {
        Self { report: ScrubReport::default(), table_idx: 0, key: BEFORE_FIRST }
    }
}

/// The check of every row that goes on beside other work.
#[derive(Debug)]
pub(super) struct Scrub {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pass: Pass,
    saved_at: Option<Instant>,
    /// Whether a pass is to begin although the last one is not long ago.
    is_hastened: bool,
}

impl Scrub {
    /// Goes on with the pass of an earlier process.
    pub(super) fn of(dir: &Path) -> Self {
        Self {
            path: dir.join(SCRUB_FILE),
            state: Mutex::new(State { pass: read(dir), saved_at: None, is_hastened: false }),
        }
    }

    /// The next pass begins without regard to when the last one ended.
    pub(super) fn hasten(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_hastened = true;
    }

    /// How far it is; `None` if none was ever begun.
    pub(super) fn report(&self) -> Option<ScrubReport> {
        reported(&self.state.lock().unwrap_or_else(PoisonError::into_inner).pass)
    }

    /// When there is something to read again, if there is nothing at present.
    pub(super) fn not_before(&self, now: TimestampMs, interval: Duration) -> Option<TimestampMs> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ScrubReport { started_at, finished_at, .. } = state.pass.report;
        if state.is_hastened {
            return None;
        }
        let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        let at = TimestampMs(finished_at?.0.saturating_add(interval));
        // A clock that was set back by more than an interval does not keep it from beginning.
        let is_believable = finished_at <= Some(TimestampMs(now.0.saturating_add(interval)));
        (started_at.is_none() && now < at && is_believable).then_some(at)
    }

    /// Reads the next rows of the pass, or begins one.
    pub(super) fn step(
        &self,
        conn: &Connection,
        health: &Health,
        now: TimestampMs,
        n_rows_max: u64,
    ) -> Answer<ScrubStep> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        state.is_hastened = false;
        let pass = &mut state.pass;
        if pass.report.started_at.is_none() {
            let ScrubReport { finished_at, .. } = pass.report;
            let n_rows_all = about_how_many(conn).unwrap_or(0);
            *pass = Pass {
                report: ScrubReport { started_at: Some(now), finished_at, n_rows_read: 0, n_rows_all },
                ..Pass::default()
            };
            tracing::info!(n_rows = n_rows_all, "every row is read again");
            health.forget(ANY_TABLE);
        }
        let mut n_rows = 0;
        while let Some(table) = tables().nth(pass.table_idx) {
            if pass.key == BEFORE_FIRST {
                health.forget(table);
            }
            let n_left = n_rows_max.saturating_sub(n_rows);
            if n_left == 0 || started.elapsed() >= STEP_TIME_MAX {
                break;
            }
            let n_before = n_rows;
            let read = read_some(conn, table, &mut pass.key, n_left, health, |_| {
                n_rows += 1;
                started.elapsed() < STEP_TIME_MAX
            });
            let is_at_end = match read {
                Ok(is_at_end) => is_at_end,
                Err(Failure::Sqlite(error)) if is_damage(&error) => {
                    health.note(table, unreadable(table, pass.key, &error));
                    true
                }
                other => other?,
            };
            pass.report.n_rows_read += n_rows - n_before;
            if is_at_end {
                pass.table_idx += 1;
                pass.key = BEFORE_FIRST;
            }
        }
        let is_over = pass.table_idx >= tables().count();
        if is_over {
            pass.report = ScrubReport { started_at: None, finished_at: Some(now), ..pass.report };
            pass.table_idx = 0;
            let n_set_aside = health.damage.n_known();
            let n_other_damage = health.other_damage().len();
            tracing::info!(n_rows = pass.report.n_rows_read, n_set_aside, n_other_damage, "every row was read again");
        }
        if is_over || state.saved_at.is_none_or(|saved_at| saved_at.elapsed() >= SAVE_EVERY) {
            state.saved_at = Some(Instant::now());
            if let Some(dir) = self.path.parent() {
                health.keep(dir);
            }
            if let Err(error) = write(&self.path, &state.pass) {
                tracing::debug!(%error, "{SCRUB_FILE} cannot be written: after a restart every row is read from the first");
            }
        }
        Ok(ScrubStep::Read(n_rows))
    }
}

impl Drop for Scrub {
    /// A server that stops in order goes on where it was.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.pass.report.started_at.is_some() {
            let _ = write(&self.path, &state.pass);
        }
    }
}

/// Reads rows of a table behind `key`, which follows them, until `goes_on` says no; whether it is at the end. A damaged row is
/// in the damage log then.
fn read_some(
    conn: &Connection,
    table: &'static str,
    key: &mut [i64; 2],
    n_rows_max: u64,
    health: &Health,
    mut goes_on: impl FnMut(bool) -> bool,
) -> Answer<bool> {
    let mut statement = conn.prepare_cached(&sql(table))?;
    let mut rows = statement.query((key[0], key[1], n_rows_max))?;
    let mut n_rows = 0;
    while let Some(row) = rows.next()? {
        *key = [row.get(0)?, row.get(1)?];
        n_rows += 1;
        let is_right: bool = row.get(2)?;
        if table == GALLERY && !is_right {
            health.note(table, foreign_face(*key));
        }
        let has_all: bool = row.get(3)?;
        if !has_all && is_right {
            health.note(table, lacking(table, key[0]));
        }
        if !goes_on(is_right) {
            return Ok(false);
        }
    }
    Ok(n_rows < n_rows_max)
}

/// Rows of a table behind a key, each with its key and whether it is what was written.
fn sql(table: &str) -> String {
    let pair = "SELECT t.face_set, t.sequence, ";
    let behind_pair = "WHERE (t.face_set, t.sequence) > (?1, ?2) ORDER BY t.face_set, t.sequence LIMIT ?3";
    if table == GALLERY {
        // Sets that are being erased are passed over, as in a report.
        return format!(
            "{pair} s.name IS NULL OR (f.sequence IS NOT NULL AND (f.face_set IS t.face_set OR EXISTS
                 (SELECT 1 FROM memberships AS m WHERE m.person = f.person AND m.face_set = t.face_set))), 1
             FROM gallery AS t LEFT JOIN face_sets AS s ON s.id = t.face_set LEFT JOIN faces AS f ON f.sequence = t.sequence
             {behind_pair}"
        );
    }
    let intact = TABLES.iter().find(|known| known.name == table).map_or("1".into(), |known| known.intact("t"));
    match table {
        "memberships" => format!("{pair} {intact}, 1 FROM {table} AS t {behind_pair}"),
        _ => format!(
            "SELECT t.rowid, 0, {intact}, {} FROM {table} AS t WHERE t.rowid > ?1 AND ?2 IS NOT NULL ORDER BY t.rowid LIMIT ?3",
            has_all(table)
        ),
    }
}

/// SQL that says whether other tables have the rows that go with the row of `t`.
fn has_all(table: &str) -> &'static str {
    match table {
        // It is in the gallery of each set that should show it.
        "faces" => {
            "NOT EXISTS (SELECT 1 FROM face_sets AS s JOIN templates AS x ON x.face = t.sequence AND x.pack = s.pack
                 WHERE s.name IS NOT NULL AND (s.id = t.face_set
                     OR s.id IN (SELECT m.face_set FROM memberships AS m WHERE m.person = t.person))
                 AND NOT EXISTS (SELECT 1 FROM gallery AS g WHERE g.face_set = s.id AND g.sequence = t.sequence))"
        }
        "templates" => "EXISTS (SELECT 1 FROM faces AS f WHERE f.sequence = t.face)",
        "thumbnails" => {
            "EXISTS (SELECT 1 FROM faces AS f WHERE f.sequence = t.face)
             OR EXISTS (SELECT 1 FROM held_faces AS h WHERE h.sequence = t.face)"
        }
        _ => "1",
    }
}

/// Rows that go with a row are missing.
fn lacking(table: &str, key: i64) -> String {
    match table {
        "faces" => format!(
            "a face is missing from a gallery that should show it (sequence {key}), so no search finds it there: {RECOVER}, which \
             makes galleries anew"
        ),
        "thumbnails" => format!("the face of a thumbnail is missing (sequence {key}): {RECOVER}, which leaves it out"),
        _ => format!("the face of a template is missing (template {key}): {RECOVER}, which says which faces are lost"),
    }
}

fn unreadable(table: &str, key: [i64; 2], error: &rusqlite::Error) -> String {
    let from = match key {
        BEFORE_FIRST => "from its first row on".into(),
        [first, _] => format!("behind row {first}"),
    };
    format!("table `{table}` cannot be read {from} ({error}): {RECOVER}")
}

/// A gallery shows a face of another set or person, or none.
fn foreign_face([face_set, sequence]: [i64; 2]) -> String {
    format!(
        "a gallery shows a face that does not belong there (face set {face_set}, sequence {sequence}), which is left out: \
         {RECOVER}, which makes galleries anew"
    )
}

/// Whether the rows cannot be read, rather than that somebody is in the way.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure),
        // A value of another type than the column's.
        None => true,
    }
}

/// Rows of all tables, of the large ones by what is counted of them, since counting would read them.
fn about_how_many(conn: &Connection) -> Answer<u64> {
    let few = TABLES.iter().filter(|table| !["faces", "templates", "thumbnails", "held_faces"].contains(&table.name));
    let mut sql = "SELECT (SELECT coalesce(sum(n_owned), 0) * 2 + coalesce(sum(n_gallery), 0) FROM face_sets)
                        + (SELECT coalesce(sum(n_faces), 0) * 2 FROM persons)
                        + (SELECT coalesce(sum(n_held), 0) FROM held_tenants)"
        .to_owned();
    for table in few {
        sql.push_str(&format!(" + (SELECT count(*) FROM {})", table.name));
    }
    Ok(u64::try_from(conn.query_row(&sql, [], |row| row.get::<_, i64>(0))?).unwrap_or(0))
}

/// How far it is by the file of a folder; `None` if none was ever begun.
pub(super) fn report_of(dir: &Path) -> Option<ScrubReport> {
    reported(&read(dir))
}

fn reported(pass: &Pass) -> Option<ScrubReport> {
    (pass.report != ScrubReport::default()).then_some(pass.report)
}

/// The pass in the file of a folder; a new one if there is none, or it is not what was written.
fn read(dir: &Path) -> Pass {
    let text = std::fs::read_to_string(dir.join(SCRUB_FILE)).unwrap_or_default();
    parse(&text).unwrap_or_default()
}

fn write(path: &Path, pass: &Pass) -> std::io::Result<()> {
    use std::io::Write;
    let unfinished = path.with_extension("scrub.new");
    let mut file = create_private(&unfinished)?;
    file.write_all(text(pass).as_bytes())?;
    std::fs::rename(&unfinished, path)
}

/// Lines of a word and its values, at last the XXH3 of what is before.
fn text(pass: &Pass) -> String {
    let ScrubReport { started_at, finished_at, n_rows_read, n_rows_all } = pass.report;
    let time = |at: Option<TimestampMs>| at.map_or("never".into(), |at| at.0.to_string());
    let table = tables().nth(pass.table_idx).unwrap_or_default();
    let [first, second] = pass.key;
    let head = format!(
        "{MAGIC}\nstarted {}\nfinished {}\nrows {n_rows_read} {n_rows_all}\nbehind {table} {first} {second}\n",
        time(started_at),
        time(finished_at)
    );
    format!("{head}{:016x}\n", xxh3_64(head.as_bytes()))
}

fn parse(text: &str) -> Option<Pass> {
    let (head, checksum) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let head = format!("{head}\n");
    if u64::from_str_radix(checksum, 16).ok()? != xxh3_64(head.as_bytes()) {
        return None;
    }
    let time = |word: &str| match word {
        "never" => Some(None),
        word => word.parse().ok().map(|at| Some(TimestampMs(at))),
    };
    let mut lines = head.lines();
    lines.next().filter(|line| *line == MAGIC)?;
    let started_at = time(lines.next()?.strip_prefix("started ")?)?;
    let finished_at = time(lines.next()?.strip_prefix("finished ")?)?;
    let (n_rows_read, n_rows_all) = lines.next()?.strip_prefix("rows ")?.split_once(' ')?;
    let mut position = lines.next()?.strip_prefix("behind ")?.split(' ');
    let table = position.next()?;
    Some(Pass {
        report: ScrubReport {
            started_at,
            finished_at,
            n_rows_read: n_rows_read.parse().ok()?,
            n_rows_all: n_rows_all.parse().ok()?,
        },
        table_idx: tables().position(|known| known == table)?,
        key: [position.next()?.parse().ok()?, position.next()?.parse().ok()?],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_is_read_back() {
        let scratch = tempfile::tempdir().unwrap();
        let report = ScrubReport {
            started_at: Some(TimestampMs(9)),
            finished_at: Some(TimestampMs(-3)),
            n_rows_read: 5,
            n_rows_all: 70,
        };
        let pass = Pass { report, table_idx: 5, key: [3, -4] };
        write(&scratch.path().join(SCRUB_FILE), &pass).unwrap();
        assert_eq!(read(scratch.path()), pass);
        assert_eq!(report_of(scratch.path()), Some(report));
    }

    /// A file that is damaged anywhere is as good as none.
    #[test]
    fn a_damaged_position_begins_anew() {
        let pass = Pass { table_idx: 5, key: [3, 4], ..Pass::default() };
        let whole = text(&pass);
        assert_eq!(parse(&whole), Some(pass));
        for idx in 0..whole.len() {
            let mut bytes = whole.clone().into_bytes();
            bytes[idx] ^= 1;
            assert_eq!(parse(&String::from_utf8_lossy(&bytes)), None, "byte {idx}");
            assert_eq!(parse(&whole[..idx]), None, "cut at {idx}");
        }
    }
}
