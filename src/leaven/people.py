"""The verbs for who may come in: users and their roles, tokens of programs, and what was changed.

They work on the store itself, so whoever may write it may do all of this; what each role may do
over the network is in `serve.roles`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.core.errors import DataError

if TYPE_CHECKING:
    from leaven.store.people import People

__all__ = [
    "add_user",
    "disable_user",
    "enable_user",
    "history",
    "invitation",
    "invite_user",
    "new_token",
    "revoke_token",
    "set_password",
    "set_role",
    "tokens",
    "users",
]


def add_user(
    store: str | Path, name: str, role: str, *, by: str, password: str | None = None
) -> str:
    """Make a user of a role; returns the secret of an invitation, "" where a password is given.

    By the invitation the user chooses a password that nobody else knows, within a week, once.
    """
    return _people(store, new=True).add(name, role, by=by, password=password)


def users(store: str | Path) -> list[dict[str, Any]]:
    """Name, role, `joined` (has chosen a password), `created` and `disabled` (when) of each."""
    return [asdict(one) for one in _people(store).users()]


def invite_user(store: str | Path, name: str, *, by: str) -> str:
    """The secret of a new invitation, for one whose password is lost."""
    return _people(store).invite(name, by=by)


def set_role(store: str | Path, name: str, role: str, *, by: str) -> None:
    """Give a user another role. DataError where no admin would be left."""
    _people(store).set_role(name, role, by=by)


def disable_user(store: str | Path, name: str, *, by: str) -> None:
    """Shut a user out at once. What they said stays. DataError where no admin would be left."""
    _people(store).disable(name, by=by)


def enable_user(store: str | Path, name: str, *, by: str) -> None:
    """Let a user in again."""
    _people(store).enable(name, by=by)


def set_password(store: str | Path, name: str, password: str, *, by: str) -> None:
    """Give a user another password, which ends all their sessions."""
    _people(store).set_password(name, password, by=by)


def new_token(store: str | Path, name: str, role: str, *, by: str, days: float | None = 90) -> str:
    """The secret of a new token for a program, told this once; None days never end."""
    return _people(store, new=True).new_token(name, role, by=by, days=days)


def tokens(store: str | Path) -> list[dict[str, Any]]:
    """Name, role, and when it was made, ends, was used and revoked, of each; no secrets."""
    return [asdict(one) for one in _people(store).tokens()]


def revoke_token(store: str | Path, name: str, *, by: str) -> None:
    """End a token at once."""
    _people(store).revoke(name, by=by)


def history(store: str | Path, about: str | None = None) -> list[dict[str, Any]]:
    """Who changed what about whom and when, the latest first; who signed in and was refused."""
    return [asdict(one) for one in _people(store).history(about)]


def invitation(secret: str, url: str = "") -> str:
    """The link of an invitation, below the address at which the review page is reached.

    >>> invitation("abc", "https://labels.example/")
    'https://labels.example/welcome#abc'
    """
    return f"{url.rstrip('/')}/welcome#{secret}"


def _people(store: str | Path, *, new: bool = False) -> People:
    """The people of a store, which is made only where somebody is let in."""
    from leaven.store.people import People
    from leaven.store.store import Store

    if not new and "://" not in str(store) and not Path(store).expanduser().is_file():
        raise DataError(
            f"There is no store '{store}'. Name the one beside your runs: --store runs/leaven.db"
        )
    return People(Store(store))
