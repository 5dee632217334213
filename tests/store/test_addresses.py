"""The address of a store: files of any name, servers, what is none, and passwords unseen."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from leaven.core.errors import MissingExtraError, SettingError, StoreError
from leaven.store.store import Store
from tests.store.history import add, kept

pytest_plugins = ["tests.store.databases"]

SECRET = "s3" + "cret"


def test_a_file_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("a?mode=ro", "b #%41", "ça, 李", "~"):
        with Store(tmp_path / name).write() as connection:
            add(connection, name)
        assert (tmp_path / name).exists()
        assert kept(Store(str(tmp_path / name))) == [name]
        assert kept(Store(Store(tmp_path / name).address)) == [name]
    assert kept(Store("~/ça, 李")) == ["ça, 李"]


def test_a_server_is_named_with_or_without_its_driver(postgres: Callable[[], str]):
    address = postgres()
    with Store(address.replace("+psycopg", "")).write() as connection:
        add(connection, "a")
    assert kept(Store(address)) == ["a"]


@pytest.mark.parametrize(
    "wrong",
    [
        "", "://", "http://x/y", "mysql://{0}/d", "postgres://{0}/d", "sqlite+aiosqlite:///x",
        "postgresql+psycopg://{0}:port/d", "postgresql+asyncpg://{0}/d", "a\0b", "\ud800.db",
        "oracle://h?password={1}",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_being_repeated(wrong: str):
    address = wrong.format(f"anna:{SECRET}@localhost", SECRET)
    with pytest.raises(SettingError, match="'store' must be a file, sqlite:///FILE or postg") as e:
        Store(address)
    assert SECRET not in "".join(traceback.format_exception(e.value)) + repr(e.value)


@pytest.mark.parametrize("address", ["//anna:{0}@127.0.0.1:1/d", "//127.0.0.1:1/d?password={0}"])
def test_a_password_is_never_shown(address: str, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    told = "postgresql+psycopg:" + address.format(SECRET)
    with pytest.raises(StoreError, match=r"127.0.0.1:1/d' cannot be used: .*refused") as e:
        Store(told)
    assert SECRET not in "".join(traceback.format_exception(e.value)) + repr(e.value)
    monkeypatch.setattr(Store, "_bring_up", lambda _: None)
    assert SECRET not in repr(Store(told))
    assert "127.0.0.1" in repr(Store(told))


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"A store on PostgreSQL .*'leaven\[postgres\]'"):
        Store("postgresql+psycopg://localhost/d")
