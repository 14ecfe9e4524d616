//! Acknowledged commits that went missing, until somebody says that they have seen it.
//!
//! A loss is noticed by the opening that finds the database behind the identity file ([`super::opening`]), once: afterwards the
//! numbers go on behind it. Therefore it is written to a file of its own, which stays until the loss is acknowledged
//! ([`Losses::acknowledge`]). It stands beside the database and not in it, since the database is what may be replaced.
//!
//! The file has a line for each loss: the first and the last revision that are missing, when that was noticed (ms since 1970),
//! the id of the library and the XXH3 of the line up to there.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use likeness_domain::types::TimestampMs;
use xxhash_rust::xxh3::xxh3_64;

use super::identity::LibraryId;
use super::schema::DATABASE_FILE;
use crate::folder::create_private;

/// Name of the file inside the data folder.
pub const LOSSES_FILE: &str = "likeness.losses";

/// Most losses that are kept; further ones are logged only.
const LOSSES_MAX: usize = 100;

/// A stretch of acknowledged commits that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loss {
    /// The first revision that is missing.
    pub(super) first: u64,
    /// The last one.
    pub(super) last: u64,
    /// When it was noticed.
    pub(super) noticed_at: TimestampMs,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "acknowledged commits {} to {} are missing: the database or its log `{DATABASE_FILE}-wal` was damaged, \
             replaced or restored from an older copy; a newer backup may have them, else enrol again what is missing, see \
             with `likeness key list` whether access keys are back that were disabled or deleted, and then end this notice with `likeness check --acknowledge-loss`",
            self.first, self.last
        )
    }
}

/// The losses that nobody has acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Losses {
    pub(super) known: Vec<Loss>,
    /// Whether lines of the file are not what was written.
    is_damaged: bool,
}

impl Losses {
    /// Those of a library that the file in its folder has. A file that cannot be read is a loss that is not known.
    pub(super) fn read(dir: &Path, library: LibraryId) -> Self {
        match std::fs::read(dir.join(LOSSES_FILE)) {
            Ok(bytes) => Self::parse(&String::from_utf8_lossy(&bytes), library),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                tracing::warn!(%error, "{LOSSES_FILE} cannot be read");
                Self { known: Vec::new(), is_damaged: true }
            }
        }
    }

    fn parse(text: &str, library: LibraryId) -> Self {
        let mut losses = Self::default();
        for line in text.lines() {
            match parse_line(line) {
                // One of another library: its database was moved away.
                Some((_, other)) if other != library => {}
                Some((loss, _)) if losses.known.len() < LOSSES_MAX => losses.known.push(loss),
                Some(_) => {}
                None => losses.is_damaged = true,
            }
        }
        losses
    }

    /// Keeps one more, in memory and in the file. Without the file (a full or read-only disk) it is known as long as the
    /// process runs.
    pub(super) fn add(&mut self, dir: &Path, library: LibraryId, loss: Loss) {
        let is_known = |known: &Loss| (known.first, known.last) == (loss.first, loss.last);
        // An opening that was cut short has written it already.
        if self.known.iter().any(is_known) || self.known.len() >= LOSSES_MAX {
            return;
        }
        self.known.push(loss);
        if let Err(error) = self.write(dir, library) {
            tracing::warn!(%error, "{LOSSES_FILE} cannot be written: the loss is reported until the process ends");
        }
    }

    /// Writes those of another folder into this one, if there are any.
    pub(super) fn keep(&self, dir: &Path, library: LibraryId) {
        if self.n_known() == 0 {
            return;
        }
        let written = if self.is_damaged {
            // A line that is not what was written says that some are not known.
            std::fs::write(dir.join(LOSSES_FILE), "damaged\n")
        } else {
            self.write(dir, library)
        };
        if let Err(error) = written {
            tracing::warn!(%error, "{LOSSES_FILE} cannot be written");
        }
    }

    /// Writes the file whole under another name first, so that a crash leaves the old one or the new one.
    fn write(&self, dir: &Path, library: LibraryId) -> std::io::Result<()> {
        let text: String = self.known.iter().map(|loss| line(loss, library)).collect();
        let unfinished = dir.join(format!("{LOSSES_FILE}.new"));
        let mut file = create_private(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&unfinished, dir.join(LOSSES_FILE))?;
        File::open(dir)?.sync_all()
    }

    /// Somebody has seen them: removes the file. Returns what they said.
    pub(super) fn acknowledge(&mut self, dir: &Path) -> std::io::Result<Vec<String>> {
        match std::fs::remove_file(dir.join(LOSSES_FILE)) {
            Ok(()) => File::open(dir)?.sync_all()?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(std::mem::take(self).words())
    }

    /// How many there are.
    pub(super) fn n_known(&self) -> u64 {
        self.known.len() as u64 + u64::from(self.is_damaged)
    }

    /// For people.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.known.iter().map(Loss::to_string).collect();
        if self.is_damaged {
            words.push(format!(
                "`{LOSSES_FILE}` is damaged: acknowledged commits are missing, which ones is not known any more; compare with \
                 a backup, and then end this notice with `likeness check --acknowledge-loss`"
            ));
        }
        words
    }
}

fn line(loss: &Loss, library: LibraryId) -> String {
    let library: String = library.iter().map(|byte| format!("{byte:02x}")).collect();
    let head = format!("{} {} {} {library}", loss.first, loss.last, loss.noticed_at.0);
    format!("{head} {:016x}\n", xxh3_64(head.as_bytes()))
}

fn parse_line(line: &str) -> Option<(Loss, LibraryId)> {
    let (head, checksum) = line.rsplit_once(' ')?;
    if u64::from_str_radix(checksum, 16).ok()? != xxh3_64(head.as_bytes()) {
        return None;
    }
    let mut words = head.split(' ');
    let loss = Loss {
        first: words.next()?.parse().ok()?,
        last: words.next()?.parse().ok()?,
        noticed_at: TimestampMs(words.next()?.parse().ok()?),
    };
    let library = u128::from_str_radix(words.next()?, 16).ok()?;
    words.next().is_none().then_some((loss, library.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: LibraryId = [7; 16];

    fn loss(first: u64) -> Loss {
        Loss { first, last: first + 2, noticed_at: TimestampMs(5) }
    }

    #[test]
    fn losses_are_read_back_until_they_are_acknowledged() {
        let scratch = tempfile::tempdir().unwrap();
        let mut losses = Losses::read(scratch.path(), LIBRARY);
        assert_eq!(losses, Losses::default());
        losses.add(scratch.path(), LIBRARY, loss(3));
        losses.add(scratch.path(), LIBRARY, loss(9));
        // An opening that is repeated notices the same again.
        losses.add(scratch.path(), LIBRARY, Loss { noticed_at: TimestampMs(6), ..loss(9) });
        assert_eq!(Losses::read(scratch.path(), LIBRARY).known, [loss(3), loss(9)]);
        assert_eq!(Losses::read(scratch.path(), [8; 16]), Losses::default(), "those of another library");
        let words = losses.acknowledge(scratch.path()).unwrap();
        assert!(words.len() == 2 && words[1].starts_with("acknowledged commits 9 to 11 are missing"), "{words:?}");
        assert_eq!(losses.n_known(), 0);
        assert_eq!(Losses::read(scratch.path(), LIBRARY), Losses::default());
        assert_eq!(losses.acknowledge(scratch.path()).unwrap(), [] as [String; 0]);
    }

    /// Another byte anywhere, or a cut, is a loss that is not known, never none.
    #[test]
    fn a_damaged_file_is_said() {
        let whole = line(&loss(3), LIBRARY);
        for idx in 0..whole.len() - 1 {
            let mut bytes = whole.clone().into_bytes();
            bytes[idx] ^= 1;
            let losses = Losses::parse(&String::from_utf8_lossy(&bytes), LIBRARY);
            assert_eq!(losses.n_known(), 1, "byte {idx}");
            assert!(losses.words()[0].contains("is damaged"), "byte {idx}");
        }
        for len in 1..whole.len() - 1 {
            assert_eq!(Losses::parse(&whole[..len], LIBRARY).n_known(), 1, "cut at {len}");
        }
    }
}
