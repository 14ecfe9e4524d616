//! Liveness of the native API.

use likeness_domain::access::Caller;
use likeness_domain::library::{Library, LiveClip, VideoInput};
use likeness_domain::liveness::{Action, LivenessReason, WantedAction};
use likeness_domain::{Error, limits};

use super::body::{Form, FromForm};
use super::{convert, dto};

/// Degrees of a nod unless the caller says otherwise.
const NOD_DEGREES: f32 = 10.0;

/// Least milliseconds of a clip: a movement and the rest before it.
const DURATION_MS_MIN: u32 = 500;

/// Judges a clip if actions are named, else a picture.
pub async fn judge(library: &Library, caller: &Caller, body: dto::Liveness) -> Result<dto::Judged, Error> {
    let dto::Liveness { image, actions, windows, nod_degrees } = body;
    let image = convert::image(image)?;
    let Some(actions) = actions else {
        let answer = library.still_liveness(caller, image).await?;
        return Ok(dto::Judged {
            alive: answer.probability > 0.5,
            probability: Some(answer.probability),
            face: Some(convert::detection(answer.detection)),
            actions: None,
            duration_ms: None,
            remarks: words(answer.reasons),
        });
    };
    let video = VideoInput {
        source: image.source,
        bytes_max: limits::VIDEO_BYTES_MAX,
        fetch_deadline: image.fetch_deadline,
        duration_ms: (DURATION_MS_MIN, limits::VIDEO_DURATION_MS_MAX),
    };
    let actions = wanted(&actions, windows.as_deref())?;
    let nod_degrees = nod_degrees.unwrap_or(NOD_DEGREES);
    let answer = library.clip_liveness(caller, LiveClip { video, actions, nod_degrees }).await?;
    let seen = answer
        .actions
        .iter()
        .map(|seen| dto::SeenAction { action: seen.action.word().to_owned(), confidence: seen.confidence });
    Ok(dto::Judged {
        alive: answer.is_alive,
        probability: None,
        face: None,
        actions: Some(seen.collect()),
        duration_ms: Some(answer.duration_ms),
        remarks: words(answer.reasons),
    })
}

fn words(reasons: Vec<LivenessReason>) -> Vec<String> {
    reasons.into_iter().map(|reason| reason.word().to_owned()).collect()
}

fn wanted(actions: &str, windows: Option<&str>) -> Result<Vec<WantedAction>, Error> {
    let known = Action::ALL.map(Action::word).join(", ");
    let action = |word: &str| {
        let found = Action::ALL.into_iter().find(|action| action.word() == word.trim());
        found.ok_or_else(|| {
            Error::invalid("actions", format!("`actions` is `{actions}`, expected some of {known} between commas"))
        })
    };
    let actions = actions.split(',').map(action).collect::<Result<Vec<_>, _>>()?;
    let Some(text) = windows else {
        return Ok(actions.into_iter().map(|action| WantedAction { action, window_ms: None }).collect());
    };
    let window = |piece: &str| {
        let (from, until) = piece.trim().split_once('-')?;
        Some((from.parse().ok()?, until.parse().ok()?))
    };
    let windows: Option<Vec<(u32, u32)>> = text.split(',').map(window).collect();
    let windows = windows.filter(|windows| windows.len() == actions.len()).ok_or_else(|| {
        let message = format!("`windows` is `{text}`, expected one `start-end` in milliseconds for each action");
        Error::invalid("windows", message)
    })?;
    let pairs = actions.into_iter().zip(windows);
    Ok(pairs.map(|(action, window)| WantedAction { action, window_ms: Some(window) }).collect())
}

impl FromForm for dto::Liveness {
    fn from_form(form: &mut Form) -> Result<Self, Error> {
        Ok(Self {
            image: form.needed_image("image")?,
            actions: form.words.text("actions"),
            windows: form.words.text("windows"),
            nod_degrees: form.words.parsed("nod_degrees", "a number of degrees")?,
        })
    }
}
