//! Access: what a key may do, with which face sets, how much a tenant may hold and how often it may call.
//!
//! A dialect checks a signature and asks [`Access::admit`], which every call passes, with its vendor's numbers and the
//! grants of the operation as data ([`Admission`]). The answer is a [`Caller`], which [`crate::library::Library`] asks
//! again for the grants of each use case and for the face sets that it may use: the table of operations and the library
//! must agree, and where they do not, the stricter one holds.
//!
//! This room must never know a vendor or a wire format. `docs/access.md` tells operators the same.

mod caller;
mod fair;
mod grants;
mod limits;
mod rates;

pub use caller::Caller;
pub use fair::{Entering, FairBounds, FairSlots, Share, Slot};
pub use grants::{FaceSetScope, Grant, Grants};
pub use limits::{Limits, TenantUsage};
pub use rates::{CountedBy, Rate, RateLimiter};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ports::{Clock, CredentialStore, Job};
use crate::types::{AccessKey, AccessKeyId, TimestampMs};
use crate::{Error, Kind, Result};
use rates::Counter;

/// A call that a dialect asks to be admitted.
#[derive(Debug, Clone, Copy)]
pub struct Admission<'a> {
    /// The dialect's name.
    pub dialect: &'static str,
    /// The operation's name in that dialect.
    pub operation: &'static str,
    /// What the key must be allowed to do.
    pub needs: Grants,
    /// Whether an operator's key may call at all: where there is nothing but faces it may not, whatever the operation needs.
    pub admits_operators: bool,
    /// The vendor's numbers.
    pub limits: Limits,
    /// The vendor's bound on calls a second, where it is in force.
    pub rate: Option<Rate>,
    /// Calls, or other units, that this call counts as under `rate`; 0 if [`Access::count`] counts them later.
    pub n_units: u32,
    /// Names the request.
    pub request_id: &'a str,
}

/// What holds for tenants besides what is stored with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantDefaults {
    /// Calls a second of a tenant for which nobody set another number; `None` for no bound.
    pub calls_per_second: Option<u32>,
    /// How much tenants get of what is scarce, in proportion to others, by their names; [`Share::WEIGHT`] of all others.
    pub weights: HashMap<String, u32>,
}

/// The gate that every call of an access key passes.
pub struct Access {
    credentials: Arc<dyn CredentialStore>,
    clock: Arc<dyn Clock>,
    defaults: TenantDefaults,
    rates: RateLimiter<Counter>,
    /// When each key was used last, as far as that is not stored yet.
    uses: Mutex<HashMap<AccessKeyId, TimestampMs>>,
}

impl Access {
    /// A gate over these keys; nobody has called yet, and nothing holds but what is stored with a tenant.
    pub fn new(credentials: Arc<dyn CredentialStore>, clock: Arc<dyn Clock>) -> Self {
        let defaults = TenantDefaults::default();
        Self { credentials, clock, defaults, rates: RateLimiter::default(), uses: Mutex::default() }
    }

    /// The same where this holds for tenants besides.
    #[must_use]
    pub fn with_defaults(self, defaults: TenantDefaults) -> Self {
        Self { defaults, ..self }
    }

    /// Admits a call signed with `key`, whose signature was checked. `RateExceeded` if the tenant or the key calls too
    /// often; `Forbidden` if the key is disabled or expired, or has not all the grants that the operation needs.
    pub fn admit(&self, key: &AccessKey, call: &Admission<'_>) -> Result<Caller> {
        let now = self.clock.now();
        if !key.is_usable(now) {
            return Err(Error::new(Kind::Forbidden, "the access key is disabled or expired"));
        }
        if key.grants.are_an_operators() && !call.admits_operators {
            return Err(Error::new(Kind::Forbidden, "this access key is an operator's, which opens no faces"));
        }
        self.used(key);
        let caller = self.caller(key, call.limits, call.request_id);
        // A tenant with a number of its own has that one, be it higher.
        let own = caller.limits().calls_per_second;
        if let Some(most) = own.or(self.defaults.calls_per_second) {
            self.take(Counter::Tenant(caller.tenant), most, 1, now)?;
        }
        if let Some(rate) = call.rate.filter(|_| call.n_units > 0) {
            self.count(&caller, call, rate, call.n_units)?;
        }
        caller.require_all(call.needs)?;
        Ok(caller)
    }

    /// Counts units under the vendor's rate; `RateExceeded` if they are too many.
    pub fn count(&self, caller: &Caller, call: &Admission<'_>, rate: Rate, n_units: u32) -> Result<()> {
        let counter = match (rate.counted_by, &caller.key) {
            (CountedBy::Key, Some(key)) => Counter::Key(call.dialect, key.clone()),
            _ => Counter::Operation(call.dialect, call.operation, caller.tenant),
        };
        self.take(counter, rate.per_second, n_units, self.clock.now())
    }

    fn take(&self, counter: Counter, per_second: u32, n_units: u32, now: TimestampMs) -> Result<()> {
        if self.rates.admits(counter, per_second, n_units, now) {
            return Ok(());
        }
        Err(Error::new(Kind::RateExceeded, format!("more than {per_second} a second, try again in a second")))
    }

    /// Whoever asked for a job, with what its key may do now: a job is not done for a key that was deleted, disabled or has
    /// expired meanwhile (`Forbidden`). A job without a key was asked for by the owner of the data folder or an earlier
    /// release. What the caller writes is refused (`JobDone`) once the job is not this claim's any more.
    pub async fn caller_of_job(&self, job: &Job, limits: Limits, request_id: String) -> Result<Caller> {
        let lease = Some(job.lease());
        let Some(id) = &job.key else { return Ok(Caller { lease, ..Caller::server(job.tenant, request_id) }) };
        let now = self.clock.now();
        let key = self.credentials.key(id.clone()).await?;
        let key = key.filter(|key| key.tenant.id == job.tenant && key.is_usable(now));
        let gone = || Error::new(Kind::Forbidden, "the access key that asked for this is deleted, disabled or expired");
        Ok(Caller { lease, ..self.caller(&key.ok_or_else(gone)?, limits, request_id) })
    }

    fn caller(&self, key: &AccessKey, limits: Limits, request_id: impl Into<String>) -> Caller {
        let weight = self.defaults.weights.get(key.tenant.name.as_str()).copied().unwrap_or(Share::WEIGHT);
        Caller { weight, ..Caller::of_key(key, limits, request_id) }
    }

    /// Notes that the key was used now; [`Access::store_uses`] stores it.
    pub fn used(&self, key: &AccessKey) {
        self.uses().insert(key.id.clone(), self.clock.now());
    }

    /// Stores when keys were used last. Call it once a minute: so no call waits for it, and a key is written at most so
    /// often.
    pub async fn store_uses(&self) -> Result<()> {
        let uses = std::mem::take(&mut *self.uses());
        if uses.is_empty() {
            return Ok(());
        }
        let stored = self.credentials.keys_used(uses.iter().map(|(id, &at)| (id.clone(), at)).collect()).await;
        if stored.is_err() {
            let mut later = self.uses();
            for (id, at) in uses {
                later.entry(id).or_insert(at);
            }
        }
        stored
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<AccessKeyId, TimestampMs>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
