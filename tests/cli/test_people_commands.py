"""The commands that let people in, on a real store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from leaven.cli.people import tokens, users
from leaven.core.errors import DataError, LeavenError, SettingError
from leaven.store.people import People
from leaven.store.store import Store

WORDS = "nobody guesses this one"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "people.db")


def run(group: object, *words: str, typed: str | None = None) -> Result:
    result = CliRunner().invoke(group, list(words), input=typed)  # type: ignore[arg-type]
    if isinstance(result.exception, LeavenError):
        raise result.exception
    return result


def people(store: str) -> People:
    return People(Store(store))


def test_a_user_is_added_by_a_link_that_works(store: str):
    told = run(users, "add", "Anna", "--role", "admin", "--store", store)
    assert told.exit_code == 0
    assert "'Anna' may come in as admin." in told.stdout
    link = told.stdout.splitlines()[-1]
    assert link.startswith("/welcome#")
    assert people(store).accept(link.partition("#")[2], WORDS) == "Anna"
    url = ("--url", "https://labels.example/", "--json")
    told = run(users, "invite", "anna", "--store", store, *url)
    link = json.loads(told.stdout)["invitation"]
    assert link.startswith("https://labels.example/welcome#")
    assert people(store).welcome(link.partition("#")[2]) == "Anna"


def test_a_password_is_typed_twice_and_not_shown(store: str):
    add = ("add", "anna", "--role", "viewer", "--password", "--store", store)
    told = run(users, *add, typed=f"{WORDS}\n{WORDS}\n")
    assert told.exit_code == 0
    assert "welcome" not in told.stdout
    assert WORDS not in told.output
    assert people(store).users()[0].joined
    with pytest.raises(SettingError, match="'password' must be 12 to 512 signs"):
        run(users, "password", "anna", "--store", store, typed="short\nshort\n")
    differing = run(users, "password", "anna", "--store", store, typed=f"{WORDS}\nother\n")
    assert differing.exit_code == 1
    changed = run(users, "password", "anna", "--store", store, typed=f"{WORDS}!\n{WORDS}!\n")
    assert "signed out everywhere" in changed.stdout


def test_users_are_listed_changed_and_their_changes_told(store: str):
    run(users, "add", "anna", "--role", "admin", "--store", store)
    run(users, "add", "[bold]ben", "--role", "viewer", "--store", store)
    run(users, "role", "[bold]BEN", "reviewer", "--store", store)
    run(users, "disable", "[bold]ben", "--store", store)
    listed = run(users, "list", "--store", store).stdout
    assert "has not come in yet" in listed
    assert "[bold]ben" in listed
    assert "shut out since" in listed
    run(users, "enable", "[bold]ben", "--store", store)
    with pytest.raises(DataError, match="last admin"):
        run(users, "disable", "anna", "--store", store)
    found = json.loads(run(users, "list", "--store", store, "--json").stdout)
    assert [(one["name"], one["role"]) for one in found] == [
        ("[bold]ben", "reviewer"), ("anna", "admin"),
    ]  # fmt: skip
    history = json.loads(run(users, "history", "[bold]ben", "--store", store, "--json").stdout)
    kinds = [one["kind"] for one in history]
    assert kinds == ["enabled", "disabled", "role", "invited", "added"]
    assert "viewer to reviewer" in run(users, "history", "--store", store).stdout


def test_a_token_is_printed_once_and_revoked(store: str):
    told = run(tokens, "new", "job", "--role", "viewer", "--store", store)
    secret = told.stdout.splitlines()[0]
    assert people(store).bearer(secret) is not None
    listed = run(tokens, "list", "--store", store)
    assert secret not in listed.stdout
    assert "ends " in listed.stdout
    assert "used " in listed.stdout
    run(tokens, "revoke", "job", "--store", store)
    assert people(store).bearer(secret) is None
    assert "revoked" in run(tokens, "list", "--store", store).stdout
    forever = run(
        tokens, "new", "job", "--role", "viewer", "--days", "0", "--store", store, "--json"
    )
    assert people(store).bearer(json.loads(forever.stdout)["token"]) is not None
    assert people(store).tokens()[0].expires is None


def test_a_store_that_is_not_there_is_not_made_by_looking(tmp_path: Path):
    missing = tmp_path / "typo.db"
    for words in (("list",), ("disable", "anna"), ("history",)):
        with pytest.raises(DataError, match="There is no store"):
            run(users, *words, "--store", str(missing))
    assert not missing.exists()
