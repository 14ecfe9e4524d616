//! Deleting faces: which ones are meant, and their erasure, of many in bounded steps.
//!
//! Which faces a filter means is the index's answer: it has the columns, and on the writing thread it has reached every
//! commit, so its answer is exact. Up to [`Settings::delete_rows`](super::Settings::delete_rows) faces are erased by the
//! write itself. Of more, the write stores a row of `pending_deletes` for each step to come and is durable with that;
//! then the writing thread erases step by step, with other writes in between, and the caller is answered after the last.
//! A store that is opened goes on with the steps it finds.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use likeness_domain::Result;
use likeness_domain::filter::{Filter, FilterRow};
use likeness_domain::ports::{FaceScope, FaceSelector, GalleryChange, VectorIndex};
use likeness_domain::types::{AccessKeyId, Actor, FaceId, FaceOwner, PersonId, RequestId, TenantId};
use rusqlite::{Connection, Row};
use tokio::sync::oneshot;

use super::checksums::{self, PENDING_DELETES};
use super::codec;
use super::errors::{Answer, Failure};
use super::faces::owner_id;
use super::rows::{self, SetRow};
use super::scope::{Scope, each_once, find_scope, in_scope, sets_of_person};
use super::transaction::{Running, WriteTx};
use crate::wait::wait_for;

/// How a delete goes on after its first commit.
pub(super) enum Begun {
    /// All are erased.
    Done(Vec<FaceId>),
    /// They are being erased step by step; the ids follow.
    InSteps(oneshot::Receiver<Result<Vec<FaceId>>>),
}

/// Whether so few faces are named that they are looked up and erased like any other write.
pub(super) fn is_small(selector: &FaceSelector, n_rows_max: usize) -> bool {
    matches!(selector, FaceSelector::Ids(ids) if ids.len() <= n_rows_max)
}

/// See `GalleryStore::delete_faces`. Unless [`is_small`], this has to be the only write of its transaction, as the index
/// knows nothing yet of what was written before it in the same.
pub(super) fn begin(
    tx: &mut WriteTx<'_>,
    actor: &Actor,
    (scope, selector): (FaceScope, &FaceSelector),
    index: &dyn VectorIndex,
    n_rows_max: usize,
) -> Answer<Begun> {
    let sequences = meant(tx.conn, index, actor.tenant, scope, selector)?;
    if sequences.len() <= n_rows_max {
        return Ok(Begun::Done(remove_of_tenant(tx, actor.tenant, &sequences)?));
    }
    let mut insert = tx.conn.prepare_cached(&PENDING_DELETES.insert())?;
    let mut steps = Vec::new();
    for step in sequences.chunks(n_rows_max) {
        let faces = bytes_of(step);
        let (tenant, key) = (codec::tenant_bytes(actor.tenant), actor.key.as_ref().map(AccessKeyId::as_str));
        steps.push(insert.insert((actor.request_id.as_str(), tenant, key, faces))?);
    }
    let (Some(&first), Some(&last)) = (steps.first(), steps.last()) else { return Ok(Begun::Done(Vec::new())) };
    let (caller, deleted) = oneshot::channel();
    tx.begun = Some(Running { steps: first..=last, deleted: Vec::with_capacity(sequences.len()), caller });
    Ok(Begun::InSteps(deleted))
}

/// One step of a delete.
pub(super) struct Step {
    pub(super) id: i64,
    pub(super) actor: Actor,
    sequences: Vec<u64>,
}

/// The next step that is to be made.
pub(super) fn next_step(conn: &Connection) -> Answer<Option<Step>> {
    let damaged = || Failure::Damaged("a pending delete is malformed".into());
    // A damaged one must not delete what nobody meant: it stays where it is, and a report names it.
    let sql = format!(
        "SELECT p.id, p.tenant, p.key, p.request, p.faces FROM pending_deletes AS p WHERE {} ORDER BY p.id LIMIT 1",
        PENDING_DELETES.intact("p")
    );
    rows::first(conn, &sql, (), |row| {
        let key = row.get::<_, Option<String>>(2)?;
        let (numbers, rest) = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?.as_chunks();
        Ok(Step {
            id: row.get(0)?,
            actor: Actor {
                tenant: codec::tenant_of(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?,
                key: key.map(|key| AccessKeyId::new(&key).ok_or_else(damaged)).transpose()?,
                request_id: RequestId::new(&row.get::<_, String>(3)?).ok_or_else(damaged)?,
                key_must_be_usable: false,
                lease: None,
            },
            sequences: match rest {
                [] => numbers.iter().map(|number| u64::from_le_bytes(*number)).collect(),
                _ => return Err(damaged()),
            },
        })
    })
}

/// What was made of a step.
pub(super) struct Made {
    /// The faces that were still there.
    pub(super) deleted: Vec<FaceId>,
    /// How many faces it was about.
    pub(super) n_rows: usize,
    /// Whether that was all of the step.
    pub(super) is_whole: bool,
}

/// Makes a step, or as much of it as `n_rows_max` faces: erases those of its faces that are still there, and the step.
pub(super) fn make_step(tx: &mut WriteTx<'_>, step: &Step, n_rows_max: usize) -> Answer<Made> {
    let (now, later) = step.sequences.split_at(step.sequences.len().min(n_rows_max));
    let deleted = remove_of_tenant(tx, step.actor.tenant, now)?;
    if later.is_empty() {
        tx.conn.prepare_cached("DELETE FROM pending_deletes WHERE id = ?1")?.execute([step.id])?;
    } else {
        let faces = bytes_of(later);
        tx.conn.prepare_cached("UPDATE pending_deletes SET faces = ?2 WHERE id = ?1")?.execute((step.id, faces))?;
        checksums::renew(tx.conn, &PENDING_DELETES, "id", step.id)?;
    }
    Ok(Made { deleted, n_rows: now.len(), is_whole: later.is_empty() })
}

/// Sequences as a pending delete has them.
fn bytes_of(sequences: &[u64]) -> Vec<u8> {
    sequences.iter().flat_map(|sequence| sequence.to_le_bytes()).collect()
}

/// Faces that wait to be erased by pending steps.
pub(super) fn n_pending(conn: &Connection) -> Answer<u64> {
    let sql = "SELECT coalesce(sum(length(faces) / 8), 0) FROM pending_deletes";
    Ok(conn.query_row(sql, [], |row| row.get(0))?)
}

/// Sequences of the faces that are meant, ascending.
fn meant(
    conn: &Connection,
    index: &dyn VectorIndex,
    tenant: TenantId,
    scope: FaceScope,
    selector: &FaceSelector,
) -> Answer<Vec<u64>> {
    let sequence = |row: &Row<'_>| Ok(row.get::<_, u64>(0)?);
    let set = match (find_scope(conn, tenant, scope)?, selector) {
        (None, _) => return Ok(Vec::new()),
        (Some(_), FaceSelector::Ids(ids)) => {
            let (condition, scope_id) = in_scope(Some(scope));
            let sql = format!(
                "SELECT f.sequence FROM json_each(?3) AS j CROSS JOIN faces AS f ON f.id = j.value
                 WHERE {condition} ORDER BY f.sequence"
            );
            let params = (scope_id, codec::tenant_bytes(tenant), each_once(ids.clone()));
            return rows::all(conn, &sql, params, sequence);
        }
        (Some(Scope::Person(person)), _) => return meant_of_person(conn, person, selector),
        (Some(Scope::FaceSet(set)), _) => set.face_set,
    };
    let filter = match selector {
        FaceSelector::Filter(filter) => Arc::clone(filter),
        FaceSelector::Field { name, value } => Arc::new(Filter::equals(&set.schema, name, value)),
        FaceSelector::Subject(subject) => Arc::new(Filter::Subject(subject.as_str().into())),
        FaceSelector::Ids(_) => Arc::new(Filter::AnyOf(Vec::new())),
    };
    let mut sequences = wait_for(index.matching(set.id, filter))?;
    if let FaceSelector::Subject(subject) = selector {
        // Whoever deletes all of somebody's faces also deletes a face that is damaged and therefore not in the index.
        let sql = "SELECT sequence FROM faces WHERE face_set = ?1 AND subject = ?2";
        sequences.extend(rows::all(conn, sql, (set.id.get(), subject.as_str()), sequence)?);
        sequences.sort_unstable();
        sequences.dedup();
    }
    Ok(sequences)
}

/// The same of a person's faces, of which there are few, and which are in no gallery of their own.
fn meant_of_person(conn: &Connection, person: PersonId, selector: &FaceSelector) -> Answer<Vec<u64>> {
    let sql = "SELECT sequence, id, subject, fields FROM faces WHERE person = ?1 ORDER BY sequence";
    let meant = rows::all(conn, sql, [person.get()], |row| {
        let (face, subject) =
            (rows::face_id(row.get(1)?)?, row.get_ref(2)?.as_str_or_null().map_err(rusqlite::Error::from)?);
        let is_meant = match selector {
            FaceSelector::Ids(ids) => ids.contains(&face),
            FaceSelector::Subject(wanted) => subject == Some(wanted.as_str()),
            FaceSelector::Field { name, value } => {
                let fields = codec::fields_of(row.get_ref(3)?.as_blob_or_null().map_err(rusqlite::Error::from)?)?;
                fields.get(name.as_str()) == Some(value)
            }
            FaceSelector::Filter(filter) => filter.matches(FilterRow { face, subject, values: &[] }),
        };
        Ok(is_meant.then_some(row.get(0)?))
    })?;
    Ok(meant.into_iter().flatten().collect())
}

/// Erases those of these faces that are the tenant's and neither deleted yet nor of a deleted owner; returns their ids in
/// the order given.
fn remove_of_tenant(tx: &mut WriteTx<'_>, tenant: TenantId, sequences: &[u64]) -> Answer<Vec<FaceId>> {
    let (condition, scope_id) = in_scope(None);
    let sql = format!(
        "SELECT f.sequence, f.id, f.face_set, f.person FROM json_each(?3) AS j
         CROSS JOIN faces AS f ON f.sequence = j.value WHERE {condition}"
    );
    let params = (scope_id, codec::tenant_bytes(tenant), rows::json_array(sequences.iter().copied()));
    let deleted = rows::all(tx.conn, &sql, params, |row| {
        Ok(DeletedFace {
            sequence: row.get(0)?,
            id: rows::face_id(row.get(1)?)?,
            owner: rows::owner(row.get(2)?, row.get(3)?)?,
        })
    })?;
    remove(tx, &deleted)?;
    Ok(deleted.into_iter().map(|face| face.id).collect())
}

/// What a delete has to know of a face.
pub(super) struct DeletedFace {
    pub(super) sequence: u64,
    pub(super) id: FaceId,
    pub(super) owner: FaceOwner,
}

/// Erases faces and takes them out of the galleries and counts.
pub(super) fn remove(tx: &mut WriteTx<'_>, deleted: &[DeletedFace]) -> Answer<()> {
    let mut n_gone_by_set: BTreeMap<u64, u64> = BTreeMap::new();
    let mut n_gone_by_owner: HashMap<FaceOwner, u64> = HashMap::new();
    let mut sets_by_person: HashMap<PersonId, Vec<SetRow>> = HashMap::new();
    for face in deleted {
        erase_face(tx.conn, face.sequence)?;
        *n_gone_by_owner.entry(face.owner).or_default() += 1;
        let galleries: Vec<_> = match face.owner {
            FaceOwner::FaceSet(id) => vec![id],
            FaceOwner::Person(person) => {
                let sets = match sets_by_person.entry(person) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => unknown.insert(sets_of_person(tx.conn, person)?),
                };
                sets.iter().map(|set| set.face_set.id).collect()
            }
        };
        for face_set in galleries {
            let n_shown = tx
                .conn
                .prepare_cached("DELETE FROM gallery WHERE face_set = ?1 AND sequence = ?2")?
                .execute((face_set.get(), face.sequence))?;
            if n_shown == 0 {
                // A member's face without a template of the set's pack.
                continue;
            }
            *n_gone_by_set.entry(face_set.get()).or_default() += 1;
            tx.push(GalleryChange::Remove { face_set, face: face.id });
        }
    }
    for (face_set, n_gone) in n_gone_by_set {
        tx.conn
            .prepare_cached("UPDATE face_sets SET n_gallery = n_gallery - ?2 WHERE id = ?1")?
            .execute((face_set, n_gone))?;
    }
    for (owner, n_gone) in n_gone_by_owner {
        let sql = match owner {
            FaceOwner::FaceSet(_) => "UPDATE face_sets SET n_owned = n_owned - ?2 WHERE id = ?1",
            FaceOwner::Person(_) => "UPDATE persons SET n_faces = n_faces - ?2 WHERE id = ?1",
        };
        tx.conn.prepare_cached(sql)?.execute((owner_id(owner), n_gone))?;
    }
    tx.erased |= !deleted.is_empty();
    Ok(())
}

/// Erases the rows of one face, but for the galleries.
pub(super) fn erase_face(conn: &Connection, sequence: u64) -> Answer<()> {
    conn.prepare_cached("DELETE FROM templates WHERE face = ?1")?.execute([sequence])?;
    conn.prepare_cached("DELETE FROM faces WHERE sequence = ?1")?.execute([sequence])?;
    Ok(())
}
