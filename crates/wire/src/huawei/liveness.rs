//! Liveness in the vendor's terms (action codes, windows, warnings) translated into the library's and back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use likeness_domain::library::{ClipLiveness, LiveClip, StillLiveness, VideoInput};
use likeness_domain::limits;
use likeness_domain::liveness::{Action, LivenessReason, SeenAction, WantedAction};

use super::dto;
use super::errors::{Failure, code};
use super::image::Picture;
use super::params::{Params, shortened};
use crate::http::json::rounded;

/// The codes of actions, from 1 on.
const ACTIONS: [Action; 5] = [Action::TurnLeft, Action::TurnRight, Action::Nod, Action::OpenMouth, Action::Blink];

/// Milliseconds of a clip, as documented.
const DURATION_MS: (u32, u32) = (1000, 15_000);

/// Recorders stop a little early or late: a clip so much shorter or longer is judged, with a warning.
const GRACE_MS: u32 = 100;

/// Decimals of a confidence, as similarities have them.
const DECIMALS: i32 = 6;

/// Degrees of a nod unless the client says otherwise; the vendor's default.
const NOD_DEGREES: f64 = 10.0;

// ------------------------------------------------------------------------------------------------- requests

/// What a call for action liveness asks, but for the clip.
pub(super) struct Asked {
    actions: Vec<WantedAction>,
    nod_degrees: f32,
}

/// Reads `actions`, `action_time` and `nod_threshold`.
pub(super) fn asked(params: &Params) -> Result<Asked, Failure> {
    let Some(codes) = params.text_or_whole("actions")? else { return Err(Failure::missing("`actions` is missing")) };
    let codes: Vec<&str> = codes.split(',').map(str::trim).collect();
    if codes.len() > limits::ACTIONS_MAX {
        let message = format!("`actions` has {} actions, expected at most {}", codes.len(), limits::ACTIONS_MAX);
        return Err(Failure::service(code::FRS_0704, message));
    }
    let actions = codes.iter().map(|code| action(code)).collect::<Result<Vec<_>, _>>()?;
    let windows = match params.text("action_time")? {
        None => vec![None; actions.len()],
        Some(text) => windows(text, actions.len())?,
    };
    let nod_degrees = params.number("nod_threshold")?.unwrap_or(NOD_DEGREES);
    if !(1.0..=90.0).contains(&nod_degrees) {
        return Err(Failure::invalid(format!("`nod_threshold` is {nod_degrees}, expected 1 to 90")));
    }
    let wanted = actions.into_iter().zip(windows).map(|(action, window_ms)| WantedAction { action, window_ms });
    Ok(Asked { actions: wanted.collect(), nod_degrees: nod_degrees as f32 })
}

fn action(text: &str) -> Result<Action, Failure> {
    let number = text.parse::<usize>().ok();
    number.and_then(|number| ACTIONS.get(number.checked_sub(1)?)).copied().ok_or_else(|| {
        let message = format!("`actions` has `{}`, expected codes from 1 to 5 between commas", shortened(text));
        Failure::service(code::FRS_0702, message)
    })
}

fn windows(text: &str, n_actions: usize) -> Result<Vec<Option<(u32, u32)>>, Failure> {
    let window = |piece: &str| {
        let (from, until) = piece.split_once('-')?;
        let window: (u32, u32) = (from.trim().parse().ok()?, until.trim().parse().ok()?);
        (window.0 <= window.1).then_some(Some(window))
    };
    let windows = text.split(',').map(window).collect::<Option<Vec<_>>>();
    windows.filter(|windows| windows.len() == n_actions).ok_or_else(|| {
        let message = format!(
            "`action_time` is `{}`, expected one `start-end` in milliseconds for each action, between commas",
            shortened(text)
        );
        Failure::service(code::FRS_0703, message)
    })
}

/// The whole question.
pub(super) fn live_clip(asked: Asked, video: Picture) -> LiveClip {
    let video = VideoInput {
        source: video.input.source,
        bytes_max: video.input.rules.bytes_max,
        fetch_deadline: video.input.fetch_deadline,
        duration_ms: (DURATION_MS.0 - GRACE_MS, DURATION_MS.1 + GRACE_MS),
    };
    LiveClip { video, actions: asked.actions, nod_degrees: asked.nod_degrees }
}

// ------------------------------------------------------------------------------------------------- answers

/// The answer about a clip.
pub(super) fn clip_judged(answer: ClipLiveness) -> dto::Liveness {
    let ClipLiveness { is_alive, actions, picture, reasons, duration_ms } = answer;
    let mut codes = Vec::new();
    if duration_ms <= DURATION_MS.0 {
        codes.push(2);
    } else if duration_ms > DURATION_MS.1 {
        codes.push(3);
    }
    codes.extend(reasons.into_iter().map(clip_warning));
    let seen = |seen: SeenAction| dto::SeenAction {
        confidence: rounded(seen.confidence, DECIMALS),
        action: ACTIONS.iter().position(|&action| action == seen.action).unwrap_or_default() + 1,
    };
    let result = dto::VideoResult {
        alive: is_alive,
        actions: actions.into_iter().map(seen).collect(),
        picture: picture.map(|picture| STANDARD.encode(picture)).unwrap_or_default(),
    };
    dto::Liveness { video_result: Some(result), result: None, warning_list: warnings(codes) }
}

/// The answer about a single picture.
pub(super) fn still_judged(answer: StillLiveness) -> dto::Liveness {
    let confidence = rounded(answer.probability, DECIMALS);
    // Of the rounded number: a client that compares it with 0.5 itself must come to the same.
    let result = dto::StillResult { alive: confidence > 0.5, confidence, picture: STANDARD.encode(answer.picture) };
    let warning_list = warnings(answer.reasons.into_iter().map(still_warning).collect());
    dto::Liveness { video_result: None, result: Some(result), warning_list }
}

fn clip_warning(reason: LivenessReason) -> u32 {
    match reason {
        LivenessReason::NotFrontal | LivenessReason::Turned => 1,
        LivenessReason::SeveralFaces => 4,
        LivenessReason::NoFace => 5,
        LivenessReason::SmallMovement => 6,
        LivenessReason::NotReal
        | LivenessReason::LowQuality
        | LivenessReason::Blurred
        | LivenessReason::Hidden
        | LivenessReason::Dark => 7,
        LivenessReason::NoGoodPicture => 8,
    }
}

fn still_warning(reason: LivenessReason) -> u32 {
    match reason {
        LivenessReason::LowQuality
        | LivenessReason::NotReal
        | LivenessReason::NoGoodPicture
        | LivenessReason::NoFace
        | LivenessReason::SmallMovement => 101,
        LivenessReason::Blurred => 102,
        LivenessReason::Turned | LivenessReason::NotFrontal => 103,
        LivenessReason::Hidden => 104,
        LivenessReason::Dark => 105,
        LivenessReason::SeveralFaces => 106,
    }
}

/// Rising, each once.
fn warnings(mut codes: Vec<u32>) -> Vec<dto::Warning> {
    codes.sort_unstable();
    codes.dedup();
    codes.into_iter().map(|code| dto::Warning { code, message: warning_text(code) }).collect()
}

fn warning_text(code: u32) -> &'static str {
    match code {
        1 => "The face is not turned towards the camera.",
        2 => "The clip is hardly longer than 1 second.",
        3 => "The clip is longer than 15 seconds.",
        4 => "More than one face was seen.",
        5 => "No face was seen.",
        6 => "The movement is too small.",
        7 => "The clip is of bad quality, or does not show a real person.",
        8 => "There is no good picture to return.",
        102 => "Image is blurred.",
        103 => "The head is turned too far.",
        104 => "The face is partly hidden.",
        105 => "The face is too dark or too bright.",
        106 => "There are several faces.",
        _ => "The quality of the picture is low.",
    }
}
