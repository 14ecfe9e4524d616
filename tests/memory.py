#!/usr/bin/env python3
"""How much memory a server takes while strangers send it bodies: `tests/memory.py --likeness target/release/likeness`. Needs
an installed model pack (LIKENESS_HOME) and nothing but Python.

Starts a server in a scratch folder. As many clients as connections are allowed, each with an address of its own, send a form
of 20 MB whose key would come after the picture, all at once and as slowly or quickly as the server reads. Prints the resident
memory before, the most meanwhile, the bound (`listener.body_memory_mib` and 100 MiB), how the uploads were answered, and how
long a health check took at worst. Exit code 1 if the memory passed the bound, or if a health check was not answered.
"""
import argparse
import collections
import http.client
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

BODY_BYTES = 20_000_000


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--likeness", required=True, help="the program")
    parser.add_argument("--connections", type=int, default=512, help="uploads at once (512)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they go on (60)")
    parser.add_argument("--budget-mib", type=int, default=256, help="listener.body_memory_mib (256)")
    parser.add_argument("--besides-mib", type=int, default=100, help="what the server may take besides (100)")
    return parser.parse_args()


def memory_mib(pid, field):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no {field} of process {pid}")


def upload(port, idx, begin, end_at, answers):
    """One client: uploads until the time is over."""
    start = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    head = (
        f"POST /finauth/search/group/add HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.{idx // 256}.{idx % 256}.1\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {BODY_BYTES}\r\nConnection: close\r\n\r\n"
    ).encode()
    piece = b"x" * 65536
    first = True
    while first or time.monotonic() < end_at[0]:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=120) as stream:
                stream.sendall(head + start)
                if first:
                    first = False
                    begin.wait()
                n_left = BODY_BYTES - len(start)
                try:
                    while n_left > 0:
                        stream.sendall(piece[:n_left])
                        n_left -= min(len(piece), n_left)
                except OSError:
                    pass  # A server that has heard enough may close.
                answer = stream.recv(65536)
                answers[answer.split(b"\r\n")[0].decode(errors="replace")[9:12] or "closed"] += 1
        except OSError as error:
            answers[type(error).__name__] += 1
            if first:
                first = False
                begin.wait()


def main():
    asked = parsed()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "LIKENESS_LISTENER_BODY_MEMORY_MIB": str(asked.budget_mib),
            "LIKENESS_LISTENER_CLIENT_ADDRESS_HEADER": "x-forwarded-for",
            "LIKENESS_LISTENER_CONNECTIONS_MAX": str(asked.connections),
        }
        command = [asked.likeness, "serve", "--listen", "127.0.0.1:0", "--data", folder + "/data"]
        log = open(folder + "/log", "w+")
        server = subprocess.Popen(command, env=environment, stderr=log)
        try:
            port = None
            while port is None:
                if server.poll() is not None:
                    raise SystemExit("the server ended: " + pathlib.Path(folder + "/log").read_text())
                for line in pathlib.Path(folder + "/log").read_text().splitlines():
                    if "listening on http://127.0.0.1:" in line:
                        port = int(line.rsplit(":", 1)[1])
                time.sleep(0.1)
            # The highest resident size so far is that of loading the models.
            pathlib.Path(f"/proc/{server.pid}/clear_refs").write_text("5")
            before = memory_mib(server.pid, "VmRSS")
            answers, end_at = collections.Counter(), [time.monotonic() + 3600]
            begin = threading.Barrier(asked.connections + 1)
            clients = [
                threading.Thread(target=upload, args=(port, idx, begin, end_at, answers), daemon=True)
                for idx in range(asked.connections)
            ]
            for client in clients:
                client.start()
            begin.wait()
            end_at[0] = time.monotonic() + asked.seconds
            worst, n_answered, n_asked = 0.0, 0, 0
            while time.monotonic() < end_at[0]:
                started, n_asked = time.monotonic(), n_asked + 1
                try:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                    connection.request("GET", "/healthz")
                    n_answered += connection.getresponse().status == 200
                    connection.close()
                except OSError:
                    pass
                worst = max(worst, time.monotonic() - started)
                time.sleep(0.5)
            for client in clients:
                client.join(180)
            peak = memory_mib(server.pid, "VmHWM")
            time.sleep(5)
            after = memory_mib(server.pid, "VmRSS")
        finally:
            server.terminate()
            server.wait(60)
    bound = before + asked.budget_mib + asked.besides_mib
    print(f"resident memory: {before:.0f} MiB before, {peak:.0f} MiB at most, {after:.0f} MiB 5 s later; bound {bound:.0f} MiB")
    print(f"uploads: {sum(answers.values())} in {asked.seconds:.0f} s, answered {dict(answers.most_common())}")
    print(f"health checks: {n_answered} of {n_asked} answered, the slowest in {worst * 1000:.0f} ms")
    return 0 if peak <= bound and n_answered == n_asked else 1


if __name__ == "__main__":
    sys.exit(main())
