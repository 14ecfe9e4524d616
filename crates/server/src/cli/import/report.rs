//! What an import tells when it is over.

use std::collections::BTreeMap;

use likeness_domain::Error;
use serde::Serialize;

use super::Target;
use super::folder::{PassedOver, Reason, shown};
use crate::cli::table::counted;

/// Files of each reason whose names are shown; `--json` has all.
const NAMES_SHOWN: usize = 3;

/// What became of the photographs.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The face set, where one was enrolled into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) face_set: Option<String>,
    /// The person, where one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) person: Option<String>,
    /// Photographs in the folder.
    pub(super) n_files: usize,
    /// Enrolled by this run.
    pub(super) enrolled: usize,
    /// Enrolled by an earlier run, or by another one meanwhile.
    pub(super) already_enrolled: usize,
    /// Not enrolled, each with its reason.
    pub(super) refused: Vec<Refusal>,
    /// Whether it was ended before every photograph was looked at.
    pub(super) interrupted: bool,
    /// Left out, each with its reason.
    pub(super) passed_over: Vec<PassedOver>,
    /// Every photograph that was looked at, and what became of it.
    pub(super) files: Vec<File>,
}

#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    pub(super) file: String,
    pub(super) kind: String,
    pub(super) message: String,
}

/// One photograph.
#[derive(Debug, Serialize)]
pub(super) struct File {
    pub(super) file: String,
    pub(super) subject: String,
    /// `enrolled`, `already_enrolled` or `refused`.
    pub(super) outcome: &'static str,
}

impl Report {
    pub(super) fn new(target: &Target, n_files: usize, passed_over: Vec<PassedOver>) -> Self {
        let (face_set, person) = match target {
            Target::FaceSet(name) => (Some(name.clone()), None),
            Target::Person(key) => (None, Some(key.clone())),
        };
        let (refused, files, interrupted) = (Vec::new(), Vec::new(), false);
        Self { face_set, person, n_files, enrolled: 0, already_enrolled: 0, refused, interrupted, passed_over, files }
    }

    /// Notes a photograph that was not enrolled.
    pub(super) fn refuse(&mut self, file: String, kind: String, error: &Error) {
        self.refused.push(Refusal { file, kind, message: error.to_string() });
    }

    /// Puts everything into the order of the paths.
    pub(super) fn sort(&mut self) {
        self.refused.sort_by(|a, b| a.file.cmp(&b.file));
        self.files.sort_by(|a, b| a.file.cmp(&b.file));
    }

    /// The last line of a run.
    pub(super) fn summary(&self, n_subjects: usize) -> String {
        let mut summary = format!("enrolled {}", counted(self.enrolled as u64, "face"));
        match (&self.person, &self.face_set) {
            (Some(key), _) => summary.push_str(&format!(" of person `{key}`")),
            (None, face_set) => {
                if n_subjects > 0 {
                    summary.push_str(&format!(" of {}", counted(n_subjects as u64, "subject")));
                }
                summary.push_str(&format!(" into `{}`", face_set.as_deref().unwrap_or_default()));
            }
        }
        if self.already_enrolled > 0 {
            summary.push_str(&format!(", {} already enrolled", self.already_enrolled));
        }
        if !self.refused.is_empty() {
            summary.push_str(&format!(", {} refused", self.refused.len()));
        }
        let n_left = self.n_files - self.enrolled - self.already_enrolled - self.refused.len();
        if n_left > 0 {
            summary.push_str(&format!(", {n_left} left"));
        }
        summary
    }

    /// How many files and folders were left out, by reason, and the first of them by name; nothing if there are none.
    pub(super) fn passed_over_summary(&self) -> Option<String> {
        let mut by_reason: BTreeMap<Reason, Vec<&str>> = BTreeMap::new();
        for passed in &self.passed_over {
            by_reason.entry(passed.reason).or_default().push(&passed.file);
        }
        let part = |(reason, files): (&Reason, &Vec<&str>)| {
            let mut names: Vec<_> = files.iter().take(NAMES_SHOWN).map(|file| shown(file)).collect();
            if files.len() > NAMES_SHOWN {
                names.push("..".to_owned());
            }
            format!("{} {} ({})", files.len(), reason.words(), names.join(", "))
        };
        let parts: Vec<_> = by_reason.iter().map(part).collect();
        (!parts.is_empty()).then(|| format!("passed over: {}", parts.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_leaves_out_what_did_not_happen() {
        let mut report = Report::new(&Target::FaceSet("staff".to_owned()), 4, Vec::new());
        report.enrolled = 1;
        assert_eq!(report.summary(1), "enrolled 1 face of 1 subject into `staff`, 3 left");
        report.enrolled = 0;
        report.already_enrolled = 4;
        assert_eq!(report.summary(0), "enrolled 0 faces into `staff`, 4 already enrolled");
        assert_eq!(report.passed_over_summary(), None);
        let passed = |file: &str, reason| PassedOver { file: file.to_owned(), reason };
        report.passed_over =
            vec![passed("a.txt", Reason::Ending), passed(".b\u{2028}", Reason::Hidden), passed("c", Reason::Ending)];
        let expected = "passed over: 2 with another ending (a.txt, c), 1 hidden (.b\\u{2028})";
        assert_eq!(report.passed_over_summary().as_deref(), Some(expected));
        report.passed_over.extend(["d", "e"].map(|file| passed(file, Reason::Ending)));
        let expected = "passed over: 4 with another ending (a.txt, c, d, ..), 1 hidden (.b\\u{2028})";
        assert_eq!(report.passed_over_summary().as_deref(), Some(expected));
    }
}
