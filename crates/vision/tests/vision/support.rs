//! The installed pack, the photographs, and a pipeline over them.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use likeness_domain::Result;
use likeness_domain::limits::{IMAGE_BYTES_MAX, IMAGE_SIDE_MAX};
use likeness_domain::ports::{
    Analysis, AnalyzeRequest, Assess, Count, FaceAnalyzer, FaceChoice, ImageFormats, ImageRules,
};
use likeness_domain::types::PackId;
use likeness_vision::pack::{self, Home, InstalledPack, Recognition};
use likeness_vision::pipeline::{Pipeline, PipelineSettings};
use likeness_vision::runtime::Runtime;

pub(super) const RULES: ImageRules =
    ImageRules { formats: ImageFormats::ALL, bytes_max: IMAGE_BYTES_MAX, side_max: IMAGE_SIDE_MAX, side_min: 1 };

/// Longer than any test.
pub(super) const PATIENT: std::time::Duration = std::time::Duration::from_hours(1);

/// What is installed under `LIKENESS_HOME`, or nothing with a word about it.
pub(super) struct Installation {
    pub(super) runtime: Runtime,
    pub(super) library: PathBuf,
    pub(super) pack: InstalledPack,
}

pub(super) fn installation() -> Option<Installation> {
    installation_of(&pack::default_pack_id())
}

/// The same with another pack than the default one.
pub(super) fn installation_of(id: &PackId) -> Option<Installation> {
    let installed = || -> Result<Installation> {
        let home = Home::from_env()?;
        let library = pack::runtime(&home)?.path;
        let pack = pack::load(&home, id)?;
        Ok(Installation { runtime: Runtime::load(&library)?, library, pack })
    };
    match installed() {
        Ok(installation) => Some(installation),
        Err(err) => {
            eprintln!("skipped: {err}");
            None
        }
    }
}

impl Installation {
    pub(super) fn recognition(&self) -> &Recognition {
        self.pack.manifest().recognition().expect("the default pack recognises")
    }

    pub(super) fn pipeline(&self, workers: usize, queue_max: usize) -> Pipeline {
        let settings = PipelineSettings { memory_bytes: 256 << 20, workers, queue_max, wait_max: PATIENT };
        Pipeline::open(&self.runtime, std::slice::from_ref(&self.pack), settings).expect("opens")
    }

    pub(super) fn request(&self, embed: FaceChoice) -> AnalyzeRequest {
        let pack = self.pack.manifest().id().clone();
        AnalyzeRequest {
            pack,
            rules: RULES,
            find: FaceChoice::All,
            face_side_min: 0,
            embed,
            assess: Assess::NOTHING,
            count: Count::No,
        }
    }
}

/// The shared folder beside the project, if it is there.
pub(super) fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: ../shared/{folder} is not there");
    None
}

/// The bytes of one of the portraits.
pub(super) fn portrait(name: &str) -> Option<Bytes> {
    let path = shared("eval/portraits")?.join(name);
    Some(std::fs::read(path).expect("the portraits are complete").into())
}

/// Every file in a folder, by name.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("is readable");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("is readable").path()).collect();
    paths.sort();
    paths
}

/// Waits for an analysis without an async runtime of its own.
pub(super) fn analyze(pipeline: &Pipeline, image: impl Into<Bytes>, request: AnalyzeRequest) -> Result<Analysis> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("builds");
    runtime.block_on(pipeline.analyze(image.into(), request))
}
