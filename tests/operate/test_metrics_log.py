"""What the log of predictions says of a time, on both databases; and the gauges of a store."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from leaven.core.errors import StoreError
from leaven.label.queue import Ask, Queue
from leaven.operate.metrics.looking import Asked, Period, groups, listed, over_time, quantile
from leaven.operate.metrics.standing import Standing
from leaven.store.canary_tables import canary_looks
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.release_tables import releases
from leaven.store.store import Store

pytest_plugins = ["tests.store.databases"]

NOW = 1_700_000_000.0


def row(number: int, **more: Any) -> dict[str, Any]:
    return {
        "name": f"p{number}", "request": f"r{number}", "service": "tickets", "at": NOW + number,
        "run": "first", "digest": "d" * 64, "place": "live", "content": f"{number:064x}",
        "label": "billing", "probability": 0.95, "probabilities": [0.95, 0.05],
        "route": "answer", "explored": False, "logged": 1.0, "agrees": None, "position": None,
        "seconds": 0.002,
    } | more  # fmt: skip


def truth(number: int, label: str, *, caused: bool = False) -> dict[str, Any]:
    return {
        "service": "tickets", "prediction": f"p{number}", "content": f"{number:064x}",
        "label": label, "caused": caused, "origin": "production", "person": "ann", "at": NOW,
    }  # fmt: skip


@pytest.fixture
def log(store: Store) -> Store:
    """A log of four answers in two minutes, and one that a shadow gave, on either database."""
    with store.write() as connection:
        connection.execute(
            insert(predictions),
            [
                row(0),
                row(1, label="login", route="review", probability=0.41, seconds=0.7),
                row(2, logged=0.1),
                row(70, seconds=None, probability=1.0),
                row(0, place="shadow", run="second", agrees=False),
                row(999),
            ],
        )
        told = [truth(0, "billing"), truth(1, "billing"), truth(2, "billing", caused=True)]
        connection.execute(insert(feedback), told)
    return store


def test_slots_count_what_was_logged_and_stand_for_what_was_not(log: Store):
    first, second = over_time(log, "tickets", Period(NOW, NOW + 120, 2))
    assert (first.rows, first.answered, first.reviewed) == (3, 12, 1)
    assert (first.known, first.right) == (2, 1)  # what was brought about tells nothing
    assert first.slow(0.5) == (pytest.approx(1), pytest.approx(12))
    assert (second.answered, sum(second.times)) == (1, 0)


def test_groups_are_by_class_certainty_and_model(log: Store):
    period = Period(NOW, NOW + 120, 2)
    found = {by: groups(log, "tickets", period, by) for by in ("label", "certainty", "model")}
    assert [one.key for one in found["label"]] == [("billing",), ("login",)]
    assert [(one.key[0], one.answered) for one in found["certainty"]] == [(9, 12), (4, 1)]
    shadow = next(one for one in found["model"] if one.key[2] == "shadow")
    assert (shadow.key[0], shadow.compared, shadow.agreed) == ("second", 1, 0)


def test_what_is_listed_is_what_was_counted(log: Store):
    def names(**asked: Any) -> list[str]:
        told = Asked(**{"since": NOW, "until": NOW + 120} | asked)
        return [f"{one.name} {one.place}" for one in listed(log, "tickets", told, 10)]

    assert len(names()) == 5
    assert names(label="login") == ["p1 live"]
    assert names(route="review", low=0.4, high=0.5) == ["p1 live"]
    assert names(slow=0.5) == ["p1 live"]
    assert names(truth="wrong", place="live") == ["p1 live"]
    assert names(truth="right", place="live") == ["p0 live"]
    assert names(run="second") == ["p0 shadow"]
    assert names(until=NOW + 1, place="live") == ["p0 live"]


def test_a_quantile_lies_straight_within_its_bucket():
    times = [0.0] * 14
    times[6], times[13] = 8, 2  # 0.05 to 0.1 s, and over all bounds
    assert quantile(times, 0.5) == pytest.approx(0.05 + 0.05 * 5 / 8)
    assert quantile(times, 0.99) == 10
    assert quantile([0.0] * 14, 0.5) is None


def test_gauges_tell_what_stands_in_the_store(log: Store):
    event = {
        "service": "tickets", "digest": "d" * 64, "person": "ann", "reason": "", "at": NOW,
    }  # fmt: skip
    look = {"service": "tickets", "number": 2, "run": "second", "reason": "", "told": {}}
    with log.write() as connection:
        connection.execute(
            insert(releases),
            [
                event | {"number": 1, "kind": "live", "run": "first", "share": None},
                event | {"number": 2, "kind": "canary", "run": "second", "share": 0.25},
            ],
        )
        connection.execute(insert(canary_looks), [look | {"at": NOW, "action": "ramp"}])
    queue = Queue.made(log, "tickets", classes=["a", "b"], modality="text")
    queue.add([Ask(record="1", content="1" * 64, shown={"kind": "text", "text": "x"})])
    now = [NOW]
    standing = Standing(log, "tickets", clock=lambda: now[0])

    def told() -> dict[str, float]:
        return {
            "/".join((one.name.removeprefix("leaven_"), *one.labels[1:])): one.value
            for one in standing.samples()
        }

    found = told()
    assert found["canary_share"] == 0.25
    assert (found["canary_decision/ramp"], found["canary_decision/hold"]) == (1, 0)
    assert found["review_backlog"] == 1
    assert (found["feedback/yes"], found["feedback/no"]) == (1, 1)
    assert "loop_state/waiting" not in found
    with log.write() as connection:
        connection.execute(
            insert(canary_looks), [look | {"number": 3, "at": NOW + 5, "action": "roll back"}]
        )
    assert told() == found  # for some seconds
    now[0] += 11
    assert told()["canary_rolled_back_timestamp_seconds"] == NOW + 5


def test_a_store_that_is_gone_leaves_what_was_seen_last(
    log: Store, monkeypatch: pytest.MonkeyPatch
):
    now = [NOW]
    standing = Standing(log, "tickets", clock=lambda: now[0])
    before = standing.samples()
    assert before

    def gone() -> None:
        raise StoreError("The store is gone.")

    monkeypatch.setattr(log, "read", gone)
    now[0] += 11
    assert standing.samples() == before
