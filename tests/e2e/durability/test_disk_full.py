"""A full disk gives clear errors, loses nothing, and the server goes on when there is room again."""

import base64
import os
import subprocess

import harness
import pytest
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
