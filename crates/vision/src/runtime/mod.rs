//! Models that run: the one seam to the inference libraries.
//!
//! There are two, [`onnxruntime`] and [`openvino`], each named in its own file only. They are loaded at run time, so the
//! binary starts (and most of its tests run) without them. Models of simple kinds can be run by the program itself:
//! [`builtin`]. A [`Model`] is loaded once and shared by all threads; a
//! [`Session`] is what one thread needs to run it. Stages see [`Session::run`] and plain numbers.
//! Which library runs which model, and how exactly it computes, is an [`Engine`] for each [`ModelKind`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use bytes::Bytes;
use likeness_domain::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub mod choice;

mod builtin;
mod clock;
mod heap;
mod onnxruntime;
mod openvino;

#[cfg(test)]
mod tests;

pub use heap::{give_memory_back, keep_no_large_blocks};

/// An inference library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Library {
    /// ONNX Runtime: runs everywhere, in 32-bit floats.
    OnnxRuntime,
    /// OpenVINO: quicker on x86-64.
    OpenVino,
    /// None: the program itself. Recognisers that are a chain of convolutions in [`Precision::I16`] or [`Precision::I8`], detectors and meshes
    /// that are convolutions with few other operations in [`Precision::F32`].
    BuiltIn,
}

impl Library {
    const ALL: [Self; 3] = [Self::OnnxRuntime, Self::OpenVino, Self::BuiltIn];

    /// Its name in settings and files.
    pub fn word(self) -> &'static str {
        match self {
            Library::OnnxRuntime => "onnxruntime",
            Library::OpenVino => "openvino",
            Library::BuiltIn => "builtin",
        }
    }
}

/// In what numbers a library computes. Weights, inputs and outputs are 32-bit floats in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// The upper half of those: the same range, 8 bits of precision.
    Bf16,
    /// 16-bit integers, scaled for each pixel or for some together; only [`Library::BuiltIn`].
    I16,
    /// 8-bit integers, scaled for each 64 numbers of each pixel and for as many weights; as above. The weights of SFace are
    /// such integers in the file that its model is made of, so that only pixels are rounded.
    I8,
}

impl std::str::FromStr for Library {
    type Err = ();

    fn from_str(word: &str) -> std::result::Result<Self, ()> {
        Self::ALL.into_iter().find(|library| library.word() == word).ok_or(())
    }
}

impl std::str::FromStr for Precision {
    type Err = ();

    fn from_str(word: &str) -> std::result::Result<Self, ()> {
        Self::SETTABLE.into_iter().find(|precision| precision.word() == word).ok_or(())
    }
}

impl Precision {
    /// Those that settings may name: what [`Library::OpenVino`] knows.
    const SETTABLE: [Self; 2] = [Self::F32, Self::Bf16];

    /// Its name in settings and files.
    pub fn word(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::I16 => "i16",
            Precision::I8 => "i8",
        }
    }
}

/// How a model is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Engine {
    /// The library that runs it.
    pub library: Library,
    /// In what numbers; [`Library::OnnxRuntime`] knows only [`Precision::F32`], [`Library::BuiltIn`] all but
    /// [`Precision::Bf16`].
    pub precision: Precision,
}

impl Engine {
    /// What runs everywhere.
    pub const PORTABLE: Self = Self { library: Library::OnnxRuntime, precision: Precision::F32 };

    /// The program itself, without a library, in the ways that it can run models of that kind; none for those that it does
    /// not know.
    pub const fn built_in(kind: ModelKind) -> &'static [Self] {
        const fn of(precision: Precision) -> Engine {
            Engine { library: Library::BuiltIn, precision }
        }
        match kind {
            ModelKind::Detector | ModelKind::Mesh => const { &[of(Precision::F32), of(Precision::I16)] },
            ModelKind::Recogniser => const { &[of(Precision::I16), of(Precision::I8)] },
            ModelKind::Attribute => &[],
        }
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.library.word(), self.precision.word())
    }
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Finds faces in a picture, whose size is another each time.
    Detector,
    /// Finds the points of one face in a crop.
    Mesh,
    /// Makes a template from an aligned crop.
    Recogniser,
    /// Measures something of one face: expression, age, liveness.
    Attribute,
}

impl ModelKind {
    /// All kinds, in the order in which a picture meets them.
    pub const ALL: [Self; 4] = [Self::Detector, Self::Mesh, Self::Recogniser, Self::Attribute];

    /// Its name in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Detector => "detector",
            Self::Mesh => "mesh",
            Self::Recogniser => "recogniser",
            Self::Attribute => "attribute",
        }
    }
}

/// An engine for each kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engines {
    /// For [`ModelKind::Detector`].
    pub detector: Engine,
    /// For [`ModelKind::Mesh`].
    pub mesh: Engine,
    /// For [`ModelKind::Recogniser`].
    pub recogniser: Engine,
    /// For [`ModelKind::Attribute`].
    pub attribute: Engine,
}

impl Engines {
    /// The program itself for all that it knows, as exactly as it can, ONNX Runtime for the rest.
    pub const BUILT_IN: Self = Self {
        detector: Engine { library: Library::BuiltIn, precision: Precision::F32 },
        mesh: Engine { library: Library::BuiltIn, precision: Precision::F32 },
        recogniser: Engine { library: Library::BuiltIn, precision: Precision::I16 },
        attribute: Engine::PORTABLE,
    };

    /// The same one for all.
    pub const fn all(engine: Engine) -> Self {
        Self { detector: engine, mesh: engine, recogniser: engine, attribute: engine }
    }

    /// The one for that kind.
    pub fn of(&self, kind: ModelKind) -> Engine {
        match kind {
            ModelKind::Detector => self.detector,
            ModelKind::Mesh => self.mesh,
            ModelKind::Recogniser => self.recogniser,
            ModelKind::Attribute => self.attribute,
        }
    }

    fn need(&self, library: Library) -> bool {
        ModelKind::ALL.iter().any(|&kind| self.of(kind).library == library)
    }
}

/// Where the libraries are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryFiles {
    /// The shared library of ONNX Runtime.
    pub onnxruntime: Option<PathBuf>,
    /// The shared library of OpenVINO's C interface, its plug-ins beside it.
    pub openvino: Option<PathBuf>,
}

/// Numbers of the largest input that is shown to a model of OpenVINO with free axes, which keeps buffers of the largest
/// one for ever: three planes of 640 x 640, or as many in another form. Larger ones go to ONNX Runtime, which gives its
/// memory back after each run. The built-in runtime gives back what it needed for larger ones.
const KEPT_INPUT_MAX: usize = 3 * 640 * 640;

/// See [`Model::side`]. With 64 the frames of pictures shrunk to 320 pixels have 9 shapes.
const SIDE_STEP: u32 = 64;

/// The loaded inference libraries. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
}

/// The SHA-256 digest of a model's file and what it is used for.
type ModelKey = ([u8; 32], ModelKind);

struct Shared {
    engines: Engines,
    files: LibraryFiles,
    onnxruntime: OnceLock<onnxruntime::Library>,
    openvino: Option<Arc<openvino::Library>>,
    /// The models that are in use: packs often have one in common.
    models: Mutex<HashMap<ModelKey, Weak<Loaded>>>,
}

impl Runtime {
    /// Loads the ONNX Runtime library at `library`, for all models. See [`Runtime::open`].
    pub fn load(library: &Path) -> Result<Self> {
        let files = LibraryFiles { onnxruntime: Some(library.to_owned()), openvino: None };
        Self::open(files, Engines::all(Engine::PORTABLE), 1)
    }

    /// Loads the libraries that `engines` need, for `n_threads` threads that run models at the same time. Of each library
    /// a process can hold only one; if that file is loaded already, it is used.
    ///
    /// [`Kind::PackUnavailable`] if a file is missing, is no such library or too old, or if another one is loaded.
    pub fn open(files: LibraryFiles, engines: Engines, n_threads: usize) -> Result<Self> {
        let openvino = match &files.openvino {
            Some(path) if engines.need(Library::OpenVino) => Some(openvino::Library::load(path, n_threads)?),
            None if engines.need(Library::OpenVino) => return Err(not_installed(Library::OpenVino)),
            _ => None,
        };
        let shared =
            Arc::new(Shared { engines, files, onnxruntime: OnceLock::new(), openvino, models: Mutex::default() });
        let kinds = [ModelKind::Detector, ModelKind::Mesh, ModelKind::Recogniser];
        // For attributes alone it is loaded when the first is asked for: it takes memory.
        if kinds.iter().any(|&kind| engines.of(kind).library == Library::OnnxRuntime) {
            shared.onnxruntime()?;
        }
        Ok(Self { shared })
    }

    /// What runs each kind of model.
    pub fn engines(&self) -> Engines {
        self.shared.engines
    }
}

impl Shared {
    /// Loads it if that has not been done: with other engines it is needed for large inputs only.
    fn onnxruntime(&self) -> Result<&onnxruntime::Library> {
        if let Some(library) = self.onnxruntime.get() {
            return Ok(library);
        }
        let path = self.files.onnxruntime.as_ref().ok_or_else(|| not_installed(Library::OnnxRuntime))?;
        let library = onnxruntime::Library::load(path)?;
        Ok(self.onnxruntime.get_or_init(|| library))
    }
}

/// A loaded model: one input, any outputs, all of 32-bit floats. Cheap to clone: all clones share its weights, whichever
/// thread they are on.
#[derive(Clone)]
pub struct Model {
    loaded: Arc<Loaded>,
}

#[expect(clippy::large_enum_variant, reason = "each is in an `Arc` of its own")]
enum Loaded {
    BuiltIn(builtin::Loaded),
    OnnxRuntime(onnxruntime::Loaded),
    OpenVino {
        model: openvino::Loaded,
        /// For inputs too large for it; see [`KEPT_INPUT_MAX`].
        large: Option<Large>,
    },
}

struct Large {
    shared: Arc<Shared>,
    name: String,
    bytes: Bytes,
    loaded: OnceLock<onnxruntime::Loaded>,
}

impl Large {
    fn model(&self) -> Result<&onnxruntime::Loaded> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded);
        }
        let loaded = onnxruntime::Loaded::open(self.shared.onnxruntime()?, &self.name, &self.bytes)?;
        Ok(self.loaded.get_or_init(|| loaded))
    }
}

impl Model {
    /// Loads a model from its bytes, with the engine for its kind. [`Kind::PackUnavailable`] if it is damaged, needs what
    /// the library cannot do, or has another number of inputs than one. `name` is the file's, for messages. A model that
    /// is in use already, for the same kind, is shared.
    pub fn open(runtime: &Runtime, kind: ModelKind, name: &str, model: &[u8]) -> Result<Self> {
        let digest: [u8; 32] = Sha256::digest(model).into();
        // Held while loading, so that two threads do not load the same model twice.
        let mut models = runtime.shared.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = models.get(&(digest, kind)).and_then(Weak::upgrade) {
            return Ok(Self { loaded });
        }
        let opened = Self::load(runtime, kind, name, model)?;
        models.insert((digest, kind), Arc::downgrade(&opened.loaded));
        Ok(opened)
    }

    fn load(runtime: &Runtime, kind: ModelKind, name: &str, model: &[u8]) -> Result<Self> {
        let Shared { engines, files, openvino, .. } = &*runtime.shared;
        let mut engine = engines.of(kind);
        let bytes = Bytes::copy_from_slice(model);
        if engine.library == Library::BuiltIn {
            match (builtin::Loaded::open((kind, engine.precision), name, &bytes), engines.attribute) {
                (Ok(model), _) => {
                    heap::give_memory_back();
                    return Ok(Self { loaded: Arc::new(Loaded::BuiltIn(model)) });
                }
                (Err(error), Engine { library: Library::BuiltIn, .. }) => return Err(error),
                (Err(error), fallback) => {
                    // Of another pack than the one that was measured.
                    tracing::info!("{}; {} runs it", error.message(), fallback.library.word());
                    engine = fallback;
                }
            }
        }
        let loaded = match (engine.library, openvino) {
            (Library::OnnxRuntime, _) => {
                Loaded::OnnxRuntime(onnxruntime::Loaded::open(runtime.shared.onnxruntime()?, name, &bytes)?)
            }
            (Library::OpenVino, Some(library)) => {
                let model = openvino::Loaded::open(library, engine.precision, kind, name, &bytes)?;
                let may_be_large = model.has_free_axes() && files.onnxruntime.is_some();
                let large = may_be_large.then(|| {
                    let shared = Arc::clone(&runtime.shared);
                    Large { shared, name: name.to_owned(), bytes, loaded: OnceLock::new() }
                });
                Loaded::OpenVino { model, large }
            }
            (Library::OpenVino, None) => return Err(not_installed(Library::OpenVino)),
            // Returned or replaced above.
            (Library::BuiltIn, _) => return Err(not_installed(Library::BuiltIn)),
        };
        // What was needed to load is several times what is kept.
        give_memory_back();
        Ok(Self { loaded: Arc::new(loaded) })
    }

    /// What one thread needs to run the model.
    pub fn session(&self) -> Session {
        Session { model: self.clone(), request: None, input: Vec::new(), scratch: builtin::Scratch::default() }
    }

    /// The length to give an axis of a picture's frame of at least `len` pixels, where the frame may be larger than the
    /// picture. Rounded up where each new shape costs the library time and memory.
    pub fn side(&self, len: u32) -> u32 {
        match &*self.loaded {
            Loaded::OpenVino { model, .. } if model.has_free_axes() => len.next_multiple_of(SIDE_STEP),
            _ => len,
        }
    }

    /// How many inputs are best run at a time, as the first axis of one: above one only if that is quicker for each.
    pub fn batch_max(&self) -> usize {
        match &*self.loaded {
            Loaded::OnnxRuntime(_) => 1,
            Loaded::BuiltIn(model) => model.batch_max(),
            Loaded::OpenVino { model, .. } => model.batch_max(),
        }
    }
}

/// A model with what is one thread's own while it runs. A clone shares the model and has its own of the rest: make one
/// for each thread.
pub struct Session {
    model: Model,
    request: Option<openvino::Request>,
    /// The input of ONNX Runtime and of the built-in runtime, kept to be filled again.
    input: Vec<f32>,
    /// Working space of the built-in runtime.
    scratch: builtin::Scratch,
}

impl Clone for Session {
    fn clone(&self) -> Self {
        self.model.session()
    }
}

impl Session {
    /// Loads a model that only one thread runs; see [`Model::open`].
    pub fn open(runtime: &Runtime, kind: ModelKind, name: &str, model: &[u8]) -> Result<Self> {
        Ok(Model::open(runtime, kind, name, model)?.session())
    }

    /// The model it runs.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Runs the model on `data` of this shape and gives every output.
    pub fn run(&mut self, shape: &[usize], data: &[f32]) -> Result<Vec<Tensor>> {
        let n_numbers: usize = shape.iter().product();
        if data.len() != n_numbers {
            let problem = format!("{} numbers for a shape of {n_numbers}", data.len());
            return Err(Error::internal("cannot run a model", problem));
        }
        match &*self.model.loaded {
            Loaded::OnnxRuntime(model) => model.run(shape, data),
            Loaded::BuiltIn(_) | Loaded::OpenVino { .. } => self.run_filled(shape, |input| input.copy_from_slice(data)),
        }
    }

    /// Runs the model on an input of this shape that `fill` writes, whatever numbers it finds there, and gives every
    /// output. Spares a copy of the input.
    pub fn run_filled(&mut self, shape: &[usize], fill: impl FnOnce(&mut [f32])) -> Result<Vec<Tensor>> {
        let n_numbers = shape.iter().product();
        let model = match &*self.model.loaded {
            Loaded::OpenVino { large: Some(large), .. } if n_numbers > KEPT_INPUT_MAX => large.model()?,
            Loaded::OpenVino { model, .. } => return openvino::run(model, &mut self.request, shape, fill),
            Loaded::OnnxRuntime(model) => model,
            Loaded::BuiltIn(model) => {
                self.input.resize(n_numbers, 0.0);
                fill(&mut self.input);
                let outputs = model.run(&mut self.scratch, shape, &self.input);
                if n_numbers > KEPT_INPUT_MAX {
                    self.input = Vec::new();
                    self.scratch.shrink();
                }
                return outputs;
            }
        };
        self.input.resize(n_numbers, 0.0);
        fill(&mut self.input);
        let outputs = model.run(shape, &self.input);
        if n_numbers > KEPT_INPUT_MAX {
            self.input = Vec::new();
        }
        outputs
    }
}

/// Numbers with a shape and, as an output, a name.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    /// Name of the output.
    pub name: String,
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// All numbers, the last axis running fastest; as many as the shape says.
    pub data: Vec<f32>,
}

// Outputs may be embeddings: shape only.
impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({} {:?})", self.name, self.shape)
    }
}

impl Tensor {
    /// The numbers of the output of that name, or of the only one; the problem in words if there is none or it has
    /// another length.
    pub fn numbers<'a>(
        outputs: &'a [Tensor],
        name: Option<&str>,
        n_numbers: usize,
    ) -> std::result::Result<&'a [f32], String> {
        let output = match (name, outputs) {
            (Some(name), _) => outputs.iter().find(|tensor| tensor.name == name),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let output = output.ok_or_else(|| match name {
            Some(name) => format!("has no output `{name}`"),
            None => format!("has {} outputs, expected 1 or a name in the manifest", outputs.len()),
        })?;
        if output.data.len() != n_numbers {
            return Err(format!("gives {} numbers, expected {n_numbers}", output.data.len()));
        }
        Ok(&output.data)
    }
}

fn unloadable(name: &str, problem: &str) -> Error {
    Error::new(Kind::PackUnavailable, format!("model `{name}` {problem}"))
}

fn not_installed(library: Library) -> Error {
    let message = format!("the inference library `{}` is not installed", library.word());
    Error::new(Kind::PackUnavailable, message).with_hint("run `likeness pack install` to fetch it")
}
