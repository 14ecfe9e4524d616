//! One spelling for texts that are compared.
//!
//! `é` is one character or two, depending on the keyboard and the system that a text comes from; nobody sees the difference, and
//! file names of macOS have the longer one. So names are kept and looked for in Unicode NFC (UAX 15), the shorter spelling.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The text in NFC. A text of which NFC would have more than `chars_max` characters stays as it is (a few characters, of
/// Devanagari for example, become several), so that what fits before fits after, and what is stored stays readable.
pub fn nfc(text: String, chars_max: usize) -> String {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return text;
    }
    let mut n_chars = 0;
    let composed: String = text.nfc().take(chars_max.saturating_add(1)).inspect(|_| n_chars += 1).collect();
    if n_chars > chars_max { text } else { composed }
}

#[cfg(test)]
mod tests {
    use super::nfc;

    #[test]
    fn two_spellings_become_one_and_the_result_stays() {
        for (given, expected) in [
            ("anna", "anna"),
            ("ande\u{301}", "and\u{e9}"),
            ("and\u{e9}", "and\u{e9}"),
            // Order of marks, Hangul, and a sign that stands for a letter.
            ("q\u{307}\u{323}", "q\u{323}\u{307}"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("\u{212b}", "\u{c5}"),
            // What only looks alike stays apart: that is NFKC's.
            ("\u{ff21}", "\u{ff21}"),
            ("", ""),
        ] {
            assert_eq!(nfc(given.to_owned(), 100), expected, "{given:?}");
            assert_eq!(nfc(expected.to_owned(), 100), expected);
        }
    }

    #[test]
    fn what_would_become_too_long_stays() {
        // DEVANAGARI LETTER QA is two characters in NFC.
        let text = "\u{958}".repeat(3);
        assert_eq!(nfc(text.clone(), 6), "\u{915}\u{93c}".repeat(3));
        assert_eq!(nfc(text.clone(), 5), text);
    }
}
