//! What the index has to take over when rows are found damaged, or whole again, while it has them.
//!
//! The index has copies in memory that were whole when they were made. A row that is damaged on the disk is set aside all the
//! same, from the first reading on that finds it: what is searched is what would be searched after a restart.

use likeness_domain::ports::GalleryChange;
use likeness_domain::types::{FaceId, FaceSetId};
use rusqlite::Connection;

use super::damage::{DamagedRow, News};
use super::errors::Answer;
use super::rebuild::searchable;
use super::rows::{self, SET_COLUMNS};

/// What makes the index agree with the tables again.
pub(super) enum Cure {
    /// These changes are to be taken over.
    Changes(Vec<GalleryChange>),
    /// To be filled anew.
    FillAnew,
}

/// What the index has to take over of these rows, as the tables are now.
pub(super) fn cure(conn: &Connection, news: &News) -> Cure {
    if news.has_more {
        return Cure::FillAnew;
    }
    let mut changes = Vec::new();
    for row in &news.rows {
        match changes_of(conn, row, &mut changes) {
            Ok(true) => {}
            Ok(false) => return Cure::FillAnew,
            // A search does not ask for pages that cannot be read; whoever does is told.
            Err(failure) => tracing::warn!(?row, ?failure, "the index could not be told of a damaged row"),
        }
    }
    Cure::Changes(changes)
}

/// False if only filling the index anew does it.
fn changes_of(conn: &Connection, row: &DamagedRow, changes: &mut Vec<GalleryChange>) -> Answer<bool> {
    let Some(number) = row.number() else { return Ok(true) };
    match row.table {
        "templates" => of_face(conn, number, changes)?,
        "faces" => {
            let sql = "SELECT sequence FROM faces WHERE id = ?1";
            for sequence in rows::all(conn, sql, [number], |row| Ok(row.get::<_, i64>(0)?))? {
                of_face(conn, sequence, changes)?;
            }
        }
        "face_sets" => {
            let sql = format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.id = ?1 AND s.name IS NOT NULL");
            if !rows::intact(conn, &sql, [number], rows::set_row)?.is_empty() {
                // What happened to its gallery meanwhile the index was not told.
                return Ok(false);
            }
            let sql = "SELECT 1 FROM face_sets WHERE id = ?1 AND name IS NOT NULL";
            let is_there = conn.prepare_cached(sql)?.exists([number])?;
            // Whoever deleted it has told the index.
            if let Some(face_set) = u64::try_from(number).ok().and_then(FaceSetId::new).filter(|_| is_there) {
                changes.push(GalleryChange::Close { face_set });
            }
        }
        _ => {}
    }
    Ok(true)
}

/// Of every gallery that may show the face.
fn of_face(conn: &Connection, sequence: i64, changes: &mut Vec<GalleryChange>) -> Answer<()> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?));
    let found = rows::first(conn, "SELECT id, face_set, person FROM faces WHERE sequence = ?1", [sequence], read)?;
    // Whoever deleted it has told the index.
    let Some((id, face_set, person)): Option<(i64, Option<i64>, Option<i64>)> = found else { return Ok(()) };
    let Some(face) = u64::try_from(id).ok().and_then(FaceId::new) else { return Ok(()) };
    let sql = format!(
        "SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.name IS NOT NULL
         AND (s.id = ?1 OR s.id IN (SELECT face_set FROM memberships WHERE person = ?2))"
    );
    for set in rows::intact(conn, &sql, (face_set, person), rows::set_row)? {
        let set = set.face_set;
        changes.push(match searchable(conn, &set, sequence.cast_unsigned())? {
            Some(entry) => GalleryChange::Put { face_set: set.id, entry },
            None => GalleryChange::Remove { face_set: set.id, face },
        });
    }
    Ok(())
}
