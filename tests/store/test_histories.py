"""Histories that the audit log vouches for: loops' events too, and those that it began to later."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, delete, func, insert, select, text, update

from leaven.operate.loop.journal import Journal
from leaven.store import store as store_module
from leaven.store.audit import AuditLog, note
from leaven.store.audit_tables import audit
from leaven.store.histories import HISTORIES
from leaven.store.loop_tables import loop_events
from leaven.store.people_tables import people_events
from leaven.store.store import Store
from tests.store.history import Clock

pytest_plugins = ["tests.store.databases"]

SECRET = "record-of-a-person"


def looped(store: Store, clock: Clock) -> None:
    """Entries 2 to 5, one of each kind of writer: a person's, a move, a note, a person's."""
    journal = Journal(store, "tickets", clock=clock)
    standing = journal.trigger("ann", "new labels \N{PILE OF POO}")
    lease = journal.take(60.0)
    assert lease is not None
    standing = journal.move(standing, lease, "triggered", "by hand", {"triggers": ["by hand"]})
    told = {"records": [SECRET], "share": 0.1 + 0.2, "n": 3, "none": None}
    journal.note(standing, lease, "chosen", told)
    journal.pause("labelling", "ben", "a bad week")


def event(kind: str) -> Any:
    return loop_events.c.kind == kind


TAMPERED: list[tuple[str, Callable[[Connection], Any], int, str]] = [
    (
        "changed",
        lambda c: c.execute(update(loop_events).where(event("moved")).values(outcome="x")),
        3, "The loop event that it tells of has another outcome now",
    ),
    (
        "what it keeps changed",
        lambda c: c.execute(update(loop_events).where(event("noted")).values(told={"n": 4})),
        4, "The loop event that it tells of has another told now",
    ),
    (
        "removed",
        lambda c: c.execute(delete(loop_events).where(event("paused"))),
        5, "The loop event that it tells of is gone",
    ),
    (
        "added",
        lambda c: c.execute(insert(loop_events).values(
            service="tickets", number=5, at=1.0, kind="resumed", cycle=1, state="checking",
            outcome="labelling", person="eve", reason="", told={})),
        5, "After it a loop event was added",
    ),
]  # fmt: skip


@pytest.mark.parametrize("key", ["", base64.b64encode(b"k" * 32).decode()])
@pytest.mark.parametrize(
    ("tamper", "number", "why"), [one[1:] for one in TAMPERED], ids=[one[0] for one in TAMPERED]
)
def test_a_loop_s_event_that_is_no_longer_what_was_written_is_named(
    store: Store, clock: Clock, tamper: Callable[[Connection], Any], number: int, why: str,
    key: str, monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setenv("LEAVEN_ENCRYPTION_KEY", key)
    looped(store, clock)
    monkeypatch.delenv("LEAVEN_ENCRYPTION_KEY")  # who verifies needs none
    log = AuditLog(store)
    assert (log.check().fault, log.check().entries) == (None, 5)
    assert SECRET not in str(log.entries())
    with store.write() as connection:
        tamper(connection)
    fault = log.check().fault
    assert fault is not None
    assert (fault.number, why in fault.why) == (number, True), fault


def test_bytes_where_json_was_are_a_fault_and_no_crash(tmp_path: Path):
    store = Store(tmp_path / "a.db")
    looped(store, Clock())
    with store.write() as connection:
        connection.execute(text("UPDATE loop_events SET told = x'00ff' WHERE kind = 'noted'"))
    assert AuditLog(store).check().fault.number == 4


@pytest.fixture
def older(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store whose log knows of releases and people alone, with a loop's event that it tells of as
    it did then, and one that it does not."""
    with monkeypatch.context() as patched:
        patched.setattr(Store, "_bring_up", lambda _: None)
        old = Store(address)
    config = Config()
    steps = Path(store_module.__file__).parent / "migrations"
    config.set_main_option("script_location", str(steps))
    with old.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0009")
        note(connection, "leaven", "log.began", "", {"people": 0, "release": 0}, at=1.0)
        row = {"at": 1.0, "person": "root", "kind": "added", "about": "anna", "note": "admin"}
        connection.execute(insert(people_events).values(row))
        note(connection, "root", "people.added", "anna", row, at=1.0)
        for number, kind in ((1, "triggered"), (2, "noted")):
            told = {"number": number, "cycle": 0, "state": "waiting", "outcome": "", "reason": "r"}
            rest = {"service": "tickets", "at": 1.0, "kind": kind, "person": "ann", "told": {}}
            connection.execute(insert(loop_events).values(told | rest))
            if kind != "noted":
                note(connection, "ann", f"loop.{kind}", "tickets", told, at=1.0)
    old.close()
    return address


def test_a_log_that_is_older_than_a_history_vouches_for_it_from_then_on(older: str, clock: Clock):
    store = Store(older)
    log = AuditLog(store)
    began = log.entries()[0]
    assert (began.number, began.what) == (4, "log.began")
    assert json.loads(began.details) == {
        name: 2 if name == "loop" else 0 for name in HISTORIES if name not in ("people", "release")
    }
    assert (log.check().fault, log.check().began) == (None, 1.0)
    journal = Journal(store, "tickets", clock=clock)
    journal.pause("labelling", "ann", "")
    assert (log.check().fault, log.check().entries) == (None, 5)
    store.close()
    store = Store(older)  # it begins once
    log = AuditLog(store)
    assert log.check().entries == 5
    with store.write() as connection:  # for what is older nothing vouches
        connection.execute(update(loop_events).where(event("triggered")).values(person="eve"))
    assert log.check().fault is None
    with store.write() as connection:
        connection.execute(update(loop_events).where(event("paused")).values(person="eve"))
    assert log.check().fault.number == 5
    with store.write() as connection:
        connection.execute(update(loop_events).where(event("paused")).values(person="ann"))
        connection.execute(update(people_events).values(person="eve"))
    assert log.check().fault.number == 2, "what was vouched for before still is"
    store.close()


def test_a_log_that_was_emptied_does_not_begin_anew_with_a_newer_version(
    older: str, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patched:
        patched.setattr(Store, "_bring_up", lambda _: None)
        store = Store(older)
    with store.write() as connection:
        connection.execute(delete(audit))
    store.close()
    store = Store(older)
    assert "the log was emptied" in AuditLog(store).check().fault.why
    store.close()


def test_no_history_begins_a_second_time(store: Store, clock: Clock):
    """Else who adds an entry could tell the log to forget what was before it."""
    looped(store, clock)
    with store.write() as connection:
        row = {"service": "tickets", "at": 1.0, "kind": "resumed", "cycle": 1, "state": "checking",
               "outcome": "labelling", "person": "eve", "reason": "", "told": {}}  # fmt: skip
        connection.execute(insert(loop_events).values(row | {"number": 5}))
        last = connection.execute(select(func.max(loop_events.c.id))).scalar_one()
        note(connection, "leaven", "log.began", "", {"loop": last}, at=1.0)
    fault = AuditLog(store).check().fault
    assert fault is not None
    assert "a loop event was added" in fault.why
