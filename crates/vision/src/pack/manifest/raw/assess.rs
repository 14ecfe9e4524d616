//! The stages that measure faces, as written and checked.

use likeness_domain::types::Expression;
use serde::Deserialize;

use super::{Checked, RawCropInput, check_crop_input, check_file, check_name, within};
use crate::pack::manifest::{
    AgeGenderStage, AssessStages, ExpressionStage, Landmarks68Stage, LivenessModel, LivenessStage, ModelFile,
};

/// Side of a crop in sides of the face's box: the stretch a liveness net sees is the largest in use, 4.
const CROP_MAX: f64 = 8.0;

/// Nets of a liveness stage; two are in use.
const LIVENESS_MODELS_MAX: usize = 8;

/// Numbers a liveness net gives at most.
const LIVENESS_CLASSES_MAX: usize = 100;

/// Years that a 1 stands for.
const AGE_YEARS_MAX: f32 = 1000.0;

#[derive(Deserialize)]
enum RawSquareCrop {
    #[serde(rename = "square-crop")]
    SquareCrop,
}

#[derive(Deserialize)]
enum RawLivenessFamily {
    #[serde(rename = "minifasnet")]
    MiniFasNet,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLandmarks68 {
    #[serde(rename = "family")]
    _family: RawSquareCrop,
    file: String,
    sha256: String,
    input: RawCropInput,
    crop: f64,
    output: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExpression {
    #[serde(rename = "family")]
    _family: RawSquareCrop,
    file: String,
    sha256: String,
    input: RawCropInput,
    crop: f64,
    output: Option<String>,
    classes: Vec<String>,
    softmax: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAgeGender {
    #[serde(rename = "family")]
    _family: RawSquareCrop,
    file: String,
    sha256: String,
    input: RawCropInput,
    crop: f64,
    age: RawAge,
    gender: RawGender,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAge {
    output: String,
    years: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGender {
    output: String,
    classes: Vec<String>,
    softmax: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLiveness {
    #[serde(rename = "family")]
    _family: RawLivenessFamily,
    models: Vec<RawLivenessModel>,
    input: RawCropInput,
    live_class: usize,
    softmax: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLivenessModel {
    file: String,
    sha256: String,
    crop: f64,
}

pub(super) fn check(
    landmarks68: Option<RawLandmarks68>,
    expression: Option<RawExpression>,
    age_gender: Option<RawAgeGender>,
    liveness: Option<RawLiveness>,
) -> Checked<AssessStages> {
    Ok(AssessStages {
        landmarks68: landmarks68.map(check_landmarks68).transpose()?,
        expression: expression.map(check_expression).transpose()?,
        age_gender: age_gender.map(check_age_gender).transpose()?,
        liveness: liveness.map(check_liveness).transpose()?,
    })
}

fn check_landmarks68(raw: RawLandmarks68) -> Checked<Landmarks68Stage> {
    Ok(Landmarks68Stage {
        file: check_file("landmarks68", raw.file, &raw.sha256)?,
        input: check_crop_input("landmarks68", raw.input)?,
        crop: check_crop("landmarks68.crop", raw.crop)?,
        output: check_output("landmarks68.output", raw.output)?,
    })
}

fn check_expression(raw: RawExpression) -> Checked<ExpressionStage> {
    let of_word = |word: &String| Expression::ALL.into_iter().find(|expression| expression.word() == word);
    let classes: Option<Vec<Expression>> = raw.classes.iter().map(of_word).collect();
    let classes: Option<[Expression; 7]> = classes.and_then(|classes| classes.try_into().ok());
    let complete = classes.filter(|classes| Expression::ALL.iter().all(|expression| classes.contains(expression)));
    let classes = complete.ok_or_else(|| {
        let words = Expression::ALL.map(Expression::word).join(", ");
        format!("`expression.classes` is {:?}, expected each of {words} once", raw.classes)
    })?;
    Ok(ExpressionStage {
        file: check_file("expression", raw.file, &raw.sha256)?,
        input: check_crop_input("expression", raw.input)?,
        crop: check_crop("expression.crop", raw.crop)?,
        output: check_output("expression.output", raw.output)?,
        classes,
        softmax: raw.softmax,
    })
}

fn check_age_gender(raw: RawAgeGender) -> Checked<AgeGenderStage> {
    check_name("age_gender.age.output", &raw.age.output)?;
    check_name("age_gender.gender.output", &raw.gender.output)?;
    if !(raw.age.years > 0.0 && raw.age.years <= AGE_YEARS_MAX) {
        let years = raw.age.years;
        return Err(format!("`age_gender.age.years` is {years}, expected above 0 to {AGE_YEARS_MAX}"));
    }
    let classes: Vec<&str> = raw.gender.classes.iter().map(String::as_str).collect();
    let male_idx = match classes[..] {
        ["male", "female"] => 0,
        ["female", "male"] => 1,
        _ => return Err(format!("`age_gender.gender.classes` is {classes:?}, expected male and female in any order")),
    };
    Ok(AgeGenderStage {
        file: check_file("age_gender", raw.file, &raw.sha256)?,
        input: check_crop_input("age_gender", raw.input)?,
        crop: check_crop("age_gender.crop", raw.crop)?,
        age_output: raw.age.output,
        age_years: raw.age.years,
        gender_output: raw.gender.output,
        male_idx,
        softmax: raw.gender.softmax,
    })
}

fn check_liveness(raw: RawLiveness) -> Checked<LivenessStage> {
    within("number of `liveness.models`", raw.models.len(), 1, LIVENESS_MODELS_MAX)?;
    within("liveness.live_class", raw.live_class, 0, LIVENESS_CLASSES_MAX - 1)?;
    let check_model = |raw: RawLivenessModel| -> Checked<LivenessModel> {
        let file: ModelFile = check_file("liveness.models", raw.file, &raw.sha256)?;
        Ok(LivenessModel { file, crop: check_crop("liveness.models.crop", raw.crop)? })
    };
    Ok(LivenessStage {
        models: raw.models.into_iter().map(check_model).collect::<Checked<_>>()?,
        input: check_crop_input("liveness", raw.input)?,
        live_class: raw.live_class,
        softmax: raw.softmax,
    })
}

fn check_crop(key: &str, crop: f64) -> Checked<f64> {
    if crop > 0.0 && crop <= CROP_MAX {
        return Ok(crop);
    }
    Err(format!("`{key}` is {crop}, expected above 0 to {CROP_MAX}"))
}

fn check_output(key: &str, name: Option<String>) -> Checked<Option<String>> {
    name.as_deref().map_or(Ok(()), |name| check_name(key, name))?;
    Ok(name)
}
