//! The list of pairs: CSV with the columns `fold,image_a,image_b,same`.

use std::collections::BTreeMap;
use std::path::Path;

use likeness_domain::Error;

use crate::outcome::refused;

/// Lines of a list: far beyond the largest public protocol (IJB-C has 15.6 million, but in another form).
const PAIRS_MAX: usize = 10_000_000;

/// Two images and whether they show one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Which part of the list it belongs to.
    pub(crate) fold: u32,
    /// Position in [`Pairs::images`].
    pub(crate) image_a: usize,
    /// Position in [`Pairs::images`].
    pub(crate) image_b: usize,
    /// Whether they show one person.
    pub(crate) same: bool,
}

/// A list of pairs, naming each image once.
#[derive(Debug)]
pub(crate) struct Pairs {
    /// Paths below the folder of images, in order of first mention.
    pub(crate) images: Vec<String>,
    /// The pairs in the order of the list.
    pub(crate) pairs: Vec<Pair>,
}

/// Reads a list from a file.
pub(crate) fn read(path: &Path) -> Result<Pairs, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| refused(format!("cannot read pairs file {}: {error}", path.display())))?;
    parse(&text).map_err(|message| refused(format!("pairs file {}: {message}", path.display())))
}

/// Reads a list. Fields are plain: no quotes, no commas in paths. An error names the line.
pub(crate) fn parse(text: &str) -> Result<Pairs, String> {
    const HEADER: &str = "fold,image_a,image_b,same";
    let mut lines = text.lines().map(str::trim_end).enumerate().filter(|(_, line)| !line.is_empty());
    match lines.next() {
        Some((_, header)) if header.trim_start_matches('\u{feff}') == HEADER => {}
        _ => return Err(format!("line 1 is not the header, expected `{HEADER}`")),
    }
    let mut positions: BTreeMap<&str, usize> = BTreeMap::new();
    let mut images = Vec::new();
    let mut position = |path| {
        *positions.entry(path).or_insert_with(|| {
            images.push(String::from(path));
            images.len() - 1
        })
    };
    let mut pairs = Vec::new();
    for (line_idx, line) in lines {
        let at = |message: &str| format!("line {}: {message}", line_idx + 1);
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [fold, image_a, image_b, same] = fields[..] else {
            return Err(at(&format!("{} fields, expected 4", fields.len())));
        };
        let fold = fold.parse().map_err(|_| at(&format!("fold is `{fold}`, expected a whole number")))?;
        let same = match same {
            "1" => true,
            "0" => false,
            _ => return Err(at(&format!("same is `{same}`, expected 1 or 0"))),
        };
        if image_a.is_empty() || image_b.is_empty() {
            return Err(at("an image path is empty"));
        }
        if pairs.len() == PAIRS_MAX {
            return Err(at(&format!("more than {PAIRS_MAX} pairs")));
        }
        pairs.push(Pair { fold, image_a: position(image_a), image_b: position(image_b), same });
    }
    if !pairs.iter().any(|pair| pair.same) || pairs.iter().all(|pair| pair.same) {
        return Err("there must be pairs of one person and pairs of two".to_owned());
    }
    Ok(Pairs { images, pairs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_is_named_once() {
        let read = parse("fold,image_a,image_b,same\n1,a.jpg,b.jpg,1\r\n\n2,b.jpg,c.jpg,0\n").expect("a good list");
        assert_eq!(read.images, ["a.jpg", "b.jpg", "c.jpg"]);
        assert_eq!(
            read.pairs,
            [
                Pair { fold: 1, image_a: 0, image_b: 1, same: true },
                Pair { fold: 2, image_a: 1, image_b: 2, same: false }
            ]
        );
    }

    #[test]
    fn errors_name_the_line() {
        let check = |text: &str, expected: &str| assert_eq!(parse(text).expect_err("a bad list"), expected);
        check("", "line 1 is not the header, expected `fold,image_a,image_b,same`");
        check("fold,image_a,image_b,same\n1,a,b\n", "line 2: 3 fields, expected 4");
        check("fold,image_a,image_b,same\nx,a,b,1\n", "line 2: fold is `x`, expected a whole number");
        check("fold,image_a,image_b,same\n\n1,a,b,yes\n", "line 3: same is `yes`, expected 1 or 0");
        check("fold,image_a,image_b,same\n1,,b,1\n", "line 2: an image path is empty");
        check("fold,image_a,image_b,same\n1,a,b,1\n", "there must be pairs of one person and pairs of two");
    }
}
