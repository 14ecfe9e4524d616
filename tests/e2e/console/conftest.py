"""Fixtures: Debian's Chromium, visitors, and a library with something in it."""

import json
import pathlib
import sys
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import harness
import people
import pytest
import visitor
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="session")
def browser():
    if not visitor.CHROMIUM:
        pytest.skip("needs Chromium: apt-get install chromium, or its path in LIKENESS_TEST_CHROMIUM")
    with sync_playwright() as playwright:
        yield visitor.launch(playwright)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with harness.Server(tmp_path_factory.mktemp("data")) as running:
        try:
            urllib.request.urlopen(f"{running.url}/console/", timeout=30).close()
        except urllib.error.HTTPError as error:
            if error.code == 501:
                pytest.skip("the binary was built without the console: npm run build in console/, then cargo build")
            raise
        yield running


@pytest.fixture(scope="session")
def photos():
    return people.photos()


@pytest.fixture
def visit(browser, server):
    """Makes visitors; each must have had nothing to complain of."""
    visitors = []

    def make(**options):
        visitors.append(visitor.Visitor(browser, server.url, **options))
        return visitors[-1]

    yield make
    problems = [problem for one in visitors for problem in one.problems]
    for one in visitors:
        one.close()
    assert problems == []


@pytest.fixture
def library(server, key, photos):
    """The face set `staff` with two named faces and one without a name, and the person `anna` with a face."""
    visitor.call(server, key, "POST", "/face-sets", {"name": "staff", "label": "Our staff", "thumbnails": True, "fields": [{"name": "room", "type": "integer"}]})
    visitor.enrol(server, key, "staff", photos.P1, "barack")
    visitor.enrol(server, key, "staff", photos.P1b)
    visitor.enrol(server, key, "staff", photos.P2, "joe")
    visitor.call(server, key, "POST", "/persons", {"key": "anna", "name": "Anna Example", "face_sets": ["staff"]})
    visitor.call(server, key, "POST", "/persons/anna/faces", image=photos.P2)
    return key


def limited_key(server, tenant, *grants, sets=()):
    """A key with these grants only, and of these face sets only if any are named."""
    options = ["--grant", ",".join(grants)] + [word for name in sets for word in ("--set", name)]
    made = harness.run("key", "create", "--data", server.data, "--tenant", tenant, *options, "--json")
    return harness.Key(**json.loads(made.stdout))
