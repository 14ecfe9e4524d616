"""Fixtures: one server for the suite, a tenant for each test, the vendor's older SDK, photographs by their part."""

import itertools
import json

import harness
import pytest
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.profile import region_provider
from aliyunsdkgreen.request.v20180509 import (
    AddFacesRequest,
    AddGroupsRequest,
    AddPersonRequest,
    DeleteFacesRequest,
    DeleteGroupsRequest,
    DeletePersonRequest,
    DetectFaceRequest,
    GetFacesRequest,
    GetGroupsRequest,
    GetPersonRequest,
    GetPersonsRequest,
    ImageAsyncScanRequest,
    ImageAsyncScanResultsRequest,
    ImageSyncScanRequest,
    SearchPersonRequest,
    SetPersonRequest,
    UploadCredentialsRequest,
)
from PIL import Image

REGION = "cn-shanghai"
REQUESTS = {
    name: getattr(module, f"{name}Request")
    for name, module in {
        "AddFaces": AddFacesRequest,
        "AddGroups": AddGroupsRequest,
        "AddPerson": AddPersonRequest,
        "DeleteFaces": DeleteFacesRequest,
        "DeleteGroups": DeleteGroupsRequest,
        "DeletePerson": DeletePersonRequest,
        "DetectFace": DetectFaceRequest,
        "GetFaces": GetFacesRequest,
        "GetGroups": GetGroupsRequest,
        "GetPerson": GetPersonRequest,
        "GetPersons": GetPersonsRequest,
        "ImageAsyncScan": ImageAsyncScanRequest,
        "ImageAsyncScanResults": ImageAsyncScanResultsRequest,
        "ImageSyncScan": ImageSyncScanRequest,
        "SearchPerson": SearchPersonRequest,
        "SetPerson": SetPersonRequest,
        "UploadCredentials": UploadCredentialsRequest,
    }.items()
}


class Green:
    """The SDK with one key; `green("AddPerson", {...})` sends and returns the envelope."""

    def __init__(self, url, key):
        self.host = url.removeprefix("http://")
        self.key = key
        region_provider.modify_point("Green", REGION, self.host)
        self.client = AcsClient(key.id, key.secret, REGION)

    def request(self, operation, body=None):
        request = REQUESTS[operation]()
        # The SDK keeps endpoints for the process; each test's server is the same, but not each run's.
        request.set_endpoint(self.host)
        if body is not None:
            request.set_content(json.dumps(body).encode())
        return request

    def __call__(self, operation, body=None):
        return json.loads(self.client.do_action_with_exception(self.request(operation, body)))

    def ok(self, operation, body=None):
        answer = self(operation, body)
        assert answer["code"] == 200, answer
        return answer["data"]


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder with the photographs of the reference: a1, a2 of one person, b1 of another, ab of both, wall of nobody."""
    folder = tmp_path_factory.mktemp("photos")
    for role, name in {"a1": "obama.jpg", "a2": "obama2.jpg", "b1": "biden.jpg", "ab": "obama_and_biden.jpg"}.items():
        (folder / f"{role}.jpg").write_bytes(harness.portrait(name).read_bytes())
    with Image.open(folder / "ab.jpg") as photo:
        # More people stand in the background of the whole picture.
        photo.convert("RGB").crop((600, 200, 1500, 800)).save(folder / "ab.jpg", "JPEG", quality=95)
    Image.linear_gradient("L").resize((320, 240)).convert("RGB").save(folder / "wall.jpg", "JPEG")
    with Image.open(folder / "a2.jpg") as photo:
        exif = Image.Exif()
        exif[0x0112] = 6  # To be turned by a quarter clockwise when it is shown.
        photo.rotate(90, expand=True).save(folder / "rotated.jpg", "JPEG", exif=exif, quality=95)
    (folder / "text.txt").write_text("nothing to see")
    (folder / "big.jpg").write_bytes(b"\xff\xd8\xff" + bytes(21 * 1024 * 1024))
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory, photos):
    with harness.photo_server(photos) as (host, base):
        with harness.Server(tmp_path_factory.mktemp("data"), "--fetch-allow", host) as running:
            running.photos = base
            yield running


_tenants = itertools.count()


@pytest.fixture
def key(server):
    return harness.create_key(server.data, f"tenant-{next(_tenants)}")


@pytest.fixture
def other_key(server):
    return harness.create_key(server.data, f"tenant-{next(_tenants)}")


@pytest.fixture
def green(server, key):
    return Green(server.url, key)


@pytest.fixture
def img(server):
    return lambda name: f"{server.photos}/{name}"
