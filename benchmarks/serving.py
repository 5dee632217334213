"""What one request costs a server of a small text model, with everything on.

    python -m benchmarks.serving [--requests 4000] [--connections 4] [--run RUN] [--profile FILE]

Everything on: releases watched, checks and limits, batching, calibration, the prediction log in
SQLite, records below 0.6 to the review queue. The client is a process of its own with one socket a
connection, which sends the next request when the last was answered. Told are the server's CPU time
a request (of all its threads, by /proc), requests a second, and the median and 99th percentile of
the time to the answer. Peers are not in it yet.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

WORDS = {
    "billing": "invoice charged refund payment card price",
    "login": "error crash login password screen update",
    "delivery": "parcel late delivery address courier lost",
}
COMMON = ["the", "my", "please", "help", "with", "and", "again", "today", "was", "not"]
_WARM = 200
_TICKS = os.sysconf("SC_CLK_TCK")


def texts(number: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Made texts with their classes."""
    rng, found, labels = random.Random(seed), [], []
    for i in range(number):
        name = list(WORDS)[i % len(WORDS)]
        own = WORDS[name].split()
        length = rng.randint(5, 14)
        said = [rng.choice(own if rng.random() < 0.4 else COMMON) for _ in range(length)]
        found.append(" ".join(said))
        labels.append(name)
    return found, labels


def made_run(folder: Path) -> str:
    """A small run of made texts."""
    import leaven
    from leaven.data.dataset import Dataset

    said, labels = texts(300)
    given = [label if i < 60 else None for i, label in enumerate(labels)]
    data = Dataset.from_arrays(said, given, name="tickets")
    return str(leaven.fit(data, method="laplace-learning", out=str(folder), budget="20s").folder)


def cpu_seconds(process: int) -> float:
    """CPU time that a process has taken so far, in seconds."""
    told = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / _TICKS


def client(port: int, connections: int, requests: int, path: str) -> None:
    """Send requests, and print the seconds that each took as JSON: run as a process of its own."""
    said, _ = texts(512, seed=1)
    took: list[list[float]] = [[] for _ in range(connections)]

    def talk(place: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(requests // connections):
                body = _body(path, said[(i * connections + place) % len(said)])
                head = (
                    f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
                    f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
                )
                began = time.perf_counter()
                line.sendall(head.encode() + body)
                status = _answer(line)
                took[place].append(time.perf_counter() - began)
                if status != 200:
                    raise SystemExit(f"status {status}")

    threads = [threading.Thread(target=talk, args=(i,)) for i in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - began
    print(json.dumps({"wall": wall, "took": [one for some in took for one in some]}))


def _body(path: str, text: str) -> bytes:
    if path == "/predict":
        return json.dumps({"text": text}).encode()
    told = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}
    return json.dumps({"inputs": [told]}).encode()


def _answer(line: socket.socket) -> int:
    """Read one answer to its end; its status."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += line.recv(65536)
    head, _, body = found.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += line.recv(65536)
    return int(head.split()[1])


def serve(store: str, profile: str) -> None:
    """The server: run as a process of its own."""
    from leaven import serving

    def opened(address: str) -> None:
        print(address, flush=True)

    if not profile:
        serving.serve(store=store, port=0, abstain=0.6, opened=opened)
        return
    import cProfile

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    profiled = cProfile.Profile()
    try:
        profiled.runcall(serving.serve, store=store, port=0, abstain=0.6, opened=opened)
    finally:
        profiled.dump_stats(profile)


def main() -> None:
    """Start a server, let a client ask, tell what it cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--run", default="", help="a run of texts; one is made if not given")
    parser.add_argument("--path", default="/predict")
    parser.add_argument("--profile", default="", help="where cProfile writes; slows all of it")
    parser.add_argument("--client", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.client:
        client(told.client, told.connections, told.requests, told.path)
        return
    if told.serve:
        serve(told.serve, told.profile)
        return
    from leaven import releasing

    with tempfile.TemporaryDirectory() as folder:
        run = told.run or made_run(Path(folder) / "runs")
        store = str(Path(folder) / "leaven.db")
        state = releasing.release(run, by="benchmark", override="made for it", store=store)
        path = told.path.replace("NAME", state["service"])
        command = [sys.executable, "-m", "benchmarks.serving", "--serve", store]
        command += ["--profile", told.profile] if told.profile else []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            port = server.stdout.readline().strip().rpartition(":")[2]
            asked = [sys.executable, "-m", "benchmarks.serving", "--client", port, "--path", path]
            asked += ["--connections", str(told.connections), "--requests"]
            subprocess.run([*asked, str(_WARM)], check=True, stdout=subprocess.DEVNULL)
            before = cpu_seconds(server.pid)
            said = subprocess.run(
                [*asked, str(told.requests)], check=True, stdout=subprocess.PIPE, text=True
            ).stdout
            time.sleep(1)  # for the log to be written, which is counted
            spent = cpu_seconds(server.pid) - before
            server.terminate()
        found = json.loads(said)
        took = sorted(found["took"])
        print(
            f"{path}: {1000 * spent / len(took):.2f} ms CPU a request, "
            f"{len(took) / found['wall']:.0f} requests/s, "
            f"median {1000 * statistics.median(took):.1f} ms, "
            f"p99 {1000 * took[int(0.99 * len(took))]:.1f} ms "
            f"(n {len(took)}, {told.connections} connections, load {os.getloadavg()[0]:.1f})"
        )


if __name__ == "__main__":
    main()
