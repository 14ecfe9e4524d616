//! One file out of a gzipped tar file, read from the start.

use std::io::{self, Read};

use flate2::read::GzDecoder;

use super::{MEMBER_BYTES_MAX, Unreadable};

#[cfg(test)]
mod tests;

/// A header and the pieces that a file's bytes are padded to.
const BLOCK_BYTES: u64 = 512;

/// Bytes unpacked before the file must have come; the archive in use has 52 million.
const UNPACKED_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// The bytes of the file with this path.
pub(super) fn take(archive: impl Read, member: &str) -> Result<Vec<u8>, Unreadable> {
    let mut unpacked = GzDecoder::new(archive).take(UNPACKED_BYTES_MAX);
    loop {
        let mut header = [0; BLOCK_BYTES as usize];
        unpacked.read_exact(&mut header)?;
        // Two empty blocks end the archive.
        if header.iter().all(|&byte| byte == 0) {
            return Err(Unreadable::Absent);
        }
        let n_bytes = octal(&header[124..136]).ok_or_else(|| damaged("a size that is no number"))?;
        if path(&header) == member.as_bytes() {
            if n_bytes > MEMBER_BYTES_MAX {
                return Err(Unreadable::TooLarge(n_bytes));
            }
            let mut bytes = Vec::new();
            unpacked.by_ref().take(n_bytes).read_to_end(&mut bytes)?;
            if bytes.len() as u64 != n_bytes {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            return Ok(bytes);
        }
        let padded =
            n_bytes.checked_next_multiple_of(BLOCK_BYTES).ok_or_else(|| damaged("a size beyond all bounds"))?;
        io::copy(&mut unpacked.by_ref().take(padded), &mut io::sink())?;
    }
}

/// Prefix and name of a header, as the ustar format has them.
fn path(header: &[u8; BLOCK_BYTES as usize]) -> Vec<u8> {
    let text = |bytes: &[u8]| bytes.iter().copied().take_while(|&byte| byte != 0).collect::<Vec<u8>>();
    let (name, mut path) = (text(&header[..100]), text(&header[345..500]));
    if header[257..262] != *b"ustar" || path.is_empty() {
        return name;
    }
    path.push(b'/');
    path.extend(name);
    path
}

fn octal(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?.trim_matches(['\0', ' ']);
    u64::from_str_radix(digits, 8).ok()
}

fn damaged(what: &str) -> Unreadable {
    Unreadable::Damaged(format!("it states {what}"))
}
