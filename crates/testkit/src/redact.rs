//! Takes what changes from run to run out of a text, so that the rest can be compared whole.

use std::collections::HashMap;

/// Replaces what differs between runs by names. Equal values get equal names within one redactor, so a snapshot still
/// shows that the face found is the face that was added.
///
/// Always replaced: times (`2026-03-01T08:00:00.000Z`, `2026-03-01 08:00:00`, and 13-digit milliseconds),
/// UUIDs, runs of 32 or more hex digits, and the port after `127.0.0.1:` or `localhost:`. Ids that look like any
/// other word are replaced where [`Redactor::member`] or [`Redactor::value`] says so.
#[derive(Default)]
pub struct Redactor {
    members: Vec<String>,
    values: Vec<(String, String)>,
    seen: HashMap<String, String>,
    counts: HashMap<String, usize>,
}

impl Redactor {
    /// A redactor for times, UUIDs, hex runs and ports.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also replaces the value (text or number) of every JSON member of that name.
    #[must_use]
    pub fn member(mut self, name: &str) -> Self {
        self.members.push(name.to_owned());
        self
    }

    /// Also replaces this very text, by `[name]`, wherever it stands.
    #[must_use]
    pub fn value(mut self, text: &str, name: &str) -> Self {
        assert!(!text.is_empty(), "an empty text stands everywhere");
        self.values.push((text.to_owned(), format!("[{name}]")));
        self
    }

    /// The text without what changes from run to run.
    pub fn redact(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, name) in &self.values {
            text = text.replace(value, name);
        }
        for member in self.members.clone() {
            text = self.redact_member(&text, &member);
        }
        self.redact_patterns(&text)
    }

    fn name(&mut self, group: &str, value: &str) -> String {
        if let Some(name) = self.seen.get(value) {
            return name.clone();
        }
        let count = self.counts.entry(group.to_owned()).or_default();
        *count += 1;
        let name = format!("[{group} {count}]");
        self.seen.insert(value.to_owned(), name.clone());
        name
    }

    fn redact_member(&mut self, text: &str, member: &str) -> String {
        let key = format!("\"{member}\"");
        let mut output = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(&key) {
            let (before, after) = rest.split_at(at + key.len());
            output.push_str(before);
            rest = after;
            let value_at = after.find(|character: char| character != ':' && !character.is_whitespace());
            let Some(value_at) = value_at.filter(|_| after.trim_start().starts_with(':')) else { continue };
            let (gap, value) = after.split_at(value_at);
            let end = match value.strip_prefix('"') {
                Some(quoted) => quoted.find('"').map(|end| end + 2),
                None => value.find(|character: char| !(character.is_ascii_digit() || "+-.eE".contains(character))),
            };
            let Some(end) = end.filter(|&end| end > 0) else { continue };
            output.push_str(gap);
            let name = self.name(member, value[..end].trim_matches('"'));
            output.push_str(&if value.starts_with('"') { format!("\"{name}\"") } else { name });
            rest = &value[end..];
        }
        output.push_str(rest);
        output
    }

    fn redact_patterns(&mut self, text: &str) -> String {
        let mut output = String::with_capacity(text.len());
        let mut rest = text;
        let mut at_word_start = true;
        while let Some(character) = rest.chars().next() {
            if at_word_start && let Some((group, skip, length)) = pattern(rest) {
                output.push_str(&rest[..skip]);
                let name = self.name(group, &rest[skip..length]);
                output.push_str(&name);
                rest = &rest[length..];
                at_word_start = false;
                continue;
            }
            at_word_start = !character.is_ascii_alphanumeric();
            output.push(character);
            rest = &rest[character.len_utf8()..];
        }
        output
    }
}

/// What stands at the start of `text`, if it is to be replaced: its group, the bytes to keep, the bytes to the end.
fn pattern(text: &str) -> Option<(&'static str, usize, usize)> {
    for host in ["127.0.0.1:", "localhost:"] {
        if let Some(rest) = text.strip_prefix(host) {
            let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            return (n_digits > 0).then_some(("port", host.len(), host.len() + n_digits));
        }
    }
    let ends_at = |length: usize| !text[length..].starts_with(|character: char| character.is_ascii_alphanumeric());
    let shape = |shape: &str| {
        let fits = |(byte, form): (u8, u8)| match form {
            b'9' => byte.is_ascii_digit(),
            b'f' => byte.is_ascii_hexdigit(),
            _ => byte == form,
        };
        (text.len() >= shape.len() && text.bytes().zip(shape.bytes()).all(fits)).then_some(shape.len())
    };
    if let Some(length) = shape("9999-99-99T99:99:99").or_else(|| shape("9999-99-99 99:99:99")) {
        let fraction =
            text[length..].strip_prefix('.').map_or(0, |rest| 1 + rest.bytes().take_while(u8::is_ascii_digit).count());
        let zone = usize::from(text[length + fraction..].starts_with('Z'));
        return Some(("time", 0, length + fraction + zone));
    }
    if let Some(length) = shape("ffffffff-ffff-ffff-ffff-ffffffffffff").filter(|&length| ends_at(length)) {
        return Some(("uuid", 0, length));
    }
    if let Some(length) = shape("9999999999999").filter(|&length| ends_at(length)) {
        return Some(("time", 0, length));
    }
    let n_hex = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    (n_hex >= 32 && ends_at(n_hex)).then_some(("hex", 0, n_hex))
}

#[cfg(test)]
mod tests;
