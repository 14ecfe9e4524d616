//! False-accept rates and numbers of false matches as people read them.

use likeness_wire::native::dto;

/// A false-accept rate with two digits, as in `3.2e-5`.
pub(crate) fn rate(far: f64) -> String {
    format!("{far:.1e}").replace(".0e", "e")
}

/// A false-accept rate, with `<` or `>` where it is only a bound.
pub(crate) fn shown_rate(found: &dto::FalseAcceptRate) -> String {
    format!("{}{}", sign(found.far_bound), rate(found.far))
}

/// A number of false matches, with `<` or `>` where the rate behind it is only a bound.
pub(crate) fn shown_matches(found: &dto::FalseMatches, bound: dto::Bound) -> String {
    format!("{}{}", sign(bound), significant(found.false_matches))
}

pub(super) fn sign(bound: dto::Bound) -> &'static str {
    match bound {
        dto::Bound::Measured => "",
        dto::Bound::AtMost => "<",
        dto::Bound::AtLeast => ">",
    }
}

/// A number of 0 or more with three significant digits: plain from a thousandth to a million, with an exponent beyond.
pub(crate) fn significant(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e6).contains(&number) {
        return rate(number);
    }
    let n_decimals = (2.0 - number.log10().floor()).max(0.0) as usize;
    let text = format!("{number:.n_decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A share in percent with two decimals.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// Two shares of an interval, as in `97.12 to 98.03 %`.
pub(crate) fn percents(low: f64, high: f64) -> String {
    format!("{:.2} to {:.2} %", low * 100.0, high * 100.0)
}

/// What the threshold of a search lets pass, in one line: the rate per comparison and what it means among the faces of the set. Of
/// a person with several faces the rate stated is that of all comparisons together.
pub(crate) fn in_gallery(answer: &dto::SearchAnswer) -> String {
    let (rate, matches) = (&answer.rate, &answer.in_gallery);
    let faces = super::table::counted(answer.n_faces, "face");
    let between = matches
        .false_matches_interval
        .map(|ends| format!(" (95 %: {} to {})", significant(ends.low), significant(ends.high)))
        .unwrap_or_default();
    let per = match answer.n_compared.filter(|&n_compared| n_compared > 1) {
        None => "per comparison".to_owned(),
        Some(n_compared) => {
            let bound = if rate.far_bound == dto::Bound::AtLeast { "more than" } else { "at most" };
            let each = super::rates::rate(rate.far / n_compared as f64);
            format!("for {n_compared} faces of the person ({bound} {each} per comparison)")
        }
    };
    let matches = shown_matches(matches, rate.far_bound);
    format!("FAR {} {per}, {matches} false matches expected among {faces}{between}", shown_rate(rate))
}

/// A false-accept rate with its interval, where that is known.
pub(crate) fn with_interval(found: &dto::FalseAcceptRate) -> String {
    let between = found.far_interval;
    let between = between.map(|ends| format!(" (95 %: {} to {})", significant(ends.low), significant(ends.high)));
    format!("{}{}", shown_rate(found), between.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_short() {
        assert_eq!(rate(1e-6), "1e-6");
        assert_eq!(rate(0.000_032_1), "3.2e-5");
        let bound = |far_bound| shown_rate(&dto::FalseAcceptRate { far: 1e-6, far_interval: None, far_bound });
        assert_eq!(
            [dto::Bound::Measured, dto::Bound::AtMost, dto::Bound::AtLeast].map(bound),
            ["1e-6", "<1e-6", ">1e-6"]
        );
    }

    #[test]
    fn numbers_have_three_digits() {
        let shown = [0.0, 1e-5, 0.0012345, 0.02, 0.256, 1.0, 3.24, 32.4, 324.0, 2e6].map(significant);
        assert_eq!(shown, ["0", "1e-5", "0.00123", "0.02", "0.256", "1", "3.24", "32.4", "324", "2e6"]);
    }
}
