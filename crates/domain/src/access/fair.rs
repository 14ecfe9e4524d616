//! Slots of something scarce, which tenants take in turn.
//!
//! Weighted fair queueing by start times (P. Goyal, H. Vin, H. Cheng: Start-time Fair Queueing, 1996). Each tenant has a
//! virtual time, which goes on by what its calls take, divided by its weight; the slot that becomes free goes to the
//! waiting tenant whose virtual time is least. So tenants that wait get time in proportion to their weights, however many
//! calls each of them has waiting, and one that comes for the first time in a while is next.
//!
//! What a call takes is known when it ends. It is charged with what calls took lately when it begins, and the difference
//! when it ends.
//!
//! # Invariants
//! - At most `n_slots` calls hold a slot, at most `queue_max` wait.
//! - A call waits only while every slot is held.
//! - Where the queue is full, a call of a tenant with fewer waiting calls takes the place of the newest call of the tenant
//!   with most (each in proportion to its weight). So one tenant may use the whole queue while nobody else needs it, and
//!   cannot keep anybody out of it.
//! - With a bound on waiting, no call but the oldest of its tenant waits longer than [`WAIT_FACTOR_MAX`] times that; without
//!   a timer it is told when another call ends or comes.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::ports::{Clock, Timer};
use crate::types::{TenantId, TimestampMs};
use crate::{Error, Kind, Result};

/// How much the newest call counts in the moving average of what calls take.
const NEWEST_SHARE: f64 = 0.2;

/// A call waits at most for so many times what it may be expected to wait, where calls take longer than was expected when it came.
const WAIT_FACTOR_MAX: u64 = 2;

/// Milliseconds that a call is charged with before any has ended.
const FIRST_CHARGE_MS: f64 = 10.0;

/// On whose account something is done, and how much of what is scarce that tenant gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Share {
    /// Whose.
    pub tenant: TenantId,
    /// How much it gets in proportion to others; at least 1.
    pub weight: u32,
}

impl Share {
    /// The weight of a tenant for which nobody set another.
    pub const WEIGHT: u32 = 1;

    /// A tenant's, with the weight that all have.
    pub fn of(tenant: TenantId) -> Self {
        Self { tenant, weight: Self::WEIGHT }
    }
}

/// Bounds of [`FairSlots`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FairBounds {
    /// What waits, in the plural, for messages.
    pub what: &'static str,
    /// Calls that hold a slot at once; at least 1.
    pub n_slots: usize,
    /// Calls that may wait, of all tenants together.
    pub queue_max: usize,
    /// Milliseconds that a call may be expected to wait; a tenant's first waiting call always may. `None` for no bound.
    pub wait_ms_max: Option<u64>,
}

/// Slots of something scarce, which tenants take in turn.
#[derive(Clone)]
pub struct FairSlots {
    shared: Arc<Shared>,
}

struct Shared {
    bounds: FairBounds,
    clock: Arc<dyn Clock>,
    /// Tells calls in time that they have waited too long.
    timer: Option<Arc<dyn Timer>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    n_held: usize,
    n_waiting: usize,
    /// Virtual time of the tenant that was served last.
    now: f64,
    /// Those that wait or were served since all slots were free.
    tenants: HashMap<TenantId, Line>,
    /// Moving average of what a call takes, in milliseconds; `None` before the first one has ended.
    call_ms: Option<f64>,
}

/// The calls of a tenant that wait, oldest first.
struct Line {
    waiting: VecDeque<Arc<Ticket>>,
    weight: f64,
    virtual_time: f64,
}

/// A call that waits. Its state is changed under the lock of [`State`] only.
struct Ticket {
    since: TimestampMs,
    state: Mutex<TicketState>,
}

enum TicketState {
    Waiting(Option<Waker>),
    /// It has a slot, and was charged so many milliseconds for it.
    Granted(f64),
    /// It had to make room.
    Refused,
    /// It has waited so many milliseconds, too long.
    Late(u64),
    /// Its answer was taken.
    Done,
}

/// A slot, until it is dropped.
pub struct Slot {
    shared: Arc<Shared>,
    share: Share,
    since: TimestampMs,
    charged_ms: f64,
}

/// A call that waits for its slot. Dropping it leaves the queue.
#[must_use = "a slot is held only while its value lives"]
pub struct Entering {
    shared: Arc<Shared>,
    share: Share,
    ticket: std::result::Result<Arc<Ticket>, Option<Error>>,
    /// Ready when it has waited too long, unless it is the oldest of its tenant.
    late: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl FairSlots {
    /// Slots that nobody holds yet.
    pub fn new(bounds: FairBounds, clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared { bounds, clock, timer: None, state: Mutex::default() }) }
    }

    /// The same, where calls that have waited too long are told so at once, by the same time as the clock.
    #[must_use]
    pub fn with_timer(bounds: FairBounds, clock: Arc<dyn Clock>, timer: Arc<dyn Timer>) -> Self {
        Self { shared: Arc::new(Shared { bounds, clock, timer: Some(timer), state: Mutex::default() }) }
    }

    /// Waits for a slot. [`Kind::Overloaded`] if the queue is full of calls with a better right, the call would wait too
    /// long behind others of its tenant, or it had to make room for another tenant's.
    pub fn enter(&self, share: Share) -> Entering {
        let (shared, mut state) = (&self.shared, self.shared.state());
        shared.refuse_late(&mut state);
        let ticket = shared.queue(&mut state, share);
        shared.serve(&mut state);
        let late = ticket.as_ref().ok().filter(|ticket| ticket.is_waiting()).and_then(|ticket| shared.late(ticket));
        Entering { shared: Arc::clone(shared), share, ticket: ticket.map_err(Some), late }
    }

    /// Calls that wait now, of all tenants.
    pub fn n_waiting(&self) -> usize {
        self.shared.state().n_waiting
    }
}

impl Shared {
    /// Nothing in here panics half-way, so a poisoned lock still guards a sound state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a call into its tenant's line.
    fn queue(&self, state: &mut State, share: Share) -> Result<Arc<Ticket>> {
        let weight = f64::from(share.weight.max(1));
        let is_busy = state.n_held >= self.bounds.n_slots;
        let n_own = state.tenants.get(&share.tenant).map_or(0, |line| line.waiting.len());
        if is_busy && n_own > 0 {
            self.check_wait(state, weight, n_own)?;
        }
        if is_busy && state.n_waiting >= self.bounds.queue_max {
            self.make_room(state, (n_own + 1) as f64 / weight)?;
        }
        let now = state.now;
        let new = || Line { waiting: VecDeque::new(), weight, virtual_time: now };
        let line = state.tenants.entry(share.tenant).or_insert_with(new);
        line.weight = weight;
        if line.waiting.is_empty() {
            // Time in which it wanted nothing is not saved up.
            line.virtual_time = line.virtual_time.max(now);
        }
        let ticket = Arc::new(Ticket { since: self.clock.now(), state: Mutex::new(TicketState::Waiting(None)) });
        line.waiting.push_back(Arc::clone(&ticket));
        state.n_waiting += 1;
        Ok(ticket)
    }

    /// Refuses a call that would wait too long behind the `n_own` calls of its own tenant.
    fn check_wait(&self, state: &State, weight: f64, n_own: usize) -> Result<()> {
        let (Some(wait_ms_max), Some(call_ms)) = (self.bounds.wait_ms_max, state.call_ms) else { return Ok(()) };
        let weights: f64 = state.tenants.values().filter(|line| !line.waiting.is_empty()).map(|line| line.weight).sum();
        let slots_of_tenant = self.bounds.n_slots as f64 * weight / weights.max(weight);
        let expected_ms = call_ms * (n_own + 1) as f64 / slots_of_tenant;
        if expected_ms <= wait_ms_max as f64 {
            return Ok(());
        }
        let (expected_s, most_s) = (expected_ms / 1000.0, wait_ms_max as f64 / 1000.0);
        let message = format!(
            "{n_own} {} of this tenant are waiting already, another one would wait {expected_s:.1} s, expected at most \
             {most_s:.1} s",
            self.bounds.what
        );
        Err(Error::new(Kind::Overloaded, message))
    }

    /// Takes the newest call of the longest line out of the full queue, if its tenant has a longer one than the newcomer's
    /// would be; lines are compared by their length over their weight.
    fn make_room(&self, state: &mut State, newcomers: f64) -> Result<()> {
        let length = |line: &Line| line.waiting.len() as f64 / line.weight;
        let longest = state.tenants.values_mut().max_by(|a, b| length(a).total_cmp(&length(b)));
        let newest = longest.filter(|line| length(line) > newcomers).and_then(|line| line.waiting.pop_back());
        let Some(newest) = newest else {
            let message = format!("{} {} are waiting already, try again later", state.n_waiting, self.bounds.what);
            return Err(Error::new(Kind::Overloaded, message));
        };
        state.n_waiting -= 1;
        newest.answer(TicketState::Refused);
        Ok(())
    }

    /// Refuses calls that have waited too long: those before them took longer than was expected when they came. The oldest of
    /// each tenant may wait on, as it is the next.
    fn refuse_late(&self, state: &mut State) {
        let Some(wait_ms_max) = self.bounds.wait_ms_max else { return };
        let now = self.clock.now();
        for line in state.tenants.values_mut() {
            // Oldest first, so those that are late are together.
            while let Some(ticket) = line.waiting.get(1) {
                let waited_ms = u64::try_from(now.0 - ticket.since.0).unwrap_or(0);
                if waited_ms <= wait_ms_max.saturating_mul(WAIT_FACTOR_MAX) {
                    break;
                }
                ticket.answer(TicketState::Late(waited_ms));
                line.waiting.remove(1);
                state.n_waiting -= 1;
            }
        }
    }

    /// Ready when a call has waited too long; `None` where there is no bound or nothing that says so.
    fn late(&self, ticket: &Ticket) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let wait_ms_max = i64::try_from(self.bounds.wait_ms_max?.saturating_mul(WAIT_FACTOR_MAX)).ok()?;
        let (timer, clock) = (Arc::clone(self.timer.as_ref()?), Arc::clone(&self.clock));
        let at = TimestampMs(ticket.since.0.checked_add(wait_ms_max)?.checked_add(1)?);
        Some(Box::pin(async move {
            while clock.now() < at {
                timer.sleep_until(at).await;
            }
        }))
    }

    /// Gives free slots to those whose turn it is.
    fn serve(&self, state: &mut State) {
        while state.n_held < self.bounds.n_slots && state.n_waiting > 0 {
            let waiting = state.tenants.iter_mut().filter(|(_, line)| !line.waiting.is_empty());
            // The id decides among equals, so that the order does not depend on the map's.
            let next = waiting
                .min_by(|(a_id, a), (b_id, b)| a.virtual_time.total_cmp(&b.virtual_time).then_with(|| a_id.cmp(b_id)));
            let Some((_, line)) = next else { return };
            let Some(ticket) = line.waiting.pop_front() else { return };
            let charged_ms = state.call_ms.unwrap_or(FIRST_CHARGE_MS);
            state.now = state.now.max(line.virtual_time);
            line.virtual_time += charged_ms / line.weight;
            state.n_waiting -= 1;
            state.n_held += 1;
            ticket.answer(TicketState::Granted(charged_ms));
        }
    }

    /// Takes a slot back. `taken_ms` is what the call took, `None` if it never began.
    fn release(&self, state: &mut State, share: Share, charged_ms: f64, taken_ms: Option<f64>) {
        state.n_held = state.n_held.saturating_sub(1);
        if let Some(line) = state.tenants.get_mut(&share.tenant) {
            line.virtual_time += (taken_ms.unwrap_or(0.0) - charged_ms) / line.weight;
        }
        if let Some(taken_ms) = taken_ms {
            let before = state.call_ms.unwrap_or(taken_ms);
            state.call_ms = Some(before + (taken_ms - before) * NEWEST_SHARE);
        }
        self.refuse_late(state);
        self.serve(state);
        if state.n_held == 0 {
            // Nobody waits: nobody is ahead of anybody.
            state.tenants.clear();
            state.now = 0.0;
        }
    }
}

impl Ticket {
    fn state(&self) -> MutexGuard<'_, TicketState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_waiting(&self) -> bool {
        matches!(&*self.state(), TicketState::Waiting(_))
    }

    fn answer(&self, answer: TicketState) {
        let before = std::mem::replace(&mut *self.state(), answer);
        if let TicketState::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl Future for Entering {
    type Output = Result<Slot>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Slot>> {
        let this = &mut *self;
        let ticket = match &mut this.ticket {
            Ok(ticket) => ticket,
            Err(error) => {
                let error = error.take().unwrap_or_else(|| Error::internal("cannot wait for a turn", "asked again"));
                return Poll::Ready(Err(error));
            }
        };
        let is_late = match &mut this.late {
            Some(late) if ticket.is_waiting() => late.as_mut().poll(context).is_ready(),
            _ => false,
        };
        if is_late {
            // The oldest of its tenant waits on.
            this.late = None;
            this.shared.refuse_late(&mut this.shared.state());
        }
        let mut state = ticket.state();
        let answer = match &mut *state {
            TicketState::Waiting(waker) => {
                *waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            TicketState::Granted(charged_ms) => Ok(Slot {
                shared: Arc::clone(&this.shared),
                share: this.share,
                since: this.shared.clock.now(),
                charged_ms: *charged_ms,
            }),
            TicketState::Late(waited_ms) => {
                let message = format!(
                    "this call has waited {:.1} s for {} of this tenant that take longer than was expected, try again later",
                    *waited_ms as f64 / 1000.0,
                    this.shared.bounds.what
                );
                Err(Error::new(Kind::Overloaded, message))
            }
            TicketState::Refused | TicketState::Done => {
                let message = format!(
                    "the newest of many waiting {} of this tenant had to make room for other tenants, try again later",
                    this.shared.bounds.what
                );
                Err(Error::new(Kind::Overloaded, message))
            }
        };
        *state = TicketState::Done;
        Poll::Ready(answer)
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        let Ok(ticket) = &self.ticket else { return };
        let mut state = self.shared.state();
        let before = std::mem::replace(&mut *ticket.state(), TicketState::Done);
        match before {
            TicketState::Waiting(_) => {
                if let Some(line) = state.tenants.get_mut(&self.share.tenant) {
                    line.waiting.retain(|other| !Arc::ptr_eq(other, ticket));
                }
                state.n_waiting = state.n_waiting.saturating_sub(1);
            }
            TicketState::Granted(charged_ms) => self.shared.release(&mut state, self.share, charged_ms, None),
            TicketState::Refused | TicketState::Late(_) | TicketState::Done => {}
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let taken_ms = (self.shared.clock.now().0 - self.since.0).max(0) as f64;
        let mut state = self.shared.state();
        self.shared.release(&mut state, self.share, self.charged_ms, Some(taken_ms));
    }
}
