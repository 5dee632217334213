"""A person's pause of automatic labelling reaches a stream while it runs."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.evaluate.run import Run
from leaven.operate.loop.journal import Journal
from leaven.operate.scoring import holding
from leaven.operate.scoring.accepting import Acceptance
from leaven.operate.scoring.holding import Hold
from leaven.operate.scoring.stream import ACCEPTED
from leaven.scoring import stream
from leaven.store.store import Store
from tests.serve.models.released import said
from tests.store.history import Clock

pytest_plugins = ["tests.store.databases"]


def until(holds: Callable[[], bool]) -> None:
    """Wait for it, for some seconds."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def journal(store: Store) -> Journal:
    """The journal of a service that has a loop, in which nothing is paused."""
    made = Journal(store, "tickets")
    made.trigger("ann", "")
    return made


def test_a_pause_and_its_end_are_noticed_and_told(journal: Journal, address: str):
    told: list[str] = []
    hold = Hold(address, "tickets", every=0.02, tell=told.append)
    assert (hold.why(), told) == ("", [])
    journal.pause("loop", "ann", "another thing")
    journal.pause("labelling", "ann", "a bad week")
    until(lambda: bool(hold.why()))
    assert hold.why() == "ann has paused automatic labelling of 'tickets'. a bad week"
    second = Hold(address, "tickets")
    assert second.why() == hold.why(), "who begins meanwhile looks at once"
    second.close()
    journal.resume("labelling", "ben", "")
    until(lambda: not hold.why())
    hold.close()
    assert told == [
        "Accepts nothing: ann has paused automatic labelling of 'tickets'. a bad week",
        "Accepts pseudo-labels again.",
    ]


def test_a_store_that_cannot_be_read_holds_until_it_can(tmp_path: Path, whole_sqlite: Path):
    file, away = tmp_path / "leaven.db", tmp_path / "away.db"
    file.write_bytes(whole_sqlite.read_bytes())
    store = Store(file)
    Journal(store, "tickets").trigger("ann", "")
    store.close()
    hold = Hold(file, "tickets", every=0.02)
    assert not hold.why()
    file.rename(away)
    until(lambda: "there is no store" in hold.why())
    file.write_bytes(b"no database" * 1000)
    until(lambda: "is no database" in hold.why())
    late = Hold(file, "tickets")  # begins all the same: its records are to be answered
    assert "cannot be read" in late.why()
    late.close()
    file.write_bytes(whole_sqlite.read_bytes())  # one that does not know the service
    until(lambda: "'service' must be one of: (none)" in hold.why())
    away.rename(file)  # as from a backup
    until(lambda: not hold.why())
    hold.close()


def test_a_look_that_does_not_end_holds(
    tmp_path: Path, whole_sqlite: Path, monkeypatch: pytest.MonkeyPatch
):
    file, clock, ended = tmp_path / "leaven.db", Clock(), threading.Event()
    file.write_bytes(whole_sqlite.read_bytes())
    Journal(Store(file), "tickets").trigger("ann", "")
    hold = Hold(file, "tickets", every=0.02, clock=clock)
    monkeypatch.setattr(holding, "store_at", lambda *_: ended.wait(20))
    assert not hold.why()
    clock.now += 13
    assert "did not say for 13 s" in hold.why()
    ended.set()
    hold.close()


@pytest.mark.parametrize(
    ("how", "error", "told"),
    [
        ({"service": "tickts"}, UnknownNameError, "tickets"),
        ({"store": "none.db"}, DataError, "there is no store 'none.db'"),
        ({"accept": None}, SettingError, "'accept' must be a rule"),
        ({"service": None}, SettingError, "'service' must be the name"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    texts: Run, tmp_path: Path, whole_sqlite: Path, how: dict[str, Any],
    error: type[Exception], told: str,
):  # fmt: skip
    file = tmp_path / "leaven.db"
    file.write_bytes(whole_sqlite.read_bytes())
    Journal(Store(file), "tickets").trigger("ann", "")
    asked = {"accept": "AtLeast(0.5)", "state": tmp_path, "service": "tickets", "store": file}
    with pytest.raises(error, match=told):
        stream(texts, 0, lambda _: None, **asked | how)
    assert not [one for one in threading.enumerate() if one.name == "leaven-hold"]


def test_a_stream_goes_on_answering_and_learning_while_it_is_held(
    texts: Run, tmp_path: Path, whole_sqlite: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(holding.Hold.__init__, "__kwdefaults__", {
        "every": 0.02, "tell": None, "clock": time.monotonic})  # fmt: skip
    file, state = tmp_path / "leaven.db", tmp_path / "state"
    file.write_bytes(whole_sqlite.read_bytes())
    journal = Journal(Store(file), "tickets")
    journal.trigger("ann", "")
    source, sink = os.pipe()
    came, told, summary = [], [], {}

    def work() -> None:
        how = {"accept": "AtLeast(0.3)", "state": state, "service": "tickets", "store": file}
        summary.update(stream(texts, source, came.append, tell=told.append, **how))

    def send(start: int) -> None:
        for i, one in enumerate(said(20, start + 1)[0]):
            os.write(sink, json.dumps({"id": f"n{start + i}", "text": one}).encode() + b"\n")
        until(lambda: b"".join(came).count(b"\n") == start + 20)

    thread = threading.Thread(target=work)
    thread.start()
    send(0)
    journal.pause("labelling", "ann", "")
    until(lambda: len(told) == 1)
    send(20)
    journal.resume("labelling", "ann", "")
    until(lambda: len(told) == 2)
    send(40)
    os.close(sink)
    thread.join(30)
    os.close(source)
    kept = [json.loads(line)["id"] for line in (state / ACCEPTED).read_text().splitlines()]
    assert kept == [f"n{i}" for i in [*range(20), *range(40, 60)]]
    assert (summary["lines"], summary["accepted"], summary["held"]) == (60, 40, 20)
    again = Acceptance("AtLeast(0.3)", tuple(texts.classes))
    again.restore(json.loads((state / "state.json").read_text())["acceptance"])
    assert again.held == 20
