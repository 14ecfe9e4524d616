//! Heads that look at the same features, made one.
//!
//! A detector has several heads of few channels each, a pointwise and a depthwise convolution that end in an output. A
//! line has room for 16 channels, and takes as long for one as for all.

use std::collections::BTreeMap;

use super::{Convolution, Depthwise, Operation, Output, Step};
use crate::runtime::builtin::kernel::{Finish, LANES, Line};

/// A pointwise convolution, the depthwise one that alone takes what it makes, and the output that is.
struct Head {
    /// Of the steps.
    pointwise: usize,
    depthwise: usize,
    output: usize,
    n_channels: usize,
}

/// What heads have in common that can be put together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shared {
    /// The value that they look at.
    input: usize,
    /// Of the depthwise convolution.
    stride: usize,
    pads: [usize; 4],
}

/// Puts heads with the same input together as far as their channels fit one line. Their outputs become parts of one value.
pub(super) fn merge(steps: &mut Vec<Step>, values: &mut Vec<usize>, outputs: &mut [Output]) {
    let mut heads: BTreeMap<Shared, Vec<Head>> = BTreeMap::new();
    for (output_idx, output) in outputs.iter().enumerate() {
        if let Some((shared, head)) = head(steps, values, outputs, output, output_idx) {
            heads.entry(shared).or_default().push(head);
        }
    }
    let mut merged_steps = Vec::new();
    for (Shared { input, stride, pads }, heads) in heads {
        let n_channels: usize = heads.iter().map(|head| head.n_channels).sum();
        if heads.len() < 2 || n_channels > LANES {
            continue;
        }
        let none = Finish { scale: Line::ZERO, bias: Line::ZERO, slope: Line::ZERO };
        let (mut pointwise_finish, mut depthwise_finish) = (none, none);
        let mut lines = vec![Line::ZERO; values[input]];
        let mut planes = [[Line::ZERO; 9]];
        let mut first = 0;
        for Head { pointwise, depthwise, output, n_channels } in heads {
            let range = first..first + n_channels;
            let put = |to: &mut Line, from: &Line| to.0[range.clone()].copy_from_slice(&from.0[..n_channels]);
            let put_finish = |to: &mut Finish, from: &Finish| {
                put(&mut to.scale, &from.scale);
                put(&mut to.bias, &from.bias);
                put(&mut to.slope, &from.slope);
            };
            if let Operation::Convolution(Convolution { weights, finish, .. }) = &steps[pointwise].operation {
                lines.iter_mut().zip(weights).for_each(|(to, from)| put(to, from));
                put_finish(&mut pointwise_finish, &finish[0]);
            }
            if let Operation::Depthwise(Depthwise { weights, finish, .. }) = &steps[depthwise].operation {
                planes[0].iter_mut().zip(&weights[0]).for_each(|(to, from)| put(to, from));
                put_finish(&mut depthwise_finish, &finish[0]);
            }
            outputs[output].value = values.len() + 1;
            outputs[output].channels = range;
            merged_steps.extend([pointwise, depthwise]);
            first += n_channels;
        }
        let (between, made) = (values.len(), values.len() + 1);
        values.extend([n_channels; 2]);
        let pointwise = Convolution {
            kernel: [1, 1],
            stride: 1,
            pads: [0; 4],
            weights: lines,
            finish: vec![pointwise_finish],
            addend: None,
        };
        let depthwise = Depthwise { stride, pads, weights: planes.to_vec(), finish: vec![depthwise_finish] };
        steps.push(Step { operation: Operation::Convolution(pointwise), input, output: between });
        steps.push(Step { operation: Operation::Depthwise(depthwise), input: between, output: made });
    }
    let mut step_idx = 0;
    steps.retain(|_| {
        step_idx += 1;
        !merged_steps.contains(&(step_idx - 1))
    });
}

/// The head that ends in an output, and what it must have in common with others.
fn head(
    steps: &[Step],
    values: &[usize],
    outputs: &[Output],
    output: &Output,
    output_idx: usize,
) -> Option<(Shared, Head)> {
    let maker = |value: usize| steps.iter().position(|step| step.output == value);
    let n_uses = |value: usize| {
        let uses = |step: &Step| usize::from(step.input == value) + usize::from(step.other() == Some(value));
        steps.iter().map(uses).sum::<usize>() + outputs.iter().filter(|output| output.value == value).count()
    };
    let n_channels = values[output.value];
    let depthwise = maker(output.value).filter(|_| n_uses(output.value) == 1 && n_channels <= LANES)?;
    let Operation::Depthwise(Depthwise { stride, pads, .. }) = &steps[depthwise].operation else { return None };
    let pointwise = maker(steps[depthwise].input).filter(|_| n_uses(steps[depthwise].input) == 1)?;
    let input = steps[pointwise].input;
    match &steps[pointwise].operation {
        Operation::Convolution(Convolution { kernel: [1, 1], stride: 1, pads: [0, 0, 0, 0], addend: None, .. })
            if input != 0 =>
        {
            let shared = Shared { input, stride: *stride, pads: *pads };
            Some((shared, Head { pointwise, depthwise, output: output_idx, n_channels }))
        }
        _ => None,
    }
}
