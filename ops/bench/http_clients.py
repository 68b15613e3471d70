"""How much CPU a call costs: the SDK's stock HTTP client against ours, over TLS, in one run.

    python -m ops.bench.http_clients [--calls 600] [--threads 32] [--pause-ms 300]

The server is a process of its own. Each thread pauses at random between calls, as a paced campaign does: it is there
that connections rest, and are thrown away by a pool that is too small. CPU is this process's own, server left out.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import random
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import certifi

from worker.gateway.http import HttpOptions, PooledHttpClient

BODY = json.dumps(
    {"sid": "KD" + "0" * 32, "channel": {"sid": "UO" + "0" * 32}, "padding": "x" * 900}
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
FORM = {"Channel": "x" * 300, "Routing": "y" * 500}


async def serve(certificate: str, key: str, latency_s: float) -> None:
    """Answer POSTs until killed, each with the number of connections so far; print the port first."""
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
                )
                await reader.readexactly(int(length.split(b":")[1]))
                await asyncio.sleep(latency_s)
                count = str(connections).encode()
                writer.write(ANSWER.replace(b"\r\n\r\n", b"\r\nX-Connections: " + count + b"\r\n\r\n", 1))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def measure(
    request: Callable[..., Any], url: str, calls: int, threads: int, pause_s: float
) -> tuple[float, float, int]:
    """Return CPU ms a call, calls a second, and the connections that the server has seen so far."""
    chance = random.Random(1)
    pauses = [[chance.uniform(0, pause_s) for _ in range(calls // threads)] for _ in range(threads)]
    connections = 0

    def story(thread: int) -> None:
        nonlocal connections
        for pause in pauses[thread]:
            time.sleep(pause)
            answer = request("POST", url, data=FORM, headers={}, auth=("AC", "secret"))
            seen = {name.lower(): value for name, value in answer.headers.items()}
            connections = max(connections, int(seen["x-connections"]))

    cpu, started_at = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(story, range(threads)))
    done = threads * (calls // threads)
    return (
        1000 * (time.process_time() - cpu) / done,
        done / (time.perf_counter() - started_at),
        connections,
    )


def run(calls: int, threads: int, pause_s: float, latency_s: float, folder: Path) -> None:
    """Make a certificate, start a server for each client, and compare."""
    certificate, key, bundle = folder / "cert.pem", folder / "key.pem", folder / "bundle.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    bundle.write_text(Path(certifi.where()).read_text() + certificate.read_text())
    os.environ["REQUESTS_CA_BUNDLE"] = str(bundle)
    # By name: only the gateway may build on the SDK, and this only compares with it.
    sdk = importlib.import_module("twilio.http.http_client")

    def ours(url: str) -> Callable[..., Any]:
        options = HttpOptions(pool_size=threads, base_url=url, ca_file=bundle)
        return PooledHttpClient(options, time.monotonic, time.time).request

    def stock(_: str) -> Callable[..., Any]:
        request: Callable[..., Any] = sdk.TwilioHttpClient(timeout=20).request
        return request

    cost = {}
    print(
        f"{calls} calls, {threads} threads, pauses up to {pause_s * 1000:.0f} ms, latency {latency_s * 1000:.0f} ms"
    )
    for name, make in (("stock", stock), ("ours", ours), ("stock again", stock), ("ours again", ours)):
        command = [sys.executable, "-m", "ops.bench.http_clients", "--serve", str(certificate), str(key)]
        with subprocess.Popen(
            [*command, "--latency-ms", str(latency_s * 1000)], stdout=subprocess.PIPE
        ) as server:
            assert server.stdout
            url = f"https://127.0.0.1:{server.stdout.readline().decode().strip()}"
            cost[name], pace, connections = measure(make(url), f"{url}/x", calls, threads, pause_s)
            server.terminate()
        print(f"{name:12} {cost[name]:6.2f} ms CPU a call, {pace:5.0f} calls/s, {connections} connections")
    print(
        f"ratio        {cost['stock'] / cost['ours']:6.1f}, again {cost['stock again'] / cost['ours again']:.1f}"
    )


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=600)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--pause-ms", type=float, default=300)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--serve", nargs=2, metavar=("CERT", "KEY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        certificate, key = options.serve
        asyncio.run(serve(certificate, key, options.latency_ms / 1000))
        return
    if shutil.which("openssl") is None:
        sys.exit("this benchmark needs the openssl command to make a certificate")
    with tempfile.TemporaryDirectory() as folder:
        run(options.calls, options.threads, options.pause_ms / 1000, options.latency_ms / 1000, Path(folder))


if __name__ == "__main__":
    main()
