//! Questions about images: detect, compare, search.

use super::{Comparison, ImageInput, Library, Search, SearchAnswer};
use crate::Result;
use crate::caller::Caller;
use crate::ports::Analysis;

impl Library {
    /// Every face in an image, largest first; none is an empty list. Needs the search grant.
    pub async fn detect(&self, caller: &Caller, image: ImageInput) -> Result<Analysis> {
        let _ = (caller, image);
        todo!()
    }

    /// How similar the largest faces of two images are, with the default pack. Needs the search grant.
    /// `NoFaceInImage` says which image.
    pub async fn compare(&self, caller: &Caller, images: [ImageInput; 2]) -> Result<Comparison> {
        let _ = (caller, images);
        todo!()
    }

    /// Who in a face set resembles the probe. Needs the search grant. No candidate is an empty list. Checked in this
    /// order: `FaceSetNotFound`, filter and sort (`UnknownField`, `SortFieldNotNumeric`, `InvalidArgument`), the image
    /// kinds, `NoFaceInImage`; `FaceNotFound` for an enrolled probe that is not in the set.
    pub async fn search(&self, caller: &Caller, request: Search) -> Result<SearchAnswer> {
        let _ = (caller, request);
        todo!()
    }
}
