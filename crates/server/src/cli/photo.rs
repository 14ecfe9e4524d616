//! Photographs named on the command line.

use std::path::Path;

use bytes::Bytes;
use likeness_domain::{Error, Kind, limits};

use crate::outcome::failed;

/// Ends of file names that photographs have.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "webp", "gif"];

/// Whether a file's name says that it is a photograph. Only a folder is sifted this way; a file named by the user is
/// judged by its bytes.
pub(crate) fn has_photo_name(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// The bytes of a photograph. One that no library would take is not read at all.
pub(crate) fn read(path: &Path) -> Result<Bytes, Error> {
    read_within(path, limits::IMAGE_BYTES_MAX)
        .map_err(|reason| failed(format!("cannot read photograph {}: {reason}", path.display())))
}

/// The bytes of a file, or why they cannot be had.
pub(crate) fn read_within(path: &Path, bytes_max: usize) -> Result<Bytes, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if size.is_dir() {
        return Err("it is a folder".to_owned());
    }
    if size.len() > bytes_max as u64 {
        return Err(format!("it has {} bytes, expected at most {bytes_max}", size.len()));
    }
    std::fs::read(path).map(Bytes::from).map_err(|error| error.to_string())
}

/// A failure of a comparison, with the name of the photograph that it was about.
pub(crate) fn failure_of_two([first, second]: [&Path; 2], error: Error) -> Error {
    match error.field() {
        Some("first image") => failure(first, error),
        Some("second image") => failure(second, error),
        _ => error,
    }
}

/// A failure that says which photograph it was about, if it was the photograph's.
pub(crate) fn failure(path: &Path, error: Error) -> Error {
    let own = matches!(
        error.kind(),
        Kind::NoFaceInImage
            | Kind::SeveralFacesInImage
            | Kind::PoorQuality
            | Kind::ImageFormat
            | Kind::ImageCorrupt
            | Kind::ImageDimensions
            | Kind::ImageTooLarge
            | Kind::VideoUnreadable
            | Kind::VideoDuration
    );
    if own { error.about(path.display()) } else { error }
}
