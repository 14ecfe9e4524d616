use bytes::Bytes;

use super::super::{Loaded, Scratch};
use super::*;
use crate::onnx;
use crate::onnx::build::{Builder, Value, integer, integers};
use crate::onnx::constant::Constant;
use crate::onnx::message::Attribute;
use crate::pack::{self, Home, ModelFile};
use crate::runtime::{ModelKind, Precision};

/// A model file of the installed default pack; says so if there is none.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn model(file: impl Fn(&pack::Recognition) -> &ModelFile) -> Option<Bytes> {
    let installed = || -> Result<Bytes> {
        let home = Home::from_env()?;
        let pack = pack::load(&home, &pack::default_pack_id())?;
        pack.read(file(pack.manifest().recognition().expect("the default pack recognises")))
    };
    installed().inspect_err(|err| eprintln!("skipped, no models: {err}")).ok()
}

fn noise(n_numbers: usize) -> Vec<f32> {
    (0..n_numbers as u32).map(|idx| (idx.wrapping_mul(2_654_435_761) >> 24) as f32).collect()
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let detector = model(|pack| &pack.detect.file);
    let mesh = model(|pack| &pack.mesh.as_ref().expect("has a mesh").file);
    for (model, kind, [height, width]) in
        [(detector, ModelKind::Detector, [64, 96]), (mesh, ModelKind::Mesh, [192, 192])]
    {
        let Some(model) = model else { return };
        let mut seen: Vec<Vec<Tensor>> = Vec::new();
        for precision in [Precision::F32, Precision::I16] {
            let run = |kernel: &&'static Kernel| {
                let model = Loaded::with_kernel(kernel, (kind, precision), "net.onnx", &model).expect("is a net");
                let input = noise(3 * height * width);
                model.run(&mut Scratch::default(), &[1, 3, height, width], &input).expect("runs")
            };
            let outputs: Vec<Vec<Tensor>> = Kernel::all().iter().map(run).collect();
            assert!(outputs[0].iter().any(|output| output.data.iter().any(|number| *number != 0.0)));
            assert!(
                outputs.iter().all(|output| *output == outputs[0]),
                "a kernel gives other numbers in {precision:?}"
            );
            seen.extend(outputs.into_iter().take(1));
        }
        assert!(seen[0] != seen[1], "the {} is the same in floats and integers", kind.word());
    }
}

/// A picture of some channels, channel by channel: what the operations mean, as plainly as possible.
#[derive(Clone)]
struct Plain {
    channels: usize,
    height: usize,
    width: usize,
    numbers: Vec<f32>,
}

impl Plain {
    fn of(channels: usize, height: usize, width: usize, number: impl Fn(usize, usize, usize) -> f32) -> Self {
        let places =
            (0..channels * height * width).map(|idx| (idx / (height * width), idx / width % height, idx % width));
        let numbers = places.map(|(channel, y, x)| number(channel, y, x)).collect();
        Self { channels, height, width, numbers }
    }

    fn at(&self, channel: usize, y: usize, x: usize) -> f32 {
        self.numbers[(channel * self.height + y) * self.width + x]
    }

    /// `weights` are outputs x inputs of a group x rows x columns.
    fn convolved(&self, weights: &Constant, bias: &[f32], stride: usize, pads: [usize; 4]) -> Self {
        let [n_outputs, per_group, rows, columns] = weights.dims[..] else { panic!("four axes") };
        let numbers = weights.to_f32s().expect("floats");
        let n_each = n_outputs / (self.channels / per_group);
        let side = |len: usize, padding: usize, kernel: usize| (len + padding - kernel) / stride + 1;
        let (height, width) =
            (side(self.height, pads[0] + pads[2], rows), side(self.width, pads[1] + pads[3], columns));
        Self::of(n_outputs, height, width, |output, y, x| {
            let mut sum = f64::from(bias[output]);
            for idx in 0..per_group * rows * columns {
                let (input, row, column) = (idx / (rows * columns), idx / columns % rows, idx % columns);
                let (row, column) =
                    ((y * stride + row).wrapping_sub(pads[0]), (x * stride + column).wrapping_sub(pads[1]));
                if row < self.height && column < self.width {
                    let number = self.at(output / n_each * per_group + input, row, column);
                    sum += f64::from(number) * f64::from(numbers[output * per_group * rows * columns + idx]);
                }
            }
            sum as f32
        })
    }

    fn map(&self, number: impl Fn(usize, usize, usize, f32) -> f32) -> Self {
        Self::of(self.channels, self.height, self.width, |channel, y, x| number(channel, y, x, self.at(channel, y, x)))
    }

    fn pooled(&self) -> Self {
        Self::of(self.channels, self.height / 2, self.width / 2, |channel, y, x| {
            (0..4).map(|idx| self.at(channel, 2 * y + idx / 2, 2 * x + idx % 2)).fold(f32::MIN, f32::max)
        })
    }
}

/// A graph that is built, and what each of its values is for one input.
struct Twin {
    builder: Builder,
    seed: u32,
}

impl Twin {
    fn floats(&mut self, dims: &[usize]) -> Constant {
        self.seed = self.seed.wrapping_add(1);
        let n = dims.iter().product::<usize>() as u32;
        let number = |idx: u32| idx.wrapping_mul(2_654_435_761).wrapping_add(self.seed.wrapping_mul(40_503 << 7)) >> 8;
        let numbers: Vec<f32> = (0..n).map(|idx| number(idx) as f32 / (1 << 23) as f32 - 1.0).collect();
        Constant::f32s(dims.to_vec(), &numbers)
    }

    fn convolution(
        &mut self,
        (value, plain): &(Value, Plain),
        [n_outputs, per_group, side]: [usize; 3],
        stride: usize,
        pads: [usize; 4],
    ) -> (Value, Plain) {
        // Sums as large as what they are made of.
        let share = 1.0 / ((per_group * side * side) as f32).sqrt();
        let weights = self.floats(&[n_outputs, per_group, side, side]);
        let numbers: Vec<f32> = weights.to_f32s().expect("floats").iter().map(|weight| weight * share).collect();
        let (weights, bias) = (Constant::f32s(weights.dims, &numbers), self.floats(&[n_outputs]));
        let names = [self.builder.constant(&weights), self.builder.constant(&bias)];
        let attributes = vec![
            integer("group", plain.channels / per_group),
            integers("strides", &[stride as i64; 2]),
            integers("pads", &pads.map(|len| len as i64)),
        ];
        let made = self.builder.node("Conv", &[&value.name, &names[0], &names[1]], 0, attributes);
        (made, plain.convolved(&weights, &bias.to_f32s().expect("floats"), stride, pads))
    }

    fn bent(&mut self, (value, plain): &(Value, Plain)) -> (Value, Plain) {
        let slope = self.floats(&[plain.channels, 1, 1]);
        let name = self.builder.constant(&slope);
        let slope = slope.to_f32s().expect("floats");
        let made = self.builder.node("PRelu", &[&value.name, &name], 0, vec![]);
        (made, plain.map(|channel, _, _, number| if number < 0.0 { number * slope[channel] } else { number }))
    }

    fn pooled(&mut self, (value, plain): &(Value, Plain)) -> (Value, Plain) {
        let attributes = vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
        (self.builder.node("MaxPool", &[&value.name], 0, attributes), plain.pooled())
    }

    fn sum(&mut self, a: &(Value, Plain), b: &(Value, Plain)) -> (Value, Plain) {
        let sum = a.1.map(|channel, y, x, number| number + b.1.at(channel, y, x));
        (self.builder.add(&a.0, &b.0), sum)
    }
}

/// Every operation, in the orders in which detectors and meshes have them: the model, its input, and its outputs.
fn net_with_everything(channels: usize, height: usize, width: usize) -> (Bytes, Vec<f32>, Vec<Tensor>) {
    let mut twin = Twin { builder: Builder::default(), seed: channels as u32 };
    let picture = twin.floats(&[2 * 3 * height * width]).to_f32s().expect("floats");
    let plain = Plain { channels: 3, height, width, numbers: picture[..3 * height * width].to_vec() };
    let input = (Value { name: "input".to_owned(), side: 0 }, plain);
    let stem = twin.convolution(&input, [channels, 3, 3], 1, [1, 1, 1, 1]);
    let stem = twin.bent(&stem);
    // A residual block.
    let deep = twin.convolution(&stem, [channels, 1, 3], 1, [1, 1, 1, 1]);
    let flat = twin.convolution(&deep, [channels, channels, 1], 1, [0; 4]);
    let sum = twin.sum(&stem, &flat);
    let first = twin.bent(&sum);
    // One that halves, with twice the channels; its pooled shortcut comes after the convolution it is added to.
    let deep = twin.convolution(&first, [channels, 1, 3], 2, [0, 0, 1, 1]);
    let flat = twin.convolution(&deep, [2 * channels, channels, 1], 1, [0; 4]);
    let pooled = twin.pooled(&first);
    let padding = twin.builder.constant(&Constant::i64s(&[0, 0, 0, 0, 0, channels as i64, 0, 0]));
    let (pooled_name, pooled) = (pooled.0.name, pooled.1);
    let widened =
        Plain::of(
            2 * channels,
            height / 2,
            width / 2,
            |channel, y, x| {
                if channel < channels { pooled.at(channel, y, x) } else { 0.0 }
            },
        );
    let widened = (twin.builder.node("Pad", &[&pooled_name, &padding], 0, vec![]), widened);
    let sum = twin.sum(&widened, &flat);
    let second = twin.bent(&sum);
    // Back to the first size, as in a pyramid of features.
    let narrow = twin.convolution(&second, [channels, 2 * channels, 1], 1, [0; 4]);
    let words = |name: &str, word: &str| Attribute {
        name: Some(name.into()),
        s: Some(word.as_bytes().to_vec().into()),
        r#type: Some(3),
        ..Attribute::default()
    };
    let nearest = vec![
        words("mode", "nearest"),
        words("coordinate_transformation_mode", "asymmetric"),
        words("nearest_mode", "floor"),
    ];
    let scales = twin.builder.constant(&Constant::f32s(vec![4], &[1.0, 1.0, 2.0, 2.0]));
    let doubled = Plain::of(channels, height, width, |channel, y, x| narrow.1.at(channel, y / 2, x / 2));
    let doubled = (twin.builder.node("Resize", &[&narrow.0.name, "", &scales], 0, nearest), doubled);
    let features = twin.sum(&first, &doubled);
    let features = twin.sum(&features, &first);
    let mut outputs = Vec::new();
    let mut expected = Vec::new();
    // Heads that fit one line together, or do not.
    for (name, n_channels, is_logistic) in [("scores", channels, true), ("boxes", 3, false)] {
        let head = twin.convolution(&features, [n_channels, channels, 1], 1, [0; 4]);
        let head = twin.convolution(&head, [n_channels, 1, 3], 1, [1, 1, 1, 1]);
        let last = twin.builder.node("Transpose", &[&head.0.name], 0, vec![integers("perm", &[0, 2, 3, 1])]);
        let shape = twin.builder.constant(&Constant::i64s(&[1, -1, n_channels as i64]));
        let mut last = twin.builder.node("Reshape", &[&last.name, &shape], 0, vec![]);
        if is_logistic {
            last = twin.builder.node("Sigmoid", &[&last.name], 0, vec![]);
        }
        let number = |idx: usize| {
            let number = head.1.at(idx % n_channels, idx / n_channels / width, idx / n_channels % width);
            if is_logistic { (1.0 / (1.0 + (-f64::from(number)).exp())) as f32 } else { number }
        };
        let shape = vec![1, height * width, n_channels];
        let data = (0..height * width * n_channels).map(number).collect();
        expected.push(Tensor { name: name.into(), shape: shape.clone(), data });
        outputs.push((last, name, shape));
    }
    let whole = twin.convolution(&second, [5, 2 * channels, 2], 2, [0; 4]);
    let flat = twin.builder.flatten(&whole.0);
    let shape = vec![1, whole.1.numbers.len()];
    outputs.push((flat, "vector", shape.clone()));
    expected.push(Tensor { name: "vector".into(), shape, data: whole.1.numbers });
    let model = twin.builder.finish(("test", "test"), ("input", &[1, 3, height, width]), &outputs);
    (onnx::write(&model).into(), input.1.numbers, expected)
}

#[test]
fn every_operation_means_what_the_format_says() {
    let sizes = [(4, 8, 12), (16, 8, 8), (24, 4, 20), (40, 12, 4), (32, 8, 12)];
    let in_floats = sizes.map(|size| (size, Precision::F32, 1e-5));
    // Its integers have 14 bits and a sign.
    let in_integers = sizes.map(|size| (size, Precision::I16, 2e-4));
    for ((channels, height, width), precision, difference_max) in in_floats.into_iter().chain(in_integers) {
        let (model, input, expected) = net_with_everything(channels, height, width);
        let model = Loaded::open((ModelKind::Detector, precision), "net.onnx", &model).expect("is a net");
        let mut scratch = Scratch::default();
        for _ in 0..2 {
            let outputs = model.run(&mut scratch, &[1, 3, height, width], &input).expect("runs");
            assert_eq!(outputs.len(), expected.len());
            for (output, expected) in outputs.iter().zip(&expected) {
                assert_eq!((&output.name, &output.shape), (&expected.name, &expected.shape));
                let largest = expected.data.iter().fold(1.0_f32, |largest, number| largest.max(number.abs()));
                for (a, b) in output.data.iter().zip(&expected.data) {
                    assert!(
                        (a - b).abs() <= largest * difference_max,
                        "{channels} channels in {precision:?}, {}: {a} is not {b}",
                        output.name
                    );
                }
            }
        }
        let refused = model.run(&mut scratch, &[1, 3, height, width + 1], &vec![0.0; 3 * height * (width + 1)]);
        assert!(refused.is_err(), "pictures of another size than the file says");
    }
}

#[test]
fn working_space_of_another_size_changes_nothing() {
    let Some(model) = model(|pack| &pack.detect.file) else { return };
    let model = Loaded::open((ModelKind::Detector, Precision::F32), "det.onnx", &model).expect("is a net");
    let run = |scratch: &mut Scratch, [height, width]: [usize; 2]| {
        model.run(scratch, &[1, 3, height, width], &noise(3 * height * width)).expect("runs")
    };
    let mut scratch = Scratch::default();
    for size in [[64, 96], [96, 64], [32, 32], [64, 96]] {
        assert!(run(&mut scratch, size) == run(&mut Scratch::default(), size), "{size:?}");
    }
    scratch.shrink();
    assert!(run(&mut scratch, [32, 32]) == run(&mut Scratch::default(), [32, 32]));
    for size in [[48, 32], [16, 16], [0, 32]] {
        let shape = [1, 3, size[0], size[1]];
        let refused = model.run(&mut scratch, &shape, &vec![0.0; 3 * size[0] * size[1]]).err();
        assert!(refused.is_some(), "{size:?} has no sums of equal sizes");
    }
}

#[test]
fn nets_of_other_operations_are_refused_by_name() {
    let (model, ..) = net_with_everything(16, 8, 8);
    let change = |change: &dyn Fn(&mut onnx::message::Graph)| {
        let mut model = onnx::parse(model.clone()).expect("is readable");
        change(model.graph.as_mut().expect("has a graph"));
        let error = Loaded::open((ModelKind::Detector, Precision::F32), "net.onnx", &onnx::write(&model).into())
            .err()
            .expect("is refused");
        assert_eq!(error.kind(), likeness_domain::Kind::PackUnavailable);
        error.message().to_owned()
    };
    let idx = |graph: &onnx::message::Graph, op: &str| {
        graph.node.iter().position(|node| node.op_type() == op).expect("has one")
    };
    type Change<'a> = (&'a str, &'a dyn Fn(&mut onnx::message::Graph), &'a str);
    let changes: [Change<'_>; 9] = [
        (
            "operation",
            &|graph| {
                let at = idx(graph, "PRelu");
                graph.node[at].op_type = Some("Softmax".into());
            },
            "not known here",
        ),
        (
            "unknown name",
            &|graph| {
                let at = idx(graph, "Add");
                graph.node[at].input[0] = "nobody".into();
            },
            "`nobody` is made by nothing",
        ),
        (
            "pooling",
            &|graph| {
                let at = idx(graph, "MaxPool");
                graph.node[at].attribute[0].ints = vec![3, 3];
            },
            "not one of 2x2 pixels",
        ),
        (
            "padding",
            &|graph| {
                let at = idx(graph, "Pad");
                graph.node[at].attribute.push(Attribute {
                    name: Some("mode".into()),
                    s: Some("edge".into()),
                    ..Attribute::default()
                });
            },
            "more than channels of zeros",
        ),
        (
            "resize",
            &|graph| {
                let at = idx(graph, "Resize");
                graph.node[at].attribute[0].s = Some("linear".into());
            },
            "2x2 pixels of each",
        ),
        (
            "groups",
            &|graph| {
                let at = idx(graph, "Conv");
                graph.node[at].attribute[0].i = Some(3);
            },
            "weights are not for 3 channels",
        ),
        ("output", &|graph| graph.output[0].name = Some("nobody".into()), "output `nobody`"),
        (
            "shape",
            &|graph| {
                let at = idx(graph, "Transpose");
                graph.node[at].attribute[0].ints = vec![0, 1, 3, 2];
            },
            "put channels last",
        ),
        (
            "inputs",
            &|graph| {
                let more = graph.output[0].clone();
                graph.input.push(more);
            },
            "has 2 inputs",
        ),
    ];
    for (what, by, words) in changes {
        let message = change(by);
        assert!(message.contains(words), "{what}: {message}");
    }
}

#[test]
fn damaged_nets_are_refused_and_do_no_harm() {
    let (model, ..) = net_with_everything(16, 8, 8);
    for n_bytes in (0..model.len()).step_by(model.len() / 40) {
        let refused = Loaded::open((ModelKind::Detector, Precision::F32), "net.onnx", &model.slice(..n_bytes));
        assert!(refused.is_err(), "{n_bytes} bytes of {}", model.len());
    }
    // Any byte of what is no weight may be anything: refused, or a net of another meaning.
    for (idx, by) in (0..model.len()).step_by(101).zip([0x01, 0x80, 0xFF].into_iter().cycle()) {
        let mut damaged = model.to_vec();
        damaged[idx] ^= by;
        if let Ok(net) = Loaded::open((ModelKind::Detector, Precision::F32), "net.onnx", &damaged.into()) {
            drop(net.run(&mut Scratch::default(), &[1, 3, 8, 8], &noise(3 * 64)));
        }
    }
}
