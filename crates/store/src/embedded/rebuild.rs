//! Filling the index from the store when it is opened.

use std::sync::Arc;
use std::time::Instant;

use likeness_domain::ports::{GalleryChange, VectorIndex};
use likeness_domain::types::{Face, FaceOwner, FaceSetId, Revision};
use rusqlite::Connection;

use super::errors::{Answer, Failure};
use super::rows::{self, FACE_COLUMNS, SET_COLUMNS, VECTOR_COLUMNS};
use crate::gallery::entry;
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

/// Fills `index` anew with every gallery, as of `revision`; returns the number of rows. Searches are refused meanwhile.
pub(super) fn rebuild(conn: &Connection, revision: Revision, index: &dyn VectorIndex) -> Answer<u64> {
    let started = Instant::now();
    wait_for(index.restart())?;
    let sets_sql = format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.name IS NOT NULL ORDER BY s.sequence");
    let rows_sql = format!(
        "SELECT {FACE_COLUMNS}, {VECTOR_COLUMNS} FROM gallery AS g
         CROSS JOIN faces AS f ON f.sequence = g.sequence
         CROSS JOIN templates AS t ON t.face = g.sequence AND t.pack = ?2
         WHERE g.face_set = ?1 ORDER BY g.sequence"
    );
    let mut n_rows = 0;
    for set in rows::intact(conn, &sets_sql, (), rows::set_row)? {
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
