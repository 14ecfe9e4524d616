//! Numbers as written: exact for whole-number fields, nearest for real ones.

use std::ops::Bound;

/// A decimal number. Whole-number fields hold up to 2^63, more than an `f64` can tell apart, so the whole part is kept
/// exactly.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number {
    /// As written, for printing.
    text: String,
    /// The nearest real number; infinite beyond the range of `f64`.
    real: f64,
    /// The number without its fraction, rounded towards zero; beyond 19 digits any number beyond 64 bits.
    whole: i128,
    /// The sign of what `whole` leaves out: 0 if nothing.
    fraction: i128,
}

/// Stands for every whole number too large for 64 bits.
const BEYOND: i128 = 1 << 100;

impl Number {
    /// Reads `-12`, `3.5`, `1e3` and the like; `None` for anything else, also for words that mean infinity.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], exponent(&unsigned[at + 1..])?),
            None => (unsigned, 0),
        };
        let (before, after) = match mantissa.split_once('.') {
            Some((before, after)) => (before, after),
            None => (mantissa, "0"),
        };
        let digits_only = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits_only(before) || !digits_only(after) {
            return None;
        }
        let (whole, has_fraction) = split(&format!("{before}{after}"), exponent.saturating_sub(after.len() as i64));
        let sign = if negative { -1 } else { 1 };
        Some(Self {
            text: text.to_owned(),
            real: text.parse().ok()?,
            whole: sign * whole,
            fraction: if has_fraction { sign } else { 0 },
        })
    }

    /// As written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The nearest real number.
    pub(super) fn real(&self) -> f64 {
        self.real
    }

    fn floor(&self) -> i128 {
        self.whole - i128::from(self.fraction < 0)
    }

    fn ceil(&self) -> i128 {
        self.whole + i128::from(self.fraction > 0)
    }
}

/// The whole numbers between two bounds as `min` and `max`, both included; `min > max` when there is none.
pub(super) fn whole_range(lower: Bound<&Number>, upper: Bound<&Number>) -> (i64, i64) {
    const NOTHING: (i64, i64) = (i64::MAX, i64::MIN);
    let min = match lower {
        Bound::Unbounded => i128::from(i64::MIN),
        Bound::Included(number) => number.ceil(),
        Bound::Excluded(number) => number.floor() + 1,
    };
    let max = match upper {
        Bound::Unbounded => i128::from(i64::MAX),
        Bound::Included(number) => number.floor(),
        Bound::Excluded(number) => number.ceil() - 1,
    };
    let (min, max) = (min.max(i128::from(i64::MIN)), max.min(i128::from(i64::MAX)));
    match (i64::try_from(min), i64::try_from(max)) {
        (Ok(min), Ok(max)) if min <= max => (min, max),
        _ => NOTHING,
    }
}

/// The exponent, cut to a size that no filter is long enough to make up for by digits.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse().unwrap_or(i64::MAX).min(1_000_000_000);
    Some(if text.starts_with('-') { -size } else { size })
}

/// Whole part of `digits` times ten to `exponent`, and whether anything is left.
fn split(digits: &str, exponent: i64) -> (i128, bool) {
    let significant = digits.trim_start_matches('0');
    let trimmed = significant.trim_end_matches('0');
    if trimmed.is_empty() {
        return (0, false);
    }
    let exponent = exponent + (significant.len() - trimmed.len()) as i64;
    match trimmed.len() as i64 + exponent {
        ..=0 => (0, true),
        // The trimmed digits are not zero, so with 20 places before the point it is beyond 64 bits.
        20.. => (BEYOND, false),
        n_places => {
            let n_digits = trimmed.len().min(n_places as usize);
            let kept: i128 = trimmed[..n_digits].parse().expect("up to 19 digits");
            (kept * 10i128.pow(exponent.max(0) as u32), exponent < 0)
        }
    }
}

#[cfg(test)]
mod tests;
