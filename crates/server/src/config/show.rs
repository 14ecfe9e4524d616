//! The settings that won, as text that could be a settings file and as JSON.

use likeness_domain::settings::{Setting, Shape};
use serde_json::{Map, Value, json};

use super::RawConfig;
use super::raw::Written;
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
/// these settings, where that was measured: `inference_runtime` has it as `in_use`.
pub(crate) fn json(resolved: &RawConfig, engines: Option<Value>) -> String {
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
    Value::Object(settings).to_string()
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
