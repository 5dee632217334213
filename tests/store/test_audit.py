"""The audit log: one chain on either database, of each act one entry, and no silent change."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, delete, insert, text, update

from leaven.core.errors import DataError, StoreError
from leaven.label.queue import Ask, Queue
from leaven.operate.registry import Registered
from leaven.operate.releases import Releases
from leaven.store import audit as module
from leaven.store import histories
from leaven.store import store as store_module
from leaven.store.audit import AuditLog, Head, note
from leaven.store.audit_tables import audit
from leaven.store.passwords import Cost
from leaven.store.people import People
from leaven.store.people_tables import people_events
from leaven.store.release_tables import releases
from leaven.store.sessions import Sessions, SignInError
from leaven.store.store import Store
from tests.store.forging import forge, row_of
from tests.store.history import Clock

pytest_plugins = ["tests.store.databases"]

CHEAP = Cost(power=4, block=8, lanes=1)
WORDS = "nobody guesses this one"


@pytest.fixture
def log(store: Store, clock: Clock) -> AuditLog:
    """The log of a new store."""
    return AuditLog(store, clock=clock)


def told(log: AuditLog, what: str = "") -> list[tuple[str, str, str]]:
    """Who, what and about, the first first, without the beginning."""
    found = log.entries(what=what, most=1000)[::-1]
    return [(one.who, one.what, one.about) for one in found if one.number > 1]


def acted(store: Store, clock: Clock) -> None:
    """Something of each history: entries 2 and 3 of people, 4 and 5 of releases, 6 of neither."""
    people = People(store, clock=clock, cost=CHEAP)
    people.add("anna", "admin", by="root", password=WORDS)
    people.new_token("bot", "viewer", by="anna")
    asked = Releases(store, "tickets", clock=clock)
    for name in ("first", "second"):
        verdict = {"verdict": {"outcome": "better", "sentence": ""}}
        run = Registered(name, name.ljust(64, "0"), Path(), 0.0, "ann", verdict)
        asked.release(run, by="ann", seen=asked.state(), canary=None if name == "first" else 0.1)
    AuditLog(store, clock=clock).add("ann", "labels.exported", "tickets", {"records": 3})


def test_the_log_begins_with_the_store_and_is_one_chain(store: Store, log: AuditLog, clock: Clock):
    acted(store, clock)
    found = log.entries()[::-1]
    assert [one.number for one in found] == [1, 2, 3, 4, 5, 6]
    assert (found[0].what, found[0].previous) == ("log.began", "0" * 64)
    for before, entry in pairwise(found):
        assert entry.previous == before.hash
        whole = [entry.number, entry.at, entry.who, entry.what, entry.about, entry.details,
                 entry.previous]  # fmt: skip
        told_again = json.dumps(whole, separators=(",", ":")).encode()
        assert entry.hash == hashlib.sha256(told_again).hexdigest()
    assert told(log) == [
        ("root", "people.added", "anna"), ("anna", "people.token", "bot"),
        ("ann", "release.live", "tickets"), ("ann", "release.canary", "tickets"),
        ("ann", "labels.exported", "tickets"),
    ]  # fmt: skip
    checked = log.check()
    assert (checked.fault, checked.entries, checked.ended) == (None, 6, clock.now)
    assert checked.head == log.head() == Head(6, found[-1].hash)


def test_who_comes_in_and_who_is_refused_is_in_it(store: Store, log: AuditLog, clock: Clock):
    people = People(store, clock=clock, cost=CHEAP)
    people.accept(people.add("anna", "annotator", by="root"), WORDS)
    people.set_role("anna", "reviewer", by="root")
    people.new_token("bot", "viewer", by="root")
    people.revoke("bot", by="root")
    signing = Sessions(people)
    with pytest.raises(SignInError):
        signing.sign_in("anna", "not this one, surely", address="192.0.2.1")
    signing.sign_out(signing.sign_in("anna", WORDS, address="192.0.2.1")[1])
    people.disable("anna", by="root")
    acts = [what for _, what, _ in told(log, "people.")]
    assert acts == [
        f"people.{one}"
        for one in ("added", "invited", "joined", "role", "token", "revoked", "refused",
                    "signed in", "signed out", "disabled")
    ]  # fmt: skip
    assert WORDS not in str(log.entries())
    assert log.check().fault is None


def test_settled_and_revoked_labels_are_in_it_and_no_record_is(
    store: Store, log: AuditLog, clock: Clock
):
    queue = Queue.made(store, "q", classes=["ham", "spam"], modality="text", clock=clock)
    queue.add([Ask("secret-record", "c", {"text": "secret-text"}, wanted=2)])
    task = queue.lease("anna")[0].id
    queue.answer(task, "anna", "ham", key="1")
    queue.answer(task, "rita", "spam", key="2", final=True)
    queue.answer(task, "rita", "spam", key="2", final=True)  # sent again
    queue.undo("rita", task=task)
    queue.undo("anna", task=task)
    queue.answer(task, "anna", "ham", key="3")
    queue.revoke([(task, "anna"), (task, "nobody")], by="olga", reason="a bad week")
    assert told(log) == [
        ("rita", "labels.settled", "q"), ("rita", "labels.unsettled", "q"),
        ("olga", "labels.revoked", "q"),
    ]  # fmt: skip
    last = json.loads(log.entries()[0].details)
    assert last == {"answers": 1, "people": ["anna", "nobody"], "reason": "a bad week"}
    assert "secret" not in str(log.entries())


def test_an_act_that_fails_leaves_no_entry(store: Store, log: AuditLog, clock: Clock):
    people = People(store, clock=clock, cost=CHEAP)
    people.add("anna", "admin", by="root", password=WORDS)
    before = log.head()
    with pytest.raises(DataError, match="the last admin"):
        people.disable("anna", by="root")
    with pytest.raises(RuntimeError), store.write() as connection:
        note(connection, "eve", "people.added", at=1.0)
        raise RuntimeError
    assert log.head() == before


def test_text_of_any_kind_is_kept(store: Store, log: AuditLog):
    odd = "a\0b\ud800 \N{PILE OF POO} '; drop table audit; --"
    log.add(odd, "labels.exported", odd, {"file": odd, "none": None, "x": [1.5, True]})
    assert log.check().fault is None
    (entry,) = log.entries(who=odd, about=odd, what="labels", most=1)
    assert entry.who == odd.replace("\0", "\ufffd").replace("\ud800", "?")
    assert json.loads(entry.details)["file"] == odd
    assert not log.entries(what="l_bels")


def test_writers_at_once_make_one_chain(address: str):
    """Each act has another scope, so nothing but the log's own turn keeps them apart."""
    stores, each = [Store(address) for _ in range(4)], 6
    start = threading.Barrier(len(stores))

    def write(number: int) -> None:
        start.wait(10)
        for i in range(each):
            with stores[number].write(number) as connection:
                note(connection, f"w{number}", "labels.exported", str(i), at=float(i))

    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(write, range(len(stores))))
    log = AuditLog(stores[0])
    checked = log.check()
    assert (checked.fault, checked.entries) == (None, 1 + each * len(stores))
    for number in range(len(stores)):
        assert [one.about for one in log.entries(who=f"w{number}")[::-1]] == [
            *map(str, range(each))
        ]
    with pytest.raises(StoreError), stores[0].write() as connection:  # a branch has no room
        connection.execute(insert(audit).values(row_of(log.entries()[0]) | {"number": 99}))
    for store in stores:
        store.close()


def entry_changed(**change: Any) -> Callable[[Connection], Any]:
    return lambda c: c.execute(update(audit).where(audit.c.number == 4).values(change))


def removed(which: Any) -> Callable[[Connection], Any]:
    return lambda c: c.execute(delete(audit).where(which))


TAMPERED: list[tuple[str, Callable[[Connection], Any], int, str]] = [
    *(
        (f"{name} changed", entry_changed(**{name: value}), 4, "Its content is not what")
        for name, value in (
            ("at", 1.0), ("who", "eve"), ("what", "release.shadow"), ("about", "other"),
            ("details", "{}"), ("hash", "f" * 64),
        )
    ),
    ("previous changed", entry_changed(previous="f" * 64), 4, "one of the two was replaced"),
    (
        "hashed anew alone",
        lambda c: (forge(c, 4, who="eve"), c.execute(
            update(audit).where(audit.c.number == 5).values(previous="e" * 64))),
        5, "written after another entry 4",
    ),
    ("removed", removed(audit.c.number == 3), 3, "4 comes next"),
    ("begun later", removed(audit.c.number < 3), 1, "3 comes next"),
    ("emptied", removed(audit.c.number > 0), 1, "the log was emptied"),
    (
        "history changed",
        lambda c: c.execute(update(releases).where(releases.c.number == 2).values(person="eve")),
        5, "The release that it tells of has another person now",
    ),
    (
        "history removed",
        lambda c: c.execute(delete(people_events).where(people_events.c.about == "bot")),
        3, "The change of people that it tells of is gone",
    ),
    (
        "history added",
        lambda c: c.execute(insert(people_events).values(
            at=1.0, person="eve", kind="role", about="eve", note="viewer to admin")),
        5, "After it a change of people was added",
    ),
    (
        "forged with its history",  # the chain is whole, but what it tells of is not
        lambda c: forge(c, 4, details='{"service":"tickets"}'), 4, "has another number and at",
    ),
    ("no details", lambda c: forge(c, 2, details="["), 2, "has another at and person"),
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in a file, in which something was done."""
    file = tmp_path_factory.mktemp("whole") / "a.db"
    store = Store(file)
    acted(store, Clock())
    store.close()
    return file


@pytest.mark.parametrize(
    ("tamper", "number", "why"), [one[1:] for one in TAMPERED], ids=[one[0] for one in TAMPERED]
)
def test_whatever_is_changed_is_noticed_and_named(
    whole: Path, tmp_path: Path, tamper: Callable[[Connection], Any], number: int, why: str,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    store = Store(shutil.copy(whole, tmp_path))
    log = AuditLog(store)
    for one in (module, histories):  # more than one page
        monkeypatch.setattr(one, "_ROWS", 2)
    assert log.check().fault is None
    with store.write() as connection:
        tamper(connection)
    found = log.check()
    assert found.fault is not None
    assert (found.fault.number, why in found.fault.why) == (number, True), found.fault


def test_what_a_chain_cannot_show_a_kept_head_does(store: Store, log: AuditLog, clock: Clock):
    acted(store, clock)
    kept = log.head()
    early = Head(2, log.entries()[-2].hash)
    acted_more = log.add("ann", "labels.exported", "more")
    for head in (kept, early, Head(0, kept.hash), Head(acted_more.number, acted_more.hash)):
        assert log.check(head).fault is None
    with store.write() as connection:
        forge(connection, 6, who="eve")
    assert log.check().fault is None, "a chain that was written anew is whole"
    assert log.check(early).fault is None
    assert log.check(kept).fault.number == 6
    assert "no entry has the hash" in log.check(Head(0, kept.hash)).fault.why
    with store.write() as connection:
        connection.execute(delete(audit).where(audit.c.number > 5))
    assert log.check().fault is None, "a chain whose end was cut off is whole"
    lost = log.check(kept).fault
    assert (lost.number, "the log had 6 entries" in lost.why) == (6, True)


def test_types_that_no_column_has_are_a_fault_and_no_crash(whole: Path, tmp_path: Path):
    """SQLite keeps in a column whatever somebody puts there."""
    store = Store(shutil.copy(whole, tmp_path))
    for column, value in (("at", "x'00ff'"), ("at", "9e999"), ("who", "x'00'"), ("details", "5")):
        with store.write() as connection:
            connection.execute(text(f"UPDATE audit SET {column} = {value} WHERE number = 4"))
        assert AuditLog(store).check().fault.number == 4


def test_a_store_from_before_the_log_begins_it_when_it_is_opened(
    address: str, monkeypatch: pytest.MonkeyPatch
):
    """What is older is not vouched for; what comes then is."""
    steps = str(Path(store_module.__file__).parent / "migrations")
    with monkeypatch.context() as patched:
        patched.setattr(Store, "_bring_up", lambda _: None)
        old = Store(address)
    config = Config()
    config.set_main_option("script_location", steps)
    with old.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        row = {"at": 1.0, "person": "root", "kind": "added", "about": "anna", "note": "admin"}
        connection.execute(insert(people_events).values(row))
    old.close()
    store = Store(address)
    log = AuditLog(store)
    (first,) = log.entries()
    assert json.loads(first.details) == {
        name: int(name == "people") for name in histories.HISTORIES
    }
    People(store, cost=CHEAP).add("ben", "viewer", by="root")
    assert log.check().fault is None
    with store.write() as connection:
        connection.execute(
            update(people_events).where(people_events.c.about == "anna").values(at=2)
        )
    assert log.check().fault is None
    store.close()
