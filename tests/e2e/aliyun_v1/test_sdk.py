"""The unmodified older SDK, version 1.0 signatures, through every operation; numbers are cases of the specification."""

import json
import time

import harness
import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from green import REGION, Green


def person(green, img, name, groups, *photos):
    green.ok("AddPerson", {"personId": name, "groupIds": groups, "name": name.title(), "note": "night shift"})
    items = green.ok("AddFaces", {"personId": name, "urls": [img(photo) for photo in photos]})["faceImageItems"]
    assert all(item["success"] for item in items), items
    return [item["faceId"] for item in items]


def scan(green, scene, url, **extras):
    return green.ok("ImageSyncScan", {"scenes": [scene], "tasks": [{"dataId": "t", "url": url, "extras": extras}]})[0]


def rate(task):
    assert task["code"] == 200, task
    return task["results"][0]["rate"]


def done(green, task_id):
    """The element of a task, once it is done."""
    deadline = time.monotonic() + 60
    while (told := green.ok("ImageAsyncScanResults", [task_id])[0])["code"] == 280:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return told


def test_a_day_with_the_sdk(green, img):
    """Cases 18, 27, 32, 34 to 36, 38, 42, 45 to 48, 56, 57 with real photographs."""
    assert green.ok("GetGroups")["groupIds"] == []
    first, = person(green, img, "anna", ["g1", "g2"], "a1.jpg")
    assert isinstance(first, int)
    green.ok("SetPerson", {"personId": "anna", "note": "day shift"})
    shown = green.ok("GetPerson", {"personId": "anna"})
    assert shown == {"code": 200, "personId": "anna", "name": "Anna", "note": "day shift", "groupIds": ["g1", "g2"], "faceIds": [str(first)]}
    added = green.ok("AddFaces", {"personId": "anna", "urls": [img("a2.jpg"), img("wall.jpg"), img("ab.jpg"), img("gone.jpg"), img("text.txt"), img("big.jpg")]})
    outcomes = [(item["success"], item.get("code"), item.get("msg", "").split(":")[0]) for item in added["faceImageItems"]]
    assert outcomes == [
        (True, None, ""), (False, 400, "NO_FACE"), (False, 400, "MULTIPLE_FACES"),
        (False, 404, "NOT_FOUND"), (False, 590, "BAD_FORMAT"), (False, 589, "TOO_LARGE"),
    ]
    second = added["faceImageItems"][0]["faceId"]
    assert green.ok("GetFaces", {"personId": "anna"})["faceImageItems"] == [
        {"success": True, "faceId": first, "url": img("a1.jpg")}, {"success": True, "faceId": second, "url": img("a2.jpg")}]
    assert green.ok("AddGroups", {"personId": "anna", "groupIds": ["g3"]})["groupIds"] == ["g1", "g2", "g3"]
    assert green.ok("DeleteGroups", {"personId": "anna", "groupIds": ["g3", "g9"]})["groupIds"] == ["g3"]
    assert green.ok("GetGroups")["groupIds"] == ["g1", "g2"]
    assert green.ok("GetPersons", {"groupId": "g1"}) == {
        "code": 200, "personIds": ["anna"], "currentPage": 1, "pageSize": 20, "totalCount": 1}
    deleted = green.ok("DeleteFaces", {"personId": "anna", "faceIds": [str(second), 999]})
    assert deleted == {"code": 200, "personId": "anna", "faceIds": [str(second)], "deleteCount": 1}
    assert green.ok("DeletePerson", {"personId": "anna"})["deleteCount"] == 1
    assert green("GetPerson", {"personId": "anna"})["code"] == 404
    assert green.ok("GetGroups")["groupIds"] == []


def test_cases_59_to_61_and_88_two_photographs(green, img):
    same, other = (rate(scan(green, "sface-1", img("a1.jpg"), faceUrl=img(name))) for name in ("a2.jpg", "b1.jpg"))
    assert same >= 80 > 60 > other
    assert rate(scan(green, "sface-1", img("a1.jpg"), faceUrl=img("a1.jpg"))) >= 99
    assert rate(scan(green, "sface-1", img("a1.jpg"), faceUrl=img("rotated.jpg"))) == pytest.approx(same, abs=3)
    assert scan(green, "sface-1", img("a1.jpg"), faceUrl=img("wall.jpg"))["msg"] == "NO_FACE: faceUrl"


def test_cases_64_65_and_68_everybody_in_the_picture(green, img):
    anna, = person(green, img, "anna", ["g1"], "a1.jpg")
    person(green, img, "bert", ["g1"], "b1.jpg")
    one = scan(green, "sface-n", img("a2.jpg"), groupId="g1")["results"][0]
    best = one["topPersonData"][0]["persons"][0]
    assert (best["personId"], best["faceId"], best["name"], best["note"]) == ("anna", str(anna), "Anna", "night shift")
    assert one["suggestion"] == "review" and one["rate"] == best["rate"] >= 80
    two = scan(green, "sface-n", img("ab.jpg"), groupId="g1")["results"][0]["topPersonData"]
    assert {face["persons"][0]["personId"] for face in two} == {"anna", "bert"}
    areas = [face["faceItem"]["width"] * face["faceItem"]["height"] for face in two]
    assert areas == sorted(areas, reverse=True)
    assert scan(green, "sface-n", img("wall.jpg"), groupId="g1")["results"][0]["topPersonData"] == []
    searched = green.ok("SearchPerson", {"url": img("a2.jpg"), "groupId": "g1", "topN": 1})
    assert [found["personId"] for found in searched["topPersonData"][0]["persons"]] == ["anna"]
    detected = green.ok("DetectFace", {"url": img("ab.jpg"), "dataId": "d"})
    assert len(detected["faces"]) == 2 and detected["dataId"] == "d"


def test_cases_76_and_77_later(green, img):
    task = {"dataId": "later", "url": img("a1.jpg"), "extras": {"faceUrl": img("a2.jpg")}}
    accepted = green.ok("ImageAsyncScan", {"scenes": ["sface-1"], "tasks": [task]})[0]
    assert "results" not in accepted
    results = done(green, accepted["taskId"])["results"]
    assert results == scan(green, "sface-1", img("a1.jpg"), faceUrl=img("a2.jpg"))["results"]
    assert green.ok("ImageAsyncScanResults", ["img000000000001"])[0]["code"] == 594


def test_case_54_addresses_inside_the_network(green, img):
    person(green, img, "anna", ["g1"], "a1.jpg")
    urls = ["http://169.254.169.254/x.jpg", "http://[::1]/x.jpg", "file:///etc/hosts", "http://2130706433/"]
    items = green.ok("AddFaces", {"personId": "anna", "urls": urls})["faceImageItems"]
    assert [item["code"] for item in items] == [401] * 4, items


def test_cases_10_11_and_14_what_the_sdk_makes_of_a_refusal(server, green, key):
    def refused(client):
        with pytest.raises(ServerException) as caught:
            client.do_action_with_exception(green.request("GetGroups"))
        assert caught.value.get_request_id()
        return caught.value.get_http_status(), caught.value.get_error_code()

    assert refused(AcsClient(key.id, "wrong", REGION)) == (400, "SignatureDoesNotMatch")
    assert refused(AcsClient("nobody", key.secret, REGION)) == (404, "InvalidAccessKeyId.NotFound")


def test_cases_19_and_20_other_ways_to_ask(green):
    assert json.loads(green.client.do_action(green.request("GetGroups")))["code"] == 200
    green.ok("AddPerson", {"personId": "p1", "groupIds": ["g1"], "name": "小明 &=+"})
    request = CommonRequest(domain=green.host, version="2018-05-09", uri_pattern="/green/sface/person")
    request.set_method("POST")
    request.set_content(json.dumps({"personId": "p1"}))
    assert json.loads(green.client.do_action_with_exception(request))["data"]["name"] == "小明 &=+"


def test_case_44_accounts_are_apart(server, green, other_key, img):
    person(green, img, "anna", ["g1"], "a1.jpg")
    other = Green(server.url, other_key)
    assert other.ok("GetGroups")["groupIds"] == []
    assert other("GetPerson", {"personId": "anna"})["code"] == 404
    assert scan(other, "sface-n", img("a1.jpg"), groupId="g1")["code"] == 404


def test_case_86_uploads_are_disabled(green):
    assert green("UploadCredentials", {})["code"] == 596


def test_a_deleted_person_is_in_no_waiting_result_and_in_no_file(server, green, img):
    words = ("zerzura-7731", "Name-zerzura", "note-zerzura")

    def on_disk():
        return {word for path in server.data.iterdir() if path.is_file() for word in words if word.encode() in path.read_bytes()}

    green.ok("AddPerson", {"personId": words[0], "groupIds": ["g1"], "name": words[1], "note": words[2]})
    green.ok("AddFaces", {"personId": words[0], "urls": [img("a1.jpg")]})
    person(green, img, "bert", ["g1"], "b1.jpg")
    task = {"url": img("a2.jpg"), "extras": {"groupId": "g1"}}
    task_id = green.ok("ImageAsyncScan", {"scenes": ["sface-n"], "tasks": [task]})[0]["taskId"]
    found = done(green, task_id)["results"][0]["topPersonData"][0]["persons"]
    assert [one["personId"] for one in found] == [words[0], "bert"]
    assert on_disk() == set(words), "what is stored can be found"
    green.ok("DeletePerson", {"personId": words[0]})
    found = done(green, task_id)["results"][0]["topPersonData"][0]["persons"]
    assert [one["personId"] for one in found] == ["bert"]
    deadline = time.monotonic() + 30
    while on_disk():  # The log is cleaned a moment after the answer.
        assert time.monotonic() < deadline, on_disk()
        time.sleep(0.1)


def test_everything_is_there_after_a_kill(tmp_path, photos, img):
    with harness.photo_server(photos) as (host, base):
        server = harness.Server(tmp_path, "--fetch-allow", host, env=harness.PATIENT_SCANS).start()
        green = Green(server.url, harness.create_key(tmp_path, "acme"))
        here = lambda name: f"{base}/{name}"
        person(green, here, "anna", ["g1"], "a1.jpg")
        person(green, here, "bert", ["g1"], "b1.jpg")
        green.ok("DeletePerson", {"personId": "bert"})
        task = {"url": here("a1.jpg"), "extras": {"faceUrl": here("a2.jpg")}}
        accepted = green.ok("ImageAsyncScan", {"scenes": ["sface-1"], "tasks": [task] * 3})
        server.kill()
        server.start()
        green = Green(server.url, green.key)
        try:
            assert green.ok("GetPersons", {"groupId": "g1"})["personIds"] == ["anna"]
            found = scan(green, "sface-n", here("b1.jpg"), groupId="g1")["results"][0]["topPersonData"][0]["persons"]
            assert [one["personId"] for one in found] == ["anna"]
            assert [done(green, task["taskId"])["code"] for task in accepted] == [200, 200, 200]
        finally:
            assert server.stop() == 0
