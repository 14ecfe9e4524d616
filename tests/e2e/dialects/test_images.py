"""Pictures that are not read: each dialect says so in its own words, whichever format it is. docs/images.md has the table."""

import base64
import io

import harness
import pytest
import requests
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkfrs import v2 as frs_v2
from PIL import Image


def picture(format, **options):
    out = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(out, format, **options)
    return out.getvalue()


def portrait_as(format):
    """A portrait in another format: a picture that would be fine if the dialect accepted it."""
    out = io.BytesIO()
    photo = Image.open(harness.portrait("obama.jpg")).convert("RGB")
    photo.thumbnail((600, 600))
    photo.save(out, format)
    return out.getvalue()


UNREAD = {
    "heic": b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf\0\0" + bytes(3000),
    "avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf\0\0" + bytes(3000),
    "tiff": picture("TIFF"),
    "jpeg-2000": picture("JPEG2000"),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>" + b" " * 3000,
    "text": b"no picture at all " * 100,
    "jpeg-cut-off": picture("JPEG")[:1500],
}
NAMES = {"heic": "HEIC", "avif": "AVIF", "tiff": "TIFF", "jpeg-2000": "JPEG 2000", "svg": "SVG", "text": "no image",
         "jpeg-cut-off": "truncated"}


def huawei_error(frs, data):
    body = frs_v2.FaceDetectBase64Req(image_base64=base64.b64encode(data).decode())
    with pytest.raises(ClientRequestException) as refused:
        frs.detect_face_by_base64(frs_v2.DetectFaceByBase64Request(body=body))
    return refused.value.status_code, refused.value.error_code, refused.value.error_msg


def facepp_error(server, key, data):
    fields = {"api_key": (None, key.id), "api_secret": (None, key.secret), "image_file": ("photo.jpg", data, "image/jpeg")}
    answer = requests.post(f"{server.url}/facepp/v3/detect", files=fields, timeout=60)
    return answer.status_code, answer.json().get("error_message")


def native(server, key, data):
    headers = {"Authorization": f"Bearer {key.id}.{key.secret}", "Content-Type": "application/octet-stream"}
    return requests.post(f"{server.url}/likeness/v1/detect", headers=headers, data=data, timeout=60)


@pytest.mark.parametrize("name", UNREAD)
def test_what_is_not_read_is_refused_in_the_words_of_each_dialect(server, key, frs, finauth, turned, green, name):
    data = UNREAD[name]
    status, code, message = huawei_error(frs, data)
    assert (status, code) == (400, "FRS.0016") and NAMES[name] in message, message
    assert finauth("create", group_id="forms", group_name="forms").status == 200
    answer = finauth("add", file=data, group_id="forms", user_id="anna")
    assert answer.error == (400, "IMAGE_ERROR_UNSUPPORTED_FORMAT: file")
    assert facepp_error(server, key, data) == (400, "IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file")
    answer = native(server, key, data)
    kind = "image_corrupt" if name == "jpeg-cut-off" else "image_format"
    assert (answer.status_code, answer.json()["error"]["kind"]) == (422, kind), answer.text
    assert NAMES[name] in answer.json()["error"]["message"]

    # Its name says JPEG, as phones and chat programs do with what they hand on.
    (turned / f"{name}.jpg").write_bytes(data)
    task = {"url": f"{server.photos}/{name}.jpg", "extras": {"groupId": "staff"}}
    green.ok("AddPerson", {"personId": "anna", "groupIds": ["staff"], "name": "Anna"})
    task, = green.ok("ImageSyncScan", {"scenes": ["sface-n"], "tasks": [task]})
    assert task["code"] == 590 and task["msg"].startswith("BAD_FORMAT: ") and NAMES[name] in task["msg"], task
    item, = green.ok("AddFaces", {"personId": "anna", "urls": [f"{server.photos}/{name}.jpg"]})["faceImageItems"]
    assert (item["success"], item["code"], item["msg"].split(":")[0]) == (False, 590, "BAD_FORMAT"), item


@pytest.mark.parametrize("format", ["BMP", "WEBP", "GIF"])
def test_formats_are_accepted_where_the_dialect_names_them(server, key, frs, finauth, format):
    data = portrait_as(format)
    assert len(native(server, key, data).json()["faces"]) == 1
    assert facepp_error(server, key, data) == (400, "IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file")
    if format == "BMP":
        body = frs_v2.FaceDetectBase64Req(image_base64=base64.b64encode(data).decode())
        assert len(frs.detect_face_by_base64(frs_v2.DetectFaceByBase64Request(body=body)).faces) == 1
        assert finauth("create", group_id="forms", group_name="forms").status == 200
        assert finauth("add", file=data, group_id="forms", user_id="anna").status == 200
    else:
        status, code, message = huawei_error(frs, data)
        assert (status, code) == (400, "FRS.0016") and "expected one of JPEG, PNG, BMP" in message
