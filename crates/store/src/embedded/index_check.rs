//! The index against the store: it shows every face that it should, no other, and with the vector that is stored.
//!
//! Writes go on meanwhile. What a gallery has is read before and after the index is asked, and in between the writing thread
//! has had the index take over everything that was committed before; so a row that both readings have and the index has not is
//! missing in it, whoever writes.
//!
//! An index that differs is filled anew from the tables before this answers, so that no search is answered from it again.

use std::collections::BTreeSet;
use std::sync::Arc;

use likeness_domain::Result;
use likeness_domain::filter::Filter;
use likeness_domain::ports::{GallerySearch, StoreReport};
use likeness_domain::types::{FaceId, FaceSet, FaceSetId, Similarity, Template};

use super::rows::{self, SET_COLUMNS};
use super::{EmbeddedStore, rebuild};

/// Rows that are missing in the index of one set and looked up, to see whether they should be there.
const LOOKED_UP_MAX: usize = 1000;

/// Faces of each set whose vectors are compared, spread over its gallery, and of all sets together.
const VECTORS_OF_SET: usize = 32;
const VECTORS_MAX: usize = 512;

/// Least similarity of a stored template to the one in the index: they are the same numbers.
const SAME_MIN: f32 = 0.9999;

const CURE: &str =
    "it was filled anew from the store; check again, and if it differs again, report it as a fault of this program";

/// Compares the index of an open store with its tables; adds to the report what was compared and what differs.
pub(super) async fn compare(store: &EmbeddedStore, report: &mut StoreReport) -> Result<()> {
    let sql = format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.name IS NOT NULL ORDER BY s.sequence");
    let sets = store.read("list the face sets", move |conn| rows::intact(conn, &sql, (), rows::set_row)).await?;
    let (mut n_rows, mut n_vectors, mut differs) = (0, 0, false);
    for set in sets {
        let Some(compared) = compare_set(store, &set.face_set, VECTORS_MAX - n_vectors).await? else {
            report.not_checked.push("the index: it is being filled, or writing fails; ask again in a moment".into());
            return Ok(());
        };
        n_rows += compared.n_rows;
        n_vectors += compared.n_vectors;
        differs |= !compared.problems.is_empty();
        report.problems.extend(compared.problems);
    }
    if differs {
        store.health.index_differs();
        // A full queue is no matter: the writing thread does so before it answers whoever comes next.
        let _ = store.wait_for_index().await;
    }
    report.checked.push(format!(
        "the index against the store: that it shows each of {n_rows} faces of galleries and no other, and the vectors of \
         {n_vectors} of them"
    ));
    Ok(())
}

#[derive(Default)]
struct Compared {
    n_rows: usize,
    n_vectors: usize,
    problems: Vec<String>,
}

/// `None` if the index cannot be asked because it is being filled, or the writing thread cannot be waited for as writing fails.
async fn compare_set(store: &EmbeddedStore, set: &FaceSet, n_vectors_max: usize) -> Result<Option<Compared>> {
    let id = set.id;
    let mut unexpected: Option<BTreeSet<u64>> = None;
    let mut missing: Option<BTreeSet<u64>> = None;
    let mut both = Vec::new();
    // What differs is looked at again: a face may join and leave between the two readings.
    for _ in 0..2 {
        let before: BTreeSet<u64> = gallery(store, id).await?.into_iter().collect();
        if store.wait_for_index().await.is_err() {
            return Ok(None);
        }
        let Ok(shown) = store.index.matching(id, Arc::new(Filter::Every(Vec::new()))).await else { return Ok(None) };
        let after: BTreeSet<u64> = gallery(store, id).await?.into_iter().collect();
        let shown: BTreeSet<u64> = shown.into_iter().collect();
        let lacks = before.intersection(&after).filter(|sequence| !shown.contains(sequence)).copied();
        let has = shown.iter().filter(|sequence| !before.contains(sequence) && !after.contains(sequence)).copied();
        missing = Some(again(missing, lacks.collect()));
        unexpected = Some(again(unexpected, has.collect()));
        both = shown.intersection(&after).copied().collect();
        if missing.as_ref().is_none_or(BTreeSet::is_empty) && unexpected.as_ref().is_none_or(BTreeSet::is_empty) {
            break;
        }
    }
    let mut compared = Compared { n_rows: both.len(), ..Compared::default() };
    let mut lacking = Vec::new();
    for &sequence in missing.iter().flatten().take(LOOKED_UP_MAX) {
        // A damaged one is left out on purpose.
        if let Some((face, _)) = searchable(store, set, sequence).await? {
            lacking.push(face);
        }
    }
    let name = set.name.as_str().escape_debug();
    if let Some(first) = lacking.first() {
        compared.problems.push(format!(
            "the index lacks {} faces of face set `{name}` that are stored, face {first} first: {CURE}",
            lacking.len()
        ));
    }
    if let Some(first) = unexpected.iter().flatten().next() {
        compared.problems.push(format!(
            "the index shows {} faces of face set `{name}` that are not stored, that of sequence {first} first: {CURE}",
            unexpected.as_ref().map_or(0, BTreeSet::len)
        ));
    }
    let step = (both.len() / VECTORS_OF_SET.min(n_vectors_max).max(1)).max(1);
    for &sequence in both.iter().step_by(step).take(n_vectors_max.min(VECTORS_OF_SET)) {
        let Some((face, template)) = searchable(store, set, sequence).await? else { continue };
        match is_found(store, id, face, template).await? {
            Some(true) => compared.n_vectors += 1,
            Some(false) => compared.problems.push(format!(
                "the index has another vector of face {face} of face set `{name}` than is stored: {CURE}"
            )),
            // It has no vectors to compare, or is being filled by now.
            None => break,
        }
    }
    Ok(Some(compared))
}

/// What was found this time and the times before.
fn again(before: Option<BTreeSet<u64>>, now: BTreeSet<u64>) -> BTreeSet<u64> {
    match before {
        None => now,
        Some(before) => before.intersection(&now).copied().collect(),
    }
}

/// Sequences of a gallery.
async fn gallery(store: &EmbeddedStore, set: FaceSetId) -> Result<Vec<u64>> {
    let sql = "SELECT sequence FROM gallery WHERE face_set = ?1 ORDER BY sequence";
    store.read_one("read the gallery", move |conn| rows::all(conn, sql, [set.get()], |row| Ok(row.get(0)?))).await
}

/// A face of a gallery and its template, if the index should have it.
async fn searchable(store: &EmbeddedStore, set: &FaceSet, sequence: u64) -> Result<Option<(FaceId, Template)>> {
    let set = set.clone();
    let found = store.read("read the face", move |conn| rebuild::searchable(conn, &set, sequence)).await?;
    Ok(found.map(|entry| (entry.face, entry.template)))
}

/// Whether the index has the face with that vector; `None` if it cannot be asked. A face that was deleted or changed meanwhile
/// counts as found.
async fn is_found(store: &EmbeddedStore, set: FaceSetId, face: FaceId, template: Template) -> Result<Option<bool>> {
    let question = GallerySearch {
        face_set: set,
        probe: template.clone(),
        top_k: 1,
        similarity_min: Similarity::MIN,
        filter: Some(Arc::new(Filter::Face(face))),
        one_per_person: false,
    };
    let Ok(hits) = store.index.search(question).await else { return Ok(None) };
    let is_same = hits.first().is_some_and(|hit| hit.similarity.get() >= SAME_MIN);
    if is_same {
        return Ok(Some(true));
    }
    let sql =
        "SELECT t.vector FROM templates AS t JOIN faces AS f ON f.sequence = t.face WHERE f.id = ?1 AND t.pack = ?2";
    let pack = template.pack().clone();
    let now = store
        .read_one("read the template", move |conn| {
            rows::first(conn, sql, (face.get(), pack.as_str()), |row| Ok(row.get::<_, Vec<u8>>(0)?))
        })
        .await?;
    Ok(Some(now.is_none_or(|vector| vector != super::codec::vector_bytes(&template))))
}
