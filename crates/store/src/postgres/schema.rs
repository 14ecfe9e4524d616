//! The layout of the database: which one it has, and how it becomes the present one.

use likeness_domain::{Error, Kind};

use super::errors::Answer;
use super::respell::{self, Respelled};
use super::session::Session;

/// The steps that lead from an empty database to the present layout; number `n` makes version `n + 1`. Append only.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
];

/// Version of the present layout.
pub(super) const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// The oldest server that has what is used: `pg_stat_*` and `NOTIFY` are older, generated identity and `xid8` are of 13.
const SERVER_VERSION_MIN: i32 = 130_000;

/// Number of the advisory lock under which a layout is made or upgraded: "Likeness" as bytes.
const LAYOUT_LOCK: i64 = 0x4c69_6b65_6e65_7373;

/// What is added to the layout's version while a library is being moved to the database, and once one was moved away from it, so
/// that no program serves it.
pub(super) const ARRIVING_LAYOUTS: u32 = 1_000_000;
pub(super) const MOVED_LAYOUTS: u32 = 2_000_000;

/// Version of the layout in the database; `None` if there is none.
pub(super) async fn version(session: &Session) -> Answer<Option<u32>> {
    let found = session.one("SELECT to_regclass('likeness_layout') IS NOT NULL", &[]).await?;
    if !found.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let row = session.one("SELECT version FROM likeness_layout", &[]).await?;
    Ok(Some(u32::try_from(row.try_get::<_, i32>(0)?).unwrap_or_default()))
}

/// Refuses a database to which a library is being moved, or from which it was moved away.
async fn refuse_moved(session: &Session, version: u32) -> Answer<()> {
    if version < ARRIVING_LAYOUTS {
        return Ok(());
    }
    let row = session.one("SELECT other FROM likeness_migration", &[]).await?;
    let other: String = row.try_get(0)?;
    let error = match version {
        MOVED_LAYOUTS.. => {
            Error::new(Kind::InvalidArgument, format!("the library in the database was moved to `{other}`"))
                .with_hint("use it there; `likeness migrate --take-back` with this address lets this one be served again, as it was then")
        }
        _ => Error::new(
            Kind::InvalidArgument,
            format!("the move of a library from `{other}` to the database is not finished"),
        )
        .with_hint("run `likeness migrate` again, with `--finish`"),
    };
    Err(error.into())
}

/// Brings the database to the present layout, in one transaction that one program at a time makes.
/// [`Kind::InvalidArgument`] for a database with another encoding or of another program, an old server, and a newer layout.
pub(super) async fn migrate(session: &Session) -> Answer<()> {
    let row = session
        .one("SELECT current_setting('server_version_num')::int4, current_setting('server_encoding')", &[])
        .await?;
    let (version, encoding): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    if version < SERVER_VERSION_MIN {
        let message = format!("the server is PostgreSQL {}, expected 13 or later", version / 10_000);
        return Err(Error::new(Kind::InvalidArgument, message).with_hint("upgrade it; 15 and later are tested").into());
    }
    if encoding != "UTF8" {
        let message = format!("the database has the encoding {encoding}, expected UTF8");
        return Err(Error::new(Kind::InvalidArgument, message)
            .with_hint("make another one: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0")
            .into());
    }
    session.batch("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    match upgrade(session).await {
        Ok(()) => session.batch("COMMIT").await,
        Err(failure) => {
            // A lost connection has rolled back already.
            let _ = session.batch("ROLLBACK").await;
            Err(failure)
        }
    }
}

async fn upgrade(session: &Session) -> Answer<()> {
    session.one("SELECT pg_advisory_xact_lock($1)", &[&LAYOUT_LOCK]).await?;
    let found = version(session).await?;
    let version: u32 = if let Some(found) = found {
        found
    } else {
        let tables = "SELECT count(*) FROM pg_class AS c WHERE c.relnamespace = current_schema()::regnamespace
                      AND c.relkind IN ('r', 'p') AND c.relname IN ('store', 'faces', 'face_sets', 'jobs', 'tenants')";
        let n_others: i64 = session.one(tables, &[]).await?.try_get(0)?;
        if n_others > 0 {
            let message = "the database has tables of another program that have the names of ours";
            return Err(Error::new(Kind::InvalidArgument, message).with_hint("give it a database of its own").into());
        }
        session
            .batch(
                "CREATE TABLE likeness_layout (version int4 NOT NULL);
                 INSERT INTO likeness_layout (version) VALUES (0);",
            )
            .await?;
        0
    };
    refuse_moved(session, version).await?;
    if version > SCHEMA_VERSION {
        let message =
            format!("the database has layout version {version}, this program knows versions up to {SCHEMA_VERSION}");
        return Err(Error::new(Kind::InvalidArgument, message).with_hint("use the newer program that wrote it").into());
    }
    let steps = MIGRATIONS.get(version as usize..).unwrap_or_default();
    for step in steps {
        session.batch(step).await?;
    }
    if !steps.is_empty() {
        let found = version;
        let version = i32::try_from(SCHEMA_VERSION).unwrap_or(i32::MAX);
        session.execute("UPDATE likeness_layout SET version = $1", &[&version]).await?;
        tracing::info!(from = found, to = SCHEMA_VERSION, "layout of the database made");
        // Names that are not in NFC are of layouts before 2.
        if found == 1 {
            let Respelled { n_rows, n_subjects_joined, n_renamed } = respell::respell(session).await?;
            if n_subjects_joined + n_renamed > 0 {
                tracing::warn!(
                    n_rows,
                    n_subjects_joined,
                    n_renamed,
                    "names are in Unicode NFC now, and some were different by their spelling only; `likeness check` lists them"
                );
            } else if n_rows > 0 {
                tracing::info!(n_rows, "names are in Unicode NFC now");
            }
        }
    }
    Ok(())
}
