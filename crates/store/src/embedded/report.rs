//! What is stored, and whether it hangs together.

use std::path::Path;

use likeness_domain::ports::StoreReport;
use likeness_domain::types::TenantId;
use rusqlite::Connection;

use super::errors::{Answer, Failure};
use super::health::Health;
use super::rows::{self, FACE_COLUMNS};
use super::schema::DATABASE_FILE;
use super::{codec, commits, damage, deletes, jobs, opening, templates, tenants, transient};

/// Most problems that are listed: the first ones are what a person can use.
const PROBLEMS_MAX: usize = 100;

/// Checks of the counters and links that SQLite does not hold by itself. Each finds the broken ones; `{}` is their text.
const RULES: &[(&str, &str)] = &[
    (
        "a face set counts another number of gallery rows than it has",
        "SELECT s.id FROM face_sets AS s WHERE s.name IS NOT NULL
         AND s.n_gallery <> (SELECT count(*) FROM gallery AS g WHERE g.face_set = s.id)",
    ),
    (
        "a face set counts another number of own faces than it has",
        "SELECT s.id FROM face_sets AS s WHERE s.n_owned <> (SELECT count(*) FROM faces AS f WHERE f.face_set = s.id)",
    ),
    (
        "a person counts another number of faces than it has",
        "SELECT p.id FROM persons AS p WHERE p.n_faces <> (SELECT count(*) FROM faces AS f WHERE f.person = p.id)",
    ),
    (
        "a face set's own face is missing from its gallery",
        "SELECT f.id FROM faces AS f WHERE f.face_set IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM gallery AS g WHERE g.face_set = f.face_set AND g.sequence = f.sequence)",
    ),
    (
        "a member's face is missing from a gallery",
        "SELECT f.id FROM memberships AS m JOIN face_sets AS s ON s.id = m.face_set
         JOIN faces AS f ON f.person = m.person JOIN templates AS t ON t.face = f.sequence AND t.pack = s.pack
         WHERE s.name IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM gallery AS g WHERE g.face_set = s.id AND g.sequence = f.sequence)",
    ),
    (
        "a gallery shows a face that does not belong there",
        "SELECT g.face_set FROM gallery AS g JOIN face_sets AS s ON s.id = g.face_set
         LEFT JOIN faces AS f ON f.sequence = g.sequence
         WHERE s.name IS NOT NULL
         AND (f.sequence IS NULL
           OR NOT EXISTS (SELECT 1 FROM templates AS t WHERE t.face = f.sequence AND t.pack = s.pack)
           OR NOT (f.face_set IS g.face_set OR EXISTS
             (SELECT 1 FROM memberships AS m WHERE m.person = f.person AND m.face_set = g.face_set)))",
    ),
    (
        "a membership joins a face set and a person of different tenants",
        "SELECT m.person FROM memberships AS m JOIN face_sets AS s ON s.id = m.face_set JOIN persons AS p ON p.id = m.person
         WHERE s.tenant <> p.tenant OR p.key IS NULL",
    ),
    (
        "a kind of job counts another number of undone jobs than it has",
        "SELECT 1 FROM job_kinds AS k
         WHERE k.n_undone <> (SELECT count(*) FROM jobs AS j WHERE j.kind = k.kind AND j.expires_at IS NULL)
         UNION ALL
         SELECT 1 FROM jobs AS j WHERE NOT EXISTS (SELECT 1 FROM job_kinds AS k WHERE k.kind = j.kind)",
    ),
    (
        "a tenant counts another number of held faces than it has",
        "SELECT 1 FROM held_tenants AS h
         WHERE h.n_held <> (SELECT count(*) FROM held_faces AS f WHERE f.tenant = h.tenant)
         UNION ALL
         SELECT 1 FROM held_faces AS f WHERE NOT EXISTS (SELECT 1 FROM held_tenants AS h WHERE h.tenant = f.tenant)",
    ),
    (
        "a tenant counts another number of short-lived records than it has",
        "SELECT 1 FROM record_buckets AS b
         WHERE (b.n_records, b.n_bytes) <> (SELECT count(*), coalesce(sum(length(r.value)), 0) FROM records AS r
           WHERE r.tenant = b.tenant AND r.scope = b.scope AND r.bucket = b.bucket)
         UNION ALL
         SELECT 1 FROM records AS r WHERE NOT EXISTS (SELECT 1 FROM record_buckets AS b
           WHERE b.tenant = r.tenant AND b.scope = r.scope AND b.bucket = r.bucket)",
    ),
    (
        "a face has the id of a held face, or one that is the origin of another",
        "SELECT f.id FROM faces AS f JOIN held_faces AS h ON h.id = f.id
         UNION ALL
         SELECT f.id FROM faces AS f JOIN faces AS g ON g.origin = f.id",
    ),
    (
        "a face has no template of the pack it was enrolled with",
        "SELECT f.id FROM faces AS f
         WHERE NOT EXISTS (SELECT 1 FROM templates AS t WHERE t.face = f.sequence AND t.pack = f.pack)",
    ),
];

/// See `GalleryStore::report`.
pub(super) fn report(conn: &Connection, dir: &Path, thorough: bool, health: &Health) -> Answer<StoreReport> {
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, u64>(0));
    let n_free = number("PRAGMA freelist_count")?;
    let page_bytes = number("PRAGMA page_size")?;
    let mut report = StoreReport {
        backend: format!("sqlite:{}", dir.join(DATABASE_FILE).display()),
        schema_version: conn.query_row("PRAGMA user_version", [], |row| row.get(0))?,
        revision: opening::revisions(conn)?.0,
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
        )? + deletes::n_pending(conn)?,
        bytes_on_disk: ["", "-wal", "-shm"].iter().map(|end| file_bytes(dir, end)).sum(),
        bytes_free: n_free * page_bytes,
        problems: health.losses.clone(),
    };
    if thorough {
        report.problems.extend(problems(conn, health)?);
        report.problems.truncate(PROBLEMS_MAX);
    } else {
        report.problems.extend(health.damage.renewed(conn)?);
    }
    Ok(report)
}

fn file_bytes(dir: &Path, end: &str) -> u64 {
    std::fs::metadata(dir.join(format!("{DATABASE_FILE}{end}"))).map_or(0, |metadata| metadata.len())
}

/// Reads everything; what is wrong, in words.
pub(super) fn problems(conn: &Connection, health: &Health) -> Answer<Vec<String>> {
    let mut problems = Vec::new();
    match check(conn, &mut problems, health) {
        Err(Failure::Sqlite(error)) => problems.push(format!(
            "reading on failed: {error}; write what can be read to a new folder with `likeness recover`"
        )),
        other => other?,
    }
    Ok(problems)
}

/// Reads everything and lists what is wrong.
fn check(conn: &Connection, problems: &mut Vec<String>, health: &Health) -> Answer<()> {
    let found = rows::all(conn, "PRAGMA integrity_check(100)", (), |row| Ok(row.get::<_, String>(0)?))?;
    problems.extend(found.into_iter().filter(|line| line != "ok"));
    let broken = rows::all(conn, "PRAGMA foreign_key_check", (), |row| {
        Ok(format!("a row of `{}` refers to nothing", row.get::<_, String>(0)?))
    })?;
    problems.extend(broken);
    damage::check(conn)?;
    problems.extend(health.damage.renewed(conn)?);
    for (text, sql) in RULES {
        problems.extend(rows::all(conn, sql, (), |row| Ok(format!("{text} ({})", row.get::<_, u64>(0)?)))?);
    }
    // The tenant is of no matter here: it is the owner's.
    let sql = format!("SELECT {FACE_COLUMNS} FROM faces AS f ORDER BY f.sequence");
    let mut statement = conn.prepare(&sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        if let Err(failure) = rows::face_row(row, TenantId::from_bits(0)) {
            match failure {
                // Named by its damage already.
                Failure::Damaged(_) if !row.get::<_, bool>(rows::FACE_INTACT)? => {}
                Failure::Damaged(what) => problems.push(format!("face {}: {what}", row.get::<_, i64>(1)?)),
                other => return Err(other),
            }
        }
        if problems.len() >= PROBLEMS_MAX {
            break;
        }
    }
    templates::check(conn, problems, PROBLEMS_MAX)?;
    commits::check(conn, problems)?;
    transient::check(conn, problems)?;
    jobs::check(conn, problems)?;
    tenants::check(conn, problems)?;
    for row in rows::all(conn, "SELECT id FROM tenants", (), |row| Ok(codec::tenant_of(&row.get::<_, Vec<u8>>(0)?)))? {
        if row.is_err() {
            problems.push("a tenant id is malformed".into());
        }
    }
    problems.truncate(PROBLEMS_MAX);
    Ok(())
}
