"""A Milvus for suites that run with LIKENESS_TEST_STORE=postgres-milvus, which has every face set, however small.

It is the small one (milvus-lite), started with the first server that needs it, in a temporary folder and in a network
namespace with loopback only; a port of 127.0.0.1 leads there. It ends with the tests, however these end: a shell waits for
the end of its input, which this process holds open.
"""

import atexit
import functools
import os
import pathlib
import socket
import subprocess
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
IS_USED = os.environ.get("LIKENESS_TEST_STORE") == "postgres-milvus"
PYTHON = pathlib.Path(os.environ.get("LIKENESS_TEST_MILVUS", ROOT / ".venvs" / "milvus")) / "bin" / "python"
PROGRAM = ROOT / "crates" / "store" / "tests" / "it" / "milvus" / "serve.py"

WATCHDOG = """trap '' INT HUP TERM
unshare -rn --pid --mount-proc --fork --kill-child=KILL "$1" "$2" lite "$3/data" "$3/socket" 2>"$3/log" </dev/null & running=$!
read -r word; kill -KILL $running; wait; rm -rf "$3"
"""


class _Server:
    def __init__(self):
        if not PYTHON.exists():
            raise AssertionError(f"LIKENESS_TEST_STORE=postgres-milvus needs {PYTHON}, which tests/run makes")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lk-mv-", dir="/tmp"))
        (self.folder / "data").mkdir()
        self.watchdog = subprocess.Popen(
            ["sh", "-c", WATCHDOG, "sh", str(PYTHON), str(PROGRAM), str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        atexit.register(self.stop)
        if self.watchdog.stdout.readline() != "ready\n":
            raise AssertionError("Milvus does not start: " + (self.folder / "log").read_text())
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        threading.Thread(target=self._pass_on, args=(listener,), daemon=True).start()

    def _pass_on(self, listener):
        while True:
            here, _ = listener.accept()
            there = socket.socket(socket.AF_UNIX)
            try:
                there.connect(str(self.folder / "socket"))
            except OSError:
                here.close()
                continue
            here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pair in ((here, there), (there, here)):
                threading.Thread(target=_copy, args=pair, daemon=True).start()

    def stop(self):
        self.watchdog.stdin.close()
        self.watchdog.wait()


def _copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        target.close()


@functools.cache
def _server():
    return _Server()


def settings():
    """The variables with which a server has all its face sets in Milvus; none where suites run without one."""
    if not IS_USED:
        return {}
    return {
        "LIKENESS_MILVUS_URL": _server().url,
        "LIKENESS_MILVUS_FROM_FACES": "0",
        "LIKENESS_MILVUS_LOOK_EVERY_MS": "1",
    }
