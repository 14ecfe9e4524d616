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
    /// Commands with what they do.
    commands: Vec<(String, String)>,
    /// Options with what they mean, without the dashes.
    options: Vec<(String, String)>,
}

impl Place {
    /// Everything that may come next, separated by spaces.
    fn words(&self) -> String {
        let options = self.options.iter().map(|(option, _)| format!("--{option}"));
        let words: Vec<_> = self.commands.iter().map(|(name, _)| name.clone()).chain(options).collect();
        words.join(" ")
    }
}

fn places() -> Vec<Place> {
    let mut places = Vec::new();
    place_into(&mut places, "likeness", &tree());
    places
}

fn place_into(places: &mut Vec<Place>, path: &str, command: &Command) {
    let commands: Vec<&Command> = command.get_subcommands().filter(|inner| !inner.is_hide_set()).collect();
    let options = command.get_arguments().filter(|arg| !arg.is_hide_set());
    places.push(Place {
        path: path.to_owned(),
        commands: commands.iter().map(|inner| (inner.get_name().to_owned(), first_line(&about(inner)))).collect(),
        options: options.filter_map(|arg| Some((arg.get_long()?.to_owned(), first_line(&help(arg))))).collect(),
    });
    for inner in commands {
        place_into(places, &format!("{path}/{}", inner.get_name()), inner);
    }
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
    let deeper = places.iter().map(|place| &place.path).filter(|path| path.contains('/'));
    deeper.map(|path| format!("      {path}) place={path};;\n")).collect()
}

fn bash(places: &[Place]) -> String {
    let words: String =
        places.iter().map(|place| format!("    {}) words=\"{}\";;\n", place.path, place.words())).collect();
    format!(
        "_likeness() {{\n  local place=likeness word words=\n  for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n    \
         case \"$place/$word\" in\n{}    esac\n  done\n  case \"$place\" in\n{words}  esac\n  \
         COMPREPLY=( $(compgen -W \"$words\" -- \"${{COMP_WORDS[COMP_CWORD]}}\") )\n}}\n\
         complete -o default -F _likeness likeness",
        steps(places)
    )
}

fn zsh(places: &[Place]) -> String {
    let words: String =
        places.iter().map(|place| format!("  {}) compadd -- {};;\n", place.path, place.words())).collect();
    format!(
        "#compdef likeness\nlocal place=likeness word\nfor word in ${{words[2,CURRENT-1]}}; do\n    \
         case \"$place/$word\" in\n{}    esac\ndone\ncase \"$place\" in\n{words}esac\n_files",
        steps(places)
    )
}

fn fish(places: &[Place]) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let steps: String = places
        .iter()
        .filter(|place| place.path.contains('/'))
        .map(|place| format!("      case {0}\n        set place {0}\n", place.path))
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
        for (option, help) in &place.options {
            let _ = writeln!(text, "{here} -l {option} -d {}", quoted(help));
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
        roff(name),
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
        let _ = write!(text, ".TP\n.B {}\n{}\n", roff(&arg.to_string()), roff(&help(arg)));
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
        assert!(search.contains("Example: likeness search"), "{search}");
        let (_, create) = pages.iter().find(|(page, _)| page == "likeness-key-create").expect("commands of commands");
        assert!(create.contains("\\-\\-tenant") && create.contains(".SH OPTIONS"), "{create}");
        let place = places.iter().find(|place| place.path == "likeness/search").expect("a place");
        assert!(place.words().contains("--false-matches"), "{}", place.words());
        assert_eq!(pages.len(), places.len());
    }

    #[test]
    fn text_cannot_be_a_request() {
        assert_eq!(roff(".so x\n'a \\b --c"), "\\&.so x\n\\&'a \\eb \\-\\-c");
    }
}
