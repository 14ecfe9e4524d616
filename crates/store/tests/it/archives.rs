//! What every place for archives does, in a folder and in memory.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use likeness_domain::Kind;
use likeness_domain::ports::{ArchiveBounds, ArchiveId, ArchiveStore};
use likeness_domain::types::{TenantId, TimestampMs};
use likeness_store::archives::{ArchiveFolder, MemoryArchives};

const BOUNDS: ArchiveBounds =
    ArchiveBounds { bytes_max: 150, tenant_bytes_max: 100, tenant_archives_max: 2, lifetime_ms: 60_000 };

const NOW: TimestampMs = TimestampMs(1_795_293_400_000);

fn id(tenant: u128, number: u64) -> ArchiveId {
    ArchiveId { tenant: TenantId::from_bits(tenant), number }
}

fn content(archives: &dyn ArchiveStore, id: ArchiveId, now: TimestampMs) -> Option<Vec<u8>> {
    let opened = archives.open(id, 0, now).unwrap()?;
    let mut bytes = Vec::new();
    { opened.reader }.read_to_end(&mut bytes).unwrap();
    assert_eq!((opened.n_bytes, opened.written_at <= now), (bytes.len() as u64, true));
    Some(bytes)
}

/// Runs a case over each place.
fn each(case: impl Fn(&dyn ArchiveStore)) {
    case(&MemoryArchives::new(BOUNDS));
    let folder = tempfile::tempdir().unwrap();
    case(&ArchiveFolder::new(folder.path().join("archives"), BOUNDS, 0));
}

#[test]
fn what_is_written_again_replaces_what_was_there_and_behind_it() {
    each(|archives| {
        assert_eq!(content(archives, id(1, 1), NOW), None);
        archives.write(id(1, 1), 0, b"one", NOW).unwrap();
        archives.write(id(1, 1), 3, b"two and more", NOW).unwrap();
        archives.write(id(1, 1), 3, b"two", NOW).unwrap();
        assert_eq!(content(archives, id(1, 1), NOW).unwrap(), b"onetwo");
        // Of another tenant it was never there.
        assert_eq!(content(archives, id(2, 1), NOW), None);
        archives.write(id(1, 1), 0, b"anew", NOW).unwrap();
        assert_eq!(content(archives, id(1, 1), NOW).unwrap(), b"anew");
    });
}

#[test]
fn an_archive_that_was_erased_does_not_come_back_in_part() {
    each(|archives| {
        archives.write(id(1, 1), 0, b"one", NOW).unwrap();
        let opened = archives.open(id(1, 1), 0, NOW).unwrap().unwrap();
        archives.erase(id(1, 1)).unwrap();
        archives.erase(id(1, 1)).unwrap();
        assert_eq!(archives.write(id(1, 1), 3, b"two", NOW).unwrap_err().kind(), Kind::UploadNotFound);
        assert_eq!(content(archives, id(1, 1), NOW), None);
        // Whoever reads it goes on.
        let mut bytes = Vec::new();
        { opened.reader }.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"one");
        // A place that the archive does not have.
        archives.write(id(1, 1), 0, b"one", NOW).unwrap();
        assert_eq!(archives.write(id(1, 1), 4, b"two", NOW).unwrap_err().kind(), Kind::UploadNotFound);
    });
}

#[test]
fn bytes_and_archives_are_bounded_for_each_tenant_and_in_all() {
    each(|archives| {
        let refused = |kind, id, at, n_bytes: usize| {
            let error = archives.write(id, at, &vec![0; n_bytes], NOW).unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.hint().is_some());
            error.message().to_owned()
        };
        archives.write(id(1, 1), 0, &[0; 60], NOW).unwrap();
        archives.write(id(1, 2), 0, &[0; 30], NOW).unwrap();
        assert!(refused(Kind::CapacityExceeded, id(1, 2), 30, 11).contains("more than 100 bytes"));
        assert!(refused(Kind::CapacityExceeded, id(1, 3), 0, 1).contains("2 archives"));
        archives.write(id(2, 1), 0, &[0; 60], NOW).unwrap();
        assert!(refused(Kind::Overloaded, id(2, 2), 0, 31).contains("no room for further archives"));
        // What was refused has changed nothing, and what is erased makes room.
        assert_eq!(content(archives, id(1, 2), NOW).unwrap().len(), 30);
        archives.erase(id(1, 1)).unwrap();
        archives.write(id(2, 2), 0, &[0; 40], NOW).unwrap();
    });
}

#[test]
fn archives_go_when_their_time_is_over_and_with_their_tenant() {
    each(|archives| {
        archives.write(id(1, 1), 0, b"one", NOW).unwrap();
        archives.write(id(1, 2), 0, b"two", NOW).unwrap();
        archives.write(id(2, 1), 0, b"three", NOW).unwrap();
        archives.touch(id(1, 2), TimestampMs(NOW.0 + 30_000)).unwrap();
        archives.touch(id(9, 9), NOW).unwrap();
        let later = TimestampMs(NOW.0 + 60_000);
        assert_eq!(content(archives, id(1, 1), later), None);
        // What is over is not revived.
        archives.touch(id(1, 1), later).unwrap();
        assert_eq!(archives.owners().unwrap(), [1, 2].map(TenantId::from_bits).into());
        assert_eq!(archives.purge_expired_archives(later).unwrap(), 2);
        assert_eq!(archives.owners().unwrap(), [TenantId::from_bits(1)].into());
        assert_eq!(content(archives, id(1, 2), later).unwrap(), b"two");
        archives.write(id(2, 1), 0, b"three", later).unwrap();
        archives.erase_all_of(TenantId::from_bits(1)).unwrap();
        assert_eq!((content(archives, id(1, 2), later), content(archives, id(2, 1), later).is_some()), (None, true));
    });
}

#[test]
fn a_folder_of_archives_is_its_owners_alone_and_leaves_strange_files_and_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archives");
    let archives = ArchiveFolder::new(&path, BOUNDS, 0);
    archives.write(id(1, 1), 0, b"one", NOW).unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let file = std::fs::read_dir(&path).unwrap().next().unwrap().unwrap().path();
    assert_eq!(mode(&file), 0o600);
    std::fs::write(path.join("notes.txt"), [0; 500]).unwrap();
    archives.write(id(1, 1), 3, b"two", NOW).unwrap();
    archives.purge_expired_archives(TimestampMs(NOW.0 + 60_000)).unwrap();
    assert!(path.join("notes.txt").exists() && !file.exists());
    // A disk that is nearly full is left to what matters more.
    let careful = ArchiveFolder::new(&path, BOUNDS, u64::MAX);
    assert_eq!(careful.write(id(1, 1), 0, b"one", NOW).unwrap_err().kind(), Kind::StorageFull);
}
