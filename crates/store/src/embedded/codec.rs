//! Bytes of the columns that are not plain SQL values. Everything is little-endian; the layouts are named in
//! `docs/storage.md` and change only with a schema version.

use std::sync::Arc;

use likeness_domain::types::{
    BoundingBox, Detection, FieldName, FieldSchema, FieldType, FieldValue, FieldValues, Landmarks, PackId, Point,
    Quality, Template, TenantId,
};

use super::errors::{Answer, Failure};

fn damaged(what: impl std::fmt::Display) -> Failure {
    Failure::Damaged(what.to_string())
}

/// 16 bytes, most significant first, so that they read like the id.
pub(crate) fn tenant_bytes(tenant: TenantId) -> [u8; 16] {
    tenant.to_bits().to_be_bytes()
}

pub(crate) fn tenant_of(bytes: &[u8]) -> Answer<TenantId> {
    let bits = bytes.try_into().map_err(|_| damaged("a tenant id has not 16 bytes"))?;
    Ok(TenantId::from_bits(u128::from_be_bytes(bits)))
}

/// The unit vector, 4 bytes per dimension.
pub(crate) fn vector_bytes(template: &Template) -> Vec<u8> {
    template.unit().iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// The template again, checked: damaged bytes must not become somebody else's face.
pub(crate) fn template_of(pack: &str, bytes: &[u8]) -> Answer<Template> {
    let pack = pack_of(pack)?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(damaged("a template's bytes are no whole number of dimensions"));
    }
    let unit: Arc<[f32]> = numbers.iter().map(|&number| f32::from_le_bytes(number)).collect();
    Template::from_unit(pack, unit).map_err(damaged)
}

pub(crate) fn pack_of(text: &str) -> Answer<PackId> {
    PackId::new(text).ok_or_else(|| damaged("a pack id is malformed"))
}

/// Length of [`detection_bytes`].
const DETECTION_LEN: usize = 4 * 4 + 4 + 5 * 2 * 4;

/// left, top, width, height (u32), score (f32), five points x, y (f32).
pub(crate) fn detection_bytes(detection: &Detection) -> [u8; DETECTION_LEN] {
    let bounding_box = detection.bounding_box;
    let whole = [bounding_box.left, bounding_box.top, bounding_box.width, bounding_box.height];
    let real =
        std::iter::once(detection.score).chain(detection.landmarks.0.iter().flat_map(|point| [point.x, point.y]));
    let mut bytes = [0; DETECTION_LEN];
    let words = whole.into_iter().map(u32::to_le_bytes).chain(real.map(f32::to_le_bytes));
    for (slot, word) in bytes.chunks_exact_mut(4).zip(words) {
        slot.copy_from_slice(&word);
    }
    bytes
}

pub(crate) fn detection_of(bytes: &[u8]) -> Answer<Detection> {
    if bytes.len() != DETECTION_LEN {
        return Err(damaged("a detection has not 60 bytes"));
    }
    let words = bytes.as_chunks::<4>().0;
    let whole = |word_idx: usize| u32::from_le_bytes(words[word_idx]);
    let real = |word_idx: usize| f32::from_le_bytes(words[word_idx]);
    let point = |point_idx: usize| Point { x: real(5 + 2 * point_idx), y: real(6 + 2 * point_idx) };
    Ok(Detection {
        bounding_box: BoundingBox { left: whole(0), top: whole(1), width: whole(2), height: whole(3) },
        score: real(4),
        landmarks: Landmarks([point(0), point(1), point(2), point(3), point(4)]),
    })
}

/// Five f32; NaN stands for "not measured". `None` when nothing was.
pub(crate) fn quality_bytes(quality: &Quality) -> Option<Vec<u8>> {
    let figures = [quality.total, quality.sharpness, quality.illumination, quality.pose, quality.visibility];
    figures
        .iter()
        .any(Option::is_some)
        .then(|| figures.iter().flat_map(|figure| figure.unwrap_or(f32::NAN).to_le_bytes()).collect())
}

pub(crate) fn quality_of(bytes: Option<&[u8]>) -> Answer<Quality> {
    let Some(bytes) = bytes else { return Ok(Quality::default()) };
    if bytes.len() != 20 {
        return Err(damaged("a quality has not 20 bytes"));
    }
    let figure = |figure_idx: usize| {
        Some(f32::from_le_bytes(bytes.as_chunks::<4>().0[figure_idx])).filter(|number| !number.is_nan())
    };
    Ok(Quality {
        total: figure(0),
        sharpness: figure(1),
        illumination: figure(2),
        pose: figure(3),
        visibility: figure(4),
    })
}

/// Per value: name length (u8), name, tag (`t`, `w`, `r` or `b`), then the text's length (u32) and bytes, the whole number
/// (i64), the real number (f64) or the boolean (u8). `None` when there are none.
pub(crate) fn fields_bytes(fields: &FieldValues) -> Option<Vec<u8>> {
    if fields.values().is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    for (name, value) in fields.values() {
        let name = name.as_str().as_bytes();
        bytes.push(name.len() as u8); // A field name has at most 36 bytes.
        bytes.extend_from_slice(name);
        match value {
            FieldValue::Text(text) => {
                bytes.push(b't');
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
            FieldValue::Whole(number) => {
                bytes.push(b'w');
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            FieldValue::Real(number) => {
                bytes.push(b'r');
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            FieldValue::Boolean(flag) => bytes.extend_from_slice(&[b'b', u8::from(*flag)]),
        }
    }
    Some(bytes)
}

pub(crate) fn fields_of(bytes: Option<&[u8]>) -> Answer<FieldValues> {
    let mut rest = bytes.unwrap_or_default();
    let mut values = Vec::new();
    while !rest.is_empty() {
        values.push(next_value(&mut rest).ok_or_else(|| damaged("custom values are malformed"))?);
    }
    Ok(FieldValues::new(values))
}

fn next_value(rest: &mut &[u8]) -> Option<(FieldName, FieldValue)> {
    let name_len = rest.split_off_first()?;
    let name = FieldName::new(std::str::from_utf8(rest.split_off(..usize::from(*name_len))?).ok()?).ok()?;
    let value = match rest.split_off_first()? {
        b't' => {
            let len = u32::from_le_bytes(rest.split_off(..4)?.try_into().ok()?);
            let text = rest.split_off(..usize::try_from(len).ok()?)?;
            FieldValue::Text(std::str::from_utf8(text).ok()?.into())
        }
        b'w' => FieldValue::Whole(i64::from_le_bytes(rest.split_off(..8)?.try_into().ok()?)),
        b'r' => FieldValue::Real(f64::from_le_bytes(rest.split_off(..8)?.try_into().ok()?)),
        b'b' => FieldValue::Boolean(*rest.split_off_first()? != 0),
        _ => return None,
    };
    Some((name, value))
}

/// `name:type` joined by commas; neither can hold a comma or a colon.
pub(crate) fn schema_text(schema: &FieldSchema) -> String {
    let fields: Vec<_> =
        schema.fields().iter().map(|(name, field_type)| format!("{name}:{}", field_type.word())).collect();
    fields.join(",")
}

pub(crate) fn schema_of(text: &str) -> Answer<FieldSchema> {
    let field = |part: &str| {
        let (name, word) = part.split_once(':')?;
        Some((FieldName::new(name).ok()?, FieldType::from_word(word)?))
    };
    let fields: Option<Vec<_>> = text.split(',').filter(|part| !part.is_empty()).map(field).collect();
    let fields = fields.ok_or_else(|| damaged("the custom fields of a face set are malformed"))?;
    FieldSchema::new(fields).map_err(damaged)
}

#[cfg(test)]
mod tests;
