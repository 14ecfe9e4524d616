//! The `FaceAnalyzer` over the loaded packs: each picture goes through the [`Stages`] of its pack on a [`Pool`] of
//! threads, each with sessions of its own, since a session serves one picture at a time; the models are shared.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use likeness_domain::ports::{Analysis, AnalyzeRequest, AnalyzerLoad, FaceAnalyzer, PackInfo, Pending, STEPS};
use likeness_domain::types::Aspects;
use likeness_domain::{Error, Kind, Result};
use tracing::{Instrument, Span};

use crate::assess::Assignment;
use crate::memory::Budget;
use crate::pack::{self, InstalledPack};
use crate::pool::Pool;
use crate::runtime::{Engines, ModelKind, Runtime};
use crate::stages::{Models, Stages};

/// How much work is done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineSettings {
    /// Bytes for the pictures that all threads work on at the same time; a thread waits until its picture fits.
    pub memory_bytes: u64,
    /// Threads, which share the models; as many as cores is right.
    pub workers: usize,
    /// Most pictures that wait when all threads are busy; each holds its file in memory.
    pub queue_max: usize,
    /// How long a picture may be expected to wait; whoever would wait longer is refused with a time to come back.
    pub wait_max: Duration,
}

/// Finds and embeds faces with the loaded packs.
pub struct Pipeline {
    packs: Vec<PackInfo>,
    aspects: Aspects,
    engines: Engines,
    /// Whether it was logged that something is asked for which no pack measures.
    has_hinted: AtomicBool,
    pool: Pool<Worker>,
}

/// One thread's sessions, in the order of the packs.
struct Worker(Vec<Stages>);

impl Pipeline {
    /// Loads `packs`, of which the first one that recognises is the default one, once for all workers, so that a damaged
    /// detector or embedder is found now and not by the first request; stages that assess are opened when first needed.
    /// [`Kind::PackUnavailable`] names the pack and what is wrong with it.
    pub fn open(runtime: &Runtime, packs: &[InstalledPack], settings: PipelineSettings) -> Result<Self> {
        let packs: Vec<_> = packs.iter().cloned().map(Arc::new).collect();
        let mut workers: Vec<_> = (0..settings.workers).map(|_| Worker(Vec::with_capacity(packs.len()))).collect();
        let memory = Budget::new(settings.memory_bytes);
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
            if recognition.mesh.is_some() {
                aspects = aspects.and(Aspects::LANDMARKS).and(Aspects::MESH);
            }
            let models = Models::read(pack, recognition)?;
            let opened = Stages::open(runtime, (manifest.id(), recognition), &models, &assignment);
            let opened = opened.map_err(|err| err.about(format_args!("model pack `{}`", manifest.id())))?;
            let opened = opened.within(memory.clone());
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
        let pool = Pool::start(workers, settings.queue_max, settings.wait_max)?;
        Ok(Self { packs: infos, aspects, engines: runtime.engines(), has_hinted: AtomicBool::new(false), pool })
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
        // The steps and lines of a thread belong to the request whose picture it has.
        let request_span = Span::current();
        self.pool.submit(move |Worker(stages)| request_span.in_scope(|| stages[pack_idx].analyze(&image, &request)))
    }
}

impl FaceAnalyzer for Pipeline {
    fn packs(&self) -> &[PackInfo] {
        &self.packs
    }

    fn aspects(&self) -> Aspects {
        self.aspects
    }

    fn engines(&self) -> Vec<(&'static str, String)> {
        ModelKind::ALL.iter().map(|&kind| (kind.word(), self.engines.of(kind).to_string())).collect()
    }

    fn load(&self) -> AnalyzerLoad {
        self.pool.load()
    }

    fn analyze(&self, image: Bytes, request: AnalyzeRequest) -> Pending<'_, Analysis> {
        // With the wait for a thread, which is what the other steps leave of it.
        let step = tracing::info_span!(target: STEPS, "analyse");
        let submitted = step.in_scope(|| self.submit(image, request));
        let answered = async move {
            let answer = submitted?.await;
            answer.unwrap_or_else(|_| Err(Error::new(Kind::Overloaded, "image analysis is shutting down")))
        };
        Box::pin(answered.instrument(step))
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

// A pipeline is shared between all requests of the server.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<Pipeline>>();
};
