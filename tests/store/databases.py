"""Real databases for the tests of the store and the queue: SQLite files and one PostgreSQL server.

A plugin: a test module that says `pytest_plugins = ["tests.store.databases"]` has its fixtures.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from leaven.store.store import Store
from tests.store.history import Clock

MakeAddress = Callable[..., str]


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[MakeAddress]:
    """A server of its own for this session; each call gives the address of a new database.

    The new one is empty, or a copy of the one whose address is given, which nobody may have open.
    It listens on a socket in its folder alone. A shell holds it, which ends it when its input
    does: also when the tests are killed.
    """
    home = _programs()
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path is short
    user = "postgres" if os.getuid() == 0 else None  # the server refuses to be root
    if user:
        shutil.chown(folder, user)
    told = {"user": user, "cwd": folder, "stderr": subprocess.DEVNULL}
    made = [home / "initdb", "-D", "data", "-U", "leaven", "-A", "trust", "-E", "UTF8", "-N"]
    subprocess.run([*made, "--locale=C"], check=True, stdout=subprocess.DEVNULL, **told)
    served = f"'{home / 'postgres'}' -D data -F -k '{folder}' -c listen_addresses= <&- & read -r _"
    shell = ["sh", "-c", f"{served}; kill -QUIT $!; wait $!"]
    server = subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, **told)
    try:
        admin = create_engine(
            f"postgresql+psycopg://leaven@/postgres?host={folder}", isolation_level="AUTOCOMMIT"
        )
        for left in range(200, -1, -1):
            try:
                admin.connect().close()
                break
            except Exception:
                if not left or server.poll() is not None:
                    raise
                time.sleep(0.05)
        number = itertools.count()

        def make(copied: str = "") -> str:
            name = f"n{next(number)}"
            whole = f" TEMPLATE {make_url(copied).database}" if copied else ""
            with admin.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name}{whole}"))
            return f"postgresql+psycopg://leaven@/{name}?host={folder}"

        yield make
        admin.dispose()
    finally:
        server.communicate(timeout=30)
        shutil.rmtree(folder)


def _programs() -> Path:
    """Where the server's programs are; the test is left out where it is not installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    found = [Path(p) for p in Path("/usr/lib/postgresql").glob("*/bin")]
    if known := shutil.which("initdb"):
        found.append(Path(known).resolve().parent)
    for folder in found:
        if (folder / "postgres").exists():
            return folder
    pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")


@pytest.fixture(scope="session")
def whole_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its schema, to be copied: its steps take longer than most tests."""
    file = tmp_path_factory.mktemp("whole") / "labels.db"
    Store(file).close()
    return file


@pytest.fixture(scope="session")
def whole_postgres(postgres: MakeAddress) -> str:
    """The same on the server."""
    address = postgres()
    Store(address).close()
    return address


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind in turn: an empty one, or what `store` opens for who asks for it."""
    made, asked = request.getfixturevalue, "store" in request.fixturenames
    if request.param == "sqlite":
        file = tmp_path / "labels.db"
        if asked:
            shutil.copy(made("whole_sqlite"), file)
        return f"sqlite:///{file}"
    new: str = made("postgres")(*([made("whole_postgres")] if asked else []))
    return new


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    """A new store, of each kind in turn."""
    made = Store(address)
    yield made
    made.close()
