//! Access keys of the caller's tenant, and its jobs: what an administrator sees and does without being the owner of the
//! data folder.
//!
//! A key can only hand on what it has: a key it makes has no grant that it lacks and lives no longer, and it changes no key
//! that may do more. So a stolen key cannot make itself stronger or outlive its expiry.

use std::time::Duration;

use bytes::Bytes;

use super::Library;
use crate::access::{Caller, FaceSetScope, Grant, Grants, TenantUsage};
use crate::limits;
use crate::ports::{Cancel, IdSource, Job, JobPage, NewJob};
use crate::types::{AccessKey, AccessKeyId, FaceSetId, FaceSetName, JobId, Note, Secret, TimestampMs};
use crate::{Error, Kind, Result};

/// How long a cancelled job is known.
const CANCELLED_LIFETIME: Duration = Duration::from_hours(24);

/// See [`Library::create_key`].
#[derive(Debug, Clone, Default)]
pub struct CreateKey {
    /// What it may do; `None` for [`Grants::USUAL`], of a caller's key that has less for what that has of them.
    pub grants: Option<Grants>,
    /// With which face sets, which must exist; `None` for all.
    pub face_sets: Option<Vec<FaceSetName>>,
    /// How long it is accepted; `None` for as long as the caller's own key.
    pub lifetime: Option<Duration>,
    /// What people call it.
    pub label: Option<Note>,
}

impl CreateKey {
    /// `InvalidArgument` for a life that is none, or too long.
    pub(super) fn check_lifetime(lifetime: Option<Duration>) -> Result<()> {
        if let Some(lifetime) = lifetime
            && (lifetime.is_zero() || lifetime > limits::KEY_LIFETIME_MAX)
        {
            let (given, most) = (lifetime.as_secs(), limits::KEY_LIFETIME_MAX.as_secs());
            return Err(Error::invalid("expires_in_s", format!("`expires_in_s` is {given}, expected 1 to {most}")));
        }
        Ok(())
    }
}

/// A key as an administrator sees it. It holds the secret, which must not be shown.
#[derive(Debug, Clone)]
pub struct KeySummary {
    /// The key.
    pub key: AccessKey,
    /// Names of the face sets that it is for; `None` for all. Sets that are deleted are left out.
    pub face_sets: Option<Vec<FaceSetName>>,
}

impl KeySummary {
    /// The summary of a key, given the names of its tenant's face sets; a key for all of them needs none.
    fn of(key: AccessKey, names: &[(FaceSetId, FaceSetName)]) -> Self {
        let face_sets = match &key.face_sets {
            FaceSetScope::All => None,
            FaceSetScope::Only(ids) => {
                Some(names.iter().filter(|(id, _)| ids.contains(id)).map(|(_, name)| name.clone()).collect())
            }
        };
        Self { key, face_sets }
    }
}

impl Library {
    /// The keys of the tenant, oldest first. Needs the manage grant, for every face set.
    pub async fn keys(&self, caller: &Caller) -> Result<Vec<KeySummary>> {
        require_keeper(caller)?;
        let keys = self.ports.credentials.keys(caller.tenant).await?;
        let names = self.ports.credentials.face_set_names(caller.tenant).await?;
        Ok(keys.into_iter().map(|key| KeySummary::of(key, &names)).collect())
    }

    /// One key of the tenant. Needs the manage grant, for every face set. `KeyNotFound`.
    pub async fn key(&self, caller: &Caller, id: &AccessKeyId) -> Result<KeySummary> {
        let keys = self.keys(caller).await?;
        keys.into_iter().find(|summary| summary.key.id == *id).ok_or_else(|| no_such_key(id))
    }

    /// The caller's own key; `None` for the owner of the data folder. Needs no grant.
    pub async fn own_key(&self, caller: &Caller) -> Result<Option<KeySummary>> {
        let Some(id) = &caller.key else { return Ok(None) };
        let Some(key) = self.ports.credentials.key(id.clone()).await? else { return Ok(None) };
        let names = match &key.face_sets {
            FaceSetScope::All => Vec::new(),
            FaceSetScope::Only(_) => self.ports.credentials.face_set_names(caller.tenant).await?,
        };
        Ok(Some(KeySummary::of(key, &names)))
    }

    /// Makes a key of the tenant; the answer is the only one that shows its secret. Needs the manage grant, for every face
    /// set. `Forbidden` for a grant that the caller has not, a longer life than its own, or where it signed with the secret of
    /// before the last rotation; `FaceSetNotFound`; `InvalidArgument`; `CapacityExceeded` at [`limits::KEYS_MAX`] keys.
    pub async fn create_key(&self, caller: &Caller, request: CreateKey) -> Result<AccessKey> {
        require_keeper(caller)?;
        refuse_old_secret(caller)?;
        let usual = Grants::USUAL.iter().filter(|&grant| caller.grants.contains(grant));
        let grants = request.grants.unwrap_or_else(|| usual.fold(Grants::NONE, Grants::with));
        require_as_strong(caller, grants)?;
        let label = own_label(request.label)?;
        CreateKey::check_lifetime(request.lifetime)?;
        refuse_too_many(self.ports.credentials.keys(caller.tenant).await?.len())?;
        let face_sets = match request.face_sets {
            None => FaceSetScope::All,
            Some(names) if names.is_empty() => {
                let message = "`face_sets` is empty, expected at least one face set";
                return Err(Error::invalid("face_sets", message)
                    .with_hint("a key for every face set is made by leaving `face_sets` out"));
            }
            Some(names) => {
                let mut ids = Vec::with_capacity(names.len());
                for name in &names {
                    let id = self.existing_face_set(caller, name).await?.face_set.id;
                    if !ids.contains(&id) {
                        ids.push(id);
                    }
                }
                FaceSetScope::Only(ids.into())
            }
        };
        let now = self.ports.clock.now();
        let asked = request.lifetime.map(|lifetime| later(now, lifetime));
        let expires_at = new_key_expiry(asked, self.own_end(caller).await?)?;
        let tenant = self.ports.credentials.tenants().await?.into_iter().find(|tenant| tenant.id == caller.tenant);
        let tenant = tenant.ok_or_else(|| Error::new(Kind::Forbidden, "the tenant was deleted"))?;
        let ids = &*self.ports.ids;
        let new = AccessKey::new(fresh_key_id(ids), fresh_secret(ids), tenant, now);
        let key = AccessKey { grants, face_sets, label, expires_at, ..new };
        self.ports.credentials.add_key(caller.actor(), key.clone()).await?;
        Ok(key)
    }

    /// Gives a key a new secret, which only this answer shows; the old one is accepted for `overlap` longer. Needs the manage
    /// grant, for every face set. `KeyNotFound`; `Forbidden` for a key that may do more than the caller's or lives longer: its
    /// secret would outlive the caller's; `InvalidArgument` for an overlap of more than 31 days.
    pub async fn rotate_key(&self, caller: &Caller, id: &AccessKeyId, overlap: Duration) -> Result<AccessKey> {
        if overlap > limits::KEY_OVERLAP_MAX {
            let (given, most) = (overlap.as_secs(), limits::KEY_OVERLAP_MAX.as_secs());
            return Err(Error::invalid("overlap_s", format!("`overlap_s` is {given}, expected at most {most}")));
        }
        let key = self.changeable_key(caller, id).await?;
        if self.own_end(caller).await?.is_some_and(|own_end| key.expires_at.is_none_or(|end| own_end < end)) {
            let message = "the key is accepted for longer than the key that would rotate it and learn its secret";
            return Err(Error::new(Kind::Forbidden, message));
        }
        let until = later(self.ports.clock.now(), overlap);
        let secret = fresh_secret(&*self.ports.ids);
        if !self.ports.credentials.rotate_key(caller.actor(), id.clone(), secret.clone(), until).await? {
            return Err(no_such_key(id));
        }
        let key = self.ports.credentials.key(id.clone()).await?.ok_or_else(|| no_such_key(id))?;
        // Of two rotations at once each answer shows the secret that it made.
        Ok(AccessKey { secret, ..key })
    }

    /// Switches a key on or off. Needs the manage grant, for every face set. `KeyNotFound`; `Forbidden` for a key that may do
    /// more than the caller.
    pub async fn set_key_enabled(&self, caller: &Caller, id: &AccessKeyId, enabled: bool) -> Result<KeySummary> {
        self.changeable_key(caller, id).await?;
        if !self.ports.credentials.set_key_enabled(caller.actor(), id.clone(), enabled).await? {
            return Err(no_such_key(id));
        }
        self.key(caller, id).await
    }

    /// Deletes a key. Needs the manage grant, for every face set. `KeyNotFound`; `Forbidden` for a key that may do more than
    /// the caller.
    pub async fn delete_key(&self, caller: &Caller, id: &AccessKeyId) -> Result<()> {
        self.changeable_key(caller, id).await?;
        match self.ports.credentials.delete_key(caller.actor(), id.clone()).await? {
            true => Ok(()),
            false => Err(no_such_key(id)),
        }
    }

    /// A key that the caller may change.
    async fn changeable_key(&self, caller: &Caller, id: &AccessKeyId) -> Result<AccessKey> {
        require_keeper(caller)?;
        let found = self.ports.credentials.key(id.clone()).await?;
        let key = found.filter(|key| key.tenant.id == caller.tenant).ok_or_else(|| no_such_key(id))?;
        require_as_strong(caller, key.grants)?;
        refuse_old_secret(caller)?;
        Ok(key)
    }

    /// When the caller's own key ends, or the secret with which it signed; `None` for one that does not, and for the owner of
    /// the data folder.
    pub(super) async fn own_end(&self, caller: &Caller) -> Result<Option<TimestampMs>> {
        let Some(own) = &caller.key else { return Ok(None) };
        let end = self.ports.credentials.key(own.clone()).await?.and_then(|key| key.expires_at);
        Ok([end, caller.ends_at].into_iter().flatten().min())
    }

    /// How much of its limits the tenant uses. Needs the read grant, for every face set.
    pub async fn usage(&self, caller: &Caller) -> Result<TenantUsage> {
        caller.require(Grant::Read)?;
        caller.require_every_face_set("see what the tenant has")?;
        self.ports.store.usage(caller.tenant).await
    }

    /// The tenant's jobs, the one accepted last first, without what they are to do; see [`crate::ports::JobStore::jobs`]. Needs
    /// the read grant. A key for some face sets only sees the jobs that it asked for. `InvalidArgument` for a limit above
    /// [`limits::PERSON_PAGE_MAX`].
    pub async fn jobs(&self, caller: &Caller, from: Option<u64>, limit: u64) -> Result<JobPage> {
        caller.require(Grant::Read)?;
        if !(1..=limits::PERSON_PAGE_MAX).contains(&limit) {
            let message = format!("`limit` is {limit}, expected 1 to {}", limits::PERSON_PAGE_MAX);
            return Err(Error::invalid("limit", message));
        }
        let mut page = self.ports.jobs.jobs(caller.tenant, from, limit, self.ports.clock.now()).await?;
        page.jobs.retain(|job| sees_job(caller, job));
        Ok(page)
    }

    /// One job. Needs the read grant, but for jobs that the caller asked for. `JobNotFound`.
    pub async fn job(&self, caller: &Caller, id: JobId) -> Result<Job> {
        let found = self.ports.jobs.job(caller.tenant, id, self.ports.clock.now()).await?;
        let job = found.filter(|job| sees_job(caller, job)).ok_or_else(no_such_job)?;
        if caller.key.is_none() || job.key != caller.key {
            caller.require(Grant::Read)?;
        }
        Ok(job)
    }

    /// Accepts work to be done later in the caller's name, with what its key may do then; the use case that is meant has checked
    /// that it may be asked for. `Overloaded` if more than `waiting_max` jobs of the kind would wait.
    pub async fn accept_job(
        &self,
        caller: &Caller,
        kind: &'static str,
        payload: Bytes,
        waiting_max: u64,
    ) -> Result<Job> {
        let ids = self.accept_jobs(caller, kind, vec![payload], waiting_max).await?;
        let id = ids.into_iter().next().ok_or_else(no_such_job)?;
        let found = self.ports.jobs.job(caller.tenant, id, self.ports.clock.now()).await?;
        found.ok_or_else(no_such_job)
    }

    /// The same for several pieces of work, all or none of them; their ids in the same order.
    pub async fn accept_jobs(
        &self,
        caller: &Caller,
        kind: &'static str,
        payloads: Vec<Bytes>,
        waiting_max: u64,
    ) -> Result<Vec<JobId>> {
        caller.require_any()?;
        if payloads.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.ports.clock.now();
        let new = |payload| NewJob {
            id: self.fresh_id(JobId::new),
            tenant: caller.tenant,
            key: caller.key.clone(),
            kind,
            payload,
            due_at: now,
            created_at: now,
        };
        self.ports.jobs.enqueue(payloads.into_iter().map(new).collect(), waiting_max).await
    }

    /// Takes a job that is not done out of the queue; cancelling it again is fine. What a job under way has done stays done,
    /// unless its kind is one of `all_or_none`: such a job cannot be cancelled once it was begun, so a cancelled one has done
    /// nothing. `so_far` tells what a job has done, in the words of its kind; its error is the answer, and nothing is cancelled.
    /// Whoever asked for the job may, and with the manage grant for every face set anybody. `JobNotFound`, `JobDone`.
    pub async fn cancel_job(
        &self,
        caller: &Caller,
        id: JobId,
        all_or_none: &[&str],
        so_far: impl AsyncFnOnce(&Job) -> Result<Bytes>,
    ) -> Result<()> {
        let job = self.job(caller, id).await?;
        if job.key != caller.key {
            require_keeper(caller)?;
        }
        if job.is_cancelled {
            return Ok(());
        }
        let expires_at = later(self.ports.clock.now(), CANCELLED_LIFETIME);
        let only_unbegun = all_or_none.contains(&job.kind.as_str());
        let so_far = so_far(&job).await?;
        match self.ports.jobs.cancel(caller.tenant, id, only_unbegun, expires_at, so_far).await? {
            Cancel::Done => Ok(()),
            Cancel::TooLate => {
                let message = format!("the job `{id}` was begun and goes on to its end: it cannot be done in part");
                Err(Error::new(Kind::JobDone, message))
            }
            Cancel::NotFound => Err(Error::new(Kind::JobDone, format!("the job `{id}` is done already"))),
        }
    }
}

/// `Forbidden` where the caller signed with the secret of before its key's last rotation: whoever has that one may be the reason
/// for the new one, and would change or outlive the key by another one that it makes or learns.
pub(super) fn refuse_old_secret(caller: &Caller) -> Result<()> {
    if !caller.has_old_secret {
        return Ok(());
    }
    let message =
        "the secret was replaced and is accepted for a while only: keys are made and changed with the new one";
    Err(Error::new(Kind::Forbidden, message))
}

/// What people call a key; an empty label is none. `InvalidArgument` for one that is too long, or that is no line of text.
pub(super) fn own_label(label: Option<Note>) -> Result<Option<Note>> {
    let label = label.filter(|label| !label.as_str().trim().is_empty());
    if label.as_ref().is_some_and(|label| label.as_str().chars().count() > limits::KEY_LABEL_CHARS_MAX) {
        let message = format!("`label` has more than {} characters", limits::KEY_LABEL_CHARS_MAX);
        return Err(Error::invalid("label", message));
    }
    if label.as_ref().is_some_and(|label| label.as_str().chars().any(char::is_control)) {
        return Err(Error::invalid("label", "`label` has a control character, expected one line of printable text"));
    }
    Ok(label)
}

/// `CapacityExceeded` for a tenant with that many keys.
pub(super) fn refuse_too_many(n_keys: usize) -> Result<()> {
    if n_keys < limits::KEYS_MAX {
        return Ok(());
    }
    let message = format!("the tenant has {n_keys} access keys, at most {} may be made", limits::KEYS_MAX);
    Err(Error::new(Kind::CapacityExceeded, message).with_hint("delete keys that nobody uses"))
}

/// When a new key ends, given when it is asked to and when the key ends that makes it. `Forbidden` if it would live longer.
pub(super) fn new_key_expiry(asked: Option<TimestampMs>, own_end: Option<TimestampMs>) -> Result<Option<TimestampMs>> {
    match (asked, own_end) {
        (Some(asked), Some(own_end)) if own_end < asked => {
            let message = "the new key would be accepted for longer than the key that makes it";
            Err(Error::new(Kind::Forbidden, message))
        }
        (asked, own_end) => Ok(asked.or(own_end)),
    }
}

fn require_keeper(caller: &Caller) -> Result<()> {
    caller.require(Grant::Manage)?;
    caller.require_every_face_set("manage access keys and jobs")
}

/// `Forbidden` unless the caller has all of these grants itself.
fn require_as_strong(caller: &Caller, grants: Grants) -> Result<()> {
    match grants.iter().find(|&grant| !caller.grants.contains(grant)) {
        None => Ok(()),
        Some(grant) => {
            let message =
                format!("the grant `{}` can be given, taken and rotated only by keys that have it", grant.word());
            Err(Error::new(Kind::Forbidden, message))
        }
    }
}

fn sees_job(caller: &Caller, job: &Job) -> bool {
    caller.face_sets.is_all() || job.key == caller.key
}

fn no_such_key(id: &AccessKeyId) -> Error {
    Error::new(Kind::KeyNotFound, format!("there is no access key `{id}`"))
}

fn no_such_job() -> Error {
    Error::new(Kind::JobNotFound, "there is no such job, or it is forgotten")
}

pub(super) fn later(now: TimestampMs, span: Duration) -> TimestampMs {
    TimestampMs(now.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
}

/// Like the vendors' own: 20 characters of capitals and digits, 40 of letters and digits (238 bits).
const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A new id of an access key.
pub fn fresh_key_id(ids: &dyn IdSource) -> AccessKeyId {
    AccessKeyId::new(&random_text(ids, ID_ALPHABET, 20)).expect("the alphabet is lawful")
}

/// A new secret of an access key.
pub fn fresh_secret(ids: &dyn IdSource) -> Secret {
    Secret::new(&random_text(ids, SECRET_ALPHABET, 40)).expect("the alphabet is lawful")
}

fn random_text(ids: &dyn IdSource, alphabet: &[u8], n_chars: usize) -> String {
    // Bytes beyond the last whole multiple of the alphabet are thrown away, so that every letter is equally likely.
    let fair_end = 256 / alphabet.len() * alphabet.len();
    let mut text = String::with_capacity(n_chars);
    let mut byte = [0];
    while text.len() < n_chars {
        ids.fill(&mut byte);
        if usize::from(byte[0]) < fair_end {
            text.push(char::from(alphabet[usize::from(byte[0]) % alphabet.len()]));
        }
    }
    text
}
