//! Erasing what is left of deleted face sets, persons and tenants, and pictures that are kept no longer, a few rows at a time.
//!
//! A deleted set or person has lost its name, so nothing shows it or its faces any more. What is left is found by that
//! missing name, so erasing needs no notes of its own and goes on where it was after a restart.

use rusqlite::Connection;

use super::errors::Answer;
use super::{deletes, rows, tenants, thumbnails};

/// Most faces of a deleted person that are erased within the delete itself.
pub(super) const AT_ONCE_MAX: usize = 64;

/// Erases up to `n_rows_max` rows and returns how many; 0 when nothing is left to erase.
pub(super) fn erase_some(conn: &Connection, n_rows_max: usize) -> Answer<usize> {
    let id = |row: &rusqlite::Row<'_>| Ok(row.get::<_, u64>(0)?);
    if let Some(face_set) = rows::first(conn, "SELECT id FROM face_sets WHERE name IS NULL LIMIT 1", (), id)? {
        return erase_face_set(conn, face_set, n_rows_max);
    }
    if let Some(person) = rows::first(conn, "SELECT id FROM persons WHERE key IS NULL LIMIT 1", (), id)? {
        return erase_person(conn, person, n_rows_max);
    }
    let n_erased = thumbnails::erase_some(conn, n_rows_max)?;
    if n_erased > 0 {
        return Ok(n_erased);
    }
    // Last, since what a tenant had in sets and persons is erased with those.
    tenants::erase_some(conn, n_rows_max)
}

/// Its own faces, then its gallery and memberships, at last itself.
fn erase_face_set(conn: &Connection, id: u64, n_rows_max: usize) -> Answer<usize> {
    let sequence = |row: &rusqlite::Row<'_>| Ok(row.get::<_, u64>(0)?);
    let sql = "SELECT sequence FROM faces WHERE face_set = ?1 LIMIT ?2";
    let owned = rows::all(conn, sql, (id, n_rows_max), sequence)?;
    for &sequence in &owned {
        deletes::erase_face(conn, sequence)?;
        conn.prepare_cached("DELETE FROM gallery WHERE face_set = ?1 AND sequence = ?2")?.execute((id, sequence))?;
    }
    let mut n_erased = owned.len();
    conn.prepare_cached("UPDATE face_sets SET n_owned = n_owned - ?2 WHERE id = ?1")?.execute((id, n_erased))?;
    for (find, erase) in [
        (
            "SELECT sequence FROM gallery WHERE face_set = ?1 LIMIT ?2",
            "DELETE FROM gallery WHERE face_set = ?1 AND sequence = ?2",
        ),
        (
            "SELECT sequence FROM memberships WHERE face_set = ?1 LIMIT ?2",
            "DELETE FROM memberships WHERE face_set = ?1 AND sequence = ?2",
        ),
    ] {
        if n_erased < n_rows_max {
            let left = rows::all(conn, find, (id, n_rows_max - n_erased), sequence)?;
            for &sequence in &left {
                conn.prepare_cached(erase)?.execute((id, sequence))?;
                // Of a member's face; numbers of memberships are of no face.
                thumbnails::drop_unwanted(conn, sequence)?;
            }
            n_erased += left.len();
        }
    }
    if n_erased < n_rows_max {
        let n_held = thumbnails::erase_held(conn, id, n_rows_max)?;
        if n_held > 0 {
            return Ok(n_erased + n_held);
        }
        conn.prepare_cached("DELETE FROM thumbnail_sets WHERE face_set = ?1")?.execute([id])?;
        n_erased += conn.prepare_cached("DELETE FROM face_sets WHERE id = ?1")?.execute([id])?;
    }
    Ok(n_erased)
}

/// The faces of a deleted person, which are in no gallery any more, then itself.
pub(super) fn erase_person(conn: &Connection, id: u64, n_rows_max: usize) -> Answer<usize> {
    let sql = "SELECT sequence FROM faces WHERE person = ?1 LIMIT ?2";
    let owned = rows::all(conn, sql, (id, n_rows_max), |row| Ok(row.get::<_, u64>(0)?))?;
    for &sequence in &owned {
        deletes::erase_face(conn, sequence)?;
    }
    let mut n_erased = owned.len();
    conn.prepare_cached("UPDATE persons SET n_faces = n_faces - ?2 WHERE id = ?1")?.execute((id, n_erased))?;
    if n_erased < n_rows_max {
        n_erased += conn.prepare_cached("DELETE FROM persons WHERE id = ?1")?.execute([id])?;
    }
    Ok(n_erased)
}
