//! Questions about images: detect, compare, search.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use super::{Candidate, Comparison, Direction, ImageInput, Library, Probe, Search, SearchAnswer, SortKey};
use crate::caller::{Caller, Grant};
use crate::filter::Filter;
use crate::limits;
use crate::policy::FaceChoice;
use crate::ports::{Analysis, AnalyzedFace, FaceScope, GallerySearch};
use crate::types::{Detection, Face, FaceSet, FieldSchema, FieldValue, PackId, Template};
use crate::{Error, Kind, Result};

/// Hits asked of the index beyond `top_k`: as many may vanish between the scan and the look-up in the store without
/// the answer getting shorter. Only deletes that race with this very search count against it.
const SPARE_HITS: usize = 16;

impl Library {
    /// Every face in an image, largest first; none is an empty list. Needs the search grant. The image kinds.
    pub async fn detect(&self, caller: &Caller, image: ImageInput) -> Result<Analysis> {
        caller.require(Grant::Search)?;
        let pack = self.default_pack()?.id.clone();
        self.analyze(&image, &pack, FaceChoice::None).await
    }

    /// How similar the largest faces of two images are, with the default pack. Needs the search grant.
    /// The image kinds and `NoFaceInImage`; [`Error::field`] says which image (`first image`, `second image`). When
    /// both are at fault, the first is named.
    pub async fn compare(&self, caller: &Caller, images: [ImageInput; 2]) -> Result<Comparison> {
        caller.require(Grant::Search)?;
        let pack = self.default_pack()?.id.clone();
        let [first, second] = &images;
        let (first, second) =
            join(self.compared_face(first, &pack, "first image"), self.compared_face(second, &pack, "second image"))
                .await?;
        let similarity = first.1.similarity(&second.1).ok_or_else(super::foreign_template)?;
        Ok(Comparison { faces: [first.0, second.0], similarity, pack })
    }

    async fn compared_face(
        &self,
        image: &ImageInput,
        pack: &PackId,
        which: &'static str,
    ) -> Result<(Detection, Template)> {
        let analysis = self.analyze(image, pack, FaceChoice::Largest).await.map_err(|err| err.with_field(which))?;
        let Some(face) = analysis.faces.into_iter().next() else {
            return Err(Error::new(Kind::NoFaceInImage, format!("the {which} shows no face")).with_field(which));
        };
        Ok((face.detection, super::template_of(&face, pack)?))
    }

    /// Who in a face set resembles the probe. Needs the search grant. No candidate is an empty list. Checked in this
    /// order: `FaceSetNotFound`, filter and sort (`UnknownField`, `SortFieldNotNumeric`, `InvalidArgument`),
    /// `PackUnavailable`, the image kinds, `NoFaceInImage`; `FaceNotFound` for an enrolled probe that is not in the
    /// set.
    pub async fn search(&self, caller: &Caller, request: Search) -> Result<SearchAnswer> {
        caller.require(Grant::Search)?;
        let face_set = self.existing_face_set(caller, &request.face_set).await?.face_set;
        let filter = request.filter.as_ref().map(|expr| expr.check(&face_set.schema)).transpose()?;
        check_sort(&request.sort, &face_set.schema)?;
        if !(1..=limits::TOP_K_MAX).contains(&request.top_k) {
            let message = format!("`top_k` is {}, expected 1 to {}", request.top_k, limits::TOP_K_MAX);
            return Err(Error::invalid("top_k", message));
        }
        self.pack_of(&face_set)?;

        let (probe, detection) = self.probe(caller, &face_set, &request.probe).await?;
        let mut candidates = self.candidates(caller, &face_set, probe, filter, &request).await?;
        candidates.sort_by(|a, b| by_sort_keys(&request.sort, a, b));
        Ok(SearchAnswer { face_set, probe: detection, candidates })
    }

    /// The template to look for, and where it was if it came from an image.
    async fn probe(&self, caller: &Caller, face_set: &FaceSet, probe: &Probe) -> Result<(Template, Option<Detection>)> {
        match probe {
            Probe::Face(face) => Ok((self.existing_face(caller, face_set, *face).await?.template, None)),
            Probe::Image(image) => {
                let face = self.largest_face(image, &face_set.pack).await?;
                Ok((super::template_of(&face, &face_set.pack)?, Some(face.detection)))
            }
        }
    }

    async fn largest_face(&self, image: &ImageInput, pack: &PackId) -> Result<AnalyzedFace> {
        let analysis = self.analyze(image, pack, FaceChoice::Largest).await?;
        let no_face = || Error::new(Kind::NoFaceInImage, "the image shows no face");
        analysis.faces.into_iter().next().ok_or_else(no_face)
    }

    /// The best `top_k` by similarity, older first among equals, as the store knows them now.
    async fn candidates(
        &self,
        caller: &Caller,
        face_set: &FaceSet,
        probe: Template,
        filter: Option<Filter>,
        request: &Search,
    ) -> Result<Vec<Candidate>> {
        let question = GallerySearch {
            face_set: face_set.id,
            probe,
            top_k: request.top_k + SPARE_HITS,
            similarity_min: request.similarity_min,
            filter: filter.map(Arc::new),
            one_per_person: request.one_per_person,
        };
        let hits = self.ports.index.search(question).await?;
        if hits.is_empty() {
            return Ok(Vec::new());
        }
        let scope = FaceScope::FaceSet(face_set.id);
        let ids = hits.iter().map(|hit| hit.face).collect();
        let faces = self.ports.store.faces(caller.tenant, scope, ids).await?;
        let mut faces: HashMap<_, Face> = faces.into_iter().map(|face| (face.id, face)).collect();
        // The store is the truth: a hit it no longer has was deleted while we looked, and is not shown.
        let known = hits.into_iter().filter_map(|hit| {
            let face = faces.remove(&hit.face)?;
            Some(Candidate { face, similarity: hit.similarity })
        });
        Ok(known.take(request.top_k).collect())
    }
}

fn check_sort(sort: &[SortKey], schema: &FieldSchema) -> Result<()> {
    super::check_count("sort keys", sort.len(), limits::SORT_KEYS_MAX)?;
    for key in sort {
        let (_, field_type) = schema.find(&key.field).ok_or_else(|| super::unknown_field(&key.field))?;
        if !field_type.is_numeric() {
            let message =
                format!("cannot sort by custom field `{}` of type {}, expected a number", key.field, field_type.word());
            return Err(Error::new(Kind::SortFieldNotNumeric, message));
        }
    }
    Ok(())
}

/// Order by the keys, the first one first; faces without the field come last either way. Equal candidates keep their
/// order (the sort is stable), which is by falling similarity.
fn by_sort_keys(sort: &[SortKey], a: &Candidate, b: &Candidate) -> Ordering {
    let by_key = |key: &SortKey| {
        let (a, b) = (a.face.fields.get(&key.field), b.face.fields.get(&key.field));
        match (a, b) {
            (Some(a), Some(b)) => match key.direction {
                Direction::Ascending => by_number(a, b),
                Direction::Descending => by_number(b, a),
            },
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    };
    sort.iter().map(by_key).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Order of two values of one numeric field; they are of one variant, since the schema says so.
fn by_number(a: &FieldValue, b: &FieldValue) -> Ordering {
    match (a, b) {
        (FieldValue::Whole(a), FieldValue::Whole(b)) => a.cmp(b),
        // Not `total_cmp`: zero and minus zero are one number.
        (FieldValue::Real(a), FieldValue::Real(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        _ => Ordering::Equal,
    }
}

/// Drives both at once. The first one's error ends it; the second one's waits for the first, so that the same two
/// images always give the same error.
async fn join<A, B>(first: impl Future<Output = Result<A>>, second: impl Future<Output = Result<B>>) -> Result<(A, B)> {
    use std::task::Poll;
    let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
    let (mut first_done, mut second_done) = (None, None);
    std::future::poll_fn(move |context| {
        if first_done.is_none()
            && let Poll::Ready(result) = first.as_mut().poll(context)
        {
            match result {
                Ok(value) => first_done = Some(value),
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
        if second_done.is_none()
            && let Poll::Ready(result) = second.as_mut().poll(context)
        {
            second_done = Some(result);
        }
        match (first_done.take(), second_done.take()) {
            (Some(first), Some(second)) => Poll::Ready(second.map(|second| (first, second))),
            (first, second) => {
                (first_done, second_done) = (first, second);
                Poll::Pending
            }
        }
    })
    .await
}
