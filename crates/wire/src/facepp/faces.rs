//! Calls about faces: what is in a picture, who resembles whom, what is known of a token.

use std::time::Duration;

use likeness_domain::Error;
use likeness_domain::library::{FaceKept, KeepFaces, Probe, Search, Threshold};
use likeness_domain::types::{FaceId, PackId};

use super::attributes::Wanted;
use super::call::Call;
use super::dto::{self, Answer};
use super::errors::{self, Blame, Failure};
use super::face_sets::FaceSetNamed;
use super::image::{self, FieldNames, Given};
use super::{convert, scale};
use crate::megvii::convert::text;

/// Results of one `search`.
const RESULTS_MAX: u64 = 5;
const SECONDS_PER_HOUR: u64 = 3600;

/// A face that a call is about: named by its token, or the first of a picture's.
enum Asked<'a> {
    Token(&'a str, FaceId),
    Picture(Given<'a>),
}

/// The face of a call: its token before a picture.
fn asked<'a>(call: &'a Call<'_>, token: &str, names: FieldNames) -> Result<Asked<'a>, Failure> {
    if let Some(text) = call.fields.text(token)? {
        let source_face = call.names.source_face(text).ok_or_else(|| errors::no_face(text))?;
        return Ok(Asked::Token(text, source_face));
    }
    let FieldNames { file, base64, url, .. } = names;
    let given = image::given(&call.fields, names)?;
    given.map(Asked::Picture).ok_or_else(|| Failure::missing(&format!("{token}, {url}, {file}, {base64}")))
}

/// The faces of a picture, which are kept for a while as transient faces.
struct Shown {
    /// The first face, which is the one that counts.
    first: Option<FaceId>,
    picture: dto::Picture,
}

async fn keep(call: &Call<'_>, given: &Given<'_>, pack: Option<PackId>, wanted: &Wanted) -> Result<Shown, Failure> {
    let request = KeepFaces {
        image: given.picture(call.settings())?,
        place: given.place,
        pack,
        lifetime: Duration::from_secs(u64::from(call.settings().held_hours) * SECONDS_PER_HOUR),
        assess: wanted.assess(),
    };
    let kept = call.library.keep_faces(&call.caller, request).await;
    let kept = kept.map_err(|error| errors::library(error, &Blame { image: given.picture.name, ..Blame::NOBODY }))?;
    let face = |(face_idx, FaceKept { face: kept, assessment }): (usize, &FaceKept)| dto::Face {
        face_token: call.names.face_token(kept.id),
        face_rectangle: kept.detection.bounding_box.into(),
        landmark: wanted.landmark(face_idx, &kept.detection, assessment),
        attributes: wanted.attributes(face_idx, assessment, &kept.quality),
    };
    Ok(Shown {
        first: kept.faces.first().map(|face| face.face.id),
        picture: dto::Picture {
            image_id: convert::image_id(&*call.service.wire.ids),
            faces: kept.faces.iter().enumerate().map(face).collect(),
        },
    })
}

pub(super) async fn detect(call: &Call<'_>) -> Result<Answer, Failure> {
    let FieldNames { file, base64, url, .. } = image::ONLY;
    let given = image::given(&call.fields, image::ONLY)?;
    let given = given.ok_or_else(|| Failure::missing(&format!("{url}, {file}, {base64}")))?;
    let wanted = Wanted::read(&call.fields)?;
    let dto::Picture { image_id, faces } = keep(call, &given, None, &wanted).await?.picture;
    Ok(Answer::Detected { image_id, face_num: faces.len(), faces })
}

/// A side of a comparison, or what is searched for: the face that counts, its token as the client gave it, and the picture it came from.
struct Side<'a> {
    token: &'a str,
    source_face: Option<FaceId>,
    picture: Option<dto::Picture>,
}

async fn side<'a>(call: &Call<'_>, asked: &Asked<'a>, pack: Option<PackId>) -> Result<Side<'a>, Failure> {
    Ok(match asked {
        Asked::Token(token, source_face) => Side { token, source_face: Some(*source_face), picture: None },
        Asked::Picture(given) => {
            let shown = keep(call, given, pack, &Wanted::NOTHING).await?;
            Side { token: "", source_face: shown.first, picture: Some(shown.picture) }
        }
    })
}

pub(super) async fn compare(call: &Call<'_>) -> Result<Answer, Failure> {
    let [first, second] = image::SIDES;
    let first = asked(call, "face_token1", first)?;
    let second = asked(call, "face_token2", second)?;
    // Tokens first: no picture is analysed and no face kept for a comparison that is refused.
    for asked in [&first, &second] {
        if let Asked::Token(token, source_face) = asked {
            call.library.require_source_face(&call.caller, *source_face).await.map_err(of_token(token))?;
        }
    }
    let (first, second) = (side(call, &first, None).await?, side(call, &second, None).await?);
    let comparison = match (first.source_face, second.source_face) {
        (Some(a), Some(b)) => Some(call.library.compare_source_faces(&call.caller, [a, b]).await.map_err(|error| {
            of_token(if error.field() == Some("first face") { first.token } else { second.token })(error)
        })?),
        _ => None,
    };
    let confidence = match &comparison {
        Some(comparison) => Some(call.scale(&comparison.pack)?.to_number(comparison.similarity)),
        None => None,
    };
    let (image_id1, faces1) = first.picture.map(|picture| (picture.image_id, picture.faces)).unzip();
    let (image_id2, faces2) = second.picture.map(|picture| (picture.image_id, picture.faces)).unzip();
    let thresholds = comparison.map(|_| scale::thresholds());
    Ok(Answer::Compared(Box::new(dto::Compared { confidence, thresholds, image_id1, faces1, image_id2, faces2 })))
}

pub(super) async fn search(call: &Call<'_>) -> Result<Answer, Failure> {
    let asked = asked(call, "face_token", image::ONLY)?;
    let named = FaceSetNamed::read(call)?;
    let top_k = call.fields.positive("return_result_count", 1, RESULTS_MAX, false)?;
    let summary = named.find(call).await?;
    if summary.n_faces == 0 {
        return Err(Failure::bad("EMPTY_FACESET"));
    }
    let face_set = summary.face_set;
    let scale = call.scale(&face_set.pack)?;
    let Side { token, source_face, picture } = side(call, &asked, Some(face_set.pack.clone())).await?;
    let (image_id, faces) = picture.map(|picture| (picture.image_id, picture.faces)).unzip();
    let Some(source_face) = source_face else {
        return Ok(Answer::Found(Box::new(dto::Found { results: None, thresholds: None, image_id, faces })));
    };
    let request = Search {
        face_set: face_set.name.clone(),
        probe: Probe::SourceFace(source_face),
        top_k: top_k as usize,
        threshold: Threshold::NONE,
        filter: None,
        sort: Vec::new(),
        one_per_person: false,
    };
    let found = call.library.search(&call.caller, request).await;
    let found = found.map_err(|error| errors::library(error, &Blame { token, ..named.blame() }))?;
    let result = |candidate: &likeness_domain::library::Candidate| dto::FaceFound {
        face_token: call.names.face_token(candidate.face.source_face),
        confidence: scale.to_number(candidate.similarity),
        user_id: text(candidate.face.subject.as_ref()),
    };
    let results = Some(found.candidates.iter().map(result).collect());
    Ok(Answer::Found(Box::new(dto::Found { results, thresholds: Some(scale::thresholds()), image_id, faces })))
}

/// A failed library call about the face of a token.
fn of_token(token: &str) -> impl Fn(Error) -> Failure {
    move |error| errors::library(error, &Blame { token, ..Blame::NOBODY })
}

/// The token that a call is about.
fn token<'a>(call: &'a Call<'_>) -> Result<(&'a str, FaceId), Failure> {
    let text = call.fields.needed("face_token")?;
    Ok((text, call.names.source_face(text).ok_or_else(|| errors::no_face(text))?))
}

pub(super) async fn detail(call: &Call<'_>) -> Result<Answer, Failure> {
    let (token, source_face) = token(call)?;
    let known = call.library.known_face(&call.caller, source_face).await.map_err(of_token(token))?;
    Ok(Answer::Face {
        face_token: token.to_owned(),
        face_rectangle: known.detection.bounding_box.into(),
        user_id: text(known.subject.as_ref()),
        facesets: known.face_sets.iter().map(|face_set| call.names.listed(face_set)).collect(),
    })
}

pub(super) async fn set_user_id(call: &Call<'_>) -> Result<Answer, Failure> {
    call.fields.require(&["face_token", "user_id"])?;
    let subject = convert::new_user_id(&call.fields)?;
    let (token, source_face) = token(call)?;
    let user_id = subject.as_str().to_owned();
    call.library.label_source(&call.caller, source_face, subject).await.map_err(of_token(token))?;
    Ok(Answer::UserIdSet { face_token: token.to_owned(), user_id })
}
