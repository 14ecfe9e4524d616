//! The command line: the tree of commands, what they share, and their exit codes.
//!
//! Data goes to standard output, talk to standard error. A command ends with 0 when it did what was asked, 1 when the
//! answer is "no" (nobody found, a check failed, some files refused) and 2 when it could not do it. With `--json` the error
//! of such a one is JSON as well, on standard error.

mod archive;
mod backup;
mod bench;
mod calibrate;
mod check;
mod compare;
mod config;
mod connection;
pub(crate) mod console;
mod deed;
mod detect;
mod doctor;
mod eval;
mod explain;
mod face;
mod face_set;
mod import;
mod job;
mod key;
mod library_args;
mod liveness;
mod log;
mod manual;
mod migrate;
#[cfg(feature = "milvus")]
mod milvus;
mod numbers;
mod offered;
mod pack;
mod person;
mod photo;
pub(crate) mod progress;
mod quickstart;
mod rates;
mod recover;
mod search;
mod serve;
mod socket;
mod stop;
mod table;
pub(crate) mod tenant;
pub(crate) mod terminal;
mod thresholds;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use likeness_domain::Error;

use crate::config::{Config, RawConfig};
use crate::outcome::{Outcome, Verdict, failed, refused};
use crate::telemetry;
use crate::traces::{self, Exporter};

/// A self-hosted face library: enrol faces, compare them, search them.
#[derive(Debug, Parser)]
#[command(name = "likeness", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    shared: SharedArgs,
    #[command(subcommand)]
    command: Command,
}

/// Settings every command takes; the rest of the settings are in the file and the environment.
#[derive(Debug, Args)]
struct SharedArgs {
    /// Read settings from this TOML file [default: none; or LIKENESS_CONFIG]
    #[arg(long, global = true, help_heading = "Settings", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder: faces, keys and everything that must be backed up
    #[arg(long, global = true, help_heading = "Settings", value_name = "DIR")]
    data: Option<String>,
    /// Address of a PostgreSQL database that holds the library instead; the password comes by `store_password_file` or
    /// PGPASSWORD
    #[arg(long, global = true, help_heading = "Settings", value_name = "postgres://..")]
    store: Option<String>,
    /// What is worth a log line: error, warn, info, debug, trace, or `target=level,..`
    #[arg(long, global = true, help_heading = "Settings", value_name = "LEVEL", value_parser = offered::LOG_LEVELS, hide_possible_values = true)]
    log_level: Option<String>,
    /// How log lines look: text or json
    #[arg(long, global = true, help_heading = "Settings", value_name = "FORMAT", value_parser = offered::LOG_FORMATS, hide_possible_values = true)]
    log_format: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer clients until told to stop
    Serve(serve::ServeArgs),
    /// Access keys: one key pair opens one tenant's faces, in every dialect
    #[command(subcommand)]
    Key(key::Command),
    /// Tenants: whose faces they are, and how many they may be
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Named collections of faces that are searched as one
    #[command(subcommand, visible_alias = "set")]
    FaceSet(face_set::Command),
    /// Persons: identities that own faces and are members of face sets
    #[command(subcommand)]
    Person(person::Command),
    /// Enrolled faces: add, import, list, show, delete
    #[command(subcommand)]
    Face(face::Command),
    /// Work that outlives its request: list, show, cancel
    #[command(subcommand)]
    Job(job::Command),
    /// Who changed what, and when: the record of commits, oldest first
    Log(log::LogArgs),
    /// Write a face set to an archive: templates, fields and persons, but no photographs
    Export(archive::ExportArgs),
    /// Enrol the faces of an archive; can be run again without enrolling twice
    Import(archive::ImportArgs),
    /// Find who resembles the face in a photograph, an enrolled face or a person
    Search(search::SearchArgs),
    /// Tell whether two photographs show one person
    Compare(compare::CompareArgs),
    /// Say why two photographs, or a photograph and a face set, match or do not
    Explain(explain::ExplainArgs),
    /// Find the faces in a photograph
    Detect(detect::DetectArgs),
    /// Tell whether a living person is in a photograph or a clip
    Liveness(liveness::LivenessArgs),
    /// What each threshold means: cosine, false-accept rate, false matches in a face set, and each dialect's number
    Thresholds(thresholds::ThresholdsArgs),
    /// Measure a model pack's operating points on your own labelled faces
    Calibrate(calibrate::CalibrateArgs),
    /// Accuracy of a model pack, measured on labelled photographs
    #[command(subcommand)]
    Eval(eval::Command),
    /// Measure what this machine can do, on faces that are made up
    Bench(bench::BenchArgs),
    /// Look at everything a server stands on, and say what is wrong and what cures it
    Doctor(doctor::DoctorArgs),
    /// What is stored, and whether it is intact
    Check(check::CheckArgs),
    /// Write a backup of the library while it is in use, or verify one
    Backup(backup::BackupArgs),
    /// Make a library from a backup, in a new data folder
    Restore(backup::RestoreArgs),
    /// Write what can still be read of a damaged library to a new folder
    Recover(recover::RecoverArgs),
    /// Move a library between a data folder and a PostgreSQL database while it is in use
    Migrate(migrate::MigrateArgs),
    /// Large face sets in Milvus: what it has of them, compare, copy anew
    #[cfg(feature = "milvus")]
    #[command(subcommand)]
    Milvus(milvus::Command),
    /// Model packs and the runtime they need
    #[command(subcommand)]
    Pack(pack::Command),
    /// Settings and where they come from
    #[command(subcommand)]
    Config(config::Command),
    /// Open the console in a browser, signed in as the owner of the data folder
    Console(console::ConsoleArgs),
    /// Print completions for a shell
    Completions(manual::CompletionsArgs),
    /// Write man pages to a folder
    Man(manual::ManArgs),
}

impl Command {
    /// The settings given as flags of the command itself.
    fn settings(&self, raw: &mut RawConfig) {
        match self {
            Command::Serve(args) => args.settings(raw),
            Command::Key(_) | Command::Tenant(_) | Command::Check(_) | Command::Pack(_) | Command::Config(_) => {}
            Command::Eval(command) => raw.set_flag("pack", "--pack", command.pack()),
            Command::Calibrate(args) => raw.set_flag("pack", "--pack", args.pack.as_deref()),
            Command::FaceSet(_) | Command::Face(_) | Command::Search(_) | Command::Compare(_) | Command::Detect(_) => {}
            Command::Bench(_)
            | Command::Liveness(_)
            | Command::Recover(_)
            | Command::Explain(_)
            | Command::Doctor(_) => {}
            Command::Completions(_) | Command::Man(_) | Command::Person(_) | Command::Job(_) | Command::Log(_) => {}
            Command::Backup(_) | Command::Restore(_) | Command::Console(_) | Command::Migrate(_) => {}
            Command::Export(_) | Command::Import(_) | Command::Thresholds(_) => {}
            #[cfg(feature = "milvus")]
            Command::Milvus(_) => {}
        }
    }

    /// The level of log lines where the configuration says nothing: a server's log tells what it does, another
    /// command's only what went wrong.
    fn log_level(&self) -> &'static str {
        match self {
            Command::Serve(_) => "info",
            Command::Key(_) | Command::Tenant(_) | Command::Check(_) | Command::Pack(_) | Command::Config(_) => "warn",
            Command::FaceSet(_) | Command::Face(_) | Command::Search(_) | Command::Compare(_) | Command::Detect(_) => {
                "warn"
            }
            Command::Eval(_) | Command::Bench(_) | Command::Liveness(_) | Command::Recover(_) => "warn",
            Command::Backup(_) | Command::Restore(_) | Command::Console(_) | Command::Migrate(_) => "warn",
            Command::Export(_) | Command::Import(_) | Command::Thresholds(_) | Command::Calibrate(_) => "warn",
            Command::Explain(_) | Command::Doctor(_) | Command::Person(_) | Command::Job(_) => "warn",
            Command::Completions(_) | Command::Man(_) | Command::Log(_) => "warn",
            #[cfg(feature = "milvus")]
            Command::Milvus(_) => "warn",
        }
    }

    async fn run(
        self,
        config: &Config,
        resolved: &RawConfig,
        resolve: &serve::Resolve,
        exporter: Option<Exporter>,
    ) -> Outcome {
        match self {
            Command::Serve(args) => serve::run(args, config, resolved, resolve, exporter).await,
            Command::Key(command) => key::run(command, config).await,
            Command::Tenant(command) => tenant::run(command, config).await,
            Command::FaceSet(command) => face_set::run(command, config).await,
            Command::Face(command) => face::run(command, config).await,
            Command::Person(command) => person::run(command, config).await,
            Command::Job(command) => job::run(command, config).await,
            Command::Log(args) => log::run(args, config).await,
            Command::Export(args) => archive::export(args, config).await,
            Command::Import(args) => archive::import(args, config).await,
            Command::Search(args) => search::run(args, config).await,
            Command::Compare(args) => compare::run(args, config).await,
            Command::Explain(args) => explain::run(args, config).await,
            Command::Detect(args) => detect::run(args, config).await,
            Command::Liveness(args) => liveness::run(args, config).await,
            Command::Thresholds(args) => thresholds::run(args, config).await,
            Command::Calibrate(args) => calibrate::run(args, config).await,
            Command::Eval(command) => eval::run(command, config).await,
            Command::Bench(args) => bench::run(args, config).await,
            Command::Doctor(args) => doctor::run(args, config, resolved).await,
            Command::Check(args) => check::run(args, config).await,
            Command::Backup(args) => backup::backup(args, config).await,
            Command::Restore(args) => backup::restore(args, config).await,
            Command::Recover(args) => recover::run(args, config).await,
            Command::Migrate(args) => migrate::run(args, config).await,
            #[cfg(feature = "milvus")]
            Command::Milvus(command) => milvus::run(command, config).await,
            Command::Pack(command) => pack::run(command, config),
            Command::Config(command) => config::run(command, config, resolved),
            Command::Console(args) => console::run(args, config).await,
            Command::Completions(args) => manual::completions(&args),
            Command::Man(args) => manual::man(&args),
        }
    }
}

/// Parses the command line, settles the configuration, runs the command, and says how it ended.
pub(crate) fn run() -> ExitCode {
    telemetry::foresee(&std::env::args_os().collect::<Vec<_>>(), |name| std::env::var_os(name));
    let as_json = terminal::is_asked_for_json(std::env::args_os());
    let mut command = numbers::with_negative(Cli::command());
    let read = command.try_get_matches_from_mut(std::env::args_os());
    let read = read.and_then(|matches| Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command)));
    let cli = match read {
        Ok(cli) => cli,
        Err(error) => {
            let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
            let words = words.iter().map(String::as_str);
            let text = numbers::with_what_is_accepted(Cli::command(), words, &error);
            if as_json && error.use_stderr() {
                let text = text.unwrap_or_else(|| error.render().to_string());
                // Its first lines say what is wrong, the others how the command is used.
                let lines: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
                terminal::error_as_json(&refused(lines.join(" ").trim_start_matches("error: ")));
                return ExitCode::from(2);
            }
            return terminal::usage(&error, text);
        }
    };
    let outcome = settle_and_run(cli).and_then(|verdict| terminal::check_written().map(|()| verdict));
    match outcome {
        Ok(Verdict::Done) => ExitCode::SUCCESS,
        Ok(Verdict::No) => ExitCode::from(1),
        Err(error) => {
            if as_json {
                terminal::error_as_json(&error)
            } else {
                terminal::error(&error)
            }
            ExitCode::from(2)
        }
    }
}

fn settle_and_run(cli: Cli) -> Outcome {
    let mut flags = RawConfig::default();
    flags.set_flag("data", "--data", cli.shared.data.as_deref());
    flags.set_flag("store", "--store", cli.shared.store.as_deref());
    flags.set_flag("log.level", "--log-level", cli.shared.log_level.as_deref());
    flags.set_flag("log.format", "--log-format", cli.shared.log_format.as_deref());
    cli.command.settings(&mut flags);
    let file = cli.shared.config.clone();
    let resolve = move || crate::config::resolve(file.as_deref(), std::env::vars_os(), flags.clone());
    let resolved = resolve()?;
    let config = Config::from_raw(&resolved)?;
    let traces = match &cli.command {
        Command::Serve(_) => traces::prepare(&config, |name| std::env::var(name).ok())?,
        _ => None,
    };
    let (steps, exporter) = traces.unzip();
    telemetry::start(&config.log, cli.command.log_level(), steps);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("cannot start the async runtime: {error}")))?;
    let outcome = runtime.block_on(cli.command.run(&config, &resolved, &resolve, exporter));
    // A name look-up may still hang in a thread; nothing waits for its answer any more.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Refuses what works on a data folder only where the library is in a database; `instead` says what does it there.
fn refuse_database(config: &Config, instead: &str) -> Result<(), Error> {
    match config.general.store {
        Some(_) => {
            Err(refused("the library is in a database (`store`), this command is for data folders").with_hint(instead))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    /// Lines of a screen.
    const SCREEN: usize = 50;

    /// What `PATH --help` prints.
    fn help_of(path: &[&str]) -> String {
        Cli::command().try_get_matches_from([path, &["--help"]].concat()).expect_err("help is no match").to_string()
    }

    fn check_help<'a>(command: &'a clap::Command, path: &[&'a str], faults: &mut Vec<String>) {
        let name = path.join(" ");
        let help = help_of(path);
        if help.lines().count() > SCREEN {
            faults.push(format!("{name}: {} lines", help.lines().count()));
        }
        let shown: Vec<_> =
            command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help").collect();
        let has_example = help.split_once("xample").is_some_and(|(_, example)| example.contains(&name));
        if shown.is_empty() && !has_example {
            faults.push(format!("{name}: no example"));
        }
        for inner in shown {
            check_help(inner, &[path, &[inner.get_name()]].concat(), faults);
        }
    }

    /// What a shell makes of a line without variables: words, of which some stand in single quotes.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
        for char in line.chars() {
            match char {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
                char => word.push(char),
            }
        }
        words.push(word);
        words.retain(|word| !word.is_empty());
        words
    }

    /// Command lines among the text below a command's options.
    fn examples(command: &clap::Command) -> Vec<Vec<String>> {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = |line: &str| {
            let line = line.trim_start();
            let line =
                line.split_once("Example: ").or_else(|| line.split_once("Examples: ")).map_or(line, |(_, rest)| rest);
            let line = line.strip_prefix("sudo -u likeness ").unwrap_or(line);
            line.starts_with("likeness ").then(|| words(line.split(" > ").next().unwrap_or(line)))
        };
        text.lines().filter_map(example).collect()
    }

    fn check_examples(command: &clap::Command, path: &str, faults: &mut Vec<String>, n_examples: &mut usize) {
        for example in examples(command) {
            *n_examples += 1;
            if let Err(error) = Cli::command().try_get_matches_from(&example) {
                faults.push(format!("{path}: `{}`: {error}", example.join(" ")));
            }
        }
        for inner in command.get_subcommands() {
            check_examples(inner, &format!("{path} {}", inner.get_name()), faults, n_examples);
        }
    }

    #[test]
    fn every_example_is_a_command_that_is_taken() {
        let mut root = Cli::command();
        root.build();
        let (mut faults, mut n_examples) = (Vec::new(), 0);
        check_examples(&root, "likeness", &mut faults, &mut n_examples);
        assert_eq!(faults, [] as [String; 0]);
        assert!(n_examples >= 60, "{n_examples} are found");
    }

    #[test]
    fn every_command_s_help_has_an_example_and_fits_a_screen() {
        let mut root = Cli::command();
        root.build();
        let mut faults = Vec::new();
        check_help(&root, &["likeness"], &mut faults);
        assert_eq!(faults, [] as [String; 0]);
    }
}
