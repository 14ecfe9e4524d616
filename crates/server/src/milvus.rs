//! Milvus beside the library's database: who has it, from which size on.
//!
//! Built with the feature `milvus` only; without it an address that is configured is refused.

use std::path::PathBuf;
use std::str::FromStr;

use likeness_domain::Error;
use likeness_domain::settings::{Parsed, Unset};

use crate::config::Config;
use crate::fetch;
use crate::outcome::refused;

likeness_domain::settings! {
    /// Where face sets are searched that no server can hold.
    pub(crate) struct Settings in "milvus." {
        url: Option<Endpoint> = "", Unset(Parsed("an address such as http://milvus.example:19530, or https:// for TLS")),
            "address of a Milvus (2.3 or later) that searches face sets which have outgrown the servers' memory; needs \
             `store` (`docs/scale.md`). By default none. Only in a program that was built with the feature `milvus`";
        database: Option<String> = "", Unset(Parsed("a name")),
            "database in that Milvus; by default the one that Milvus takes";
        token_file: Option<PathBuf> = "", Unset(Parsed("a file")),
            "file with `user:password` for that Milvus; where none is named, the environment variable \
             `LIKENESS_MILVUS_TOKEN` has it, and otherwise Milvus is asked without";
        ca_file: Option<PathBuf> = "", Unset(Parsed("a file")),
            "file with the certificates, in PEM, that the one of that Milvus is signed by, where its address is https://; by \
             default those that the machine trusts";
        from_faces: u64 = "10000000", 0..=1_000_000_000_000,
            "faces from which on a face set is searched in Milvus; it stays there when it gets smaller. Ten million faces \
             take some 2.2 GB of a server's memory; with 0 every face set is there";
        look_every_ms: u64 = "5000", 1..=3_600_000,
            "how often it is looked which face sets have grown so large, and whether Milvus still has what it was given";
    }
}

/// Where Milvus is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(pub(crate) String);

impl FromStr for Endpoint {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let has_user = text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
        // A password in it would be shown with the settings.
        if fetch::is_address(text) && !has_user { Ok(Self(text.trim_end_matches('/').to_owned())) } else { Err(()) }
    }
}

/// What the store is to know of Milvus; `None` if there is none.
#[cfg(feature = "milvus")]
pub(crate) fn of_store(config: &Config) -> Result<Option<likeness_store::milvus::Settings>, Error> {
    use std::time::Duration;

    use likeness_store::milvus::{Address, Settings as OfStore};

    use crate::config::read_secret;

    let Settings { url, database, token_file, ca_file, from_faces, look_every_ms } = &config.milvus;
    let Some(Endpoint(url)) = url else { return Ok(None) };
    check(config)?;
    let token = match token_file {
        Some(path) => Some(read_secret("milvus.token_file", path)?),
        None => std::env::var("LIKENESS_MILVUS_TOKEN").ok().filter(|token| !token.is_empty()),
    };
    let address = Address::parse(url, token.as_deref(), ca_file.as_deref())?;
    let database = database.clone().unwrap_or_default();
    let look_every = Duration::from_millis(*look_every_ms);
    Ok(Some(OfStore { database, from_faces: *from_faces, look_every, ..OfStore::new(address) }))
}

/// The version of the Milvus that is set, if it answers and can be used.
#[cfg(feature = "milvus")]
pub(crate) async fn probe(config: &Config) -> Result<String, Error> {
    let Some(settings) = of_store(config)? else { return Err(refused("no Milvus is set")) };
    likeness_store::milvus::probe(&settings).await
}

/// Without the feature there is none that could be used.
#[cfg(not(feature = "milvus"))]
pub(crate) async fn probe(config: &Config) -> Result<String, Error> {
    check(config)?;
    Err(refused("no Milvus is set"))
}

/// Refuses a Milvus that this program cannot use.
pub(crate) fn check(config: &Config) -> Result<(), Error> {
    let Settings { url, database: _, token_file: _, ca_file: _, from_faces: _, look_every_ms: _ } = &config.milvus;
    let Some(Endpoint(url)) = url else { return Ok(()) };
    if cfg!(not(feature = "milvus")) {
        return Err(refused(format!(
            "`milvus.url` is `{url}`, but this program was built without the feature `milvus`"
        ))
        .with_hint("build it with `cargo build --release --features milvus`, or leave `milvus.url` out"));
    }
    if config.general.store.is_none() {
        // Milvus has copies only, and what it has not is looked up in the database.
        return Err(refused(format!(
            "`milvus.url` is `{url}`, but the library is in a data folder, expected `store` as well"
        ))
        .with_hint("a library in PostgreSQL can have its large face sets in Milvus: see docs/scale.md"));
    }
    Ok(())
}
