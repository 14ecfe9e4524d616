//! Memory for the bodies of requests, bounded over all connections together.
//!
//! A body of more than [`FREE_BYTES`] is read only after room for it was reserved: as many bytes as it announces, or as
//! many as its operation takes if it announces none. Room is given in turn to the peer that holds least, waiting is
//! bounded, and whoever has shown no known key gets at most half of the room, so that strangers leave the other half to
//! callers who have one. While somebody waits, a body that arrives more slowly than [`RATE_MIN`] loses its room.
//!
//! The listener puts a [`BodyAllowance`] into each request; [`super::body::Upload`] asks it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Extensions;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Bytes of a body that is read without asking for room: with 512 connections these are 32 MiB, and calls without a
/// picture never wait for those with one.
pub const FREE_BYTES: usize = 64 * 1024;

/// Bytes a second at which a body must arrive while others wait for room: half of what the default deadline of a body
/// implies for 12 MB.
pub const RATE_MIN: usize = 100 * 1024;

/// How long a body may arrive more slowly than [`RATE_MIN`].
pub const SLOW_START: Duration = Duration::from_secs(2);

/// Whether a body arrives too slowly, of which `n_received` bytes have come in a time.
pub fn is_too_slow(n_received: u64, elapsed: Duration) -> bool {
    (n_received as f64) < elapsed.saturating_sub(SLOW_START).as_secs_f64() * RATE_MIN as f64
}

/// How often, while somebody waits, it is looked whether a body arrives too slowly.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Bounds of a [`BodyBudget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyBounds {
    /// Bytes of all bodies together.
    pub bytes_max: usize,
    /// Bytes of the bodies of one peer together.
    pub peer_bytes_max: usize,
    /// How long a body may wait for room.
    pub wait_max: Duration,
}

/// Whose bytes and connections are counted together: an IPv4 address, or an IPv6 network of 64 bits, which is what one
/// subscriber is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()),
            address => Self(address),
        }
    }
}

/// Whether the sender of a body has named a key that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// It has; the signature may still prove wrong.
    Known,
    /// It has not, or not yet.
    Unknown,
}

/// The room for bodies.
#[derive(Debug)]
pub struct BodyBudget {
    bounds: BodyBounds,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_ticket: u64,
    holding: HashMap<u64, Holding>,
    /// In the order of arrival.
    waiting: Vec<(u64, Claim)>,
    n_bytes: usize,
    n_bytes_unknown: usize,
    of_peer: HashMap<Peer, usize>,
    /// Most bytes held at once since somebody last asked.
    peak: usize,
}

/// What a body asks for.
#[derive(Debug, Clone)]
struct Claim {
    peer: Peer,
    sender: Sender,
    n_bytes: usize,
    /// Told when room was given, and again when it is taken away.
    signal: Arc<Notify>,
}

#[derive(Debug)]
struct Holding {
    claim: Claim,
    since: Instant,
    n_received: usize,
    /// Whether the body is still arriving.
    arrives: bool,
}

/// Room that a body has, or waits for, until this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<BodyBudget>,
    ticket: u64,
    signal: Arc<Notify>,
}

impl BodyBudget {
    /// All of the room is free.
    pub fn new(bounds: BodyBounds) -> Arc<Self> {
        Arc::new(Self { bounds, state: Mutex::default() })
    }

    /// Bytes held now.
    pub fn n_bytes(&self) -> usize {
        self.state().n_bytes
    }

    /// Most bytes that were held at once since this was last asked.
    pub fn take_peak(&self) -> usize {
        let mut state = self.state();
        let now = state.n_bytes;
        std::mem::replace(&mut state.peak, now)
    }

    /// Room for a body of `n_bytes`, of which no more are counted than one peer may hold, so that a body that is larger
    /// is read alone. `None` if there was none for as long as a body may wait.
    async fn reserve(self: &Arc<Self>, peer: Peer, sender: Sender, n_bytes: usize) -> Option<Reservation> {
        let n_bytes = n_bytes.min(self.bounds.peer_bytes_max).min(self.of_sender(sender));
        let signal = Arc::new(Notify::new());
        let claim = Claim { peer, sender, n_bytes, signal: Arc::clone(&signal) };
        let (ticket, has_room) = {
            let mut state = self.state();
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            state.waiting.push((ticket, claim));
            self.give(&mut state);
            (ticket, state.holding.contains_key(&ticket))
        };
        let reservation = Reservation { budget: Arc::clone(self), ticket, signal };
        if has_room {
            // The signal of this moment is not for whoever waits to hear that the room is lost.
            reservation.signal.notified().await;
            return Some(reservation);
        }
        let deadline = Instant::now() + self.bounds.wait_max;
        loop {
            if Instant::now() >= deadline {
                return None;
            }
            self.cut_slow();
            let next_look = deadline.min(Instant::now() + LOOK_EVERY);
            if tokio::time::timeout_at(next_look, reservation.signal.notified()).await.is_ok() {
                return Some(reservation);
            }
        }
    }

    fn of_sender(&self, sender: Sender) -> usize {
        match sender {
            Sender::Known => self.bounds.bytes_max,
            Sender::Unknown => self.bounds.bytes_max / 2,
        }
    }

    /// Gives free room to those who wait, the peer that holds least first. One who does not fit into all of the room
    /// keeps those behind it waiting, since small bodies could otherwise keep a large one out for ever.
    fn give(&self, state: &mut State) {
        loop {
            let held = |claim: &Claim| state.of_peer.get(&claim.peer).copied().unwrap_or(0);
            let may = |claim: &Claim| {
                held(claim) + claim.n_bytes <= self.bounds.peer_bytes_max
                    && (claim.sender == Sender::Known
                        || state.n_bytes_unknown + claim.n_bytes <= self.of_sender(Sender::Unknown))
            };
            let next = state.waiting.iter().enumerate().filter(|(_, (_, claim))| may(claim));
            let Some((idx, _)) = next.min_by_key(|(_, (ticket, claim))| (held(claim), *ticket)) else { return };
            if state.n_bytes + state.waiting[idx].1.n_bytes > self.bounds.bytes_max {
                return;
            }
            let (ticket, claim) = state.waiting.remove(idx);
            claim.signal.notify_one();
            state.count(&claim, claim.n_bytes, 0);
            state.holding.insert(ticket, Holding { claim, since: Instant::now(), n_received: 0, arrives: true });
        }
    }

    /// Takes the room of bodies that arrive too slowly.
    fn cut_slow(&self) {
        let now = Instant::now();
        for holding in self.state().holding.values() {
            if holding.arrives && is_too_slow(holding.n_received as u64, now - holding.since) {
                holding.claim.signal.notify_one();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way, so a poisoned lock still guards sound sums.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts bytes of a claim as held, or no longer as held.
    fn count(&mut self, claim: &Claim, more: usize, less: usize) {
        let change = |sum: &mut usize| *sum = *sum + more - less;
        change(&mut self.n_bytes);
        if claim.sender == Sender::Unknown {
            change(&mut self.n_bytes_unknown);
        }
        let of_peer = self.of_peer.entry(claim.peer).or_default();
        change(of_peer);
        if *of_peer == 0 {
            self.of_peer.remove(&claim.peer);
        }
        self.peak = self.peak.max(self.n_bytes);
    }
}

impl Reservation {
    /// Notes that bytes of the body arrived.
    pub(crate) fn received(&self, n_bytes: usize) {
        if let Some(holding) = self.budget.state().holding.get_mut(&self.ticket) {
            holding.n_received += n_bytes;
        }
    }

    /// Notes that the whole body arrived, and gives back what it did not need.
    pub(crate) fn arrived(&self, n_bytes: usize) {
        let mut state = self.budget.state();
        let Some(holding) = state.holding.get_mut(&self.ticket) else { return };
        holding.arrives = false;
        let spare = holding.claim.n_bytes.saturating_sub(n_bytes);
        holding.claim.n_bytes -= spare;
        let claim = holding.claim.clone();
        state.count(&claim, 0, spare);
        self.budget.give(&mut state);
    }

    /// Ends when the room is taken away, because the body arrives too slowly and others wait.
    pub(crate) async fn lost(&self) {
        self.signal.notified().await;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        match state.holding.remove(&self.ticket) {
            Some(Holding { claim, .. }) => state.count(&claim, 0, claim.n_bytes),
            None => state.waiting.retain(|(ticket, _)| *ticket != self.ticket),
        }
        self.budget.give(&mut state);
    }
}

/// The room of one request: asked when its body is read, held until every clone of this is dropped. The listener puts
/// it into the request's extensions and keeps a clone until the answer is ready.
#[derive(Debug, Clone)]
pub struct BodyAllowance(Arc<Allowance>);

#[derive(Debug)]
struct Allowance {
    budget: Arc<BodyBudget>,
    peer: Peer,
    held: Mutex<Option<Arc<Reservation>>>,
}

impl BodyAllowance {
    /// For one request of a peer.
    pub fn new(budget: Arc<BodyBudget>, peer: Peer) -> Self {
        Self(Arc::new(Allowance { budget, peer, held: Mutex::default() }))
    }

    /// The one the listener gave, if it gave one.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Self>().cloned()
    }

    /// Room for a body of `n_bytes`, held with this; `None` if there is none in time.
    pub(crate) async fn reserve(&self, sender: Sender, n_bytes: usize) -> Option<Arc<Reservation>> {
        let reservation = Arc::new(self.0.budget.reserve(self.0.peer, sender, n_bytes).await?);
        *self.held() = Some(Arc::clone(&reservation));
        Some(reservation)
    }

    /// Gives the room back.
    pub(crate) fn release(&self) {
        // Taken out first: giving room back locks the budget, which must not happen under this lock.
        let held = self.held().take();
        drop(held);
    }

    fn held(&self) -> MutexGuard<'_, Option<Arc<Reservation>>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
