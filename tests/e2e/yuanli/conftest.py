"""Fixtures: photographs by their part in the story, and clients of two tenants."""

import facesearch
import people
import pytest


@pytest.fixture(scope="session")
def photos():
    return people.photos()


@pytest.fixture
def api(server, key):
    return facesearch.Client(server.url, key.id, key.secret)


@pytest.fixture
def other(server, other_key):
    return facesearch.Client(server.url, other_key.id, other_key.secret)


@pytest.fixture
def lib(api):
    """The caller's client, with the library of most cases."""
    assert api("create", group_id="lib_a", group_name="Alpha").status == 200
    return api
