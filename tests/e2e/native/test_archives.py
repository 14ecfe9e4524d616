"""Archives over HTTP: a set is exported by a job and fetched, an archive is uploaded and imported by a job, also across a kill."""

import base64
import json
import random
import struct
import threading

import harness
import pytest
import requests
from conftest import Native

GRANTS = "read,search,enrol,delete,manage,templates"


def archive(n_faces, with_ids=True):
    """Lines of an archive of the default pack with random templates, always the same."""
    chance = random.Random(15)
    yield json.dumps({"format": "likeness-archive", "version": 1, "pack": "default-2", "dimensions": 128}) + "\n"
    for number in range(n_faces):
        template = struct.pack("<128f", *(chance.gauss(0, 1) for _ in range(128)))
        line = {"subject": f"s{number}", "fields": {"floor": number % 7}, "template": base64.b64encode(template).decode()}
        if with_ids:
            line["id"] = str(1_000_000 + number)
        yield json.dumps(line) + "\n"


def native_of(server, tenant="acme"):
    made = harness.run("key", "create", "--data", server.data, "--tenant", tenant, "--grant", GRANTS, "--json").stdout
    return Native(server.url, harness.Key(json.loads(made)))


def upload(native, path, lines):
    """Imports an archive that is sent as it is made, without a length; the id of the job."""
    body = (line.encode() for line in lines)
    return native("POST", path, 202, data=body, headers={"Content-Type": "application/x-ndjson"})["id"]


def test_a_set_goes_out_and_comes_in_again(tmp_path):
    with harness.Server(tmp_path / "one") as server:
        native = native_of(server)
        job = native.done(upload(native, "/face-sets/staff/archive/import-later?capacity=5000", archive(3000)))
        assert job["outcome"] == {"n_faces": 3000, "n_known": 0, "n_refused": 0}
        made = native("GET", "/face-sets/staff")
        assert made["n_faces"] == 3000 and made["capacity"] == 5000
        assert made["fields"] == [{"name": "floor", "type": "long"}]

        job = native.done(native("POST", "/face-sets/staff/archive/export-later", 202)["id"])
        assert job["outcome"]["n_faces"] == 3000
        folder = tmp_path / "one" / "archives"
        assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]
        fetched = native.fetch(f"/jobs/{job['id']}/archive")
        assert len(fetched) == job["outcome"]["archive"]["n_bytes"]
        # A fetch that breaks off goes on behind what arrived.
        path = f"{native.base}/jobs/{job['id']}/archive"
        with native.session.get(path, stream=True, timeout=60) as broken_off:
            begin, tag = broken_off.raw.read(1000), broken_off.headers["ETag"]
        going_on = {"Range": f"bytes={len(begin)}-", "If-Range": tag}
        rest = native.session.get(path, headers=going_on, timeout=60)
        assert rest.status_code == 206 and begin + rest.content == fetched
        native("DELETE", f"/jobs/{job['id']}/archive")
        assert native("GET", f"/jobs/{job['id']}/archive", 404)["error"]["code"] == "upload_not_found"
        assert "archive" not in native("GET", f"/jobs/{job['id']}")["outcome"]
        assert not list(folder.iterdir())
    # The command line reads it, in another library.
    (tmp_path / "fetched.zst").write_bytes(fetched)
    harness.run("key", "create", "--data", tmp_path / "two", "--tenant", "acme")
    told = harness.run(
        "import", tmp_path / "fetched.zst", "--set", "staff", "--data", tmp_path / "two", "--tenant", "acme", "--json"
    )
    assert json.loads(told.stdout)["enrolled"] == 3000
    # Cut off between two of its parts it is still seen that faces are missing.
    parts = fetched.split(b"\x28\xb5\x2f\xfd")
    (tmp_path / "short.zst").write_bytes(b"\x28\xb5\x2f\xfd".join(parts[:2]))
    cut = harness.run(
        "import", tmp_path / "short.zst", "--set", "short", "--data", tmp_path / "two", "--tenant", "acme", check=False
    )
    assert cut.returncode == 2 and "the archive ends after" in cut.stderr, cut.stderr


@pytest.mark.parametrize("with_ids", [True, False])
def test_an_import_goes_on_after_a_kill_and_enrols_nothing_twice(tmp_path, with_ids):
    with harness.Server(tmp_path) as server:
        native = native_of(server)
        job = upload(native, "/face-sets/staff/archive/import-later", archive(30_000, with_ids))
        # In the middle, wherever that is on this machine.
        while (found := native("GET", "/face-sets/staff"))["n_faces"] < 5000:
            pass
        server.kill()
        assert found["n_faces"] <= 30_000
    with harness.Server(tmp_path) as server:
        native.base = f"{server.url}/likeness/v1"
        outcome = native.done(job)["outcome"]
        # Also what the killed one had enrolled and not noted.
        assert outcome == {"n_faces": 30_000, "n_known": 0, "n_refused": 0}
        assert native("GET", "/face-sets/staff")["n_faces"] == 30_000
        assert not list((tmp_path / "archives").iterdir())


def test_an_export_goes_on_after_a_kill_and_has_every_face_once(tmp_path):
    n_faces = 30_000
    with harness.Server(tmp_path / "one") as server:
        native = native_of(server)
        native.done(upload(native, "/face-sets/staff/archive/import-later", archive(n_faces)))
        job = native("POST", "/face-sets/staff/archive/export-later", 202)["id"]
        # In the middle, wherever that is on this machine.
        folder = tmp_path / "one" / "archives"
        while not (folder.exists() and any(path.stat().st_size > 1 << 20 for path in folder.iterdir())):
            assert native("GET", f"/jobs/{job}")["state"] != "done", "it was too quick to be interrupted"
        server.kill()
    with harness.Server(tmp_path / "one") as server:
        native.base = f"{server.url}/likeness/v1"
        outcome = native.done(job)["outcome"]
        assert outcome["n_faces"] == n_faces
        fetched = native.fetch(f"/jobs/{job}/archive")
        native("DELETE", f"/jobs/{job}/archive")
        assert not list(folder.iterdir()), "nothing is left of the one that was cut off"
    (tmp_path / "fetched.zst").write_bytes(fetched)
    harness.run("key", "create", "--data", tmp_path / "two", "--tenant", "acme")
    told = harness.run(
        "import", tmp_path / "fetched.zst", "--set", "staff", "--data", tmp_path / "two", "--tenant", "acme", "--json"
    )
    assert json.loads(told.stdout)["enrolled"] == n_faces


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path):
    with harness.Server(tmp_path) as server:
        native = native_of(server)
        begun = threading.Event()

        def lines():
            for number, line in enumerate(archive(3000)):
                yield line.encode()
            begun.set()
            raise ConnectionAbortedError

        with pytest.raises((ConnectionAbortedError, requests.RequestException)):
            native.session.post(f"{native.base}/face-sets/staff/archive/import-later", data=lines(), timeout=60)
        assert begun.is_set()
        assert native("GET", "/jobs")["jobs"] == []
        folder, n_looks = tmp_path / "archives", 0
        while folder.exists() and list(folder.iterdir()):
            n_looks += 1
            assert n_looks < 100_000
        assert native("GET", "/face-sets/staff", 404)["error"]["code"] == "face_set_not_found"
