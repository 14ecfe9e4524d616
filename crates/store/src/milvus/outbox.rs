//! From the record of commits to Milvus: one node at a time writes, from a position that is kept in the store.
//!
//! What a commit touched is written as the truth has it by now, so writing it again, in whatever order a crash leaves
//! things, ends in the same rows. The position is saved after Milvus has confirmed, never before.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use likeness_domain::Result;
use likeness_domain::ports::GalleryEntry;
use likeness_domain::types::{FaceId, FaceSetId, PackId};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::client::{Row, field};
use super::expression::{face_of, key_of, values_of};
use super::grpc::Fault;
use super::truth::{COPIED, LogPage, Outbox, OutboxSet, Place, Position, RowPage, Stage, Touched};
use super::{Differences, Flushes, REST, Shared};

/// Commits read at once.
const LOG_COMMITS: usize = 512;

/// Rows handed to Milvus, deleted or compared in one call.
const CALL_ROWS: usize = 1000;

/// Rows of a set that are compared one by one in no time, or so: nobody waits for a graph of fewer.
const GRAPH_ROWS_MIN: u64 = 10_000;

/// How often rows that differ are looked at again while they go on changing.
const LOOKS_MAX: usize = 5;

/// The collection of all templates of a pack: packs whose ids differ have different ones.
pub(super) fn collection_of(outbox_name: &str, pack: &PackId, n_numbers: usize) -> String {
    let plain: String = pack.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let hash = xxh3_64(pack.as_str().as_bytes()) as u32;
    format!("likeness_{outbox_name}_{plain}_{hash:08x}_{n_numbers}")
}

fn row_of(face_set: FaceSetId, entry: &GalleryEntry) -> Row {
    let values = values_of(entry);
    let vector = entry.template.unit().to_vec();
    let of_vector = vector
        .iter()
        .fold(xxh3_64(values.as_bytes()), |digest, number| xxh3_64_with_seed(&number.to_le_bytes(), digest));
    Row {
        key: key_of(face_set, entry.face),
        face_set: face_set.get().cast_signed(),
        sequence: entry.sequence.cast_signed(),
        digest: of_vector.cast_signed(),
        values,
        vector,
    }
}

/// The collections, by pack and numbers of a vector, that have rows of such sets.
fn collections(outbox: &Outbox, is_meant: impl Fn(&OutboxSet) -> bool) -> BTreeSet<(PackId, usize)> {
    let sets = outbox.sets.values().filter(|set| set.n_numbers > 0 && is_meant(set));
    sets.map(|set| (set.pack.clone(), set.n_numbers)).collect()
}

/// Keys of the two rows of which the newer one is the mark. No face has them, and they are of no face set.
const MARKS: [&str; 2] = ["mark", "mark2"];

fn marks_alone() -> String {
    format!("{} in [\"{}\",\"{}\"]", field::KEY, MARKS[0], MARKS[1])
}

/// Its digest is the revision.
fn mark_of(key: &str, n_numbers: usize, position: Position) -> Row {
    let mut vector = vec![0.0; n_numbers];
    if let Some(first) = vector.first_mut() {
        *first = 1.0;
    }
    let digest = position.revision.0.cast_signed();
    Row { key: key.to_owned(), face_set: -1, sequence: -1, digest, values: "{}".to_owned(), vector }
}

impl Shared {
    /// Does the next piece of what is to be done; false if there was nothing. For the node that leads.
    pub(super) async fn step(&self) -> Result<bool> {
        let mut outbox = self.truth.load().await?;
        // First, as whatever is saved next does away with the wishes.
        let has_begun_anew = self.begin_anew_as_asked(&mut outbox).await?;
        if self.go_back_if_in_doubt(&mut outbox).await? {
            // A row may be missing for a moment while it is told again, where Milvus replaces by deleting and inserting. This
            // node's searches are overlaid from there on first; other nodes' begin again when they notice.
            return Ok(true);
        }
        if self.client.is_new(self.settings.settling) {
            return Ok(has_begun_anew);
        }
        let mut has_worked = has_begun_anew | self.look_at_marks(&mut outbox).await?;
        has_worked |= self.give_up_as_asked(&mut outbox).await?;
        if self.is_time_to_look() {
            has_worked |= self.take_large_sets(&mut outbox).await?;
            has_worked |= self.look_for_collections(&mut outbox).await?;
        }
        if outbox.sets.is_empty() {
            return Ok(has_worked);
        }
        has_worked |= self.ship(&mut outbox).await?;
        has_worked |= self.fill(&mut outbox).await?;
        if !has_worked {
            self.flush_in_time(&mut outbox).await?;
        }
        Ok(has_worked)
    }

    fn flushes(&self) -> MutexGuard<'_, Flushes> {
        self.flushes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection: Milvus' process may be another one, which has what the one before had written to its files.
    /// Says whether what was told before is told once more.
    async fn go_back_if_in_doubt(&self, outbox: &mut Outbox) -> Result<bool> {
        let n_connections = self.client.n_connections();
        let before = self.flushes().n_connections;
        if before == Some(n_connections) {
            return Ok(false);
        }
        let mut goes_back = outbox.flushed.revision < outbox.position.revision && !outbox.sets.is_empty();
        if goes_back {
            outbox.position = outbox.flushed;
        }
        if before.is_some_and(|n| n > 0) {
            let copied = self.flushes().copied.clone();
            for (face_set, set) in outbox.sets.iter_mut().filter(|(_, set)| set.stage != Stage::Served) {
                let sure = copied.get(face_set).copied().unwrap_or(0);
                goes_back |= sure < set.next;
                set.next = set.next.min(sure);
            }
        }
        if goes_back {
            tracing::info!(revision = outbox.position.revision.0, "Milvus is told once more what it may have lost");
            self.take_back(outbox).await?;
        }
        self.flushes().n_connections = Some(n_connections);
        Ok(goes_back)
    }

    /// Keeps an outbox that says of less than before that Milvus has it, before Milvus is told anything: whoever searches with
    /// the one before notices it ([`super::search`]).
    async fn take_back(&self, outbox: &mut Outbox) -> Result<()> {
        outbox.n_taken_back += 1;
        self.truth.save(outbox.clone()).await
    }

    fn is_time_to_flush(&self) -> bool {
        self.flushes().at.elapsed() >= self.settings.flush_every
    }

    /// Whether Milvus has written to its files what it was given before this step.
    fn is_still_certain(&self) -> bool {
        self.flushes().n_connections == Some(self.client.n_connections())
    }

    async fn flush_in_time(&self, outbox: &mut Outbox) -> Result<()> {
        if outbox.flushed == outbox.position || !self.is_time_to_flush() {
            return Ok(());
        }
        self.flushes().at = Instant::now();
        let used = collections(outbox, |_| true);
        let mut is_done = true;
        for (pack, n_numbers) in used {
            is_done &= self.flush(&collection_of(&outbox.name, &pack, n_numbers), n_numbers, outbox.position).await;
        }
        if is_done && self.is_still_certain() {
            outbox.flushed = outbox.position;
            self.truth.save(outbox.clone()).await?;
        }
        Ok(())
    }

    /// Sets that are not to be in Milvus, and that nodes still hold, as they are not searched there yet.
    async fn give_up_as_asked(&self, outbox: &mut Outbox) -> Result<bool> {
        let is_wanted = |(face_set, set): &(&FaceSetId, &OutboxSet)| {
            set.stage != Stage::Filling || outbox.chosen.get(face_set) != Some(&Place::Nodes)
        };
        let unwanted: Vec<FaceSetId> =
            outbox.sets.iter().filter(|set| !is_wanted(set)).map(|(face_set, _)| *face_set).collect();
        for face_set in &unwanted {
            tracing::info!(face_set = face_set.get(), "a face set stays in the servers, as asked");
            self.empty(outbox, *face_set).await?;
            outbox.sets.remove(face_set);
            self.truth.save(outbox.clone()).await?;
        }
        Ok(!unwanted.is_empty())
    }

    fn is_time_to_look(&self) -> bool {
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = looked_at.is_none_or(|at: Instant| at.elapsed() >= self.settings.look_every);
        if is_time {
            *looked_at = Some(Instant::now());
        }
        is_time
    }

    /// Sets that an operator wants to have filled anew.
    async fn begin_anew_as_asked(&self, outbox: &mut Outbox) -> Result<bool> {
        if outbox.rebuilds.is_empty() {
            return Ok(false);
        }
        for face_set in &outbox.rebuilds {
            if let Some(set) = outbox.sets.get_mut(face_set) {
                tracing::info!(face_set = face_set.get(), "a face set is copied to Milvus anew, as asked");
                begin_anew(set);
            }
        }
        self.take_back(outbox).await?;
        outbox.rebuilds.clear();
        Ok(true)
    }

    /// Sets that have outgrown the nodes begin to be filled.
    async fn take_large_sets(&self, outbox: &mut Outbox) -> Result<bool> {
        let wanted = |wanted: Place| {
            let chosen = outbox.chosen.iter().filter(move |(_, place)| **place == wanted);
            chosen.map(|(face_set, _)| *face_set).collect::<Vec<FaceSetId>>()
        };
        let (here, elsewhere) = (wanted(Place::Milvus), wanted(Place::Nodes));
        let large = self.truth.large_sets(self.settings.from_faces, here).await?;
        let is_new = |set: &FaceSetId| !outbox.sets.contains_key(set) && !elsewhere.contains(set);
        let new: Vec<_> = large.into_iter().filter(|set| is_new(&set.face_set)).collect();
        if new.is_empty() {
            return Ok(false);
        }
        if outbox.sets.is_empty() {
            // Nobody needed the commits so far.
            outbox.position = self.truth.newest().await?;
            outbox.flushed = outbox.position;
        }
        for set in new {
            tracing::info!(face_set = set.face_set.get(), n_faces = set.n_faces, "a face set moves to Milvus");
            let filling = OutboxSet { pack: set.pack, n_numbers: 0, stage: Stage::Filling, next: 0 };
            outbox.sets.insert(set.face_set, filling);
        }
        self.truth.save(outbox.clone()).await?;
        Ok(true)
    }

    /// A collection that is gone was dropped by somebody, or Milvus lost its data: its sets are filled anew.
    async fn look_for_collections(&self, outbox: &mut Outbox) -> Result<bool> {
        let used = collections(outbox, |_| true);
        let mut has_changed = false;
        for (pack, n_numbers) in used {
            let name = collection_of(&outbox.name, &pack, n_numbers);
            if self.client.has(&name).await.map_err(|fault| fault.for_operator("look for the collections"))? {
                continue;
            }
            self.client.forget(&name).await;
            tracing::error!(collection = name, "Milvus has lost a collection, its face sets are filled anew");
            for set in outbox.sets.values_mut().filter(|set| set.pack == pack) {
                begin_anew(set);
            }
            has_changed = true;
        }
        if has_changed {
            self.take_back(outbox).await?;
        }
        Ok(has_changed)
    }

    /// Hands the next commits to Milvus.
    async fn ship(&self, outbox: &mut Outbox) -> Result<bool> {
        let (touched, reached) = match self.truth.log(outbox.position, LOG_COMMITS).await? {
            LogPage::Lost { newest } => {
                tracing::error!("commits were compacted before Milvus had them, its face sets are filled anew");
                outbox.sets.values_mut().for_each(begin_anew);
                (outbox.position, outbox.flushed) = (newest, newest);
                self.take_back(outbox).await?;
                return Ok(true);
            }
            LogPage::Commits { reached, .. } if reached == outbox.position => return Ok(false),
            LogPage::Commits { touched, reached, .. } => (touched, reached),
        };
        let mut faces: HashMap<FaceSetId, HashSet<FaceId>> = HashMap::new();
        let mut closed = Vec::new();
        for (_, touched) in touched {
            match touched {
                Touched::Closed(face_set) if outbox.sets.contains_key(&face_set) => closed.push(face_set),
                Touched::Face(face_set, face) if outbox.sets.contains_key(&face_set) => {
                    faces.entry(face_set).or_default().insert(face);
                }
                _ => {}
            }
        }
        let still_there: HashSet<FaceSetId> = match closed.is_empty() {
            true => HashSet::new(),
            false => {
                let sets = self.truth.large_sets(u64::MAX, closed.clone()).await?;
                sets.into_iter().map(|set| set.face_set).collect()
            }
        };
        for face_set in closed {
            self.empty(outbox, face_set).await?;
            if !still_there.contains(&face_set) {
                outbox.sets.remove(&face_set);
            }
        }
        for (face_set, faces) in faces {
            let faces: Vec<FaceId> = faces.into_iter().collect();
            for faces in faces.chunks(CALL_ROWS) {
                self.sync(outbox, face_set, faces).await?;
            }
        }
        outbox.position = reached;
        self.truth.save(outbox.clone()).await?;
        Ok(true)
    }

    /// Copies the next rows of a set that is being filled; one that was copied is served when Milvus' graph has it.
    async fn fill(&self, outbox: &mut Outbox) -> Result<bool> {
        let filling = |set: &OutboxSet| set.stage != Stage::Served;
        let copied: Vec<FaceSetId> =
            outbox.sets.iter().filter(|(_, set)| filling(set) && set.next == COPIED).map(|(id, _)| *id).collect();
        let mut has_worked = false;
        for face_set in copied {
            has_worked |= self.serve(outbox, face_set).await?;
        }
        let next = outbox.sets.iter().find(|(_, set)| filling(set) && set.next != COPIED);
        let Some((face_set, next)) = next.map(|(id, set)| (*id, set.next)) else { return Ok(has_worked) };
        if next == 0 {
            self.flushes().copied.remove(&face_set);
            // Of an earlier time, or of an attempt that was given up: rows of faces that are deleted by now.
            self.empty(outbox, face_set).await?;
        }
        let RowPage { rows, next } = self.truth.page(face_set, next, CALL_ROWS).await?;
        self.put(outbox, face_set, &rows).await?;
        let reached = next.unwrap_or(COPIED);
        if next.is_none() || self.is_time_to_flush() {
            self.flushes().at = Instant::now();
            let set = outbox.sets.get(&face_set).filter(|set| set.n_numbers > 0);
            let is_done = match set {
                Some(set) => {
                    let name = collection_of(&outbox.name, &set.pack, set.n_numbers);
                    self.flush(&name, set.n_numbers, outbox.position).await
                }
                None => true,
            };
            if is_done && self.is_still_certain() {
                self.flushes().copied.insert(face_set, reached);
            }
        }
        if let Some(set) = outbox.sets.get_mut(&face_set) {
            set.next = reached;
        }
        self.truth.save(outbox.clone()).await?;
        Ok(true)
    }

    /// Has Milvus write what it was given to its files, with a mark of how far that is; whether it was done.
    async fn flush(&self, name: &str, n_numbers: usize, position: Position) -> bool {
        let flushed = async {
            let marks = self.client.list(name, marks_alone(), None).await?;
            // The older of the two, as there is no mark between the deletion of one and its writing.
            let newest = marks.into_iter().max_by_key(|(_, revision)| *revision);
            let key = if newest.is_some_and(|(key, _)| key == MARKS[0]) { MARKS[1] } else { MARKS[0] };
            self.client.put(name, vec![mark_of(key, n_numbers, position)]).await?;
            self.client.flush(name).await
        };
        let flushed = flushed.await;
        if let Err(fault) = &flushed {
            // It is a matter of time only, and of some servers' limits.
            tracing::debug!(collection = name, ?fault, "the collection was not flushed");
        }
        flushed.is_ok()
    }

    /// Looks once a connection whether Milvus' files are as new as what they were told to have; where they are older, the sets
    /// in them are copied anew.
    async fn look_at_marks(&self, outbox: &mut Outbox) -> Result<bool> {
        let n_connections = self.client.n_connections();
        if self.flushes().n_at_marks == Some(n_connections) {
            return Ok(false);
        }
        let served = collections(outbox, |set| set.stage == Stage::Served);
        let mut has_changed = false;
        for (pack, n_numbers) in served {
            let name = collection_of(&outbox.name, &pack, n_numbers);
            let marks = self.listed(&name, n_numbers, marks_alone()).await?;
            let marked = marks.into_values().max().map_or(0, i64::cast_unsigned);
            if marked >= outbox.flushed.revision.0 {
                continue;
            }
            let flushed = outbox.flushed.revision.0;
            tracing::warn!(
                collection = name,
                marked,
                flushed,
                "Milvus is in an older state than it was, its face sets are copied to it anew"
            );
            for set in outbox.sets.values_mut().filter(|set| (&set.pack, set.n_numbers) == (&pack, n_numbers)) {
                begin_anew(set);
            }
            has_changed = true;
        }
        if has_changed {
            self.take_back(outbox).await?;
        }
        // One that was made meanwhile is to another process, perhaps.
        if self.client.n_connections() == n_connections {
            self.flushes().n_at_marks = Some(n_connections);
        }
        Ok(has_changed)
    }

    async fn serve(&self, outbox: &mut Outbox, face_set: FaceSetId) -> Result<bool> {
        let Some(set) = outbox.sets.get_mut(&face_set) else { return Ok(false) };
        if set.n_numbers > 0 {
            let name = collection_of(&outbox.name, &set.pack, set.n_numbers);
            let is_indexed = self.client.is_indexed(&name).await;
            if !is_indexed.map_err(|fault| fault.for_operator("look whether the index is made"))? {
                return Ok(false);
            }
            // Until Milvus' searching part has the graph it compares row by row. The servers hold the set meanwhile; one that is
            // copied anew has been refused for long enough.
            if set.stage == Stage::Filling && !self.has_graph_loaded(&name, face_set).await? {
                return Ok(false);
            }
        }
        (set.stage, set.next) = (Stage::Served, 0);
        self.flushes().graph_since.remove(&face_set);
        self.truth.save(outbox.clone()).await?;
        tracing::info!(face_set = face_set.get(), "Milvus has the face set");
        Ok(true)
    }

    /// Whether Milvus searches by its graph, or does not say, or has taken too long for that.
    async fn has_graph_loaded(&self, name: &str, face_set: FaceSetId) -> Result<bool> {
        let sets = self.truth.large_sets(u64::MAX, vec![face_set]).await?;
        let n_rows = sets.first().map_or(0, |set| set.n_faces);
        if n_rows < GRAPH_ROWS_MIN {
            return Ok(true);
        }
        let since = *self.flushes().graph_since.entry(face_set).or_insert_with(Instant::now);
        match self.client.is_graph_loaded(name, n_rows).await {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            // milvus-lite has no such call.
            Err(Fault::Refused { reason, .. }) => {
                tracing::debug!(collection = name, reason, "Milvus does not say whether it searches by its index");
                return Ok(true);
            }
            Err(fault) => return Err(fault.for_operator("look whether the index is in use")),
        }
        let is_late = since.elapsed() >= self.settings.graph_wait_max;
        if is_late {
            tracing::warn!(
                face_set = face_set.get(),
                waited_s = since.elapsed().as_secs(),
                "Milvus has made its index and does not say that it searches by it: searches in the face set may be slow at first"
            );
        }
        Ok(is_late)
    }

    /// Makes Milvus' rows of these faces what they are in the truth.
    async fn sync(&self, outbox: &mut Outbox, face_set: FaceSetId, faces: &[FaceId]) -> Result<()> {
        let rows = self.truth.rows(face_set, faces.to_vec()).await?;
        let present: HashSet<FaceId> = rows.iter().map(|row| row.face).collect();
        let gone: Vec<String> =
            faces.iter().filter(|face| !present.contains(face)).map(|face| key_of(face_set, *face)).collect();
        self.delete(outbox, face_set, &gone).await?;
        self.put(outbox, face_set, &rows).await
    }

    async fn put(&self, outbox: &mut Outbox, face_set: FaceSetId, rows: &[GalleryEntry]) -> Result<()> {
        let Some(set) = outbox.sets.get_mut(&face_set) else { return Ok(()) };
        let Some(first) = rows.first() else { return Ok(()) };
        if set.n_numbers == 0 {
            set.n_numbers = first.template.unit().len();
            // Kept before there is anything in the collection: whoever goes on has to know where rows may be.
            self.truth.save(outbox.clone()).await?;
        }
        let Some(set) = outbox.sets.get(&face_set) else { return Ok(()) };
        let name = collection_of(&outbox.name, &set.pack, set.n_numbers);
        let fits = |row: &&GalleryEntry| row.template.unit().len() == set.n_numbers;
        let rows: Vec<Row> = rows.iter().filter(fits).map(|row| row_of(face_set, row)).collect();
        let written = async {
            if self.client.ensure(&name, set.n_numbers).await? {
                // One without a mark is one that lost it.
                self.client.put(&name, vec![mark_of(MARKS[0], set.n_numbers, outbox.position)]).await?;
            }
            self.client.put(&name, rows).await
        };
        let seen = written.await.map_err(|fault| fault.for_operator("write to Milvus"))?;
        outbox.seen = outbox.seen.max(seen);
        Ok(())
    }

    async fn delete(&self, outbox: &Outbox, face_set: FaceSetId, keys: &[String]) -> Result<()> {
        let Some(set) = outbox.sets.get(&face_set).filter(|set| set.n_numbers > 0) else { return Ok(()) };
        let name = collection_of(&outbox.name, &set.pack, set.n_numbers);
        let deleted = async {
            self.client.ensure(&name, set.n_numbers).await?;
            for keys in keys.chunks(CALL_ROWS) {
                self.client.delete(&name, keys.iter().map(String::as_str)).await?;
            }
            Ok(())
        };
        deleted.await.map_err(|fault: Fault| fault.for_operator("delete from Milvus"))
    }

    /// Deletes every row of a set.
    async fn empty(&self, outbox: &Outbox, face_set: FaceSetId) -> Result<()> {
        let Some(set) = outbox.sets.get(&face_set).filter(|set| set.n_numbers > 0) else { return Ok(()) };
        let name = collection_of(&outbox.name, &set.pack, set.n_numbers);
        let away = |fault: Fault| fault.for_operator("empty a face set in Milvus");
        self.client.ensure(&name, set.n_numbers).await.map_err(away)?;
        loop {
            let expr = format!("{} == {}", field::FACE_SET, face_set.get());
            let rows = self.client.list(&name, expr, None).await.map_err(away)?;
            if rows.is_empty() {
                return Ok(());
            }
            let keys: Vec<String> = rows.into_iter().map(|(key, _)| key).collect();
            self.delete(outbox, face_set, &keys).await?;
        }
    }

    /// Compares Milvus' rows of a set with the truth, one stretch of rows after the other. What differs is looked at again when
    /// Milvus has caught up with the commits of that moment: a row that is still the same in the truth is then the same in
    /// Milvus, or differs; one that has changed again is looked at once more. Counts and digests are those of the last look.
    pub(super) async fn compare(&self, face_set: FaceSetId) -> Result<Differences> {
        let outbox = self.truth.load().await?;
        let mut found = Differences::default();
        let Some(set) = outbox.sets.get(&face_set) else { return Ok(found) };
        let name = collection_of(&outbox.name, &set.pack, set.n_numbers);
        let mut differing: HashMap<FaceId, Look> = HashMap::new();
        let mut from = Some(0);
        while let Some(at) = from {
            let RowPage { rows, next } = self.truth.page(face_set, at, CALL_ROWS).await?;
            let until = next.map_or(String::new(), |next| format!(" and {} < {next}", field::SEQUENCE));
            let expr = format!("{} == {} and {} >= {at}{until}", field::FACE_SET, face_set.get(), field::SEQUENCE);
            let mut there = self.listed(&name, set.n_numbers, expr).await?;
            for entry in &rows {
                let row = row_of(face_set, entry);
                let look = Look { truth: Some(row.digest), milvus: there.remove(&row.key) };
                found.add(&row.key, look);
                if !look.is_same() {
                    differing.insert(entry.face, look);
                }
            }
            for (key, digest) in there {
                let look = Look { truth: None, milvus: Some(digest) };
                found.add(&key, look);
                differing.extend(face_of(face_set, &key).map(|face| (face, look)));
            }
            from = next;
        }
        for _ in 0..LOOKS_MAX {
            if differing.is_empty() || !self.wait_for_milvus().await? {
                break;
            }
            let faces: Vec<FaceId> = differing.keys().copied().collect();
            for faces in faces.chunks(CALL_ROWS) {
                let keys: Vec<String> = faces.iter().map(|face| key_of(face_set, *face)).collect();
                let expr = format!("{} in [\"{}\"]", field::KEY, keys.join("\",\""));
                // Milvus first: it had caught up before, so it has what the truth had then, unless that is another by now.
                let there = self.listed(&name, set.n_numbers, expr).await?;
                let rows = self.truth.rows(face_set, faces.to_vec()).await?;
                let truths: HashMap<FaceId, i64> =
                    rows.iter().map(|entry| (entry.face, row_of(face_set, entry).digest)).collect();
                for (face, key) in faces.iter().zip(&keys) {
                    let look = Look { truth: truths.get(face).copied(), milvus: there.get(key).copied() };
                    let Some(before) = differing.insert(*face, look) else { continue };
                    found.take_away(key, before);
                    found.add(key, look);
                    if !look.is_same() && look.truth != before.truth {
                        continue;
                    }
                    differing.remove(face);
                    match (look.truth, look.milvus) {
                        _ if look.is_same() => {}
                        (Some(_), Some(_)) => found.n_stale += 1,
                        (Some(_), None) => found.n_missing += 1,
                        (None, _) => found.n_surplus += 1,
                    }
                }
            }
        }
        found.n_unsettled = differing.len() as u64;
        Ok(found)
    }

    async fn listed(&self, name: &str, n_numbers: usize, expr: String) -> Result<HashMap<String, i64>> {
        if n_numbers == 0 {
            return Ok(HashMap::new());
        }
        let listed = async {
            match self.client.has(name).await? {
                true => {
                    self.client.ensure(name, n_numbers).await?;
                    self.client.list(name, expr, None).await
                }
                false => Ok(Vec::new()),
            }
        };
        let rows = listed.await.map_err(|fault: Fault| fault.for_operator("compare with Milvus"))?;
        Ok(rows.into_iter().collect())
    }

    /// Ready when everything that is committed by now was handed to Milvus; false if that takes long.
    async fn wait_for_milvus(&self) -> Result<bool> {
        const WAIT_MAX: Duration = Duration::from_secs(30);
        let (newest, started) = (self.truth.newest().await?, Instant::now());
        while self.truth.load().await?.position.revision < newest.revision {
            if started.elapsed() >= WAIT_MAX {
                return Ok(false);
            }
            tokio::time::sleep(REST).await;
        }
        Ok(true)
    }
}

/// Digests of a row on both sides, where it is there.
#[derive(Debug, Clone, Copy)]
struct Look {
    truth: Option<i64>,
    milvus: Option<i64>,
}

impl Look {
    fn is_same(self) -> bool {
        self.truth == self.milvus
    }
}

impl Differences {
    fn add(&mut self, key: &str, look: Look) {
        self.n_truth += u64::from(look.truth.is_some());
        self.n_milvus += u64::from(look.milvus.is_some());
        self.fold(key, look);
    }

    fn take_away(&mut self, key: &str, look: Look) {
        self.n_truth -= u64::from(look.truth.is_some());
        self.n_milvus -= u64::from(look.milvus.is_some());
        self.fold(key, look);
    }

    /// Into the digests, or out of them again.
    fn fold(&mut self, key: &str, Look { truth, milvus }: Look) {
        self.digest_truth ^= truth.map_or(0, |digest| digest_of(key, digest));
        self.digest_milvus ^= milvus.map_or(0, |digest| digest_of(key, digest));
    }
}

fn digest_of(key: &str, digest: i64) -> u64 {
    xxh3_64_with_seed(key.as_bytes(), digest.cast_unsigned())
}

/// A set that nodes still hold goes on being held until Milvus has it.
fn begin_anew(set: &mut OutboxSet) {
    set.next = 0;
    if set.stage == Stage::Served {
        set.stage = Stage::Refilling;
    }
}
