//! Explanations of matches: what bears on a verdict, and what would change it, in words.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use likeness_domain::Error;
use likeness_domain::access::Caller;
use likeness_domain::library::{self, Library, Probe, Search};
use likeness_domain::policy::{self, QualityThresholds, poor_quality};
use likeness_domain::score::{Bound, Calibration, FalseAcceptRate};
use likeness_domain::types::{Face, FaceOwner, Pose, QualityFailure, QualityGate, Similarity};

use super::{convert, dto};

/// A margin to the next person below this is called small: two photographs of one person differ by more from day to day.
const MARGIN_SMALL: f32 = 0.05;

/// Compares two images, with the explanation.
pub(super) async fn compare(library: &Library, caller: &Caller, body: dto::Compare) -> Result<dto::Comparison, Error> {
    let (far, crops) = (body.far, body.crops);
    let found = library.explain(caller, convert::compare_images(body)?, crops).await?;
    let library::Explanation { faces, n_faces_in_images, similarity, pack } = found;
    let answer = library::Comparison {
        faces: [faces[0].detection, faces[1].detection],
        n_faces_in_images,
        similarity,
        pack: pack.clone(),
    };
    let mut comparison = convert::comparison(library, far, answer)?;
    let calibration = convert::calibration(library, &pack)?;
    let least = Similarity::new(comparison.similarity_min);
    let images = [("first image", "image_a"), ("second image", "image_b")];
    // First, since it may be the whole reason.
    let several = images.into_iter().zip(n_faces_in_images);
    let mut said: Vec<Said> = several
        .filter_map(|(image, n_faces)| one_of_several(image, n_faces, "compared; cut out the one that is meant"))
        .collect();
    said.push(turning_point(calibration, similarity, least, 1));
    for ((which, image), face) in images.into_iter().zip(&faces) {
        said.extend(about_photograph(which, image, face));
    }
    let (remarks, findings) = told(said);
    comparison.explanation =
        Some(dto::Explanation { faces: faces.into_iter().map(examined).collect(), remarks, findings });
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
    let done = "looked for; `search-picture` looks for each";
    let mut said: Vec<Said> = one_of_several(("image", "image"), answer.n_faces_in_image, done).into_iter().collect();
    let calibration = convert::calibration(library, &pack)?;
    match &best {
        None if is_person => said.push(Said::new(
            "nobody_else_compared",
            "no face was compared: besides the person's own there is none in the set, or the filter leaves nobody",
        )),
        None => said
            .push(Said::new("nobody_compared", "no face was compared: the set is empty, or the filter leaves nobody")),
        Some(best) => said.push(turning_point(calibration, best.similarity, least, compared.n_probes)),
    }
    let margin = best.as_ref().zip(next.as_ref()).map(|(best, next)| best.similarity.get() - next.similarity.get());
    if let Some((margin, next)) = margin.zip(next.as_ref()) {
        let is_match = best.as_ref().is_some_and(|best| best.similarity >= least);
        let is_named = best.as_ref().is_some_and(|best| is_named(&best.face)) && is_named(&next.face);
        said.push(match is_named {
            true => next_person(margin, is_match, next.similarity >= least),
            false => next_unnamed(margin),
        });
    }
    said.extend(probe.iter().flat_map(|face| about_photograph("image", "image", face)));
    let (remarks, findings) = told(said);
    let shown: Vec<_> = best.iter().chain(&next).map(|candidate| candidate.face.clone()).collect();
    let owners = library.owners(caller, &shown).await?;
    let candidate = |candidate| convert::candidate(calibration, compared, &owners, candidate);
    let explanation = dto::SearchExplanation {
        probe: probe.map(examined),
        best: best.map(candidate),
        next: next.map(candidate),
        margin,
        remarks,
        findings,
    };
    let mut answer = convert::search_answer(library, caller, answer, is_person).await?;
    answer.explanation = Some(explanation);
    Ok(answer)
}

/// A remark and the same as a code with its values.
struct Said {
    remark: String,
    finding: dto::Finding,
}

impl Said {
    fn new(code: &str, remark: impl Into<String>) -> Said {
        let finding = dto::Finding {
            code: code.to_owned(),
            by: None,
            similarity: None,
            far: None,
            far_bound: None,
            image: None,
            failure: None,
            n_faces: None,
        };
        Said { remark: remark.into(), finding }
    }

    fn by(mut self, by: f32) -> Said {
        self.finding.by = Some(by);
        self
    }

    fn at(mut self, similarity: Similarity) -> Said {
        self.finding.similarity = Some(similarity.get());
        self
    }

    fn far(mut self, rate: FalseAcceptRate) -> Said {
        (self.finding.far, self.finding.far_bound) = (Some(rate.rate), Some(convert::rate(&rate).far_bound));
        self
    }
}

fn told(said: Vec<Said>) -> (Vec<String>, Vec<dto::Finding>) {
    said.into_iter().map(|Said { remark, finding }| (remark, finding)).unzip()
}

/// That only the largest of the faces that an image shows was looked at; `done` is what was done with it.
fn one_of_several((which, image): (&str, &str), n_faces: Option<usize>, done: &str) -> Option<Said> {
    let n_faces = convert::several(n_faces)?;
    let mut said =
        Said::new("one_of_several", format!("{which}: it shows {n_faces} faces, and only the largest was {done}"));
    said.finding.image = Some(image.to_owned());
    said.finding.n_faces = Some(n_faces);
    Some(said)
}

/// At which thresholds the verdict would be another, where so many faces were looked for at once.
fn turning_point(calibration: &Calibration, similarity: Similarity, least: Similarity, n_probes: u64) -> Said {
    // The bound is that of one comparison: whether this was measured.
    let one = calibration.false_accept_rate(similarity);
    let rate = FalseAcceptRate { bound: one.bound, ..one.of_any(n_probes) };
    let cosine = similarity.get();
    let (at, away) = (format!("{:.1e}", rate.rate).replace(".0e", "e"), (cosine - least.get()).abs());
    let said = match (similarity >= least, rate.bound) {
        (true, Bound::AtMost) => Said::new(
            "match_at_all",
            format!(
                "a match at every threshold that was measured, down to a false-accept rate of {at}; it is {away:.4} above \
                 the one asked for"
            ),
        )
        .by(away),
        (true, bound) => Said::new(
            "match",
            match bound {
                Bound::AtLeast => format!(
                    "a match by {away:.4}; it would be none at a similarity above {cosine:.4}, whose false-accept rate is above \
                     {at} and was not measured"
                ),
                _ => format!(
                    "a match by {away:.4}; it would be none at a similarity above {cosine:.4}, a false-accept rate below {at}"
                ),
            },
        )
        .by(away)
        .at(similarity),
        (false, Bound::AtLeast) => Said::new(
            "no_match_at_all",
            format!(
                "no match at any threshold that was measured: more than {at} of all pairs of strangers are at least so similar"
            ),
        ),
        (false, bound) => Said::new(
            "no_match",
            match bound {
                Bound::AtMost => format!(
                    "no match by {away:.4}; it would be one at a similarity of {cosine:.4}, whose false-accept rate is below {at} \
                     and was not measured"
                ),
                _ => format!(
                    "no match by {away:.4}; it would be one at a similarity of {cosine:.4}, a false-accept rate of {at}"
                ),
            },
        )
        .by(away)
        .at(similarity),
    };
    said.far(rate)
}

/// How far the next person is.
fn next_person(margin: f32, is_match: bool, next_matches: bool) -> Said {
    let said = match (is_match, next_matches) {
        (true, true) => Said::new(
            "next_matches_too",
            format!(
                "the next person reaches the threshold as well, {margin:.4} behind: one of the two is a false match, or both \
                 are one person under two names"
            ),
        ),
        (true, false) if margin < MARGIN_SMALL => Said::new(
            "next_is_near",
            format!("the next person is only {margin:.4} behind: another photograph may turn the order"),
        ),
        _ => Said::new("next", format!("the next person is {margin:.4} behind")),
    };
    said.by(margin)
}

/// The same where nobody has said whom one of the two faces shows.
fn next_unnamed(margin: f32) -> Said {
    let unknown = "it or the best one has no label and no person, so whether it shows somebody else is not known";
    Said::new("next_unnamed", format!("the next face is {margin:.4} behind; {unknown}")).by(margin)
}

/// Whether a face is known to be somebody's.
fn is_named(face: &Face) -> bool {
    face.subject.is_some() || matches!(face.owner, FaceOwner::Person(_))
}

/// What is wrong with a photograph, so that another one may change the similarity: all that the gate `medium` refuses.
fn about_photograph(which: &str, image: &str, face: &library::ExaminedFace) -> Vec<Said> {
    let doubt = face.doubt.map(policy::doubtful);
    let failures = failures(face);
    let said = doubt.iter().chain(&failures).map(|failure| {
        let remark = format!("{which}: {failure}; a better photograph may change the similarity");
        let mut said = Said::new("poor_photograph", remark);
        said.finding.image = Some(image.to_owned());
        said.finding.failure = Some(convert::failure(failure));
        said
    });
    said.collect()
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
