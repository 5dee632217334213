"""Features kept on disk by content: whole after any kill, bounded, and never wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.core.files import cache_folder
from leaven.learn import feature_store
from leaven.learn.feature_store import FeatureStore


def keys(*numbers: int) -> np.ndarray:
    return np.array([f"{number:064x}" for number in numbers], "S64")


def features(*numbers: int) -> np.ndarray:
    return np.array([[number, number / 7, -number] for number in numbers], np.float32)


@settings(max_examples=25, deadline=None)
@given(
    added=st.lists(st.lists(st.integers(0, 30), min_size=1, unique=True), max_size=6),
    asked=st.lists(st.integers(0, 30), unique=True),
)
def test_what_was_added_is_found_and_nothing_else(added, asked, tmp_path_factory):
    store = FeatureStore(tmp_path_factory.mktemp("store") / "one", 3)
    for numbers in added:
        store.add(keys(*numbers), features(*numbers))
    known, asked = {number for numbers in added for number in numbers}, sorted(asked)
    there, found = store.fetch(keys(*asked))
    assert there.tolist() == [number in known for number in asked]
    wanted = features(*asked) if asked else np.zeros((0, 3), np.float32)
    np.testing.assert_array_equal(found, wanted * there[:, None])


def test_many_files_become_one_and_hold_the_same(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(feature_store, "_FILES", 3)
    store = FeatureStore(tmp_path / "one", 3)
    for number in range(10):
        store.add(keys(number), features(number))
    assert len(list(tmp_path.rglob("*.safetensors"))) <= 3
    there, found = store.fetch(keys(*range(10)))
    assert there.all()
    np.testing.assert_array_equal(found, features(*range(10)))


def test_the_files_used_longest_ago_go_first(tmp_path: Path):
    FeatureStore(tmp_path / "old", 3).add(keys(1), features(1))
    FeatureStore(tmp_path / "used", 3).add(keys(1), features(1))
    for path in tmp_path.rglob("*.safetensors"):
        os.utime(path, (1, 1))
    assert FeatureStore(tmp_path / "used", 3).fetch(keys(1))[0].all()
    size = next(tmp_path.rglob("*.safetensors")).stat().st_size
    FeatureStore(tmp_path / "new", 3, most=2 * size).add(keys(1), features(1))
    left = {
        name: FeatureStore(tmp_path / name, 3).fetch(keys(1))[0].all()
        for name in ("old", "used", "new")
    }
    assert left == {"old": False, "used": True, "new": True}


@pytest.mark.parametrize("damage", [b"", b"\0" * 40, None])
def test_a_damaged_file_counts_for_nothing_and_goes(tmp_path: Path, damage: bytes | None):
    store = FeatureStore(tmp_path / "one", 3)
    store.add(keys(1, 2), features(1, 2))
    path = next(tmp_path.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-4] if damage is None else damage)
    assert not store.fetch(keys(1, 2))[0].any()
    assert not path.exists()
    store.add(keys(1), features(1))
    assert store.fetch(keys(1, 2))[0].tolist() == [True, False]


def test_features_of_another_width_are_not_taken(tmp_path: Path):
    FeatureStore(tmp_path / "one", 3).add(keys(1), features(1))
    assert not FeatureStore(tmp_path / "one", 4).fetch(keys(1))[0].any()


def test_two_processes_write_at_once_and_one_is_killed(tmp_path: Path):
    code = """
import sys, numpy as np
from leaven.learn.feature_store import FeatureStore
store, first = FeatureStore(__import__('pathlib').Path(sys.argv[1]), 3), int(sys.argv[2])
for number in range(first, first + 60):
    key = np.array([f"{number:064x}"], "S64")
    store.add(key, np.array([[number, number / 7, -number]], np.float32))
    print(number, flush=True)
"""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "one"), str(first)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in (0, 100)
    ]
    for _ in range(20):
        last = int(started[1].stdout.readline())
    started[1].kill()
    assert started[0].communicate() is not None
    started[1].communicate()
    sure = [*range(60), *range(100, last + 1)]
    there, found = FeatureStore(tmp_path / "one", 3).fetch(keys(*sure))
    assert there.all()
    np.testing.assert_array_equal(found, features(*sure))


def test_nothing_is_kept_where_nothing_can_be(tmp_path: Path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    for store in (FeatureStore(None, 3), FeatureStore(blocked / "one", 3)):
        store.add(keys(1), features(1))
        assert not store.fetch(keys(1))[0].any()


def test_the_folder_is_the_user_s_choice(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.delenv("LEAVEN_CACHE", raising=False)
    assert cache_folder() == Path("/somewhere/leaven")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the specification ignores such
    assert cache_folder() == Path("~/.cache/leaven").expanduser()
    monkeypatch.setenv("LEAVEN_CACHE", "/there")
    assert cache_folder() == Path("/there")
    monkeypatch.setenv("LEAVEN_CACHE", "off")
    assert cache_folder() is None
    assert not FeatureStore.of("digest", 3).fetch(keys(1))[0].any()
