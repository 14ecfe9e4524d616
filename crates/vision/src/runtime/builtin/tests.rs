use super::layers::BoundedWeights;
use super::*;
use crate::pack::{self, Home};

/// The installed default pack's recogniser; says so if there is none.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn recogniser() -> Option<Bytes> {
    let installed = || -> Result<Bytes> {
        let home = Home::from_env()?;
        let pack = pack::load(&home, &pack::default_pack_id())?;
        pack.read(&pack.manifest().recognition().expect("the default pack recognises").embed.file)
    };
    installed().inspect_err(|err| eprintln!("skipped, no models: {err}")).ok()
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let Some(model) = recogniser() else { return };
    let input: Vec<f32> = (0..3 * 112 * 112_u32).map(|idx| (idx.wrapping_mul(2_654_435_761) >> 24) as f32).collect();
    for precision in [Precision::I16, Precision::I8] {
        let run = |kernel: &&'static Kernel| {
            let model = Loaded::with_kernel(kernel, (ModelKind::Recogniser, precision), "rec.onnx", &model)
                .expect("is a chain");
            let mut outputs = model.run(&mut Scratch::default(), &[1, 3, 112, 112], &input).expect("runs");
            outputs.remove(0).data
        };
        let outputs: Vec<Vec<f32>> = Kernel::all().iter().map(run).collect();
        assert!(outputs[0].iter().any(|number| *number != 0.0));
        assert!(outputs.iter().all(|output| *output == outputs[0]), "a kernel gives other numbers in {precision:?}");
    }
}

#[test]
fn working_space_of_another_picture_changes_nothing() {
    let Some(model) = recogniser() else { return };
    let model = Loaded::open((ModelKind::Recogniser, Precision::I16), "rec.onnx", &model).expect("is a chain");
    let picture = |by: u32| (0..3 * 112 * 112_u32).map(|idx| (idx.wrapping_mul(by) >> 24) as f32).collect::<Vec<_>>();
    let (first, second) = (picture(2_654_435_761), picture(40_503 << 8));
    let run = |scratch: &mut Scratch, data: &[f32]| {
        let shape = [data.len() / (3 * 112 * 112), 3, 112, 112];
        model.run(scratch, &shape, data).expect("runs").remove(0).data
    };
    let mut expected = run(&mut Scratch::default(), &first);
    expected.extend(run(&mut Scratch::default(), &second));
    assert_eq!(run(&mut Scratch::default(), &[first, second].concat()), expected);
    let refused = model.run(&mut Scratch::default(), &[1, 3, 96, 112], &[0.0; 3 * 96 * 112]);
    assert!(refused.is_err(), "pictures of another size");
}

#[test]
fn sums_of_products_cannot_overflow() {
    for (n, weight) in [(1, 1e9), (512, 1.0), (1024, -3e-7), (100_000, 0.5)] {
        let weights = BoundedWeights::new(&vec![weight; n], 4095).expect("are bounded");
        let sum: i64 = weights.weights().iter().map(|&weight| i64::from(weight).abs()).sum();
        assert!(sum > 0 && sum * 4095 <= i64::from(i32::MAX), "{n} of {weight}");
        let back = f32::from(weights.weights()[0]) * weights.scale;
        assert!((back / weight - 1.0).abs() < 0.2, "{n} of {weight} became {back}");
    }
    assert!(BoundedWeights::new(&[0.0; 3], 4095).is_ok());
    let problem = BoundedWeights::new(&vec![1.0; 2_000_000], 4095).expect_err("cannot be bounded");
    assert!(problem.contains("2000000 inputs"), "{problem}");
}

#[test]
fn models_of_other_operations_are_refused_by_name() {
    let Some(model) = recogniser() else { return };
    let change = |change: &dyn Fn(&mut onnx::message::Graph)| {
        let mut model = onnx::parse(model.clone()).expect("is readable");
        change(model.graph.as_mut().expect("has a graph"));
        Loaded::open((ModelKind::Recogniser, Precision::I16), "rec.onnx", &onnx::write(&model).into())
            .err()
            .expect("is refused")
    };
    let node = |graph: &mut onnx::message::Graph, op: &str| {
        graph.node.iter().position(|node| node.op_type() == op).expect("has one")
    };
    let error = change(&|graph| {
        let idx = node(graph, "PRelu");
        graph.node[idx].op_type = Some("Softmax".into());
    });
    assert!(error.message().contains("Softmax") && error.message().contains("not known"), "{error}");
    let error = change(&|graph| {
        let idx = node(graph, "Conv") + 3;
        let input = graph.node[0].output[0].clone();
        graph.node[idx].input[0] = input;
    });
    assert!(error.message().contains("does not take what the operation before it makes"), "{error}");
    let error = change(&|graph| drop(graph.node.pop()));
    assert!(error.message().contains("does not end in a full connection"), "{error}");
    let error = Loaded::open((ModelKind::Recogniser, Precision::I16), "rec.onnx", &model.slice(..model.len() / 2))
        .err()
        .expect("is damaged");
    assert_eq!(error.kind(), likeness_domain::Kind::PackUnavailable);
}
