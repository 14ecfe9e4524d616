"""The served description against the server: schemathesis looks for answers that it does not describe, and a client that a
public generator makes of it enrols and searches."""

import json
import os
import pathlib
import subprocess
import sys

import harness
import pytest
import requests

BIN = pathlib.Path(sys.executable).parent

# Seconds of schemathesis; ten minutes find what there is to find.
SECONDS = int(os.environ.get("LIKENESS_SCHEMATHESIS_S", "60"))


# 500 is always a fault of the server. 501 is what this installation cannot do, 502 and 504 are those of an address that a
# request names. Nothing that a request holds makes the server too busy (503) or its disk full (507).
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 501, 502, 504]
"""


def test_schemathesis_finds_nothing(server, key, tmp_path):
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    document = f"{server.url}/likeness/v1/openapi.json"
    command = [
        BIN / "schemathesis", "run", document,
        "--url", f"{server.url}/likeness/v1",
        "--header", f"Authorization: Bearer {key.id}.{key.secret}",
        "--phases", "examples,coverage,fuzzing,stateful",
        # The key that asks must not lose itself, nor be limited by keys that it makes.
        "--exclude-path-regex", "^/keys|^/session|^/tickets",
        # Requests that the description forbids may be accepted where the server is lenient with queries of JSON requests.
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--max-time", str(SECONDS),
        "--request-timeout", "120",
        # The same requests in every run: a test that fails is to fail again.
        "--seed", os.environ.get("LIKENESS_SCHEMATHESIS_SEED", "1"),
        "--no-color",
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, timeout=SECONDS + 600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_a_generated_client_enrols_and_searches(server, key, tmp_path, portrait):
    document = tmp_path / "openapi.json"
    answer = requests.get(f"{server.url}/likeness/v1/openapi.json", timeout=60)
    document.write_text(json.dumps(answer.json()))
    subprocess.run(
        [str(BIN / "openapi-python-client"), "generate", "--path", str(document), "--meta", "none", "--output-path", "made"],
        check=True, cwd=tmp_path, capture_output=True, timeout=300,
    )
    script = tmp_path / "use.py"
    script.write_text(
        """
import base64, sys
from made import AuthenticatedClient
from made.api.face_sets import create_face_set, add_faces, search
from made.models import AddFaces, CreateFaceSet, Search
from made.models.image_type_0 import ImageType0

url, token, one, other = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token)
image = lambda path: ImageType0(base64=base64.b64encode(open(path, "rb").read()).decode())
made = create_face_set.sync(client=client, body=CreateFaceSet(name="generated"))
assert made.name == "generated", made
added = add_faces.sync("generated", client=client, body=AddFaces(image=image(one), subject="obama"))
found = search.sync("generated", client=client, body=Search(image=image(other)))
assert found.candidates[0].face.id == added.faces[0].id, found
print("found")
"""
    )
    paths = [str(harness.portrait(name)) for name in ("obama.jpg", "obama2.jpg")]
    done = subprocess.run(
        [sys.executable, str(script), f"{server.url}/likeness/v1", f"{key.id}.{key.secret}", *paths],
        capture_output=True, text=True, cwd=tmp_path, timeout=300,
    )
    assert done.returncode == 0 and "found" in done.stdout, done.stderr[-4000:]


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/page.js", "/docs/page.css"])
def test_the_description_is_for_everybody(server, path):
    assert requests.get(f"{server.url}/likeness/v1{path}", timeout=60).status_code == 200
