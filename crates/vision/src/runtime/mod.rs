//! A model that runs: the one seam to the inference library, and the only file that names it.
//!
//! ONNX Runtime is a shared library loaded at run time, so the binary starts (and most of its tests run) without it. It
//! can be loaded once per process. Stages see [`Session::run`] and plain numbers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use likeness_domain::{Error, Kind, Result};
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{TensorElementType, TensorRef, ValueType};

/// The loaded inference library. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    environment: Environment,
}

static LOADED: Mutex<Option<(PathBuf, Runtime)>> = Mutex::new(None);

impl Runtime {
    /// Loads the ONNX Runtime library at `library`, or gives the one that is loaded if it is the same file.
    ///
    /// [`Kind::PackUnavailable`] if the file is missing, is no such library or too old, or if another one is loaded:
    /// a process can hold only one.
    pub fn load(library: &Path) -> Result<Self> {
        let path = library.canonicalize().map_err(|err| unusable(library, "cannot be read").with_source(err))?;
        let mut loaded = LOADED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((present, runtime)) = &*loaded {
            if *present != path {
                let problem = format!("cannot be loaded beside `{}`", present.display());
                return Err(unusable(library, &problem));
            }
            return Ok(runtime.clone());
        }
        let builder = ort::init_from(&path).map_err(|err| {
            let problem = match err {
                ort::LoadDynamicError::BadVersion { ref version_str, .. } => {
                    format!("is version {version_str}, expected 1.{} or later", ort::MINOR_VERSION)
                }
                _ => "is no ONNX Runtime library for this machine".to_owned(),
            };
            unusable(library, &problem).with_source(err)
        })?;
        let environment = builder
            .with_telemetry(false)
            .with_logger(Arc::new(log))
            .build()
            .map_err(|err| unusable(library, "does not start").with_source(err))?;
        let runtime = Self { environment };
        *loaded = Some((path, runtime.clone()));
        Ok(runtime)
    }
}

/// What the library has to say goes the way of our own log. It speaks of graphs and files, never of pictures.
fn log(level: LogLevel, _category: &str, _id: &str, _location: &str, message: &str) {
    match level {
        LogLevel::Fatal | LogLevel::Error => tracing::error!(target: "onnxruntime", "{message}"),
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", "{message}"),
        LogLevel::Info | LogLevel::Verbose => tracing::debug!(target: "onnxruntime", "{message}"),
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

/// A model ready to run on one thread: one input, any outputs, all of 32-bit floats.
pub struct Session {
    session: ort::session::Session,
}

impl Session {
    /// Makes a session from the bytes of a model. [`Kind::PackUnavailable`] if it is damaged, needs what the library
    /// cannot do, or has another number of inputs than one. `name` is the file's, for messages.
    pub fn open(runtime: &Runtime, name: &str, model: &[u8]) -> Result<Self> {
        let refused =
            |err: ort::Error| unloadable(name, "cannot be loaded: damaged, or not for this runtime").with_source(err);
        let session = ort::session::Session::builder(&runtime.environment)
            .and_then(configure)
            .and_then(|mut builder| builder.commit_from_memory(model))
            .map_err(refused)?;
        let is_floats = |kind: &ValueType| matches!(kind, ValueType::Tensor { ty: TensorElementType::Float32, .. });
        let [input] = session.inputs() else {
            let problem = format!("has {} inputs, expected 1", session.inputs().len());
            return Err(unloadable(name, &problem));
        };
        if !is_floats(input.dtype()) || !session.outputs().iter().all(|output| is_floats(output.dtype())) {
            return Err(unloadable(name, "has inputs or outputs that are not 32-bit floats"));
        }
        Ok(Self { session })
    }

    /// Runs the model on `data` of this shape and gives every output.
    pub fn run(&mut self, shape: &[usize], data: &[f32]) -> Result<Vec<Tensor>> {
        let failed = |err: ort::Error| Error::internal("cannot run a model", err);
        let input = TensorRef::from_array_view((shape.to_vec(), data)).map_err(failed)?;
        let outputs = self.session.run(ort::inputs![input]).map_err(failed)?;
        let mut tensors = Vec::with_capacity(outputs.len());
        for (name, value) in &outputs {
            let (shape, data) = value.try_extract_tensor::<f32>().map_err(failed)?;
            let shape = shape.iter().map(|&len| usize::try_from(len).unwrap_or(0)).collect();
            tensors.push(Tensor { name: name.to_owned(), shape, data: data.to_vec() });
        }
        Ok(tensors)
    }
}

fn configure(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    // One thread each: the pool runs as many pictures at once as there are cores, which gives more pictures a second
    // than several threads on one picture. The memory pattern cache and the arena keep the largest picture's buffers
    // for ever, per session, while detection runs at ever new sizes.
    let builder = builder
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_memory_pattern(false)?
        .with_execution_providers([ort::ep::CPU::default().with_arena_allocator(false).build()])?;
    Ok(builder)
}

fn unusable(library: &Path, problem: &str) -> Error {
    let message = format!(
        "ONNX Runtime library `{}` {problem}\nhint: run `likeness pack install` to fetch the one this program knows",
        library.display()
    );
    Error::new(Kind::PackUnavailable, message)
}

fn unloadable(name: &str, problem: &str) -> Error {
    Error::new(Kind::PackUnavailable, format!("model `{name}` {problem}"))
}
