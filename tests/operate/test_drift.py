"""`leaven drift` on files, as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from leaven import watching
from leaven.cli.app import app
from leaven.core.errors import DataError, LeavenError, SettingError, UnknownNameError
from leaven.core.sealing import new_encryption_key


def written(path: Path, n: int, seed: int, shift: float = 0.0, missing: float = 0.0) -> Path:
    """Sales by hour; `shift` of the prices become 99, `missing` of the weights are gone."""
    rng = np.random.default_rng(seed)
    price = np.where(rng.random(n) < shift, 99.0, rng.gamma(2, 5, n).round(2))
    weight = [None if rng.random() < missing else round(w, 2) for w in rng.normal(3, 1, n)]
    when = np.datetime64("2026-01-05") + rng.integers(0, 24 * 14, n).astype("timedelta64[h]")
    table = pa.table(
        {
            "price": price,
            "weight": weight,
            "kind": rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2]),
            "when": [str(w) + ":00" for w in when.astype("datetime64[m]")],
            "label": rng.choice(["yes", "no"], n),
        }
    )
    pa_csv.write_csv(table, path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("drift")
    written(home / "before.csv", 4000, 0)
    written(home / "same.csv", 3000, 1)
    written(home / "moved.csv", 3000, 2, shift=0.15, missing=0.2)
    return home


def by_column(told: dict, verdict: str) -> set[str]:
    return {s["column"] for s in told["shifts"] if s["verdict"] == verdict}


def test_a_shift_is_found_said_and_drawn(files: Path, tmp_path: Path):
    told = watching.drift(
        files / "before.csv",
        files / "moved.csv",
        label="label",
        time="when",
        report=tmp_path / "p.html",
    )
    assert told["outcome"] == "shifted"
    assert by_column(told, "shifted") == {"price", "weight"}
    assert "2 columns of 3 shifted" in told["sentence"]
    assert "missing 0.0" in next(s["said"] for s in told["shifts"] if s["column"] == "weight")
    assert any("delivers it has broken" in a for a in told["advice"])
    page = (tmp_path / "p.html").read_text()
    assert page.count("<figure>") == 2
    assert "price: shifted" in page
    assert "<script" not in page


def test_a_kept_reference_answers_as_its_records_do(files: Path, tmp_path: Path):
    how = {"label": "label", "time": "when", "season": "weekday", "slice": "kind"}
    whole = watching.drift(
        files / "before.csv", files / "moved.csv", keep=tmp_path / "r.drift", **how
    )
    kept = watching.drift(tmp_path / "r.drift", files / "moved.csv")
    assert kept == whole
    assert {s["slice"] for s in kept["shifts"]} == {"", "a", "b", "c"}
    assert watching.drift(tmp_path / "r.drift", files / "same.csv")["outcome"] != "shifted"
    (tmp_path / "cut.drift").write_bytes((tmp_path / "r.drift").read_bytes()[:900])
    with pytest.raises(DataError, match="damaged"):
        watching.drift(tmp_path / "cut.drift", files / "same.csv")


def test_a_kept_reference_is_encrypted_where_there_is_a_key(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    how = {"label": "label", "time": "when"}
    monkeypatch.setenv("LEAVEN_ENCRYPTION_KEY", new_encryption_key()[0])
    whole = watching.drift(
        files / "before.csv", files / "moved.csv", keep=tmp_path / "r.drift", **how
    )
    assert b"weight" not in (tmp_path / "r.drift").read_bytes()
    assert watching.drift(tmp_path / "r.drift", files / "moved.csv") == whole


def test_whole_texts_are_compared(tmp_path: Path):
    words = [f"word{i}" for i in range(60)]

    def texts(name: str, chosen: list[str], seed: int) -> Path:
        drawn = np.random.default_rng(seed)
        rows = [" ".join(drawn.choice(chosen, 8)) for _ in range(240)]
        pa_csv.write_csv(pa.table({"text": rows}), tmp_path / name)
        return tmp_path / name

    before = texts("before.csv", words[:40], 1)
    same = watching.drift(before, texts("same.csv", words[:40], 2))
    assert same["features"]["verdict"] != "shifted"
    moved = watching.drift(before, texts("moved.csv", words[20:], 3))
    assert moved["features"]["verdict"] == "shifted"
    assert moved["features"]["classifier"]["value"] > 0.7
    assert "a classifier tells the new records" in moved["sentence"].lower()


def test_the_command_answers_and_exits(files: Path, capsys: pytest.CaptureFixture[str]):
    words = ["drift", str(files / "before.csv"), str(files / "moved.csv"), "--label", "label"]
    with pytest.raises(SystemExit) as ended:
        app([*words, "--ignore", "when", "--require", "same", "--json"])
    assert ended.value.code == 1
    told = json.loads(capsys.readouterr().out)
    assert told["outcome"] == "shifted"
    with pytest.raises(SystemExit) as ended:
        app(words)
    assert ended.value.code == 0
    assert "delivers it has broken" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({"season": "weekday"}, SettingError, "column of dates"),
        ({"season": "weakday", "time": "when"}, UnknownNameError, "weekday"),
        ({"slice": "kinds"}, UnknownNameError, "kind"),
        ({"ignore": ["prise"]}, UnknownNameError, "price"),
        ({"keep": "reference.bin"}, DataError, "NAME.drift"),
    ],
)
def test_wrong_use_is_said(files: Path, how: dict, error: type[LeavenError], said: str):
    with pytest.raises(error, match=said):
        watching.drift(files / "before.csv", files / "same.csv", label="label", **how)
