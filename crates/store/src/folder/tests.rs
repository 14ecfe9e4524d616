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
