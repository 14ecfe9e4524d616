//! The measurements themselves. Unlike other commands these reach past the library for single rooms: that is what
//! they measure.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use likeness_domain::Error;
use likeness_domain::ports::{
    AnalyzeRequest, Assess, FaceChoice, GalleryChange, GalleryEntry, GallerySearch, GalleryStore, VectorIndex,
};
use likeness_domain::types::{
    Actor, BoundingBox, Detection, FaceId, FaceOwner, FaceSetId, FaceSetName, FieldSchema, FieldValues, Landmarks,
    NewFace, NewFaceSet, PackId, Point, Quality, QualityGate, RequestId, Revision, Similarity, Subject, Tags, Template,
    TenantId, TimestampMs,
};
use likeness_store::embedded::EmbeddedStore;
use likeness_store::index::{FlatIndex, FlatOptions, INLINE_NUMBERS_MAX};
use likeness_vision::assess::Assignment;
use likeness_vision::decode::decode;
use likeness_vision::embed::Embedder;
use likeness_vision::pack::{self, Home};
use likeness_vision::raster::RgbImage;
use likeness_vision::runtime::{Runtime, choice};
use likeness_vision::stages::{Models, Stages};
use likeness_wire::native;
use serde::Serialize;
use tokio::task::coop::consume_budget;
use tokio::task::{JoinSet, yield_now};

use super::scratch::Scratch;
use crate::cli::progress::InstallProgress;
use crate::config::Config;
use crate::outcome::{failed, refused};

/// What templates are made up for.
#[derive(Debug, Clone)]
pub(super) struct Pack {
    pub(super) id: PackId,
    pub(super) dimensions: usize,
}

/// Search in one gallery.
#[derive(Debug, Serialize)]
pub(super) struct SearchLatency {
    pub(super) faces: u64,
    pub(super) median_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) per_second: f64,
}

/// Median times of image analysis on one thread.
#[derive(Debug, Serialize)]
pub(super) struct StageTimes {
    /// Width x height.
    pub(super) picture: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decode_ms: Option<f64>,
    pub(super) detect_ms: f64,
    pub(super) embed_ms: f64,
}

/// Durable enrolment.
#[derive(Debug, Serialize)]
pub(super) struct Enrolment {
    pub(super) writers: u64,
    pub(super) per_second: f64,
}

/// Repeats `act` for `time`, at least three times, and gives the durations in order of size.
fn durations<E>(time: Duration, mut act: impl FnMut() -> Result<(), E>) -> Result<Vec<Duration>, E> {
    let start = Instant::now();
    let mut taken = Vec::new();
    while taken.len() < 3 || start.elapsed() < time {
        let before = Instant::now();
        act()?;
        taken.push(before.elapsed());
    }
    taken.sort_unstable();
    Ok(taken)
}

/// The duration that `share` of them do not exceed, in milliseconds.
pub(super) fn quantile_ms(sorted: &[Duration], share: f64) -> f64 {
    let idx = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1;
    sorted[idx].as_secs_f64() * 1000.0
}

/// Numbers that look random and are the same in every run (SplitMix64).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A template in a random direction: the sum of four uniform numbers is nearly normal, which is what makes the
    /// direction uniform.
    pub(super) fn template(&mut self, pack: &Pack) -> Result<Template, Error> {
        let mut component = || {
            let bits = self.next();
            (0..4).map(|part| ((bits >> (16 * part)) & 0xffff) as f32 / 65_535.0 - 0.5).sum::<f32>()
        };
        let raw: Vec<f32> = (0..pack.dimensions).map(|_| component()).collect();
        Template::new(pack.id.clone(), &raw).map_err(|error| refused(error.to_string()))
    }
}

/// Times of decode, detect and embed with the configured pack, which is installed if need be. Without a photograph the
/// picture is made up, which a network takes as long for.
pub(super) fn stages(config: &Config, photo: Option<&[u8]>, time: Duration) -> Result<(Pack, StageTimes), Error> {
    let home = Home::at(config.home()?);
    let progress = InstallProgress::new();
    pack::ensure_default(&home, &progress)?;
    progress.finish();
    let installed = pack::load(&home, &config.general.pack)?;
    let (files, engines) = choice::engines(&home, &installed, config.inference())?;
    let runtime = Runtime::open(files, engines, 1)?;
    let id = installed.manifest().id();
    let recognition = installed.manifest().recognition();
    let recognition = recognition.ok_or_else(|| refused(format!("model pack `{id}` recognises no faces")))?;
    let models = Models::read(&installed, recognition)?;
    let mut stages = Stages::open(&runtime, (id, recognition), &models, &Assignment::default())?;
    let mut embedder = Embedder::open(&runtime, id, recognition, models.embed())?;

    let rules = native::IMAGE_RULES;
    let (picture, decode_ms) = match photo {
        Some(photo) => {
            let taken = durations(time, || decode(photo, &rules).map(drop))?;
            (decode(photo, &rules)?, Some(quantile_ms(&taken, 0.5)))
        }
        None => (made_up_picture(640, 480), None),
    };
    let pack = id.clone();
    let request = AnalyzeRequest {
        count: likeness_domain::ports::Count::No,
        pack,
        rules,
        find: FaceChoice::Largest,
        face_side_min: 0,
        embed: FaceChoice::None,
        assess: Assess::NOTHING,
    };
    let detected = durations(time, || stages.analyze_decoded(picture.clone(), &request).map(drop))?;
    let crop = made_up_picture(recognition.embed.input.side, recognition.embed.input.side);
    let embedded = durations(time, || embedder.embed(&crop).map(drop))?;
    let times = StageTimes {
        picture: format!("{} x {}", picture.width(), picture.height()),
        decode_ms,
        detect_ms: quantile_ms(&detected, 0.5),
        embed_ms: quantile_ms(&embedded, 0.5),
    };
    Ok((Pack { id: id.clone(), dimensions: recognition.dimensions }, times))
}

/// Colours that change slowly, with some noise: nothing a detector takes for a face.
fn made_up_picture(width: u32, height: u32) -> RgbImage {
    let mut numbers = Numbers(1);
    let mut data = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let noise = (numbers.next() & 15) as u32;
            data.extend([x * 200 / width + noise, y * 200 / height + noise, 100 + noise].map(|level| level as u8));
        }
    }
    RgbImage::new(width, height, data).expect("three bytes a pixel")
}

/// Latency of single searches for the best ten.
pub(super) async fn search(config: &Config, pack: &Pack, n_faces: u64, time: Duration) -> Result<SearchLatency, Error> {
    let index = FlatIndex::new(FlatOptions {
        n_threads: config.general.workers,
        queue_len_max: 16,
        inline_numbers_max: INLINE_NUMBERS_MAX,
        seed: 1,
    })?;
    let face_set = FaceSetId::new(1).expect("in range");
    let mut numbers = Numbers(n_faces);
    let open = GalleryChange::Open { face_set, pack: pack.id.clone(), schema: Arc::new(FieldSchema::default()) };
    index.apply(Revision(1), vec![open]).await?;
    // In commits of a thousand, so that no list is as large as the gallery.
    for first in (1..=n_faces).step_by(1000) {
        let last = n_faces.min(first + 999);
        let put = |sequence: u64| {
            let face = FaceId::new(sequence).expect("fewer faces than ids");
            let template = numbers.template(pack)?;
            let entry = GalleryEntry { face, sequence, person: None, template, subject: None, values: Box::new([]) };
            Ok(GalleryChange::Put { face_set, entry })
        };
        let changes: Result<Vec<_>, Error> = (first..=last).map(put).collect();
        index.apply(Revision(1 + last), changes?).await?;
        // So that a signal is seen.
        yield_now().await;
    }
    let mut taken = Vec::new();
    let start = Instant::now();
    while taken.len() < 10 || start.elapsed() < time {
        let probe = numbers.template(pack)?;
        let question = GallerySearch {
            face_set,
            probe,
            top_k: 10,
            similarity_min: Similarity::MIN,
            filter: None,
            one_per_person: false,
        };
        let before = Instant::now();
        index.search(question).await?;
        taken.push(before.elapsed());
        consume_budget().await;
    }
    taken.sort_unstable();
    let total: Duration = taken.iter().sum();
    Ok(SearchLatency {
        faces: n_faces,
        median_ms: quantile_ms(&taken, 0.5),
        p99_ms: quantile_ms(&taken, 0.99),
        per_second: taken.len() as f64 / total.as_secs_f64(),
    })
}

/// Faces a second that `writers` at once can enrol, each waiting for its acknowledgement before the next.
pub(super) async fn enrolment(
    scratch_parent: &Path,
    pack: &Pack,
    writers: u64,
    time: Duration,
) -> Result<Enrolment, Error> {
    let scratch = Scratch::make(scratch_parent)?;
    let index: Arc<dyn VectorIndex> = Arc::new(NoIndex);
    let store = Arc::new(EmbeddedStore::open(scratch.path(), index)?);
    let face_set = store.create_face_set(actor(), new_face_set(pack), None).await?;
    let next_id = Arc::new(AtomicU64::new(1));
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for writer in 0..writers {
        let (store, pack, next_id, owner) =
            (Arc::clone(&store), pack.clone(), Arc::clone(&next_id), FaceOwner::FaceSet(face_set.id));
        tasks.spawn(async move {
            let mut numbers = Numbers(writer);
            let mut n_added = 0_u64;
            while start.elapsed() < time {
                let face = made_up_face(next_id.fetch_add(1, Ordering::Relaxed), numbers.template(&pack)?);
                store.add_faces(actor(), owner, vec![face], None).await?;
                n_added += 1;
            }
            Ok::<u64, Error>(n_added)
        });
    }
    let mut n_added = 0;
    while let Some(done) = tasks.join_next().await {
        n_added += done.map_err(|error| failed(format!("a writer failed: {error}")))??;
    }
    Ok(Enrolment { writers, per_second: n_added as f64 / start.elapsed().as_secs_f64() })
}

/// On whose behalf the faces are enrolled where there is no tenant.
fn actor() -> Actor {
    actor_of(TenantId::from_bits(1))
}

/// Somebody who enrols faces for that tenant.
pub(super) fn actor_of(tenant: TenantId) -> Actor {
    Actor { tenant, key: None, request_id: RequestId::unnamed(), key_must_be_usable: false, lease: None }
}

/// A set for made-up faces.
pub(super) fn new_face_set(pack: &Pack) -> NewFaceSet {
    NewFaceSet {
        id: FaceSetId::new(1).expect("in range"),
        name: FaceSetName::new("bench").expect("a lawful name"),
        label: None,
        note: None,
        tags: Tags::default(),
        pack: pack.id.clone(),
        schema: FieldSchema::default(),
        capacity: None,
        quality_gate: QualityGate::None,
        thumbnails: false,
        created_at: TimestampMs(0),
    }
}

/// A face with a label, as vendors' clients give one.
pub(super) fn labelled_face(id: u64, template: Template) -> Result<NewFace, Error> {
    Ok(NewFace { subject: Some(Subject::new(format!("person-{id}"))?), ..made_up_face(id, template) })
}

fn made_up_face(id: u64, template: Template) -> NewFace {
    let corner = Point { x: 0.0, y: 0.0 };
    NewFace {
        id: FaceId::new(id).expect("fewer faces than ids"),
        spare_id: None,
        template,
        detection: Detection {
            bounding_box: BoundingBox { left: 0, top: 0, width: 1, height: 1 },
            score: 1.0,
            landmarks: Landmarks([corner; 5]),
        },
        quality: Quality::default(),
        subject: None,
        external_id: None,
        fields: FieldValues::default(),
        note: None,
        source: None,
        thumbnail: None,
        created_at: TimestampMs(0),
    }
}

/// What is measured is the disk; the index would only take its share of the processor.
struct NoIndex;

impl VectorIndex for NoIndex {
    fn apply(&self, _: Revision, _: Vec<GalleryChange>) -> likeness_domain::ports::Pending<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn revision(&self) -> Option<Revision> {
        None
    }

    fn restart(&self) -> likeness_domain::ports::Pending<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn resume(&self, _: Revision) -> likeness_domain::ports::Pending<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn search(&self, _: GallerySearch) -> likeness_domain::ports::Pending<'_, Vec<likeness_domain::ports::Hit>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn matching(
        &self,
        _: FaceSetId,
        _: std::sync::Arc<likeness_domain::filter::Filter>,
    ) -> likeness_domain::ports::Pending<'_, Vec<u64>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn n_rows(&self, _: FaceSetId) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_measured() {
        let sorted: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(quantile_ms(&sorted, 0.5), 50.0);
        assert_eq!(quantile_ms(&sorted, 0.99), 99.0);
        assert_eq!(quantile_ms(&sorted[..1], 0.99), 1.0);
    }

    #[test]
    fn made_up_templates_are_strangers() {
        let pack = Pack { id: PackId::new("bench-1").expect("an id"), dimensions: 128 };
        let mut numbers = Numbers(1);
        let a = numbers.template(&pack).expect("a template");
        let b = numbers.template(&pack).expect("a template");
        assert!(a.similarity(&b).expect("one pack").get().abs() < 0.4);
    }
}
