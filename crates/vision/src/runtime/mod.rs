//! Models that run: the one seam to the inference libraries.
//!
//! A library is loaded at run time, so the binary starts (and most of its tests run) without it. [`onnxruntime`] is the
//! only file that names it. A [`Model`] is loaded once and shared by all threads; a [`Session`] is what one thread needs
//! to run it. Stages see [`Session::run`] and plain numbers.

use std::path::Path;
use std::sync::Arc;

use likeness_domain::{Error, Kind, Result};

mod onnxruntime;

/// The loaded inference library. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    library: onnxruntime::Library,
}

impl Runtime {
    /// Loads the ONNX Runtime library at `library`, or gives the one that is loaded if it is the same file.
    ///
    /// [`Kind::PackUnavailable`] if the file is missing, is no such library or too old, or if another one is loaded:
    /// a process can hold only one.
    pub fn load(library: &Path) -> Result<Self> {
        Ok(Self { library: onnxruntime::Library::load(library)? })
    }
}

/// What a model is for. Which library runs it, and how exactly, is chosen for each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// A loaded model: one input, any outputs, all of 32-bit floats. Cheap to clone: all clones share its weights, whichever
/// thread they are on.
#[derive(Clone)]
pub struct Model {
    loaded: Arc<onnxruntime::Loaded>,
}

impl Model {
    /// Loads a model from its bytes. [`Kind::PackUnavailable`] if it is damaged, needs what the library cannot do, or has
    /// another number of inputs than one. `name` is the file's, for messages.
    pub fn open(runtime: &Runtime, _kind: ModelKind, name: &str, model: &[u8]) -> Result<Self> {
        Ok(Self { loaded: Arc::new(onnxruntime::Loaded::open(&runtime.library, name, model)?) })
    }

    /// What one thread needs to run the model.
    pub fn session(&self) -> Session {
        Session { model: self.clone() }
    }
}

/// A model with what is one thread's own while it runs. A clone shares the model and has its own of the rest: make one
/// for each thread.
#[derive(Clone)]
pub struct Session {
    model: Model,
}

impl Session {
    /// Loads a model that only one thread runs; see [`Model::open`].
    pub fn open(runtime: &Runtime, kind: ModelKind, name: &str, model: &[u8]) -> Result<Self> {
        Ok(Model::open(runtime, kind, name, model)?.session())
    }

    /// Runs the model on `data` of this shape, on the calling thread, and gives every output.
    pub fn run(&mut self, shape: &[usize], data: &[f32]) -> Result<Vec<Tensor>> {
        self.model.loaded.run(shape, data)
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
