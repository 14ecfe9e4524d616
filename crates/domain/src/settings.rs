//! How a room declares what an operator may set: name, type, default, what is accepted and what it means, each once.
//!
//! A room calls [`settings!`](crate::settings!), which makes a struct of typed values, its defaults, its rows for the
//! reference of all settings, and its reader. Where values come from (files, environment, flags) is the server's business.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// How a value is written in a settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A text in quotes.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Truth,
    /// A list of texts.
    List,
}

/// One row of the reference of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name in the file: the table, a dot and the key, or the key alone.
    pub name: &'static str,
    /// How it is written.
    pub shape: Shape,
    /// Its value when nobody sets it; empty where that is nothing, or depends on the machine.
    pub default: &'static str,
    /// What is accepted, for people.
    pub accepted: String,
    /// What it means, with the reason for the default.
    pub about: &'static str,
}

/// A value that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The setting's name.
    pub name: &'static str,
    /// The value, of a list the one at fault.
    pub text: String,
    /// What is accepted.
    pub accepted: String,
}

/// What a setting of type `T` accepts.
pub trait Accepts<T> {
    /// How a value is written.
    const SHAPE: Shape;
    /// The value that a text means; the text at fault if it is not accepted. The text is empty when nobody set anything.
    fn read(&self, text: &str) -> Result<T, String>;
    /// What is accepted, for people.
    fn words(&self) -> String;
}

/// `true` or `false`.
#[derive(Debug, Clone, Copy)]
pub struct Truth;
/// What the type itself can read; the text says what that is.
#[derive(Debug, Clone, Copy)]
pub struct Parsed(pub &'static str);
/// One of these words, each with what it stands for.
#[derive(Debug, Clone, Copy)]
pub struct Word<T: 'static>(pub &'static [(&'static str, T)]);
/// What a function makes of a text; the first member says what it accepts.
#[derive(Debug, Clone, Copy)]
pub struct With<T>(pub &'static str, pub fn(&str) -> Option<T>);
/// A whole number up to this; 0 stands for no bound.
#[derive(Debug, Clone, Copy)]
pub struct UnlessZero(pub u64);
/// One of these numbers.
#[derive(Debug, Clone, Copy)]
pub struct OneOf(pub u16, pub u16);
/// A duration in whole seconds.
#[derive(Debug, Clone)]
pub struct Seconds(pub RangeInclusive<u64>);
/// A duration in whole milliseconds.
#[derive(Debug, Clone)]
pub struct Millis(pub RangeInclusive<u64>);
/// Nothing, where nobody set anything, or what the inner one accepts.
#[derive(Debug, Clone)]
pub struct Unset<A>(pub A);
/// Nothing, where the word `auto` is set, or what the type itself can read.
#[derive(Debug, Clone, Copy)]
pub struct UnlessAuto(pub &'static str);
/// A list of what the type of its items can read, with commas between them.
#[derive(Debug, Clone, Copy)]
pub struct ListOf(pub &'static str);

fn parsed<T: FromStr>(text: &str) -> Result<T, String> {
    let value = if text.is_empty() { None } else { text.parse().ok() };
    value.ok_or_else(|| text.to_owned())
}

fn range_words<N: Display>(range: &RangeInclusive<N>) -> String {
    format!("{} to {}", range.start(), range.end())
}

impl<T: TryFrom<u64>> Accepts<T> for RangeInclusive<u64> {
    const SHAPE: Shape = Shape::Number;
    fn read(&self, text: &str) -> Result<T, String> {
        let number = text.parse().ok().filter(|number| self.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| text.to_owned())
    }
    fn words(&self) -> String {
        range_words(self)
    }
}

impl Accepts<bool> for Truth {
    const SHAPE: Shape = Shape::Truth;
    fn read(&self, text: &str) -> Result<bool, String> {
        parsed(text)
    }
    fn words(&self) -> String {
        "true or false".to_owned()
    }
}

impl<T: FromStr> Accepts<T> for Parsed {
    const SHAPE: Shape = Shape::Text;
    fn read(&self, text: &str) -> Result<T, String> {
        parsed(text)
    }
    fn words(&self) -> String {
        self.0.to_owned()
    }
}

impl<T: Clone> Accepts<T> for Word<T> {
    const SHAPE: Shape = Shape::Text;
    fn read(&self, text: &str) -> Result<T, String> {
        let found = self.0.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| meaning.clone()).ok_or_else(|| text.to_owned())
    }
    fn words(&self) -> String {
        let words: Vec<&str> = self.0.iter().map(|(word, _)| *word).collect();
        match words.split_last() {
            Some((last, before @ [_, ..])) => format!("{} or {last}", before.join(", ")),
            _ => words.concat(),
        }
    }
}

impl<T> Accepts<T> for With<T> {
    const SHAPE: Shape = Shape::Text;
    fn read(&self, text: &str) -> Result<T, String> {
        self.1(text).ok_or_else(|| text.to_owned())
    }
    fn words(&self) -> String {
        self.0.to_owned()
    }
}

impl<T: TryFrom<u64>> Accepts<Option<T>> for UnlessZero {
    const SHAPE: Shape = Shape::Number;
    fn read(&self, text: &str) -> Result<Option<T>, String> {
        let number: u64 = (0..=self.0).read(text)?;
        if number == 0 { Ok(None) } else { T::try_from(number).map(Some).map_err(|_| text.to_owned()) }
    }
    fn words(&self) -> String {
        range_words(&(0..=self.0))
    }
}

impl Accepts<u16> for OneOf {
    const SHAPE: Shape = Shape::Number;
    fn read(&self, text: &str) -> Result<u16, String> {
        text.parse().ok().filter(|number| [self.0, self.1].contains(number)).ok_or_else(|| text.to_owned())
    }
    fn words(&self) -> String {
        format!("{} or {}", self.0, self.1)
    }
}

impl Accepts<Duration> for Seconds {
    const SHAPE: Shape = Shape::Number;
    fn read(&self, text: &str) -> Result<Duration, String> {
        self.0.read(text).map(Duration::from_secs)
    }
    fn words(&self) -> String {
        range_words(&self.0)
    }
}

impl Accepts<Duration> for Millis {
    const SHAPE: Shape = Shape::Number;
    fn read(&self, text: &str) -> Result<Duration, String> {
        self.0.read(text).map(Duration::from_millis)
    }
    fn words(&self) -> String {
        range_words(&self.0)
    }
}

impl<T, A: Accepts<T>> Accepts<Option<T>> for Unset<A> {
    const SHAPE: Shape = A::SHAPE;
    fn read(&self, text: &str) -> Result<Option<T>, String> {
        if text.is_empty() { Ok(None) } else { self.0.read(text).map(Some) }
    }
    fn words(&self) -> String {
        self.0.words()
    }
}

impl<T: FromStr> Accepts<Option<T>> for UnlessAuto {
    const SHAPE: Shape = Shape::Text;
    fn read(&self, text: &str) -> Result<Option<T>, String> {
        if text == "auto" { Ok(None) } else { parsed(text).map(Some) }
    }
    fn words(&self) -> String {
        self.0.to_owned()
    }
}

impl<T: FromStr> Accepts<Vec<T>> for ListOf {
    const SHAPE: Shape = Shape::List;
    fn read(&self, text: &str) -> Result<Vec<T>, String> {
        text.split(',').filter(|item| !item.is_empty()).map(parsed).collect()
    }
    fn words(&self) -> String {
        self.0.to_owned()
    }
}

/// The row of a setting, for [`settings!`](crate::settings!).
pub fn row<T, A: Accepts<T>>(name: &'static str, default: &'static str, accepts: &A, about: &'static str) -> Setting {
    Setting { name, shape: A::SHAPE, default, accepted: accepts.words(), about }
}

/// The value of a setting, for [`settings!`](crate::settings!).
pub fn value<T, A: Accepts<T>>(name: &'static str, text: &str, accepts: &A) -> Result<T, Refused> {
    accepts.read(text).map_err(|text| Refused { name, text, accepted: accepts.words() })
}

/// The full name of a setting, for [`settings!`](crate::settings!).
#[macro_export]
macro_rules! setting_name {
    ($table:literal, $field:ident) => {
        concat!($table, stringify!($field))
    };
    ($table:literal, $field:ident, $key:ident) => {
        concat!($table, stringify!($key))
    };
}

/// Declares the settings of a room. Every line is a setting: `name: Type = "default", accepted, "what it means";`, where
/// `accepted` is a range of numbers or one of the types beside [`Accepts`]. `in "table."` gives the table with its dot.
/// A field may have another name than its setting: `field as name: ..`.
///
/// The struct has a field for each; `table()` are its rows for the reference; `read` makes it of the written texts, in
/// which an absent value is an empty text.
#[macro_export]
macro_rules! settings {
    ($(#[$meta:meta])* $vis:vis struct $Name:ident in $table:literal {
        $($field:ident $(as $key:ident)?: $Type:ty = $default:literal, $accepts:expr, $about:expr;)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $Name {
            $(#[doc = $about] $vis $field: $Type,)*
        }

        impl Default for $Name {
            fn default() -> Self {
                Self {
                    $($field: $crate::settings::value(stringify!($field), $default, &$accepts)
                        .expect("a default is accepted, as a test of each room checks"),)*
                }
            }
        }

        impl $Name {
            /// The rows of the reference, in the order they are shown.
            $vis fn table() -> Vec<$crate::settings::Setting> {
                vec![$($crate::settings::row::<$Type, _>(
                    $crate::setting_name!($table, $field $(, $key)?), $default, &$accepts, $about,
                )),*]
            }

            /// Makes typed values of written ones.
            $vis fn read(text: impl Fn(&'static str) -> String) -> ::std::result::Result<Self, $crate::settings::Refused> {
                Ok(Self {
                    $($field: {
                        let name = $crate::setting_name!($table, $field $(, $key)?);
                        $crate::settings::value(name, &text(name), &$accepts)?
                    },)*
                })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        /// One of each.
        struct Sample in "sample." {
            count: u8 = "3", 1..=300, "a number";
            bound as bound_max: Option<u32> = "0", UnlessZero(10), "a bound";
            wait: Duration = "2", Seconds(0..=60), "a time";
            pause: Duration = "20", Millis(1..=60), "a short time";
            status: u16 = "403", OneOf(403, 429), "a status";
            exact: bool = "true", Truth, "a switch";
            place: Option<u16> = "", Unset(1..=9), "a place";
            engine: Option<i32> = "auto", UnlessAuto("auto or a number"), "an engine";
            letter: char = "a", Parsed("a letter"), "a letter";
            word: String = "ab", With("ab or cd", |text| ["ab", "cd"].contains(&text).then(|| text.to_owned())), "a word";
            side: i8 = "left", Word(&[("left", -1), ("right", 1), ("none", 0)]), "a side";
            hosts: Vec<i32> = "", ListOf("numbers"), "hosts";
        }
    }

    #[track_caller]
    fn check(name: &str, text: &str, expected: Result<(), (&str, &str)>) {
        let default = |name| Sample::table().iter().find(|row| row.name == name).unwrap().default.to_owned();
        let read = Sample::read(|other| if other == name { text.to_owned() } else { default(other) });
        let expected = expected.map_err(|(text, accepted)| (name.to_owned(), text.to_owned(), accepted.to_owned()));
        assert_eq!(read.map(|_| ()).map_err(|no| (no.name.to_owned(), no.text, no.accepted)), expected);
    }

    #[test]
    fn the_defaults_are_those_of_the_table() {
        let sample = Sample::default();
        assert_eq!((sample.count, sample.bound, sample.status, sample.exact), (3, None, 403, true));
        assert_eq!((sample.wait, sample.pause), (Duration::from_secs(2), Duration::from_millis(20)));
        assert_eq!((sample.place, sample.engine, sample.letter, &*sample.word), (None, None, 'a', "ab"));
        assert_eq!((sample.side, &*sample.hosts), (-1, &[][..]));
        let shapes: Vec<Shape> = Sample::table().iter().map(|row| row.shape).collect();
        assert_eq!(shapes.iter().filter(|shape| **shape == Shape::Number).count(), 6);
        assert_eq!((shapes[5], shapes[11], shapes[8]), (Shape::Truth, Shape::List, Shape::Text));
    }

    #[test]
    fn what_is_not_accepted_is_named_with_what_is() {
        for (name, text) in
            [("sample.count", "1"), ("sample.bound_max", "10"), ("sample.place", "9"), ("sample.hosts", "1,2")]
        {
            check(name, text, Ok(()));
        }
        check("sample.count", "0", Err(("0", "1 to 300")));
        check("sample.count", "300", Err(("300", "1 to 300")));
        check("sample.bound_max", "11", Err(("11", "0 to 10")));
        check("sample.wait", "61", Err(("61", "0 to 60")));
        check("sample.pause", "", Err(("", "1 to 60")));
        check("sample.status", "404", Err(("404", "403 or 429")));
        check("sample.exact", "yes", Err(("yes", "true or false")));
        check("sample.place", "x", Err(("x", "1 to 9")));
        check("sample.engine", "x", Err(("x", "auto or a number")));
        check("sample.letter", "", Err(("", "a letter")));
        check("sample.side", "right", Ok(()));
        check("sample.side", "up", Err(("up", "left, right or none")));
        check("sample.word", "ef", Err(("ef", "ab or cd")));
        check("sample.hosts", "1,x,2", Err(("x", "numbers")));
    }
}
