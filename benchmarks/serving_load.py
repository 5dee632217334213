"""Mixed load on servers of released runs, and the evidence that it leaves: run as a process.

    python -m benchmarks.serving_load < PLAN > EVIDENCE

Both are JSON, see `Load` and `Row`. Connections send single records, batches, bad input and
questions for the status, one request after the other at a steady pace; one more of each server
tells the truth of what was answered, again and again until it is acknowledged or refused for good.
"""

from __future__ import annotations

import heapq
import json
import random
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

__all__ = ["Load", "Row", "Target", "asked"]

_KINDS = {"single": 70, "batch": 10, "bad": 8, "status": 2}
_BATCH = 8  # records of the largest
_ANEW = 0.02  # share of the requests for which the connection is opened anew: all workers get some
_IDLE = 0.02  # seconds, where no truth is due
_AGAIN = (0, 429, 503)  # statuses of what may be sent again
_BAD = (
    b"", b"{", b"[]", b'{"records": []}', b'{"records": [[]]}', b"\xff\xfe",
    b'{"records": [{}], "x": 1}',
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A server: its port, the token it asks for, records to ask about, classes for truth."""

    service: str
    port: int
    records: list[dict[str, Any]]
    classes: list[str]
    token: str = ""
    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Load:
    """What is sent.

    Attributes
    ----------
    connections : those of a server that ask.
    pace : seconds between two requests of one.
    truth : the share of the answers of which truth is told.
    after : seconds at the end for truth that is not acknowledged yet.
    """

    targets: list[Target]
    seconds: float
    connections: int = 3
    pace: float = 0.1
    truth: float = 0.3
    after: float = 120.0


@dataclass
class Row:
    """One request: when it was sent and its answer received, in seconds since 1970.

    `status` is 0 where the connection broke. `about` are the places of its records, `said` the
    answers: id and probabilities of each.
    """

    service: str
    kind: str
    sent: float
    received: float
    status: int
    retry: str | None = None
    version: str = ""
    place: str = ""
    process: int = 0
    about: list[int] = field(default_factory=list)
    said: list[tuple[str, dict[str, float]]] = field(default_factory=list)
    truth: tuple[str, str] | None = None


class _Truth(NamedTuple):
    at: float  # when it is to be told, in seconds since 1970
    prediction: str
    label: str


class _Truths:
    """Truth that is to be told, the earliest first."""

    def __init__(self) -> None:
        self._heap: list[_Truth] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, prediction: str, label: str, at: float) -> None:
        with self._lock:
            heapq.heappush(self._heap, _Truth(at, prediction, label))

    def due(self, now: float) -> _Truth | None:
        with self._lock:
            is_due = bool(self._heap) and self._heap[0].at <= now
            return heapq.heappop(self._heap) if is_due else None


class _Connection:
    """One connection to one server; truth that it finds is put where another tells it."""

    def __init__(self, load: Load, target: Target, seed: int, truths: _Truths) -> None:
        self._load, self._target, self._rng = load, target, random.Random(seed)
        self._line = HTTPConnection(target.host, target.port, timeout=30)
        self._truths = truths
        self.rows: list[Row] = []

    def ask(self) -> None:
        """Ask for as long as the load lasts."""
        until = time.time() + self._load.seconds
        while time.time() < until:
            kind = self._rng.choices(list(_KINDS), list(_KINDS.values()))[0]
            if kind == "status":
                self._sent(kind, "GET", "/status", b"")
            elif kind == "bad":
                self._sent(kind, "POST", "/predict", self._rng.choice(_BAD))
            else:
                self._predict(kind)
            time.sleep(self._load.pace * self._rng.uniform(0.5, 1.5))

    def tell(self) -> None:
        """Tell the truth that is due, and at the end what is left."""
        until = time.time() + self._load.seconds
        last = until + self._load.after
        while (now := time.time()) < last and (now < until or self._truths):
            due = self._truths.due(now)
            if due is None:
                time.sleep(_IDLE)
                continue
            body = json.dumps({"id": due.prediction, "label": due.label}).encode()
            row = self._sent("truth", "POST", "/feedback", body)
            row.truth = (due.prediction, due.label)
            if row.status in _AGAIN:  # nothing was acknowledged: send it again
                self._truths.add(due.prediction, due.label, time.time() + float(row.retry or 1))

    def _predict(self, kind: str) -> None:
        records, rng = self._target.records, self._rng
        about = rng.sample(range(len(records)), 1 if kind == "single" else rng.randint(2, _BATCH))
        told = {"records": [records[i] for i in about], "key": f"k{rng.random()}"}
        row = self._sent(kind, "POST", "/predict", json.dumps(told).encode())
        row.about = about
        for name, _ in row.said:
            if rng.random() < self._load.truth:
                self._truths.add(name, rng.choice(self._target.classes), time.time())

    def _sent(self, kind: str, method: str, path: str, body: bytes) -> Row:
        headers = {"content-type": "application/json"}
        if self._target.token:
            headers["authorization"] = f"Bearer {self._target.token}"
        if self._rng.random() < _ANEW:
            self._line.close()
        row = Row(self._target.service, kind, time.time(), 0.0, 0)
        try:
            self._line.request(method, path, body, headers)
            answer = self._line.getresponse()
            told = json.loads(answer.read())
            row.status, row.retry = answer.status, answer.getheader("retry-after")
            if answer.status == 200 and kind in ("single", "batch"):
                row.version, row.place = told["version"], told["place"]
                row.said = [(one["id"], one["probabilities"]) for one in told["predictions"]]
            if answer.status == 200 and kind == "status":
                row.process = told["worker"]["process"]
        except (OSError, HTTPException):
            self._line.close()  # opened again by the next request
        row.received = time.time()
        self.rows.append(row)
        return row


def asked(load: Load) -> list[Row]:
    """Send the load; what came back, in order of the connections."""
    connections, threads = [], []
    for place, target in enumerate(load.targets):
        truths = _Truths()
        for one in range(load.connections + 1):
            line = _Connection(load, target, 100 * place + one, truths)
            work = line.ask if one < load.connections else line.tell
            connections.append(line)
            threads.append(threading.Thread(target=work))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [row for one in connections for row in one.rows]


def main() -> None:
    """Read the plan, send the load, print the evidence."""
    told = json.load(sys.stdin)
    load = Load(**{**told, "targets": [Target(**one) for one in told["targets"]]})
    json.dump([asdict(row) for row in asked(load)], sys.stdout)


if __name__ == "__main__":
    main()
