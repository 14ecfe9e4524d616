"""Fixtures: one server and one tenant for the suite."""

import harness
import pytest


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with harness.server_with_photos(tmp_path_factory.mktemp("data"), env=harness.PATIENT_SCANS) as running:
        running.key = harness.create_key(running.data, "acme")
        yield running
