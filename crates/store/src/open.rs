//! From an address to a store: the one place that knows every backend.

use std::path::PathBuf;
use std::sync::Arc;

use likeness_domain::ports::{CredentialStore, GalleryStore, JobStore, NonceStore, VectorIndex};
use likeness_domain::{Error, Kind, Result};

use crate::embedded::EmbeddedStore;
use crate::memory::MemoryStore;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In memory, gone with the process: `memory:`.
    Memory,
    /// In a data folder: `sqlite:/path`, or a path alone.
    Folder(PathBuf),
}

impl Place {
    /// Reads an address. [`Kind::Unsupported`] for a backend that this program does not have.
    pub fn parse(address: &str) -> Result<Self> {
        if address == "memory:" {
            return Ok(Self::Memory);
        }
        let path = match address.split_once(':') {
            Some(("sqlite", path)) => path,
            Some(("postgres" | "postgresql", _)) => {
                return Err(Error::new(Kind::Unsupported, "this program has no PostgreSQL store")
                    .with_hint("use `sqlite:/path/to/folder` or `memory:`"));
            }
            Some((scheme, rest)) if rest.starts_with("//") => {
                return Err(Error::invalid(
                    "store",
                    format!("store `{scheme}:` is not known, expected `sqlite:/path/to/folder` or `memory:`"),
                ));
            }
            // A colon may stand in a path.
            _ => address,
        };
        if path.is_empty() {
            return Err(Error::invalid("store", "the path of the data folder is empty"));
        }
        Ok(Self::Folder(path.into()))
    }
}

/// An open store and the credentials beside it. Faces, jobs and tokens share its commits.
pub struct Opened {
    /// Faces and persons.
    pub gallery: Arc<dyn GalleryStore>,
    /// Tenants and keys.
    pub credentials: Arc<dyn CredentialStore>,
    /// Work that outlives its request.
    pub jobs: Arc<dyn JobStore>,
    /// What may be used only once.
    pub once: Arc<dyn NonceStore>,
}

/// Opens the store at `place`, which fills `index` and feeds it from then on. Errors as for [`EmbeddedStore::open`].
pub fn open(place: &Place, index: Arc<dyn VectorIndex>) -> Result<Opened> {
    Ok(match place {
        Place::Memory => {
            let store = Arc::new(MemoryStore::open(index));
            Opened {
                gallery: Arc::clone(&store) as _,
                credentials: Arc::clone(&store) as _,
                jobs: Arc::clone(&store) as _,
                once: store,
            }
        }
        Place::Folder(dir) => {
            let store = Arc::new(EmbeddedStore::open(dir, index)?);
            Opened {
                credentials: Arc::new(store.credentials()?),
                gallery: Arc::clone(&store) as _,
                jobs: Arc::clone(&store) as _,
                once: store,
            }
        }
    })
}

#[cfg(test)]
mod tests;
