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

    /// Longest side of those that come from elsewhere.
    pub const SIDE_MAX_PX: u16 = 512;

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

    /// Takes the bytes of a JPEG file that somebody else has made: a picture of at most [`Thumbnail::SIDE_MAX_PX`] a side and
    /// nothing besides, so that nobody is shown what a camera or a program has written into it; `InvalidArgument` for others.
    pub fn received(jpeg: Bytes) -> Result<Self> {
        let thumbnail = Self::new(jpeg)?;
        if is_plain_picture(thumbnail.bytes()) {
            return Ok(thumbnail);
        }
        let max = Self::SIDE_MAX_PX;
        let message = format!("`thumbnail` is not a whole JPEG file of at most {max} x {max} pixels without metadata");
        Err(Error::invalid("thumbnail", message))
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

/// Whether a JPEG file has the segments of a picture from its beginning to its end, and no others.
fn is_plain_picture(jpeg: &[u8]) -> bool {
    let (mut rest, mut has_frame, mut has_scan) = (jpeg.get(2..).unwrap_or_default(), false, false);
    loop {
        let [0xff, marker, after @ ..] = rest else { return false };
        // Its length counts itself; the end of the picture has none.
        let body = match after {
            [high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
            _ => 0,
        };
        let body = if body >= 2 { after.get(2..body) } else { None };
        match (marker, body) {
            (0xd9, _) => return after.is_empty() && has_frame && has_scan,
            // A baseline or progressive frame: precision, height, width.
            (0xc0 | 0xc2, Some([_, y, y2, x, x2, ..])) => {
                let sides = [u16::from_be_bytes([*y, *y2]), u16::from_be_bytes([*x, *x2])];
                has_frame = !has_frame && sides.iter().all(|side| (1..=Thumbnail::SIDE_MAX_PX).contains(side));
                if !has_frame {
                    return false;
                }
            }
            (0xda, Some(_)) => has_scan = has_frame,
            // JFIF, tables of quantisation and Huffman codes, the interval of restarts.
            (0xe0 | 0xdb | 0xc4 | 0xdd, Some(_)) => {}
            _ => return false,
        }
        rest = &after[body.map_or(0, |body| body.len() + 2)..];
        if *marker == 0xda {
            // The codes, in which 0xff stands before 0 or the number of a restart.
            let is_end = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7);
            let Some(n_bytes) = rest.windows(2).position(is_end) else { return false };
            rest = &rest[n_bytes..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"\xff\xd8\xff\xe0\x00\x04JF";
    const FRAME: &[u8] = b"\xff\xc0\x00\x0b\x08\x00\x90\x00\x90\x01\x01\x11\x00";
    const SCAN: &[u8] = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00codes\xff\x00\xff\xd0";
    const END: &[u8] = b"\xff\xd9";

    fn is_received(parts: &[&[u8]]) -> bool {
        Thumbnail::received(Bytes::from(parts.concat())).is_ok()
    }

    #[test]
    fn a_picture_from_elsewhere_is_a_picture_and_nothing_else() {
        assert!(is_received(&[HEAD, FRAME, SCAN, END]));
        // Several scans, as progressive files have them.
        assert!(is_received(&[HEAD, b"\xff\xdb\x00\x03q", FRAME, SCAN, b"\xff\xc4\x00\x02", SCAN, END]));
        let exif: &[u8] = b"\xff\xe1\x00\x0aExif\x00\x00GPS";
        let remark: &[u8] = b"\xff\xfe\x00\x06mine";
        let large: &[u8] = b"\xff\xc0\x00\x0b\x08\x02\x01\x00\x90\x01\x01\x11\x00";
        let empty: &[u8] = b"\xff\xc0\x00\x0b\x08\x00\x00\x00\x90\x01\x01\x11\x00";
        for parts in [
            &[HEAD, exif, FRAME, SCAN, END][..],
            &[HEAD, FRAME, remark, SCAN, END],
            &[HEAD, FRAME, SCAN, END, b"behind it"],
            &[HEAD, FRAME, SCAN],
            &[HEAD, FRAME, END],
            &[HEAD, SCAN, END],
            &[HEAD, large, SCAN, END],
            &[HEAD, empty, SCAN, END],
            &[HEAD, FRAME, FRAME, SCAN, END],
            &[HEAD, b"\xff\xdb\x00\x01", FRAME, SCAN, END],
            &[HEAD, b"\xff\xdb\xff\xff", FRAME, SCAN, END],
            &[HEAD, b"\xff"],
            &[HEAD],
        ] {
            assert!(!is_received(parts), "{parts:?}");
        }
        // Cut anywhere it is none, and no byte ends the program.
        let whole = [HEAD, FRAME, SCAN, END].concat();
        for n_bytes in 0..whole.len() {
            assert!(Thumbnail::received(Bytes::copy_from_slice(&whole[..n_bytes])).is_err(), "{n_bytes}");
        }
    }
}
