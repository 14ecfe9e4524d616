//! The reference of settings, made of what each room declares: every one with its name, variable, default and meaning.
//! `docs/configuration.md` is made from it.

use std::sync::LazyLock;

use likeness_domain::settings::Setting;

use super::General;
use crate::{archives, fetch, listener, milvus, telemetry, tls, traces, video};

/// One row of the reference.
#[derive(Debug)]
pub(crate) struct Row {
    /// As its room declares it; a dot in the name separates table and key.
    pub(crate) setting: Setting,
    /// Its environment variable.
    pub(crate) env: String,
}

/// The reference: all settings, in the order they are shown. A table's settings stand together.
pub(crate) static SETTINGS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut settings = General::table();
    settings.extend(milvus::Settings::table());
    settings.extend(listener::Settings::table());
    settings.extend(tls::Settings::table());
    settings.extend(fetch::Settings::table());
    settings.extend(video::Settings::table());
    settings.extend(archives::Settings::table());
    settings.extend(likeness_wire::Settings::table());
    settings.extend(telemetry::Settings::table());
    settings.extend(traces::Settings::table());
    let row = |setting: Setting| {
        let env = format!("LIKENESS_{}", setting.name.replace('.', "_").to_uppercase());
        Row { setting, env }
    };
    settings.into_iter().map(row).collect()
});

/// Names the settings file; the one variable that is not a setting.
pub(crate) const ENV_CONFIG: &str = "LIKENESS_CONFIG";
