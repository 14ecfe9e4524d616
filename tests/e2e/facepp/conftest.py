"""Fixtures: one server for the suite, a tenant for each test, a client written from the reference and the public one."""

import itertools

import client
import facesearch
import harness
import people
import pytest
from facepplib import FacePP


@pytest.fixture(scope="session")
def photos():
    return people.photos()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with harness.Server(tmp_path_factory.mktemp("data")) as running:
        yield running


_tenants = itertools.count()


@pytest.fixture
def key(server):
    return harness.create_key(server.data, f"tenant-{next(_tenants)}")


@pytest.fixture
def api(server, key):
    return client.Client(server.url, key.id, key.secret)


@pytest.fixture
def sdk(server, key):
    return FacePP(key.id, key.secret, url=server.url)


@pytest.fixture
def finauth(server, key):
    """The client of another service, with the same key."""
    return facesearch.Client(server.url, key.id, key.secret)
