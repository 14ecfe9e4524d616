"""Fixtures: one server for the suite and the vendor's newer SDK in both of its signature modes."""

import harness
import pytest


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    folder = harness.PORTRAITS if harness.PORTRAITS.exists() else tmp_path_factory.mktemp("photos")
    with harness.photo_server(folder) as (host, base), harness.Server(data, "--fetch-allow", host, env=harness.PATIENT_SCANS) as running:
        running.photos = base
        running.key = harness.create_key(data, "acme")
        yield running


@pytest.fixture
def img(server):
    def url(name):
        harness.portrait(name)
        return f"{server.photos}/{name}"

    return url
