"""Clients nobody had tried: the additions at the end of the references, by their numbers, with the clients themselves where
a registry has them."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import harness
import pytest
import requests
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import v3 as keystone
from keystoneauth1.identity.generic import password as keystone_any

BIN = pathlib.Path(sys.executable).parent


def test_huawei_a1_the_vendors_javascript_core_signs_requests_without_a_body(js):
    said = js("huawei.cjs")
    assert said == {"made": "from-node", "listed": ["from-node"], "again": ["from-node"], "queried": [], "deleted": "from-node"}


def test_huawei_a1_a4_a_php_client_signs_no_body_and_leaves_a_quote_in_the_query(php, key):
    sets = f"/v2/{key.project}/face-sets"
    answer = php("huawei", sets)
    assert (answer["status"], answer["body"]) == (200, {"face_sets_info": []}), answer
    # As the vendor does: what is asked for is not understood, and that is said in the service's own shape.
    answer = php("huawei", f'{sets}/none/faces?external_image_id="<a>"')
    assert answer["status"] == 400 and answer["body"]["error_code"].startswith("FRS."), answer
    assert any(line.startswith("X-Request-Id: ") for line in answer["head"]), answer


def test_huawei_a2_header_names_are_written_as_some_clients_compare_them(server, key):
    user = {"name": key.id, "password": key.secret, "domain": {"name": key.tenant}}
    body = json.dumps({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}})
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as stream:
        head = f"POST /v3/auth/tokens HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        stream.sendall((head + body).encode())
        answer = b""
        while part := stream.recv(65536):
            answer += part
    head = answer.split(b"\r\n\r\n")[0].decode()
    assert head.startswith("HTTP/1.1 201 ") and "\r\nX-Subject-Token: " in head and "\r\nX-Request-Id: " in head, head


@pytest.mark.parametrize("root", ["", "/", "/v3", "/v3/"])
def test_huawei_a3_keystoneauth_finds_the_face_service(server, key, root):
    auth = keystone_any.Password(
        auth_url=server.url + root, username=key.id, password=key.secret, user_domain_name=key.tenant,
        project_name="cn-north-4", project_domain_name=key.tenant,
    )
    session = keystone_session.Session(auth=auth)
    face = {"service_type": "face", "interface": "public", "region_name": "cn-north-4"}
    assert session.get_endpoint(**face) == f"{server.url}/v2/{key.project}"
    assert session.get("/face-sets", endpoint_filter=face).json() == {"face_sets_info": []}
    assert session.get_project_id() == key.project

    # A token for a token, and a user by its id alone.
    exchanged = keystone.Token(auth_url=f"{server.url}/v3", token=session.get_token(), project_id=key.project)
    assert keystone_session.Session(auth=exchanged).get("/face-sets", endpoint_filter=face).status_code == 200
    by_id = keystone.Password(auth_url=f"{server.url}/v3", user_id=key.id, password=key.secret, project_id=key.project)
    assert keystone_session.Session(auth=by_id).get("/face-sets", endpoint_filter=face).status_code == 200


def test_huawei_a3_the_openstack_command(server, key):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OS_")},
        "OS_AUTH_URL": server.url, "OS_IDENTITY_API_VERSION": "3", "OS_USERNAME": key.id, "OS_PASSWORD": key.secret,
        "OS_USER_DOMAIN_NAME": key.tenant, "OS_PROJECT_DOMAIN_NAME": key.tenant, "OS_PROJECT_NAME": "cn-north-4",
    }

    def openstack(*arguments):
        done = subprocess.run(
            [str(BIN / "openstack"), *arguments, "-f", "json"], capture_output=True, text=True, timeout=300, env=environment
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)

    issued = openstack("token", "issue")
    assert (issued["project_id"], issued["user_id"]) == (key.project, key.id)
    assert {entry["Type"] for entry in openstack("catalog", "list")} == {"identity", "face"}
    assert [project["ID"] for project in openstack("project", "list")] == [key.project]


def test_huawei_a_small_client_of_the_registry_signs_as_the_gateway_expects(server, key):
    from huawei_api_sdk import HWSClient

    client = HWSClient(server.url, key.id, key.secret)
    sets = f"/v2/{key.project}/face-sets"
    made = client.post(sets, body=json.dumps({"face_set_name": "small"}))
    assert made.status_code == 200, made.text
    assert [found["face_set_name"] for found in client.get(sets).json()["face_sets_info"]] == ["small"]


def test_alibaba_a1_a_query_that_is_not_escaped_is_signed_and_taken_so(php):
    answer = php("alibaba")
    assert (answer["status"], answer["body"]["code"]) == (200, 200), answer


def test_alibaba_a2_a3_the_vendors_javascript_clients(js):
    said = js("alibaba.cjs")
    assert (said["added"], said["shown"], said["faces"], said["put"]) == (200, ["from-node"], [200, 200], 200)
    assert "x-oss-date" in said["sent"] and "date" not in said["sent"], said["sent"]


@pytest.mark.parametrize("target", ['/v2/P/face-sets?a="b"', "/green/sface/groups?a=<b>", "/facepp/v3/detect?a=<\xff>", "/x?<"])
def test_huawei_a4_no_dialect_answers_a_bare_400(server, target):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as stream:
        for _ in range(2):  # Also the second request of a connection.
            stream.sendall(f"POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += stream.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            while len(body) < length:
                body += stream.recv(65536)
            assert b"\r\nX-Request-Id: " in head and json.loads(body), answer


def test_facepp_a_small_client_of_the_registry(server, key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from ksfaceapi import KSface

    client = KSface(api_key=key.id, api_secret=key.secret, faceset_id="door")
    for name in [name for name in vars(client) if name.endswith("_URL")]:
        setattr(client, name, getattr(client, name).replace("https://api-cn.faceplusplus.com", server.url))
    assert client.create()
    assert client.add(str(harness.portrait("obama.jpg")), "obama")
    found = requests.post(
        f"{server.url}/facepp/v3/search", data={"api_key": key.id, "api_secret": key.secret, "outer_id": "door"},
        files={"image_file": harness.portrait("obama2.jpg").read_bytes()}, timeout=120,
    ).json()
    assert found["results"][0]["confidence"] >= 70, found
