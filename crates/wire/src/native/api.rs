//! What the native API stands on.

use std::sync::Arc;

use likeness_domain::library::Library;
use likeness_domain::ports::{ArchiveStore, RecordStore};
use likeness_domain::types::InstallationSecret;

use super::auth::Authenticate;
use super::cursor::Cursors;
use super::sessions::Sessions;
use crate::readiness::ReadyCheck;
use crate::services::ServerFacts;

/// What the native API stands on.
pub struct Native {
    /// The library it speaks for.
    pub library: Arc<Library>,
    /// Who asks.
    pub authenticate: Arc<dyn Authenticate>,
    /// Sessions of browsers.
    pub sessions: Arc<Sessions>,
    /// Remembers answers of requests that may be sent again.
    pub records: Arc<dyn RecordStore>,
    /// Archives that jobs make and read.
    pub archives: Arc<dyn ArchiveStore>,
    /// What the key of its cursors is derived from.
    pub secret: InstallationSecret,
    /// Whether the server can do its work.
    pub ready: ReadyCheck,
    /// What the server knows of itself; `None` within a command, where none is running.
    pub server: Option<Arc<dyn ServerFacts>>,
}

#[derive(Clone)]
pub(super) struct Api {
    pub(super) library: Arc<Library>,
    pub(super) authenticate: Arc<dyn Authenticate>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) archives: Arc<dyn ArchiveStore>,
    pub(super) cursors: Arc<Cursors>,
    pub(super) ready: ReadyCheck,
    pub(super) server: Option<Arc<dyn ServerFacts>>,
}
