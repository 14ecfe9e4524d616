//! ONNX Runtime behind the seam.
//!
//! A process can load this library only once. The crate `ort` lets a session be run by one thread at a time only,
//! because some execution providers (CUDA among them) keep state there; the one used here, for the processor, keeps all
//! state of a run in the run, and the library promises that `Run` may be called by several threads. Weights are shared
//! that way, so the call itself is made in [`Loaded::run`].
#![expect(unsafe_code, reason = "`ort` has no safe way to run one session on several threads")]

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::ptr::{NonNull, null, null_mut};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use likeness_domain::{Error, Kind, Result};
use ort::AsPointer;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{DynValue, TensorElementType, TensorRef, ValueType};

use super::{Tensor, unloadable};
use crate::onnx;

/// The loaded library. Cheap to clone.
#[derive(Clone)]
pub(super) struct Library {
    environment: Environment,
}

static LOADED: Mutex<Option<(PathBuf, Library)>> = Mutex::new(None);

impl Library {
    /// See [`super::Runtime::open`].
    pub(super) fn load(library: &Path) -> Result<Self> {
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

/// A loaded model.
pub(super) struct Loaded {
    session: ort::session::Session,
    input: CString,
    outputs: Vec<CString>,
}

impl Loaded {
    /// See [`super::Model::open`]. A PRelu is rewritten as what this library is quicker at ([`onnx::ease_prelu`]); a
    /// model that cannot be read here stays as it is, for the library to judge.
    pub(super) fn open(library: &Library, name: &str, model: &Bytes) -> Result<Self> {
        match onnx::parse(model.clone()) {
            Ok(graph) => Self::open_as_it_is(library, name, &onnx::write(&onnx::ease_prelu(graph))),
            Err(_) => Self::open_as_it_is(library, name, model),
        }
    }

    /// The same without rewriting anything.
    pub(super) fn open_as_it_is(library: &Library, name: &str, model: &[u8]) -> Result<Self> {
        let refused =
            |err: ort::Error| unloadable(name, "cannot be loaded: damaged, or not for this runtime").with_source(err);
        let session = ort::session::Session::builder(&library.environment)
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
        let c_string = |word: &str| CString::new(word).map_err(|_| unloadable(name, "has a name with a NUL in it"));
        let input = c_string(input.name())?;
        let outputs = session.outputs().iter().map(|output| c_string(output.name())).collect::<Result<_>>()?;
        Ok(Self { session, input, outputs })
    }

    /// Runs the model. Any number of threads may do so at the same time.
    pub(super) fn run(&self, shape: &[usize], data: &[f32]) -> Result<Vec<Tensor>> {
        let failed = |err: ort::Error| Error::internal("cannot run a model", err);
        let input = TensorRef::from_array_view((shape.to_vec(), data)).map_err(failed)?;
        let input_names = [self.input.as_ptr()];
        let output_names: Vec<_> = self.outputs.iter().map(|name| name.as_ptr()).collect();
        let mut values = vec![null_mut(); self.outputs.len()];
        let inputs = [input.ptr()];
        // SAFETY: the session, the input value and all names outlive the call, and every length is that of its array.
        // `Run` is called by several threads at once: the library documents it as safe for that, and the session was
        // made with the processor's execution provider alone, whose kernels keep no state between runs, without an arena
        // and without the cache of memory patterns. Without run options and with null outputs the library allocates
        // the outputs and hands them over.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                null(),
                input_names.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
                output_names.as_ptr(),
                output_names.len(),
                values.as_mut_ptr(),
            )
        };
        // SAFETY: the status comes from the call just made and is not used again.
        unsafe { ort::Error::result_from_status(status) }.map_err(failed)?;
        let mut tensors = Vec::with_capacity(values.len());
        let allocator = Some(self.session.allocator());
        for (value, output) in values.into_iter().zip(self.session.outputs()) {
            let Some(value) = NonNull::new(value) else {
                return Err(Error::internal("cannot run a model", "an output is missing"));
            };
            // SAFETY: the run succeeded, so this is a value, ours to release, made by the session's own allocator. It is
            // released before the session, at the end of this round.
            let value: DynValue = unsafe { DynValue::from_ptr(value, allocator) };
            let (shape, data) = value.try_extract_tensor::<f32>().map_err(failed)?;
            let shape = shape.iter().map(|&len| usize::try_from(len).unwrap_or(0)).collect();
            tensors.push(Tensor { name: output.name().to_owned(), shape, data: data.to_vec() });
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
    let message = format!("ONNX Runtime library `{}` {problem}", library.display());
    Error::new(Kind::PackUnavailable, message)
        .with_hint("run `likeness pack install` to fetch the one this program knows")
}
