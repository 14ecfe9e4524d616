"""Runs a Milvus for a test: `serve.py standalone|lite|secured FOLDER SOCKET`. The secured one asks for a password and speaks
TLS with `server.pem` and `server.key` beside the folder.

In a network namespace of its own, as Milvus listens on every address: what comes to SOCKET is passed on to it. For that
SOCKET is a Unix socket, which a network namespace does not hide.
"""

import asyncio
import fcntl
import socket
import struct
import subprocess
import sys
import time

PORT = 19530


def raise_loopback():
    """`ip link set lo up`, without the program."""
    set_flags, up, running = 0x8914, 0x1, 0x40
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH14s", b"lo", up | running, b""))


async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def passed_on(reader, writer):
    try:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", PORT)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pipe(reader, to_writer), pipe(to_reader, writer))


def start(kind, folder):
    if kind == "lite":
        options = ["server", "--data-dir", folder, "--host", "127.0.0.1", "--port", str(PORT)]
        server = subprocess.Popen([f"{sys.prefix}/bin/milvus-lite", *options], stdout=subprocess.DEVNULL)
        while server.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", PORT)).close()
                return server
            except OSError:
                time.sleep(0.05)
        raise SystemExit("milvus-lite has ended")
    from milvus import MilvusServer, MilvusServerConfig

    server = MilvusServer(MilvusServerConfig(), wait_for_started=True)
    server.set_base_dir(folder)
    # Rows that are not in the graph yet are compared one by one, not by a rough index of their own (docs/scale.md).
    server.config.set("queryNode.segcore.interimIndex.enableIndex", "false")
    if kind == "secured":
        server.config.set("common.security.authorizationEnabled", "true")
        server.config.set("common.security.tlsMode", "1")
        server.config.set("tls.serverPemPath", f"{folder}/../server.pem")
        server.config.set("tls.serverKeyPath", f"{folder}/../server.key")
    server.show_startup_banner = False
    server.start()
    return server


async def main():
    kind, folder, path = sys.argv[1:]
    raise_loopback()
    running = start(kind, folder)
    async with await asyncio.start_unix_server(passed_on, path) as server:
        print("ready", flush=True)
        await server.serve_forever()
    del running


asyncio.run(main())
