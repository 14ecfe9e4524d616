//! An archive as a file: one JSON object a line, compressed by zstd with a checksum. `docs/archives.md` describes it.
//!
//! The first line is a [`Header`]; each further one is a [`dto::ArchivedFace`].

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use likeness_domain::types::{ExternalId, PersonKey};
use likeness_domain::{Error, Kind};
use serde::{Deserialize, Serialize};

use super::dto;

/// What a header of ours says in `format`.
const FORMAT: &str = "likeness-archive";

/// The only version there is.
const VERSION: u32 = 1;

/// Longest line: a template of 4,096 numbers takes 22 KB, the rest is words.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// First bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Of an archive of somebody unknown: the largest window of its compression, 2^23 bytes as levels up to 19 use, which bounds the memory
/// that reading takes, and how often its lines may be longer than its bytes. Templates compress by a fourth, words by ten.
const WINDOW_LOG_MAX: u32 = 23;
const RATIO_MAX: u64 = 50;

/// How hard zstd tries: templates hardly shrink, and its default is quick.
const LEVEL: i32 = 3;

/// The first line. Members that are not known are passed over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header {
    /// `likeness-archive`.
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// Model pack of all templates.
    pub pack: String,
    /// Numbers of a template.
    pub dimensions: usize,
    /// Name of the set that was exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub face_set: Option<String>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Its custom fields; without them they are read from the faces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<dto::Field>>,
    /// How good its pictures had to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    /// Whether faces have their small pictures with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnails: Option<bool>,
    /// How many faces follow, where the writer knew. An archive with fewer was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faces: Option<u64>,
}

impl Header {
    /// The header of an export of that set.
    pub fn of(face_set: &dto::FaceSet, dimensions: usize) -> Self {
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
            thumbnails: None,
            faces: None,
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

fn refused(message: impl Into<String>) -> Error {
    Error::invalid("archive", message)
}

/// Writes an archive, or a part of one: parts that are put one behind the other make an archive, the first of which has the
/// header.
pub struct Writer<W: Write> {
    encoder: zstd::Encoder<'static, W>,
}

impl<W: Write> Writer<W> {
    /// The beginning of an archive.
    ///
    /// # Errors
    /// As writing to `to`; also of the other methods.
    pub fn new(to: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self::part(to)?;
        writer.line(header)?;
        Ok(writer)
    }

    /// A part without a header.
    pub fn part(to: W) -> io::Result<Self> {
        let mut encoder = zstd::Encoder::new(to, LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self { encoder })
    }

    /// Writes one face.
    pub fn face(&mut self, face: &dto::ArchivedFace) -> io::Result<()> {
        self.line(face)
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.encoder, value)?;
        self.encoder.write_all(b"\n")
    }

    /// Ends the part and returns what it was written to.
    pub fn finish(self) -> io::Result<W> {
        self.encoder.finish()
    }
}

/// A face and the bytes of its line, or what is wrong with that line alone: the next one can be read all the same.
pub type FaceLine = Result<(dto::ArchivedFace, usize), Error>;

/// Reads an archive line by line, compressed or not.
pub struct Reader {
    lines: Box<dyn BufRead + Send>,
    /// Number of the line that was read last; the header's is 1.
    n_read: u64,
    /// Bytes that were taken from the source.
    n_bytes_read: Arc<AtomicU64>,
    /// Lines that were faces.
    n_faces: u64,
    /// What the header says of their number.
    n_faces_expected: Option<u64>,
    /// Bytes that further lines may have.
    n_bytes_left: u64,
    /// Which faces had which external ids.
    named: Named,
    buffer: Vec<u8>,
}

/// Faces of an archive by their external ids, so that one that stands for two faces is noticed: the second one would be taken
/// for the first, and lost.
#[derive(Default)]
struct Named {
    /// By owner and external id: what tells the face from others, and its line. Digests, since an archive may have millions.
    faces: HashMap<u64, (u64, u64)>,
}

impl Named {
    /// Most faces that are remembered, in some 200 MB; archives with more are read all the same.
    const FACES_MAX: usize = 4_000_000;

    /// The line of the other face that has this one's external id; else the face is remembered.
    fn other_line(&mut self, face: &dto::ArchivedFace, line: u64) -> Option<u64> {
        // What is no external id is refused for that.
        let external_id = ExternalId::new(face.external_id.clone()?).ok()?;
        let person = face.person.as_ref().map(|person| PersonKey::new(person.key.as_str())).transpose().ok()?;
        let name = digest((person.as_ref().map(PersonKey::as_str), external_id.as_str()));
        let itself = digest((&face.id, &face.template));
        match self.faces.get(&name) {
            Some(&(first, at)) => (first != itself).then_some(at),
            None => {
                if self.faces.len() < Self::FACES_MAX {
                    self.faces.insert(name, (itself, line));
                }
                None
            }
        }
    }
}

fn digest(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl Reader {
    /// Reads the header of an archive; `name` is what it is called in messages.
    ///
    /// # Errors
    /// `InvalidArgument` with the number of the line that is at fault; also of the other methods.
    pub fn new(source: impl Read + Send + 'static, name: &str) -> Result<(Self, Header), Error> {
        Self::within(source, name, None, u64::MAX)
    }

    /// The same of an archive of `n_bytes` that somebody unknown sent: what reading it takes is bounded.
    pub fn of_stranger(source: impl Read + Send + 'static, n_bytes: u64) -> Result<(Self, Header), Error> {
        let n_bytes_max = n_bytes.saturating_mul(RATIO_MAX).saturating_add(LINE_BYTES_MAX);
        Self::within(source, "the archive", Some(WINDOW_LOG_MAX), n_bytes_max)
    }

    fn within(
        source: impl Read + Send + 'static,
        name: &str,
        window_log_max: Option<u32>,
        n_bytes_max: u64,
    ) -> Result<(Self, Header), Error> {
        let cannot = |error: io::Error| refused(format!("cannot read {name}: {error}"));
        let n_bytes_read = Arc::new(AtomicU64::new(0));
        let source = Counted { source, n_bytes_read: Arc::clone(&n_bytes_read) };
        let mut source = BufReader::with_capacity(1 << 17, source);
        let is_compressed = source.fill_buf().map_err(cannot)?.starts_with(&ZSTD_MAGIC);
        let lines: Box<dyn BufRead + Send> = match is_compressed {
            true => {
                let mut decoder = zstd::Decoder::with_buffer(source).map_err(cannot)?;
                if let Some(window_log_max) = window_log_max {
                    decoder.window_log_max(window_log_max).map_err(cannot)?;
                }
                Box::new(BufReader::with_capacity(1 << 17, decoder))
            }
            false => Box::new(source),
        };
        let mut reader = Self {
            lines,
            n_read: 0,
            n_bytes_read,
            n_faces: 0,
            n_faces_expected: None,
            n_bytes_left: n_bytes_max,
            named: Named::default(),
            buffer: Vec::new(),
        };
        let what = "expected a header with `format`, `version`, `pack` and `dimensions`";
        let header: Header = match reader.line()? {
            None => return Err(refused(format!("{name} is empty, {what}"))),
            Some(line) => serde_json::from_slice(line)
                .map_err(|error| refused(format!("line 1 is no header of an archive: {error}; {what}")))?,
        };
        header.check()?;
        reader.n_faces_expected = header.faces;
        Ok((reader, header))
    }

    /// Number of the line that was read last.
    pub fn line_number(&self) -> u64 {
        self.n_read
    }

    /// Bytes that were taken from the source so far.
    pub fn n_bytes_read(&self) -> u64 {
        self.n_bytes_read.load(Ordering::Relaxed)
    }

    /// The next face, and the bytes of its line; `None` at the end. Empty lines are passed over.
    pub fn face(&mut self) -> Result<Option<(dto::ArchivedFace, usize)>, Error> {
        self.face_or_fault()?.transpose()
    }

    /// Passes over lines until this one was read, or there is none.
    pub fn skip_to(&mut self, line_number: u64) -> Result<(), Error> {
        while self.n_read < line_number {
            // What is wrong with a line was told when it was read the first time.
            if self.face_or_fault()?.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The next line that is not empty, which should be a face; `None` at the end.
    pub fn face_or_fault(&mut self) -> Result<Option<FaceLine>, Error> {
        loop {
            let Some(line) = self.line()? else {
                self.check_end()?;
                return Ok(None);
            };
            if line.is_empty() {
                continue;
            }
            let n_bytes = line.len();
            let parsed: Result<dto::ArchivedFace, _> = serde_json::from_slice(line);
            if parsed.is_err() && is_header(line) {
                let message = format!("line {} is the header of another archive", self.n_read);
                return Err(
                    refused(message).with_hint("import one archive after the other, each from a file of its own")
                );
            }
            self.n_faces += 1;
            self.check_number()?;
            let number = self.n_read;
            // serde's words name the member and the place, and quote no value but a number.
            let fault = |error| refused(format!("line {number} is no face: {error}"));
            let face = match parsed.map_err(fault) {
                Ok(face) => match self.named.other_line(&face, number) {
                    None => Ok((face, n_bytes)),
                    Some(other) => Err(named_twice(number, other)),
                },
                Err(fault) => Err(fault),
            };
            return Ok(Some(face));
        }
    }

    /// Refuses more faces than the header says: something was put behind the archive, or its header is of another one.
    fn check_number(&self) -> Result<(), Error> {
        match self.n_faces_expected {
            Some(expected) if self.n_faces > expected => {
                let message = format!(
                    "line {} is one more face than the {expected} that the header states in `faces`",
                    self.n_read
                );
                Err(refused(message).with_hint("correct the header, or leave `faces` out of it"))
            }
            _ => Ok(()),
        }
    }

    fn check_end(&self) -> Result<(), Error> {
        match self.n_faces_expected {
            Some(expected) if self.n_faces < expected => {
                let message = format!("the archive ends after {} of {expected} faces", self.n_faces);
                Err(refused(message).with_hint("export it again, or copy it again"))
            }
            _ => Ok(()),
        }
    }

    /// Reads to the end and tells which custom fields the faces have, by the kinds of their values. A line that is no face, and
    /// a value that no field can have, are passed over: they are refused when their turn comes, and not the lines before them.
    pub fn fields(mut self) -> Result<Vec<dto::Field>, Error> {
        #[derive(Deserialize)]
        struct Line {
            #[serde(default)]
            fields: Option<dto::Values>,
        }
        let mut types: BTreeMap<String, &'static str> = BTreeMap::new();
        while let Some(line) = self.line()? {
            let Ok(Line { fields: Some(fields) }) = serde_json::from_slice(line) else { continue };
            for (name, value) in fields {
                let found = match &value {
                    serde_json::Value::String(_) => "string",
                    serde_json::Value::Bool(_) => "boolean",
                    serde_json::Value::Number(number) if number.is_i64() => "long",
                    serde_json::Value::Number(_) => "double",
                    _ => continue,
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
        self.n_bytes_left = match self.n_bytes_left.checked_sub(n_bytes as u64) {
            Some(n_left) => n_left,
            None => return Err(refused(format!("line {number} exceeds what an archive of this size may hold"))),
        };
        if n_bytes as u64 > LINE_BYTES_MAX {
            return Err(refused(format!("line {number} has more than {LINE_BYTES_MAX} bytes")));
        }
        self.n_read = number;
        let line = self.buffer.trim_ascii();
        let mark: &[u8] = if number == 1 { b"\xef\xbb\xbf" } else { b"" };
        Ok(Some(line.strip_prefix(mark).unwrap_or(line)))
    }
}

fn named_twice(line: u64, other: u64) -> Error {
    let what = "expected one of its own for each face of an owner";
    let message = format!("line {line}: `external_id` is that of another face, in line {other}; {what}");
    Error::invalid("external_id", message)
}

/// Whether a refusal of some faces of an archive says that what is in a line is wrong.
pub fn is_of_a_line(kind: Kind) -> bool {
    matches!(kind, Kind::InvalidArgument | Kind::MissingArgument | Kind::FieldNotDefined | Kind::FieldTypeMismatch)
}

/// Whether a part of the faces may be enrolled where all of them together are refused: a line is wrong, or there is not room for
/// all of them.
pub fn may_fit_in_part(kind: Kind) -> bool {
    is_of_a_line(kind) || matches!(kind, Kind::CapacityExceeded | Kind::TooManyPersons)
}

/// Whether a line begins an archive.
fn is_header(line: &[u8]) -> bool {
    serde_json::from_slice::<Header>(line).is_ok_and(|header| header.format.starts_with("likeness"))
}

/// Counts the bytes that are read.
struct Counted<R> {
    source: R,
    n_bytes_read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.source.read(buffer)?;
        self.n_bytes_read.fetch_add(n_bytes as u64, Ordering::Relaxed);
        Ok(n_bytes)
    }
}

/// Entry for fuzzing: whatever the bytes, an archive is read to its end or refused.
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz_archive(bytes: &[u8]) {
    let n_bytes = bytes.len() as u64;
    let Ok((mut reader, _)) = Reader::of_stranger(io::Cursor::new(bytes.to_vec()), n_bytes) else { return };
    while let Ok(Some(_)) = reader.face_or_fault() {}
    if let Ok((reader, _)) = Reader::of_stranger(io::Cursor::new(bytes.to_vec()), n_bytes) {
        let _ = reader.fields();
    }
}
