//! Explanations of matches: what bears on a verdict, and what would change it, in words.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use likeness_domain::Error;
use likeness_domain::access::Caller;
use likeness_domain::library::{self, Library, Probe, Search};
use likeness_domain::policy::{self, QualityFailure, QualityThresholds, poor_quality};
use likeness_domain::score::{Bound, Calibration, FalseAcceptRate};
use likeness_domain::types::{Pose, QualityGate, Similarity};

use super::{convert, dto};

/// A margin to the next person below this is called small: two photographs of one person differ by more from day to day.
const MARGIN_SMALL: f32 = 0.05;

/// Compares two images, with the explanation.
pub(super) async fn compare(library: &Library, caller: &Caller, body: dto::Compare) -> Result<dto::Comparison, Error> {
    let (far, crops) = (body.far, body.crops);
    let found = library.explain(caller, convert::compare_images(body)?, crops).await?;
    let library::Explanation { faces, similarity, pack } = found;
    let answer =
        library::Comparison { faces: [faces[0].detection, faces[1].detection], similarity, pack: pack.clone() };
    let mut comparison = convert::comparison(library, far, answer)?;
    let calibration = convert::calibration(library, &pack)?;
    let least = Similarity::new(comparison.similarity_min);
    let mut remarks = vec![turning_point(calibration, similarity, least, 1)];
    for (which, face) in ["first image", "second image"].into_iter().zip(&faces) {
        remarks.extend(about_photograph(which, face));
    }
    comparison.explanation = Some(dto::Explanation { faces: faces.into_iter().map(examined).collect(), remarks });
    Ok(comparison)
}

/// Searches, with the explanation.
pub(super) async fn search(
    library: &Library,
    caller: &Caller,
    request: Search,
    crops: bool,
) -> Result<dto::SearchAnswer, Error> {
    let is_person = matches!(request.probe, Probe::Person(_));
    let found = library.explain_search(caller, request, crops).await?;
    let library::SearchExplanation { answer, probe, best, next } = found;
    let (pack, compared, least) = (answer.face_set.pack.clone(), answer.compared, answer.similarity_min);
    let mut remarks = Vec::new();
    let calibration = convert::calibration(library, &pack)?;
    match &best {
        None if is_person => remarks.push(
            "no face was compared: besides the person's own there is none in the set, or the filter leaves nobody"
                .to_owned(),
        ),
        None => remarks.push("no face was compared: the set is empty, or the filter leaves nobody".to_owned()),
        Some(best) => remarks.push(turning_point(calibration, best.similarity, least, compared.n_probes)),
    }
    let margin = best.as_ref().zip(next.as_ref()).map(|(best, next)| best.similarity.get() - next.similarity.get());
    if let Some((margin, next)) = margin.zip(next.as_ref()) {
        let is_match = best.as_ref().is_some_and(|best| best.similarity >= least);
        match (is_match, next.similarity >= least) {
            (true, true) => remarks.push(format!(
                "the next person reaches the threshold as well, {margin:.4} behind: one of the two is a false match, or both \
                 are one person under two names"
            )),
            (true, false) if margin < MARGIN_SMALL => {
                remarks.push(format!("the next person is only {margin:.4} behind: another photograph may turn the order"));
            }
            _ => remarks.push(format!("the next person is {margin:.4} behind")),
        }
    }
    remarks.extend(probe.iter().flat_map(|face| about_photograph("image", face)));
    let shown: Vec<_> = best.iter().chain(&next).map(|candidate| candidate.face.clone()).collect();
    let owners = library.owners(caller, &shown).await?;
    let candidate = |candidate| convert::candidate(calibration, compared, &owners, candidate);
    let explanation = dto::SearchExplanation {
        probe: probe.map(examined),
        best: best.map(candidate),
        next: next.map(candidate),
        margin,
        remarks,
    };
    let mut answer = convert::search_answer(library, caller, answer, is_person).await?;
    answer.explanation = Some(explanation);
    Ok(answer)
}

/// At which thresholds the verdict would be another, where so many faces were looked for at once.
fn turning_point(calibration: &Calibration, similarity: Similarity, least: Similarity, n_probes: u64) -> String {
    // The bound is that of one comparison: whether this was measured.
    let one = calibration.false_accept_rate(similarity);
    let rate = FalseAcceptRate { bound: one.bound, ..one.of_any(n_probes) };
    let cosine = similarity.get();
    let (at, away) = (format!("{:.1e}", rate.rate).replace(".0e", "e"), (cosine - least.get()).abs());
    match (similarity >= least, rate.bound) {
        (true, Bound::AtMost) => format!(
            "a match at every threshold that was measured, down to a false-accept rate of {at}; it is {away:.4} above the \
             one asked for"
        ),
        (true, _) => format!(
            "a match by {away:.4}; it would be none at a similarity above {cosine:.4}, a false-accept rate below {at}"
        ),
        (false, Bound::AtLeast) => format!(
            "no match at any threshold that was measured: more than {at} of all pairs of strangers are at least so similar"
        ),
        (false, _) => format!(
            "no match by {away:.4}; it would be one at a similarity of {cosine:.4}, a false-accept rate of {at}"
        ),
    }
}

/// What is wrong with a photograph, so that another one may change the similarity: all that the gate `medium` refuses.
fn about_photograph(which: &str, face: &library::ExaminedFace) -> Vec<String> {
    let doubt = face.doubt.map(policy::doubtful);
    let failures = failures(face);
    let said = doubt.iter().chain(&failures);
    said.map(|failure| format!("{which}: {failure}; a better photograph may change the similarity")).collect()
}

fn failures(face: &library::ExaminedFace) -> Vec<QualityFailure> {
    poor_quality(&face.quality, &face.detection, &QualityThresholds::of(QualityGate::Medium))
}

fn examined(face: library::ExaminedFace) -> dto::ExaminedFace {
    let gates = [QualityGate::High, QualityGate::Medium, QualityGate::Low];
    let passes = |gate: &QualityGate| {
        face.doubt.is_none() && poor_quality(&face.quality, &face.detection, &QualityThresholds::of(*gate)).is_empty()
    };
    dto::ExaminedFace {
        detection: convert::detection(face.detection),
        gate: gates.into_iter().find(passes).unwrap_or(QualityGate::None).word().to_owned(),
        quality: convert::quality(face.quality),
        pose: face.pose.map(|Pose { yaw, pitch, roll }| dto::Pose { yaw, pitch, roll }),
        doubt: face.doubt.map(convert::doubt),
        crop: face.crop.map(|png| STANDARD.encode(png)),
    }
}
