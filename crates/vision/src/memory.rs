//! One bound for the memory of all pictures that are being worked on at the same time.
//!
//! Each worker says before it decodes how many bytes its picture takes and waits until they fit. Waiting is in order of
//! arrival: a large picture is not passed by small ones for ever. A picture that does not fit the empty budget is
//! refused at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use likeness_domain::{Error, Kind, Result};

#[cfg(test)]
mod tests;

/// Bytes shared by all workers; cheap to clone.
#[derive(Debug, Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

/// Bytes taken from a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    shared: Arc<Shared>,
    n_bytes: u64,
}

#[derive(Debug)]
struct Shared {
    capacity_bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free_bytes: u64,
    /// The number given to whoever asks next.
    next_ticket: u64,
    /// The number of whoever may take bytes next.
    now_serving: u64,
}

impl Budget {
    /// A budget of this many bytes, all of them free.
    pub fn new(capacity_bytes: u64) -> Self {
        let state = State { free_bytes: capacity_bytes, next_ticket: 0, now_serving: 0 };
        Self { shared: Arc::new(Shared { capacity_bytes, state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// All bytes, free or taken.
    pub fn capacity_bytes(&self) -> u64 {
        self.shared.capacity_bytes
    }

    /// Bytes that nobody has taken.
    pub fn free_bytes(&self) -> u64 {
        self.shared.lock().free_bytes
    }

    /// Takes `n_bytes`, after everyone who asked before and as soon as they are free. Blocks the calling thread until
    /// then. A thread that already holds a reservation gives it back first (or uses [`Reservation::grow`]), or two
    /// threads could wait for each other for ever.
    ///
    /// Errors: [`Kind::ImageDimensions`] if the whole budget is smaller.
    pub fn acquire(&self, n_bytes: u64) -> Result<Reservation> {
        let shared = &self.shared;
        if n_bytes > shared.capacity_bytes {
            return Err(too_large(n_bytes, shared.capacity_bytes));
        }
        let mut state = shared.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        while state.now_serving != ticket || state.free_bytes < n_bytes {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.now_serving += 1;
        state.free_bytes -= n_bytes;
        drop(state);
        shared.changed.notify_all();
        Ok(Reservation { shared: Arc::clone(shared), n_bytes })
    }
}

impl Reservation {
    /// Bytes taken.
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Gives back all but `n_bytes`; nothing happens if it holds fewer.
    pub fn shrink(&mut self, n_bytes: u64) {
        let surplus = self.n_bytes.saturating_sub(n_bytes);
        self.n_bytes -= surplus;
        self.shared.give_back(surplus);
    }

    /// Takes more bytes if they are free at this moment, without waiting and ahead of those who wait: whoever has begun
    /// a picture finishes it. `false` if they are not free.
    pub fn grow(&mut self, n_bytes: u64) -> bool {
        let more = n_bytes.saturating_sub(self.n_bytes);
        let mut state = self.shared.lock();
        let fits = state.free_bytes >= more;
        if fits {
            state.free_bytes -= more;
            self.n_bytes += more;
        }
        fits
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.give_back(self.n_bytes);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is three numbers, whole at every moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, n_bytes: u64) {
        if n_bytes > 0 {
            self.lock().free_bytes += n_bytes;
            self.changed.notify_all();
        }
    }
}

fn too_large(n_bytes: u64, capacity_bytes: u64) -> Error {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let message = format!(
        "image needs {} MiB of memory to be analysed, expected at most {} MiB (setting `analysis_memory_mib`)",
        mib(n_bytes),
        capacity_bytes >> 20
    );
    Error::new(Kind::ImageDimensions, message).with_field("image")
}
