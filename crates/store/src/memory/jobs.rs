//! Jobs, and what may be used only once.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use likeness_domain::Result;
use likeness_domain::ports::{Cancel, Job, JobOutcome, JobPage, JobStore, NewJob, NonceStore, Pending};
use likeness_domain::types::{JobId, JobLease, TenantId, TimestampMs};

use super::{MemoryStore, ready};
use crate::bounds::{self, kept_until};
use crate::id::free_id;

/// Every job in order of acceptance.
#[derive(Default)]
pub(super) struct Jobs {
    last_sequence: u64,
    jobs: BTreeMap<u64, Job>,
}

/// When each token in its scope may be used again.
pub(super) type Spent = HashMap<(String, Vec<u8>), TimestampMs>;

fn is_undone(job: &Job) -> bool {
    job.expires_at.is_none()
}

fn is_forgotten(job: &Job, now: TimestampMs) -> bool {
    job.expires_at.is_some_and(|expires_at| expires_at <= now)
}

impl Jobs {
    fn undone_of<'a>(&'a mut self, kind: &'a str) -> impl Iterator<Item = &'a mut Job> {
        self.jobs.values_mut().filter(move |job| is_undone(job) && job.kind == kind)
    }

    fn enqueue(&mut self, new_jobs: Vec<NewJob>, waiting_max: u64) -> Result<Vec<JobId>> {
        bounds::check_jobs(&new_jobs)?;
        for (kind, n_more) in bounds::by_kind(&new_jobs) {
            bounds::check_room(kind, self.undone_of(kind).count() as u64, n_more, waiting_max)?;
            let own = bounds::by_kind_and_tenant(&new_jobs).into_iter().filter(|((other, _), _)| *other == kind);
            for ((_, tenant), n_more) in own {
                let n_own = self.undone_of(kind).filter(|job| job.tenant == tenant).count() as u64;
                bounds::check_room_of_tenant(kind, n_own, n_more, waiting_max)?;
            }
        }
        Ok(new_jobs.into_iter().map(|new| self.insert(new)).collect())
    }

    fn insert(&mut self, new: NewJob) -> JobId {
        let id = free_id(new.id.get(), |id| self.jobs.values().any(|job| job.id.get() == id));
        let id = JobId::new(id).unwrap_or(new.id);
        let job = Job {
            id,
            tenant: new.tenant,
            key: new.key,
            kind: new.kind.to_owned(),
            payload: new.payload,
            result: None,
            is_cancelled: false,
            n_attempts: 0,
            due_at: new.due_at,
            created_at: new.created_at,
            expires_at: None,
        };
        self.last_sequence += 1;
        self.jobs.insert(self.last_sequence, job);
        id
    }

    /// Erases every job of a tenant.
    pub(super) fn erase_tenant(&mut self, tenant: TenantId) {
        self.jobs.retain(|_, job| job.tenant != tenant);
    }

    fn claim(
        &mut self,
        kind: &str,
        now: TimestampMs,
        lease_until: TimestampMs,
        served: Option<TenantId>,
    ) -> Option<Job> {
        // Of those due at the same time the first is taken, which is the one accepted first.
        let due = self.undone_of(kind).filter(|job| job.due_at <= now);
        let job = due.min_by_key(|job| (served.is_some_and(|served| job.tenant <= served), job.tenant, job.due_at))?;
        job.due_at = lease_until;
        job.n_attempts += 1;
        Some(job.clone())
    }

    /// Whether a claim still holds.
    pub(super) fn is_under(&self, lease: JobLease) -> bool {
        let mut jobs = self.jobs.values();
        jobs.any(|job| is_undone(job) && job.lease() == lease)
    }

    fn settle(&mut self, lease: JobLease, outcome: JobOutcome, follow_ups: Vec<NewJob>) -> Result<bool> {
        bounds::check_outcome(&outcome)?;
        bounds::check_jobs(&follow_ups)?;
        if let Some(job) = self.jobs.values_mut().find(|job| job.lease() == lease && job.is_cancelled) {
            let so_far = bounds::so_far(&outcome);
            if !so_far.is_empty() {
                job.result = Some(Bytes::copy_from_slice(so_far));
            }
            return Ok(false);
        }
        let Some((&sequence, job)) = self.jobs.iter_mut().find(|(_, job)| job.lease() == lease && is_undone(job))
        else {
            return Ok(false);
        };
        match outcome {
            JobOutcome::Done { result, expires_at } => {
                job.payload = Bytes::new();
                job.result = Some(result);
                job.expires_at = Some(expires_at);
            }
            JobOutcome::Again { due_at } => job.due_at = due_at,
            JobOutcome::Continue { payload, due_at, so_far: _ } => {
                (job.payload, job.due_at, job.n_attempts) = (payload, due_at, 0);
            }
            JobOutcome::Forgotten => {
                self.jobs.remove(&sequence);
            }
        }
        for new in follow_ups {
            self.insert(new);
        }
        Ok(true)
    }
}

impl JobStore for MemoryStore {
    fn enqueue(&self, jobs: Vec<NewJob>, waiting_max: u64) -> Pending<'_, Vec<JobId>> {
        let mut state = self.read();
        let refused = jobs.iter().try_for_each(|job| state.refuse_deleted(job.tenant));
        ready(refused.and_then(|()| state.jobs.enqueue(jobs, waiting_max)))
    }

    fn claim(
        &self,
        kind: &'static str,
        now: TimestampMs,
        lease_until: TimestampMs,
        served: Option<TenantId>,
    ) -> Pending<'_, Option<Job>> {
        ready(Ok(self.read().jobs.claim(kind, now, lease_until, served)))
    }

    fn settle(&self, lease: JobLease, outcome: JobOutcome, follow_ups: Vec<NewJob>) -> Pending<'_, bool> {
        ready(self.read().jobs.settle(lease, outcome, follow_ups))
    }

    fn job(&self, tenant: TenantId, id: JobId, now: TimestampMs) -> Pending<'_, Option<Job>> {
        let state = self.read();
        let mut known = state.jobs.jobs.values();
        ready(Ok(known.find(|job| job.tenant == tenant && job.id == id && !is_forgotten(job, now)).cloned()))
    }

    fn jobs(&self, tenant: TenantId, from: Option<u64>, limit: u64, now: TimestampMs) -> Pending<'_, JobPage> {
        let state = self.read();
        let known = state.jobs.jobs.range(..=from.unwrap_or(u64::MAX)).rev();
        let mut rest = known.filter(|(_, job)| job.tenant == tenant && !is_forgotten(job, now));
        let outline = |(_, job): (&u64, &Job)| Job {
            payload: Bytes::new(),
            result: job.result.as_ref().filter(|_| !job.is_cancelled).map(|_| Bytes::new()),
            ..job.clone()
        };
        let jobs = rest.by_ref().take(usize::try_from(limit).unwrap_or(usize::MAX)).map(outline).collect();
        ready(Ok(JobPage { jobs, next: rest.next().map(|(&sequence, _)| sequence) }))
    }

    fn cancel(
        &self,
        tenant: TenantId,
        id: JobId,
        only_unbegun: bool,
        expires_at: TimestampMs,
        so_far: Bytes,
    ) -> Pending<'_, Cancel> {
        let jobs = &mut self.read().jobs.jobs;
        let found = jobs.values_mut().find(|job| job.tenant == tenant && job.id == id && is_undone(job));
        ready(Ok(match found {
            None => Cancel::NotFound,
            Some(job) if only_unbegun && job.n_attempts > 0 => Cancel::TooLate,
            Some(job) => {
                (job.payload, job.is_cancelled, job.expires_at) = (Bytes::new(), true, Some(expires_at));
                job.result = Some(so_far).filter(|so_far| !so_far.is_empty());
                Cancel::Done
            }
        }))
    }

    fn next_due(&self, kind: &'static str) -> Pending<'_, Option<TimestampMs>> {
        ready(Ok(self.read().jobs.undone_of(kind).map(|job| job.due_at).min()))
    }

    fn void_leases(&self, now: TimestampMs) -> Pending<'_, u64> {
        let mut state = self.read();
        let begun = state.jobs.jobs.values_mut().filter(|job| is_undone(job) && job.n_attempts > 0 && now < job.due_at);
        ready(Ok(begun.map(|job| job.due_at = now).count() as u64))
    }

    fn forget(&self, now: TimestampMs) -> Pending<'_, u64> {
        let jobs = &mut self.read().jobs.jobs;
        let n_before = jobs.len();
        jobs.retain(|_, job| !is_forgotten(job, now));
        ready(Ok((n_before - jobs.len()) as u64))
    }
}

impl NonceStore for MemoryStore {
    fn consume(&self, scope: &str, token: &[u8], now: TimestampMs, expires_at: TimestampMs) -> Pending<'_, bool> {
        if let Err(error) = bounds::check_token(scope, token) {
            return ready(Err(error));
        }
        let spent = &mut self.read().spent;
        let purged_until = (String::new(), Vec::new());
        let mut purged = spent.remove(&purged_until);
        spent.retain(|_, &mut expires_at| {
            let is_kept = now < kept_until(expires_at);
            purged = if is_kept { purged } else { purged.max(Some(expires_at)) };
            is_kept
        });
        if let Some(until) = purged {
            spent.insert(purged_until, until);
        }
        // Whether the token is among those that were purged nobody knows.
        let is_before_purged = purged.is_some_and(|until| now < until);
        let token = (scope.to_owned(), token.to_owned());
        if is_before_purged || spent.get(&token).is_some_and(|&expires_at| now < expires_at) {
            return ready(Ok(false));
        }
        spent.insert(token, expires_at);
        ready(Ok(true))
    }
}
