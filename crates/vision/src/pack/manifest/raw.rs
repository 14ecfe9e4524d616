//! The manifest as written, and the checks that turn it into a [`Manifest`].
//!
//! Problems are sentences without the file's name: the caller puts that in front.

use likeness_domain::score::{Calibration, Interval, OperatingPoint};
use likeness_domain::types::{DIMENSIONS_MAX, PackId, Similarity};
use serde::Deserialize;

use super::{
    Align, AlignTemplate, ColourOrder, CropInput, DETECT_SIDE_MAX, Detect, DetectFamily, DetectFrame, DetectInput,
    Embed, EmbedFamily, MANIFEST_FILE, Manifest, ModelFile, PackDescription, Recognition, Score,
};
use crate::pack::digest::Digest;

mod assess;
mod mesh;

/// Side of the crop that every alignment template makes.
const ALIGNED_SIDE: u32 = 112;

/// Largest side of a crop; nets in use take 64 to 256.
const CROP_SIDE_MAX: u32 = 1024;

/// Characters of a name within the pack (file, output, version-less pack name).
const NAME_CHARS_MAX: usize = 128;

/// Most strides of a detector: each is a set of output tensors.
const STRIDES_MAX: usize = 8;

/// Most operating points: enough for a finely measured curve.
const OPERATING_POINTS_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    pack: RawPack,
    detect: Option<RawDetect>,
    mesh: Option<mesh::RawMesh>,
    align: Option<RawAlign>,
    embed: Option<RawEmbed>,
    score: Option<RawScore>,
    landmarks68: Option<assess::RawLandmarks68>,
    expression: Option<assess::RawExpression>,
    age_gender: Option<assess::RawAgeGender>,
    liveness: Option<assess::RawLiveness>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPack {
    id: String,
    version: u32,
    dimension: Option<usize>,
    licence: String,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDetect {
    family: RawDetectFamily,
    file: String,
    sha256: String,
    input: RawDetectInput,
    strides: Vec<u32>,
    score_min: f32,
    nms_iou: f32,
    side_max: u32,
    first_pass: Option<mesh::RawFirstPass>,
}

#[derive(Deserialize)]
enum RawDetectFamily {
    #[serde(rename = "yunet")]
    YuNet,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDetectInput {
    order: RawOrder,
    mean: f32,
    scale: f32,
    multiple_of: Option<u32>,
    side: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawOrder {
    Rgb,
    Bgr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlign {
    template: RawTemplate,
}

#[derive(Deserialize)]
enum RawTemplate {
    #[serde(rename = "five-point-112")]
    FivePoint112,
    #[serde(rename = "mesh-468-112")]
    Mesh468_112,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEmbed {
    family: RawEmbedFamily,
    file: String,
    sha256: String,
    input: RawCropInput,
    output: Option<String>,
}

#[derive(Deserialize)]
enum RawEmbedFamily {
    #[serde(rename = "arcface-112")]
    ArcFace112,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCropInput {
    size: u32,
    order: RawOrder,
    mean: f32,
    scale: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScore {
    operating_points: Vec<RawOperatingPoint>,
    measured_on: String,
    default_far: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOperatingPoint {
    far: f64,
    similarity: f32,
    far_interval: Option<[f64; 2]>,
    tar: Option<f64>,
    tar_interval: Option<[f64; 2]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCalibration {
    pack: String,
    measured_on: String,
    default_far: Option<f64>,
    operating_points: Vec<RawOperatingPoint>,
}

type Checked<T> = Result<T, String>;

pub(super) fn parse_calibration(text: &str) -> Checked<(PackId, Score)> {
    let raw: RawCalibration = toml::from_str(text).map_err(|err| syntax_problem(text, &err))?;
    let id = PackId::new(&raw.pack).ok_or_else(|| {
        let given: String = raw.pack.chars().take(NAME_CHARS_MAX).collect();
        format!("`pack` is `{given}`, expected a model pack's name such as `default-2`")
    })?;
    let RawCalibration { measured_on, default_far, operating_points, .. } = raw;
    let score = check_score(RawScore { operating_points, measured_on, default_far })?;
    Ok((id, score))
}

pub(super) fn parse(text: &str) -> Checked<Manifest> {
    let raw: RawManifest = toml::from_str(text).map_err(|err| syntax_problem(text, &err))?;
    let dimensions = raw.pack.dimension;
    let (id, pack) = check_pack(raw.pack)?;
    let recognition = check_recognition(dimensions, (raw.detect, raw.align, raw.embed, raw.score), raw.mesh)?;
    let assess = assess::check(raw.landmarks68, raw.expression, raw.age_gender, raw.liveness)?;
    if recognition.is_none() && assess.aspects().is_empty() {
        return Err("has no stage: neither `detect`, `align`, `embed` and `score`, nor one that assesses".into());
    }
    let manifest = Manifest { id, pack, recognition, assess };
    let files = manifest.files();
    for (idx, file) in files.iter().enumerate() {
        if files[..idx].iter().any(|other| other.name == file.name && other.sha256 != file.sha256) {
            return Err(format!("two stages name `{}` but state different digests", file.name));
        }
    }
    Ok(manifest)
}

type RawRecognition = (Option<RawDetect>, Option<RawAlign>, Option<RawEmbed>, Option<RawScore>);

/// Templates need all four stages and a dimension; a pack without templates has none of them.
fn check_recognition(
    dimensions: Option<usize>,
    raw: RawRecognition,
    mesh: Option<mesh::RawMesh>,
) -> Checked<Option<Recognition>> {
    let (dimensions, detect, align, embed, score) = match (dimensions, raw) {
        (None, (None, None, None, None)) if mesh.is_some() => {
            return Err("has `mesh` but not `detect`, which finds the faces that the mesh is fitted to".into());
        }
        (None, (None, None, None, None)) => return Ok(None),
        (Some(dimensions), (Some(detect), Some(align), Some(embed), Some(score))) => {
            (dimensions, detect, align, embed, score)
        }
        (dimensions, (detect, align, embed, score)) => {
            let keys = [
                ("pack.dimension", dimensions.is_some()),
                ("detect", detect.is_some()),
                ("align", align.is_some()),
                ("embed", embed.is_some()),
                ("score", score.is_some()),
            ];
            let names = |wanted: bool| -> Vec<_> {
                keys.iter().filter(|(_, is_there)| *is_there == wanted).map(|(name, _)| format!("`{name}`")).collect()
            };
            return Err(format!(
                "has {} but not {}: they go together",
                names(true).join(", "),
                names(false).join(", ")
            ));
        }
    };
    within("pack.dimension", dimensions, 1, DIMENSIONS_MAX)?;
    let template = match align.template {
        RawTemplate::FivePoint112 => AlignTemplate::FivePoint112,
        RawTemplate::Mesh468_112 if mesh.is_none() => {
            return Err("`align.template` is \"mesh-468-112\", which needs the points of `[mesh]`".into());
        }
        RawTemplate::Mesh468_112 => AlignTemplate::Mesh468_112,
    };
    Ok(Some(Recognition {
        dimensions,
        detect: check_detect(detect)?,
        mesh: mesh.map(mesh::check_mesh).transpose()?,
        align: Align { template },
        embed: check_embed(embed)?,
        score: check_score(score)?,
    }))
}

/// What the TOML reader says, with the line it speaks of: its message alone does not name the key.
fn syntax_problem(text: &str, err: &toml::de::Error) -> String {
    let message = err.message().trim_end().replace('\n', "; ");
    // A missing key is reported at the table that lacks it, which for the root is the whole file.
    let Some(span) = err.span().filter(|span| span.start < text.len() && text.is_char_boundary(span.start)) else {
        return message;
    };
    let line_number = text[..span.start].matches('\n').count() + 1;
    let line: String = text.lines().nth(line_number - 1).unwrap_or_default().trim().chars().take(80).collect();
    format!("line {line_number} (`{line}`): {message}")
}

fn check_pack(raw: RawPack) -> Checked<(PackId, PackDescription)> {
    let lawful = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    let begins_well = raw.id.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !begins_well || raw.id.len() > 48 || !raw.id.bytes().all(lawful) {
        return Err(format!(
            "`pack.id` is {:?}, expected 1 to 48 of a-z, 0-9, - and _, beginning with a letter or digit",
            raw.id
        ));
    }
    within("pack.version", raw.version, 1, 9999)?;
    if raw.licence.trim().is_empty() {
        return Err("`pack.licence` is empty, expected the licence of the weights in words".into());
    }
    let id = format!("{}-{}", raw.id, raw.version);
    let id = PackId::new(&id).ok_or_else(|| format!("`pack.id` and `pack.version` make {id:?}, not a pack id"))?;
    let pack = PackDescription { name: raw.id, version: raw.version, licence: raw.licence, note: raw.note };
    Ok((id, pack))
}

fn check_detect(raw: RawDetect) -> Checked<Detect> {
    let file = check_file("detect", raw.file, &raw.sha256)?;
    let RawDetectInput { order, mean, scale, multiple_of, side } = raw.input;
    check_scaling("detect.input", mean, scale)?;
    within("detect.side_max", raw.side_max, 32, DETECT_SIDE_MAX)?;
    let (frame, step) = match (multiple_of, side) {
        (Some(step), None) => {
            within("detect.input.multiple_of", step, 1, 256)?;
            (DetectFrame::MultipleOf(step), step)
        }
        (None, Some(side)) => {
            within("detect.input.side", side, raw.side_max, DETECT_SIDE_MAX)?;
            (DetectFrame::Fixed(side), side)
        }
        _ => return Err("`detect.input` needs either `multiple_of` (free size) or `side` (fixed size)".into()),
    };
    let rising = raw.strides.windows(2).all(|pair| pair[0] < pair[1]);
    let fitting = raw.strides.iter().all(|&stride| stride > 0 && step.is_multiple_of(stride));
    if raw.strides.is_empty() || raw.strides.len() > STRIDES_MAX || !rising || !fitting {
        return Err(format!(
            "`detect.strides` is {:?}, expected 1 to {STRIDES_MAX} rising divisors of the input size {step}",
            raw.strides
        ));
    }
    share("detect.score_min", raw.score_min)?;
    share("detect.nms_iou", raw.nms_iou)?;
    let mut detect = Detect {
        family: match raw.family {
            RawDetectFamily::YuNet => DetectFamily::YuNet,
        },
        file,
        input: DetectInput { order: colour_order(&order), mean, scale, frame },
        strides: raw.strides,
        score_min: raw.score_min,
        nms_iou: raw.nms_iou,
        side_max: raw.side_max,
        first_pass: None,
    };
    detect.first_pass = raw.first_pass.map(|raw| mesh::check_first_pass(&raw, &detect)).transpose()?;
    Ok(detect)
}

fn check_embed(raw: RawEmbed) -> Checked<Embed> {
    let file = check_file("embed", raw.file, &raw.sha256)?;
    let input = check_crop_input("embed", raw.input)?;
    if input.side != ALIGNED_SIDE {
        let size = input.side;
        return Err(format!("`embed.input.size` is {size}, expected {ALIGNED_SIDE}, the aligned crop's side"));
    }
    if let Some(output) = &raw.output {
        check_name("embed.output", output)?;
    }
    Ok(Embed {
        family: match raw.family {
            RawEmbedFamily::ArcFace112 => EmbedFamily::ArcFace112,
        },
        file,
        input,
        output: raw.output,
    })
}

fn check_score(raw: RawScore) -> Checked<Score> {
    if raw.measured_on.trim().is_empty() {
        return Err("`score.measured_on` is empty, expected the evaluation set in words".into());
    }
    within("number of `score.operating_points`", raw.operating_points.len(), 2, OPERATING_POINTS_MAX)?;
    let mut points = Vec::with_capacity(raw.operating_points.len());
    for RawOperatingPoint { far, similarity, far_interval, tar, tar_interval } in raw.operating_points {
        if !(-1.0..=1.0).contains(&similarity) {
            return Err(format!("`score.operating_points` has similarity {similarity}, expected -1 to 1"));
        }
        if let Some([low, high]) = far_interval
            && !(0.0 <= low && low <= far && far <= high && high <= 1.0)
        {
            let range = format!("[{low}, {high}] at far {far}");
            return Err(format!(
                "`score.operating_points` has far_interval {range}, expected 0 <= low <= far <= high <= 1"
            ));
        }
        if let Some(tar) = tar.filter(|tar| !(0.0..=1.0).contains(tar)) {
            return Err(format!("`score.operating_points` has tar {tar}, expected 0 to 1"));
        }
        if let Some([low, high]) = tar_interval {
            let Some(tar) = tar else {
                return Err("`score.operating_points` has a tar_interval without a `tar`".to_owned());
            };
            if !(0.0 <= low && low <= tar && tar <= high && high <= 1.0) {
                let range = format!("[{low}, {high}] at tar {tar}");
                return Err(format!(
                    "`score.operating_points` has tar_interval {range}, expected 0 <= low <= tar <= high <= 1"
                ));
            }
        }
        let interval = |ends: Option<[f64; 2]>| ends.map(|[low, high]| Interval { low, high });
        points.push(OperatingPoint {
            far,
            similarity: Similarity::new(similarity),
            far_interval: interval(far_interval),
            tar,
            tar_interval: interval(tar_interval),
        });
    }
    let calibration = Calibration::new(points).ok_or(
        "`score.operating_points` must have `far` between 0 and 1, each once, a lower `far` a higher `similarity`, and \
         ends of `far_interval` that do not rise",
    )?;
    let (least, most) = calibration.far_range();
    let calibration = match raw.default_far {
        None => calibration,
        Some(far) => calibration.with_far_default(far).ok_or_else(|| {
            format!("`score.default_far` is {far:e}, expected {least:e} to {most:e}, which is what was measured")
        })?,
    };
    Ok(Score { calibration, measured_on: raw.measured_on })
}

fn check_file(stage: &str, name: String, sha256: &str) -> Checked<ModelFile> {
    check_name(&format!("{stage}.file"), &name)?;
    // A pack is half-trusted: its manifest must not reach outside its folder, nor be its own model.
    if name.starts_with('.') || name.contains(['/', '\\', ':']) || name == MANIFEST_FILE {
        return Err(format!("`{stage}.file` is {name:?}, expected the plain name of a file beside the manifest"));
    }
    let sha256 = Digest::parse(sha256)
        .ok_or_else(|| format!("`{stage}.sha256` is {sha256:?}, expected 64 lower-case hex digits"))?;
    Ok(ModelFile { name, sha256 })
}

fn check_name(key: &str, name: &str) -> Checked<()> {
    let n_chars = name.chars().count();
    if n_chars == 0 || n_chars > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(format!("`{key}` has {n_chars} characters, expected 1 to {NAME_CHARS_MAX} printable ones"));
    }
    Ok(())
}

fn check_crop_input(stage: &str, raw: RawCropInput) -> Checked<CropInput> {
    let RawCropInput { size, order, mean, scale } = raw;
    within(&format!("{stage}.input.size"), size, 1, CROP_SIDE_MAX)?;
    check_scaling(&format!("{stage}.input"), mean, scale)?;
    Ok(CropInput { side: size, order: colour_order(&order), mean, scale })
}

fn check_scaling(key: &str, mean: f32, scale: f32) -> Checked<()> {
    if !mean.is_finite() {
        return Err(format!("`{key}.mean` is {mean}, expected a finite number"));
    }
    if !scale.is_normal() {
        return Err(format!("`{key}.scale` is {scale}, expected a finite number other than 0"));
    }
    Ok(())
}

fn share(key: &str, value: f32) -> Checked<()> {
    if value > 0.0 && value <= 1.0 { Ok(()) } else { Err(format!("`{key}` is {value}, expected above 0 to 1")) }
}

fn within<N: PartialOrd + std::fmt::Display>(key: &str, value: N, least: N, most: N) -> Checked<()> {
    if value >= least && value <= most {
        return Ok(());
    }
    let key = if key.contains('`') { key.to_owned() } else { format!("`{key}`") };
    Err(format!("{key} is {value}, expected {least} to {most}"))
}

fn colour_order(raw: &RawOrder) -> ColourOrder {
    match raw {
        RawOrder::Rgb => ColourOrder::Rgb,
        RawOrder::Bgr => ColourOrder::Bgr,
    }
}
