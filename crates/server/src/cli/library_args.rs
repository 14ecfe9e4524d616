//! The options that every command on a library takes.

use clap::Args;

/// What every command that works on a library takes.
#[derive(Debug, Args)]
pub(crate) struct LibraryArgs {
    /// Whose faces [default: LIKENESS_TENANT, else the only tenant]
    #[arg(long, value_name = "NAME", env = "LIKENESS_TENANT", hide_env = true)]
    pub(super) tenant: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

impl LibraryArgs {
    pub(super) fn tenant(&self) -> Option<&str> {
        // An empty variable counts as unset, as those of settings do.
        self.tenant.as_deref().filter(|name| !name.is_empty())
    }
}
