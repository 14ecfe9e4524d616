use super::*;
use crate::block_on;

const SHARE: likeness_domain::access::Share =
    likeness_domain::access::Share { tenant: likeness_domain::types::TenantId::from_bits(1), weight: 1 };

const RULES: VideoRules = VideoRules { duration_ms_min: 1000, duration_ms_max: 15_000, frames_max: 3, share: SHARE };

fn decode(clip: &str) -> Result<Video> {
    block_on(FakeVideoDecoder.decode(Bytes::copy_from_slice(clip.as_bytes()), RULES))
}

#[test]
fn a_clip_is_a_list_of_scenes() {
    let video = decode("clip 2000\nat 0\nface anna 40x40+10+5\nat 500\nsize 64x64\n").unwrap();
    assert_eq!(video.duration_ms, 2000);
    let frames: Vec<_> = video.frames.iter().map(|frame| (frame.at_ms, &frame.picture[..])).collect();
    assert_eq!(frames, [(0, &b"face anna 40x40+10+5"[..]), (500, b"size 64x64\n")]);
    assert_eq!(decode("clip 2000\nat 0\n\nat 1\n\nat 2\n\nat 3\n\n").unwrap().frames.len(), 3);
}

#[test]
fn what_is_no_clip_has_its_own_error() {
    let kind = |clip: &str| decode(clip).err().map(|error| error.kind());
    for clip in ["", "clip", "clip x", "face anna 40x40+10+5", "clip 2000\nat x\n"] {
        assert_eq!(kind(clip), Some(Kind::VideoUnreadable), "{clip}");
    }
    assert_eq!(kind("clip 999"), Some(Kind::VideoDuration));
    assert_eq!(kind("clip 15001"), Some(Kind::VideoDuration));
    assert_eq!(kind("clip absent"), Some(Kind::Unsupported));
}
