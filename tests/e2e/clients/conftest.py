"""Fixtures: programs in other languages, each with the vendor's own client or a signer of ours, run against the server."""

import json
import os
import pathlib
import shutil
import subprocess

import harness
import pytest

HERE = pathlib.Path(__file__).resolve().parent
NODE_CLIENTS = harness.ROOT / ".venvs" / "clients-node"


def run(command, env=None, timeout=120):
    """Runs a program to its end and returns what it printed, which is JSON."""
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=timeout, env={**os.environ, **(env or {})}
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    port = harness.free_port()
    env = {**harness.PATIENT_SCANS, "LIKENESS_ALIYUN_UPLOAD_ENDPOINT": f"http://127.0.0.1:{port}"}
    with harness.Server(tmp_path_factory.mktemp("data"), env=env, port=port) as running:
        yield running


@pytest.fixture
def js(server, key):
    """Runs a script of this folder with the vendor's client; returns what it prints."""
    if not (NODE_CLIENTS / "node_modules").exists() or not shutil.which("node"):
        pytest.skip("the JavaScript clients are not installed; tests/run installs them")

    def call(script, *arguments):
        environment = {"CLIENTS": str(NODE_CLIENTS), "URL": server.url, "AK": key.id, "SK": key.secret, "PROJECT": key.project}
        return run(["node", HERE / script, *arguments], env=environment)

    return call


@pytest.fixture
def php(server, key):
    """Runs the signer in PHP; returns what it prints."""
    if not shutil.which("php"):
        pytest.skip("php is not installed; tests/run installs it")

    def call(*arguments):
        environment = {"URL": server.url, "AK": key.id, "SK": key.secret, "PROJECT": key.project}
        return run(["php", "-n", HERE / "sign.php", *arguments], env=environment)

    return call
