//! Short texts callers give us, checked once. Dialects may be stricter; none may be laxer.

use super::nfc;
use crate::{Error, Result};
use std::fmt;

/// Refuses `.` and `..` as the name of something new that stands in paths: browsers, proxies and client libraries take them for
/// steps within the path (RFC 3986, section 5.2.4), so that nobody could reach the thing, and a request meant for it would reach
/// another. What has such a name from earlier keeps it. `InvalidArgument`.
pub fn require_path_segment(field: &'static str, name: &str) -> Result<()> {
    match name {
        "." | ".." => {
            let message = format!("`{field}` is `{name}`, which stands for a step in paths, expected any other name");
            Err(Error::invalid(field, message))
        }
        _ => Ok(()),
    }
}

/// Whether a character is there without being seen: blanks of no width, marks that turn the reading direction. The joiners U+200C
/// and U+200D are not meant, as Persian and pictures of several characters need them.
pub fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

/// Refuses as the name of something new what people cannot tell from another: a text with a character that [`is_unseen`], or of
/// blanks only. What has such a name from earlier keeps it. `InvalidArgument`.
pub fn require_seen(field: &'static str, name: &str) -> Result<()> {
    if let Some(unseen) = name.chars().find(|&character| is_unseen(character)) {
        let message = format!("`{field}` has the character U+{:04X}, which nobody sees", u32::from(unseen));
        return Err(Error::invalid(field, message));
    }
    if !name.is_empty() && name.trim().is_empty() {
        let message = format!("`{field}` has blanks only, expected printable characters");
        return Err(Error::invalid(field, message));
    }
    Ok(())
}

/// Refuses what nothing new may be called: what stands for a step in paths ([`require_path_segment`]) and what people cannot tell
/// from another name ([`require_seen`]).
pub fn require_new_name(field: &'static str, name: &str) -> Result<()> {
    require_path_segment(field, name).and_then(|()| require_seen(field, name))
}

macro_rules! short_text {
    ($(#[$doc:meta])* $name:ident, $field:literal, $chars_max:literal, $allow_empty:literal, $is_compared:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Most characters (Unicode scalar values) it may have.
            pub const CHARS_MAX: usize = $chars_max;

            /// Checks the length and refuses control characters. What is compared is brought into Unicode NFC
            /// ([`super::nfc`]), so that one name is not two.
            pub fn new(text: impl Into<String>) -> Result<Self> {
                let text: String = text.into();
                Self::stored(if $is_compared { nfc(text, Self::CHARS_MAX) } else { text })
            }

            /// A text that [`Self::new`] made, read back: checked, but its bytes, of which there may be a checksum, stay.
            pub fn stored(text: impl Into<String>) -> Result<Self> {
                let text: String = text.into();
                let n_chars = text.chars().count();
                if (n_chars == 0 && !$allow_empty) || n_chars > Self::CHARS_MAX {
                    let least = if $allow_empty { 0 } else { 1 };
                    return Err(Error::invalid($field, format!(
                        concat!("`", $field, "` has {} characters, expected {} to ", $chars_max), n_chars, least)));
                }
                if text.chars().any(|character| character.is_control() && !($allow_empty && "\n\r\t".contains(character))) {
                    return Err(Error::invalid($field, concat!("`", $field, "` has a control character, expected printable text")));
                }
                Ok(Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

short_text! {
    /// Name of a face set, unique within a tenant, case-sensitive.
    FaceSetName, "face set name", 255, false, true
}
short_text! {
    /// Label on a face saying who it is; many faces may share one, and it is not an entity.
    Subject, "subject", 255, false, true
}
short_text! {
    /// The caller's own id of one observation, unique within its owner; enrolling it twice is refused, which makes
    /// imports repeatable.
    ExternalId, "external id", 512, false, true
}
short_text! {
    /// Name of an upload, unique within a tenant, case-sensitive.
    UploadName, "picture name", 255, false, true
}
short_text! {
    /// Free text kept with a face, a person or a face set; line breaks are allowed. It is kept as it was given.
    Note, "note", 16384, true, false
}

impl Note {
    /// The same as a name, which is compared: in Unicode NFC.
    #[must_use]
    pub fn as_name(self) -> Self {
        Self(nfc(self.0.into(), Self::CHARS_MAX).into())
    }
}
