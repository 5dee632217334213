"""Health on a real store: what counts as evidence, what it comes to, and what a person is told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

import leaven
from leaven.cli import app
from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.evaluate.tables import write_parquet
from leaven.health import health
from leaven.operate.drift.columns import Names
from leaven.operate.drift.keeping import Kept, keep
from leaven.operate.drift.reference import Reference
from leaven.operate.health.examining import Health, examine
from leaven.operate.health.frame import Frame
from leaven.operate.health.history import periods
from leaven.operate.health.page import rendered
from leaven.operate.health.reading import truths
from leaven.operate.registry import Registry
from leaven.operate.releases import Releases
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.release_tables import registered
from leaven.store.sketch_tables import sketches
from leaven.store.store import Store
from tests.store.history import Clock

pytest_plugins = ["tests.store.databases"]

DIGEST = "d" * 64
ODD = "<script>alert(1)</script>"


class World:
    """A store with a live run that was right in 90 % of its judged records, and its log."""

    def __init__(self, store: Store, clock: Clock, folder: Path) -> None:
        self.store, self.clock, self.folder = store, clock, folder
        self.rng, self._number = np.random.default_rng(0), 0
        clock.now = 1_700_000_000.0
        sure, right = self._said(600)
        said = np.where(right, "ham", ODD)
        evidence = {"label": ["ham"] * 600, "kept": said.tolist(), "kept confidence": sure}
        write_parquet(pa.table(evidence), folder / "evidence.parquet")
        sure, _ = self._said(2000)
        told = {"prediction": self.rng.choice(["ham", ODD], 2000).tolist(), "confidence": sure}
        write_parquet(
            pa.table(told | {"p_ham": sure, f"p_{ODD}": 1 - sure}), folder / "predictions.parquet"
        )
        reference = Reference.of(self.records(2000))
        keep(folder / "reference.drift", Kept(reference, {}))
        self.frame = Frame(reference)
        self.register("run", DIGEST)
        self.releases = Releases(store, "tickets", clock=clock)
        self.release("run", DIGEST)

    def register(self, run: str, digest: str) -> None:
        accuracy = {"value": 0.9, "low": 0.87, "high": 0.92, "n": 600}
        told = {
            "metrics": {"accuracy": accuracy}, "verdict": {"kept": "kept", "outcome": "better"},
            "dataset": {"classes": ["ham", ODD], "modality": "tabular"},
        }  # fmt: skip
        row = {"run": run, "digest": digest, "folder": str(self.folder), "at": 0.0, "person": "ann"}
        with self.store.write() as connection:
            connection.execute(insert(registered).values(**row, told=told))

    def release(self, run: str, digest: str, **how: Any) -> None:
        found = Registry(self.store).get(run, digest)
        self.releases.release(found, by="ann", seen=self.releases.state(), **how)

    def records(self, n: int, more: float = 0.0) -> dict[str, Any]:
        kinds = self.rng.choice(["a", "b"], n).tolist()
        return {"size": self.rng.normal(more, 1, n), ODD: Names.of(kinds)}

    def _said(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        sure = self.rng.choice([0.99, 0.9, 0.81], n)
        return sure, self.rng.random(n) < sure

    def answer(
        self, n: int, *, flipped: float = 0.0, truth: bool = True, explored: bool = True,
        caused: bool = False, digest: str = DIGEST, **more: Any,
    ) -> None:  # fmt: skip
        """Answers a second apart, and what turned out to be true of them."""
        sure, right = self._said(n)
        right ^= self.rng.random(n) < flipped
        rows, told = [], []
        for i in range(n):
            self.clock.now += 1
            self._number += 1
            name = f"n{self._number}"
            p, label = float(sure[i]), str(self.rng.choice(["ham", ODD]))
            rows.append({
                "name": name, "request": name, "service": "tickets", "at": self.clock(),
                "run": "run", "digest": digest, "place": "live", "content": name, "label": label,
                "probability": p, "probabilities": [p, 1 - p], "route": "answer",
                "explored": explored, "logged": 1.0, "agrees": None,
            } | more)  # fmt: skip
            told.append({
                "service": "tickets", "prediction": name, "content": rows[-1]["content"],
                "label": label if right[i] else "other", "caused": caused, "origin": "production",
                "person": "ann", "at": self.clock(),
            })  # fmt: skip
        with self.store.write() as connection:
            connection.execute(insert(predictions), rows)
            if truth:
                connection.execute(insert(feedback), told)

    def count(self, values: dict[str, Any], process: str = "p", digest: str = DIGEST) -> None:
        found = self.frame.count(values)
        row = {
            "service": "tickets", "digest": digest, "hour": int(self.clock() // 3600),
            "process": process, "n": found.n, "strange": found.strange,
            "counts": self.frame.told(found),
        }  # fmt: skip
        with self.store.write() as connection:
            connection.execute(insert(sketches).values(**row))

    def look(self, **how: Any) -> Health:
        return examine(self.store, "tickets", clock=self.clock, **how)


@pytest.fixture
def world(store: Store, clock: Clock, tmp_path: Path) -> World:
    return World(store, clock, tmp_path)


def verdicts(found: Health) -> dict[str, str]:
    return {signal.name: signal.verdict for signal in found.signals}


def test_a_service_that_nobody_asked_yet_is_not_called_good(world: World):
    found = world.look()
    assert set(verdicts(found).values()) == {"cannot be told"}
    assert (found.verdict, found.heard) == ("cannot be told", None)
    assert "tickets" in rendered(found, periods(world.store, found), leaven.__version__)


def test_as_promised_it_is_good_and_flipped_labels_raise_the_alarm_that_nothing_else_does(
    world: World,
):
    world.answer(1500, truth=False)
    world.answer(300)
    for process in "ab":
        world.count(world.records(4000), process)
    good = world.look()
    told = verdicts(good)
    for name in ("accuracy, audited", "calibration, audited"):
        assert told.pop(name) in ("good", "cannot be told")
    assert set(told.values()) == {"good"}, told
    assert good.verdict == "good"
    world.answer(200, flipped=0.2)
    bad = world.look()
    alarms = {name for name, verdict in verdicts(bad).items() if verdict == "alarm"}
    assert alarms
    assert alarms <= {"accuracy, audited", "calibration, audited"}
    assert bad.verdict == "alarm"
    assert "no longer as good as promised" in bad.sentence
    assert bad.audits.calibration.alarm - 300 <= 200
    world.answer(400)  # what was shown stays shown
    assert world.look().verdict == "alarm"
    html = rendered(bad, periods(world.store, bad), leaven.__version__)
    assert "<polyline" in html
    assert ODD not in html
    assert not re.search(r"<script|https?://(?!www\.w3\.org)", html)


def test_only_truth_that_was_drawn_and_not_caused_judges_once_a_content(world: World):
    world.answer(30)
    world.answer(40, flipped=1.0, explored=False)
    world.answer(40, flipped=1.0, caused=True)
    world.answer(40, flipped=1.0, digest="e" * 64)
    world.answer(40, flipped=1.0, place="shadow")
    world.answer(40, flipped=1.0, service="other")
    assert len(truths(world.store, "tickets", DIGEST).right) == 30
    world.answer(40, flipped=1.0, content="the same")
    found = truths(world.store, "tickets", DIGEST)
    assert len(found.right) == 31
    assert list(found.at) == sorted(found.at)


def test_other_records_are_seen_without_a_label(world: World):
    world.answer(2000, truth=False)
    odd = world.records(2000, more=3.0) | {ODD: Names.of(["new"] * 2000)}
    world.count(odd)
    world.count(world.records(2000, more=9.0), digest="e" * 64)  # another model's
    found = world.look()
    told = verdicts(found)
    assert (told["records"], told["out of distribution"]) == ("alarm", "alarm")
    assert told["accuracy, estimated"] == told["confidence"] == "good"
    assert "only truth tells" in found.sentence
    assert {shift.column for shift in found.drift.shifts if shift.verdict == "shifted"} == {
        "size", ODD,
    }  # fmt: skip
    html = rendered(found, [], leaven.__version__)
    assert "What shifted" in html
    assert ODD not in html
    world.clock.now += 25 * 3600  # a day later they are out of the window
    assert verdicts(world.look())["records"] == "cannot be told"


def test_a_model_that_becomes_less_sure_or_surer_of_all_is_seen(world: World):
    world.answer(1500, truth=False, probability=0.6, probabilities=[0.6, 0.4])
    told = verdicts(world.look())
    for name in ("accuracy, estimated", "confidence", "coverage"):
        assert told[name] == "alarm"
    assert told["entropy"] == "good"
    world.clock.now += 25 * 3600
    world.answer(1500, truth=False, probability=1.0, probabilities=[1.0, 0.0], label="ham")
    told = verdicts(world.look())
    assert (told["entropy"], told["classes"], told["confidence"]) == ("alarm", "alarm", "good")


def test_models_that_agree_less_than_both_promises_allow_are_told(world: World):
    world.register("next", "e" * 64)
    world.release("next", "e" * 64, shadow=True)
    name = "agreement with the shadow"
    assert verdicts(world.look())[name] == "cannot be told"
    quiet = {"place": "shadow", "digest": "e" * 64, "truth": False}
    world.answer(300, agrees=True, **quiet)
    assert verdicts(world.look())[name] == "good"
    world.clock.now += 25 * 3600
    world.answer(100, agrees=True, **quiet)
    world.answer(200, agrees=False, **quiet)
    assert verdicts(world.look())[name] == "alarm"


def test_without_the_files_of_the_run_truth_still_tells(world: World):
    for file in world.folder.glob("*.*"):
        if file.suffix in (".parquet", ".drift"):
            file.unlink()
    world.answer(150, flipped=0.7)
    found = world.look()
    told = verdicts(found)
    assert told.pop("accuracy, audited") == "alarm"
    assert set(told.values()) == {"cannot be told"}
    assert "files of the run are not at" in found.signals[1].sentence
    assert rendered(found, periods(world.store, found), leaven.__version__)


def test_damaged_files_are_told_and_wrong_settings_refused(world: World):
    (world.folder / "reference.drift").write_bytes(b"no reference")
    found = world.look()
    assert "damaged" in found.signals[-1].sentence
    for wrong in ({"hours": 0}, {"tolerance": 1.5}, {"level": 0}, {"least": 1}):
        with pytest.raises(SettingError):
            world.look(**wrong)
    with pytest.raises(DataError, match="Nothing is live"):
        examine(world.store, "nothing")


def test_the_command_says_it_and_exits_as_it_was_asked(
    whole_sqlite: Path, clock: Clock, tmp_path: Path
):
    file = tmp_path / "leaven.db"
    file.write_bytes(whole_sqlite.read_bytes())
    world = World(Store(file), clock, tmp_path)
    run, asked = CliRunner().invoke, ["health", "--store", str(file), "--hours", "8784"]
    said = run(app, [*asked, "--require", "good"])
    assert said.exit_code == 1
    assert "cannot be told" in said.output
    world.answer(600)
    page = tmp_path / "pages" / "health.html"
    said = run(app, [*asked, "--json", "--report", str(page)])
    told = json.loads(said.output)
    assert said.exit_code == 0
    assert page.read_text().startswith("<!doctype html>")
    assert told["verdict"] in ("good", "cannot be told")
    assert len(told["signals"]) == 9
    assert run(app, [*asked, "--require", "bad"]).exit_code != 0
    with pytest.raises(UnknownNameError):
        health("ticket", store=file)
    with pytest.raises(DataError, match="Nothing was released yet"):
        health(store=tmp_path / "none.db")
