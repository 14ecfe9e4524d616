"""The unmodified SDK goes through a whole day: make a set, enrol three ways, find, compare, change, delete."""

import conftest
import harness
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.formdata import FormFile
from huaweicloudsdkfrs import v2 as frs_v2


@pytest.fixture(params=["ak_sk", "token"])
def client(request, server, key):
    if request.param == "ak_sk":
        credentials = BasicCredentials(key.id, key.secret, key.project)
    else:
        answer = conftest.login(server.url, key)
        assert answer.status_code == 201
        credentials = conftest.token_credentials(answer.headers["X-Subject-Token"], key.project)
    return conftest.client_for(server.url, credentials)


def test_a_day_with_the_sdk(client, server, photos, b64):
    made = client.create_face_set(
        frs_v2.CreateFaceSetRequest(body=frs_v2.CreateFaceSetReq(
            face_set_name="staff", external_fields={"age": frs_v2.TypeInfo(type="integer"), "team": frs_v2.TypeInfo(type="string")})))
    assert made.face_set_info.face_number == 0

    by_base64 = client.add_faces_by_base64(frs_v2.AddFacesByBase64Request(
        face_set_name="staff",
        body=frs_v2.AddFacesBase64Req(image_base64=b64.F1, external_image_id="president", external_fields={"age": 47, "team": "blue"}, single=True)))
    with open(harness.portrait("biden.jpg"), "rb") as photo:
        by_file = client.add_faces_by_file(frs_v2.AddFacesByFileRequest(
            face_set_name="staff",
            body=frs_v2.AddFacesByFileRequestBody(image_file=FormFile(photo), external_image_id="vice", external_fields='{"age": 66}', single=True)))
    by_url = client.add_faces_by_url(frs_v2.AddFacesByUrlRequest(
        face_set_name="staff", body=frs_v2.AddFacesUrlReq(image_url=f"{server.photos}/astronaut.png", external_image_id="astronaut")))
    president, vice, astronaut = (answer.faces[0].face_id for answer in (by_base64, by_file, by_url))
    assert by_file.faces[0].external_fields == {"age": 66}
    assert len({president, vice, astronaut}) == 3

    found = client.search_face_by_base64(frs_v2.SearchFaceByBase64Request(
        face_set_name="staff", body=frs_v2.FaceSearchBase64Req(image_base64=b64.F1b, return_fields=["age"])))
    assert found.faces[0].face_id == president
    assert found.faces[0].similarity >= 0.93
    assert found.faces[0].external_fields == {"age": 47}
    assert all(face.similarity < 0.88 for face in found.faces[1:])

    by_id = client.search_face_by_face_id(frs_v2.SearchFaceByFaceIdRequest(
        face_set_name="staff", body=frs_v2.FaceSearchFaceIdReq(face_id=vice, top_n=1)))
    assert [(face.face_id, face.similarity) for face in by_id.faces] == [(vice, 1)]

    with open(harness.portrait("biden2.jpg"), "rb") as photo:
        searched_by_file = client.search_face_by_file(frs_v2.SearchFaceByFileRequest(
            face_set_name="staff", body=frs_v2.SearchFaceByFileRequestBody(image_file=FormFile(photo), top_n=1, threshold=0.9)))
    assert [face.face_id for face in searched_by_file.faces] == [vice]
    searched_by_url = client.search_face_by_url(frs_v2.SearchFaceByUrlRequest(
        face_set_name="staff", body=frs_v2.FaceSearchUrlReq(image_url=f"{server.photos}/obama3.jpg", filter="age:[40 TO 50]")))
    assert [face.face_id for face in searched_by_url.faces] == [president]

    same = client.compare_face_by_base64(frs_v2.CompareFaceByBase64Request(
        body=frs_v2.FaceCompareBase64Req(image1_base64=b64.F1, image2_base64=b64.F1b)))
    different = client.compare_face_by_base64(frs_v2.CompareFaceByBase64Request(
        body=frs_v2.FaceCompareBase64Req(image1_base64=b64.F1, image2_base64=b64.F2)))
    assert different.similarity < 0.88 < 0.93 <= same.similarity
    assert same.image1_face.bounding_box.width > 0 and same.image2_face.bounding_box.height > 0

    listed = client.show_faces_by_limit(frs_v2.ShowFacesByLimitRequest(face_set_name="staff", offset=0, limit=10))
    assert [face.face_id for face in listed.faces] == [president, vice, astronaut]

    updated = client.update_face(frs_v2.UpdateFaceRequest(
        face_set_name="staff", body=frs_v2.UpdateFaceReq(face_id=vice, external_image_id="vice-president", external_fields={"team": "red"})))
    assert updated.face_number == 1
    shown = client.show_faces_by_face_id(frs_v2.ShowFacesByFaceIdRequest(face_set_name="staff", face_id=vice))
    assert shown.faces[0].external_image_id == "vice-president"
    assert shown.faces[0].external_fields == {"age": 66, "team": "red"}

    assert client.delete_face_by_face_id(frs_v2.DeleteFaceByFaceIdRequest(face_set_name="staff", face_id=president)).face_number == 1
    gone = client.search_face_by_base64(frs_v2.SearchFaceByBase64Request(
        face_set_name="staff", body=frs_v2.FaceSearchBase64Req(image_base64=b64.F1b)))
    assert president not in [face.face_id for face in gone.faces]
    assert client.delete_face_by_external_image_id(
        frs_v2.DeleteFaceByExternalImageIdRequest(face_set_name="staff", external_image_id="vice-president")).face_number == 1
    listed = client.show_faces_by_limit(frs_v2.ShowFacesByLimitRequest(face_set_name="staff", offset=0, limit=10))
    assert [face.face_id for face in listed.faces] == [astronaut]
    assert client.batch_delete_faces(frs_v2.BatchDeleteFacesRequest(
        face_set_name="staff", body=frs_v2.DeleteFacesBatchReq(filter="external_image_id:astronaut"))).face_number == 1

    sets = client.show_all_face_sets(frs_v2.ShowAllFaceSetsRequest())
    assert [(info.face_set_name, info.face_number) for info in sets.face_sets_info] == [("staff", 0)]
    assert client.delete_face_set(frs_v2.DeleteFaceSetRequest(face_set_name="staff")).face_set_name == "staff"
    assert client.show_all_face_sets(frs_v2.ShowAllFaceSetsRequest()).face_sets_info == []


def test_project_look_up_through_a_region_object(server, key):
    """With a region and no project id the SDK asks IAM for the project."""
    from huaweicloudsdkcore.region.region import Region

    credentials = BasicCredentials(key.id, key.secret).with_iam_endpoint(server.url)
    client = frs_v2.FrsClient.new_builder().with_credentials(credentials).with_region(Region("cn-north-4", server.url)).build()
    assert client.show_all_face_sets(frs_v2.ShowAllFaceSetsRequest()).face_sets_info == []


def test_derived_signature(server, key):
    """V11-HMAC-SHA256, the SDK's other HMAC algorithm."""
    from huaweicloudsdkcore.region.region import Region

    credentials = BasicCredentials(key.id, key.secret, key.project).with_derived_predicate(lambda _request: True)
    client = (frs_v2.FrsClient.new_builder().with_credentials(credentials)
              ._with_derived_auth_service_name("frs").with_region(Region("cn-north-4", server.url)).build())
    assert client.show_all_face_sets(frs_v2.ShowAllFaceSetsRequest()).face_sets_info == []
