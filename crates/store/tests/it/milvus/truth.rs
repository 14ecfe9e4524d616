//! A store in memory, as far as the index in Milvus needs one, with faults to order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use likeness_domain::ports::{GalleryChange, GalleryEntry, Pending};
use likeness_domain::types::{FaceId, FaceSetId, PackId, Revision};
use likeness_domain::{Error, Kind, Result};
use likeness_store::milvus::truth::{LargeSet, LogPage, Meanwhile, Outbox, Place, Position, RowPage, Touched, Truth};

#[derive(Default)]
struct Kept {
    sets: BTreeMap<FaceSetId, (PackId, BTreeMap<u64, GalleryEntry>)>,
    places: HashMap<(FaceSetId, FaceId), u64>,
    log: Vec<(Revision, Touched)>,
    newest: Revision,
    compacted: Revision,
    outbox: Option<Outbox>,
    rebuilds: Vec<FaceSetId>,
    chosen: BTreeMap<FaceSetId, Place>,
}

/// See the module's page.
#[derive(Default)]
pub(crate) struct MemoryTruth {
    kept: Mutex<Kept>,
    /// Saving fails, as if the node had been killed before it.
    pub(crate) fails_to_save: AtomicBool,
    /// No face is there, for whoever looks up faces.
    pub(crate) hides_rows: AtomicBool,
    /// Committed when the next page of rows was read.
    pub(crate) after_page: Mutex<Option<Vec<GalleryChange>>>,
}

fn ready<'a, T: Send + 'a>(value: T) -> Pending<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl MemoryTruth {
    /// Commits changes.
    pub(crate) fn commit(&self, changes: &[GalleryChange]) -> Revision {
        let mut kept = self.kept.lock().unwrap();
        let kept = &mut *kept;
        kept.newest.0 += 1;
        for change in changes {
            match change {
                GalleryChange::Open { face_set, pack, .. } => {
                    kept.sets.entry(*face_set).or_insert_with(|| (pack.clone(), BTreeMap::new()));
                }
                GalleryChange::Close { face_set } => {
                    kept.sets.remove(face_set);
                    kept.places.retain(|(set, _), _| set != face_set);
                    kept.log.push((kept.newest, Touched::Closed(*face_set)));
                }
                GalleryChange::Put { face_set, entry } => {
                    if let Some((pack, rows)) = kept.sets.get_mut(face_set)
                        && entry.template.pack() == pack
                    {
                        if let Some(place) = kept.places.insert((*face_set, entry.face), entry.sequence) {
                            rows.remove(&place);
                        }
                        rows.insert(entry.sequence, entry.clone());
                        kept.log.push((kept.newest, Touched::Face(*face_set, entry.face)));
                    }
                }
                GalleryChange::Remove { face_set, face } => {
                    if let Some((_, rows)) = kept.sets.get_mut(face_set) {
                        if let Some(place) = kept.places.remove(&(*face_set, *face)) {
                            rows.remove(&place);
                        }
                        kept.log.push((kept.newest, Touched::Face(*face_set, *face)));
                    }
                }
            }
        }
        kept.newest
    }

    /// Has no set any more, without a commit that says so: the way an index is tried that is filled anew.
    pub(crate) fn clear(&self) {
        let mut kept = self.kept.lock().unwrap();
        kept.sets.clear();
        kept.places.clear();
    }

    /// Forgets every commit.
    pub(crate) fn compact(&self) {
        let mut kept = self.kept.lock().unwrap();
        kept.log.clear();
        kept.compacted = kept.newest;
    }

    pub(crate) fn position(&self) -> Revision {
        self.kept.lock().unwrap().outbox.as_ref().map_or(Revision(0), |outbox| outbox.position.revision)
    }
}

impl Truth for MemoryTruth {
    fn large_sets(&self, n_faces_min: u64, also: Vec<FaceSetId>) -> Pending<'_, Vec<LargeSet>> {
        let kept = self.kept.lock().unwrap();
        let large = |(face_set, (pack, rows)): (&FaceSetId, &(PackId, BTreeMap<u64, GalleryEntry>))| LargeSet {
            face_set: *face_set,
            pack: pack.clone(),
            n_faces: rows.len() as u64,
        };
        let sets = kept.sets.iter().map(large);
        ready(sets.filter(|set| set.n_faces >= n_faces_min || also.contains(&set.face_set)).collect())
    }

    fn rows(&self, face_set: FaceSetId, faces: Vec<FaceId>) -> Pending<'_, Vec<GalleryEntry>> {
        let kept = self.kept.lock().unwrap();
        let Some((_, rows)) = kept.sets.get(&face_set).filter(|_| !self.hides_rows.load(Ordering::SeqCst)) else {
            return ready(Vec::new());
        };
        let place = |face| kept.places.get(&(face_set, face));
        ready(faces.into_iter().filter_map(|face| rows.get(place(face)?).cloned()).collect())
    }

    fn page(&self, face_set: FaceSetId, from: u64, limit: usize) -> Pending<'_, RowPage> {
        let kept = self.kept.lock().unwrap();
        let rows = kept.sets.get(&face_set).into_iter().flat_map(|(_, rows)| rows.range(from..));
        let rows: Vec<GalleryEntry> = rows.take(limit).map(|(_, row)| row.clone()).collect();
        let next = rows.last().filter(|_| rows.len() == limit).map(|last| last.sequence + 1);
        drop(kept);
        if let Some(changes) = self.after_page.lock().unwrap().take() {
            self.commit(&changes);
        }
        ready(RowPage { rows, next })
    }

    fn newest(&self) -> Pending<'_, Position> {
        ready(Position { revision: self.kept.lock().unwrap().newest, checksum: 0 })
    }

    fn log(&self, after: Position, limit: usize) -> Pending<'_, LogPage> {
        let kept = self.kept.lock().unwrap();
        if after.revision < kept.compacted {
            return ready(LogPage::Lost { newest: Position { revision: kept.newest, checksum: 0 } });
        }
        let reached = Revision((after.revision.0 + limit as u64).min(kept.newest.0).max(after.revision.0));
        let is_in = |(revision, _): &&(Revision, Touched)| after.revision < *revision && *revision <= reached;
        ready(LogPage::Commits {
            touched: kept.log.iter().filter(is_in).copied().collect(),
            reached: Position { revision: reached, checksum: 0 },
            has_more: reached < kept.newest,
        })
    }

    fn meanwhile(&self, after: Position, limit: usize) -> Pending<'_, Meanwhile> {
        let n_taken_back = self.kept.lock().unwrap().outbox.as_ref().map_or(0, |outbox| outbox.n_taken_back);
        Box::pin(async move { Ok(Meanwhile { log: self.log(after, limit).await?, n_taken_back }) })
    }

    fn load(&self) -> Pending<'_, Outbox> {
        let mut kept = self.kept.lock().unwrap();
        let kept = &mut *kept;
        let position = Position { revision: kept.newest, checksum: 0 };
        let outbox = kept.outbox.get_or_insert_with(|| Outbox {
            name: "test".into(),
            position,
            flushed: position,
            ..Outbox::default()
        });
        ready(Outbox { rebuilds: kept.rebuilds.clone(), chosen: kept.chosen.clone(), ..outbox.clone() })
    }

    fn lead(&self) -> Pending<'_, bool> {
        ready(true)
    }

    fn ask_for_rebuild(&self, face_set: FaceSetId) -> Pending<'_, ()> {
        self.kept.lock().unwrap().rebuilds.push(face_set);
        ready(())
    }

    fn choose(&self, face_set: FaceSetId, place: Option<Place>) -> Pending<'_, ()> {
        let mut kept = self.kept.lock().unwrap();
        match place {
            Some(place) => kept.chosen.insert(face_set, place),
            None => kept.chosen.remove(&face_set),
        };
        ready(())
    }

    fn save(&self, outbox: Outbox) -> Pending<'_, ()> {
        let saved: Result<()> = match self.fails_to_save.load(Ordering::SeqCst) {
            true => Err(Error::new(Kind::Internal, "killed")),
            false => {
                let mut kept = self.kept.lock().unwrap();
                kept.rebuilds.retain(|face_set| !outbox.rebuilds.contains(face_set));
                kept.outbox = Some(Outbox { rebuilds: Vec::new(), ..outbox });
                Ok(())
            }
        };
        Box::pin(std::future::ready(saved))
    }
}
