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

use super::checksums;
use super::errors::{Answer, Failure};
use super::rows::{self, number, tenant_bytes};
use super::scope::{each_once, in_scope};
use super::session::Session;

/// Pictures read at once by a report.
const PAGE: i64 = 500;

/// Whether a live set whose gallery has the face of the sequence `t.face` keeps pictures.
const WANTED: &str = "EXISTS (SELECT 1 FROM faces AS f JOIN thumbnail_sets AS w ON w.wanted
            AND (w.face_set = f.face_set
                OR w.face_set IN (SELECT m.face_set FROM memberships AS m WHERE m.person = f.person))
        JOIN face_sets AS s ON s.id = w.face_set AND s.name IS NOT NULL
        JOIN gallery AS g ON g.face_set = w.face_set AND g.sequence = f.sequence
        WHERE f.sequence = t.face)";

/// Whether a live set of the tenant `h.tenant` keeps pictures.
const KEPT: &str = "EXISTS (SELECT 1 FROM face_sets AS s JOIN thumbnail_sets AS w ON w.face_set = s.id
        WHERE s.tenant = h.tenant AND s.name IS NOT NULL AND w.wanted)";

/// Most pictures of held faces that are erased within the write that ends their time.
const HELD_AT_ONCE: i64 = 500;

/// Keeps pictures of faces or held faces that have none, by their sequences.
pub(super) async fn insert(session: &Session, thumbnails: &[(i64, Thumbnail)]) -> Answer<()> {
    if thumbnails.is_empty() {
        return Ok(());
    }
    let faces: Vec<i64> = thumbnails.iter().map(|(face, _)| *face).collect();
    let pictures: Vec<&[u8]> = thumbnails.iter().map(|(_, thumbnail)| &thumbnail.bytes()[..]).collect();
    let sums: Vec<i64> =
        faces.iter().zip(&pictures).map(|(&face, picture)| checksums::thumbnail(face, picture)).collect();
    let sql =
        "INSERT INTO thumbnails (face, picture, checksum) SELECT * FROM unnest($1::int8[], $2::bytea[], $3::int8[])";
    session.execute(sql, &[&faces, &pictures, &sums]).await?;
    Ok(())
}

/// The picture of an enrolled face as [`one`] has it, unless it is about to be erased.
pub(super) async fn wanted(session: &Session, face: i64) -> Answer<Option<Thumbnail>> {
    let sql = format!("SELECT 1 FROM thumbnails AS t WHERE t.face = $1 AND {WANTED}");
    if session.exists(&sql, &[&face]).await? { one(session, face).await } else { Ok(None) }
}

/// A picture, unless it is damaged or there is none.
pub(super) async fn one(session: &Session, face: i64) -> Answer<Option<Thumbnail>> {
    let row = session.first("SELECT picture, checksum FROM thumbnails WHERE face = $1", &[&face]).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(read(face, row.try_get(0)?, row.try_get(1)?))
}

fn read(face: i64, picture: &[u8], checksum: i64) -> Option<Thumbnail> {
    let sum = checksums::thumbnail(face, picture);
    rows::need_intact(checksum, sum, "thumbnail of the face with sequence", face).ok()?;
    Thumbnail::new(picture.to_vec().into()).ok()
}

/// See `GalleryStore::thumbnails`.
pub(super) async fn by_id(
    session: &Session,
    tenant: TenantId,
    scope: FaceScope,
    ids: Vec<FaceId>,
) -> Answer<Vec<(FaceId, Thumbnail)>> {
    let (condition, scope_id) = in_scope(Some(scope));
    let wanted = match scope {
        FaceScope::FaceSet(_) => "EXISTS (SELECT 1 FROM thumbnail_sets AS w WHERE w.face_set = $1 AND w.wanted)",
        FaceScope::Person(_) => WANTED,
    };
    let sql = format!(
        "SELECT f.id, t.face, t.picture, t.checksum FROM unnest($3::int8[]) WITH ORDINALITY AS j (id, place)
         JOIN faces AS f ON f.id = j.id JOIN thumbnails AS t ON t.face = f.sequence
         WHERE {condition} AND {wanted} ORDER BY j.place"
    );
    let values = [&scope_id as _, &tenant_bytes(tenant) as _, &each_once(ids) as _];
    let mut found = Vec::new();
    for row in session.query(&sql, &values).await? {
        let id = rows::face_id(row.try_get(0)?)?;
        found.extend(read(row.try_get(1)?, row.try_get(2)?, row.try_get(3)?).map(|thumbnail| (id, thumbnail)));
    }
    Ok(found)
}

/// See `GalleryStore::keeps_thumbnails`.
pub(super) async fn are_kept(session: &Session, tenant: TenantId) -> Answer<bool> {
    let sql = "SELECT 1 FROM thumbnail_sets AS w JOIN face_sets AS s ON s.id = w.face_set
               WHERE s.tenant = $1 AND s.name IS NOT NULL AND w.wanted LIMIT 1";
    session.exists(sql, &[&tenant_bytes(tenant)]).await
}

/// The set keeps pictures from now on. `Overloaded` while those that it kept before, or that held faces of the tenant had when
/// another set kept some, are being erased.
pub(super) async fn turn_on(session: &Session, tenant: TenantId, face_set: FaceSetId) -> Answer<()> {
    let sql = format!(
        "SELECT 1 FROM held_faces AS h JOIN thumbnails AS t ON t.face = h.sequence
         WHERE h.tenant = $1 AND NOT {KEPT} LIMIT 1"
    );
    if session.exists(&sql, &[&tenant_bytes(tenant)]).await? {
        let message = "the thumbnails that held faces of the tenant had before are still being erased";
        return Err(Failure::said(Kind::Overloaded, message));
    }
    let id = number(face_set.get());
    let checksum = checksums::thumbnail_set(id, true);
    let row = session.first("SELECT wanted FROM thumbnail_sets WHERE face_set = $1", &[&id]).await?;
    let sql = match row.map(|row| row.try_get(0)).transpose()? {
        Some(false) => {
            let message = "the thumbnails that the face set kept before are still being erased";
            return Err(Failure::said(Kind::Overloaded, message));
        }
        // It may be damaged, and counts as one that says nothing.
        Some(true) => "UPDATE thumbnail_sets SET checksum = $2 WHERE face_set = $1",
        None => "INSERT INTO thumbnail_sets (face_set, wanted, checksum) VALUES ($1, true, $2)",
    };
    session.execute(sql, &[&id, &checksum]).await?;
    Ok(())
}

/// The set, which may be deleted just now, keeps none from now on; the maintenance erases those that there are. Of held faces
/// the usual handful is gone at once.
pub(super) async fn turn_off(session: &Session, tenant: TenantId, face_set: FaceSetId) -> Answer<()> {
    let id = number(face_set.get());
    let sql = "UPDATE thumbnail_sets SET wanted = false, reached = 0, checksum = $2 WHERE face_set = $1 AND wanted";
    let n_kept = session.execute(sql, &[&id, &checksums::thumbnail_set(id, false)]).await?;
    if n_kept > 0 {
        let sql = format!(
            "DELETE FROM thumbnails WHERE face IN
                 (SELECT t.face FROM held_faces AS h JOIN thumbnails AS t ON t.face = h.sequence
                  WHERE h.tenant = $1 AND NOT {KEPT} LIMIT $2)"
        );
        session.execute(&sql, &[&tenant_bytes(tenant), &HELD_AT_ONCE]).await?;
    }
    Ok(())
}

/// Erases pictures of those of these faces that no set which keeps pictures shows any more.
pub(super) async fn drop_unwanted(session: &Session, faces: &[i64]) -> Answer<()> {
    if !faces.is_empty() {
        let sql = format!("DELETE FROM thumbnails AS t WHERE t.face = ANY($1) AND NOT {WANTED}");
        session.execute(&sql, &[&faces]).await?;
    }
    Ok(())
}

/// Erases pictures of a set that keeps none any more, of up to so many of its faces, and returns of how many; 0 when there is
/// no such set.
pub(super) async fn erase_some(session: &Session, n_rows_max: i64) -> Answer<u64> {
    let sql = "SELECT face_set, reached, checksum FROM thumbnail_sets WHERE NOT wanted";
    for row in session.query(sql, &[]).await? {
        let (face_set, reached, checksum): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        // A damaged one must not erase what nobody meant.
        if checksum != checksums::thumbnail_set(face_set, false) {
            continue;
        }
        return erase_of(session, (face_set, reached), n_rows_max).await;
    }
    Ok(0)
}

/// The same of held faces when the set is deleted and its gallery is gone.
pub(super) async fn erase_held(session: &Session, face_set: i64, n_rows_max: i64) -> Answer<u64> {
    let sql = "SELECT reached FROM thumbnail_sets WHERE face_set = $1 AND NOT wanted";
    match session.first(sql, &[&face_set]).await? {
        Some(row) => erase_of(session, (face_set, row.try_get(0)?), n_rows_max).await,
        None => Ok(0),
    }
}

async fn erase_of(session: &Session, (face_set, reached): (i64, i64), n_rows_max: i64) -> Answer<u64> {
    // No sequence is that of a face and of a held one.
    let sql = format!(
        "SELECT sequence FROM gallery WHERE face_set = $1 AND sequence > $2
         UNION ALL
         SELECT h.sequence FROM held_faces AS h
         WHERE h.tenant = (SELECT tenant FROM face_sets WHERE id = $1) AND h.sequence > $2 AND NOT {KEPT}
         ORDER BY sequence LIMIT $3"
    );
    let mut faces: Vec<i64> = Vec::new();
    for row in session.query(&sql, &[&face_set, &reached, &n_rows_max]).await? {
        faces.push(row.try_get(0)?);
    }
    drop_unwanted(session, &faces).await?;
    match faces.last().filter(|_| faces.len() as i64 == n_rows_max) {
        Some(last) => {
            let sql = "UPDATE thumbnail_sets SET reached = $2 WHERE face_set = $1";
            session.execute(sql, &[&face_set, last]).await?;
        }
        None => {
            session.execute("DELETE FROM thumbnail_sets WHERE face_set = $1 AND NOT wanted", &[&face_set]).await?;
        }
    }
    // At least one, as there may be another such set.
    Ok(faces.len().max(1) as u64)
}

/// Reads every picture; lists those that are not what was written.
pub(super) async fn check(session: &Session, problems: &mut Vec<String>) -> Answer<()> {
    let mut after = -1_i64;
    loop {
        let sql = "SELECT face, picture, checksum FROM thumbnails WHERE face > $1 ORDER BY face LIMIT $2";
        let found = session.query(sql, &[&after, &PAGE]).await?;
        let Some(last) = found.last() else { return Ok(()) };
        after = last.try_get(0)?;
        for row in &found {
            let face = row.try_get(0)?;
            if read(face, row.try_get(1)?, row.try_get(2)?).is_none() {
                problems.push(format!(
                    "the checksum of thumbnail of the face with sequence {face} does not match: nothing is recognised by it; to \
                     have one again delete the face and enrol it again, or restore a backup"
                ));
            }
        }
    }
}
