//! Filling the index from the store when it is opened.

use std::sync::Arc;
use std::time::Instant;

use likeness_domain::filter::Filter;
use likeness_domain::ports::{Change, CommitPage, GalleryChange, GalleryEntry, KeptRows, VectorIndex};
use likeness_domain::types::{Face, FaceOwner, FaceSet, FaceSetId, Revision};
use rusqlite::Connection;

use super::commits;
use super::errors::{Answer, Failure};
use super::identity::LibraryId;
use super::rows::{self, FACE_COLUMNS, SET_COLUMNS, VECTOR_COLUMNS};
use crate::gallery::entry;
use crate::index::kernel::mapped::give_memory_back;
use crate::wait::wait_for;

/// Rows handed to the index at once: bounds the memory held twice.
const CHUNK_ROWS: usize = 4096;

/// Whether the face is the set's own or of a member, as a damaged row of a gallery may name any face.
pub(super) fn belongs(conn: &Connection, face: &Face, face_set: FaceSetId) -> Answer<bool> {
    Ok(match face.owner {
        FaceOwner::FaceSet(owner) => owner == face_set,
        FaceOwner::Person(person) => conn
            .prepare_cached("SELECT 1 FROM memberships WHERE person = ?1 AND face_set = ?2")?
            .exists((person.get(), face_set.get()))?,
    })
}

/// Commits read at a time when an index that kept its rows takes over what came since.
const CHUNK_COMMITS: usize = 256;

/// Most rows that an index may lack because they are damaged in the tables; with more it is filled anew.
const LACKING_MAX: usize = 1000;

/// How an index came to its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// It had kept them.
    Kept,
    /// Every face and template was read.
    Anew,
}

/// Readies `index` for searches as of `revision`: by what it kept of an earlier process and the commits since, if it shows
/// just the faces that the tables have, else by filling it anew.
/// `folder` is [`super::identity::folder_id`]: rows that a copy of the library kept are not this one's.
pub(super) fn fill(
    conn: &Connection,
    folder: LibraryId,
    revision: Revision,
    index: &dyn VectorIndex,
) -> Answer<Filled> {
    let filled = filled(conn, folder, revision, index)?;
    // What was read of the database, up to its whole cache, was read for this alone.
    conn.execute_batch("PRAGMA shrink_memory")?;
    give_memory_back();
    Ok(filled)
}

fn filled(conn: &Connection, folder: LibraryId, revision: Revision, index: &dyn VectorIndex) -> Answer<Filled> {
    let started = Instant::now();
    match reopen(conn, folder, revision, index) {
        Ok(Some(n_rows)) => {
            let elapsed_ms = started.elapsed().as_millis() as u64;
            tracing::info!(n_rows, elapsed_ms, "index found its rows again");
            return Ok(Filled::Kept);
        }
        Ok(None) => {}
        Err(failure) => tracing::warn!(?failure, "the rows that the index kept cannot be used"),
    }
    rebuild(conn, revision, index)?;
    Ok(Filled::Anew)
}

/// The number of rows; `None` if the index kept none that can be used.
fn reopen(conn: &Connection, folder: LibraryId, revision: Revision, index: &dyn VectorIndex) -> Answer<Option<u64>> {
    let sets: Vec<FaceSet> = sets(conn)?.into_iter().map(|set| set.face_set).collect();
    let opened = sets.iter().map(|set| GalleryChange::Open {
        face_set: set.id,
        pack: set.pack.clone(),
        schema: Arc::new(set.schema.clone()),
    });
    let Some(KeptRows { revision: mut reached, lacking }) = wait_for(index.reopen(folder, opened.collect()))? else {
        return Ok(None);
    };
    let unusable = |why: &str| {
        tracing::info!(revision = revision.0, "the index is filled from the store: {why}");
        Ok(None)
    };
    if reached > revision {
        return unusable("what it kept is newer than the database");
    }
    while reached < revision {
        let CommitPage::Commits { commits, reached: page_end, has_more } =
            commits::after(conn, reached, CHUNK_COMMITS)?
        else {
            return unusable("commits since are not listed any more");
        };
        for commit in commits {
            let changes = commit.changes.into_iter().filter_map(|change| match change {
                Change::Gallery(change) => Some(change),
                _ => None,
            });
            wait_for(index.apply(commit.revision, changes.collect()))?;
        }
        if !has_more {
            break;
        }
        reached = page_end;
    }
    for set in &sets {
        let of_set = lacking.iter().filter(|(face_set, _)| *face_set == set.id);
        for chunk in of_set.map(|(_, sequence)| *sequence).collect::<Vec<_>>().chunks(CHUNK_ROWS) {
            let mut changes = Vec::with_capacity(chunk.len());
            for &sequence in chunk {
                // One that is not there any more was taken away by a commit since.
                let entry = searchable(conn, set, sequence)?;
                changes.extend(entry.map(|entry| GalleryChange::Put { face_set: set.id, entry }));
            }
            wait_for(index.apply(revision, changes))?;
        }
    }
    wait_for(index.resume(revision))?;
    // Nobody searches yet: the store is being opened.
    let mut n_rows = 0;
    for set in &sets {
        match compared(conn, set, index)? {
            Some(n) => n_rows += n,
            None => return unusable("it does not show the faces that the store has"),
        }
    }
    Ok(Some(n_rows))
}

/// Rows of a set that the index shows, if they are those that the tables have but for damaged ones.
fn compared(conn: &Connection, set: &FaceSet, index: &dyn VectorIndex) -> Answer<Option<u64>> {
    let shown = wait_for(index.matching(set.id, Arc::new(Filter::Every(Vec::new()))))?;
    let mut statement = conn.prepare_cached("SELECT sequence FROM gallery WHERE face_set = ?1 ORDER BY sequence")?;
    let mut rows = statement.query([set.id.get()])?;
    let (mut shown_idx, mut lacking) = (0, Vec::new());
    while let Some(row) = rows.next()? {
        let sequence = row.get::<_, i64>(0)?.cast_unsigned();
        match shown.get(shown_idx) {
            Some(&next) if next == sequence => shown_idx += 1,
            Some(&next) if next < sequence => return Ok(None),
            _ if lacking.len() == LACKING_MAX => return Ok(None),
            _ => lacking.push(sequence),
        }
    }
    if shown_idx < shown.len() {
        return Ok(None);
    }
    for sequence in lacking {
        if searchable(conn, set, sequence)?.is_some() {
            return Ok(None);
        }
        tracing::error!(sequence, face_set = set.id.get(), "a damaged face is left out of the index");
    }
    Ok(Some(shown.len() as u64))
}

/// A row of a gallery as the index should have it; `None` if it should not, because it is damaged or not there.
pub(super) fn searchable(conn: &Connection, set: &FaceSet, sequence: u64) -> Answer<Option<GalleryEntry>> {
    let sql = format!(
        "SELECT {FACE_COLUMNS}, {VECTOR_COLUMNS} FROM gallery AS g
         CROSS JOIN faces AS f ON f.sequence = g.sequence
         CROSS JOIN templates AS t ON t.face = g.sequence AND t.pack = ?2
         WHERE g.face_set = ?1 AND g.sequence = ?3"
    );
    let read = |row: &rusqlite::Row<'_>| rows::face_and_template(row, set.tenant, &set.pack);
    match rows::first(conn, &sql, (set.id.get(), set.pack.as_str(), sequence), read) {
        Ok(Some((row, template))) if belongs(conn, &row.face, set.id)? => {
            Ok(Some(entry(&row.face, template, row.sequence, &set.schema)))
        }
        Ok(_) | Err(Failure::Damaged(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

fn sets(conn: &Connection) -> Answer<Vec<rows::SetRow>> {
    let sql = format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.name IS NOT NULL ORDER BY s.sequence");
    rows::intact(conn, &sql, (), rows::set_row)
}

/// Fills `index` anew with every gallery, as of `revision`; returns the number of rows. Searches are refused meanwhile.
pub(super) fn rebuild(conn: &Connection, revision: Revision, index: &dyn VectorIndex) -> Answer<u64> {
    let started = Instant::now();
    wait_for(index.restart())?;
    let rows_sql = format!(
        "SELECT {FACE_COLUMNS}, {VECTOR_COLUMNS} FROM gallery AS g
         CROSS JOIN faces AS f ON f.sequence = g.sequence
         CROSS JOIN templates AS t ON t.face = g.sequence AND t.pack = ?2
         WHERE g.face_set = ?1 ORDER BY g.sequence"
    );
    let mut n_rows = 0;
    for set in sets(conn)? {
        let face_set = set.face_set;
        let mut chunk = vec![GalleryChange::Open {
            face_set: face_set.id,
            pack: face_set.pack.clone(),
            schema: Arc::new(face_set.schema.clone()),
        }];
        let mut statement = conn.prepare_cached(&rows_sql)?;
        let mut found = statement.query((face_set.id.get(), face_set.pack.as_str()))?;
        while let Some(row) = found.next()? {
            let (row, template) = match rows::face_and_template(row, face_set.tenant, &face_set.pack) {
                Err(Failure::Damaged(what)) => {
                    // One damaged face must not take the whole library away: it is not searched, reading it fails, a
                    // thorough report names it, and it can be deleted by its id.
                    let face = row.get::<_, i64>(1)?;
                    tracing::error!(face, what, "a damaged face is left out of the index");
                    continue;
                }
                row => row?,
            };
            if !belongs(conn, &row.face, face_set.id)? {
                tracing::error!(
                    face = row.face.id.get(),
                    face_set = face_set.id.get(),
                    "a gallery lists a face of another set or person, it is left out of the index; hint: `likeness check \
                     --thorough` says what to do"
                );
                continue;
            }
            let entry = entry(&row.face, template, row.sequence, &face_set.schema);
            chunk.push(GalleryChange::Put { face_set: face_set.id, entry });
            n_rows += 1;
            if chunk.len() >= CHUNK_ROWS {
                wait_for(index.apply(revision, std::mem::take(&mut chunk)))?;
            }
        }
        wait_for(index.apply(revision, chunk))?;
    }
    wait_for(index.resume(revision))?;
    let elapsed = started.elapsed();
    let rows_per_s = (n_rows as f64 / elapsed.as_secs_f64().max(1e-6)) as u64;
    tracing::info!(n_rows, elapsed_ms = elapsed.as_millis() as u64, rows_per_s, "index filled from the store");
    Ok(n_rows)
}
