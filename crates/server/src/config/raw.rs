//! Settings as written: the layers they come from, and who wrote what.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use likeness_domain::Error;
use likeness_domain::settings::Shape;

use super::settings::{ENV_CONFIG, Row, SETTINGS};
use crate::outcome::refused;

/// A value as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    /// One text or number.
    Text(String),
    /// A list.
    List(Vec<String>),
}

/// Who wrote a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody.
    Default,
    /// This settings file.
    File(PathBuf),
    /// This environment variable.
    Env(&'static str),
    /// This flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Env(name) => write!(f, "environment {name}"),
            Origin::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Settings as written, each with its origin; any of them may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RawConfig {
    values: BTreeMap<&'static str, (Written, Origin)>,
}

impl RawConfig {
    /// What was written for the setting of that name, and by whom.
    pub(crate) fn get(&self, name: &str) -> Option<&(Written, Origin)> {
        self.values.get(name)
    }

    /// What was written for the setting of that name, a list with commas; empty if nothing was.
    pub(crate) fn text(&self, name: &str) -> String {
        match self.get(name) {
            Some((Written::Text(text), _)) => text.clone(),
            Some((Written::List(items), _)) => items.join(","),
            None => String::new(),
        }
    }

    /// Names of the settings that have another value in `other`, in the order of the reference.
    pub(crate) fn differing(&self, other: &RawConfig) -> Vec<&'static str> {
        let names = SETTINGS.iter().map(|row| row.setting.name);
        names.filter(|name| self.get(name).map(|(value, _)| value) != other.get(name).map(|(value, _)| value)).collect()
    }

    /// Makes one setting what it is in `other`.
    pub(crate) fn take_over(&mut self, name: &'static str, other: &RawConfig) {
        match other.get(name) {
            Some(value) => self.values.insert(name, value.clone()),
            None => self.values.remove(name),
        };
    }

    /// Takes over a flag, if it was given.
    pub(crate) fn set_flag(&mut self, name: &'static str, flag: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.values.insert(name, (Written::Text(value.to_owned()), Origin::Flag(flag)));
        }
    }

    /// Takes over a repeatable flag, if it was given at all.
    pub(crate) fn set_flag_list(&mut self, name: &'static str, flag: &'static str, values: &[String]) {
        if !values.is_empty() {
            self.values.insert(name, (Written::List(values.to_vec()), Origin::Flag(flag)));
        }
    }

    /// These settings, overruled by those of `stronger`.
    #[must_use]
    pub(crate) fn overruled_by(mut self, stronger: RawConfig) -> RawConfig {
        self.values.extend(stronger.values);
        self
    }

    /// The defaults; `user_data` is the user's data folder, if there is one.
    pub(crate) fn defaults(user_data: Option<&Path>) -> RawConfig {
        let mut raw = RawConfig::default();
        for setting in SETTINGS.iter().map(|row| &row.setting) {
            let written = match (setting.shape, setting.default) {
                (Shape::List, "") => Written::List(Vec::new()),
                (_, "") => match machine_default(setting.name, user_data) {
                    Some(text) => Written::Text(text),
                    None => continue,
                },
                (_, text) => Written::Text(text.to_owned()),
            };
            raw.values.insert(setting.name, (written, Origin::Default));
        }
        raw
    }

    /// Reads the text of a settings file; `path` is only named.
    pub(crate) fn from_toml(text: &str, path: &Path) -> Result<RawConfig, Error> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            refused(format!("cannot read settings file {}: {}", path.display(), error.to_string().trim_end()))
        })?;
        let mut raw = RawConfig::default();
        for (outer, value) in table {
            match value {
                toml::Value::Table(inner) => {
                    for (key, value) in inner {
                        raw.set_from_file(&format!("{outer}.{key}"), value, path)?;
                    }
                }
                value => raw.set_from_file(&outer, value, path)?,
            }
        }
        Ok(raw)
    }

    fn set_from_file(&mut self, name: &str, value: toml::Value, path: &Path) -> Result<(), Error> {
        let Some(setting) = SETTINGS.iter().map(|row| &row.setting).find(|setting| setting.name == name) else {
            let failure = refused(format!("settings file {} has an unknown key `{name}`", path.display()));
            let nearest = nearest(name, SETTINGS.iter().map(|row| row.setting.name));
            return Err(failure.with_hint(match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "run `likeness config show` to see all keys".to_owned(),
            }));
        };
        let wrong = |expected: &str| refused(format!("`{name}` in settings file {} is not {expected}", path.display()));
        let written = match (setting.shape, value) {
            (Shape::Text, toml::Value::String(text)) => Written::Text(text),
            (Shape::Text, _) => return Err(wrong("a text")),
            (Shape::Number, toml::Value::Integer(number)) => Written::Text(number.to_string()),
            (Shape::Number, _) => return Err(wrong("a whole number")),
            (Shape::Truth, toml::Value::Boolean(truth)) => Written::Text(truth.to_string()),
            (Shape::Truth, _) => return Err(wrong("true or false")),
            (Shape::List, toml::Value::Array(items)) => {
                let text = |item| match item {
                    toml::Value::String(text) => Ok(text),
                    _ => Err(wrong("a list of texts")),
                };
                Written::List(items.into_iter().map(text).collect::<Result<_, _>>()?)
            }
            (Shape::List, _) => return Err(wrong("a list of texts")),
        };
        self.values.insert(setting.name, (written, Origin::File(path.to_owned())));
        Ok(())
    }

    /// Picks the settings out of the environment. An empty variable counts as unset.
    ///
    /// A variable that looks like a mistyped setting is refused. Other unknown `LIKENESS_..` variables are passed over:
    /// container managers inject some for a service of that name (`LIKENESS_PORT`, `LIKENESS_SERVICE_HOST`).
    pub(crate) fn from_env(variables: &[(OsString, OsString)]) -> Result<RawConfig, Error> {
        let mut raw = RawConfig::default();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with("LIKENESS_")) else { continue };
            if name == ENV_CONFIG || value.is_empty() {
                continue;
            }
            let Some(Row { setting, env }) = SETTINGS.iter().find(|row| row.env == name) else {
                let known = SETTINGS.iter().map(|row| row.env.as_str()).chain([ENV_CONFIG]);
                match nearest(name, known) {
                    Some(nearest) if distance(name, nearest) <= 2 => {
                        return Err(refused(format!("unknown environment variable {name}"))
                            .with_hint(format!("did you mean {nearest}?")));
                    }
                    _ => continue,
                }
            };
            let Some(text) = value.to_str() else {
                return Err(refused(format!("environment variable {name} is not valid UTF-8")));
            };
            let written = match setting.shape {
                Shape::List => Written::List(
                    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect(),
                ),
                Shape::Text | Shape::Number | Shape::Truth => Written::Text(text.to_owned()),
            };
            raw.values.insert(setting.name, (written, Origin::Env(env)));
        }
        Ok(raw)
    }
}

/// Defaults that depend on the machine.
fn machine_default(name: &str, user_data: Option<&Path>) -> Option<String> {
    let folder = |path: PathBuf| path.to_str().map(str::to_owned);
    match name {
        "data" => folder(user_data?.join("likeness").join("library")),
        "home" => folder(user_data?.join("likeness")),
        "workers" => Some(std::thread::available_parallelism().map_or(1, usize::from).to_string()),
        _ => None,
    }
}

/// The known word nearest to `word`, if one is near enough to be meant.
fn nearest(word: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| distance * 3 <= candidate.len().max(word.len()))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (a_idx, a_byte) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = a_idx + 1;
        for (b_idx, b_byte) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(a_byte != b_byte);
            diagonal = row[b_idx + 1];
            row[b_idx + 1] = substituted.min(diagonal + 1).min(row[b_idx] + 1);
        }
    }
    row[b.len()]
}
