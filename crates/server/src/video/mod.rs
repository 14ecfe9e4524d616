//! `VideoDecoder` through the `ffmpeg` program: clips from strangers, taken apart in a process of its own.
//!
//! A program and not a library: the codecs that clips come in are a million lines of C in which a flaw is found every
//! year. In a process of its own a flaw meets a small address space, no key, no store and a clock that runs out; and
//! the operator's distribution mends it without a new build of ours. Without the program only clips are unavailable.
//!
//! # Invariants
//! - A clip is never on a disk: the program reads it from an anonymous file in memory, which is gone when the last
//!   process that holds it is, however that ended.
//! - The program may open that file and nothing else: one protocol, the containers and codecs named in [`FORMATS`] and
//!   [`CODECS`] (no playlists, no lists of files), no shell, no inherited environment, no file it could write.
//! - Memory, processor time, wall time, streams, pixels, pictures and bytes are bounded, and so are programs at once.
//! - What the program says about a clip is not read.

mod pictures;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use likeness_domain::ports::{Pending, Video, VideoDecoder, VideoFrame, VideoRules};
use likeness_domain::settings::{Parsed, Seconds};
use likeness_domain::{Error, Kind, Result, limits};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Resource, Rlimit};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use pictures::Pictures;

likeness_domain::settings! {
    /// How clips are decoded.
    pub(crate) struct Settings in "video." {
        program: PathBuf = "ffmpeg", Parsed("a path or a name"),
            "the ffmpeg program, version 5 or later, that decodes clips: a path, or a name to be found in PATH; without \
             it only liveness of clips is unavailable";
        deadline as deadline_s: Duration = "20", Seconds(1..=600),
            "seconds that decoding one clip may take; 15 s of 1080p take about 3";
        concurrent_max: usize = "2", 1..=64,
            "clips decoded at once, each with up to 1 GiB of memory; further ones are told that the server is busy";
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

/// Address space of the program, of which its libraries take a quarter.
const MEMORY_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Decodes clips with `ffmpeg`.
pub(crate) struct Ffmpeg {
    program: PathBuf,
    deadline: Duration,
    slots: Semaphore,
}

impl Ffmpeg {
    /// A decoder that runs `program`, a path or a name to be found in `PATH`, for at most `deadline` a clip, at most
    /// `concurrent_max` at once. Nothing is run before the first clip.
    pub(crate) fn new(program: PathBuf, deadline: Duration, concurrent_max: usize) -> Self {
        Self { program, deadline, slots: Semaphore::new(concurrent_max) }
    }

    async fn sample(&self, video: Bytes, rules: VideoRules) -> Result<Video> {
        let Ok(_slot) = self.slots.try_acquire() else {
            return Err(Error::new(
                Kind::Overloaded,
                "as many clips as may be are being decoded, try again in a moment",
            ));
        };
        let mut child = self.start(&in_memory(&video)?, rules)?;
        drop(video);
        let reading = async {
            let pictures = read(&mut child).await?;
            let status =
                child.wait().await.map_err(|error| Error::internal("cannot wait for the video decoder", error))?;
            Ok((pictures, status))
        };
        // Dropping the child, here or when the caller hung up, kills it.
        let (pictures, status) = tokio::time::timeout(self.deadline, reading).await.unwrap_or_else(|_| {
            let message = format!("the clip cannot be decoded within {} s", self.deadline.as_secs_f32());
            Err(Error::new(Kind::VideoUnreadable, message))
        })?;
        tracing::debug!(n_pictures = pictures.len(), %status, "a clip was decoded");
        frames(pictures, rules)
    }

    fn start(&self, clip: &File, rules: VideoRules) -> Result<Child> {
        let clip =
            clip.try_clone().map_err(|error| Error::internal("cannot hand a clip to the video decoder", error))?;
        let seconds_max = format!("{}ms", rules.duration_ms_max.min(limits::VIDEO_DURATION_MS_MAX).saturating_add(500));
        let filters = format!(
            "fps={FRAMES_PER_SECOND},\
             scale=w='min({PICTURE_SIDE_MAX},iw)':h='min({PICTURE_SIDE_MAX},ih)':force_original_aspect_ratio=decrease,\
             format=yuvj420p"
        );
        let mut command = Command::new(&self.program);
        command.args(["-nostdin", "-hide_banner", "-nostats", "-loglevel", "quiet"]);
        command.args(["-max_alloc", "268435456", "-threads", "1", "-t", &seconds_max]);
        // The file is opened by its descriptor's name, because the index of an MP4 may stand at its end: a pipe cannot
        // be wound back.
        command.args(["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-codec_whitelist", CODECS]);
        command.args(["-max_streams", &STREAMS_MAX.to_string(), "-max_pixels", &PIXELS_MAX.to_string()]);
        command.args(["-i", "file:/proc/self/fd/0", "-map", "0:v:0", "-an", "-sn", "-dn", "-vf", &filters]);
        command.args(["-t", &seconds_max, "-c:v", "mjpeg", "-q:v", "3", "-threads", "1", "-f", "mpjpeg", "pipe:1"]);
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).current_dir("/");
        command.stdin(clip).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().map_err(|error| self.cannot_start(error))?;
        limit(&child, self.deadline).map_err(|error| Error::internal("cannot limit the video decoder", error))?;
        Ok(child)
    }

    fn cannot_start(&self, error: io::Error) -> Error {
        if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) {
            return Error::internal("cannot start the video decoder", error);
        }
        tracing::warn!(
            program = %self.program.display(), %error,
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

/// Bounds what the program may use. It has only just begun: what it could do before this takes effect is to load.
fn limit(child: &Child, deadline: Duration) -> io::Result<()> {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let Some(pid) = pid else { return Ok(()) }; // It has already ended.
    let limits = [
        (Resource::As, MEMORY_BYTES_MAX),
        (Resource::Cpu, deadline.as_secs().max(1)),
        (Resource::Core, 0), // A memory dump would hold the clip.
        (Resource::Fsize, 0),
        (Resource::Nofile, 32),
    ];
    for (resource, bound) in limits {
        let limit = Rlimit { current: Some(bound), maximum: Some(bound) };
        match rustix::process::prlimit(Some(pid), resource, limit) {
            Ok(_) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn read(child: &mut Child) -> Result<Vec<Bytes>> {
    let Some(mut stdout) = child.stdout.take() else {
        return Err(Error::internal("cannot read from the video decoder", "it has no output"));
    };
    let mut pictures = Pictures::new(UPLOADS_BYTES_MAX);
    let broken = |error: io::Error| Error::internal("cannot read from the video decoder", error);
    while pictures.read_from(&mut stdout).await.map_err(broken)? {}
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
