"""One library behind three vendors' APIs: what is enrolled or deleted through one is so for the others, at once.

Obama is `anna` here, in two photographs; Biden is somebody else.
"""

import base64

import harness
import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkfrs import v2 as frs_v2

FIRST, SECOND, OTHER = "obama.jpg", "obama2.jpg", "biden.jpg"


class Alibaba:
    """What these tests ask of each API, in one vocabulary. A person is enrolled, and found by key."""

    def __init__(self, green, img):
        self.green, self.img = green, img

    def enrol(self, name, group, photo):
        self.green.ok("AddPerson", {"personId": name, "groupIds": [group], "name": name.title()})
        item, = self.green.ok("AddFaces", {"personId": name, "urls": [self.img(photo)]})["faceImageItems"]
        assert item["success"], item

    def found(self, group, photo):
        """Who in the group is the person in the photograph."""
        task = {"url": self.img(photo), "extras": {"groupId": group}}
        task, = self.green.ok("ImageSyncScan", {"scenes": ["sface-n"], "tasks": [task]})
        if task["code"] == 404:
            return None
        assert task["code"] == 200, task
        face, = task["results"][0]["topPersonData"]
        return [person["personId"] for person in face["persons"] if person["rate"] >= 80]

    def groups(self):
        return self.green.ok("GetGroups")["groupIds"]

    def faces_of(self, name):
        return self.green.ok("GetPerson", {"personId": name})["faceIds"]


class Huawei:
    def __init__(self, frs):
        self.frs = frs

    def enrol(self, name, group, photo):
        image = base64.b64encode(harness.portrait(photo).read_bytes()).decode()
        body = frs_v2.AddFacesBase64Req(image_base64=image, external_image_id=name, single=True)
        self.frs.add_faces_by_base64(frs_v2.AddFacesByBase64Request(face_set_name=group, body=body))

    def create(self, group):
        self.frs.create_face_set(frs_v2.CreateFaceSetRequest(body=frs_v2.CreateFaceSetReq(face_set_name=group)))

    def found(self, group, photo):
        """Ids of the faces of the person in the photograph; None if there is no such set."""
        image = base64.b64encode(harness.portrait(photo).read_bytes()).decode()
        body = frs_v2.FaceSearchBase64Req(image_base64=image, threshold=0.93)
        try:
            answer = self.frs.search_face_by_base64(frs_v2.SearchFaceByBase64Request(face_set_name=group, body=body))
        except ClientRequestException as refused:
            assert refused.status_code == 400, refused
            return None
        return [face.face_id for face in answer.faces]

    def listed(self, group):
        request = frs_v2.ShowFacesByLimitRequest(face_set_name=group, offset=0, limit=10)
        return [(face.face_id, face.external_image_id) for face in self.frs.show_faces_by_limit(request).faces]

    def groups(self):
        infos = self.frs.show_all_face_sets(frs_v2.ShowAllFaceSetsRequest()).face_sets_info
        return [(info.face_set_name, info.face_number) for info in infos]

    def delete(self, group, face):
        self.frs.delete_face_by_face_id(frs_v2.DeleteFaceByFaceIdRequest(face_set_name=group, face_id=face))

    def delete_labelled(self, group, name):
        self.frs.delete_face_by_external_image_id(
            frs_v2.DeleteFaceByExternalImageIdRequest(face_set_name=group, external_image_id=name))

    def delete_set(self, group):
        self.frs.delete_face_set(frs_v2.DeleteFaceSetRequest(face_set_name=group))


class Yuanli:
    def __init__(self, finauth):
        self.finauth = finauth

    def create(self, group):
        assert self.finauth("create", group_id=group, group_name=group).status == 200

    def enrol(self, name, group, photo):
        assert self.finauth("add", file=harness.portrait(photo).read_bytes(), group_id=group, user_id=name).status == 200

    def found(self, group, photo):
        """Tokens and users of the faces of the person in the photograph; None if there is no such library."""
        answer = self.finauth("search", file=harness.portrait(photo).read_bytes(), group_id=group, limit=10, threshold=80)
        if answer.status == 400:
            assert answer.error[1] == "INVALID_GROUP_ID", answer.error
            return None
        return [(result["face_token"], result["user_id"]) for result in answer["results"]]

    def listed(self, group):
        return [face["face_token"] for face in self.finauth("list", group_id=group)["face_tokens"]]

    def delete(self, group, token):
        assert self.finauth("delete", group_id=group, face_tokens=token).status == 200

    def free(self, group):
        assert self.finauth("free", group_id=group, check_empty="0").status == 200


@pytest.fixture
def alibaba(green, img):
    return Alibaba(green, img)


@pytest.fixture
def huawei(frs):
    return Huawei(frs)


@pytest.fixture
def yuanli(finauth):
    return Yuanli(finauth)


def test_alibaba_persons_are_faces_for_huawei(alibaba, huawei):
    alibaba.enrol("anna", "staff", FIRST)
    alibaba.enrol("bert", "staff", OTHER)
    assert huawei.groups() == [("staff", 2)]
    face, = huawei.found("staff", SECOND)
    assert face in [listed for listed, _ in huawei.listed("staff")]

    huawei.delete("staff", face)
    assert alibaba.found("staff", SECOND) == [], "gone from the group"
    assert alibaba.faces_of("anna") == [], "and from the person"
    assert alibaba.found("staff", OTHER) == ["bert"]

    alibaba.green.ok("DeletePerson", {"personId": "bert"})
    assert huawei.groups() == [("staff", 0)] and huawei.listed("staff") == []
    alibaba.green.ok("DeletePerson", {"personId": "anna"})
    assert huawei.groups() == [] and huawei.found("staff", SECOND) is None, "the group went with its last member"


def test_alibaba_faces_and_memberships_end_for_huawei(alibaba, huawei):
    alibaba.enrol("anna", "staff", FIRST)
    huawei.create("guests")
    alibaba.green.ok("AddGroups", {"personId": "anna", "groupIds": ["guests"]})
    assert len(huawei.found("guests", SECOND)) == 1
    alibaba.green.ok("DeleteGroups", {"personId": "anna", "groupIds": ["guests"]})
    assert huawei.found("guests", SECOND) == [] and len(huawei.found("staff", SECOND)) == 1
    alibaba.green.ok("DeleteFaces", {"personId": "anna", "faceIds": alibaba.faces_of("anna")})
    assert huawei.found("staff", SECOND) == [] and huawei.listed("staff") == []


def test_huawei_faces_are_persons_for_alibaba(alibaba, huawei):
    huawei.create("staff")
    assert alibaba.groups() == ["staff"]
    huawei.enrol("card-7", "staff", FIRST)
    huawei.enrol("card-8", "staff", OTHER)
    assert alibaba.found("staff", SECOND) == ["card-7"], "by its external id"
    assert alibaba.green("GetPerson", {"personId": "card-7"})["code"] == 404, "which is no person of its own"
    huawei.delete_labelled("staff", "card-7")
    assert alibaba.found("staff", SECOND) == []
    assert alibaba.found("staff", OTHER) == ["card-8"]
    huawei.delete_set("staff")
    assert alibaba.groups() == [] and alibaba.found("staff", OTHER) is None


def test_huawei_deletes_the_set_that_alibaba_persons_are_in(alibaba, huawei):
    alibaba.enrol("anna", "staff", FIRST)
    huawei.delete_set("staff")
    assert alibaba.found("staff", SECOND) is None
    assert len(alibaba.faces_of("anna")) == 1, "the person keeps the face"


def test_alibaba_persons_are_faces_for_yuanli(alibaba, yuanli):
    alibaba.enrol("anna", "staff", FIRST)
    alibaba.enrol("bert", "staff", OTHER)
    (token, _), = yuanli.found("staff", SECOND)
    listed = yuanli.listed("staff")
    assert len(listed) == 2 and token in listed
    yuanli.delete("staff", token)
    assert alibaba.found("staff", SECOND) == [] and alibaba.faces_of("anna") == []
    alibaba.green.ok("DeletePerson", {"personId": "bert"})
    assert yuanli.listed("staff") == []
    alibaba.green.ok("DeletePerson", {"personId": "anna"})
    assert yuanli.found("staff", SECOND) is None


def test_yuanli_faces_are_persons_for_alibaba(alibaba, yuanli):
    yuanli.create("lib_a")
    yuanli.enrol("user-7", "lib_a", FIRST)
    assert alibaba.groups() == ["lib_a"]
    assert alibaba.found("lib_a", SECOND) == ["user-7"], "by its user_id"
    alibaba.enrol("anna", "lib_a", SECOND)
    assert len(yuanli.found("lib_a", SECOND)) == 2
    (token, user), = [found for found in yuanli.found("lib_a", FIRST) if found[1] == "user-7"]
    yuanli.delete("lib_a", token)
    assert alibaba.found("lib_a", FIRST) == ["anna"]
    alibaba.green.ok("DeleteFaces", {"personId": "anna", "faceIds": alibaba.faces_of("anna")})
    assert yuanli.found("lib_a", SECOND) == [] and yuanli.listed("lib_a") == []
    yuanli.free("lib_a")
    assert alibaba.groups() == []


def test_one_label_has_three_names(alibaba, huawei, yuanli):
    yuanli.create("lobby")
    yuanli.enrol("anna", "lobby", FIRST)
    assert [name for _, name in huawei.listed("lobby")] == ["anna"]
    assert [user for _, user in yuanli.found("lobby", SECOND)] == ["anna"]
    assert alibaba.found("lobby", SECOND) == ["anna"]
    face, = huawei.found("lobby", SECOND)
    huawei.delete("lobby", face)
    assert yuanli.found("lobby", SECOND) == [] == alibaba.found("lobby", SECOND)


@pytest.mark.parametrize("angle", [45, 90, 180, 270])
def test_turned_photographs_are_enrolled_and_found_in_every_dialect(server, turned, alibaba, huawei, yuanli, angle):
    path = turned / f"turned-{angle}.jpg"
    huawei.create("upright")
    huawei.enrol("anna", "upright", FIRST)
    huawei.enrol("bert", "upright", OTHER)
    anna, = [face for face, name in huawei.listed("upright") if name == "anna"]
    assert huawei.found("upright", path) == [anna]
    assert [user for _, user in yuanli.found("upright", path)] == ["anna"]
    task = {"url": f"{server.photos}/{path.name}", "extras": {"groupId": "upright"}}
    task, = alibaba.green.ok("ImageSyncScan", {"scenes": ["sface-n"], "tasks": [task]})
    face, = task["results"][0]["topPersonData"]
    assert [person["personId"] for person in face["persons"] if person["rate"] >= 80] == ["anna"]

    huawei.create("lying")
    huawei.enrol("by-huawei", "lying", path)
    yuanli.enrol("by-yuanli", "lying", path)
    alibaba.green.ok("AddPerson", {"personId": "by-alibaba", "groupIds": ["lying"], "name": "Anna"})
    urls = [f"{server.photos}/{path.name}"]
    item, = alibaba.green.ok("AddFaces", {"personId": "by-alibaba", "urls": urls})["faceImageItems"]
    assert item["success"], item
    assert len(huawei.found("lying", FIRST)) == 3
