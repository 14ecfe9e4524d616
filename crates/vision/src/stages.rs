//! The stages of one pack in order: decode, find, align, embed, and assess if that is asked for.
//!
//! A pack with a face mesh finds faces with [`Finder`] and aligns them by all points of the mesh; large JPEGs are decoded
//! reduced, and once more at a finer scale only if a wanted face turns out to be too small for its crop. A pack without
//! one shows the detector the whole picture at up to the size its manifest states and believes its five points.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use image::ImageEncoder;
use likeness_domain::limits::FACES_PER_IMAGE_MAX;
use likeness_domain::policy::{by_size, off_centre};
use likeness_domain::ports::{Analysis, AnalyzeRequest, AnalyzedFace, Assess, Count, FaceChoice, ImageRules, STEPS};
use likeness_domain::types::{Aspects, BoundingBox, Detection, Landmarks, PackId, Point};
use likeness_domain::{Error, Kind, Result};
use tracing::Span;

use crate::align::{FIVE_POINT_112, Placement, mesh_template, placement};
use crate::assess::{Assessor, Assignment};
use crate::decode::{EncodedImage, Reduction};
use crate::detect::{Detector, FoundFace};
use crate::embed::Embedder;
use crate::find::{CERTAIN_SIDE_MIN, Face, Finder, Purpose, longest, turned_back};
use crate::memory::{Budget, Reservation};
use crate::mesh::MeshNet;
use crate::pack::{InstalledPack, Recognition};
use crate::pool::describe;
use crate::pyramid::Pyramid;
use crate::raster::{ExifOrientation, RgbImage};
use crate::runtime::Runtime;
use crate::thumbnail;

#[cfg(test)]
mod tests;

/// Longer side, in pixels, of the picture that a large JPEG is decoded to at first: enough that a face of a fifth of it
/// fills the recogniser's crop; a smaller one is the reason to decode once more.
const REDUCED_SIDE_MIN: u32 = 500;

/// The same where all faces are wanted, so that small ones are seen.
const REDUCED_SIDE_MIN_ALL: u32 = 1280;

/// A crop may be enlarged by this much before the picture is decoded at a finer scale: templates of a portrait change by
/// less than 0.01 (cosine) for it.
const ENLARGED_MAX: f64 = 1.1;

/// For packs without a mesh: a picture with a face of at least this score is the right way up. Measured on 205
/// photographs: upright, 98 % of them reach it; upside down 1 %, though 96 % reach the detector's own minimum of 0.6;
/// lying, none. The best score of the four was the upright one's in all but one.
const SURE_SCORE_MIN: f32 = 0.9;

/// The loaded models of one pack. Clones share the models: one for each thread.
#[derive(Clone)]
pub struct Stages {
    find: Find,
    embedder: Embedder,
    assessor: Assessor,
    memory: Budget,
}

/// How a pack finds and aligns faces.
#[derive(Clone)]
enum Find {
    /// By a small detector pass and the face mesh.
    Mesh(Box<Finder>),
    /// By the detector's own boxes and points.
    FivePoints(Box<Detector>),
}

/// The bytes of a pack's models, read and checked.
pub struct Models {
    detect: Bytes,
    mesh: Option<Bytes>,
    embed: Bytes,
}

impl Models {
    /// Reads them. [`Kind::PackUnavailable`] if one is missing or is not what the manifest says.
    pub fn read(pack: &InstalledPack, recognition: &Recognition) -> Result<Self> {
        let mesh = recognition.mesh.as_ref().map(|mesh| pack.read(&mesh.file)).transpose()?;
        Ok(Self { detect: pack.read(&recognition.detect.file)?, mesh, embed: pack.read(&recognition.embed.file)? })
    }
}

impl Models {
    /// The recogniser's.
    pub fn embed(&self) -> &[u8] {
        &self.embed
    }
}

/// The map from the recogniser's crop into the picture; `None` if the points coincide. `has_mesh` says whether the pack
/// fits meshes.
fn placement_of(face: &Face, has_mesh: bool) -> Option<Placement> {
    match &face.fit {
        // A mesh that is not denied outright aligns better than five points, also where it is too unsure to enrol.
        Some(fit) if fit.mesh.presence >= 0.0 => placement(&fit.mesh.plane(), &mesh_template::MESH_468_112),
        _ if has_mesh => placement(&face.found.landmarks.0, &mesh_template::five_points()),
        _ => placement(&face.found.landmarks.0, &FIVE_POINT_112),
    }
}

/// What the faces of a request are needed for.
fn purpose(request: &AnalyzeRequest) -> Purpose {
    let measures_nothing = request.assess.aspects == Aspects::NONE || request.assess.faces == FaceChoice::None;
    if request.embed == FaceChoice::None && measures_nothing { Purpose::Boxes } else { Purpose::Meshes }
}

impl Stages {
    /// Loads the models of a pack. Nothing is opened of what assesses.
    pub fn open(
        runtime: &Runtime,
        (pack, recognition): (&PackId, &Recognition),
        models: &Models,
        assignment: &Assignment,
    ) -> Result<Self> {
        let detect = &recognition.detect;
        let detector = Detector::open(runtime, detect, &models.detect)?;
        let find = match (&recognition.mesh, &models.mesh, detect.first_pass) {
            (Some(stage), Some(mesh), Some(first)) => {
                let mesh = MeshNet::open(runtime, stage, mesh)?;
                Find::Mesh(Box::new(Finder::new(detector, detect, first, mesh)))
            }
            _ => Find::FivePoints(Box::new(detector)),
        };
        Ok(Self {
            find,
            embedder: Embedder::open(runtime, pack, recognition, &models.embed)?,
            assessor: Assessor::new(runtime, assignment),
            memory: Budget::new(u64::MAX),
        })
    }

    /// The same, taking the memory for its pictures from a budget that others share.
    #[must_use]
    pub fn within(self, memory: Budget) -> Self {
        Self { memory, ..self }
    }

    /// Decodes, finds, embeds the faces asked for, assesses what is asked of them and counts them, on the calling thread. Waits
    /// until the budget has the memory for the picture.
    pub fn analyze(&mut self, image: &Bytes, request: &AnalyzeRequest) -> Result<Analysis> {
        let mut analysis = self.analyze_wanted(image, request)?;
        let looked_for_one = match &self.find {
            Find::Mesh(_) if !wants_one(request.find) => None,
            Find::Mesh(finder) => Some(finder.saw_others()),
            Find::FivePoints(_) => None,
        };
        let n_found = analysis.faces.len();
        analysis.n_faces = match (request.count, looked_for_one) {
            (Count::No, _) => None,
            (Count::All, Some(_)) | (Count::IfSeveral, Some(true)) => {
                let (find, embed, assess) = (FaceChoice::All, FaceChoice::None, Assess::NOTHING);
                let all = self.analyze_wanted(image, &AnalyzeRequest { find, embed, assess, ..request.clone() })?;
                Some(all.faces.len().max(n_found))
            }
            _ => Some(n_found),
        };
        Ok(analysis)
    }

    fn analyze_wanted(&mut self, image: &Bytes, request: &AnalyzeRequest) -> Result<Analysis> {
        let encoded = open_safely(image, &request.rules)?;
        let (width, height) = (encoded.width(), encoded.height());
        let (_reservation, pyramid, found) = match &mut self.find {
            Find::Mesh(finder) => find_by_mesh(finder, &encoded, &self.memory, request)?,
            Find::FivePoints(_) => {
                let _reservation = reserve(&self.memory, &encoded, Reduction::Full)?;
                return self.analyze_decoded(decode_safely(&encoded, Reduction::Full)?, request);
            }
        };
        self.measure((width, height), pyramid, found, request)
    }

    /// The same for a picture that is decoded already.
    pub fn analyze_decoded(&mut self, picture: RgbImage, request: &AnalyzeRequest) -> Result<Analysis> {
        let sides = (picture.width(), picture.height());
        let mut pyramid = Pyramid::new(picture);
        let step = tracing::info_span!(target: STEPS, "find faces").entered();
        let found = match &mut self.find {
            Find::Mesh(finder) => {
                finder.find(&mut pyramid, request.find, request.face_side_min as f32, purpose(request))?
            }
            Find::FivePoints(detector) => {
                let found = find_by_points(detector, pyramid.base())?;
                found.into_iter().map(|found| Face { found, fit: None, doubt: None }).collect()
            }
        };
        drop(step);
        self.measure(sides, pyramid, found, request)
    }

    fn measure(
        &mut self,
        (width, height): (u32, u32),
        mut pyramid: Pyramid,
        found: Vec<Face>,
        request: &AnalyzeRequest,
    ) -> Result<Analysis> {
        let has_mesh = matches!(self.find, Find::Mesh(_));
        let (base_width, base_height) = (pyramid.base().width(), pyramid.base().height());
        let scale = (width as f32 / base_width as f32, height as f32 / base_height as f32);
        let mut found: Vec<_> = found
            .into_iter()
            .map(|face| (detection(&face.found.moved(scale, (0.0, 0.0)), width, height), face))
            .collect();
        found.sort_by(|(a, face_a), (b, face_b)| {
            let centre = |detection: &Detection| off_centre(detection.bounding_box, width, height);
            let order = match request.find {
                FaceChoice::Central => centre(a).cmp(&centre(b)).then(by_size(a, b)),
                _ => by_size(a, b),
            };
            face_a.doubt.is_some().cmp(&face_b.doubt.is_some()).then(order)
        });
        if purpose(request) == Purpose::Boxes {
            found.iter_mut().for_each(|(_, face)| face.doubt = None);
        }
        found.truncate(FACES_PER_IMAGE_MAX);
        let n_embed = request.embed.count(found.len());
        let Assess { aspects: asked, faces: assessed } = request.assess;
        let n_assess = assessed.count(found.len());
        let aspects = |face_idx: usize, face: &Face| {
            let aspects = match (face_idx < n_assess, face_idx < n_embed) {
                (true, _) => asked,
                (false, true) => asked.common(Aspects::QUALITY.and(Aspects::THUMBNAIL)),
                (false, false) => Aspects::NONE,
            };
            // What is not certainly a face is neither young nor cheerful.
            let shown = Aspects::QUALITY.and(Aspects::CROP).and(Aspects::THUMBNAIL);
            if face.doubt.is_some() { aspects.common(shown) } else { aspects }
        };
        let mut crops = Vec::with_capacity(found.len());
        let mut thumbnails = Vec::with_capacity(found.len());
        for (face_idx, (_, face)) in found.iter().enumerate() {
            let aspects = aspects(face_idx, face);
            let shown = aspects.common(Aspects::QUALITY.and(Aspects::CROP).and(Aspects::THUMBNAIL));
            let needs_crop = face_idx < n_embed || !shown.is_empty();
            let aligned = if needs_crop { Some(aligned(&mut pyramid, face, has_mesh)?) } else { None };
            thumbnails.push(match &aligned {
                Some((_, placement)) if aspects.contains(Aspects::THUMBNAIL) => {
                    Some(thumbnail::of(&mut pyramid, *placement)?)
                }
                _ => None,
            });
            crops.push(aligned);
        }
        // All at once, which is quicker for each.
        let embedded: Vec<_> = crops[..n_embed].iter().flatten().map(|(crop, _)| crop).collect();
        let step = tracing::info_span!(target: STEPS, "embed", faces = embedded.len());
        let mut templates = step.in_scope(|| self.embedder.embed_all(&embedded))?.into_iter();
        let mut faces = Vec::with_capacity(found.len());
        let made = crops.into_iter().zip(thumbnails);
        for (face_idx, ((detection_in_source, face), (aligned, thumbnail))) in found.into_iter().zip(made).enumerate() {
            let doubt = face.doubt;
            let aspects = aspects(face_idx, &face);
            let template = if face_idx < n_embed { templates.next() } else { None };
            let in_base = detection(&face.found, base_width, base_height);
            let mesh = face.fit.as_ref().filter(|_| doubt.is_none()).map(|fit| &fit.mesh);
            let step = match aspects.is_empty() {
                true => Span::none(),
                false => tracing::info_span!(target: STEPS, "assess"),
            };
            let (quality, mut assessment) =
                step.in_scope(|| self.assessor.assess(pyramid.base(), &in_base, mesh, aligned.as_ref(), aspects))?;
            if let Some((crop, _)) = aligned.as_ref().filter(|_| aspects.contains(Aspects::CROP)) {
                assessment.crop = Some(png(crop)?);
            }
            assessment.thumbnail = thumbnail;
            let points = assessment.landmarks.iter_mut().flat_map(|landmarks| landmarks.0.iter_mut());
            let points = points.chain(assessment.mesh.iter_mut().flat_map(|mesh| mesh.0.iter_mut()));
            points.for_each(|point| *point = Point { x: point.x * scale.0, y: point.y * scale.1 });
            faces.push(AnalyzedFace { detection: detection_in_source, template, quality, assessment, doubt });
        }
        Ok(Analysis { image_width: width, image_height: height, faces, n_faces: None })
    }
}

/// Whether a picture is looked at only until that one face is found.
fn wants_one(find: FaceChoice) -> bool {
    matches!(find, FaceChoice::Largest | FaceChoice::Central | FaceChoice::LargestFew(1))
}

/// The faces of a picture as a pack with a mesh finds them, and the picture at the scale they are in with its memory.
fn find_by_mesh(
    finder: &mut Finder,
    encoded: &EncodedImage<'_>,
    memory: &Budget,
    request: &AnalyzeRequest,
) -> Result<(Reservation, Pyramid, Vec<Face>)> {
    let (width, height) = (encoded.width(), encoded.height());
    let wants_one = wants_one(request.find);
    let side_min = if wants_one { REDUCED_SIDE_MIN } else { REDUCED_SIDE_MIN_ALL };
    let mut reduction = Reduction::keeping(width, height, side_min);
    let mut reservation = reserve(memory, encoded, reduction)?;
    let scale = |pyramid: &Pyramid| width as f32 / pyramid.base().width() as f32;
    let decoded = |reduction: Reduction| -> Result<Pyramid> {
        let base = decode_safely(encoded, reduction)?;
        Ok(Pyramid::reduced_by(width as f32 / base.width() as f32, base))
    };
    let mut pyramid = decoded(reduction)?;
    let face_side_min = request.face_side_min as f32 / scale(&pyramid);
    let purpose = purpose(request);
    let mut find = |pyramid: &mut Pyramid, side_min: f32| {
        let step = tracing::info_span!(target: STEPS, "find faces");
        let faces = step.in_scope(|| finder.find(pyramid, request.find, side_min, purpose))?;
        Ok::<_, Error>((faces, finder.is_close_call()))
    };
    let (mut faces, is_close_call) = find(&mut pyramid, face_side_min)?;
    let as_for_all = Reduction::keeping(width, height, REDUCED_SIDE_MIN_ALL);
    if is_close_call && as_for_all.divisor() < reduction.divisor() {
        // The one that whoever asks for all faces gets first.
        reduction = as_for_all;
        drop((pyramid, reservation));
        reservation = reserve(memory, encoded, reduction)?;
        pyramid = decoded(reduction)?;
        let face_side_min = request.face_side_min as f32 / scale(&pyramid);
        faces = find(&mut pyramid, face_side_min)?.0;
    }
    let face_side_min = request.face_side_min as f32 / scale(&pyramid);
    let has_small =
        !wants_one && reduction.divisor() > 2 && faces.iter().any(|face| longest(&face.found) < CERTAIN_SIDE_MIN);
    if (faces.is_empty() || has_small) && reduction != Reduction::Full && face_side_min < CERTAIN_SIDE_MIN {
        // Nothing in the reduced picture: a face may be too small there. Or small ones: others may be smaller.
        let finer = if has_small { reduction.divisor() / 2 } else { 1 };
        reduction = Reduction::ALL.into_iter().find(|other| other.divisor() == finer).unwrap_or(Reduction::Full);
        // Given back first: two threads that each hold some and wait for more would wait for ever.
        drop((pyramid, reservation));
        reservation = reserve(memory, encoded, reduction)?;
        pyramid = decoded(reduction)?;
        let face_side_min = request.face_side_min as f32 / scale(&pyramid);
        faces = find(&mut pyramid, face_side_min)?.0;
    }
    // By how much the crop of the smallest of these faces is enlarged.
    let crops_enlarged = |faces: &[Face]| {
        let placements = faces.iter().filter_map(|face| placement_of(face, true));
        1.0 / placements.map(|placement| placement.a.hypot(placement.b)).fold(f64::INFINITY, f64::min)
    };
    let n_needed = match request.embed.count(faces.len()) {
        0 => 0,
        // Which ones come first is settled later; where one is wanted there is only one.
        _ => faces.len(),
    };
    let enlarged = crops_enlarged(&faces[..n_needed]);
    if reduction != Reduction::Full && n_needed > 0 && enlarged > ENLARGED_MAX {
        let finer = Reduction::ALL
            .into_iter()
            .rev()
            .find(|finer| f64::from(finer.divisor()) * enlarged <= f64::from(reduction.divisor()) * ENLARGED_MAX)
            .unwrap_or(Reduction::Full);
        let before = scale(&pyramid);
        drop((pyramid, reservation));
        reservation = reserve(memory, encoded, finer)?;
        pyramid = decoded(finer)?;
        let factor = before / scale(&pyramid);
        for face in &mut faces {
            *face = finder.refitted(&mut pyramid, face, factor)?;
        }
    }
    Ok((reservation, pyramid, faces))
}

/// The faces as the detector reports them, in the turn of the picture in which it is surest.
fn find_by_points(detector: &mut Detector, picture: &RgbImage) -> Result<Vec<FoundFace>> {
    let mut best = detector.detect(picture)?;
    let best_score = |faces: &[FoundFace]| faces.iter().map(|face| face.score).fold(0.0, f32::max);
    if best_score(&best) >= SURE_SCORE_MIN {
        return Ok(best);
    }
    // The detector also fires on faces that lie or stand on their heads, only less surely and with landmarks that make no
    // usable template: the best score tells which turn is right.
    for turn in [ExifOrientation::TURN_90, ExifOrientation::TURN_180, ExifOrientation::TURN_270] {
        let found = detector.detect(&picture.turned(turn))?;
        if best_score(&found) > best_score(&best) {
            best = found.iter().map(|face| turned_back(face, turn, picture.width(), picture.height())).collect();
        }
    }
    Ok(best)
}

/// A picture as a PNG file.
fn png(picture: &RgbImage) -> Result<Bytes> {
    let mut file = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut file);
    encoder
        .write_image(picture.data(), picture.width(), picture.height(), image::ExtendedColorType::Rgb8)
        .map_err(|err| Error::internal("cannot encode a crop as PNG", err))?;
    Ok(file.into())
}

/// The crop that the recogniser sees.
fn aligned(pyramid: &mut Pyramid, face: &Face, has_mesh: bool) -> Result<(RgbImage, Placement)> {
    let placement =
        placement_of(face, has_mesh).ok_or_else(|| Error::internal("cannot align a face", "its landmarks coincide"))?;
    // Without a mesh as OpenCV's `alignCrop`, whose templates those of such packs are compared with.
    let crop = if has_mesh { pyramid.warp(placement, 112) } else { crate::align::warp(pyramid.base(), placement, 112) };
    Ok((crop, placement))
}

/// A decoder is third-party code that reads hostile bytes: its panic is the picture's fault, not the server's.
fn safely<T>(n_bytes: usize, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| {
        let panic = describe(panic.as_ref());
        tracing::error!(n_bytes, "image decoder failed: {panic}");
        Err(Error::new(Kind::ImageCorrupt, "image cannot be decoded").with_source(panic))
    })
}

fn open_safely<'a>(image: &'a Bytes, rules: &ImageRules) -> Result<EncodedImage<'a>> {
    safely(image.len(), || EncodedImage::open(image, rules))
}

fn decode_safely(encoded: &EncodedImage<'_>, reduction: Reduction) -> Result<RgbImage> {
    let step = tracing::info_span!(target: STEPS, "decode");
    step.in_scope(|| safely(encoded.memory_bytes(reduction) as usize, || encoded.decode(reduction)))
}

/// The memory for decoding a picture and then working on it: while it is decoded what the header says, later the
/// picture and its smaller copies, which together are a third of it.
fn reserve(memory: &Budget, encoded: &EncodedImage<'_>, reduction: Reduction) -> Result<Reservation> {
    let (width, height) = encoded.sides(reduction);
    let picture_bytes = u64::from(width) * u64::from(height) * 3;
    memory.acquire(encoded.memory_bytes(reduction).max(picture_bytes * 4 / 3))
}

fn detection(face: &FoundFace, image_width: u32, image_height: u32) -> Detection {
    Detection {
        bounding_box: BoundingBox::clamped(face.corners, image_width, image_height),
        score: face.score.clamp(0.0, 1.0),
        landmarks: Landmarks(face.landmarks.0),
    }
}
