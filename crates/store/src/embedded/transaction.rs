//! What a write works with: the one transaction, what it changed, and how it is to be made.

use std::ops::RangeInclusive;

use likeness_domain::Result;
use likeness_domain::ports::Change;
use likeness_domain::types::{Actor, FaceId};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::numbers::Counters;

/// What a write works with. It is alone: nobody else writes, and readers see nothing of it before the commit.
pub(super) struct WriteTx<'a> {
    pub(super) conn: &'a Connection,
    /// What changed so far.
    pub(super) changes: Vec<Change>,
    /// On whose behalf, of writes that are kept as commits; set when the write has worked.
    pub(super) actor: Option<Actor>,
    /// Set by a write that removed or overwrote data, so that the log is cleaned of it soon.
    pub(super) erased: bool,
    /// Set by a write that begun a delete in steps, for the thread to go on with it.
    pub(super) begun: Option<Running>,
    /// Set by a write that found nothing to do, so that no flush is spent on it.
    pub(super) idle: bool,
    pub(super) counters: Counters,
}

impl WriteTx<'_> {
    /// Adds a change, for the index and for the commit that is kept.
    pub(super) fn push(&mut self, change: impl Into<Change>) {
        self.changes.push(change.into());
    }

    /// A number larger than all before it, also across restarts.
    pub(super) fn next_sequence(&mut self) -> u64 {
        let sequence = self.counters.next_sequence;
        self.counters.next_sequence += 1;
        sequence
    }
}

/// How a write is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    /// It has a transaction of its own: when it runs, the index has reached every write before it.
    pub(super) is_alone: bool,
    /// It may take the reserve when the disk is full: deletes, and what a request to delete has to write.
    pub(super) may_take_reserve: bool,
    /// It only tries whether something can be written.
    pub(super) is_probe: bool,
}

impl Manner {
    /// Like most writes.
    pub(super) const USUAL: Manner = Manner { is_alone: false, may_take_reserve: false, is_probe: false };
    /// What makes room.
    pub(super) const DELETE: Manner = Manner { may_take_reserve: true, ..Self::USUAL };
    /// What makes room, in a transaction of its own.
    pub(super) const DELETE_ALONE: Manner = Manner { is_alone: true, ..Self::DELETE };
    /// A trial write.
    pub(super) const PROBE: Manner = Manner { is_probe: true, ..Self::USUAL };
}

/// A delete whose steps are under way and whose caller waits.
pub(super) struct Running {
    /// Rows of `pending_deletes`, from the first to the last.
    pub(super) steps: RangeInclusive<i64>,
    pub(super) deleted: Vec<FaceId>,
    pub(super) caller: oneshot::Sender<Result<Vec<FaceId>>>,
}

impl Running {
    /// A step was made, or a part of it, that erased these faces; back if there are more to come.
    pub(super) fn after_step(mut self, step: i64, deleted: &[FaceId], is_whole: bool) -> Option<Self> {
        if self.steps.contains(&step) {
            self.deleted.extend_from_slice(deleted);
        }
        if step < *self.steps.end() || !is_whole {
            return Some(self);
        }
        // A caller who has hung up is no reason to undo anything.
        let _ = self.caller.send(Ok(self.deleted));
        None
    }
}
