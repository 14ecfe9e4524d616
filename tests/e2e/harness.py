"""Starts the real `likeness` binary and talks to it; shared by all end-to-end suites.

Needs: the binary (LIKENESS_BIN, default `target/release/likeness`) and, for everything that looks at photographs, the
model pack, which the server fetches by itself into LIKENESS_HOME on its first start.
"""

import contextlib
import functools
import http.server
import json
import os
import pathlib
import queue
import re
import signal
import socket
import socketserver
import subprocess
import threading
import time

import large_sets
import postgres
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
PORTRAITS = SHARED / "eval" / "portraits"
LFW = SHARED / "eval" / "lfw" / "images"
BINARY = pathlib.Path(os.environ.get("LIKENESS_BIN", ROOT / "target" / "release" / "likeness"))
START_TIMEOUT_S = 600  # The first start may fetch the model pack.
STOP_TIMEOUT_S = 30


# For suites that are not about that deadline: a debug build on a busy machine needs longer than the vendor's 6 s. The
# deadline itself has a test whose clock stands still.
PATIENT_SCANS = {"LIKENESS_ALIYUN_SCAN_DEADLINE_MS": "60000"}


def portrait(name):
    """A portrait of ../shared; the test is skipped, with the reason, where it is absent."""
    path = PORTRAITS / name
    if not path.exists():
        pytest.skip(f"needs {path.relative_to(ROOT.parent)}")
    return path


class Key(dict):
    """What `likeness key create --json` prints."""

    tenant = property(lambda self: self["tenant"])
    project = property(lambda self: self["project_id"])
    id = property(lambda self: self["access_key_id"])
    secret = property(lambda self: self["access_key_secret"])


def store_settings(data):
    """The variables that say where the library of that data folder is; none for the folder itself."""
    return {**postgres.settings(data), **large_sets.settings()}


def run(*arguments, check=True, env=None):
    """Runs one `likeness` command to its end."""
    words = list(map(str, arguments))
    of_store = store_settings(words[words.index("--data") + 1]) if "--data" in words[:-1] else {}
    env = {**os.environ, **of_store, **(env or {})}
    done = subprocess.run([str(BINARY), *words], capture_output=True, text=True, env=env, timeout=600)
    if check and done.returncode != 0:
        raise AssertionError(f"likeness {' '.join(map(str, arguments))} ended with {done.returncode}: {done.stderr}")
    return done


def home():
    """The folder with the installed model packs."""
    shown = json.loads(run("config", "show", "--json").stdout)
    return pathlib.Path(shown["home"]["value"].strip('"'))


def free_port():
    """A port that is free now, for settings that must name it before the server is there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def create_key(data, tenant):
    return Key(json.loads(run("key", "create", "--data", data, "--tenant", tenant, "--json").stdout))


class Server:
    """One `likeness serve` process on a port of 127.0.0.1, by default any free one."""

    def __init__(self, data, *arguments, env=None, port=0):
        self.data = pathlib.Path(data)
        self.port = port
        self.arguments = arguments
        self.env = {**os.environ, **store_settings(data), **(env or {})}
        self.process = None
        self.url = None
        self.log = []

    def start(self):
        self.process = subprocess.Popen(
            [str(BINARY), "serve", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.data), *map(str, self.arguments)],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=self.env,
        )
        ready = queue.Queue()
        threading.Thread(target=self._read_log, args=(self.process, ready), daemon=True).start()
        try:
            self.url = ready.get(timeout=START_TIMEOUT_S)
        except queue.Empty:
            self.url = None
        if self.url is None:
            self.process.kill()
            raise AssertionError("the server did not start:\n" + "\n".join(self.log[-40:]))
        return self

    def _read_log(self, process, ready):
        for line in process.stderr:
            self.log.append(line.rstrip("\n"))
            found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", line)
            if found:
                ready.put(found.group(1))
        ready.put(None)

    def stop(self):
        """Ends it cleanly and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=STOP_TIMEOUT_S)

    def kill(self):
        """Ends it the way a power cut does for a process."""
        self.process.kill()
        self.process.wait(timeout=STOP_TIMEOUT_S)

    def _compare_with_milvus(self):
        """Whatever the tests did: Milvus has what the database has, of every face set."""
        deadline = time.monotonic() + 60
        while True:
            found = run("milvus", "check", "--data", self.data, "--json", check=False, env=self.env)
            assert found.returncode == 0, found.stdout + found.stderr
            # One that was made at the very end is still on its way there.
            under_way = [found for found in json.loads(found.stdout)["face_sets"] if found["stage"] != "searched in Milvus"]
            if not under_way:
                return
            assert time.monotonic() < deadline, under_way

    def __enter__(self):
        return self.start()

    def __exit__(self, failure, *_):
        if self.process.poll() is None:
            if large_sets.IS_USED and failure is None:
                self._compare_with_milvus()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class _Threaded(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextlib.contextmanager
def photo_server(folder):
    """Serves a folder over HTTP on 127.0.0.1; yields (`host:port`, base URL). An absent folder is one without files."""
    server = _Threaded(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        host = f"127.0.0.1:{server.server_address[1]}"
        yield host, f"http://{host}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def server_with_photos(data, folder=PORTRAITS, env=None):
    """A server that may fetch the pictures of a folder, which are below its `photos`."""
    with photo_server(folder) as (host, base), Server(data, "--fetch-allow", host, env=env) as running:
        running.photos = base
        yield running
