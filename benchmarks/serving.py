"""What one request costs a server of a small text model, with everything on.

    python -m benchmarks.serving [--requests 4000] [--connections 4] [--records 1] [--run RUN]
                                 [--by onnx torch] [--rounds 3] [--wrk] [--profile FILE]
                                 [--peer NAME=PYTHON …]

Everything on: releases watched, checks and limits, batching, calibration, the prediction log in
SQLite, records below 0.6 to the review queue. The client is a process of its own with one socket a
connection, which sends the next request when the last was answered; with --wrk it is wrk. Told are
the server's CPU time a request (of all its processes and threads, by /proc), requests a second, and
the median and 99th percentile of the time to the answer. Servers take turns, and of the rounds the
one of the least CPU counts: what else the machine does is felt by all. The CPU of all rounds is
told beside it, from the least to the most.

`--by` is what answers: the model's exported form, or torch. A peer is a server of others in a
Python of its own that has it installed, given the same exported model; of all that ours does
besides it does what it does by default.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.serving_peers import Server, peer

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
    """CPU time that a process and those that it started have taken so far, in seconds."""
    taken, family = 0.0, {process}
    for place in sorted(Path("/proc").glob("[0-9]*"), key=lambda one: int(one.name)):
        try:
            told = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(place.name) in family or int(told[1]) in family:
            family.add(int(place.name))
            taken += (int(told[11]) + int(told[12])) / _TICKS
    return taken


def client(port: int, connections: int, requests: int, path: str, records: int) -> None:
    """Send requests, and print the seconds that each took as JSON: run as a process of its own."""
    said, _ = texts(512, seed=1)
    took: list[list[float]] = [[] for _ in range(connections)]

    def talk(place: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(requests // connections):
                first = (i * connections + place) * records
                body = _body(path, [said[k % len(said)] for k in range(first, first + records)])
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


def _body(path: str, some: list[str]) -> bytes:
    told: dict[str, object] = {"text": some[0]}
    if path == "/invocations":
        told = {"dataframe_records": [{"text": text} for text in some]}
    elif path != "/predict":
        told = {"name": "text", "shape": [len(some)], "datatype": "BYTES", "data": some}
        told = {"inputs": [told]}
    elif len(some) > 1:
        told = {"records": [{"text": text} for text in some]}
    return json.dumps(told).encode()


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


@dataclass(frozen=True)
class Figures:
    """Milliseconds of CPU a request, requests a second, median and 99th percentile in ms."""

    cpu: float
    rate: float
    median: float
    tail: float
    requests: int

    def __str__(self) -> str:
        return (
            f"{self.cpu:.2f} ms CPU a request, {self.rate:.0f} requests/s, median "
            f"{self.median:.1f} ms, p99 {self.tail:.1f} ms (n {self.requests})"
        )


def ours(by: str, run: str, folder: Path, path: str, profile: str) -> Server:
    """Our server of a run, by its exported form or by torch."""
    from leaven import releasing
    from leaven.evaluate.run import Run
    from leaven.operate.registry import Registry
    from leaven.operate.releases import Releases
    from leaven.store.store import Store

    copy = folder / by / Path(run).name
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("portable", "exported"))
    store, service = str(folder / f"{by}.db"), "tickets"
    if by == "onnx":
        releasing.release(
            copy, by="benchmark", override="made for it", store=store, service=service
        )
    else:  # as where the extra `export` is not installed
        releases = Releases(Store(store), service)
        found = Registry(Store(store)).add(Run.load(copy), person="benchmark")
        releases.release(found, by="benchmark", seen=releases.state(), override="made for it")
    command = [sys.executable, "-m", "benchmarks.serving", "--serve", store]
    command += ["--profile", profile] if profile else []
    return Server(f"leaven, {by}", command, path.replace("NAME", service), Path.cwd())


def measured(server: Server, connections: int, requests: int, records: int, wrk: bool) -> Figures:
    """Start it, warm it, ask it, end it."""
    out = None if server.port else subprocess.PIPE
    own = Path(server.command[0]).parent  # where it looks for programs of its own
    env = os.environ | {"PATH": f"{own}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen(
        server.command, stdout=out, text=True, cwd=server.folder, env=env
    ) as started:
        try:
            port = _ready(server, started)
            asked(port, server.path, connections, _WARM, records)
            before = cpu_seconds(started.pid)
            if wrk:
                found = by_wrk(port, server.path, connections, records)
            else:
                found = asked(port, server.path, connections, requests, records)
            time.sleep(1)  # for the log to be written, which is counted
            spent = cpu_seconds(started.pid) - before
        finally:
            started.terminate()
    return replace(found, cpu=1000 * spent / found.requests)


def _ready(server: Server, started: subprocess.Popen[str]) -> str:
    """The port, once the server listens on it."""
    if not server.port:
        assert started.stdout
        return next(line.strip().rpartition(":")[2] for line in started.stdout if "http" in line)
    until = time.monotonic() + 120
    while time.monotonic() < until and started.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1):
            time.sleep(5)  # for its workers, which load the model
            return str(server.port)
        time.sleep(0.2)
    raise SystemExit(f"{server.name} does not listen on port {server.port}.")


def asked(port: str, path: str, connections: int, requests: int, records: int) -> Figures:
    """By a client of ours, all but the CPU."""
    command = [sys.executable, "-m", "benchmarks.serving", "--client", port, "--path", path]
    command += ["--connections", str(connections), "--requests", str(requests)]
    command += ["--records", str(records)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(said)
    took = sorted(found["took"])
    return Figures(
        0.0, len(took) / found["wall"], 1000 * statistics.median(took),
        1000 * took[int(0.99 * len(took))], len(took),
    )  # fmt: skip


def by_wrk(port: str, path: str, connections: int, records: int, seconds: int = 10) -> Figures:
    """By wrk, which asks about the same texts again and again."""
    body = _body(path, texts(records, seed=1)[0]).decode().replace("\\", "\\\\").replace("'", "\\'")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            f"wrk.method, wrk.body = 'POST', '{body}'\n"
            "wrk.headers['content-type'] = 'application/json'\n"
            "done = function(summary, latency) io.write(string.format('%d %d %f %f %d\\n', "
            "summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), "
            "summary.errors.status)) end\n"
        )
        script.flush()
        said = subprocess.run(
            ["wrk", f"-c{connections}", "-t1", f"-d{seconds}s", "-s", script.name,
             f"http://127.0.0.1:{port}{path}"],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout  # fmt: skip
    count, micro, half, most, failed = (float(one) for one in said.split("\n")[-2].split())
    if failed:
        raise SystemExit(f"{failed:.0f} requests were not answered with 200")
    return Figures(0.0, 1e6 * count / micro, half / 1000, most / 1000, int(count))


def main() -> None:
    """Start servers, let a client ask, tell what it cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--records", type=int, default=1, help="texts of a request")
    parser.add_argument("--run", default="", help="a run of texts; one is made if not given")
    parser.add_argument("--path", default="/predict")
    parser.add_argument("--by", nargs="+", choices=("onnx", "torch"), default=["onnx"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--wrk", action="store_true", help="ask by wrk, which must be installed")
    parser.add_argument("--peer", nargs="*", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--profile", default="", help="where cProfile writes; slows all of it")
    parser.add_argument("--client", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.client:
        client(told.client, told.connections, told.requests, told.path, told.records)
        return
    if told.serve:
        serve(told.serve, told.profile)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = told.run or made_run(folder / "runs")
        servers = [ours(by, run, folder, told.path, told.profile) for by in told.by]
        servers += [peer(one, run, folder) for one in told.peer]
        rounds: dict[str, list[Figures]] = {server.name: [] for server in servers}
        for _ in range(told.rounds):
            for server in servers:
                found = measured(server, told.connections, told.requests, told.records, told.wrk)
                rounds[server.name].append(found)
        for name, all_of_it in rounds.items():
            most = max(one.cpu for one in all_of_it)
            print(f"{name}: {min(all_of_it, key=lambda one: one.cpu)}; CPU up to {most:.2f} ms")
        load = os.getloadavg()[0]
        print(f"{told.connections} connections, least of {told.rounds} rounds, load {load:.1f}")


if __name__ == "__main__":
    main()
