//! What a library consists of, table by table, in the form that is the same in every store.
//!
//! A row has the values of [`Kind::columns`] in their order, its key first. What a store adds for itself is left out: checksums,
//! counters that follow from other rows, leases, places of rows in its files.

use xxhash_rust::xxh3::Xxh3;

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Null,
    Whole(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Cell {
    /// The number; `None` for anything else.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "a database alone asks for it"))]
    pub(crate) fn whole(&self) -> Option<i64> {
        match self {
            Self::Whole(number) => Some(*number),
            _ => None,
        }
    }

    /// The bytes of a text or of bytes; `None` for anything else.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "a database alone asks for it"))]
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Null | Self::Whole(_) => None,
        }
    }
}

/// Whose a row is; see [`Kind::owner_sql`].
#[derive(Debug, Default)]
pub(crate) struct Owner {
    pub(crate) tenant: Option<String>,
    pub(crate) face_set: Option<String>,
    pub(crate) person: Option<String>,
    pub(crate) face: Option<i64>,
}

/// The values of a row, or of its key alone.
pub(crate) type Row = Vec<Cell>;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Whole,
    /// 0 or 1.
    Flag,
    Text,
    Bytes,
}

/// A column, which may have another name in PostgreSQL.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "a database alone asks what a column is there"))]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) in_postgres: &'static str,
    pub(crate) holds: Type,
}

const fn column(name: &'static str, holds: Type) -> Column {
    Column { name, in_postgres: name, holds }
}

const fn whole(name: &'static str) -> Column {
    column(name, Type::Whole)
}

const fn flag(name: &'static str) -> Column {
    column(name, Type::Flag)
}

const fn text(name: &'static str) -> Column {
    column(name, Type::Text)
}

const fn bytes(name: &'static str) -> Column {
    column(name, Type::Bytes)
}

/// A table.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Its name in every store.
    pub(crate) table: &'static str,
    /// The key's columns first.
    pub(crate) columns: &'static [Column],
    /// Columns of the key.
    pub(crate) n_key: usize,
    /// Rows that are handled together: bounds what is in memory.
    pub(crate) n_page: usize,
    /// Whether others refer to its rows, so that they are changed in place.
    pub(crate) is_referred_to: bool,
    /// Of those, the column that is emptied first, so that names may change places.
    pub(crate) emptied: Option<&'static str>,
}

/// Of rows of some hundred bytes.
const USUAL: usize = 4096;

impl Kind {
    /// What people call its rows.
    pub(crate) fn words(&self) -> String {
        self.table.replace('_', " ")
    }

    /// Columns of the key.
    pub(crate) fn key(&self) -> &'static [Column] {
        &self.columns[..self.n_key]
    }

    /// A question for tenant, face set, person and face that a row belongs to, by the first cell of its key; `None` for
    /// rows that belong to none. Both stores understand it.
    pub(crate) fn owner_sql(&self) -> Option<&'static str> {
        Some(match self.table {
            "faces" | "templates" | "thumbnails" => {
                "SELECT t.name, s.name, p.key, f.id FROM faces AS f LEFT JOIN face_sets AS s ON s.id = f.face_set
                 LEFT JOIN persons AS p ON p.id = f.person LEFT JOIN tenants AS t ON t.id = coalesce(s.tenant, p.tenant)
                 WHERE f.sequence = $1"
            }
            "face_sets" | "memberships" | "thumbnail_sets" => {
                "SELECT t.name, s.name, CAST(NULL AS text), CAST(NULL AS bigint) FROM face_sets AS s
                 LEFT JOIN tenants AS t ON t.id = s.tenant WHERE s.id = $1"
            }
            "persons" => {
                "SELECT t.name, CAST(NULL AS text), p.key, CAST(NULL AS bigint) FROM persons AS p
                 LEFT JOIN tenants AS t ON t.id = p.tenant WHERE p.id = $1"
            }
            _ => return None,
        })
    }

    /// Names a row whose checksum does not match, as far as what is left of it says whose it is.
    pub(crate) fn damaged_row(&self, key: &[Cell], owner: Option<Owner>) -> String {
        let Owner { tenant, face_set, person, face } = owner.unwrap_or_default();
        let quoted = |what: &str, name: Option<String>| name.map(|name| format!("{what} `{name}`"));
        let parts = [
            face.map(|id| format!("face {id}")),
            quoted("face set", face_set),
            quoted("person", person),
            quoted("tenant", tenant),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let whose = if parts.is_empty() { format!("{key:?}") } else { parts.join(", ") };
        format!("the checksum of a row of `{}` ({whose}) does not match", self.table)
    }

    /// Where a column is.
    pub(crate) fn idx_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

const fn kind(table: &'static str, n_key: usize, columns: &'static [Column]) -> Kind {
    Kind { table, columns, n_key, n_page: USUAL, is_referred_to: false, emptied: None }
}

/// Every table, those first to which others refer.
pub(crate) const KINDS: &[Kind] = &[
    Kind {
        is_referred_to: true,
        ..kind(
            "tenants",
            1,
            &[
                bytes("id"),
                whole("rank"),
                text("name"),
                whole("created_at"),
                whole("face_sets_max"),
                whole("faces_max"),
                whole("persons_max"),
                whole("face_set_faces_max"),
                whole("person_faces_max"),
                whole("calls_per_second"),
            ],
        )
    },
    kind("deleted_tenants", 1, &[bytes("tenant"), flag("erased")]),
    kind(
        "access_keys",
        1,
        &[
            text("id"),
            whole("rank"),
            text("secret"),
            bytes("tenant"),
            flag("enabled"),
            whole("created_at"),
            text("grants"),
            bytes("face_sets"),
            text("label"),
            whole("expires_at"),
            text("previous_secret"),
            whole("previous_until"),
            whole("last_used_at"),
        ],
    ),
    kind("installation", 1, &[whole("id"), bytes("secret")]),
    Kind {
        is_referred_to: true,
        emptied: Some("name"),
        ..kind(
            "face_sets",
            1,
            &[
                whole("id"),
                whole("sequence"),
                bytes("tenant"),
                text("name"),
                text("label"),
                text("note"),
                text("tags"),
                text("pack"),
                text("fields"),
                whole("capacity"),
                text("quality_gate"),
                whole("created_at"),
                flag("made_by_joining"),
                whole("n_gallery"),
                whole("n_owned"),
            ],
        )
    },
    Kind {
        is_referred_to: true,
        emptied: Some("key"),
        ..kind(
            "persons",
            1,
            &[
                whole("id"),
                bytes("tenant"),
                text("key"),
                text("name"),
                text("note"),
                whole("created_at"),
                whole("n_faces"),
            ],
        )
    },
    kind("memberships", 2, &[whole("face_set"), whole("sequence"), whole("person")]),
    Kind {
        is_referred_to: true,
        emptied: Some("external_id"),
        ..kind(
            "faces",
            1,
            &[
                whole("sequence"),
                whole("id"),
                whole("face_set"),
                whole("person"),
                text("pack"),
                bytes("detection"),
                bytes("quality"),
                text("subject"),
                text("external_id"),
                bytes("fields"),
                text("note"),
                text("source"),
                whole("created_at"),
                whole("updated_at"),
                Column { name: "origin", in_postgres: "source_face", holds: Type::Whole },
            ],
        )
    },
    kind("thumbnail_sets", 1, &[whole("face_set"), flag("wanted"), whole("reached")]),
    kind("templates", 2, &[whole("face"), text("pack"), bytes("vector")]),
    kind("gallery", 2, &[whole("face_set"), whole("sequence")]),
    // Thumbnails go with them.
    Kind {
        is_referred_to: true,
        ..kind(
            "held_faces",
            1,
            &[
                whole("sequence"),
                whole("id"),
                bytes("tenant"),
                text("key"),
                text("pack"),
                bytes("detection"),
                bytes("quality"),
                text("subject"),
                bytes("vector"),
                whole("created_at"),
                whole("expires_at"),
            ],
        )
    },
    Kind { n_page: 256, ..kind("thumbnails", 1, &[whole("face"), bytes("picture")]) },
    // Payloads and results may be long.
    Kind {
        n_page: 32,
        ..kind(
            "jobs",
            1,
            &[
                whole("sequence"),
                whole("id"),
                bytes("tenant"),
                text("key"),
                text("kind"),
                bytes("payload"),
                bytes("result"),
                whole("n_attempts"),
                whole("due_at"),
                whole("created_at"),
                whole("expires_at"),
            ],
        )
    },
    kind("spent", 2, &[text("scope"), bytes("token"), whole("expires_at")]),
    // They may be of 20 MB each.
    Kind { n_page: 2, ..kind("pictures", 2, &[bytes("tenant"), text("name"), whole("expires_at"), bytes("bytes")]) },
    Kind {
        n_page: 32,
        ..kind(
            "records",
            2,
            &[
                text("scope"),
                bytes("id"),
                whole("number"),
                bytes("tenant"),
                text("bucket"),
                whole("created_at"),
                whole("expires_at"),
                bytes("value"),
            ],
        )
    },
    kind("pending_deletes", 1, &[whole("id"), bytes("tenant"), text("key"), text("request"), bytes("faces")]),
    kind(
        "respelled",
        1,
        &[
            whole("id"),
            text("kind"),
            Column { name: "row", in_postgres: "row_id", holds: Type::Whole },
            whole("other"),
            text("suffix"),
        ],
    ),
    kind(
        "commits",
        1,
        &[whole("revision"), whole("at"), bytes("tenant"), text("key"), text("request"), bytes("changes")],
    ),
];

/// The digest of a row, the same in every store: 64-bit XXH3 of the table's name and its values.
pub(crate) fn digest(kind: &Kind, row: &[Cell]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(kind.table.as_bytes());
    update(&mut hash, row);
    hash.digest()
}

/// The digest of a row of which a store knows a checksum of its own, over that and the values that it leaves out.
pub(crate) fn digest_of_checksum(checksum: i64, others: &[Cell]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&checksum.to_le_bytes());
    update(&mut hash, others);
    hash.digest()
}

fn update(hash: &mut Xxh3, cells: &[Cell]) {
    for cell in cells {
        let (tag, bytes): (u8, &[u8]) = match cell {
            Cell::Null => (0, &[]),
            Cell::Whole(number) => {
                let mut head = [1; 9];
                head[1..].copy_from_slice(&number.to_le_bytes());
                hash.update(&head);
                continue;
            }
            Cell::Text(text) => (2, text.as_bytes()),
            Cell::Bytes(bytes) => (3, bytes),
        };
        let mut head = [tag; 9];
        head[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        hash.update(&head);
        hash.update(bytes);
    }
}
