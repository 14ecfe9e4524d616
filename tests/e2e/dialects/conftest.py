"""Fixtures: a client of each vendor that speaks for the test's tenant with the same key."""

import facesearch
import green as alibaba
import harness
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkfrs.v2 import FrsClient


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with harness.server_with_photos(tmp_path_factory.mktemp("data"), env=harness.PATIENT_SCANS) as running:
        yield running


@pytest.fixture
def green(server, key):
    return alibaba.Green(server.url, key)


@pytest.fixture
def frs(server, key):
    credentials = BasicCredentials(key.id, key.secret, key.project)
    return FrsClient.new_builder().with_credentials(credentials).with_endpoint(server.url).build()


@pytest.fixture
def finauth(server, key):
    return facesearch.Client(server.url, key.id, key.secret)
