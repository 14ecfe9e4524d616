//! Which rows were found damaged, since the store was opened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};

use super::checksums::{CheckedTable, TABLES, row_checksum};
use super::errors::Answer;

/// Most damaged rows that are remembered one by one: whole tables of them need no list, but `recover`.
const ROWS_MAX: usize = 1000;

/// Most rows whose change the index has not taken over; if there are more it is filled anew.
const UNTOLD_MAX: usize = 10_000;

/// Damaged rows, by table and identity. Filled by the SQL function `row_intact` of every connection of the store.
///
/// Whoever finds one, the index is told by the writing thread, which [`DamageLog::on_news`] wakes.
#[derive(Default)]
pub(super) struct DamageLog {
    state: Mutex<State>,
    /// Another number after every row that was found damaged or whole again: what was read before may not be kept.
    version: AtomicU64,
    has_news: AtomicBool,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct State {
    rows: BTreeSet<DamagedRow>,
    /// Rows that searches depend on, found damaged or whole again since the index was told.
    untold: BTreeSet<DamagedRow>,
    has_too_many_untold: bool,
}

/// Makes the two functions known to a connection. What `row_intact` finds damaged goes into `log`.
pub(super) fn register(conn: &Connection, log: &Arc<DamageLog>) -> rusqlite::Result<()> {
    // Not for triggers or views: the file must stay readable to any SQLite.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    conn.create_scalar_function("row_checksum", -1, flags, |context| {
        let table = context.get_raw(0).as_str()?;
        Ok(row_checksum(table, values(context, 1)))
    })?;
    let log = Arc::clone(log);
    conn.create_scalar_function("row_intact", -1, flags, move |context| {
        let table = context.get_raw(0).as_str()?;
        let is_intact = context.get_raw(1).as_i64_or_null()? == Some(row_checksum(table, values(context, 2)));
        if !is_intact {
            log.note(table, context.get_raw(2));
        }
        Ok(is_intact)
    })
}

fn values<'a>(context: &'a Context<'_>, first: usize) -> impl Iterator<Item = ValueRef<'a>> {
    (first..context.len()).map(|idx| context.get_raw(idx))
}

/// A row by its table and identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DamagedRow {
    pub(super) table: &'static str,
    identity: Identity,
}

/// What the index has not taken over.
pub(super) struct News {
    pub(super) rows: Vec<DamagedRow>,
    /// There are more than these.
    pub(super) has_more: bool,
}

impl std::fmt::Debug for DamageLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DamageLog").field("n_known", &self.n_known()).finish_non_exhaustive()
    }
}

impl DamagedRow {
    /// Its identity, if that is a number, as of all rows that searches depend on.
    pub(super) fn number(&self) -> Option<i64> {
        match self.identity {
            Identity::Number(number) => Some(number),
            Identity::Text(_) | Identity::Bytes(_) => None,
        }
    }

    /// Whether what a search finds depends on it.
    fn is_searched(&self) -> bool {
        ["faces", "templates", "face_sets"].contains(&self.table)
    }
}

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

    /// A letter for its type and its value.
    fn line(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self {
            Self::Number(number) => format!("n{number}"),
            Self::Text(bytes) => format!("t{}", hex(bytes)),
            Self::Bytes(bytes) => format!("b{}", hex(bytes)),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (kind, value) = line.split_at_checked(1)?;
        let bytes = || {
            let pairs = value.as_bytes().as_chunks::<2>();
            let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            pairs.1.is_empty().then(|| pairs.0.iter().map(byte).collect::<Option<Vec<u8>>>()).flatten()
        };
        match kind {
            "n" => value.parse().ok().map(Self::Number),
            "t" => bytes().map(Self::Text),
            "b" => bytes().map(Self::Bytes),
            _ => None,
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
    /// Calls `wake` whenever there is news for the index; from any thread, which it must not hold up.
    pub(super) fn on_news(&self, wake: impl Fn() + Send + Sync + 'static) {
        // A log has one store.
        let _ = self.wake.set(Box::new(wake));
    }

    /// Remembers a row whose checksum does not match, and logs it the first time.
    pub(super) fn note(&self, table: &str, identity: ValueRef<'_>) {
        let Some(table) = table_named(table) else { return };
        let row = DamagedRow { table: table.name, identity: Identity::of(identity) };
        let (is_listed, has_news) = {
            let mut state = self.state();
            if state.rows.contains(&row) {
                return;
            }
            let is_listed = state.rows.len() < ROWS_MAX && state.rows.insert(row.clone());
            (is_listed, state.tell(&row))
        };
        self.version.fetch_add(1, Ordering::SeqCst);
        if is_listed {
            tracing::error!(
                table = table.name,
                row = %row.identity,
                "a damaged row ({}) is set aside: it is not searched and not returned; hint: `likeness check --thorough` \
                 says what to do",
                table.what
            );
        }
        if has_news {
            self.there_is_news();
        }
    }

    /// Changes with every row that is found damaged or whole again.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Whether the index has to take something over.
    pub(super) fn has_news(&self) -> bool {
        self.has_news.load(Ordering::SeqCst)
    }

    /// What the index has to take over since the last time. Whoever takes it tells the index and calls [`Self::was_told`].
    pub(super) fn take_news(&self) -> News {
        let state = self.state();
        News { rows: state.untold.iter().cloned().collect(), has_more: state.has_too_many_untold }
    }

    /// The index was told of this, or filled anew after it was taken.
    pub(super) fn was_told(&self, news: &News) {
        let mut state = self.state();
        for row in &news.rows {
            state.untold.remove(row);
        }
        if news.has_more {
            // A damaged row that was found meanwhile was left out as well: the index was filled with whole rows.
            state.untold.clear();
            state.has_too_many_untold = false;
        }
        self.has_news.store(!state.untold.is_empty(), Ordering::SeqCst);
    }

    /// The known ones, a line each, for [`Self::look_at`].
    pub(super) fn lines(&self) -> Vec<String> {
        self.state().rows.iter().map(|row| format!("{} {}", row.table, row.identity.line())).collect()
    }

    /// Reads the row of a line again; if it is still damaged it is noted.
    pub(super) fn look_at(&self, conn: &Connection, line: &str) {
        let Some((table, identity)) = line.split_once(' ') else { return };
        let (Some(table), Some(identity)) = (table_named(table), Identity::parse(identity)) else { return };
        let (intact, condition) = (table.intact("t"), identity.condition(table.columns[0]));
        let sql = format!("SELECT min({intact}) FROM {} AS t WHERE {condition}", table.name);
        // Whoever needs a row that cannot be read gets an error.
        let _ = conn.query_row(&sql, [identity.value()], |row| row.get::<_, Option<bool>>(0));
    }

    /// How many are known.
    pub(super) fn n_known(&self) -> u64 {
        self.state().rows.len() as u64
    }

    /// How many are known of each table whose rows have checksums.
    pub(super) fn n_known_of(&self) -> BTreeMap<&'static str, u64> {
        let mut n_of: BTreeMap<_, _> = TABLES.iter().map(|table| (table.name, 0)).collect();
        for row in &self.state().rows {
            *n_of.entry(row.table).or_default() += 1;
        }
        n_of
    }

    /// Looks at the known ones again, since deleting or restoring one ends its damage; returns their descriptions.
    pub(super) fn renewed(&self, conn: &Connection) -> Answer<Vec<String>> {
        let known: Vec<_> = self.state().rows.iter().cloned().collect();
        let mut damaged = Vec::with_capacity(known.len());
        for row in known {
            let Some(table) = table_named(row.table) else { continue };
            let (intact, condition) = (table.intact("t"), row.identity.condition(table.columns[0]));
            let sql = format!("SELECT min({intact}) FROM {} AS t WHERE {condition}", table.name);
            let is_intact =
                conn.prepare_cached(&sql)?.query_row([row.identity.value()], |row| row.get::<_, Option<bool>>(0))?;
            if is_intact.unwrap_or(true) {
                self.is_whole_again(&row);
            } else {
                damaged.push(message(conn, table, &row.identity)?);
            }
        }
        Ok(damaged)
    }

    fn is_whole_again(&self, row: &DamagedRow) {
        let has_news = {
            let mut state = self.state();
            state.rows.remove(row) && state.tell(row)
        };
        self.version.fetch_add(1, Ordering::SeqCst);
        if has_news {
            self.there_is_news();
        }
    }

    fn there_is_news(&self) {
        self.has_news.store(true, Ordering::SeqCst);
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each operation leaves the sets whole, so a panic elsewhere does no harm.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The index has to take that row over; false if it does not depend on it.
    fn tell(&mut self, row: &DamagedRow) -> bool {
        if row.is_searched() {
            match self.untold.len() < UNTOLD_MAX {
                true => drop(self.untold.insert(row.clone())),
                false => self.has_too_many_untold = true,
            }
        }
        row.is_searched()
    }
}

/// What is damaged and what to do about it.
fn message(conn: &Connection, table: &CheckedTable, identity: &Identity) -> Answer<String> {
    let cure = match table.name {
        "faces" | "held_faces" => "delete it by its id and enrol it again, or restore a backup",
        "templates" => "delete the face and enrol it again, or restore a backup",
        "thumbnails" => {
            "nothing is recognised by it; to have one again delete the face and enrol it again, or restore a backup"
        }
        "thumbnail_sets" => "tell the face set again whether it keeps thumbnails",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_told_each_row_once_and_filled_anew_for_very_many() {
        let log = DamageLog::default();
        let note = |table, number| log.note(table, ValueRef::Integer(number));
        note("access_keys", 1);
        assert!(!log.has_news(), "no search depends on it");
        for _ in 0..2 {
            note("templates", 2);
        }
        let news = log.take_news();
        assert_eq!((news.rows.len(), news.rows[0].number(), news.has_more), (1, Some(2), false));
        note("faces", 3);
        log.was_told(&news);
        assert!(log.has_news(), "of face 3");
        log.was_told(&log.take_news());
        assert!(!log.has_news());
        assert_eq!((log.n_known(), log.n_known_of()["templates"]), (3, 1));

        (0..=UNTOLD_MAX as i64).for_each(|number| note("templates", 10 + number));
        let news = log.take_news();
        assert_eq!((news.rows.len(), news.has_more), (UNTOLD_MAX, true));
        log.was_told(&news);
        assert!(!log.has_news() && !log.take_news().has_more);
        assert_eq!(log.n_known(), ROWS_MAX as u64);
    }
}
