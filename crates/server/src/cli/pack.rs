//! `likeness pack`: model packs and the runtime they need.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use likeness_domain::limits::PERSON_PROBES_MAX;
use likeness_domain::score::{Calibration, FAR_USUAL};
use likeness_domain::types::PackId;
use likeness_vision::pack::{self, Home, Installable, Manifest, Source};
use likeness_vision::runtime::choice;
use likeness_vision::runtime::{Engines, ModelKind};
use serde_json::{Value, json};

use super::progress::InstallProgress;
use super::rates::rate;
use super::table::counted;
use super::terminal;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, refused};

/// Model packs and the runtime they need.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Install a pack, for the default one with the runtime; what is there and intact is left alone
    #[command(after_help = "Example: likeness pack install attributes")]
    Install(InstallArgs),
    /// List the installed packs
    #[command(after_help = "Example: likeness pack list --json")]
    List(JsonArgs),
    /// Compare every installed file with the digest its manifest states
    #[command(after_help = "Example: likeness pack verify default-2")]
    Verify(VerifyArgs),
    /// Take over operating points that `likeness calibrate` has measured; they hold from the next start on
    #[command(after_help = "Example: likeness pack calibrate gate.toml")]
    Calibrate(CalibrateArgs),
}

/// See [`Command::Calibrate`].
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// The file that `likeness calibrate -o FILE` has written
    #[arg(required_unless_present = "reset", conflicts_with = "reset")]
    file: Option<PathBuf>,
    /// The false-accept rate that holds where nobody says which, within the range that was measured [default: 1e-4, if it was]
    #[arg(long, value_name = "RATE", conflicts_with = "reset", value_parser = super::numbers::finite::<f64>)]
    default_far: Option<f64>,
    /// Go back to the operating points of this pack's own manifest
    #[arg(long, value_name = "ID")]
    reset: Option<String>,
    #[command(flatten)]
    json: JsonArgs,
}

/// See [`Command::Install`].
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Which pack: `attributes` reads 68 landmarks, expression, age and gender, `liveness` tells living persons from
    /// pictures of them; `default` finds and recognises faces, `default-1` does so for face sets made by earlier releases
    #[arg(value_enum, default_value_t = Name::Default)]
    pack: Name,
    /// Take the archives (for `liveness` the model files) from this file or folder instead of downloading them
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,
    #[command(flatten)]
    json: JsonArgs,
}

/// The packs that can be installed.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Name {
    Default,
    #[value(name = "default-1")]
    Default1,
    Attributes,
    Liveness,
}

/// See [`Command::Verify`].
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Only this pack [default: all packs and the runtime]
    id: Option<String>,
    #[command(flatten)]
    json: JsonArgs,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct JsonArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command on the packs of `config.home()`.
pub(crate) fn run(command: Command, config: &Config) -> Outcome {
    let home = Home::at(config.home()?);
    match command {
        Command::Install(args) => install(&home, args, config),
        Command::List(args) => list(&home, config, args.json),
        Command::Verify(args) => verify(&home, args),
        Command::Calibrate(args) => calibrate(&home, args),
    }
}

fn calibrate(home: &Home, args: CalibrateArgs) -> Outcome {
    let (id, change) = match (&args.file, &args.reset) {
        (Some(file), _) => (pack::install_calibration(home, file, args.default_far)?, "own operating points hold"),
        (None, Some(id)) => {
            let unknown = || refused(format!("`{id}` is no name of a model pack, expected one as `default-2`"));
            let id = PackId::new(id).ok_or_else(unknown)?;
            if !pack::remove_calibration(home, &id)? {
                terminal::message(format!("model pack {id} has no operating points but its own"));
                return Ok(Verdict::No);
            }
            (id, "the pack's own operating points hold")
        }
        (None, None) => return Err(refused("neither a file nor `--reset ID` is given")),
    };
    let score = pack::open(home, &id)?.manifest().recognition().map(|recognition| recognition.score.clone());
    let default_far = score.as_ref().and_then(|score| score.calibration.far_default());
    let shares = score.as_ref().and_then(|score| shares_text(&score.calibration));
    let faces_max = score.as_ref().and_then(|score| person_faces_max(&score.calibration));
    let measured_on = score.map(|score| score.measured_on).unwrap_or_default();
    if let Some(shares) = shares {
        terminal::message(format!("warning: {shares}"));
    }
    if args.json.json {
        terminal::data(json!({
            "pack": id.as_str(), "measured_on": measured_on, "default_far": default_far, "person_faces_max": faces_max,
        }));
    } else {
        terminal::data(format!("model pack {id}: {change}, measured on {measured_on}"));
        terminal::data(default_text(default_far));
        terminal::message("they hold for servers and commands that start from now on");
    }
    Ok(Verdict::Done)
}

fn install(home: &Home, args: InstallArgs, config: &Config) -> Outcome {
    let source = args.from.map_or(Source::Index, Source::Path);
    let progress = InstallProgress::new();
    let installable = match args.pack {
        Name::Default => None,
        Name::Default1 => Some(Installable::Default1),
        Name::Attributes => Some(Installable::Attributes),
        Name::Liveness => Some(Installable::Liveness),
    };
    if let Some(installable) = installable {
        let pack = pack::install_pack(home, installable, &source, &progress)?;
        progress.finish();
        let id = pack.manifest().id();
        if args.json.json {
            terminal::data(json!({ "pack": id.as_str(), "path": path_text(pack.dir()) }));
        } else {
            terminal::data(format_args!("model pack {id} in {}", pack.dir().display()));
        }
        return Ok(Verdict::Done);
    }
    let installed = pack::install(home, &source, &progress)?;
    progress.finish();
    // Measures, if that was not done, so that the first command or server need not.
    let (_, engines) = choice::engines(home, &installed.pack, config.inference())?;
    let openvino = pack::openvino(home).ok();
    let (id, runtime) = (installed.pack.manifest().id(), &installed.runtime);
    if args.json.json {
        let runtime = json!({ "version": runtime.version, "path": path_text(&runtime.path) });
        let openvino = openvino.map(|library| json!({ "version": library.version, "path": path_text(&library.path) }));
        terminal::data(json!({
            "pack": id.as_str(),
            "path": path_text(installed.pack.dir()),
            "runtime": runtime,
            "openvino": openvino,
            "engines": engines_json(&engines),
        }));
    } else {
        terminal::data(format_args!("model pack {id} in {}", installed.pack.dir().display()));
        terminal::data(format_args!("ONNX Runtime {} in {}", runtime.version, runtime.path.display()));
        if let Some(openvino) = openvino {
            terminal::data(format_args!("OpenVINO {} in {}", openvino.version, openvino.path.display()));
        }
        terminal::data(engines_text(&engines));
    }
    Ok(Verdict::Done)
}

/// `models run with: detector openvino bf16, mesh openvino f32, ..`.
pub(super) fn engines_text(engines: &Engines) -> String {
    let parts: Vec<_> = ModelKind::ALL.iter().map(|&kind| format!("{} {}", kind.word(), engines.of(kind))).collect();
    format!("models run with: {}", parts.join(", "))
}

/// The rate that holds where nobody says which, of the configured pack, if that is installed and recognises faces.
pub(super) fn default_far(config: &Config) -> Option<Option<f64>> {
    let pack = pack::open(&Home::at(config.home().ok()?), &config.general.pack).ok()?;
    pack.manifest().recognition().map(|recognition| recognition.score.calibration.far_default())
}

/// What holds where nobody says which rate.
pub(super) fn default_text(default_far: Option<f64>) -> String {
    match default_far {
        Some(far) => format!("where no rate is said, the false-accept rate is {}", rate(far)),
        None => format!(
            "requests have to say a rate: {} was not measured, and `likeness pack calibrate FILE --default-far RATE` sets \
             no other",
            rate(FAR_USUAL)
        ),
    }
}

/// Most faces that a person may have of whom a request need not say a rate: each of its faces is held to a share of the default one,
/// and that has to have been measured. `None` where as many as are ever compared may, and where there is no default.
pub(super) fn person_faces_max(calibration: &Calibration) -> Option<u64> {
    let n_faces = (calibration.far_default()? / calibration.far_range().0 * (1.0 + 1e-9)).floor() as u64;
    (n_faces < PERSON_PROBES_MAX as u64).then_some(n_faces)
}

/// The same of the installed pack that is configured, as people read it.
pub(super) fn person_faces_text(config: &Config) -> Option<String> {
    let pack = pack::open(&Home::at(config.home().ok()?), &config.general.pack).ok()?;
    shares_text(&pack.manifest().recognition()?.score.calibration)
}

fn shares_text(calibration: &Calibration) -> Option<String> {
    let n_faces = counted(person_faces_max(calibration)?, "face");
    let (far, least) = (rate(calibration.far_default()?), rate(calibration.far_range().0));
    Some(format!(
        "requests about a person of more than {n_faces} have to say a rate: each face is held to its share of {far}, and \
         nothing below {least} was measured"
    ))
}

/// By kind of model: `{"detector": {"runtime": "openvino", "precision": "bf16"}, ..}`.
pub(super) fn engines_json(engines: &Engines) -> Value {
    let parts = ModelKind::ALL.iter().map(|&kind| {
        let engine = engines.of(kind);
        let engine = json!({ "runtime": engine.library.word(), "precision": engine.precision.word() });
        (kind.word().to_owned(), engine)
    });
    Value::Object(parts.collect())
}

/// What runs the models with these settings; `None` where that is still to be measured.
pub(super) fn engines(home: &Home, config: &Config) -> Option<Engines> {
    choice::known_engines(home, config.inference())
}

fn list(home: &Home, config: &Config, as_json: bool) -> Outcome {
    let engines = engines(home, config);
    let found = pack::list(home)?;
    let default = pack::default_pack_id();
    if as_json {
        let packs: Vec<_> = found
            .iter()
            .map(|found| {
                let manifest = found.outcome.as_ref().ok().map(|pack| pack.manifest());
                let recognition = manifest.and_then(|manifest| manifest.recognition());
                json!({
                    "id": found.name,
                    "dimensions": recognition.map(|recognition| recognition.dimensions),
                    "assesses": manifest.map(|manifest| manifest.assess().words()),
                    "default_far": recognition.and_then(|recognition| recognition.score.calibration.far_default()),
                    "licence": manifest.map(|manifest| manifest.pack().licence.as_str()),
                    "default": found.name == default.as_str(),
                    "problem": found.outcome.as_ref().err().map(ToString::to_string),
                })
            })
            .collect();
        let engines = engines.as_ref().map(engines_json);
        terminal::data(json!({ "home": path_text(home.path()), "packs": packs, "engines": engines }));
        return Ok(Verdict::Done);
    }
    for found in &found {
        match &found.outcome {
            Ok(pack) => {
                let (abilities, licence) = (abilities(pack.manifest()), &pack.manifest().pack().licence);
                terminal::data(format_args!("{}  {abilities}  {licence}", found.name));
                if let Some(recognition) = pack.manifest().recognition() {
                    terminal::data(format_args!("  {}", default_text(recognition.score.calibration.far_default())));
                }
            }
            Err(error) => terminal::data(format_args!("{}  cannot be used: {error}", found.name)),
        }
    }
    if let Some(engines) = &engines {
        terminal::data(engines_text(engines));
    }
    if found.is_empty() {
        terminal::message(format_args!("no model pack in {}", home.path().display()));
        terminal::message("  hint: `likeness pack install` installs the default one");
    }
    Ok(Verdict::Done)
}

fn verify(home: &Home, args: VerifyArgs) -> Outcome {
    let id = args.id.map(|id| PackId::new(&id).ok_or_else(|| refused(format!("`{id}` is not the id of a pack"))));
    let checked = pack::verify(home, id.transpose()?.as_ref())?;
    let n_damaged = checked.iter().filter(|checked| checked.outcome.is_err()).count();
    if args.json.json {
        let results: Vec<_> = checked
            .iter()
            .map(|checked| json!({ "name": checked.name, "problem": checked.outcome.as_ref().err().map(ToString::to_string) }))
            .collect();
        terminal::data(json!({ "intact": n_damaged == 0, "checked": results }));
    } else {
        for checked in &checked {
            match &checked.outcome {
                Ok(()) => terminal::data(format_args!("{}  intact", checked.name)),
                Err(error) => {
                    terminal::data(format_args!("{}  {}", checked.name, error.to_string().replace('\n', "\n  ")))
                }
            }
        }
    }
    Ok(if n_damaged == 0 { Verdict::Done } else { Verdict::No })
}

/// What a pack can do: the dimensions of its templates, and the words of its stages.
fn abilities(manifest: &Manifest) -> String {
    let dimensions = manifest.recognition().map(|recognition| format!("{} dimensions", recognition.dimensions));
    let words = manifest.assess().words().into_iter().map(str::to_owned);
    dimensions.into_iter().chain(words).collect::<Vec<_>>().join(", ")
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
