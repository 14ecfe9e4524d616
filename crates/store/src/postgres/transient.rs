//! Faces that are kept for a while: a table of their own, from which faces are moved when they are enrolled.
//!
//! # Invariants
//! - No face, kept or enrolled, has an id that is the source face of another enrolled face ([`faces::free_face_ids`]).

use std::collections::HashMap;

use likeness_domain::Kind;
use likeness_domain::access::Limits;
use likeness_domain::ports::{Change, FaceScope, Pending, TransientFaceStore};
use likeness_domain::types::{
    AccessKeyId, Actor, Detection, Face, FaceId, FaceOwner, FaceSetId, FieldValues, NewTransientFace, PackId, Quality,
    Subject, Template, TenantId, Thumbnail, TimestampMs, TransientFace,
};
use tokio_postgres::Row;

use super::deletes::{self, DeletedFace};
use super::errors::{Answer, Failure};
use super::rows::{self, FACE_COLUMNS, FaceRow, number, tenant_bytes};
use super::session::Session;
use super::transaction::WriteTx;
use super::{PostgresStore, checksums, faces, scope, thumbnails};
use crate::bounds;
use crate::embedded::codec;

/// Columns of [`held_row`].
const HELD_COLUMNS: &str =
    "sequence, id, tenant, key, pack, detection, quality, subject, vector, created_at, expires_at, checksum";

fn held_row(row: &Row) -> Answer<(i64, TransientFace)> {
    let damaged = || Failure::Damaged("the id of an access key is malformed".into());
    let (sequence, vector): (i64, &[u8]) = (row.try_get(0)?, row.try_get(8)?);
    let key: Option<&str> = row.try_get(3)?;
    let held = TransientFace {
        id: rows::face_id(row.try_get(1)?)?,
        tenant: codec::tenant_of(row.try_get(2)?)?,
        kept_by: key.map(|key| AccessKeyId::new(key).ok_or_else(damaged)).transpose()?,
        template: codec::template_of(row.try_get(4)?, vector)?,
        detection: codec::detection_of(row.try_get(5)?)?,
        quality: codec::quality_of(row.try_get(6)?)?,
        subject: rows::text(row, 7, Subject::stored)?,
        created_at: TimestampMs(row.try_get(9)?),
        expires_at: TimestampMs(row.try_get(10)?),
    };
    rows::need_intact(row.try_get(11)?, checksums::held(sequence, &held, vector), "held face", held.id)?;
    Ok((sequence, held))
}

/// Reads every kept face; lists those that cannot be what was written.
pub(super) async fn check(session: &Session, problems: &mut Vec<String>) -> Answer<()> {
    for row in session.query(&format!("SELECT {HELD_COLUMNS} FROM held_faces ORDER BY sequence"), &[]).await? {
        if let Err(Failure::Damaged(what)) = held_row(&row) {
            let id: i64 = row.try_get(1)?;
            problems.push(format!("held face {id}: {what}: delete it by its id, or wait until its time is over"));
        }
    }
    Ok(())
}

/// Brings the subjects of kept faces into NFC; how many rows that changed.
pub(super) async fn respell(session: &Session) -> Answer<u64> {
    let sql = format!("SELECT {HELD_COLUMNS} FROM held_faces WHERE octet_length(subject) > char_length(subject)");
    let mut n_rows = 0;
    for row in session.query(&sql, &[]).await? {
        let (sequence, before) = match held_row(&row) {
            Err(Failure::Damaged(_)) => continue,
            found => found?,
        };
        let mut held = before.clone();
        held.subject = rows::checked(held.subject.map(|subject| Subject::new(subject.as_str())).transpose())?;
        if held.subject != before.subject {
            let vector: &[u8] = row.try_get(8)?;
            let (subject, checksum) =
                (held.subject.as_ref().map(|subject| subject.as_str()), checksums::held(sequence, &held, vector));
            let sql = "UPDATE held_faces SET subject = $2, checksum = $3 WHERE sequence = $1";
            n_rows += session.execute(sql, &[&sequence, &subject, &checksum]).await?;
        }
    }
    Ok(n_rows)
}

async fn keep(
    tx: &mut WriteTx,
    (tenant, key): (TenantId, Option<AccessKeyId>),
    new_faces: Vec<NewTransientFace>,
    n_max: u64,
) -> Answer<Vec<TransientFace>> {
    let ids = faces::free_face_ids(&tx.session, new_faces.iter().map(|new| (new.id, None))).await?;
    let places = tx.next_places(new_faces.len()).await?;
    let mut held = Vec::with_capacity(new_faces.len());
    let mut pictures = Vec::new();
    for ((new, id), sequence) in new_faces.into_iter().zip(ids).zip(places) {
        let face = TransientFace {
            id,
            tenant,
            kept_by: key.clone(),
            template: new.template,
            detection: new.detection,
            quality: new.quality,
            subject: None,
            created_at: new.created_at,
            expires_at: new.expires_at,
        };
        let vector = codec::vector_bytes(&face.template);
        let sql = "INSERT INTO held_faces (sequence, id, tenant, key, pack, detection, quality, vector, created_at,
                                           expires_at, checksum)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        tx.session
            .execute(
                sql,
                &[
                    &sequence,
                    &number(id.get()),
                    &tenant_bytes(tenant),
                    &key.as_ref().map(AccessKeyId::as_str),
                    &face.template.pack().as_str(),
                    &&codec::detection_bytes(&face.detection)[..],
                    &codec::quality_bytes(&face.quality),
                    &vector,
                    &face.created_at.0,
                    &face.expires_at.0,
                    &checksums::held(sequence, &face, &vector),
                ],
            )
            .await?;
        pictures.extend(new.thumbnail.map(|thumbnail| (sequence, thumbnail)));
        tx.push(Change::TransientFaceKept(face.id));
        held.push(face);
    }
    if !pictures.is_empty() && thumbnails::are_kept(&tx.session, tenant).await? {
        thumbnails::insert(&tx.session, &pictures).await?;
    }
    // Of the newest as many as may be kept; the index has their order.
    let sql = "DELETE FROM held_faces WHERE tenant = $1 AND sequence IN
               (SELECT sequence FROM held_faces WHERE tenant = $1 ORDER BY sequence DESC OFFSET $2) RETURNING id, sequence";
    let mut gone: Vec<(i64, i64)> = Vec::new();
    for row in tx.session.query(sql, &[&tenant_bytes(tenant), &number(n_max)]).await? {
        gone.push((row.try_get(1)?, row.try_get(0)?));
    }
    gone.sort_unstable();
    for (_, id) in gone {
        tx.push(Change::TransientFaceGone(rows::face_id(id)?));
    }
    Ok(held)
}

async fn one(
    session: &Session,
    tenant: TenantId,
    id: FaceId,
    now: TimestampMs,
) -> Answer<Option<(i64, TransientFace)>> {
    let sql = format!("SELECT {HELD_COLUMNS} FROM held_faces WHERE tenant = $1 AND id = $2 AND expires_at > $3");
    let row = session.first(&sql, &[&tenant_bytes(tenant), &number(id.get()), &now.0]).await?;
    row.as_ref().map(held_row).transpose()
}

/// The tenant's faces of these source faces in the scope, or everywhere, by source face in the order asked for and then
/// in order of enrolment.
async fn enrolled(
    session: &Session,
    tenant: TenantId,
    scope: Option<FaceScope>,
    source_faces: Vec<FaceId>,
) -> Answer<Vec<FaceRow>> {
    let (condition, scope_id) = scope::in_scope(scope);
    let sql = format!(
        "SELECT {FACE_COLUMNS} FROM unnest($3::int8[]) WITH ORDINALITY AS j (id, place)
         JOIN faces AS f ON f.source_face = j.id OR (f.id = j.id AND f.source_face IS NULL)
         WHERE {condition} ORDER BY j.place, f.sequence"
    );
    let values = [&scope_id as _, &tenant_bytes(tenant) as _, &scope::each_once(source_faces) as _];
    rows::intact(&session.query(&sql, &values).await?, |row| rows::face_row(row, tenant))
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
async fn known(
    session: &Session,
    tenant: TenantId,
    source_face: FaceId,
    pack: &PackId,
    now: TimestampMs,
) -> Answer<Option<Known>> {
    if let Some((sequence, held)) = one(session, tenant, source_face, now).await? {
        let TransientFace { template, detection, quality, subject, .. } = held;
        let thumbnail = thumbnails::one(session, sequence).await?;
        return Ok(Some(Known { template, detection, quality, subject, thumbnail }));
    }
    let mut found = enrolled(session, tenant, None, vec![source_face]).await?.into_iter();
    let Some(FaceRow { sequence, face }) = found.next() else { return Ok(None) };
    let template = match rows::template_of(session, sequence, pack).await? {
        Some(template) => template,
        None => rows::template_of(session, sequence, &face.pack)
            .await?
            .ok_or_else(|| Failure::Damaged(format!("face {} has no template", face.id)))?,
    };
    let Face { detection, quality, subject, .. } = face;
    let thumbnail = thumbnails::wanted(session, sequence).await?;
    Ok(Some(Known { template, detection, quality, subject, thumbnail }))
}

async fn enrol(
    tx: &mut WriteTx,
    tenant: TenantId,
    face_set: FaceSetId,
    source_face: FaceId,
    (id, now): (FaceId, TimestampMs),
    limits: &Limits,
) -> Answer<Face> {
    let set = rows::need_face_set(&tx.session, tenant, face_set).await?;
    let known = known(&tx.session, tenant, source_face, &set.face_set.pack, now).await?;
    let Known { template, detection, quality, subject, thumbnail } = known.ok_or_else(unknown)?;
    let scope = Some(FaceScope::FaceSet(face_set));
    if !enrolled(&tx.session, tenant, scope, vec![source_face]).await?.is_empty() {
        return Err(Failure::said(Kind::FaceExists, "the face is in the set already"));
    }
    bounds::check_gallery(&set.face_set, set.n_gallery, 1, limits)?;
    faces::check_tenant(&tx.session, tenant, 1, limits).await?;
    faces::check_packs(&set.face_set, [template.pack()])?;
    let ids = faces::free_face_ids(&tx.session, std::iter::once((id, None))).await?;
    let face = Face {
        id: ids.into_iter().next().unwrap_or(id),
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
    faces::insert(tx, vec![(face.clone(), template, thumbnail)], &HashMap::from([(face.owner, vec![set])])).await?;
    let_go(tx, tenant, source_face).await?;
    Ok(face)
}

/// Erases the kept face, also when its time is over; returns how many that was.
async fn let_go(tx: &mut WriteTx, tenant: TenantId, id: FaceId) -> Answer<u64> {
    let sql = "DELETE FROM held_faces WHERE tenant = $1 AND id = $2";
    let n_held = tx.session.execute(sql, &[&tenant_bytes(tenant), &number(id.get())]).await?;
    if n_held > 0 {
        tx.push(Change::TransientFaceGone(id));
    }
    Ok(n_held)
}

async fn label(
    tx: &mut WriteTx,
    tenant: TenantId,
    source_face: FaceId,
    subject: &Subject,
    now: TimestampMs,
) -> Answer<()> {
    let held = one(&tx.session, tenant, source_face, now).await?;
    let enrolled = enrolled(&tx.session, tenant, None, vec![source_face]).await?;
    if held.is_none() && enrolled.is_empty() {
        return Err(unknown());
    }
    if let Some((sequence, mut face)) = held {
        face.subject = Some(subject.clone());
        let checksum = checksums::held(sequence, &face, &codec::vector_bytes(&face.template));
        let sql = "UPDATE held_faces SET subject = $2, checksum = $3 WHERE sequence = $1";
        tx.session.execute(sql, &[&sequence, &subject.as_str(), &checksum]).await?;
        tx.push(Change::TransientFaceKept(source_face));
    }
    for FaceRow { sequence, mut face } in enrolled {
        face.subject = Some(subject.clone());
        face.updated_at = now;
        faces::write_words(tx, tenant, sequence, &face).await?;
    }
    Ok(())
}

async fn delete(tx: &mut WriteTx, tenant: TenantId, source_face: FaceId, now: TimestampMs) -> Answer<u64> {
    let n_held = match one(&tx.session, tenant, source_face, now).await? {
        Some(_) => let_go(tx, tenant, source_face).await?,
        None => 0,
    };
    let found = enrolled(&tx.session, tenant, None, vec![source_face]).await?.into_iter();
    let deleted: Vec<DeletedFace> =
        found.map(|FaceRow { sequence, face }| DeletedFace { sequence, id: face.id, owner: face.owner }).collect();
    deletes::remove(tx, &deleted).await?;
    Ok(n_held + deleted.len() as u64)
}

impl TransientFaceStore for PostgresStore {
    fn keep_faces(&self, actor: Actor, faces: Vec<NewTransientFace>, n_max: u64) -> Pending<'_, Vec<TransientFace>> {
        let (tenant, key) = (actor.tenant, actor.key.clone());
        self.write_as(actor, "hold the faces", move |tx| {
            Box::pin(keep(tx, (tenant, key.clone()), faces.clone(), n_max))
        })
    }

    fn held_face(&self, tenant: TenantId, id: FaceId, now: TimestampMs) -> Pending<'_, Option<TransientFace>> {
        self.read("look up the held face", move |session| {
            Box::pin(async move { Ok(one(session, tenant, id, now).await?.map(|(_, held)| held)) })
        })
    }

    fn faces_of_source(
        &self,
        tenant: TenantId,
        scope: Option<FaceScope>,
        source_faces: Vec<FaceId>,
    ) -> Pending<'_, Vec<Face>> {
        self.read("look up the faces of a source face", move |session| {
            let source_faces = source_faces.clone();
            Box::pin(async move {
                let found = enrolled(session, tenant, scope, source_faces).await?;
                Ok(found.into_iter().map(|row| row.face).collect())
            })
        })
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
        let (tenant, limits) = (actor.tenant, limits.unwrap_or(Limits::NONE));
        self.write_as(actor, "enrol the held face", move |tx| {
            Box::pin(async move { enrol(tx, tenant, face_set, source_face, (id, now), &limits).await })
        })
    }

    fn label_source(&self, actor: Actor, source_face: FaceId, subject: Subject, now: TimestampMs) -> Pending<'_, ()> {
        let tenant = actor.tenant;
        self.write_as(actor, "label the face", move |tx| {
            let subject = subject.clone();
            Box::pin(async move { label(tx, tenant, source_face, &subject, now).await })
        })
    }

    fn delete_source(&self, actor: Actor, source_face: FaceId, now: TimestampMs) -> Pending<'_, u64> {
        let tenant = actor.tenant;
        self.write_as(actor, "delete the face everywhere", move |tx| Box::pin(delete(tx, tenant, source_face, now)))
    }

    fn purge_expired_faces(&self, now: TimestampMs) -> Pending<'_, u64> {
        self.purge(
            "forget held faces",
            now,
            "DELETE FROM held_faces WHERE sequence IN
             (SELECT sequence FROM held_faces WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            super::PURGE_ROWS,
        )
    }
}
