"""Liveness through the real server, models and ffmpeg: clips made from portraits by known warps, and pictures.

The clips show that the right thing is seen and the wrong one refused; they say nothing about attacks in the field.
"""

import base64
import shutil

import clips
import conftest
import harness
import numpy
import pytest
from huaweicloudsdkcore.http.formdata import FormFile
from huaweicloudsdkfrs import v2 as frs_v2


@pytest.fixture(scope="session")
def liveness_packs():
    """The packs: the shared ones, and those that liveness needs."""
    weights = harness.SHARED / "models"
    if not (weights / "minifasnet_v2_2.7_80.onnx").exists():
        pytest.skip("needs ../shared/models")
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg")
    harness.run("pack", "install", "attributes")
    harness.run("pack", "install", "liveness", "--from", weights)


@pytest.fixture(scope="session")
def live_server(liveness_packs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    with harness.photo_server(folder) as (host, base):
        with harness.Server(tmp_path_factory.mktemp("live"), "--fetch-allow", host) as running:
            running.folder, running.clips = folder, base
            yield running


@pytest.fixture(scope="session")
def live(live_server):
    return conftest.sdk(live_server.url, harness.create_key(live_server.data, "live"))


@pytest.fixture(scope="session")
def anna():
    return clips.portrait("obama.jpg")


@pytest.fixture(scope="session")
def bert():
    return clips.portrait("biden.jpg")


def judged(live, frames, actions, **options):
    body = frs_v2.LiveDetectBase64Req(video_base64=base64.b64encode(clips.encode(frames)).decode(), actions=actions, **options)
    return live.detect_live_by_base64(frs_v2.DetectLiveByBase64Request(body=body))


def warnings(answer):
    return [warning.warning_code for warning in answer.warning_list]


@pytest.mark.parametrize("who", ["anna", "bert"])
def test_actions_in_the_order_asked_for(live, request, who):
    image = request.getfixturevalue(who)
    rest = clips.still(image)
    frames = rest + clips.turn(image, 25) + rest + clips.nod(image, 18) + rest + clips.open_mouth(image) + rest
    answer = judged(live, frames, "1,3,4")
    assert answer.video_result.alive is True and warnings(answer) == []
    assert [seen.action for seen in answer.video_result.actions] == [1, 3, 4]
    assert all(0.5 <= seen.confidence <= 1 for seen in answer.video_result.actions)
    assert base64.b64decode(answer.video_result.picture).startswith(b"\xff\xd8\xff")
    wrong = judged(live, frames, "3,1")
    assert wrong.video_result.alive is False and warnings(wrong) == [6]
    windows = judged(live, frames, "1,3", action_time="0-1600,1600-3200")
    assert windows.video_result.alive is True
    late = judged(live, frames, "1", action_time="2500-4000")
    assert late.video_result.alive is False and warnings(late) == [6]


def test_left_is_the_person_s_left(live, bert):
    frames = clips.still(bert) + clips.turn(bert, -25) + clips.still(bert)
    assert judged(live, frames, "2").video_result.alive is True
    assert judged(live, frames, "1").video_result.alive is False


def test_a_nod_is_as_deep_as_asked(live, anna):
    frames = clips.still(anna) + clips.nod(anna, 18) + clips.still(anna)
    assert judged(live, frames, "3", nod_threshold=8).video_result.alive is True
    assert judged(live, frames, "3", nod_threshold=40).video_result.alive is False


def test_a_still_photograph_is_refused(live, anna):
    assert warnings(judged(live, clips.still(anna, 2), "1")) == [6]


@pytest.mark.parametrize(("act", "degrees", "action"), [(clips.turn, 30, "1"), (clips.turn, -45, "2"), (clips.nod, 30, "3")])
def test_a_photograph_that_is_tilted_is_refused(live, anna, act, degrees, action):
    answer = judged(live, clips.still(anna) + act(anna, degrees, flat=True) + clips.still(anna), action)
    assert answer.video_result.alive is False
    assert 6 in warnings(answer)


def test_two_people_are_refused(live, anna, bert):
    handed_over = clips.still(anna, 1.2) + clips.turn(bert, 25) + clips.still(bert)
    answer = judged(live, handed_over, "1")
    assert answer.video_result.alive is False and 4 in warnings(answer)


def test_every_way_to_hand_in_a_clip(live, live_server, anna):
    clip = clips.encode(clips.still(anna) + clips.turn(anna, 25) + clips.still(anna))
    path = live_server.folder / "turn.mp4"
    path.write_bytes(clip)
    text = base64.b64encode(clip).decode()
    url = f"{live_server.clips}/turn.mp4"
    by_base64, by_url = frs_v2.LiveDetectBase64Req(video_base64=text, actions="1"), frs_v2.LiveDetectUrlReq(video_url=url, actions="1")
    answers = [
        live.detect_live_by_base64(frs_v2.DetectLiveByBase64Request(body=by_base64)),
        live.detect_live_by_base64_intl(frs_v2.DetectLiveByBase64IntlRequest(body=by_base64)),
        live.detect_live_by_url(frs_v2.DetectLiveByUrlRequest(body=by_url)),
        live.detect_live_by_url_intl(frs_v2.DetectLiveByUrlIntlRequest(body=by_url)),
    ]
    with open(path, "rb") as file:
        body = frs_v2.DetectLiveByFileRequestBody(video_file=FormFile(file), actions="1")
        answers.append(live.detect_live_by_file(frs_v2.DetectLiveByFileRequest(body=body)))
    with open(path, "rb") as file:
        body = frs_v2.DetectLiveByFileIntlRequestBody(video_file=FormFile(file), actions="1")
        answers.append(live.detect_live_by_file_intl(frs_v2.DetectLiveByFileIntlRequest(body=body)))
    assert all(answer.video_result.alive is True for answer in answers)
    assert len({answer.video_result.picture for answer in answers}) == 1


def test_case_093_clips_that_are_refused(live, anna):
    def refused(video, actions="1"):
        body = frs_v2.LiveDetectBase64Req(video_base64=base64.b64encode(video).decode(), actions=actions)
        return conftest.refused(live.detect_live_by_base64, frs_v2.DetectLiveByBase64Request(body=body))

    clip = clips.encode(clips.still(anna, 1.5))
    assert refused(clip, "9") == (400, "FRS.0702")
    assert refused(clip, ",".join("1" * 11)) == (400, "FRS.0704")
    assert refused(clips.encode(clips.still(anna, 20))) == (400, "FRS.0706")
    assert refused(b"a text file, and no clip at all") == (400, "FRS.0701")
    assert refused(clip[: len(clip) // 2]) == (400, "FRS.0701")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{harness.portrait('obama.jpg')}\n".encode()
    assert refused(playlist) == (400, "FRS.0701")


def test_a_clip_without_a_face(live):
    grey = numpy.full((480, 640, 3), 128, dtype=numpy.uint8)
    answer = judged(live, [grey] * 40, "1")
    assert answer.video_result.alive is False and warnings(answer) == [5]
    assert answer.video_result.picture == ""


@pytest.mark.parametrize(("name", "alive"), [("live_1.jpg", True), ("attack_1.jpg", False), ("attack_2.jpg", False)])
def test_a_picture_is_judged(live, live_server, name, alive):
    path = harness.SHARED / "eval" / "liveness" / name
    if not path.exists():
        pytest.skip(f"needs {path.relative_to(harness.ROOT.parent)}")
    photo = path.read_bytes()
    body = frs_v2.LiveDetectFaceBase64Req(image_base64=base64.b64encode(photo).decode())
    answers = [live.detect_live_face_by_base64(frs_v2.DetectLiveFaceByBase64Request(body=body))]
    (live_server.folder / name).write_bytes(photo)
    body = frs_v2.LiveDetectFaceUrlReq(image_url=f"{live_server.clips}/{name}")
    answers.append(live.detect_live_face_by_url(frs_v2.DetectLiveFaceByUrlRequest(body=body)))
    with open(path, "rb") as file:
        body = frs_v2.DetectLiveFaceByFileRequestBody(image_file=FormFile(file))
        answers.append(live.detect_live_face_by_file(frs_v2.DetectLiveFaceByFileRequest(body=body)))
    for answer in answers:
        assert answer.result.alive is alive
        assert answer.result.alive is (answer.result.confidence > 0.5)
        assert base64.b64decode(answer.result.picture) == photo
