"""With a key, nothing that records say lies readable on a disk, and everything works as without."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

import leaven
from leaven import releasing
from leaven.cli import app
from leaven.core import files, sealing
from leaven.core.errors import DamagedError, MissingExtraError, SealedError, SettingError
from leaven.core.sealing import MAGIC, VARIABLE, new_encryption_key, opened, sealed
from leaven.data.arrays import Arrays
from leaven.data.raw import Spool
from leaven.evaluate.folder import RunFolder
from leaven.evaluate.lineage import taught_runs
from leaven.evaluate.run import Run
from leaven.label.place import place_of
from leaven.label.queue import Queue
from leaven.label.trust.revoking import imported_from, revoke
from leaven.learn.feature_store import FeatureStore
from leaven.learn.predictor import Predictor
from leaven.learn.state import TrainState
from leaven.operate.manifest import verified
from leaven.serve.models.answering import Settings
from leaven.store.store import Store
from tests.serve.models.released import served
from tests.serve.serving import asks

pytest_plugins = ["tests.store.databases"]

#: In each record, in what is asked of the service, and in what people write.
RECORD, ASKED, NOTE = "zanzibarine", "quokkafishes", "whispered-remark"
PLAIN = {"manifest.json", "recipe.toml"}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    """A key that is set in each test."""
    made = new_encryption_key()[0]
    monkeypatch.setenv(VARIABLE, made)
    return made


# What is sealed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 2**21])
def test_what_was_sealed_opens(size: int):
    plain = os.urandom(size)
    once, again = sealed(plain, "here"), sealed(plain, "here")
    assert opened(once, "here") == plain
    assert once[32:] != again[32:]
    assert plain[:64] not in once or size < 8


def chunks(data: bytes) -> tuple[bytes, list[bytes]]:
    size = 2**20 + 16
    return data[:32], [data[i : i + size] for i in range(32, len(data), size)]


def harmed() -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    """What somebody without the key could do to sealed bytes of three chunks."""
    yield "a bit", lambda data: data[:-1] + bytes([data[-1] ^ 1])
    yield "salt", lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:]
    yield "cut off within", lambda data: data[:-9]
    yield "cut off between", lambda data: chunks(data)[0] + b"".join(chunks(data)[1][:-1])
    yield "header alone", lambda data: data[:32]
    yield "swapped", lambda data: b"".join([data[:32], *np.array(chunks(data)[1])[[1, 0, 2]]])
    yield "doubled", lambda data: b"".join([data[:32], chunks(data)[1][0], *chunks(data)[1]])
    yield "longer", lambda data: data + b"x"


@pytest.mark.parametrize("harm", [h for _, h in harmed()], ids=[name for name, _ in harmed()])
def test_what_was_changed_is_damaged(harm: Callable[[bytes], bytes], tmp_path: Path):
    whole = sealed(bytes(3 * 2**20))
    assert len(chunks(whole)[1]) == 3
    (tmp_path / "x").write_bytes(harm(whole))
    with pytest.raises(DamagedError, match=r"x' is encrypted, and is not what was written"):
        files.read_bytes(tmp_path / "x")


def test_a_value_opens_as_what_it_was_sealed_as_alone():
    with pytest.raises(DamagedError):
        opened(sealed(b"a", "events.note"), "tasks.reason")


def test_keys_are_changed_by_naming_the_new_one_first(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    old, (new, name) = sealed(b"old"), new_encryption_key()
    (tmp_path / "keys").write_text(f"{new}\n{key}\n")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "keys"))
    assert opened(old) == b"old"
    later = sealed(b"new")
    for told in (key, f"{key}, {new}"):
        monkeypatch.setenv(VARIABLE, told)
        if "," in told:
            assert opened(later) == b"new"
        else:
            with pytest.raises(SealedError, match=f"with the key {name}"):
                opened(later)
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(SealedError, match=f"'here' is encrypted. Set {VARIABLE} to the key {name}"):
        opened(later, place="here")
    with pytest.raises(SealedError, match="no key to encrypt with"):
        sealed(b"plain")


@pytest.mark.parametrize("told", ["secret-word", "c2hvcnQ=", "/no/such/file", ","])
def test_what_is_no_key_is_refused_and_not_repeated(
    told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, told)
    for attempt in (
        lambda: RunFolder(tmp_path / "run").__enter__(),
        lambda: Store(tmp_path / "x.db"),
        lambda: files.write_bytes(tmp_path / "x", b""),
    ):
        with pytest.raises(SettingError, match="32 bytes in base64") as refused:
            attempt()
        assert told == "," or told not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_key_without_the_package_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingExtraError, match=r"leaven\[crypto\]"):
        sealing.sealing()


def test_keys_do_not_show(key: str):
    assert key not in repr(sealing.encryption_keys())
    assert repr(base64.b64decode(key)) not in repr(sealing.encryption_keys())


# Files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "with_key"),
    [("while it is written", True), ("while it is written", False), ("while it is sealed", True)],
)
def test_a_kill_leaves_the_old_file(moment: str, with_key: bool, tmp_path: Path):
    files.write_bytes(tmp_path / "model", b"the old one")
    program = f"""
import os, signal
from pathlib import Path
from leaven.core import files
def killed(source, target, context=""):
    target.write(b"half"); target.flush(); os.kill(os.getpid(), signal.SIGKILL)
{"files.seal_stream = killed" if "sealed" in moment else ""}
with files.writing(Path({str(tmp_path / "model")!r})) as target:
    target.write_bytes(b"the new one")
    {"os.kill(os.getpid(), signal.SIGKILL)" if "written" in moment else ""}
"""
    environment = os.environ if with_key else {k: v for k, v in os.environ.items() if k != VARIABLE}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert files.read_bytes(tmp_path / "model") == b"the old one"
    left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert (b"the new one" in left) == (not with_key)


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    files.write_bytes(tmp_path / "x", b"old")
    with pytest.raises(ZeroDivisionError), files.writing(tmp_path / "x") as target:
        target.write_bytes(b"new")
        raise ZeroDivisionError
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
    assert files.read_bytes(tmp_path / "x") == b"old"


def test_without_a_key_files_are_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(VARIABLE)
    files.write_bytes(tmp_path / "x", b"plain")
    assert (tmp_path / "x").read_bytes() == b"plain"
    with files.reading(tmp_path / "x") as path:
        assert path == tmp_path / "x"


def test_what_was_written_before_there_was_a_key_is_read(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(VARIABLE)
    files.write_bytes(tmp_path / "x", b"plain")
    monkeypatch.setenv(VARIABLE, key)
    assert files.read_bytes(tmp_path / "x") == b"plain"


def test_decoded_records_are_mapped_from_memory(tmp_path: Path):
    values = np.arange(3000, dtype=np.float32).reshape(1000, 3)
    Arrays({"numeric": values, "@edges": np.zeros((2, 4), np.int64)}).save(tmp_path)
    assert all(file.read_bytes().startswith(MAGIC) for file in tmp_path.iterdir())
    found = Arrays.open(tmp_path)
    assert found is not None
    assert np.array_equal(found["numeric"], values)
    assert isinstance(found["numeric"], np.memmap)


def test_large_tables_that_are_read_do_not_lie_on_disk(tmp_path: Path):
    import pyarrow as pa

    class Watched(Spool):
        def _flush(self, *, to_disk: bool) -> None:
            super()._flush(to_disk=to_disk)
            nodes = Path("/proc/self/maps").read_text()
            assert "leaven" in nodes
            assert str(tmp_path) not in nodes

    with Watched(tmp_path, memory=10) as spool:
        spool.write(pa.record_batch({"x": [RECORD] * 100}))
        assert spool.finish().num_rows == 100


def test_known_features_of_another_key_are_computed_anew_and_not_removed(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    keys, features = np.array([b"a" * 64]), np.ones((1, 2), np.float32)
    kept = FeatureStore(tmp_path, 2)
    kept.add(keys, features)
    monkeypatch.setenv(VARIABLE, new_encryption_key()[0])
    assert not kept.fetch(keys)[0].any()
    for i in range(40):  # so many are joined to one
        kept.add(np.array([b"%064d" % i]), 2 * features)
    assert kept.fetch(np.array([b"%064d" % 7]))[0].all()
    monkeypatch.setenv(VARIABLE, key)
    assert np.array_equal(kept.fetch(keys)[1], features)
    assert len(list(tmp_path.iterdir())) < 40


# A database --------------------------------------------------------------------------------------


def dump(store: Store) -> str:
    """All that the database gives of all tables, past the columns' types."""
    told = []
    with store.read() as connection:
        names = {
            "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
            "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
        }[connection.dialect.name]
        for name in connection.execute(text(names)).scalars().all():
            told += [repr(row) for row in connection.execute(text(f'SELECT * FROM "{name}"'))]
    return "\n".join(told)


def test_a_database_gives_nothing_away(
    store: Store, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue.made(store, "q", classes=["ham", "spam"], modality="text")
    queue.add(asks(2))
    task = queue.lease("ann")[0]
    queue.answer(task.id, "ann", "ham", key="key-0001", note=imported_from(NOTE))
    assert task.shown == {"kind": "text", "text": "text number 0"}
    assert task.reason == "Least sure of all"
    told = dump(store)
    assert "leaven-sealed:" in told
    assert "spam" in told
    assert not [word for word in ("text number", "Least sure", NOTE) if word in told]
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(SealedError, match="of the store' is encrypted"):
        queue.lease("ben")
    monkeypatch.setenv(VARIABLE, key)
    assert queue.lease("ben")[0].shown["text"] == "text number 1"
    assert [one.person for one in revoke(queue, by="ann", file=NOTE, reason="wrong")] == ["ann"]
    assert not revoke(queue, by="ann", file="another", reason="wrong")


@pytest.mark.parametrize("note", ["leaven-sealed:AAAA", "leaven-plain:x", "é", None])
@pytest.mark.parametrize("with_key", [True, False])
def test_no_text_of_anybody_is_taken_for_a_sealed_one(
    note: str | None, with_key: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from sqlalchemy import select

    from leaven.store.tables import events

    if not with_key:
        monkeypatch.delenv(VARIABLE)
    store = Store(tmp_path / "x.db")
    queue = Queue.made(store, "q", classes=["ham", "spam"], modality="text")
    queue.add(asks(1))
    queue.answer(queue.lease("ann")[0].id, "ann", "ham", key="key-0001", note=note)
    with store.read() as connection:
        found = connection.execute(select(events.c.note).order_by(events.c.id)).scalars().all()
    assert found[-1] == note


# All of it ---------------------------------------------------------------------------------------


def spellings(word: str) -> list[bytes]:
    """The word as it may lie in a file: UTF-8, UTF-16, and base64 wherever it begins."""
    plain = word.encode()
    found = [plain, word.encode("utf-16-le"), word.encode("utf-16-be")]
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + plain)
        found.append(coded[-(-8 * before // 6) : 8 * (before + len(plain)) // 6])
    return found


def lying_in(folder: Path, words: tuple[str, ...]) -> set[tuple[str, str]]:
    """Which of the words are in which files of the folder, in any spelling."""
    return {
        (file.name, word)
        for file in folder.rglob("*")
        if file.is_file()
        for word in words
        if any(spelling in file.read_bytes() for spelling in spellings(word))
    }


WORDS = {"gladsome": "lovely warm kind sweet", "dismalish": "awful cold cruel bitter"}
FIT = {"method": "fixmatch", "budget": "12steps", "label": "label"}


def letters(folder: Path) -> Path:
    rng, rows = np.random.default_rng(0), ["text,label"]
    for i in range(72):
        name = list(WORDS)[i % 2]
        said = " ".join(rng.choice(WORDS[name].split(), 5))
        rows.append(f"{RECORD}{i} {said},{name if i < 24 else ''}")
    (folder / "letters.csv").write_text("\n".join(rows))
    return folder / "letters.csv"


KILLED = """
import json, os, signal, sys
import leaven
from leaven.evaluate import stages
from leaven.learn.state import TrainState
stages.CHECKPOINT_SECONDS = 0
update, steps = TrainState.update_average, [0]
def between(state, decay):
    steps[0] += 1
    if steps[0] == 30:
        os.kill(os.getpid(), signal.SIGKILL)
    update(state, decay)
TrainState.update_average = between
leaven.fit(sys.argv[1], out=sys.argv[2], **json.loads(sys.argv[3]))
"""


def command(*words: Any, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == code, result.output
    return result.output


def test_from_a_killed_fit_to_an_abstaining_service(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data, home = letters(tmp_path), tmp_path / "home"
    killed = [sys.executable, "-c", KILLED, data, home, json.dumps(FIT)]
    assert subprocess.run(killed, check=False).returncode == -signal.SIGKILL
    (work,) = home.glob("*/work")
    assert list(work.glob("*/checkpoint.safetensors"))
    assert list(work.glob("arrays/*.npy"))
    hidden = (RECORD, "lovely", "cruel", *WORDS)
    assert not lying_in(home, hidden)

    update, taken = TrainState.update_average, []
    with monkeypatch.context() as patch:
        patch.setattr(
            TrainState, "update_average", lambda *told: (taken.append(1), update(*told))[1]
        )
        run = leaven.fit(data, out=home, **FIT)
    assert not work.exists()
    steps = sum(stage["steps"] for stage in run.story["training"]["stages"])
    assert len(taken) < steps - 24  # it went on within the third stage, from what was sealed
    for file in run.folder.rglob("*"):
        assert file.is_dir() or (file.read_bytes().startswith(MAGIC) == (file.name not in PLAIN))

    command("query", run.folder, "--ask", 3)
    place = place_of(run.folder, None)
    queue = place.open()
    task = queue.lease("ann")[0]
    assert RECORD in task.shown["text"]
    queue.answer(task.id, "ann", "gladsome", key="key-0001", note=NOTE)
    state = releasing.release(run, by="ann", override="for a test")
    verified(run.folder / "model", state["live"]["digest"])
    with served(str(home / "leaven.db"), "letters", settings=Settings(abstain=1.0)) as client:
        told = client.ask(f"{ASKED} lovely").json()
        assert told["predictions"][0]["route"] == "review"
        assert client.service.log.flush(10)
    shown = [one.shown["text"] for one in queue.lease("ben", 9)]
    assert f"{ASKED} lovely" in shown

    # Its database is open, so that what was written last is in the WAL and nowhere else.
    assert (home / "leaven.db-wal").stat().st_size
    assert not lying_in(home, (RECORD, ASKED, NOTE, "lovely", "cruel"))
    assert not lying_in(run.folder, hidden)

    page, plain = tmp_path / "out" / "report.html", tmp_path / "out" / "shown.json"
    command("report", run.folder, "--out", page)
    command("unseal", run.folder / "shown.json", "--out", plain)
    command("unseal", run.folder / "run.json", "--out", tmp_path / "out" / "run.json")
    command("predict", run.folder, data, "--out", tmp_path / "out" / "p.csv")
    found = lying_in(tmp_path / "out", (RECORD, "gladsome", key))
    assert {("report.html", RECORD), ("shown.json", RECORD), ("p.csv", "gladsome")} <= found
    assert key not in {word for _, word in found}
    assert "Read it as it is" in command("unseal", plain, "--out", page, code=2)
    assert "another file" in command(
        "unseal", run.folder / "run.json", "--out", run.folder / "run.json", code=2
    )

    monkeypatch.setenv(VARIABLE, new_encryption_key()[0])
    before = {file: file.read_bytes() for file in run.folder.rglob("*") if file.is_file()}
    for attempt in (
        lambda: Run.load(run.folder),
        lambda: Predictor.load(run.folder / "model"),
        lambda: taught_runs(home),
        lambda: leaven.fit(data, out=home, **FIT),
        lambda: place.open().lease("ben"),
    ):
        with pytest.raises(SealedError, match="is encrypted with the key"):
            attempt()
    verified(run.folder / "model", state["live"]["digest"])
    assert before == {file: file.read_bytes() for file in run.folder.rglob("*") if file.is_file()}


def test_the_command_makes_keys_that_are_taken(monkeypatch: pytest.MonkeyPatch):
    first, second = command("key", "--encryption").splitlines()
    monkeypatch.setenv(VARIABLE, first.removeprefix(f"{VARIABLE}="))
    found = sealing.encryption_keys()
    assert found is not None
    assert found.newest in second
    assert '"encryption"' in command("key", "--encryption", "--json")
