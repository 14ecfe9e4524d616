"""Acknowledged writes survive SIGKILL; acknowledged deletes stay deleted: in search, lists and counts.

Several clients enrol and delete while the process is killed at a random moment, again and again, in one data folder.
What a client was told is the truth to hold the server to; what it was not told may have happened or not.
"""

import base64
import os
import random
import threading

import harness
import pytest
import requests
import signing

ROUNDS = int(os.environ.get("LIKENESS_KILL_ROUNDS", "50"))
CLIENTS = 3
ACKNOWLEDGEMENTS_MAX = 25  # A round ends at a random number of acknowledgements up to this.


class Client:
    """Signed calls, each over a session of its own thread."""

    def __init__(self, url, key):
        self.url, self.key, self.session = url, key, requests.Session()

    def __call__(self, method, path, body=None):
        data = b"" if body is None else requests.compat.json.dumps(body).encode()
        url = f"{self.url}/v2/{self.key.project}{path}"
        headers = signing.sign(self.key.id, self.key.secret, method, url, data, {"Content-Type": "application/json"})
        return self.session.request(method, url, data=data, headers=headers, timeout=30)


class Ledger:
    """What was acknowledged, and what was under way when the process died."""

    def __init__(self):
        self.lock = threading.Lock()
        self.alive = {}  # face id -> external id
        self.deleted = set()
        self.deleting = set()
        self.enrolling = {}  # external id -> number of calls that got no answer
        self.counter = 0


def work(client, ledger, photos, enough, seed):
    """Enrols and deletes until the server dies."""
    chance = random.Random(seed)
    try:
        while True:
            with ledger.lock:
                victim = chance.choice(sorted(ledger.alive)) if ledger.alive and chance.random() < 0.3 else None
                if victim:
                    del ledger.alive[victim]
                    ledger.deleting.add(victim)
                else:
                    ledger.counter += 1
                    external = f"face-{ledger.counter}"
                    ledger.enrolling[external] = True
            if victim:
                answer = client("DELETE", f"/face-sets/lib/faces?face_id={victim}")
                assert answer.status_code == 200, answer.text
                with ledger.lock:
                    ledger.deleting.discard(victim)
                    ledger.deleted.add(victim)
            else:
                body = {"image_base64": chance.choice(photos), "external_image_id": external, "single": True}
                answer = client("POST", "/face-sets/lib/faces", body)
                # Some of the photographs pass no quality gate: nothing of them may be there.
                is_refused = answer.status_code == 400 and "too poor to be enrolled" in answer.text
                assert is_refused or answer.status_code == 200, answer.text
                with ledger.lock:
                    if is_refused:
                        del ledger.enrolling[external]
                        continue
                    del ledger.enrolling[external]
                    ledger.alive[answer.json()["faces"][0]["face_id"]] = external
            enough.release()
    except requests.exceptions.RequestException:
        return  # The server is gone: that is the plan.


def listed(client):
    faces, offset = {}, 0
    while True:
        answer = client("GET", f"/face-sets/lib/faces?offset={offset}&limit=1000")
        assert answer.status_code == 200, answer.text
        batch = answer.json()["faces"]
        faces.update((face["face_id"], face["external_image_id"]) for face in batch)
        if len(batch) < 1000:
            return faces
        offset += 1000


def check(client, ledger, photo):
    """Compares the server with the ledger, then settles what was uncertain."""
    faces = listed(client)
    missing = {face: name for face, name in ledger.alive.items() if faces.get(face) != name}
    assert not missing, f"acknowledged but gone: {missing}"
    assert not ledger.deleted & faces.keys(), "deleted but listed"
    unexplained = {face: name for face, name in faces.items() if face not in ledger.alive and face not in ledger.deleting and name not in ledger.enrolling}
    assert not unexplained, f"never enrolled, or deleted: {unexplained}"

    info = client("GET", "/face-sets/lib").json()["face_set_info"]
    assert info["face_number"] == len(faces)
    found = client("POST", "/face-sets/lib/search", {"image_base64": photo, "top_n": 1000, "threshold": 0}).json()["faces"]
    assert {face["face_id"] for face in found} == faces.keys() or len(faces) > 1000
    for face in random.Random(len(faces)).sample(sorted(ledger.deleted), min(5, len(ledger.deleted))):
        assert client("GET", f"/face-sets/lib/faces?face_id={face}").json()["error_code"] == "FRS.0403"

    ledger.alive = dict(faces)
    ledger.deleted |= {face for face in ledger.deleting if face not in faces}
    ledger.deleting.clear()
    ledger.enrolling.clear()


def test_kill_at_random_moments(tmp_path):
    if not harness.LFW.exists():
        pytest.skip("needs ../shared/eval/lfw/images")
    seed = int(os.environ.get("LIKENESS_KILL_SEED", random.SystemRandom().randrange(2**32)))
    print(f"seed {seed}")
    chance = random.Random(seed)
    files = sorted(harness.LFW.glob("*/*.jpg"))
    photos = [base64.b64encode(path.read_bytes()).decode() for path in chance.sample(files, 40)]
    data = tmp_path / "data"
    key = harness.create_key(data, "crash")
    ledger = Ledger()
    server = harness.Server(data).start()
    assert Client(server.url, key)("POST", "/face-sets", {"face_set_name": "lib"}).status_code == 200

    for round_number in range(ROUNDS):
        enough = threading.Semaphore(0)
        clients = [
            threading.Thread(target=work, args=(Client(server.url, key), ledger, photos, enough, chance.random()))
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        for _ in range(chance.randint(1, ACKNOWLEDGEMENTS_MAX)):
            assert enough.acquire(timeout=60), f"round {round_number}: no progress\n" + "\n".join(server.log[-20:])
        threading.Event().wait(chance.random() * 0.05)  # A random moment within the next few calls.
        server.kill()
        for client in clients:
            client.join(timeout=60)
            assert not client.is_alive()
        server = harness.Server(data).start()
        check(Client(server.url, key), ledger, photos[0])

    assert server.stop() == 0
    assert ledger.alive and len(ledger.deleted) > ROUNDS, "the rounds did real work"
    assert harness.run("check", "--data", data).returncode == 0
