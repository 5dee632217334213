"""The store of a game day: a file or a database of its own, that can be taken away and given back.

- a file of SQLite is held by another process that writes;
- a PostgreSQL that the game day has begun in its own folder is stopped without grace, and begun;
- of a PostgreSQL of the user only the database that the game day has made there is closed, and its
  connections are cut: no other database notices.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from leaven.core.errors import MissingExtraError, SettingError, StoreError
from leaven.operate.gameday.processes import Group

__all__ = ["LITE", "SERVER", "Database", "Place", "place_of"]

#: The names of stores that a game day makes itself.
LITE, SERVER = "sqlite", "postgresql"
_HOLDER = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


class Database(Protocol):
    """One database, of one drill."""

    address: str
    #: How it is taken away, in words.
    fault: str

    def away(self, group: Group) -> AbstractContextManager[None]:
        """While this is entered it is away."""

    def close(self) -> None:
        """Remove it, where it is not in the folder of the game day."""


class Place(Protocol):
    """Where databases are made."""

    kind: str

    def make(self, folder: Path) -> Database:
        """A new one, for a drill with this folder."""

    def close(self) -> None:
        """End what it is made of."""


class _Lite:
    fault = "another process holds the file of the store"

    def __init__(self, file: Path) -> None:
        self._file = file
        self.address = str(file)

    @contextmanager
    def away(self, group: Group) -> Iterator[None]:
        command = [sys.executable, "-c", _HOLDER, str(self._file)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with group.begin(command, **pipes) as holder:
            assert holder.stdout is not None
            if holder.stdout.readline() != "held\n":
                raise StoreError(f"The store '{self._file}' could not be held.")
            yield
            holder.kill()

    def close(self) -> None:
        return


class LitePlace:
    """Files of SQLite."""

    kind = LITE

    def make(self, folder: Path) -> Database:
        """See `Place`."""
        return _Lite(folder / "leaven.db")

    def close(self) -> None:
        """Nothing is left of it but files."""


class OwnServer:
    """A PostgreSQL in a folder of its own. It listens on a socket there alone.

    A shell holds it, which ends it when its input does: also where the game day is killed.
    """

    kind = SERVER
    fault = "PostgreSQL is stopped without grace"

    def __init__(self) -> None:
        self._home = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="gd", dir="/tmp"))  # a socket's path is short
        self._user = "postgres" if os.getuid() == 0 else None  # the server refuses to be root
        if self._user:
            shutil.chown(self._folder, self._user)
        made = [str(self._home / "initdb"), "-D", "data", "-U", "leaven", "-A", "trust", "-N"]
        subprocess.run(
            [*made, "-E", "UTF8", "--locale=C"], check=True, user=self._user, cwd=self._folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._start()

    def make(self, folder: Path) -> Database:
        """See `Place`."""
        return _Owned(self, _created(self._admin))

    def url(self, name: str) -> URL:
        """The address of one of its databases."""
        query = {"host": str(self._folder)}
        return URL.create("postgresql+psycopg", "leaven", database=name, query=query)

    @contextmanager
    def away(self, group: Group) -> Iterator[None]:
        """Stopped meanwhile."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def close(self) -> None:
        """Stop it, and remove its folder."""
        self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _admin(self) -> URL:
        return self.url("postgres")

    def _start(self) -> None:
        postgres = self._home / "postgres"
        served = f"'{postgres}' -D data -k '{self._folder}' -c listen_addresses= <&- & read -r _"
        removed = f"rm -rf '{self._folder}'"  # where nobody is left to remove it
        gone = f"[ -e held ] || {removed}"
        told = ["/bin/sh", "-c", f"{served}; kill -QUIT $!; wait $!; {gone}"]
        self._process = subprocess.Popen(
            told, stdin=subprocess.PIPE, user=self._user, cwd=self._folder, process_group=0,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(600):
            with suppress(StoreError), _connected(self._admin):
                return
            time.sleep(0.05)
        raise StoreError("The game day's PostgreSQL does not answer.")

    def _stop(self) -> None:
        (self._folder / "held").touch()
        self._process.communicate(timeout=60)
        (self._folder / "held").unlink()


class _Owned:
    fault = OwnServer.fault

    def __init__(self, server: OwnServer, name: str) -> None:
        self.address = server.url(name).render_as_string(hide_password=False)
        self.away = server.away

    def close(self) -> None:
        return


class UserServer:
    """Databases of one's own on a PostgreSQL of the user, who may make some.

    Raises StoreError where it cannot be reached or nothing may be made there.
    """

    kind = "postgresql of yours"

    def __init__(self, address: str) -> None:
        self._url = make_url(address).set(drivername="postgresql+psycopg")
        with _connected(self._url):
            pass

    def make(self, folder: Path) -> Database:
        """See `Place`."""
        return _Lent(self._url, _created(self._url))

    def close(self) -> None:
        """Its databases were removed one by one."""


class _Lent:
    fault = "its database is closed, and every connection to it is cut"

    def __init__(self, server: URL, name: str) -> None:
        self._server, self._name = server, name
        self.address = server.set(database=name).render_as_string(hide_password=False)

    @contextmanager
    def away(self, group: Group) -> Iterator[None]:
        self._allow("false")
        try:
            yield
        finally:
            self._allow("true")

    def close(self) -> None:
        with _connected(self._server) as admin:
            admin.execute(text(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)'))

    def _allow(self, whether: str) -> None:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
        with _connected(self._server) as admin:
            admin.execute(text(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS {whether}'))
            admin.execute(text(cut), {"name": self._name})


def place_of(store: str | None) -> Place:
    """Where this game day's databases are made: "sqlite" if not said, "postgresql" for a server of
    its own, or the URL of a PostgreSQL on which it may make databases.

    Raises SettingError for anything else, StoreError where there is none.
    """
    if store in (None, LITE):
        return LitePlace()
    if store == SERVER:
        return OwnServer()
    if str(store).partition("://")[0] in ("postgresql", "postgresql+psycopg"):
        return UserServer(str(store))
    wanted = "sqlite, postgresql (a server of its own), or the URL of a PostgreSQL"
    got = str(store).partition("://")[0]
    raise SettingError("store", wanted, got, "A game day touches no store that is there.")


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    try:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
    except ImportError as missing:
        raise MissingExtraError("postgres", "A store on PostgreSQL") from missing
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as refused:
        said = [line for line in str(refused.orig).splitlines() if line.strip()]
        told = f"The PostgreSQL of this game day refuses: {said[0] if said else 'no reason given'}"
        raise StoreError(told) from refused
    finally:
        engine.dispose()


def _created(server: URL) -> str:
    name = f"leaven_gameday_{secrets.token_hex(6)}"
    with _connected(server) as admin:
        admin.execute(text(f'CREATE DATABASE "{name}"'))
    return name


def _programs() -> Path:
    """Where PostgreSQL's programs are; SettingError where it is not installed."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin")]
    if known := shutil.which("initdb"):
        found.append(Path(known).resolve().parent)
    for folder in found:
        if (folder / "postgres").exists():
            return folder
    fix = "Install it, or give the URL of one."
    raise SettingError("store", "a PostgreSQL that can be begun here", "no program initdb", fix)
