"""The older Alibaba SDK, unmodified, with one key; shared by the suites that speak through it."""

import json

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
        self.client = AcsClient(key.id, key.secret, REGION, timeout=60)

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
