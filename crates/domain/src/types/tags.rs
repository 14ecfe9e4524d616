//! Tags: words that things are found by.

use std::fmt;

use super::nfc;
use crate::{Error, Result};

/// Words given to a face set, each once, in the order given. Case-sensitive; no word has a comma, a control character
/// or blanks around it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Tags(Box<[Box<str>]>);

impl Tags {
    /// Most tags.
    pub const COUNT_MAX: usize = 128;
    /// Most characters (Unicode scalar values) of one.
    pub const CHARS_MAX: usize = 255;

    /// Reads words joined by commas; blanks around words and empty words are passed over, and so is a repeated word. Words are
    /// brought into Unicode NFC ([`nfc`]).
    pub fn parse(text: &str) -> Result<Self> {
        Self::of(text.split(',').map(|word| nfc(word.trim().to_owned(), Self::CHARS_MAX)))
    }

    /// Tags that were printed, read back: checked, but their bytes stay.
    pub fn stored(text: &str) -> Result<Self> {
        Self::of(text.split(',').map(|word| word.trim().to_owned()))
    }

    fn of(given: impl Iterator<Item = String>) -> Result<Self> {
        let mut words: Vec<Box<str>> = Vec::new();
        for word in given.filter(|word| !word.is_empty()) {
            if word.chars().count() > Self::CHARS_MAX || word.chars().any(char::is_control) {
                let message = format!("a tag must be 1 to {} printable characters", Self::CHARS_MAX);
                return Err(Error::invalid("tags", message));
            }
            if words.iter().any(|known| **known == *word.as_str()) {
                continue;
            }
            if words.len() == Self::COUNT_MAX {
                return Err(Error::invalid("tags", format!("more than {} tags given", Self::COUNT_MAX)));
            }
            words.push(word.into());
        }
        Ok(Self(words.into()))
    }

    /// The words.
    pub fn words(&self) -> &[Box<str>] {
        &self.0
    }

    /// Whether all words of `other` are among these.
    pub fn contains(&self, other: &Tags) -> bool {
        other.0.iter().all(|word| self.0.contains(word))
    }
}

impl fmt::Display for Tags {
    /// The words joined by commas, as [`Tags::parse`] reads them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}
