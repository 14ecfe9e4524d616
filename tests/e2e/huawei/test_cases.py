"""The numbered conformance cases of the Huawei FRS specification (§13), with real photographs.

The SDK makes every call it can make; the suite's own signer makes the others. Cases 7 to 16 (signatures with a pinned
clock) are unit tests of the server's crate, repeated here with the present time where that is possible.
"""

import base64
import datetime
import decimal
import io
import json
import re
import subprocess

import conftest
import harness
import pytest
import requests
import signing
from conftest import refused
from huaweicloudsdkcore.http.formdata import FormFile
from huaweicloudsdkfrs import v2
from PIL import Image

FIELDS = {"age": "integer", "vip": "boolean", "score": "double", "team": "string"}


def create(client, name="lib-a", fields=None, capacity=None):
    definitions = {field: v2.TypeInfo(type=kind) for field, kind in (fields or {}).items()}
    request = v2.CreateFaceSetReq(face_set_name=name, face_set_capacity=capacity, external_fields=definitions or None)
    return client.create_face_set(v2.CreateFaceSetRequest(body=request)).face_set_info


def add(client, image_base64, name="lib-a", **words):
    body = v2.AddFacesBase64Req(image_base64=image_base64, **words)
    return client.add_faces_by_base64(v2.AddFacesByBase64Request(face_set_name=name, body=body)).faces


def search(client, image_base64, name="lib-a", **words):
    body = v2.FaceSearchBase64Req(image_base64=image_base64, **words)
    return client.search_face_by_base64(v2.SearchFaceByBase64Request(face_set_name=name, body=body)).faces


def search_id(client, face_id, name="lib-a", **words):
    body = v2.FaceSearchFaceIdReq(face_id=face_id, **words)
    return client.search_face_by_face_id(v2.SearchFaceByFaceIdRequest(face_set_name=name, body=body)).faces


def page(client, offset=0, limit=100, name="lib-a"):
    return client.show_faces_by_limit(v2.ShowFacesByLimitRequest(face_set_name=name, offset=offset, limit=limit)).faces


def one(client, face_id, name="lib-a"):
    return client.show_faces_by_face_id(v2.ShowFacesByFaceIdRequest(face_set_name=name, face_id=face_id)).faces


def update(client, face_id, name="lib-a", **words):
    return client.update_face(v2.UpdateFaceRequest(face_set_name=name, body=v2.UpdateFaceReq(face_id=face_id, **words))).face_number


def delete_id(client, face_id, name="lib-a"):
    return client.delete_face_by_face_id(v2.DeleteFaceByFaceIdRequest(face_set_name=name, face_id=face_id)).face_number


def delete_external(client, external, name="lib-a"):
    request = v2.DeleteFaceByExternalImageIdRequest(face_set_name=name, external_image_id=external)
    return client.delete_face_by_external_image_id(request).face_number


def batch_delete(client, text, name="lib-a"):
    request = v2.BatchDeleteFacesRequest(face_set_name=name, body=v2.DeleteFacesBatchReq(filter=text))
    return client.batch_delete_faces(request).face_number


def show(client, name="lib-a"):
    return client.show_face_set(v2.ShowFaceSetRequest(face_set_name=name)).face_set_info


def delete_set(client, name="lib-a"):
    return client.delete_face_set(v2.DeleteFaceSetRequest(face_set_name=name)).face_set_name


def code(answer):
    """(status, error code) of a raw answer, after checking the shape of an error."""
    assert answer.headers["Content-Type"].lower() == "application/json; charset=utf-8"
    assert answer.headers["X-Request-Id"]
    body = answer.json()
    assert body["error_code"] and body["error_msg"]
    assert set(body) <= {"error_code", "error_msg", "request_id"}
    return answer.status_code, body["error_code"]


@pytest.fixture
def lib(frs):
    create(frs, fields=FIELDS)
    return frs


# ------------------------------------------------------------------------------------------------ authentication


def test_case_001_token(server, key):
    answer = conftest.login(server.url, key)
    assert answer.status_code == 201
    assert answer.headers["X-Subject-Token"]
    expires = datetime.datetime.strptime(answer.json()["token"]["expires_at"], "%Y-%m-%dT%H:%M:%S.%fZ")
    ahead = expires - datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    assert datetime.timedelta(hours=23, minutes=50) < ahead <= datetime.timedelta(hours=24)


def test_case_002_wrong_password(server, key):
    answer = conftest.login(server.url, key, password="wrong")
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == 401


def test_case_003_an_earlier_token_stays_valid(server, key):
    first, _second = (conftest.login(server.url, key).headers["X-Subject-Token"] for _ in range(2))
    answer = requests.get(f"{server.url}/v2/{key.project}/face-sets", headers={"X-Auth-Token": first})
    assert (answer.status_code, answer.json()) == (200, {"face_sets_info": []})


def test_case_004_no_credentials(server, key):
    answer = requests.get(f"{server.url}/v2/{key.project}/face-sets")
    assert code(answer) == (401, "APIG.0301")
    assert answer.json()["request_id"]


def test_case_005_random_token(server, key):
    answer = requests.get(f"{server.url}/v2/{key.project}/face-sets", headers={"X-Auth-Token": "MIIFrandom"})
    assert code(answer) == (401, "APIG.0301")


def test_case_006_token_of_another_project(server, key, other_key):
    token = conftest.login(server.url, key).headers["X-Subject-Token"]
    answer = requests.get(f"{server.url}/v2/{other_key.project}/face-sets", headers={"X-Auth-Token": token})
    assert code(answer) == (403, "FRS.0028")


def test_case_007_signed_request(raw):
    answer = raw("GET", "/v2/{P}/face-sets")
    assert (answer.status_code, answer.json()) == (200, {"face_sets_info": []})


def test_case_008_query_in_any_order(raw, frs):
    create(frs)
    for query in ("limit=5&offset=0", "offset=0&limit=5"):
        assert raw("GET", f"/v2/{{P}}/face-sets/lib-a/faces?{query}").status_code == 200


def test_case_009_space_in_query(raw, frs):
    create(frs)
    answer = raw("DELETE", "/v2/{P}/face-sets/lib-a/faces?external_image_id=a%20b%2Bc~%C3%A9")
    assert answer.status_code == 400, "verified, then refused by the service"


def test_case_010_security_token_is_signed(server, key):
    url = f"{server.url}/v2/{key.project}/face-sets"
    headers = signing.sign(key.id, key.secret, "GET", url, headers={"X-Security-Token": "sts-token-1"})
    assert requests.get(url, headers=headers).status_code == 200
    headers["X-Security-Token"] = "sts-token-2"
    assert code(requests.get(url, headers=headers)) == (401, "APIG.0301")


def test_case_011_unsigned_payload(server, key, photos):
    url = f"{server.url}/v2/{key.project}/face-detect"
    headers = {"Content-Type": "multipart/form-data; boundary=bnd"}
    headers = signing.sign(key.id, key.secret, "POST", url, b"anything", headers, unsigned_payload=True)
    for photo in (photos.F1, photos.F2):
        body = b'--bnd\r\nContent-Disposition: form-data; name="image_file"; filename="a"\r\n\r\n' + photo + b"\r\n--bnd--\r\n"
        answer = requests.post(url, data=body, headers=headers)
        assert answer.status_code == 200 and len(answer.json()["faces"]) >= 1


def test_case_012_last_digit_changed(server, key):
    url = f"{server.url}/v2/{key.project}/face-sets"
    headers = signing.sign(key.id, key.secret, "GET", url)
    last = headers["Authorization"][-1]
    headers["Authorization"] = headers["Authorization"][:-1] + ("0" if last != "0" else "1")
    assert code(requests.get(url, headers=headers)) == (401, "APIG.0301")


def test_case_013_sixteen_minutes_off(server, key):
    url = f"{server.url}/v2/{key.project}/face-sets"
    now = datetime.datetime.now(datetime.timezone.utc)
    for minutes, status in ((-16, 401), (16, 401), (-14, 200), (14, 200)):
        headers = signing.sign(key.id, key.secret, "GET", url, at=now + datetime.timedelta(minutes=minutes))
        assert requests.get(url, headers=headers).status_code == status, f"{minutes} minutes"


def test_case_014_body_changed_after_signing(server, key):
    url = f"{server.url}/v2/{key.project}/face-sets"
    headers = signing.sign(key.id, key.secret, "POST", url, b'{"face_set_name":"lib-a"}', {"Content-Type": "application/json"})
    assert code(requests.post(url, data=b'{"face_set_name":"lib-b"}', headers=headers)) == (401, "APIG.0301")


def test_case_015_multipart_with_its_real_hash(raw, photos):
    answer = raw.multipart("/v2/{P}/face-detect", [], [("image_file", photos.F1)], unsigned_payload=False)
    assert answer.status_code == 200 and len(answer.json()["faces"]) >= 1


def test_case_016_canonical_uri_without_its_slash(server, key, monkeypatch):
    url = f"{server.url}/v2/{key.project}/face-sets"
    exact = signing.canonical_request
    monkeypatch.setattr(signing, "canonical_request", lambda *parts: exact(*parts).replace("/face-sets/\n", "/face-sets\n", 1))
    assert code(requests.get(url, headers=signing.sign(key.id, key.secret, "GET", url))) == (401, "APIG.0301")


# ----------------------------------------------------------------------------------------------------- face sets


def test_case_017_defaults_of_a_set(frs):
    info = create(frs, "lib-b")
    assert (info.face_set_name, info.face_set_capacity, info.face_number, info.external_fields) == ("lib-b", 100000, 0, {})
    assert re.fullmatch(r"[A-Za-z0-9]{8}", info.face_set_id)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", info.create_date)


def test_case_018_name_taken(frs):
    create(frs, "lib-b")
    assert refused(create, frs, "lib-b") == (400, "FRS.0301")


def test_case_019_capacity_as_text(raw):
    answer = raw("POST", "/v2/{P}/face-sets", {"face_set_name": "lib-b", "face_set_capacity": "20000"})
    assert answer.status_code == 200
    assert answer.json()["face_set_info"]["face_set_capacity"] == 20000


@pytest.mark.parametrize("capacity", [15000, 110000, 0, -10000])
def test_case_020_021_capacity_out_of_range(frs, capacity):
    assert refused(create, frs, "lib-b", None, capacity) == (400, "FRS.0012")


def test_case_022_names(frs, raw):
    assert refused(create, frs, "bad name!") == (400, "FRS.0012")
    assert refused(create, frs, "x" * 65) == (400, "FRS.0012")
    assert code(raw("POST", "/v2/{P}/face-sets", {})) == (400, "FRS.0011")


@pytest.mark.parametrize("field", ["face_id", "_source", "external_image_id", "bounding_box", "similarity", "create_time", "vector", "_id", "_all"])
def test_case_023_reserved_fields(frs, field):
    assert refused(create, frs, "lib-b", {field: "string"}) == (400, "FRS.0012")


def test_case_024_eleven_fields(frs):
    assert refused(create, frs, "lib-b", {f"f{index}": "string" for index in range(11)}) == (400, "FRS.0012")
    assert len(create(frs, "lib-c", {f"f{index}": "string" for index in range(10)}).external_fields) == 10


def test_case_025_type_in_capitals(frs):
    assert create(frs, "lib-b", {"badge": "LONG"}).external_fields == {"badge": {"type": "long"}}


def test_case_026_unknown_type(frs):
    assert refused(create, frs, "lib-b", {"born": "date"}) == (400, "FRS.0012")


def test_case_027_eleventh_set(frs):
    for index in range(10):
        create(frs, f"lib-{index}")
    assert refused(create, frs, "lib-10") == (400, "FRS.0305")


def test_case_028_broken_json(raw):
    assert code(raw("POST", "/v2/{P}/face-sets", b'{"face_set_name":')) == (400, "FRS.0014")


def test_case_029_no_sets(raw):
    answer = raw("GET", "/v2/{P}/face-sets")
    assert (answer.status_code, answer.json()) == (200, {"face_sets_info": []})


def test_case_030_missing_set(frs):
    assert refused(show, frs, "nope") == (400, "FRS.0302")
    assert refused(delete_set, frs, "nope") == (400, "FRS.0302")


def test_case_031_delete_a_set_with_faces(frs, b64):
    first = create(frs, "lib-b")
    (face,) = add(frs, b64.F1, "lib-b")
    assert delete_set(frs, "lib-b") == "lib-b"
    assert refused(show, frs, "lib-b") == (400, "FRS.0302")
    assert refused(search, frs, b64.F1, "lib-b") == (400, "FRS.0302")
    again = create(frs, "lib-b")
    assert again.face_set_id != first.face_set_id and again.face_number == 0
    assert search(frs, b64.F1, "lib-b") == []
    assert refused(one, frs, face.face_id, "lib-b") == (400, "FRS.0403")


# --------------------------------------------------------------------------------------------------------- faces


def test_case_032_values_are_echoed(lib, b64):
    values = {"age": 23, "vip": True, "score": 1.5, "team": "red"}
    (face,) = add(lib, b64.F1, external_fields=values, external_image_id="emp-1")
    assert face.external_fields == values
    # The SDK reads numbers with a point as Decimal, so that 1.5 must not have come back as text or as a whole number.
    assert [type(face.external_fields[name]) for name in ("age", "vip", "score", "team")] == [int, bool, decimal.Decimal, str]
    assert one(lib, face.face_id)[0].external_fields == values


def test_case_033_generated_external_id(lib, b64):
    (face,) = add(lib, b64.F1)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,36}", face.external_image_id)
    assert face.external_fields == {}


def test_case_034_two_faces_in_one_picture(lib, b64):
    faces = add(lib, b64.G)
    assert len(faces) == 2
    assert len({face.external_image_id for face in faces}) == 1
    assert len({face.face_id for face in faces}) == 2


def test_case_035_single(lib, b64):
    everyone = add(lib, b64.G)
    (largest,) = add(lib, b64.G, single=True)
    area = lambda face: face.bounding_box.width * face.bounding_box.height
    # One face is found in a smaller picture than all of them, so its box may differ by a few pixels.
    expected, found = max(everyone, key=area).bounding_box, largest.bounding_box
    for side in ["top_left_x", "top_left_y", "width", "height"]:
        assert abs(getattr(expected, side) - getattr(found, side)) <= 0.03 * expected.width, side


def test_case_036_nobody(lib, b64):
    assert refused(add, lib, b64.N) == (400, "FRS.0404")
    assert show(lib).face_number == 0


def test_case_037_undefined_field(lib, b64):
    with pytest.raises(Exception) as caught:
        add(lib, b64.F1, external_fields={"city": "paris"})
    assert (caught.value.status_code, caught.value.error_code) == (400, "FRS.0405")


@pytest.mark.parametrize("values", [{"age": "23"}, {"age": 23.5}, {"age": 2**31}, {"vip": 1}, {"team": 5}, {"score": "1"}, {"age": True}])
def test_case_038_wrong_types(lib, b64, values):
    with pytest.raises(Exception) as caught:
        add(lib, b64.F1, external_fields=values)
    assert (caught.value.status_code, caught.value.error_code) == (400, "FRS.0406")
    assert show(lib).face_number == 0


def test_case_039_the_same_picture_twice(lib, b64):
    assert add(lib, b64.F1)[0].face_id != add(lib, b64.F1)[0].face_id
    assert show(lib).face_number == 2


def test_case_041_legacy_refresh(raw, lib, b64):
    answer = raw("POST", "/v2/{P}/face-sets/lib-a/faces", {"image_base64": b64.F1, "refresh": True})
    assert answer.status_code == 200 and len(answer.json()["faces"]) == 1


def test_case_042_multipart(raw, lib, photos):
    fields = [("external_fields", '{"age":23}'), ("single", "True")]
    answer = raw.multipart("/v2/{P}/face-sets/lib-a/faces", fields, [("image_file", photos.G)])
    assert answer.status_code == 200
    (face,) = answer.json()["faces"]
    assert face["external_fields"] == {"age": 23}


def test_case_043_python_repr(lib, photos, tmp_path):
    (tmp_path / "a.jpg").write_bytes(photos.F1)
    with open(tmp_path / "a.jpg", "rb") as photo:
        body = v2.AddFacesByFileRequestBody(image_file=FormFile(photo), external_fields={"vip": True})
        faces = lib.add_faces_by_file(v2.AddFacesByFileRequest(face_set_name="lib-a", body=body)).faces
    assert faces[0].external_fields == {"vip": True}


def test_case_044_not_a_picture(lib, tmp_path):
    assert refused(add, lib, "!!!not base64!!!") == (400, "FRS.0015")
    assert refused(add, lib, base64.b64encode(b"only some text").decode()) == (400, "FRS.0016")
    gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
    assert refused(add, lib, base64.b64encode(gif).decode()) == (400, "FRS.0016")


def test_case_045_line_breaks(lib, b64):
    broken = "\n".join(b64.F1[start:start + 76] for start in range(0, len(b64.F1), 76))
    assert len(add(lib, broken)) == 1
    assert len(add(lib, "data:image/jpeg;base64," + b64.F1)) == 1


def test_case_046_no_image(raw, lib):
    assert code(raw("POST", "/v2/{P}/face-sets/lib-a/faces", {"external_image_id": "a"})) == (400, "FRS.0011")
    assert code(raw("POST", "/v2/{P}/face-sets/lib-a/faces", {"image_base64": ""})) == (400, "FRS.0011")


def test_case_047_picture_too_large(raw, lib, photos):
    large = photos.F1 + b"\0" * (8 * 1024 * 1024)
    answer = raw.multipart("/v2/{P}/face-sets/lib-a/faces", [], [("image_file", large)])
    assert code(answer) == (400, "FRS.0017")


def test_case_048_049_pages(raw, lib, b64):
    ids = [add(lib, b64.F1)[0].face_id for _ in range(7)]
    first = raw("GET", "/v2/{P}/face-sets/lib-a/faces").json()["faces"]
    assert [face["face_id"] for face in first] == ids[:5]
    assert [face.face_id for face in page(lib, 5, 5)] == ids[5:]
    assert page(lib, 7, 5) == []


def test_case_050_beyond_ten_thousand(lib):
    assert refused(page, lib, 9999, 2) == (400, "FRS.0012")
    assert page(lib, 9999, 1) == []


def test_case_051_odd_pages(raw, lib):
    for query in ("offset=0&limit=0", "limit=abc", "offset=-1", "offset=0&limit=10001"):
        assert code(raw("GET", f"/v2/{{P}}/face-sets/lib-a/faces?{query}")) == (400, "FRS.0012"), query


def test_case_052_one_face(lib, b64):
    wanted, _other = add(lib, b64.F1)[0], add(lib, b64.F2)[0]
    assert [face.face_id for face in one(lib, wanted.face_id)] == [wanted.face_id]


def test_case_053_unknown_face(lib):
    assert refused(one, lib, "zzzzzzzz") == (400, "FRS.0403")


def test_case_054_update_merges(lib, b64):
    (face,) = add(lib, b64.F1, external_fields={"age": 23, "team": "red"})
    assert update(lib, face.face_id, external_fields={"age": 24}) == 1
    assert one(lib, face.face_id)[0].external_fields == {"age": 24, "team": "red"}


def test_case_055_nothing_to_update(lib, b64):
    (face,) = add(lib, b64.F1)
    assert refused(update, lib, face.face_id) == (400, "FRS.0011")


def test_case_056_update_an_unknown_face(lib):
    with pytest.raises(Exception) as caught:
        update(lib, "zzzzzzzz", external_image_id="a")
    assert (caught.value.status_code, caught.value.error_code) == (400, "FRS.0303")


def test_case_057_update_with_a_wrong_type(lib, b64):
    (face,) = add(lib, b64.F1, external_fields={"age": 23})
    with pytest.raises(Exception) as caught:
        update(lib, face.face_id, external_fields={"age": "x"})
    assert (caught.value.status_code, caught.value.error_code) == (400, "FRS.0406")
    assert one(lib, face.face_id)[0].external_fields == {"age": 23}


def test_case_058_delete_twice(lib, b64):
    (face,) = add(lib, b64.F1)
    assert delete_id(lib, face.face_id) == 1
    assert refused(delete_id, lib, face.face_id) == (400, "FRS.0303")
    assert show(lib).face_number == 0


def test_case_059_delete_all_of_a_picture(lib, b64):
    faces = add(lib, b64.G, external_image_id="both")
    add(lib, b64.F1, external_image_id="other")
    assert delete_external(lib, faces[0].external_image_id) == 2
    assert [face.external_image_id for face in page(lib)] == ["other"]


def test_case_060_delete_an_unused_external_id(lib):
    assert refused(delete_external, lib, "unused") == (400, "FRS.0401")


def test_case_061_delete_by_custom_field(raw, lib, b64):
    for team in ("red", "blue", "red"):
        add(lib, b64.F1, external_fields={"team": team})
    answer = raw("DELETE", "/v2/{P}/face-sets/lib-a/faces?team=red")
    assert (answer.status_code, answer.json()["face_number"]) == (200, 2)
    assert [face.external_fields for face in page(lib)] == [{"team": "blue"}]


def test_case_062_delete_by_an_unknown_field(raw, lib):
    assert code(raw("DELETE", "/v2/{P}/face-sets/lib-a/faces?city=x")) == (400, "FRS.0402")


def test_case_063_delete_without_query(raw, lib):
    assert code(raw("DELETE", "/v2/{P}/face-sets/lib-a/faces")) == (400, "FRS.0011")


def test_case_064_065_batch_delete(lib, b64):
    for age in (19, 20, 30, 31):
        add(lib, b64.F1, external_fields={"age": age})
    assert batch_delete(lib, "age:[20 TO 30]") == 2
    assert [face.external_fields["age"] for face in page(lib)] == [19, 31]
    assert refused(batch_delete, lib, "age:[20 TO 30]") == (400, "FRS.0407")


def test_case_066_batch_delete_without_a_filter(raw, lib):
    assert code(raw("DELETE", "/v2/{P}/face-sets/lib-a/faces/batch")) == (400, "FRS.0011")
    assert refused(batch_delete, lib, "age:[20 TO") == (400, "FRS.0012")


# -------------------------------------------------------------------------------------------------------- search


@pytest.fixture
def abcd(frs, b64):
    """The four faces of the specification's table 6.3, by name."""
    create(frs, fields={"age": "integer", "vip": "boolean", "team": "string"})
    rows = {"A": {"age": 20, "vip": True, "team": "red"}, "B": {"age": 30, "vip": False, "team": "blue"}, "C": {"age": 41, "team": "red"}, "D": {}}
    for name, values in rows.items():
        add(frs, b64.F1, external_image_id=name, external_fields=values)
    return frs


def matching(client, b64, text):
    return "".join(sorted(face.external_image_id for face in search(client, b64.F1, threshold=0, top_n=100, filter=text)))


def test_case_067_worked_filters(abcd, b64):
    table = {
        "age:[20 TO 30]": "AB", "age:{20 TO 30}": "", "age:[20 TO 30}": "A", "age:[31 TO *]": "C", "age:[* TO 20]": "A", "age:30": "B",
        "team:red": "AC", "vip:false": "B", "(!team:red)": "BD", "team:red && (!age:20)": "C",
        "(team:red && age:[* TO 25]) || vip:false": "AB", "team:red || vip:false && age:99": "AC", "team:Red": "",
    }
    assert {text: matching(abcd, b64, text) for text in table} == table
    for text, expected in {"age:[20 TO]": "FRS.0012", "city:paris": "FRS.0402"}.items():
        with pytest.raises(Exception) as caught:
            matching(abcd, b64, text)
        assert (caught.value.status_code, caught.value.error_code) == (400, expected)


def test_case_068_union(abcd, b64):
    assert matching(abcd, b64, "(age:[1 TO *] && team:red) || vip:true") == "AC"


def test_case_069_the_right_person_first(lib, b64):
    add(lib, b64.F2, external_image_id="F2", single=True)
    add(lib, b64.F1, external_image_id="F1", single=True)
    first, second = search(lib, b64.F1b)
    assert (first.external_image_id, second.external_image_id) == ("F1", "F2")
    assert first.similarity >= 0.93 and second.similarity < 0.8


def test_case_070_top_n(lib, b64):
    for _ in range(3):
        add(lib, b64.F1)
    assert len(search(lib, b64.F1b, top_n=1)) == 1


def test_case_071_threshold(lib, b64):
    add(lib, b64.F1)
    assert search(lib, b64.F2, threshold=0.99999) == []


def test_case_072_numbers_out_of_range(lib, b64):
    for words in ({"threshold": 1.5}, {"top_n": -1}, {"top_n": 1001}, {"threshold": -0.1}):
        with pytest.raises(Exception) as caught:
            search(lib, b64.F1, **words)
        assert (caught.value.status_code, caught.value.error_code) == (400, "FRS.0012"), words


def test_case_073_sort(lib, b64):
    for age in (30, 50, 40):
        add(lib, b64.F1, external_fields={"age": age})
    add(lib, b64.F1)
    found = search(lib, b64.F1, sort=[{"age": "desc"}], return_fields=["age"])
    assert [face.external_fields.get("age") for face in found] == [50, 40, 30, None]


def test_case_074_sort_by_text(lib, b64):
    with pytest.raises(Exception) as caught:
        search(lib, b64.F1, sort=[{"team": "asc"}])
    assert (caught.value.status_code, caught.value.error_code) == (400, "FRS.0032")


def test_case_075_return_fields(lib, b64):
    add(lib, b64.F1, external_fields={"age": 1, "team": "red"})
    assert [face.external_fields for face in search(lib, b64.F1, return_fields=["age"])] == [{"age": 1}]
    assert [face.external_fields for face in search(lib, b64.F1)] == [{}]


def test_case_076_search_by_face_id(lib, b64):
    (face,) = add(lib, b64.F1)
    assert [(found.face_id, found.similarity) for found in search_id(lib, face.face_id)] == [(face.face_id, 1)]


def test_case_077_search_by_unknown_face_id(lib):
    assert refused(search_id, lib, "zzzzzzzz") == (400, "FRS.0403")


def test_case_078_search_nobody(lib, b64):
    assert refused(search, lib, b64.N) == (400, "FRS.0304")


def test_case_079_search_in_a_missing_set(frs, b64):
    assert refused(search, frs, b64.F1, "nope") == (400, "FRS.0302")


def test_case_080_multipart_search(raw, lib, photos, b64):
    for age in (30, 50, 40):
        add(lib, b64.F1, external_fields={"age": age, "team": "red"})
    fields = [("sort", "[{'age': 'desc'}]"), ("return_fields", "['age']"), ("top_n", "2"), ("threshold", "0.5")]
    answer = raw.multipart("/v2/{P}/face-sets/lib-a/search", fields, [("image_file", photos.F1)])
    assert answer.status_code == 200
    found = [face["external_fields"] for face in answer.json()["faces"]]
    assert len(found) == 2 and found == sorted(found, key=lambda values: -values["age"])


def test_case_081_empty_set(raw, lib, b64):
    answer = raw("POST", "/v2/{P}/face-sets/lib-a/search", {"image_base64": b64.F1})
    assert (answer.status_code, answer.json()) == (200, {"faces": []})


# ---------------------------------------------------------------------------------------------- compare and detect


def compare(client, first, second):
    body = v2.FaceCompareBase64Req(image1_base64=first, image2_base64=second)
    return client.compare_face_by_base64(v2.CompareFaceByBase64Request(body=body))


def test_case_082_compare(frs, b64):
    assert compare(frs, b64.F1, b64.F1b).similarity >= 0.93
    different = compare(frs, b64.F1, b64.F2)
    assert different.similarity < 0.93
    assert different.image1_face.bounding_box.width > 0 and different.image2_face.bounding_box.width > 0


def test_case_083_compare_nobody(frs, b64):
    assert refused(compare, frs, b64.F1, b64.N) == (400, "FRS.0501")
    assert refused(compare, frs, b64.N, b64.F1) == (400, "FRS.0501")


def test_case_084_compare_one(raw, b64):
    assert code(raw("POST", "/v2/{P}/face-compare", {"image1_base64": b64.F1})) == (400, "FRS.0011")


def test_case_085_compare_files(frs):
    with open(harness.portrait("obama.jpg"), "rb") as first, open(harness.portrait("obama2.jpg"), "rb") as second:
        body = v2.CompareFaceByFileRequestBody(image1_file=FormFile(first), image2_file=FormFile(second))
        assert frs.compare_face_by_file(v2.CompareFaceByFileRequest(body=body)).similarity >= 0.93


def test_compare_by_url(frs, server, photos):
    body = v2.FaceCompareUrlReq(image1_url=f"{server.photos}/biden.jpg", image2_url=f"{server.photos}/biden2.jpg")
    assert frs.compare_face_by_url(v2.CompareFaceByUrlRequest(body=body)).similarity >= 0.93


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_case_086_091_detect_two(raw, b64, version):
    answer = raw("POST", f"/{version}/{{P}}/face-detect", {"image_base64": b64.G})
    assert answer.status_code == 200
    faces = answer.json()["faces"]
    assert len(faces) == 2
    for face in faces:
        assert set(face) == {"bounding_box"}
        assert set(face["bounding_box"]) == {"width", "height", "top_left_x", "top_left_y"}
        assert all(isinstance(number, int) for number in face["bounding_box"].values())


def test_case_088_detect_nobody(raw, b64):
    answer = raw("POST", "/v2/{P}/face-detect", {"image_base64": b64.N})
    assert (answer.status_code, answer.json()) == (200, {"faces": []})


def test_case_090_attributes_that_are_no_codes(raw, b64):
    assert code(raw("POST", "/v2/{P}/face-detect", {"image_base64": b64.F1, "attributes": "age"})) == (400, "FRS.0012")


ATTRIBUTES = "0,1,2,3,4,5,6,7,8,11,12,13,21"


def installed(name):
    """Whether the server measures with this model pack."""
    found = json.loads(harness.run("pack", "list", "--json").stdout)["packs"]
    return any(pack["id"] == name and pack["problem"] is None for pack in found)


def test_case_087_089_what_needs_no_pack(frs, b64):
    request = v2.FaceDetectBase64Req(image_base64=b64.F1, attributes="4,6,7,8,12,21,99")
    (face,) = frs.detect_face_by_base64(v2.DetectFaceByBase64Request(body=request)).faces
    found = face.attributes
    assert (found.dress.glass, found.dress.hat) == ("unknown", "unknown")
    assert (found.mask, found.hair, found.beard) == ("unknown", "unknown", "unknown")
    assert found.quality.total_score >= 0.45 and found.quality.blur <= 0.3 and found.quality.pose <= 0.3
    assert found.face_angle == 0
    assert found.age is None and found.phototype is None


def test_every_attribute_code(frs, raw, b64):
    if not installed("attributes-1"):
        pytest.skip("needs model pack attributes-1: likeness pack install attributes")
    request = v2.FaceDetectBase64Req(image_base64=b64.F1, attributes=ATTRIBUTES)
    (face,) = frs.detect_face_by_base64(v2.DetectFaceByBase64Request(body=request)).faces
    found = face.attributes
    assert 30 <= found.age <= 65 and found.expression.type == "happy" and found.expression.probability > 0.9
    # What the SDK has no member for is there all the same.
    (face,) = raw("POST", "/v2/{P}/face-detect", {"image_base64": b64.F1, "attributes": ATTRIBUTES}).json()["faces"]
    assert face["attributes"]["gender"] == "male" and face["attributes"]["smile"] == "yes"
    assert all(abs(angle) <= 25 for angle in face["attributes"]["headpose"].values())
    box = face["bounding_box"]
    lengths = {}
    for part, points in face["landmark"].items():
        lengths[part] = len(points)
        for point in points:
            assert box["top_left_x"] - box["width"] / 4 <= point["x"] <= box["top_left_x"] + box["width"] * 5 / 4
            assert box["top_left_y"] - box["height"] / 4 <= point["y"] <= box["top_left_y"] + box["height"] * 5 / 4
    assert lengths == {"eyes_contour": 12, "mouth_contour": 20, "face_contour": 17, "eyebrow_contour": 10, "nose_contour": 9}
    exact = raw("POST", "/v2/{P}/face-detect", {"image_base64": b64.F1, "attributes": "2,12"}).json()["faces"][0]
    assert set(exact["attributes"]) == {"age", "quality"} and "landmark" not in exact


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_turned_photograph_is_found_and_its_angle_told(raw, photos, angle):
    turned = io.BytesIO()
    Image.open(io.BytesIO(photos.F1)).convert("RGB").rotate(-angle, expand=True).save(turned, "JPEG", quality=95)
    image = base64.b64encode(turned.getvalue()).decode()
    (face,) = raw("POST", "/v2/{P}/face-detect", {"image_base64": image, "attributes": "21"}).json()["faces"]
    assert face["attributes"] == {"face_angle": angle}


def test_every_way_to_detect(frs, server, b64):
    """By base64, URL and file, and their `_intl` twins."""
    counts = []
    for suffix in ("", "_intl"):
        kind = suffix.title().replace("_", "")
        base64_request = getattr(v2, f"DetectFaceByBase64{kind}Request")(body=v2.FaceDetectBase64Req(image_base64=b64.F1))
        url_request = getattr(v2, f"DetectFaceByUrl{kind}Request")(body=v2.FaceDetectUrlReq(image_url=f"{server.photos}/obama.jpg"))
        counts.append(len(getattr(frs, f"detect_face_by_base64{suffix}")(base64_request).faces))
        counts.append(len(getattr(frs, f"detect_face_by_url{suffix}")(url_request).faces))
        with open(harness.portrait("obama.jpg"), "rb") as photo:
            body = getattr(v2, f"DetectFaceByFile{kind}RequestBody")(image_file=FormFile(photo))
            counts.append(len(getattr(frs, f"detect_face_by_file{suffix}")(getattr(v2, f"DetectFaceByFile{kind}Request")(body=body)).faces))
    assert counts == [1] * 6


# ------------------------------------------------------------------------------------------------------ the rest


def test_case_097_unknown_routes(raw):
    assert code(raw("GET", "/v2/{P}/unknown")) == (404, "APIG.0101")
    assert code(raw("PATCH", "/v2/{P}/face-sets")) == (404, "APIG.0101")


def test_case_098_enterprise_project(raw):
    assert raw("GET", "/v2/{P}/face-sets", headers={"Enterprise-Project-Id": "nonsense"}).status_code == 200


def test_case_100_nothing_outside_the_specification(raw, lib, b64):
    added = raw("POST", "/v2/{P}/face-sets/lib-a/faces", {"image_base64": b64.F1, "single": True})
    answers = {
        "faces": raw("GET", "/v2/{P}/face-sets/lib-a/faces"),
        "sets": raw("GET", "/v2/{P}/face-sets"),
        "search": raw("POST", "/v2/{P}/face-sets/lib-a/search", {"image_base64": b64.F1}),
        "added": added,
    }
    for name, answer in answers.items():
        assert answer.status_code == 200, name
        assert "null" not in answer.text, name
    face = {"face_id", "external_image_id", "bounding_box", "external_fields"}
    assert set(added.json()) == {"face_set_id", "face_set_name", "faces"} and set(added.json()["faces"][0]) == face
    assert set(answers["faces"].json()) == {"face_set_id", "face_set_name", "faces"}
    assert set(answers["search"].json()["faces"][0]) == face | {"similarity"}
    info = {"face_number", "face_set_id", "face_set_name", "create_date", "face_set_capacity", "external_fields"}
    assert set(answers["sets"].json()["face_sets_info"][0]) == info


def test_urls_that_may_not_be_fetched(raw, server, lib):
    """Private addresses stay out unless the operator allowed the host."""
    for url, expected in {
        "http://127.0.0.1:9/a.jpg": "FRS.0035", "http://[::1]/a.jpg": "FRS.0035", "http://169.254.169.254/latest/meta-data": "FRS.0035",
        "http://2130706433/a.jpg": "FRS.0035", "ftp://example.org/a.jpg": "FRS.0021", f"{server.photos}/absent.jpg": "FRS.0036",
    }.items():
        answer = raw("POST", "/v2/{P}/face-sets/lib-a/faces", {"image_url": url})
        assert code(answer) == (400, expected), url


def test_two_tenants_never_meet(server, key, other_key, b64):
    """One tenant's set, by the same name or by face id, is nothing to the other, at every endpoint."""
    ours, theirs = conftest.sdk(server.url, key), conftest.sdk(server.url, other_key)
    create(ours, fields=FIELDS)
    (face,) = add(ours, b64.F1, external_image_id="secret", external_fields={"age": 1})
    for call in (lambda: show(theirs), lambda: page(theirs), lambda: one(theirs, face.face_id), lambda: search(theirs, b64.F1),
                 lambda: search_id(theirs, face.face_id), lambda: add(theirs, b64.F1), lambda: delete_set(theirs),
                 lambda: update(theirs, face.face_id, external_image_id="x"), lambda: delete_id(theirs, face.face_id),
                 lambda: delete_external(theirs, "secret"), lambda: batch_delete(theirs, "age:1")):
        assert refused(call) == (400, "FRS.0302")
    assert theirs.show_all_face_sets(v2.ShowAllFaceSetsRequest()).face_sets_info == []
    create(theirs, fields=FIELDS)
    assert show(theirs).face_number == 0 and page(theirs) == [] and search(theirs, b64.F1) == []
    assert refused(one, theirs, face.face_id) == (400, "FRS.0403")
    assert refused(search_id, theirs, face.face_id) == (400, "FRS.0403")
    assert refused(delete_id, theirs, face.face_id) == (400, "FRS.0303")
    assert refused(delete_external, theirs, "secret") == (400, "FRS.0401")
    assert refused(batch_delete, theirs, "age:1") == (400, "FRS.0407")
    with pytest.raises(Exception) as caught:
        update(theirs, face.face_id, external_image_id="x")
    assert caught.value.error_code == "FRS.0303"
    assert show(ours).face_number == 1 and one(ours, face.face_id)[0].external_image_id == "secret"


def test_signature_for_another_tenants_project(server, key, other_key):
    url = f"{server.url}/v2/{other_key.project}/face-sets"
    assert code(requests.get(url, headers=signing.sign(key.id, key.secret, "GET", url))) == (403, "FRS.0028")


def test_curl_as_in_appendix_b(server, key, tmp_path):
    """The calls of appendix B, by curl itself."""
    photo = harness.portrait("obama.jpg")
    token = conftest.login(server.url, key).headers["X-Subject-Token"]
    base = f"{server.url}/v2/{key.project}"

    def curl(*arguments):
        done = subprocess.run(["curl", "-sS", "-H", f"X-Auth-Token: {token}", *arguments], capture_output=True, text=True, check=True)
        return __import__("json").loads(done.stdout)

    as_json = ["-H", "Content-Type: application/json"]
    curl("-X", "POST", f"{base}/face-sets", *as_json, "-d", '{"face_set_name":"lobby-1","external_fields":{"badge":{"type":"long"}}}')
    (tmp_path / "img.json").write_text('{"image_base64":"%s"}' % base64.b64encode(photo.read_bytes()).decode())
    assert len(curl("-X", "POST", f"{base}/face-detect", *as_json, "-d", f"@{tmp_path}/img.json")["faces"]) == 1
    assert len(curl("-X", "POST", f"{base}/face-detect", "-F", f"image_file=@{photo}")["faces"]) == 1
    assert curl("-X", "POST", f"{base}/face-compare", "-F", f"image1_file=@{photo}", "-F", f"image2_file=@{photo}")["similarity"] > 0.99
    added = curl("-X", "POST", f"{base}/face-sets/lobby-1/faces", "-F", f"image_file=@{photo}", "-F", "external_image_id=emp-1", "-F", 'external_fields={"badge":7001}')
    assert added["faces"][0]["external_fields"] == {"badge": 7001}
    assert len(curl(f"{base}/face-sets/lobby-1/faces?offset=0&limit=10", *as_json)["faces"]) == 1
    assert curl("-X", "DELETE", f"{base}/face-sets/lobby-1/faces?badge=7001", *as_json)["face_number"] == 1
    curl("-X", "POST", f"{base}/face-sets/lobby-1/faces", "-F", f"image_file=@{photo}", "-F", 'external_fields={"badge":7001}')
    assert curl("-X", "DELETE", f"{base}/face-sets/lobby-1/faces/batch", *as_json, "-d", '{"filter":"badge:[7000 TO 7999]"}')["face_number"] == 1
