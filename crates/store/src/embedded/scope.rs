//! Where faces are looked for and shown: the galleries of face sets, persons, whole tenants.

use std::collections::HashSet;

use likeness_domain::ports::{FaceScope, GalleryChange};
use likeness_domain::types::{Face, FaceId, FaceSet, FaceSetId, PersonId, Template, TenantId};
use rusqlite::Connection;

use super::checksums::MEMBERSHIPS;
use super::errors::Answer;
use super::rows::{self, SET_COLUMNS, SetRow};
use super::transaction::WriteTx;
use crate::gallery::entry;

/// A scope that exists and is the tenant's.
pub(super) enum Scope {
    FaceSet(Box<SetRow>),
    Person(PersonId),
}

pub(super) fn find_scope(conn: &Connection, tenant: TenantId, scope: FaceScope) -> Answer<Option<Scope>> {
    Ok(match scope {
        FaceScope::FaceSet(id) => rows::face_set(conn, tenant, id)?.map(|set| Scope::FaceSet(Box::new(set))),
        FaceScope::Person(id) => rows::person(conn, tenant, id)?.map(|_| Scope::Person(id)),
    })
}

/// The sets whose galleries show the person's faces of some pack, with their counts.
pub(super) fn sets_of_person(conn: &Connection, person: PersonId) -> Answer<Vec<SetRow>> {
    let sql = format!(
        "SELECT {SET_COLUMNS} FROM memberships AS m JOIN face_sets AS s ON s.id = m.face_set
         WHERE m.person = ?1 AND s.name IS NOT NULL AND {} ORDER BY m.sequence",
        MEMBERSHIPS.intact("m")
    );
    rows::intact(conn, &sql, [person.get()], rows::set_row)
}

/// Whether a scope `?1` is the tenant `?2`'s and not deleted, and whether `f` is in it. That a face of a gallery belongs to the
/// set or to a member is asked for once more, since rows of `gallery` have no checksum: a damaged one must not show a face of
/// another set.
const IN_GALLERY: &str =
    "EXISTS (SELECT 1 FROM face_sets AS s WHERE s.id = ?1 AND s.tenant = ?2 AND s.name IS NOT NULL)
     AND EXISTS (SELECT 1 FROM gallery AS g WHERE g.face_set = ?1 AND g.sequence = f.sequence)
     AND (f.face_set = ?1 OR EXISTS (SELECT 1 FROM memberships AS m WHERE m.person = f.person AND m.face_set = ?1))";
const OF_PERSON: &str = "f.person = ?1
     AND EXISTS (SELECT 1 FROM persons AS p WHERE p.id = ?1 AND p.tenant = ?2 AND p.key IS NOT NULL)";
const OF_TENANT: &str = "?1 = 0
     AND (EXISTS (SELECT 1 FROM face_sets AS s WHERE s.id = f.face_set AND s.tenant = ?2 AND s.name IS NOT NULL)
       OR EXISTS (SELECT 1 FROM persons AS p WHERE p.id = f.person AND p.tenant = ?2 AND p.key IS NOT NULL))";

/// The condition that `faces AS f` is in the scope `?1`, or anywhere in the tenant `?2`, and the value of `?1`. It needs no
/// look-up of its own before the statement that holds it.
pub(super) fn in_scope(scope: Option<FaceScope>) -> (&'static str, u64) {
    match scope {
        Some(FaceScope::FaceSet(id)) => (IN_GALLERY, id.get()),
        Some(FaceScope::Person(id)) => (OF_PERSON, id.get()),
        None => (OF_TENANT, 0),
    }
}

/// The ids as a JSON array, each once, in the order asked for.
pub(super) fn each_once(ids: Vec<FaceId>) -> String {
    let mut seen = HashSet::new();
    rows::json_array(ids.into_iter().filter(|&id| seen.insert(id)).map(FaceId::get))
}

/// Puts the face into the gallery of the set, with its template of the set's pack.
pub(super) fn show(
    tx: &mut WriteTx<'_>,
    face_set: &FaceSet,
    face: &Face,
    template: Template,
    sequence: u64,
) -> Answer<()> {
    into_gallery(tx.conn, face_set.id, sequence)?;
    let entry = entry(face, template, sequence, &face_set.schema);
    tx.push(GalleryChange::Put { face_set: face_set.id, entry });
    Ok(())
}

/// Writes that the gallery of the set has the face of that sequence.
pub(super) fn into_gallery(conn: &Connection, face_set: FaceSetId, sequence: u64) -> Answer<()> {
    let sql = "INSERT INTO gallery (face_set, sequence) VALUES (?1, ?2)";
    conn.prepare_cached(sql)?.execute((face_set.get(), sequence))?;
    Ok(())
}
