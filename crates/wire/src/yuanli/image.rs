//! The picture of a request: `file` as bytes or `image` as Base64, each also as the other where clients mix them up.

use std::time::Duration;

use bytes::Bytes;
use likeness_domain::library::{ImageInput, ImageSource};
use likeness_domain::ports::{Count, ImageFormats, ImageRules};

use super::errors::Failure;
use super::settings::Settings;
use crate::megvii::fields::{Field, Fields};
use crate::megvii::picture;

/// The field a picture came in, and what it holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    /// `file` or `image`.
    pub(super) name: &'static str,
    field: &'a Field,
}

/// The field that counts; of both it is `file`, as the family of these services prefers the shorter way.
pub(super) fn given(fields: &Fields) -> Result<Given<'_>, Failure> {
    let found = ["file", "image"].into_iter().find_map(|name| Some(Given { name, field: fields.get(name)? }));
    found.ok_or_else(|| Failure::missing("image, file"))
}

/// Refuses both fields together, where the operator wants that.
pub(super) fn check_coexistence(fields: &Fields, settings: &Settings) -> Result<(), Failure> {
    if settings.strict_coexistence && fields.get("file").is_some() && fields.get("image").is_some() {
        return Err(Failure::bad("COEXISTENCE_ARGUMENTS"));
    }
    Ok(())
}

impl Given<'_> {
    /// The picture as the library takes it.
    pub(super) fn picture(self, settings: &Settings) -> Result<ImageInput, Failure> {
        let bytes = self.bytes().ok_or_else(|| Failure::no_picture(self.name))?;
        let formats = ImageFormats::JPEG.and(ImageFormats::PNG).and(ImageFormats::BMP);
        let Settings { max_image_bytes: bytes_max, max_side: side_max, min_side: side_min, .. } = *settings;
        let rules = ImageRules { formats, bytes_max, side_max, side_min };
        // Nothing is fetched in this dialect.
        Ok(ImageInput { source: ImageSource::Bytes(bytes), rules, fetch_deadline: Duration::ZERO, count: Count::No })
    }

    fn bytes(self) -> Option<Bytes> {
        if self.name == "file" { Some(picture::of_file(self.field)) } else { picture::of_text(self.field) }
    }
}
