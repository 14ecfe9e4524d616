//! Where faces are looked for: the galleries of face sets, persons, whole tenants.

use std::collections::HashSet;

use likeness_domain::ports::FaceScope;
use likeness_domain::types::FaceId;

use super::rows::number;

/// Whether the scope `$1` is the tenant `$2`'s and not deleted, and whether `f` is in it. That a face of a gallery belongs to the
/// set or to a member is asked for once more, since rows of `gallery` have no checksum.
const IN_GALLERY: &str =
    "EXISTS (SELECT 1 FROM face_sets AS s WHERE s.id = $1 AND s.tenant = $2 AND s.name IS NOT NULL)
     AND EXISTS (SELECT 1 FROM gallery AS g WHERE g.face_set = $1 AND g.sequence = f.sequence)
     AND (f.face_set = $1 OR EXISTS (SELECT 1 FROM memberships AS m WHERE m.person = f.person AND m.face_set = $1))";
const OF_PERSON: &str = "f.person = $1
     AND EXISTS (SELECT 1 FROM persons AS p WHERE p.id = $1 AND p.tenant = $2 AND p.key IS NOT NULL)";
const OF_TENANT: &str = "$1::int8 = 0
     AND (EXISTS (SELECT 1 FROM face_sets AS s WHERE s.id = f.face_set AND s.tenant = $2 AND s.name IS NOT NULL)
       OR EXISTS (SELECT 1 FROM persons AS p WHERE p.id = f.person AND p.tenant = $2 AND p.key IS NOT NULL))";

/// The condition that `faces AS f` is in the scope `$1`, or anywhere in the tenant `$2`, and the value of `$1`.
pub(super) fn in_scope(scope: Option<FaceScope>) -> (&'static str, i64) {
    match scope {
        Some(FaceScope::FaceSet(id)) => (IN_GALLERY, number(id.get())),
        Some(FaceScope::Person(id)) => (OF_PERSON, number(id.get())),
        None => (OF_TENANT, 0),
    }
}

/// The ids, each once, in the order asked for.
pub(super) fn each_once(ids: Vec<FaceId>) -> Vec<i64> {
    let mut seen = HashSet::new();
    ids.into_iter().filter(|&id| seen.insert(id)).map(|id| number(id.get())).collect()
}
