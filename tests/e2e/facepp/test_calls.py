"""The calls of the Face++ v3 reference with real photographs, by a client that shares no line with the server."""

import base64
import io
import time

import harness
import client
import people
import pytest
import requests
from PIL import Image

THRESHOLDS = {"1e-3": 62.327, "1e-4": 69.101, "1e-5": 73.975}
ZEROS = "0" * 32


def bad(error):
    return (400, error)


def test_key_and_secret(api, server):
    assert client.Client(server.url, "nobody", "x")("faceset/getfacesets").error == (401, "AUTHENTICATION_ERROR")
    wrong = client.Client(server.url, api.keys["api_key"], "wrong")
    assert wrong("faceset/getfacesets").error == (401, "AUTHENTICATION_ERROR")
    anonymous = requests.post(api.url + "detect", timeout=60)
    assert client.Answer(anonymous).error == bad("MISSING_ARGUMENTS: api_key")
    assert api("nothing").error == (404, "API_NOT_FOUND")


def test_fields_may_be_anywhere(api):
    assert api.in_query("faceset/create", outer_id="in-query")["outer_id"] == "in-query"
    assert api.urlencoded("faceset/create", outer_id="in-body", tags="a,b")["face_count"] == 0
    listed = api.in_query("faceset/getfacesets")["facesets"]
    assert [faceset["outer_id"] for faceset in listed] == ["in-query", "in-body"]


def test_detect(api, photos):
    answer = api.detect(photos.P1, return_landmark=1, return_attributes="gender,age,headpose")
    face = answer["faces"][0]
    box = face["face_rectangle"]
    assert answer["face_num"] == len(answer["faces"]) == 1 and client.TOKEN.fullmatch(face["face_token"])
    nose = face["landmark"]["nose_tip"]
    assert box["left"] < nose["x"] < box["left"] + box["width"]
    assert box["top"] < nose["y"] < box["top"] + box["height"]
    assert face["landmark"]["left_eye_center"]["x"] < face["landmark"]["right_eye_center"]["x"]
    assert isinstance(face["attributes"], dict)
    assert len(base64.b64decode(answer["image_id"])) == 16


def test_no_face_is_an_answer(api, photos):
    answer = api.detect(photos.nobody)
    assert answer["faces"] == [] and answer["face_num"] == 0
    answer = api("compare", files={"image_file1": photos.nobody, "image_file2": photos.P1})
    assert answer["faces1"] == [] and "confidence" not in answer and "thresholds" not in answer


def test_what_is_no_picture(api):
    assert api("detect").error == bad("MISSING_ARGUMENTS: image_url, image_file, image_base64")
    assert api.detect(b"no picture").error == bad("IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file")
    assert api.detect(b"\xff\xd8\xff\xe0").error == bad("IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file")
    wrong = api("detect", image_base64="%%%")
    assert wrong.error == bad("IMAGE_ERROR_UNSUPPORTED_FORMAT: image_base64")
    inside = api("detect", image_url="http://127.0.0.1:1/a.jpg")
    assert inside.error == bad("INVALID_IMAGE_URL: image_url")


def test_compare(api, photos):
    encoded = base64.b64encode(photos.P1b).decode()
    same = api("compare", files={"image_file1": photos.P1}, image_base64_2=encoded)
    assert same["thresholds"] == THRESHOLDS and same["confidence"] > THRESHOLDS["1e-5"]
    other = api("compare", face_token1=same["faces1"][0]["face_token"], files={"image_file2": photos.P2})
    assert other["confidence"] < THRESHOLDS["1e-4"] and "faces1" not in other and "image_id2" in other
    assert round(other["confidence"], 3) == other["confidence"]
    assert api("compare", face_token1=ZEROS, face_token2=ZEROS).error == bad(f"INVALID_FACE_TOKEN: {ZEROS}")


@pytest.mark.parametrize("angle", [45, 90, 180, 270])
def test_turned_photographs_are_found_and_kept(api, photos, angle):
    upright = Image.open(io.BytesIO(photos.P1b)).convert("RGB")
    turned = people.jpeg(upright.rotate(angle, expand=True, fillcolor=(128, 128, 128)), quality=92)
    api("faceset/create", outer_id="lobby")
    first = api.add("lobby", photos.P1)
    best = api("search", files={"image_file": turned}, outer_id="lobby")["results"][0]
    assert best["face_token"] == first and best["confidence"] > THRESHOLDS["1e-5"]
    second = api.add("lobby", turned)
    assert {second, first} == set(api.tokens("lobby"))


def test_search(api, photos):
    api("faceset/create", outer_id="lobby")
    assert api("search", files={"image_file": photos.P1}, outer_id="lobby").error == bad("EMPTY_FACESET")
    first, second = api.add("lobby", photos.P1), api.add("lobby", photos.P2)
    assert api("face/setuserid", face_token=first, user_id="anna")["user_id"] == "anna"
    best = api("search", files={"image_file": photos.P1b}, outer_id="lobby")
    assert [(result["face_token"], result["user_id"]) for result in best["results"]] == [(first, "anna")]
    assert best["results"][0]["confidence"] > THRESHOLDS["1e-5"] and best["thresholds"] == THRESHOLDS
    by_token = api("search", face_token=second, outer_id="lobby", return_result_count=5)
    assert [result["face_token"] for result in by_token["results"]] == [second, first]
    assert by_token["results"][0]["confidence"] == 100 and "faces" not in by_token


def test_a_token_through_its_life(api, photos):
    api("faceset/create", outer_id="lobby", display_name="Lobby")
    api("faceset/create", outer_id="roof")
    token = api.add("lobby", photos.P1)
    assert api("faceset/addface", outer_id="roof", face_tokens=token)["face_added"] == 1
    known = api("face/getdetail", face_token=token)
    assert [faceset["outer_id"] for faceset in known["facesets"]] == ["lobby", "roof"]
    removed = api("faceset/removeface", outer_id="lobby", face_tokens=f"{token},{ZEROS}")
    assert (removed["face_removed"], removed["face_count"]) == (1, 0)
    assert removed["failure_detail"] == [{"face_token": ZEROS, "reason": "INVALID_FACE_TOKEN"}]
    assert api("faceset/delete", outer_id="lobby")["outer_id"] == "lobby"
    assert api("faceset/delete", outer_id="roof").error == bad("FACESET_NOT_EMPTY")
    assert api("faceset/delete", outer_id="roof", check_empty=0)["outer_id"] == "roof"
    assert api("face/getdetail", face_token=token).error == bad(f"INVALID_FACE_TOKEN: {token}")


def test_face_sets(api):
    made = api("faceset/create", display_name="Lobby", tags="door, east", user_data="x")
    assert made["outer_id"] == "" and client.TOKEN.fullmatch(made["faceset_token"])
    by_token = {"faceset_token": made["faceset_token"]}
    assert api("faceset/update", new_outer_id="lobby", tags="door", **by_token)["outer_id"] == "lobby"
    detail = api("faceset/getdetail", **by_token)
    assert (detail["display_name"], detail["tags"], detail["user_data"]) == ("Lobby", "door", "x")
    assert detail["face_tokens"] == [] and "next" not in detail
    assert api("faceset/create", outer_id="lobby").error == bad("FACESET_EXIST")
    assert api("faceset/create", outer_id="lobby", force_merge=1)["faceset_token"] == made["faceset_token"]
    assert len(api("faceset/getfacesets", tags="door")["facesets"]) == 1
    assert api("faceset/getfacesets", tags="west")["facesets"] == []
    assert api("faceset/getdetail", outer_id="nowhere").error == bad("INVALID_OUTER_ID")
    assert api("faceset/getdetail", faceset_token=ZEROS).error == bad("INVALID_FACESET_TOKEN")


def test_later(api, photos):
    api("faceset/create", outer_id="lobby")
    token = api.token(photos.P1)
    task = api("faceset/async/addface", outer_id="lobby", face_tokens=token)["task_id"]
    deadline = time.monotonic() + 60
    while (status := api("faceset/async/task_status", task_id=task))["status"] == 0:
        assert time.monotonic() < deadline, "the task is done"
    assert (status["status"], status["face_added"], status["face_count"]) == (1, 1, 1)
    assert api.tokens("lobby") == [token]
    assert api("faceset/async/task_status", task_id=ZEROS).error == bad("INVALID_TASK_ID")


def test_tokens_and_held_faces_outlive_the_server(tmp_path, photos):
    with harness.Server(tmp_path / "data") as running:
        key = harness.create_key(running.data, "killed")
        api = client.Client(running.url, key.id, key.secret)
        api("faceset/create", outer_id="lobby")
        enrolled, held = api.add("lobby", photos.P1), api.token(photos.P2)
        running.kill()
        running.start()
        api = client.Client(running.url, key.id, key.secret)
        assert api.tokens("lobby") == [enrolled]
        assert api("search", face_token=enrolled, outer_id="lobby")["results"][0]["face_token"] == enrolled
        assert api("faceset/addface", outer_id="lobby", face_tokens=held)["face_added"] == 1
        removed = api("faceset/removeface", outer_id="lobby", face_tokens="RemoveAllFaceTokens")
        assert removed["face_removed"] == 2
        running.kill()
        running.start()
        api = client.Client(running.url, key.id, key.secret)
        assert api.tokens("lobby") == []
        assert api("face/getdetail", face_token=held).error == bad(f"INVALID_FACE_TOKEN: {held}")


def test_no_secret_is_logged(tmp_path, photos):
    with harness.Server(tmp_path / "data", env={"LIKENESS_LOG_LEVEL": "debug"}) as running:
        key = harness.create_key(running.data, "quiet")
        api = client.Client(running.url, key.id, key.secret)
        api.in_query("faceset/create", outer_id="lobby")
        token = api.token(photos.P1)
        api("face/getdetail", face_token=ZEROS)
        log = "".join(running.log)
        assert "faceset/create" in log or "CreateSet" in log
        assert key.secret not in log and token not in log
