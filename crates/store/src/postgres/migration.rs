//! A database as the source or the target of a migration ([`crate::migration`]).
//!
//! A source is read in one transaction a pass. For the last one every table is locked against writes, which wait meanwhile and
//! are refused with "try again"; then, in the same transaction, the tables get other names, so that whatever a server asks fails
//! from that commit on, and the layout a number that no program opens.
//!
//! A target has such a number, too, until it may be served.

use std::time::Duration;

use likeness_domain::access::Grants;
use likeness_domain::{Error, Result};
use tokio::runtime::Runtime;
use tokio_postgres::Client;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type as SqlType, to_sql_checked};
use xxhash_rust::xxh3::xxh3_64;

use super::address::Address;
use super::checksums::Checksum;
use super::errors::{Answer, Failure};
use super::schema::{self, ARRIVING_LAYOUTS, MOVED_LAYOUTS, SCHEMA_VERSION};
use super::session::{Database, Session};
use super::transaction::WRITES_LOCK;
use crate::migration::kinds::{Cell, Column, KINDS, Kind, Owner, Row, Type, digest, digest_of_checksum};
use crate::migration::sides::{Numbers, Rows, Source, Stop, Target};

/// Number of the advisory lock of whoever moves a library to a database: "LikenesM" as bytes.
const TARGET_LOCK: i64 = 0x4c69_6b65_6e65_734d;

/// How long a connection is tried for.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How often the tables are tried to be locked: a write may be in the way of it, and it in the way of that.
const LOCK_TRIES: u32 = 20;

/// No server has this number: a step of a delete with it is made by any.
const NOBODY: i32 = -1;

/// What a table is called that was moved away.
const MOVED_PREFIX: &str = "moved_";

/// Tables that are left besides those of [`KINDS`].
const OTHER_TABLES: [&str; 2] = ["store", "tenant_usage"];

impl ToSql for Cell {
    fn to_sql(
        &self,
        ty: &SqlType,
        out: &mut bytes::BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Whole(number) if *ty == SqlType::BOOL => (*number != 0).to_sql(ty, out),
            Self::Whole(number) if *ty == SqlType::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Self::Whole(number) => number.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Bytes(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(_: &SqlType) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(ty: &SqlType, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *ty {
            SqlType::BOOL => Self::Whole(i64::from(bool::from_sql(ty, raw)?)),
            SqlType::INT4 => Self::Whole(i64::from(i32::from_sql(ty, raw)?)),
            SqlType::INT8 => Self::Whole(i64::from_sql(ty, raw)?),
            SqlType::BYTEA => Self::Bytes(raw.to_vec()),
            _ => Self::Text(String::from_sql(ty, raw)?),
        })
    }

    fn from_sql_null(_: &SqlType) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(_: &SqlType) -> bool {
        true
    }
}

fn sql_type(kind: &Kind, column: &Column) -> SqlType {
    match column.holds {
        Type::Whole if kind.table == "installation" => SqlType::INT4,
        Type::Whole => SqlType::INT8,
        Type::Flag => SqlType::BOOL,
        Type::Text => SqlType::TEXT,
        Type::Bytes => SqlType::BYTEA,
    }
}

fn sql_type_name(holds: Type) -> &'static str {
    match holds {
        Type::Whole => "int8",
        Type::Flag => "bool",
        Type::Text => "text",
        Type::Bytes => "bytea",
    }
}

/// How the checksum of a row is computed here ([`super::checksums`]).
struct Sum {
    /// The columns in its order.
    columns: &'static [&'static str],
    /// A row in which it is NULL is being erased, and its checksum is not that of what is left of it.
    live: Option<&'static str>,
}

const fn sum(columns: &'static [&'static str]) -> Option<Sum> {
    Some(Sum { columns, live: None })
}

/// `None` for tables without checksums.
fn sum_of(kind: &Kind) -> Option<Sum> {
    match kind.table {
        "tenants" => sum(&[
            "id",
            "name",
            "created_at",
            "face_sets_max",
            "faces_max",
            "persons_max",
            "face_set_faces_max",
            "person_faces_max",
            "calls_per_second",
        ]),
        "access_keys" => sum(&[
            "id",
            "secret",
            "tenant",
            "enabled",
            "created_at",
            "grants",
            "face_sets",
            "label",
            "expires_at",
            "previous_secret",
            "previous_until",
        ]),
        "installation" => sum(&["secret"]),
        "face_sets" => Some(Sum {
            columns: &[
                "id",
                "tenant",
                "name",
                "label",
                "note",
                "tags",
                "pack",
                "fields",
                "capacity",
                "quality_gate",
                "created_at",
            ],
            live: Some("name"),
        }),
        "persons" => Some(Sum { columns: &["id", "tenant", "key", "name", "note", "created_at"], live: Some("key") }),
        // With the owner's kind before its id, and the face's own id for no other origin.
        "faces" => sum(&[
            "sequence",
            "id",
            "origin",
            "face_set",
            "person",
            "pack",
            "detection",
            "quality",
            "subject",
            "external_id",
            "fields",
            "note",
            "source",
            "created_at",
            "updated_at",
        ]),
        "templates" => sum(&["face", "pack", "vector"]),
        "thumbnail_sets" => sum(&["face_set", "wanted"]),
        "thumbnails" => sum(&["face", "picture"]),
        "held_faces" => sum(&[
            "sequence",
            "id",
            "tenant",
            "key",
            "pack",
            "detection",
            "quality",
            "subject",
            "vector",
            "created_at",
            "expires_at",
        ]),
        "records" => sum(&["scope", "id", "tenant", "bucket", "created_at", "expires_at", "value"]),
        "pending_deletes" => sum(&["tenant", "key", "request", "faces"]),
        "commits" => sum(&["at", "tenant", "key", "request", "changes"]),
        _ => None,
    }
}

/// The checksum of a row.
fn checksum(kind: &Kind, columns: &[&'static str], row: &[Cell]) -> i64 {
    let value = |name: &str| kind.idx_of(name).map_or(&Cell::Null, |idx| &row[idx]);
    let mut checksum = Checksum::of(kind.table);
    for &name in columns {
        let cell = match (kind.table, name, value(name)) {
            ("faces", "origin", Cell::Null) => value("id"),
            ("faces", "face_set" | "person", Cell::Null) => continue,
            ("faces", "face_set", owner) => {
                checksum = checksum.bytes(&b"set"[..]);
                owner
            }
            ("faces", "person", owner) => {
                checksum = checksum.bytes(&b"person"[..]);
                owner
            }
            (_, _, cell) => cell,
        };
        checksum = match cell {
            Cell::Null => checksum.number(None),
            Cell::Whole(number) => checksum.number(*number),
            Cell::Text(_) | Cell::Bytes(_) => checksum.bytes(cell.bytes()),
        };
    }
    checksum.finish()
}

/// Columns of the kind that no checksum covers.
fn others(kind: &Kind) -> Vec<usize> {
    let Some(sum) = sum_of(kind) else { return Vec::new() };
    (0..kind.columns.len()).filter(|&idx| !sum.columns.contains(&kind.columns[idx].name)).collect()
}

fn column_names(kind: &Kind) -> String {
    kind.columns.iter().map(|column| column.in_postgres).collect::<Vec<_>>().join(", ")
}

fn key_names(kind: &Kind) -> String {
    kind.key().iter().map(|column| column.in_postgres).collect::<Vec<_>>().join(", ")
}

fn key_marks(kind: &Kind) -> String {
    (1..=kind.n_key).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// Columns that this store adds, with their types and values.
fn added(kind: &Kind, row: &[Cell]) -> Option<Cell> {
    let n_bytes = |name: &str| {
        let bytes = kind.idx_of(name).and_then(|idx| row.get(idx)).and_then(Cell::bytes);
        Cell::Whole(bytes.map_or(0, |bytes| bytes.len() as i64))
    };
    match kind.table {
        "pictures" => Some(n_bytes("bytes")),
        "records" => Some(n_bytes("value")),
        "pending_deletes" => Some(Cell::Whole(i64::from(NOBODY))),
        _ => None,
    }
}

fn added_column(kind: &Kind) -> Option<(&'static str, SqlType)> {
    match kind.table {
        "pictures" | "records" => Some(("n_bytes", SqlType::INT8)),
        "pending_deletes" => Some(("node", SqlType::INT4)),
        _ => None,
    }
}

/// Keys as arrays, one for each column.
fn arrays(kind: &Kind, keys: &[Row]) -> Vec<Box<dyn ToSql + Sync + Send>> {
    let array = |idx: usize| -> Box<dyn ToSql + Sync + Send> {
        match kind.columns[idx].holds {
            Type::Whole | Type::Flag => {
                Box::new(keys.iter().map(|key| key[idx].whole().unwrap_or_default()).collect::<Vec<i64>>())
            }
            Type::Text => {
                let text =
                    |key: &Row| String::from_utf8(key[idx].bytes().unwrap_or_default().to_vec()).unwrap_or_default();
                Box::new(keys.iter().map(text).collect::<Vec<_>>())
            }
            Type::Bytes => {
                Box::new(keys.iter().map(|key| key[idx].bytes().unwrap_or_default().to_vec()).collect::<Vec<_>>())
            }
        }
    };
    (0..kind.n_key).map(array).collect()
}

/// `unnest` of [`arrays`] as `k`, and the condition that a row of `t` has the key.
fn joined(kind: &Kind) -> (String, String) {
    let places = kind.key().iter().enumerate();
    let arrays: Vec<_> =
        places.map(|(idx, column)| format!("${}::{}[]", idx + 1, sql_type_name(column.holds))).collect();
    let keys: Vec<_> = kind.key().iter().map(|column| format!("t.{0} = k.{0}", column.in_postgres)).collect();
    (format!("unnest({}) AS k ({})", arrays.join(", "), key_names(kind)), keys.join(" AND "))
}

/// A connection, and the threads that drive it.
struct Connected {
    shown: String,
    session: Option<Session>,
    runtime: Runtime,
}

impl Connected {
    fn open(address: &Address, settings: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("migrate-postgres")
            .enable_all()
            .build()
            .map_err(|error| Error::internal("cannot start the threads of the migration", error))?;
        let shown = address.to_string();
        let connect = async {
            let database = Database::new(address.clone(), 1, CONNECT_MAX, None)?;
            if database.is_pooled() {
                let message =
                    "a library is moved by a connection of its own, which a pooler in transaction mode does not give";
                return Err(Error::new(likeness_domain::Kind::InvalidArgument, message)
                    .with_hint("give the address of the database itself, without `pool_mode=transaction`")
                    .into());
            }
            database.refuse_hidden_pooler().await?;
            let session = database.session().await?;
            session
                .batch(&format!(
                    "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; {settings}"
                ))
                .await?;
            Ok(session)
        };
        let session = runtime.block_on(connect).map_err(|failure: Failure| match failure {
            Failure::Said(error) => error,
            failure => {
                let cure = failure.cure().unwrap_or(super::errors::NOT_REACHED);
                failure.into_error(&format!("open `{shown}`")).with_hint(cure)
            }
        })?;
        Ok(Self { shown, session: Some(session), runtime })
    }

    fn run<T>(&self, doing: &str, act: impl AsyncFnOnce(&Session) -> Answer<T>) -> Result<T> {
        let Some(session) = &self.session else {
            return Err(Error::internal("the connection is closed", "it was given up"));
        };
        self.runtime.block_on(act(session)).map_err(|failure| self.error(failure, doing))
    }

    fn error(&self, failure: Failure, doing: &str) -> Error {
        match failure {
            Failure::Damaged(what) => {
                let message = format!("cannot {doing}: the library in `{}` is damaged: {what}", self.shown);
                Error::internal(message, what).with_hint(
                    "`likeness check` names all that is damaged: delete such faces by their ids (`likeness face delete`) and \
                     enrol them again, or restore a backup of the database; if a migration has begun it as its target, empty \
                     it and begin again",
                )
            }
            failure => failure.into_error(doing),
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // Nobody else gets it: it has settings and locks of its own.
            let _inside = self.runtime.enter();
            session.give_up();
        }
    }
}

/// Whose a row is, as far as that can be read.
pub(super) async fn owner_of(session: &Session, kind: &Kind, key: &[Cell]) -> Option<Owner> {
    let row = session.one(kind.owner_sql()?, &[key.first()? as _]).await.ok()?;
    let text = |idx| row.try_get::<_, Option<String>>(idx).ok().flatten();
    Some(Owner { tenant: text(0), face_set: text(1), person: text(2), face: row.try_get(3).ok().flatten() })
}

/// The rows; a damaged one ends it and is named.
async fn whole(session: &Session, kind: &Kind, found: &[tokio_postgres::Row]) -> Answer<Vec<Row>> {
    match rows_of(kind, found)? {
        Ok(rows) => Ok(rows),
        Err(key) => Err(Failure::Damaged(kind.damaged_row(&key, owner_of(session, kind, &key).await))),
    }
}

/// The rows, or the key of the first one whose checksum does not match.
fn rows_of(kind: &Kind, found: &[tokio_postgres::Row]) -> Answer<std::result::Result<Vec<Row>, Row>> {
    let sum = sum_of(kind);
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        let mut cells: Row = (0..kind.columns.len()).map(|idx| Ok(row.try_get(idx)?)).collect::<Answer<_>>()?;
        if kind.table == "access_keys"
            && let Some(Cell::Text(grants)) = kind.idx_of("grants").and_then(|idx| cells.get_mut(idx))
            && let Ok(parsed) = Grants::parse(grants)
        {
            *grants = parsed.to_string();
        }
        if let Some(Sum { columns, live }) = &sum {
            let is_live = live.and_then(|name| kind.idx_of(name)).is_none_or(|idx| cells[idx] != Cell::Null);
            if is_live && row.try_get::<_, i64>(kind.columns.len())? != checksum(kind, columns, &cells) {
                cells.truncate(kind.n_key);
                return Ok(Err(cells));
            }
        }
        rows.push(cells);
    }
    Ok(Ok(rows))
}

fn selected(kind: &Kind) -> String {
    let columns: Vec<_> = kind.columns.iter().map(|column| format!("t.{}", column.in_postgres)).collect();
    let checksum = if sum_of(kind).is_some() { ", t.checksum" } else { "" };
    format!("SELECT {}{checksum} FROM {} AS t", columns.join(", "), kind.table)
}

fn values(cells: &[Cell]) -> Vec<&(dyn ToSql + Sync)> {
    cells.iter().map(|cell| cell as _).collect()
}

impl Rows for Connected {
    fn count(&mut self, kind: &Kind) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {}", kind.table);
        self.run("count rows", async |session| Ok(session.one(&sql, &[]).await?.try_get::<_, i64>(0)?.cast_unsigned()))
    }

    fn page(&mut self, kind: &Kind, after: Option<&[Cell]>, n_rows: usize) -> Result<Vec<Row>> {
        let key = key_names(kind);
        let condition = after.map_or(String::new(), |_| format!("WHERE ({key}) > ({})", key_marks(kind)));
        let sql = format!("{} {condition} ORDER BY {key} LIMIT {n_rows}", selected(kind));
        self.run("read the library", async |session| {
            whole(session, kind, &session.query(&sql, &values(after.unwrap_or_default())).await?).await
        })
    }

    fn of_keys(&mut self, kind: &Kind, keys: &[Row]) -> Result<Vec<Row>> {
        let (unnest, condition) = joined(kind);
        let sql = format!("{} JOIN {unnest} ON {condition}", selected(kind));
        let arrays = arrays(kind, keys);
        let arrays: Vec<_> = arrays.iter().map(|array| &**array as &(dyn ToSql + Sync)).collect();
        self.run("read the library", async |session| whole(session, kind, &session.query(&sql, &arrays).await?).await)
    }
}

macro_rules! rows_of_connected {
    ($($side:ty),+) => {$(
        impl Rows for $side {
            fn count(&mut self, kind: &Kind) -> Result<u64> {
                self.connected.count(kind)
            }

            fn page(&mut self, kind: &Kind, after: Option<&[Cell]>, n_rows: usize) -> Result<Vec<Row>> {
                self.connected.page(kind, after, n_rows)
            }

            fn of_keys(&mut self, kind: &Kind, keys: &[Row]) -> Result<Vec<Row>> {
                self.connected.of_keys(kind, keys)
            }
        }
    )+};
}

rows_of_connected!(DatabaseSource, DatabaseTarget);

async fn fingerprint(session: &Session, table: &str) -> Answer<i64> {
    let row = session.client().query_opt(&format!("SELECT secret FROM {table}"), &[]).await?;
    row.map_or(Ok(0), |row| Ok(xxh3_64(row.try_get(0)?).cast_signed()))
}

/// A library in a database that is to be moved.
pub(crate) struct DatabaseSource {
    connected: Connected,
    version: u32,
}

impl DatabaseSource {
    pub(crate) fn open(address: &Address) -> Result<Self> {
        let connected = Connected::open(address, "")?;
        let found = connected.run("open the library", async |session| schema::version(session).await)?;
        let shown = &connected.shown;
        match found {
            Some(SCHEMA_VERSION) => Ok(Self { connected, version: SCHEMA_VERSION }),
            Some(version) if version == SCHEMA_VERSION + MOVED_LAYOUTS => Ok(Self { connected, version }),
            Some(version) if (ARRIVING_LAYOUTS..MOVED_LAYOUTS).contains(&version) => {
                Err(Error::invalid("from", format!("the move of a library to `{shown}` is not finished"))
                    .with_hint("finish that one first, with `likeness migrate --finish`"))
            }
            Some(version) => {
                let message = format!("the library in `{shown}` has layout {version}, expected {SCHEMA_VERSION}");
                let hint = "start `likeness serve` on it once with this program, which upgrades it";
                Err(Error::invalid("from", message).with_hint(hint))
            }
            None => Err(Error::invalid("from", format!("there is no library in `{shown}`"))
                .with_hint("name the address of its database, or its data folder, with `--from`")),
        }
    }

    fn is_moved(&self) -> bool {
        self.version >= MOVED_LAYOUTS
    }
}

fn tables() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.table).chain(OTHER_TABLES)
}

impl Source for DatabaseSource {
    fn fingerprint(&mut self) -> Result<i64> {
        let table = if self.is_moved() { format!("{MOVED_PREFIX}installation") } else { "installation".to_owned() };
        self.connected.run("open the library", async |session| fingerprint(session, &table).await)
    }

    fn moved_to(&mut self) -> Result<Option<String>> {
        if !self.is_moved() {
            return Ok(None);
        }
        self.connected.run("open the library", async |session| {
            Ok(Some(session.client().query_one("SELECT other FROM likeness_migration", &[]).await?.try_get(0)?))
        })
    }

    fn is_at_rest(&self) -> bool {
        // Nobody can tell who is connected from where.
        false
    }

    fn begin(&mut self, is_last: bool) -> Result<()> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
        if !is_last {
            return self.connected.run("read the library", async |session| {
                session.batch(&format!("{begin} READ ONLY; SELECT revision FROM store")).await
            });
        }
        // The layout as well: servers try every second whether it can be written.
        let locked: Vec<_> = tables().chain(["likeness_layout"]).collect();
        let lock = format!("LOCK TABLE {} IN SHARE MODE", locked.join(", "));
        self.connected.run("hold the writes of the library", async |session| {
            // In a statement of its own, as it would fix the state before the writes under way are done. Without it a write that
            // has read a table would wait for one of these locks, and the last step for that table.
            session.batch(&format!("SELECT pg_advisory_lock({WRITES_LOCK})")).await?;
            let mut n_tries = 0;
            loop {
                // The state is fixed by the first question, after every write that was under way.
                let locked = session.batch(&format!("{begin}; {lock}; SELECT revision FROM store")).await;
                match locked {
                    Err(failure) if failure.is_conflict() && n_tries < LOCK_TRIES => {
                        session.batch("ROLLBACK").await?;
                        n_tries += 1;
                    }
                    locked => return locked,
                }
            }
        })
    }

    fn end(&mut self) -> Result<()> {
        self.connected
            .run("read the library", async |session| session.batch("ROLLBACK; SELECT pg_advisory_unlock_all()").await)
    }

    fn numbers(&mut self) -> Result<Numbers> {
        self.connected.run("read the library", async |session| {
            let sql = "SELECT s.revision, p.last_value + 1 FROM store AS s, places AS p";
            let row = session.one(sql, &[]).await?;
            Ok(Numbers { revision: row.try_get(0)?, next: row.try_get(1)? })
        })
    }

    fn leave(&mut self, to: &str, _: Stop<'_>) -> Result<()> {
        let mut sql = String::new();
        for table in tables() {
            sql.push_str(&format!("ALTER TABLE {table} RENAME TO {MOVED_PREFIX}{table};"));
        }
        let version = i64::from(SCHEMA_VERSION + MOVED_LAYOUTS);
        self.connected.run("mark the library as moved", async |session| {
            session.batch(&sql).await?;
            set_state(session.client(), version, Some((to, 0))).await?;
            session.batch("COMMIT; SELECT pg_advisory_unlock_all()").await
        })
    }
}

/// The number of the layout, and with which other place the library is or was moved, and which one it is.
async fn set_state(client: &Client, version: i64, other: Option<(&str, i64)>) -> Answer<()> {
    client.execute("UPDATE likeness_layout SET version = $1::int8::int4", &[&version]).await?;
    client.batch_execute("DROP TABLE IF EXISTS likeness_migration").await?;
    if let Some((other, fingerprint)) = other {
        client
            .batch_execute("CREATE TABLE likeness_migration (other text NOT NULL, fingerprint int8 NOT NULL)")
            .await?;
        let sql = "INSERT INTO likeness_migration (other, fingerprint) VALUES ($1, $2)";
        client.execute(sql, &[&other, &fingerprint]).await?;
    }
    Ok(())
}

/// Undoes [`DatabaseSource::leave`].
pub(crate) fn take_back(address: &Address) -> Result<()> {
    let connected = Connected::open(address, "")?;
    let found = connected.run("open the library", async |session| schema::version(session).await)?;
    let Some(version) = found.and_then(|version| version.checked_sub(MOVED_LAYOUTS)) else {
        return Err(Error::invalid("take-back", format!("the library in `{}` was not moved away", connected.shown))
            .with_hint("name the folder or database that was the source of `likeness migrate --finish`"));
    };
    let mut sql = "BEGIN;".to_owned();
    for table in tables() {
        sql.push_str(&format!("ALTER TABLE {MOVED_PREFIX}{table} RENAME TO {table};"));
    }
    connected.run("take the library back", async |session| {
        session.batch(&sql).await?;
        set_state(session.client(), i64::from(version), None).await?;
        session.batch("COMMIT").await
    })
}

/// A library in a database that is being made.
pub(crate) struct DatabaseTarget {
    connected: Connected,
}

impl DatabaseTarget {
    /// Opens the one that this migration has begun, or begins it.
    pub(crate) fn open(address: &Address, from: &str, fingerprint: i64) -> Result<Self> {
        if let Some(begun) = Self::look(address, from, fingerprint)? {
            return Ok(begun);
        }
        let target = Self::locked(address)?;
        target.connected.run("make the tables of the library", async |session| {
            schema::migrate(session).await?;
            // Whatever is in it by now is somebody else's.
            session.batch("BEGIN").await?;
            refuse_used(session).await?;
            let version = i64::from(SCHEMA_VERSION + ARRIVING_LAYOUTS);
            set_state(session.client(), version, Some((from, fingerprint))).await?;
            session.batch("COMMIT").await
        })?;
        Ok(target)
    }

    /// The one that this migration has begun; `None` if there is nothing yet.
    pub(crate) fn look(address: &Address, from: &str, fingerprint: i64) -> Result<Option<Self>> {
        let target = Self::locked(address)?;
        let shown = target.connected.shown.clone();
        let is_begun = target.connected.run("look at the database", async |session| {
            let version = match schema::version(session).await? {
                None => return Ok(false),
                Some(version) if version >= MOVED_LAYOUTS => {
                    let error = Error::invalid("to", format!("a library was moved away from `{shown}`"));
                    return Err(error.with_hint("give it an empty database; nothing is written over").into());
                }
                Some(version) => version,
            };
            let Some(version) = version.checked_sub(ARRIVING_LAYOUTS) else {
                refuse_used(session).await?;
                return Ok(false);
            };
            let sql = "SELECT other, fingerprint FROM likeness_migration";
            let row = session.client().query_one(sql, &[]).await?;
            let (known_from, known): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            if version != SCHEMA_VERSION || !(known == fingerprint || (known == 0 && known_from == from)) {
                let what =
                    if version == SCHEMA_VERSION { "of another library" } else { "by another version of this program" };
                let message = format!("`{shown}` holds an unfinished migration {what}, from `{known_from}`");
                let hint = "finish that one, or give this one an empty database";
                return Err(Error::invalid("to", message).with_hint(hint).into());
            }
            Ok(true)
        })?;
        Ok(is_begun.then_some(target))
    }

    fn locked(address: &Address) -> Result<Self> {
        // What was not flushed is copied again.
        let connected = Connected::open(address, "SET synchronous_commit = off")?;
        let is_alone = connected.run("look at the database", async |session| {
            let row = session.client().query_one("SELECT pg_try_advisory_lock($1)", &[&TARGET_LOCK]).await?;
            Ok(row.try_get(0)?)
        })?;
        if is_alone {
            return Ok(Self { connected });
        }
        Err(Error::invalid("to", format!("another migration to `{}` is under way", connected.shown))
            .with_hint("wait for it, or stop it"))
    }

    fn write(&self, act: impl AsyncFnOnce(&Session) -> Answer<()>) -> Result<()> {
        self.connected.run("write the library", act)
    }
}

/// Refuses a database in whose tables anything is.
async fn refuse_used(session: &Session) -> Answer<()> {
    for kind in KINDS {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {})", kind.table);
        if session.client().query_one(&sql, &[]).await?.try_get(0)? {
            let message = format!("the database has a library already: `{}` is not empty", kind.table);
            let hint = "give it a database without our tables; nothing is written over, also no library without faces";
            return Err(Error::invalid("to", message).with_hint(hint).into());
        }
    }
    Ok(())
}

impl Target for DatabaseTarget {
    fn digests(&mut self, kind: &Kind, after: Option<&[Cell]>, n_rows: usize) -> Result<Vec<(Row, u64)>> {
        if sum_of(kind).is_none() {
            let rows = self.page(kind, after, n_rows)?;
            return Ok(rows.into_iter().map(|row| (row[..kind.n_key].to_vec(), digest(kind, &row))).collect());
        }
        let (key, others) = (key_names(kind), others(kind));
        let mut columns = format!("{key}, checksum");
        for &idx in &others {
            columns.push_str(&format!(", {}", kind.columns[idx].in_postgres));
        }
        let condition = after.map_or(String::new(), |_| format!("WHERE ({key}) > ({})", key_marks(kind)));
        let sql = format!("SELECT {columns} FROM {} {condition} ORDER BY {key} LIMIT {n_rows}", kind.table);
        self.connected.run("read the library", async |session| {
            let found = session.query(&sql, &values(after.unwrap_or_default())).await?;
            let mut digests = Vec::with_capacity(found.len());
            for row in &found {
                let cells = |from: usize, n: usize| -> Answer<Row> {
                    (from..from + n).map(|idx| Ok(row.try_get(idx)?)).collect()
                };
                let digest = digest_of_checksum(row.try_get(kind.n_key)?, &cells(kind.n_key + 1, others.len())?);
                digests.push((cells(0, kind.n_key)?, digest));
            }
            Ok(digests)
        })
    }

    fn digest_of(&self, kind: &Kind, row: &[Cell]) -> u64 {
        let Some(sum) = sum_of(kind) else { return digest(kind, row) };
        let others: Row = others(kind).into_iter().map(|idx| row[idx].clone()).collect();
        digest_of_checksum(checksum(kind, sum.columns, row), &others)
    }

    fn last_key(&mut self, kind: &Kind) -> Result<Option<Row>> {
        let descending: Vec<_> = kind.key().iter().map(|column| format!("{} DESC", column.in_postgres)).collect();
        let sql = format!("SELECT {} FROM {} ORDER BY {} LIMIT 1", key_names(kind), kind.table, descending.join(", "));
        self.connected.run("read the library", async |session| {
            let Some(row) = session.first(&sql, &[]).await? else { return Ok(None) };
            Ok(Some((0..kind.n_key).map(|idx| Ok(row.try_get(idx)?)).collect::<Answer<Row>>()?))
        })
    }

    fn insert(&mut self, kind: &Kind, rows: &[Row]) -> Result<()> {
        let mut types: Vec<_> = kind.columns.iter().map(|column| sql_type(kind, column)).collect();
        let mut columns = column_names(kind);
        if let Some((name, holds)) = added_column(kind) {
            columns.push_str(&format!(", {name}"));
            types.push(holds);
        }
        let sum = sum_of(kind);
        if sum.is_some() {
            columns.push_str(", checksum");
            types.push(SqlType::INT8);
        }
        let sql = format!("COPY {} ({columns}) FROM STDIN BINARY", kind.table);
        self.write(async |session| {
            let mut writer = std::pin::pin!(BinaryCopyInWriter::new(session.copy_in(&sql).await?, &types));
            for row in rows {
                let added = added(kind, row);
                let sum = sum.as_ref().map(|sum| Cell::Whole(checksum(kind, sum.columns, row)));
                let cells: Vec<_> = row.iter().chain(&added).chain(&sum).map(|cell| cell as _).collect();
                writer.as_mut().write(&cells).await?;
            }
            writer.finish().await?;
            Ok(())
        })
    }

    fn replace(&mut self, kind: &Kind, rows: &[Row]) -> Result<()> {
        let mut columns: Vec<_> = kind.columns.iter().map(|column| column.in_postgres).collect();
        columns.extend(added_column(kind).map(|(name, _)| name));
        let sum = sum_of(kind);
        columns.extend(sum.as_ref().map(|_| "checksum"));
        let marks: Vec<_> = (1..=columns.len()).map(|number| format!("${number}")).collect();
        let set: Vec<_> = columns[kind.n_key..].iter().map(|name| format!("{name} = excluded.{name}")).collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}",
            kind.table,
            columns.join(", "),
            marks.join(", "),
            key_names(kind),
            set.join(", ")
        );
        self.write(async |session| {
            for row in rows {
                let (added, sum) =
                    (added(kind, row), sum.as_ref().map(|sum| Cell::Whole(checksum(kind, sum.columns, row))));
                let cells: Vec<_> =
                    row.iter().chain(&added).chain(&sum).map(|cell| cell as &(dyn ToSql + Sync)).collect();
                session.execute(&sql, &cells).await?;
            }
            Ok(())
        })
    }

    fn erase(&mut self, kind: &Kind, keys: &[Row]) -> Result<()> {
        let (unnest, condition) = joined(kind);
        let sql = format!("DELETE FROM {} AS t USING {unnest} WHERE {condition}", kind.table);
        let arrays = arrays(kind, keys);
        let arrays: Vec<_> = arrays.iter().map(|array| &**array as &(dyn ToSql + Sync)).collect();
        self.write(async |session| session.execute(&sql, &arrays).await.map(drop))
    }

    fn empty(&mut self, kind: &Kind, keys: &[Row]) -> Result<()> {
        let Some(column) = kind.emptied else { return Ok(()) };
        let (unnest, condition) = joined(kind);
        // The checksum becomes wrong, so that the row is known to differ if this is cut short.
        let sql = format!(
            "UPDATE {} AS t SET {column} = NULL, checksum = t.checksum + 1 FROM {unnest} WHERE {condition}",
            kind.table
        );
        let arrays = arrays(kind, keys);
        let arrays: Vec<_> = arrays.iter().map(|array| &**array as &(dyn ToSql + Sync)).collect();
        self.write(async |session| session.execute(&sql, &arrays).await.map(drop))
    }

    fn complete(&mut self, numbers: Numbers) -> Result<()> {
        self.write(async |session| {
            let sql = format!(
                "BEGIN;
                 DELETE FROM tenant_usage;
                 INSERT INTO tenant_usage (tenant, n_face_sets, n_faces, n_persons)
                     SELECT tenant, sum(n_face_sets), sum(n_faces), sum(n_persons) FROM (
                         SELECT tenant, count(*) AS n_face_sets, sum(n_owned) AS n_faces, 0 AS n_persons
                             FROM face_sets WHERE name IS NOT NULL GROUP BY tenant
                         UNION ALL
                         SELECT tenant, 0, sum(n_faces), count(*) FROM persons WHERE key IS NOT NULL GROUP BY tenant
                     ) AS counted GROUP BY tenant;
                 UPDATE store SET revision = {0}, compacted = {0};
                 SELECT setval('places', greatest({1}, (SELECT last_value FROM places)), false);
                 COMMIT",
                numbers.revision, numbers.next
            );
            session.batch(&sql).await
        })
    }

    fn open_up(&mut self) -> Result<()> {
        self.write(async |session| {
            // Flushed, and all before it.
            session.batch("SET synchronous_commit = on; BEGIN").await?;
            set_state(session.client(), i64::from(SCHEMA_VERSION), None).await?;
            session.batch("COMMIT").await?;
            // It is a library by now, only that its questions would be planned badly.
            let _ = session.batch("ANALYZE").await;
            Ok(())
        })
    }
}
