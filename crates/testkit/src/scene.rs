//! The text that stands for a photograph.

use likeness_domain::Kind;
use likeness_domain::ports::{Doubt, ImageFormats};
use likeness_domain::types::{
    Assessment, BoundingBox, Expression, Expressions, GenderEstimate, Openness, Pose, Quality,
};

use crate::head::FakeHead;

/// What a fake photograph shows.
#[derive(Debug, PartialEq)]
pub(crate) struct Scene {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) format: ImageFormats,
    pub(crate) faces: Vec<SceneFace>,
    pub(crate) fails: Option<Kind>,
}

/// One face of it.
#[derive(Debug, PartialEq)]
pub(crate) struct SceneFace {
    pub(crate) name: String,
    pub(crate) bounding_box: BoundingBox,
    pub(crate) score: f32,
    pub(crate) doubt: Option<Doubt>,
    pub(crate) quality: Quality,
    pub(crate) assessment: Assessment,
}

const WORDS: [&str; 4] = ["face", "size", "format", "error"];

/// Reads a scene. `None` if the bytes are no scene at all; `Err` says what is wrong with one.
pub(crate) fn parse(bytes: &[u8]) -> Option<Result<Scene, String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let first_word = text.split_whitespace().next()?;
    WORDS.contains(&first_word).then(|| parse_lines(text))
}

fn parse_lines(text: &str) -> Result<Scene, String> {
    let mut scene = Scene { width: 640, height: 480, format: ImageFormats::JPEG, faces: Vec::new(), fails: None };
    for (line_idx, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let result = match words[..] {
            [] => Ok(()),
            ["size", size] => {
                two_numbers(size, 'x').map(|(width, height)| (scene.width, scene.height) = (width, height))
            }
            ["format", word] => format_of(word).map(|format| scene.format = format),
            ["error", word] => kind_of(word).map(|kind| scene.fails = Some(kind)),
            ["face", name, place, ref rest @ ..] => face(name, place, rest).map(|face| scene.faces.push(face)),
            _ => Err("unknown words".to_owned()),
        };
        result.map_err(|problem| format!("fake image line {}: {problem}", line_idx + 1))?;
    }
    let inside = |face: &SceneFace| {
        let BoundingBox { left, top, width, height } = face.bounding_box;
        let fits = |start: u32, size: u32, end: u32| size > 0 && u64::from(start) + u64::from(size) <= u64::from(end);
        fits(left, width, scene.width) && fits(top, height, scene.height)
    };
    match scene.faces.iter().find(|face| !inside(face)) {
        Some(face) => Err(format!("fake image: the box of {} is not inside the picture", face.name)),
        None => Ok(scene),
    }
}

fn face(name: &str, place: &str, rest: &[&str]) -> Result<SceneFace, String> {
    let mut parts = place.split('+');
    let (Some(size), Some(left), Some(top), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(format!("`{place}` is no box, expected WIDTHxHEIGHT+LEFT+TOP"));
    };
    split_name(name)?;
    let (width, height) = two_numbers(size, 'x')?;
    let bounding_box = BoundingBox { left: number(left)?, top: number(top)?, width, height };
    let (score, findings) = match rest {
        [score, findings @ ..] if !score.contains('=') => {
            (score.parse().map_err(|_| format!("`{score}` is no score"))?, findings)
        }
        findings => (0.95, findings),
    };
    let name = name.to_owned();
    let mut face = SceneFace {
        name,
        bounding_box,
        score,
        quality: Quality::default(),
        assessment: Assessment::default(),
        doubt: None,
    };
    let mut head = None;
    findings.iter().try_for_each(|finding| find(&mut face, &mut head, finding))?;
    let pose = face.assessment.pose.unwrap_or_default();
    face.assessment.landmarks = head.map(|head| FakeHead { pose, ..head }.landmarks(&bounding_box));
    if let Some(share) = findings.iter().find_map(|finding| finding.strip_prefix("mesh=")) {
        let share: f32 = share.parse().map_err(|_| format!("`{share}` is no number"))?;
        let FakeHead { mouth, eyes, .. } = head.unwrap_or_default();
        face.assessment.openness = Some(Openness { right_eye: eyes, left_eye: eyes, mouth, eye_contrast: eyes });
        face.assessment.pose = Some(Pose { yaw: pose.yaw * share, pitch: pose.pitch * share, roll: pose.roll });
    }
    Ok(face)
}

/// Takes over what a word such as `age=34` says about the face.
fn find(face: &mut SceneFace, head: &mut Option<FakeHead>, finding: &str) -> Result<(), String> {
    let Some((what, value)) = finding.split_once('=') else {
        return Err(format!("`{finding}` is no finding, expected a word such as age=34"));
    };
    let number = || value.parse::<f32>().map_err(|_| format!("`{value}` is no number"));
    let pose = |face: &mut SceneFace| *face.assessment.pose.get_or_insert_with(Pose::default);
    match what {
        "total" => face.quality.total = Some(number()?),
        "sharpness" => face.quality.sharpness = Some(number()?),
        "illumination" => face.quality.illumination = Some(number()?),
        "frontal" => face.quality.pose = Some(number()?),
        "visibility" => face.quality.visibility = Some(number()?),
        "yaw" => face.assessment.pose = Some(Pose { yaw: number()?, ..pose(face) }),
        "pitch" => face.assessment.pose = Some(Pose { pitch: number()?, ..pose(face) }),
        "roll" => face.assessment.pose = Some(Pose { roll: number()?, ..pose(face) }),
        "mouth" => head.get_or_insert_default().mouth = number()?,
        "eyes" => head.get_or_insert_default().eyes = number()?,
        "flat" => head.get_or_insert_default().is_flat = number()? != 0.0,
        // Read last, since it changes what the others say.
        "mesh" => {}
        "age" => face.assessment.age = Some(number()?),
        "male" => face.assessment.gender = Some(GenderEstimate { male: number()? }),
        "presence" => face.doubt = Some(Doubt { presence: number()?, presence_min: 8.0 }),
        "live" => face.assessment.liveness = Some(number()?),
        "expression" => face.assessment.expression = Some(expression(value)?),
        _ => return Err(format!("`{what}` is nothing that is measured")),
    }
    Ok(())
}

/// The named expression at 0.94, the other six share the rest.
fn expression(word: &str) -> Result<Expressions, String> {
    let known = Expression::ALL.iter().any(|expression| expression.word() == word);
    let probability = |expression: Expression| if expression.word() == word { 0.94 } else { 0.01 };
    known.then(|| Expressions(Expression::ALL.map(probability))).ok_or_else(|| format!("`{word}` is no expression"))
}

/// The person a face's name stands for and, after a `~`, how close this picture of them is to the first.
pub(crate) fn split_name(name: &str) -> Result<(&str, Option<f64>), String> {
    let Some((base, rest)) = name.split_once('~') else { return Ok((name, None)) };
    let number = rest.split('#').next().unwrap_or(rest);
    match number.parse::<f64>() {
        Ok(closeness) if (-1.0..=1.0).contains(&closeness) => Ok((base, Some(closeness))),
        _ => Err(format!("`{number}` is no cosine, expected a name such as anna or anna~0.8")),
    }
}

fn two_numbers(text: &str, between: char) -> Result<(u32, u32), String> {
    let (first, second) = text.split_once(between).ok_or_else(|| format!("`{text}` is no size"))?;
    Ok((number(first)?, number(second)?))
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is no whole number"))
}

fn format_of(word: &str) -> Result<ImageFormats, String> {
    Ok(match word {
        "jpeg" => ImageFormats::JPEG,
        "png" => ImageFormats::PNG,
        "bmp" => ImageFormats::BMP,
        "webp" => ImageFormats::WEBP,
        "gif" => ImageFormats::GIF,
        _ => return Err(format!("`{word}` is no format")),
    })
}

fn kind_of(word: &str) -> Result<Kind, String> {
    let named = |kind: &&Kind| format!("{kind:?}") == word;
    Kind::ALL.iter().find(named).copied().ok_or_else(|| format!("`{word}` is no kind of error"))
}

/// The format of a real picture by its first bytes.
pub(crate) fn sniff(bytes: &[u8]) -> Option<ImageFormats> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some(ImageFormats::JPEG),
        [0x89, b'P', b'N', b'G', ..] => Some(ImageFormats::PNG),
        [b'B', b'M', ..] => Some(ImageFormats::BMP),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(ImageFormats::WEBP),
        [b'G', b'I', b'F', b'8', ..] => Some(ImageFormats::GIF),
        _ => None,
    }
}
