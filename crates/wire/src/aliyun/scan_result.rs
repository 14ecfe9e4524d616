//! What is kept of a scan until somebody asks for it: codes, rates and ids, nothing about a person.
//!
//! Whoever is deleted while a result waits must be gone from it as from everything else. So a result names nobody: keys,
//! names and notes are looked up when it is sent, and a face that its group no longer shows is left out.

use likeness_domain::access::Caller;
use likeness_domain::types::{FaceId, FaceSetId};
use serde::{Deserialize, Serialize};

use super::call::Api;
use super::errors::{Fault, code};
use super::scan::{self, Finding};
use super::{convert, dto};

/// The outcome of a task.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    data_id: Option<String>,
    url: String,
    outcome: Outcome,
}

#[derive(Serialize, Deserialize)]
enum Outcome {
    Found(Vec<KeptFinding>),
    Failed { number: u16, msg: String },
}

/// See [`Finding`].
#[derive(Serialize, Deserialize)]
enum KeptFinding {
    Compared { rate: f64 },
    Searched { face_set: u64, faces: Vec<KeptFace> },
}

/// One face of the query image.
#[derive(Serialize, Deserialize)]
struct KeptFace {
    face_item: dto::FaceBox,
    candidates: Vec<KeptCandidate>,
}

/// An enrolled face that resembles it.
#[derive(Serialize, Deserialize)]
struct KeptCandidate {
    face: u64,
    rate: f64,
}

impl Kept {
    /// Takes an outcome apart.
    pub(super) fn of(outcome: Result<Vec<Finding>, Fault>, data_id: Option<String>, url: String) -> Self {
        let outcome = match outcome {
            Ok(findings) => Outcome::Found(findings.into_iter().map(keep).collect()),
            Err(fault) => Outcome::Failed { number: fault.number, msg: fault.msg },
        };
        Self { data_id, url, outcome }
    }

    /// The task's element of an answer, with those who are still there.
    pub(super) async fn answer(self, api: &Api, caller: &Caller, task_id: String) -> Result<dto::TaskAnswer, Fault> {
        let outcome = match self.outcome {
            Outcome::Failed { number, msg } => Err(Fault::kept(number, msg)),
            Outcome::Found(kept) => {
                let mut findings = Vec::with_capacity(kept.len());
                for finding in kept {
                    findings.push(recall(api, caller, finding).await?);
                }
                Ok(findings)
            }
        };
        Ok(scan::task_answer(api, outcome, self.data_id, task_id, Some(self.url)))
    }
}

fn keep(finding: Finding) -> KeptFinding {
    let candidate = |person: &dto::PersonFound| {
        // Ids are spelled as numbers by this very dialect.
        Some(KeptCandidate { face: person.face_id.parse().ok()?, rate: person.rate })
    };
    let face = |face: dto::FaceFound| KeptFace {
        candidates: face.persons.iter().filter_map(candidate).collect(),
        face_item: face.face_item,
    };
    match finding {
        Finding::Compared { rate } => KeptFinding::Compared { rate },
        Finding::Searched { face_set, faces } => {
            KeptFinding::Searched { face_set: face_set.get(), faces: faces.into_iter().map(face).collect() }
        }
    }
}

async fn recall(api: &Api, caller: &Caller, finding: KeptFinding) -> Result<Finding, Fault> {
    let (face_set, faces) = match finding {
        KeptFinding::Compared { rate } => return Ok(Finding::Compared { rate }),
        KeptFinding::Searched { face_set, faces } => (face_set, faces),
    };
    let damaged = || Fault::new(code::GENERAL_ERROR, "the result is damaged");
    let face_set = FaceSetId::new(face_set).ok_or_else(damaged)?;
    let mut ids = Vec::new();
    for candidate in faces.iter().flat_map(|face| &face.candidates) {
        ids.push(FaceId::new(candidate.face).ok_or_else(damaged)?);
    }
    let (enrolled, persons) = api.library().found_earlier(caller, face_set, ids).await?;
    let person = |candidate: KeptCandidate| {
        let face = enrolled.iter().find(|face| face.id.get() == candidate.face)?;
        convert::person_found(face, &persons, candidate.rate)
    };
    let recalled = |face: KeptFace| dto::FaceFound {
        face_item: face.face_item,
        persons: face.candidates.into_iter().filter_map(person).collect(),
    };
    Ok(Finding::Searched { face_set, faces: faces.into_iter().map(recalled).collect() })
}
