//! Random writes on a store, and what may be found of them afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use likeness_domain::ports::{CredentialStore, FaceScope, FaceSelector, GalleryStore};
use likeness_domain::types::{
    AccessKey, AccessKeyId, FaceOwner, FacePatch, FaceSetId, NewFace, Secret, Tenant, TenantName, TimestampMs,
};
use likeness_domain::{Error, Result};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger, first_templates};
use likeness_store::embedded::{Credentials, EmbeddedStore};

use crate::disk::Random;

const SETS: [&str; 3] = ["alpha", "beta", "gamma"];

/// In the place of a set's name: access keys, which the same thread writes.
const KEYS: &str = "keys";

/// What may be found of one face: the labels it may have, `None` for "it is not there".
type Possible = BTreeSet<Option<u64>>;

/// What a history knows. A write that was acknowledged leaves one possibility, one that failed or was not answered two.
#[derive(Debug, Default)]
pub(crate) struct Known {
    sets: BTreeMap<&'static str, BTreeSet<bool>>,
    /// By set and number.
    faces: BTreeMap<(&'static str, u64), Possible>,
    next_number: u64,
    /// By number: whether it may be enabled, `None` for "it is not there".
    keys: BTreeMap<u64, BTreeSet<Option<bool>>>,
    /// Writes that were acknowledged.
    pub(crate) n_acknowledged: u64,
}

/// One write of a history.
#[derive(Debug, Clone)]
struct Write {
    set: &'static str,
    change: Change,
}

#[derive(Debug, Clone)]
enum Change {
    CreateSet,
    DeleteSet,
    Add(Vec<u64>),
    Delete(Vec<u64>),
    Label(u64, u64),
    MakeKey(u64),
    SwitchKey(u64, bool),
    DeleteKey(u64),
}

fn tenant() -> Tenant {
    Tenant::new(ours(), TenantName::new("ours").unwrap(), TimestampMs(1))
}

fn key_id(number: u64) -> AccessKeyId {
    AccessKeyId::new(&format!("AK{number}")).unwrap()
}

fn secret(number: u64) -> String {
    format!("secret-{number}")
}

fn labelled_face(number: u64, label: u64) -> NewFace {
    NewFace { subject: Some(subject(&format!("label-{label}"))), ..full_face(number) }
}

impl Known {
    /// Opens the store of a folder. Errors are those of a disk that fails.
    pub(crate) fn open(dir: &Path) -> Result<(EmbeddedStore, Arc<Ledger>)> {
        let index = Arc::new(Ledger::default());
        Ok((EmbeddedStore::open(dir, Arc::clone(&index) as _)?, index))
    }

    /// Makes some writes, several of them under way at once, until one fails or `n_writes` are made.
    pub(crate) async fn write(&mut self, store: &EmbeddedStore, random: &mut Random, n_writes: usize) {
        let Ok(credentials) = store.credentials() else { return };
        if credentials.ensure_tenant(by(ours()), tenant()).await.is_err() {
            return;
        }
        let mut n_left = n_writes;
        while n_left > 0 {
            let n_at_once = (1 + random.below(4) as usize).min(n_left);
            n_left -= n_at_once;
            let mut writes: Vec<Write> = Vec::new();
            for _ in 0..n_at_once {
                let write = self.choose(random);
                // Writes that are under way together must not concern the same set, or their order would matter.
                if writes.iter().all(|other| other.set != write.set) {
                    writes.push(write);
                }
            }
            // All are handed over before the first answer is waited for.
            let mut under_way = Vec::new();
            for write in &writes {
                self.may_happen(write);
                under_way.push(perform(store, &credentials, write).await);
            }
            let mut has_failed = false;
            for (write, answer) in writes.iter().zip(under_way) {
                match answer.await {
                    Ok(()) => self.happened(write),
                    Err(_) => has_failed = true,
                }
            }
            if has_failed {
                return;
            }
        }
    }

    fn choose(&mut self, random: &mut Random) -> Write {
        if random.below(6) == 0 {
            return Write { set: KEYS, change: self.choose_of_key(random) };
        }
        let set = SETS[random.below(3) as usize];
        let is_there = self.sets.get(set).is_some_and(|possible| possible.contains(&true));
        let numbers: Vec<u64> = self.numbers_of(set);
        let change = match random.below(12) {
            _ if !is_there => Change::CreateSet,
            0 => Change::DeleteSet,
            1..=2 if !numbers.is_empty() => {
                let first = random.below(numbers.len() as u64) as usize;
                Change::Delete(numbers[first..numbers.len().min(first + 3)].to_vec())
            }
            3..=4 if !numbers.is_empty() => {
                Change::Label(numbers[random.below(numbers.len() as u64) as usize], random.below(1000))
            }
            _ => {
                let first = self.next_number + 1;
                self.next_number += 1 + random.below(12);
                Change::Add((first..=self.next_number).collect())
            }
        };
        Write { set, change }
    }

    fn choose_of_key(&self, random: &mut Random) -> Change {
        let certain = self.keys.iter().filter(|(_, possible)| !possible.contains(&None));
        let certain: Vec<u64> = certain.map(|(number, _)| *number).collect();
        match (random.below(4), certain.get(random.below(8) as usize)) {
            (0, Some(&number)) => Change::DeleteKey(number),
            (1 | 2, Some(&number)) => Change::SwitchKey(number, random.below(2) == 0),
            _ => Change::MakeKey(self.keys.len() as u64 + 1),
        }
    }

    /// Faces that are certainly in a set.
    fn numbers_of(&self, set: &str) -> Vec<u64> {
        let certain = self.faces.iter().filter(|((of, _), possible)| *of == set && !possible.contains(&None));
        certain.map(|((_, number), _)| *number).collect()
    }

    /// The write is handed over: from now on it may be found, or not.
    fn may_happen(&mut self, Write { set, change }: &Write) {
        match change {
            Change::CreateSet => {
                self.sets.entry(set).or_insert([false].into()).insert(true);
            }
            Change::DeleteSet => {
                self.sets.entry(set).or_default().insert(false);
                for (_, possible) in self.faces.iter_mut().filter(|((of, _), _)| of == set) {
                    possible.insert(None);
                }
            }
            Change::Add(numbers) => {
                self.faces.extend(numbers.iter().map(|&number| ((*set, number), [None, Some(0)].into())));
            }
            Change::Delete(numbers) => {
                for &number in numbers {
                    self.faces.entry((set, number)).or_default().insert(None);
                }
            }
            Change::Label(number, label) => {
                self.faces.entry((set, *number)).or_default().insert(Some(*label));
            }
            Change::MakeKey(number) => _ = self.keys.insert(*number, [None, Some(true)].into()),
            Change::SwitchKey(number, enabled) => _ = self.keys.entry(*number).or_default().insert(Some(*enabled)),
            Change::DeleteKey(number) => _ = self.keys.entry(*number).or_default().insert(None),
        }
    }

    /// The write was acknowledged: nothing else may be found from now on.
    fn happened(&mut self, Write { set, change }: &Write) {
        self.n_acknowledged += 1;
        match change {
            Change::CreateSet => {
                self.sets.insert(set, [true].into());
            }
            Change::DeleteSet => {
                self.sets.insert(set, [false].into());
                self.faces.retain(|(of, _), _| of != set);
            }
            Change::Add(numbers) => {
                self.faces.extend(numbers.iter().map(|&number| ((*set, number), [Some(0)].into())));
            }
            Change::Delete(numbers) => {
                self.faces.extend(numbers.iter().map(|&number| ((*set, number), [None].into())));
            }
            Change::Label(number, label) => {
                self.faces.insert((set, *number), [Some(*label)].into());
            }
            Change::MakeKey(number) => _ = self.keys.insert(*number, [Some(true)].into()),
            Change::SwitchKey(number, enabled) => _ = self.keys.insert(*number, [Some(*enabled)].into()),
            Change::DeleteKey(number) => _ = self.keys.insert(*number, [None].into()),
        }
    }

    /// Compares the store and its index with what is known; what is found is certain from now on. Says what is wrong.
    pub(crate) async fn compare(&mut self, store: &EmbeddedStore, index: &Ledger) -> std::result::Result<(), String> {
        let report = store.report(true).await.map_err(|error| error.to_string())?;
        if !report.problems.is_empty() {
            return Err(format!("the store has problems: {:?}", report.problems));
        }
        for set in SETS {
            let found = store.face_set(ours(), name(set)).await.map_err(|error| error.to_string())?;
            let possible = self.sets.get(set).cloned().unwrap_or([false].into());
            if !possible.contains(&found.is_some()) {
                return Err(format!("set {set}: found {}, possible {possible:?}", found.is_some()));
            }
            self.sets.insert(set, [found.is_some()].into());
            let listed = match &found {
                Some(summary) => self.listed(store, index, summary.face_set.id).await?,
                None => BTreeMap::new(),
            };
            if found.as_ref().is_some_and(|summary| summary.n_faces != listed.len() as u64) {
                return Err(format!("set {set} counts another number of faces than it lists"));
            }
            if let Some(number) = listed.keys().find(|number| !self.faces.contains_key(&(set, **number))) {
                return Err(format!("face {number} of set {set} comes from nowhere"));
            }
            for ((_, number), possible) in self.faces.iter_mut().filter(|((of, _), _)| *of == set) {
                let label = listed.get(number).copied();
                if !possible.contains(&label) {
                    return Err(format!("face {number} of set {set}: found {label:?}, possible {possible:?}"));
                }
                *possible = [label].into();
            }
        }
        self.compare_keys(store).await
    }

    async fn compare_keys(&mut self, store: &EmbeddedStore) -> std::result::Result<(), String> {
        let listed = async { store.credentials()?.keys(ours()).await }.await.map_err(|error| error.to_string())?;
        let n_listed = listed.len();
        let mut n_found = 0;
        for (number, possible) in &mut self.keys {
            let found = listed.iter().find(|key| key.id == key_id(*number));
            if found.is_some_and(|key| key.secret.reveal() != secret(*number)) {
                return Err(format!("key {number} has another's secret"));
            }
            let found = found.map(|key| key.enabled);
            if !possible.contains(&found) {
                return Err(format!("key {number}: found {found:?}, possible {possible:?}"));
            }
            n_found += usize::from(found.is_some());
            *possible = [found].into();
        }
        if n_found == n_listed { Ok(()) } else { Err("a key comes from nowhere".into()) }
    }

    /// Faces of a set and their labels, with their own templates, in the index as in the list.
    async fn listed(
        &self,
        store: &EmbeddedStore,
        index: &Ledger,
        set: FaceSetId,
    ) -> std::result::Result<BTreeMap<u64, u64>, String> {
        let faces = store.list_faces(ours(), FaceScope::FaceSet(set), EVERYTHING).await;
        let faces = faces.map_err(|error| error.to_string())?;
        let templates = first_templates(store, &faces).await;
        if !faces.iter().map(|face| template(face.id.get())).eq(templates) {
            return Err("a face has another's template".into());
        }
        if !index.rows(set).iter().map(|row| row.entry.face).eq(faces.iter().map(|face| face.id)) {
            return Err("the index has other faces than the store".into());
        }
        let label = |face: &likeness_domain::types::Face| {
            face.subject.as_ref()?.as_str().strip_prefix("label-")?.parse::<u64>().ok()
        };
        faces
            .iter()
            .map(|face| Some((face.id.get(), label(face)?)))
            .collect::<Option<_>>()
            .ok_or_else(|| "a face has no label".into())
    }
}

type Answer<'a> = std::pin::Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

fn answer<'a, T: 'a>(pending: impl Future<Output = Result<T>> + 'a) -> Answer<'a> {
    Box::pin(async move { pending.await.map(drop) })
}

/// Hands a write over; the answer comes later.
async fn perform<'a>(
    store: &'a EmbeddedStore,
    credentials: &'a Credentials,
    Write { set, change }: &Write,
) -> Answer<'a> {
    match change {
        Change::MakeKey(number) => {
            let secret = Secret::new(&secret(*number)).unwrap();
            let key = AccessKey::new(key_id(*number), secret, tenant(), TimestampMs(1));
            return answer(credentials.add_key(by(ours()), key));
        }
        Change::SwitchKey(number, enabled) => {
            return answer(credentials.set_key_enabled(by(ours()), key_id(*number), *enabled));
        }
        Change::DeleteKey(number) => return answer(credentials.delete_key(by(ours()), key_id(*number))),
        Change::CreateSet => return answer(store.create_face_set(by(ours()), face_set(set), None)),
        _ => {}
    }
    let id = match store.face_set(ours(), name(set)).await {
        Ok(Some(found)) => found.face_set.id,
        Ok(None) => return answer(async { Err::<(), _>(Error::invalid("set", "it is not there")) }),
        Err(error) => return answer(async { Err::<(), _>(error) }),
    };
    let (scope, owner) = (FaceScope::FaceSet(id), FaceOwner::FaceSet(id));
    match change {
        Change::DeleteSet => answer(store.delete_face_set(by(ours()), id, false)),
        Change::Add(numbers) => {
            let faces = numbers.iter().map(|&number| labelled_face(number, 0)).collect();
            answer(store.add_faces(by(ours()), owner, faces, None))
        }
        Change::Delete(numbers) => {
            let ids = numbers.iter().map(|&number| face_id(number)).collect();
            answer(store.delete_faces(by(ours()), scope, FaceSelector::Ids(ids)))
        }
        Change::Label(number, label) => {
            let patch = FacePatch { subject: Some(subject(&format!("label-{label}"))), ..FacePatch::default() };
            answer(store.update_face(by(ours()), scope, face_id(*number), patch, TimestampMs(5)))
        }
        Change::CreateSet | Change::MakeKey(_) | Change::SwitchKey(..) | Change::DeleteKey(_) => {
            unreachable!("handed over above")
        }
    }
}
