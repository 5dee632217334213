"""The audit log: what was done, by whom, as a chain that cannot be changed without being noticed.

Each entry has a hash of itself and of the hash of the entry before it. So who changes, removes or
adds one has to write all later ones anew, and their last hash is then another than the one that
somebody else has kept. (Schneier and Kelsey 1999, "Secure audit logs to support computer
forensics"; the chain without their keys.) What a chain alone does not show is that its end was cut
off, or that all of it was written anew: therefore keep its `Head` elsewhere, signed.

An entry is written in the transaction of the act that it tells of: either both are kept, or
neither. Whoever writes one takes a turn (`store.take_turn`) that nobody else has until then, as the
last thing that they wait for.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select

from leaven.core.errors import SettingError
from leaven.store.audit_tables import audit
from leaven.store.histories import BEGAN, HISTORIES, Told, strayed
from leaven.store.store import Store, take_turn

__all__ = ["AuditLog", "Checked", "Entry", "Fault", "Head", "begin", "note"]

_TURN = -2  # the scope in which the chain grows
_FIRST = "0" * 64  # stands for the entry before the first
_ROWS = 5_000  # that are read at once


@dataclass(frozen=True)
class Entry:
    """One act. `details` is canonical JSON: sorted keys, no spaces, ASCII."""

    number: int
    at: float
    who: str
    what: str
    about: str
    details: str
    previous: str
    hash: str

    def hashed(self) -> str:
        """The hash that an entry of this content has."""
        told = [
            self.number, self.at, self.who, self.what, self.about, self.details, self.previous,
        ]  # fmt: skip
        # What somebody else wrote into a row may be of any type, and then has another hash.
        return hashlib.sha256(_json(told, default=repr).encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Head:
    """The last entry of a log at some time: enough to tell later whether it is still in it.

    `number` is 0 where only the hash was kept.
    """

    number: int
    hash: str


@dataclass(frozen=True)
class Fault:
    """What is wrong with a log: its first broken entry, and how it differs from what was."""

    number: int
    why: str


@dataclass(frozen=True)
class Checked:
    """What was read of a log: how many entries were whole, from when to when, and the first fault.

    Nothing vouches for what is older than the log.
    """

    entries: int
    began: float | None
    ended: float | None
    head: Head | None
    fault: Fault | None


def note(
    connection: Connection,
    who: str,
    what: str,
    about: str = "",
    details: Mapping[str, Any] | None = None,
    *,
    at: float,
) -> Entry:
    """Add an entry, in the transaction of the act; it is kept if that is.

    Parameters
    ----------
    connection : of `Store.write`, which has its scope already.
    what : domain and act, as `release.live`.
    about : whom or what the act concerned.
    details : whatever else JSON can hold; no content of records, for an entry stays.
    at : seconds since 1970.
    """
    take_turn(connection, _TURN)
    newest = select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1)
    last = connection.execute(newest).one_or_none()
    blank = Entry(
        last.number + 1 if last else 1,
        float(at),
        _plain(who),
        what,
        _plain(about),
        _json(details or {}),
        last.hash if last else _FIRST,
        "",
    )
    row = {name: getattr(blank, name) for name in Entry.__dataclass_fields__}
    row["hash"] = blank.hashed()
    connection.execute(insert(audit).values(row))
    return Entry(**row)


def begin(connection: Connection, *, new: bool, at: float) -> None:
    """Say which rows of the histories are older than what the log knows of them, once of each.

    Of a `new` log this is the first entry. Nothing is written where all have begun, or into a log
    that is not new and has no beginning: it was emptied, which a check is to find.
    """
    past = connection.execute(select(audit.c.details).where(audit.c.what == BEGAN)).scalars()
    begun = {name for details in past for name in _values(details)}
    if not new and not begun:
        return
    told = {}
    for name, history in HISTORIES.items():
        if name not in begun:
            last = select(func.coalesce(func.max(history.table.c.id), 0))
            told[name] = int(connection.execute(last).scalar_one())
    if told:
        note(connection, "leaven", BEGAN, "", told, at=at)


class AuditLog:
    """The audit log of a store.

    Parameters
    ----------
    clock : seconds since 1970.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self.store, self._clock = store, clock

    def add(
        self, who: str, what: str, about: str = "", details: Mapping[str, Any] | None = None
    ) -> Entry:
        """An entry of an act that changes nothing in the store, as an export."""
        with self.store.write() as connection:
            return note(connection, who, what, about, details, at=self._clock())

    def head(self) -> Head:
        """The last entry; SettingError where the log has none, which then was emptied."""
        newest = select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1)
        with self.store.read() as connection:
            row = connection.execute(newest).one_or_none()
        if row is None:
            raise SettingError("store", "one whose audit log has its first entry", "an empty log")
        return Head(row.number, row.hash)

    def entries(
        self, *, who: str | None = None, what: str = "", about: str | None = None, most: int = 50
    ) -> list[Entry]:
        """The latest entries, the latest first.

        Parameters
        ----------
        who, about : only of these.
        what : only acts that begin so.
        """
        query = select(audit).order_by(audit.c.number.desc()).limit(most)
        for column, wanted in ((audit.c.who, who), (audit.c.about, about)):
            if wanted is not None:
                query = query.where(column == _plain(wanted))
        if what:
            query = query.where(audit.c.what.startswith(_plain(what), autoescape=True))
        with self.store.read() as connection:
            return [Entry(*row) for row in connection.execute(query)]

    def check(self, kept: Head | None = None) -> Checked:
        """Read all of it, and hold it against itself, the histories, and a head that was kept.

        Memory stays the same however long the log is. It sees one state of the store, whatever is
        written meanwhile.
        """
        walk = _Walk(kept)
        with self.store.read() as connection:
            stray = strayed(connection, walk.over(_rows(connection)))
        fault = walk.fault or (Fault(*stray) if stray else walk.missed())
        began, last = walk.began, walk.last
        if last is None:
            return Checked(0, None, None, None, fault)
        return Checked(walk.entries, began, last.at, Head(last.number, last.hash), fault)


class _Walk:
    """One passage over a log, which ends at the first fault."""

    def __init__(self, kept: Head | None) -> None:
        self._kept, self._met = kept, kept is None
        self.entries = 0
        self.began: float | None = None
        self.last: Entry | None = None
        self.fault: Fault | None = None

    def over(self, entries: Iterable[Entry]) -> Iterator[Told]:
        """What entries tell of the histories, once they were seen to be whole."""
        for entry in entries:
            if why := self._broken(entry) or self._replaced(entry):
                self.fault = Fault(self.entries + 1, why)
                return
            self.entries, self.last = self.entries + 1, entry
            domain = str(entry.what).partition(".")[0]
            if entry.what == BEGAN:
                domain = ""
                self.began = entry.at if self.began is None else self.began
            if not domain or domain in HISTORIES:
                yield Told(domain, entry.number, _values(entry.details))

    def missed(self) -> Fault | None:
        """That there is nothing, or that what was kept is not in it."""
        if self.last is None:
            return Fault(1, "It is missing: the log was emptied.")
        if self._met or self._kept is None:
            return None
        if self._kept.number:
            lost = f"the log had {self._kept.number} entries, and its end was cut off"
        else:
            lost = "no entry has the hash that was kept, so the log was cut off or written anew"
        return Fault(self.last.number + 1, f"It is missing: {lost}.")

    def _broken(self, entry: Entry) -> str:
        """Why this cannot be the next entry; "" where it can."""
        number, previous = (self.last.number, self.last.hash) if self.last else (0, _FIRST)
        if entry.number != number + 1:
            return f"It is missing: {entry.number} comes next."
        if entry.previous != previous:
            return (
                f"It was written after another entry {number} than the one that stands there: one "
                "of the two was replaced."
                if number
                else "It says that others came before it: they were removed."
            )
        if entry.hash != entry.hashed():
            return (
                "Its content is not what was written: time, who, what, about or details were "
                "changed, or its hash was."
            )
        return ""

    def _replaced(self, entry: Entry) -> str:
        """Why this is not the entry that was kept; "" where it may be."""
        kept = self._kept
        if kept is None or kept.number not in (0, entry.number):
            return ""
        self._met |= entry.hash == kept.hash
        return _REPLACED if kept.number and not self._met else ""


_REPLACED = (
    "It is another than the one whose hash was kept: this entry, or one before it, was changed and "
    "all later ones written anew."
)


def _rows(connection: Connection) -> Iterator[Entry]:
    """All entries in order, some at a time."""
    after = None
    while True:
        query = select(audit).order_by(audit.c.number).limit(_ROWS)
        rows = connection.execute(query if after is None else query.where(audit.c.number > after))
        found = [Entry(*row) for row in rows]
        yield from found
        if len(found) < _ROWS:
            return
        after = found[-1].number


def _values(details: str) -> Mapping[str, Any]:
    """What details tell; nothing where somebody wrote them who could not."""
    try:
        told = json.loads(details)
    except (ValueError, TypeError):
        return {}
    return told if isinstance(told, dict) else {}


def _plain(text: str) -> str:
    """The text as every database can keep it."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _json(told: object, default: Callable[[Any], str] | None = None) -> str:
    return json.dumps(told, sort_keys=True, separators=(",", ":"), default=default)
