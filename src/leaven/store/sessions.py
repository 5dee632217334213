"""Signing in: a password is judged, a browser gets a session, and both can be ended at any time."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update

from leaven.core.errors import DataError, StoreError
from leaven.core.wording import duration
from leaven.store.passwords import (
    check_password,
    digest,
    hashed,
    is_right,
    new_secret,
    stranger,
)
from leaven.store.people import PEOPLE, People, folded
from leaven.store.people_tables import sessions, users
from leaven.store.throttle import forgive, wait

__all__ = ["Signed", "Sessions", "SignInError"]

_IDLE = 8 * 3600.0  # seconds unused after which a session ends
_LONGEST = 7 * 86_400.0  # seconds after which it ends however much it is used
_NOTED = 60.0  # seconds between two notes of its use
_MOST = 20  # of one user


class SignInError(DataError):
    """Nobody was let in; `seconds` is for how long no further try counts."""

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass(frozen=True)
class Signed:
    """Who a session belongs to."""

    name: str
    role: str


class Sessions:
    """The browsers that are signed in. What is kept of a cookie cannot be made into one."""

    def __init__(self, people: People) -> None:
        self.people, self.store = people, people.store

    def sign_in(
        self, name: str, password: str, *, address: str, before: str | None = None
    ) -> tuple[Signed, str]:
        """Judge a password; returns who it is, and the cookie of a new session.

        A name that nobody has takes as long as a wrong password and is answered alike.

        Parameters
        ----------
        address : where it comes from, see `throttle`.
        before : the cookie of the session that this browser had, which ends.

        Raises SignInError: wrong, or too soon after others that were.
        """
        row, kept = self._judged(name, password, address)
        with self.store.write(PEOPLE) as connection:
            now = self.people.clock()
            same = users.c.id == row.id
            alive = select(users).where(same, users.c.disabled.is_(None))
            row_now = connection.execute(alive).one_or_none()
            if row_now is None or row_now.password != row.password:  # changed while we judged
                raise SignInError(_WRONG)
            if kept is not None:  # at the cost that passwords have now
                connection.execute(update(users).where(same).values(password=kept))
            forgive(connection, folded(name), address, now)
            cookie = self._begun(connection, row.id, before)
            self.people.note(connection, row.name, "signed in", row.name, address[:80])
        return Signed(row.name, row_now.role), cookie

    def begin(self, name: str, *, before: str | None = None) -> str:
        """The cookie of a new session for a user who has just shown who they are otherwise."""
        with self.store.write(PEOPLE) as connection:
            row = self.people.find(connection, name)
            if row.disabled is not None:
                raise SignInError(_WRONG)
            cookie = self._begun(connection, row.id, before)
            self.people.note(connection, row.name, "signed in", row.name)
        return cookie

    def who(self, cookie: str) -> Signed | None:
        """Whose session this is; None for one that has ended, or never was."""
        now = self.people.clock()
        mine = sessions.c.hash == digest(cookie)
        query = (
            select(users.c.name, users.c.role, sessions.c.seen)
            .join(users, users.c.id == sessions.c.user)
            .where(mine, sessions.c.expires > now, sessions.c.seen > now - _IDLE)
            .where(users.c.disabled.is_(None))
        )
        with self.store.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        if now - row.seen > _NOTED:
            with suppress(StoreError), self.store.write(PEOPLE) as connection:
                connection.execute(update(sessions).where(mine).values(seen=now))
        return Signed(row.name, row.role)

    def sign_out(self, cookie: str) -> None:
        """End this session."""
        with self.store.write(PEOPLE) as connection:
            mine = sessions.c.hash == digest(cookie)
            user = connection.execute(delete(sessions).where(mine).returning(sessions.c.user))
            if (id_ := user.scalar()) is not None:
                name = connection.execute(select(users.c.name).where(users.c.id == id_)).scalar()
                self.people.note(connection, str(name), "signed out", str(name))

    def change_password(self, name: str, old: str, new: str, *, address: str) -> str:
        """Another password for who knows the old one; returns a cookie, all other sessions end."""
        check_password(new, name)
        self._judged(name, old, address)
        with self.store.write(PEOPLE) as connection:
            forgive(connection, folded(name), address, self.people.clock())
        self.people.set_password(name, new, by=name)
        return self.begin(name)

    def _judged(self, name: str, password: str, address: str) -> tuple[Any, str | None]:
        """The user's row, and what to keep of the password where it is kept at an older cost."""
        cost, same = self.people.cost, folded(name)
        with self.store.write(PEOPLE) as connection:
            left = wait(connection, same, address, self.people.clock())
            row = connection.execute(select(users).where(users.c.folded == same)).one_or_none()
        if left > 0:
            raise SignInError(f"Too many wrong passwords. Try again in {duration(left + 1)}.", left)
        known = row if row is not None and row.disabled is None else None
        kept = known.password if known is not None else None
        right, is_new = is_right(password, kept or stranger(cost), cost)
        if not kept or not right:
            # A name that nobody has is not repeated: it may be a password in the wrong field.
            about = "?" if row is None else row.name
            with self.store.write(PEOPLE) as connection:
                self.people.note(connection, "?", "refused", about, address[:80])
            raise SignInError(_WRONG)
        return known, None if is_new else hashed(password, cost)

    def _begun(self, connection: Connection, user: int, before: str | None) -> str:
        now, cookie = self.people.clock(), new_secret()
        over = or_(sessions.c.expires <= now, sessions.c.seen <= now - _IDLE)
        connection.execute(delete(sessions).where(over))
        if before is not None:
            connection.execute(delete(sessions).where(sessions.c.hash == digest(before)))
        newest = select(sessions.c.hash).where(sessions.c.user == user)
        newest = newest.order_by(sessions.c.created.desc()).offset(_MOST - 1)
        for old in connection.execute(newest).scalars().all():
            connection.execute(delete(sessions).where(sessions.c.hash == old))
        row = {"hash": digest(cookie), "user": user, "created": now, "seen": now}
        connection.execute(insert(sessions).values(row | {"expires": now + _LONGEST}))
        return cookie


_WRONG = "This name and this password do not belong together."
