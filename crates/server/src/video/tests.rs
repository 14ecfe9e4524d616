use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::process::Command as Program;
use std::time::Instant;

use likeness_domain::access::Share;

use super::*;

const RULES: VideoRules = VideoRules { duration_ms_min: 1000, duration_ms_max: 15_000, frames_max: 24, share: SHARE };

const SHARE: Share = Share { tenant: likeness_domain::types::TenantId::from_bits(1), weight: 1 };

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

fn settings(program: impl Into<PathBuf>) -> Settings {
    Settings {
        program: program.into(),
        confinement: Confinement::Required,
        deadline: Duration::from_secs(20),
        concurrent_max: 1,
        queue_max: 0,
    }
}

/// A program that is built beside this test; `cargo test -p likeness-server` builds all of them.
fn built(path: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let built = test.parent().and_then(Path::parent).expect("tests are in a folder of their own").join(path);
    assert!(built.is_file(), "{} is not built; hint: run all tests of this crate", built.display());
    built
}

/// A decoder with these settings. This test is not the server's executable, so that is named.
fn with(settings: Settings) -> Ffmpeg {
    Ffmpeg::launched_by(built("likeness"), &settings)
}

fn decoder() -> Ffmpeg {
    with(settings("ffmpeg"))
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
    let hasty = with(Settings { deadline: Duration::from_millis(1), ..settings("ffmpeg") });
    let error = hasty.decode(clip.clone(), RULES).await.err().expect("a millisecond is too short");
    assert_eq!((error.kind(), error.message()), (Kind::VideoUnreadable, "the clip cannot be decoded within 0.001 s"));
    // Its slot is free again, or this one would be told that the server is busy.
    assert_eq!(kind(hasty.decode(Bytes::from_static(b"clip"), RULES).await), Kind::VideoUnreadable);
}

#[tokio::test]
async fn one_clip_too_many_is_told_to_come_back() {
    let busy = decoder();
    let _other = busy.slots.enter(SHARE).await.unwrap();
    assert_eq!(kind(busy.decode(Bytes::from_static(b"clip"), RULES).await), Kind::Overloaded);
}

#[tokio::test]
async fn without_the_program_clips_are_unsupported() {
    for absent in ["likeness-no-such-program", "./ffmpeg", "/no/such/program", "/etc/passwd", "/"] {
        let answer = with(settings(absent)).decode(Bytes::from_static(b"clip"), RULES).await;
        assert_eq!(kind(answer), Kind::Unsupported, "{absent}");
    }
}

/// What a hostile decoder could do to a server: the pieces of one, and its report.
struct Victim {
    folder: tempfile::TempDir,
    _socket: UnixListener,
    port: TcpListener,
    /// Open without the flag that closes it in other programs, as a file that the server was started with may be.
    inherited: File,
}

impl Victim {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in ["likeness.db", "remove", "rename"] {
            fs::write(folder.path().join(file), "secret").unwrap();
        }
        let _socket = UnixListener::bind(folder.path().join("likeness.sock")).unwrap();
        let inherited = File::open(folder.path().join("likeness.db")).unwrap();
        rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
        Self { folder, _socket, port: TcpListener::bind("127.0.0.1:0").unwrap(), inherited }
    }

    /// The clip that names them.
    fn clip(&self) -> Bytes {
        let folder = self.folder.path().display();
        let (address, descriptor) = (self.port.local_addr().unwrap(), self.inherited.as_raw_fd());
        let text = format!(
            "data={folder}\ndatabase={folder}/likeness.db\nwrite={folder}/written\nremove={folder}/remove\n\
             rename={folder}/rename\nsocket={folder}/likeness.sock\naddress={address}\n\
             descriptor=/proc/self/fd/{descriptor}\n"
        );
        text.into()
    }

    /// What a hostile decoder tried, and whether it could.
    async fn attacked(&self, confinement: Confinement) -> BTreeMap<String, String> {
        let hostile = with(Settings { confinement, ..settings(built("examples/hostile_decoder")) });
        let video = hostile.decode(self.clip(), RULES).await.expect("its report has the form of pictures");
        let report = String::from_utf8(video.frames[0].picture.to_vec()).unwrap();
        report.lines().map(|line| line.split_once(": ").unwrap()).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    }
}

#[tokio::test]
async fn a_hostile_decoder_reaches_nothing_where_it_is_confined() {
    let victim = Victim::new();
    let attacks = victim.attacked(Confinement::Required).await;
    assert_eq!(attacks.len(), 20, "{attacks:#?}");
    assert!(attacks.values().all(|outcome| outcome != "done" && !outcome.contains("not named")), "{attacks:#?}");
    let mut left: Vec<_> =
        fs::read_dir(victim.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["likeness.db", "likeness.sock", "remove", "rename"]);
    assert_eq!(fs::read(victim.folder.path().join("likeness.db")).unwrap(), b"secret");
}

#[tokio::test]
async fn the_same_decoder_would_do_all_of_it_unconfined() {
    // Limits stand all the same, and nothing that was open passes to it.
    let prevented = ["take much memory", "use a descriptor of the parent"];
    let mut attacks = Victim::new().attacked(Confinement::Off).await;
    // Only an administrator may.
    attacks.remove("raise its limits");
    for (attack, outcome) in attacks {
        assert_eq!(outcome == "done", !prevented.contains(&attack.as_str()), "{attack}: {outcome}");
    }
}

#[tokio::test]
async fn a_decoder_with_too_many_threads_is_ended_and_so_is_one_that_only_waits() {
    let hostile = with(settings(built("examples/hostile_decoder")));
    let error = hostile.decode(Bytes::from_static(b"many_threads=1"), RULES).await.err().expect("it is ended");
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::VideoUnreadable, "the clip's decoder began more than 64 threads")
    );
    let deadline = Duration::from_secs(1);
    let hostile = with(Settings { deadline, ..settings(built("examples/hostile_decoder")) });
    let error = hostile.decode(Bytes::from_static(b"no_end=1"), RULES).await.err().expect("it is ended");
    assert_eq!((error.kind(), error.message()), (Kind::VideoUnreadable, "the clip cannot be decoded within 1 s"));
}

#[tokio::test]
async fn a_script_is_refused_as_a_confined_decoder_and_runs_as_another() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("ffmpeg");
    fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let clip = Bytes::from_static(b"clip");
    let confined = with(settings(&script)).decode(clip.clone(), RULES).await;
    assert_eq!(kind(confined), Kind::Unsupported);
    let off = with(Settings { confinement: Confinement::Off, ..settings(&script) }).decode(clip, RULES).await;
    assert_eq!(kind(off), Kind::VideoUnreadable, "it ran and made no pictures");
}

#[tokio::test]
async fn where_the_kernel_cannot_confine_clips_are_refused_unless_that_is_allowed() {
    // A launcher that cannot confine stands for such a kernel.
    let folder = tempfile::tempdir().unwrap();
    let old_kernel = folder.path().join("launcher");
    fs::write(&old_kernel, "#!/bin/sh\n[ $# = 1 ] && echo 'Landlock: not in this kernel' && exit 125\nexit 0\n")
        .unwrap();
    fs::set_permissions(&old_kernel, fs::Permissions::from_mode(0o755)).unwrap();
    let reason = "Landlock: not in this kernel".to_owned();
    for (confinement, expected) in [
        (Confinement::Required, Confined::Refused(reason.clone())),
        (Confinement::Preferred, Confined::Impossible(reason)),
        (Confinement::Off, Confined::Off),
    ] {
        assert_eq!(confinement_by(&old_kernel, &Settings { confinement, ..settings("ffmpeg") }).await, expected);
    }
    let decode = async |confinement| {
        let settings = Settings { confinement, ..settings("/bin/true") };
        kind(Ffmpeg::launched_by(old_kernel.clone(), &settings).decode(Bytes::from_static(b"clip"), RULES).await)
    };
    assert_eq!(decode(Confinement::Required).await, Kind::Unsupported);
    assert_eq!(decode(Confinement::Preferred).await, Kind::VideoUnreadable, "it ran and made no pictures");
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
