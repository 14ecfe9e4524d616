//! Clips made of fake photographs.

use bytes::Bytes;
use likeness_domain::ports::{Pending, Video, VideoDecoder, VideoFrame, VideoRules};
use likeness_domain::{Error, Kind, Result};

/// Takes a clip apart that is a text: how long it is, and at which millisecond it begins to show which fake photograph
/// (see [`crate::FakeAnalyzer`]).
///
/// ```text
/// clip 3000                  milliseconds
/// at 0
/// face anna 40x40+10+5 yaw=0
/// at 100
/// face anna 40x40+12+5 yaw=20
/// ```
///
/// All else is [`Kind::VideoUnreadable`]; `clip absent` fails as if no decoder were installed.
pub struct FakeVideoDecoder;

impl VideoDecoder for FakeVideoDecoder {
    fn decode(&self, video: Bytes, rules: VideoRules) -> Pending<'_, Video> {
        Box::pin(std::future::ready(decoded(&video, rules)))
    }
}

fn decoded(video: &[u8], rules: VideoRules) -> Result<Video> {
    let unreadable = || Error::new(Kind::VideoUnreadable, "the bytes are no clip");
    let text = std::str::from_utf8(video).map_err(|_| unreadable())?;
    let (head, scenes) = text.split_once('\n').unwrap_or((text, ""));
    let length = head.strip_prefix("clip ").ok_or_else(unreadable)?;
    if length == "absent" {
        return Err(Error::new(Kind::Unsupported, "the test has no decoder"));
    }
    let duration_ms: u32 = length.parse().map_err(|_| unreadable())?;
    if !(rules.duration_ms_min..=rules.duration_ms_max).contains(&duration_ms) {
        return Err(Error::new(Kind::VideoDuration, format!("the clip has {duration_ms} ms")));
    }
    let mut frames = Vec::new();
    for part in format!("\n{scenes}").split("\nat ").filter(|part| !part.trim().is_empty()) {
        let (at_ms, picture) = part.split_once('\n').ok_or_else(unreadable)?;
        let at_ms = at_ms.trim().parse().map_err(|_| unreadable())?;
        frames.push(VideoFrame { at_ms, picture: Bytes::copy_from_slice(picture.as_bytes()) });
    }
    frames.truncate(rules.frames_max);
    Ok(Video { duration_ms, frames })
}

#[cfg(test)]
mod tests;
