//! Words of the family to ours and back.

use std::collections::HashSet;

use likeness_domain::types::FaceId;

use super::dto::FaceFailure;

/// What stands for every face of a set in a list of tokens.
pub(crate) const REMOVE_ALL: &str = "RemoveAllFaceTokens";

/// Items of a list with commas; blanks around them do not count, and empty ones are passed over.
pub(crate) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim_ascii).filter(|item| !item.is_empty())
}

/// A note or a subject as it is sent: empty if there is none.
pub(crate) fn text(given: Option<&impl ToString>) -> String {
    given.map(ToString::to_string).unwrap_or_default()
}

/// The tokens whose faces were not removed, each with this reason. A token given twice is removed once, and the second
/// is reported like any other that is not there.
pub(crate) fn not_removed(
    tokens: impl IntoIterator<Item = (String, Option<FaceId>)>,
    removed: Vec<FaceId>,
    reason: &'static str,
) -> Vec<FaceFailure> {
    let mut removed: HashSet<FaceId> = removed.into_iter().collect();
    let failed = tokens.into_iter().filter(|(_, id)| !id.is_some_and(|id| removed.remove(&id)));
    failed.map(|(face_token, _)| FaceFailure { face_token, reason }).collect()
}
