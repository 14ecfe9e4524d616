//! Which rows were found damaged, since the store was opened.

use std::collections::BTreeSet;
use std::sync::Mutex;

use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};

use super::checksums::{CheckedTable, TABLES};
use super::errors::Answer;

/// Most damaged rows that are remembered one by one: whole tables of them need no list, but `recover`.
const ROWS_MAX: usize = 1000;

/// Damaged rows, by table and identity. Filled by the SQL function `row_intact` of every connection of the store.
#[derive(Debug, Default)]
pub(super) struct DamageLog(Mutex<BTreeSet<(&'static str, Identity)>>);

/// The first checked column of a row; an integer, a text, or the bytes of a tenant's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    Number(i64),
    /// Bytes, since it may be no text any more.
    Text(Vec<u8>),
    Bytes(Vec<u8>),
}

impl Identity {
    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Integer(number) => Self::Number(number),
            ValueRef::Text(text) => Self::Text(text.to_vec()),
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_vec()),
            ValueRef::Null | ValueRef::Real(_) => Self::Bytes(Vec::new()),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Number(number) => Value::Integer(*number),
            Self::Text(bytes) | Self::Bytes(bytes) => Value::Blob(bytes.clone()),
        }
    }

    /// SQL that finds the rows with this identity in a column, as parameter 1.
    fn condition(&self, column: &str) -> String {
        match self {
            Self::Text(_) => format!("CAST(t.{column} AS BLOB) IS ?1"),
            Self::Number(_) | Self::Bytes(_) => format!("t.{column} IS ?1"),
        }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            // It may be damaged itself and must not break a line of the log.
            Self::Text(text) => write!(formatter, "{}", String::from_utf8_lossy(text).escape_debug()),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(formatter, "{byte:02x}")),
        }
    }
}

fn table_named(name: &str) -> Option<&'static CheckedTable> {
    TABLES.iter().copied().find(|table| table.name == name)
}

impl DamageLog {
    /// Remembers a row whose checksum does not match, and logs it the first time.
    pub(super) fn note(&self, table: &str, identity: ValueRef<'_>) {
        let Some(table) = table_named(table) else { return };
        let identity = Identity::of(identity);
        let Ok(mut rows) = self.0.lock() else { return };
        if rows.len() >= ROWS_MAX || !rows.insert((table.name, identity.clone())) {
            return;
        }
        tracing::error!(
            table = table.name,
            row = %identity,
            "a damaged row ({}) is set aside: it is not searched and not returned; hint: `likeness check --thorough` \
             says what to do",
            table.what
        );
    }

    /// How many are known.
    pub(super) fn n_known(&self) -> u64 {
        self.0.lock().map_or(0, |rows| rows.len() as u64)
    }

    /// Looks at the known ones again, since deleting or restoring one ends its damage; returns them in words.
    pub(super) fn renewed(&self, conn: &Connection) -> Answer<Vec<String>> {
        let known: Vec<_> = self.0.lock().map(|rows| rows.iter().cloned().collect()).unwrap_or_default();
        let mut damaged = Vec::with_capacity(known.len());
        for (name, identity) in known {
            let Some(table) = table_named(name) else { continue };
            let (intact, condition) = (table.intact("t"), identity.condition(table.columns[0]));
            let sql = format!("SELECT min({intact}) FROM {name} AS t WHERE {condition}");
            let is_intact =
                conn.prepare_cached(&sql)?.query_row([identity.value()], |row| row.get::<_, Option<bool>>(0))?;
            if is_intact.unwrap_or(true) {
                if let Ok(mut rows) = self.0.lock() {
                    rows.remove(&(name, identity));
                }
            } else {
                damaged.push(message(conn, table, &identity)?);
            }
        }
        Ok(damaged)
    }
}

/// What is damaged and what to do about it.
fn message(conn: &Connection, table: &CheckedTable, identity: &Identity) -> Answer<String> {
    let cure = match table.name {
        "faces" | "held_faces" => "delete it by its id and enrol it again, or restore a backup",
        "templates" => "delete the face and enrol it again, or restore a backup",
        "access_keys" => "delete the key and make a new one",
        "pending_deletes" => "ask for the delete again",
        "records" => "who signed in with it signs in again; nothing of the gallery is lost by it",
        "commits" => "followers fill themselves anew; nothing of the gallery is lost by it",
        _ => "restore a backup, or write a new library with `likeness recover`",
    };
    if table.name == "templates" {
        // People know faces by their ids.
        let sql = "SELECT id FROM faces WHERE sequence = ?1";
        if let Some(id) = super::rows::first(conn, sql, [identity.value()], |row| Ok(row.get::<_, i64>(0)?))? {
            return Ok(format!("template of face {id} is damaged (its checksum does not match): {cure}"));
        }
    }
    Ok(format!("{} {identity} is damaged (its checksum does not match): {cure}", table.what))
}

/// Reads every row of a table and calls `each` for it; the damaged ones are in the log then.
pub(super) fn check(conn: &Connection, table: &CheckedTable, each: &mut dyn FnMut()) -> Answer<()> {
    let mut statement = conn.prepare(&format!("SELECT {} FROM {} AS t", table.intact("t"), table.name))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {
        each();
    }
    Ok(())
}
