"""A loop whose fits cost nothing: each is a copy of a finished run. All else is real."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import select

from leaven.data.dataset import Dataset
from leaven.evaluate.run import Run
from leaven.operate.costs.prices import Prices
from leaven.operate.loop.bench import Fitting
from leaven.operate.loop.journal import Journal, Standing
from leaven.operate.loop.loop import Loop, Step
from leaven.operate.loop.policy import Policy
from leaven.operate.releases import Event, Releases
from leaven.store.store import Store
from leaven.store.tables import queues, tasks
from tests.store.history import Clock

SERVICE = "wine"
DAY = 86400.0


class Fits:
    """Makes a run by copying one; a second call for a folder opens what the first has made."""

    def __init__(self, source: Run, outcome: str = "better") -> None:
        self.source, self.outcome, self.made = source, outcome, Counter[str]()
        self.asked: list[dict[str, Any]] = []

    def __call__(self, data: Any, *, out: Path, progress: Any, **how: Any) -> Run:
        self.asked.append(how)
        folder = out / "run"
        if not (folder / "run.json").is_file():
            shutil.copytree(self.source.folder, folder, dirs_exist_ok=True)
            (folder / "run.json").unlink()
            story = json.loads((self.source.folder / "run.json").read_text())
            story["run"]["id"] = f"{SERVICE}-{out.name}"
            story["verdict"]["outcome"] = self.outcome
            story["dataset"]["findings"] = []
            (folder / "run.json").write_text(json.dumps(story))
            self.made[out.name] += 1
        return Run.load(folder)


class World:
    """A store, records that grow when the test says so, and the loop on them."""

    def __init__(self, store: Store, source: Run, home: Path, **policy: Any) -> None:
        self.store, self.home, self.clock = store, home, Clock()
        self.clock.now = 1_000_000.0
        self.data = home / "wine.csv"
        self.lines = Path(source.story["dataset"]["source"]).read_text().splitlines(keepends=True)
        self.data.write_text("".join(self.lines))
        self.fits, self.prices = Fits(source), Prices()
        told: dict[str, Any] = {
            "data": str(self.data), "runs": str(home / "runs"), "fit": {"label": "label"},
            "trigger": {"days": 7}, "ask": {"count": 3, "strategy": "margin"},
            "limits": {"rest_hours": 0}, "gate": {"major": []},
        }  # fmt: skip
        self.policy = Policy.build(told | policy)
        self.releases = Releases(store, SERVICE, clock=self.clock)
        self.journal = Journal(store, SERVICE, clock=self.clock)

    def change(self, **policy: Any) -> None:
        """Another policy from now on."""
        self.policy = Policy.build(self.policy.model_dump() | policy)

    def loop(self, fit: Fitting | None = None) -> Loop:
        canary = {"requests": 5, "minutes": 0}
        return Loop(
            self.store, SERVICE, self.policy, fit or self.fits, canary=canary, prices=self.prices,
            clock=self.clock,
        )  # fmt: skip

    def run(self) -> list[Step]:
        return list(self.loop().run())

    def outcomes(self) -> list[str]:
        """What one run of the loop comes to; the last, "", is that it waits."""
        return [step.outcome for step in self.run()]

    def standing(self) -> Standing:
        return self.journal.standing()

    def more_records(self) -> None:
        """A record that was not there before, and a week."""
        number = len(self.data.read_text().splitlines())
        cells = [f"{number + i}.5" for i in range(self.lines[0].count(","))]
        with self.data.open("a") as file:
            file.write(",".join(cells) + ",\n")
        self.clock.now += 7 * DAY

    def promote(self, by: str = "ann") -> None:
        self.releases.promote(by=by, seen=self.releases.state())

    def history(self) -> list[Event]:
        return self.releases.history()

    def asked(self) -> list[tuple[str, str]]:
        """Each question that was put: batch and record."""
        query = select(tasks.c.batch, tasks.c.record).join(queues).order_by(tasks.c.id)
        with self.store.read() as connection:
            return [(row.batch, row.record) for row in connection.execute(query)]

    def dataset(self) -> Dataset:
        return Dataset.read(str(self.data), label="label")
