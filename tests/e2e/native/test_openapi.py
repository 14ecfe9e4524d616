"""The served description against the server: schemathesis looks for answers that it does not describe, and a client that a
public generator makes of it enrols and searches."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import harness
import pytest
import requests
from conftest import Native

BIN = pathlib.Path(sys.executable).parent

# Seconds of schemathesis; ten minutes find what there is to find.
SECONDS = int(os.environ.get("LIKENESS_SCHEMATHESIS_S", "60"))


# 500 is always a fault of the server. 501 is what this installation cannot do, 502 and 504 are those of an address that a
# request names. Nothing that a request holds makes the server too busy (503) or its disk full (507).
#
# With LIKENESS_SCHEMATHESIS_ACCEPTS set it is also a finding if what the document allows is refused. That is for whoever works
# on the document: made-up requests go on finding what no document can say, one kind in some thousands of them.
# What is described may be refused where it depends on more than the request: 412 by `If-Match`, 413 by its size, 422 by
# what an image shows and by an `Idempotency-Key` that was used; 400 only as `schemathesis_checks.py` names it.
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 501, 502, 504]

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 412, 413, 422, "5xx"]
"""

ACCEPTS = "LIKENESS_SCHEMATHESIS_ACCEPTS" in os.environ

# The key that asks must not lose itself, which it finds among the others.
ITSELF = ["update_key", "rotate_key", "delete_key"]


def test_schemathesis_finds_nothing(server, key, tmp_path):
    hooks = 'hooks = "schemathesis_checks.py"\n' if ACCEPTS else ""
    (tmp_path / "schemathesis.toml").write_text(hooks + CONFIG)
    shutil.copy(pathlib.Path(__file__).with_name("schemathesis_checks.py"), tmp_path)
    document = f"{server.url}/likeness/v1/openapi.json"
    command = [
        BIN / "schemathesis", "run", document,
        "--url", f"{server.url}/likeness/v1",
        "--header", f"Authorization: Bearer {key.id}.{key.secret}",
        "--phases", "examples,coverage,fuzzing,stateful",
        *[part for name in ITSELF for part in ("--exclude-operation-id", name)],
        # Nor its session; tickets are made through the socket alone.
        "--exclude-path-regex", "^/session|^/tickets",
        # Every check but this one, for which `what_is_described_is_accepted` stands: it names the exceptions.
        "--exclude-checks", "positive_data_acceptance",
        "--continue-on-failure",
        "--max-time", str(SECONDS),
        "--request-timeout", "120",
        # The same requests in every run: a test that fails is to fail again.
        "--seed", os.environ.get("LIKENESS_SCHEMATHESIS_SEED", "1"),
        "--no-color",
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, timeout=SECONDS + 600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_a_generated_client_enrols_searches_and_exports(server, tmp_path):
    # Templates are no usual grant.
    grants = ("--grant", "read,search,enrol,delete,manage,templates")
    made = harness.run("key", "create", "--data", server.data, "--tenant", "generated", *grants, "--json")
    key = harness.Key(json.loads(made.stdout))
    document = tmp_path / "openapi.json"
    answer = requests.get(f"{server.url}/likeness/v1/openapi.json", timeout=60)
    document.write_text(json.dumps(answer.json()))
    generated = subprocess.run(
        [str(BIN / "openapi-python-client"), "generate", "--path", str(document), "--meta", "none", "--output-path", "made"],
        check=True, cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )
    # Nothing is left out of it.
    assert "WARNING" not in generated.stdout + generated.stderr, generated.stdout + generated.stderr
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
# Every module of the client can be imported.
import importlib, pkgutil
import made
for module in pkgutil.walk_packages(made.__path__, "made."):
    importlib.import_module(module.name)
from made.api.face_sets import count_faces, delete_faces, delete_faces_later
from made.models import DeleteFacesByFilter
assert count_faces.sync("generated", client=client, body=DeleteFacesByFilter(filter_="subject:obama")).n_faces == 1
found = search.sync("generated", client=client, body=Search(image=image(other)))
assert found.candidates[0].face.id == added.faces[0].id, found
import time
from made.api.face_sets import export_faces_later
from made.api.jobs import fetch_archive, show_job
job = export_faces_later.sync("generated", client=client)
while show_job.sync(job.id, client=client).state not in ("done", "failed"):
    time.sleep(0.1)
archive = fetch_archive.sync(job.id, client=client.with_headers({"Accept": "application/octet-stream"}))
assert archive.payload.read(4) == bytes.fromhex("28b52ffd"), archive
print("found")
"""
    )
    paths = [str(harness.portrait(name)) for name in ("obama.jpg", "obama2.jpg")]
    done = subprocess.run(
        [sys.executable, str(script), f"{server.url}/likeness/v1", f"{key.id}.{key.secret}", *paths],
        capture_output=True, text=True, cwd=tmp_path, timeout=300,
    )
    assert done.returncode == 0 and "found" in done.stdout, done.stderr[-4000:]


# In an order in which each has what it needs; the others need nothing or stand in `NOT_RUN`.
ORDER = [
    "create_face_set", "show_face_set", "update_face_set", "list_face_sets", "add_faces", "show_face", "show_thumbnail",
    "list_thumbnails", "update_face", "list_faces", "count_faces", "enrolled", "search", "search_picture", "compare", "compare_many", "detect", "liveness",
    "upload", "add_faces_later", "export_faces", "import_faces",
    "export_faces_later", "import_faces_later", "fetch_archive", "erase_archive", "create_person", "add_person_face", "show_person",
    "list_members", "list_persons", "list_person_faces", "list_person_thumbnails",
    "update_person", "change_memberships", "compare_person", "move_faces",
    "merge_persons", "split_person", "delete_faces_later", "list_jobs", "show_job", "delete_faces", "delete_face",
    "delete_person", "create_key", "list_keys", "show_key", "update_key", "rotate_key", "delete_key", "list_changes", "show_status",
    "show_settings", "show_metrics",
    "list_packs", "show_session", "begin_session", "delete_face_set",
]

# With an operator's key, which the others know nothing of.
OPERATORS = [
    "create_tenant", "show_tenant", "update_tenant", "create_tenant_key", "list_tenants", "delete_tenant", "show_report",
    "show_report_progress", "acknowledge_losses",
]

# Only through the socket, only of a session, too late for a job that is done, and a face that has moved away.
NOT_RUN = {"make_ticket", "end_session", "cancel_job", "delete_person_face"}


def test_the_examples_of_the_served_document_run_as_they_are(tmp_path_factory):
    data = tmp_path_factory.mktemp("examples")
    grants = "read,search,enrol,delete,manage,templates"
    with harness.Server(data) as server:
        made = harness.run("key", "create", "--data", data, "--tenant", "acme", "--grant", grants, "--json").stdout
        operator = json.loads(harness.run("key", "create", "--data", data, "--operator", "--json").stdout)
        run_the_examples(Native(server.url, harness.Key(json.loads(made))), Native(server.url, harness.Key(operator)))


def run_the_examples(native, operator):
    document = native("GET", "/openapi.json")
    operations = {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert set(ORDER) | set(OPERATORS) | NOT_RUN == set(operations)
    # What earlier answers name: words in capitals in a body, ids in paths.
    words, ids = {"ID.SECRET": native.token}, {}
    for name in ORDER:
        method, path, operation = operations[name]
        content = operation.get("requestBody", {}).get("content", {})
        body = content.get("application/json", {}).get("example")
        lines = content.get("application/octet-stream", {}).get("example")
        if lines is not None:
            native(method, path.format(name="staff"), 202, data=lines, headers={"Content-Type": "application/x-ndjson"})
            continue
        if name == "fetch_archive":
            native.done(export)
            assert native.fetch(f"/jobs/{export}/archive").startswith(b"\x28\xb5\x2f\xfd")
            continue
        if name == "show_thumbnail":
            assert native.fetch(f"/face-sets/staff/faces/{ids['face-sets']}/thumbnail").startswith(b"\xff\xd8")
            continue
        if name == "erase_archive":
            native("DELETE", f"/jobs/{export}/archive", 200)
            continue
        if name == "add_person_face":
            image = body["image"]
        if name == "move_faces":
            native("POST", "/persons", 201, json={"key": "bert"})
        if name == "split_person":
            # One is given away, and one stays.
            native("POST", "/persons/anna/faces", 201, json={"image": image})
        text = json.dumps(body)
        # The longest first: one is the end of another.
        for word in sorted(words, key=len, reverse=True):
            text = text.replace(word, words[word])
        path = path.format(name="staff", key="anna", id=ids.get(path.split("/")[1]))
        status = int(next(code for code in operation["responses"] if code.startswith("2")))
        answer = native(method, path, status, **({} if body is None else {"json": json.loads(text)}))
        if name == "add_faces":
            ids["face-sets"] = words["FACE"] = answer["faces"][0]["id"]
        if name == "export_faces_later":
            export = answer["id"]
        if name == "upload":
            words["UPLOAD"] = answer["upload"]
        if name == "add_person_face":
            words["PERSON_FACE"] = answer["faces"][0]["id"]
        if name in ("create_key", "delete_faces_later"):
            ids[path.split("/")[1] if name == "create_key" else "jobs"] = answer["id"]
    for name in OPERATORS:
        method, path, operation = operations[name]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        status = int(next(code for code in operation["responses"] if code.startswith("2")))
        confirmed = "?confirm=north" if name == "delete_tenant" else ""
        operator(method, path.format(name="north") + confirmed, status, **({} if body is None else {"json": body}))
        # A key of a tenant is nobody here, whatever it may do.
        native(method, path.format(name="acme") + confirmed, 403, **({} if body is None else {"json": body}))


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/page.js", "/docs/page.css"])
def test_the_description_is_for_everybody(server, path):
    assert requests.get(f"{server.url}/likeness/v1{path}", timeout=60).status_code == 200
