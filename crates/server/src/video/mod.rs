//! `VideoDecoder` through the `ffmpeg` program: clips from strangers, taken apart in a process of its own.
//!
//! A program and not a library: the codecs that clips come in are a million lines of C in which a flaw is found every
//! year. In a process of its own a flaw meets a small address space, no key, no store and a clock that runs out; and
//! the operator's distribution mends it without a new build of ours. Without the program only clips are unavailable.
//!
//! # Invariants
//! - A clip is never on a disk: the program reads it from an anonymous file in memory, which is gone when the last
//!   process that holds it is, however that ended.
//! - The program is told to open that file and nothing else: one protocol, the containers and codecs named in [`FORMATS`]
//!   and [`CODECS`] (no playlists, no lists of files), no shell, no inherited environment, no file it could write.
//! - Whatever it does instead, the kernel lets it read that file and its libraries, and write its pictures: see
//!   [`confine`]. Where the kernel cannot do that, clips are refused, unless the operator allows it.
//! - Memory, processor time, wall time, threads, streams, pixels, pictures and bytes are bounded, and so are programs at
//!   once.
//! - What the program says about a clip is not read.

pub(crate) mod confine;
mod kernel;
mod pictures;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use likeness_domain::access::{FairBounds, FairSlots};
use likeness_domain::ports::{Pending, Video, VideoDecoder, VideoFrame, VideoRules};
use likeness_domain::settings::{Parsed, Seconds, Word};
use likeness_domain::{Error, Kind, Result, limits};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Signal};
use tokio::process::{Child, ChildStdout};
use tokio::sync::OnceCell;

use confine::Extent;
use pictures::Pictures;

use crate::system::SystemClock;

likeness_domain::settings! {
    /// How clips are decoded.
    pub(crate) struct Settings in "video." {
        program: PathBuf = "ffmpeg", Parsed("a path or a name"),
            "the ffmpeg program, version 5 or later, that decodes clips: a path, or a name to be found in PATH; without \
             it only liveness of clips is unavailable";
        confinement: Confinement = "required",
            Word(&[
                ("required", Confinement::Required), ("preferred", Confinement::Preferred), ("off", Confinement::Off),
            ]),
            "whether the kernel keeps that program from everything but its clip, with Landlock and seccomp: required \
             refuses clips where it cannot, preferred decodes them all the same, off never asks, as a wrapper script or \
             libraries outside the system's folders need";
        deadline as deadline_s: Duration = "20", Seconds(1..=600),
            "seconds that decoding one clip may take; 15 s of 1080p take about 3";
        concurrent_max: usize = "2", 1..=64,
            "clips decoded at once, in turn for each tenant, each with up to 1 GiB of memory";
        queue_max: usize = "8", 0..=1024,
            "clips that may wait for that, for `video.deadline_s` at most; callers of further ones are told that the server \
             is busy";
    }
}

/// Containers, by the names of the program's readers: MP4 and MOV, AVI, FLV, WebM and Matroska, ASF.
const FORMATS: &str = "mov,avi,flv,matroska,webm,asf";

/// Codecs, by the names of the program's decoders: H.261, H.263, H.264, HEVC, VC-1, VP8, VP9, WMV 9, the H.263 of
/// FLV files, and MPEG-4, which half of all AVI files are in.
const CODECS: &str = "h261,h263,h263i,h264,hevc,vc1,vp8,vp9,wmv3,flv,mpeg4";

/// Pictures a second. A blink takes 0.1 to 0.4 s and a nod about one: this is two pictures of the shortest.
const FRAMES_PER_SECOND: u32 = 12;

/// Longest side of a picture; larger ones are made smaller. A face that fills a third of it has 400 pixels, and the
/// models look at 112.
const PICTURE_SIDE_MAX: u32 = 1280;

/// Pixels of a clip's pictures before that: 4096 x 2304, a little above 4K.
const PIXELS_MAX: u32 = 9_437_184;

/// Streams of a clip. A phone writes two or three.
const STREAMS_MAX: u32 = 16;

/// Bytes of all pictures together: some 200 of the largest with much detail.
const UPLOADS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Threads of the program. It runs about ten.
const THREADS_MAX: usize = 64;

/// How often they are counted.
const COUNT_THREADS_EVERY: Duration = Duration::from_millis(50);

/// Whether the program is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confinement {
    /// Or clips are refused.
    Required,
    /// Where the kernel can.
    Preferred,
    /// Never.
    Off,
}

/// What comes of the setting on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Confined {
    /// The decoder is confined.
    Yes,
    /// It is not, since the setting says so.
    Off,
    /// It is not, and clips are decoded all the same; why not.
    Impossible(String),
    /// Clips are refused; why it cannot be confined.
    Refused(String),
}

impl fmt::Display for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Confined::Yes => f.write_str("decoded in confinement (Landlock, seccomp)"),
            Confined::Off => f.write_str("decoded without confinement: `video.confinement` is `off`"),
            Confined::Impossible(reason) => write!(f, "decoded without confinement: {reason}"),
            Confined::Refused(reason) => {
                write!(f, "refused, since their decoder cannot be confined: {reason}")
            }
        }
    }
}

/// What comes of these settings on this machine; starts a process that tries.
pub(crate) async fn confinement(settings: &Settings) -> Confined {
    confinement_by(&confine::this_executable(), settings).await
}

async fn confinement_by(launcher: &Path, settings: &Settings) -> Confined {
    match settings.confinement {
        Confinement::Off => Confined::Off,
        required => match (confine::probe(launcher).await, required) {
            (Ok(()), _) => Confined::Yes,
            (Err(reason), Confinement::Required) => Confined::Refused(reason),
            (Err(reason), _) => Confined::Impossible(reason),
        },
    }
}

/// Decodes clips with `ffmpeg`.
pub(crate) struct Ffmpeg {
    settings: Settings,
    /// This executable.
    launcher: PathBuf,
    /// What comes of the settings, asked at the first clip.
    confined: OnceCell<Confined>,
    slots: FairSlots,
}

impl Ffmpeg {
    /// A decoder as the settings say. Nothing is run before the first clip.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self::launched_by(confine::this_executable(), settings)
    }

    fn launched_by(launcher: PathBuf, settings: &Settings) -> Self {
        let Settings { concurrent_max, queue_max, .. } = *settings;
        let bounds = FairBounds { what: "clips", n_slots: concurrent_max, queue_max, wait_ms_max: None };
        let slots = FairSlots::new(bounds, Arc::new(SystemClock));
        Self { settings: settings.clone(), launcher, confined: OnceCell::new(), slots }
    }

    async fn sample(&self, video: Bytes, rules: VideoRules) -> Result<Video> {
        let deadline = self.settings.deadline;
        let slot = tokio::time::timeout(deadline, self.slots.enter(rules.share)).await;
        let _slot = slot.unwrap_or_else(|_| {
            let message = format!("the clip has waited {} s to be decoded", deadline.as_secs_f32());
            Err(Error::new(Kind::Overloaded, message))
        })?;
        let extent = self.extent().await?;
        let program = find(&self.settings.program).map_err(|error| self.cannot_start(error))?;
        if extent == Extent::Confined && is_script(&program) {
            let script = "it is a script, whose interpreter a confined decoder may not read";
            return Err(self.cannot_start(io::Error::new(io::ErrorKind::InvalidInput, script)));
        }
        let mut decoder = self.start(extent, &program, &in_memory(&video)?, rules)?;
        drop(video);
        let reading = async {
            let pictures = tokio::select! {
                pictures = read(&mut decoder.stdout) => pictures?,
                () = too_many_threads(&decoder.child) => {
                    let message = format!("the clip's decoder began more than {THREADS_MAX} threads");
                    return Err(Error::new(Kind::VideoUnreadable, message));
                }
            };
            let status = decoder.child.wait().await;
            let status = status.map_err(|error| Error::internal("cannot wait for the video decoder", error))?;
            Ok((pictures, status))
        };
        // Dropping the decoder, here or when the caller hung up, kills it.
        let (pictures, status) = tokio::time::timeout(deadline, reading).await.unwrap_or_else(|_| {
            let message = format!("the clip cannot be decoded within {} s", deadline.as_secs_f32());
            Err(Error::new(Kind::VideoUnreadable, message))
        })?;
        tracing::debug!(n_pictures = pictures.len(), %status, "a clip was decoded");
        if pictures.is_empty()
            && let Some(reason) = failure_to_start(status)
        {
            return Err(self.cannot_start(io::Error::other(reason)));
        }
        frames(pictures, rules)
    }

    /// How much the program is confined.
    async fn extent(&self) -> Result<Extent> {
        match self.confined.get_or_init(|| confinement_by(&self.launcher, &self.settings)).await {
            Confined::Yes => Ok(Extent::Confined),
            Confined::Off | Confined::Impossible(_) => Ok(Extent::Limited),
            Confined::Refused(reason) => {
                tracing::warn!(reason, "a clip was refused, since its decoder cannot be confined");
                Err(Error::new(Kind::Unsupported, "clips cannot be decoded on this server"))
            }
        }
    }

    fn start(&self, extent: Extent, program: &Path, clip: &File, rules: VideoRules) -> Result<Decoder> {
        let clip =
            clip.try_clone().map_err(|error| Error::internal("cannot hand a clip to the video decoder", error))?;
        let seconds_max = format!("{}ms", rules.duration_ms_max.min(limits::VIDEO_DURATION_MS_MAX).saturating_add(500));
        let filters = format!(
            "fps={FRAMES_PER_SECOND},\
             scale=w='min({PICTURE_SIDE_MAX},iw)':h='min({PICTURE_SIDE_MAX},ih)':force_original_aspect_ratio=decrease,\
             format=yuvj420p"
        );
        let cpu_seconds = self.settings.deadline.as_secs().max(1);
        let mut command = confine::command(&self.launcher, extent, cpu_seconds, program);
        command.args(["-nostdin", "-hide_banner", "-nostats", "-loglevel", "quiet"]);
        command.args(["-max_alloc", "268435456", "-threads", "1", "-t", &seconds_max]);
        // The file is opened by its descriptor's name, because the index of an MP4 may stand at its end: a pipe cannot
        // be wound back.
        command.args(["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-codec_whitelist", CODECS]);
        command.args(["-max_streams", &STREAMS_MAX.to_string(), "-max_pixels", &PIXELS_MAX.to_string()]);
        command.args(["-i", "file:/proc/self/fd/0", "-map", "0:v:0", "-an", "-sn", "-dn", "-vf", &filters]);
        command.args(["-t", &seconds_max, "-c:v", "mjpeg", "-q:v", "3", "-threads", "1", "-f", "mpjpeg", "pipe:1"]);
        command.stdin(clip).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| Error::internal("cannot start the video decoder", error))?;
        match child.stdout.take() {
            Some(stdout) => Ok(Decoder { child, stdout }),
            None => Err(Error::internal("cannot read from the video decoder", "it has no output")),
        }
    }

    fn cannot_start(&self, error: io::Error) -> Error {
        tracing::warn!(
            program = %self.settings.program.display(), %error,
            "clips cannot be decoded; hint: install ffmpeg, or name the program with `video.program`"
        );
        Error::new(Kind::Unsupported, "clips cannot be decoded on this server").with_source(error)
    }
}

impl VideoDecoder for Ffmpeg {
    fn decode(&self, video: Bytes, rules: VideoRules) -> Pending<'_, Video> {
        Box::pin(self.sample(video, rules))
    }
}

/// The clip as an anonymous file.
fn in_memory(video: &[u8]) -> Result<File> {
    let failed = |error: io::Error| Error::internal("cannot hold a clip in memory", error);
    let file = rustix::fs::memfd_create("clip", MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    let mut file = File::from(file);
    file.write_all(video).map_err(failed)?;
    Ok(file)
}

/// The running program; killed when dropped, with all that it began.
struct Decoder {
    child: Child,
    stdout: ChildStdout,
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // Before it is waited for, nobody else can have its number; its group has the same.
        if let Some(group) = pid(&self.child) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

/// Its number, until it was waited for.
fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()?).ok()?)
}

/// Where a program is, as a shell would look for it, with an absolute path.
fn find(program: &Path) -> io::Result<PathBuf> {
    let is_program =
        |path: &Path| fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    let found = if program.components().count() > 1 || program.is_absolute() {
        Some(program.to_owned()).filter(|path| is_program(path))
    } else {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| is_program(path))
    };
    let found = found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such program"))?;
    std::path::absolute(found)
}

/// Whether another program would be started to read it.
fn is_script(program: &Path) -> bool {
    let mut begin = [0; 2];
    File::open(program).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && begin == *b"#!"
}

/// Why the program ended before it began, if that is what its end says.
fn failure_to_start(status: ExitStatus) -> Option<&'static str> {
    match status.code()? {
        confine::CANNOT_CONFINE => Some("it cannot be confined"),
        confine::CANNOT_EXECUTE => Some("it cannot be executed"),
        // So ends the C library's loader.
        127 => Some(
            "its libraries cannot be loaded; where they lie outside the system's folders, set \
                     `video.confinement` to `off`",
        ),
        _ => None,
    }
}

/// Ready when the program runs more threads than it may. System calls cannot be counted by the kernel's filter, and its
/// own limit counts all threads of a user, the server's among them.
async fn too_many_threads(child: &Child) {
    let mut count = tokio::time::interval(COUNT_THREADS_EVERY);
    loop {
        count.tick().await;
        let Some(pid) = child.id() else { return std::future::pending().await };
        if fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > THREADS_MAX) {
            return;
        }
    }
}

async fn read(stdout: &mut ChildStdout) -> Result<Vec<Bytes>> {
    let mut pictures = Pictures::new(UPLOADS_BYTES_MAX);
    let broken = |error: io::Error| Error::internal("cannot read from the video decoder", error);
    while pictures.read_from(stdout).await.map_err(broken)? {}
    pictures.finish().ok_or_else(|| Error::new(Kind::VideoUnreadable, "the clip's pictures are too large together"))
}

/// The pictures that were asked for, with their times.
fn frames(pictures: Vec<Bytes>, rules: VideoRules) -> Result<Video> {
    if pictures.is_empty() {
        let message = "the bytes are no clip that can be decoded, expected MP4, MOV, AVI, FLV, WebM or ASF with a \
                       picture of at most 4096 x 2304";
        return Err(Error::new(Kind::VideoUnreadable, message));
    }
    let ms_at = |picture_idx: usize| {
        u32::try_from(picture_idx as u64 * 1000 / u64::from(FRAMES_PER_SECOND)).unwrap_or(u32::MAX)
    };
    let (n_pictures, duration_ms) = (pictures.len(), ms_at(pictures.len()));
    let VideoRules { duration_ms_min: min, duration_ms_max: max, .. } = rules;
    if duration_ms < min || duration_ms > max {
        let length = if duration_ms > max { format!("more than {max}") } else { duration_ms.to_string() };
        let message = format!("the clip has {length} ms, expected {min} to {max}");
        return Err(Error::new(Kind::VideoDuration, message));
    }
    let n_wanted = n_pictures.min(rules.frames_max.max(1));
    let wanted = |picture_idx: usize| {
        // The first picture of each of `n_wanted` equal parts.
        picture_idx == 0 || picture_idx * n_wanted / n_pictures > (picture_idx - 1) * n_wanted / n_pictures
    };
    let numbered = pictures.into_iter().enumerate().filter(|(picture_idx, _)| wanted(*picture_idx));
    let frames = numbered.map(|(picture_idx, picture)| VideoFrame { at_ms: ms_at(picture_idx), picture }).collect();
    Ok(Video { duration_ms, frames })
}
