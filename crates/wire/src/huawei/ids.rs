//! Ids as the vendor spells them: eight letters, upper and lower case.
//!
//! A fixed-width number in base 52. 52^8 is above 2^45, so every id has exactly one spelling; texts that spell no id
//! name nothing.

use likeness_domain::ports::IdSource;
use likeness_domain::types::{FaceId, FaceSetId};

const LETTERS: &[u8; 52] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const WIDTH: usize = 8;

/// A face id in eight letters.
pub(super) fn face_id(id: FaceId) -> String {
    spell(id.get())
}

/// The face id spelled so, if `text` spells one.
pub(super) fn read_face_id(text: &str) -> Option<FaceId> {
    read(text).and_then(FaceId::new)
}

/// A face set id in eight letters.
pub(super) fn face_set_id(id: FaceSetId) -> String {
    spell(id.get())
}

/// A label for a face that came without one: eight random letters and digits.
pub(super) fn fresh_external_image_id(ids: &dyn IdSource) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut bits = [0; 8];
    ids.fill(&mut bits);
    let mut number = u64::from_be_bytes(bits);
    let mut digit = || {
        let digit = ALPHABET[(number % 62) as usize];
        number /= 62;
        char::from(digit)
    };
    (0..WIDTH).map(|_| digit()).collect()
}

fn spell(mut number: u64) -> String {
    let mut letters = [LETTERS[0]; WIDTH];
    for letter in letters.iter_mut().rev() {
        *letter = LETTERS[(number % 52) as usize];
        number /= 52;
    }
    debug_assert_eq!(number, 0, "ids are below 2^45");
    letters.iter().map(|&letter| char::from(letter)).collect()
}

fn read(text: &str) -> Option<u64> {
    if text.len() != WIDTH {
        return None;
    }
    text.bytes().try_fold(0, |number, letter| {
        let digit = LETTERS.iter().position(|&other| other == letter)?;
        Some(number * 52 + digit as u64)
    })
}
