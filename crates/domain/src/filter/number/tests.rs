use std::ops::Bound::{self, Excluded, Included, Unbounded};

use proptest::prelude::*;

use super::*;

fn number(text: &str) -> Number {
    Number::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
}

#[track_caller]
fn check(lower: Bound<&str>, upper: Bound<&str>, expected: Option<(i64, i64)>) {
    let (lower, upper) = (lower.map(number), upper.map(number));
    let (min, max) = whole_range(lower.as_ref(), upper.as_ref());
    assert_eq!((min <= max).then_some((min, max)), expected);
}

#[test]
fn numbers_are_written_as_in_json_or_with_a_plus() {
    for text in ["0", "-12", "+5", "3.5", "1e3", "1E+3", "1.5e-3", "007", "-0", "9223372036854775808", "1e400"] {
        assert!(Number::parse(text).is_some(), "{text}");
    }
    for text in ["", "-", "+", "1.", ".5", "1e", "e3", "1e+", "0x10", "1_000", "inf", "NaN", "1.2.3", "--1", "1 ", "１"]
    {
        assert!(Number::parse(text).is_none(), "{text}");
    }
}

#[test]
fn fractional_bounds_are_compared_as_real_numbers() {
    check(Included("1.5"), Included("3.5"), Some((2, 3)));
    check(Excluded("1.5"), Excluded("3.5"), Some((2, 3)));
    check(Included("-1.5"), Included("1e0"), Some((-1, 1)));
    check(Excluded("-2"), Excluded("2.0"), Some((-1, 1)));
    check(Included("0.1"), Included("0.9"), None);
    check(Included("-0.1"), Included("0.1"), Some((0, 0)));
    check(Included("25e-1"), Included("0.35e1"), Some((3, 3)));
}

#[test]
fn bounds_beyond_64_bits_do_not_wrap() {
    check(Included("9223372036854775807"), Unbounded, Some((i64::MAX, i64::MAX)));
    check(Excluded("9223372036854775807"), Unbounded, None);
    check(Included("9223372036854775808"), Unbounded, None);
    check(Included("-9223372036854775808"), Included("-9223372036854775808"), Some((i64::MIN, i64::MIN)));
    check(Unbounded, Excluded("-9223372036854775808"), None);
    check(Unbounded, Included("-9223372036854775809"), None);
    check(Unbounded, Included("1e999999999999999999999"), Some((i64::MIN, i64::MAX)));
    check(Included("-1e400"), Included("1e400"), Some((i64::MIN, i64::MAX)));
    check(Included("1e-400"), Included("1"), Some((1, 1)));
    check(Included("1e-99999999999999999999"), Included("1"), Some((1, 1)));
}

#[test]
fn digits_that_a_float_cannot_hold_count() {
    // As f64 both are 2^53.
    check(Included("9007199254740993"), Included("9007199254740993"), Some((9007199254740993, 9007199254740993)));
    check(Excluded("9007199254740992.5"), Included("9007199254740993"), Some((9007199254740993, 9007199254740993)));
}

#[test]
fn zero_is_zero_however_it_is_written() {
    for zero in ["0", "-0", "0.000", "0e5", "0e-5", "000"] {
        check(Included(zero), Included(zero), Some((0, 0)));
    }
}

proptest! {
    #[test]
    fn a_whole_number_bounds_itself(wanted: i64) {
        let written = number(&wanted.to_string());
        prop_assert_eq!(whole_range(Included(&written), Included(&written)), (wanted, wanted));
    }

    /// Hundredths, so that an i128 can say what is right.
    #[test]
    fn ranges_agree_with_arithmetic_in_hundredths(
        low in -5000i64..5000, high in -5000i64..5000, low_in: bool, high_in: bool, value in -60i64..60, exponent: bool,
    ) {
        let written = |hundredths: i64| number(&if exponent {
            format!("{hundredths}e-2")
        } else {
            let sign = if hundredths < 0 { "-" } else { "" };
            format!("{sign}{}.{:02}", hundredths.abs() / 100, hundredths.abs() % 100)
        });
        let (lower, upper) = (written(low), written(high));
        let (min, max) = whole_range(
            if low_in { Included(&lower) } else { Excluded(&lower) },
            if high_in { Included(&upper) } else { Excluded(&upper) },
        );
        let scaled = value * 100;
        let expected = (if low_in { low <= scaled } else { low < scaled })
            && (if high_in { scaled <= high } else { scaled < high });
        prop_assert_eq!(min <= value && value <= max, expected);
    }
}
