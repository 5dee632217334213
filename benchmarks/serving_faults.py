"""Ten minutes of mixed load on real servers, while models are swapped, workers killed, stores away.

    python -m benchmarks.serving_faults --store sqlite|postgresql [--seconds 600] [--away 30]

Two services share one store: texts by two workers, and a table by one process that asks for a
token. Each has two models that were taught different classes, so that an answer shows which one
gave it. A process of its own sends the load (`benchmarks.serving_load`). Meanwhile somebody decides
every few seconds (canary, promotion, rollback, release, retirement), beside the guards; seven times
a worker of the texts is killed (SIGKILL), once while the store is away, which it is twice:

- SQLite: another writer holds the file; its disk (a small tmpfs, which needs root) is full;
- PostgreSQL: all its processes stand still (SIGSTOP); it is stopped without grace and started.

Afterwards the evidence is held against the history of the releases, each model's own answers, and
the tables of the store (`benchmarks.serving_evidence`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import leaven
from benchmarks.machine import machine
from benchmarks.serving import texts
from benchmarks.serving_evidence import Findings, Outage, judged, stood_of
from benchmarks.serving_load import Load, Row, Target
from leaven import people, releasing
from leaven.core.errors import LeavenError
from leaven.data.dataset import Dataset
from leaven.evaluate.run import Run
from leaven.operate.registry import Registry
from leaven.operate.releases import Releases
from leaven.store.store import Store

TEXTS, TABLE = "tickets", "orders"
ELSEWHERE = "127.0.0.2"  # an address that is not taken for this machine's own: it needs a token
_KILLS = 6
_DECISIONS = 3.0  # seconds between two, on average
_TMPFS = 256  # megabytes of the disk that can be full
Records = list[dict[str, Any]]


class Sqlite:
    """A file on a disk of its own, where that can be had."""

    def __init__(self, folder: Path) -> None:
        self._disk = folder / "disk"
        self._disk.mkdir()
        mounted = ["mount", "-t", "tmpfs", "-o", f"size={_TMPFS}m", "tmpfs", str(self._disk)]
        self._is_mounted = subprocess.run(mounted, check=False).returncode == 0
        self._file = self._disk / "leaven.db"
        self.address = str(self._file)
        self._holder: sqlite3.Connection | None = None

    @property
    def outages(self) -> list[tuple[str, Callable[[], None], Callable[[], None]]]:
        """Each: its name, how it begins, how it ends."""
        found = [("held by another writer", self._hold, self._let_go)]
        return found + ([("its disk full", self._fill, self._free)] if self._is_mounted else [])

    def _hold(self) -> None:
        self._holder = sqlite3.connect(self._file, isolation_level=None, timeout=30)
        self._holder.execute("BEGIN IMMEDIATE")

    def _let_go(self) -> None:
        assert self._holder
        self._holder.rollback()
        self._holder.close()

    def _fill(self) -> None:
        with suppress(OSError), (self._disk / "other").open("wb", buffering=0) as file:
            while file.write(bytes(1 << 12)):
                continue

    def _free(self) -> None:
        (self._disk / "other").unlink()

    def close(self) -> None:
        if self._is_mounted:
            subprocess.run(["umount", "-l", str(self._disk)], check=True)


class Postgres:
    """A server of its own, on a socket in its folder."""

    def __init__(self, folder: Path) -> None:
        self._home = max(Path("/usr/lib/postgresql").glob("*/bin"))
        self._folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path is short
        self._user = "postgres" if os.getuid() == 0 else None  # the server refuses to be root
        if self._user:
            shutil.chown(self._folder, self._user)
        self._do("initdb", "-U", "leaven", "-A", "trust", "-E", "UTF8", "--locale=C")
        self._start()
        self.address = f"postgresql+psycopg://leaven@/postgres?host={self._folder}"

    @property
    def outages(self) -> list[tuple[str, Callable[[], None], Callable[[], None]]]:
        """Each: its name, how it begins, how it ends."""
        return [
            ("standing still", self._freeze, self._thaw),
            ("stopped", lambda: self._do("pg_ctl", "stop", "-m", "immediate"), self._start),
        ]

    def _do(self, program: str, *words: str) -> None:
        command = [str(self._home / program), "-D", "data", *words]
        subprocess.run(
            command, check=True, user=self._user, cwd=self._folder, stdout=subprocess.DEVNULL
        )

    def _start(self) -> None:
        told = f"-c listen_addresses= -k {self._folder}"
        self._do("pg_ctl", "start", "-w", "-l", "log", "-o", told)

    def _freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def _thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        first = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        for one in (first, *children(first)):
            with suppress(ProcessLookupError):  # a connection that ended meanwhile
                os.kill(one, number)

    def close(self) -> None:
        self._do("pg_ctl", "stop", "-m", "immediate")
        shutil.rmtree(self._folder)


def children(parent: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            told = (place / "stat").read_text().rpartition(")")[2].split()
            if int(told[1]) == parent:
                found.append(int(place.name))
    return sorted(found)


def made_runs(folder: Path) -> tuple[dict[str, list[Run]], dict[str, Records]]:
    """Two runs of each service, and records to ask about."""
    said, labels = texts(300)
    names = list(dict.fromkeys(labels))
    rng = np.random.default_rng(0)
    amount = rng.normal(size=300)
    grade = [("low", "high")[one] for one in rng.integers(0, 2, 300)]
    kinds = [str(int(a + (g == "high") > 0.5)) for a, g in zip(amount, grade, strict=True)]
    columns = {"amount": amount.tolist(), "grade": grade}
    runs: dict[str, list[Run]] = {TEXTS: [], TABLE: []}
    for turn in (0, 1):
        other = [names[(names.index(one) + turn) % len(names)] for one in labels]
        given = [one if i < 90 else None for i, one in enumerate(other)]
        data = Dataset.from_arrays(said, given, name=TEXTS)
        runs[TEXTS].append(leaven.fit(data, method="logistic", out=str(folder), budget="10s"))
        given = [one if i < 90 else None for i, one in enumerate(kinds)]
        given = [one and str(int(one) ^ turn) for one in given]
        frame = pa.table(columns | {"label": given})
        data = Dataset.from_frame(frame, label="label", name=TABLE)
        runs[TABLE].append(leaven.fit(data, method="logistic", out=str(folder), budget="10s"))
    asked: dict[str, Records] = {
        TEXTS: [{"text": one} for one in texts(200, seed=1)[0]],
        TABLE: pa.table(columns).to_pylist()[:200],
    }
    return runs, asked


def own_answers(runs: list[Run], records: Records) -> dict[str, Any]:
    """What each version says of the records, by its own model."""
    frame: Any = pa.Table.from_pylist(records)
    if frame.column_names == ["text"]:
        frame = frame["text"].to_pylist()
    from leaven.operate.manifest import read_manifest

    return {
        read_manifest(run.folder / "model").digest: (run.classes, run.predict(frame))
        for run in runs
    }


class Deciding:
    """Somebody who decides about a service every few seconds."""

    def __init__(self, store: Store, service: str, runs: list[Run], seed: int) -> None:
        self._releases = Releases(store, service)
        registry = Registry(store)
        self._runs = [registry.get(run.story["run"]["id"]) for run in runs]
        self._rng, self._ended = random.Random(seed), threading.Event()
        self.decided = self.refused = 0
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ended.wait(_DECISIONS * self._rng.uniform(0.3, 1.7)):
            try:
                self._decide()
                self.decided += 1
            except LeavenError:  # the guard was quicker, or the store is away
                self.refused += 1

    def _decide(self) -> None:
        releases, state = self._releases, self._releases.state()
        assert state.live
        told: dict[str, Any] = {"by": "somebody", "seen": state}
        if state.canary:
            how = self._rng.choice(("promote", "rollback", "retire"))
            if how == "retire":
                releases.retire(state.canary.run, **told)
            else:
                getattr(releases, how)(**told)
            return
        other = next(one for one in self._runs if one.run != state.live.run)
        share = self._rng.choice((0.2, 0.5, None))
        releases.release(other, canary=share, override="to see what happens", **told)


@contextmanager
def served(service: str, store: str, *words: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """`leaven serve`, by its port and process; ended by SIGTERM."""
    command = [sys.executable, "-m", "leaven", "serve", service, "--store", store, "--port", "0"]
    process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield int(process.stdout.readline().rpartition(":")[2]), process
    finally:
        process.terminate()
        process.wait(90)


def killed(parent: int, rng: random.Random) -> float:
    """Kill a worker; when, in seconds since 1970."""
    os.kill(rng.choice(children(parent)), signal.SIGKILL)
    return time.time()


def memory(process: int) -> int:
    """Megabytes of a process, what it shares counted in part (PSS)."""
    told = Path(f"/proc/{process}/smaps_rollup").read_text()
    return int(told.partition("Pss:")[2].split()[0]) // 1024


def timetable(
    place: Sqlite | Postgres, seconds: float, away: float, parent: int
) -> tuple[list[Outage], list[float]]:
    """Kill workers and take the store away as time goes on; when it was."""
    rng, kills, outages = random.Random(0), [], []
    steps: list[tuple[float, Callable[[], None]]] = [
        (seconds * (one + 0.5) / _KILLS, lambda: kills.append(killed(parent, rng)))
        for one in range(_KILLS)
    ]
    for turn, (name, begin, end) in enumerate(place.outages):
        at = seconds * (0.3 + 0.35 * turn)
        if turn:  # what that worker has not written yet is lost
            steps.append((at + away / 2, lambda: kills.append(killed(parent, rng))))

        def begins(begin: Callable[[], None] = begin, name: str = name) -> None:
            outages.append(Outage(name, time.time(), float("inf")))
            begin()

        def ends(end: Callable[[], None] = end) -> None:
            end()
            outages[-1] = outages[-1]._replace(ended=time.time())

        steps += [(at, begins), (at + away, ends)]
    began = time.monotonic()
    for at, step in sorted(steps, key=lambda one: one[0]):
        time.sleep(max(0.0, began + at - time.monotonic()))
        step()
    return outages, kills


def tried(kind: str, seconds: float, away: float) -> Findings:
    """All of it once."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        place = Sqlite(folder) if kind == "sqlite" else Postgres(folder)
        stack.callback(place.close)
        runs, records = made_runs(folder / "runs")
        for service, pair in runs.items():
            for run in pair:
                releasing.release(
                    run, by="somebody", override="a trial", service=service, store=place.address
                )
        token = people.new_token(place.address, "load", "annotator", by="somebody")
        port, parent = stack.enter_context(served(TEXTS, place.address, "--workers", "2"))
        other, alone = stack.enter_context(served(TABLE, place.address, "--host", ELSEWHERE))
        targets = [
            Target(TEXTS, port, records[TEXTS], list(runs[TEXTS][0].classes)),
            Target(TABLE, other, records[TABLE], list(runs[TABLE][0].classes), token, ELSEWHERE),
        ]
        plan, evidence = folder / "plan.json", folder / "evidence.json"
        plan.write_text(json.dumps(asdict(Load(targets, seconds))))
        kept = Store(place.address)
        deciding = [Deciding(kept, one, runs[one], i) for i, one in enumerate(runs)]
        with plan.open() as told, evidence.open("w") as out:
            command = [sys.executable, "-m", "benchmarks.serving_load"]
            client = subprocess.Popen(command, stdin=told, stdout=out)
        outages, kills = timetable(place, seconds, away, parent.pid)
        for one in deciding:
            one.stop()
        if client.wait(seconds + 600):
            raise SystemExit("The load was not sent to its end.")
        workers = children(parent.pid)
        print(
            f"PSS in MB: parent {memory(parent.pid)}, workers {[memory(one) for one in workers]}, "
            f"alone {memory(alone.pid)}"
        )
        for process in (parent, alone):
            process.terminate()
            process.wait(90)
        rows = [Row(**one) for one in json.loads(evidence.read_text())]
        stood = {one: stood_of(one, Releases(kept, one).history()) for one in runs}
        expected = {one: own_answers(runs[one], records[one]) for one in runs}
        decided = sum(one.decided for one in deciding)
        refused = sum(one.refused for one in deciding)
        print(f"decisions {decided}, refused {refused}, kills {len(kills)}")
        return judged(rows, stood, expected, kept, outages, kills)


def main() -> None:
    """Try it, and tell what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--away", type=float, default=30)
    told = parser.parse_args()
    found = tried(told.store, told.seconds, told.away)
    print("\n".join(found.lines()))
    print(machine())


if __name__ == "__main__":
    main()
