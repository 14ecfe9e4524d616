//! The picture of a request: a file, Base64 or an address, and where in it the face is.

use std::time::Duration;

use likeness_domain::library::ImageInput;
use likeness_domain::ports::{Count, ImageFormats, ImageRules};
use likeness_domain::types::BoundingBox;

use super::errors::Failure;
use super::settings::Settings;
use crate::megvii::fields::Fields;
use crate::megvii::picture::{self, Content};

/// What the fields of a picture are called.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldNames {
    pub(super) file: &'static str,
    pub(super) base64: &'static str,
    pub(super) url: &'static str,
    pub(super) rectangle: &'static str,
}

/// Of calls with one picture.
pub(super) const ONLY: FieldNames =
    FieldNames { file: "image_file", base64: "image_base64", url: "image_url", rectangle: "face_rectangle" };
/// Of the two sides of `compare`, with the odd names of the reference.
pub(super) const SIDES: [FieldNames; 2] = [
    FieldNames { file: "image_file1", base64: "image_base64_1", url: "image_url1", rectangle: "face_rectangle1" },
    FieldNames { file: "image_file2", base64: "image_base64_2", url: "image_url2", rectangle: "face_rectangle2" },
];

/// A picture that came with a request.
pub(super) struct Given<'a> {
    pub(super) picture: picture::Given<'a>,
    /// Where in it the face is, if the client says so.
    pub(super) place: Option<BoundingBox>,
}

/// The picture that counts: a file before Base64 before an address.
pub(super) fn given(fields: &Fields, names: FieldNames) -> Result<Option<Given<'_>>, Failure> {
    let FieldNames { file, base64, url, rectangle } = names;
    let known = [(file, Content::File), (base64, Content::Base64), (url, Content::Address)];
    let Some(picture) = picture::given(fields, known) else { return Ok(None) };
    let place = match fields.text(rectangle)? {
        Some(text) => Some(place(text).ok_or_else(|| Failure::malformed(rectangle))?),
        None => None,
    };
    Ok(Some(Given { picture, place }))
}

/// `top,left,width,height`.
fn place(text: &str) -> Option<BoundingBox> {
    let numbers: Option<Vec<u32>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    let [top, left, width, height] = numbers?[..] else { return None };
    (width > 0 && height > 0).then_some(BoundingBox { left, top, width, height })
}

impl Given<'_> {
    /// The picture as the library takes it.
    pub(super) fn picture(&self, settings: &Settings) -> Result<ImageInput, Failure> {
        let formats = ImageFormats::JPEG.and(ImageFormats::PNG);
        let Settings { max_image_bytes: bytes_max, max_side: side_max, min_side: side_min, .. } = *settings;
        let rules = ImageRules { formats, bytes_max, side_max, side_min };
        let fetch_deadline = Duration::from_secs(settings.fetch_timeout_s.into());
        Ok(ImageInput { source: self.picture.source()?, rules, fetch_deadline, count: Count::No })
    }
}
