//! `likeness completions` and `likeness man`: what shells and `man` know of the commands, made of the commands themselves.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Arg, Args, Command, CommandFactory};

use super::{Cli, terminal};
use crate::outcome::{Outcome, Verdict, failed};

/// Prints completions of commands and options for a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
    Example: likeness completions bash > /etc/bash_completion.d/likeness")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// A shell that completions are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Writes man pages, one for each command.
#[derive(Debug, Args)]
#[command(after_help = "\
    Example: likeness man /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Into this folder, which is made
    #[arg(value_parser = clap::builder::TypedValueParser::try_map(clap::builder::PathBufValueParser::new(), super::terminal::written_file))]
    folder: PathBuf,
}

/// Runs `likeness completions`.
pub(crate) fn completions(args: &CompletionsArgs) -> Outcome {
    let places = places();
    terminal::data(match args.shell {
        Shell::Bash => bash(&places),
        Shell::Zsh => zsh(&places),
        Shell::Fish => fish(&places),
    });
    Ok(Verdict::Done)
}

/// Runs `likeness man`.
pub(crate) fn man(args: &ManArgs) -> Outcome {
    let cannot = |error| failed(format!("cannot write man pages to {}: {error}", args.folder.display()));
    std::fs::create_dir_all(&args.folder).map_err(cannot)?;
    for (name, text) in pages() {
        std::fs::write(args.folder.join(format!("{name}.1")), text).map_err(cannot)?;
    }
    terminal::message(format!("man pages written to {}", args.folder.display()));
    Ok(Verdict::Done)
}

/// The tree of commands as the parser knows it, without its own `help`.
fn tree() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

/// Where a user is while typing, `likeness/key/create`, and what may come next.
struct Place {
    path: String,
    /// The same by other names of the command.
    aliases: Vec<String>,
    /// Commands with what they do.
    commands: Vec<(String, String)>,
    /// Options with what they mean, without the dashes.
    options: Vec<(String, String)>,
    /// Words that an option takes.
    values: Vec<(String, Vec<String>)>,
    /// Words that may stand where a command may.
    words: Vec<String>,
}

impl Place {
    /// Everything that may come next, separated by spaces.
    fn words(&self) -> String {
        let options = self.options.iter().map(|(option, _)| format!("--{option}"));
        let commands = self.commands.iter().map(|(name, _)| name.clone());
        commands.chain(self.words.iter().cloned()).chain(options).collect::<Vec<_>>().join(" ")
    }

    /// Each option after which only some words may come, as it is typed, with those.
    fn after_options(&self) -> impl Iterator<Item = (String, String)> {
        self.values.iter().map(|(option, values)| (format!("--{option}"), values.join(" ")))
    }
}

fn places() -> Vec<Place> {
    let mut places = Vec::new();
    place_into(&mut places, "likeness", Vec::new(), &tree());
    places
}

fn place_into(places: &mut Vec<Place>, path: &str, aliases: Vec<String>, command: &Command) {
    let commands: Vec<&Command> = command.get_subcommands().filter(|inner| !inner.is_hide_set()).collect();
    let arguments: Vec<&Arg> = command.get_arguments().filter(|arg| !arg.is_hide_set()).collect();
    let of_option = |arg: &&Arg| Some((arg.get_long()?.to_owned(), values(arg)));
    places.push(Place {
        path: path.to_owned(),
        aliases,
        commands: commands.iter().map(|inner| (inner.get_name().to_owned(), first_line(&about(inner)))).collect(),
        options: arguments
            .iter()
            .filter_map(|arg| Some((arg.get_long()?.to_owned(), first_line(&help(arg)))))
            .collect(),
        values: arguments.iter().filter_map(of_option).filter(|(_, values)| !values.is_empty()).collect(),
        words: arguments.iter().filter(|arg| arg.is_positional()).flat_map(|arg| values(arg)).collect(),
    });
    for inner in commands {
        let aliases = inner.get_visible_aliases().map(|alias| format!("{path}/{alias}")).collect();
        place_into(places, &format!("{path}/{}", inner.get_name()), aliases, inner);
    }
}

/// The words that an argument takes, if it takes no others.
fn values(arg: &Arg) -> Vec<String> {
    arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn help(arg: &Arg) -> String {
    arg.get_help().map(ToString::to_string).unwrap_or_default()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// The lines of a `case` that follow a typed word from one place to the next: no word holds what a shell would read.
fn steps(places: &[Place]) -> String {
    let deeper = places.iter().filter(|place| place.path.contains('/'));
    let names = |place: &Place| [std::slice::from_ref(&place.path), &place.aliases].concat().join("|");
    deeper.map(|place| format!("      {}) place={};;\n", names(place), place.path)).collect()
}

/// The lines of a `case` over place and word before, where only some words may come; `act` makes one's answer.
fn after_options(places: &[Place], act: impl Fn(&str) -> String) -> String {
    let of_place = |place: &Place| {
        let lines = place
            .after_options()
            .map(|(option, values)| format!("    \"{} {option}\") {};;\n", place.path, act(&values)));
        lines.collect::<String>()
    };
    places.iter().map(of_place).collect()
}

fn bash(places: &[Place]) -> String {
    let words: String =
        places.iter().map(|place| format!("    {}) words=\"{}\";;\n", place.path, place.words())).collect();
    format!(
        "_likeness() {{\n  local place=likeness word words=\n  for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n    \
         case \"$place/$word\" in\n{}    esac\n  done\n  case \"$place\" in\n{words}  esac\n  \
         case \"$place ${{COMP_WORDS[COMP_CWORD-1]}}\" in\n{}  esac\n  \
         COMPREPLY=( $(compgen -W \"$words\" -- \"${{COMP_WORDS[COMP_CWORD]}}\") )\n}}\n\
         complete -o default -F _likeness likeness",
        steps(places),
        after_options(places, |values| format!("words=\"{values}\""))
    )
}

fn zsh(places: &[Place]) -> String {
    let words: String =
        places.iter().map(|place| format!("  {}) compadd -- {};;\n", place.path, place.words())).collect();
    format!(
        "#compdef likeness\nlocal place=likeness word\nfor word in ${{words[2,CURRENT-1]}}; do\n    \
         case \"$place/$word\" in\n{}    esac\ndone\n\
         case \"$place ${{words[CURRENT-1]}}\" in\n{}esac\ncase \"$place\" in\n{words}esac\n_files",
        steps(places),
        after_options(places, |values| format!("compadd -- {values}; return"))
    )
}

fn fish(places: &[Place]) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let steps: String = places
        .iter()
        .filter(|place| place.path.contains('/'))
        .map(|place| {
            let names = [std::slice::from_ref(&place.path), &place.aliases].concat().join(" ");
            format!("      case {names}\n        set place {}\n", place.path)
        })
        .collect();
    let mut text = format!(
        "function __likeness_place\n  set -l place likeness\n  for word in (commandline -opc)[2..]\n    \
         switch \"$place/$word\"\n{steps}    end\n  end\n  echo $place\nend\n"
    );
    for place in places {
        let here = format!("complete -c likeness -n 'test (__likeness_place) = {}'", place.path);
        for (name, about) in &place.commands {
            let _ = writeln!(text, "{here} -a {name} -d {}", quoted(about));
        }
        for word in &place.words {
            let _ = writeln!(text, "{here} -a {word}");
        }
        for (option, help) in &place.options {
            let taken = place.values.iter().find(|(known, _)| known == option);
            let taken = taken.map(|(_, values)| format!(" -x -a {}", quoted(&values.join(" ")))).unwrap_or_default();
            let _ = writeln!(text, "{here} -l {option}{taken} -d {}", quoted(help));
        }
    }
    text
}

/// Names and texts of all pages.
fn pages() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    page_into(&mut pages, "likeness", &tree());
    pages
}

fn page_into(pages: &mut Vec<(String, String)>, name: &str, command: &Command) {
    let commands: Vec<&Command> = command.get_subcommands().filter(|inner| !inner.is_hide_set()).collect();
    let long = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let mut text = format!(
        ".TH {} 1 \"\" \"likeness {}\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n{}\n.SH DESCRIPTION\n{}\n",
        name.to_uppercase(),
        env!("CARGO_PKG_VERSION"),
        roff(&names(name, command)),
        roff(&first_line(&about(command))),
        roff(usage.trim_start_matches("Usage: ")),
        roff(&long)
    );
    let arguments: Vec<&Arg> = command.get_arguments().filter(|arg| !arg.is_hide_set()).collect();
    if !arguments.is_empty() {
        text.push_str(".SH OPTIONS\n");
    }
    for arg in arguments {
        // As `--help` shows it: `-o, --output <FILE>` or `<PHOTO>`.
        let _ = write!(text, ".TP\n.B {}\n{}\n", roff(&arg.to_string()), roff(&described(arg)));
    }
    if !commands.is_empty() {
        text.push_str(".SH COMMANDS\n");
    }
    for inner in &commands {
        let _ =
            write!(text, ".TP\n.BR {} (1)\n{}\n", roff(&format!("{name}-{}", inner.get_name())), roff(&about(inner)));
    }
    if let Some(notes) = command.get_after_help() {
        let _ = write!(text, ".SH NOTES\n.nf\n{}\n.fi\n", roff(&notes.to_string()));
    }
    pages.push((name.to_owned(), text));
    for inner in commands {
        page_into(pages, &format!("{name}-{}", inner.get_name()), inner);
    }
}

/// The name of a page and those of the same command that it also goes by.
fn names(name: &str, command: &Command) -> String {
    let parent = name.strip_suffix(command.get_name()).unwrap_or_default();
    let others = command.get_visible_aliases().map(|alias| format!("{parent}{alias}"));
    std::iter::once(name.to_owned()).chain(others).collect::<Vec<_>>().join(", ")
}

/// What `--help` says of an argument, with its default and the words that it takes.
fn described(arg: &Arg) -> String {
    let mut text = help(arg);
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && arg.get_action().takes_values() && !arg.is_hide_default_value_set() {
        text.push_str(&format!(" [default: {}]", defaults.join(" ")));
    }
    let values = values(arg);
    if !values.is_empty() && !arg.is_hide_possible_values_set() {
        text.push_str(&format!(" [possible values: {}]", values.join(", ")));
    }
    text
}

/// Text as troff prints it as it is.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    // A line that begins with a dot or an apostrophe would be a request.
    let lines =
        text.lines().map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_commands_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_page_and_a_completion() {
        let (pages, places) = (pages(), places());
        let texts = [bash(&places), zsh(&places), fish(&places)];
        for name in ["key", "thresholds", "doctor", "face-set"] {
            let page = pages.iter().find(|(page, _)| *page == format!("likeness-{name}"));
            assert!(page.is_some_and(|(_, text)| text.contains(".SH SYNOPSIS")), "{name}");
            assert!(texts.iter().all(|text| text.contains(&format!("likeness/{name}"))), "{name}");
        }
        let (_, search) = pages.iter().find(|(page, _)| page == "likeness-search").expect("a page");
        assert!(search.contains("likeness search visitor.jpg"), "{search}");
        let (_, create) = pages.iter().find(|(page, _)| page == "likeness-key-create").expect("commands of commands");
        assert!(create.contains("\\-\\-tenant") && create.contains(".SH OPTIONS"), "{create}");
        let place = places.iter().find(|place| place.path == "likeness/search").expect("a place");
        assert!(place.words().contains("--false-matches"), "{}", place.words());
        assert_eq!(pages.len(), places.len());
        let of = |wanted: &str| &pages.iter().find(|(page, _)| page == wanted).expect("a page").1;
        assert!(
            of("likeness-face-set").contains("likeness\\-face\\-set, likeness\\-set \\- "),
            "{}",
            of("likeness-face-set")
        );
        assert!(of("likeness-completions").contains("[possible values: bash, zsh, fish]"));
        assert!(of("likeness-key-create").contains("[default: "), "{}", of("likeness-key-create"));
    }

    #[test]
    fn text_cannot_be_a_request() {
        assert_eq!(roff(".so x\n'a \\b --c"), "\\&.so x\n\\&'a \\eb \\-\\-c");
    }
}
