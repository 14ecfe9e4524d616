//! Small pictures of faces: rows of their own, read only when a picture is asked for.
//!
//! # Invariants
//! - `thumbnails.face` is the `sequence` of a face or of a held face; triggers erase the picture with either.
//! - A picture of a face is there only while a live set whose gallery has the face keeps pictures ([`WANTED`]): whatever takes
//!   a face out of a gallery asks [`drop_unwanted`], and a set that was told to keep none is gone through by
//!   [`erase_some`]. Until that is done [`by_id`] shows nothing of it.
//! - A picture of a held face is there only while a live set of the tenant keeps pictures. When the last one is told to keep
//!   none or is deleted, [`turn_off`] erases those of a handful and the maintenance the others, and until that is done no
//!   set of the tenant begins to keep pictures ([`turn_on`]), so that none comes back with the face.

use likeness_domain::Kind;
use likeness_domain::ports::FaceScope;
use likeness_domain::types::{FaceId, FaceSetId, TenantId, Thumbnail};
use rusqlite::Connection;

use super::checksums::{self, THUMBNAIL_SETS, THUMBNAILS};
use super::codec;
use super::errors::{Answer, Failure};
use super::rows;
use super::scope::{each_once, in_scope};

/// Whether a live set whose gallery has the face of the sequence `t.face` keeps pictures.
const WANTED: &str = "EXISTS (SELECT 1 FROM faces AS f WHERE f.sequence = t.face AND (
        EXISTS (SELECT 1 FROM thumbnail_sets AS w JOIN face_sets AS s ON s.id = w.face_set
                WHERE w.face_set = f.face_set AND w.wanted = 1 AND s.name IS NOT NULL)
        OR EXISTS (SELECT 1 FROM memberships AS m JOIN thumbnail_sets AS w ON w.face_set = m.face_set
                   JOIN face_sets AS s ON s.id = m.face_set
                   JOIN gallery AS g ON g.face_set = m.face_set AND g.sequence = f.sequence
                   WHERE m.person = f.person AND w.wanted = 1 AND s.name IS NOT NULL)))";

/// Whether a live set of the tenant `h.tenant` keeps pictures.
const KEPT: &str = "EXISTS (SELECT 1 FROM face_sets AS s JOIN thumbnail_sets AS w ON w.face_set = s.id
        WHERE s.tenant = h.tenant AND s.name IS NOT NULL AND w.wanted = 1)";

/// Most pictures of held faces that are erased within the write that ends their time.
const HELD_AT_ONCE: usize = 500;

/// Keeps the picture of a face or held face that has none.
pub(super) fn insert(conn: &Connection, face: u64, thumbnail: &Thumbnail) -> Answer<()> {
    conn.prepare_cached(&THUMBNAILS.insert())?.execute((face, &thumbnail.bytes()[..]))?;
    Ok(())
}

/// The picture of an enrolled face as [`one`] has it, unless it is about to be erased.
pub(super) fn wanted(conn: &Connection, face: u64) -> Answer<Option<Thumbnail>> {
    let sql = format!("SELECT 1 FROM thumbnails AS t WHERE t.face = ?1 AND {WANTED}");
    if conn.prepare_cached(&sql)?.exists([face])? { one(conn, face) } else { Ok(None) }
}

/// A picture, unless it is damaged or there is none.
pub(super) fn one(conn: &Connection, face: u64) -> Answer<Option<Thumbnail>> {
    let sql = format!("SELECT t.picture FROM thumbnails AS t WHERE t.face = ?1 AND {}", THUMBNAILS.intact("t"));
    let picture = rows::first(conn, &sql, [face], |row| Ok(row.get::<_, Vec<u8>>(0)?))?;
    Ok(picture.and_then(|picture| Thumbnail::new(picture.into()).ok()))
}

/// See `GalleryStore::thumbnails`.
pub(super) fn by_id(
    conn: &Connection,
    tenant: TenantId,
    scope: FaceScope,
    ids: Vec<FaceId>,
) -> Answer<Vec<(FaceId, Thumbnail)>> {
    let (condition, scope_id) = in_scope(Some(scope));
    let is_intact = THUMBNAIL_SETS.intact("w");
    let wanted = match scope {
        FaceScope::FaceSet(_) => &format!(
            "EXISTS (SELECT 1 FROM thumbnail_sets AS w WHERE w.face_set = ?1 AND w.wanted = 1 AND {is_intact})"
        ),
        FaceScope::Person(_) => WANTED,
    };
    let sql = format!(
        "SELECT f.id, t.picture, {} FROM json_each(?3) AS j CROSS JOIN faces AS f ON f.id = j.value
         CROSS JOIN thumbnails AS t ON t.face = f.sequence WHERE {condition} AND {wanted}",
        THUMBNAILS.intact("t")
    );
    let params = (scope_id, codec::tenant_bytes(tenant), each_once(ids));
    let found = rows::all(conn, &sql, params, |row| {
        let (id, is_intact) = (rows::face_id(row.get(0)?)?, row.get(2)?);
        let picture = if is_intact { Thumbnail::new(row.get::<_, Vec<u8>>(1)?.into()).ok() } else { None };
        Ok(picture.map(|picture| (id, picture)))
    })?;
    Ok(found.into_iter().flatten().collect())
}

/// See `GalleryStore::keeps_thumbnails`.
pub(super) fn are_kept(conn: &Connection, tenant: TenantId) -> Answer<bool> {
    let sql = format!(
        "SELECT 1 FROM thumbnail_sets AS w JOIN face_sets AS s ON s.id = w.face_set
         WHERE s.tenant = ?1 AND s.name IS NOT NULL AND w.wanted = 1 AND {}",
        THUMBNAIL_SETS.intact("w")
    );
    Ok(conn.prepare_cached(&sql)?.exists([codec::tenant_bytes(tenant)])?)
}

/// The set keeps pictures from now on. `Overloaded` while those that it kept before, or that held faces of the tenant had when
/// another set kept some, are being erased.
pub(super) fn turn_on(conn: &Connection, tenant: TenantId, face_set: FaceSetId) -> Answer<()> {
    let sql = format!(
        "SELECT 1 FROM held_faces AS h CROSS JOIN thumbnails AS t ON t.face = h.sequence
         WHERE h.tenant = ?1 AND NOT {KEPT} LIMIT 1"
    );
    if conn.prepare_cached(&sql)?.exists([codec::tenant_bytes(tenant)])? {
        let message = "the thumbnails that held faces of the tenant had before are still being erased";
        return Err(Failure::said(Kind::Overloaded, message));
    }
    let sql = "SELECT wanted FROM thumbnail_sets WHERE face_set = ?1";
    match rows::first(conn, sql, [face_set.get()], |row| Ok(row.get::<_, bool>(0)?))? {
        // It may be damaged, and counts as one that says nothing.
        Some(true) => checksums::renew(conn, &THUMBNAIL_SETS, "face_set", face_set.get())?,
        Some(false) => {
            let message = "the thumbnails that the face set kept before are still being erased";
            return Err(Failure::said(Kind::Overloaded, message));
        }
        None => drop(conn.prepare_cached(&THUMBNAIL_SETS.insert())?.execute((face_set.get(), true))?),
    }
    Ok(())
}

/// The set, which may be deleted just now, keeps none from now on; the maintenance erases those that there are. Of held faces
/// the usual handful is gone at once.
pub(super) fn turn_off(conn: &Connection, tenant: TenantId, face_set: FaceSetId) -> Answer<()> {
    let sql = "UPDATE thumbnail_sets SET wanted = 0, reached = 0 WHERE face_set = ?1 AND wanted = 1";
    let n_kept = conn.prepare_cached(sql)?.execute([face_set.get()])?;
    checksums::renew(conn, &THUMBNAIL_SETS, "face_set", face_set.get())?;
    if n_kept > 0 {
        let sql = format!(
            "DELETE FROM thumbnails WHERE face IN
                 (SELECT t.face FROM held_faces AS h CROSS JOIN thumbnails AS t ON t.face = h.sequence
                  WHERE h.tenant = ?1 AND NOT {KEPT} LIMIT ?2)"
        );
        conn.prepare_cached(&sql)?.execute((codec::tenant_bytes(tenant), HELD_AT_ONCE))?;
    }
    Ok(())
}

/// Erases the picture of a face that no set which keeps pictures shows any more.
pub(super) fn drop_unwanted(conn: &Connection, face: u64) -> Answer<()> {
    let sql = format!("DELETE FROM thumbnails AS t WHERE t.face = ?1 AND NOT {WANTED}");
    conn.prepare_cached(&sql)?.execute([face])?;
    Ok(())
}

/// Erases pictures of a set that keeps none any more, of up to so many of its faces, and returns of how many; 0 when there is
/// no such set.
pub(super) fn erase_some(conn: &Connection, n_rows_max: usize) -> Answer<usize> {
    // A damaged one must not erase what nobody meant.
    let is_intact = THUMBNAIL_SETS.intact("w");
    let sql = format!("SELECT face_set, reached FROM thumbnail_sets AS w WHERE wanted = 0 AND {is_intact} LIMIT 1");
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?));
    let Some((face_set, reached)) = rows::first(conn, &sql, (), read)? else { return Ok(0) };
    erase_of(conn, (face_set, reached), n_rows_max)
}

/// The same of held faces when the set is deleted and its gallery is gone.
pub(super) fn erase_held(conn: &Connection, face_set: u64, n_rows_max: usize) -> Answer<usize> {
    let sql = "SELECT reached FROM thumbnail_sets WHERE face_set = ?1 AND wanted = 0";
    match rows::first(conn, sql, [face_set], |row| Ok(row.get::<_, u64>(0)?))? {
        Some(reached) => erase_of(conn, (face_set, reached), n_rows_max),
        None => Ok(0),
    }
}

fn erase_of(conn: &Connection, (face_set, reached): (u64, u64), n_rows_max: usize) -> Answer<usize> {
    // No sequence is that of a face and of a held one.
    let sql = format!(
        "SELECT sequence FROM gallery WHERE face_set = ?1 AND sequence > ?2
         UNION ALL
         SELECT h.sequence FROM held_faces AS h
         WHERE h.tenant = (SELECT tenant FROM face_sets WHERE id = ?1) AND h.sequence > ?2 AND NOT {KEPT}
         ORDER BY sequence LIMIT ?3"
    );
    let faces = rows::all(conn, &sql, (face_set, reached, n_rows_max), |row| Ok(row.get::<_, u64>(0)?))?;
    for &face in &faces {
        drop_unwanted(conn, face)?;
    }
    match faces.last().filter(|_| faces.len() == n_rows_max) {
        Some(last) => {
            let sql = "UPDATE thumbnail_sets SET reached = ?2 WHERE face_set = ?1";
            conn.prepare_cached(sql)?.execute((face_set, last))?;
        }
        None => drop(conn.prepare_cached("DELETE FROM thumbnail_sets WHERE face_set = ?1")?.execute([face_set])?),
    }
    // At least one, as there may be another such set.
    Ok(faces.len().max(1))
}

/// After rows were recovered in any order: sets that are not there keep nothing, and pictures that nobody keeps are erased.
pub(super) fn complete(conn: &Connection) -> Answer<()> {
    conn.execute_batch(
        "DELETE FROM thumbnail_sets WHERE wanted = 0 OR face_set NOT IN (SELECT id FROM face_sets WHERE name IS NOT NULL)",
    )?;
    let sql = format!(
        "DELETE FROM thumbnails AS t WHERE NOT {WANTED}
         AND NOT EXISTS (SELECT 1 FROM held_faces AS h WHERE h.sequence = t.face AND {KEPT})"
    );
    conn.execute(&sql, [])?;
    Ok(())
}
