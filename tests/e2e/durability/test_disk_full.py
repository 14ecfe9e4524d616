"""A full disk gives clear errors, loses nothing, and the server goes on when there is room again."""

import base64
import os
import subprocess
import time

import harness
import pytest
import requests
from test_kill import Client, listed

DISK_BYTES = 6 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(folder)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"needs the right to mount a small file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_disk_full(small_disk):
    photo = base64.b64encode(harness.portrait("obama_small.jpg").read_bytes()).decode()
    data = small_disk / "data"
    key = harness.create_key(data, "full")
    ballast = small_disk / "ballast"
    enrol = {"image_base64": photo, "single": True}
    with harness.Server(data) as server:
        client = Client(server.url, key)
        assert client("POST", "/face-sets", {"face_set_name": "lib"}).status_code == 200
        acknowledged = [client("POST", "/face-sets/lib/faces", enrol).json()["faces"][0]["face_id"] for _ in range(10)]

        with open(ballast, "wb") as file:
            try:
                while True:
                    os.write(file.fileno(), b"\0" * 4096)
            except OSError:
                pass  # Now the disk is full.
        refused = 0
        for _ in range(200):
            answer = client("POST", "/face-sets/lib/faces", enrol)
            if answer.status_code == 200:
                acknowledged.append(answer.json()["faces"][0]["face_id"])
                continue
            assert answer.status_code == 500, answer.text
            assert answer.json()["error_code"] == "FRS.0018"
            assert "full" in answer.json()["error_msg"]
            refused += 1
            if refused == 5:
                break
        assert refused == 5, "the disk never filled up"
        assert list(listed(client)) == acknowledged, "nothing lost, nothing half-stored, while the disk is full"
        found = client("POST", "/face-sets/lib/search", {"image_base64": photo, "top_n": 1000})
        assert len(found.json()["faces"]) == len(acknowledged), "searching goes on"

        ballast.unlink()
        for _ in range(5):
            answer = client("POST", "/face-sets/lib/faces", enrol)
            assert answer.status_code == 200, "there is room again"
            acknowledged.append(answer.json()["faces"][0]["face_id"])
        assert list(listed(client)) == acknowledged
    with harness.Server(data) as server:
        assert list(listed(Client(server.url, key))) == acknowledged, "and after a restart"
    assert harness.run("check", "--data", data).returncode == 0


def fill_up(path):
    """Takes every free byte."""
    with open(path, "wb") as file:
        for size in (1 << 16, 4096, 1):
            try:
                while True:
                    os.write(file.fileno(), b"\0" * size)
            except OSError:
                pass


# One that fits the small disk.
RESERVE = {"LIKENESS_DISK_RESERVE_MIB": "1"}


def library(data):
    """A library with ten faces of one person in the set `lib`: its key and the ids of the faces."""
    key = harness.create_key(data, "full")
    photo = base64.b64encode(harness.portrait("obama_small.jpg").read_bytes()).decode()
    enrol = {"image_base64": photo, "single": True}
    with harness.Server(data, env=RESERVE) as server:
        client = Client(server.url, key)
        assert client("POST", "/face-sets", {"face_set_name": "lib"}).status_code == 200
        ids = [client("POST", "/face-sets/lib/faces", enrol).json()["faces"][0]["face_id"] for _ in range(10)]
    return key, enrol, ids


def served(server, client, enrol, ids, reason):
    """Everything is read and searched, writes are refused and `/readyz` says why."""
    assert list(listed(client)) == ids
    found = client("POST", "/face-sets/lib/search", {"image_base64": enrol["image_base64"], "top_n": 1000})
    assert len(found.json()["faces"]) == len(ids)
    answer = client("POST", "/face-sets/lib/faces", enrol)
    assert (answer.status_code, answer.json()["error_code"]) == (500, "FRS.0018")
    assert reason in answer.json()["error_msg"]
    ready = requests.get(f"{server.url}/readyz", timeout=30)
    assert ready.status_code == 503
    assert reason in ready.text
    assert requests.get(f"{server.url}/healthz", timeout=30).status_code == 200


def test_start_without_a_free_byte_and_without_a_reserve(small_disk):
    data, ballast = small_disk / "data", small_disk / "ballast"
    key, enrol, ids = library(data)
    # An earlier server gave it up, and another program took its room.
    (data / "likeness.reserve").write_bytes(b"")
    fill_up(ballast)
    with harness.Server(data, env=RESERVE) as server:
        client = Client(server.url, key)
        served(server, client, enrol, ids, "full")
        # A command beside it is told why it has to wait.
        refused = harness.run("backup", ballast.parent.parent / "backup", "--data", data, check=False)
        assert refused.returncode != 0
        assert "has the library for itself" in refused.stderr
    with harness.Server(data, env=RESERVE) as server:
        client = Client(server.url, key)
        served(server, client, enrol, ids, "full")
        ballast.unlink()
        deadline = time.monotonic() + 60
        while client("POST", "/face-sets/lib/faces", enrol).status_code != 200:
            assert time.monotonic() < deadline, "there is room again"
        assert list(listed(client))[:10] == ids
    with harness.Server(data, env=RESERVE) as server:
        assert len(list(listed(Client(server.url, key)))) == 11
        assert harness.run("backup", ballast.parent.parent / "backup", "--data", data).returncode == 0
    assert harness.run("check", "--data", data).returncode == 0


def test_read_only_file_system(small_disk):
    data = small_disk / "data"
    key, enrol, ids = library(data)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with harness.Server(data, env=RESERVE) as server:
        served(server, Client(server.url, key), enrol, ids, "read-only")
    assert harness.run("check", "--data", data).returncode == 0
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    with harness.Server(data, env=RESERVE) as server:
        client = Client(server.url, key)
        assert client("POST", "/face-sets/lib/faces", enrol).status_code == 200
        assert list(listed(client))[:10] == ids
