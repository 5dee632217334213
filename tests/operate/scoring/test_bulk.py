"""Files of any size: one row a record, in order, the same after a kill."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.core.errors import DataError, RunError, SettingError, UnknownNameError
from leaven.core.progress import Progress
from leaven.data import lines
from leaven.data.readers import delimited, objects
from leaven.evaluate.run import Run
from leaven.operate.scoring import bulk, parts, rows
from leaven.operate.scoring.bulk import Scored
from leaven.operate.scoring.numbering import Numbering, keys_of
from leaven.scoring import predict_file


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of about 200 records, so that a few hundred make several."""
    monkeypatch.setattr(lines, "_MOST", 200)
    for reader in (delimited, objects):
        monkeypatch.setattr(reader, "FIRST", 200)


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".csv":
        return pd.read_csv(path, dtype={"id": str})
    return pd.DataFrame(map(json.loads, path.read_text().splitlines()))


WRITERS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "parquet": lambda frame, path: frame.to_parquet(path),
    "csv.gz": lambda frame, path: path.write_bytes(gzip.compress(frame.to_csv().encode())),
}


@pytest.mark.parametrize(
    ("given", "out"), [("csv", "csv"), ("tsv", "jsonl"), ("jsonl", "parquet"), ("parquet", "csv")]
)
def test_all_formats_get_the_answers_of_the_run(
    wine: Run, cells: pd.DataFrame, tmp_path: Path, given: str, out: str
):
    WRITERS[given](cells, tmp_path / f"d.{given}")
    scored = predict_file(wine, tmp_path / f"d.{given}", tmp_path / f"p.{out}", id="name")
    found = read(tmp_path / f"p.{out}")
    assert (scored.records, scored.rejected, len(found)) == (900, 0, 900)
    assert found["id"].tolist() == cells["name"].tolist(), "in the order of the data"
    columns = [f"p_{name}" for name in wine.classes]
    assert list(found.columns) == ["id", "prediction", "confidence", *columns]
    np.testing.assert_allclose(found[columns], wine.predict(cells), atol=1e-6)
    assert sum(scored.predictions.values()) == 900
    assert scored.mean_confidence == pytest.approx(found["confidence"].mean())
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([f"d.{given}", f"p.{out}"])


def test_packed_files_urls_and_folders_of_tables_are_read(
    wine: Run, cellar: Path, cells: pd.DataFrame, tmp_path: Path
):
    WRITERS["csv.gz"](cells, tmp_path / "d.csv.gz")
    predict_file(wine, tmp_path / "d.csv.gz", tmp_path / "packed.csv")
    with fsspec.open("memory://cellar/d.csv", "w") as file:
        cells.to_csv(file, index=False)
    predict_file(wine, "memory://cellar/d.csv", tmp_path / "url.csv")
    folder = tmp_path / "tables"
    folder.mkdir()
    cells[:400].to_csv(folder / "a.csv", index=False)
    cells[400:].to_parquet(folder / "b.parquet")
    predict_file(wine, folder, tmp_path / "folder.csv")
    predict_file(wine, cellar, tmp_path / "plain.csv")
    plain = read(tmp_path / "plain.csv")
    for name in ("packed", "url", "folder"):
        pd.testing.assert_frame_equal(read(tmp_path / f"{name}.csv"), plain)


def test_a_folder_of_texts_has_a_row_a_file(texts: Run, tmp_path: Path):
    folder = tmp_path / "mails"
    (folder / "deep").mkdir(parents=True)
    for i, said in enumerate(["invoice refund", "parcel late", "login crash"]):
        (folder / "deep" / f"{i}.txt").write_text(said)
    (folder / "deep" / "4.txt").write_text(" ")
    (folder / "deep" / "note.pdf").write_text("no text")
    scored = predict_file(texts, folder, tmp_path / "p.csv")
    found = read(tmp_path / "p.csv")
    assert found["prediction"].tolist()[:3] == ["billing", "delivery", "login"]
    assert found["prediction"].isna().tolist() == [False] * 3 + [True]
    assert found["id"][3] == "deep/4.txt"
    listed = pq.read_table(tmp_path / "p.quarantine.parquet").to_pylist()
    assert {row["reason"] for row in listed} == {"empty record", "not a .txt file"}
    assert (scored.records, scored.rejected) == (3, 2)


def test_records_that_cannot_be_read_keep_their_row_and_are_listed(
    wine: Run, cells: pd.DataFrame, tmp_path: Path
):
    texts = cells.to_csv(index=False).splitlines()
    texts.insert(3, "1,2")
    texts.insert(500, '"never closed,1,2')
    texts.insert(700, "," * (len(cells.columns) - 2) + ",nameless")
    (tmp_path / "d.csv").write_text("\n".join(texts) + "\n")
    scored = predict_file(wine, tmp_path / "d.csv", tmp_path / "p.csv", id="name")
    found = read(tmp_path / "p.csv")
    assert (scored.records, scored.rejected, len(found)) == (900, 3, 903)
    assert np.flatnonzero(found["prediction"].isna()).tolist() == [2, 499, 699]
    assert found["id"][[2, 499, 699]].tolist() == ["d.csv#3", "d.csv#500", "nameless"]
    assert found["id"].drop([2, 499, 699]).tolist() == cells["name"].tolist()
    listed = pq.read_table(tmp_path / "p.quarantine.parquet").to_pylist()
    assert [(row["id"], row["row"], row["reason"]) for row in listed] == [
        ("d.csv#3", 3, "wrong number of fields"),
        ("d.csv#500", 500, "unclosed quote"),
        ("nameless", 700, "empty record"),
    ]
    # A later result of that name that has none leaves no old list behind.
    cells.to_csv(tmp_path / "d.csv", index=False)
    predict_file(wine, tmp_path / "d.csv", tmp_path / "p.csv")
    assert not (tmp_path / "p.quarantine.parquet").exists()


def test_ids_are_unique_over_all_parts(wine: Run, cells: pd.DataFrame, tmp_path: Path):
    cells.to_csv(tmp_path / "d.csv", index=False)
    predict_file(wine, tmp_path / "d.csv", tmp_path / "p.csv")
    found = read(tmp_path / "p.csv")["id"]
    assert found.is_unique
    assert found.tolist() == wine.dataset(cells).ids.tolist(), "those of the records in memory"
    again = cells.assign(name=["a"] * 600 + ["a-2"] * 2 + [""] * 298)
    again.to_csv(tmp_path / "d.csv", index=False)
    predict_file(wine, tmp_path / "d.csv", tmp_path / "p.csv", id="name")
    named = read(tmp_path / "p.csv")["id"]
    assert named.is_unique
    assert named[0] == "a"
    assert named[602:].str.len().min() >= 16, "the digest where there is no id"


@given(st.lists(st.lists(st.sampled_from(["a", "b", "a-2", "c"]), max_size=8), max_size=6))
def test_numbering_gives_each_id_once(parts_: list[list[str]]):
    one, kept = Numbering(), []
    said = []
    for ids in parts_:
        named, used = one.unique(ids, keys_of(ids), given=True)
        said += named
        kept.append(used)
    assert len(set(said)) == len(said)
    flat = [name for ids in parts_ for name in ids]
    first = {name: flat.index(name) for name in flat}
    assert all(said[at] == name for name, at in first.items() if name != "a-2")
    # What was used up is all that must be kept to go on.
    for cut in range(len(parts_)):
        again = Numbering()
        for used in kept[:cut]:
            again.add(used)
        named, _ = again.unique(parts_[cut], keys_of(parts_[cut]), given=True)
        assert named == said[sum(map(len, parts_[:cut])) :][: len(parts_[cut])]


def killed(run: Run, data: Path, out: Path, renames: int) -> bool:
    """Score in a process that is killed at its n-th renaming of a file; whether it was."""

    def work() -> None:
        done, rename = [0], os.replace

        def counted(*names: Any) -> None:
            done[0] += 1
            if done[0] == renames:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(*names)

        os.replace = counted  # type: ignore[assignment]
        predict_file(run, data, out, workers=1)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    return child.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_killed_call_is_gone_on_with_to_the_same_bits(
    wine: Run, cellar: Path, tmp_path: Path, ending: str
):
    whole = tmp_path / f"whole.{ending}"
    predict_file(wine, cellar, whole, workers=1)
    resumed = []
    for renames in (1, 3, 7, 12, 19, 20):
        out = tmp_path / f"p{renames}.{ending}"
        assert killed(wine, cellar, out, renames)
        assert not out.exists(), "no half result has the name of a whole one"
        scored = predict_file(wine, cellar, out, workers=1)
        assert out.read_bytes() == whole.read_bytes()
        assert not out.with_name(f"{out.name}.parts").exists()
        assert scored.records == 900
        resumed.append(scored.resumed)
    assert resumed == sorted(resumed)
    assert (resumed[0], resumed[-1]) == (0, 900)


def begun(run: Run, data: Path, out: Path) -> Path:
    """The folder of a call that was killed after two parts or so."""
    assert killed(run, data, out, 8)
    return out.with_name(f"{out.name}.parts")


def test_parts_that_are_damaged_or_of_other_data_are_made_anew(
    wine: Run, cellar: Path, cells: pd.DataFrame, tmp_path: Path
):
    predict_file(wine, cellar, tmp_path / "whole.csv", workers=1)
    whole = (tmp_path / "whole.csv").read_bytes()
    out = tmp_path / "p.csv"
    first = begun(wine, cellar, out) / "000000.csv"
    first.write_bytes(first.read_bytes()[:-9])
    assert predict_file(wine, cellar, out).resumed == 0
    assert out.read_bytes() == whole
    out.unlink()
    copy = tmp_path / "copy.csv"
    cells.to_csv(copy, index=False)
    begun(wine, copy, out)
    cells[:-1].to_csv(copy, index=False)
    assert predict_file(wine, copy, out).resumed == 0
    assert len(read(out)) == 899
    out.unlink()
    begun(wine, cellar, out)
    assert predict_file(wine, cellar, out, decide="balanced").resumed == 0


def test_two_calls_do_not_make_one_file_at_once(wine: Run, cellar: Path, tmp_path: Path):
    out = tmp_path / "p.csv"
    with parts.Parts(out, {}), pytest.raises(RunError, match="being made by another process"):
        predict_file(wine, cellar, out)


def test_only_a_few_parts_are_in_memory():
    """Whoever reads waits for whoever writes."""
    started, most, lock = [0], [0], threading.Lock()

    def work(number: int, part: Any) -> Any:
        return part

    def source() -> Any:
        for _ in range(50):
            with lock:
                started[0] += 1
            yield rows_of_nothing()

    def rows_of_nothing() -> Any:
        return type("Part", (), {"share": None})()

    taken = 0
    for _ in bulk._in_order(source(), 0, work, 3):
        taken += 1
        most[0] = max(most[0], started[0] - taken)
    assert taken == 50
    assert most[0] <= 4


def test_how_right_the_answers_are_is_measured_on_a_sample_at_most(
    wine: Run, cells: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    truth = np.array(wine.classes)[wine.predict(cells).argmax(1)]
    truth[:90] = "merlot"
    cells.assign(label=truth).to_csv(tmp_path / "d.csv", index=False)
    scored = predict_file(wine, tmp_path / "d.csv", tmp_path / "p.csv", label="label")
    assert (scored.metrics["accuracy"].value, scored.metrics["accuracy"].n) == (1.0, 810)
    (finding,) = scored.findings
    assert (finding.name, finding.count, finding.examples) == ("unseen-labels", 90, ("merlot",))
    monkeypatch.setattr(rows, "MEASURED", 100)
    scored = predict_file(wine, tmp_path / "d.csv", tmp_path / "p.csv", label="label")
    assert scored.metrics["accuracy"].n == 100


def test_progress_says_how_long_it_will_take(wine: Run, cellar: Path, tmp_path: Path):
    said: list[Progress] = []
    predict_file(wine, cellar, tmp_path / "p.csv", progress=said.append)
    shares = [one.done for one in said if one.total]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1, abs=0.02)
    assert any(one.seconds_left is not None for one in said)


@pytest.mark.parametrize(
    ("data", "out", "how", "error", "said"),
    [
        ("", "p.csv", {"label": "colour"}, UnknownNameError, "'label' must be one of"),
        ("", "p.xlsx", {}, SettingError, "ending in .csv"),
        ("", "p.csv", {"workers": 0}, SettingError, "at least 1"),
        ("", "p.csv", {"decide": "best"}, UnknownNameError, "accuracy, balanced"),
        ("none.csv", "p.csv", {}, DataError, "no file"),
        ("empty.csv", "empty.csv", {}, SettingError, "another file than the data"),
        ("empty.csv", "p.csv", {}, DataError, "is empty"),
    ],
)
def test_what_cannot_be_scored_is_refused_and_leaves_nothing(
    wine: Run, cellar: Path, tmp_path: Path, data: str, out: str, how: dict[str, Any],
    error: type[Exception], said: str,
):  # fmt: skip
    (tmp_path / "empty.csv").touch()
    with pytest.raises(error, match=said):
        predict_file(wine, tmp_path / data if data else cellar, tmp_path / out, **how)
    assert [path.name for path in tmp_path.iterdir()] == ["empty.csv"]


def test_a_result_is_what_was_counted(wine: Run, cellar: Path, tmp_path: Path):
    first = predict_file(wine, cellar, tmp_path / "p.jsonl", workers=1)
    again = predict_file(wine, cellar, tmp_path / "q.jsonl", workers=2)
    assert isinstance(first, Scored)
    assert (tmp_path / "p.jsonl").read_bytes() == (tmp_path / "q.jsonl").read_bytes()
    assert first.predictions == again.predictions


PIECES = st.lists(
    st.one_of(
        st.sampled_from(["1,2\n", "3,4\r\n", "é,z\n", "\n", '"1",2\n', 'a,"b, c"\r\n', '"",""\n']),
        st.sampled_from(['"', "\r", "\0", "1,2,3\n", '"q,\n"', "x", '"a\n",b\n']),
    ),
    max_size=60,
)


@settings(max_examples=40)
@given(PIECES, st.binary(max_size=2), st.integers(1, 60))
def test_the_quick_reader_of_tables_finds_what_the_careful_one_does(
    tmp_path_factory: pytest.TempPathFactory, told: list[str], odd: bytes, size: int
):
    path = tmp_path_factory.mktemp("csv") / "d.csv"
    path.write_bytes(("p,q\n" + "5,6\n" * 205 + "".join(told)).encode() + odd)
    plain = lines.Lines.plain

    def found(quick: bool) -> Any:
        def limited(self: lines.Lines, _: int, delimiter: str) -> bytes:
            return plain(self, size, delimiter) if quick else b""

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lines.Lines, "plain", limited)
            parts_ = list(delimited.read_delimited(str(path), "d.csv"))
        rows_ = [tuple(row.values()) for part in parts_ for row in part.table.to_pylist()]
        refused = [one for part in parts_ for one in part.refused]
        return rows_, refused, [one for part in parts_ for one in part.findings]

    assert found(quick=True) == found(quick=False)
