//! Whether a living person is before the camera: in a clip with actions that were asked for, or in a single picture.

use std::time::Duration;

use bytes::Bytes;

use super::{ImageInput, ImageSource, Library, check_count, together};
use crate::access::{Caller, Grant};
use crate::liveness::{self, JudgeRules, LivenessReason, Moment, SeenAction, Track, TrackedFace, WantedAction};
use crate::ports::{
    Analysis, AnalyzeRequest, AnalyzedFace, Assess, Count, FaceChoice, ImageFormats, ImageRules, Video, VideoFrame,
    VideoRules,
};
use crate::types::{Aspects, Detection, PackId, Quality};
use crate::{Error, Kind, Result, limits};

/// What must be measured of a clip's pictures.
const OF_A_CLIP: Aspects = Aspects::LANDMARKS.and(Aspects::POSE);

/// Pictures of one clip that are analysed at once: more would fill the analyzer's queue for everybody else.
const PICTURES_AT_ONCE: usize = 4;

/// Pictures of a clip that the single-picture judgement is made on.
const STILLS: usize = 3;

/// Two pictures of one clip show one person if so few strangers are as similar. Weaker than where a face is searched,
/// since the pictures of one clip are taken in other directions, and there is one person to mistake them for.
const SAME_PERSON_FAR: f64 = 1e-3;

/// Figures of quality below which a reason is made. They were set by eye, not measured.
const FIGURE_MIN: f32 = 0.3;

/// A clip and what it may be.
#[derive(Clone)]
pub struct VideoInput {
    /// Where it comes from.
    pub source: ImageSource,
    /// Most bytes of it.
    pub bytes_max: usize,
    /// Time a fetch may take.
    pub fetch_deadline: Duration,
    /// Least and most milliseconds of it.
    pub duration_ms: (u32, u32),
}

/// See [`Library::clip_liveness`].
#[derive(Clone)]
pub struct LiveClip {
    /// The clip.
    pub video: VideoInput,
    /// What the person was asked to do, in that order; 1 to [`crate::limits::ACTIONS_MAX`].
    pub actions: Vec<WantedAction>,
    /// Least change of pitch of a nod, 1 to 90 degrees.
    pub nod_degrees: f32,
}

/// Answer of [`Library::clip_liveness`].
#[derive(Clone)]
pub struct ClipLiveness {
    /// Whether every action was seen and nothing speaks against a living person.
    pub is_alive: bool,
    /// The actions in the order asked for.
    pub actions: Vec<SeenAction>,
    /// The picture that shows the person best, as a JPEG file.
    pub picture: Option<Bytes>,
    /// What was amiss, each at most once.
    pub reasons: Vec<LivenessReason>,
    /// How long the clip is.
    pub duration_ms: u32,
}

/// Answer of [`Library::still_liveness`].
#[derive(Clone)]
pub struct StillLiveness {
    /// How probable a living person is, 0 to 1; above one half is meant to be alive.
    pub probability: f32,
    /// The face that was judged: the largest.
    pub detection: Detection,
    /// The image as it came.
    pub picture: Bytes,
    /// What was amiss with the picture, each at most once.
    pub reasons: Vec<LivenessReason>,
}

impl Library {
    /// Judges a clip of a person who was asked to do something ([`crate::liveness`]). Nothing of it is kept. Needs the
    /// search grant. `InvalidArgument`; `Unsupported` if the landmarks stage or a decoder is missing; `ImageTooLarge`,
    /// the URL kinds, `VideoUnreadable`, `VideoDuration`, `Overloaded`. A clip without a face is an answer, not an error.
    pub async fn clip_liveness(&self, caller: &Caller, request: LiveClip) -> Result<ClipLiveness> {
        caller.require(Grant::Search)?;
        check_actions(&request)?;
        if !self.aspects().contains(OF_A_CLIP) {
            let message = "liveness of clips is not available: no installed pack finds landmarks";
            return Err(Error::new(Kind::Unsupported, message).with_hint(
                "the newest default pack does (`likeness pack install`); for others install \
                 `likeness pack install attributes`",
            ));
        }
        let pack = self.default_pack()?;
        let VideoInput { source, bytes_max, fetch_deadline, duration_ms } = request.video;
        let bytes = self.bytes_of(caller, &source, bytes_max.min(limits::VIDEO_BYTES_MAX), fetch_deadline).await?;
        let rules = VideoRules {
            duration_ms_min: duration_ms.0,
            duration_ms_max: duration_ms.1.min(limits::VIDEO_DURATION_MS_MAX),
            frames_max: limits::VIDEO_FRAMES_MAX,
            share: caller.share(),
        };
        let Video { duration_ms, frames } = self.ports.decoder.decode(bytes, rules).await?;
        let track = self.track(caller, &frames, &pack.id).await?;
        let similarity_min = pack.calibration.similarity_at(SAME_PERSON_FAR);
        let rules = JudgeRules { nod_degrees: request.nod_degrees, similarity_min };
        let mut judgement = liveness::judge(&track, &request.actions, rules);
        // The dearest question comes last, and only where the answer can still change.
        if judgement.is_alive && !self.looks_alive(caller, &track, &frames, &pack.id).await? {
            judgement.is_alive = false;
            judgement.reasons.push(LivenessReason::NotReal);
        }
        let picture = judgement.best.map(|moment_idx| frames[moment_idx].picture.clone());
        Ok(ClipLiveness {
            is_alive: judgement.is_alive,
            actions: judgement.actions,
            picture,
            reasons: judgement.reasons,
            duration_ms,
        })
    }

    /// How probable it is that the largest face of an image is that of a living person, from the picture alone. Needs
    /// the search grant. `Unsupported` if no liveness stage is installed; the image kinds, `NoFaceInImage`.
    pub async fn still_liveness(&self, caller: &Caller, image: ImageInput) -> Result<StillLiveness> {
        caller.require(Grant::Search)?;
        if !self.aspects().contains(Aspects::LIVENESS) {
            let message = "liveness of pictures is not available: no liveness stage is installed";
            return Err(Error::new(Kind::Unsupported, message)
                .with_hint("install one with `likeness pack install liveness --from DIR`"));
        }
        let pack = self.default_pack()?.id.clone();
        let bytes_max = image.rules.bytes_max.min(limits::IMAGE_BYTES_MAX);
        let picture = self.bytes_of(caller, &image.source, bytes_max, image.fetch_deadline).await?;
        let request = AnalyzeRequest {
            pack,
            rules: image.rules,
            find: FaceChoice::All,
            face_side_min: 0,
            embed: FaceChoice::None,
            assess: Assess { aspects: Aspects::LIVENESS.and(Aspects::QUALITY), faces: FaceChoice::Largest },
            count: Count::No,
        };
        let analysis = self.analyze_in_turn(caller, picture.clone(), request).await?;
        let has_company = analysis.faces.len() > 1;
        let Some(face) = analysis.faces.into_iter().next() else {
            return Err(Error::new(Kind::NoFaceInImage, "the image shows no face"));
        };
        let probability = face.assessment.liveness.ok_or_else(|| unmeasured("liveness"))?;
        let reasons = still_reasons(&face.quality, has_company);
        Ok(StillLiveness { probability, detection: face.detection, picture, reasons })
    }

    /// What the clip's pictures show.
    async fn track(&self, caller: &Caller, frames: &[VideoFrame], pack: &PackId) -> Result<Track> {
        let assess = Assess { aspects: OF_A_CLIP, faces: FaceChoice::Largest };
        let looks: Vec<_> =
            frames.iter().map(|frame| self.look(caller, frame, pack, FaceChoice::Largest, assess)).collect();
        let analyses = together::all(looks, PICTURES_AT_ONCE).await;
        let moments = frames.iter().zip(analyses).map(|(frame, analysis)| Ok(moment(frame.at_ms, analysis?)));
        moments.collect::<Result<_>>().map(Track)
    }

    /// Whether the stage that judges single pictures takes the clip's frontal ones for those of a living person; yes if
    /// no such stage is installed.
    async fn looks_alive(&self, caller: &Caller, track: &Track, frames: &[VideoFrame], pack: &PackId) -> Result<bool> {
        if !self.aspects().contains(Aspects::LIVENESS) {
            return Ok(true);
        }
        let is_frontal = |moment: &Moment| moment.face.as_ref().is_some_and(|face| liveness::is_frontal(&face.pose));
        let frontal: Vec<&VideoFrame> =
            track.0.iter().zip(frames).filter(|(moment, _)| is_frontal(moment)).map(|(_, frame)| frame).collect();
        // Spread over the clip: the first, the last, and between.
        let n_stills = frontal.len().min(STILLS);
        let stills = (0..n_stills).map(|idx| frontal[idx * (frontal.len() - 1) / (n_stills - 1).max(1)]);
        let assess = Assess { aspects: Aspects::LIVENESS, faces: FaceChoice::Largest };
        let looks: Vec<_> = stills.map(|frame| self.look(caller, frame, pack, FaceChoice::None, assess)).collect();
        let mut sum = 0.0;
        for analysis in together::all(looks, PICTURES_AT_ONCE).await {
            let face = analysis?.faces.into_iter().next();
            sum += face.and_then(|face| face.assessment.liveness).ok_or_else(|| unmeasured("liveness"))?;
        }
        Ok(n_stills > 0 && sum / n_stills as f32 > 0.5)
    }

    async fn look(
        &self,
        caller: &Caller,
        frame: &VideoFrame,
        pack: &PackId,
        embed: FaceChoice,
        assess: Assess,
    ) -> Result<Analysis> {
        let rules = ImageRules {
            formats: ImageFormats::JPEG,
            bytes_max: limits::IMAGE_BYTES_MAX,
            side_max: limits::IMAGE_SIDE_MAX,
            side_min: 1,
        };
        let request = AnalyzeRequest {
            pack: pack.clone(),
            rules,
            find: FaceChoice::All,
            face_side_min: 0,
            embed,
            assess,
            count: Count::No,
        };
        self.analyze_in_turn(caller, frame.picture.clone(), request).await
    }
}

fn check_actions(request: &LiveClip) -> Result<()> {
    if request.actions.is_empty() {
        return Err(Error::invalid("actions", "`actions` is empty, expected at least one action"));
    }
    check_count("actions", request.actions.len(), limits::ACTIONS_MAX)?;
    if let Some((from, until)) = request.actions.iter().filter_map(|wanted| wanted.window_ms).find(|(a, b)| a > b) {
        return Err(Error::invalid("windows", format!("a window from {from} to {until} ms ends before it begins")));
    }
    if (1.0..=90.0).contains(&request.nod_degrees) {
        return Ok(());
    }
    let message = format!("`nod_degrees` is {}, expected 1 to 90", request.nod_degrees);
    Err(Error::invalid("nod_degrees", message))
}

fn moment(at_ms: u32, analysis: Analysis) -> Moment {
    let is_company = |largest: &AnalyzedFace, other: &AnalyzedFace| {
        other.detection.bounding_box.area() * 4 >= largest.detection.bounding_box.area()
    };
    let has_company = matches!(&analysis.faces[..], [largest, other, ..] if is_company(largest, other));
    let face = analysis.faces.into_iter().next().and_then(|face| {
        Some(TrackedFace {
            detection: face.detection,
            // A face whose points make no head is as good as none.
            pose: face.assessment.pose?,
            landmarks: face.assessment.landmarks?,
            openness: face.assessment.openness,
            template: face.template?,
        })
    });
    Moment { at_ms, face, has_company }
}

fn still_reasons(quality: &Quality, has_company: bool) -> Vec<LivenessReason> {
    let is_low = |figure: Option<f32>| figure.is_some_and(|figure| figure < FIGURE_MIN);
    let found = [
        (is_low(quality.total), LivenessReason::LowQuality),
        (is_low(quality.sharpness), LivenessReason::Blurred),
        (is_low(quality.pose), LivenessReason::Turned),
        (is_low(quality.visibility), LivenessReason::Hidden),
        (is_low(quality.illumination), LivenessReason::Dark),
        (has_company, LivenessReason::SeveralFaces),
    ];
    found.into_iter().filter_map(|(is_so, reason)| is_so.then_some(reason)).collect()
}

fn unmeasured(what: &str) -> Error {
    Error::internal(format!("cannot use the {what} of a face"), "the analyzer measured none although it says it can")
}
