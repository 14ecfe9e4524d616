//! Deleting faces: which ones are meant, and their erasure, of many in bounded steps.
//!
//! Which faces of a set a filter means is the index's answer: it has the columns. The delete has the tenant's lock by then,
//! and waits until the index has reached the last commit, so the answer is exact. Up to
//! [`Settings::delete_rows`](super::Settings::delete_rows) faces are erased by that transaction. Of more, it stores a row of
//! `pending_deletes` for each step to come and is certain with that; then each step is a write like any other, with those of
//! others in between, and the caller is answered after the last. What a server leaves that was stopped or has lost the
//! database meanwhile is made by itself when it can, or by another one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use likeness_domain::filter::{Filter, FilterRow};
use likeness_domain::ports::{FaceScope, FaceSelector, GalleryChange};
use likeness_domain::types::{AccessKeyId, Actor, FaceId, FaceOwner, FaceSetId, PersonId, RequestId, TenantId};
use likeness_domain::{Error, Kind};
use tokio_postgres::Row;

use super::checksums::Checksum;
use super::errors::{Answer, Failure};
use super::faces::{self, owner_id, sets_of_person};
use super::rows::{self, number, tenant_bytes};
use super::scope::{each_once, in_scope};
use super::session::Session;
use super::transaction::{Turn, WriteTx};
use super::{NODE_IS_GONE, NODE_LOCKS, Settings, Shared, commits};
use crate::embedded::codec;
use crate::pace::Pace;

/// Steps that are looked at for one to make: more than may be damaged.
const LOOKED_AT: i64 = 64;

/// The pace of steps of deletes.
pub(super) fn pace(settings: &Settings) -> Pace {
    Pace::new(settings.delete_rows, settings.step_aim)
}

/// How a delete goes on after its first commit.
enum Begun {
    /// All are erased.
    Done(Vec<FaceId>),
    /// They are erased step by step.
    InSteps(UnderWay),
}

/// Steps that a call of this server makes, so that nobody else here does; those that are left when this is dropped are made
/// by the maintenance.
struct UnderWay {
    shared: Arc<Shared>,
    /// Ids of `pending_deletes`, ascending.
    steps: Vec<i64>,
}

impl UnderWay {
    fn new(shared: &Arc<Shared>, mut steps: Vec<i64>) -> Self {
        steps.sort_unstable();
        shared.deletes_under_way().extend(&steps);
        Self { shared: Arc::clone(shared), steps }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut under_way = self.shared.deletes_under_way();
        for step in &self.steps {
            under_way.remove(step);
        }
        drop(under_way);
        self.shared.erase.notify_one();
    }
}

impl Shared {
    /// Ids of the steps that calls of this server make, and of damaged ones that nobody makes.
    fn deletes_under_way(&self) -> std::sync::MutexGuard<'_, HashSet<i64>> {
        self.deletes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See `GalleryStore::delete_faces`.
pub(super) async fn delete(
    shared: &Arc<Shared>,
    turn: Turn,
    actor: &Actor,
    (scope, selector): (FaceScope, &FaceSelector),
) -> Answer<Vec<FaceId>> {
    let began = shared
        .write_as(turn, actor, &|tx| {
            let (actor, selector) = (actor.clone(), selector.clone());
            Box::pin(async move { begin(tx, &actor, scope, &selector).await })
        })
        .await?;
    let under_way = match began {
        Begun::Done(deleted) => return Ok(deleted),
        Begun::InSteps(under_way) => under_way,
    };
    let mut pace = pace(&shared.settings);
    let mut deleted = Vec::new();
    for &step in &under_way.steps {
        loop {
            let made = make(shared, step, actor, &mut pace).await.map_err(goes_on)?;
            let Some(made) = made else {
                // The lock that shows that this server is alive had gone with its connection.
                return Err(goes_on(Failure::NoConnection("another server went on with the delete".into())));
            };
            deleted.extend(made.deleted);
            if made.is_whole {
                break;
            }
        }
    }
    Ok(deleted)
}

/// A delete that is certain could not be waited for: also if it is not known whether the last step was made.
fn goes_on(failure: Failure) -> Failure {
    if !failure.is_disconnection() && !matches!(failure, Failure::InDoubt) {
        return failure;
    }
    let message =
        "the database was lost while the faces were being deleted; the others are deleted as soon as it is back";
    Failure::Said(Error::new(Kind::Overloaded, message).with_source(failure.to_string()))
}

/// Erases the faces that are meant, or stores which ones they are.
async fn begin(tx: &mut WriteTx, actor: &Actor, scope: FaceScope, selector: &FaceSelector) -> Answer<Begun> {
    let mut sequences = meant(tx, actor.tenant, scope, selector).await?;
    sequences.sort_unstable();
    sequences.dedup();
    let n_rows_max = tx.shared.settings.delete_rows.max(1);
    if sequences.len() <= n_rows_max {
        return Ok(Begun::Done(remove_of_tenant(tx, actor.tenant, &sequences).await?));
    }
    let (tenant, key) = (tenant_bytes(actor.tenant), actor.key.as_ref().map(AccessKeyId::as_str));
    let request = actor.request_id.as_str();
    let faces: Vec<Vec<u8>> = sequences.chunks(n_rows_max).map(bytes_of).collect();
    let checksums: Vec<i64> = faces.iter().map(|faces| checksum_of(&tenant, key, request, faces)).collect();
    let sql = "INSERT INTO pending_deletes (tenant, key, request, node, faces, checksum)
               SELECT $1, $2, $3, $4, faces, checksum
               FROM unnest($5::bytea[], $6::int8[]) WITH ORDINALITY AS step (faces, checksum, place) ORDER BY place
               RETURNING id";
    let stored = tx.session.query(sql, &[&tenant, &key, &request, &tx.shared.node, &faces, &checksums]).await?;
    let steps = stored.iter().map(|row| Ok(row.try_get(0)?)).collect::<Answer<_>>()?;
    Ok(Begun::InSteps(UnderWay::new(&tx.shared, steps)))
}

/// Sequences as a pending delete has them.
fn bytes_of(sequences: &[i64]) -> Vec<u8> {
    sequences.iter().flat_map(|sequence| sequence.to_le_bytes()).collect()
}

fn checksum_of(tenant: &[u8], key: Option<&str>, request: &str, faces: &[u8]) -> i64 {
    let checksum = Checksum::of("pending_deletes").bytes(tenant).bytes(key.map(str::as_bytes));
    checksum.bytes(request.as_bytes()).bytes(faces).finish()
}

/// A row of `pending_deletes`.
struct Step {
    id: i64,
    actor: Actor,
    sequences: Vec<i64>,
}

const STEP_COLUMNS: &str = "p.id, p.tenant, p.key, p.request, p.faces, p.checksum";

/// A damaged one must not delete what nobody meant.
fn step(row: &Row) -> Answer<Step> {
    let damaged = || Failure::Damaged("a pending delete is malformed".into());
    let (tenant, key, request): (&[u8], Option<&str>, &str) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    let (id, faces): (i64, &[u8]) = (row.try_get(0)?, row.try_get(4)?);
    rows::need_intact(row.try_get(5)?, checksum_of(tenant, key, request, faces), "pending delete", id)?;
    let actor = Actor {
        tenant: codec::tenant_of(tenant)?,
        key: key.map(|key| AccessKeyId::new(key).ok_or_else(damaged)).transpose()?,
        request_id: RequestId::new(request).ok_or_else(damaged)?,
        key_must_be_usable: false,
        lease: None,
    };
    let (numbers, []) = faces.as_chunks() else { return Err(damaged()) };
    Ok(Step { id, actor, sequences: numbers.iter().map(|number| i64::from_le_bytes(*number)).collect() })
}

/// What was made of a step.
struct Made {
    /// The faces that were still there.
    deleted: Vec<FaceId>,
    /// How many faces it was about.
    n_rows: usize,
    /// Whether that was all of the step.
    is_whole: bool,
}

/// Makes a step or as much of it as the pace allows, after the writes of the tenant that wait; `None` if it is made already.
async fn make(shared: &Arc<Shared>, id: i64, actor: &Actor, pace: &mut Pace) -> Answer<Option<Made>> {
    let actor = Actor { key_must_be_usable: false, lease: None, ..actor.clone() };
    let turn = shared.its_turn(shared.turns.take(actor.tenant)).await?;
    let (started, n_rows_max) = (Instant::now(), pace.n_rows());
    let turn = Box::pin(std::future::ready(turn));
    let made = shared.write_as(turn, &actor, &|tx| Box::pin(make_some(tx, id, n_rows_max))).await?;
    if let Some(made) = &made {
        pace.took(made.n_rows, started.elapsed());
    }
    Ok(made)
}

/// Erases those of a step's first faces that are still there, and the step.
async fn make_some(tx: &mut WriteTx, id: i64, n_rows_max: usize) -> Answer<Option<Made>> {
    let sql = format!("SELECT {STEP_COLUMNS} FROM pending_deletes AS p WHERE p.id = $1 FOR UPDATE");
    let Some(row) = tx.session.first(&sql, &[&id]).await? else { return Ok(None) };
    let Step { actor, sequences, .. } = step(&row)?;
    let (now, later) = sequences.split_at(sequences.len().min(n_rows_max));
    let deleted = remove_of_tenant(tx, actor.tenant, now).await?;
    if later.is_empty() {
        tx.session.execute("DELETE FROM pending_deletes WHERE id = $1", &[&id]).await?;
    } else {
        let (faces, tenant) = (bytes_of(later), tenant_bytes(actor.tenant));
        let key = actor.key.as_ref().map(AccessKeyId::as_str);
        let checksum = checksum_of(&tenant, key, actor.request_id.as_str(), &faces);
        let sql = "UPDATE pending_deletes SET faces = $2, checksum = $3 WHERE id = $1";
        tx.session.execute(sql, &[&id, &faces, &checksum]).await?;
    }
    Ok(Some(Made { deleted, n_rows: now.len(), is_whole: later.is_empty() }))
}

/// Makes a step, or some of it, that a call of this server or another server has left; false if there is none. Those of
/// servers that are alive are theirs: a server shows that by the lock of its listening connection. What a deleted tenant had
/// is erased with the rest of it.
pub(super) async fn make_abandoned(shared: &Arc<Shared>, pace: &mut Pace) -> Answer<bool> {
    let not_these: Vec<i64> = shared.deletes_under_way().iter().copied().collect();
    let sql = format!(
        "SELECT {STEP_COLUMNS} FROM pending_deletes AS p
         WHERE NOT p.id = ANY($1) AND NOT EXISTS (SELECT 1 FROM deleted_tenants AS d WHERE d.tenant = p.tenant)
         AND (node = $2 OR {NODE_IS_GONE})
         ORDER BY p.id LIMIT $4"
    );
    let found =
        shared.database.session().await?.query(&sql, &[&not_these, &shared.node, &NODE_LOCKS, &LOOKED_AT]).await?;
    for row in &found {
        match step(row) {
            Ok(Step { id, actor, .. }) => {
                make(shared, id, &actor, pace).await?;
                return Ok(true);
            }
            Err(Failure::Damaged(what)) => {
                tracing::error!(what, "a step of a delete is damaged and not made; hint: ask for the delete again");
                shared.deletes_under_way().insert(row.try_get(0)?);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(false)
}

/// Looks at every pending delete; lists those that cannot be what was written.
pub(super) async fn check(session: &Session, problems: &mut Vec<String>) -> Answer<()> {
    for row in session.query(&format!("SELECT {STEP_COLUMNS} FROM pending_deletes AS p ORDER BY p.id"), &[]).await? {
        if let Err(Failure::Damaged(what)) = step(&row) {
            problems.push(format!("{what}: ask for the delete again, and delete its row of `pending_deletes`"));
        }
    }
    Ok(())
}

/// Erases those of these faces that are the tenant's and neither deleted yet nor of a deleted owner; returns their ids in
/// order of enrolment.
async fn remove_of_tenant(tx: &mut WriteTx, tenant: TenantId, sequences: &[i64]) -> Answer<Vec<FaceId>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_loses_the_database_between_steps_hears_that_the_delete_goes_on() {
        for lost in [Failure::InDoubt, Failure::NoConnection("gone".into())] {
            let error = goes_on(lost).into_error("delete the faces");
            assert_eq!(error.kind(), Kind::Overloaded, "{error:?}");
            assert!(error.message().ends_with("the others are deleted as soon as it is back"), "{error:?}");
        }
        let other = goes_on(Failure::Damaged("a row".into()));
        assert!(matches!(other, Failure::Damaged(_)), "{other:?}");
    }
}
