//! Which library runs which model on this machine: measured once, kept in a file, overruled by settings.
//!
//! An [`Engine`] is a candidate for a kind of model if its library is installed (the built-in runtime needs none, but
//! vector instructions) and its numbers agree with those of ONNX Runtime on drawn faces; of the candidates the quickest is
//! taken, unless one more library would have to be loaded for less than a sixth of the time: it takes 30 to 100 MB of
//! memory. Attributes are run by ONNX Runtime unless OpenVINO is loaded anyway.
//! Measured on 115 photographs, bf16 against 32-bit floats: SFace's templates agree to a cosine of at least 0.9998, YuNet's
//! scores to 0.0006 and its points to 0.2 % of the face (mean). The face mesh in bf16 rounds points to half a pixel of
//! its crop, too coarse for lids, and fails the check.

use bytes::Bytes;
use likeness_domain::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

use super::{Engine, Engines, Library, LibraryFiles, ModelKind, Precision, Runtime, Session, Tensor, builtin, clock};
use crate::pack::{self, Home, InstalledPack};
use crate::raster::RgbImage;
use crate::tensor::{Scaling, fill_planes};

#[cfg(test)]
mod tests;

/// Runs of each candidate; the least time counts, since other programs only add to it.
const N_RUNS: usize = 12;

/// A candidate that took so many times as long as the quickest is not run again.
const HOPELESS_RATIO: f64 = 4.0;

/// Templates of two engines must agree to this cosine.
const COSINE_MIN: f64 = 0.995;

/// The same for 16-bit integers, which reach 0.999999 where the model suits them.
const COSINE_MIN_I16: f64 = 0.9999;

/// The same for 8-bit integers, which reach 0.9999 where the model's weights are such.
const COSINE_MIN_I8: f64 = 0.999;

/// The mesh's points must agree to this, in pixels of its crop of 192.
const MESH_DIFFERENCE_MAX: f64 = 0.25;

/// The same for the built-in runtime, which computes in the same numbers and only adds them up in another order, or in
/// integers that are nearly as exact.
const MESH_DIFFERENCE_MAX_BUILT_IN: f64 = 0.02;

/// The detector's scores (0 to 1) must agree to this.
const SCORE_DIFFERENCE_MAX: f64 = 0.02;

/// The same for the built-in runtime.
const SCORE_DIFFERENCE_MAX_BUILT_IN: f64 = 0.001;

/// With one more library, one picture must take less than this share of the time.
const MIXED_SHARE_MAX: f64 = 5.0 / 6.0;

/// Raised when the built-in runtime learns other models or becomes quicker, so that all is measured again.
const BUILT_IN_VERSION: u32 = 5;

/// What settings say; `None` leaves it to the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// This library for all models.
    pub library: Option<Library>,
    /// These numbers for all models that [`Library::OpenVino`] runs.
    pub precision: Option<Precision>,
}

/// What one engine took for one kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What kind of model.
    pub kind: ModelKind,
    /// Which engine.
    pub engine: Engine,
    /// Milliseconds of processor time for one input.
    pub ms: f64,
    /// Whether its numbers are those of ONNX Runtime, as far as it matters.
    pub agrees: bool,
}

/// The file in the home: what was measured, and on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The processor.
    pub machine: String,
    /// The libraries and models, by version and id.
    pub measured: String,
    /// The engines taken when settings leave it open.
    pub engines: Engines,
    /// All figures.
    pub figures: Vec<Figure>,
}

impl Kept {
    /// What is kept in a home; `None` if there is nothing or it cannot be read.
    pub fn load(home: &Home) -> Option<Self> {
        let text = std::fs::read(home.engines_file()).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn save(&self, home: &Home) {
        let path = home.engines_file();
        let staged = path.with_extension("json.new");
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        let saved = std::fs::write(&staged, text).and_then(|()| std::fs::rename(&staged, &path));
        if let Err(error) = saved {
            tracing::debug!(%error, "the choice of inference libraries cannot be kept; it is measured again next time");
        }
    }
}

/// The libraries of a home and what runs on which, measured if that was not done on this machine with these libraries.
///
/// [`Kind::PackUnavailable`] if settings want what this machine or home has not got. Where nothing is wanted and
/// something is missing, what is there runs everything, and the log says why.
pub fn engines(home: &Home, pack: &InstalledPack, wanted: Wanted) -> Result<(LibraryFiles, Engines)> {
    let onnxruntime = pack::runtime(home)?;
    let openvino = pack::openvino(home);
    let files = LibraryFiles {
        onnxruntime: Some(onnxruntime.path),
        openvino: openvino.as_ref().ok().map(|it| it.path.clone()),
    };
    if wanted.library == Some(Library::OnnxRuntime) {
        if wanted.precision == Some(Precision::Bf16) {
            let message = "`inference_precision` is `bf16`, ONNX Runtime computes in f32 only";
            return Err(unavailable(message, "set `inference_runtime` to auto or openvino"));
        }
        return Ok((files, Engines::all(Engine::PORTABLE)));
    }
    if wanted.library == Some(Library::BuiltIn) && builtin::vectorised_kernel().is_none() {
        let message = "`inference_runtime` is `builtin`, which needs AVX2 or AVX-512 with VNNI";
        return Err(unavailable(message, "set it to auto, onnxruntime or openvino"));
    }
    if wanted.library == Some(Library::BuiltIn) && wanted.precision == Some(Precision::Bf16) {
        let message = "`inference_precision` is `bf16`, which the built-in runtime has not";
        return Err(unavailable(message, "set it to auto or f32, or `inference_runtime` to auto or openvino"));
    }
    let openvino_version = match openvino {
        Ok(openvino) => Some(openvino.version),
        Err(error) if wanted.library == Some(Library::OpenVino) => return Err(error),
        Err(error) => {
            let needs = |kept: &Kept| kept.engines.need(Library::OpenVino);
            let problem = error.message();
            match Kept::load(home).is_some_and(|kept| needs(&kept)) {
                true => tracing::warn!("models run without OpenVINO, more slowly than was chosen: {problem}"),
                false => tracing::debug!("models run without OpenVINO: {problem}"),
            }
            None
        }
    };
    let machine = machine();
    if openvino_version.is_some() && wanted.precision == Some(Precision::Bf16) && !machine.has_bf16 {
        return Err(unavailable(
            "`inference_precision` is `bf16`, which this processor has no instructions for",
            "set it to auto or f32",
        ));
    }
    let mut libraries = vec![format!("onnxruntime {}", onnxruntime.version)];
    libraries.extend(openvino_version.as_ref().map(|version| format!("openvino {version}")));
    libraries.extend(builtin::vectorised_kernel().map(|kernel| format!("builtin {BUILT_IN_VERSION} {kernel}")));
    if libraries.len() == 1 {
        return Ok((files, Engines::all(Engine::PORTABLE)));
    }
    let measured = format!("{}, {}", libraries.join(", "), pack.manifest().id());
    let kept = Kept::load(home).filter(|kept| kept.machine == machine.name && kept.measured == measured);
    let kept = match kept {
        Some(kept) => Ok(kept),
        None => figures(&files, pack, machine.has_bf16).map(|figures| {
            let engines = choose(&figures, Wanted::default());
            let kept = Kept { machine: machine.name, measured, engines, figures };
            kept.save(home);
            kept
        }),
    };
    match kept {
        Ok(kept) => Ok((files, choose(&kept.figures, wanted))),
        Err(error) if wanted.library.is_none() => {
            tracing::warn!(%error, "models run with ONNX Runtime, since the others cannot be tried");
            Ok((files, Engines::all(Engine::PORTABLE)))
        }
        Err(error) => Err(error),
    }
}

/// What [`engines`] gives with these settings, as far as that is known without loading or measuring anything; `None` where
/// it is still to be measured. Nothing is checked but that files are there.
pub fn known_engines(home: &Home, wanted: Wanted) -> Option<Engines> {
    if wanted.library == Some(Library::OnnxRuntime) {
        return Some(Engines::all(Engine::PORTABLE));
    }
    let has_openvino = pack::has_openvino(home);
    if !has_openvino && (wanted.library == Some(Library::OpenVino) || !pack::has_runtime(home)) {
        return None;
    }
    if !has_openvino && builtin::vectorised_kernel().is_none() {
        return wanted.library.is_none().then(|| Engines::all(Engine::PORTABLE));
    }
    let kept = Kept::load(home).filter(|kept| kept.machine == machine().name)?;
    if kept.engines.need(Library::OpenVino) && !has_openvino {
        return None;
    }
    Some(choose(&kept.figures, wanted))
}

/// The engines for what was measured and what is wanted.
///
/// The built-in runtime runs what it knows beside any library. It is taken if it is the quickest or if it is wanted, not if
/// numbers of another kind are.
pub fn choose(figures: &[Figure], wanted: Wanted) -> Engines {
    let may_be_built_in = match wanted.library {
        Some(library) => library == Library::BuiltIn,
        None => wanted.precision.is_none(),
    };
    // The quickest for that kind with these libraries and the built-in runtime.
    let best = |kind: ModelKind, libraries: &[Library]| -> Option<Figure> {
        let may = |figure: &&Figure| {
            let engine = figure.engine;
            if figure.kind != kind || engine.library == Library::BuiltIn {
                // Where 32-bit floats are wanted, those that there are are taken, and bytes are too far from them.
                let is_exact = match kind {
                    ModelKind::Recogniser => engine.precision != Precision::I8,
                    _ => engine.precision == Precision::F32,
                } || wanted.precision.is_none();
                return figure.kind == kind && may_be_built_in && is_exact && figure.agrees;
            }
            let precise = engine.library == Library::OnnxRuntime
                || wanted.precision.is_none_or(|precision| precision == engine.precision);
            let suits = figure.agrees || (wanted.precision == Some(engine.precision) && precise);
            precise && suits && libraries.contains(&engine.library)
        };
        let figures = || figures.iter().filter(may);
        let quickest = figures().min_by(|a, b| a.ms.total_cmp(&b.ms));
        let is_wanted =
            |figure: &&Figure| figure.engine.library == Library::BuiltIn && wanted.library == Some(Library::BuiltIn);
        let built_in = figures().filter(is_wanted).min_by(|a, b| a.ms.total_cmp(&b.ms));
        built_in.or(quickest).copied()
    };
    let of = |libraries: &[Library]| -> (Engines, f64) {
        let only = if let [Library::OpenVino] = libraries { Library::OpenVino } else { Library::OnnxRuntime };
        let fallback = Engine { library: only, precision: Precision::F32 };
        let mut ms = 0.0;
        let mut engine = |kind| {
            let figure = best(kind, libraries);
            ms += figure.map_or(0.0, |figure| figure.ms);
            figure.map_or(fallback, |figure| figure.engine)
        };
        let (detector, mesh, recogniser) =
            (engine(ModelKind::Detector), engine(ModelKind::Mesh), engine(ModelKind::Recogniser));
        // What attributes do in bf16 was not looked at.
        let mut engines = Engines { detector, mesh, recogniser, attribute: fallback };
        if engines.need(Library::OpenVino) {
            engines.attribute = Engine { library: Library::OpenVino, precision: Precision::F32 };
        }
        (engines, ms)
    };
    if let Some(library) = wanted.library.filter(|&library| library != Library::BuiltIn) {
        return of(&[library]).0;
    }
    let measured = |library: Library| figures.iter().any(|figure| figure.engine.library == library);
    // From few libraries to more, each of which has to be worth its memory. ONNX Runtime is there for attributes and large
    // pictures at any rate, though perhaps not loaded.
    let mut taken = of(&[]);
    let is_complete = [ModelKind::Detector, ModelKind::Mesh, ModelKind::Recogniser]
        .into_iter()
        .all(|kind| best(kind, &[]).is_some() || figures.iter().all(|figure| figure.kind != kind));
    if !is_complete || figures.is_empty() {
        taken = of(&[Library::OnnxRuntime]);
        let openvino = of(&[Library::OpenVino]);
        if measured(Library::OpenVino) && openvino.1 < taken.1 && openvino.1 > 0.0 {
            taken = openvino;
        }
    }
    if measured(Library::OpenVino) {
        for libraries in [&[Library::OnnxRuntime][..], &[Library::OpenVino], &[Library::OnnxRuntime, Library::OpenVino]]
        {
            let more = of(libraries);
            if more.1 < taken.1 * MIXED_SHARE_MAX {
                taken = more;
            }
        }
    }
    taken.0
}

/// A model of the pack with an input for it.
struct Case {
    kind: ModelKind,
    name: String,
    model: Bytes,
    shape: [usize; 4],
    input: Vec<f32>,
}

fn cases(pack: &InstalledPack) -> Result<Vec<Case>> {
    let recognition = pack.manifest().recognition().ok_or_else(|| {
        unavailable(format!("model pack `{}` recognises no faces", pack.manifest().id()), "name another one")
    })?;
    let case = |kind, file: &pack::ModelFile, side: u32, scaling: Scaling| -> Result<Case> {
        let mut input = vec![0.0; 3 * side as usize * side as usize];
        fill_planes(&drawn_face(side), scaling, side, side, &mut input);
        let shape = [1, 3, side as usize, side as usize];
        Ok(Case { kind, name: file.name.clone(), model: pack.read(file)?, shape, input })
    };
    let crop = |input: pack::CropInput| Scaling { order: input.order, mean: input.mean, scale: input.scale };
    let detect = recognition.detect.input;
    let scaling = Scaling { order: detect.order, mean: detect.mean, scale: detect.scale };
    let mut cases = vec![case(ModelKind::Detector, &recognition.detect.file, 320, scaling)?];
    if let Some(mesh) = &recognition.mesh {
        cases.push(case(ModelKind::Mesh, &mesh.file, mesh.input.side, crop(mesh.input))?);
    }
    let embed = &recognition.embed;
    cases.push(case(ModelKind::Recogniser, &embed.file, embed.input.side, crop(embed.input))?);
    Ok(cases)
}

/// Runs every candidate on every model of the pack, in turn.
fn figures(files: &LibraryFiles, pack: &InstalledPack, has_bf16: bool) -> Result<Vec<Figure>> {
    let mut engines = vec![Engine::PORTABLE];
    if files.openvino.is_some() {
        let precisions = [Precision::F32, Precision::Bf16].into_iter().take(if has_bf16 { 2 } else { 1 });
        engines.extend(precisions.map(|precision| Engine { library: Library::OpenVino, precision }));
    }
    let mut figures = Vec::new();
    for case in cases(pack)? {
        let mut runs = Vec::new();
        let mut expected = Vec::new();
        let built_in = builtin::vectorised_kernel().map_or(&[][..], |_| Engine::built_in(case.kind));
        for &engine in engines.iter().chain(built_in) {
            let runtime = Runtime::open(files.clone(), Engines::all(engine), 1)?;
            let mut session = match Session::open(&runtime, case.kind, &case.name, &case.model) {
                Ok(session) => session,
                Err(error) if engine.library == Library::BuiltIn => {
                    tracing::debug!(%error, "the built-in runtime is left out");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let outputs = session.run(&case.shape, &case.input)?;
            if engine == Engine::PORTABLE {
                expected = outputs;
                runs.push((Figure { kind: case.kind, engine, ms: f64::INFINITY, agrees: true }, session));
            } else {
                let agrees = agree(case.kind, engine, &expected, &outputs);
                runs.push((Figure { kind: case.kind, engine, ms: f64::INFINITY, agrees }, session));
            }
        }
        for _ in 0..N_RUNS {
            let least = runs.iter().map(|(figure, _)| figure.ms).fold(f64::INFINITY, f64::min);
            for (figure, session) in &mut runs {
                if figure.ms.is_finite() && figure.ms > least * HOPELESS_RATIO {
                    continue;
                }
                let before = clock::processor_time();
                session.run(&case.shape, &case.input)?;
                figure.ms = figure.ms.min(clock::processor_time().saturating_sub(before).as_secs_f64() * 1e3);
            }
        }
        figures.extend(runs.into_iter().map(|(figure, _)| figure));
    }
    Ok(figures)
}

/// Whether what an engine gives for a model of that kind is the same as far as it matters.
fn agree(kind: ModelKind, engine: Engine, expected: &[Tensor], outputs: &[Tensor]) -> bool {
    let cosine_min = match engine.precision {
        Precision::I16 => COSINE_MIN_I16,
        Precision::I8 => COSINE_MIN_I8,
        Precision::F32 | Precision::Bf16 => COSINE_MIN,
    };
    let (points_max, scores_max) = match engine.library {
        Library::BuiltIn => (MESH_DIFFERENCE_MAX_BUILT_IN, SCORE_DIFFERENCE_MAX_BUILT_IN),
        Library::OnnxRuntime | Library::OpenVino => (MESH_DIFFERENCE_MAX, SCORE_DIFFERENCE_MAX),
    };
    let same_shape = |(a, b): (&Tensor, &Tensor)| a.name == b.name && a.data.len() == b.data.len();
    if expected.len() != outputs.len() || !expected.iter().zip(outputs).all(same_shape) {
        return false;
    }
    let pairs = || expected.iter().zip(outputs);
    let difference =
        |a: &Tensor, b: &Tensor| a.data.iter().zip(&b.data).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    match kind {
        ModelKind::Recogniser => pairs().all(|(a, b)| cosine(&a.data, &b.data) >= cosine_min),
        ModelKind::Mesh => pairs().all(|(a, b)| difference(a, b) <= points_max),
        ModelKind::Detector => {
            let (expected, found) = (scores(expected), scores(outputs));
            let differences = expected.iter().zip(&found).map(|(a, b)| f64::from((a - b).abs()));
            !expected.is_empty() && differences.fold(0.0, f64::max) <= scores_max
        }
        // Attributes are not measured.
        ModelKind::Attribute => false,
    }
}

/// The score of each cell: the root of what its two outputs make together.
fn scores(outputs: &[Tensor]) -> Vec<f32> {
    let classes = outputs.iter().filter_map(|cls| Some((cls, cls.name.strip_prefix("cls_")?)));
    let with_objects = classes.filter_map(|(cls, stride)| {
        let obj = outputs.iter().find(|obj| obj.name.strip_prefix("obj_") == Some(stride))?;
        Some(cls.data.iter().zip(&obj.data).map(|(a, b)| (a.clamp(0.0, 1.0) * b.clamp(0.0, 1.0)).sqrt()))
    });
    with_objects.flatten().collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// A face drawn with ovals and some noise, which fills most of a square.
fn drawn_face(side: u32) -> RgbImage {
    let mut data = Vec::with_capacity(3 * side as usize * side as usize);
    for y in 0..side {
        for x in 0..side {
            let (u, v) = ((x as f32 + 0.5) / side as f32, (y as f32 + 0.5) / side as f32);
            let oval = |cx: f32, cy: f32, rx: f32, ry: f32| ((u - cx) / rx).powi(2) + ((v - cy) / ry).powi(2) < 1.0;
            let eye = oval(0.34, 0.43, 0.07, 0.03) || oval(0.66, 0.43, 0.07, 0.03);
            let brow = oval(0.34, 0.36, 0.09, 0.015) || oval(0.66, 0.36, 0.09, 0.015);
            let colour = match () {
                () if eye || brow => [50.0, 40.0, 40.0],
                () if oval(0.5, 0.74, 0.12, 0.03) => [160.0, 70.0, 80.0],
                () if oval(0.5, 0.58, 0.04, 0.08) => [225.0, 180.0, 160.0],
                () if oval(0.5, 0.52, 0.32, 0.42) => [205.0, 160.0, 140.0],
                () => [60.0 + 120.0 * u, 90.0 + 80.0 * v, 120.0],
            };
            let noise = ((x.wrapping_mul(7919) ^ y.wrapping_mul(104_729)).wrapping_mul(2_654_435_761) >> 28) as f32;
            data.extend(colour.map(|level| (level * (1.1 - 0.3 * u) + noise).clamp(0.0, 255.0) as u8));
        }
    }
    RgbImage::new(side, side, data).expect("three bytes a pixel")
}

/// The processor.
struct Machine {
    name: String,
    has_bf16: bool,
}

fn machine() -> Machine {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let flags = field("flags").unwrap_or_default();
    let has_bf16 = flags.split(' ').any(|flag| flag == "avx512_bf16" || flag == "amx_bf16");
    let name = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let family = [field("cpu family"), field("model")].into_iter().flatten().collect::<Vec<_>>().join(".");
    let bf16 = if has_bf16 { "bf16" } else { "no bf16" };
    Machine { name: format!("{name} ({family}, {bf16})"), has_bf16 }
}

fn unavailable(message: impl Into<String>, hint: &str) -> Error {
    Error::new(Kind::PackUnavailable, message).with_hint(hint)
}
