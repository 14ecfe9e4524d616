"""A PostgreSQL server for suites that run with LIKENESS_TEST_STORE=postgres or postgres-milvus: every data folder gets a
database of its own.

It is started with the first database, in a temporary folder and behind a Unix socket, and ends with the tests.
"""

import atexit
import functools
import hashlib
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

IS_USED = os.environ.get("LIKENESS_TEST_STORE") in ("postgres", "postgres-milvus")


def _programs():
    """The folder with the programs of the newest version that Debian has installed."""
    versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not versions:
        raise AssertionError("LIKENESS_TEST_STORE=postgres needs PostgreSQL: apt-get install postgresql")
    return versions[-1].parent


def _account():
    """PostgreSQL refuses to run as root: then it is the package's user."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class _Server:
    def __init__(self):
        self.programs, self.account = _programs(), _account()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lk-pg-", dir="/tmp"))
        self.folder.chmod(0o755)
        if self.account:
            os.chown(self.folder, self.account["user"], self.account["group"])
        self.data = self.folder / "data"
        self._program("initdb", "--no-sync", "-A", "trust", "-U", "likeness", "-E", "UTF8", "--no-locale", "-D", self.data)
        options = f"-c fsync=off -c listen_addresses= -c unix_socket_directories={self.folder} -c max_connections=300"
        self._program("pg_ctl", "-w", "-s", "-t", "90", "-D", self.data, "-l", self.folder / "log", "-o", options, "start")
        atexit.register(self.stop)

    def _program(self, name, *arguments):
        done = subprocess.run(
            [str(self.programs / name), *map(str, arguments)],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE if name == "psql" else None,
            text=True, env={**os.environ, "LC_ALL": "C"}, **self.account,
        )
        if done.returncode != 0:
            raise AssertionError(f"{name} ended with {done.returncode}: {done.stderr}")

    def create(self, database):
        self._program("psql", "-X", "-q", "-U", "likeness", "-h", self.folder, "-d", "postgres", "-c", f"CREATE DATABASE {database}")

    def address(self, database):
        host = str(self.folder).replace("/", "%2F")
        return f"postgres://likeness@{host}/{database}"

    def stop(self):
        self._program("pg_ctl", "-w", "-s", "-m", "immediate", "-D", self.data, "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def _server():
    return _Server()


@functools.cache
def _address(data):
    database = "library_" + hashlib.sha256(data.encode()).hexdigest()[:16]
    _server().create(database)
    return _server().address(database)


def settings(data):
    """The variables that put the library of that data folder into a database; none where suites run without one."""
    return {"LIKENESS_STORE": _address(os.path.realpath(data))} if IS_USED else {}
