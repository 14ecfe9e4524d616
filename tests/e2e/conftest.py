"""Fixtures of all suites. A suite whose server or pictures are of its own kind has a fixture of the same name."""

import itertools
import pathlib
import sys

# The suites import `harness`, `signing`, `people`, `green` and `facesearch` by name, whichever environment pytest runs in.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import harness
import pytest

_tenants = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One for the suite."""
    with harness.Server(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def key(server):
    """A tenant of the test's own, so that quotas and lists are its own too."""
    return harness.create_key(server.data, f"tenant-{next(_tenants)}")


@pytest.fixture
def other_key(server):
    """Of another tenant."""
    return harness.create_key(server.data, f"tenant-{next(_tenants)}")


@pytest.fixture
def img(server):
    """The address of a portrait, from a server with photographs."""

    def url(name):
        harness.portrait(name)
        return f"{server.photos}/{name}"

    return url
