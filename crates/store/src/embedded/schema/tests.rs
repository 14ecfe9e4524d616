use super::super::upgrade::migrate;
use super::*;

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Everything the layout consists of, as SQLite tells it.
fn layout(conn: &Connection) -> Vec<String> {
    let mut statement = conn.prepare("SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY name").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(|row| row.unwrap()).collect()
}

#[test]
fn an_empty_file_gets_the_present_layout_and_keeps_it() {
    let scratch = scratch();
    let mut conn = connect(scratch.path(), Purpose::Write, FileUse::Shared, &Arc::default()).unwrap();
    assert_eq!(version(&conn, SCHEMA_VERSION).unwrap(), 0);
    migrate(&mut conn, MIGRATIONS).unwrap();
    migrate(&mut conn, MIGRATIONS).unwrap();
    assert_eq!(version(&conn, SCHEMA_VERSION).unwrap(), SCHEMA_VERSION);
    let pragma = |name: &str| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(pragma("auto_vacuum"), 2, "incremental");
    assert_eq!(pragma("synchronous"), 2, "full");
    assert_eq!(pragma("secure_delete"), 1);
    assert_eq!(pragma("foreign_keys"), 1);
    assert_eq!(pragma("temp_store"), 2, "memory");
    assert_eq!(pragma("application_id"), i64::from(APPLICATION_ID));
}

#[test]
fn an_older_layout_is_upgraded_step_by_step_and_keeps_its_rows() {
    let scratch = scratch();
    let mut conn = connect(scratch.path(), Purpose::Write, FileUse::Shared, &Arc::default()).unwrap();
    migrate(&mut conn, &MIGRATIONS[..1]).unwrap();
    conn.execute_batch("INSERT INTO tenants (id, name, created_at) VALUES (zeroblob(16), 'acme', 7)").unwrap();
    let mut longer = MIGRATIONS.to_vec();
    longer.push(Migration::Script(
        "ALTER TABLE tenants ADD COLUMN colour TEXT; CREATE TABLE shelf (id INTEGER PRIMARY KEY) STRICT;",
    ));
    longer.push(Migration::Script("UPDATE tenants SET colour = 'blue' WHERE name = 'acme';"));
    migrate(&mut conn, &longer).unwrap();
    let found: (String, i64, String) = conn
        .query_row("SELECT name, created_at, colour FROM tenants", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(found, ("acme".into(), 7, "blue".into()));
    assert_eq!(version(&conn, longer.len() as u32).unwrap(), longer.len() as u32);
}

#[test]
fn a_failed_upgrade_leaves_the_old_layout() {
    let scratch = scratch();
    let mut conn = connect(scratch.path(), Purpose::Write, FileUse::Shared, &Arc::default()).unwrap();
    migrate(&mut conn, MIGRATIONS).unwrap();
    let before = layout(&conn);
    let mut longer = MIGRATIONS.to_vec();
    longer.push(Migration::Script("CREATE TABLE shelf (id INTEGER PRIMARY KEY) STRICT;"));
    longer.push(Migration::Script("INSERT INTO no_such_table VALUES (1);"));
    migrate(&mut conn, &longer).unwrap_err();
    assert_eq!(layout(&conn), before);
    assert_eq!(version(&conn, SCHEMA_VERSION).unwrap(), SCHEMA_VERSION);
}

#[test]
fn a_newer_layout_is_refused_and_left_alone() {
    let scratch = scratch();
    let mut conn = connect(scratch.path(), Purpose::Write, FileUse::Shared, &Arc::default()).unwrap();
    migrate(&mut conn, MIGRATIONS).unwrap();
    conn.pragma_update(None, "user_version", 9999).unwrap();
    let error = opened(migrate(&mut conn, MIGRATIONS), scratch.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument);
    let known = format!("the store has layout version 9999, this program knows versions up to {SCHEMA_VERSION}");
    assert!(error.message().starts_with(&known), "{error}");
    assert_eq!(conn.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0)).unwrap(), 9999);
}

#[test]
fn another_programs_database_is_refused() {
    let scratch = scratch();
    Connection::open(database_path(scratch.path())).unwrap().execute_batch("CREATE TABLE recipes (id)").unwrap();
    let mut conn = connect(scratch.path(), Purpose::Write, FileUse::Shared, &Arc::default()).unwrap();
    let error = opened(migrate(&mut conn, MIGRATIONS), scratch.path()).unwrap_err();
    assert!(error.message().contains("is not a Likeness store"), "{error}");
}

#[test]
fn what_is_no_database_at_all_is_an_error() {
    let scratch = scratch();
    std::fs::write(database_path(scratch.path()), "not a database, but long enough to be looked at".repeat(100))
        .unwrap();
    let error =
        opened(connect(scratch.path(), Purpose::Write, FileUse::Shared, &Arc::default()), scratch.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
}
