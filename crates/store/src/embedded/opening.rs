//! Opening a library: it is the one that was here, its numbers are taken from the tables, and what is lost is said.

use std::path::Path;

use likeness_domain::types::Revision;
use likeness_domain::{Error, Kind};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

use super::backup;
use super::checksums::FIRST_LAYOUT;
use super::errors::{Answer, Failure};
use super::identity::{Found, IDENTITY_FILE, Identity, LibraryId, identity_of};
use super::losses::Losses;
use super::numbers::{Counters, NUMBER_END, counters};
use super::presence::{check_same, emptied, library_of, loss_between};
use super::rows;
use super::rules::{Rule, of_missing_rows};
use super::schema::{self, FileUse, MIGRATIONS, SCHEMA_VERSION};
use super::upgrade;

/// What happens before a layout is upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// A copy of the library as it is is kept.
    KeepCopy,
    /// Nothing.
    InPlace,
}

impl Upgrade {
    /// As an operator set it.
    pub(super) fn of(upgrade_copy: bool) -> Self {
        if upgrade_copy { Self::KeepCopy } else { Self::InPlace }
    }
}

/// A library that is open.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) id: LibraryId,
    pub(super) counters: Counters,
    /// What of earlier commits is missing.
    pub(super) losses: Losses,
    /// Rows that are missing, for people.
    pub(super) missing: Vec<String>,
}

/// Version of the layout in the file, as [`schema::version`]. A file that says that it is somebody else's, where the identity file
/// says that a library was here, is damaged or foreign.
pub(super) fn version(conn: &Connection, dir: &Path) -> Answer<u32> {
    let application_id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let n_tables: u32 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_foreign = application_id != schema::APPLICATION_ID && (application_id, n_tables) != (0, 0);
    if is_foreign && matches!(identity_of(dir)?, Found::Identity(_)) {
        return Err(Failure::Damaged(format!(
            "its header is not ours, although {IDENTITY_FILE} says that a library was here"
        )));
    }
    schema::version(conn, SCHEMA_VERSION)
}

/// Makes or upgrades the layout and takes the numbers from the tables. Call it with the data folder's lock held. Where files
/// can only be read, nothing is mended, and an older layout is refused.
pub(super) fn open(conn: &mut Connection, dir: &Path, file_use: FileUse, upgrade: Upgrade) -> Answer<Library> {
    let found = identity_of(dir)?;
    let version = version(conn, dir)?;
    if let (0, Found::Identity(identity)) = (version, &found) {
        return Err(emptied(dir, identity));
    }
    if file_use == FileUse::ReadOnly {
        return open_read_only(conn, dir, version, found);
    }
    if (1..SCHEMA_VERSION).contains(&version) && upgrade == Upgrade::KeepCopy {
        backup::keep_copy(conn, dir, version)?;
    }
    upgrade::migrate(conn, MIGRATIONS)?;
    match &found {
        // An older database has no id of its own: it is that of the file.
        Found::Identity(identity) if version < FIRST_LAYOUT => {
            conn.execute("UPDATE store SET library = ?1", [identity.library])?;
        }
        Found::Identity(_) => check_same(conn, dir)?,
        Found::Damaged => tracing::error!("{IDENTITY_FILE} is damaged, it is written anew from the database"),
        Found::Nothing if version >= FIRST_LAYOUT => {
            tracing::warn!("{IDENTITY_FILE} is missing, it is written anew from the database");
        }
        Found::Nothing => {}
    }
    let id = library_of(conn)?;
    let (counters, losses, missing) = (counters(conn)?, Losses::read(dir, id), Vec::new());
    let mut library = Library { id, counters, losses, missing };
    if let Found::Identity(Identity { acknowledged: Some((revision, next_sequence)), .. }) = found
        && version >= FIRST_LAYOUT
    {
        library.go_on_after(conn, dir, revision, next_sequence)?;
    }
    // Like all that is merely better: a full disk must not keep the library from opening.
    match recount(conn, library.counters) {
        Ok(true) => library.missing = missing_rows(conn),
        Ok(false) => {}
        Err(failure) => tracing::error!(?failure, "the counters could not be compared with the tables"),
    }
    Ok(library)
}

/// The library of a file system that cannot be written. Its counters are believed.
fn open_read_only(conn: &Connection, dir: &Path, version: u32, found: Found) -> Answer<Library> {
    if version < SCHEMA_VERSION {
        let message = format!(
            "the library in `{}` has layout {version}, and its file system is read-only, so that it cannot be upgraded to \
             layout {SCHEMA_VERSION}",
            dir.display()
        );
        let error = Error::new(Kind::InvalidArgument, message);
        return Err(Failure::Said(error.with_hint("make the file system writable, or copy the folder to one that is")));
    }
    check_same(conn, dir)?;
    let id = library_of(conn)?;
    let (counters, mut losses) = (counters(conn)?, Losses::read(dir, id));
    if let Found::Identity(Identity { acknowledged: Some((revision, _)), .. }) = found
        && let Some(loss) = loss_between(counters.revision.0, revision)
    {
        tracing::error!("{loss}");
        losses.add(dir, id, loss);
    }
    Ok(Library { id, counters, losses, missing: Vec::new() })
}

impl Library {
    /// Commits that were acknowledged and are not in the database are lost: that is said, no number of theirs is used
    /// again, and followers that have seen them are sent to the tables.
    fn go_on_after(&mut self, conn: &Connection, dir: &Path, revision: u64, next_sequence: u64) -> Answer<()> {
        if next_sequence < NUMBER_END.cast_unsigned() {
            self.counters.next_sequence = self.counters.next_sequence.max(next_sequence);
        }
        let Some(loss) = loss_between(self.counters.revision.0, revision) else { return Ok(()) };
        tracing::error!("{loss}");
        // Before the numbers go on: a crash in between must not make it forgotten.
        self.losses.add(dir, self.id, loss);
        self.counters.revision = Revision(revision + 1);
        self.counters.last_commit = self.counters.revision;
        conn.execute("UPDATE store SET revision = ?1, last_commit = ?1, compacted = ?1", [revision + 1])?;
        conn.execute("DELETE FROM commits", [])?;
        Ok(())
    }
}

/// Counters that are kept so that nobody need count, and how they are counted.
const COUNTERS: &[(&str, &str)] = &[
    (
        "faces of face sets",
        "WITH counted AS (SELECT face_set AS id, count(*) AS n FROM faces WHERE face_set IS NOT NULL GROUP BY face_set)
         UPDATE face_sets SET n_owned = coalesce((SELECT n FROM counted WHERE counted.id = face_sets.id), 0)
         WHERE n_owned <> coalesce((SELECT n FROM counted WHERE counted.id = face_sets.id), 0)",
    ),
    (
        "galleries",
        "UPDATE face_sets SET n_gallery = (SELECT count(*) FROM gallery AS g WHERE g.face_set = face_sets.id)
         WHERE name IS NOT NULL AND n_gallery <> (SELECT count(*) FROM gallery AS g WHERE g.face_set = face_sets.id)",
    ),
    (
        "faces of persons",
        "UPDATE persons SET n_faces = (SELECT count(*) FROM faces AS f WHERE f.person = persons.id)
         WHERE n_faces <> (SELECT count(*) FROM faces AS f WHERE f.person = persons.id)",
    ),
    (
        "held faces",
        "UPDATE held_tenants SET n_held = (SELECT count(*) FROM held_faces AS f WHERE f.tenant = held_tenants.tenant)
         WHERE n_held <> (SELECT count(*) FROM held_faces AS f WHERE f.tenant = held_tenants.tenant)",
    ),
    (
        "held faces of tenants that had no counter",
        "INSERT INTO held_tenants (tenant, n_held)
         SELECT tenant, count(*) FROM held_faces
         WHERE tenant NOT IN (SELECT tenant FROM held_tenants) AND length(tenant) = 16 GROUP BY tenant",
    ),
    (
        "short-lived records",
        "UPDATE record_buckets AS b SET (n_records, n_bytes) =
             (SELECT count(*), coalesce(sum(length(r.value)), 0) FROM records AS r
              WHERE r.tenant = b.tenant AND r.scope = b.scope AND r.bucket = b.bucket)
         WHERE (n_records, n_bytes) IS NOT
             (SELECT count(*), coalesce(sum(length(r.value)), 0) FROM records AS r
              WHERE r.tenant = b.tenant AND r.scope = b.scope AND r.bucket = b.bucket)",
    ),
    (
        "short-lived records that had no counter",
        "INSERT INTO record_buckets (tenant, scope, bucket, n_records, n_bytes)
         SELECT tenant, scope, bucket, count(*), sum(length(value)) FROM records AS r
         WHERE length(tenant) = 16 AND NOT EXISTS (SELECT 1 FROM record_buckets AS b
             WHERE b.tenant = r.tenant AND b.scope = r.scope AND b.bucket = r.bucket)
         GROUP BY tenant, scope, bucket",
    ),
    (
        "undone jobs",
        "UPDATE job_kinds
         SET n_undone = (SELECT count(*) FROM jobs AS j WHERE j.kind = job_kinds.kind AND j.expires_at IS NULL)
         WHERE n_undone <> (SELECT count(*) FROM jobs AS j WHERE j.kind = job_kinds.kind AND j.expires_at IS NULL)",
    ),
    (
        "undone jobs of kinds that had no counter",
        "INSERT INTO job_kinds (kind, n_undone)
         SELECT kind, count(*) FROM jobs
         WHERE expires_at IS NULL AND kind NOT IN (SELECT kind FROM job_kinds) GROUP BY kind",
    ),
    (
        "tenants that had no counter",
        "INSERT INTO tenant_usage (tenant, n_face_sets, n_faces, n_persons)
         SELECT tenant, 0, 0, 0 FROM (SELECT tenant FROM face_sets WHERE name IS NOT NULL
                                      UNION SELECT tenant FROM persons WHERE key IS NOT NULL)
         WHERE tenant NOT IN (SELECT tenant FROM tenant_usage) AND length(tenant) = 16",
    ),
    // Last, as it is made of the counters before.
    (
        "tenants",
        "UPDATE tenant_usage AS u SET
             n_face_sets = (SELECT count(*) FROM face_sets WHERE tenant = u.tenant AND name IS NOT NULL),
             n_persons = (SELECT count(*) FROM persons WHERE tenant = u.tenant AND key IS NOT NULL),
             n_faces = (SELECT coalesce(sum(n_owned), 0) FROM face_sets WHERE tenant = u.tenant AND name IS NOT NULL)
                 + (SELECT coalesce(sum(n_faces), 0) FROM persons WHERE tenant = u.tenant AND key IS NOT NULL)
         WHERE n_face_sets <> (SELECT count(*) FROM face_sets WHERE tenant = u.tenant AND name IS NOT NULL)
            OR n_persons <> (SELECT count(*) FROM persons WHERE tenant = u.tenant AND key IS NOT NULL)
            OR n_faces <>
               (SELECT coalesce(sum(n_owned), 0) FROM face_sets WHERE tenant = u.tenant AND name IS NOT NULL)
               + (SELECT coalesce(sum(n_faces), 0) FROM persons WHERE tenant = u.tenant AND key IS NOT NULL)",
    ),
];

/// Counts anew what the counters count, and corrects those that are wrong.
///
/// True if fewer faces or rows of galleries were there than were counted, or more.
///
/// Without the triggers that keep what tenants have: a damaged counter would lead them below zero, which is refused. That is
/// counted itself.
fn recount(conn: &mut Connection, counters: Counters) -> Answer<bool> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    let counted = recount_all(conn, counters);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true)?;
    counted
}

fn recount_all(conn: &mut Connection, counters: Counters) -> Answer<bool> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // The writing thread goes on from the larger of these and what it knows, as others write keys in between.
    tx.execute(
        "UPDATE store SET revision = ?1, next_sequence = ?2, last_commit = ?3
         WHERE revision <> ?1 OR next_sequence <> ?2 OR last_commit <> ?3",
        (counters.revision.0, counters.next_sequence, counters.last_commit.0),
    )?;
    let mut were_rows_wrong = false;
    for (what, sql) in COUNTERS {
        let n_wrong = tx.execute(sql, [])?;
        if n_wrong > 0 {
            were_rows_wrong |= ROW_COUNTERS.contains(what);
            tracing::error!(n_wrong, "counters of {what} were wrong and are counted anew");
        }
    }
    tx.commit()?;
    Ok(were_rows_wrong)
}

/// Of [`COUNTERS`], those that count faces and rows of galleries.
const ROW_COUNTERS: [&str; 3] = ["faces of face sets", "galleries", "faces of persons"];

/// Most missing rows that are named, of each kind.
const NAMED_MAX: usize = 20;

/// The same where galleries have faces that are not there: indexes count them, so that no counter tells of it.
pub(super) fn missing_faces(conn: &Connection) -> Vec<String> {
    let sql = "SELECT count(*) FROM gallery AS g JOIN face_sets AS s ON s.id = g.face_set AND s.name IS NOT NULL
               WHERE NOT EXISTS (SELECT 1 FROM faces AS f WHERE f.sequence = g.sequence)";
    match conn.query_row(sql, [], |row| row.get::<_, i64>(0)) {
        Ok(0) => Vec::new(),
        _ => missing_rows(conn),
    }
}

/// What other tables show to be missing, for people: either a counter was wrong or a row is gone, and only of a row that is gone
/// others tell.
fn missing_rows(conn: &Connection) -> Vec<String> {
    let mut missing = Vec::new();
    for Rule { text, sql, cure } in of_missing_rows() {
        let found = rows::all(conn, &format!("{sql} LIMIT {NAMED_MAX}"), (), |row| Ok(row.get::<_, String>(0)?));
        match found {
            Ok(found) => {
                missing.extend(found.into_iter().map(|what| format!("{text} ({}): {cure}", what.escape_debug())));
            }
            Err(failure) => missing.push(format!("rows are missing, which ones cannot be read ({failure:?}): {cure}")),
        }
    }
    missing
}
