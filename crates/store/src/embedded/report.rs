//! What is stored, and whether it hangs together.

use std::path::Path;

use likeness_domain::ports::{ReportProgress, StoreReport};
use likeness_domain::types::{Revision, TenantId};
use rusqlite::{Connection, Row};

use super::checksums::TABLES;
use super::errors::{Answer, Failure, RECOVER};
use super::health::Health;
use super::rebuild::Filled;
use super::rows::{self, FACE_COLUMNS, PERSON_COLUMNS, PERSON_INTACT, SET_COLUMNS, SET_INTACT};
use super::rules::{RULES, Rule};
use super::schema::DATABASE_FILE;
use super::scrub::is_damage;
use super::{commits, damage, deletes, jobs, numbers, respell, templates, tenants, transient};

/// Most problems that are listed: the first ones are what a person can use.
const PROBLEMS_MAX: usize = 100;

/// Rows read between two looks at how far it is.
const WATCH_ROWS: u64 = 4096;

/// Whoever watches a report being made.
pub(super) type Watch<'a> = &'a mut dyn FnMut(ReportProgress);

/// What is counted. Numbers of tables that cannot be read are 0, with a problem for the first of them.
pub(super) fn counts(conn: &Connection, dir: &Path, problems: &mut Vec<String>) -> Answer<StoreReport> {
    let mut failed = None;
    let mut number = |sql: &str| match conn.query_row(sql, [], |row| row.get::<_, u64>(0)) {
        Err(error) if is_damage(&error) => {
            failed.get_or_insert_with(|| format!("what is stored cannot be counted ({error}): {RECOVER}"));
            Ok(0)
        }
        number => number,
    };
    let n_free = number("PRAGMA freelist_count")?;
    let page_bytes = number("PRAGMA page_size")?;
    let report = StoreReport {
        backend: backend(dir),
        schema_version: conn.query_row("PRAGMA user_version", [], |row| row.get(0))?,
        revision: numbers::revisions(conn).map_or(Revision(0), |(revision, _)| revision),
        n_tenants: number("SELECT count(*) FROM tenants")?,
        n_face_sets: number("SELECT count(*) FROM face_sets WHERE name IS NOT NULL")?,
        n_persons: number("SELECT count(*) FROM persons WHERE key IS NOT NULL")?,
        n_faces: number(
            "SELECT (SELECT coalesce(sum(n_owned), 0) FROM face_sets WHERE name IS NOT NULL)
                  + (SELECT coalesce(sum(n_faces), 0) FROM persons WHERE key IS NOT NULL)",
        )?,
        n_held_faces: number("SELECT coalesce(sum(n_held), 0) FROM held_tenants")?,
        n_faces_to_erase: number(
            "SELECT (SELECT coalesce(sum(n_owned), 0) FROM face_sets WHERE name IS NULL)
                  + (SELECT coalesce(sum(n_faces), 0) FROM persons WHERE key IS NULL)",
        )? + deletes::n_pending(conn).unwrap_or(0),
        bytes_on_disk: bytes_on_disk(dir),
        bytes_free: n_free * page_bytes,
        notes: respell::notes(conn).unwrap_or_default(),
        ..StoreReport::default()
    };
    problems.extend(failed);
    Ok(report)
}

/// What a report calls a store.
pub(super) fn backend(dir: &Path) -> String {
    format!("sqlite:{}", dir.join(DATABASE_FILE).display())
}

/// Bytes of all files of the database.
pub(super) fn bytes_on_disk(dir: &Path) -> u64 {
    let bytes =
        |end: &str| std::fs::metadata(dir.join(format!("{DATABASE_FILE}{end}"))).map_or(0, |metadata| metadata.len());
    ["", "-wal", "-shm"].iter().map(|end| bytes(end)).sum()
}

/// See `GalleryStore::report`; of a thorough one, all but the index.
pub(super) fn report(
    conn: &Connection,
    dir: &Path,
    thorough: bool,
    (health, filled): (&Health, Filled),
    watch: Watch<'_>,
) -> Answer<StoreReport> {
    let mut findings = Findings::of(health);
    let mut report = counts(conn, dir, &mut findings.problems)?;
    if thorough {
        findings.look_at_everything(conn, health, watch)?;
    } else {
        findings.look("rows that were read", |problems| {
            problems.extend(health.damage.renewed(conn)?);
            Ok(())
        })?;
        findings.checked.clear();
        findings.problems.extend(health.other_damage());
        let faces = match filled {
            Filled::Anew => "every face and template among them",
            Filled::Kept => "the index had kept its rows, so the check of every row began anew after that",
        };
        findings.checked.push(format!("rows that were read since the library was opened: {faces}"));
        findings.not_checked.push(
            "other rows, SQLite's own structures, counters, links between tables, gaps in the commits, the index: `likeness check \
             --thorough`"
                .into(),
        );
    }
    findings.give_to(&mut report);
    Ok(report)
}

/// Reads everything of a database alone; what is wrong, in words.
pub(super) fn problems(conn: &Connection, health: &Health) -> Answer<Vec<String>> {
    let mut findings = Findings::of(health);
    findings.look_at_everything(conn, health, &mut |_| {})?;
    findings.problems.truncate(PROBLEMS_MAX);
    Ok(findings.problems)
}

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<String>,
    pub(super) checked: Vec<String>,
    pub(super) not_checked: Vec<String>,
    /// What is worth knowing and no problem.
    notes: Vec<String>,
}

impl Findings {
    /// Begins with the commits that are known to be missing.
    pub(super) fn of(health: &Health) -> Self {
        Self { problems: health.losses(), ..Self::default() }
    }

    /// Puts them into a report.
    pub(super) fn give_to(mut self, report: &mut StoreReport) {
        if self.problems.len() > PROBLEMS_MAX {
            self.problems.truncate(PROBLEMS_MAX);
            self.problems.push(format!("there are more; the first {PROBLEMS_MAX} are listed"));
        }
        report.problems = self.problems;
        report.checked = self.checked;
        report.notes.append(&mut self.notes);
        report.not_checked = self.not_checked;
    }

    /// Looks at one part. What cannot be read is a problem of its own and keeps nobody from looking at the rest.
    fn look(&mut self, what: &str, look: impl FnOnce(&mut Vec<String>) -> Answer<()>) -> Answer<()> {
        match look(&mut self.problems) {
            Ok(()) => self.checked.push(what.to_owned()),
            Err(Failure::Sqlite(error)) => {
                self.problems.push(format!("reading on failed ({error}): {RECOVER}"));
                self.not_checked.push(format!("{what}: not to its end, as reading failed"));
            }
            Err(Failure::Damaged(what_is)) => {
                self.problems.push(format!("{what_is}: {RECOVER}"));
                self.not_checked.push(format!("{what}: not to its end"));
            }
            Err(other) => return Err(other),
        }
        Ok(())
    }

    /// Every row's checksum.
    pub(super) fn look_at_rows(&mut self, conn: &Connection, health: &Health, watch: Watch<'_>) -> Answer<()> {
        let mut n_all = 0_u64;
        for table in TABLES {
            let sql = format!("SELECT count(*) FROM {}", table.name);
            n_all += conn.query_row(&sql, [], |row| row.get::<_, u64>(0)).unwrap_or(0);
        }
        let mut n_done = 0_u64;
        let mut readable = Vec::new();
        for table in TABLES {
            let what = format!("checksums of `{}`", table.name);
            let n_checked = self.checked.len();
            self.look(&what, |_| {
                damage::check(conn, table, &mut || {
                    n_done += 1;
                    if n_done.is_multiple_of(WATCH_ROWS) {
                        watch(ReportProgress { stage: "comparing checksums", n_done, n_all });
                    }
                })
            })?;
            if self.checked.len() > n_checked {
                self.checked.truncate(n_checked);
                readable.push(table.name);
            }
        }
        self.problems.extend(health.damage.renewed(conn).or_else(|failure| match failure {
            // Named by the table that cannot be read.
            Failure::Sqlite(_) => Ok(Vec::new()),
            other => Err(other),
        })?);
        self.checked.push(format!("the checksum of every row ({n_done}) of {}", readable.join(", ")));
        Ok(())
    }

    /// Everything but the index.
    pub(super) fn look_at_everything(&mut self, conn: &Connection, health: &Health, watch: Watch<'_>) -> Answer<()> {
        watch(ReportProgress { stage: "reading pages and indexes", n_done: 0, n_all: 0 });
        self.look("pages, trees and indexes of SQLite (integrity_check)", |problems| {
            let found = rows::all(conn, "PRAGMA integrity_check(100)", (), |row| Ok(row.get::<_, String>(0)?))?;
            let found = found.into_iter().filter(|line| line != "ok");
            problems.extend(found.map(|line| format!("the database is damaged ({}): {RECOVER}", one_line(&line))));
            Ok(())
        })?;
        self.look("links between tables (foreign_key_check)", |problems| {
            let broken = rows::all(conn, "PRAGMA foreign_key_check", (), |row| {
                let row_id = row.get::<_, Option<i64>>(1)?.map_or(String::new(), |id| format!(" {id}"));
                let (table, parent) = (row.get::<_, String>(0)?, row.get::<_, String>(2)?);
                Ok(format!("row{row_id} of `{table}` refers to a row of `{parent}` that is not there: {RECOVER}"))
            })?;
            problems.extend(broken);
            Ok(())
        })?;
        self.look_at_rows(conn, health, watch)?;
        for (idx, Rule { text, sql, cure }) in RULES.iter().enumerate() {
            let (n_done, n_all) = (idx as u64, RULES.len() as u64);
            watch(ReportProgress { stage: "comparing counters and links", n_done, n_all });
            let n_checked = self.checked.len();
            self.look(text, |problems| {
                let sql = format!("{sql} LIMIT {}", PROBLEMS_MAX + 1);
                let found = rows::all(conn, &sql, (), |row| Ok(row.get::<_, String>(0)?))?;
                problems.extend(found.into_iter().map(|what| format!("{text} ({}): {cure}", one_line(&what))));
                Ok(())
            })?;
            self.checked.truncate(n_checked);
        }
        self.checked.push(
            "counters against tables; galleries against faces and memberships; that faces have templates, templates faces, \
             members sets, and all of them tenants"
                .into(),
        );
        self.look("that face sets and persons can be decoded", |problems| owners(conn, problems))?;
        self.look("that faces can be decoded", |problems| faces(conn, problems, watch))?;
        watch(ReportProgress { stage: "decoding templates", n_done: 0, n_all: 0 });
        self.look("that templates can be decoded", |problems| templates::check(conn, problems, PROBLEMS_MAX))?;
        self.look("commits: each is whole and names the one before it", |problems| commits::check(conn, problems))?;
        self.look("that held faces can be decoded", |problems| transient::check(conn, problems))?;
        self.look("that jobs can be decoded", |problems| jobs::check(conn, problems))?;
        self.look("that tenants can be decoded", |problems| tenants::check(conn, problems))?;
        watch(ReportProgress { stage: "comparing names", n_done: 0, n_all: 0 });
        let mut notes = Vec::new();
        self.look("names that look alike (they are no problem)", |_| {
            notes = respell::look_alikes(conn)?;
            Ok(())
        })?;
        self.notes.append(&mut notes);
        self.not_checked.push(
            "the content of jobs, spent tokens and handed-in pictures: their rows have no checksums, as they are soon gone"
                .into(),
        );
        Ok(())
    }
}

/// A text out of the database, which may be damaged, in one line.
fn one_line(text: &str) -> String {
    text.escape_debug().to_string()
}

/// Reads every face set and every person; lists those that cannot be what was written though their checksums are right, as
/// those of rows that were damaged before a layout with checksums.
pub(super) fn owners(conn: &Connection, problems: &mut Vec<String>) -> Answer<()> {
    type Read = fn(&Row<'_>) -> Answer<()>;
    let tables: [(&str, String, usize, Read); 2] = [
        (
            "face set",
            format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.name IS NOT NULL ORDER BY s.id"),
            SET_INTACT,
            |row| rows::set_row(row).map(drop),
        ),
        (
            "person",
            format!("SELECT {PERSON_COLUMNS} FROM persons AS p WHERE p.key IS NOT NULL ORDER BY p.id"),
            PERSON_INTACT,
            |row| rows::person_row(row).map(drop),
        ),
    ];
    for (what, sql, intact, read) in tables {
        let mut statement = conn.prepare(&sql)?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let why = match read(row) {
                Ok(()) => continue,
                // Named by its damage already.
                Err(_) if !row.get::<_, bool>(intact)? => continue,
                Err(Failure::Damaged(why)) => why,
                Err(Failure::Sqlite(error)) if is_damage(&error) => error.to_string(),
                Err(other) => return Err(other),
            };
            let (id, name) =
                (row.get::<_, i64>(0)?, row.get::<_, Option<String>>(2).ok().flatten().unwrap_or_default());
            problems.push(format!(
                "{what} `{}` (number {id}) cannot be decoded, so that nothing shows it: {}: put it right in the database, or go \
                 back to a backup from before",
                one_line(&name),
                one_line(&why)
            ));
            if problems.len() > PROBLEMS_MAX {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Reads every face; lists those that cannot be what was written.
fn faces(conn: &Connection, problems: &mut Vec<String>, watch: Watch<'_>) -> Answer<()> {
    let n_all = conn.query_row("SELECT count(*) FROM faces", [], |row| row.get(0))?;
    let mut n_done = 0_u64;
    // The tenant is of no matter here: it is the owner's.
    let sql = format!("SELECT {FACE_COLUMNS} FROM faces AS f ORDER BY f.sequence");
    let mut statement = conn.prepare(&sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        n_done += 1;
        if n_done.is_multiple_of(WATCH_ROWS) {
            watch(ReportProgress { stage: "decoding faces", n_done, n_all });
        }
        if let Err(failure) = rows::face_row(row, TenantId::from_bits(0)) {
            match failure {
                // Named by its damage already.
                Failure::Damaged(_) if !row.get::<_, bool>(rows::FACE_INTACT)? => {}
                Failure::Damaged(what) => problems
                    .push(format!("face {}: {what}: delete it by its id and enrol it again", row.get::<_, i64>(1)?)),
                other => return Err(other),
            }
        }
        if problems.len() > PROBLEMS_MAX {
            break;
        }
    }
    Ok(())
}
