"""Admins whose processes are killed at any moment: what stands follows from the history."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

from sqlalchemy import select

from leaven.core.errors import LeavenError
from leaven.store.audit import AuditLog
from leaven.store.passwords import Cost
from leaven.store.people import ROLES, People
from leaven.store.people_tables import invitations, people_events, sessions, users
from leaven.store.sessions import Sessions
from leaven.store.store import Store

pytest_plugins = ["tests.store.databases"]

CHEAP = Cost(power=4, block=8, lanes=1)
WORDS = "nobody guesses this one"
NAMES = ("anna", "ben", "carl", "dora")
KILLS = 30


def act(address: str, chance: random.Random, steps: int) -> None:
    """Change people at random, for ever; tells each step."""
    people = People(Store(address), cost=CHEAP)
    signing = Sessions(people)
    while True:
        one, other = chance.sample(NAMES, 2)
        with suppress(LeavenError):  # the last admin, somebody who is disabled
            match chance.randrange(6):
                case 0:
                    people.set_role(one, chance.choice(ROLES), by=other)
                case 1:
                    people.disable(one, by=other)
                case 2 | 3:
                    people.enable(one, by=other)
                case 4:
                    people.accept(people.invite(one, by=other), WORDS)
                case _:
                    signing.sign_in(one, WORDS, address=f"192.0.2.{chance.randrange(250)}")
        os.write(steps, b".")


def check(store: Store) -> None:
    """Assert that the users are as the history tells, and that somebody can let people in."""
    assert AuditLog(store).check().fault is None
    with store.read() as connection:
        rows = {row.name: row for row in connection.execute(select(users))}
        past = connection.execute(select(people_events).order_by(people_events.c.id)).all()
        inside = set(connection.execute(select(sessions.c.user)).scalars())
        invited = set(connection.execute(select(invitations.c.user)).scalars())
    role, out, asked, signed = {}, set(), set(), set()
    for event in past:
        name = event.about
        if event.kind in ("disabled", "joined", "password"):
            asked.discard(name)
            signed.discard(name)
        match event.kind:
            case "added":
                role[name] = event.note
            case "role":
                assert event.note.startswith(f"{role[name]} to ")
                role[name] = event.note.rpartition(" ")[2]
            case "disabled":
                assert name not in out
                out.add(name)
            case "enabled":
                out.remove(name)
            case "invited":
                asked.add(name)
            case "signed in":
                assert name not in out
                signed.add(name)
            case _:
                assert event.kind in ("joined", "password", "refused")
    assert {name: row.role for name, row in rows.items()} == role
    assert {name for name, row in rows.items() if row.disabled is not None} == out
    ids = {row.id: name for name, row in rows.items()}
    assert {ids[one] for one in inside} == signed
    assert {ids[one] for one in invited} == asked
    assert any(
        row.role == "admin" and row.disabled is None and row.password for row in rows.values()
    )


def test_what_stands_follows_from_the_history_whoever_is_killed(address: str):
    store = Store(address)
    people = People(store, cost=CHEAP)
    for name in NAMES:
        people.add(name, "admin", by="root", password=WORDS)
    store.close()
    chance = random.Random(0)
    seen, steps = os.pipe()
    alive: list[int] = []
    for _ in range(KILLS):
        while len(alive) < 2:
            draw = random.Random(chance.random())
            if not (child := os.fork()):
                try:
                    act(address, draw, steps)
                finally:
                    os._exit(1)
            alive.append(child)
        for _ in range(chance.randint(3, 8)):
            os.read(seen, 1)
        time.sleep(chance.uniform(0, 0.01))
        gone = alive.pop(chance.randrange(2))
        os.kill(gone, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(gone, 0)[1]) == -signal.SIGKILL
    for child in alive:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    os.close(seen)
    os.close(steps)
    store = Store(address)
    check(store)
    assert len(People(store).history()) > KILLS
    store.close()
