"""Image hosts that misbehave, over real connections; numbers are cases of the specification."""

import contextlib
import functools
import http.server
import socket
import threading
import time

import harness
import pytest
from green import Green


class Misbehaving(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; some names are slow, locked or elsewhere."""

    released = threading.Event()

    def do_GET(self):
        name = self.path.removeprefix("/")
        if name == "slow.jpg":
            # Longer than the server waits, and no longer than the test needs.
            self.released.wait(30)
        elif name in ("locked.jpg", "unauthorised.jpg", "broken.jpg"):
            self.send_error({"locked.jpg": 403, "unauthorised.jpg": 401, "broken.jpg": 500}[name])
        elif name.startswith("to-"):
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{name.removeprefix('to-')}/")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def hosts(photos):
    class Here(http.server.ThreadingHTTPServer):
        daemon_threads = True

    server = Here(("127.0.0.1", 0), functools.partial(Misbehaving, directory=str(photos)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        Misbehaving.released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory, hosts):
    with harness.Server(tmp_path_factory.mktemp("data"), "--fetch-allow", hosts) as running:
        yield running


@pytest.fixture
def add(server, key, hosts):
    green = Green(server.url, key)
    green.ok("AddPerson", {"personId": "anna", "groupIds": ["g1"]})

    def codes(*urls):
        urls = [url if "://" in url else f"http://{hosts}/{url}" for url in urls]
        items = green.ok("AddFaces", {"personId": "anna", "urls": urls})["faceImageItems"]
        assert [item["url"] for item in items] == urls
        return [item.get("code", 200) for item in items]

    return codes


@contextlib.contextmanager
def trap():
    """A port inside the network; yields it and a function that says whether anybody came."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)

        def somebody_came():
            with contextlib.suppress(BlockingIOError):
                listener.accept()[0].close()
                return True
            return False

        yield listener.getsockname()[1], somebody_came


def test_case_53_each_host_has_its_own_answer_and_the_others_succeed(add):
    started = time.monotonic()
    names = ["slow.jpg", "big.jpg", "text.txt", "gone.jpg", "locked.jpg", "unauthorised.jpg", "broken.jpg", "a1.jpg"]
    assert add(*names) == [592, 589, 590, 404, 403, 403, 480, 200]
    assert time.monotonic() - started < 10, "within the time that the SDK waits for an answer"


def test_case_54_nobody_is_sent_into_the_network(add):
    with trap() as (port, somebody_came):
        urls = [f"http://127.0.0.1:{port}/", f"http://[::1]:{port}/", f"http://2130706433:{port}/", f"http://localhost:{port}/",
                f"http://0x7f000001:{port}/", "http://169.254.169.254/x.jpg", "file:///etc/hosts"]
        assert add(*urls) == [401] * len(urls)
        assert not somebody_came()


def test_case_55_nor_by_a_redirect(add):
    with trap() as (port, somebody_came):
        assert add(f"to-{port}", "to-22") == [401, 401]
        assert not somebody_came()


def test_case_81_nor_by_a_callback(server, key):
    with trap() as (port, somebody_came):
        task = {"url": "http://192.0.2.1/a.jpg", "extras": {"faceUrl": "http://192.0.2.1/a.jpg"}}
        body = {"scenes": ["sface-1"], "tasks": [task], "callback": f"http://127.0.0.1:{port}/", "seed": "s"}
        assert Green(server.url, key)("ImageAsyncScan", body)["code"] == 400
        assert not somebody_came()
