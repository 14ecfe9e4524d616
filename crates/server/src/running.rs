//! What a running server works with, for commands beside it: settings and operating points that it was started with, which may be
//! others than those that hold now.

use std::collections::BTreeMap;
use std::sync::Arc;

use likeness_domain::library::Library;
use likeness_wire::native::{self, ServerFacts, dto};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{RawConfig, show};
use crate::facts::Facts;

/// Where the answer is, on the socket in the data folder.
pub(crate) const PATH: &str = "/running";

/// Settings whose values decide who reaches the server, and what a verdict means.
const SETTINGS: [&str; 7] =
    ["listen", "listen_operations", "tls.certificate", "tls.key", "tls.client_ca", "tls.client_certificates", "pack"];

/// See the module.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Running {
    settings: BTreeMap<String, Value>,
    pub(crate) packs: Vec<dto::Pack>,
}

impl Running {
    /// Of this process.
    pub(crate) fn now(facts: &Facts, library: &Arc<Library>) -> Self {
        Self { settings: values(facts.settings(true)), packs: native::packs(library).packs }
    }

    /// The settings that the server has otherwise, each with its value there and here.
    pub(crate) fn otherwise(&self, here: &RawConfig) -> Vec<String> {
        let here = values(show::rows(here, true));
        let shown = |value: Option<&Value>| match value {
            None | Some(Value::Null) => "not set".to_owned(),
            Some(Value::String(text)) if text.is_empty() => "not set".to_owned(),
            Some(Value::String(text)) => format!("`{text}`"),
            Some(value) => value.to_string(),
        };
        let told = |name: &&str| {
            let (there, here) = (shown(self.settings.get(*name)), shown(here.get(*name)));
            (there != here).then(|| format!("`{name}` is {there} there and {here} here"))
        };
        SETTINGS.iter().filter_map(told).collect()
    }
}

fn values(settings: Vec<dto::Setting>) -> BTreeMap<String, Value> {
    let of_interest = settings.into_iter().filter(|setting| SETTINGS.contains(&setting.name.as_str()));
    of_interest.filter_map(|setting| Some((setting.name, setting.value?))).collect()
}
