//! `multipart/form-data`, with its parts kept in order.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyDataStream, Full};

/// Most parts of one form: the largest documented one has nine.
pub const PARTS_MAX: usize = 64;

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
    /// Splits a whole body. Parts without a name are passed over.
    pub async fn read(body: Bytes, boundary: &str) -> Result<Form, FormError> {
        let stream = BodyDataStream::new(Full::<Bytes>::new(body));
        let mut multipart = multer::Multipart::new::<_, Bytes, Infallible, _>(stream, boundary);
        let mut form = Form::default();
        while let Some(field) = multipart.next_field().await.map_err(|_| FormError::Malformed)? {
            if form.parts.len() == PARTS_MAX {
                return Err(FormError::TooManyParts);
            }
            let name = field.name().map(str::to_owned);
            let is_file = field.file_name().is_some();
            let bytes = field.bytes().await.map_err(|_| FormError::Malformed)?;
            if let Some(name) = name {
                form.parts.push(Part { name, is_file, bytes });
            }
        }
        Ok(form)
    }

    /// The part with that name; of several the last.
    pub fn get(&self, name: &str) -> Option<&Part> {
        self.parts.iter().rfind(|part| part.name == name)
    }
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
