//! Every table x every kind of damage, with the outcome that `docs/storage.md` promises: its table is the one that is tested.
//!
//! Whatever is damaged: nothing is returned that was not stored, nothing panics, no face is missing in silence, and a recovery
//! returns every face whose rows were not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use likeness_domain::access::{FaceSetScope, Grant, Grants};
use likeness_domain::ports::{
    CredentialStore, FaceScope, GalleryStore, JobStore, NonceStore, Record, RecordQuota, RecordStore,
    TransientFaceStore, UploadStore, WhenFull,
};
use likeness_domain::types::{
    AccessKey, AccessKeyId, FaceOwner, FaceSet, InstallationSecret, NewFace, NewFaceSet, PreviousSecret, Secret,
    Tenant, TenantName, TimestampMs,
};
use likeness_store::conformance::jobs::{at, job};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::uploads::{ROOM, picture};
use likeness_store::conformance::{EVERYTHING, Ledger};
use likeness_store::embedded::{Credentials, DATABASE_FILE, EmbeddedStore, IDENTITY_FILE, recover};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use xxhash_rust::xxh3::Xxh3;

use crate::patience::block_on;

const DOCUMENT: &str = include_str!("../../../../docs/storage.md");
const TITLE: &str = "### The damage matrix";
const PAGE_BYTES: usize = 4096;
const N_FACES: u64 = 60;

/// The columns of the document's table, in its order.
const DAMAGES: [Damage; 5] =
    [Damage::Bit, Damage::SwappedRows, Damage::ZeroPage, Damage::RandomPage, Damage::Truncated];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// A bit of one value; NULL becomes an empty value.
    Bit,
    /// Two rows have each other's content, all but the key.
    SwappedRows,
    /// A page of the table is full of zeros.
    ZeroPage,
    /// A page of the table is full of random bytes.
    RandomPage,
    /// The file ends within a page of the table.
    Truncated,
}

/// What is seen of a damage, as the document calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// The store does not open, and the error names the cure.
    Refused,
    /// The row is not returned, is counted, and is named with what to do.
    SetAside,
    /// A thorough report says so.
    Reported,
    /// What was damaged is taken from other tables when the store is opened.
    Mended,
    /// Nothing is reported.
    Unnoticed,
}

fn words(seen: Seen) -> &'static str {
    match seen {
        Seen::Refused => "refused",
        Seen::SetAside => "set aside",
        Seen::Reported => "reported",
        Seen::Mended => "mended",
        Seen::Unnoticed => "unnoticed",
    }
}

/// The document's table: what may be seen of each damage in each table.
fn promised() -> BTreeMap<String, Vec<Vec<&'static str>>> {
    let section = DOCUMENT.split_once(TITLE).expect("the document has the section").1;
    let lines =
        section.lines().skip_while(|line| !line.starts_with("| Table |")).take_while(|line| line.starts_with('|'));
    lines
        .skip(2)
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let table = cells.next().unwrap().trim_matches('`').to_owned();
            (table, cells.map(|cell| cell.split(" or ").collect()).collect())
        })
        .collect()
}

fn mark(number: u64) -> String {
    format!("mark-of-face-{number:06}")
}

fn marked(number: u64) -> NewFace {
    NewFace { note: Some(note(&mark(number))), thumbnail: Some(thumbnail(number)), ..full_face(number) }
}

fn limited_id(name: &str) -> AccessKeyId {
    AccessKeyId::new(&format!("LIMITED-{name}")).unwrap()
}

fn previous_secret() -> Secret {
    Secret::new("secret-of-before").unwrap()
}

/// Something in every table.
async fn fill(dir: &Path) {
    let store = EmbeddedStore::open(dir, Arc::new(Ledger::default())).unwrap();
    let credentials = Credentials::open(dir).unwrap();
    for (tenant, name) in
        [(ours(), "acme"), (theirs(), "other"), (likeness_domain::types::TenantId::from_bits(99), "gone")]
    {
        let new = Tenant::new(tenant, TenantName::new(name).unwrap(), TimestampMs(1));
        credentials.ensure_tenant(by(tenant), new.clone()).await.unwrap();
        let (id, secret) =
            (AccessKeyId::new(&format!("KEY-{name}")).unwrap(), Secret::new("secret-of-the-key").unwrap());
        let new_tenant = new.clone();
        credentials.add_key(by(tenant), AccessKey::new(id, secret.clone(), new, TimestampMs(1))).await.unwrap();
        let new = NewFaceSet { thumbnails: true, ..face_set(&format!("set-of-{name}")) };
        let set = store.create_face_set(by(tenant), new, None).await.unwrap();
        // One that may do little, for a while, and was rotated: a fallen bit must not make it one that may do more.
        let limited = AccessKey {
            previous: Some(PreviousSecret { secret: previous_secret(), valid_until: TimestampMs(1 << 49) }),
            grants: Grants::of(&[Grant::Read, Grant::Search]),
            face_sets: FaceSetScope::Only([set.id].into()),
            label: Some(note("gate 3")),
            expires_at: Some(TimestampMs(1 << 48)),
            ..AccessKey::new(limited_id(name), secret, new_tenant, TimestampMs(2))
        };
        credentials.add_key(by(tenant), limited).await.unwrap();
        if name == "gone" {
            store.delete_tenant(by(tenant)).await.unwrap();
            continue;
        }
        let half = N_FACES / 2;
        let faces = if name == "acme" { 1..=half } else { half + 1..=half + 5 };
        store.add_faces(by(tenant), FaceOwner::FaceSet(set.id), faces.map(marked).collect(), None).await.unwrap();
        let join = vec![face_set(&format!("set-of-{name}"))];
        let (anna, _) = store.create_person(by(tenant), person(&format!("anna-of-{name}")), join, None).await.unwrap();
        let faces = if name == "acme" { half + 6..=N_FACES } else { N_FACES + 1..=N_FACES + 5 };
        store.add_faces(by(tenant), FaceOwner::Person(anna.id), faces.map(marked).collect(), None).await.unwrap();
        let number = if name == "acme" { 1 } else { 2 };
        store.keep_faces(by(tenant), vec![held(900 + number), held(910 + number)], 10).await.unwrap();
        store.put_upload(tenant, picture("a", "bytes of a picture"), ROOM, at(0)).await.unwrap();
        let record = Record {
            id: [number as u8; 32],
            tenant,
            bucket: name.to_owned(),
            value: vec![7; 5 + number as usize].into(),
            created_at: TimestampMs(1),
            expires_at: TimestampMs(1 << 50),
        };
        let quota = RecordQuota { n_max: 9, bytes_max: 1000, when_full: WhenFull::Refuse };
        assert!(store.put_record("session", record, quota, TimestampMs(1)).await.unwrap().is_none());
        store.consume("nonce", format!("token of {name}").as_bytes(), at(0), at(1 << 50)).await.unwrap();
    }
    store.enqueue(vec![job(5), job(6)], 10).await.unwrap();
    store.enqueue(vec![likeness_domain::ports::NewJob { kind: "other", ..job(7) }], 10).await.unwrap();
    credentials.installation_secret(InstallationSecret::from_bytes([7; 32])).await.unwrap();
    drop((store, credentials));
    // Steps of a delete whose faces are gone already: working them off changes nothing.
    let conn = Connection::open(dir.join(DATABASE_FILE)).unwrap();
    for (idx, request) in ["request-8", "request-9"].into_iter().enumerate() {
        let faces = (1_000_000 + idx as u64).to_le_bytes().to_vec();
        let tenant = ours_bytes();
        let checksum = checksum(
            "pending_deletes",
            &[Value::Text(request.into()), Value::Blob(tenant.clone()), Value::Null, Value::Blob(faces.clone())],
        );
        let sql = "INSERT INTO pending_deletes (tenant, key, request, faces, checksum) VALUES (?1, NULL, ?2, ?3, ?4)";
        conn.execute(sql, (tenant, request, faces, checksum)).unwrap();
    }
}

fn ours_bytes() -> Vec<u8> {
    likeness_store::conformance::OURS.to_be_bytes().to_vec()
}

/// The checksum of a row, written a second time from the document.
fn checksum(table: &str, values: &[Value]) -> i64 {
    let mut hash = Xxh3::new();
    hash.update(table.as_bytes());
    for value in values {
        match value {
            Value::Null => hash.update(&[0; 9]),
            Value::Integer(number) => hash.update(&[&[1], number.to_le_bytes().as_slice()].concat()),
            Value::Real(number) => hash.update(&[&[2], number.to_le_bytes().as_slice()].concat()),
            Value::Text(text) => {
                hash.update(&[&[3], (text.len() as u64).to_le_bytes().as_slice(), text.as_bytes()].concat());
            }
            Value::Blob(blob) => hash.update(&[&[4], (blob.len() as u64).to_le_bytes().as_slice(), blob].concat()),
        }
    }
    hash.digest() as i64
}

struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % end.max(1) as u64) as usize
    }
}

/// A table of the file.
struct Table {
    name: String,
    columns: Vec<(String, String)>,
    /// Columns of its key; `rowid` where the key is no column that rows refer to.
    key: Vec<String>,
    n_rows: usize,
    /// Pages of its tree, counted from 0.
    pages: Vec<usize>,
}

fn tables(path: &Path) -> Vec<Table> {
    let bytes = std::fs::read(path).unwrap();
    let conn = Connection::open(path).unwrap();
    let sql = "SELECT name, rootpage, sql LIKE '%WITHOUT ROWID%' FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut statement = conn.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let found: Vec<(String, usize, bool)> = rows.map(Result::unwrap).collect();
    let mut tables = Vec::new();
    for (name, root, is_without_rowid) in found {
        let sql = format!("SELECT name, type, pk FROM pragma_table_info('{name}') ORDER BY cid");
        let mut statement = conn.prepare(&sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let columns: Vec<(String, String, i64)> = rows.map(Result::unwrap).collect();
        let key = match is_without_rowid {
            true => columns.iter().filter(|(.., pk)| *pk > 0).map(|(name, ..)| name.clone()).collect(),
            false => vec!["rowid".to_owned()],
        };
        let n_rows = conn.query_row(&format!("SELECT count(*) FROM {name}"), [], |row| row.get(0)).unwrap();
        let mut pages = Vec::new();
        tree(&bytes, root, &mut pages);
        let columns = columns.into_iter().map(|(name, kind, _)| (name, kind)).collect();
        tables.push(Table { name, columns, key, n_rows, pages });
    }
    tables
}

/// Pages of a tree, by <https://www.sqlite.org/fileformat2.html>, section 1.6.
fn tree(bytes: &[u8], number: usize, pages: &mut Vec<usize>) {
    pages.push(number - 1);
    let page = &bytes[(number - 1) * PAGE_BYTES..][..PAGE_BYTES];
    let half = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let word = |at: usize| u32::from_be_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]) as usize;
    if matches!(page[0], 2 | 5) {
        for idx in 0..half(3) {
            tree(bytes, word(half(12 + 2 * idx)), pages);
        }
        tree(bytes, word(8), pages);
    }
}

/// The file opened by another program that keeps none of its rules.
fn behind(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;").unwrap();
    conn
}

impl Table {
    fn where_key(&self) -> String {
        let terms: Vec<String> =
            self.key.iter().enumerate().map(|(idx, name)| format!("{name} = ?{}", idx + 1)).collect();
        terms.join(" AND ")
    }

    fn row_key(&self, conn: &Connection, row_idx: usize) -> Vec<Value> {
        let sql = format!("SELECT {} FROM {} LIMIT 1 OFFSET {row_idx}", self.key.join(", "), self.name);
        conn.query_row(&sql, [], |row| (0..self.key.len()).map(|idx| row.get(idx)).collect()).unwrap()
    }

    fn values(&self, conn: &Connection, key: &[Value]) -> Vec<Value> {
        let sql = format!("SELECT * FROM {} WHERE {}", self.name, self.where_key());
        let n_columns = self.columns.len();
        let read = |row: &rusqlite::Row<'_>| (0..n_columns).map(|idx| row.get(idx)).collect();
        conn.query_row(&sql, rusqlite::params_from_iter(key), read).unwrap()
    }

    /// Everything in it, as text.
    fn dump(&self, path: &Path) -> Vec<String> {
        let conn = Connection::open(path).unwrap();
        let columns: Vec<String> =
            self.columns.iter().map(|(name, _)| format!("quote(CAST({name} AS BLOB))")).collect();
        let sql = format!("SELECT {} FROM {}", columns.join(" || ',' || "), self.name);
        let mut statement = conn.prepare(&sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

/// Sequences of faces whose rows a damage has touched; `None` if there was nothing to damage.
type Touched = Option<BTreeSet<i64>>;

/// Sequence of the face that a row of `faces` or `templates` concerns.
fn face_of(table: &Table, values: &[Value]) -> Option<i64> {
    let column = match table.name.as_str() {
        "faces" => "sequence",
        "templates" => "face",
        _ => return None,
    };
    let idx = table.columns.iter().position(|(name, _)| name == column).unwrap();
    if let Value::Integer(sequence) = values[idx] { Some(sequence) } else { None }
}

/// Flips a bit of one value.
fn flip(path: &Path, table: &Table, column_idx: usize, random: &mut Random) -> Touched {
    let conn = behind(path);
    let (column, kind) = &table.columns[column_idx];
    for _ in 0..50 {
        let key = table.row_key(&conn, random.below(table.n_rows));
        let values = table.values(&conn, &key);
        let (value, expression) = match &values[column_idx] {
            Value::Integer(number) => {
                // Of the bytes that it takes in the file.
                let n_bits = 8 * (64 - number.unsigned_abs().leading_zeros() as usize).div_ceil(8).max(1);
                let bit = if *number == 0 || *number == 1 { 0 } else { random.below(n_bits) };
                (Value::Integer(number ^ (1 << bit)), "?1")
            }
            Value::Real(number) => (Value::Real(f64::from_bits(number.to_bits() ^ 1 << random.below(64))), "?1"),
            Value::Text(text) => (Value::Blob(flipped(text.as_bytes(), random)), "CAST(?1 AS TEXT)"),
            Value::Blob(blob) => (Value::Blob(flipped(blob, random)), "?1"),
            Value::Null if kind == "INTEGER" => (Value::Integer(0), "?1"),
            Value::Null if kind == "TEXT" => (Value::Blob(Vec::new()), "CAST(?1 AS TEXT)"),
            Value::Null => (Value::Blob(Vec::new()), "?1"),
        };
        let terms: Vec<String> =
            table.key.iter().enumerate().map(|(idx, name)| format!("{name} = ?{}", idx + 2)).collect();
        let sql = format!("UPDATE {} SET {column} = {expression} WHERE {}", table.name, terms.join(" AND "));
        let parameters = std::iter::once(&value).chain(&key);
        // A rule of the file's (a key that is taken) may be in the way: another bit.
        if conn.execute(&sql, rusqlite::params_from_iter(parameters)).is_ok_and(|n_rows| n_rows == 1) {
            return Some(face_of(table, &values).into_iter().collect());
        }
    }
    None
}

fn flipped(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    match bytes.len() {
        0 => bytes.push(1),
        n_bytes => bytes[random.below(n_bytes)] ^= 1 << random.below(8),
    }
    bytes
}

/// Gives two rows each other's content.
fn swap(path: &Path, table: &Table, random: &mut Random) -> Touched {
    let is_key = |name: &String| table.key.contains(name);
    let payload: Vec<usize> = (0..table.columns.len()).filter(|&idx| !is_key(&table.columns[idx].0)).collect();
    let conn = behind(path);
    let one = random.below(table.n_rows);
    let other = (one + 1 + random.below(table.n_rows.max(2) - 1)) % table.n_rows.max(1);
    if table.n_rows < 2 || payload.is_empty() || one == other {
        return None;
    }
    // The column that is the rowid stays with the key.
    let sql = format!("SELECT name FROM pragma_table_info('{}') WHERE pk = 1 AND type = 'INTEGER'", table.name);
    let alias: Option<String> = match table.key.as_slice() {
        [key] if key == "rowid" => conn.query_row(&sql, [], |row| row.get(0)).ok(),
        _ => None,
    };
    let keys = [table.row_key(&conn, one), table.row_key(&conn, other)];
    let rows = [table.values(&conn, &keys[0]), table.values(&conn, &keys[1])];
    let touched = rows.iter().filter_map(|values| face_of(table, values)).collect();
    let delete = format!("DELETE FROM {} WHERE {}", table.name, table.where_key());
    for key in &keys {
        conn.execute(&delete, rusqlite::params_from_iter(key)).unwrap();
    }
    let places: Vec<String> = (1..=table.columns.len()).map(|number| format!("?{number}")).collect();
    let insert = format!("INSERT INTO {} VALUES ({})", table.name, places.join(", "));
    for (own, content) in [(&rows[0], &rows[1]), (&rows[1], &rows[0])] {
        let values: Vec<Value> = (0..table.columns.len())
            .map(|idx| {
                let is_own = is_key(&table.columns[idx].0) || alias.as_ref() == Some(&table.columns[idx].0);
                if is_own { own[idx].clone() } else { content[idx].clone() }
            })
            .collect();
        conn.execute(&insert, rusqlite::params_from_iter(&values)).unwrap();
    }
    Some(touched)
}

/// Damages a page of a table.
fn harm_page(path: &Path, table: &Table, damage: Damage, random: &mut Random, whole: &Whole) -> Touched {
    let mut bytes = std::fs::read(path).unwrap();
    let page = table.pages[random.below(table.pages.len())];
    let range = page * PAGE_BYTES..(page + 1) * PAGE_BYTES;
    let n_pages = bytes.len() / PAGE_BYTES;
    let pages: BTreeSet<usize> = match damage {
        Damage::ZeroPage => {
            bytes[range].fill(0);
            [page].into()
        }
        Damage::RandomPage => {
            bytes[range].iter_mut().for_each(|byte| *byte = random.below(256) as u8);
            [page].into()
        }
        _ => {
            bytes.truncate(page * PAGE_BYTES + random.below(PAGE_BYTES));
            (page..n_pages).collect()
        }
    };
    std::fs::write(path, bytes).unwrap();
    let touched = whole.pages.iter().filter(|(_, of)| !of.is_disjoint(&pages));
    Some(touched.map(|(&sequence, _)| sequence).collect())
}

/// The library before it is damaged.
struct Whole {
    database: Vec<u8>,
    identity: Vec<u8>,
    tables: Vec<Table>,
    /// By sequence of the face: its number, and the pages its record and its template stand in.
    numbers: BTreeMap<i64, u64>,
    pages: BTreeMap<i64, BTreeSet<usize>>,
    /// Everything that it returns.
    returned: BTreeSet<String>,
}

impl Whole {
    fn make() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        block_on(fill(scratch.path()));
        let path = scratch.path().join(DATABASE_FILE);
        // What an upgrade leaves behind that joined two spellings of a name.
        let upgraded = "INSERT INTO respelled (kind, row, other, suffix)
                        VALUES ('subject', 1, 2, NULL), ('external id', 1, 2, '-2')";
        Connection::open(&path).unwrap().execute(upgraded, []).unwrap();
        let tables = tables(&path);
        let database = std::fs::read(&path).unwrap();
        let conn = Connection::open(&path).unwrap();
        let mut statement = conn.prepare("SELECT sequence, id FROM faces").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let numbers: BTreeMap<i64, u64> = rows.map(Result::unwrap).collect();
        drop(statement);
        drop(conn);
        let page_of = |wanted: &[u8]| {
            let found = (0..database.len() - wanted.len()).filter(|&at| database[at..].starts_with(wanted));
            found.map(|at| at / PAGE_BYTES).collect::<Vec<_>>()
        };
        let pages = numbers
            .iter()
            .map(|(&sequence, &number)| {
                let vector: Vec<u8> = template(number).unit().iter().flat_map(|number| number.to_le_bytes()).collect();
                (sequence, page_of(mark(number).as_bytes()).into_iter().chain(page_of(&vector)).collect())
            })
            .collect();
        let identity = std::fs::read(scratch.path().join(IDENTITY_FILE)).unwrap();
        let index = Arc::new(Ledger::default());
        let store = EmbeddedStore::open(scratch.path(), Arc::clone(&index) as _).unwrap();
        let returned = block_on(everything(&store, &index, scratch.path()));
        assert_eq!(block_on(store.report(true)).unwrap().problems, [] as [String; 0]);
        Self { database, identity, tables, numbers, pages, returned }
    }

    /// The library in a folder, to be damaged.
    fn copy(&self, dir: &Path) {
        std::fs::create_dir(dir).unwrap();
        std::fs::write(dir.join(DATABASE_FILE), &self.database).unwrap();
        std::fs::write(dir.join(IDENTITY_FILE), &self.identity).unwrap();
    }
}

/// Everything that a store returns, each thing as a text; what it refuses is left out.
async fn everything(store: &EmbeddedStore, index: &Ledger, dir: &Path) -> BTreeSet<String> {
    let mut returned = BTreeSet::new();
    for tenant in [ours(), theirs()] {
        for set in store.face_sets(tenant).await.unwrap_or_default() {
            // Where the note that it keeps pictures is damaged it keeps none.
            let set = FaceSet { thumbnails: true, ..set.face_set };
            returned.insert(format!("{set:?}"));
            let scope = FaceScope::FaceSet(set.id);
            let ids = (1..=N_FACES + 5).map(face_id).collect();
            for (id, thumbnail) in store.thumbnails(tenant, scope, ids).await.unwrap_or_default() {
                returned.insert(format!("{id} looks like {:?}", thumbnail.bytes()));
            }
            for face in store.list_faces(tenant, scope, EVERYTHING).await.unwrap_or_default() {
                returned.insert(format!("{} {face:?}", set.id));
                let found = store.templates(tenant, Some(scope), vec![face.id], pack()).await.unwrap_or_default();
                returned.extend(found.iter().map(|(id, template)| format!("{id} {:?}", template.unit())));
            }
            for row in index.rows(set.id) {
                let entry = row.entry;
                returned.insert(format!("{} shows {} {:?}", set.id, entry.face, entry.template.unit()));
            }
            if let Ok((members, _)) = store.members(tenant, set.id, EVERYTHING).await {
                returned.extend(members.iter().map(|member| format!("{} {:?}", set.id, member)));
            }
        }
        for name in ["acme", "other"] {
            if let Ok(Some(person)) = store.person(tenant, key(&format!("anna-of-{name}"))).await {
                returned.insert(format!("{person:?}"));
            }
        }
        for number in [901, 902, 911, 912] {
            if let Ok(Some(held)) = store.held_face(tenant, face_id(number), at(1)).await {
                returned.insert(format!("{held:?} {:?}", held.template.unit()));
            }
        }
    }
    if let Ok(credentials) = Credentials::open(dir) {
        for tenant in credentials.tenants().await.unwrap_or_default() {
            returned.insert(format!("{tenant:?}"));
        }
        returned.extend(keys(&credentials).await);
        if let Ok(secret) = credentials.installation_secret(InstallationSecret::from_bytes([8; 32])).await {
            returned.insert(format!("installation {}", secret == InstallationSecret::from_bytes([7; 32])));
        }
    }
    returned
}

/// The keys that a store returns.
async fn keys(credentials: &Credentials) -> BTreeSet<String> {
    let mut returned = BTreeSet::new();
    for name in ["acme", "other", "gone"] {
        for id in [AccessKeyId::new(&format!("KEY-{name}")).unwrap(), limited_id(name)] {
            if let Ok(Some(key)) = credentials.key(id).await {
                let is_own = key.secret == Secret::new("secret-of-the-key").unwrap();
                let is_rotated = key.previous.as_ref().map(|previous| previous.secret == previous_secret());
                // When it was used last decides nothing, and has no checksum. A recovery gives a tenant whose row is damaged
                // a name in its place.
                let tenant = Tenant::new(key.tenant.id, TenantName::new("any").unwrap(), TimestampMs(0));
                let key = AccessKey { last_used_at: None, tenant, ..key };
                returned.insert(format!("{key:?} {is_own} {is_rotated:?}"));
            }
        }
    }
    returned
}

/// One damage: what is seen of it is what the document promises.
fn look(whole: &Whole, table: &Table, damage: Damage, column_idx: Option<usize>, seed: u64) -> Option<Seen> {
    let mut random = Random::new(seed * 1000 + damage as u64);
    let scratch = tempfile::tempdir().unwrap();
    let (dir, to) = (scratch.path().join("damaged"), scratch.path().join("new"));
    whole.copy(&dir);
    let path = dir.join(DATABASE_FILE);
    let column_idx = column_idx.unwrap_or_else(|| random.below(table.columns.len()));
    let mut what = format!("{damage:?} in {}, seed {seed}", table.name);
    let touched = match damage {
        Damage::Bit => {
            what = format!("{what}, column {}", table.columns[column_idx].0);
            flip(&path, table, column_idx, &mut random)?
        }
        Damage::SwappedRows => swap(&path, table, &mut random)?,
        _ => harm_page(&path, table, damage, &mut random, whole)?,
    };

    // Recovery first, as opening writes.
    let recovered = match recover(&dir, &to) {
        Ok(recovered) => Some(recovered),
        // Where the file ends before every row nothing is left.
        Err(error) if error.message().starts_with("no row of a library was found") => {
            assert_eq!(touched.len(), whole.numbers.len(), "{what}: {error}");
            None
        }
        Err(error) => panic!("{what}: {error}"),
    };
    block_on(async {
        let Some(recovered) = recovered else { return };
        let index = Arc::new(Ledger::default());
        let store = EmbeddedStore::open(&to, Arc::clone(&index) as _).unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut problems = store.report(true).await.unwrap().problems;
        // The revision of a library whose last writes were no commits stands nowhere else, so they count as lost.
        problems.retain(|problem| table.name != "store" || !problem.starts_with("acknowledged commits"));
        assert!(problems.is_empty(), "{what}: {problems:?}");
        let mut n_there = 0;
        for (sequence, &number) in &whole.numbers {
            let mut found = Vec::new();
            for tenant in [ours(), theirs()] {
                found.extend(store.templates(tenant, None, vec![face_id(number)], pack()).await.unwrap());
            }
            n_there += found.len();
            match found.as_slice() {
                [(_, found)] => assert_eq!(*found, template(number), "{what}: face {number} has another's template"),
                found => assert!(found.is_empty() && touched.contains(sequence), "{what}: face {number} is lost"),
            }
        }
        assert!(n_there == whole.numbers.len() || !recovered.lost.is_empty(), "{what}: a loss is said");
        let found = keys(&Credentials::open(&to).unwrap()).await;
        let invented: Vec<_> = found.difference(&whole.returned).collect();
        assert!(invented.is_empty(), "{what}: recovered keys that never were: {invented:#?}");
        let is_of_rows = matches!(damage, Damage::Bit | Damage::SwappedRows);
        if is_of_rows && !["access_keys", "tenants"].contains(&table.name.as_str()) {
            assert_eq!(found.len(), 4, "{what}: keys that were not touched are recovered");
        }
    });

    let index = Arc::new(Ledger::default());
    let store = match EmbeddedStore::open(&dir, Arc::clone(&index) as _) {
        Ok(store) => store,
        Err(error) => {
            // Of a library whose id is damaged the identity file can be moved away.
            let has_cure = |hint: &str| hint.contains("likeness recover") || hint.contains("move likeness.id away");
            assert!(error.hint().is_some_and(has_cure), "{what}: {error:?}");
            return Some(Seen::Refused);
        }
    };
    let returned = block_on(everything(&store, &index, &dir));
    let invented: Vec<_> = returned.difference(&whole.returned).collect();
    assert!(invented.is_empty() || table.name == "installation", "{what}: returned and never stored: {invented:#?}");
    let problems = block_on(store.report(true)).unwrap().problems;
    assert!(problems.iter().all(|problem| problem.contains(": ")), "{what}: each names a cure: {problems:?}");
    let n_set_aside = store.health().n_rows_set_aside;
    let is_all_there = returned.is_superset(&whole.returned);
    drop(store);
    let seen = if n_set_aside > 0 {
        assert!(!problems.is_empty(), "{what}");
        Seen::SetAside
    } else if !problems.is_empty() {
        Seen::Reported
    } else {
        assert!(
            is_all_there,
            "{what}: missing in silence: {:#?}",
            whole.returned.difference(&returned).collect::<Vec<_>>()
        );
        let before = scratch.path().join("before.db");
        std::fs::write(&before, &whole.database).unwrap();
        // What others have written meanwhile is of no matter: maintenance works steps of deletes off.
        let is_as_before = table.dump(&path) == table.dump(&before) || table.name == "pending_deletes";
        if is_as_before { Seen::Mended } else { Seen::Unnoticed }
    };
    Some(seen)
}

/// The same; what does not hold is printed, and the others are looked at.
fn check(
    whole: &Whole,
    table: &Table,
    damage: Damage,
    column_idx: Option<usize>,
    seed: u64,
) -> std::thread::Result<Option<Seen>> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| look(whole, table, damage, column_idx, seed)))
}

/// Collects what was seen that was not promised.
#[derive(Default)]
struct Broken(BTreeSet<String>);

impl Broken {
    fn see(
        &mut self,
        promised: &[&str],
        table: &Table,
        damage: Damage,
        column: Option<&str>,
        seen: std::thread::Result<Option<Seen>>,
    ) {
        let Ok(seen) = seen else {
            self.0.insert(format!("{} {damage:?} {}: see above", table.name, column.unwrap_or("")));
            return;
        };
        let seen = seen.map_or("none", words);
        if !promised.contains(&seen) {
            self.0.insert(format!("{} {damage:?} {}: {seen}, promised {promised:?}", table.name, column.unwrap_or("")));
        }
    }
}

/// 200 seeds in the slow run; otherwise every column of every table once, and every other damage once.
#[test]
fn every_damage_to_every_table_ends_as_the_document_says() {
    let whole = Whole::make();
    let promised = promised();
    let names: BTreeSet<&str> = whole.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, promised.keys().map(String::as_str).collect(), "the document has every table");
    let mut broken = Broken::default();
    for table in &whole.tables {
        assert!(table.n_rows > 0, "{} has a row to damage", table.name);
        let cells = &promised[&table.name];
        assert_eq!(cells.len(), DAMAGES.len(), "{}", table.name);
        for (column_idx, (column, _)) in table.columns.iter().enumerate() {
            let seen = check(&whole, table, Damage::Bit, Some(column_idx), 1);
            broken.see(&cells[0], table, Damage::Bit, Some(column), seen);
        }
        for (damage, cell) in DAMAGES.into_iter().zip(cells).skip(1) {
            broken.see(cell, table, damage, None, check(&whole, table, damage, None, 1));
        }
    }
    if std::env::var_os("LIKENESS_SLOW_TESTS").is_some() {
        for seed in 2..=200 {
            for table in &whole.tables {
                for (damage, cell) in DAMAGES.into_iter().zip(&promised[&table.name]) {
                    broken.see(cell, table, damage, None, check(&whole, table, damage, None, seed));
                }
            }
        }
    }
    assert!(broken.0.is_empty(), "{:#?}", broken.0);
}
