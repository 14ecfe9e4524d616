use std::process::Command as Program;
use std::time::Instant;

use super::*;

const RULES: VideoRules = VideoRules { duration_ms_min: 1000, duration_ms_max: 15_000, frames_max: 24 };

/// A clip as ffmpeg makes it from these arguments, or nothing, with the reason printed, where ffmpeg is absent.
#[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
fn made(arguments: &str, container: &str) -> Option<Bytes> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join(format!("clip.{container}"));
    let made = Program::new("ffmpeg")
        .args(["-nostdin", "-v", "error"])
        .args(arguments.split_whitespace())
        .arg(&path)
        .stdin(Stdio::null())
        .output();
    match made {
        Ok(made) => assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr)),
        Err(error) => {
            eprintln!("skipped: this test makes its clips with ffmpeg: {error}");
            return None;
        }
    }
    Some(std::fs::read(path).expect("the clip was written").into())
}

fn scene(seconds: &str) -> String {
    format!("-f lavfi -i testsrc2=s=320x240:r=25:d={seconds} -pix_fmt yuv420p")
}

fn decoder() -> Ffmpeg {
    Ffmpeg::new("ffmpeg".into(), Duration::from_secs(20), 1)
}

async fn decode(clip: Bytes) -> Result<Video> {
    let begun = Instant::now();
    let answer = decoder().decode(clip, RULES).await;
    // The deadline, and time for a busy machine to start and end a program.
    assert!(begun.elapsed() < Duration::from_secs(25), "took {:?}", begun.elapsed());
    answer
}

#[track_caller]
fn kind(answer: Result<Video>) -> Kind {
    answer.err().expect("the clip is refused").kind()
}

/// Width and height of a JPEG file.
fn size(picture: &[u8]) -> (u16, u16) {
    let frame = picture.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a baseline picture");
    let number = |at: usize| u16::from_be_bytes([picture[frame + at], picture[frame + at + 1]]);
    (number(7), number(5))
}

#[tokio::test]
async fn every_documented_container_is_sampled_evenly() {
    // WMV 9, which ASF files are usually in, can be read by the program but not written.
    let codecs = [
        ("mp4", "libx264"),
        ("mov", "libx264"),
        ("avi", "mpeg4"),
        ("flv", "flv"),
        ("webm", "libvpx"),
        ("asf", "mpeg4"),
    ];
    for (container, codec) in codecs {
        let Some(clip) = made(&format!("{} -c:v {codec}", scene("3")), container) else { return };
        let video = decode(clip).await.unwrap_or_else(|error| panic!("{container}: {error:?}"));
        assert!((2900..=3100).contains(&video.duration_ms), "{container}: {} ms", video.duration_ms);
        assert_eq!(video.frames.len(), 24, "{container}");
        assert_eq!(video.frames[0].at_ms, 0, "{container}");
        assert!(video.frames.is_sorted_by(|a, b| a.at_ms + 83 <= b.at_ms && b.at_ms <= a.at_ms + 168), "{container}");
        assert!(video.frames.iter().all(|frame| size(&frame.picture) == (320, 240)), "{container}");
    }
}

#[tokio::test]
async fn an_mp4_with_its_index_at_the_end_or_at_the_start_is_one_clip() {
    for flags in ["", "-movflags +faststart"] {
        let Some(clip) = made(&format!("{} {flags}", scene("1.5")), "mp4") else { return };
        assert_eq!(decode(clip).await.unwrap().duration_ms, 1500, "{flags}");
    }
}

#[tokio::test]
async fn large_pictures_are_made_smaller() {
    let Some(clip) = made("-f lavfi -i color=s=2560x1440:r=5:d=1.2 -pix_fmt yuv420p", "mp4") else { return };
    assert_eq!(size(&decode(clip).await.unwrap().frames[0].picture), (1280, 720));
}

#[tokio::test]
async fn length_is_measured_on_the_pictures() {
    for (seconds, expected) in [("0.5", Some(Kind::VideoDuration)), ("20", Some(Kind::VideoDuration)), ("15", None)] {
        let Some(clip) = made(&scene(seconds), "mp4") else { return };
        assert_eq!(decode(clip).await.err().map(|error| error.kind()), expected, "{seconds} s");
    }
}

#[tokio::test]
async fn what_is_no_clip_is_refused() {
    if made(&scene("1"), "mp4").is_none() {
        return;
    }
    for bytes in [&b""[..], b"hello", &[0; 4096], b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"] {
        assert_eq!(kind(decode(Bytes::copy_from_slice(bytes)).await), Kind::VideoUnreadable, "{bytes:?}");
    }
    let Some(sound) = made("-f lavfi -i sine=d=2", "mp4") else { return };
    assert_eq!(kind(decode(sound).await), Kind::VideoUnreadable, "a clip without pictures");
}

#[tokio::test]
async fn a_clip_that_was_cut_off_is_no_clip_without_its_index() {
    let Some(clip) = made(&scene("3"), "mp4") else { return };
    assert_eq!(kind(decode(clip.slice(..clip.len() / 2)).await), Kind::VideoUnreadable);
}

#[tokio::test]
async fn lists_and_playlists_open_nothing() {
    let Some(clip) = made(&scene("2"), "mp4") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.mp4");
    std::fs::write(&path, clip).unwrap();
    let path = path.display();
    for list in [
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{path}\n#EXT-X-ENDLIST\n"),
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{path}\n#EXT-X-ENDLIST\n"),
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n".to_owned(),
        format!("ffconcat version 1.0\nfile '{path}'\n"),
        format!("<?xml version='1.0'?><MPD><Period><BaseURL>file://{path}</BaseURL></Period></MPD>"),
        format!("v=0\nc=IN IP4 127.0.0.1\nm=video 1 RTP/AVP 96\na={path}\n"),
    ] {
        assert_eq!(kind(decode(list.clone().into()).await), Kind::VideoUnreadable, "{list}");
    }
}

#[tokio::test]
async fn codecs_and_containers_that_nobody_documents_stay_closed() {
    for (codec, container) in [("ffv1", "mkv"), ("mjpeg", "avi"), ("mpeg2video", "mpg"), ("gif", "gif")] {
        let Some(clip) = made(&format!("-f lavfi -i testsrc2=s=320x240:r=5:d=2 -c:v {codec}"), container) else {
            return;
        };
        assert_eq!(kind(decode(clip).await), Kind::VideoUnreadable, "{codec} in {container}");
    }
}

#[tokio::test]
async fn huge_pictures_are_refused() {
    let Some(huge) =
        made("-f lavfi -i color=s=8192x4320:r=1:d=2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p", "mp4")
    else {
        return;
    };
    assert!(huge.len() < 4_000_000, "small to send");
    assert_eq!(kind(decode(huge).await), Kind::VideoUnreadable);
}

#[tokio::test]
async fn of_a_hundred_streams_the_first_is_looked_at_or_none() {
    let maps = "-map 0:v ".repeat(100);
    for container in ["mp4", "mkv", "avi"] {
        let Some(many) = made(&format!("-f lavfi -i color=s=64x64:r=5:d=2 {maps} -c:v mpeg4"), container) else {
            return;
        };
        match decode(many).await {
            Ok(video) => assert_eq!((video.duration_ms, video.frames.len()), (2000, 24), "{container}"),
            Err(error) => assert_eq!(error.kind(), Kind::VideoUnreadable, "{container}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn a_clip_that_takes_too_long_is_given_up() {
    let Some(clip) = made(&scene("10"), "mp4") else { return };
    let hasty = Ffmpeg::new("ffmpeg".into(), Duration::from_millis(1), 1);
    let error = hasty.decode(clip.clone(), RULES).await.err().expect("a millisecond is too short");
    assert_eq!((error.kind(), error.message()), (Kind::VideoUnreadable, "the clip cannot be decoded within 0.001 s"));
    assert_eq!(hasty.slots.available_permits(), 1, "its slot is free again");
}

#[tokio::test]
async fn one_clip_too_many_is_told_to_come_back() {
    let busy = decoder();
    let _other = busy.slots.acquire().await.unwrap();
    assert_eq!(kind(busy.decode(Bytes::from_static(b"clip"), RULES).await), Kind::Overloaded);
}

#[tokio::test]
async fn without_the_program_clips_are_unsupported() {
    let absent = Ffmpeg::new("likeness-no-such-program".into(), Duration::from_secs(20), 1);
    assert_eq!(kind(absent.decode(Bytes::from_static(b"clip"), RULES).await), Kind::Unsupported);
}

#[test]
fn pictures_are_thinned_out_evenly() {
    let pictures = |n: usize| vec![Bytes::from_static(b"x"); n];
    let times = |n: usize, frames_max: usize| {
        let video = frames(pictures(n), VideoRules { frames_max, ..RULES }).unwrap();
        video.frames.iter().map(|frame| frame.at_ms).collect::<Vec<_>>()
    };
    assert_eq!(times(12, 100), [0, 83, 166, 250, 333, 416, 500, 583, 666, 750, 833, 916]);
    assert_eq!(times(12, 4), [0, 250, 500, 750]);
    assert_eq!(times(13, 1), [0]);
    assert_eq!(times(100, 7).len(), 7);
}
