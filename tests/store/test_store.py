"""The store: made, brought up, shared, cut off, full, damaged, and what it then says."""

from __future__ import annotations

import os
import re
import resource
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, event, func, inspect, select, text

from leaven.core.errors import LeavenError, StoreError
from leaven.store import people_tables
from leaven.store import store as module
from leaven.store.store import Store
from leaven.store.tables import METADATA, queues
from tests.store.history import add, kept

pytest_plugins = ["tests.store.databases"]


def in_child(work: Callable[[], object]) -> str:
    """What `work` gave or raised in a forked process."""
    back, told = os.pipe()
    if not (child := os.fork()):
        try:
            os.write(told, str(work()).encode())
        except LeavenError as failed:
            os.write(told, f"{type(failed).__name__}: {failed}".encode())
        finally:
            os._exit(0)
    os.close(told)
    with os.fdopen(back) as said_back:
        found = said_back.read()
    os.waitpid(child, 0)
    return found


# The schema


def test_the_steps_end_at_the_schema_of_the_tables(store: Store):
    assert people_tables.users.name in METADATA.tables
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        indexes = inspect(connection).get_indexes("tasks")
        (following,) = (index for index in indexes if index["name"] == "ix_tasks_next")
        (open_,) = (v for k, v in following["dialect_options"].items() if k.endswith("_where"))
    assert re.fullmatch(r"\(?missing > 0\)?", str(open_))


def test_opening_again_changes_nothing(address: str):
    with Store(address).write() as connection:
        add(connection, "a")
    assert kept(Store(address)) == ["a"]


def test_an_sqlite_file_is_set_to_keep_what_it_says(tmp_path: Path):
    store = Store(tmp_path / "a.db")
    for begun in (store.read, store.write):
        with begun() as connection:
            for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
                assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value


STEP = """
from alembic import op
import sqlalchemy as sa
revision, down_revision = "{number}", "{newest}"
def upgrade():
    op.create_table("marks", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("UPDATE queues SET question = 'changed'")
    {rest}
"""


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Call it and the package has one more step, which ends as told."""

    def release(rest: str) -> None:
        place = tmp_path / "100 %(all)s" / "migrations"  # as odd as the folder of a package may be
        steps = shutil.copytree(Path(module.__file__).parent / "migrations", place)
        numbers = sorted(one.name[:4] for one in (steps / "versions").glob("0*.py"))
        newest, number = numbers[-1], f"{int(numbers[-1]) + 1:04}"
        step = STEP.format(rest=rest, newest=newest, number=number)
        (steps / "versions" / f"{number}_marks.py").write_text(step)
        monkeypatch.setattr(module, "__file__", str(steps.parent / "store.py"))

    with monkeypatch.context():
        yield release


def test_an_older_database_is_brought_up_and_a_newer_one_refused(
    address: str, newer: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
):
    ours = module.__file__
    with Store(address).write() as connection:
        add(connection, "a")
    newer("pass")
    with Store(address).read() as connection:
        assert connection.execute(text("SELECT count(*) FROM marks")).scalar() == 0
        assert connection.execute(select(queues.c.question)).scalar() == "changed"
    monkeypatch.setattr(module, "__file__", ours)
    with pytest.raises(StoreError, match="is of a newer Leaven: .*00.* Use that one"):
        Store(address)


def test_a_step_that_fails_leaves_the_database_as_it_was(
    address: str, newer: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
):
    ours = module.__file__
    with Store(address).write() as connection:
        add(connection, "a")
    newer("op.execute('SELECT * FROM nowhere')")
    with pytest.raises(StoreError, match="nowhere"):
        Store(address)
    monkeypatch.setattr(module, "__file__", ours)
    with Store(address).read() as connection:
        assert not inspect(connection).has_table("marks")
        assert connection.execute(select(queues.c.question)).scalar() == "?"


def test_processes_open_a_new_database_at_the_same_moment(address: str):
    begin, go = os.pipe()
    children = []
    for number in range(6):
        if not (child := os.fork()):
            code = 1
            try:
                os.close(go)
                os.read(begin, 1)
                with Store(address).write() as connection:
                    add(connection, f"{number}")
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.close(begin)
    os.close(go)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * 6
    assert kept(Store(address)) == [f"{number}" for number in range(6)]


def test_threads_open_new_databases_at_the_same_moment(tmp_path: Path):
    gate = threading.Barrier(8)

    def opened(number: int) -> list[str]:
        gate.wait()
        return kept(Store(tmp_path / f"{number % 4}.db"))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(opened, range(8))) == [[]] * 8


# Transactions


def test_what_is_raised_in_a_transaction_undoes_all_of_it(store: Store):
    for raised in (ValueError("no"), KeyboardInterrupt()):
        with pytest.raises(type(raised)), store.write() as connection:
            add(connection, "a")
            raise raised
    assert kept(store) == []


def test_a_reader_sees_one_state_whatever_others_write(store: Store):
    count = select(func.count()).select_from(queues)
    with store.read() as connection:
        assert connection.execute(count).scalar() == 0
        with store.write() as other:
            add(other, "a")
        assert connection.execute(count).scalar() == 0
    assert kept(store) == ["a"]


def test_writers_of_a_scope_come_one_after_the_other(store: Store):
    """Each reads a number and writes the next: none is lost."""
    with store.write() as connection:
        add(connection, "0")

    def step(_: int) -> None:
        with store.write(7) as connection:
            number = int(connection.execute(select(queues.c.name)).scalar_one())
            connection.execute(queues.update().values(name=str(number + 1)))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(step, range(60)))
    assert kept(store) == ["60"]


def test_a_writer_waits_for_another_only_so_long(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_WAIT", 0.3)
    store = Store(address)
    with store.write(1) as connection:
        add(connection, "a")
        with (
            pytest.raises(StoreError, match="is held by others for over 0 s. Try again"),
            store.write(1) as other,
        ):
            add(other, "b")
    with store.write(1) as connection:
        add(connection, "c")
    assert kept(store) == ["a", "c"]


def test_no_connection_left_is_a_sentence_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_WAIT", 0.1)
    store = Store("sqlite://")
    with store.write(), pytest.raises(StoreError, match="is held by others"):
        kept(store)
    assert kept(store) == []


def test_threads_share_a_database_in_memory():
    store = Store("sqlite://")

    def step(number: int) -> None:
        with store.write() as connection:
            add(connection, str(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(step, range(8)))
    assert kept(store) == [str(number) for number in range(8)]
    assert kept(Store("sqlite://")) == []


# What goes wrong with a file


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users may reach."""
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


def as_nobody(work: Callable[[], object]) -> str:
    """In a process whose user owns nothing."""

    def demoted() -> object:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        return work()

    return in_child(demoted)


def test_a_file_that_may_only_be_read_is_read_and_not_written(folder: Path):
    file = folder / "a.db"
    store = Store(file)
    with store.write() as connection:
        add(connection, "a")
    store.close()

    def write() -> None:
        with Store(file).write() as connection:
            add(connection, "b")

    def read() -> list[str]:
        return kept(Store(file))

    file.chmod(0o444)
    folder.chmod(0o555)
    refused = "may only be read. Give this user the right to write it. Nothing of this was kept."
    assert as_nobody(read).endswith(refused)
    assert as_nobody(write).endswith(refused)
    folder.chmod(0o777)  # SQLite may lay its log beside the file, which it needs to read it
    assert as_nobody(read) == "['a']"
    assert as_nobody(write).endswith(refused)
    folder.chmod(0o755)
    assert kept(Store(file)) == ["a"]


def test_a_folder_that_is_not_there_or_not_ours(folder: Path):
    for place in (folder / "none" / "a.db", folder):
        with pytest.raises(StoreError, match="cannot be opened. Does its folder exist"):
            Store(place)
    assert "cannot be opened. Does its folder exist" in as_nobody(lambda: Store(folder / "a.db"))
    assert list(folder.iterdir()) == []


def test_a_disk_that_fills_up_keeps_what_was_there_and_goes_on_with_room(tmp_path: Path):
    store = Store(tmp_path / "a.db")
    pages = 40

    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    event.listen(store._engine, "begin", limit)
    done = []
    with pytest.raises(StoreError, match="has no room: the disk is full. Free some and try again"):
        for number in range(2000):
            with store.write() as connection:
                add(connection, f"{number:0200}")
            done.append(f"{number:0200}")
    assert done == kept(store)
    assert len(done) > 10
    pages = 10**6
    with store.write() as connection:
        add(connection, "x")
    assert kept(store) == [*done, "x"]


def test_a_limit_on_the_size_of_files_is_a_sentence(tmp_path: Path):
    file = tmp_path / "a.db"
    Store(file).close()

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        store = Store(file)
        for number in range(5000):
            with store.write() as connection:
                add(connection, f"{number:0200}")

    said = in_child(fill)
    assert said.startswith(f"StoreError: The store 'sqlite:///{file}' ")
    assert "the disk" in said
    found = kept(Store(file))
    assert len(found) > 10
    assert found == [f"{number:0200}" for number in range(len(found))]


def test_a_damaged_file_is_named_damaged(tmp_path: Path):
    file = tmp_path / "a.db"
    store = Store(file)
    with store.write() as connection:
        for number in range(500):
            add(connection, f"{number:0200}")
    store.close()
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    with pytest.raises(StoreError, match="is damaged. Restore it from a backup"):
        kept(Store(file))
    file.write_bytes(whole[: len(whole) // 2 // 4096 * 4096])
    with pytest.raises(StoreError, match="is damaged. Restore it from a backup"):
        kept(Store(file))


def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text("id,label\n" * 1000)
    with pytest.raises(StoreError, match="is no database. Name another file, or restore"):
        Store(file)
    assert file.read_text() == "id,label\n" * 1000


# What goes wrong with a server


@pytest.fixture
def server(postgres: Callable[[], str]) -> Store:
    """A store on the server."""
    return Store(postgres())


def cut(store: Store) -> None:
    """End all connections to the database, but one that does it."""
    other = Store(store.address)
    with other.read() as connection:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid"
        connection.execute(text(f"{ended}() AND datname = current_database()"))
    other.close()


def test_a_connection_that_was_cut_between_calls_is_not_noticed(server: Store):
    for name in "abc":
        with server.write() as connection:
            add(connection, name)
        cut(server)
    assert kept(server) == ["a", "b", "c"]


def test_a_connection_that_is_cut_in_a_transaction_is_told_and_the_next_call_works(server: Store):
    for moment in ("statement", "commit"):
        with pytest.raises(StoreError) as e, server.write() as connection:
            add(connection, moment)
            cut(server)
            if moment == "statement":
                add(connection, "more")
        assert str(e.value).endswith("broke. Whether this was kept is not certain: send it again.")
        assert kept(server) == []
        with server.write() as connection:
            add(connection, "next")
            connection.execute(queues.delete())
