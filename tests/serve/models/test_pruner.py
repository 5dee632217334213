"""Old predictions leave the log while a server runs, and what goes wrong does not end that."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import insert, select
from typer.testing import CliRunner

from leaven.cli import app
from leaven.core.errors import StoreError
from leaven.operate.pruning import DAY, Pruned
from leaven.serve.models import pruning
from leaven.serve.models.pruning import Pruner
from leaven.store.audit_tables import audit
from leaven.store.prediction_tables import predictions
from leaven.store.release_tables import releases
from leaven.store.store import Store
from tests.serve.models.released import eventually


@pytest.fixture
def kept(store: str) -> Store:
    """Two predictions of a service, of which one is two days old."""
    found = Store(store)
    same = {
        "request": "r", "service": "s", "run": "r", "digest": "d", "place": "live", "content": "c",
        "label": "a", "probability": 0.9, "probabilities": [0.9, 0.1], "route": "answer",
        "explored": False, "logged": 1.0,
    }  # fmt: skip
    now = time.time()
    rows = [same | {"name": "old", "at": now - 2 * DAY}, same | {"name": "young", "at": now}]
    event = {"service": "s", "number": 1, "at": 0.0, "kind": "live", "run": "r", "digest": "d",
             "person": "ann", "reason": ""}  # fmt: skip
    with found.write() as connection:
        connection.execute(insert(predictions), rows)
        connection.execute(insert(releases), [event])
    return found


def left(kept: Store) -> list[str]:
    with kept.read() as connection:
        return list(connection.execute(select(predictions.c.name)).scalars())


def test_it_removes_what_is_old_and_is_named_in_the_audit_log(kept: Store):
    made = Pruner(kept, "s", 1)
    made.start()
    assert eventually(lambda: made.removed == 1)
    made.stop()
    assert left(kept) == ["young"]
    with kept.read() as connection:
        assert connection.execute(select(audit.c.who)).scalars().all()[-1] == "server"


def test_what_goes_wrong_is_told_and_tried_again(
    kept: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    failures = [StoreError("It is away."), RuntimeError("odd")]

    def prune(*_: object, **__: object) -> Pruned:
        if failures:
            raise failures.pop(0)
        return Pruned(0.0, 3, 0)

    monkeypatch.setattr(pruning, "prune", prune)
    monkeypatch.setattr(pruning, "_AGAIN", 0.01)
    made = Pruner(kept, "s", 1)
    made.start()
    assert eventually(lambda: made.removed == 3)
    made.stop()
    assert made.problem == ""
    assert "It is away." in caplog.text
    assert "Old predictions cannot be removed: odd." in caplog.text


def test_the_command_says_how_many(kept: Store):
    words = ["prune", "--keep-days", "1", "--store", kept.address, "--by", "ann"]
    told = CliRunner().invoke(app, words)
    assert (told.exit_code, told.output) == (0, "s: 1 prediction removed.\n")
    assert CliRunner().invoke(app, ["prune", "--store", kept.address]).exit_code == 2
    assert '"predictions": 0' in CliRunner().invoke(app, [*words, "--json"]).output
