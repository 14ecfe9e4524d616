//! `likeness face import`: enrols a folder of photographs, several at a time, and can be run again.
//!
//! What is wrong with one file is that file's refusal. Only what would meet every file ends the run: a server that is
//! gone, a full disk, a deleted face set, a key without the grant.

mod folder;
mod report;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use likeness_domain::types::{ExternalId, Subject, nfc};
use likeness_domain::{Error, Kind, limits};
use likeness_wire::native::dto;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use super::connection::{Connection, Needs, Payload};
use super::{photo, terminal};
use crate::cli::library_args::LibraryArgs;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict};
use crate::outcome::{failed, refused};
use folder::{Found, Walk, shown};
use report::{File, Report};

/// Files whose external ids are asked about at once: few enough that the bar moves, many enough that asking costs
/// nothing.
const BATCH: usize = 200;

/// How long the reading of one photograph may take.
const READ_TIME_MAX: Duration = Duration::from_secs(60);

/// Photographs of a batch that may not be read in time before the run ends: each holds a thread.
const LATE_MAX: usize = 5;

/// Waits between attempts when the server is busy: doubled from the first to the last, then given up. In sum
/// more than a minute and a half, in which a full queue has long been worked off.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(60);

/// Enrols the largest face of every photograph below a folder. A photograph's subject is the name of the sub-folder
/// of DIR it is in; photographs directly in DIR get their file's name without extension and trailing number, so
/// `anna_smith_02.jpg` is `anna_smith`. A photograph is enrolled once however often this runs: it is known by its path
/// below DIR and its content. A file that cannot be enrolled is named with its reason and the run goes on; links are
/// followed, each folder once.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Into which face set
    #[arg(long = "set", value_name = "NAME", required_unless_present = "person")]
    face_set: Option<String>,
    /// As faces of this person instead, which all its face sets show; each photograph has to show one face
    #[arg(long, value_name = "KEY", conflicts_with = "face_set")]
    person: Option<String>,
    /// Make the face set, or the person, if there is none
    #[arg(long)]
    create: bool,
    #[command(flatten)]
    library: LibraryArgs,
}

/// What the photographs are enrolled into.
#[derive(Debug, Clone)]
enum Target {
    FaceSet(String),
    Person(String),
}

impl Target {
    fn of(args: &ImportArgs) -> Self {
        match (&args.person, &args.face_set) {
            (Some(key), _) => Target::Person(key.clone()),
            (None, name) => Target::FaceSet(name.clone().unwrap_or_default()),
        }
    }

    fn path(&self) -> [&str; 2] {
        match self {
            Target::FaceSet(name) => ["face-sets", name],
            Target::Person(key) => ["persons", key],
        }
    }
}

/// What became of one photograph.
enum Fate {
    Enrolled,
    AlreadyEnrolled,
    Refused(String, Error),
    /// Not its own fault: the rest would fare no better.
    Stop(Error),
}

/// Runs the command.
pub(crate) async fn run(args: ImportArgs, config: &Config) -> Outcome {
    let Walk { photographs: files, passed_over, .. } = folder::walk(&args.dir)?;
    let target = Target::of(&args);
    let mut report = Report::new(&target, files.len(), passed_over);
    if files.is_empty() {
        let passed_over = report.passed_over_summary().map(|text| format!(" ({text})")).unwrap_or_default();
        return Err(refused(format!("there is no photograph below {}{passed_over}", args.dir.display()))
            .with_hint("photographs are files ending in jpg, jpeg, png, bmp, webp or gif"));
    }
    let connection = Arc::new(Connection::open_in_turn(config, args.library.tenant(), Needs::Pack).await?);
    ensure_target(&connection, &target, args.create).await?;

    let bar = bar(files.len() as u64);
    // Two for each worker: one in work, one waiting.
    let in_flight_max = config.general.workers * 2;
    let mut interrupt = std::pin::pin!(super::stop::asked());
    let mut subjects = BTreeSet::new();
    let mut stopped = None;
    'batches: for batch in files.chunks(BATCH) {
        let known = match already_enrolled(&connection, &target, batch).await {
            Ok(known) => known,
            Err(error) => {
                stopped = Some(error);
                break;
            }
        };
        let mut waiting = batch.iter();
        let mut in_flight = JoinSet::new();
        loop {
            while stopped.is_none() && !report.interrupted && in_flight.len() < in_flight_max {
                let Some(file) = waiting.next() else { break };
                let (connection, target) = (Arc::clone(&connection), target.clone());
                let (file, known) = (file.clone(), Arc::clone(&known));
                in_flight.spawn(async move { (enrol(&connection, &target, &file, &known).await, file) });
            }
            let done = tokio::select! {
                done = in_flight.join_next() => done,
                _ = &mut interrupt, if !report.interrupted => {
                    report.interrupted = true;
                    bar.suspend(|| terminal::message("ending: the photographs in work are still enrolled"));
                    continue;
                }
            };
            let Some(done) = done else { break };
            let (fate, file) = done.map_err(|error| failed(format!("enrolling failed: {error}")))?;
            bar.inc(1);
            let outcome = match fate {
                Fate::Enrolled => {
                    report.enrolled += 1;
                    subjects.insert(file.subject.clone());
                    "enrolled"
                }
                Fate::AlreadyEnrolled => {
                    report.already_enrolled += 1;
                    "already_enrolled"
                }
                Fate::Refused(word, error) => {
                    bar.suspend(|| terminal::message(format!("refused: {}: {error}", shown(&file.relative))));
                    report.refuse(file.relative.clone(), word, &error);
                    "refused"
                }
                Fate::Stop(error) => {
                    stopped = Some(error);
                    continue;
                }
            };
            report.files.push(File { file: file.relative, subject: file.subject, outcome });
        }
        if stopped.is_some() || report.interrupted {
            break 'batches;
        }
    }
    bar.finish_and_clear();
    report.interrupted |= stopped.is_some();
    report.sort();
    if args.library.json {
        terminal::json(&report)?;
    } else {
        report.passed_over_summary().into_iter().for_each(terminal::message);
        terminal::data(report.summary(subjects.len()));
    }
    let again = "run the same command again to go on";
    match stopped {
        Some(error) => Err(error.with_hint(again)),
        None if report.interrupted => Err(failed("interrupted").with_hint(again)),
        None if report.refused.is_empty() => Ok(Verdict::Done),
        None => Ok(Verdict::No),
    }
}

fn bar(n_files: u64) -> ProgressBar {
    // It draws on standard error, and only if that is a terminal.
    let style = "{bar:32} {pos}/{len} photographs, {per_sec}, {eta} left";
    ProgressBar::new(n_files).with_style(
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "),
    )
}

async fn ensure_target(connection: &Connection, target: &Target, create: bool) -> Result<(), Error> {
    let name = match target {
        Target::FaceSet(name) => name,
        Target::Person(key) => return ensure_person(connection, key, create).await,
    };
    let found: Result<dto::FaceSet, Error> =
        connection.call(Method::GET, &["face-sets", name], &[], Payload::Empty).await;
    match found {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == Kind::FaceSetNotFound && create => {
            let body = dto::CreateFaceSet { name: name.to_owned(), ..Default::default() };
            let made = connection.call::<dto::FaceSet>(Method::POST, &["face-sets"], &[], Payload::json(&body)?).await;
            match made {
                Ok(made) => terminal::message(format!("made face set `{}`", made.name)),
                // Somebody else made it meanwhile.
                Err(error) if error.kind() == Kind::FaceSetExists => {}
                Err(error) => return Err(error),
            }
            Ok(())
        }
        Err(error) if error.kind() == Kind::FaceSetNotFound => Err(error.with_hint("add `--create` to make it")),
        Err(error) => Err(error),
    }
}

async fn ensure_person(connection: &Connection, key: &str, create: bool) -> Result<(), Error> {
    let found = connection.call::<dto::Person>(Method::GET, &["persons", key], &[], Payload::Empty).await;
    match found {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == Kind::PersonNotFound && create => {
            let body = dto::CreatePerson { key: key.to_owned(), ..Default::default() };
            let made = connection.call::<dto::Person>(Method::POST, &["persons"], &[], Payload::json(&body)?).await;
            match made {
                Ok(made) => terminal::message(format!("made person `{}`", made.key)),
                // Somebody else made it meanwhile.
                Err(error) if error.kind() == Kind::PersonExists => {}
                Err(error) => return Err(error),
            }
            Ok(())
        }
        Err(error) if error.kind() == Kind::PersonNotFound => Err(error.with_hint("add `--create` to make it")),
        Err(error) => Err(error),
    }
}

/// What a photograph is known by: its path, and enough of its digest that another photograph put in its place is new.
/// Of a path that is too long the end is kept. It is in NFC, as the library keeps it: macOS spells the same name otherwise.
fn external_id(relative: &str, content: &[u8]) -> String {
    let relative = nfc(relative.to_owned(), usize::MAX);
    const DIGEST_HEX: usize = 16;
    let digest = Sha256::digest(content);
    let hex: String = digest.iter().take(DIGEST_HEX / 2).map(|byte| format!("{byte:02x}")).collect();
    let room = likeness_domain::types::ExternalId::CHARS_MAX - DIGEST_HEX - 1;
    let n_over = relative.chars().count().saturating_sub(room);
    let tail: String = relative.chars().skip(n_over).collect();
    format!("{tail}@{hex}")
}

/// What is known of a batch before its photographs are enrolled.
#[derive(Debug, Default)]
struct Known {
    /// External ids of photographs that the face set already has.
    enrolled: HashSet<String>,
    /// Photographs that could not be read in time: nobody waits for them a second time.
    late: HashSet<PathBuf>,
}

/// Which photographs of a batch the face set already has.
async fn already_enrolled(connection: &Connection, target: &Target, batch: &[Found]) -> Result<Arc<Known>, Error> {
    const { assert!(BATCH <= limits::EXTERNAL_IDS_MAX) }
    let mut late = HashSet::new();
    let mut external_ids = Vec::with_capacity(batch.len());
    for file in batch {
        match read_in_time(&file.path, READ_TIME_MAX, photo_bytes).await? {
            Some(Ok(image)) => external_ids.push(external_id(&file.relative, &image)),
            // It is refused when its turn comes.
            Some(Err(_)) => {}
            None => _ = late.insert(file.path.clone()),
        }
        if late.len() >= LATE_MAX {
            return Err(failed(format!("{LATE_MAX} photographs were not read within {} s", READ_TIME_MAX.as_secs()))
                .with_hint("look whether the disk or network folder answers"));
        }
    }
    external_ids.retain(|id| ExternalId::new(id.as_str()).is_ok());
    let face_set = match target {
        Target::FaceSet(name) => name,
        Target::Person(key) => {
            // Such a face has no external id: it is known by where its image came from.
            let path = ["persons", key, "faces"];
            let listed =
                connection.all_at(&path, |page: &mut dto::Faces| (&mut page.faces, &mut page.next_cursor)).await?;
            let enrolled = listed.faces.into_iter().filter_map(|face| face.source).collect();
            return Ok(Arc::new(Known { enrolled, late }));
        }
    };
    let body = dto::ExternalIds { external_ids };
    let path = ["face-sets", face_set, "faces", "enrolled"];
    let known: dto::ExternalIds = call_patiently(connection, &path, &[], Payload::json(&body)?).await?;
    Ok(Arc::new(Known { enrolled: known.external_ids.into_iter().collect(), late }))
}

fn photo_bytes(path: &Path) -> Result<Bytes, String> {
    photo::read_within(path, limits::IMAGE_BYTES_MAX)
}

/// What `read` makes of a file; `None` if it takes longer than `time_max`, as on a network folder that is away. Its thread goes on
/// waiting then, and nobody waits for it.
async fn read_in_time<T: Send + 'static>(
    path: &Path,
    time_max: Duration,
    read: impl FnOnce(&Path) -> T + Send + 'static,
) -> Result<Option<T>, Error> {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || read(&path));
    match tokio::time::timeout(time_max, reading).await {
        Ok(Ok(read)) => Ok(Some(read)),
        Ok(Err(error)) => Err(Error::internal("reading a photograph failed", error)),
        Err(_) => Ok(None),
    }
}

async fn enrol(connection: &Connection, target: &Target, file: &Found, known: &Known) -> Fate {
    let is_late = known.late.contains(&file.path);
    let read = if is_late { Ok(None) } else { read_in_time(&file.path, READ_TIME_MAX, photo_bytes).await };
    let unreadable = |reason: String| Fate::Refused("unreadable".to_owned(), Error::invalid("file", reason));
    let image = match read {
        Ok(Some(Ok(image))) => image,
        Ok(Some(Err(reason))) => return unreadable(reason),
        Ok(None) => return unreadable(format!("it was not read within {} s", READ_TIME_MAX.as_secs())),
        Err(error) => return Fate::Stop(error),
    };
    if image.is_empty() {
        return Fate::Refused("empty".to_owned(), Error::invalid("file", "the file is empty"));
    }
    let external_id = external_id(&file.relative, &image);
    let checked = ExternalId::new(external_id.as_str()).and_then(|_| Subject::new(file.subject.as_str()));
    if let Err(error) = checked {
        return Fate::Refused("name".to_owned(), error);
    }
    if known.enrolled.contains(&external_id) {
        return Fate::AlreadyEnrolled;
    }
    let [list, name] = target.path();
    let path = [list, name, "faces"];
    let query = match target {
        Target::FaceSet(_) => vec![("subject", file.subject.as_str()), ("external_id", external_id.as_str())],
        Target::Person(_) => vec![("source", external_id.as_str())],
    };
    match call_patiently::<dto::Faces>(connection, &path, &query, Payload::Image(image)).await {
        Ok(_) => Fate::Enrolled,
        // A photograph that the server stumbles over must not end the run; a server that is gone must.
        Err(error) if error.kind() == Kind::Internal && is_there(connection, target).await => {
            Fate::Refused("internal".to_owned(), error)
        }
        Err(error) => fate_of(error),
    }
}

/// Whether the library answers and has what is enrolled into.
async fn is_there(connection: &Connection, target: &Target) -> bool {
    connection.call::<serde_json::Value>(Method::GET, &target.path(), &[], Payload::Empty).await.is_ok()
}

/// Makes a call; again, after longer and longer waits, while the server is busy or the tenant calls too often.
async fn call_patiently<A: DeserializeOwned>(
    connection: &Connection,
    path: &[&str],
    query: &[(&str, &str)],
    payload: Payload,
) -> Result<A, Error> {
    let mut wait = RETRY_FIRST;
    loop {
        match connection.call(Method::POST, path, query, payload.clone()).await {
            Err(error) if matches!(error.kind(), Kind::Overloaded | Kind::RateExceeded) && wait <= RETRY_LAST => {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            done => return done,
        }
    }
}

/// Whether an error is the photograph's own, or would meet the next one too.
fn fate_of(error: Error) -> Fate {
    let word = match error.kind() {
        // Somebody else enrolled it meanwhile.
        Kind::FaceExists => return Fate::AlreadyEnrolled,
        Kind::NoFaceInImage => "no_face_in_image",
        Kind::SeveralFacesInImage => "several_faces_in_image",
        Kind::PoorQuality => "poor_quality",
        Kind::ImageFormat => "image_format",
        Kind::ImageCorrupt => "image_corrupt",
        Kind::ImageDimensions => "image_dimensions",
        Kind::ImageTooLarge => "image_too_large",
        Kind::InvalidArgument => "invalid_argument",
        Kind::MissingArgument => "missing_argument",
        _ => return Fate::Stop(error),
    };
    Fate::Refused(word.to_owned(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photograph_is_known_by_path_and_content() {
        let id = external_id("anna/1.jpg", b"abc");
        // SHA-256 of "abc" begins with ba7816bf 8f01cfea.
        assert_eq!(id, "anna/1.jpg@ba7816bf8f01cfea");
        assert_ne!(id, external_id("anna/1.jpg", b"abd"));
        assert_ne!(id, external_id("bert/1.jpg", b"abc"));
        assert_eq!(external_id("Zoe\u{301}/1.jpg", b"abc"), external_id("Zo\u{e9}/1.jpg", b"abc"));
    }

    #[tokio::test]
    async fn a_file_that_does_not_answer_is_not_waited_for() {
        let (answer, waiting) = std::sync::mpsc::channel::<()>();
        let path = Path::new("x.jpg");
        let read = read_in_time(path, Duration::from_millis(1), move |_| waiting.recv()).await;
        assert_eq!(read.unwrap(), None);
        drop(answer);
        let read = read_in_time(path, READ_TIME_MAX, |path| path.to_owned()).await;
        assert_eq!(read.unwrap().as_deref(), Some(path));
    }

    #[test]
    fn a_long_path_keeps_its_end() {
        let id = external_id(&format!("{}/1.jpg", "ä".repeat(600)), b"abc");
        assert_eq!(id.chars().count(), 512);
        assert!(id.ends_with("ä/1.jpg@ba7816bf8f01cfea"));
    }

    #[test]
    fn faults_of_the_house_end_the_import_and_those_of_a_photograph_do_not() {
        for &kind in Kind::ALL {
            let own = matches!(
                kind,
                Kind::NoFaceInImage
                    | Kind::SeveralFacesInImage
                    | Kind::PoorQuality
                    | Kind::ImageFormat
                    | Kind::ImageCorrupt
                    | Kind::ImageDimensions
                    | Kind::ImageTooLarge
                    | Kind::InvalidArgument
                    | Kind::MissingArgument
            );
            let refused = matches!(fate_of(Error::new(kind, "")), Fate::Refused(..));
            assert_eq!(refused, own, "{kind:?}");
        }
    }
}
