//! What is said of a number on the command line that is none or out of range: what is accepted, which the library that
//! reads the line leaves out. A negative one is a number too, and no option without a value.

use std::any::TypeId;
use std::error::Error;
use std::str::FromStr;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command};

/// The text of an error with what is accepted as its reason, if it is about a number. `words` is the whole command line.
pub(crate) fn with_what_is_accepted<'a>(
    mut command: Command,
    words: impl IntoIterator<Item = &'a str>,
    error: &clap::Error,
) -> Option<String> {
    let reason = error.source()?.to_string();
    let Some(ContextValue::String(named)) = error.get(ContextKind::InvalidArg) else { return None };
    command.build();
    let asked = words.into_iter().fold(&command, |command, word| command.find_subcommand(word).unwrap_or(command));
    let arg = asked.get_arguments().find(|arg| arg.to_string() == *named)?;
    let accepted = accepted(arg.get_value_parser())?;
    Some(error.to_string().replacen(&format!(": {reason}"), &format!(": expected {accepted}"), 1))
}

/// The command with every option that takes a value taking negative numbers too, in commands below it as well: whoever reads
/// the value says what is accepted, instead of the line's reader that there is no option `-1`.
pub(crate) fn with_negative(command: Command) -> Command {
    let taking = |arg: Arg| match arg.get_action().takes_values() && !arg.is_positional() {
        true => arg.allow_negative_numbers(true),
        false => arg,
    };
    command.mut_args(taking).mut_subcommands(with_negative)
}

/// Reads a number. The words `nan` and `inf`, and what is larger than every number, are none: they would pass by bounds.
pub(super) fn finite<T: FromStr + Into<f64> + Copy>(text: &str) -> Result<T, String> {
    let number: Option<T> = text.parse().ok();
    number.filter(|number| (*number).into().is_finite()).ok_or_else(|| "not a number".to_owned())
}

/// What a parser of numbers accepts; `None` for one of something else.
fn accepted(parser: &ValueParser) -> Option<String> {
    let is_one_of = |types: &[TypeId]| types.iter().any(|known| parser.type_id() == *known);
    if is_one_of(&[TypeId::of::<f32>(), TypeId::of::<f64>()]) {
        return Some("a number".to_owned());
    }
    let most = [
        (TypeId::of::<u8>(), u64::from(u8::MAX)),
        (TypeId::of::<u16>(), u64::from(u16::MAX)),
        (TypeId::of::<u32>(), u64::from(u32::MAX)),
        (TypeId::of::<u64>(), u64::MAX),
        (TypeId::of::<usize>(), usize::MAX as u64),
    ];
    let (_, most) = most.into_iter().find(|(known, _)| parser.type_id() == *known)?;
    // A parser tells its range only to whoever is beyond it.
    let range = [i64::MAX as u64, 0].into_iter().find_map(|number| range_refusing(parser, number));
    let range = range.unwrap_or_else(|| format!("0..={most}"));
    let (least, most) = range.split_once("..")?;
    Some(match most.trim_start_matches('=') {
        // No end is told as that of the type.
        "18446744073709551615" => format!("a whole number of {least} or more"),
        most => format!("a whole number from {least} to {most}"),
    })
}

fn range_refusing(parser: &ValueParser, number: u64) -> Option<String> {
    let arg = Arg::new("number").value_parser(parser.clone());
    let error = Command::new("likeness").arg(arg).try_get_matches_from(["likeness", &number.to_string()]).err()?;
    let reason = error.source()?.to_string();
    reason.split_once(" is not in ").map(|(_, range)| range.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    /// The paths of all commands that do something.
    fn leaves(command: &Command, path: &[String], found: &mut Vec<Vec<String>>) {
        for command in command.get_subcommands() {
            let path = [path, &[command.get_name().to_owned()]].concat();
            if command.get_subcommands().next().is_none() {
                found.push(path.clone());
            }
            leaves(command, &path, found);
        }
    }

    /// What is said of a command line.
    fn said(line: &[&str]) -> String {
        let command = with_negative(Cli::command());
        let error = command.clone().try_get_matches_from(line).expect_err("it is refused");
        with_what_is_accepted(command, line.iter().copied(), &error).unwrap_or_else(|| error.to_string())
    }

    /// Every option of every command that takes a number refuses what is none in one line, which names the option, the value
    /// and the range.
    #[test]
    fn every_number_of_every_command_is_refused_with_what_is_accepted() {
        let mut root = Cli::command();
        root.build();
        let mut paths = Vec::new();
        leaves(&root, &["likeness".to_owned()], &mut paths);
        let mut n_numbers = 0;
        for path in &paths {
            let command = path[1..].iter().fold(&root, |command, word| command.find_subcommand(word).unwrap());
            for arg in command.get_arguments() {
                let Some(accepted) = accepted(arg.get_value_parser()) else { continue };
                n_numbers += 1;
                let is_whole = accepted.starts_with("a whole number");
                let wrong = match is_whole {
                    true => &["x", "1.5", "-1", "99999999999999999999", " 1", "1e3", "", "nan", "inf"][..],
                    false => &["x", "1,5", "", "nan", "NaN", "inf", "-inf", "infinity", "1e999"],
                };
                let long = arg.get_long().unwrap_or_else(|| panic!("{path:?} takes a number without a name"));
                let option = format!("--{long}");
                let apart = ["-1", "-0.5", "-99999999999999999999"].iter().filter(|_| is_whole);
                let apart = apart.map(|value| (vec![option.clone(), (*value).to_owned()], value));
                let joined = wrong.iter().map(|value| (vec![format!("{option}={value}")], value));
                for (words, value) in joined.chain(apart) {
                    let line: Vec<&str> = path.iter().chain(&words).map(String::as_str).collect();
                    let text = said(&line);
                    let expected = format!("error: invalid value '{value}' for '{arg}': expected {accepted}");
                    assert_eq!(text.lines().next(), Some(&*expected), "{line:?}: {text}");
                }
                // Which of two would count nobody can know.
                let least = accepted.split(' ').find(|word| word.parse::<u64>().is_ok()).unwrap_or("0.1");
                let option = format!("--{long}={least}");
                let line: Vec<&str> = path.iter().map(String::as_str).chain([&*option, &*option]).collect();
                let expected = format!("error: the argument '{arg}' cannot be used multiple times");
                assert_eq!(said(&line).lines().next(), Some(&*expected), "{line:?}");
            }
        }
        assert!(n_numbers > 25, "{n_numbers} options take numbers");
    }

    /// Options whose words are read later have the number, too, and those of times what begins like an option.
    #[test]
    fn negative_words_are_values_of_options_that_take_one() {
        for line in [
            "likeness tenant set acme --faces-max -1",
            "likeness tenant create acme --calls-per-second -2",
            "likeness key create --tenant acme --expires -5d",
            "likeness key rotate ABC --overlap -24h",
        ] {
            let read = with_negative(Cli::command()).try_get_matches_from(line.split(' '));
            assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
        }
    }

    #[test]
    fn ranges_are_those_of_the_options() {
        let line =
            |text: &str| said(&text.split(' ').collect::<Vec<_>>()).lines().next().unwrap_or_default().to_owned();
        assert_eq!(
            line("likeness thresholds --faces 0"),
            "error: invalid value '0' for '--faces <N>': expected a whole number of 1 or more"
        );
        assert_eq!(
            line("likeness bench search --batch 5000"),
            "error: invalid value '5000' for '--batch <N>': expected a whole number from 1 to 4096"
        );
    }
}
