//! The picture of a request: a file, Base64 or an address, and where in it the face is.

use std::time::Duration;

use likeness_domain::library::{ImageInput, ImageSource};
use likeness_domain::ports::{Count, ImageFormats, ImageRules};
use likeness_domain::types::BoundingBox;

use super::errors::Failure;
use super::settings::Settings;
use crate::megvii::fields::{Field, Fields};
use crate::megvii::picture;

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
    /// The field it came in.
    pub(super) name: &'static str,
    /// Where in it the face is, if the client says so.
    pub(super) place: Option<BoundingBox>,
    field: &'a Field,
    names: FieldNames,
}

/// The picture that counts: a file before Base64 before an address.
pub(super) fn given(fields: &Fields, names: FieldNames) -> Result<Option<Given<'_>>, Failure> {
    let FieldNames { file, base64, url, rectangle } = names;
    let found = [file, base64, url].into_iter().find_map(|name| Some((name, fields.get(name)?)));
    let Some((name, field)) = found else { return Ok(None) };
    let place = match fields.text(rectangle)? {
        Some(text) => Some(place(text).ok_or_else(|| Failure::malformed(rectangle))?),
        None => None,
    };
    Ok(Some(Given { name, place, field, names }))
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
        let source = if self.name == self.names.file {
            ImageSource::Bytes(picture::of_file(self.field))
        } else if self.name == self.names.base64 {
            ImageSource::Bytes(picture::of_text(self.field).ok_or_else(|| Failure::no_picture(self.name))?)
        } else {
            let invalid = |_| Failure::bad(format!("INVALID_IMAGE_URL: {}", self.name));
            ImageSource::Url(std::str::from_utf8(&self.field.bytes).map_err(invalid)?.trim().to_owned())
        };
        let formats = ImageFormats::JPEG.and(ImageFormats::PNG);
        let Settings { max_image_bytes: bytes_max, max_side: side_max, min_side: side_min, .. } = *settings;
        let rules = ImageRules { formats, bytes_max, side_max, side_min };
        Ok(ImageInput {
            source,
            rules,
            fetch_deadline: Duration::from_secs(settings.fetch_timeout_s.into()),
            count: Count::No,
        })
    }
}
