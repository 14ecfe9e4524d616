//! Held faces: a table of their own, from which faces are moved when they are enrolled.
//!
//! # Invariants
//! - `held_tenants.n_held` counts a tenant's rows in `held_faces`; a thorough report verifies it.
//! - No face, held or enrolled, has an id that is the source face of another enrolled face ([`faces::free_face_id`]).

use likeness_domain::Kind;
use likeness_domain::access::Limits;
use likeness_domain::ports::{Change, FaceScope, Pending, TransientFaceStore};
use likeness_domain::types::{
    AccessKeyId, Actor, Detection, Face, FaceId, FaceOwner, FaceSetId, FieldValues, NewTransientFace, PackId, Quality,
    Subject, Template, TenantId, Thumbnail, TimestampMs, TransientFace,
};
use rusqlite::{Connection, Row};

use super::checksums::{self, Columns, HELD_FACES};
use super::deletes::{self, DeletedFace};
use super::errors::{Answer, Failure};
use super::faces;
use super::rows::{self, FACE_COLUMNS, FaceRow};
use super::transaction::{Manner, WriteTx};
use super::{EmbeddedStore, codec, scope, templates, thumbnails};
use crate::bounds;

/// Held faces erased in one commit: bounds how long other writes wait.
const FORGET_ROWS: u64 = 200;

/// Columns of [`held_row`].
static HELD_COLUMNS: Columns = Columns::new(|| {
    let intact = HELD_FACES.intact("held_faces");
    format!("sequence, id, tenant, pack, detection, quality, subject, vector, created_at, expires_at, {intact}, key")
});

/// Finds the tenant's held face `?1`, `?2` at the time `?3`.
const IS_HELD: &str = "tenant = ?1 AND id = ?2 AND expires_at > ?3";

fn held_row(row: &Row<'_>) -> Answer<(u64, TransientFace)> {
    let blob = |column: usize| row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from);
    rows::need_intact(row, 10, "held face", 1)?;
    let pack = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
    let quality = row.get_ref(5)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
    let held = TransientFace {
        id: rows::face_id(row.get(1)?)?,
        tenant: codec::tenant_of(blob(2)?)?,
        kept_by: rows::key_id(row, 11)?,
        template: codec::template_of(pack, blob(7)?)?,
        detection: codec::detection_of(blob(4)?)?,
        quality: codec::quality_of(quality)?,
        subject: rows::text(row, 6, Subject::stored)?,
        created_at: TimestampMs(row.get(8)?),
        expires_at: TimestampMs(row.get(9)?),
    };
    Ok((row.get(0)?, held))
}

/// Reads every held face; lists those that cannot be what was written.
pub(super) fn check(conn: &Connection, problems: &mut Vec<String>) -> Answer<()> {
    let mut statement = conn.prepare(&format!("SELECT {HELD_COLUMNS} FROM held_faces ORDER BY sequence"))?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        match held_row(row) {
            // Named by its damage already.
            Err(Failure::Damaged(_)) if !row.get::<_, bool>(10)? => {}
            Err(Failure::Damaged(what)) => {
                let id = row.get::<_, i64>(1)?;
                problems.push(format!("held face {id}: {what}: delete it by its id, or wait until its time is over"));
            }
            other => drop(other?),
        }
    }
    Ok(())
}

fn hold(
    tx: &mut WriteTx<'_>,
    (tenant, key): (TenantId, Option<AccessKeyId>),
    new_faces: Vec<NewTransientFace>,
    held_max: u64,
) -> Answer<Vec<TransientFace>> {
    let owner = codec::tenant_bytes(tenant);
    let sql = "SELECT n_held FROM held_tenants WHERE tenant = ?1";
    let n_before = rows::first(tx.conn, sql, [owner], |row| Ok(row.get::<_, u64>(0)?))?.unwrap_or(0);
    let mut n_held = n_before + new_faces.len() as u64;
    let mut held = Vec::with_capacity(new_faces.len());
    let keeps_thumbnails =
        new_faces.iter().any(|new| new.thumbnail.is_some()) && thumbnails::are_kept(tx.conn, tenant)?;
    for new in new_faces {
        let face = TransientFace {
            id: faces::free_face_id(tx.conn, new.id)?,
            tenant,
            kept_by: key.clone(),
            template: new.template,
            detection: new.detection,
            quality: new.quality,
            subject: None,
            created_at: new.created_at,
            expires_at: new.expires_at,
        };
        let sequence = tx.next_sequence();
        tx.conn.prepare_cached(&HELD_FACES.insert())?.execute((
            face.id.get(),
            sequence,
            owner,
            face.template.pack().as_str(),
            codec::detection_bytes(&face.detection),
            codec::quality_bytes(&face.quality),
            None::<&str>, // A label comes later, if at all.
            codec::vector_bytes(&face.template),
            face.created_at.0,
            face.expires_at.0,
            key.as_ref().map(AccessKeyId::as_str),
        ))?;
        if let Some(thumbnail) = new.thumbnail.filter(|_| keeps_thumbnails) {
            thumbnails::insert(tx.conn, sequence, &thumbnail)?;
        }
        tx.push(Change::TransientFaceKept(face.id));
        held.push(face);
    }
    if n_held > held_max {
        let sql = "DELETE FROM held_faces WHERE sequence IN
                   (SELECT sequence FROM held_faces WHERE tenant = ?1 ORDER BY sequence LIMIT ?2) RETURNING id";
        let n_over = i64::try_from(n_held - held_max).unwrap_or(i64::MAX);
        for id in rows::all(tx.conn, sql, (owner, n_over), |row| rows::face_id(row.get(0)?))? {
            n_held -= 1;
            tx.push(Change::TransientFaceGone(id));
        }
        tx.erased = true;
    }
    if n_held != n_before {
        tx.conn
            .prepare_cached(
                "INSERT INTO held_tenants (tenant, n_held) VALUES (?1, ?2)
                 ON CONFLICT (tenant) DO UPDATE SET n_held = excluded.n_held",
            )?
            .execute((owner, n_held))?;
    }
    Ok(held)
}

fn one(conn: &Connection, tenant: TenantId, id: FaceId, now: TimestampMs) -> Answer<Option<(u64, TransientFace)>> {
    let sql = format!("SELECT {HELD_COLUMNS} FROM held_faces WHERE {IS_HELD}");
    rows::first(conn, &sql, (codec::tenant_bytes(tenant), id.get(), now.0), held_row)
}

/// The tenant's faces of these source faces in the scope, or everywhere, by source face in the order asked for and then
/// in order of enrolment.
fn enrolled(
    conn: &Connection,
    tenant: TenantId,
    scope: Option<FaceScope>,
    source_faces: Vec<FaceId>,
) -> Answer<Vec<FaceRow>> {
    let (condition, scope_id) = scope::in_scope(scope);
    let sql = format!(
        "SELECT {FACE_COLUMNS} FROM
             (SELECT j.key AS place, f.sequence FROM json_each(?3) AS j CROSS JOIN faces AS f ON f.id = j.value
                 WHERE f.origin IS NULL
              UNION ALL
              SELECT j.key AS place, f.sequence FROM json_each(?3) AS j CROSS JOIN faces AS f ON f.origin = j.value) AS o
         CROSS JOIN faces AS f ON f.sequence = o.sequence
         WHERE {condition}
         ORDER BY o.place, f.sequence"
    );
    let params = (scope_id, codec::tenant_bytes(tenant), scope::each_once(source_faces));
    rows::intact(conn, &sql, params, |row| rows::face_row(row, tenant))
}

/// Every face of the tenant that is of that source face.
fn everywhere(conn: &Connection, tenant: TenantId, source_face: FaceId) -> Answer<Vec<FaceRow>> {
    enrolled(conn, tenant, None, vec![source_face])
}

fn of_sources(
    conn: &Connection,
    tenant: TenantId,
    scope: Option<FaceScope>,
    source_faces: Vec<FaceId>,
) -> Answer<Vec<Face>> {
    Ok(enrolled(conn, tenant, scope, source_faces)?.into_iter().map(|row| row.face).collect())
}

fn unknown() -> Failure {
    Failure::said(Kind::FaceNotFound, "no face with that id is held or enrolled")
}

/// What of a face goes along when it is enrolled once more.
struct Known {
    template: Template,
    detection: Detection,
    quality: Quality,
    subject: Option<Subject>,
    thumbnail: Option<Thumbnail>,
}

/// `pack` is the one wanted: an enrolled face that has no template of it gives the one it was enrolled with.
fn known(
    conn: &Connection,
    tenant: TenantId,
    source_face: FaceId,
    pack: &PackId,
    now: TimestampMs,
) -> Answer<Option<Known>> {
    if let Some((sequence, held)) = one(conn, tenant, source_face, now)? {
        let TransientFace { template, detection, quality, subject, .. } = held;
        let thumbnail = thumbnails::one(conn, sequence)?;
        return Ok(Some(Known { template, detection, quality, subject, thumbnail }));
    }
    let Some(FaceRow { sequence, face }) = everywhere(conn, tenant, source_face)?.into_iter().next() else {
        return Ok(None);
    };
    let template = match templates::one(conn, sequence, pack)? {
        Some(template) => template,
        None => templates::one(conn, sequence, &face.pack)?
            .ok_or_else(|| Failure::Damaged(format!("face {} has no template", face.id)))?,
    };
    let Face { detection, quality, subject, .. } = face;
    let thumbnail = thumbnails::wanted(conn, sequence)?;
    Ok(Some(Known { template, detection, quality, subject, thumbnail }))
}

fn enrol(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    face_set: FaceSetId,
    source_face: FaceId,
    (id, now): (FaceId, TimestampMs),
    limits: &Limits,
) -> Answer<Face> {
    let set = rows::need_face_set(tx.conn, tenant, face_set)?;
    let Known { template, detection, quality, subject, thumbnail } =
        known(tx.conn, tenant, source_face, &set.face_set.pack, now)?.ok_or_else(unknown)?;
    if !enrolled(tx.conn, tenant, Some(FaceScope::FaceSet(face_set)), vec![source_face])?.is_empty() {
        return Err(Failure::said(Kind::FaceExists, "the face is in the set already"));
    }
    bounds::check_gallery(&set.face_set, set.n_gallery, 1, limits)?;
    faces::check_tenant(tx.conn, tenant, 1, limits)?;
    faces::check_packs(&set.face_set, [template.pack()])?;
    let face = Face {
        id: faces::free_face_id(tx.conn, id)?,
        source_face,
        tenant,
        owner: FaceOwner::FaceSet(face_set),
        pack: template.pack().clone(),
        detection,
        quality,
        subject,
        external_id: None,
        fields: FieldValues::default(),
        note: None,
        source: None,
        created_at: now,
        updated_at: now,
    };
    tx.conn
        .prepare_cached("UPDATE face_sets SET n_gallery = n_gallery + 1, n_owned = n_owned + 1 WHERE id = ?1")?
        .execute([face_set.get()])?;
    faces::insert(tx, &face, (&template, thumbnail.as_ref()), &[set])?;
    let_go(tx, tenant, source_face)?;
    Ok(face)
}

/// Erases the held face, also when its time is over; returns how many that was.
fn let_go(tx: &mut WriteTx<'_>, tenant: TenantId, id: FaceId) -> Answer<usize> {
    let owner = codec::tenant_bytes(tenant);
    let sql = "DELETE FROM held_faces WHERE tenant = ?1 AND id = ?2";
    let n_held = tx.conn.prepare_cached(sql)?.execute((owner, id.get()))?;
    if n_held > 0 {
        tx.conn
            .prepare_cached("UPDATE held_tenants SET n_held = n_held - ?2 WHERE tenant = ?1")?
            .execute((owner, n_held))?;
        tx.push(Change::TransientFaceGone(id));
        tx.erased = true;
    }
    Ok(n_held)
}

fn label(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    source_face: FaceId,
    subject: &Subject,
    now: TimestampMs,
) -> Answer<()> {
    // Read first, since a damaged row must not get a checksum that matches.
    let n_held = match one(tx.conn, tenant, source_face, now)? {
        Some((sequence, _)) => tx
            .conn
            .prepare_cached("UPDATE held_faces SET subject = ?2 WHERE sequence = ?1")?
            .execute((sequence, subject.as_str()))?,
        None => 0,
    };
    let enrolled = everywhere(tx.conn, tenant, source_face)?;
    if n_held == 0 && enrolled.is_empty() {
        return Err(unknown());
    }
    if n_held > 0 {
        checksums::renew(tx.conn, &HELD_FACES, "id", source_face.get())?;
        tx.push(Change::TransientFaceKept(source_face));
    }
    tx.erased = true;
    for FaceRow { sequence, mut face } in enrolled {
        face.subject = Some(subject.clone());
        face.updated_at = now;
        faces::write_words(tx, tenant, sequence, &face)?;
    }
    Ok(())
}

fn delete(tx: &mut WriteTx<'_>, tenant: TenantId, source_face: FaceId, now: TimestampMs) -> Answer<u64> {
    let n_held = match one(tx.conn, tenant, source_face, now)? {
        Some(_) => let_go(tx, tenant, source_face)?,
        None => 0,
    };
    let deleted = |FaceRow { sequence, face }: FaceRow| DeletedFace { sequence, id: face.id, owner: face.owner };
    let deleted: Vec<DeletedFace> = everywhere(tx.conn, tenant, source_face)?.into_iter().map(deleted).collect();
    deletes::remove(tx, &deleted)?;
    Ok((n_held + deleted.len()) as u64)
}

/// Erases some of what is past its time; fewer than [`FORGET_ROWS`] means that nothing is left.
fn purge_some(tx: &mut WriteTx<'_>, now: TimestampMs) -> Answer<u64> {
    let sql = "SELECT sequence, tenant FROM held_faces WHERE expires_at <= ?1 LIMIT ?2";
    let expired =
        rows::all(tx.conn, sql, (now.0, FORGET_ROWS), |row| Ok((row.get::<_, u64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    for (sequence, tenant) in &expired {
        tx.conn.prepare_cached("DELETE FROM held_faces WHERE sequence = ?1")?.execute([sequence])?;
        tx.conn.prepare_cached("UPDATE held_tenants SET n_held = n_held - 1 WHERE tenant = ?1")?.execute([tenant])?;
    }
    tx.erased = !expired.is_empty();
    tx.idle = expired.is_empty();
    Ok(expired.len() as u64)
}

impl TransientFaceStore for EmbeddedStore {
    fn keep_faces(&self, actor: Actor, faces: Vec<NewTransientFace>, held_max: u64) -> Pending<'_, Vec<TransientFace>> {
        let key = actor.key.clone();
        self.write_as(actor, "hold the faces", move |tx, tenant| hold(tx, (tenant, key), faces, held_max))
    }

    fn held_face(&self, tenant: TenantId, id: FaceId, now: TimestampMs) -> Pending<'_, Option<TransientFace>> {
        self.read_one("look up the held face", move |conn| Ok(one(conn, tenant, id, now)?.map(|(_, held)| held)))
    }

    fn faces_of_source(
        &self,
        tenant: TenantId,
        scope: Option<FaceScope>,
        source_faces: Vec<FaceId>,
    ) -> Pending<'_, Vec<Face>> {
        self.read_one("look up the faces of a source face", move |conn| of_sources(conn, tenant, scope, source_faces))
    }

    fn enrol_transient_face(
        &self,
        actor: Actor,
        face_set: FaceSetId,
        source_face: FaceId,
        id: FaceId,
        now: TimestampMs,
        limits: Option<Limits>,
    ) -> Pending<'_, Face> {
        let limits = limits.unwrap_or(Limits::NONE);
        self.write_as(actor, "enrol the held face", move |tx, tenant| {
            enrol(tx, tenant, face_set, source_face, (id, now), &limits)
        })
    }

    fn label_source(&self, actor: Actor, source_face: FaceId, subject: Subject, now: TimestampMs) -> Pending<'_, ()> {
        self.write_as(actor, "label the face", move |tx, tenant| label(tx, tenant, source_face, &subject, now))
    }

    fn delete_source(&self, actor: Actor, source_face: FaceId, now: TimestampMs) -> Pending<'_, u64> {
        self.delete_as(actor, "delete the face everywhere", move |tx, tenant| delete(tx, tenant, source_face, now))
    }

    fn purge_expired_faces(&self, now: TimestampMs) -> Pending<'_, u64> {
        Box::pin(async move {
            let mut n_forgotten = 0;
            loop {
                let n_more = self.write_in(Manner::DELETE, "forget held faces", move |tx| purge_some(tx, now)).await?;
                n_forgotten += n_more;
                if n_more < FORGET_ROWS {
                    return Ok(n_forgotten);
                }
            }
        })
    }
}
