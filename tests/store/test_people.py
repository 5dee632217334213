"""Who may come in, on SQLite and PostgreSQL: names, roles, the last admin, invitations, tokens."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.store.passwords import Cost, hashed, is_right, stranger
from leaven.store.people import ROLES, People, covers
from leaven.store.people_tables import invitations, people_events, sessions, tokens, users
from leaven.store.store import Store
from tests.store.history import Clock

pytest_plugins = ["tests.store.databases"]

CHEAP = Cost(power=4, block=8, lanes=1)
WORDS = "nobody guesses this one"


@pytest.fixture
def people(store: Store, clock: Clock) -> People:
    """Nobody yet."""
    return People(store, clock=clock, cost=CHEAP)


def kinds(people: People, about: str | None = None) -> list[str]:
    return [one.kind for one in people.history(about)][::-1]


def test_each_role_may_what_those_before_it_may():
    for i, role in enumerate(ROLES):
        assert [covers(role, least) for least in ROLES] == [j <= i for j in range(len(ROLES))]
    assert not covers("root", "viewer")
    assert not covers("", "viewer")


def test_an_invitation_gives_a_password_once(people: People, clock: Clock):
    secret = people.add("Anna", "annotator", by="root")
    assert [(one.name, one.role, one.joined) for one in people.users()] == [
        ("Anna", "annotator", False)
    ]
    assert people.welcome(secret) == "Anna"
    with pytest.raises(SettingError, match="'password' must be 12 to 512 signs"):
        people.accept(secret, "too short")
    assert people.accept(secret, WORDS) == "Anna"
    for again in (secret, "none", ""):
        assert people.welcome(again) is None
        with pytest.raises(DataError, match="was used, has ended or is none"):
            people.accept(again, WORDS)
    assert kinds(people) == ["added", "invited", "joined"]
    assert [one.person for one in people.history("Anna")] == ["Anna", "root", "root"]
    older, newer = people.invite("anna", by="root"), people.invite("ANNA", by="root")
    assert [people.welcome(one) for one in (older, newer)] == [None, "Anna"]
    clock.now += 7 * 86_400
    assert people.welcome(newer) is None


def test_two_who_use_one_invitation_at_once_do_not_both(people: People):
    secret = people.add("anna", "annotator", by="root")
    gate = threading.Barrier(6)

    def use(number: int) -> str:
        gate.wait()
        try:
            return people.accept(secret, f"{WORDS} {number}")
        except DataError:
            return ""

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(use, range(6))) == ["", "", "", "", "", "anna"]
    assert kinds(people) == ["added", "invited", "joined"]


def test_no_secret_is_in_the_database(people: People, store: Store):
    invitation = people.add("anna", "admin", by="root")
    token = people.new_token("job", "viewer", by="root")
    people.add("ben", "admin", by="root", password=WORDS)
    told = ""
    with store.read() as connection:
        for table in (users, invitations, tokens, sessions, people_events):
            told += repr(connection.execute(select(table)).all())
    for secret in (invitation, token, token.removeprefix("leaven_"), WORDS):
        assert secret not in told
        assert len(secret) >= 43 or secret == WORDS  # 256 bits in base64
    assert "scrypt$4$8$1$" in told


def test_two_of_one_name_are_refused_whoever_they_are(people: People):
    people.add("Anna", "viewer", by="root")
    people.new_token("job", "viewer", by="root")
    for same in ("anna", "ANNA", " Anna ", "\N{FULLWIDTH LATIN SMALL LETTER A}nna", "JOB"):
        for make in (people.add, people.new_token):
            with pytest.raises(SettingError, match="'name' must be one that nobody has"):
                make(same, "viewer", by="root")


def test_what_is_no_name_is_refused(people: People):
    long = "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 80
    hidden = ("a\nb", "a\0", "\u202eanna", "an\u200bna", "\ud800", "a\u2028b")
    for name in ("", " ", "a" * 81, long, *hidden):
        for make in (people.add, people.new_token):
            with pytest.raises(SettingError, match="'name' must be a name of 1 to 80 printable"):
                make(name, "viewer", by="root")
    assert people.users() == []


def test_odd_names_and_unknown_ones(people: People):
    for name in ("O'Neil; DROP TABLE users;--", "李 雷", "%_\\", "<b>x</b>"):
        people.add(name, "viewer", by="root")
        people.set_role(name, "annotator", by="root")
    assert {one.role for one in people.users()} == {"annotator"}
    people.add("anna", "viewer", by="root")
    steps: list[Any] = [
        lambda: people.set_role("ana", "viewer", by="root"),
        lambda: people.disable("ana", by="root"),
        lambda: people.enable("ana", by="root"),
        lambda: people.invite("ana", by="root"),
        lambda: people.set_password("ana", WORDS, by="root"),
    ]
    for step in steps:
        with pytest.raises(UnknownNameError, match="Did you mean 'anna'"):
            step()
    for make in (people.add, people.new_token):
        with pytest.raises(UnknownNameError, match="'role' must be one of: admin, annotator"):
            make("carl", "amdin", by="root")
    with pytest.raises(UnknownNameError, match="'role'"):
        people.set_role("anna", "root", by="root")


def test_a_password_that_is_soon_guessed_is_refused_and_not_repeated(people: People):
    people.add("anna", "viewer", by="root")
    own = ("anna is anna", "Anna1234567890")
    for password in ("", "short", "a" * 40, "abababababab", "x" * 513, *own):
        with pytest.raises(SettingError, match="'password' must be") as raised:
            people.set_password("anna", password, by="root")
        assert not password or password not in str(raised.value)
    assert kinds(people) == ["added", "invited"]


def test_a_password_is_kept_with_its_cost_and_judged_by_it():
    kept = hashed("pass\N{LATIN SMALL LETTER E WITH ACUTE} word", CHEAP)
    assert kept != hashed("pass\N{LATIN SMALL LETTER E WITH ACUTE} word", CHEAP)  # salted
    composed = "passe\N{COMBINING ACUTE ACCENT} word"
    assert is_right(composed, kept, CHEAP) == (True, True)
    assert is_right(composed, kept, Cost(5, 8, 1)) == (True, False)
    assert is_right("passe word", kept, CHEAP)[0] is False
    assert is_right("", stranger(CHEAP), CHEAP) == (False, True)
    assert len(stranger(CHEAP)) == len(kept) <= 200
    large = kept.replace("scrypt$4$", "scrypt$30$")
    assert is_right(composed, large, CHEAP) == (False, False)  # not the memory of the machine
    assert is_right("\ud800 half a sign", kept, CHEAP)[0] is False


def test_somebody_is_left_to_let_people_in(people: People):
    people.add("anna", "admin", by="root", password=WORDS)
    people.add("ben", "admin", by="root")  # who never came in
    people.add("carl", "admin", by="root", password=WORDS)
    people.disable("carl", by="root")
    for step in (
        lambda: people.disable("anna", by="root"),
        lambda: people.set_role("ANNA", "operator", by="root"),
    ):
        with pytest.raises(DataError, match="'anna' is the last admin"):
            step()
    people.set_role("anna", "admin", by="root")
    people.disable("ben", by="root")
    people.enable("carl", by="root")
    people.set_role("anna", "viewer", by="root")
    with pytest.raises(DataError, match="'carl' is the last admin"):
        people.disable("carl", by="anna")
    assert "disabled" not in kinds(people, "anna")
    assert people.history("anna")[0].note == "admin to viewer"


def test_two_admins_who_shut_each_other_out_at_once(people: People):
    names = ["anna", "ben"]
    for _ in range(6):
        for name in names:
            if name not in {one.name for one in people.users()}:
                people.add(name, "admin", by="root", password=WORDS)
            people.enable(name, by="root")
        gate = threading.Barrier(2)

        def shut(name: str, gate: threading.Barrier = gate) -> bool:
            gate.wait()
            try:
                people.disable(name, by=names[name == "anna"])
            except DataError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(shut, names)) == [False, True]
        assert sum(one.disabled is None for one in people.users()) == 1


def test_who_is_disabled_is_out_until_enabled(people: People):
    secret = people.add("anna", "viewer", by="root")
    people.disable("anna", by="root")
    people.disable("anna", by="root")
    assert people.welcome(secret) is None
    for step in (
        lambda: people.invite("anna", by="root"),
        lambda: people.set_password("anna", WORDS, by="root"),
    ):
        with pytest.raises(DataError, match="'anna' is disabled"):
            step()
    people.enable("anna", by="root")
    people.enable("anna", by="root")
    assert people.welcome(secret) is None  # it ended
    assert kinds(people) == ["added", "invited", "disabled", "enabled"]


def test_a_token_holds_until_it_ends_or_is_revoked(people: People, clock: Clock):
    secret = people.new_token("job", "reviewer", by="root", days=1)
    for wrong in ("", "x", secret + "x", secret.removeprefix("leaven_"), "\ud800", secret.upper()):
        assert people.bearer(wrong) is None
    found = people.bearer(secret)
    assert found is not None
    assert (found.name, found.role) == ("job", "reviewer")
    assert people.tokens()[0].used == clock.now
    clock.now += 86_399
    assert people.bearer(secret) is not None
    clock.now += 1
    assert people.bearer(secret) is None
    other = people.new_token("job", "viewer", by="root", days=None)  # the name is free again
    clock.now += 1e9
    assert people.bearer(other) is not None
    people.revoke("Job", by="root")
    assert people.bearer(other) is None
    with pytest.raises(UnknownNameError, match="'token'"):
        people.revoke("job", by="root")
    with pytest.raises(SettingError, match="one that nobody has"):  # whose answers would be theirs
        people.add("job", "viewer", by="root")
    for days in (0, -1, 40_000, float("nan")):
        with pytest.raises(SettingError, match="'days' must be"):
            people.new_token("another", "viewer", by="root", days=days)
    assert kinds(people, "job") == ["token", "token", "revoked"]
