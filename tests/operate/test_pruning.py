"""Old predictions leave the log; what people said, and what is young, stays. On both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import insert, select

from leaven import serving
from leaven.core.errors import SettingError
from leaven.operate import pruning
from leaven.operate.pruning import DAY, prune
from leaven.store.audit import AuditLog
from leaven.store.audit_tables import audit
from leaven.store.canary_tables import failures
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.release_tables import releases
from leaven.store.store import Store

pytest_plugins = ["tests.store.databases"]

_NOW = 100 * DAY


def prediction(name: str, days: float, service: str = "s", place: str = "live") -> dict[str, Any]:
    return {
        "name": name, "request": name, "service": service, "at": _NOW - days * DAY, "run": "r",
        "digest": "d", "place": place, "content": f"c{name}", "label": "a", "probability": 0.9,
        "probabilities": [0.9, 0.1], "route": "answer", "explored": False, "logged": 1.0,
    }  # fmt: skip


def truth(name: str) -> dict[str, Any]:
    return {
        "service": "s", "prediction": name, "content": f"c{name}", "label": "b", "caused": False,
        "origin": "production", "person": "ann", "at": _NOW,
    }  # fmt: skip


def failure(name: str, days: float) -> dict[str, Any]:
    return {
        "request": name, "service": "s", "at": _NOW - days * DAY, "run": "r", "digest": "d",
        "place": "live", "position": 0.5, "status": 500, "seconds": 0.1,
    }  # fmt: skip


def filled(store: Store) -> None:
    with store.write() as connection:
        rows = [prediction(f"old{i}", 40 + i) for i in range(7)]
        rows += [prediction("told", 50), prediction("told", 50, place="mirror")]
        rows += [prediction("young", 29), prediction("other", 90, service="t")]
        connection.execute(insert(predictions), rows)
        connection.execute(insert(feedback), [truth("told")])
        connection.execute(insert(failures), [failure("x", 31), failure("y", 1)])


def names(store: Store) -> list[str]:
    with store.read() as connection:
        return sorted(connection.execute(select(predictions.c.name)).scalars())


def test_what_is_old_goes_but_not_what_truth_came_back_of(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pruning, "_ROWS", 3)
    filled(store)
    done = prune(store, "s", 30, by="ann", clock=lambda: _NOW)
    assert (done.predictions, done.failures, done.before) == (7, 1, 70 * DAY)
    assert names(store) == ["other", "told", "told", "young"]
    with store.read() as connection:
        assert connection.execute(select(feedback.c.prediction)).scalars().all() == ["told"]
        assert connection.execute(select(failures.c.request)).scalars().all() == ["y"]
        acts = connection.execute(select(audit.c.what, audit.c.who, audit.c.details)).all()
    what, who, details = acts[-1]
    assert (what, who) == ("predictions.pruned", "ann")
    assert json.loads(details) == {"predictions": 7, "failures": 1, "before": 70 * DAY}
    assert AuditLog(store).check().fault is None
    again = prune(store, "s", 30, by="ann", clock=lambda: _NOW)
    assert (again.predictions, again.failures) == (0, 0)
    with store.read() as connection:  # nothing was done, so nothing is noted
        assert len(connection.execute(select(audit.c.what)).all()) == len(acts)


def test_what_ends_early_is_noted_and_days_must_be_days(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pruning, "_ROWS", 2)
    filled(store)
    turns = iter([False, True, True])
    done = prune(store, "s", 30, by="ann", is_ended=lambda: next(turns), clock=lambda: _NOW)
    assert (done.predictions, done.failures) == (2, 0)
    assert len(names(store)) == 9
    for bad in (0, -1, float("nan"), float("inf")):
        with pytest.raises(SettingError, match="'keep_days' must be days, more than 0"):
            prune(store, "s", bad, by="ann")


def test_the_verb_names_the_service(store: Store):
    filled(store)
    with store.write() as connection:
        event = {"service": "s", "number": 1, "at": 0.0, "kind": "live", "run": "r", "digest": "d",
                 "person": "ann", "reason": ""}  # fmt: skip
        connection.execute(insert(releases), [event])
    told = serving.prune(keep_days=1, by="ann", store=store.address)
    assert (told["service"], told["predictions"], told["failures"]) == ("s", 8, 2)
    assert names(store) == ["other", "told", "told"]
