//! Names that people take for one another: other case, other width, letters of another script.
//!
//! They are different names and stay that. But whoever typed `Anna` for `anna`, or a Cyrillic `а`, has split a person in two
//! without seeing it, so a report shows them.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

/// Finds look-alikes among many names in two passes, so that no more than 16 bytes or so of each are held: every name is given
/// to [`Self::first`], then every name again to [`Self::second`].
#[derive(Debug, Default)]
pub struct LookAlikes {
    seen: HashSet<u64>,
    repeated: HashSet<u64>,
    groups: BTreeMap<String, Vec<String>>,
}

impl LookAlikes {
    /// Most groups that are kept, and names of one; a report is for people.
    pub const GROUPS_MAX: usize = 20;

    /// Takes note of a name. The same name twice is no look-alike: give each once.
    pub fn first(&mut self, name: &str) {
        let hash = hash_of(&look(name));
        if !self.seen.insert(hash) {
            self.repeated.insert(hash);
        }
    }

    /// Keeps a name if another one looks like it.
    pub fn second(&mut self, name: &str) {
        if self.repeated.is_empty() {
            return;
        }
        let look = look(name);
        if !self.repeated.contains(&hash_of(&look)) {
            return;
        }
        // A few more than are shown, as some turn out to be none.
        if self.groups.len() < 10 * Self::GROUPS_MAX || self.groups.contains_key(&look) {
            let group = self.groups.entry(look).or_default();
            if group.len() < Self::GROUPS_MAX {
                group.push(name.to_owned());
            }
        }
    }

    /// The groups of two names and more, each in the order of its names.
    pub fn groups(self) -> Vec<Vec<String>> {
        let groups = self.groups.into_values().filter_map(|mut group| {
            group.sort();
            group.dedup();
            // `m` and `rn`, `1` and `l` look alike in some fonts; among names of plain letters that is the rule for numbers and
            // not worth showing, so of those only the case counts.
            if group.iter().all(|name| name.is_ascii()) {
                let folded: Vec<String> = group.iter().map(|name| name.to_ascii_lowercase()).collect();
                let is_alike = |at: usize| folded.iter().filter(|other| Some(*other) == folded.get(at)).count() > 1;
                let mut at = 0..;
                group.retain(|_| at.next().is_some_and(is_alike));
            }
            (group.len() > 1).then_some(group)
        });
        groups.take(Self::GROUPS_MAX).collect()
    }
}

/// What a name looks like: its skeleton (UTS 39, section 4) without case and width (NFKC).
fn look(name: &str) -> String {
    let folded: String = name.nfkc().flat_map(char::to_lowercase).collect();
    skeleton(&folded).flat_map(char::to_lowercase).collect()
}

fn hash_of(look: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    look.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::LookAlikes;

    #[track_caller]
    fn check(names: &[&str], expected: &[&[&str]]) {
        let mut found = LookAlikes::default();
        names.iter().for_each(|name| found.first(name));
        names.iter().for_each(|name| found.second(name));
        assert_eq!(found.groups(), expected);
    }

    #[test]
    fn case_width_and_scripts_are_shown() {
        check(&["anna", "bert", "Anna", "ANNA"], &[&["ANNA", "Anna", "anna"]]);
        check(&["anna", "\u{ff41}nna"], &[&["anna", "\u{ff41}nna"]]);
        // CYRILLIC SMALL LETTER A, GREEK SMALL LETTER OMICRON.
        check(&["anna", "\u{430}nna"], &[&["anna", "\u{430}nna"]]);
        check(&["bob", "b\u{3bf}b"], &[&["bob", "b\u{3bf}b"]]);
        check(&["\u{c9}mile", "\u{e9}mile"], &[&["\u{c9}mile", "\u{e9}mile"]]);
    }

    #[test]
    fn what_people_tell_apart_is_not_shown() {
        check(&["anna", "anne", "hanna", "an na", ""], &[]);
        check(&["person-1", "person-l", "modern", "modem"], &[]);
        check(&["anna", "\u{e4}nna"], &[]);
        check(&["\u{5f20}\u{4f1f}", "\u{5f20}\u{4e3d}"], &[]);
        // Of a mixed group only those of other case.
        check(&["rn", "m", "M"], &[&["M", "m"]]);
    }

    #[test]
    fn there_are_never_too_many() {
        let names: Vec<String> = (0..1000).flat_map(|n| [format!("p{n}"), format!("P{n}")]).collect();
        let mut found = LookAlikes::default();
        names.iter().for_each(|name| found.first(name));
        names.iter().for_each(|name| found.second(name));
        assert_eq!(found.groups().len(), LookAlikes::GROUPS_MAX);
    }
}
