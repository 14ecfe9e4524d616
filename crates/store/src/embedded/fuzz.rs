//! Entries for fuzzing: bytes of our files, which may be damaged in any way, are read or refused.

use super::codec;
use super::identity;
use super::log_check;
use super::recover;
use crate::commits;

pub use super::backup::fuzz_backup_footer as backup_footer;

/// The identity file.
pub fn identity_file(bytes: &[u8]) {
    if let Some(identity) = identity::parse(bytes) {
        assert!(bytes.len() >= 40, "{identity:?}");
    }
}

/// Columns with a format of their own, all of them from the same bytes.
pub fn columns(bytes: &[u8]) {
    let _ = codec::tenant_of(bytes);
    let _ = codec::template_of("sample-1", bytes);
    let _ = codec::detection_of(bytes);
    let _ = codec::quality_of(Some(bytes));
    let _ = commits::refs_of(bytes);
    if let Ok(fields) = codec::fields_of(Some(bytes)) {
        let again = codec::fields_of(codec::fields_bytes(&fields).as_deref());
        assert_eq!(
            format!("{:?}", again.ok()),
            format!("{:?}", Some(fields)),
            "fields that were read are written the same"
        );
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = codec::pack_of(&text);
    if let Ok(schema) = codec::schema_of(&text) {
        let again = codec::schema_of(&codec::schema_text(&schema));
        assert_eq!(
            format!("{:?}", again.ok()),
            format!("{:?}", Some(schema)),
            "a schema that was read is written the same"
        );
    }
}

/// A page of a damaged database, every row in it and at every byte; and of a log, as which it is compared with its database.
pub fn damaged_page(page: &[u8]) {
    recover::fuzz_page(page);
    log_check::fuzz_page(page);
}
