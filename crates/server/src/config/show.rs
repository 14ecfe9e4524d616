//! The settings that won, as text that could be a settings file and as JSON.

use likeness_domain::settings::{Setting, Shape};
use likeness_wire::native::dto;
use serde_json::{Map, Value, json};

use super::RawConfig;
use super::raw::{Origin, Written};
use super::settings::{Row, SETTINGS};

/// A settings file that says the same; with `origin`, a comment after each value says who set it.
pub(crate) fn text(resolved: &RawConfig, origin: bool) -> String {
    let mut lines = Vec::new();
    let mut table = "";
    for Row { setting, .. } in SETTINGS.iter() {
        let (outer, key) = setting.name.split_once('.').unwrap_or(("", setting.name));
        if outer != table {
            table = outer;
            lines.push(format!("\n[{table}]"));
        }
        let comment = |text: &dyn std::fmt::Display| if origin { format!(" # {text}") } else { String::new() };
        lines.push(match resolved.get(setting.name) {
            Some((written, from)) => format!("{key} = {}{}", value(setting, written), comment(from)),
            None => format!("# {key} is not set"),
        });
    }
    lines.join("\n")
}

/// `{"listen": {"value": .., "origin": "..", "env": "..", "about": ".."}, ..}`. `engines` is what runs the models with
/// these settings, where that was measured: `inference_runtime` has it as `in_use`. `default_far` is the pack's, and beside
/// it.
pub(crate) fn json(resolved: &RawConfig, engines: Option<Value>, default_far: Option<f64>) -> String {
    let mut settings = Map::new();
    for Row { setting, env } in SETTINGS.iter() {
        let (written, origin) =
            resolved.get(setting.name).map(|(written, origin)| (written, origin.to_string())).unzip();
        settings.insert(
            setting.name.to_owned(),
            json!({
                "value": written.map(|written| value(setting, written)),
                "origin": origin,
                "env": env,
                "about": setting.about,
            }),
        );
    }
    if let (Some(Value::Object(row)), Some(engines)) = (settings.get_mut("inference_runtime"), engines) {
        row.insert("in_use".to_owned(), engines);
    }
    if let (Some(Value::Object(row)), Some(far)) = (settings.get_mut("pack"), default_far) {
        row.insert("default_far".to_owned(), far.into());
    }
    Value::Object(settings).to_string()
}

/// Settings whose values name tenants, which are nobody's business but the owner's of the data folder. No setting holds a secret.
const PRIVATE: [&str; 1] = ["weights"];

/// The settings in the native API's words; private values are left out unless `with_private`.
pub(crate) fn rows(resolved: &RawConfig, with_private: bool) -> Vec<dto::Setting> {
    let row = |Row { setting, env }: &Row| {
        let found = resolved.get(setting.name);
        let is_hidden = !with_private && PRIVATE.contains(&setting.name);
        let is_empty = |written: &Written| match written {
            Written::Text(text) => text.is_empty(),
            Written::List(items) => items.is_empty(),
        };
        let (origin, origin_name) = match found.map(|(_, origin)| origin) {
            None | Some(Origin::Default) => ("default", None),
            Some(Origin::File(path)) => ("file", Some(path.display().to_string())),
            Some(Origin::Env(name)) => ("environment", Some((*name).to_owned())),
            Some(Origin::Flag(name)) => ("flag", Some((*name).to_owned())),
        };
        dto::Setting {
            name: setting.name.to_owned(),
            value: found.filter(|_| !is_hidden).map(|(written, _)| value(setting, written)),
            is_set: found.is_some_and(|(written, _)| !is_empty(written)),
            is_hidden,
            origin: origin.to_owned(),
            origin_name,
            env: env.clone(),
            accepted: setting.accepted.clone(),
            about: setting.about.to_owned(),
        }
    };
    SETTINGS.iter().map(row).collect()
}

/// A value in the syntax that TOML and JSON share.
fn value(setting: &Setting, written: &Written) -> Value {
    match (setting.shape, written) {
        (Shape::Number, Written::Text(text)) => {
            text.parse::<i64>().map_or_else(|_| Value::from(text.as_str()), Value::from)
        }
        (Shape::Truth, Written::Text(text)) => {
            text.parse::<bool>().map_or_else(|_| Value::from(text.as_str()), Value::from)
        }
        (_, Written::Text(text)) => Value::from(text.as_str()),
        (_, Written::List(items)) => Value::from(items.clone()),
    }
}
