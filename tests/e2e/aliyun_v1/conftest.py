"""Fixtures: a server with photographs by their part in the story, and the vendor's older SDK."""

import harness
import pytest
from green import Green
from PIL import Image


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
    with harness.server_with_photos(tmp_path_factory.mktemp("data"), photos, harness.PATIENT_SCANS) as running:
        yield running


@pytest.fixture
def green(server, key):
    return Green(server.url, key)


@pytest.fixture
def img(server):
    return lambda name: f"{server.photos}/{name}"
