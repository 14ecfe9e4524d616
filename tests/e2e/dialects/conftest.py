"""Fixtures: one server, a tenant for each test, and a client of each vendor that speaks for it with the same key."""

import itertools

import facesearch
import green as alibaba
import harness
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkfrs.v2 import FrsClient


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = harness.PORTRAITS if harness.PORTRAITS.exists() else tmp_path_factory.mktemp("photos")
    with harness.photo_server(folder) as (host, base):
        with harness.Server(tmp_path_factory.mktemp("data"), "--fetch-allow", host, env=harness.PATIENT_SCANS) as running:
            running.photos = base
            yield running


_tenants = itertools.count()


@pytest.fixture
def key(server):
    return harness.create_key(server.data, f"tenant-{next(_tenants)}")


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


@pytest.fixture
def img(server):
    def url(name):
        harness.portrait(name)
        return f"{server.photos}/{name}"

    return url
