//! What a node's index has kept of an earlier process, and which history of the database that was.
//!
//! The index keeps its rows in a file of the node's folder and knows their revision (`docs/storage.md`); whether the database
//! still has the commits that they came from, only their checksums tell: a server that was promoted without the last commits
//! has others under the same numbers. So the follower notes number and checksum of each commit *before* the index takes it
//! over, in a file beside it. Rows are used again if the database has the noted commit; what came since the index's revision is
//! taken from the record of commits, and the faces of every gallery are compared with the tables.
//!
//! As with the rows themselves, nothing is flushed: after a loss of power the index fills itself anew whatever is noted.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use likeness_domain::filter::Filter;
use likeness_domain::ports::{Change, GalleryChange, KeptRows, VectorIndex};
use likeness_domain::types::{FaceSet, Revision};
use xxhash_rust::xxh3::xxh3_64;

use super::commits::{self, Position};
use super::errors::{Answer, Failure};
use super::gallery::gallery_rows;
use super::rows;
use super::session::Session;

/// The note's name in the node's folder.
pub(super) const FILE: &str = "likeness.follows";

/// Under which the index keeps rows that come from a database; a folder that was a library has others.
const LIBRARY: [u8; 16] = *b"from a database.";

/// Revision, checksum of the commit, checksum of both.
const NOTE_BYTES: usize = 24;

/// Commits read at once.
const PAGE: i64 = 256;

/// Places of a gallery compared at once.
const COMPARED: i64 = 65_536;

/// Most rows that an index may lack because they are damaged in the tables; with more it is filled anew.
const LACKING_MAX: usize = 1000;

/// Most rows put again at once.
const PUT_ROWS: usize = 4096;

/// The note of the commit that the index has, or is about to have.
pub(super) struct Note {
    path: PathBuf,
    file: File,
}

impl Note {
    /// Opens or makes it.
    pub(super) fn open(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join(FILE);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        Ok(Self { path, file })
    }

    fn read(&self) -> Option<Position> {
        let mut bytes = [0; NOTE_BYTES];
        self.file.read_exact_at(&mut bytes, 0).ok()?;
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        let is_whole = number(16) == xxh3_64(&bytes[..16]);
        is_whole.then(|| Position { revision: Revision(number(0)), checksum: number(8).cast_signed() })
    }

    /// Notes it, before the index has anything of it.
    pub(super) fn write(&self, position: Position) {
        let mut bytes = [0; NOTE_BYTES];
        bytes[..8].copy_from_slice(&position.revision.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&position.checksum.to_le_bytes());
        let checksum = xxh3_64(&bytes[..16]);
        bytes[16..].copy_from_slice(&checksum.to_le_bytes());
        if let Err(error) = self.file.write_all_at(&bytes, 0) {
            // An older note would vouch for rows that it does not know.
            let _ = std::fs::remove_file(&self.path);
            tracing::warn!(%error, "{FILE} cannot be written, so the next start reads all faces from the database");
        }
    }
}

/// Readies an index by the rows that it has kept, as of `position` of the state that the session sees; the number of rows.
/// `None` if there are none that can be used.
pub(super) async fn reopen(
    session: &Session,
    note: &Note,
    position: Position,
    sets: &[FaceSet],
    index: &dyn VectorIndex,
) -> Answer<Option<u64>> {
    let opened = sets.iter().map(|set| GalleryChange::Open {
        face_set: set.id,
        pack: set.pack.clone(),
        schema: Arc::new(set.schema.clone()),
    });
    // Asked in any case: the index has to know whose rows it keeps from now on.
    let kept = index.reopen(LIBRARY, opened.collect()).await?;
    let (Some(KeptRows { revision: kept, lacking }), Some(noted)) = (kept, note.read()) else { return Ok(None) };
    let unusable = |why: &str| {
        tracing::info!(kept = kept.0, noted = noted.revision.0, "the index is filled from the database: {why}");
        Ok(None)
    };
    let found = commits::from(session, noted.revision, 1).await?;
    if noted.checksum == 0 || found.first().is_none_or(|commit| commit.position != noted) {
        return unusable("the database does not list the last commit that it has seen");
    }
    if noted.revision < kept || position.revision < kept {
        return unusable("what it kept is newer than what was noted");
    }
    note.write(position);
    let mut reached = kept;
    while reached < position.revision {
        let stored = commits::from(session, Revision(reached.0 + 1), PAGE).await?;
        let Some(last) = stored.last().map(|last| last.position.revision) else {
            return unusable("commits since are not listed any more");
        };
        if !commits::is_chain(&stored, reached) {
            return unusable("commits since are not listed any more");
        }
        for commit in commits::resolved(session, stored).await? {
            let changes = commit.changes.into_iter().filter_map(|change| match change {
                Change::Gallery(change) => Some(change),
                _ => None,
            });
            index.apply(commit.revision, changes.collect()).await?;
        }
        reached = last;
    }
    for set in sets {
        let places = lacking.iter().filter(|(face_set, _)| *face_set == set.id).map(|(_, sequence)| *sequence);
        for places in places.collect::<Vec<_>>().chunks(PUT_ROWS) {
            // One that is not there any more was taken away by a commit since.
            let entries = gallery_rows(session, set, places).await?;
            let changes = entries.into_iter().map(|entry| GalleryChange::Put { face_set: set.id, entry });
            index.apply(position.revision, changes.collect()).await?;
        }
    }
    index.resume(position.revision).await?;
    // Nobody searches yet: the store is being opened.
    let mut n_rows = 0;
    // What is searched elsewhere is not among the index's own rows.
    for set in sets.iter().filter(|set| !index.is_elsewhere(set.id)) {
        match compared(session, set, index).await? {
            Some(n) => n_rows += n,
            None => return unusable("it does not show the faces that the database has"),
        }
    }
    Ok(Some(n_rows))
}

/// Rows of a set that the index shows, if they are those that the tables have but for damaged ones.
async fn compared(session: &Session, set: &FaceSet, index: &dyn VectorIndex) -> Answer<Option<u64>> {
    let shown = index.matching(set.id, Arc::new(Filter::Every(Vec::new()))).await?;
    let (mut shown_idx, mut lacking, mut after) = (0, Vec::new(), -1_i64);
    loop {
        let sql = "SELECT sequence FROM gallery WHERE face_set = $1 AND sequence > $2 ORDER BY sequence LIMIT $3";
        let page = session.query(sql, &[&rows::number(set.id.get()), &after, &COMPARED]).await?;
        for row in &page {
            after = row.try_get(0)?;
            let sequence = after.cast_unsigned();
            match shown.get(shown_idx) {
                Some(&next) if next == sequence => shown_idx += 1,
                Some(&next) if next < sequence => return Ok(None),
                _ if lacking.len() == LACKING_MAX => return Ok(None),
                _ => lacking.push(sequence),
            }
        }
        if (page.len() as i64) < COMPARED {
            break;
        }
    }
    let is_all = shown_idx == shown.len() && gallery_rows(session, set, &lacking).await?.is_empty();
    Ok(is_all.then_some(shown.len() as u64))
}

impl std::fmt::Debug for Note {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path.fmt(formatter)
    }
}

/// Opens the note of a node that has a folder; without one every start reads all faces.
pub(super) fn note_in(folder: Option<&Path>) -> Answer<Option<Note>> {
    let Some(folder) = folder else { return Ok(None) };
    let note = Note::open(folder).map_err(|error| {
        let path = folder.join(FILE);
        Failure::from(likeness_domain::Error::internal(format!("cannot open `{}`", path.display()), error))
    });
    note.map(Some)
}
