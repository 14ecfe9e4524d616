//! Request targets with characters that clients should have escaped and did not.
//!
//! The HTTP library refuses a target with `"`, `<`, `>` or bytes that are no ASCII outside UTF-8 by a bare 400 of its own,
//! before any dialect sees it; some clients of the vendors send such queries, and the vendors take them. So they are
//! escaped here, on the way from the stream to the library: every signature that the dialects check is made over decoded
//! names and values, to which `"` and `%22` are the same.
//!
//! For that the beginning of each request has to be known, so heads are followed as far as the length of their bodies.
//! Where a head leaves any doubt about that (no plain `Content-Length`, a transfer coding, an odd line) nothing on the
//! connection is changed any more: then the library refuses what it refuses. The bytes of a request without such characters
//! are never changed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of a header line that are looked at: the longest that matters is `Content-Length` with its number.
const LINE_KEPT_MAX: usize = 64;

/// A stream whose request targets are escaped.
pub(super) struct EscapedTargets<S> {
    stream: S,
    heads: Heads,
    /// What was read and did not fit into the reader's buffer.
    left_over: Vec<u8>,
    /// Bytes of it that were handed on.
    n_handed_on: usize,
}

impl<S> EscapedTargets<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, heads: Heads::new(), left_over: Vec::new(), n_handed_on: 0 }
    }

    /// Hands on what is left over; whether there was something.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let rest = self.left_over.get(self.n_handed_on..).unwrap_or_default();
        if rest.is_empty() {
            return false;
        }
        let n = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..n).unwrap_or_default());
        self.n_handed_on += n;
        if self.n_handed_on == self.left_over.len() {
            self.left_over = Vec::new();
            self.n_handed_on = 0;
        }
        true
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for EscapedTargets<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.hand_on(buffer) {
            return Poll::Ready(Ok(()));
        }
        let n_before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let read = buffer.filled().get(n_before..).unwrap_or_default();
        if let Some(escaped) = this.heads.follow(read) {
            buffer.set_filled(n_before);
            this.left_over = escaped;
            this.hand_on(buffer);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for EscapedTargets<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Where in a request a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the first line; empty lines before it do not count.
    RequestLine,
    /// In a header line, or at the empty line that ends the head.
    Header,
    /// In a body, with so many bytes to come.
    Body(u64),
    /// Nobody knows.
    Unknown,
}

/// Follows the heads of a connection.
struct Heads {
    at: At,
    /// The beginning of the line that is being read, without its end; one byte more than is looked at if it is longer.
    line: Vec<u8>,
    content_length: Option<u64>,
}

impl Heads {
    fn new() -> Self {
        Self { at: At::RequestLine, line: Vec::new(), content_length: None }
    }

    /// Follows bytes that were read; what is to be read in their place, if something in them has to be escaped.
    fn follow(&mut self, read: &[u8]) -> Option<Vec<u8>> {
        let mut escaped: Option<Vec<u8>> = None;
        let mut at = 0;
        while let Some(&byte) = read.get(at) {
            match self.at {
                At::Unknown => {
                    if let Some(escaped) = &mut escaped {
                        escaped.extend_from_slice(read.get(at..).unwrap_or_default());
                    }
                    return escaped;
                }
                At::Body(n_left) => {
                    let n = (read.len() - at).min(usize::try_from(n_left).unwrap_or(usize::MAX));
                    if let Some(escaped) = &mut escaped {
                        escaped.extend_from_slice(read.get(at..at + n).unwrap_or_default());
                    }
                    at += n;
                    self.at = match n_left - n as u64 {
                        0 => At::RequestLine,
                        n_left => At::Body(n_left),
                    };
                    continue;
                }
                At::RequestLine if is_to_be_escaped(byte) => {
                    let escaped = escaped.get_or_insert_with(|| read.get(..at).unwrap_or_default().to_vec());
                    escaped.extend_from_slice(format!("%{byte:02X}").as_bytes());
                    self.keep(byte);
                }
                At::RequestLine | At::Header => {
                    if let Some(escaped) = &mut escaped {
                        escaped.push(byte);
                    }
                    match byte {
                        b'\n' => self.end_line(),
                        byte => self.keep(byte),
                    }
                }
            }
            at += 1;
        }
        escaped
    }

    fn keep(&mut self, byte: u8) {
        if self.line.len() <= LINE_KEPT_MAX {
            self.line.push(byte);
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        self.at = match (self.at, line) {
            (At::RequestLine, []) => At::RequestLine,
            (At::RequestLine, _) => At::Header,
            (_, []) => match self.content_length.take() {
                None | Some(0) => At::RequestLine,
                Some(n_bytes) => At::Body(n_bytes),
            },
            (_, line) => self.header(line),
        };
    }

    /// What comes after a header line: another one, unless it leaves doubt about the body.
    fn header(&mut self, line: &[u8]) -> At {
        let colon = line.iter().position(|&byte| byte == b':');
        let Some((name, value)) = colon.and_then(|colon| line.split_at_checked(colon)) else {
            // The colon of a name that is longer than what is kept is not seen; no name that matters is.
            return if line.len() > LINE_KEPT_MAX { At::Header } else { At::Unknown };
        };
        let is_odd = |byte: &u8| !byte.is_ascii_graphic();
        if name.is_empty() || name.iter().any(is_odd) {
            return At::Unknown;
        }
        // A body that is only sent when it is asked for may not come.
        let leaves_doubt =
            ["transfer-encoding", "upgrade", "expect"].iter().any(|of| name.eq_ignore_ascii_case(of.as_bytes()));
        if leaves_doubt {
            return At::Unknown;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = std::str::from_utf8(value.get(1..).unwrap_or_default()).unwrap_or_default();
            let value = value.trim_matches([' ', '\t']);
            let is_number = (1..=18).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
            let number = value.parse().ok().filter(|_| is_number && line.len() <= LINE_KEPT_MAX);
            let is_second = self.content_length.is_some();
            self.content_length = number;
            if is_second || number.is_none() {
                return At::Unknown;
            }
        }
        At::Header
    }
}

/// Whether the HTTP library takes no such byte in a request target.
fn is_to_be_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | 0x80..)
}

#[cfg(test)]
mod tests;
