"""The audit log by verb and command: what is shown, what is kept elsewhere, what is verified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pytest
from typer.testing import CliRunner

from leaven import labelling, trail
from leaven.cli import app
from leaven.core.errors import DataError, SettingError
from leaven.core.signing import new_key
from leaven.label.queue import Ask, Queue
from leaven.store.audit import AuditLog
from leaven.store.store import Store
from tests.store.forging import forge


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with two entries beside the first."""
    for name in ("LEAVEN_SIGNING_KEY", "LEAVEN_PUBLIC_KEY"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "leaven.db"
    log = AuditLog(Store(file))
    log.add("ann", "labels.exported", "q", {"records": 3})
    log.add("ben", "labels.exported", "q\x1b[31m")
    return file


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["audit", *map(str, words)])


def test_what_was_done_is_shown_the_latest_first(store: Path):
    shown = run("show", "--store", store).output
    assert shown.index("ben") < shown.index("ann") < shown.index("log.began")
    assert '{"records": 3}' in shown
    assert "\x1b" not in shown
    told = json.loads(run("show", "--store", store, "--who", "ann", "--json").output)
    assert [(one["what"], one["about"], one["details"]) for one in told] == [
        ("labels.exported", "q", {"records": 3})
    ]
    for narrowed in (("--what", "release"), ("--about", "nobody"), ("--who", "nobody")):
        assert run("show", "--store", store, *narrowed).output == "Nothing of this was done.\n"
    assert len(trail.entries(store, most=2)) == 2
    with pytest.raises(SettingError, match="'most' must be a number from 1"):
        trail.entries(store, most=0)


def test_a_log_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(DataError, match="There is no audit log yet: there is no store"):
        trail.verify(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


def test_a_whole_log_is_told_with_what_to_keep_and_a_broken_one_ends_with_1(store: Path):
    whole = run("verify", "--store", store)
    assert (whole.exit_code, "The audit log is whole: 3 entries" in whole.output) == (0, True)
    head = run("show", "--store", store, "--last").output.strip()
    assert f"--expect {head}" in whole.output
    assert run("verify", "--store", store, "--expect", head).output.count("\n") == 1
    with Store(store).write() as connection:
        connection.exec_driver_sql("UPDATE audit SET who = 'eve' WHERE number = 2")
    broken = run("verify", "--store", store)
    assert (broken.exit_code, "broken at entry 2." in broken.output) == (1, True)
    told = run("verify", "--store", store, "--json")
    assert told.exit_code == 1
    assert json.loads(told.output)["broken"] == 2


def test_a_head_that_was_kept_shows_an_end_that_was_cut_off(store: Path, tmp_path: Path):
    number, _, hash_ = run("show", "--store", store, "--last").output.strip().partition(":")
    file = tmp_path / "head.json"
    file.write_text(run("show", "--store", store, "--last", "--json").output)
    kept = (f"{number}:{hash_}", hash_, hash_.upper(), str(file))
    for expect in kept:
        assert trail.verify(store, expect=expect)["whole"]
    with Store(store).write() as connection:
        connection.exec_driver_sql("DELETE FROM audit WHERE number = 3")
    assert trail.verify(store)["whole"], "by itself a chain does not show this"
    for expect in kept:
        told = trail.verify(store, expect=expect)
        assert (told["whole"], told["broken"]) == (False, 3)
        assert "cut off" in told["why"]


@pytest.mark.parametrize(
    "odd", ["", "abc", "1:abc", "x:" + "0" * 64, "0" * 63 + "g", "-1:" + "0" * 64, "/", "\0"]
)
def test_what_is_no_head_is_said(store: Path, odd: str):
    with pytest.raises(SettingError, match="'expect' must be a hash of 64 digits, NUMBER:HASH, or"):
        trail.verify(store, expect=odd)


@pytest.mark.parametrize(
    "odd", ["[]", "{}", "1", "{", "[" * 5000, '{"number":-1,"hash":"x","signature":"","key":""}']
)
def test_a_file_that_holds_no_head_is_said(store: Path, tmp_path: Path, odd: str):
    (tmp_path / "odd").write_text(odd)
    with pytest.raises(SettingError, match="'expect' must be"):
        trail.verify(store, expect=str(tmp_path / "odd"))


def test_a_signed_head_cannot_be_made_by_who_rewrites_the_log(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    private, public = new_key()
    monkeypatch.setenv("LEAVEN_SIGNING_KEY", private)
    file = tmp_path / "head.json"
    head = trail.head(store)
    assert head["key"] == public
    file.write_text(json.dumps(head))
    monkeypatch.delenv("LEAVEN_SIGNING_KEY")
    monkeypatch.setenv("LEAVEN_PUBLIC_KEY", public)
    assert trail.verify(store, expect=str(file))["whole"]
    with Store(store).write() as connection:
        forge(connection, 2, who="eve")
    told = trail.verify(store, expect=str(file))
    assert (told["broken"], "another than the one whose hash was kept" in told["why"]) == (3, True)
    forged = trail.head(store)  # without the key
    for change, why in (
        (forged, "must be signed, for LEAVEN_PUBLIC_KEY is set"),
        (head | {"hash": forged["hash"]}, "fails: it is of something else"),
        (head | {"number": 2}, "fails: it is of something else"),
        (head | {"key": new_key()[1]}, "fails: it is of another key"),
        (head | {"signature": "?"}, "fails: "),
    ):
        file.write_text(json.dumps(change))
        with pytest.raises(SettingError, match=why):
            trail.verify(store, expect=str(file))


def test_an_export_and_an_import_are_in_the_log(tmp_path: Path):
    store = tmp_path / "labels.db"
    queue = Queue.made(Store(store), "q", classes=["=cmd()", "ham"], modality="text")
    queue.add([Ask("r1", "c1", {"text": "a"}), Ask("r2", "c2", {"text": "b"})])
    table = tmp_path / "given.csv"
    table.write_text("id,label\nr1,=cmd()\nr2,ham\n")
    asked = {"store": store, "queue": "q"}
    labelling.import_labels(tmp_path, table, person="ann", **asked)
    labelling.export(tmp_path, tmp_path / "out.csv", by="ben", **asked)
    labelling.export(tmp_path, by="ben", **asked)  # writes nothing
    acts = [(one["who"], one["what"], one["details"]) for one in trail.entries(store)[:-1]]
    assert acts == [
        ("ben", "labels.exported", {"file": "out.csv", "records": 2}),
        ("ann", "labels.imported", {"answers": 2, "file": "given.csv"}),
    ]
    assert set(pa_csv.read_csv(tmp_path / "out.csv")["label"].to_pylist()) == {"'=cmd()", "ham"}
    assert trail.verify(store)["whole"]
