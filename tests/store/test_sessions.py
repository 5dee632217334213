"""Signing in, on SQLite and PostgreSQL: passwords judged, guesses slowed, sessions that end."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

import leaven.store.sessions as module
from leaven.store.passwords import Cost
from leaven.store.people import People
from leaven.store.people_tables import sessions, tries, users
from leaven.store.sessions import Sessions, Signed, SignInError
from leaven.store.store import Store
from tests.store.history import Clock

pytest_plugins = ["tests.store.databases"]

CHEAP = Cost(power=4, block=8, lanes=1)
WORDS = "nobody guesses this one"
HERE, THERE = "192.0.2.1", "192.0.2.2"
WRONG = "do not belong together"


@pytest.fixture
def signing(store: Store, clock: Clock) -> Sessions:
    people = People(store, clock=clock, cost=CHEAP)
    people.add("Anna", "annotator", by="root", password=WORDS)
    people.add("ben", "admin", by="root", password=WORDS)
    return Sessions(people)


def guess(signing: Sessions, name: str = "anna", address: str = HERE) -> float:
    """Fail; the seconds until the next try counts."""
    with pytest.raises(SignInError) as raised:
        signing.sign_in(name, "not the password", address=address)
    return raised.value.seconds


def kept(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(sessions)).scalar_one()


def test_the_right_password_makes_a_session_that_is_new_each_time(signing: Sessions, store: Store):
    who, cookie = signing.sign_in(" ANNA ", WORDS, address=HERE)
    assert who == Signed("Anna", "annotator") == signing.who(cookie)
    _, other = signing.sign_in("Anna", WORDS, address=HERE, before=cookie)
    assert signing.who(cookie) is None  # what a browser had before is worth nothing after
    assert signing.who(other) == who
    _, planted = signing.sign_in("Anna", WORDS, address=HERE, before="chosen by somebody else")
    assert planted not in (cookie, other, "chosen by somebody else")
    assert signing.who("chosen by somebody else") is None
    with store.read() as connection:
        hashes = set(connection.execute(select(sessions.c.hash)).scalars())
    assert {hashlib.sha256(one.encode()).hexdigest() for one in (other, planted)} == hashes
    for wrong in ("", "x", next(iter(hashes)), "\ud800"):
        assert signing.who(wrong) is None


def test_a_session_ends_when_it_is_not_used_and_in_any_case(
    signing: Sessions, clock: Clock, store: Store
):
    _, idle = signing.sign_in("anna", WORDS, address=HERE)
    _, busy = signing.sign_in("anna", WORDS, address=HERE)
    for _ in range(23):
        clock.now += 7 * 3600
        assert signing.who(busy) is not None
    assert signing.who(idle) is None
    clock.now += 7 * 3600  # a week in all
    assert signing.who(busy) is None
    signing.sign_in("anna", WORDS, address=HERE)
    assert kept(store) == 1


def test_whatever_changes_a_person_ends_their_sessions(signing: Sessions):
    people = signing.people

    def new() -> str:
        return signing.sign_in("anna", WORDS, address=HERE)[1]

    one, two = new(), new()
    signing.sign_out(one)
    signing.sign_out(one)
    assert (signing.who(one), signing.who(two)) == (None, Signed("Anna", "annotator"))
    people.set_role("anna", "viewer", by="ben")
    assert signing.who(two) == Signed("Anna", "viewer")
    people.set_password("anna", WORDS, by="ben")
    assert signing.who(two) is None
    three = new()
    people.disable("anna", by="ben")
    people.enable("anna", by="ben")
    assert signing.who(three) is None
    four, five = new(), new()
    six = signing.change_password("Anna", WORDS, "something else now", address=HERE)
    assert [signing.who(cookie) for cookie in (four, five)] == [None, None]
    assert signing.who(six) is not None
    with pytest.raises(SignInError, match=WRONG):
        new()
    with pytest.raises(SignInError, match=WRONG):
        signing.change_password("Anna", WORDS, "something else again", address=HERE)
    assert signing.who(six) is not None


def test_a_name_that_nobody_has_costs_and_says_the_same(
    signing: Sessions, monkeypatch: pytest.MonkeyPatch
):
    """Each kind of failure judges one password at one cost, and writes as much."""
    signing.people.add("invited", "viewer", by="ben")
    signing.people.add("gone", "viewer", by="ben", password=WORDS)
    signing.people.disable("gone", by="ben")
    seen: list[str] = []
    judge = module.is_right

    def watched(password: str, kept_: str, cost: Cost) -> tuple[bool, bool]:
        seen.append(kept_.rpartition("$")[0].rpartition("$")[0])
        return judge(password, kept_, cost)

    monkeypatch.setattr(module, "is_right", watched)
    before, told = len(signing.people.history()), set()
    for name, password in (
        ("anna", "wrong"), ("nobody", "wrong"), ("invited", ""), ("gone", WORDS), ("gone", "wrong"),
        ("", ""), ("x" * 900, "wrong"), ("\0", "\ud800"),
    ):  # fmt: skip
        with pytest.raises(SignInError) as raised:
            signing.sign_in(name, password, address=HERE)
        told.add((str(raised.value), raised.value.seconds))
    assert seen == ["scrypt$4$8$1"] * 8
    assert len(told) == 1
    history = signing.people.history()
    assert len(history) == before + 8
    assert Counter(one.about for one in history if one.kind == "refused") == {
        "Anna": 1, "?": 4, "invited": 1, "gone": 2,
    }  # fmt: skip


def test_each_further_failure_doubles_the_wait(signing: Sessions, clock: Clock, store: Store):
    assert [guess(signing) for _ in range(6)] == [0.0] * 6
    for seconds in (1, 2, 4, 8):
        for _ in range(3):
            assert guess(signing) == seconds  # what is not judged does not count
        with pytest.raises(SignInError, match="Too many wrong passwords. Try again in"):
            signing.sign_in("anna", WORDS, address=HERE)  # nor is a right one
        clock.now += seconds
        assert guess(signing) == 0.0
    assert signing.sign_in("anna", WORDS, address=THERE)[0].name == "Anna"  # from elsewhere
    again = Sessions(People(store, clock=clock, cost=CHEAP))  # the server begins anew
    assert guess(again) == 16.0
    clock.now += 16
    assert again.sign_in("anna", WORDS, address=HERE)[0].name == "Anna"
    assert [guess(again) for _ in range(6)] == [0.0] * 6


def test_an_address_that_tries_everybody_is_slowed_whomever_it_tries(
    signing: Sessions, clock: Clock
):
    waits = [guess(signing, f"name {i}", f"2001:db8::{i:x}") for i in range(32)]
    assert waits == [0.0] * 31 + [1.0]
    with pytest.raises(SignInError, match="Too many"):
        signing.sign_in("ben", WORDS, address="2001:db8::ffff:1")
    assert signing.sign_in("ben", WORDS, address="2001:db8:0:1::1")
    clock.now += 1
    # One right password takes back its own try, not those that were wrong.
    assert signing.sign_in("ben", WORDS, address="2001:db8::1")
    guess(signing, "name", "2001:db8::1")
    assert guess(signing, "name", "2001:db8::1") == 2.0
    clock.now += 86_402
    assert guess(signing, "name", "2001:db8::1") == 0.0


def test_a_person_whom_many_addresses_try_is_slowed_for_a_minute_at_most(
    signing: Sessions, clock: Clock
):
    waits = [guess(signing, "anna", f"198.51.{i}.1") for i in range(102)]
    assert waits == [0.0] * 101 + [1.0]
    for i in range(30):
        clock.now += 60
        assert guess(signing, "anna", f"203.0.{i}.1") == 0.0
    clock.now += 60
    assert signing.sign_in("anna", WORDS, address=HERE)


def test_a_hundred_at_once_get_as_far_as_a_hundred_in_a_row(signing: Sessions, store: Store):
    gate = threading.Barrier(12)
    judged = []

    def one(_: int) -> None:
        gate.wait()
        for _ in range(4):
            try:
                signing.sign_in("anna", "not the password", address=HERE)
            except SignInError as refused:
                judged.append(refused.seconds == 0)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(one, range(12)))
    assert (len(judged), sum(judged)) == (48, 6)
    with store.read() as connection:
        failed = connection.execute(select(tries.c.failed)).scalars().all()
    assert failed == [6, 6, 6]


def test_old_failures_are_forgotten_and_no_name_is_kept(
    signing: Sessions, clock: Clock, store: Store
):
    for i in range(20):
        guess(signing, f"a password {i}", f"192.0.2.{i}")
    clock.now += 86_401
    guess(signing)
    with store.read() as connection:
        left = connection.execute(select(tries.c.what)).scalars().all()
    assert len(left) == 3
    assert all(len(what) == 64 and int(what, 16) for what in left)


def test_one_person_has_so_many_sessions_and_no_more(signing: Sessions, clock: Clock, store: Store):
    cookies = []
    for _ in range(25):
        clock.now += 1
        cookies.append(signing.sign_in("anna", WORDS, address=HERE)[1])
    assert kept(store) == 20
    assert [signing.who(cookie) is not None for cookie in cookies] == [False] * 5 + [True] * 20


def test_a_password_kept_at_an_older_cost_is_kept_at_the_new_one_when_it_is_right(
    signing: Sessions, store: Store, clock: Clock
):
    dearer = Sessions(People(store, clock=clock, cost=Cost(5, 8, 1)))
    guess(dearer)

    def costs() -> set[str]:
        with store.read() as connection:
            return {one[:9] for one in connection.execute(select(users.c.password)).scalars()}

    assert costs() == {"scrypt$4$"}
    dearer.sign_in("anna", WORDS, address=HERE)
    assert costs() == {"scrypt$4$", "scrypt$5$"}
    dearer.sign_in("anna", WORDS, address=HERE)
    assert signing.sign_in("anna", WORDS, address=HERE)


def test_who_is_shut_out_while_their_password_is_judged_does_not_come_in(
    signing: Sessions, monkeypatch: pytest.MonkeyPatch, store: Store
):
    judge = module.is_right

    def slow(password: str, kept_: str, cost: Cost) -> tuple[bool, bool]:
        found = judge(password, kept_, cost)
        signing.people.disable("anna", by="ben")
        return found

    monkeypatch.setattr(module, "is_right", slow)
    with pytest.raises(SignInError, match=WRONG):
        signing.sign_in("anna", WORDS, address=HERE)
    assert kept(store) == 0
