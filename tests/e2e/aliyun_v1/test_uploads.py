"""Local files through the vendor's own uploader, which uses the vendor's own storage client; case 87."""

import harness
import oss2
import pytest
from aliyunsdkgreenextension.request.extension import ClientUploader
from green import Green


@pytest.fixture(scope="module")
def server(tmp_path_factory, photos):
    port = harness.free_port()
    env = {**harness.PATIENT_SCANS, "LIKENESS_ALIYUN_UPLOAD_ENDPOINT": f"http://127.0.0.1:{port}", "LIKENESS_ALIYUN_UPLOADS_BYTES_MAX": "1000000"}
    with harness.Server(tmp_path_factory.mktemp("data"), env=env, port=port) as running:
        yield running


def test_case_87_a_local_file_is_an_image(server, green, photos, other_key):
    uploader = ClientUploader.getImageClientUploader(green.client)
    a1 = uploader.uploadFile(str(photos / "a1.jpg"))
    a2 = uploader.uploadBytes((photos / "a2.jpg").read_bytes())
    assert a1.startswith("oss://likeness-uploads/") and a1.endswith(".jpg") and a1 != a2
    green.ok("AddPerson", {"personId": "anna", "groupIds": ["g1"]})
    added = green.ok("AddFaces", {"personId": "anna", "urls": [a1]})["faceImageItems"]
    assert added[0]["success"] and added[0]["url"] == a1
    task = {"url": a2, "extras": {"groupId": "g1", "faceUrl": a1}}
    search, compare = green.ok("ImageSyncScan", {"scenes": ["sface-n", "sface-1"], "tasks": [task]})[0]["results"]
    assert search["topPersonData"][0]["persons"][0]["personId"] == "anna"
    assert compare["rate"] >= 80
    assert len(green.ok("DetectFace", {"url": a2})["faces"]) == 1

    other = Green(server.url, other_key)
    other.ok("AddPerson", {"personId": "anna", "groupIds": ["g1"]})
    refused = other.ok("AddFaces", {"personId": "anna", "urls": [a1]})["faceImageItems"]
    assert (refused[0]["success"], refused[0]["code"]) == (False, 401)


def test_what_the_storage_client_makes_of_a_refusal(server, green, other_key):
    def bucket(data, **changes):
        data = {**data, **changes}
        auth = oss2.StsAuth(data["accessKeyId"], data["accessKeySecret"], data["securityToken"])
        return oss2.Bucket(auth, data["ossEndpoint"], data["uploadBucket"])

    mine, theirs = green.ok("UploadCredentials", {}), Green(server.url, other_key).ok("UploadCredentials", {})
    name = f"{mine['uploadFolder']}/images/a.jpg"
    put = bucket(mine).put_object(name, b"x")
    assert (put.status, put.etag, len(put.request_id)) == (200, "9DD4E461268C8034F5C8564E155C67A6", 32)
    with pytest.raises(oss2.exceptions.AccessDenied):
        bucket(theirs).put_object(name, b"x")
    with pytest.raises(oss2.exceptions.SignatureDoesNotMatch):
        bucket(mine, accessKeySecret="wrong").put_object(name, b"x")
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        bucket(mine).put_object(name, bytes(1_000_001))
    assert (caught.value.status, caught.value.code) == (503, "ServiceUnavailable")
    for forbidden in (lambda: bucket(mine).get_object(name), lambda: list(oss2.ObjectIterator(bucket(mine)))):
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            forbidden()
        assert (caught.value.status, caught.value.code) == (405, "MethodNotAllowed"), "nothing can be read back"
