//! The stages in order, for every loaded pack: decode, detect, align, embed, and assess if that is asked for.
//!
//! [`Pipeline`] is the house's `FaceAnalyzer`. Stages run on a [`Pool`] of threads, each with sessions of its own, since
//! a session serves one picture at a time; the models are shared.

use std::cmp::Reverse;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use likeness_domain::limits::FACES_PER_IMAGE_MAX;
use likeness_domain::policy::by_size;
use likeness_domain::ports::{
    Analysis, AnalyzeRequest, AnalyzedFace, Assess, FaceAnalyzer, ImageRules, Orientation, PackInfo, Pending,
};
use likeness_domain::types::{Aspects, BoundingBox, Detection, Landmarks, PackId, Point};
use likeness_domain::{Error, Kind, Result};

use crate::align::{Placement, placed};
use crate::assess::{Assessor, Assignment};
use crate::decode::decode;
use crate::detect::{Detector, FoundFace};
use crate::embed::Embedder;
use crate::pack::{self, Align, InstalledPack, Recognition};
use crate::pool::{Pool, PoolLoad, describe};
use crate::raster::{ExifOrientation, RgbImage};
use crate::runtime::Runtime;

#[cfg(test)]
mod tests;

/// A picture with a face of at least this score is the right way up. Measured on 205 photographs: upright, 98 % of them
/// reach it; upside down 1 %, though 96 % reach the detector's own minimum of 0.6; lying, none. The best score of the
/// four was the upright one's in all but one.
const SURE_SCORE_MIN: f32 = 0.9;

/// How much work is done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineSettings {
    /// Threads, which share the models; as many as cores is right.
    pub workers: usize,
    /// Most pictures that wait when all threads are busy; each holds its file in memory.
    pub queue_max: usize,
}

/// Finds and embeds faces with the loaded packs.
pub struct Pipeline {
    packs: Vec<PackInfo>,
    aspects: Aspects,
    /// Whether the log was told that something is asked for which no pack measures.
    has_hinted: AtomicBool,
    pool: Pool<Worker>,
}

/// One thread's sessions, in the order of the packs.
struct Worker(Vec<Stages>);

/// The loaded models of one pack. Clones share the models: one for each thread.
#[derive(Clone)]
pub struct Stages {
    detector: Detector,
    align: Align,
    embedder: Embedder,
    assessor: Assessor,
}

impl Pipeline {
    /// Loads `packs`, of which the first one that recognises is the default one, once for all workers, so that a damaged
    /// detector or embedder is found now and not by the first request; stages that assess are opened when first needed.
    /// [`Kind::PackUnavailable`] names the pack and what is wrong with it.
    pub fn open(runtime: &Runtime, packs: &[InstalledPack], settings: PipelineSettings) -> Result<Self> {
        let packs: Vec<_> = packs.iter().cloned().map(Arc::new).collect();
        let mut workers: Vec<_> = (0..settings.workers).map(|_| Worker(Vec::with_capacity(packs.len()))).collect();
        let mut infos = Vec::with_capacity(packs.len());
        let mut aspects = Aspects::NONE;
        for pack in &packs {
            let manifest = pack.manifest();
            let Some(recognition) = manifest.recognition() else { continue };
            let assignment = assignment(pack, &packs);
            for (stage, from) in assignment.packs() {
                tracing::info!(pack = %manifest.id(), stage, from = %from.manifest().id(), "faces can be assessed");
            }
            aspects = aspects.and(assignment.aspects());
            let detect = pack.read(&recognition.detect.file)?;
            let embed = pack.read(&recognition.embed.file)?;
            let opened = Stages::open(runtime, (manifest.id(), recognition), &detect, &embed, &assignment);
            let opened = opened.map_err(|err| {
                let message = format!("model pack `{}`: {}", manifest.id(), err.message());
                Error::new(err.kind(), message).with_source(err)
            })?;
            for Worker(stages) in &mut workers {
                stages.push(opened.clone());
            }
            infos.push(PackInfo {
                id: manifest.id().clone(),
                dimensions: recognition.dimensions,
                calibration: recognition.score.calibration.clone(),
            });
        }
        if infos.is_empty() {
            return Err(Error::new(Kind::PackUnavailable, "no model pack is given that recognises faces"));
        }
        let pool = Pool::start(workers, settings.queue_max)?;
        Ok(Self { packs: infos, aspects, has_hinted: AtomicBool::new(false), pool })
    }

    /// How busy the threads are, for metrics.
    pub fn load(&self) -> PoolLoad {
        self.pool.load()
    }

    /// Takes no more pictures, finishes those that still have a caller, and ends the threads. Blocks until then.
    pub fn shut_down(&self) {
        self.pool.shut_down();
    }

    fn submit(&self, image: Bytes, request: AnalyzeRequest) -> Result<crate::pool::Answer<Analysis>> {
        let pack_idx = self.packs.iter().position(|pack| pack.id == request.pack).ok_or_else(|| {
            let message = format!("model pack `{}` is not loaded", request.pack);
            Error::new(Kind::PackUnavailable, message)
        })?;
        if !self.aspects.contains(request.assess.aspects) && !self.has_hinted.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "faces are to be assessed in ways that no installed model pack can measure, which is left out of answers; \
                 hint: `likeness pack install attributes`, `likeness pack install liveness --from FOLDER`"
            );
        }
        self.pool.submit(move |Worker(stages)| {
            let picture = decode_safely(&image, &request.rules)?;
            drop(image);
            stages[pack_idx].analyze(&picture, &request)
        })
    }
}

impl FaceAnalyzer for Pipeline {
    fn packs(&self) -> &[PackInfo] {
        &self.packs
    }

    fn aspects(&self) -> Aspects {
        self.aspects
    }

    fn analyze(&self, image: Bytes, request: AnalyzeRequest) -> Pending<'_, Analysis> {
        let submitted = self.submit(image, request);
        Box::pin(async move {
            let answer = submitted?.await;
            answer.unwrap_or_else(|_| Err(Error::new(Kind::Overloaded, "image analysis is shutting down")))
        })
    }
}

impl Stages {
    /// Loads the models of a pack whose bytes were read and checked. Nothing is opened of what assesses.
    pub fn open(
        runtime: &Runtime,
        (pack, recognition): (&PackId, &Recognition),
        detect: &[u8],
        embed: &[u8],
        assignment: &Assignment,
    ) -> Result<Self> {
        Ok(Self {
            detector: Detector::open(runtime, &recognition.detect, detect)?,
            align: recognition.align,
            embedder: Embedder::open(runtime, pack, recognition, embed)?,
            assessor: Assessor::new(runtime, assignment),
        })
    }

    /// Detects, embeds the faces asked for and assesses what is asked of them, on the calling thread.
    pub fn analyze(&mut self, picture: &RgbImage, request: &AnalyzeRequest) -> Result<Analysis> {
        let found = self.detect(picture, request.orientation)?;
        let (image_width, image_height) = (picture.width(), picture.height());
        let mut detections: Vec<_> = found.iter().map(|face| detection(face, image_width, image_height)).collect();
        detections.sort_by(by_size);
        detections.truncate(FACES_PER_IMAGE_MAX);
        let n_embed = request.embed.count(detections.len());
        let Assess { aspects: asked, faces: assessed } = request.assess;
        let n_assess = assessed.count(detections.len());
        let mut faces = Vec::with_capacity(detections.len());
        for (face_idx, detection) in detections.into_iter().enumerate() {
            let is_embedded = face_idx < n_embed;
            let aspects = match (face_idx < n_assess, is_embedded) {
                (true, _) => asked,
                (false, true) => asked.common(Aspects::QUALITY),
                (false, false) => Aspects::NONE,
            };
            let needs_crop = is_embedded || aspects.contains(Aspects::QUALITY);
            let aligned = if needs_crop { Some(self.align(picture, &detection.landmarks)?) } else { None };
            let template = match &aligned {
                Some((crop, _)) if is_embedded => Some(self.embedder.embed(crop)?),
                _ => None,
            };
            let (quality, assessment) = self.assessor.assess(picture, &detection, aligned.as_ref(), aspects)?;
            faces.push(AnalyzedFace { detection, template, quality, assessment });
        }
        Ok(Analysis { image_width, image_height, faces })
    }

    fn detect(&mut self, picture: &RgbImage, orientation: Orientation) -> Result<Vec<FoundFace>> {
        let mut best = self.detector.detect(picture)?;
        let best_score = |faces: &[FoundFace]| faces.iter().map(|face| face.score).fold(0.0, f32::max);
        if best_score(&best) >= SURE_SCORE_MIN || orientation == Orientation::Upright {
            return Ok(best);
        }
        // The detector also fires on faces that lie or stand on their heads, only less surely and with landmarks that
        // make no usable template: the best score tells which turn is right.
        for turn in [ExifOrientation::TURN_90, ExifOrientation::TURN_180, ExifOrientation::TURN_270] {
            let found = self.detector.detect(&picture.clone().oriented(turn))?;
            if best_score(&found) > best_score(&best) {
                best = found.iter().map(|face| turned_back(face, turn, picture.width(), picture.height())).collect();
            }
        }
        Ok(best)
    }

    fn align(&self, picture: &RgbImage, landmarks: &Landmarks) -> Result<(RgbImage, Placement)> {
        placed(picture, landmarks, self.align.template)
            .ok_or_else(|| Error::internal("cannot align a face", "its landmarks coincide"))
    }
}

/// Where faces analysed with `own` get each stage from: the pack itself, else one that only assesses. Of those, packs
/// the user made come before the ones `likeness pack install` makes, since somebody who brings a stage wants it used;
/// then they go by name, the newest version first. A stage of another pack that recognises is not borrowed.
fn assignment(own: &Arc<InstalledPack>, packs: &[Arc<InstalledPack>]) -> Assignment {
    let mut others: Vec<_> = packs.iter().filter(|pack| pack.manifest().recognition().is_none()).cloned().collect();
    others.sort_by_key(|pack| {
        let description = pack.manifest().pack();
        (pack::is_installable(pack.manifest().id()), description.name.clone(), Reverse(description.version))
    });
    others.insert(0, Arc::clone(own));
    Assignment::first_of(&others)
}

/// A decoder is third-party code that reads hostile bytes: its panic is the picture's fault, not the server's.
fn decode_safely(image: &Bytes, rules: &ImageRules) -> Result<RgbImage> {
    catch_unwind(AssertUnwindSafe(|| decode(image, rules))).unwrap_or_else(|panic| {
        let panic = describe(panic.as_ref());
        tracing::error!(n_bytes = image.len(), "image decoder failed: {panic}");
        Err(Error::new(Kind::ImageCorrupt, "image cannot be decoded").with_source(panic))
    })
}

fn detection(face: &FoundFace, image_width: u32, image_height: u32) -> Detection {
    Detection {
        bounding_box: BoundingBox::clamped(face.corners, image_width, image_height),
        score: face.score.clamp(0.0, 1.0),
        landmarks: face.landmarks,
    }
}

/// A face found in a turned picture, in pixels of the picture before it was turned (`width` x `height`).
fn turned_back(face: &FoundFace, turn: ExifOrientation, width: u32, height: u32) -> FoundFace {
    let [left, top, right, bottom] = face.corners;
    // Edges lie between pixels, half a pixel before the centre that `to_stored` counts from.
    let edge = |x: f32, y: f32| {
        let (x, y) = turn.to_stored(x - 0.5, y - 0.5, width, height);
        (x + 0.5, y + 0.5)
    };
    let ((x1, y1), (x2, y2)) = (edge(left, top), edge(right, bottom));
    let point = |point: Point| {
        let (x, y) = turn.to_stored(point.x, point.y, width, height);
        Point { x, y }
    };
    FoundFace {
        corners: [x1.min(x2), y1.min(y2), x1.max(x2), y1.max(y2)],
        landmarks: Landmarks(face.landmarks.0.map(point)),
        score: face.score,
    }
}

// A pipeline is shared between all requests of the server.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<Pipeline>>();
};
