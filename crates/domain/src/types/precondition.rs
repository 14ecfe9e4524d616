//! Conditions that a change is made under.

use std::fmt;
use std::sync::Arc;

use crate::{Error, Kind, Result};

/// What a thing has to be like for a change of it to be made, asked in the transaction that writes: so nothing that somebody
/// else wrote meanwhile is overwritten unseen.
pub struct Precondition<T>(Arc<dyn Fn(&T) -> bool + Send + Sync>);

impl<T> Precondition<T> {
    /// That `holds` says yes.
    pub fn new(holds: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    /// `Changed` if there is a condition and it does not hold.
    pub fn check(this: Option<&Self>, thing: &T) -> Result<()> {
        if this.is_none_or(|Self(holds)| holds(thing)) {
            return Ok(());
        }
        Err(Error::new(Kind::Changed, "it was changed since it was read").with_hint("read it again, then decide again"))
    }
}

impl<T> Clone for Precondition<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Precondition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Precondition(..)")
    }
}
