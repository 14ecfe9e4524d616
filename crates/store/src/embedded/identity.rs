//! The identity file beside the database: which library this is, and which commit was acknowledged last.
//!
//! The database says the same of itself, so a database that was emptied, swapped or replaced by a foreign or older one is
//! noticed when it is opened. The last revision is written after each commit and not flushed: when a process is killed the
//! system still has it, and when power is lost it is at most some seconds old. It never runs ahead of the database, which is
//! flushed before; so a database that is behind it has lost commits.
//!
//! Layout, 88 bytes, numbers little-endian:
//!
//! | Bytes | What |
//! |---|---|
//! | 0..16 | `LikenessId v1`, filled with zeros |
//! | 16..32 | id of the library |
//! | 32..40 | XXH3 of the 32 bytes before |
//! | 40..64, 64..88 | two slots, written in turn so that a torn write leaves the other: revision (u64), next sequence number (u64), XXH3 of library id, revision and sequence number |

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use likeness_domain::types::Revision;
use likeness_domain::{Error, Kind};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::errors::{Answer, Failure};
use super::numbers::Counters;
use super::open_files::FileId;
use crate::folder::create_private;

/// Name of the file inside the data folder.
pub const IDENTITY_FILE: &str = "likeness.id";

/// Id of a library: random, the same for life, also across `backup` and `restore`.
pub(super) type LibraryId = [u8; 16];

const MAGIC: &[u8; 16] = b"LikenessId v1\0\0\0";
const HEAD_BYTES: usize = 40;
const SLOT_BYTES: usize = 24;
const FILE_BYTES: usize = HEAD_BYTES + 2 * SLOT_BYTES;

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) library: LibraryId,
    /// Revision and next sequence number after the last commit; `None` if neither slot can be read.
    pub(super) acknowledged: Option<(u64, u64)>,
}

/// What is in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// No file: a new folder, or a library of an older layout.
    Nothing,
    /// A file that is not what was written.
    Damaged,
    /// The identity.
    Identity(Identity),
}

/// Reads the file of a folder.
pub(super) fn read(dir: &Path) -> std::io::Result<Found> {
    match std::fs::read(dir.join(IDENTITY_FILE)) {
        Ok(bytes) => Ok(parse(&bytes).map_or(Found::Damaged, Found::Identity)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

/// What the bytes of a file say; `None` if the head is not what was written.
pub(super) fn parse(bytes: &[u8]) -> Option<Identity> {
    let head = bytes.get(..HEAD_BYTES)?;
    if head[..16] != *MAGIC || number(&head[32..40]) != xxh3_64(&head[..32]) {
        return None;
    }
    let library: LibraryId = head[16..32].try_into().ok()?;
    let acknowledged = slots(library, &bytes[HEAD_BYTES..]).into_iter().flatten().max();
    Some(Identity { library, acknowledged })
}

/// Revision and next sequence number in both slots; `None` for one that is not what was written.
fn slots(library: LibraryId, bytes: &[u8]) -> [Option<(u64, u64)>; 2] {
    let mut slots = bytes.chunks_exact(SLOT_BYTES);
    [(); 2].map(|()| {
        let slot = slots.next().filter(|slot| number(&slot[16..]) == slot_checksum(library, &slot[..16]))?;
        Some((number(&slot[..8]), number(&slot[8..16])))
    })
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn slot_checksum(library: LibraryId, numbers: &[u8]) -> u64 {
    let mut bytes = library.to_vec();
    bytes.extend_from_slice(numbers);
    xxh3_64(&bytes)
}

fn head(library: LibraryId) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..16].copy_from_slice(MAGIC);
    head[16..32].copy_from_slice(&library);
    let checksum = xxh3_64(&head[..32]);
    head[32..].copy_from_slice(&checksum.to_le_bytes());
    head
}

fn slot(library: LibraryId, counters: Counters) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&counters.revision.0.to_le_bytes());
    slot[8..16].copy_from_slice(&counters.next_sequence.to_le_bytes());
    let checksum = slot_checksum(library, &slot[..16]);
    slot[16..].copy_from_slice(&checksum.to_le_bytes());
    slot
}

/// The open file of the folder's owner. Without one (a full or read-only disk) nothing is written, and the database works
/// as well.
#[derive(Debug)]
pub(super) struct IdentityFile {
    file: Option<File>,
    library: LibraryId,
    /// Which slot is written next.
    slot_idx: usize,
}

impl IdentityFile {
    /// Opens the file for the library, writing it anew unless it is this library's already.
    pub(super) fn open(dir: &Path, library: LibraryId, counters: Counters) -> Self {
        let opened = match read(dir) {
            Ok(Found::Identity(identity)) if identity.library == library => {
                OpenOptions::new().write(true).open(dir.join(IDENTITY_FILE))
            }
            _ => create(dir, library, counters),
        };
        let file = opened
            .inspect_err(|error| {
                tracing::warn!(%error, "{IDENTITY_FILE} cannot be written: lost commits would go unnoticed");
            })
            .ok();
        let mut identity = Self { file, library, slot_idx: 0 };
        identity.acknowledge(counters);
        identity
    }

    /// Writes down that everything up to there is acknowledged. Not flushed: see the module's page.
    pub(super) fn acknowledge(&mut self, counters: Counters) {
        let Some(file) = &self.file else { return };
        let at = HEAD_BYTES + self.slot_idx * SLOT_BYTES;
        if let Err(error) = file.write_all_at(&slot(self.library, counters), at as u64) {
            // The commit is on disk; only the notice of a later loss would be missing.
            tracing::debug!(%error, "the revision was not written to {IDENTITY_FILE}");
        }
        self.slot_idx = 1 - self.slot_idx;
    }
}

/// Writes down, for a process that may not be the owner, that everything up to there is acknowledged, unless more was. Like the
/// owner's notes it is not flushed, and what the owner writes meanwhile may be written over: then the file is behind until the
/// next commit.
pub(super) fn acknowledge_beside(dir: &Path, library: LibraryId, revision: Revision, next_sequence: u64) {
    let Ok(bytes) = std::fs::read(dir.join(IDENTITY_FILE)) else { return };
    let Some(Identity { library: known, acknowledged }) = parse(&bytes) else { return };
    if known != library || acknowledged.is_some_and(|(reached, _)| reached >= revision.0) {
        return;
    }
    let next_sequence = acknowledged.map_or(next_sequence, |(_, known)| next_sequence.max(known));
    let counters = Counters { revision, next_sequence, last_commit: revision };
    // The other slot stays, in case this write is torn.
    let [first, second] = slots(library, &bytes[HEAD_BYTES..]);
    let slot_idx = usize::from(second < first);
    let written = OpenOptions::new()
        .write(true)
        .open(dir.join(IDENTITY_FILE))
        .and_then(|file| file.write_all_at(&slot(library, counters), (HEAD_BYTES + slot_idx * SLOT_BYTES) as u64));
    if let Err(error) = written {
        tracing::debug!(%error, "the revision was not written to {IDENTITY_FILE}");
    }
}

/// What stands for the library in this folder, and nowhere else: for files that belong to the folder's own history. A library
/// that was copied or restored has the same id, but an identity file of its own.
pub(super) fn folder_id(dir: &Path, library: LibraryId) -> LibraryId {
    let file = FileId::at(&dir.join(IDENTITY_FILE)).map_or_else(String::new, |id| id.to_string());
    let half = |seed| xxh3_64_with_seed(&[&library[..], file.as_bytes()].concat(), seed).to_le_bytes();
    let mut id = [0; 16];
    id[..8].copy_from_slice(&half(0));
    id[8..].copy_from_slice(&half(1));
    id
}

/// Writes the file whole under another name first, so that a crash leaves the old one or the new one.
pub(super) fn create(dir: &Path, library: LibraryId, counters: Counters) -> std::io::Result<File> {
    let mut bytes = head(library).to_vec();
    for _ in 0..2 {
        bytes.extend_from_slice(&slot(library, counters));
    }
    debug_assert_eq!(bytes.len(), FILE_BYTES);
    let unfinished = dir.join(format!("{IDENTITY_FILE}.new"));
    let file = create_private(&unfinished)?;
    file.write_all_at(&bytes, 0)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, dir.join(IDENTITY_FILE))?;
    File::open(dir)?.sync_all()?;
    Ok(file)
}

/// The identity file of a folder.
pub(super) fn identity_of(dir: &Path) -> Answer<Found> {
    read(dir).map_err(|error| {
        Failure::Said(
            Error::new(Kind::InvalidArgument, format!("cannot read `{}`: {error}", dir.join(IDENTITY_FILE).display()))
                .with_source(error),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: LibraryId = [7; 16];

    fn counters(revision: u64) -> Counters {
        Counters { revision: Revision(revision), next_sequence: revision * 2, last_commit: Revision(0) }
    }

    #[test]
    fn the_last_acknowledged_revision_is_read_back() {
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(read(scratch.path()).unwrap(), Found::Nothing);
        let mut file = IdentityFile::open(scratch.path(), LIBRARY, counters(3));
        for revision in 4..9 {
            file.acknowledge(counters(revision));
            let identity = Identity { library: LIBRARY, acknowledged: Some((revision, revision * 2)) };
            assert_eq!(read(scratch.path()).unwrap(), Found::Identity(identity));
        }
        drop(file);
        drop(IdentityFile::open(scratch.path(), LIBRARY, counters(8)));
        let Found::Identity(identity) = read(scratch.path()).unwrap() else { panic!("it is there") };
        assert_eq!(identity.acknowledged, Some((8, 16)));
    }

    #[test]
    fn a_process_beside_the_owner_never_takes_a_revision_back() {
        let scratch = tempfile::tempdir().unwrap();
        let acknowledged = || match read(scratch.path()).unwrap() {
            Found::Identity(identity) => identity.acknowledged,
            found => panic!("{found:?}"),
        };
        acknowledge_beside(scratch.path(), LIBRARY, Revision(1), 2);
        assert_eq!(read(scratch.path()).unwrap(), Found::Nothing, "it makes no file");
        let mut owner = IdentityFile::open(scratch.path(), LIBRARY, counters(5));
        owner.acknowledge(counters(6));
        for (library, revision, expected) in
            [(LIBRARY, 5, (6, 12)), ([8; 16], 9, (6, 12)), (LIBRARY, 7, (7, 14)), (LIBRARY, 8, (8, 16))]
        {
            acknowledge_beside(scratch.path(), library, Revision(revision), revision * 2);
            assert_eq!(acknowledged(), Some(expected));
        }
        owner.acknowledge(counters(9));
        assert_eq!(acknowledged(), Some((9, 18)));
    }

    #[test]
    fn a_copied_folder_has_another_id_of_its_own() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop(IdentityFile::open(first.path(), LIBRARY, counters(5)));
        std::fs::copy(first.path().join(IDENTITY_FILE), second.path().join(IDENTITY_FILE)).unwrap();
        let id = folder_id(first.path(), LIBRARY);
        drop(IdentityFile::open(first.path(), LIBRARY, counters(6)));
        assert_eq!(folder_id(first.path(), LIBRARY), id, "the same after it was opened again");
        assert_ne!(folder_id(second.path(), LIBRARY), id);
        assert_ne!(folder_id(first.path(), [8; 16]), id);
    }

    /// A write that is torn at any byte leaves the revision before it.
    #[test]
    fn a_torn_write_leaves_the_slot_before() {
        let mut whole = head(LIBRARY).to_vec();
        whole.extend(slot(LIBRARY, counters(5)));
        whole.extend(slot(LIBRARY, counters(6)));
        let next = slot(LIBRARY, counters(7));
        for cut in 0..SLOT_BYTES {
            let mut torn = whole.clone();
            torn[HEAD_BYTES..HEAD_BYTES + cut].copy_from_slice(&next[..cut]);
            assert_eq!(parse(&torn).unwrap().acknowledged.unwrap().0, 6, "cut at {cut}");
        }
    }

    #[test]
    fn another_byte_in_the_head_or_a_missing_end_is_damage() {
        let mut whole = head(LIBRARY).to_vec();
        whole.extend(slot(LIBRARY, counters(5)));
        for idx in 0..HEAD_BYTES {
            let mut other = whole.clone();
            other[idx] ^= 1;
            assert_eq!(parse(&other), None, "byte {idx}");
        }
        for len in 0..HEAD_BYTES {
            assert_eq!(parse(&whole[..len]), None);
        }
        assert_eq!(parse(&whole[..HEAD_BYTES]).unwrap().acknowledged, None);
    }
}
