"""The comparison of all methods: fits on small sets, paired gains by hand, page and picture."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import method_fit
from benchmarks.comparison import markdown, write_page
from benchmarks.gains import Gain, Gains, budget_of, read_gains
from benchmarks.gains_plot import draw
from benchmarks.grid import Cell
from benchmarks.method_fit import SIDE, fit_method
from benchmarks.methods import main
from benchmarks.results import append, read
from benchmarks.sets import Task, load
from benchmarks.summary import Place

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "methods.jsonl"
PLACE = Place("points", 4)
OPTIONS = ["--sets", "points,squares", "--labels", "4", "--seeds", "0", "--steps", "3"]


def row(method: str, seed: int, accuracy: float, **changed: Any) -> dict[str, Any]:
    """A fit of ten steps with this accuracy."""
    return {
        "set": "points", "labels": 4, "seed": seed, "kind": "method", "method": method,
        "budget": budget_of(method, 10), "status": "ok", "encoder": "mlp",
        "scores": {"accuracy": accuracy, "balanced_accuracy": accuracy},
        "cost": {"fit_seconds": 2.0, "cpu_seconds": 1.5}, "n": {"test": 40, "classes": 2},
        "commit": "abc", "versions": {"leaven": "0.1"}, "at": "2026-01-01T00:00:00",
        "machine": {"cpu": "X", "cores": 2, "memory_gb": 4, "system": "Linux", "load": 0.5},
        "settings": {"most_records": 10000, "most_test": 5000, "side": 16, "jobs": 1},
    } | changed  # fmt: skip


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """Gains of fixmatch: +1, +2 and +3 points; of mean-teacher: -10, -11 and -12."""
    levels = {"supervised": (70, 80, 90), "fixmatch": (71, 82, 93), "mean-teacher": (60, 69, 78)}
    return [
        row(name, seed, points / 100)
        for name, seeds in levels.items()
        for seed, points in enumerate(seeds)
    ]


@pytest.fixture(scope="module")
def results(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods and their baselines on two sets, as the command makes them."""
    out = tmp_path_factory.mktemp("results") / "small.jsonl"
    asked = ["--methods", "fixmatch,label-spreading", "--jobs", "2"]
    with redirect_stdout(io.StringIO()) as said:
        assert main(["--data", str(sets), "--out", str(out), *OPTIONS, *asked]) == 0
    assert "0 of 8 fits are done" in said.getvalue()
    return out


def test_every_method_is_fitted_beside_its_baseline(results: Path) -> None:
    found = {(r["set"], r["method"]): r for r in read(results)}
    names = {"fixmatch", "supervised", "label-spreading", "logistic"}
    assert found.keys() == {(s, name) for s in ("points", "squares") for name in names}
    for made in found.values():
        assert made["n"] == {"labelled": 8, "unlabelled": 112, "test": 40, "classes": 2}
        assert made["steps"] == (3 if made["budget"] == "3steps" else 1)
        assert made["cost"]["cpu_seconds"] <= made["wall_seconds"] + 0.1
        assert made["machine"]["cores"] >= 1
        assert made["versions"]["leaven"]
    for name in ("points", "squares"):
        assert found[name, "fixmatch"]["encoder"] == found[name, "supervised"]["encoder"]
        assert found[name, "label-spreading"]["scores"]["accuracy"] > 0.9
    assert read_gains(results, 3).of("label-spreading")[0].gain is not None


def test_rows_that_are_there_are_not_made_again(
    results: Path, sets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = results.read_bytes()
    asked = ["--data", str(sets), "--out", str(results), "--methods", "label-spreading,fixmatch"]
    assert main([*asked, *OPTIONS]) == 0
    assert "8 of 8 fits are done" in capsys.readouterr().out
    assert results.read_bytes() == before


def test_a_fit_repeats(sets: Path) -> None:
    cell = Cell("points", 4, 1, "method", "fixmatch", "5steps")
    first, second = (fit_method(cell, 5, sets)["scores"] for _ in range(2))
    assert first == second


def test_an_error_is_a_row_with_its_words(sets: Path, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_bytes((sets / "index.json").read_bytes())
    made = fit_method(Cell("points", 4, 0, "method", "fixmatch", "3steps"), 3, tmp_path)
    assert made["status"] == "error"
    assert made["error"].startswith("FileNotFoundError: ")
    assert made["method"] == "fixmatch"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sets", "point"], "There is no set 'point'"),
        (["--sets", "points", "--methods", "fixmach"], "Did you mean 'fixmatch'?"),
        (["--page"], "holds no fit of 400 steps"),
    ],
)
def test_a_wrong_wish_is_said_before_anything_is_fitted(
    sets: Path, tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.jsonl"
    assert main(["--data", str(sets), "--out", str(out), *options]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_test_records_are_the_same_for_all_seeds(
    sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(method_fit, "MOST_TEST", 12)
    one, other = (method_fit.smaller(load(sets, "points", 4, seed)) for seed in (0, 1))
    assert len(one.truth) == len(one.test) == 12
    assert one.truth == other.truth
    assert one.test.equals(other.test)
    assert one.labels != other.labels


def test_pictures_are_shrunk_to_means() -> None:
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (3, SIDE, SIDE // 2), dtype=np.uint8)
    large = small.repeat(3, 1).repeat(3, 2)
    task = Task("squares", "image", large, ["a", "b", None], large, ["a", "b", "a"])
    shrunk = method_fit.smaller(task)
    assert np.array_equal(shrunk.train, small)
    assert np.array_equal(shrunk.test, small)
    colours = np.stack([large] * 3, -1)
    assert method_fit.smaller(replace(task, train=colours)).train.shape == (*small.shape, 3)
    assert method_fit.smaller(replace(task, train=small)).train is small


def test_a_gain_is_paired_by_seed_with_students_interval(rows: list[dict[str, Any]]) -> None:
    found = Gains(rows, 10)
    measured = found.at("fixmatch", PLACE)
    assert measured is not None
    assert str(measured.accuracy) == "82.0 ± 11.0"
    assert str(measured.baseline) == "80.0 ± 10.0"
    assert measured.gain is not None
    assert (measured.gain.mean, measured.gain.n) == (pytest.approx(2.0), 3)
    assert measured.gain.reach == pytest.approx(4.30265 / 3**0.5, rel=1e-5)  # t of 2, sd 1
    assert str(measured.gain) == "+2.0 [−0.5, +4.5]"
    assert str(Gain.of([3.0])) == "+3.0"
    assert Gain.of([]) is None


def test_the_headline_counts_whole_intervals(rows: list[dict[str, Any]]) -> None:
    assert Gains(rows, 10).headline() == (
        "Of 2 methods that read unlabelled records, 0 are above their supervised baseline and 1 "
        "below it with the whole 95 % interval, in the mean of 1 cases; fixmatch gains most, "
        "+2.0 [−0.5, +4.5] points"
    )


def test_the_overall_gain_is_over_seeds_that_have_every_place(rows: list[dict[str, Any]]) -> None:
    elsewhere = [
        row(name, seed, share, set="notes")
        for seed in (0, 1)
        for name, share in (("supervised", 0.5), ("fixmatch", 0.6 + seed / 10))
    ]
    overall = Gains(rows + elsewhere, 10).overall("fixmatch")
    assert overall is not None
    assert overall.n == 2
    assert overall.mean == pytest.approx(((1 + 10) / 2 + (2 + 20) / 2) / 2)
    assert Gains(rows + elsewhere, 10).overall("mean-teacher") is None


def test_what_is_not_alike_is_not_compared(rows: list[dict[str, Any]]) -> None:
    other = [r | {"encoder": "tabular-mlp"} if r["method"] == "fixmatch" else r for r in rows]
    measured = Gains(other, 10).at("fixmatch", PLACE)
    assert measured is not None
    assert measured.gain is None
    longer = row("fixmatch", 0, 0.99, budget="20steps")
    gone = rows[0] | {"method": "of-the-past"}
    assert Gains([*rows, longer, gone], 10).methods == ["supervised", "mean-teacher", "fixmatch"]
    assert Gains([*rows, longer], 10).at("fixmatch", PLACE).accuracy.mean == pytest.approx(82)


def test_the_page_says_the_finding_how_and_what_not(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    out, page = tmp_path / "rows.jsonl", tmp_path / "docs" / "comparison.md"
    page.parent.mkdir()
    page.write_text("# Kept\n\n<!-- methods -->\nstale\n<!-- /methods -->\n\nand this\n")
    failed = row("uda", 0, 0.0, status="error", error="ValueError: no luck")
    for made in [*rows, failed]:
        append(out, made)
    assert write_page(out, page, 10).startswith("Of 2 methods")
    text = page.read_text()
    assert text.startswith("# Kept")
    assert text.endswith("and this\n")
    assert "stale" not in text
    places = [text.index(part) for part in ("Of 2 methods", "Measured on", "does not show", "![")]
    assert places == sorted(places)
    line = "| [fixmatch](methods/pseudo-labels.md#fixmatch) | pseudo-labels | 82.0 ± 11.0 | "
    assert f"{line}+2.0 [−0.5, +4.5] | 1.5 |" in text
    assert "| supervised | 80.0 ± 10.0 | baseline | 1.5 |" in text
    assert "| [uda](methods/consistency.md#uda) | consistency | – | – | – |" in text
    assert "- points, 4 labels a class, seed 0, uda: ValueError: no luck" in text
    assert "--seeds 0,1,2" in text
    assert (page.parent / "images" / "methods-gains.svg").is_file()
    write_page(out, page, 10)
    assert page.read_text() == text


def test_a_missing_seed_is_told(rows: list[dict[str, Any]]) -> None:
    text = markdown(Gains([r for r in rows if (r["method"], r["seed"]) != ("fixmatch", 2)], 10))
    assert "| 76.5 ± 7.8 (n 2) |" in text


def test_the_picture_is_narrow_and_shows_each_gain(rows: list[dict[str, Any]]) -> None:
    more = [r | {"labels": 25} for r in rows]
    drawn = draw(Gains(rows + more, 10))
    tree = ET.fromstring(drawn)
    width = float(tree.attrib["width"])
    assert width <= 420
    assert "prefers-color-scheme: dark" in drawn
    assert drawn.count("<title>points with") == 4  # two methods at two places
    assert "<title>fixmatch: +2.0 [−0.5, +4.5]</title>" in drawn
    assert drawn.index(">consistency<") < drawn.index(">mean-teacher<") < drawn.index(
        ">pseudo-labels<"
    ) < drawn.index(">fixmatch<")  # fmt: skip
    xs = [float(x) for x in re.findall(r' (?:x|x1|x2|cx)="([\d.]+)"', drawn)]
    assert min(xs) >= 0
    assert max(xs) <= width


@pytest.mark.skipif(not RESULTS.exists(), reason="no results are kept yet")
def test_the_kept_page_tells_the_kept_results() -> None:
    found = read_gains(RESULTS)
    assert found is not None
    docs = ROOT / "docs"
    assert markdown(found) in (docs / "comparison.md").read_text(encoding="utf-8")
    kept = (docs / "images" / "methods-gains.svg").read_text(encoding="utf-8")
    assert kept == draw(found), "run python -m benchmarks.methods --page"
