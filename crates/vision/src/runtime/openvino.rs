//! OpenVINO behind the seam: the library that computes in bf16 where the processor can, which takes six tenths of the
//! time; in 32-bit floats it is no quicker than ONNX Runtime once PRelu is rewritten for that one.
//!
//! How models are compiled, and why:
//! - A compiled model has as many streams as there are workers, with one thread each. With one stream a second worker
//!   waits for the first (measured: two threads take twice the time of one), and more threads for one picture give
//!   fewer pictures a second. Threads without work sleep (measured: 0.1 ms of CPU time a second).
//! - A recogniser in bf16 is compiled with a first axis of one to [`BATCH_MAX`]: one face takes 1.05 times as long as
//!   with a fixed axis, each of four 0.88 times, since the weights of its last layer, 13 MB, are read once for all. Two
//!   forms of it would be quickest and cost 40 MB more.
//! - Any other model with a fixed input is compiled for that.
//! - A model whose input has free axes is compiled once with them free. For YuNet that is 1.1 times as slow as a form
//!   compiled for the picture's very size, but each such form takes 120 ms to compile and 20 to 35 MB to keep.
//!   Each new shape takes 10 ms the first time and 4 MB for ever, and buffers of the largest shape stay: so
//!   [`super::Model`] does not show it large ones, and [`super::Model::side`] rounds sides.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use likeness_domain::{Error, Kind, Result};
use openvino::{
    CompiledModel, Core, DeviceType, Dimension, ElementType, InferRequest, InferenceError, PartialShape, RwPropertyKey,
    Shape,
};

use super::{ModelKind, Precision, Tensor, unloadable};
use crate::onnx::{self, message::DimensionValue};

/// Most inputs that are run at a time.
const BATCH_MAX: usize = 4;

/// The loaded library.
pub(super) struct Library {
    core: Mutex<Core>,
}

static LOADED: Mutex<Option<(PathBuf, Arc<Library>)>> = Mutex::new(None);

impl Library {
    /// Loads the library at `path` for as many threads as `n_streams`, or gives the one that is loaded if it is the same
    /// file. Models opened from then on run on that many threads at the same time.
    ///
    /// [`Kind::PackUnavailable`] if the file is missing, is no such library or too old, or if another one is loaded.
    pub(super) fn load(library: &Path, n_streams: usize) -> Result<Arc<Self>> {
        let path = library.canonicalize().map_err(|err| unusable(library, "cannot be read").with_source(err))?;
        let mut loaded = lock(&LOADED);
        if let Some((present, library)) = &*loaded {
            if *present != path {
                let problem = format!("cannot be loaded beside `{}`", present.display());
                return Err(unusable(&path, &problem));
            }
            library.configure(n_streams).map_err(|err| unusable(&path, "cannot be set up").with_source(err))?;
            return Ok(Arc::clone(library));
        }
        openvino_sys::library::load_from(&path).map_err(|reason| {
            let problem = if reason.contains("version") {
                "is too old or no OpenVINO"
            } else {
                "is no OpenVINO library for this machine"
            };
            unusable(&path, problem).with_source(reason)
        })?;
        let core = Core::new().map_err(|err| unusable(&path, "does not start").with_source(err))?;
        let library = Arc::new(Self { core: Mutex::new(core) });
        library
            .configure(n_streams)
            .map_err(|err| unusable(&path, "has no processor plug-in beside it").with_source(err))?;
        *loaded = Some((path, Arc::clone(&library)));
        Ok(library)
    }

    fn configure(&self, n_streams: usize) -> std::result::Result<(), InferenceError> {
        let n_streams = n_streams.to_string();
        let properties = [
            (RwPropertyKey::NumStreams, n_streams.as_str()),
            (RwPropertyKey::InferenceNumThreads, n_streams.as_str()),
            // The system places threads better than the library, which knows nothing of the rest of the machine.
            (RwPropertyKey::HintEnableCpuPinning, "NO"),
        ];
        lock(&self.core).set_properties(&DeviceType::CPU, properties)
    }
}

/// A loaded model.
pub(super) struct Loaded {
    compiled: Mutex<CompiledModel>,
    outputs: Vec<String>,
    has_free_axes: bool,
    batch_max: usize,
}

impl Loaded {
    /// See [`super::Model::open`].
    pub(super) fn open(
        library: &Library,
        precision: Precision,
        kind: ModelKind,
        name: &str,
        model: &Bytes,
    ) -> Result<Self> {
        let refused = |err: InferenceError| {
            unloadable(name, "cannot be loaded: damaged, or not for this runtime").with_source(err)
        };
        let damaged = |err: Error| unloadable(name, "cannot be loaded: damaged, or no ONNX model").with_source(err);
        let stated = Interface::of(onnx::parse(model.clone()).map_err(damaged)?);
        let mut core = lock(&library.core);
        let mut model = core.read_model_from_buffer(model, None).map_err(refused)?;
        let n_inputs = model.get_inputs_len().map_err(refused)?;
        if n_inputs != 1 || stated.inputs.len() != 1 {
            return Err(unloadable(name, &format!("has {n_inputs} inputs, expected 1")));
        }
        if model.get_outputs_len().map_err(refused)? != stated.outputs.len() {
            return Err(unloadable(name, "cannot be loaded: its outputs are not those it states"));
        }
        if !stated.is_floats {
            return Err(unloadable(name, "has inputs or outputs that are not 32-bit floats"));
        }
        let axes = &stated.inputs[0];
        let has_free_axes = axes.iter().any(Option::is_none);
        let mut batch_max = 1;
        if kind == ModelKind::Recogniser
            && precision == Precision::Bf16
            && let [Some(1), lengths @ ..] = &axes[..]
            && !has_free_axes
        {
            let lengths = lengths.iter().flatten().map(|&len| Dimension::new(len, len));
            let axes: Vec<_> = std::iter::once(Dimension::new(1, BATCH_MAX as i64)).chain(lengths).collect();
            let shape = PartialShape::new(axes.len() as i64, &axes).map_err(refused)?;
            model.reshape_single_input(&shape).map_err(refused)?;
            batch_max = BATCH_MAX;
        }
        let precision = match precision {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::I16 | Precision::I8 => {
                return Err(unloadable(name, "cannot be run by OpenVINO in integers"));
            }
        };
        core.set_property(&DeviceType::CPU, &RwPropertyKey::HintInferencePrecision, precision).map_err(refused)?;
        let compiled = core.compile_model(&model, DeviceType::CPU).map_err(refused)?;
        let outputs = stated.outputs;
        Ok(Self { compiled: Mutex::new(compiled), outputs, has_free_axes, batch_max })
    }

    /// Whether inputs may have any shape.
    pub(super) fn has_free_axes(&self) -> bool {
        self.has_free_axes
    }

    /// See [`super::Model::batch_max`].
    pub(super) fn batch_max(&self) -> usize {
        self.batch_max
    }
}

/// What a model's file says of its inputs and outputs. The crate `openvino` can ask the library for it too, but never
/// gives such an answer back (its `Node` has no `Drop`), which keeps the whole model in memory, 37 MB with SFace; and of
/// an output's several names the library gives any.
struct Interface {
    /// For each input the lengths of its axes; `None` where they are free.
    inputs: Vec<Vec<Option<i64>>>,
    /// Names of the outputs, in the library's order.
    outputs: Vec<String>,
    /// Whether all of them are 32-bit floats.
    is_floats: bool,
}

impl Interface {
    fn of(model: onnx::message::Model) -> Self {
        let graph = model.graph.unwrap_or_default();
        // Old models state their weights as inputs too.
        let is_weight = |name: &Option<String>| graph.initializer.iter().any(|weight| weight.name == *name);
        let inputs: Vec<_> = graph.input.iter().filter(|input| !is_weight(&input.name)).collect();
        let tensor = |value: &onnx::message::ValueInfo| value.r#type.clone().and_then(|kind| kind.tensor_type);
        let is_float = |value: &onnx::message::ValueInfo| {
            tensor(value).is_some_and(|tensor| tensor.elem_type == Some(ELEMENT_FLOAT))
        };
        let axes = |value: &onnx::message::ValueInfo| -> Vec<Option<i64>> {
            let shape = tensor(value).and_then(|tensor| tensor.shape).unwrap_or_default();
            let length = |value: Option<DimensionValue>| match value {
                Some(DimensionValue::Value(len)) => Some(len).filter(|&len| len > 0),
                _ => None,
            };
            shape.dim.into_iter().map(|dimension| length(dimension.value)).collect()
        };
        Self {
            inputs: inputs.iter().map(|input| axes(input)).collect(),
            outputs: graph.output.iter().map(|output| output.name.clone().unwrap_or_default()).collect(),
            is_floats: inputs.into_iter().chain(&graph.output).all(is_float),
        }
    }
}

/// `TensorProto.FLOAT`.
const ELEMENT_FLOAT: i32 = 1;

/// What one thread needs to run a model: made when it is first run, and its input again when that has another shape.
pub(super) struct Request {
    request: InferRequest,
    input: openvino::Tensor,
    shape: Vec<usize>,
}

/// Runs the model on an input of this shape that `fill` writes. `request` is the thread's own.
pub(super) fn run(
    model: &Loaded,
    request: &mut Option<Request>,
    shape: &[usize],
    fill: impl FnOnce(&mut [f32]),
) -> Result<Vec<Tensor>> {
    let failed = |err: InferenceError| Error::internal("cannot run a model", err);
    let request = match request {
        Some(request) => request,
        None => request.insert(Request::new(&model.compiled, shape).map_err(failed)?),
    };
    if request.shape != shape {
        request.reshape(shape).map_err(failed)?;
    }
    fill(request.input.get_data_mut().map_err(failed)?);
    request.request.infer().map_err(failed)?;
    let mut tensors = Vec::with_capacity(model.outputs.len());
    for (output_idx, name) in model.outputs.iter().enumerate() {
        let output = request.request.get_output_tensor_by_index(output_idx).map_err(failed)?;
        let shape = output.get_shape().map_err(failed)?;
        let shape = shape.get_dimensions().iter().map(|&len| usize::try_from(len).unwrap_or(0)).collect();
        let data = output.get_data::<f32>().map_err(failed)?.to_vec();
        tensors.push(Tensor { name: name.clone(), shape, data });
    }
    Ok(tensors)
}

impl Request {
    fn new(compiled: &Mutex<CompiledModel>, shape: &[usize]) -> std::result::Result<Self, InferenceError> {
        let mut request = lock(compiled).create_infer_request()?;
        let input = input_tensor(shape)?;
        request.set_input_tensor(&input)?;
        Ok(Self { request, input, shape: shape.to_vec() })
    }

    fn reshape(&mut self, shape: &[usize]) -> std::result::Result<(), InferenceError> {
        self.input = input_tensor(shape)?;
        self.request.set_input_tensor(&self.input)?;
        self.shape = shape.to_vec();
        Ok(())
    }
}

fn input_tensor(shape: &[usize]) -> std::result::Result<openvino::Tensor, InferenceError> {
    let lengths: Vec<_> = shape.iter().map(|&len| i64::try_from(len).unwrap_or(i64::MAX)).collect();
    openvino::Tensor::new(ElementType::F32, &Shape::new(&lengths)?)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unusable(library: &Path, problem: &str) -> Error {
    let message = format!("OpenVINO library `{}` {problem}", library.display());
    Error::new(Kind::PackUnavailable, message)
        .with_hint("run `likeness pack install` to fetch the one this program knows")
}
