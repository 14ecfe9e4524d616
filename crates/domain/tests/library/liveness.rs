//! Clips and pictures of living people, of photographs, and of two people; made of fake heads whose every angle is known.

use likeness_domain::library::{ClipLiveness, LiveClip, VideoInput};
use likeness_domain::liveness::{self, Action, LivenessReason, WantedAction};
use likeness_domain::types::{Aspects, BoundingBox, DenseLandmarks, Point, Pose};
use likeness_testkit::FakeHead;

use super::*;

/// Milliseconds between the pictures of the clips made here.
const STEP_MS: u32 = 100;

/// Somebody before the camera, picture by picture.
#[derive(Clone)]
struct Acted {
    scenes: Vec<String>,
    name: &'static str,
    is_flat: bool,
}

impl Acted {
    fn by(name: &'static str) -> Self {
        Self { scenes: Vec::new(), name, is_flat: false }
    }

    fn flat(self) -> Self {
        Self { is_flat: true, ..self }
    }

    fn shown(mut self, words: &str) -> Self {
        let flat = u8::from(self.is_flat);
        self.scenes.push(format!("face {} 200x240+100+100 flat={flat} {words}", self.name));
        self
    }

    fn scene(mut self, scene: &str) -> Self {
        self.scenes.push(scene.to_owned());
        self
    }

    /// Looks into the camera for so many pictures.
    fn waits(self, n_pictures: usize) -> Self {
        (0..n_pictures).fold(self, |acted, _| acted.shown("yaw=0.5 pitch=-1"))
    }

    /// Goes from rest to the peak and back in eleven pictures.
    fn moves(self, words: impl Fn(f32) -> String) -> Self {
        (0..=10).fold(self, |acted, step| acted.shown(&words((step as f32 * std::f32::consts::PI / 10.0).sin())))
    }

    fn turns(self, degrees: f32) -> Self {
        self.moves(|share| format!("yaw={} pitch=0", share * degrees))
    }

    fn nods(self, degrees: f32) -> Self {
        self.moves(|share| format!("yaw=0 pitch={}", -share * degrees))
    }

    fn opens_the_mouth(self, ratio: f32) -> Self {
        self.moves(|share| format!("yaw=0 pitch=0 mouth={}", share * ratio))
    }

    fn blinks(self) -> Self {
        self.shown("yaw=0 pitch=0 eyes=0.1")
    }

    fn clip(&self) -> Bytes {
        let mut clip = format!("clip {}\n", self.scenes.len() as u32 * STEP_MS);
        for (scene_idx, scene) in self.scenes.iter().enumerate() {
            clip.push_str(&format!("at {}\n{scene}\n", scene_idx as u32 * STEP_MS));
        }
        clip.into()
    }
}

fn wanted(actions: &[Action]) -> Vec<WantedAction> {
    actions.iter().map(|&action| WantedAction { action, window_ms: None }).collect()
}

fn request(clip: Bytes, actions: Vec<WantedAction>) -> LiveClip {
    let video = VideoInput {
        source: ImageSource::Bytes(clip),
        bytes_max: 100_000,
        fetch_deadline: Duration::from_secs(3),
        duration_ms: (1000, 15_000),
    };
    LiveClip { video, actions, nod_degrees: 10.0 }
}

fn fixture() -> Fixture {
    Fixture::with_analyzer(FakeAnalyzer::new().limited_to(Aspects::LANDMARKS.and(Aspects::POSE)))
}

fn judged(acted: &Acted, actions: &[Action]) -> ClipLiveness {
    let fixture = fixture();
    block_on(fixture.library.clip_liveness(&fixture.caller, request(acted.clip(), wanted(actions)))).unwrap()
}

#[track_caller]
fn check_alive(acted: &Acted, actions: &[Action]) {
    let answer = judged(acted, actions);
    let seen: Vec<_> = answer.actions.iter().map(|action| action.confidence).collect();
    assert!(answer.is_alive && answer.reasons.is_empty(), "{seen:?} {:?}", answer.reasons);
    assert!(answer.actions.iter().all(|action| action.is_seen()), "{seen:?}");
    assert!(answer.picture.is_some());
}

#[track_caller]
fn check_refused(acted: &Acted, actions: &[Action], reasons: &[LivenessReason]) -> ClipLiveness {
    let answer = judged(acted, actions);
    assert!(!answer.is_alive, "{:?}", answer.actions);
    assert_eq!(answer.reasons, reasons, "{:?}", answer.actions);
    answer
}

fn anna() -> Acted {
    Acted::by("anna").waits(5)
}

#[test]
fn each_action_is_seen_when_it_is_done() {
    check_alive(&anna().turns(30.0), &[Action::TurnLeft]);
    check_alive(&anna().turns(-30.0), &[Action::TurnRight]);
    check_alive(&anna().nods(20.0), &[Action::Nod]);
    check_alive(&anna().nods(-20.0), &[Action::Nod]);
    check_alive(&anna().opens_the_mouth(0.6), &[Action::OpenMouth]);
    check_alive(&anna().blinks().waits(5), &[Action::Blink]);
}

#[test]
fn each_action_is_missed_when_another_is_done() {
    let acts = [
        (Action::TurnLeft, anna().turns(30.0)),
        (Action::TurnRight, anna().turns(-30.0)),
        (Action::Nod, anna().nods(20.0)),
        (Action::OpenMouth, anna().opens_the_mouth(0.6)),
        (Action::Blink, anna().blinks().waits(5)),
    ];
    for (done, acted) in &acts {
        for asked in Action::ALL.into_iter().filter(|asked| asked != done) {
            // Looking down closes the eyes a little, as seen from the front: a nod may pass for a blink.
            if (*done, asked) != (Action::Nod, Action::Blink) {
                check_refused(acted, &[asked], &[LivenessReason::SmallMovement]);
            }
        }
    }
}

#[test]
fn actions_count_in_the_order_asked_for() {
    let acted = anna().turns(25.0).waits(3).nods(15.0).waits(3).opens_the_mouth(0.5);
    check_alive(&acted, &[Action::TurnLeft, Action::Nod, Action::OpenMouth]);
    check_alive(&acted, &[Action::TurnLeft, Action::OpenMouth]);
    let answer = check_refused(&acted, &[Action::Nod, Action::TurnLeft], &[LivenessReason::SmallMovement]);
    let seen: Vec<_> = answer.actions.iter().map(|action| (action.action, action.is_seen())).collect();
    assert_eq!(seen, [(Action::Nod, true), (Action::TurnLeft, false)]);
    check_refused(&acted, &[Action::TurnLeft, Action::TurnLeft], &[LivenessReason::SmallMovement]);
    check_alive(&anna().turns(25.0).turns(25.0), &[Action::TurnLeft, Action::TurnLeft]);
    check_alive(&anna().turns(25.0).turns(-25.0), &[Action::TurnLeft, Action::TurnRight]);
}

#[test]
fn an_action_outside_its_window_does_not_count() {
    // From 0.5 to 1.6 s.
    let acted = anna().turns(25.0).waits(20);
    let fixture = fixture();
    let judged = |window_ms| {
        let actions = vec![WantedAction { action: Action::TurnLeft, window_ms: Some(window_ms) }];
        block_on(fixture.library.clip_liveness(&fixture.caller, request(acted.clip(), actions))).unwrap()
    };
    assert!(judged((0, 2000)).is_alive);
    assert!(judged((1000, 3000)).is_alive, "an action that is under way when its window opens counts");
    let late = judged((2000, 3000));
    assert!(!late.is_alive && late.reasons == [LivenessReason::SmallMovement] && late.actions[0].confidence < 0.1);
}

#[test]
fn confidence_grows_with_the_movement() {
    let confidence = |degrees| judged(&anna().turns(degrees), &[Action::TurnLeft]).actions[0].confidence;
    let found = [5.0, 10.0, 14.0, 17.0, 24.0, 40.0].map(confidence);
    assert!(found.is_sorted() && found[0] > 0.05, "{found:?}");
    assert!(found[2] < 0.5 && found[3] >= 0.5 && found[5] == 1.0, "{found:?}");
    check_refused(&anna().turns(12.0), &[Action::TurnLeft], &[LivenessReason::SmallMovement]);
    // The depth of a nod is for the caller to say.
    let fixture = fixture();
    let nod = |nod_degrees| {
        let request = LiveClip { nod_degrees, ..request(anna().nods(14.0).clip(), wanted(&[Action::Nod])) };
        block_on(fixture.library.clip_liveness(&fixture.caller, request)).unwrap().is_alive
    };
    assert!(nod(10.0) && !nod(20.0));
}

#[test]
fn a_still_photograph_is_refused() {
    check_refused(&anna().waits(20), &[Action::TurnLeft], &[LivenessReason::SmallMovement]);
    // Moved about in its plane.
    let mut moved = anna();
    for step in 0..20 {
        moved = moved.scene(&format!(
            "face anna 200x240+{}+{} flat=1 yaw=0 pitch=0 roll={}",
            100 + step * 7,
            100 + step * 4,
            step * 2
        ));
    }
    check_refused(&moved, &[Action::TurnLeft, Action::Nod], &[LivenessReason::SmallMovement]);
}

#[test]
fn a_photograph_that_is_tilted_is_refused() {
    for (acted, action) in [
        (anna().flat().waits(3).turns(30.0), Action::TurnLeft),
        (anna().flat().waits(3).turns(-45.0), Action::TurnRight),
        (anna().flat().waits(3).nods(25.0), Action::Nod),
    ] {
        let answer = check_refused(&acted, &[action], &[LivenessReason::SmallMovement, LivenessReason::NotReal]);
        assert_eq!(answer.actions[0].confidence, 0.0);
    }
}

#[test]
fn depth_tells_a_head_from_its_picture() {
    let bounding_box = BoundingBox { left: 100, top: 100, width: 200, height: 240 };
    let depth = |yaw, pitch, is_flat| {
        let head = |pose| FakeHead { pose, is_flat, ..FakeHead::default() }.landmarks(&bounding_box);
        liveness::depth(&head(Pose::default()), &head(Pose { yaw, pitch, roll: 5.0 })).unwrap()
    };
    for (yaw, pitch, least) in
        [(15.0, 0.0, 0.03), (30.0, 0.0, 0.06), (-20.0, 0.0, 0.04), (0.0, 12.0, 0.025), (0.0, -15.0, 0.03)]
    {
        let (head, picture) = (depth(yaw, pitch, false), depth(yaw, pitch, true));
        assert!(head >= least && picture < 0.015, "{yaw} {pitch}: a head {head}, a picture {picture}");
    }
}

/// As a pack with a face mesh measures: `share` of the turn is shown.
fn with_mesh(acted: Acted, share: f32) -> Acted {
    let scenes = acted.scenes.iter().map(|scene| format!("{scene} mesh={share}")).collect();
    Acted { scenes, ..acted }
}

#[test]
fn a_mesh_tells_each_action() {
    check_alive(&with_mesh(anna().turns(15.0), 0.75), &[Action::TurnLeft]);
    check_alive(&with_mesh(anna().turns(-15.0), 0.75), &[Action::TurnRight]);
    check_alive(&with_mesh(anna().nods(15.0), 0.9), &[Action::Nod]);
    check_alive(&with_mesh(anna().opens_the_mouth(0.6), 1.0), &[Action::OpenMouth]);
    check_alive(&with_mesh(anna().blinks().waits(5), 1.0), &[Action::Blink]);
    check_refused(&with_mesh(anna().turns(9.0), 1.0), &[Action::TurnLeft], &[LivenessReason::SmallMovement]);
    check_refused(&with_mesh(anna().waits(20), 1.0), &Action::ALL[..1], &[LivenessReason::SmallMovement]);
}

#[test]
fn a_mesh_that_turns_less_than_it_is_foreshortened_is_a_sheet() {
    // Its points are as deep as a head's, so that only the foreshortening tells.
    let sheet = with_mesh(anna().turns(45.0), 0.3);
    let answer = check_refused(&sheet, &[Action::TurnLeft], &[LivenessReason::SmallMovement, LivenessReason::NotReal]);
    assert_eq!(answer.actions[0].confidence, 0.0);
    check_refused(
        &with_mesh(anna().flat().waits(3).turns(40.0), 0.4),
        &[Action::TurnLeft],
        &[LivenessReason::SmallMovement, LivenessReason::NotReal],
    );
}

#[test]
fn foreshortening_is_the_tilt_of_a_sheet() {
    let bounding_box = BoundingBox { left: 100, top: 100, width: 200, height: 240 };
    let points = |yaw, pitch, is_flat| {
        let pose = Pose { yaw, pitch, roll: 10.0 };
        FakeHead { pose, is_flat, ..FakeHead::default() }.landmarks(&bounding_box)
    };
    let rest = points(0.0, 0.0, true);
    assert!(liveness::foreshortening(&rest, &rest).unwrap() < 1.0);
    for (yaw, pitch, degrees) in [(30.0, 0.0, 30.0), (-45.0, 0.0, 45.0), (0.0, 25.0, 25.0)] {
        let found = liveness::foreshortening(&rest, &points(yaw, pitch, true)).unwrap();
        assert!((found - degrees).abs() < 4.0, "{yaw} {pitch}: {found}");
    }
    let line = DenseLandmarks(Box::new([Point { x: 1.0, y: 2.0 }; 68]));
    assert_eq!(liveness::foreshortening(&line, &rest), None);
}

#[test]
fn two_people_are_refused() {
    let other = |words: &str| format!("face anna 200x240+100+100 mouth=0 {words}\nface bert 150x180+400+100");
    let together = (0..20).fold(anna(), |acted, _| acted.scene(&other("yaw=0 pitch=0"))).turns(30.0);
    check_refused(&together, &[Action::TurnLeft], &[LivenessReason::SeveralFaces]);
    // One after the other: bert turns his head for anna.
    let bert = Acted { name: "bert", ..anna().waits(5) };
    check_refused(&bert.clone().turns(30.0), &[Action::TurnLeft], &[LivenessReason::SeveralFaces]);
    let back = Acted { name: "anna", ..bert.turns(30.0) }.waits(20);
    check_refused(&back, &[Action::TurnLeft], &[LivenessReason::SeveralFaces, LivenessReason::SmallMovement]);
    // Somebody small in the background, and a detector that is wrong once, are no matter.
    let far = (0..10)
        .fold(anna(), |acted, _| acted.scene("face anna 200x240+100+100 yaw=0 mouth=0\nface bert 60x80+400+100"));
    check_alive(&far.scene(&other("yaw=0")).turns(30.0), &[Action::TurnLeft]);
}

#[test]
fn a_head_turned_far_is_still_the_same_person() {
    // Each step resembles the one before, the last ones hardly the first.
    let names = ["anna", "anna~0.8", "anna~0.5", "anna~0.2", "anna~0.5", "anna~0.8", "anna"];
    let yaws = [0.0, 10.0, 25.0, 40.0, 25.0, 10.0, 0.0];
    let turning = names
        .into_iter()
        .zip(yaws)
        .fold(anna(), |acted, (name, yaw)| Acted { name, ..acted }.shown(&format!("yaw={yaw} pitch=0")));
    check_alive(&Acted { name: "anna", ..turning }.waits(5), &[Action::TurnLeft]);
}

#[test]
fn a_clip_must_begin_with_a_frontal_face() {
    let turned = (0..20).fold(Acted::by("anna"), |acted, _| acted.shown("yaw=35 pitch=0"));
    let reasons = [LivenessReason::NotFrontal, LivenessReason::SmallMovement, LivenessReason::NoGoodPicture];
    check_refused(&turned, &[Action::TurnLeft], &reasons);
}

#[test]
fn a_clip_without_a_face_is_an_answer() {
    let nobody = (0..20).fold(Acted::by("anna"), |acted, _| acted.scene("size 640x480"));
    let answer = check_refused(&nobody, &[Action::Nod, Action::Blink], &[LivenessReason::NoFace]);
    assert!(answer.picture.is_none());
    assert_eq!(answer.actions.len(), 2);
    // Held before the camera now and then.
    let lost = (0..20).fold(anna(), |acted, _| acted.scene("size 640x480")).turns(30.0);
    check_refused(&lost, &[Action::TurnLeft], &[LivenessReason::NotReal]);
}

#[test]
fn the_picture_is_the_largest_frontal_face() {
    let acted = anna().scene("face anna 220x250+100+100 mouth=0 yaw=2 pitch=1").turns(30.0);
    let acted = acted.scene("face anna 300x350+100+100 mouth=0 yaw=30 pitch=1").waits(3);
    let picture = judged(&acted, &[Action::TurnLeft]).picture.unwrap();
    assert!(picture.starts_with(b"face anna 220x250"), "{picture:?}");
}

#[test]
fn the_stage_for_single_pictures_is_asked_where_it_is_installed() {
    let judged = |live: f32| {
        let fixture = Fixture::new();
        let acted = (0..5).fold(Acted::by("anna"), |acted, _| acted.shown(&format!("yaw=0 pitch=0 live={live}")));
        let acted = acted.moves(|share| format!("yaw={} pitch=0 live={live}", share * 30.0));
        let answer = block_on(
            fixture.library.clip_liveness(&fixture.caller, request(acted.clip(), wanted(&[Action::TurnLeft]))),
        );
        let n_asked =
            fixture.analyzer.requests().iter().filter(|asked| asked.assess.aspects == Aspects::LIVENESS).count();
        assert_eq!(n_asked, 3);
        let answer = answer.unwrap();
        (answer.is_alive, answer.reasons)
    };
    assert_eq!(judged(0.9), (true, vec![]));
    assert_eq!(judged(0.3), (false, vec![LivenessReason::NotReal]));
}

#[test]
fn what_is_asked_is_checked_before_the_clip_is_looked_at() {
    let fixture = fixture();
    let ask = |request| block_on(fixture.library.clip_liveness(&fixture.caller, request));
    let no_clip = || Bytes::from_static(b"no clip");
    assert_eq!(check_kind(ask(request(no_clip(), vec![])), Kind::InvalidArgument).field(), Some("actions"));
    check_kind(ask(request(no_clip(), wanted(&[Action::Nod; 11]))), Kind::InvalidArgument);
    let backwards = vec![WantedAction { action: Action::Nod, window_ms: Some((2, 1)) }];
    assert_eq!(check_kind(ask(request(no_clip(), backwards)), Kind::InvalidArgument).field(), Some("windows"));
    for nod_degrees in [0.9, 90.1, f32::NAN] {
        let request = LiveClip { nod_degrees, ..request(no_clip(), wanted(&[Action::Nod])) };
        assert_eq!(check_kind(ask(request), Kind::InvalidArgument).field(), Some("nod_degrees"));
    }
    check_kind(ask(request(no_clip(), wanted(&[Action::Nod]))), Kind::VideoUnreadable);
    check_kind(ask(request(Bytes::from_static(b"clip 999"), wanted(&[Action::Nod]))), Kind::VideoDuration);
    check_kind(ask(request(vec![b'x'; 100_001].into(), wanted(&[Action::Nod]))), Kind::ImageTooLarge);
    check_kind(ask(request(Bytes::from_static(b"clip absent"), wanted(&[Action::Nod]))), Kind::Unsupported);
    let stranger = without(Grant::Search);
    check_kind(block_on(fixture.library.clip_liveness(&stranger, request(no_clip(), vec![]))), Kind::Forbidden);
    let bare = Fixture::with_analyzer(FakeAnalyzer::new().limited_to(Aspects::POSE));
    let error = check_kind(
        block_on(bare.library.clip_liveness(&bare.caller, request(no_clip(), wanted(&[Action::Nod])))),
        Kind::Unsupported,
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("likeness pack install attributes")), "{error:?}");
}

#[test]
fn a_clip_may_come_by_address() {
    let fixture = fixture();
    fixture.fetcher.serve("https://clips.test/1", anna().turns(30.0).clip());
    let mut request = request(Bytes::new(), wanted(&[Action::TurnLeft]));
    request.video.source = ImageSource::Url("https://clips.test/1".to_owned());
    assert!(block_on(fixture.library.clip_liveness(&fixture.caller, request)).unwrap().is_alive);
}

#[test]
fn a_picture_is_judged_by_its_largest_face() {
    let fixture = Fixture::new();
    let judged = |scene: &str| block_on(fixture.library.still_liveness(&fixture.caller, image(scene.to_owned())));
    let scene = "face anna 40x40+10+5 live=0.2\nface bert 80x80+100+5 live=0.9 total=0.8 sharpness=0.7";
    let answer = judged(scene).unwrap();
    assert_eq!((answer.probability, answer.detection.bounding_box.width), (0.9, 80));
    assert_eq!(answer.reasons, [LivenessReason::SeveralFaces]);
    assert_eq!(answer.picture, scene.as_bytes());
    let poor = "face anna 40x40+10+5 live=0.2 total=0.2 sharpness=0.1 frontal=0.1 visibility=0.1 illumination=0.1";
    let all = [
        LivenessReason::LowQuality,
        LivenessReason::Blurred,
        LivenessReason::Turned,
        LivenessReason::Hidden,
        LivenessReason::Dark,
    ];
    assert_eq!(judged(poor).unwrap().reasons, all);
    assert_eq!(judged("face anna 40x40+10+5 live=0.2").unwrap().reasons, []);
    check_kind(judged("size 64x64"), Kind::NoFaceInImage);
    check_kind(judged("error ImageCorrupt"), Kind::ImageCorrupt);
    let stranger = without(Grant::Search);
    check_kind(block_on(fixture.library.still_liveness(&stranger, image(scene))), Kind::Forbidden);
    let bare = Fixture::with_analyzer(FakeAnalyzer::new().limited_to(Aspects::QUALITY));
    let error = check_kind(block_on(bare.library.still_liveness(&bare.caller, image(scene))), Kind::Unsupported);
    assert!(error.hint().is_some_and(|hint| hint.contains("likeness pack install liveness")), "{error:?}");
}
