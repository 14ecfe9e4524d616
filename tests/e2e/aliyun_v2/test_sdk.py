"""The unmodified newer SDK, ACS3-HMAC-SHA256 and HMAC-SHA1, through every operation; numbers are cases of the
specification."""

import time

import pytest
from alibabacloud_green20180509 import models
from alibabacloud_green20180509.client import Client
from alibabacloud_tea_openapi import models as open_api
from alibabacloud_tea_util import models as util
from Tea.exceptions import TeaException

PATHS = {
    "AddPerson": "/green/sface/person/add",
    "SetPerson": "/green/sface/person/update",
    "GetPerson": "/green/sface/person",
    "DeletePerson": "/green/sface/person/delete",
    "AddFaces": "/green/sface/face/add",
    "DeleteFaces": "/green/sface/face/delete",
    "GetFaces": "/green/sface/faces",
    "GetGroups": "/green/sface/groups",
    "GetPersons": "/green/sface/group/persons",
    "AddGroups": "/green/sface/person/groups/add",
    "DeleteGroups": "/green/sface/person/groups/delete",
    "ImageSyncScan": "/green/image/scan",
    "ImageAsyncScan": "/green/image/asyncscan",
    "ImageAsyncScanResults": "/green/image/results",
    "DetectFace": "/green/face/detect",
    "UploadCredentials": "/green/credentials/uploadcredentials",
    "SearchPerson": "/green/sface/search",
}


class Green:
    def __init__(self, server, algorithm, secret=None):
        config = open_api.Config(
            access_key_id=server.key.id,
            access_key_secret=secret or server.key.secret,
            endpoint=server.url.removeprefix("http://"),
            protocol="HTTP",
            signature_algorithm=algorithm,
        )
        self.client = Client(config)

    def __call__(self, operation, body=None, query=None):
        params = open_api.Params(
            action=operation, version="2018-05-09", protocol="HTTP", method="POST", auth_type="AK", style="ROA",
            pathname=PATHS[operation], req_body_type="json", body_type="json")
        request = open_api.OpenApiRequest(body=body, query=query)
        return self.client.call_api(params, request, util.RuntimeOptions(read_timeout=60000))["body"]

    def ok(self, operation, body=None, query=None):
        answer = self(operation, body, query)
        assert answer["code"] == 200, answer
        return answer["data"]


@pytest.fixture(params=[None, "v2"], ids=["acs3", "v2"])
def algorithm(request):
    return request.param


@pytest.fixture
def green(server, algorithm):
    green = Green(server, algorithm)
    yield green
    for name in ("anna", "bert"):
        green.ok("DeletePerson", {"personId": name})


def test_case_23_a_chinese_name_goes_through_every_operation(green, img):
    name = "小明 +&=%"
    query = {"ClientInfo": '{"ip":"1.1.1.1","userNick":"a b+小"}'}
    green.ok("AddPerson", {"personId": "anna", "groupIds": ["g1"], "name": name}, query)
    green.ok("SetPerson", {"personId": "anna", "note": "night"})
    added = green.ok("AddFaces", {"personId": "anna", "urls": [img("obama.jpg"), img("obama2.jpg")]})["faceImageItems"]
    first, second = (item["faceId"] for item in added)
    shown = green.ok("GetPerson", {"personId": "anna"})
    assert (shown["name"], shown["note"], shown["faceIds"]) == (name, "night", [str(first), str(second)])
    assert [item["faceId"] for item in green.ok("GetFaces", {"personId": "anna"})["faceImageItems"]] == [first, second]
    assert green.ok("AddGroups", {"personId": "anna", "groupIds": ["g2"]})["groupIds"] == ["g1", "g2"]
    assert green.ok("GetGroups")["groupIds"] == ["g1", "g2"]
    assert green.ok("GetPersons", {"groupId": "g2"})["personIds"] == ["anna"]
    task = {"url": img("obama3.jpg"), "extras": {"groupId": "g2", "faceUrl": img("biden.jpg")}}
    scanned, = green.ok("ImageSyncScan", {"scenes": ["sface-n", "sface-1"], "tasks": [task]})
    assert scanned["code"] == 200, scanned
    search, compare = scanned["results"]
    assert search["topPersonData"][0]["persons"][0]["personId"] == "anna" and search["rate"] >= 80 > compare["rate"]
    found = green.ok("SearchPerson", {"url": img("obama3.jpg"), "groupId": "g1"})
    assert found["topPersonData"] == search["topPersonData"]
    accepted = green.ok("ImageAsyncScan", {"scenes": ["sface-n"], "tasks": [task]})[0]
    deadline = time.monotonic() + 60
    while (done := green.ok("ImageAsyncScanResults", [accepted["taskId"]])[0])["code"] == 280:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert done["results"] == [search]
    assert len(green.ok("DetectFace", {"url": img("obama.jpg")})["faces"]) == 1
    assert green.ok("DeleteFaces", {"personId": "anna", "faceIds": [str(first)]})["deleteCount"] == 1
    assert green.ok("DeleteGroups", {"personId": "anna", "groupIds": ["g2"]})["groupIds"] == ["g2"]
    assert green("UploadCredentials", {})["code"] == 596
    assert green.ok("DeletePerson", {"personId": "anna"})["deleteCount"] == 1
    assert green("GetPerson", {"personId": "anna"})["code"] == 404


def test_cases_21_and_22_typed_methods(green):
    """They read nothing but a request id, and cannot send a body."""
    answer = green.client.get_groups(models.GetGroupsRequest())
    assert (answer.status_code, len(answer.body.request_id)) == (200, 36)
    answer = green.client.add_faces(models.AddFacesRequest())
    assert (answer.status_code, len(answer.body.request_id)) == (200, 36)
    assert green("AddFaces")["code"] == 400


def test_a_wrong_secret(server, algorithm):
    with pytest.raises(TeaException) as caught:
        Green(server, algorithm, "wrong")("GetGroups")
    assert caught.value.code == "SignatureDoesNotMatch"
    assert caught.value.data.get("requestId") or caught.value.data.get("RequestId")
