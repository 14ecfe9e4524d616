"""The native API as somebody uses it without a vendor's SDK: enrol, search, persons, sessions, a restart in between."""

import time

import harness
import large_sets
import pytest
import requests

IMAGE = {"Content-Type": "image/jpeg"}


def test_from_nothing_to_a_found_face(native, portrait):
    native("POST", "/face-sets", 201, json={"name": "staff"})
    enrolled = native("POST", "/face-sets/staff/faces?subject=obama", 201, data=portrait("obama.jpg"), headers=IMAGE)
    found = native("POST", "/face-sets/staff/search?top=3", data=portrait("obama2.jpg"), headers=IMAGE)
    assert found["candidates"][0]["face"]["id"] == enrolled["faces"][0]["id"]
    stranger = native("POST", "/face-sets/staff/search", data=portrait("biden.jpg"), headers=IMAGE)
    assert stranger["candidates"] == []


def test_a_person_is_compared_and_merged(native, portrait):
    for key, name in [("one", "obama.jpg"), ("two", "obama2.jpg")]:
        native("POST", "/persons", 201, json={"key": key, "face_sets": ["people"]})
        native("POST", f"/persons/{key}/faces", 201, data=portrait(name), headers=IMAGE)
    assert native("POST", "/persons/one/compare", data=portrait("obama2.jpg"), headers=IMAGE)["same"]
    assert not native("POST", "/persons/one/compare", data=portrait("biden.jpg"), headers=IMAGE)["same"]
    merged = native("POST", "/persons/one/merge", json={"from": "two"})
    assert merged["n_moved"] == 1
    assert len(native("GET", "/persons/one/faces")["faces"]) == 2


def test_a_session_outlives_a_restart_and_ends_with_its_key(tmp_path):
    with harness.Server(tmp_path) as server:
        key = harness.create_key(tmp_path, "acme")
        browser = requests.Session()
        begun = browser.post(f"{server.url}/likeness/v1/session", json={"key": f"{key.id}.{key.secret}"}, timeout=60)
        assert begun.status_code == 201 and begun.json()["tenant"] == "acme"
        cookie = begun.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and key.secret not in begun.text
        token = cookie.split(";")[0].split("=", 1)[1]
        assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("likeness.db*"))
    with harness.Server(tmp_path) as server:
        url = f"{server.url}/likeness/v1"
        assert browser.get(f"{url}/session", timeout=60).status_code == 200
        assert browser.post(f"{url}/face-sets", json={"name": "a"}, timeout=60).status_code == 403
        headers = {"X-Likeness-CSRF": "1"}
        assert browser.post(f"{url}/face-sets", json={"name": "a"}, headers=headers, timeout=60).status_code == 201
        harness.run("key", "delete", "--yes", "--data", tmp_path, key.id)
        assert browser.get(f"{url}/session", timeout=60).status_code == 401


def test_a_write_with_an_idempotency_key_is_made_once_over_a_restart(tmp_path):
    with harness.Server(tmp_path) as server:
        key = harness.create_key(tmp_path, "acme")
        headers = {"Authorization": f"Bearer {key.id}.{key.secret}", "Idempotency-Key": "once"}
        first = requests.post(f"{server.url}/likeness/v1/face-sets", json={"name": "a"}, headers=headers, timeout=60)
        assert first.status_code == 201
        server.kill()
    with harness.Server(tmp_path) as server:
        again = requests.post(f"{server.url}/likeness/v1/face-sets", json={"name": "a"}, headers=headers, timeout=60)
        assert (again.status_code, again.json()) == (201, first.json())
        assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.skipif(not large_sets.IS_USED, reason="needs LIKENESS_TEST_STORE=postgres-milvus")
def test_a_face_set_is_searched_where_it_is_placed(tmp_path, portrait):
    def place(*words):
        return harness.run("milvus", "place", "acme", "staff", *words, "--data", tmp_path).stdout.strip()

    by_size = {"LIKENESS_MILVUS_FROM_FACES": "1000000"}
    with harness.Server(tmp_path, env=by_size) as server:
        key = harness.create_key(tmp_path, "acme")
        headers = {"Authorization": f"Bearer {key.id}.{key.secret}"}
        url = f"{server.url}/likeness/v1/face-sets"
        requests.post(url, json={"name": "staff"}, headers=headers, timeout=60).raise_for_status()
        photo = {**headers, **IMAGE}
        requests.post(f"{url}/staff/faces", data=portrait("obama.jpg"), headers=photo, timeout=60).raise_for_status()
        assert place() == "searched in the servers; goes where its size says"
        unknown = harness.run("milvus", "place", "acme", "nobody", "milvus", "--data", tmp_path, check=False)
        assert unknown.returncode == 2 and "no face set `nobody`" in unknown.stderr
        place("milvus")
        deadline = time.monotonic() + 60
        while (found := place()) != "searched in Milvus; wanted in Milvus, whatever its size":
            assert time.monotonic() < deadline, found
        found = requests.post(f"{url}/staff/search", data=portrait("obama2.jpg"), headers=photo, timeout=60).json()
        assert len(found["candidates"]) == 1
        place("servers")
        assert place() == "searched in Milvus; wanted in the servers, whatever its size"
    with harness.Server(tmp_path, env=by_size) as server:
        url = f"{server.url}/likeness/v1/face-sets"
        found = requests.post(f"{url}/staff/search", data=portrait("obama2.jpg"), headers=photo, timeout=60).json()
        assert len(found["candidates"]) == 1
        place("size")
        assert place().endswith("goes where its size says")
