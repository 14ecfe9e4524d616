//! Rows of a gallery as an index has them.

use likeness_domain::ports::GalleryEntry;
use likeness_domain::types::FaceSet;
use tokio_postgres::Row;

use super::errors::Answer;
use super::rows::{self, FACE_COLUMNS, VECTOR_COLUMNS};
use super::session::Session;
use crate::gallery::entry;

/// Some rows of a gallery.
pub(super) struct GalleryPage {
    /// Those that are whole.
    pub(super) entries: Vec<GalleryEntry>,
    /// Place of the last one looked at, if there may be more.
    pub(super) last: Option<i64>,
}

/// Rows of the gallery after a place in order of enrolment.
pub(super) async fn gallery_page(
    session: &Session,
    face_set: &FaceSet,
    after: i64,
    n_rows: i64,
) -> Answer<GalleryPage> {
    let page = "SELECT sequence FROM gallery WHERE face_set = $1 AND sequence > $2 ORDER BY sequence LIMIT $4";
    let id = rows::number(face_set.id.get());
    let found = session.query(&sql_of(page), &[&id, &after, &face_set.pack.as_str(), &n_rows]).await?;
    let last = found.last().map(|row| row.try_get(PLACE_COLUMN)).transpose()?;
    let is_full = found.len() as i64 >= n_rows;
    Ok(GalleryPage { entries: entries_of(&found, face_set)?, last: last.filter(|_| is_full) })
}

/// The rows at these places of the gallery, of those that are whole.
pub(super) async fn gallery_rows(session: &Session, face_set: &FaceSet, places: &[u64]) -> Answer<Vec<GalleryEntry>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let page = "SELECT sequence FROM gallery WHERE face_set = $1 AND sequence = ANY($2)";
    let places: Vec<i64> = places.iter().map(|place| place.cast_signed()).collect();
    let id = rows::number(face_set.id.get());
    let found = session.query(&sql_of(page), &[&id, &places, &face_set.pack.as_str()]).await?;
    entries_of(&found, face_set)
}

/// Which of the columns of [`sql_of`] is the place.
const PLACE_COLUMN: usize = rows::VECTOR_COLUMN + 3;

/// Faces and templates of the places in a gallery that `page` selects.
fn sql_of(page: &str) -> String {
    format!(
        "SELECT {FACE_COLUMNS}, {VECTOR_COLUMNS}, g.sequence FROM ({page}) AS g
         LEFT JOIN faces AS f ON f.sequence = g.sequence
           AND (f.face_set = $1 OR EXISTS
             (SELECT 1 FROM memberships AS m WHERE m.person = f.person AND m.face_set = $1))
         LEFT JOIN templates AS t ON t.face = g.sequence AND t.pack = $3
         ORDER BY g.sequence"
    )
}

fn entries_of(found: &[Row], face_set: &FaceSet) -> Answer<Vec<GalleryEntry>> {
    let mut entries = Vec::with_capacity(found.len());
    for row in found {
        match rows::face_and_template(row, face_set.tenant, &face_set.pack) {
            Ok((row, template)) => {
                entries.push(entry(&row.face, template, row.sequence.cast_unsigned(), &face_set.schema));
            }
            Err(failure) => {
                let (face_set, sequence): (u64, i64) = (face_set.id.get(), row.try_get(PLACE_COLUMN)?);
                // One damaged face must not take the whole library away: it is not searched.
                tracing::error!(face_set, sequence, %failure, "a face is left out of the index");
            }
        }
    }
    Ok(entries)
}
