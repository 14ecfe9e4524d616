"""Fixtures: photographs, a client written from the reference and the public one."""

import client
import facesearch
import people
import pytest
from facepplib import FacePP


@pytest.fixture(scope="session")
def photos():
    return people.photos()


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
