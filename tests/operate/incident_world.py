"""A service that answers wrongly: two runs, what they said, what was true, and who taught them.

The runs are copies of a finished one, and a fit costs nothing; all else is real.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import insert, select

from leaven.evaluate.lineage import FILE
from leaven.evaluate.run import Run
from leaven.evaluate.tables import read_parquet, write_parquet
from leaven.label.queue import Ask, Queue
from leaven.operate.incidents.incident import Act, Incident, Incidents
from leaven.operate.incidents.step import Scene
from leaven.operate.registry import Registry
from leaven.operate.releases import Releases, State
from leaven.store.alert_tables import alerts
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store
from leaven.store.tables import queues, tasks

SERVICE = "wine"
HOUR = 3600.0


class World:
    """A store with the run `wine-a`, then `wine-b` live, and `answers` of the second."""

    def __init__(self, store: Store, source: Run, home: Path) -> None:
        self.store, self.source, self.home = store, source, home
        self.now = time.time()
        self.fits: list[dict[str, Any]] = []
        self.runs = home / "runs"
        for name in ("wine-a", "wine-b"):
            self.copy(name)
            self.release(name, at=self.now - 2 * HOUR)
        self.dataset = source.records()
        self.answers = self.log(60)

    def copy(self, name: str, outcome: str = "better") -> Run:
        """A finished run of this name."""
        folder = self.runs / name
        if not folder.is_dir():
            shutil.copytree(self.source.folder, folder)
            story = json.loads((folder / "run.json").read_text())
            story["run"]["id"] = name
            story["verdict"]["outcome"] = outcome
            (folder / "run.json").write_text(json.dumps(story))
        return Run.load(folder)

    def release(self, name: str, canary: float | None = None, at: float | None = None) -> State:
        found = Registry(self.store).add(self.copy(name), person="ann")
        asked = Releases(self.store, SERVICE, clock=lambda: time.time() if at is None else at)
        return asked.release(found, by="ann", seen=asked.state(), canary=canary)

    def state(self) -> State:
        return Releases(self.store, SERVICE).state()

    def serving(self) -> tuple[str | None, str | None]:
        """The live run and the canary."""
        state = self.state()
        return (state.live and state.live.run, state.canary and state.canary.run)

    def log(self, count: int) -> list[dict[str, Any]]:
        """Answers of the live run about unlabelled records; each third is drawn, and half of the
        truths of these contradict it."""
        live, rows, truths = self.state().live, [], []
        assert live is not None
        for i, row in enumerate(self.dataset.unlabelled[:count].tolist()):
            said = {
                "name": f"n{i}", "request": f"n{i}", "service": SERVICE,
                "at": self.now - HOUR + i, "run": live.run, "digest": live.digest,
                "place": "live", "content": str(self.dataset.content[row]), "label": "barolo",
                "probability": 0.5 + i / 200, "probabilities": [0.5 + i / 200, 0.3, 0.2],
                "route": "answer" if i else "review", "explored": i % 3 == 0, "logged": 1.0,
                "agrees": None, "position": None, "seconds": 0.01,
            }  # fmt: skip
            rows.append(said)
            if i % 3 == 0:
                truth = "barbera" if i % 2 else "barolo"
                truths.append(
                    {"service": SERVICE, "prediction": f"n{i}", "content": said["content"],
                     "label": truth, "caused": False, "origin": "production", "person": "ops",
                     "at": self.now - HOUR + 60 + i}
                )  # fmt: skip
        with self.store.write() as connection:
            connection.execute(insert(predictions), rows)
            connection.execute(insert(feedback), truths)
        return rows

    def taught(self, name: str, by: str, count: int) -> None:
        """Let it be known that a person gave so many of the labels of a run."""
        file = self.runs / name / FILE
        rows = read_parquet(file).to_pylist()
        more = [
            {"id": f"new-{i}", "content": f"c{i}", "label": "barolo", "origin": "person", "by": by}
            for i in range(count)
        ]
        write_parquet(pa.Table.from_pylist([*rows, *more], schema=read_parquet(file).schema), file)

    def alert(self, slo: str = "right", indicator: str = "errors", **more: Any) -> int:
        """An alert that opened half an hour ago; its number."""
        finding = {"indicator": indicator, "sentence": "It is broken.", "state": "broken"}
        row = {
            "fingerprint": f"f-{slo}", "number": 1, "service": SERVICE, "dataset": SERVICE,
            "slo": slo, "severity": "page", "began": self.now - HOUR / 2 - 60,
            "opened": self.now - HOUR / 2, "closed": None, "told": None, "finding": finding,
        }  # fmt: skip
        with self.store.write() as connection:
            made = insert(alerts).values(row | more).returning(alerts.c.id)
            return int(connection.execute(made).scalar_one())

    def answered_by(self, person: str, rows: list[int], label: str) -> None:
        """Labels that a person gave in the queue of the data."""
        classes = ["barbera", "barolo", "grignolino"]
        queue = Queue.made(self.store, SERVICE, classes=classes, modality="tabular")
        asks = [
            Ask(str(self.dataset.ids[row]), str(self.dataset.content[row]), batch=person)
            for row in rows
        ]
        queue.add(asks)
        with self.store.read() as connection:
            mine = select(tasks.c.id).where(tasks.c.batch == person)
            ids = list(connection.execute(mine.order_by(tasks.c.id)).scalars())
        for one in ids:
            queue.answer(one, person, label, key=f"{person}-{one}")

    def asked(self, batch: str) -> list[str]:
        """The records that people are asked about in a batch."""
        query = select(tasks.c.record).join(queues).where(tasks.c.batch == batch)
        with self.store.read() as connection:
            return list(connection.execute(query.order_by(tasks.c.id)).scalars())

    def fit(self, data: Any, **how: Any) -> Run:
        """A fit that costs nothing: the same one for the same labels."""
        self.fits.append({"data": data, **how})
        return self.copy("wine-mended", getattr(self, "outcome", "better"))

    def opened(self, **how: Any) -> Incident:
        told = {"by": "ann", "reason": "misroutes"} | how
        folder = str(self.home / "incidents" / "0001")
        return Incidents(self.store).open(SERVICE, folder=lambda *_: folder, **told)[0]

    def scene(self, number: int = 1, by: str = "ann", **settings: Any) -> Scene:
        incident = Incidents(self.store).get(number)
        return Scene(self.store, incident, by, settings, self.fit, time.time)

    def scene_of(self, number: int) -> Scene:
        """A scene of an incident that nobody opened."""
        return Scene(self.store, Incident(number, SERVICE), "ann", {}, self.fit, time.time)

    def act(self, step: str) -> Act:
        """The latest act of a step."""
        return [one for one in Incidents(self.store).get(1).acts if one.step == step][-1]


def rows_of(world: World, count: int, skip: int = 0) -> list[int]:
    """Rows without a label."""
    return np.asarray(world.dataset.unlabelled)[skip : skip + count].tolist()
