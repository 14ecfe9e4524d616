//! The file: one JSON object a line, compressed by zstd with a checksum. `docs/archives.md` describes it.
//!
//! The first line is a [`Header`]; each further one is a [`dto::ArchivedFace`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use likeness_domain::Error;
use likeness_wire::native::dto;
use serde::{Deserialize, Serialize};

use crate::outcome::{failed, refused};

/// What a header of ours says in `format`.
const FORMAT: &str = "likeness-archive";

/// The only version there is.
const VERSION: u32 = 1;

/// Longest line: a template of 4,096 numbers takes 22 KB, the rest is words.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// First bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How hard zstd tries: templates hardly shrink, and its default is quick.
const LEVEL: i32 = 3;

/// The first line. Members that are not known are passed over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Header {
    /// `likeness-archive`.
    pub(super) format: String,
    /// Version of the format.
    pub(super) version: u32,
    /// Model pack of all templates.
    pub(super) pack: String,
    /// Numbers of a template.
    pub(super) dimensions: usize,
    /// Name of the set that was exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) face_set: Option<String>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    /// Its free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
    /// Its custom fields; without them they are read from the faces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fields: Option<Vec<dto::Field>>,
    /// How good its pictures had to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) quality: Option<String>,
}

impl Header {
    /// The header of an export of that set.
    pub(super) fn of(face_set: &dto::FaceSet, dimensions: usize) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            pack: face_set.pack.clone(),
            dimensions,
            face_set: Some(face_set.name.clone()),
            label: face_set.label.clone(),
            note: face_set.note.clone(),
            fields: Some(face_set.fields.clone()),
            quality: Some(face_set.quality.clone()),
        }
    }

    fn check(&self) -> Result<(), Error> {
        if !self.format.starts_with("likeness") {
            let shown: String = self.format.chars().take(40).collect();
            return Err(refused(format!("line 1: `format` is {shown:?}, expected `{FORMAT}`")));
        }
        if self.version != VERSION {
            let message = format!("line 1: `version` is {}, expected {VERSION}", self.version);
            return Err(refused(message).with_hint("a newer release of likeness may have written it"));
        }
        Ok(())
    }
}

/// Writes an archive.
pub(super) struct Writer {
    encoder: zstd::Encoder<'static, File>,
}

impl Writer {
    pub(super) fn new(file: File, header: &Header) -> io::Result<Self> {
        let mut encoder = zstd::Encoder::new(file, LEVEL)?;
        encoder.include_checksum(true)?;
        let mut writer = Self { encoder };
        writer.line(header)?;
        Ok(writer)
    }

    /// Writes one face.
    pub(super) fn face(&mut self, face: &dto::ArchivedFace) -> io::Result<()> {
        self.line(face)
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.encoder, value)?;
        self.encoder.write_all(b"\n")
    }

    /// Ends the file and waits until it is on the disk.
    pub(super) fn finish(self) -> io::Result<()> {
        self.encoder.finish()?.sync_all()
    }
}

/// Reads an archive line by line, compressed or not.
pub(super) struct Reader {
    lines: Box<dyn BufRead + Send>,
    /// Number of the line that was read last; the header's is 1.
    n_read: u64,
    buffer: Vec<u8>,
}

impl Reader {
    /// Opens the file and reads its header. `bytes_read` is told of all bytes taken from the file.
    pub(super) fn open(path: &Path, bytes_read: impl Fn(u64) + Send + 'static) -> Result<(Self, Header), Error> {
        let cannot = |error: io::Error| refused(format!("cannot read {}: {error}", path.display()));
        let file = File::open(path).map_err(cannot)?;
        let mut source = BufReader::with_capacity(1 << 17, Counted { file, bytes_read });
        let is_compressed = source.fill_buf().map_err(cannot)?.starts_with(&ZSTD_MAGIC);
        let lines: Box<dyn BufRead + Send> = match is_compressed {
            true => Box::new(BufReader::with_capacity(1 << 17, zstd::Decoder::with_buffer(source).map_err(cannot)?)),
            false => Box::new(source),
        };
        let mut reader = Self { lines, n_read: 0, buffer: Vec::new() };
        let what = "expected a header with `format`, `version`, `pack` and `dimensions`";
        let header: Header = match reader.line()? {
            None => return Err(refused(format!("{} is empty, {what}", path.display()))),
            Some(line) => serde_json::from_slice(line)
                .map_err(|error| refused(format!("line 1 is no header of an archive: {error}; {what}")))?,
        };
        header.check()?;
        Ok((reader, header))
    }

    /// Number of the line that was read last.
    pub(super) fn line_number(&self) -> u64 {
        self.n_read
    }

    /// The next face, and the bytes of its line; `None` at the end. Empty lines are passed over.
    pub(super) fn face(&mut self) -> Result<Option<(dto::ArchivedFace, usize)>, Error> {
        self.parsed()
    }

    /// Reads to the end and tells which custom fields the faces have, by the kinds of their values.
    pub(super) fn fields(mut self) -> Result<Vec<dto::Field>, Error> {
        #[derive(Deserialize)]
        struct Line {
            #[serde(default)]
            fields: Option<dto::Values>,
        }
        let mut types: BTreeMap<String, &'static str> = BTreeMap::new();
        while let Some((line, _)) = self.parsed::<Line>()? {
            for (name, value) in line.fields.unwrap_or_default() {
                let found = match &value {
                    serde_json::Value::String(_) => "string",
                    serde_json::Value::Bool(_) => "boolean",
                    serde_json::Value::Number(number) if number.is_i64() => "long",
                    serde_json::Value::Number(_) => "double",
                    _ => {
                        let expected = "expected a text, a number, true or false";
                        return Err(refused(format!(
                            "line {}: field `{name}` has another value, {expected}",
                            self.n_read
                        )));
                    }
                };
                let known = types.entry(name).or_insert(found);
                // A whole number among others that are not.
                if (*known, found) == ("long", "double") {
                    *known = found;
                }
            }
        }
        let field = |(name, field_type): (String, &str)| dto::Field { name, field_type: field_type.to_owned() };
        Ok(types.into_iter().map(field).collect())
    }

    fn parsed<T: for<'a> Deserialize<'a>>(&mut self) -> Result<Option<(T, usize)>, Error> {
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            if line.is_empty() {
                continue;
            }
            let n_bytes = line.len();
            // serde's words name the member and the place, and quote no value but a number.
            return match serde_json::from_slice(line) {
                Ok(value) => Ok(Some((value, n_bytes))),
                Err(error) => Err(refused(format!("line {} is no face: {error}", self.n_read))),
            };
        }
    }

    /// The next line without its end.
    fn line(&mut self) -> Result<Option<&[u8]>, Error> {
        self.buffer.clear();
        let number = self.n_read + 1;
        let damaged = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                refused(format!("the archive ends in the middle, in or after line {number}"))
                    .with_hint("export it again, or copy it again")
            }
            _ => refused(format!("the archive is damaged in or after line {number}: {error}")),
        };
        let mut bounded = self.lines.by_ref().take(LINE_BYTES_MAX + 1);
        let n_bytes = bounded.read_until(b'\n', &mut self.buffer).map_err(damaged)?;
        if n_bytes == 0 {
            return Ok(None);
        }
        if n_bytes as u64 > LINE_BYTES_MAX {
            return Err(refused(format!("line {number} has more than {LINE_BYTES_MAX} bytes")));
        }
        self.n_read = number;
        let line = self.buffer.trim_ascii();
        let mark: &[u8] = if number == 1 { b"\xef\xbb\xbf" } else { b"" };
        Ok(Some(line.strip_prefix(mark).unwrap_or(line)))
    }
}

/// Tells how many bytes were read.
struct Counted<F> {
    file: File,
    bytes_read: F,
}

impl<F: Fn(u64)> Read for Counted<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.file.read(buffer)?;
        (self.bytes_read)(n_bytes as u64);
        Ok(n_bytes)
    }
}

/// The error of a file that cannot be written.
pub(super) fn cannot_write(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| failed(format!("cannot write {}: {error}", path.display()))
}
