"""Fixtures: a client of each vendor that speaks for the test's tenant with the same key."""

import io

import facesearch
import green as alibaba
import harness
import pytest
from PIL import Image
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkfrs.v2 import FrsClient


ANGLES = [45, 90, 180, 270]


@pytest.fixture(scope="session")
def turned(tmp_path_factory):
    """A folder with the portraits and, as `turned-90.jpg`, one of them turned anticlockwise without a word in EXIF."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ["obama.jpg", "obama2.jpg", "biden.jpg"]:
        (folder / name).write_bytes(harness.portrait(name).read_bytes())
    photo = Image.open(io.BytesIO(harness.portrait("obama2.jpg").read_bytes())).convert("RGB")
    for angle in ANGLES:
        photo.rotate(angle, expand=True, fillcolor=(128, 128, 128)).save(folder / f"turned-{angle}.jpg", quality=92)
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory, turned):
    with harness.server_with_photos(tmp_path_factory.mktemp("data"), turned, env=harness.PATIENT_SCANS) as running:
        yield running


@pytest.fixture
def green(server, key):
    return alibaba.Green(server.url, key)


@pytest.fixture
def frs(server, key):
    credentials = BasicCredentials(key.id, key.secret, key.project)
    return FrsClient.new_builder().with_credentials(credentials).with_endpoint(server.url).build()


@pytest.fixture
def finauth(server, key):
    return facesearch.Client(server.url, key.id, key.secret)
