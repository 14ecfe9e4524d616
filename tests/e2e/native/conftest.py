"""Fixtures: the native API of the real binary, spoken to with plain HTTP."""

import time

import harness
import pytest
import requests


class Native:
    """Calls below `/likeness/v1` with a key."""

    def __init__(self, url, key):
        self.base = f"{url}/likeness/v1"
        self.token = f"{key.id}.{key.secret}"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {self.token}"

    def __call__(self, method, path, status=200, **request):
        answer = self.session.request(method, self.base + path, timeout=120, **request)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def fetch(self, path):
        """The bytes of an answer that is no JSON."""
        answer = self.session.get(self.base + path, timeout=120)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.content

    def done(self, job, seconds=120):
        """The job, once it is done."""
        deadline = time.monotonic() + seconds
        while (found := self("GET", f"/jobs/{job}"))["state"] != "done":
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found


@pytest.fixture
def native(server, key):
    return Native(server.url, key)


@pytest.fixture(scope="session")
def portrait():
    """Bytes of a portrait."""
    return lambda name: harness.portrait(name).read_bytes()
