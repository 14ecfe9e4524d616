use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_folder_has_one_owner_and_names_it() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("deep/data");
    let owner = DataFolder::lock(&dir).unwrap();
    let refused = DataFolder::lock(&dir).unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidArgument);
    let expected = format!("data folder `{}` is in use by process {}", dir.display(), std::process::id());
    assert!(refused.message().starts_with(&expected), "{refused}");
    assert!(refused.hint().is_some(), "{refused}");
    drop(owner);
    assert_eq!(DataFolder::lock(&dir).unwrap().path(), dir);
}

#[test]
fn a_stale_lock_file_is_no_obstacle() {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join(LOCK_FILE), "999999999").unwrap();
    let owner = DataFolder::lock(scratch.path()).unwrap();
    assert_eq!(fs::read_to_string(scratch.path().join(LOCK_FILE)).unwrap(), std::process::id().to_string());
    drop(owner);
}

#[test]
fn folder_and_lock_are_private() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let _owner = DataFolder::lock(&dir).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(dir.join(LOCK_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A process that is being started has copies of all open files until it runs its program. A backup was refused once because
/// the lock of the restore before lived on in one.
#[test]
fn a_lock_that_was_given_up_is_free_while_processes_are_started() {
    let scratch = tempfile::tempdir().unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                std::process::Command::new("true").status().unwrap();
            }
            is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
            drop(DataFolder::lock(scratch.path()).unwrap());
        }
    });
}
