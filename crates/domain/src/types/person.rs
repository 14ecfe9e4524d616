//! Persons: identities of a tenant that own faces and are members of face sets.

use super::{Note, PersonId, Precondition, TenantId, TimestampMs, nfc};
use crate::{Error, Result};
use std::fmt;

/// The caller's key of a person: 1 to 64 printable characters, unique within the tenant, case-sensitive.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey(Box<str>);

impl PersonKey {
    /// Most characters (Unicode scalar values) it may have.
    pub const CHARS_MAX: usize = 64;

    /// Checks length and characters and brings the text into Unicode NFC ([`nfc`]).
    pub fn new(text: impl Into<String>) -> Result<Self> {
        Self::stored(nfc(text.into(), Self::CHARS_MAX))
    }

    /// A key that [`Self::new`] made, read back: checked, but its bytes stay.
    pub fn stored(text: impl Into<String>) -> Result<Self> {
        let text: String = text.into();
        let n_chars = text.chars().count();
        if !(1..=Self::CHARS_MAX).contains(&n_chars) || text.chars().any(char::is_control) {
            return Err(Error::invalid("person key", "`person key` must be 1 to 64 printable characters"));
        }
        Ok(Self(text.into()))
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A person to be made.
#[derive(Debug, Clone)]
pub struct NewPerson {
    /// Its future id.
    pub id: PersonId,
    /// Unique within the tenant.
    pub key: PersonKey,
    /// Name for people.
    pub name: Option<Note>,
    /// Free text.
    pub note: Option<Note>,
    /// When it was made.
    pub created_at: TimestampMs,
}

/// A person of a tenant.
#[derive(Debug, Clone)]
pub struct Person {
    /// Its identity.
    pub id: PersonId,
    /// Whose data it is.
    pub tenant: TenantId,
    /// Unique within the tenant.
    pub key: PersonKey,
    /// Name for people.
    pub name: Option<Note>,
    /// Free text.
    pub note: Option<Note>,
    /// When it was made.
    pub created_at: TimestampMs,
}

/// What an update changes; `None` keeps what is there.
#[derive(Debug, Clone, Default)]
pub struct PersonPatch {
    /// New key.
    pub key: Option<PersonKey>,
    /// New name; an empty one clears it.
    pub name: Option<Note>,
    /// New text; an empty one clears it.
    pub note: Option<Note>,
    /// What the person has to be like.
    pub only_if: Option<Precondition<Person>>,
}
