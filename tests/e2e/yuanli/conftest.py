"""Fixtures: one server for the suite, a tenant for each test, and photographs by their part in the story."""

import itertools

import facesearch
import harness
import people
import pytest


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
    """A tenant of the test's own, so that quotas and lists are its own too."""
    return harness.create_key(server.data, f"tenant-{next(_tenants)}")


@pytest.fixture
def api(server, key):
    return facesearch.Client(server.url, key.id, key.secret)


@pytest.fixture
def other(server):
    key = harness.create_key(server.data, f"tenant-{next(_tenants)}")
    return facesearch.Client(server.url, key.id, key.secret)


@pytest.fixture
def lib(api):
    """The caller's client, with the library of most cases."""
    assert api("create", group_id="lib_a", group_name="Alpha").status == 200
    return api
