//! Identities: random integers that each dialect spells in its own alphabet.

use std::fmt;

/// Largest value of a [`FaceId`], [`FaceSetId`] or [`PersonId`], exclusive: 2^45.
///
/// Eight letters of one case-sensitive alphabet (52^8 > 2^45), a JSON number (2^53) and 32 hex digits can all spell
/// any of them, reversibly and without a table.
pub const ID_END: u64 = 1 << 45;

macro_rules! small_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The id with this value; `None` unless 0 < value < 2^45.
            pub fn new(value: u64) -> Option<Self> {
                (0 < value && value < ID_END).then_some(Self(value))
            }

            /// The number behind the id, above 0 and below 2^45.
            pub fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

small_id! {
    /// One enrolled face, unique within the installation and never reused.
    FaceId
}
small_id! {
    /// One face set; a name freed by a delete gets a fresh id when it is used again.
    FaceSetId
}
small_id! {
    /// One person of a tenant.
    PersonId
}

small_id! {
    /// One piece of work that outlives its request.
    JobId
}

/// Whose data it is: 128 random bits, unguessable, printed as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(u128);

impl TenantId {
    /// The tenant id with these bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The bits behind the id.
    pub fn to_bits(self) -> u128 {
        self.0
    }

    /// Reads 32 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(lower_hex) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({self})")
    }
}

/// Number of a commit in a store; grows by one with each write, survives restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// Milliseconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampMs(pub i64);
