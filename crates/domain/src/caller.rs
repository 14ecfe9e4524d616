//! Who asks, and what they may do.

use crate::types::{AccessKeyId, Actor, RequestId, TenantId};
use crate::{Error, Kind, Result};

/// One thing a caller may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// List and read face sets, faces and persons.
    Read,
    /// Make, change and delete face sets, faces and persons.
    Write,
    /// Detect, compare and search.
    Search,
}

/// The set of things a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grants(u8);

impl Grants {
    /// Everything.
    pub const ALL: Grants = Grants(0b111);
    /// Nothing.
    pub const NONE: Grants = Grants(0);

    /// These grants and one more.
    #[must_use]
    pub fn with(self, grant: Grant) -> Self {
        Self(self.0 | 1 << grant as u8)
    }

    /// Whether `grant` is among them.
    pub fn contains(self, grant: Grant) -> bool {
        self.0 & 1 << grant as u8 != 0
    }
}

/// Who asks. An adapter makes it from a checked signature; every [`crate::library::Library`] call takes one, so a
/// route without authentication does not compile.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose data it is about.
    pub tenant: TenantId,
    /// What is allowed.
    pub grants: Grants,
    /// The access key that signed the request; `None` for the owner of the data folder and for the server's own work.
    pub key: Option<AccessKeyId>,
    /// Names this request in the log.
    pub request_id: String,
}

impl Caller {
    /// The caller as it is kept with the commits that it makes.
    pub fn actor(&self) -> Actor {
        let request_id = RequestId::new(&self.request_id).unwrap_or_else(RequestId::unnamed);
        Actor { tenant: self.tenant, key: self.key.clone(), request_id }
    }

    /// Refuses with [`Kind::Forbidden`] unless `grant` was given.
    pub fn require(&self, grant: Grant) -> Result<()> {
        if self.grants.contains(grant) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Forbidden,
            format!(
                "this access key may not {}",
                match grant {
                    Grant::Read => "read",
                    Grant::Write => "write",
                    Grant::Search => "detect, compare or search",
                }
            ),
        ))
    }
}

#[cfg(test)]
mod tests;
