//! A new library from whatever can still be read of a damaged one.
//!
//! Every page of the database and its log is read ([`pages`]) and every row in it ([`super::cells`]) without regard to the trees
//! that SQLite keeps, so one damaged page costs no other. Which table a row is of, and that it is what was written, it proves
//! itself by its checksum ([`super::checksums`]). Where the structure of a page is damaged, a row is looked for at every byte.
//! Galleries and counters are made anew from the rows.
//!
//! Of a face set, person or tenant whose own row is lost a substitute is made, so that the faces are not lost with it. The
//! damaged library is read only.

mod pages;
mod rows;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use likeness_domain::types::Revision;
use likeness_domain::{Error, Result};
use rusqlite::types::Value;

use self::pages::Pages;
use self::rows::NewLibrary;
use super::cells::{Kind, cell, cell_offsets, children, is_accounted_for};
use super::checksums::FIRST_LAYOUT;
use super::errors::Answer;
use super::identity::{self, Found, Identity};
use super::losses::{Loss, Losses};
use super::numbers::Counters;
use super::presence::{UNFINISHED, loss_between};
use super::respell;
use super::schema::{self, DATABASE_FILE, FileUse, MIGRATIONS, Purpose};
use super::upgrade;
use crate::folder::DataFolder;

/// Rows written in one transaction.
const CHUNK_ROWS: u64 = 20_000;

/// What a recovery found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Pages of the damaged database.
    pub n_pages: u32,
    /// Of those, how many could not be read at all.
    pub n_pages_unreadable: u32,
    /// Tenants of the new library.
    pub n_tenants: u64,
    /// Access keys.
    pub n_keys: u64,
    /// Face sets.
    pub n_face_sets: u64,
    /// Persons.
    pub n_persons: u64,
    /// Faces with a template.
    pub n_faces: u64,
    /// Rows of all tables that were found.
    pub n_rows: u64,
    /// What is lost, and what was put in its place.
    pub lost: Vec<String>,
    /// Acknowledged commits that are missing.
    loss: Option<Loss>,
}

/// Reads what can be read of the library in `dir` and writes it to a new library in `to`, which must be empty or not exist.
/// Nothing is written to `dir`. [`likeness_domain::Kind::InvalidArgument`] if `dir` is in use, has no database, or `to` holds
/// something.
pub fn recover(dir: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Recovered> {
    let (dir, to) = (dir.as_ref(), to.as_ref());
    let failed = |doing: &str, path: &Path, error: std::io::Error| {
        Error::invalid("data", format!("cannot {doing} `{}`: {error}", path.display())).with_source(error)
    };
    // Not `DataFolder::lock`, which writes its number.
    let source = std::fs::File::open(dir).map_err(|error| failed("open", dir, error))?;
    if let Err(std::fs::TryLockError::WouldBlock) = source.try_lock() {
        let message = format!("data folder `{}` is in use", dir.display());
        return Err(Error::invalid("data", message).with_hint("stop the server that has it"));
    }
    // The folder need not be there yet; of those above it the nearest that is tells where it will be.
    let nearest = to.ancestors().map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let nearest = nearest.into_iter().find_map(|path| path.canonicalize().ok());
    if let (Some(nearest), Ok(source)) = (nearest, dir.canonicalize())
        && nearest.starts_with(&source)
    {
        let message =
            format!("`{}` lies in the data folder that is read, to which nothing may be written", to.display());
        return Err(Error::invalid("to", message).with_hint("name a folder outside it"));
    }
    if std::fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!("`{}` is not empty", to.display());
        return Err(Error::invalid("to", message).with_hint("name a folder that does not exist yet"));
    }
    let database = dir.join(DATABASE_FILE);
    let pages = Pages::open(&database, &dir.join(format!("{DATABASE_FILE}-wal")))
        .map_err(|error| failed("read", &database, error))?;
    refuse_older(&pages, dir)?;
    let identity = match identity::read(dir) {
        Ok(Found::Identity(identity)) => Some(identity),
        _ => None,
    };
    let folder = DataFolder::lock(to)?;
    let unfinished = to.join(UNFINISHED);
    std::fs::create_dir(&unfinished).map_err(|error| failed("make", &unfinished, error))?;
    let (mut recovered, counters, library) = schema::opened(fill(&pages, &unfinished, identity), to)?;
    if recovered.is_empty() {
        let _ = std::fs::remove_dir_all(&unfinished);
        let message =
            format!("no row of a library was found in the {} pages of `{}`", recovered.n_pages, database.display());
        return Err(Error::invalid("data", message).with_hint(
            "restore a backup; of a library that a program older than layout 7 wrote, the `.recover` of SQLite's own shell may \
             get something",
        ));
    }
    // What was known to be missing stays known until somebody says that it was seen.
    let mut losses = Losses::read(dir, library);
    recovered.lost.extend(losses.words());
    if let Some(loss) = recovered.loss {
        recovered.lost.push(loss.to_string());
        losses.add(to, library, loss);
    }
    losses.keep(to, library);
    std::fs::rename(unfinished.join(DATABASE_FILE), to.join(DATABASE_FILE))
        .and_then(|()| std::fs::remove_dir_all(&unfinished))
        .and_then(|()| identity::create(to, library, counters))
        .map_err(|error| failed("finish", to, error))?;
    drop((folder, source));
    Ok(recovered)
}

impl Recovered {
    /// Whether nothing was found.
    fn is_empty(&self) -> bool {
        let n_found = self.n_tenants + self.n_keys + self.n_face_sets + self.n_persons + self.n_faces;
        self.n_rows == 0 && n_found == 0
    }
}

/// Refuses a library of a layout whose rows have no checksums, so that nothing tells what they are: it would be taken for one
/// without rows.
fn refuse_older(pages: &Pages, dir: &Path) -> Result<()> {
    let Ok(page) = pages.read(1) else { return Ok(()) };
    let word =
        |at: usize| page.get(at..at + 4).map_or(0, |word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    // Bytes 60 and 68 of the header: `user_version` and `application_id`.
    let (version, application_id) = (word(60), word(68));
    let is_ours = page.starts_with(b"SQLite format 3\0") && application_id == schema::APPLICATION_ID.cast_unsigned();
    // A number in the header may be damaged itself: a table of a later layout proves that it is.
    if !is_ours || !(1..FIRST_LAYOUT).contains(&version) || has_table_of_commits(pages) {
        return Ok(());
    }
    let message = format!(
        "the library in `{}` has layout {version}; only rows from layout {FIRST_LAYOUT} on tell what they are and can be \
         recovered",
        dir.display()
    );
    Err(Error::invalid("data", message).with_hint(
        "start `likeness serve` on a copy, which upgrades what SQLite can still read; if it does not open, restore a backup, or \
         write what can be read to a new `likeness.db` with the `.recover` of SQLite's own shell and start that",
    ))
}

/// Whether any page has the text of the table that came with the first layout whose rows have checksums.
fn has_table_of_commits(pages: &Pages) -> bool {
    let text = b"CREATE TABLE commits";
    let has_text = |page: Vec<u8>| page.windows(text.len()).any(|window| window == text);
    (1..=pages.n_pages()).any(|number| pages.read(number).is_ok_and(has_text))
}

/// Makes the database of the new library.
fn fill(pages: &Pages, dir: &Path, identity: Option<Identity>) -> Answer<(Recovered, Counters, identity::LibraryId)> {
    let mut conn = schema::connect(dir, Purpose::Write, FileUse::Shared, &Arc::default())?;
    upgrade::migrate(&mut conn, MIGRATIONS)?;
    // Rows come in any order; the links are checked at the end. It is flushed once, at the end.
    conn.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF;")?;
    let mut recovered = Recovered { n_pages: pages.n_pages(), ..Recovered::default() };
    recovered.lost.extend(pages.damage.iter().cloned());
    let mut library = NewLibrary::new(&conn, identity.map(|identity| identity.library))?;
    conn.execute_batch("BEGIN")?;
    read_all(pages, &mut library, &mut recovered, &conn)?;
    library.complete(&conn, &mut recovered.lost)?;
    recovered.n_rows = library.n_rows();
    // Of a library of an older layout.
    respell::respell(&conn)?;
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, u64>(0));
    recovered.n_tenants = number("SELECT count(*) FROM tenants")?;
    recovered.n_keys = number("SELECT count(*) FROM access_keys")?;
    recovered.n_face_sets = number("SELECT count(*) FROM face_sets WHERE name IS NOT NULL")?;
    recovered.n_persons = number("SELECT count(*) FROM persons WHERE key IS NOT NULL")?;
    recovered.n_faces = number("SELECT count(*) FROM faces")?;
    // No number of the damaged library is used again, and followers of it start anew from the tables.
    let newest = number("SELECT coalesce(max(revision), 0) FROM commits")?.max(library.revision());
    let (acknowledged, sequence) = identity.and_then(|identity| identity.acknowledged).unwrap_or((0, 1));
    // Of a damaged row of `store` nothing is known.
    recovered.loss = loss_between(newest, acknowledged).filter(|_| library.revision() > 0);
    let revision = newest.max(acknowledged) + 1;
    let sequence = sequence.max(number(
        "SELECT 1 + max(coalesce((SELECT max(sequence) FROM faces), 0), coalesce((SELECT max(sequence) FROM held_faces), 0),
                        coalesce((SELECT max(sequence) FROM face_sets), 0),
                        coalesce((SELECT max(sequence) FROM memberships), 0))",
    )?);
    conn.execute(
        "UPDATE store SET revision = ?1, last_commit = ?1, compacted = ?1, next_sequence = ?2",
        (revision, sequence),
    )?;
    conn.execute("DELETE FROM commits", [])?;
    if let Some(identity) = identity {
        conn.execute("UPDATE store SET library = ?1", [identity.library])?;
    }
    let id: Vec<u8> = conn.query_row("SELECT library FROM store", [], |row| row.get(0))?;
    conn.execute_batch("COMMIT")?;
    // Everything into the one file, flushed.
    conn.execute_batch("PRAGMA synchronous = FULL;")?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let counters = Counters { revision: Revision(revision), next_sequence: sequence, last_commit: Revision(revision) };
    drop(library);
    drop(conn);
    Ok((recovered, counters, id.try_into().unwrap_or_default()))
}

/// Reads every row of every page into the new library.
fn read_all(
    pages: &Pages,
    library: &mut NewLibrary,
    recovered: &mut Recovered,
    conn: &rusqlite::Connection,
) -> Answer<()> {
    let mut page_of = |number: u32| pages.read(number).ok();
    let tables = tables_of_pages(pages);
    // Pages in which the structure is damaged, or that are no page of rows.
    let mut doubtful = Vec::new();
    let mut overflow = HashSet::new();
    let mut n_written = 0;
    for number in 1..=pages.n_pages() {
        let Ok(page) = pages.read(number) else {
            recovered.n_pages_unreadable += 1;
            continue;
        };
        let table = tables.get(&number).map(String::as_str);
        let Some(kind) = Kind::of(&page, number) else {
            if page.iter().any(|&byte| byte != 0) {
                doubtful.push(number);
            } else if let Some(table) = table {
                recovered.lost.push(format!("page {number} of `{table}` is full of zeros: what stood in it is lost"));
            }
            continue;
        };
        let mut is_whole = true;
        let mut n_cell_bytes = 0;
        for at in cell_offsets(&page, number, kind) {
            match cell(&page, at, kind, &mut page_of) {
                Some(record) => {
                    n_cell_bytes += record.n_bytes;
                    overflow.extend(record.overflow.iter().copied());
                    is_whole &= library.put(conn, &record, table)?;
                }
                None => is_whole = false,
            }
        }
        if !is_whole || !is_accounted_for(&page, number, n_cell_bytes) {
            doubtful.push(number);
        }
        if library.n_rows() - n_written >= CHUNK_ROWS {
            n_written = library.n_rows();
            conn.execute_batch("COMMIT; BEGIN")?;
        }
    }
    for number in doubtful {
        if overflow.contains(&number) || is_pointer_map(number, pages.page_bytes()) {
            continue;
        }
        let Ok(page) = pages.read(number) else { continue };
        for at in 0..page.len() {
            for kind in [Kind::TableLeaf, Kind::IndexLeaf] {
                if let Some(record) = cell(&page, at, kind, &mut page_of) {
                    library.put_proven(conn, &record)?;
                }
            }
        }
    }
    Ok(())
}

/// Which table each page is of, as far as the list of tables and the inner pages of their trees can be read. Pages of indexes
/// are left out, since nothing is lost with them.
fn tables_of_pages(pages: &Pages) -> HashMap<u32, String> {
    let mut page_of = |number: u32| pages.read(number).ok();
    let mut roots = Vec::new();
    for number in tree(pages, 1) {
        let Ok(page) = pages.read(number) else { continue };
        let Some(kind @ Kind::TableLeaf) = Kind::of(&page, number) else { continue };
        for at in cell_offsets(&page, number, kind) {
            // Type, name, table, root, text.
            let record = cell(&page, at, kind, &mut page_of).map(|record| record.values);
            if let Some([Value::Text(kind), Value::Text(name), _, Value::Integer(root), _]) = record.as_deref()
                && kind == "table"
                && let Ok(root) = u32::try_from(*root)
            {
                roots.push((name.clone(), root));
            }
        }
    }
    let mut tables = HashMap::new();
    for (name, root) in roots {
        for number in tree(pages, root) {
            tables.entry(number).or_insert_with(|| name.clone());
        }
    }
    tables
}

/// Every page of a tree, each once, also of one whose pages may be anything.
fn tree(pages: &Pages, root: u32) -> Vec<u32> {
    let (mut found, mut seen) = (vec![root], HashSet::from([root]));
    let mut next_idx = 0;
    while let Some(&number) = found.get(next_idx) {
        next_idx += 1;
        let Ok(page) = pages.read(number) else { continue };
        let below = children(&page, number).into_iter().filter(|&child| child <= pages.n_pages());
        found.extend(below.filter(|&child| seen.insert(child)));
    }
    found
}

/// For fuzzing: reads every row of a page and tries one at every byte. Long rows go on in the page itself.
pub(super) fn fuzz_page(page: &[u8]) {
    let mut page_of = |_: u32| Some(page.to_vec());
    for number in [1, 2] {
        if let Some(kind) = Kind::of(page, number) {
            for at in cell_offsets(page, number, kind) {
                let _ = cell(page, at, kind, &mut page_of);
            }
            let _ = is_accounted_for(page, number, 0);
        }
        let _ = children(page, number);
    }
    for at in 0..page.len() {
        for kind in [Kind::TableLeaf, Kind::IndexLeaf, Kind::IndexInner] {
            let _ = cell(page, at, kind, &mut page_of);
        }
    }
}

/// Whether the page is one of those that say where others belong, which `auto_vacuum` needs: page 2, and then one for every
/// fifth of a page's bytes.
fn is_pointer_map(number: u32, page_bytes: usize) -> bool {
    let every = page_bytes as u32 / 5 + 1;
    number >= 2 && (number - 2).is_multiple_of(every)
}
