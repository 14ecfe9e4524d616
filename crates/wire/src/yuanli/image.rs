//! The picture of a request: `file` as bytes or `image` as Base64, each also as the other where clients mix them up.

use std::time::Duration;

use likeness_domain::library::ImageInput;
use likeness_domain::ports::{Count, ImageFormats, ImageRules};

use super::errors::Failure;
use super::settings::Settings;
use crate::megvii::fields::Fields;
use crate::megvii::picture::{self, Content, Given};

/// The field that counts; of both it is `file`, as the family of these services prefers the shorter way.
pub(super) fn given(fields: &Fields) -> Result<Given<'_>, Failure> {
    let found = picture::given(fields, [("file", Content::File), ("image", Content::Base64)]);
    found.ok_or_else(|| Failure::missing("image, file"))
}

/// Refuses both fields together, where the operator wants that.
pub(super) fn check_coexistence(fields: &Fields, settings: &Settings) -> Result<(), Failure> {
    if settings.strict_coexistence && fields.get("file").is_some() && fields.get("image").is_some() {
        return Err(Failure::bad("COEXISTENCE_ARGUMENTS"));
    }
    Ok(())
}

/// The picture as the library takes it.
pub(super) fn input(given: Given<'_>, settings: &Settings) -> Result<ImageInput, Failure> {
    let formats = ImageFormats::JPEG.and(ImageFormats::PNG).and(ImageFormats::BMP);
    let Settings { max_image_bytes: bytes_max, max_side: side_max, min_side: side_min, .. } = *settings;
    let rules = ImageRules { formats, bytes_max, side_max, side_min };
    // Nothing is fetched in this dialect.
    Ok(ImageInput { source: given.source()?, rules, fetch_deadline: Duration::ZERO, count: Count::No })
}
