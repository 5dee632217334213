"""What lies there plain, or under an old key, is encrypted with the newest, and is what it was."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

import leaven
from leaven import incidents, releasing, sealing, trail
from leaven.core import files
from leaven.core.errors import DamagedError, RunError, SealedError, SettingError
from leaven.core.files import first_bytes, first_digest, read_bytes, seal_file, write_bytes
from leaven.core.holding import held
from leaven.core.sealing import LATER, MAGIC, VARIABLE, new_encryption_key, sealed
from leaven.evaluate import stages
from leaven.evaluate.run import Run
from leaven.label.place import place_of
from leaven.label.queue import Queue
from leaven.learn.feature_store import FeatureStore
from leaven.learn.start import PRETRAINING
from leaven.learn.state import TrainState
from leaven.operate.manifest import verified, write_manifest
from leaven.operate.registry import Registry
from leaven.operate.resealing import _MARKS
from leaven.store import resealing
from leaven.store.resealing import seal_values
from leaven.store.store import Store
from tests.serve.serving import asks
from tests.test_sealing import (
    FIT,
    NOTE,
    PLAIN,
    RECORD,
    command,
    dump,
    letters,
    lying_in,
)

pytest_plugins = ["tests.store.databases"]

OLD, NEW = new_encryption_key()[0], new_encryption_key()[0]


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the keys of this process, the first one first."""

    def set_keys(*told: str) -> None:
        monkeypatch.setenv(VARIABLE, ",".join(told)) if told else monkeypatch.delenv(VARIABLE)

    monkeypatch.setenv(VARIABLE, "")
    return set_keys


# Files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2**20 - 64, 2**20 - 63, 2**20, 2**20 + 1, 2**21])
@pytest.mark.parametrize("with_key", [False, True])
def test_a_file_is_sealed_again_and_known_by_what_it_was(
    size: int, with_key: bool, tmp_path: Path, keys: Any
):
    path, plain = tmp_path / "model", os.urandom(size)
    keys(*[OLD] * with_key)
    write_bytes(path, plain)
    was = path.read_bytes()
    os.utime(path, (1, 1))
    for told in ((NEW, OLD), (OLD, NEW), (NEW, OLD)):  # there, back, and there again
        keys(*told)
        is_old = with_key and path.read_bytes() == was and told[0] == OLD
        assert seal_file(path, tmp_path) is not is_old
        assert not seal_file(path, tmp_path)
        keys(told[0])
        assert read_bytes(path) == plain
        assert first_bytes(path) == was
        assert first_digest(path) == hashlib.sha256(was).hexdigest()
    assert path.read_bytes().startswith(LATER)
    assert path.stat().st_mtime == 1
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_what_is_sealed_again_is_held_against_what_it_was(tmp_path: Path, keys: Any):
    keys(OLD)
    for name in ("model", "other"):
        write_bytes(tmp_path / name, name.encode())
    was = first_digest(tmp_path / "model")
    keys(NEW, OLD)
    for name in ("model", "other"):
        assert seal_file(tmp_path / name, tmp_path)
    data = (tmp_path / "model").read_bytes()
    for harmed in (data[:-1] + bytes([data[-1] ^ 1]), data[:-1], MAGIC + data[8:], data[:32]):
        (tmp_path / "model").write_bytes(harmed)
        with pytest.raises(DamagedError):
            read_bytes(tmp_path / "model")
        with suppress(DamagedError):
            assert first_digest(tmp_path / "model") != was
    # Who has the key can write other things, which are then known to be others.
    before = files.before_of((tmp_path / "other").open("rb"))
    (tmp_path / "model").write_bytes(sealed(b"something", before=before))
    assert read_bytes(tmp_path / "model") == b"something"
    assert first_digest(tmp_path / "model") != was
    keys(OLD)
    with pytest.raises(SealedError, match="is encrypted with the key"):
        first_digest(tmp_path / "other")


def test_what_somebody_writes_meanwhile_stays(
    tmp_path: Path, keys: Any, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "x"
    path.write_bytes(b"the old one")
    keys(NEW)
    seal = files.seal_stream

    def overtaken(*told: Any, **more: Any) -> None:
        seal(*told, **more)
        monkeypatch.setattr(files, "seal_stream", seal)
        write_bytes(path, b"the new one")

    monkeypatch.setattr(files, "seal_stream", overtaken)
    assert not seal_file(path, tmp_path)
    assert read_bytes(path) == b"the new one"


# A database --------------------------------------------------------------------------------------


def stood(store: Store) -> list[Any]:
    queue = Queue(store, "q")
    return [(one.shown, one.reason) for one in queue.lease("ben", 900)]


@pytest.mark.parametrize("was", [(), (OLD,)], ids=["plain", "old key"])
def test_a_database_is_sealed_and_says_what_it_said(
    store: Store, was: tuple[str, ...], keys: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(resealing, "_ROWS", 4)
    keys(*was)
    queue = Queue.made(store, "q", classes=["ham", "spam"], modality="text")
    queue.add(asks(9))
    for key, note in enumerate(("leaven-sealed:AAAA", NOTE)):
        (task,) = queue.lease("ann")
        queue.answer(task.id, "ann", "ham", key=f"key-{key:04}", note=note)
    told = stood(store)
    keys(NEW, *was)
    assert seal_values(store) == 3 * 9 + 2
    assert seal_values(store) == 0
    keys(NEW)
    assert stood(store) == told
    if not was:
        assert not [word for word in ("text number", "Least sure", NOTE) if word in dump(store)]
    with store.read() as connection:
        notes = connection.execute(text("SELECT note FROM events WHERE note IS NOT NULL")).all()
    assert len(notes) == 9 + 2


# All of it ---------------------------------------------------------------------------------------


def test_from_a_plain_home_to_a_key_and_to_another(
    tmp_path: Path, keys: Any, monkeypatch: pytest.MonkeyPatch
):
    keys()
    data, home = letters(tmp_path), tmp_path / "home"
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))
    assert PRETRAINING in _MARKS
    store = str(home / "leaven.db")
    run = leaven.fit(data, out=home, **FIT | {"method": "logistic"})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stages, "CHECKPOINT_SECONDS", 0)
        patch.setattr(TrainState, "update_average", _interrupted(30))
        leaven.fit(data, out=home, seed=1, **FIT)
    (work,) = home.glob("*/work")
    mine = home / "asked-for.csv"
    command("predict", run.folder, data, "--out", mine)
    command("query", run.folder, "--ask", 3)
    queue = place_of(run.folder, None).open()
    task = queue.lease("ann")[0]
    queue.answer(task.id, "ann", "gladsome", key="key-0001", note=NOTE)
    digest = releasing.release(run, by="ann", override="for a test")["live"]["digest"]
    opened = incidents.open_incident("letters", reason="wrong", by="ann", store=store)
    FeatureStore.of("e", 2).add(*_features())
    hidden = (RECORD, "lovely", "cruel")
    assert {"lovely"} <= {word for _, word in lying_in(home, hidden)}
    with pytest.raises(SealedError, match="no key to encrypt with"):
        sealing.seal(home)

    for told in ((OLD,), (NEW, OLD)):
        keys(*told)
        said = command("seal", home)
        assert said.startswith("Encrypted with the key")
        assert sealing.seal(home) == sealing.seal(home) | {"files": 0, "values": 0, "left": []}
        noted = trail.entries(store, what="encryption.sealed")
        assert len(noted) == (1 if told == (OLD,) else 2)  # who changes nothing is not noted
        assert noted[0]["who"] == getpass.getuser()
        assert noted[0]["about"] in said
        assert noted[0]["details"]["files"] > 5
        assert noted[0]["details"]["values"] > 1
        assert noted[0]["details"]["left"] == 0
        keys(told[0])
        given = {path.name for path in home.rglob("*") if path.is_file()} & PLAIN
        assert given == PLAIN
        for file in (*run.folder.rglob("*"), *work.rglob("*"), *(tmp_path / "cache").rglob("*")):
            start = b"" if file.is_dir() else file.read_bytes()[:8]
            assert file.is_dir() or (start == LATER) == (file.name not in PLAIN | {"lock"}), file
        assert mine.read_text().startswith('"id",')

        assert Run.load(run.folder).story == run.story
        verified(run.folder / "model", digest)
        Registry(Store(store)).load(run.story["run"]["id"], digest)
        assert trail.verify(store)["whole"]
        assert not incidents.show(opened["number"], store=store)["evidence"]["altered"]
        assert [one.shown for one in queue.lease("ann", 9)]
        assert FeatureStore.of("e", 2).fetch(_features()[0])[0].all()
    found = lying_in(home, hidden)
    assert {name for name, _ in found} <= {"asked-for.csv"}, found
    assert not lying_in(tmp_path / "cache", hidden)

    # A fit that was interrupted when there was no key goes on under the second one.
    later = leaven.fit(data, out=home, seed=1, **FIT)
    assert later.folder == work.parent
    assert not work.exists()


def _interrupted(steps: int) -> Any:
    """Averages weights as ever, and after so many steps the fit ends."""
    update, taken = TrainState.update_average, []

    def between(state: TrainState, decay: float) -> None:
        taken.append(1)
        if len(taken) == steps:
            raise KeyboardInterrupt
        update(state, decay)

    return between


def _features() -> tuple[Any, Any]:
    return np.array([b"a" * 64]), np.ones((1, 2), np.float32)


#: Seals a home again and again, each time in a process that is killed one point later, and says how
#: it ended and what the files then are.
_KILLS = """
import json, os, signal, sys
from pathlib import Path
from leaven import sealing
from leaven.core import files
from leaven.operate.manifest import verified
from leaven.store import resealing
home, left = Path(sys.argv[1]), [0]
def killed(what):
    def wrapped(*told, **more):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return what(*told, **more)
    return wrapped
for module, name in ((os, "replace"), (files, "seal_stream"), (resealing, "_seal_some")):
    setattr(module, name, killed(getattr(module, name)))
status, points = 1, 0
while status and points < 40:
    points += 1
    left[0] = points
    if (child := os.fork()) == 0:
        os._exit(len(sealing.seal(home)["left"]))
    status = os.waitpid(child, 0)[1]
    verified(home / "run" / "model")
    runs = (path for path in home.glob("run/**/*") if path.is_file())
    print(json.dumps([status, {str(one): files.first_bytes(one).decode() for one in runs}]))
"""


def made_home(home: Path) -> dict[Path, bytes]:
    """A made run of three files, two of them in a model with a manifest, and a store."""
    (home / "run" / "model").mkdir(parents=True)
    for name in ("run.json", "model/a", "model/b"):
        write_bytes(home / "run" / name, name.encode() * 9)
    write_manifest(home / "run" / "model", "run")
    queue = Queue.made(Store(home / "leaven.db"), "q", classes=["ham", "spam"], modality="text")
    queue.add(asks(3))
    return {path: path.read_bytes() for path in (home / "run").rglob("*") if path.is_file()}


def test_a_kill_at_any_point_leaves_what_is_read_and_can_be_gone_on_from(tmp_path: Path, keys: Any):
    keys()
    home = tmp_path / "home"
    were = made_home(home)
    keys(OLD)
    done = subprocess.run(
        [sys.executable, "-c", _KILLS, str(home)], check=True, capture_output=True, text=True
    )
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rounds) > 4
    assert [status for status, _ in rounds] == [signal.SIGKILL] * (len(rounds) - 1) + [0]
    for _, found in rounds:
        assert found == {str(path): content.decode() for path, content in were.items()}
    assert not [*home.glob(".sealing-*")]
    for path in were:
        assert files.is_sealed_file(path) == (path.name not in PLAIN)
    assert b"text number" not in (home / "leaven.db").read_bytes()


def test_two_at_once_and_a_run_that_is_made_are_told(tmp_path: Path, keys: Any):
    keys()
    made_home(tmp_path)
    (tmp_path / "run" / "work").mkdir()
    (tmp_path / "run" / "work" / "lock").touch()
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "run" / "a link").symlink_to(tmp_path / "notes.txt")
    keys(OLD)
    with held(tmp_path), pytest.raises(RunError, match="Another process encrypts"):
        sealing.seal(tmp_path)
    with held(tmp_path / "run" / "work" / "lock"):
        assert "A process is making this run." in command("seal", tmp_path, code=1)
        assert not files.is_sealed_file(tmp_path / "run" / "run.json")
    told = json.loads(command("seal", tmp_path, "--json", code=1))
    assert told["files"] == 3
    assert told["left"] == [[str(tmp_path / "run" / "a link"), "This is a link."]]
    assert (tmp_path / "notes.txt").read_text() == "mine"
    (tmp_path / "run" / "a link").unlink()
    keys(NEW)  # which does not open what the old one wrote
    told = json.loads(command("seal", tmp_path, "--json", code=1))
    assert len(told["left"]) == 3 + 1
    assert all("is encrypted with the key" in why for _, why in told["left"])
    with pytest.raises(SettingError, match="'folder' must be a folder that is there"):
        sealing.seal(tmp_path / "none")
    with pytest.raises(SettingError, match="'store' must be a file that is there"):
        sealing.seal(tmp_path, store=str(tmp_path / "none.db"))


def test_where_a_database_is_read_meanwhile_its_log_is_told_of(
    tmp_path: Path, keys: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("leaven.store.store._WAIT", 0.1)
    keys()
    made_home(tmp_path)
    reader = Store(tmp_path / "leaven.db")
    keys(OLD)
    with reader.read() as connection:
        connection.execute(text("SELECT * FROM tasks")).all()
        assert "End what works on it" in command("seal", tmp_path, code=1)
    assert sealing.seal(tmp_path)["left"] == []
    assert b"text number" not in (tmp_path / "leaven.db").read_bytes()
    assert not (tmp_path / "leaven.db-wal").read_bytes()
