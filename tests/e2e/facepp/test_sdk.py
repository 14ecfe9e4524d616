"""The public client `python-facepp`, unmodified but for the address, through the calls it knows."""

import pytest
from facepplib import exceptions


@pytest.fixture
def files(tmp_path, photos):
    """The client takes names of files."""
    for role in ("P1", "P1b", "P2", "nobody"):
        (tmp_path / f"{role}.jpg").write_bytes(getattr(photos, role))
    return lambda role: str(tmp_path / f"{role}.jpg")


def test_detect(sdk, files):
    image = sdk.image.get(image_file=files("P1"), return_attributes=["smiling", "age"])
    assert len(list(image.faces)) == 1
    assert len(image.faces[0].face_token) == 32
    assert list(sdk.image.get(image_file=files("nobody")).faces) == []
    with pytest.raises(exceptions.MissingArguments):
        sdk.image.get(image_url="")


def test_compare(sdk, files):
    same = sdk.compare.get(image_file1=files("P1"), image_file2=files("P1b"))
    assert same.confidence > same.thresholds["1e-5"]
    token = same.raw()["faces1"][0]["face_token"]
    other = sdk.compare.get(face_token1=token, image_file2=files("P2"))
    assert other.confidence < other.thresholds["1e-4"]


def test_face_sets_and_search(sdk, files):
    made = sdk.face_set.create(outer_id="lobby", display_name="Lobby")
    assert made.outer_id == "lobby"
    with pytest.raises(exceptions.FacesetExist):
        sdk.face_set.create(outer_id="lobby")
    assert [faceset.outer_id for faceset in sdk.face_set.all()] == ["lobby"]

    face = sdk.image.get(image_file=files("P1")).faces[0]
    face.outer_ids = ["lobby"]
    face.user_id = "anna"
    face.save()
    detail = sdk.face_set.get(outer_id="lobby")
    assert (detail.face_count, detail.face_tokens) == (1, [face.face_token])
    assert sdk.face.get(face_token=face.face_token).user_id == "anna"

    found = sdk.search.get(image_file=files("P1b"), outer_id="lobby")
    best = found.results[0]
    assert (best.face_token, best.user_id) == (face.face_token, "anna")
    assert best.confidence > found.thresholds["1e-5"]

    detail.display_name = "Hall"
    detail.save()
    assert sdk.face_set.get(outer_id="lobby").display_name == "Hall"
    with pytest.raises(exceptions.FacesetNotEmpty):
        sdk.face_set.delete(outer_id="lobby")
    sdk.face_set.delete(outer_id="lobby", check_empty=0)
    with pytest.raises(exceptions.InvalidOuterId):
        sdk.face_set.get(outer_id="lobby")
    with pytest.raises(exceptions.InvalidFaceToken):
        sdk.face.get(face_token=face.face_token)


def test_wrong_keys(server, key):
    from facepplib import FacePP

    with pytest.raises(exceptions.AuthenticationError):
        list(FacePP(key.id, "wrong", url=server.url).face_set.all())
