//! The shared libraries of OpenVINO: which are needed, installed, and checked.
//!
//! They make models quicker and nothing depends on them, so where they are missing or cannot be fetched the rest of an
//! install goes on. The package holds plug-ins for graphics cards and readers of other formats too, which are left there.

use std::io;

use likeness_domain::Result;

use super::archives::Archives;
use super::digest::Digest;
use super::files::{cannot, create_dir, publish, write_synced};
use super::home::{Home, RuntimeLibrary};
use super::progress::Stage;
use super::recipe::{Build, Client, Ingredient, Package, ingredient};
use super::{archive, unavailable};

pub(super) const VERSION: &str = "2026.4.1";

/// The library of the C interface; it finds the others beside it.
const ENTRY: &str = "libopenvino_c.so.2641";

/// What is installed.
pub(super) struct Recipe {
    /// Where it comes from.
    pub(super) package: Package,
    /// The files taken out of it.
    pub(super) files: Vec<Ingredient>,
}

/// The recipe of this program; `None` where the package has nothing for this machine. The files are the same in the
/// archives for CPython 3.10 to 3.14.
pub(super) fn recipe() -> Option<Recipe> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        return None;
    }
    let package = Package {
        client: Client::Pip,
        name: "openvino".into(),
        version: VERSION.into(),
        build: Build::ForThisMachine,
        bytes_about: 59_130_756,
        sha256: None,
    };
    let file = |name: &str, sha256: &str| ingredient(&format!("openvino/libs/{name}"), sha256);
    let files = vec![
        file(ENTRY, "d2d0836d422b21fc5da2739af0d6035df3fc6dd5e4756402eb848974edecf8a5"),
        file("libopenvino.so.2641", "9b9a80ac1f18e07b13ed54459d9a865bcfe9dc170dbf8fe740c2974b85ecedc1"),
        file("libopenvino_intel_cpu_plugin.so", "6599e3dd300d047b5ed72f8e48101c5f312c25321f35f57f803641ff8372900b"),
        file("libopenvino_onnx_frontend.so.2641", "82d499f5b5e8514def7aaa1ecd5a9f570542d33ae9d00a0077f707cccd0e0192"),
        file("libtbb.so.12", "ac9518497a4f2cb6729792730f145ee58367316031511923fef263c9ac81ca61"),
    ];
    Some(Recipe { package, files })
}

fn file_name(file: &Ingredient) -> &str {
    file.member.rsplit('/').next().unwrap_or(&file.member)
}

/// The installed OpenVINO, the digest of every file checked. [`likeness_domain::Kind::PackUnavailable`] if one is
/// missing or damaged, or if it is not offered for this machine.
pub fn openvino(home: &Home) -> Result<RuntimeLibrary> {
    let Some(recipe) = recipe() else {
        return Err(unavailable("OpenVINO is offered for x86-64 Linux only", "models run with ONNX Runtime here"));
    };
    installed(home, &recipe)
}

/// The same for any recipe.
pub(super) fn installed(home: &Home, recipe: &Recipe) -> Result<RuntimeLibrary> {
    let version = &recipe.package.version;
    let dir = home.openvino_dir(version);
    for file in &recipe.files {
        let path = dir.join(file_name(file));
        let digest = match Digest::of_file(&path) {
            Ok(digest) => digest,
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                let message = format!("OpenVINO {version} is not installed in `{}`", home.path().display());
                return Err(unavailable(message, "run `likeness pack install`"));
            }
            Err(err) => return Err(cannot("read", &path, err)),
        };
        if digest != file.sha256 {
            return Err(unavailable(
                format!("`{}` has digest {digest}, expected {}", path.display(), file.sha256),
                "the file is damaged or was replaced; run `likeness pack install` to fetch it again",
            ));
        }
    }
    Ok(RuntimeLibrary { path: dir.join(ENTRY), version: version.clone() })
}

/// Whether its files are there, whatever is in them: enough for a report.
pub fn has_openvino(home: &Home) -> bool {
    let dir = home.openvino_dir(VERSION);
    recipe().is_some_and(|recipe| recipe.files.iter().all(|file| dir.join(file_name(file)).is_file()))
}

/// Installs it if it is missing or damaged. After an error nothing has changed.
pub(super) fn install(home: &Home, recipe: &Recipe, archives: &Archives<'_>) -> Result<()> {
    if installed(home, recipe).is_ok() {
        return Ok(());
    }
    // Not the package's name: the archive is downloaded into a folder of that name, and would be published with the rest.
    let staged = archives.staging.join("openvino-libraries");
    create_dir(&staged)?;
    archives.obtain(&recipe.package, |path| {
        for file in &recipe.files {
            archives.progress.stage(&Stage::Unpack { file: file.member.clone() });
            let target = staged.join(file_name(file));
            let _ = std::fs::remove_file(&target);
            write_synced(&target, &archive::take(path, &file.member, file.sha256)?)?;
        }
        Ok(())
    })?;
    publish(&staged, &home.openvino_dir(&recipe.package.version), &archives.staging.join("old-openvino"))
}
