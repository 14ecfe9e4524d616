use super::*;

const F32: Engine = Engine { library: Library::OpenVino, precision: Precision::F32 };
const BF16: Engine = Engine { library: Library::OpenVino, precision: Precision::Bf16 };

/// Milliseconds of ONNX Runtime, OpenVINO in f32 and in bf16 for each kind; bf16 of the mesh does not agree.
fn figures(detector: [f64; 3], mesh: [f64; 3], recogniser: [f64; 3]) -> Vec<Figure> {
    let of = |kind, times: [f64; 3]| {
        let engines = [Engine::PORTABLE, F32, BF16].into_iter().zip(times);
        engines.map(move |(engine, ms)| Figure { kind, engine, ms, agrees: kind != ModelKind::Mesh || engine != BF16 })
    };
    let kinds = of(ModelKind::Detector, detector).chain(of(ModelKind::Mesh, mesh));
    kinds.chain(of(ModelKind::Recogniser, recogniser)).collect()
}

#[test]
fn quickest_that_agrees_is_taken_for_each_kind() {
    let engines = choose(&figures([2.8, 2.7, 1.9], [2.0, 1.5, 1.1], [17.0, 14.7, 8.6]), Wanted::default());
    assert_eq!(engines, Engines { detector: BF16, mesh: F32, recogniser: BF16, attribute: F32 });
}

#[test]
fn second_library_is_taken_only_if_it_saves_a_sixth() {
    let little = choose(&figures([2.0, 2.5, 2.5], [1.0, 1.5, 1.5], [20.0, 10.0, 10.0]), Wanted::default());
    assert_eq!((little.detector.library, little.recogniser.library), (Library::OpenVino, Library::OpenVino));
    let much = choose(&figures([2.0, 9.0, 9.0], [1.0, 1.5, 1.5], [20.0, 10.0, 10.0]), Wanted::default());
    assert_eq!((much.detector, much.recogniser.library), (Engine::PORTABLE, Library::OpenVino));
}

#[test]
fn settings_overrule_the_measurement() {
    let figures = figures([2.8, 2.7, 1.9], [2.0, 1.5, 1.1], [17.0, 14.7, 8.6]);
    let wanted = |library, precision| choose(&figures, Wanted { library, precision });
    assert_eq!(wanted(Some(Library::OnnxRuntime), None), Engines::all(Engine::PORTABLE));
    assert_eq!(wanted(Some(Library::OpenVino), Some(Precision::F32)), Engines::all(F32));
    assert_eq!(wanted(None, Some(Precision::F32)), Engines::all(F32));
    let bf16 = wanted(Some(Library::OpenVino), Some(Precision::Bf16));
    assert_eq!((bf16.detector, bf16.mesh, bf16.recogniser, bf16.attribute), (BF16, BF16, BF16, F32));
}

#[test]
fn kept_choice_is_read_as_it_was_written() {
    let home = tempfile::tempdir().expect("a scratch folder");
    let home = Home::at(home.path());
    assert_eq!(Kept::load(&home), None);
    std::fs::create_dir_all(home.engines_file().parent().expect("has one")).expect("is made");
    let engines = Engines { detector: BF16, mesh: F32, recogniser: BF16, attribute: F32 };
    let figures = figures([2.8, 2.7, 1.9], [2.0, 1.5, 1.1], [17.0, 14.7, 8.6]);
    let kept = Kept { machine: "a processor".into(), measured: "libraries".into(), engines, figures };
    kept.save(&home);
    assert_eq!(Kept::load(&home), Some(kept));
    std::fs::write(home.engines_file(), "{").expect("is written");
    assert_eq!(Kept::load(&home), None, "damaged, it is measured again");
}

#[test]
fn what_is_known_without_measuring_depends_on_what_is_installed() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let home = Home::at(folder.path());
    let known = |library| known_engines(&home, Wanted { library, precision: None });
    assert_eq!(known(None), None, "nothing is installed");
    assert_eq!(known(Some(Library::OnnxRuntime)), Some(Engines::all(Engine::PORTABLE)));
    let engines = Engines { detector: BF16, mesh: F32, recogniser: BF16, attribute: F32 };
    let figures = figures([2.8, 2.7, 1.9], [2.0, 1.5, 1.1], [17.0, 14.7, 8.6]);
    std::fs::create_dir_all(home.engines_file().parent().expect("has one")).expect("is made");
    Kept { machine: machine().name, measured: "libraries".into(), engines, figures }.save(&home);
    assert_eq!(known(None), None, "measured once, but the libraries have gone");
    assert_eq!(known(Some(Library::OpenVino)), None);
}

#[test]
fn built_in_runtime_runs_what_it_knows_beside_any_library() {
    const BUILT_IN: Engine = Engine { library: Library::BuiltIn, precision: Precision::I16 };
    let mut figures = figures([2.8, 2.7, 1.9], [2.0, 1.5, 1.1], [17.0, 14.7, 8.6]);
    let built_in = |ms, agrees| Figure { kind: ModelKind::Recogniser, engine: BUILT_IN, ms, agrees };
    figures.push(built_in(6.0, true));
    let choose = |figures: &[Figure], library, precision| super::choose(figures, Wanted { library, precision });
    let expected = Engines { detector: BF16, mesh: F32, recogniser: BUILT_IN, attribute: F32 };
    assert_eq!(choose(&figures, None, None), expected);
    assert_eq!(choose(&figures, None, Some(Precision::F32)), Engines::all(F32), "other numbers are wanted");
    assert_eq!(choose(&figures, Some(Library::OpenVino), None).recogniser, BF16);
    *figures.last_mut().expect("has one") = built_in(60.0, true);
    assert_eq!(choose(&figures, None, None).recogniser, BF16, "it is slower");
    assert_eq!(choose(&figures, Some(Library::BuiltIn), None), expected, "it is wanted");
    *figures.last_mut().expect("has one") = built_in(6.0, false);
    assert_eq!(choose(&figures, None, None).recogniser, BF16, "its numbers are others");
    let portable: Vec<Figure> =
        figures.iter().filter(|figure| figure.engine.library != Library::OpenVino).copied().collect();
    assert_eq!(choose(&portable, None, None), Engines::all(Engine::PORTABLE));
}

#[test]
fn library_is_left_out_unless_it_saves_a_sixth_beside_the_built_in_runtime() {
    let with_built_in = |recogniser: f64, agrees: bool| {
        let mut figures = figures([2.8, 2.7, 1.9], [2.0, 1.5, 1.1], [17.0, 14.7, 6.0]);
        let of = |kind, ms, agrees| Figure { kind, engine: Engine::built_in(kind)[0], ms, agrees };
        figures.push(of(ModelKind::Detector, 1.0, true));
        figures.push(of(ModelKind::Mesh, 0.5, agrees));
        figures.push(of(ModelKind::Recogniser, recogniser, true));
        choose(&figures, Wanted::default())
    };
    assert_eq!(with_built_in(6.5, true), Engines::BUILT_IN, "of 8 ms, OpenVINO would save half a millisecond");
    let quicker = with_built_in(9.0, true);
    assert_eq!((quicker.detector, quicker.mesh), (Engines::BUILT_IN.detector, Engines::BUILT_IN.mesh));
    assert_eq!((quicker.recogniser, quicker.attribute), (BF16, F32));
    let others = with_built_in(6.5, false);
    assert_eq!((others.mesh, others.recogniser.library), (F32, Library::OpenVino), "a library is there for the mesh");
}

#[test]
fn bytes_are_taken_where_they_are_quicker_and_not_where_floats_are_wanted() {
    let [words, bytes] = Engine::built_in(ModelKind::Recogniser) else { panic!("words and bytes") };
    let of = |engine: &Engine, ms| Figure { kind: ModelKind::Recogniser, engine: *engine, ms, agrees: true };
    let chosen = |words_ms, bytes_ms, wanted| {
        let mut figures = figures([2.8, 2.7, 1.9], [2.0, 1.5, 1.1], [17.0, 14.7, 6.0]);
        figures.extend([of(words, words_ms), of(bytes, bytes_ms)]);
        choose(&figures, wanted).recogniser
    };
    let built_in = |precision| Wanted { library: Some(Library::BuiltIn), precision };
    assert_eq!(chosen(5.0, 4.0, Wanted::default()), *bytes);
    assert_eq!(chosen(3.0, 4.0, Wanted::default()), *words);
    assert_eq!(chosen(7.0, 6.5, built_in(None)), *bytes);
    assert_eq!(chosen(7.0, 6.5, built_in(Some(Precision::F32))), *words);
}

#[test]
fn nets_run_in_integers_where_that_is_quicker_and_in_floats_where_those_are_wanted() {
    for kind in [ModelKind::Detector, ModelKind::Mesh] {
        let [floats, integers] = Engine::built_in(kind) else { panic!("floats and integers") };
        let chosen = |floats_ms, integers_ms, agrees, precision: Option<Precision>| {
            let of = |engine: &Engine, ms, agrees| Figure { kind, engine: *engine, ms, agrees };
            let mut figures = figures([2.8, 2.7, 1.9], [2.0, 1.5, 1.1], [17.0, 14.7, 6.0]);
            figures.extend([of(floats, floats_ms, true), of(integers, integers_ms, agrees)]);
            let library = precision.map(|_| Library::BuiltIn);
            choose(&figures, Wanted { library, precision }).of(kind)
        };
        assert_eq!(chosen(0.5, 0.4, true, None), *integers);
        assert_eq!(chosen(0.5, 0.6, true, None), *floats);
        assert_eq!(chosen(0.5, 0.4, false, None), *floats, "its numbers are others");
        assert_eq!(chosen(0.5, 0.4, true, Some(Precision::F32)), *floats);
    }
}
