//! Photographs named on the command line.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bytes::Bytes;
use likeness_domain::{Error, Kind, limits};

use super::terminal;
use crate::outcome::refused;

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
    let message = |reason: &str| format!("cannot read photograph {}: {reason}", path.display());
    let bytes = read_within(path, limits::IMAGE_BYTES_MAX).map_err(|reason| refused(message(&reason)))?;
    if bytes.is_empty() { Err(Error::new(Kind::ImageFormat, message("it is empty"))) } else { Ok(bytes) }
}

/// Refuses to write a file that is one of the photographs that are read, by whatever name or link.
pub(crate) fn refuse_to_replace(photos: &[&Path], written: &Path) -> Result<(), Error> {
    let file = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let Some(there) = file(written) else { return Ok(()) };
    match photos.iter().find(|photo| file(photo) == Some(there)) {
        None => Ok(()),
        Some(photo) => {
            let message = format!("{} would be written over the photograph {}", written.display(), photo.display());
            Err(refused(message).with_hint("name another file to write"))
        }
    }
}

/// What a picture that this program has drawn says of itself.
const DRAWN: &[u8] = b"drawn by likeness";

/// How far into a file that is looked for: it stands behind the head.
const DRAWN_WITHIN: u64 = 128;

/// Refuses to write over a file that this program has not drawn, unless that is asked for: scripts draw into the same file again and
/// again, and a name that was mistyped may be somebody's only picture.
pub(crate) fn refuse_to_lose(written: &Path, force: bool) -> Result<(), Error> {
    // Where nothing stands nothing is lost, and a device or a pipe keeps nothing.
    let holds = |found: std::fs::Metadata| found.is_file() && found.len() > 0;
    if force || !std::fs::metadata(written).is_ok_and(holds) {
        return Ok(());
    }
    let mut head = Vec::new();
    let read = File::open(written).and_then(|file| file.take(DRAWN_WITHIN).read_to_end(&mut head));
    if read.is_ok() && head.windows(DRAWN.len()).any(|window| window == DRAWN) {
        return Ok(());
    }
    let message = format!("{} exists already, and is no picture that likeness has drawn", written.display());
    Err(refused(message).with_hint("`--force` replaces it"))
}

/// The file of a picture with the words in it by which [`refuse_to_lose`] knows it: a text chunk of a PNG, a comment of a JPEG.
pub(crate) fn drawn(mut file: Vec<u8>) -> Vec<u8> {
    // Signature and IHDR.
    const PNG_HEAD: usize = 8 + 25;
    let words = [b"Software\0", DRAWN].concat();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or_default();
    if file.starts_with(b"\x89PNG") && file.len() > PNG_HEAD {
        let named = [b"tEXt".as_slice(), &words].concat();
        let chunk = [length(&words).to_be_bytes().as_slice(), &named, &crc32(&named).to_be_bytes()].concat();
        file.splice(PNG_HEAD..PNG_HEAD, chunk);
    } else if file.starts_with(&[0xff, 0xd8]) {
        let length = (length(DRAWN) + 2).to_be_bytes();
        let comment = [[0xff, 0xfe, length[2], length[3]].as_slice(), DRAWN].concat();
        // JFIF's own segment has to be the first one.
        let at = match file.get(2..6) {
            Some(&[0xff, 0xe0, high, low]) => 4 + usize::from(u16::from_be_bytes([high, low])),
            _ => 2,
        };
        let at = at.min(file.len());
        file.splice(at..at, comment);
    }
    file
}

/// The checksum of a PNG's chunk.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
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
    // Files of the kernel say so, and reading some of them waits for ever.
    if size.is_file() && size.len() == 0 {
        return Ok(Bytes::new());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size.len()).unwrap_or(0));
    // A device or a pipe may have no end.
    let read = File::open(path).and_then(|file| file.take(bytes_max as u64 + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(error.to_string()),
        Ok(n_bytes) if n_bytes > bytes_max => Err(format!("it has more than {bytes_max} bytes")),
        Ok(_) => Ok(bytes.into()),
    }
}

/// Says of a photograph of several people that only one of them was meant; `what` is what was done with that one.
pub(crate) fn note_several(path: &Path, n_faces: Option<u64>, what: &str) {
    if let Some(n_faces) = n_faces.filter(|&n_faces| n_faces > 1) {
        let path = path.display();
        terminal::message(format!("{path} shows {n_faces} faces, and only the largest was {what}"));
    }
}

/// The same of two photographs that were compared.
pub(crate) fn note_several_of_two(photos: [&Path; 2], n_faces: Option<[u64; 2]>) {
    for (path, n_faces) in photos.into_iter().zip(n_faces.into_iter().flatten()) {
        note_several(path, Some(n_faces), "compared");
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photograph_that_is_read_is_not_written_over() {
        let scratch = tempfile::tempdir().unwrap();
        let [photo, hard, soft, other] =
            ["anna.jpg", "hard.jpg", "soft.jpg", "other.jpg"].map(|name| scratch.path().join(name));
        std::fs::write(&photo, b"a photograph").unwrap();
        std::fs::write(&other, b"another").unwrap();
        std::fs::hard_link(&photo, &hard).unwrap();
        std::os::unix::fs::symlink(&photo, &soft).unwrap();
        let photos = [Path::new("/nosuch"), &photo];
        for written in [&photo, &hard, &soft, &scratch.path().join("./anna.jpg")] {
            let refused = refuse_to_replace(&photos, written).unwrap_err();
            assert!(refused.message().contains("would be written over the photograph"), "{}", written.display());
        }
        for written in [&other, &scratch.path().join("new.jpg")] {
            refuse_to_replace(&photos, written).unwrap();
        }
    }

    #[test]
    fn a_drawn_picture_is_replaced_and_no_other_file() {
        // The check value of this checksum.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("out");
        refuse_to_lose(&file, false).unwrap();
        std::fs::write(&file, "").unwrap();
        refuse_to_lose(&file, false).unwrap();
        refuse_to_lose(Path::new("/dev/null"), false).unwrap();
        let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &[0; 25], b"rest"].concat();
        let jfif = [&[0xff, 0xd8, 0xff, 0xe0, 0, 16], b"JFIF\0".as_slice(), &[0; 9], &[0xff, 0xdb]].concat();
        for picture in [png, jfif, vec![0xff, 0xd8, 0xff, 0xdb]] {
            std::fs::write(&file, &picture).unwrap();
            let refused = refuse_to_lose(&file, false).unwrap_err();
            assert!(refused.message().contains("exists already"), "{refused}");
            refuse_to_lose(&file, true).unwrap();
            let drawn = drawn(picture.clone());
            assert_eq!(drawn.get(2..4) == Some(&[0xff, 0xe0]), picture.get(2..4) == Some(&[0xff, 0xe0]));
            assert!(drawn.len() > picture.len() && drawn.ends_with(&picture[picture.len() - 2..]));
            std::fs::write(&file, drawn).unwrap();
            refuse_to_lose(&file, false).unwrap();
        }
    }

    #[test]
    fn files_without_an_end_or_without_bytes_are_not_waited_for() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("anna.jpg");
        std::fs::write(&file, b"").unwrap();
        assert_eq!(read_within(&file, 10), Ok(Bytes::new()));
        assert_eq!(read_within(Path::new("/proc/version"), 10), Ok(Bytes::new()), "a file of the kernel, of no bytes");
        std::fs::write(&file, b"0123456789").unwrap();
        assert_eq!(read_within(&file, 10), Ok(Bytes::from_static(b"0123456789")));
        assert!(read_within(&file, 9).unwrap_err().contains("expected at most 9"));
        assert!(read_within(Path::new("/dev/zero"), 1000).unwrap_err().contains("more than 1000 bytes"));
    }
}
