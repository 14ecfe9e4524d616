//! Small pictures of faces, which are kept only in face sets that ask for it.

use std::fmt;

use bytes::Bytes;

use crate::{Error, Result};

/// A small picture of an enrolled face for people to look at: a JPEG file. Nothing is recognised by it.
///
/// # Invariants
/// It has 1 to [`Thumbnail::BYTES_MAX`] bytes and begins as a JPEG file does.
#[derive(Clone, PartialEq, Eq)]
pub struct Thumbnail(Bytes);

impl Thumbnail {
    /// Most bytes of one: so a set of a million faces has at most 8 GB of them.
    pub const BYTES_MAX: usize = 8 * 1024;

    /// Width and height of those that are made here.
    pub const SIDE_PX: u32 = 144;

    /// Takes the bytes of a JPEG file; `InvalidArgument` if they are too many or something else.
    pub fn new(jpeg: Bytes) -> Result<Self> {
        if jpeg.len() > Self::BYTES_MAX {
            let message = format!("`thumbnail` has {} bytes, expected at most {}", jpeg.len(), Self::BYTES_MAX);
            return Err(Error::invalid("thumbnail", message));
        }
        if !jpeg.starts_with(&[0xff, 0xd8, 0xff]) {
            return Err(Error::invalid("thumbnail", "`thumbnail` is not a JPEG file"));
        }
        Ok(Self(jpeg))
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

// A picture of a face is never printed.
impl fmt::Debug for Thumbnail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbnail({} bytes)", self.0.len())
    }
}
