"""Fixtures: a server with photographs, the vendor's own SDK, and photographs by their part in the story."""

import base64
import io
import json
import types

import harness
import people
import pytest
import requests
import signing
from huaweicloudsdkcore.auth import credentials as sdk_credentials
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkfrs.v2 import FrsClient
from PIL import Image


def token_credentials(token, project_id):
    """Credentials that send a token instead of a signature, through the SDK's own extension point."""

    # The SDK accepts credentials by the name of their class.
    class BasicCredentials(sdk_credentials.BasicCredentials):
        def sign_request(self, request):
            signed = super().sign_request(request)
            signed.header_params.pop("Authorization", None)
            signed.header_params["X-Auth-Token"] = token
            return signed

    return BasicCredentials("unused", "unused", project_id)


def login(url, key, **changes):
    """The IAM call; returns the raw answer."""
    user = {"name": key.id, "password": key.secret, "domain": {"name": key.tenant}}
    user.update(changes)
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": {"id": key.project}}}}
    return requests.post(f"{url}/v3/auth/tokens", json=body)


def client_for(url, credentials):
    return FrsClient.new_builder().with_credentials(credentials).with_endpoint(url).build()


def sdk(url, key):
    return client_for(url, BasicCredentials(key.id, key.secret, key.project))


class Raw:
    """Calls that the SDK cannot make: signed by the suite's own signer, any path, any body."""

    def __init__(self, url, key):
        self.url, self.key = url, key

    def __call__(self, method, path, body=None, headers=None, **options):
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"{self.url}{path.replace('{P}', self.key.project)}"
        sent = {"Content-Type": "application/json", **(headers or {})}
        signed = signing.sign(self.key.id, self.key.secret, method, url, data, sent, **options)
        return requests.request(method, url, data=data, headers=signed)

    def multipart(self, path, fields, files, unsigned_payload=True):
        boundary = "likeness-boundary-0001"
        data = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields
        )
        for name, content in files:
            data += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="photo"\r\n\r\n'.encode() + content + b"\r\n"
        data += f"--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self("POST", path, data, headers, unsigned_payload=unsigned_payload)


def refused(call, *arguments):
    """Calls and returns (status, code) of the vendor error the SDK raises."""
    with pytest.raises(ClientRequestException) as caught:
        call(*arguments)
    assert caught.value.error_msg, "an error has a message"
    assert caught.value.request_id, "an error has a request id"
    return caught.value.status_code, caught.value.error_code


@pytest.fixture(scope="session")
def photos():
    """F1 and F1b show one person, F2 another, G two people, N nobody; as bytes."""
    found = people.photos()
    left, right = (Image.open(io.BytesIO(photo)).convert("RGB") for photo in (found.P1, found.P2))
    both = Image.new("RGB", (left.width + right.width, max(left.height, right.height)))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    together = people.jpeg(both, quality=92)
    return types.SimpleNamespace(F1=found.P1, F1b=found.P1b, F2=found.P2, G=together, N=found.nobody)


@pytest.fixture(scope="session")
def b64(photos):
    return types.SimpleNamespace(**{role: base64.b64encode(data).decode() for role, data in vars(photos).items()})


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with harness.server_with_photos(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def frs(server, key):
    return sdk(server.url, key)


@pytest.fixture
def raw(server, key):
    return Raw(server.url, key)
