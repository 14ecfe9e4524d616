//! The stream of JPEG files that the program writes, each behind a head that says how long it is.
//!
//! ```text
//! --ffmpeg CR LF  Content-type: image/jpeg CR LF  Content-length: 24048 CR LF  CR LF  <24048 bytes>  CR LF
//! ```

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a head; real ones have 70.
const HEAD_BYTES_MAX: usize = 512;

/// Pictures as they come in.
pub(super) struct Pictures {
    waiting: BytesMut,
    whole: Vec<Bytes>,
    bytes_left: usize,
    is_sound: bool,
}

impl Pictures {
    /// None yet, and at most so many bytes of them.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { waiting: BytesMut::new(), whole: Vec::new(), bytes_left: bytes_max, is_sound: true }
    }

    /// Takes in some bytes; false when there are no more, or no more are wanted.
    pub(super) async fn read_from(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
        self.waiting.reserve(64 * 1024);
        if stream.read_buf(&mut self.waiting).await? == 0 {
            return Ok(false);
        }
        while self.is_sound && self.take_one() {}
        Ok(self.is_sound)
    }

    /// All whole pictures; `None` if they had too many bytes or the stream was not one of pictures.
    pub(super) fn finish(self) -> Option<Vec<Bytes>> {
        self.is_sound.then_some(self.whole)
    }

    /// Moves the first picture out of what waits, if all of it is there.
    fn take_one(&mut self) -> bool {
        let Some(head_len) = self.waiting.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|start| start + 4)
        else {
            self.is_sound = self.waiting.len() <= HEAD_BYTES_MAX;
            return false;
        };
        let length = (head_len <= HEAD_BYTES_MAX).then(|| length(&self.waiting[..head_len])).flatten();
        let Some(length) = length.filter(|&length| length <= self.bytes_left) else {
            self.is_sound = false;
            return false;
        };
        if self.waiting.len() < head_len + length {
            return false;
        }
        self.waiting.advance(head_len);
        self.whole.push(self.waiting.split_to(length).freeze());
        self.bytes_left -= length;
        true
    }
}

fn length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let value = |line: &str| {
        line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))?.1.parse().ok()
    };
    head.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(stream: &[u8], bytes_max: usize) -> Option<Vec<Bytes>> {
        let mut pictures = Pictures::new(bytes_max);
        // Byte by byte: a head or a picture may be cut anywhere.
        for mut part in stream.chunks(1) {
            if !pictures.read_from(&mut part).await.expect("memory can be read") {
                break;
            }
        }
        pictures.finish()
    }

    const TWO: &[u8] = b"--ffmpeg\r\nContent-type: image/jpeg\r\nContent-length: 6\r\n\r\na\r\n\r\nb\r\n\
                         --ffmpeg\r\nContent-type: image/jpeg\r\nContent-length: 1\r\n\r\nc\r\n--ffmpeg\r\n";

    #[tokio::test]
    async fn pictures_are_told_apart_by_their_length() {
        assert_eq!(read(TWO, 7).await.expect("two pictures"), [&b"a\r\n\r\nb"[..], b"c"]);
        assert_eq!(read(&TWO[..TWO.len() - 14], 7).await.expect("one and a half"), [&b"a\r\n\r\nb"[..]]);
        assert_eq!(read(b"", 7).await.expect("none"), [""; 0]);
    }

    #[tokio::test]
    async fn a_stream_that_is_too_long_or_none_of_pictures_is_refused() {
        assert_eq!(read(TWO, 6).await, None);
        assert_eq!(read(&[b'x'; HEAD_BYTES_MAX + 1], 7).await, None);
        assert_eq!(read(b"--ffmpeg\r\nContent-length: x\r\n\r\n", 7).await, None);
        assert_eq!(read(b"--ffmpeg\r\nContent-type: image/jpeg\r\n\r\nabc", 7).await, None);
    }
}
