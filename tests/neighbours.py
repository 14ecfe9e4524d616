#!/usr/bin/env python3
"""How a tenant fares while another one floods the server: `tests/neighbours.py --likeness target/release/likeness
--photo face.jpg`. Needs an installed model pack (LIKENESS_HOME) and nothing but Python.

Starts a server in a scratch folder with two tenants. The neighbour searches by a photograph, one call after the other,
first alone and then while the flood has its connections call as fast as they are answered. Prints the neighbour's median
and worst time in both, how many of its calls were answered, and what the flood got. Exit code 1 if the median under the
flood is more than `--times-max` of the quiet one, or if fewer than 99 % of the neighbour's calls were answered.
"""
import argparse
import collections
import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--likeness", required=True, help="the program")
    parser.add_argument("--photo", required=True, help="a photograph with a face, JPEG")
    parser.add_argument("--connections", type=int, default=90, help="connections of the flood (90)")
    parser.add_argument("--calls", type=int, default=128, help="calls of the neighbour, quiet and under the flood (128)")
    parser.add_argument("--times-max", type=float, default=6.0, help="most the median may grow (6)")
    parser.add_argument("--set", action="append", default=[], metavar="VARIABLE=VALUE",
                        help="a setting of the server by its variable, such as LIKENESS_WORKERS=2")
    return parser.parse_args()


class Tenant:
    """Calls in the name of one tenant, each on a connection that it keeps."""

    def __init__(self, run, port, name, photo):
        key = json.loads(run("key", "create", "--tenant", name, "--json"))
        self.port, self.photo = port, photo
        self.headers = {"Authorization": f"Bearer {key['access_key_id']}.{key['access_key_secret']}"}
        connection = self.connection()
        assert self.call(connection, "/face-sets", json.dumps({"name": "people"}), "application/json") == 201
        assert self.call(connection, "/face-sets/people/faces", photo) == 201

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def call(self, connection, path, body, content_type="image/jpeg"):
        connection.request("POST", "/likeness/v1" + path, body, {**self.headers, "Content-Type": content_type})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def search(self, connection):
        return self.call(connection, "/face-sets/people/search", self.photo)


def measured(tenant, n_calls):
    """Seconds of each answered call, and how many calls had which status."""
    connection, seconds, statuses = tenant.connection(), [], collections.Counter()
    for _ in range(n_calls):
        begun = time.perf_counter()
        try:
            status = tenant.search(connection)
        except (OSError, http.client.HTTPException) as error:
            status, connection = type(error).__name__, tenant.connection()
        statuses[status] += 1
        if status == 200:
            seconds.append(time.perf_counter() - begun)
    return seconds, statuses


def flooded(tenant, n_connections, stop, statuses):
    def one():
        connection = tenant.connection()
        while not stop.is_set():
            try:
                statuses[tenant.search(connection)] += 1
            except (OSError, http.client.HTTPException) as error:
                statuses[type(error).__name__] += 1
                connection = tenant.connection()
    threads = [threading.Thread(target=one, daemon=True) for _ in range(n_connections)]
    for thread in threads:
        thread.start()
    return threads


def said(name, seconds, statuses):
    middle, worst = (statistics.median(seconds), max(seconds)) if seconds else (float("nan"), float("nan"))
    print(f"{name}: median {middle * 1000:.0f} ms, worst {worst * 1000:.0f} ms, answers {dict(statuses)}", flush=True)
    return middle


def main():
    args = parsed()
    photo = pathlib.Path(args.photo).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        data = ["--data", os.path.join(folder, "data")]
        settings = dict(setting.split("=", 1) for setting in args.set)
        environment = {**os.environ, **settings}
        server = subprocess.Popen([args.likeness, "serve", "--listen", "127.0.0.1:0", *data], env=environment,
                                  stderr=subprocess.PIPE, text=True)
        try:
            for line in server.stderr:
                if line.startswith("listening on "):
                    port = int(line.rsplit(":", 1)[1])
                    break
            else:
                sys.exit("the server did not start")
            # Nobody may wait for the log to be read.
            threading.Thread(target=server.stderr.read, daemon=True).start()

            def run(*arguments):
                command = [args.likeness, *arguments, *data]
                return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

            neighbour, flood = (Tenant(run, port, name, photo) for name in ("neighbour", "flood"))
            measured(neighbour, 8)
            quiet = said("quiet", *measured(neighbour, args.calls))
            stop, statuses = threading.Event(), collections.Counter()
            threads = flooded(flood, args.connections, stop, statuses)
            begun = time.perf_counter()
            # The flood is at its height when each of its connections had an answer.
            while sum(statuses.values()) < args.connections and time.perf_counter() - begun < 60:
                time.sleep(0.1)
            seconds, answers = measured(neighbour, args.calls)
            under_flood = said("under the flood", seconds, answers)
            stop.set()
            print(f"the flood: {args.connections} connections, answers {dict(statuses)}", flush=True)
            for thread in threads:
                thread.join(60)
        finally:
            server.terminate()
            server.wait(60)
    answered = answers[200] / args.calls
    times = under_flood / quiet
    print(f"the median grew {times:.1f} times, {answered:.1%} of the neighbour's calls were answered")
    sys.exit(0 if times <= args.times_max and answered >= 0.99 else 1)


if __name__ == "__main__":
    main()
