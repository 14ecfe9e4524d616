//! Whether a server can do its work, part by part: what `/readyz` and `GET /likeness/v1/status` answer.

use std::pin::Pin;
use std::sync::Arc;

use likeness_domain::ports::ScrubReport;

/// Looks whether a server can do its work. It waits for what it looks at, but not for long.
pub type ReadyCheck = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Readiness> + Send>> + Send + Sync>;

/// A check that finds every part in order, for servers that have none to look at, as those of tests.
pub fn always_ready() -> ReadyCheck {
    Arc::new(|| Box::pin(std::future::ready(Readiness::default())))
}

/// Whether a server can do its work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Why it takes no work whatever its parts are like, for people: it stops.
    pub refusal: Option<String>,
    /// What keeps the faces; failed while nothing can be written.
    pub store: PartHealth,
    /// What searches them; failed while it is filled anew, as searches are refused meanwhile.
    pub index: PartHealth,
    /// What analyses images.
    pub pipeline: PartHealth,
    /// What the data folder lies on.
    pub disk: PartHealth,
    /// Damaged rows that are neither searched nor returned.
    pub n_rows_set_aside: u64,
    /// Other damage that is known: parts of tables that cannot be read, galleries that show what does not belong there.
    pub n_other_damage: u64,
    /// Times that acknowledged commits went missing, until somebody acknowledges it.
    pub n_losses: u64,
    /// How far the check of every row is that goes on beside other work.
    pub scrub: Option<ScrubReport>,
}

impl Readiness {
    /// The parts by their names.
    pub(crate) fn parts(&self) -> [(&'static str, &PartHealth); 4] {
        [("store", &self.store), ("index", &self.index), ("pipeline", &self.pipeline), ("disk", &self.disk)]
    }

    /// Why it cannot do its work, for people; `None` if it can.
    pub fn reason(&self) -> Option<&str> {
        let failed = self.parts().into_iter().find(|(_, part)| part.state == PartState::Failed);
        let of_part = failed.map(|(_, part)| part.reason.as_deref().unwrap_or("a part of the server has failed"));
        self.refusal.as_deref().or(of_part)
    }

    /// Whether it can do its work, but not all is well.
    pub(crate) fn is_degraded(&self) -> bool {
        self.reason().is_none() && self.parts().iter().any(|(_, part)| part.state == PartState::Degraded)
    }
}

/// How a part of a server is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartHealth {
    /// In a word.
    pub state: PartState,
    /// Why it is not [`PartState::Ok`], for people.
    pub reason: Option<String>,
}

impl PartHealth {
    /// All is well with it.
    pub const OK: PartHealth = PartHealth { state: PartState::Ok, reason: None };

    /// It works, but somebody should look.
    pub fn degraded(reason: impl Into<String>) -> Self {
        Self { state: PartState::Degraded, reason: Some(reason.into()) }
    }

    /// It does not work.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { state: PartState::Failed, reason: Some(reason.into()) }
    }
}

/// See [`PartHealth`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PartState {
    /// It works.
    #[default]
    Ok,
    /// It works, but somebody should look: something is damaged, full soon, or busy.
    Degraded,
    /// It does not work; the server is not ready.
    Failed,
}

impl PartState {
    /// Its word in answers.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_part_makes_a_server_unready_and_a_degraded_one_does_not() {
        let well = Readiness::default();
        assert_eq!((well.reason(), well.is_degraded()), (None, false));
        let low = Readiness { disk: PartHealth::degraded("little room"), ..Readiness::default() };
        assert_eq!((low.reason(), low.is_degraded()), (None, true));
        let full = Readiness { store: PartHealth::failed("full"), ..low };
        assert_eq!((full.reason(), full.is_degraded()), (Some("full"), false));
        let stopping = Readiness { refusal: Some("stops".into()), ..full };
        assert_eq!(stopping.reason(), Some("stops"));
    }
}
