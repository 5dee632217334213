"""A database by its address: opened, brought to the present schema, read and written.

A transaction that writes is alone in its scope: SQLite begins it as the one writer, PostgreSQL
takes an advisory lock. So what was read in it still holds when it is committed, on both alike.
What has been committed is on the disk (`synchronous=FULL`).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    QueuePool,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from leaven.core.errors import DataError, MissingExtraError, SettingError, StoreError
from leaven.core.sealing import encryption_keys

__all__ = ["RUNS", "STORE", "Store", "store_at", "take_turn"]

#: The store that is used where none is named, beside the runs; and where runs are by default.
STORE, RUNS = "leaven.db", "runs"

_WAIT = 20.0  # seconds that a writer waits for another
_OUR_LOCK = 0x1EAE  # the first half of the advisory locks' numbers
_STEPS = threading.Lock()  # Alembic keeps what it is at in globals of the process
_SQLITE = ("sqlite", "sqlite+pysqlite")
_POSTGRES = ("postgresql", "postgresql+psycopg")


class Store:
    """One database. Threads may share a `Store`; each process opens its own.

    >>> with Store("sqlite://").read() as connection:
    ...     connection.execute(text("SELECT count(*) FROM queues")).scalar_one()
    0
    """

    def __init__(self, address: str | Path) -> None:
        """Open it, and make or bring up its tables.

        Parameters
        ----------
        address : a file for SQLite, or an SQLAlchemy URL: `sqlite:///FILE`,
            `postgresql+psycopg://USER@HOST/NAME`. `sqlite://` is kept in memory.

        Raises SettingError for an address that is none, StoreError where it cannot be opened, and
        MissingExtraError without the driver that it needs.
        """
        encryption_keys()  # a wrong one is told of before anything is written
        url = _url(address)
        self.address = str(address)
        self._shown = _shown(url)
        self._engine = _engine(url)
        self._lite = self._engine.dialect.name == "sqlite"
        with _told(self._shown):
            self._bring_up()

    def __repr__(self) -> str:
        return f"Store({self._shown!r})"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database."""
        with _told(self._shown), self._engine.connect() as connection:
            if not self._lite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def write(self, scope: int = 0) -> Iterator[Connection]:
        """A transaction that no other of the same scope overlaps; all of it is kept, or nothing.

        StoreError where it cannot be kept: nothing of it then is.
        """
        with _told(self._shown), self._engine.connect() as connection:
            connection = connection.execution_options(leaven_writes=True)
            with connection.begin():
                take_turn(connection, scope)
                yield connection

    def compact(self, tables: Iterable[str]) -> None:
        """Leave nothing in the database's files of rows of these tables that stand no more so.

        StoreError where others hold it, so that this is not done.
        """
        with _told(self._shown), self._engine.connect() as connection:
            if not self._lite:
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                for name in tables:
                    connection.execute(text(f'VACUUM FULL "{name}"'))
                return
            plain = connection.connection.driver_connection
            assert isinstance(plain, sqlite3.Connection)
            try:
                plain.execute("VACUUM").close()
                held = plain.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.OperationalError:
                held = 1
            if held:
                raise StoreError(
                    f"'{self._shown}' is held by others, and its file or its log has what stood in "
                    "it before. End what works on it, and try again."
                )

    def close(self) -> None:
        """Let go of its connections."""
        self._engine.dispose()

    def _bring_up(self) -> None:
        from leaven.store.audit import begin  # which knows this module

        config = Config()
        steps = str(Path(__file__).parent / "migrations").replace("%", "%%")  # as its files have it
        config.set_main_option("script_location", steps)
        newest = ScriptDirectory.from_config(config).get_current_head()
        with self.read() as connection:
            if MigrationContext.configure(connection).get_current_revision() == newest:
                return
        with _STEPS, self.write() as connection:
            config.attributes["connection"] = connection
            has_log = inspect(connection).has_table("audit")
            try:
                command.upgrade(config, "head")
            except CommandError as unknown:
                raise StoreError(
                    f"'{self._shown}' is of a newer Leaven: {unknown}. Use that one."
                ) from unknown
            begin(connection, new=not has_log, at=time.time())


def take_turn(connection: Connection, scope: int) -> None:
    """Wait until no other transaction is in this scope, and be in it alone to the end of this one.

    SQLite has one writer anyhow. Who takes several turns takes them in one order, lest two wait for
    each other.
    """
    if connection.dialect.name != "sqlite":
        lock = text("SELECT pg_advisory_xact_lock(:ours, :scope)")
        connection.execute(lock, {"ours": _OUR_LOCK, "scope": scope})


def store_at(address: str | Path | None, otherwise: str) -> Store:
    """The store at a file or URL, by default that in `runs`; DataError, `otherwise`, for none."""
    found = Path(RUNS) / STORE if address is None else address
    if "://" not in str(found) and not Path(found).expanduser().is_file():
        raise DataError(f"{otherwise}: there is no store '{found}'.")
    return Store(found)


def _url(address: str | Path) -> URL:
    """The URL of an address; a bare path is an SQLite file. What is refused is not repeated: it
    may hold a password."""
    told = str(address)
    scheme, sign, _ = told.partition("://")
    wanted = "a file, sqlite:///FILE or postgresql+psycopg://…"
    try:
        told.encode()
        if "\0" in told or not told:
            raise ValueError
        if not sign:
            return URL.create("sqlite", database=str(Path(told).expanduser()))
        url = make_url(told)
    except (ArgumentError, ValueError):
        raise SettingError("store", wanted, f"{scheme}{sign}…" if sign else told) from None
    if url.drivername not in _SQLITE + _POSTGRES:
        raise SettingError("store", wanted, f"{scheme}://…")
    return url.set(drivername=_POSTGRES[1]) if url.drivername in _POSTGRES else url


def _engine(url: URL) -> Engine:
    try:
        engine = create_engine(url, **_engine_settings(url))
    except ImportError as missing:
        raise MissingExtraError("postgres", "A store on PostgreSQL") from missing
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _engine_settings(url: URL) -> dict[str, Any]:
    kept: dict[str, Any] = {"poolclass": QueuePool, "pool_timeout": _WAIT}
    if url.get_backend_name() == "postgresql":
        told: dict[str, Any] = {"connect_timeout": int(_WAIT)}
        if "options" not in url.query:
            told["options"] = f"-c lock_timeout={_WAIT * 1000:.0f}"
        # A connection that was cut is noticed before it is used again, not by a person's answer.
        return kept | {"pool_pre_ping": True, "connect_args": told}
    if url.database in (None, "", ":memory:") or url.query.get("mode") == "memory":
        # Its connection is the database: one, which the threads take in turn.
        once = {"pool_size": 1, "max_overflow": 0}
        return kept | once | {"connect_args": {"timeout": _WAIT, "check_same_thread": False}}
    return kept | {"connect_args": {"timeout": _WAIT}}


def _set_up_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # it is we who begin
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        try:
            connection.execute(f"PRAGMA {pragma}").close()
        except sqlite3.OperationalError:  # a file that may only be read keeps its journal
            if not pragma.startswith("journal_mode"):
                raise


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("leaven_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _told(place: str) -> Iterator[None]:
    """Turn what a driver raises into a sentence for the person who waits."""
    try:
        yield
    except PoolTimeoutError as failed:
        raise StoreError(_reason("locked", place)) from failed
    except DBAPIError as failed:
        if failed.connection_invalidated:
            raise StoreError(
                f"The connection to the store '{place}' broke. Whether this was kept is not "
                "certain: send it again."
            ) from failed
        raise StoreError(_reason(str(failed.orig), place)) from failed


def _shown(url: URL) -> str:
    """The address without its passwords."""
    secret = [name for name in url.query if "pass" in name.lower()]
    return url.difference_update_query(secret).render_as_string(hide_password=True)


def _reason(said: str, place: str) -> str:
    known = (
        ("readonly", "may only be read. Give this user the right to write it."),
        ("read-only", "may only be read. Give this user the right to write it."),
        ("disk is full", "has no room: the disk is full. Free some and try again."),
        ("No space left", "has no room: the disk is full. Free some and try again."),
        ("locked", f"is held by others for over {_WAIT:.0f} s. Try again."),
        ("lock timeout", f"is held by others for over {_WAIT:.0f} s. Try again."),
        ("unable to open", "cannot be opened. Does its folder exist, and may this user write it?"),
        ("not a database", "is no database. Name another file, or restore this one."),
        ("malformed", "is damaged. Restore it from a backup."),
        ("disk I/O error", "cannot be read or written: the disk reports an error."),
    )
    for sign, sentence in known:
        if sign in said:
            return f"The store '{place}' {sentence} Nothing of this was kept."
    first = said.strip().splitlines()[0] if said.strip() else "no reason given"
    return f"The store '{place}' cannot be used: {first}. Nothing of this was kept."
