"""Who may come in: users with their roles, invitations and passwords, tokens of programs.

Each change is one transaction that adds to the history (`people_events`). A transaction is alone
in its scope, so two who change the same people at once do so one after the other, and what either
relies on (somebody is left who is an admin) still holds when it is kept.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from leaven.core.errors import DataError, SettingError, StoreError, UnknownNameError
from leaven.store import audit
from leaven.store.passwords import Cost, check_password, digest, hashed, new_secret
from leaven.store.people_tables import invitations, people_events, sessions, tokens, users
from leaven.store.store import Store

__all__ = ["PEOPLE", "ROLES", "Change", "People", "Token", "User", "covers", "folded"]

#: Each may what those before it may, and more. A viewer sees progress and cards, an annotator
#: answers, a reviewer settles disputes and sees who said what, an operator will look after what
#: is live, an admin lets people in.
ROLES = ("viewer", "annotator", "reviewer", "operator", "admin")

PEOPLE = -1  # the scope in which people are changed
_INVITED = 7 * 86_400.0  # seconds that an invitation holds
_NAME, _FOLDED = 80, 400  # signs at most
_USED = 60.0  # seconds between two notes of when a token was used


@dataclass(frozen=True)
class User:
    """A person. `joined` once a password was chosen; `disabled` is when, or None."""

    name: str
    role: str
    joined: bool
    created: float
    disabled: float | None


@dataclass(frozen=True)
class Token:
    """What lets a program in; without its secret, which nobody has but who made it."""

    name: str
    role: str
    created: float
    expires: float | None
    used: float | None
    revoked: float | None


@dataclass(frozen=True)
class Change:
    """One step of the history: who did what to whom."""

    at: float
    person: str
    kind: str
    about: str
    note: str | None


def covers(role: str, least: str) -> bool:
    """Whether a role may what needs at least that one.

    >>> covers("reviewer", "annotator"), covers("viewer", "annotator"), covers("nobody", "viewer")
    (True, False, False)
    """
    return role in ROLES and ROLES.index(role) >= ROLES.index(least)


def folded(name: str) -> str:
    """The name without case and kind of signs: two users never share it.

    >>> folded("\N{FULLWIDTH LATIN CAPITAL LETTER A}nna") == folded("ANNA")
    True
    """
    whole = name.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return unicodedata.normalize("NFKC", whole.strip()).casefold()


class People:
    """The people of a store.

    Parameters
    ----------
    clock : seconds since 1970.
    cost : of the passwords that are chosen from now on.
    """

    def __init__(
        self, store: Store, *, clock: Callable[[], float] = time.time, cost: Cost | None = None
    ) -> None:
        self.store, self.clock, self.cost = store, clock, cost or Cost()

    # Users

    def users(self) -> list[User]:
        """All of them, by name, those who are disabled as well."""
        with self.store.read() as connection:
            rows = connection.execute(select(users).order_by(users.c.folded)).all()
        return [_user(row) for row in rows]

    def add(self, name: str, role: str, *, by: str, password: str | None = None) -> str:
        """Make a user; returns the secret of an invitation, or with a password nothing ("").

        SettingError for a name that somebody has.
        """
        name = _checked_name(name)
        _check_role(role)
        kept = self._hashed(password, name) if password is not None else None
        with self.store.write(PEOPLE) as connection:
            self._check_free(connection, name, ever=True)
            row = {
                "name": name, "folded": folded(name), "role": role, "password": kept,
                "created": self.clock(),
            }  # fmt: skip
            id_ = connection.execute(insert(users).returning(users.c.id), row).scalar_one()
            self.note(connection, by, "added", name, role)
            return "" if kept else self._invited(connection, id_, by, name)

    def invite(self, name: str, *, by: str) -> str:
        """The secret of a new invitation, by which this user chooses a password; ends older ones.

        The password that they have serves until then.
        """
        with self.store.write(PEOPLE) as connection:
            row = self.find(connection, name)
            if row.disabled is not None:
                raise DataError(f"'{row.name}' is disabled. Enable them first.")
            return self._invited(connection, row.id, by, row.name)

    def set_role(self, name: str, role: str, *, by: str) -> None:
        """Give a user another role. DataError where no admin would be left."""
        _check_role(role)
        with self.store.write(PEOPLE) as connection:
            row = self.find(connection, name)
            if row.role == role:
                return
            self._check_admins(connection, row, role == "admin")
            connection.execute(update(users).where(users.c.id == row.id).values(role=role))
            self.note(connection, by, "role", row.name, f"{row.role} to {role}")

    def disable(self, name: str, *, by: str) -> None:
        """Shut a user out at once: sessions and invitations end. What they said stays.

        DataError where no admin would be left.
        """
        with self.store.write(PEOPLE) as connection:
            row = self.find(connection, name)
            if row.disabled is not None:
                return
            self._check_admins(connection, row, False)
            told = {"disabled": self.clock()}
            connection.execute(update(users).where(users.c.id == row.id).values(told))
            self._shut(connection, row.id)
            self.note(connection, by, "disabled", row.name)

    def enable(self, name: str, *, by: str) -> None:
        """Let a user in again who was disabled."""
        with self.store.write(PEOPLE) as connection:
            row = self.find(connection, name)
            if row.disabled is None:
                return
            connection.execute(update(users).where(users.c.id == row.id).values(disabled=None))
            self.note(connection, by, "enabled", row.name)

    def set_password(self, name: str, password: str, *, by: str) -> None:
        """Give a user another password; all their sessions and invitations end."""
        kept = self._hashed(password, name)
        with self.store.write(PEOPLE) as connection:
            row = self.find(connection, name)
            self._keep_password(connection, row, kept, by)

    def welcome(self, secret: str) -> str | None:
        """The name of whom this invitation is for; None where it does not hold."""
        with self.store.read() as connection:
            row = self._invitation(connection, secret)
        return row.name if row else None

    def accept(self, secret: str, password: str) -> str:
        """Choose a password by an invitation, which is used up; returns the user's name.

        DataError where it does not hold (any more).
        """
        name = self.welcome(secret)
        kept = self._hashed(password, name) if name else ""
        with self.store.write(PEOPLE) as connection:
            row = self._invitation(connection, secret)
            if row is None or not kept:
                raise DataError(
                    "This invitation was used, has ended or is none. Ask an admin for another."
                )
            self._keep_password(connection, row, kept, row.name)
            return str(row.name)

    # Tokens

    def new_token(self, name: str, role: str, *, by: str, days: float | None = 90) -> str:
        """The secret of a new token, which is told this once; None days never end.

        A program answers under its token's name, so nobody else has it.
        """
        name = _checked_name(name)
        _check_role(role)
        if days is not None and not 0 < days <= 36_500:
            raise SettingError("days", "more than 0, and at most 36 500", days)
        secret, now = f"leaven_{new_secret()}", self.clock()
        with self.store.write(PEOPLE) as connection:
            self._check_free(connection, name)
            row = {
                "name": name, "folded": folded(name), "hash": digest(secret), "role": role,
                "created": now, "expires": None if days is None else now + days * 86_400,
            }  # fmt: skip
            connection.execute(insert(tokens).values(row))
            self.note(connection, by, "token", name, role)
        return secret

    def tokens(self) -> list[Token]:
        """All of them, the newest first, those that are revoked as well."""
        with self.store.read() as connection:
            rows = connection.execute(select(tokens).order_by(tokens.c.id.desc())).all()
        names = Token.__dataclass_fields__
        return [Token(**{name: getattr(row, name) for name in names}) for row in rows]

    def revoke(self, name: str, *, by: str) -> None:
        """End a token. UnknownNameError where none of this name is there that could be used."""
        with self.store.write(PEOPLE) as connection:
            mine = (tokens.c.folded == folded(name)) & tokens.c.revoked.is_(None)
            ended = update(tokens).where(mine).values(revoked=self.clock())
            found = connection.execute(ended.returning(tokens.c.name)).scalars().all()
            if not found:
                left = select(tokens.c.name).where(tokens.c.revoked.is_(None))
                raise UnknownNameError("token", name, connection.execute(left).scalars())
            self.note(connection, by, "revoked", found[0])

    def bearer(self, secret: str) -> Token | None:
        """The token of this secret, where it holds; notes now and then that it was used."""
        now = self.clock()
        mine = tokens.c.hash == digest(secret)
        with self.store.read() as connection:
            row = connection.execute(select(tokens).where(mine)).one_or_none()
        if row is None or row.revoked is not None or now >= (row.expires or now + 1):
            return None
        if now - (row.used or 0.0) > _USED:
            with suppress(StoreError), self.store.write(PEOPLE) as connection:
                connection.execute(update(tokens).where(mine).values(used=now))
        return Token(**{name: getattr(row, name) for name in Token.__dataclass_fields__})

    # What has happened

    def history(self, about: str | None = None, *, most: int = 1000) -> list[Change]:
        """The latest changes, the latest first; of one person or token, or of all."""
        query = select(people_events).order_by(people_events.c.id.desc()).limit(most)
        if about is not None:
            query = query.where(people_events.c.about == about)
        with self.store.read() as connection:
            rows = connection.execute(query).all()
        return [Change(row.at, row.person, row.kind, row.about, row.note) for row in rows]

    # What those need who share its transactions

    def note(
        self, connection: Connection, by: str, kind: str, about: str, note: str | None = None
    ) -> None:
        """Add to the history, and to the audit log."""
        now = self.clock()
        row = {"at": now, "person": by, "kind": kind, "about": about, "note": note}
        connection.execute(insert(people_events).values(row))
        audit.note(connection, by, f"people.{kind}", about, row, at=now)

    def find(self, connection: Connection, name: str) -> Any:
        """The user's row; UnknownNameError where there is none."""
        query = select(users).where(users.c.folded == folded(name))
        row = connection.execute(query).one_or_none()
        if row is None:
            names = connection.execute(select(users.c.name)).scalars()
            raise UnknownNameError("user", name, names)
        return row

    # How it is kept

    def _hashed(self, password: str, name: str) -> str:
        check_password(password, name)
        return hashed(password, self.cost)

    def _keep_password(self, connection: Connection, row: Any, kept: str, by: str) -> None:
        if row.disabled is not None:
            raise DataError(f"'{row.name}' is disabled. Enable them first.")
        connection.execute(update(users).where(users.c.id == row.id).values(password=kept))
        self._shut(connection, row.id)
        self.note(connection, by, "joined" if row.password is None else "password", row.name)

    def _shut(self, connection: Connection, user: int) -> None:
        """End the sessions and invitations of a user."""
        for table in (sessions, invitations):
            connection.execute(delete(table).where(table.c.user == user))

    def _invited(self, connection: Connection, user: int, by: str, name: str) -> str:
        secret = new_secret()
        connection.execute(delete(invitations).where(invitations.c.user == user))
        row = {"hash": digest(secret), "user": user, "expires": self.clock() + _INVITED}
        connection.execute(insert(invitations).values(row))
        self.note(connection, by, "invited", name)
        return secret

    def _invitation(self, connection: Connection, secret: str) -> Any:
        """The row of the user whom it is for; None where it does not hold."""
        query = select(users).join(invitations, invitations.c.user == users.c.id)
        mine = invitations.c.hash == digest(secret)
        query = query.where(mine, invitations.c.expires > self.clock(), users.c.disabled.is_(None))
        return connection.execute(query).one_or_none()

    def _check_free(self, connection: Connection, name: str, *, ever: bool = False) -> None:
        """No user has this name, nor a token that lets in (or `ever` did): it answers under it."""
        same, now = folded(name), self.clock()
        held = select(func.count()).select_from(users).where(users.c.folded == same)
        named = select(func.count()).select_from(tokens).where(tokens.c.folded == same)
        if not ever:
            ends = or_(tokens.c.expires.is_(None), tokens.c.expires > now)
            named = named.where(tokens.c.revoked.is_(None), ends)
        if connection.execute(held).scalar_one() or connection.execute(named).scalar_one():
            raise SettingError("name", "one that nobody has", name, "Names differ without case.")

    def _check_admins(self, connection: Connection, row: Any, stays: bool) -> None:
        """DataError where this user is the last who can let people in, and would not stay so."""
        if row.role != "admin" or stays:
            return
        left = select(func.count()).select_from(users)
        left = left.where(users.c.role == "admin", users.c.disabled.is_(None), users.c.id != row.id)
        if row.password is not None:  # one who never came in cannot stand in for one who did
            left = left.where(users.c.password.is_not(None))
        if row.disabled is None and not connection.execute(left).scalar_one():
            raise DataError(
                f"'{row.name}' is the last admin, and somebody must be left to let people in. "
                "Make another user admin first."
            )


def _user(row: Any) -> User:
    return User(row.name, row.role, row.password is not None, row.created, row.disabled)


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise UnknownNameError("role", role, ROLES)


def _checked_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name.strip())
    hidden = any(unicodedata.category(sign) in ("Zl", "Zp") or unicodedata.category(sign)[0] == "C"
                 for sign in name)  # fmt: skip
    if hidden or not name or len(name) > _NAME or len(folded(name)) > _FOLDED:
        raise SettingError("name", f"a name of 1 to {_NAME} printable characters", name)
    return name
