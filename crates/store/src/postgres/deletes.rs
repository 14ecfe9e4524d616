//! Deleting faces: which ones are meant, and their erasure, in one transaction however many they are.
//!
//! Which faces of a set a filter means is the index's answer: it has the columns. The delete has the tenant's lock by then,
//! and waits until the index has reached the last commit, so the answer is exact.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use likeness_domain::filter::{Filter, FilterRow};
use likeness_domain::ports::{FaceScope, FaceSelector, GalleryChange};
use likeness_domain::types::{FaceId, FaceOwner, FaceSetId, PersonId, TenantId};
use tokio_postgres::Row;

use super::commits;
use super::errors::{Answer, Failure};
use super::faces::{self, each_once, in_scope, owner_id, sets_of_person};
use super::rows::{self, number, tenant_bytes};
use super::transaction::WriteTx;
use crate::embedded::codec;

/// See `GalleryStore::delete_faces`.
pub(super) async fn delete(
    tx: &mut WriteTx,
    tenant: TenantId,
    scope: FaceScope,
    selector: &FaceSelector,
) -> Answer<Vec<FaceId>> {
    let sequences = meant(tx, tenant, scope, selector).await?;
    let (condition, scope_id) = in_scope(None);
    let sql = format!(
        "SELECT f.sequence, f.id, f.face_set, f.person FROM faces AS f
         WHERE f.sequence = ANY($3) AND {condition} ORDER BY f.sequence"
    );
    let found = tx.session.query(&sql, &[&scope_id, &tenant_bytes(tenant), &sequences]).await?;
    let deleted: Vec<DeletedFace> = found.iter().map(deleted_face).collect::<Answer<_>>()?;
    remove(tx, &deleted).await?;
    Ok(deleted.into_iter().map(|face| face.id).collect())
}

fn deleted_face(row: &Row) -> Answer<DeletedFace> {
    Ok(DeletedFace {
        sequence: row.try_get(0)?,
        id: rows::face_id(row.try_get(1)?)?,
        owner: rows::owner(row.try_get(2)?, row.try_get(3)?)?,
    })
}

/// Sequences of the faces that are meant.
async fn meant(tx: &WriteTx, tenant: TenantId, scope: FaceScope, selector: &FaceSelector) -> Answer<Vec<i64>> {
    let session = &tx.session;
    if let FaceSelector::Ids(ids) = selector {
        let (condition, scope_id) = in_scope(Some(scope));
        let sql = format!("SELECT f.sequence FROM faces AS f WHERE f.id = ANY($3) AND {condition}");
        let found = session.query(&sql, &[&scope_id, &tenant_bytes(tenant), &each_once(ids.clone())]).await?;
        return found.iter().map(|row| Ok(row.try_get(0)?)).collect();
    }
    let set = match scope {
        FaceScope::Person(id) => {
            return match rows::person(session, tenant, id).await? {
                Some(_) => meant_of_person(tx, id, selector).await,
                None => Ok(Vec::new()),
            };
        }
        FaceScope::FaceSet(id) => rows::face_set(session, tenant, id).await?,
    };
    let Some(set) = set else { return Ok(Vec::new()) };
    let set = set.face_set;
    let filter = match selector {
        FaceSelector::Filter(filter) => Arc::clone(filter),
        FaceSelector::Field { name, value } => Arc::new(Filter::equals(&set.schema, name, value)),
        FaceSelector::Subject(subject) => Arc::new(Filter::Subject(subject.as_str().into())),
        FaceSelector::Ids(_) => Arc::new(Filter::AnyOf(Vec::new())),
    };
    let truth = commits::last(session).await?;
    let follower = &tx.shared.follower;
    follower.has_heard_of(truth.revision.0);
    if !follower.wait_until(truth.revision, tx.shared.settings.index_wait_max).await {
        return Err(Failure::NoConnection("the index of this node is behind the database".into()));
    }
    let mut sequences: Vec<i64> =
        tx.shared.index.matching(set.id, filter).await?.into_iter().map(u64::cast_signed).collect();
    if let FaceSelector::Subject(subject) = selector {
        // Whoever deletes all of somebody's faces also deletes a face that is damaged and therefore not in the index.
        let sql = "SELECT sequence FROM faces WHERE face_set = $1 AND subject = $2";
        for row in session.query(sql, &[&number(set.id.get()), &subject.as_str()]).await? {
            sequences.push(row.try_get(0)?);
        }
    }
    Ok(sequences)
}

/// The same of a person's faces, of which there are few, and which are in no gallery of their own.
async fn meant_of_person(tx: &WriteTx, person: PersonId, selector: &FaceSelector) -> Answer<Vec<i64>> {
    let sql = "SELECT sequence, id, subject, fields FROM faces WHERE person = $1";
    let mut meant = Vec::new();
    for row in tx.session.query(sql, &[&number(person.get())]).await? {
        let (face, subject): (_, Option<&str>) = (rows::face_id(row.try_get(1)?)?, row.try_get(2)?);
        let is_meant = match selector {
            FaceSelector::Ids(ids) => ids.contains(&face),
            FaceSelector::Subject(wanted) => subject == Some(wanted.as_str()),
            FaceSelector::Field { name, value } => codec::fields_of(row.try_get(3)?)?.get(name.as_str()) == Some(value),
            FaceSelector::Filter(filter) => filter.matches(FilterRow { face, subject, values: &[] }),
        };
        if is_meant {
            meant.push(row.try_get(0)?);
        }
    }
    Ok(meant)
}

/// What a delete has to know of a face.
pub(super) struct DeletedFace {
    pub(super) sequence: i64,
    pub(super) id: FaceId,
    pub(super) owner: FaceOwner,
}

/// Erases faces and takes them out of the galleries and counts.
pub(super) async fn remove(tx: &mut WriteTx, deleted: &[DeletedFace]) -> Answer<()> {
    if deleted.is_empty() {
        return Ok(());
    }
    let sequences: Vec<i64> = deleted.iter().map(|face| face.sequence).collect();
    tx.session.execute("DELETE FROM templates WHERE face = ANY($1)", &[&sequences]).await?;
    tx.session.execute("DELETE FROM faces WHERE sequence = ANY($1)", &[&sequences]).await?;
    let mut n_gone_by_owner: BTreeMap<(bool, i64), i64> = BTreeMap::new();
    let mut sets_by_person: HashMap<PersonId, Vec<FaceSetId>> = HashMap::new();
    let mut candidates: Vec<(FaceSetId, &DeletedFace)> = Vec::new();
    for face in deleted {
        let is_of_set = matches!(face.owner, FaceOwner::FaceSet(_));
        *n_gone_by_owner.entry((is_of_set, owner_id(face.owner))).or_default() += 1;
        match face.owner {
            FaceOwner::FaceSet(id) => candidates.push((id, face)),
            FaceOwner::Person(person) => {
                if let std::collections::hash_map::Entry::Vacant(unknown) = sets_by_person.entry(person) {
                    let sets = sets_of_person(&tx.session, person).await?;
                    unknown.insert(sets.into_iter().map(|set| set.face_set.id).collect());
                }
                let sets = sets_by_person.get(&person).into_iter().flatten();
                candidates.extend(sets.map(|&set| (set, face)));
            }
        }
    }
    let rows: Vec<(i64, i64)> = candidates.iter().map(|(set, face)| (number(set.get()), face.sequence)).collect();
    // A member's face without a template of a set's pack is not in its gallery.
    let hidden: HashSet<(i64, i64)> = faces::hide(&tx.session, &rows).await?;
    for ((face_set, face), row) in candidates.into_iter().zip(rows) {
        if hidden.contains(&row) {
            tx.push(GalleryChange::Remove { face_set, face: face.id });
        }
    }
    for ((is_of_set, owner), n_gone) in n_gone_by_owner {
        let sql = match is_of_set {
            true => "UPDATE face_sets SET n_owned = n_owned - $2 WHERE id = $1",
            false => "UPDATE persons SET n_faces = n_faces - $2 WHERE id = $1",
        };
        tx.session.execute(sql, &[&owner, &n_gone]).await?;
    }
    Ok(())
}
