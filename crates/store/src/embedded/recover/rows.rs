//! Which table a row is of, and the new library made of the rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use likeness_domain::ports::{ChangeRef, KeyAction};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::super::cells::Record;
use super::super::checksums::{CheckedTable, FACE_SETS, PERSONS, TABLES, TENANTS, renew, row_checksum};
use super::super::errors::Answer;
use super::super::identity::LibraryId;
use super::super::rows::all;
use super::super::thumbnails;
use crate::commits::refs_of;

/// Most damaged rows whose names are remembered.
const CALLED_MAX: usize = 10_000;

/// Most losses of one kind that are named one by one.
const NAMED_MAX: usize = 20;

/// A table as rows of it stand in pages.
struct Layout {
    table: &'static CheckedTable,
    n_columns: usize,
    /// The column that is the rowid, and NULL in the record.
    rowid: Option<usize>,
    /// Where the checked columns are.
    checked: Vec<usize>,
    checksum: usize,
    insert: String,
}

impl Layout {
    fn of(conn: &Connection, table: &'static CheckedTable) -> Answer<Self> {
        let sql = format!("SELECT name, pk, type FROM pragma_table_info('{}') ORDER BY cid", table.name);
        let mut statement = conn.prepare(&sql)?;
        let columns: Vec<(String, i64, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let place = |name: &str| columns.iter().position(|(column, ..)| column == name).unwrap_or(usize::MAX);
        let n_keys = columns.iter().filter(|(_, pk, _)| *pk > 0).count();
        let rowid = columns.iter().position(|(_, pk, kind)| n_keys == 1 && *pk == 1 && kind == "INTEGER");
        let names: Vec<&str> = columns.iter().map(|(name, ..)| name.as_str()).collect();
        let values: Vec<String> = (1..=columns.len()).map(|number| format!("?{number}")).collect();
        Ok(Self {
            table,
            n_columns: columns.len(),
            rowid,
            checked: table.columns.iter().map(|name| place(name)).collect(),
            checksum: place("checksum"),
            insert: format!(
                "INSERT OR IGNORE INTO {} ({}) VALUES ({})",
                table.name,
                names.join(", "),
                values.join(", ")
            ),
        })
    }

    /// The row's values in the table's columns; `None` if it cannot be of this table.
    fn values(&self, record: &Record) -> Option<Vec<Value>> {
        if record.values.len() != self.n_columns || record.rowid.is_some() != self.rowid.is_some() {
            return None;
        }
        let mut values = record.values.clone();
        if let Some(column) = self.rowid {
            let Value::Null = values[column] else { return None };
            values[column] = Value::Integer(record.rowid?);
        }
        matches!(values[self.checksum], Value::Integer(_)).then_some(values)
    }

    fn is_intact(&self, values: &[Value]) -> bool {
        let sum = row_checksum(self.table.name, self.checked.iter().map(|&column| ValueRef::from(&values[column])));
        values[self.checksum] == Value::Integer(sum)
    }
}

/// The library that is made.
pub(super) struct NewLibrary {
    layouts: Vec<Layout>,
    /// What damaged rows of sets and persons say they are called, by table and id. That is told, never believed.
    called: HashMap<(&'static str, i64), String>,
    /// Damaged rows by table.
    damaged: BTreeMap<&'static str, u64>,
    /// Where the id of the library and the revision stand in a row of `store`, which has no checksum.
    store: [usize; 3],
    library: Option<LibraryId>,
    /// The largest revision of a row of `store` that names the library.
    revision: u64,
    n_rows: u64,
}

impl NewLibrary {
    /// An empty one; `library` is what the identity file says that it is.
    pub(super) fn new(conn: &Connection, library: Option<LibraryId>) -> Answer<Self> {
        let layouts = TABLES.iter().map(|table| Layout::of(conn, table)).collect::<Answer<_>>()?;
        let columns: Vec<String> =
            all(conn, "SELECT name FROM pragma_table_info('store') ORDER BY cid", (), |row| Ok(row.get(0)?))?;
        let place = |name: &str| columns.iter().position(|column| column == name).unwrap_or(usize::MAX);
        let store = [place("library"), place("revision"), columns.len()];
        let (called, damaged) = (HashMap::new(), BTreeMap::new());
        Ok(Self { layouts, called, damaged, store, library, revision: 0, n_rows: 0 })
    }

    /// The largest revision that the library has reached by its own word; 0 if that is not known.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Writes a row of a checked table. False if it looks like one and is not what was written. `table` is the one whose page it
    /// stands in, as far as that is known.
    pub(super) fn put(&mut self, conn: &Connection, record: &Record, table: Option<&str>) -> Answer<bool> {
        if self.put_proven(conn, record)? {
            return Ok(true);
        }
        self.look_at_store(record);
        let mut is_other = true;
        for layout in &self.layouts {
            let Some(values) = layout.values(record) else { continue };
            is_other = false;
            let name = layout.table.name;
            if table != Some(name) {
                continue;
            }
            *self.damaged.entry(name).or_default() += 1;
            let word = if name == FACE_SETS.name { "name" } else { "key" };
            let place = layout.table.columns.iter().position(|column| *column == word);
            let value = place.and_then(|place| values.get(*layout.checked.get(place)?));
            if [FACE_SETS.name, PERSONS.name].contains(&name)
                && let (Some(Value::Text(text)), Value::Integer(id)) = (value, &values[layout.checked[0]])
                && self.called.len() < CALLED_MAX
            {
                self.called.insert((name, *id), text.escape_debug().to_string());
            }
        }
        Ok(is_other)
    }

    /// A row of `store` has no checksum; that it names the library is believed.
    fn look_at_store(&mut self, record: &Record) {
        let [library, revision, n_columns] = self.store;
        if record.values.len() == n_columns
            && let (Some(Value::Blob(id)), Some(expected)) = (record.values.get(library), self.library)
            && *id == expected
            && let Some(&Value::Integer(number)) = record.values.get(revision)
        {
            self.revision = self.revision.max(number.max(0).cast_unsigned());
        }
    }

    /// Writes a row that proves by its checksum which table it is of. False for any other.
    pub(super) fn put_proven(&mut self, conn: &Connection, record: &Record) -> Answer<bool> {
        for layout in &self.layouts {
            let Some(values) = layout.values(record) else { continue };
            if layout.is_intact(&values) {
                self.n_rows += conn.prepare_cached(&layout.insert)?.execute(params_from_iter(&values))? as u64;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts substitutes where rows refer to one that is lost, leaves out what cannot stand alone, makes galleries and
    /// counters. `lost` gets what a person has to know.
    pub(super) fn complete(&mut self, conn: &Connection, lost: &mut Vec<String>) -> Answer<()> {
        for (table, n_rows) in &self.damaged {
            lost.push(format!("{n_rows} rows of `{table}` are damaged and left out"));
        }
        without_templates(conn, lost)?;
        let (owners, enrolled) = known_by_commits(conn)?;
        self.substitutes(conn, &owners, lost)?;
        links(conn, lost)?;
        galleries(conn)?;
        thumbnails::complete(conn)?;
        compare_counters(conn, lost)?;
        missing(conn, &enrolled, lost)?;
        missing_keys(conn, lost)
    }

    /// Makes sets, persons and tenants that rows refer to and that are lost.
    fn substitutes(&self, conn: &Connection, owners: &Owners, lost: &mut Vec<String>) -> Answer<()> {
        let tenants: Vec<Vec<u8>> = all(conn, "SELECT id FROM tenants", (), |row| Ok(row.get(0)?))?;
        let fallback = match tenants.as_slice() {
            [only] => only.clone(),
            _ => b"recovered-tenant".to_vec(),
        };
        for (tag, table, needed) in [
            ('s', "face_sets", "SELECT DISTINCT face_set FROM faces
                                WHERE face_set IS NOT NULL AND face_set NOT IN (SELECT id FROM face_sets)
                                UNION SELECT face_set FROM memberships WHERE face_set NOT IN (SELECT id FROM face_sets)"),
            ('p', "persons", "SELECT DISTINCT person FROM faces
                              WHERE person IS NOT NULL AND person NOT IN (SELECT id FROM persons)
                              UNION SELECT person FROM memberships WHERE person NOT IN (SELECT id FROM persons)"),
        ] {
            for id in all(conn, needed, (), |row| Ok(row.get::<_, i64>(0)?))? {
                let tenant = match owners.get(&(tag, id)) {
                    // The commits say that it was deleted: what is left of it was still to be erased.
                    Some(None) => {
                        erase_owner(conn, tag, id)?;
                        continue;
                    }
                    Some(Some(tenant)) => tenant.clone(),
                    None => fallback.clone(),
                };
                let name = format!("recovered-{id}");
                if tag == 's' {
                    let pack = "coalesce((SELECT pack FROM faces WHERE face_set = ?1 LIMIT 1), (SELECT f.pack FROM memberships AS m
                                JOIN faces AS f ON f.person = m.person WHERE m.face_set = ?1 LIMIT 1), 'unknown')";
                    conn.execute(
                        &format!(
                            "INSERT INTO face_sets (id, sequence, tenant, name, pack, fields, created_at)
                             VALUES (?1, coalesce((SELECT min(sequence) FROM faces WHERE face_set = ?1), 0), ?2, ?3, {pack}, '', 0)"
                        ),
                        (id, &tenant, &name),
                    )?;
                    renew(conn, &FACE_SETS, "id", id)?;
                } else {
                    let sql = "INSERT INTO persons (id, tenant, key, created_at) VALUES (?1, ?2, ?3, 0)";
                    conn.execute(sql, (id, &tenant, &name))?;
                    renew(conn, &PERSONS, "id", id)?;
                }
                let called = self.called.get(&(table, id));
                let called =
                    called.map_or(String::new(), |called| format!(" (its damaged row, which is not believed, says `{called}`)"));
                lost.push(format!(
                    "the row of {table} {id} is lost: its faces are kept in `{name}`, without its words{called}"
                ));
            }
        }
        let needed = "SELECT DISTINCT tenant FROM (SELECT tenant FROM face_sets UNION SELECT tenant FROM persons
                      UNION SELECT tenant FROM access_keys) WHERE tenant NOT IN (SELECT id FROM tenants)";
        for id in all(conn, needed, (), |row| Ok(row.get::<_, Vec<u8>>(0)?))? {
            // The whole id, as names are taken once.
            let name = format!("recovered-{}", id.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            conn.execute("INSERT INTO tenants (id, name, created_at) VALUES (?1, ?2, 0)", (&id, &name))?;
            renew(conn, &TENANTS, "id", &id)?;
            lost.push(format!("the row of a tenant is lost: what it owned is kept under `{name}`"));
        }
        Ok(())
    }
}

/// Leaves out faces without a template of their pack and templates without a face.
fn without_templates(conn: &Connection, lost: &mut Vec<String>) -> Answer<()> {
    let sql = "SELECT id, sequence FROM faces AS f
               WHERE NOT EXISTS (SELECT 1 FROM templates AS t WHERE t.face = f.sequence AND t.pack = f.pack) ORDER BY id";
    let faces = all(conn, sql, (), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    for (idx, (id, sequence)) in faces.iter().enumerate() {
        if idx < NAMED_MAX {
            lost.push(format!("face {id} is lost: its template is damaged"));
        }
        conn.prepare_cached("DELETE FROM templates WHERE face = ?1")?.execute([sequence])?;
        conn.prepare_cached("DELETE FROM faces WHERE sequence = ?1")?.execute([sequence])?;
    }
    if faces.len() > NAMED_MAX {
        lost.push(format!("{} faces more are lost: their templates are damaged", faces.len() - NAMED_MAX));
    }
    let n_alone = conn.execute("DELETE FROM templates WHERE face NOT IN (SELECT sequence FROM faces)", [])?;
    if n_alone > 0 {
        lost.push(format!(
            "{n_alone} faces are lost: their records are damaged (their templates are there and left out)"
        ));
    }
    Ok(())
}

/// Whose the sets (`s`) and persons (`p`) are that commits name; `None` for those that were deleted.
type Owners = HashMap<(char, i64), Option<Vec<u8>>>;

/// What the commits say: the owners, and the sets that show each face.
fn known_by_commits(conn: &Connection) -> Answer<(Owners, BTreeMap<i64, BTreeSet<i64>>)> {
    let mut owners = HashMap::new();
    let mut enrolled: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    // Of faces they tell only from where on all are kept: before that an enrolment may be there without its delete.
    let sql = "SELECT coalesce(max(revision), 0) FROM commits WHERE length(changes) = 0";
    let whole_after: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    let mut statement = conn.prepare("SELECT tenant, changes, revision FROM commits ORDER BY revision")?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let tenant: Vec<u8> = row.get(0)?;
        for change in refs_of(&row.get::<_, Vec<u8>>(1)?).unwrap_or_default() {
            match &change {
                ChangeRef::Put(set, face) if row.get::<_, i64>(2)? > whole_after => {
                    enrolled.entry(face.get().cast_signed()).or_default().insert(set.get().cast_signed());
                }
                ChangeRef::Removed(set, face) => {
                    if let Some(sets) = enrolled.get_mut(&face.get().cast_signed()) {
                        sets.remove(&set.get().cast_signed());
                    }
                }
                ChangeRef::Closed(set) => {
                    for sets in enrolled.values_mut() {
                        sets.remove(&set.get().cast_signed());
                    }
                }
                _ => {}
            }
            let (key, owner) = match change {
                ChangeRef::Opened(set) | ChangeRef::Put(set, _) | ChangeRef::FaceSetChanged(set) => {
                    (('s', set.get()), Some(tenant.clone()))
                }
                ChangeRef::Closed(set) => (('s', set.get()), None),
                ChangeRef::PersonChanged(person) => (('p', person.get()), Some(tenant.clone())),
                ChangeRef::PersonDeleted(person) => (('p', person.get()), None),
                _ => continue,
            };
            owners.insert((key.0, key.1.cast_signed()), owner);
        }
    }
    Ok((owners, enrolled))
}

/// Names the faces that the commits show enrolled and that are not there.
fn missing(conn: &Connection, enrolled: &BTreeMap<i64, BTreeSet<i64>>, lost: &mut Vec<String>) -> Answer<()> {
    let mut missing = Vec::new();
    for (face, _) in enrolled.iter().filter(|(_, sets)| !sets.is_empty()) {
        if !conn.prepare_cached("SELECT 1 FROM faces WHERE id = ?1")?.exists([face])? {
            missing.push(face.to_string());
        }
    }
    if !missing.is_empty() {
        let n_missing = missing.len();
        let more = if n_missing > NAMED_MAX { ", .." } else { "" };
        missing.truncate(NAMED_MAX);
        lost.push(format!(
            "by the commits, {n_missing} faces that were enrolled are missing: {}{more}",
            missing.join(", ")
        ));
    }
    Ok(())
}

/// Names the access keys that the commits show made and that are not there.
fn missing_keys(conn: &Connection, lost: &mut Vec<String>) -> Answer<()> {
    let mut made: BTreeSet<String> = BTreeSet::new();
    let mut statement = conn.prepare("SELECT changes FROM commits ORDER BY revision")?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        for change in refs_of(&row.get::<_, Vec<u8>>(0)?).unwrap_or_default() {
            match change {
                ChangeRef::Key(key, KeyAction::Deleted) => drop(made.remove(key.as_str())),
                ChangeRef::Key(key, _) => drop(made.insert(key.as_str().to_owned())),
                _ => {}
            }
        }
    }
    // Keys go with their tenant.
    let is_there = "SELECT 1 FROM access_keys WHERE id = ?1";
    let mut n_named = 0;
    for key in made {
        if n_named < NAMED_MAX && !conn.prepare_cached(is_there)?.exists([&key])? {
            n_named += 1;
            lost.push(format!("by the commits, access key {key} is missing, or went with its tenant: make a new one"));
        }
    }
    Ok(())
}

fn erase_owner(conn: &Connection, tag: char, id: i64) -> Answer<()> {
    let column = if tag == 's' { "face_set" } else { "person" };
    let faces = format!("SELECT sequence FROM faces WHERE {column} = ?1");
    conn.execute(&format!("DELETE FROM templates WHERE face IN ({faces})"), [id])?;
    conn.execute(&format!("DELETE FROM faces WHERE {column} = ?1"), [id])?;
    conn.execute(&format!("DELETE FROM memberships WHERE {column} = ?1"), [id])?;
    Ok(())
}

/// Leaves out what refers to nothing, and what is deleted but was not yet erased.
fn links(conn: &Connection, lost: &mut Vec<String>) -> Answer<()> {
    let n_faces =
        conn.execute("DELETE FROM faces WHERE EXISTS (SELECT 1 FROM held_faces AS h WHERE h.id = faces.id)", [])?;
    if n_faces > 0 {
        lost.push(format!("{n_faces} faces are lost: a held face has their id"));
    }
    conn.execute_batch(
        "DELETE FROM templates WHERE face NOT IN (SELECT sequence FROM faces);
         DELETE FROM memberships WHERE (SELECT s.tenant FROM face_sets AS s WHERE s.id = face_set)
             IS NOT (SELECT p.tenant FROM persons AS p WHERE p.id = person)
             OR EXISTS (SELECT 1 FROM persons AS p WHERE p.id = person AND p.key IS NULL);
         INSERT INTO held_tenants (tenant, n_held) SELECT tenant, count(*) FROM held_faces GROUP BY tenant;",
    )?;
    Ok(())
}

/// What each set shows: its own faces and those of its members that have a template of its pack.
fn galleries(conn: &Connection) -> Answer<()> {
    conn.execute_batch(
        "INSERT OR IGNORE INTO gallery (face_set, sequence)
             SELECT f.face_set, f.sequence FROM faces AS f JOIN face_sets AS s ON s.id = f.face_set
             WHERE EXISTS (SELECT 1 FROM templates AS t WHERE t.face = f.sequence AND t.pack = s.pack)
             ORDER BY f.face_set, f.sequence;
         INSERT OR IGNORE INTO gallery (face_set, sequence)
             SELECT m.face_set, f.sequence FROM memberships AS m JOIN face_sets AS s ON s.id = m.face_set
             JOIN faces AS f ON f.person = m.person
             JOIN templates AS t ON t.face = f.sequence AND t.pack = s.pack
             WHERE s.name IS NOT NULL;",
    )?;
    Ok(())
}

/// Compares what sets and persons counted with what is there, says what is missing, and counts anew.
fn compare_counters(conn: &Connection, lost: &mut Vec<String>) -> Answer<()> {
    for (what, of_what, sql) in [
        (
            "face set",
            "faces in its gallery, its members' among them,",
            "SELECT id, n_gallery, (SELECT count(*) FROM gallery AS g WHERE g.face_set = face_sets.id) FROM face_sets
             WHERE name IS NOT NULL ORDER BY id",
        ),
        (
            "face set",
            "faces",
            "SELECT id, n_owned, (SELECT count(*) FROM faces AS f WHERE f.face_set = face_sets.id) FROM face_sets
             WHERE name IS NOT NULL ORDER BY id",
        ),
        (
            "person",
            "faces",
            "SELECT id, n_faces, (SELECT count(*) FROM faces AS f WHERE f.person = persons.id) FROM persons
             WHERE key IS NOT NULL ORDER BY id",
        ),
    ] {
        for (id, n_before, n_now) in
            all(conn, sql, (), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))?
        {
            if n_now < n_before {
                lost.push(format!("{what} {id}: {n_now} of {n_before} {of_what} are there"));
            }
        }
    }
    conn.execute_batch(
        "UPDATE face_sets SET n_owned = (SELECT count(*) FROM faces AS f WHERE f.face_set = face_sets.id),
                              n_gallery = (SELECT count(*) FROM gallery AS g WHERE g.face_set = face_sets.id);
         UPDATE persons SET n_faces = (SELECT count(*) FROM faces AS f WHERE f.person = persons.id);",
    )?;
    Ok(())
}
