//! The picture formats that can be written, chosen by the name of the file.

use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use jpeg_encoder::{ColorType, Encoder};
use likeness_domain::{Error, Result};

use super::canvas::Canvas;

/// JPEG quality, 1 to 100: thin lines and small letters stay clean.
const JPEG_QUALITY: u8 = 92;

/// A picture format that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// Exact, and large for photographs.
    Png,
    /// Small.
    Jpeg,
}

impl PictureFormat {
    /// The format that a file's name asks for by its ending: `.png`, `.jpg` or `.jpeg`, in capitals or not.
    pub fn of_name(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "png" => Ok(Self::Png),
            "jpg" | "jpeg" => Ok(Self::Jpeg),
            _ => Err(Error::invalid(
                "output",
                format!(
                    "cannot write a picture named `{}`, expected a name that ends with .png, .jpg or .jpeg",
                    path.display()
                ),
            )),
        }
    }
}

impl Canvas {
    /// The canvas as a file.
    pub fn encoded(&self, format: PictureFormat) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let (width, height) = (self.width(), self.height());
        match format {
            PictureFormat::Png => PngEncoder::new(&mut bytes)
                .write_image(self.data(), width, height, ExtendedColorType::Rgb8)
                .map_err(|err| Error::internal("cannot write a PNG picture", err))?,
            PictureFormat::Jpeg => {
                let too_large = |_| {
                    let message = format!("a picture of {width} x {height} pixels cannot be a JPEG");
                    Error::invalid("output", message).with_hint("write a .png")
                };
                let (width, height) = (width.try_into().map_err(too_large)?, height.try_into().map_err(too_large)?);
                // At this quality colour has the full resolution, which thin coloured lines need.
                Encoder::new(&mut bytes, JPEG_QUALITY)
                    .encode(self.data(), width, height, ColorType::Rgb)
                    .map_err(|err| Error::internal("cannot write a JPEG picture", err))?;
            }
        }
        Ok(bytes)
    }
}
