//! Searches in a set that is in Milvus.

use std::collections::{HashMap, HashSet};

use likeness_domain::filter::{Filter, FilterRow};
use likeness_domain::ports::{GalleryEntry, GallerySearch, Hit};
use likeness_domain::types::{FaceId, FaceSetId, Revision};
use likeness_domain::{Error, Kind, Result};
use tokio::time::Instant;

use super::Shared;
use super::client::ROWS_MAX;
use super::expression::{expression, face_of};
use super::outbox::collection_of;
use super::truth::{LogPage, Meanwhile, Outbox, Position, RowPage, Stage, Touched};
use crate::index::{Best, Ranked};

/// Candidates that a search asks for besides twice as many as hits are wanted: for those that are gone by now, and for rows
/// that Milvus ranks a little lower than f32 does.
const SPARE: usize = 64;

/// Candidates looked up in the truth at once.
const LOOK_UP_ROWS: usize = 2048;

/// Rows read at once where the truth is scanned.
const SCAN_ROWS: usize = 4096;

/// Pages of the record of commits that a search may read to complete its tail, and commits in each.
const LOG_PAGES_MAX: usize = 16;
const LOG_COMMITS: usize = 512;

/// Times that a search is made because Milvus may have less by then than it counted on.
const TRIES_MAX: usize = 4;

/// How much an inner product may differ from our similarity: both are sums of products of f32, in another order.
const ROUNDING: f32 = 1e-4;

fn filter_row(row: &GalleryEntry) -> FilterRow<'_> {
    FilterRow { face: row.face, subject: row.subject.as_deref(), values: &row.values }
}

fn passes(row: &GalleryEntry, filter: Option<&Filter>) -> bool {
    filter.is_none_or(|filter| filter.matches(filter_row(row)))
}

fn refused(why: &str) -> Error {
    Error::new(Kind::Overloaded, format!("cannot search: {why}, try again in a moment"))
}

/// The best of the rows it is offered.
fn offer(best: &mut Best, question: &GallerySearch, row: &GalleryEntry) {
    if !passes(row, question.filter.as_deref()) {
        return;
    }
    let Some(similarity) = row.template.similarity(&question.probe) else { return };
    best.offer(Ranked { similarity, sequence: row.sequence, face: row.face, person: row.person });
}

/// Faces of the set that these commits touched.
fn touched_in(face_set: FaceSetId, log: LogPage) -> impl Iterator<Item = FaceId> {
    let touched = match log {
        LogPage::Commits { touched, .. } => touched,
        LogPage::Lost { .. } => Vec::new(),
    };
    touched.into_iter().filter_map(move |(_, touched)| match touched {
        Touched::Face(set, face) if set == face_set => Some(face),
        _ => None,
    })
}

/// What this node knows of a set, at one moment.
struct Overlay {
    /// What Milvus was told.
    outbox: Outbox,
    /// The commit that was applied last.
    at: Revision,
    /// Faces that changed between the two.
    changed: HashSet<FaceId>,
    /// The hits among them.
    rows: Vec<Ranked>,
}

impl Shared {
    pub(super) async fn search(&self, question: GallerySearch) -> Result<Vec<Hit>> {
        for _ in 0..TRIES_MAX {
            if let Some(hits) = self.search_once(&question).await? {
                return Ok(hits);
            }
        }
        Err(refused("what Milvus has changes too often, or the connection to it does not last"))
    }

    /// `None` where Milvus may have less by now than was known of it: another connection was made meanwhile, or the node that
    /// writes to it has taken something back.
    async fn search_once(&self, question: &GallerySearch) -> Result<Option<Vec<Hit>>> {
        if self.inner.revision().is_none() {
            return Err(refused("the index is being filled"));
        }
        let face_set = question.face_set;
        {
            let state = self.state();
            if state.packs.get(&face_set) != Some(question.probe.pack()) || question.top_k == 0 {
                return Ok(Some(Vec::new()));
            }
        }
        let n_connections = self.client.n_connections();
        let Overlay { outbox, at, changed, rows: from_tail } = self.overlay(question).await?;
        let Some(set) = outbox.sets.get(&face_set) else { return Err(refused("the face set is being moved")) };
        if set.stage != Stage::Served || outbox.rebuilds.contains(&face_set) {
            return Err(refused("the face set is being copied to Milvus"));
        }
        let fresh = || {
            let mut best = Best::new(question.top_k, question.similarity_min, question.one_per_person);
            from_tail.iter().for_each(|row| best.offer(*row));
            best
        };
        if set.n_numbers != question.probe.unit().len() {
            // Milvus never had a row of it.
            return Ok(Some(fresh().into_hits()));
        }
        let name = collection_of(&outbox.name, &set.pack, set.n_numbers);
        let expr = expression(face_set, question.filter.as_deref());
        let mut n_candidates = (question.top_k * 2 + SPARE + changed.len().min(SPARE)).min(ROWS_MAX);
        loop {
            let ask = || self.client.search(&name, expr.clone(), question.probe.unit(), n_candidates, outbox.seen);
            let found = match ask().await {
                // Released from its memory, as by a restart of some versions; one that is gone is for whoever leads.
                Err(fault) if fault.is_missing_collection() => {
                    let loaded = async {
                        match self.client.has(&name).await? {
                            true => self.client.ensure(&name, set.n_numbers).await.map(drop),
                            false => Err(fault),
                        }
                    };
                    // Milvus goes on loading; whoever searches need not wait until it has.
                    match tokio::time::timeout(self.settings.deadline, loaded).await {
                        Ok(Ok(())) => ask().await,
                        Ok(Err(fault)) => Err(fault),
                        Err(_) => return Err(refused("Milvus is loading the face set")),
                    }
                }
                found => found,
            };
            let found = found.map_err(|fault| fault.into_error("search"))?;
            let (n_found, last) = (found.len(), found.last().map_or(f32::NEG_INFINITY, |(_, score)| *score));
            let mut faces: HashSet<FaceId> = found.iter().filter_map(|(key, _)| face_of(face_set, key)).collect();
            if n_found < n_candidates {
                // Fewer than were asked for need not be all: a graph that is walked for the few rows that pass loses some.
                let listed = self.client.list(&name, expr.clone(), Some(outbox.seen)).await;
                let listed = listed.map_err(|fault| fault.into_error("search"))?;
                if listed.len() >= ROWS_MAX {
                    return self.scan(question).await.map(Some);
                }
                faces.extend(listed.iter().filter_map(|(key, _)| face_of(face_set, key)));
            }
            if self.client.n_connections() != n_connections {
                // It may be another process, which has less than the overlay counts on.
                return Ok(None);
            }
            let position = Position { revision: at, checksum: 0 };
            let Meanwhile { log, n_taken_back } = self.truth.meanwhile(position, LOG_COMMITS).await?;
            if n_taken_back != outbox.n_taken_back {
                self.refresh().await?;
                return Ok(None);
            }
            // A row that is being written anew is not in Milvus for a moment; the commit it comes from is in the record, of which
            // one page is enough.
            faces.extend(touched_in(face_set, log));
            let faces: Vec<FaceId> = faces.into_iter().filter(|face| !changed.contains(face)).collect();
            let mut best = fresh();
            for faces in faces.chunks(LOOK_UP_ROWS) {
                let rows = self.truth.rows(face_set, faces.to_vec()).await?;
                rows.iter().for_each(|row| offer(&mut best, question, row));
            }
            let is_all = n_found < n_candidates || last < question.similarity_min.get() - ROUNDING;
            // Rows that were not named are no better than the last one that was.
            let is_enough = best.cutoff() > last + ROUNDING && best.n_rows() >= question.top_k;
            if is_all || is_enough {
                return Ok(Some(best.into_hits()));
            }
            if n_candidates >= ROWS_MAX {
                let is_cut = best.n_rows() < question.top_k;
                return match is_cut && (question.filter.is_some() || question.one_per_person) {
                    true => self.scan(question).await.map(Some),
                    false => Ok(Some(best.into_hits())),
                };
            }
            n_candidates = (n_candidates * 4).min(ROWS_MAX);
        }
    }

    /// What is to be laid over Milvus' answer.
    async fn overlay(&self, question: &GallerySearch) -> Result<Overlay> {
        for has_read in [false, true] {
            {
                let state = self.state();
                let tail = state.tails.get(&question.face_set);
                if let Some(tail) = tail.filter(|tail| tail.reaches(self.certain(&state.outbox).revision)) {
                    let mut best = Best::new(question.top_k, question.similarity_min, question.one_per_person);
                    let mut changed = HashSet::with_capacity(tail.n_rows());
                    changed.extend(tail.faces());
                    tail.entries().for_each(|row| offer(&mut best, question, row));
                    let (outbox, rows) = (state.outbox.clone(), best.into_ranked());
                    return Ok(Overlay { outbox, at: state.at, changed, rows });
                }
            }
            if !has_read {
                self.complete_tail(question.face_set).await?;
            }
        }
        Err(refused("Milvus is too far behind the store"))
    }

    /// Reads from the record of commits what the tail of the set lacks.
    async fn complete_tail(&self, face_set: FaceSetId) -> Result<()> {
        let (position, begins_at) = {
            let state = self.state();
            let Some(tail) = state.tails.get(&face_set) else { return Ok(()) };
            (self.certain(&state.outbox), tail.from())
        };
        let (mut at, mut touched) = (position, HashMap::<FaceId, Revision>::new());
        for _ in 0..LOG_PAGES_MAX {
            let LogPage::Commits { touched: page, reached, has_more } = self.truth.log(at, LOG_COMMITS).await? else {
                return Err(refused("Milvus is too far behind the store"));
            };
            for (revision, change) in page {
                match change {
                    Touched::Face(set, face) if set == face_set => {
                        touched.insert(face, revision);
                    }
                    Touched::Closed(set) if set == face_set => touched.clear(),
                    _ => {}
                }
            }
            if touched.len() > self.settings.tail_rows_max {
                return Err(refused("Milvus is too far behind the store"));
            }
            at = reached;
            if begins_at <= at.revision || !has_more {
                break;
            }
        }
        if at.revision < begins_at {
            return Err(refused("Milvus is too far behind the store"));
        }
        let mut rows = HashMap::with_capacity(touched.len());
        let faces: Vec<FaceId> = touched.keys().copied().collect();
        for faces in faces.chunks(LOOK_UP_ROWS) {
            for row in self.truth.rows(face_set, faces.to_vec()).await? {
                rows.insert(row.face, row);
            }
        }
        let rows = touched.into_iter().map(|(face, revision)| (face, (revision, rows.remove(&face)))).collect();
        let mut state = self.state_mut();
        if let Some(tail) = state.tails.get_mut(&face_set)
            && tail.from() == begins_at
        {
            tail.extend_back(position.revision, rows);
            let now = self.certain(&state.outbox).revision;
            state.tails.values_mut().for_each(|tail| tail.trim(now));
        }
        Ok(())
    }

    /// The answer from the truth itself, row by row.
    async fn scan(&self, question: &GallerySearch) -> Result<Vec<Hit>> {
        let give_up_at = Instant::now() + self.settings.scan_max;
        let mut best = Best::new(question.top_k, question.similarity_min, question.one_per_person);
        let mut from = Some(0);
        while let Some(at) = from {
            let RowPage { rows, next } = self.truth.page(question.face_set, at, SCAN_ROWS).await?;
            rows.iter().for_each(|row| offer(&mut best, question, row));
            from = next;
            if Instant::now() > give_up_at {
                return Err(refused(
                    "too few of the most similar faces pass the filter, and all take too long to look at",
                ));
            }
        }
        Ok(best.into_hits())
    }

    /// Places of the rows that pass, from the truth.
    pub(super) async fn matching(&self, face_set: FaceSetId, filter: &Filter) -> Result<Vec<u64>> {
        if self.inner.revision().is_none() {
            return Err(refused("the index is being filled"));
        }
        let (mut found, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from {
            let RowPage { rows, next } = self.truth.page(face_set, at, SCAN_ROWS).await?;
            found.extend(rows.iter().filter(|row| passes(row, Some(filter))).map(|row| row.sequence));
            from = next;
        }
        found.sort_unstable();
        Ok(found)
    }
}
