//! A checksum on every row that matters, so that a fallen bit cannot become somebody else's face.
//!
//! The checksum is the 64-bit XXH3 of the table's name and the row's values, its identity among them, kept in the column
//! `checksum`. Two SQL functions, registered with every connection, compute and compare it:
//! - `row_checksum(table, value, ...)` is used by every statement that writes a row;
//! - `row_intact(table, checksum, value, ...)` is selected by every statement that reads one. What does not match is
//!   counted and logged ([`super::damage`]); the reader leaves the row out or refuses ([`super::rows`]).
//!
//! The columns are listed once, in the [`CheckedTable`]s below. Whoever changes a checked column with `UPDATE` calls
//! [`renew`] afterwards. Exact counters (`n_gallery` and the like) are not part of a checksum, since every enrolment would
//! have to compute it anew: they are recounted from the tables when the store is opened.

use std::sync::LazyLock;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ToSql};
use xxhash_rust::xxh3::Xxh3;

use super::errors::Answer;

/// The first layout whose rows have checksums, and whose library has an id.
pub(super) const FIRST_LAYOUT: u32 = 7;

/// A table whose rows carry a checksum.
#[derive(Debug)]
pub(super) struct CheckedTable {
    /// Its name, which is part of the checksum: a row that strays into another table does not match there.
    pub(super) name: &'static str,
    /// What a row is, for people.
    pub(super) what: &'static str,
    /// The columns of the checksum, in its order. The first is how a damaged row is named to people.
    pub(super) columns: &'static [&'static str],
    /// Columns that are left out, with a reason beside each. A test holds that every column is in one of the two lists.
    #[cfg_attr(not(test), expect(dead_code, reason = "documents the layout; read by the test of it"))]
    pub(super) unchecked: &'static [&'static str],
}

/// Everything of a face but its templates.
pub(super) const FACES: CheckedTable = CheckedTable {
    name: "faces",
    what: "face",
    columns: &[
        "id",
        "sequence",
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
        "origin",
    ],
    unchecked: &[],
};

/// The vectors. A template is known by its face and pack.
pub(super) const TEMPLATES: CheckedTable = CheckedTable {
    name: "templates",
    what: "template of the face with sequence",
    columns: &["face", "pack", "vector"],
    unchecked: &["id"], // Nobody refers to it.
};

/// Which sets keep pictures.
pub(super) const THUMBNAIL_SETS: CheckedTable = CheckedTable {
    name: "thumbnail_sets",
    what: "note that pictures are kept, of the face set",
    columns: &["face_set", "wanted"],
    unchecked: &["reached"], // How far the erasing is; at the worst it begins anew.
};

/// Small pictures of faces.
pub(super) const THUMBNAILS: CheckedTable = CheckedTable {
    name: "thumbnails",
    what: "thumbnail of the face with sequence",
    columns: &["face", "picture"],
    unchecked: &[],
};

/// Face sets but for their counters.
pub(super) const FACE_SETS: CheckedTable = CheckedTable {
    name: "face_sets",
    what: "face set",
    columns: &[
        "id",
        "sequence",
        "tenant",
        "name",
        "label",
        "note",
        "pack",
        "fields",
        "capacity",
        "created_at",
        "made_by_joining",
        "tags",
        "quality_gate",
    ],
    unchecked: &["n_gallery", "n_owned"], // Counters, recounted at opening.
};

/// Persons but for their counter.
pub(super) const PERSONS: CheckedTable = CheckedTable {
    name: "persons",
    what: "person",
    columns: &["id", "tenant", "key", "name", "note", "created_at"],
    unchecked: &["n_faces"], // A counter, recounted at opening.
};

/// Who is in which set.
pub(super) const MEMBERSHIPS: CheckedTable = CheckedTable {
    name: "memberships",
    what: "membership in the face set",
    columns: &["face_set", "sequence", "person"],
    unchecked: &[],
};

/// Faces that are kept for a while without being enrolled.
pub(super) const HELD_FACES: CheckedTable = CheckedTable {
    name: "held_faces",
    what: "held face",
    columns: &[
        "id",
        "sequence",
        "tenant",
        "pack",
        "detection",
        "quality",
        "subject",
        "vector",
        "created_at",
        "expires_at",
        "key",
    ],
    unchecked: &[],
};

/// Tenants.
pub(super) const TENANTS: CheckedTable = CheckedTable {
    name: "tenants",
    what: "tenant",
    columns: &[
        "id",
        "name",
        "created_at",
        "face_sets_max",
        "faces_max",
        "persons_max",
        "face_set_faces_max",
        "person_faces_max",
        "calls_per_second",
    ],
    unchecked: &["rank"], // The order of listing, nothing else.
};

/// Access keys.
pub(super) const ACCESS_KEYS: CheckedTable = CheckedTable {
    name: "access_keys",
    what: "access key",
    columns: &[
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
    ],
    unchecked: &["rank", "last_used_at"], // The order of listing; nothing is decided by the last use.
};

/// The installation's secret.
pub(super) const INSTALLATION: CheckedTable = CheckedTable {
    name: "installation",
    what: "secret of the installation",
    columns: &["id", "secret"],
    unchecked: &[],
};

/// Commits; `previous` makes them a chain.
pub(super) const COMMITS: CheckedTable = CheckedTable {
    name: "commits",
    what: "commit",
    columns: &["revision", "previous", "at", "tenant", "key", "request", "changes"],
    unchecked: &[],
};

/// Steps of large deletes that are still to be made: a damaged one must not erase what nobody meant.
pub(super) const PENDING_DELETES: CheckedTable = CheckedTable {
    name: "pending_deletes",
    what: "pending step of the delete of request",
    columns: &["request", "tenant", "key", "faces"],
    unchecked: &["id"], // The order of working them off.
};

/// Short-lived records: a damaged session must not open somebody else's data.
pub(super) const RECORDS: CheckedTable = CheckedTable {
    name: "records",
    what: "short-lived record",
    columns: &["scope", "id", "tenant", "bucket", "created_at", "expires_at", "value"],
    unchecked: &["number"], // Nobody refers to it.
};

/// Every table whose rows carry a checksum.
pub(super) const TABLES: &[&CheckedTable] = &[
    &TENANTS,
    &ACCESS_KEYS,
    &INSTALLATION,
    &FACE_SETS,
    &PERSONS,
    &MEMBERSHIPS,
    &FACES,
    &TEMPLATES,
    &THUMBNAIL_SETS,
    &THUMBNAILS,
    &HELD_FACES,
    &COMMITS,
    &PENDING_DELETES,
    &RECORDS,
];

impl CheckedTable {
    /// SQL that says whether the row of `alias` is what was written: 1 or 0.
    pub(super) fn intact(&self, alias: &str) -> String {
        let mut sql = format!("row_intact('{}', {alias}.checksum", self.name);
        for column in self.columns {
            sql.push_str(&format!(", {alias}.{column}"));
        }
        sql.push(')');
        sql
    }

    /// SQL of the checksum over the row's present columns.
    pub(super) fn checksum(&self) -> String {
        format!("row_checksum('{}', {})", self.name, self.columns.join(", "))
    }

    /// `INSERT` of a row with its checksum; parameters are [`Self::columns`] in their order.
    pub(super) fn insert(&self) -> String {
        let values: Vec<String> = (1..=self.columns.len()).map(|number| format!("?{number}")).collect();
        let (columns, values) = (self.columns.join(", "), values.join(", "));
        let name = self.name;
        format!("INSERT INTO {name} ({columns}, checksum) VALUES ({values}, row_checksum('{name}', {values}))")
    }
}

/// Columns of a question, put together once.
pub(super) struct Columns(LazyLock<String>);

impl Columns {
    pub(super) const fn new(make: fn() -> String) -> Self {
        Self(LazyLock::new(make))
    }
}

impl std::fmt::Display for Columns {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Computes the checksum of rows anew after `UPDATE` changed them: those whose `column` is `value`.
pub(super) fn renew(conn: &Connection, table: &CheckedTable, column: &str, value: impl ToSql) -> Answer<()> {
    let sql = format!("UPDATE {} SET checksum = {} WHERE {column} = ?1", table.name, table.checksum());
    conn.prepare_cached(&sql)?.execute([value])?;
    Ok(())
}

/// The checksum of a row: 64-bit XXH3 over the table's name and then, per value, a tag (0 NULL, 1 integer, 2 real, 3 text,
/// 4 blob), of texts and blobs the length (u64), and the bytes; numbers are little-endian.
pub(super) fn row_checksum<'a>(table: &str, values: impl IntoIterator<Item = ValueRef<'a>>) -> i64 {
    let mut hash = Xxh3::new();
    hash.update(table.as_bytes());
    for value in values {
        let (tag, bytes): (u8, &[u8]) = match value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => {
                let mut head = [1; 9];
                head[1..].copy_from_slice(&number.to_le_bytes());
                hash.update(&head);
                continue;
            }
            ValueRef::Real(number) => {
                let mut head = [2; 9];
                head[1..].copy_from_slice(&number.to_le_bytes());
                hash.update(&head);
                continue;
            }
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(blob) => (4, blob),
        };
        let mut head = [tag; 9];
        head[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        hash.update(&head);
        hash.update(bytes);
    }
    // SQLite's integers are signed; the bits are what counts.
    hash.digest() as i64
}

#[cfg(test)]
mod tests;
