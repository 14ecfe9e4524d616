//! The open connections: how many there may be, and which has to go when there are too many.
//!
//! A connection on which no request is being answered costs its client nothing, so it is the first to go: of the peer
//! that has most connections, the one that has waited longest. One whose request's body arrives too slowly goes like it: by a
//! few bytes a second a stranger would else hold as many places as there are. Where every connection has a request in work,
//! or came only a moment ago, a further one gets a reserved place, in which only `/healthz` and `/readyz` are answered; other
//! requests wait there for a place of their own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use likeness_wire::http::budget::{Peer, is_too_slow};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Settings;

/// Reserved places. A connection that asks for health has been answered long before so many others have come.
const RESERVED: usize = 64;

/// How long a connection may take to send its first byte before others may have its place. Without it, clients that come
/// again and again send each other away before any of them is heard, a health check among them.
const FIRST_BYTE: Duration = Duration::from_secs(1);

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// No byte has arrived yet.
    New,
    /// The head of a request is arriving.
    Head,
    /// A request is being answered.
    Busy,
    /// A request is being answered, and more of its body is waited for.
    Body,
    /// Every request was answered; another may come.
    Idle,
}

impl Phase {
    const ALL: [Phase; 5] = [Phase::New, Phase::Head, Phase::Busy, Phase::Body, Phase::Idle];

    /// Whether there is a request that will be answered.
    pub(super) fn is_in_flight(self) -> bool {
        matches!(self, Phase::Busy | Phase::Body)
    }
}

/// All open connections of a socket.
#[derive(Debug)]
pub(super) struct Places {
    n_max: usize,
    n_of_peer_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// In the order of their coming.
    open: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    peer: Option<Peer>,
    is_reserved: bool,
    phase: Phase,
    /// When the phase began; in [`Phase::Body`] moved back so that the time since then is the time in which the client was
    /// waited for, without the pauses in which the server did not read.
    since: Instant,
    /// Bytes of the body that arrived, in [`Phase::Body`].
    n_received: u64,
    signals: Arc<Signals>,
}

#[derive(Debug, Default)]
struct Signals {
    /// The connection has to go.
    leave: Notify,
    /// Its phase is another one.
    changed: Notify,
    /// It has a place of its own now.
    promoted: Notify,
}

/// One open connection, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    /// The [`Phase`], so that reading need not take the lock.
    phase: AtomicU8,
    signals: Arc<Signals>,
}

impl Places {
    pub(super) fn new(bounds: &Settings) -> Arc<Self> {
        let (n_max, n_of_peer_max) = (bounds.connections_max, bounds.connections_per_peer_max);
        Arc::new(Self { n_max, n_of_peer_max, state: Mutex::default() })
    }

    /// A place for a connection that was just accepted. `None` is a peer whose connections are not counted: a proxy, or
    /// the owner of the data folder.
    pub(super) fn enter(self: &Arc<Self>, peer: Option<Peer>) -> Arc<Place> {
        let mut state = self.state();
        let of_peer_is_full = peer.is_some_and(|peer| state.n_of(Some(peer)) >= self.n_of_peer_max);
        let is_full = of_peer_is_full || state.n_own() >= self.n_max;
        let is_reserved = is_full
            && !match of_peer_is_full {
                // A peer's own connections may send each other away at once.
                true => state.make_room(|entry| !entry.is_reserved && !entry.is_at_work() && entry.peer == peer),
                false => state.make_room(Entry::may_be_replaced),
            };
        if is_reserved && state.open.values().filter(|entry| entry.is_reserved).count() >= RESERVED {
            let idle = state.make_room(|entry| entry.is_reserved && !entry.is_at_work());
            let _ = idle || state.make_room(|entry| entry.is_reserved);
        }
        let (id, signals) = (state.next, Arc::new(Signals::default()));
        state.next += 1;
        let entry = Entry {
            peer,
            is_reserved,
            phase: Phase::New,
            since: Instant::now(),
            n_received: 0,
            signals: Arc::clone(&signals),
        };
        state.open.insert(id, entry);
        Arc::new(Place { places: Arc::clone(self), id, phase: AtomicU8::new(Phase::New as u8), signals })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way, so a poisoned lock still guards a sound table.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Whether a request is being answered whose body is there or arrives as quickly as it has to while others wait.
    fn is_at_work(&self) -> bool {
        match self.phase {
            Phase::Busy => true,
            Phase::Body => !is_too_slow(self.n_received, self.since.elapsed()),
            Phase::New | Phase::Head | Phase::Idle => false,
        }
    }

    /// Whether another connection may have its place.
    fn may_be_replaced(&self) -> bool {
        let has_just_come = self.phase == Phase::New && self.since.elapsed() < FIRST_BYTE;
        !self.is_reserved && !self.is_at_work() && !has_just_come
    }
}

impl State {
    /// Connections in places of their own.
    fn n_own(&self) -> usize {
        self.open.values().filter(|entry| !entry.is_reserved).count()
    }

    fn n_of(&self, peer: Option<Peer>) -> usize {
        self.open.values().filter(|entry| !entry.is_reserved && entry.peer == peer).count()
    }

    /// Sends one of these connections away, if there is any.
    fn make_room(&mut self, may_go: impl Fn(&Entry) -> bool) -> bool {
        let mut n_of: HashMap<Option<Peer>, usize> = HashMap::new();
        for entry in self.open.values() {
            *n_of.entry(entry.peer).or_default() += 1;
        }
        let candidates = self.open.iter().filter(|(_, entry)| may_go(entry));
        let goes = candidates.max_by_key(|(id, entry)| (n_of[&entry.peer], Reverse(entry.since), Reverse(**id)));
        let Some(id) = goes.map(|(&id, _)| id) else { return false };
        if let Some(entry) = self.open.remove(&id) {
            entry.signals.leave.notify_one();
        }
        true
    }

    /// Gives free places to those who wait for one.
    fn promote(&mut self, n_max: usize, n_of_peer_max: usize) {
        let waiting: Vec<u64> = self.open.iter().filter(|(_, entry)| entry.is_reserved).map(|(&id, _)| id).collect();
        for id in waiting {
            if self.n_own() >= n_max {
                return;
            }
            let fits = self.fits(id, n_of_peer_max);
            if let Some(entry) = self.open.get_mut(&id).filter(|_| fits) {
                entry.is_reserved = false;
                entry.signals.promoted.notify_one();
            }
        }
    }

    /// Whether the peer of this connection may have one more in a place of its own.
    fn fits(&self, id: u64, n_of_peer_max: usize) -> bool {
        let peer = self.open.get(&id).and_then(|entry| entry.peer);
        peer.is_none() || self.n_of(peer) < n_of_peer_max
    }
}

impl Place {
    /// Notes what the connection does now.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
        if let Some(entry) = self.places.state().open.get_mut(&self.id) {
            (entry.phase, entry.since) = (phase, Instant::now());
        }
        self.signals.changed.notify_one();
    }

    /// Notes that the request's body is waited for, of which so much has arrived in the time that it was waited for so far.
    pub(super) fn waits_for_body(&self, n_received: u64, waited: Duration) {
        if self.phase() != Phase::Busy {
            return;
        }
        self.phase.store(Phase::Body as u8, Ordering::SeqCst);
        if let Some(entry) = self.places.state().open.get_mut(&self.id) {
            let now = Instant::now();
            (entry.phase, entry.n_received) = (Phase::Body, n_received);
            entry.since = now.checked_sub(waited).unwrap_or(now);
        }
    }

    /// Notes that the request's body is not waited for any more, as it is there or not wanted.
    pub(super) fn waits_for_body_no_more(&self) {
        if self.phase() == Phase::Body {
            self.set_phase(Phase::Busy);
        }
    }

    /// Notes that bytes arrived.
    pub(super) fn received(&self) {
        if matches!(self.phase(), Phase::New | Phase::Idle) {
            self.set_phase(Phase::Head);
        }
    }

    pub(super) fn phase(&self) -> Phase {
        let number = self.phase.load(Ordering::SeqCst);
        Phase::ALL.into_iter().find(|phase| *phase as u8 == number).unwrap_or(Phase::Busy)
    }

    /// Ends when the connection has to go, since others need its place.
    pub(super) async fn sent_away(&self) {
        self.signals.leave.notified().await;
    }

    /// Ends when the head of a request took too long, or no request came for too long.
    pub(super) async fn waited_too_long(&self, bounds: &Settings) {
        loop {
            let since = self.places.state().open.get(&self.id).map(|entry| entry.since);
            let bound = match self.phase() {
                Phase::New | Phase::Head => Some(bounds.head_timeout),
                Phase::Idle => Some(bounds.idle_timeout),
                Phase::Busy | Phase::Body => None,
            };
            let changed = self.signals.changed.notified();
            match since.zip(bound) {
                None => changed.await,
                Some((since, bound)) => {
                    if tokio::time::timeout_at(since + bound, changed).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Whether a request that is not about the server's health may be answered; waits for it as long as a body may wait
    /// for memory.
    pub(super) async fn may_work(&self, bounds: &Settings) -> bool {
        let deadline = Instant::now() + bounds.body_wait_max;
        loop {
            if self.has_own_place() {
                return true;
            }
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            // Those who had just come may be replaced by then.
            let next_look = deadline.min(now + FIRST_BYTE);
            let _ = tokio::time::timeout_at(next_look, self.signals.promoted.notified()).await;
        }
    }

    /// Whether it has a place of its own, or takes that of a connection that may be replaced.
    fn has_own_place(&self) -> bool {
        let mut state = self.places.state();
        let Some(entry) = state.open.get(&self.id) else { return false };
        if !entry.is_reserved {
            return true;
        }
        let fits = state.fits(self.id, self.places.n_of_peer_max);
        let has_place = fits && (state.n_own() < self.places.n_max || state.make_room(Entry::may_be_replaced));
        if let Some(entry) = state.open.get_mut(&self.id).filter(|_| has_place) {
            entry.is_reserved = false;
        }
        has_place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.open.remove(&self.id);
        state.promote(self.places.n_max, self.places.n_of_peer_max);
    }
}

/// A request in flight; it ends when this is dropped, with the last of the answer's body.
pub(super) struct InFlight(pub(super) Arc<Place>);

impl InFlight {
    pub(super) fn begin(place: &Arc<Place>) -> Self {
        place.set_phase(Phase::Busy);
        Self(Arc::clone(place))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.set_phase(Phase::Idle);
    }
}

#[cfg(test)]
mod tests;
