//! `likeness export` and `likeness import`: a face set as a file, so that faces move without their photographs.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use likeness_domain::{Error, Kind, limits};
use likeness_store::folder::create_private;
use likeness_wire::native::archive_file::{Header, Reader, Writer, may_fit_in_part};
use likeness_wire::native::dto;
use serde::Serialize;

use super::connection::{Connection, Needs, Payload};
use super::table::counted;
use super::terminal;
use crate::cli::library_args::LibraryArgs;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, failed, refused};

/// Bytes of lines sent at once; fewer faces than allowed are sent if they are long.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Longest wait for what is under way when an import is to end.
const END_WAIT: Duration = Duration::from_secs(15);

/// Times that a set is written whose faces change meanwhile; the last time without their number.
const WRITES_MAX: usize = 4;

/// Writes every face of a set with its template, fields and person to a file that only you can read. The file holds
/// biometric data: whoever has it can look for these people.
#[derive(Debug, Args)]
#[command(
    after_help = "The file holds biometric data: whoever has it can look for these people. It can be read by you only.\n\n\
                        Examples:\n  likeness export staff staff.zst --tenant acme\n  likeness export staff - > staff.zst"
)]
pub(crate) struct ExportArgs {
    /// The face set
    #[arg(value_name = "SET")]
    face_set: String,
    /// The file to write; `.zst` is the usual ending, and `-` is standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Also the small pictures of faces, of a set that keeps them
    #[arg(long)]
    thumbnails: bool,
    #[command(flatten)]
    library: LibraryArgs,
}

/// Enrols the faces of an archive, compressed or not. The face set is made if there is none. Faces that it has already
/// are passed over, known by external id or else by id and template, so that an import can be run again.
#[derive(Debug, Args)]
#[command(
    after_help = "The face set is made if there is none. Faces that it has already are passed over, known by external id or \
                        else by id and template.\n\nExample: likeness import staff.zst --set staff --tenant acme"
)]
pub(crate) struct ImportArgs {
    /// The archive; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Into which face set
    #[arg(long = "set", value_name = "NAME")]
    face_set: String,
    /// Most faces the set may hold, if it is made [default: no bound]
    #[arg(long, value_name = "N")]
    capacity: Option<u64>,
    /// Have the set keep the archive's small pictures, if it is made
    #[arg(long)]
    thumbnails: bool,
    /// Faces to pass over at the start of the archive
    #[arg(long, default_value_t = 0, value_name = "N")]
    skip: u64,
    #[command(flatten)]
    library: LibraryArgs,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Exported {
    face_set: String,
    file: String,
    pack: String,
    faces: u64,
    /// Damaged faces that could not be read.
    left_out: u64,
}

/// What was enrolled.
#[derive(Debug, Default, Serialize)]
struct Imported {
    face_set: String,
    file: String,
    /// Faces that were read, without those skipped.
    faces: u64,
    enrolled: u64,
    already_enrolled: u64,
}

/// Runs `likeness export`.
pub(crate) async fn export(args: ExportArgs, config: &Config) -> Outcome {
    let is_stream = args.file.as_os_str() == "-";
    if is_stream && args.library.json {
        return Err(refused("`--json` prints to standard output, where the archive goes")
            .with_hint("name a file, or leave `--json` out: what was exported is said on standard error"));
    }
    if is_stream && io::stdout().is_terminal() {
        return Err(refused("an archive is no text for a terminal").with_hint("send it to a file or a program"));
    }
    let is_other = |meta: std::fs::Metadata| !meta.is_file();
    if !is_stream && std::fs::metadata(&args.file).is_ok_and(is_other) {
        return Err(
            refused(format!("{} is no file", args.file.display())).with_hint("name a file, or `-` for standard output")
        );
    }
    if !is_stream && args.file.exists() && !args.force {
        return Err(refused(format!("{} exists already", args.file.display())).with_hint("`--force` replaces it"));
    }
    let target = target_of(&args.file)?;
    let connection = Connection::open(config, args.library.tenant(), Needs::Pack).await?;
    let exported = if is_stream {
        tokio::select! {
            exported = write(&connection, &args, io::stdout(), Path::new("standard output"), None) => exported?.0,
            _ = super::stop::asked() => return Err(failed("interrupted; the archive is not whole")),
        }
    } else {
        let mut partial = Partial::new(&target)?;
        let exported = tokio::select! {
            written = write_whole(&connection, &args, &mut partial.file) => written?,
            _ = super::stop::asked() => return Err(failed("interrupted; nothing was written")),
        };
        partial.file.sync_all().map_err(cannot_write(&args.file))?;
        partial.keep_as(&target)?;
        exported
    };
    let faces = counted(exported.faces, "face");
    match (is_stream, args.library.json) {
        (true, _) => terminal::message(format!("exported {faces} of `{}`", args.face_set)),
        (false, true) => terminal::json(&exported)?,
        (false, false) => {
            terminal::data(format!("exported {faces} of `{}` to {}", args.face_set, args.file.display()));
        }
    }
    if exported.left_out > 0 {
        let faces = counted(exported.left_out, "face");
        terminal::message(format!("left out {faces} whose rows are damaged; `likeness check` names them"));
        return Ok(Verdict::No);
    }
    Ok(Verdict::Done)
}

/// Writes the archive into a file. How many faces follow stands in front of them, so where others were enrolled or deleted
/// meanwhile, or some are damaged, it is written once more.
async fn write_whole(connection: &Connection, args: &ExportArgs, file: &mut File) -> Result<Exported, Error> {
    let writing = cannot_write(&args.file);
    let face_set = face_set_of(connection, args).await?;
    let mut stated = Some(face_set.n_faces);
    let mut n_written = 0;
    loop {
        n_written += 1;
        file.set_len(0).and_then(|()| file.rewind()).map_err(&writing)?;
        let (exported, _) = write(connection, args, &mut *file, &args.file, stated).await?;
        if stated.is_none_or(|stated| stated == exported.faces) {
            return Ok(exported);
        }
        // Of a set that changes all the time nothing is said.
        stated = Some(exported.faces).filter(|_| n_written + 1 < WRITES_MAX);
    }
}

async fn face_set_of(connection: &Connection, args: &ExportArgs) -> Result<dto::FaceSet, Error> {
    connection.call(Method::GET, &["face-sets", &args.face_set], &[], Payload::Empty).await
}

/// Writes the archive to `to`, which is called `name`, with `stated` faces according to its header.
async fn write<W: Write>(
    connection: &Connection,
    args: &ExportArgs,
    to: W,
    name: &Path,
    stated: Option<u64>,
) -> Result<(Exported, W), Error> {
    let face_set = face_set_of(connection, args).await?;
    if args.thumbnails && !face_set.thumbnails {
        return Err(refused(format!("face set `{}` keeps no thumbnails", args.face_set)).with_hint(
            "leave `--thumbnails` out; `likeness face-set update NAME --thumbnails on` keeps those of faces to come",
        ));
    }
    let dimensions = dimensions(connection, &face_set.pack).await?;
    let writing = cannot_write(name);
    let header =
        Header { faces: stated, thumbnails: args.thumbnails.then_some(true), ..Header::of(&face_set, dimensions) };
    let mut writer = Writer::new(to, &header).map_err(&writing)?;
    let bar = bar(face_set.n_faces, "{bar:32} {human_pos}/{human_len} faces, {eta} left");
    let mut exported = Exported {
        face_set: face_set.name,
        file: args.file.display().to_string(),
        pack: face_set.pack,
        faces: 0,
        left_out: 0,
    };
    let path = ["face-sets", &args.face_set, "archive"];
    let limit = limits::ARCHIVE_FACES_MAX.to_string();
    let mut from = Some(0);
    while let Some(place) = from {
        let place = place.to_string();
        let mut query = vec![("from", place.as_str()), ("limit", limit.as_str())];
        query.extend(args.thumbnails.then_some(("include", "thumbnails")));
        let page: dto::ArchivePage = connection.call(Method::GET, &path, &query, Payload::Empty).await?;
        for face in &page.faces {
            writer.face(face).map_err(&writing)?;
        }
        exported.faces += page.faces.len() as u64;
        exported.left_out += page.n_damaged;
        bar.set_position(exported.faces);
        from = page.next;
    }
    let mut to = writer.finish().map_err(&writing)?;
    to.flush().map_err(&writing)?;
    bar.finish_and_clear();
    Ok((exported, to))
}

/// The file that a symbolic link leads to, which it goes on leading to; any other path as it is.
fn target_of(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_symlink() {
        return Ok(path.to_owned());
    }
    std::fs::canonicalize(path).map_err(|error| {
        let message = format!("{} is a symbolic link that leads to no file: {error}", path.display());
        refused(message).with_hint("remove it, or name another file")
    })
}

/// A file that is not finished: it goes away unless it is kept.
struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    /// Makes the file beside `target`, readable by its owner only.
    fn new(target: &Path) -> Result<Self, Error> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let path = target.with_file_name(name);
        // Told of by the name that somebody has asked for.
        let file = create_private(&path).map_err(cannot_write(target))?;
        Ok(Self { file, path })
    }

    /// Gives it its name, once it is whole and on the disk.
    fn keep_as(self, target: &Path) -> Result<(), Error> {
        let writing = cannot_write(target);
        std::fs::rename(&self.path, target).map_err(&writing)?;
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(&writing)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already if it was kept.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Tells how many bytes were read.
struct Counted<F> {
    file: Box<dyn Read + Send>,
    bytes_read: F,
}

impl<F: Fn(u64)> Read for Counted<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.file.read(buffer)?;
        (self.bytes_read)(n_bytes as u64);
        Ok(n_bytes)
    }
}

/// The archive in a file. `bytes_read` gets the number of all bytes taken from it.
fn opened(path: &Path, bytes_read: impl Fn(u64) + Send + 'static) -> Result<(Reader, Header), Error> {
    let (name, file): (_, Box<dyn Read + Send>) = match path.as_os_str() == "-" {
        true => ("standard input".to_owned(), Box::new(io::stdin())),
        false => {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| refused(format!("cannot read {name}: {error}")))?;
            (name, Box::new(file))
        }
    };
    Reader::new(Counted { file, bytes_read }, &name)
}

/// The error of a file that cannot be written.
fn cannot_write(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| failed(format!("cannot write {}: {error}", path.display()))
}

/// Runs `likeness import`.
pub(crate) async fn import(args: ImportArgs, config: &Config) -> Outcome {
    // Of standard input nobody knows how much comes.
    let n_bytes = std::fs::metadata(&args.file).map_or(0, |file| file.len());
    let bar = bar(n_bytes, "{bar:32} {bytes}/{total_bytes}, {eta} left");
    let read = bar.clone();
    let (mut reader, header) = opened(&args.file, move |n_bytes| read.inc(n_bytes))?;
    let connection = Connection::open(config, args.library.tenant(), Needs::Pack).await?;
    let expected = dimensions(&connection, &header.pack).await?;
    if header.dimensions != expected {
        let Header { pack, dimensions, .. } = &header;
        let message = format!("line 1: `dimensions` is {dimensions}, templates of `{pack}` have {expected}");
        return Err(refused(message));
    }
    let mut skipped = 0;
    while skipped < args.skip && reader.face()?.is_some() {
        skipped += 1;
    }
    // Before a face set is made for nothing.
    if skipped < args.skip {
        let faces = counted(skipped, "face");
        return Err(refused(format!("`--skip` is {}, and the archive has {faces}", args.skip)));
    }
    let is_made = ensure_face_set(&connection, &args, &header).await?;

    let mut imported =
        Imported { face_set: args.face_set.clone(), file: args.file.display().to_string(), ..Imported::default() };
    let is_ending = AtomicBool::new(false);
    let done = {
        let mut enrolling = pin!(enrol(&connection, &args, &header, &mut reader, &mut imported, &is_ending));
        tokio::select! {
            done = &mut enrolling => done,
            _ = super::stop::asked() => {
                // What is under way is enrolled, and counted.
                is_ending.store(true, Ordering::Relaxed);
                let late = |_| Err(failed("interrupted; a thousand faces more may be enrolled"));
                tokio::time::timeout(END_WAIT, enrolling).await.unwrap_or_else(late)
            }
        }
    };
    bar.finish_and_clear();
    if is_made && done.is_err() && imported.enrolled == 0 {
        // It stays if somebody else has enrolled into it.
        let (path, if_empty) = (["face-sets", args.face_set.as_str()], [("only_if_empty", "true")]);
        let removed = connection.call::<serde_json::Value>(Method::DELETE, &path, &if_empty, Payload::Empty).await;
        if removed.is_ok() {
            terminal::message(format!("removed face set `{}` again, which is still empty", args.face_set));
        }
    }
    if args.library.json {
        terminal::json(&imported)?;
    } else {
        let mut summary = format!("enrolled {} into `{}`", counted(imported.enrolled, "face"), args.face_set);
        if imported.already_enrolled > 0 {
            summary.push_str(&format!(", {} already enrolled", imported.already_enrolled));
        }
        terminal::data(summary);
    }
    let n_done = skipped + imported.enrolled + imported.already_enrolled;
    done.map_err(|error| {
        let again = format!("run it again to go on; `--skip {n_done}` passes over what is done");
        if error.hint().is_some() { error } else { error.with_hint(again) }
    })?;
    Ok(Verdict::Done)
}

async fn enrol(
    connection: &Connection,
    args: &ImportArgs,
    header: &Header,
    reader: &mut Reader,
    imported: &mut Imported,
    is_ending: &AtomicBool,
) -> Result<(), Error> {
    loop {
        let (mut faces, mut n_bytes, mut fault) = (Vec::new(), 0, None);
        while faces.len() < limits::ARCHIVE_FACES_MAX && n_bytes < BATCH_BYTES && fault.is_none() {
            match reader.face() {
                Ok(Some((face, n))) => {
                    faces.push((reader.line_number(), face));
                    n_bytes += n;
                }
                Ok(None) => break,
                // What comes before it is enrolled first.
                Err(error) => fault = Some(error),
            }
        }
        let is_end = faces.is_empty();
        enrol_batch(connection, args, header, faces, imported, is_ending).await?;
        match fault {
            Some(error) => return Err(error),
            None if is_end => return Ok(()),
            None => {}
        }
    }
}

/// Enrols the faces of some lines. A batch that is refused because of a line is halved until that line is found, so that
/// those before it are enrolled and it is named.
async fn enrol_batch(
    connection: &Connection,
    args: &ImportArgs,
    header: &Header,
    lines: Vec<(u64, dto::ArchivedFace)>,
    imported: &mut Imported,
    is_ending: &AtomicBool,
) -> Result<(), Error> {
    let path = ["face-sets", &args.face_set, "archive"];
    // The batch that is next comes last.
    let mut batches = vec![lines];
    while let Some(mut lines) = batches.pop() {
        if is_ending.load(Ordering::Relaxed) && !lines.is_empty() {
            return Err(failed("interrupted"));
        }
        let (Some((first, _)), Some((last, _))) = (lines.first(), lines.last()) else { continue };
        let (first, last, n_lines) = (*first, *last, lines.len());
        let faces = lines.iter().map(|(_, face)| face.clone()).collect();
        let body = Payload::json(&dto::ImportFaces { pack: header.pack.clone(), faces })?;
        match connection.call::<dto::FacesImported>(Method::POST, &path, &[], body).await {
            Ok(done) => {
                imported.faces += n_lines as u64;
                imported.enrolled += done.n_enrolled;
                imported.already_enrolled += done.n_known;
            }
            // Of those that do not fit as a whole the first ones do.
            Err(error) if n_lines > 1 && may_fit_in_part(error.kind()) => {
                let second_half = lines.split_off(n_lines / 2);
                batches.extend([second_half, lines]);
            }
            Err(error) if n_lines > 1 => return Err(error.about(format_args!("lines {first} to {last}"))),
            Err(error) => {
                let message = error.message().trim_start_matches("face 1: ");
                let plain = Error::new(error.kind(), format!("line {first}: {message}"));
                return Err(match error.hint() {
                    Some(hint) => plain.with_hint(hint),
                    None => plain,
                });
            }
        }
    }
    Ok(())
}

/// Numbers of a template of that pack.
async fn dimensions(connection: &Connection, pack: &str) -> Result<usize, Error> {
    let dto::Packs { packs } = connection.call(Method::GET, &["packs"], &[], Payload::Empty).await?;
    let known: Vec<&str> = packs.iter().map(|pack| pack.id.as_str()).collect();
    let missing = || {
        Error::new(Kind::PackNotFound, format!("model pack `{pack}` is not loaded"))
            .with_hint(format!("loaded are: {}; `likeness pack install` installs others", known.join(", ")))
    };
    packs.iter().find(|known| known.id == pack).map(|pack| pack.dimensions).ok_or_else(missing)
}

/// Makes the face set if there is none; says whether it has.
async fn ensure_face_set(connection: &Connection, args: &ImportArgs, header: &Header) -> Result<bool, Error> {
    let name = args.face_set.as_str();
    let found = connection.call::<dto::FaceSet>(Method::GET, &["face-sets", name], &[], Payload::Empty).await;
    match found {
        Ok(face_set) if face_set.pack == header.pack => {
            if args.thumbnails && !face_set.thumbnails {
                let on = format!("`likeness face-set update {name} --thumbnails on` has it keep them");
                return Err(refused(format!("face set `{name}` exists and keeps no thumbnails")).with_hint(on));
            }
            // An import that is run once more, in the same words, goes on.
            if let Some(most) = args.capacity.filter(|&most| face_set.capacity != Some(most)) {
                let has = match face_set.capacity {
                    None => "no capacity".to_owned(),
                    Some(has) => format!("a capacity of {has}"),
                };
                let message =
                    format!("`--capacity` is {most}, for a face set that is made; `{name}` exists and has {has}");
                let other = format!("leave it out; `likeness face-set update {name} --capacity {most}` changes it");
                return Err(refused(message).with_hint(other));
            }
            Ok(false)
        }
        Ok(face_set) => {
            let (theirs, ours) = (&header.pack, &face_set.pack);
            let message =
                format!("the archive's templates are of model pack `{theirs}`, face set `{name}` is of `{ours}`");
            Err(refused(message).with_hint("import it into a face set of its own"))
        }
        Err(error) if error.kind() == Kind::FaceSetNotFound => {
            let fields = match &header.fields {
                Some(fields) => fields.clone(),
                None => opened(&args.file, |_| {})?.0.fields()?,
            };
            let body = dto::CreateFaceSet {
                name: name.to_owned(),
                label: header.label.clone(),
                note: header.note.clone(),
                fields,
                capacity: args.capacity,
                thumbnails: args.thumbnails.then_some(true),
                quality: header.quality.clone(),
                pack: Some(header.pack.clone()),
                ..Default::default()
            };
            match connection.call::<dto::FaceSet>(Method::POST, &["face-sets"], &[], Payload::json(&body)?).await {
                Ok(made) => {
                    terminal::message(format!("made face set `{}`", made.name));
                    Ok(true)
                }
                // Another import has made it meanwhile.
                Err(error) if error.kind() == Kind::FaceSetExists => {
                    Box::pin(ensure_face_set(connection, args, header)).await
                }
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

fn bar(length: u64, style: &str) -> ProgressBar {
    // It draws on standard error, and only if that is a terminal.
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style.progress_chars("=> "))
}
