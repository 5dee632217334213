"""The loop: what begins a cycle, and what ends one before anything is released."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sqlalchemy import insert

import leaven
from leaven.core.errors import DataError, SealedError
from leaven.core.files import is_sealed_file
from leaven.data.dataset import Dataset
from leaven.data.joined_labels import join_labels
from leaven.evaluate.run import Run
from leaven.label.queue import Queue
from leaven.releasing import release
from leaven.store.alert_tables import alerts
from leaven.store.prediction_tables import feedback
from leaven.store.store import Store
from tests.operate.loop_world import DAY, SERVICE, World

pytest_plugins = ["tests.store.databases"]


def test_new_labels_begin_a_cycle_and_teach_it(world: World):
    world.run()
    world.change(trigger={"labels": 2})
    queue = Queue(world.store, SERVICE, clock=world.clock)
    first, second, third = queue.lease("ann", 3)
    queue.answer(first.id, "ann", "barolo", key="1")
    assert "1 label since the last fit" in world.run()[-1].reason
    queue.answer(second.id, "ann", "barbera", key="2")
    assert world.outcomes()[:3] == ["triggered", "fine", "fitted"]
    from leaven.data.readers import read_tables

    table = read_tables([world.fits.asked[-1]["answers"]], None).table
    given = dict(zip(table["content"].to_pylist(), table["label"].to_pylist(), strict=True))
    assert given == {first.content: "barolo", second.content: "barbera"}
    world.promote()
    assert world.outcomes()[-1] == ""
    assert "0 labels since the last fit" in world.run()[-1].reason
    row = {
        "service": SERVICE, "prediction": "p", "content": third.content, "label": "barolo",
        "caused": False, "origin": "production", "person": "bot", "at": world.clock.now,
    }  # fmt: skip
    caused = row | {"prediction": "q", "content": "other", "caused": True}
    with world.store.write() as connection:
        connection.execute(insert(feedback), [row, caused])
    assert "1 label since" in world.run()[-1].reason


def test_labels_that_a_fit_is_given_are_encrypted_where_there_is_a_key(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    world.run()
    monkeypatch.setenv("LEAVEN_ENCRYPTION_KEY", base64.b64encode(b"k" * 32).decode())
    world.change(trigger={"labels": 1})
    queue = Queue(world.store, SERVICE, clock=world.clock)
    first = queue.lease("ann")[0]
    queue.answer(first.id, "ann", "barolo", key="1")
    assert world.outcomes()[:3] == ["triggered", "fine", "fitted"]
    file = Path(world.fits.asked[-1]["answers"])
    for kept in file.parent.glob("labels-*"):
        assert is_sealed_file(kept)
    dataset = Dataset.read(str(world.data), label="label")
    row = list(dataset.content).index(first.content)
    joined = join_labels(dataset, file)
    assert joined.labels[row].as_py() == "barolo"
    assert joined.meta["by"][row].as_py() == "ann"
    monkeypatch.delenv("LEAVEN_ENCRYPTION_KEY")
    with pytest.raises(SealedError, match="is encrypted"):
        join_labels(dataset, file)


def test_an_open_alert_begins_a_cycle_once(world: World):
    world.run()
    world.change(trigger={"alarms": "accuracy"})
    assert world.outcomes() == [""]
    world.more_records()
    row = {
        "fingerprint": "f", "number": 1, "service": SERVICE, "dataset": SERVICE,
        "slo": "accuracy", "severity": "page", "began": world.clock.now,
        "opened": world.clock.now, "finding": {},
    }  # fmt: skip
    with world.store.write() as connection:
        connection.execute(insert(alerts), [row, row | {"fingerprint": "g", "slo": "latency"}])
    steps = world.run()
    assert (steps[0].outcome, steps[0].reason) == ("triggered", "An alert is open: accuracy.")
    world.promote()
    assert world.outcomes()[-1] == ""
    assert world.outcomes() == [""]


def test_drift_begins_a_cycle_and_is_looked_for_once_a_day(world: World, tmp_path: Path):
    world.run()
    came = tmp_path / "came.csv"
    world.change(trigger={"drift": str(came)})
    assert "no new records" in world.run()[-1].reason
    head, *rows = world.lines
    came.write_text(head + "".join(rows * 2))
    assert world.outcomes() == [""]
    assert "next look is in" in world.run()[-1].reason
    far = [",".join(["999"] * (line.count(","))) + "," + line.rsplit(",", 1)[1] for line in rows]
    came.write_text(head + "".join(far * 2))
    assert world.outcomes() == [""]  # not looked at before the day is over
    world.clock.now += 1.1 * DAY
    world.more_records()
    steps = world.run()
    assert steps[0].outcome == "triggered"
    assert "lie elsewhere" in steps[0].reason
    looks = [one for one in world.journal.history() if one.outcome == "looked for drift"]
    assert [one.told["outcome"] for one in looks] == ["unsure", "shifted"]


def test_nothing_new_begins_no_fit_but_a_person_gets_one(world: World):
    world.run()
    world.clock.now += 8 * DAY
    assert world.outcomes() == ["triggered", "unchanged", ""]
    world.journal.trigger("ann", "another try")
    assert world.outcomes()[:3] == ["triggered", "fine", "fitted"]
    assert sum(world.fits.made.values()) == 2


def test_data_that_cannot_be_used_end_the_cycle_with_the_reason(world: World):
    world.data.unlink()
    steps = world.run()
    assert [step.outcome for step in steps] == ["triggered", "broken", ""]
    assert "wine.csv" in steps[1].reason


def test_a_fit_that_fails_or_never_ends_ends_the_cycle(world: World):
    def fails(data: Any, **_: Any) -> Run:
        raise DataError("one class only")

    def dies(data: Any, **_: Any) -> Run:
        raise MemoryError

    outcomes = [step.outcome for step in world.loop(fails).run()]
    assert outcomes == ["triggered", "fine", "failed", ""]
    world.change(trigger={"labels": 1})
    world.journal.trigger("ann", "")
    world.run()
    Queue(world.store, SERVICE).answer(
        Queue(world.store, SERVICE).lease("ann")[0].id, "ann", "barolo", key="1"
    )
    assert [step.outcome for step in world.loop(fails).run()][:3] == ["triggered", "fine", "failed"]
    assert "the next may in 60" in world.run()[-1].reason  # not over and over
    world.change(trigger={"days": 7})
    world.change(limits={"rest_hours": 0, "tries": 3})
    world.clock.now += 8 * DAY
    for _ in range(3):
        with pytest.raises(MemoryError):
            list(world.loop(dies).run())
    (first, _) = world.loop(dies).run()
    assert first.outcome == "failed"
    assert "begun 3 times and never ended" in first.reason


def test_pictures_that_cannot_be_read_are_no_news_until_they_are_mended(
    lite: Store, wine: Run, tmp_path: Path
):
    pixels, truth = load_digits(n_class=2, return_X_y=True)
    for number, (picture, digit) in enumerate(zip(pixels[:40], truth[:40], strict=True)):
        file = tmp_path / "digits" / str(digit) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((picture.reshape(8, 8) * 15).astype(np.uint8)).save(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    run = leaven.fit(tmp_path / "digits", method="logistic", budget="5steps", out=tmp_path / "r")
    assert run.story["dataset"]["quarantined"] == 1
    world = World(lite, wine, tmp_path, data=str(tmp_path / "digits"), fit={})
    release(run, by="ann", override="x", store=lite.address, service="wine")
    assert world.outcomes()[:2] == ["triggered", "unchanged"]
    file.write_bytes(whole)
    world.clock.now += 8 * DAY
    assert world.outcomes()[:2] == ["triggered", "fine"]
