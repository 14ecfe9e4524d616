//! `multipart/form-data`, with its parts kept in order.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyDataStream, Full};

/// Most parts of one form: the largest documented one has nine.
pub const PARTS_MAX: usize = 64;

/// Most bytes of one part's headers.
const PART_HEAD_BYTES_MAX: usize = 16 * 1024;

/// A form as it was sent.
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// One part of a form. Its content type is not kept on purpose: half of the clients leave it out and the others guess.
#[derive(Clone)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Whether it was sent as a file, that is, with a file name.
    pub is_file: bool,
    /// What it holds.
    pub bytes: Bytes,
}

// A part may be a photograph: shape only.
impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Part({:?}, {} bytes)", self.name, self.bytes.len())
    }
}

/// Why a body is not a form, for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormError {
    /// More than [`PARTS_MAX`] parts.
    TooManyParts,
    /// The body cannot be split into parts: broken headers, missing end.
    Malformed,
}

impl Form {
    /// Splits a whole body (RFC 2046, section 5.1.1). Parts without a name are passed over. The parts share the body's
    /// memory: a library that reads from a stream would have every photograph in memory twice, which is counted once.
    pub async fn read(body: Bytes, boundary: &str) -> Result<Form, FormError> {
        let (first, next) = (format!("--{boundary}"), format!("\r\n--{boundary}"));
        let mut form = Form::default();
        let mut at = find(&body, 0, first.as_bytes()).ok_or(FormError::Malformed)? + first.len();
        loop {
            let rest = body.get(at..).unwrap_or_default();
            if rest.starts_with(b"--") {
                return Ok(form);
            }
            let n_padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            if !rest.get(n_padding..).unwrap_or_default().starts_with(b"\r\n") {
                return Err(FormError::Malformed);
            }
            if form.parts.len() == PARTS_MAX {
                return Err(FormError::TooManyParts);
            }
            let head_at = at + n_padding + 2;
            let data_at = find(&body, head_at, b"\r\n\r\n").ok_or(FormError::Malformed)? + 4;
            let end = find(&body, data_at, next.as_bytes()).ok_or(FormError::Malformed)?;
            let (name, is_file) = part_head(body.get(head_at..data_at).unwrap_or_default()).await?;
            if let Some(name) = name {
                form.parts.push(Part { name, is_file, bytes: body.slice(data_at..end) });
            }
            at = end + next.len();
        }
    }

    /// The part with that name; of several the last.
    pub fn get(&self, name: &str) -> Option<&Part> {
        self.parts.iter().rfind(|part| part.name == name)
    }
}

/// Where a text begins that stands in the bytes from `from` on.
fn find(bytes: &[u8], from: usize, text: &[u8]) -> Option<usize> {
    let first = *text.first()?;
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == first)?;
        if bytes.get(at..)?.starts_with(text) {
            return Some(at);
        }
        at += 1;
    }
}

/// Name of a part, and whether it has a file name: what its headers say, with the empty line at their end.
async fn part_head(head: &[u8]) -> Result<(Option<String>, bool), FormError> {
    if head.len() > PART_HEAD_BYTES_MAX {
        return Err(FormError::Malformed);
    }
    let form = [b"--head\r\n", head, b"\r\n--head--"].concat();
    let stream = BodyDataStream::new(Full::<Bytes>::new(form.into()));
    let mut multipart = multer::Multipart::new::<_, Bytes, Infallible, _>(stream, "head");
    let field = multipart.next_field().await.ok().flatten().ok_or(FormError::Malformed)?;
    Ok((field.name().map(str::to_owned), field.file_name().is_some()))
}

/// The first part with that name in the start of a body, if all of it is there.
pub async fn part_of_start(start: &[u8], boundary: &str, name: &str) -> Option<Bytes> {
    let stream = BodyDataStream::new(Full::new(Bytes::copy_from_slice(start)));
    let mut multipart = multer::Multipart::new::<_, Bytes, Infallible, _>(stream, boundary);
    for _ in 0..PARTS_MAX {
        let field = multipart.next_field().await.ok()??;
        let is_wanted = field.name() == Some(name);
        let bytes = field.bytes().await.ok()?;
        if is_wanted {
            return Some(bytes);
        }
    }
    None
}
