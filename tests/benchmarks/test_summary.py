"""Figures that are checked by hand: means, spreads, gains, the best peer, broken promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.plot import draw
from benchmarks.summary import Column, Place, Summary
from benchmarks.table import markdown


def row(name: str, seed: int, /, **shares: float) -> dict[str, Any]:
    """A row whose models have these accuracies."""
    ours = "baseline" in shares
    return {
        "set": "points", "labels": 4, "seed": seed, "method": name, "status": "ok",
        "kind": "ours" if ours else "peer", "budget": "60s" if ours else "",
        "scores": {k: {"accuracy": v, "balanced_accuracy": v} for k, v in shares.items()},
        "cost": {"fit_seconds": 1.0, "cpu_seconds": 1.0, "peak_mb": 200.0},
        "n": {"test": 40, "classes": 2}, "modality": "tabular",
        "run": {"outcome": "better"}, "commit": "abc", "versions": {"leaven": "0.1"},
        "machine": {"cpu": "X", "cores": 2, "memory_gb": 4, "system": "Linux", "load": 0.5},
        "settings": {"timeout": 900.0, "most_records": 10000, "most_test": 40, "encoder": ""},
        "at": "2026-01-01T00:00:00",
    }  # fmt: skip


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [
        row("random-forest", 0, shipped=0.70),
        row("random-forest", 1, shipped=0.80),
        row("spreading", 0, shipped=0.60),
        row("auto", 0, shipped=0.80, method=0.80, baseline=0.85),
        row("auto", 1, shipped=0.82, method=0.78, baseline=0.82),
    ]


AUTO, PLACE = Column("ours", "auto", "60s"), Place("points", 4)


def test_means_spreads_and_gains(rows: list[dict[str, Any]]) -> None:
    found = Summary(rows)
    assert str(found.figure(AUTO, PLACE)) == "81.0 ± 1.4"
    assert str(found.figure(Column("peer", "spreading", ""), PLACE)) == "60.0"
    gain = found.gain(AUTO, PLACE, "method")
    assert gain is not None
    assert gain.mean == pytest.approx(-4.5)
    (duel,) = found.duels(AUTO)
    assert duel.peer == Column("peer", "random-forest", "")
    assert duel.lead.mean == pytest.approx(6.0)
    assert duel.lead.within() == pytest.approx((-44.824, 56.824), abs=0.001)  # 12.706 · 4
    assert duel.gain is not None
    assert duel.gain.mean == pytest.approx(-2.5)
    assert found.headline() == (
        "Leaven auto is 6.0 points above the best peer on points with 4 labels a class"
    )


def test_the_last_row_of_a_fit_counts(rows: list[dict[str, Any]]) -> None:
    found = Summary([*rows, row("spreading", 0, shipped=0.99)])
    assert str(found.figure(Column("peer", "spreading", ""), PLACE)) == "99.0"


def test_a_broken_promise_and_failures_are_on_the_page(rows: list[dict[str, Any]]) -> None:
    failed = row("spreading", 1) | {"status": "error", "error": "ValueError: no luck"}
    text = markdown(Summary([*rows, failed]), "plot.svg", Path("small.jsonl"))
    assert "more than 0.5 points below in 1 of 1 (−2.5 on points with 4 labels a class)" in text
    assert "- LabelSpreading, 1 fit: error, ValueError: no luck: points (4 labels, seed 1)" in text
    assert (
        "| points | RandomForest | 4 | 81.0 ± 1.4 | 75.0 ± 7.1 | 83.5 ± 2.1 | "
        "+6.0 (−44.8 to +56.8) |" in text
    )
    assert "| LabelSpreading | 1.0 | 1.0 | 200 | 1 | 1 |" in text
    assert "| RandomForest | 1 | 1 | 75.0 | 0.0 | +6.0, n 1 |" in text
    assert "| LabelSpreading | 1 | 0 | 60.0 | 15.0 | +20.0, n 1 |" in text
    assert "### Balanced accuracy" not in text


def test_uneven_classes_are_judged_by_balanced_accuracy_too(rows: list[dict[str, Any]]) -> None:
    for one in rows:
        one["n"]["largest_by_smallest"] = 1.6
        if one["method"] == "auto" and one["seed"] == 0:
            one["scores"]["balanced"] = {"accuracy": 0.5, "balanced_accuracy": 0.9}
        if one["method"] == "spreading":
            one["scores"]["shipped"]["balanced_accuracy"] = 0.77
    text = markdown(Summary(rows), "plot.svg", Path("small.jsonl"))
    assert "### Balanced accuracy" in text
    assert "On average +13.0 points, n 1." in text
    assert "| points | LabelSpreading | 4 | 86.0 ± 5.7 | 77.0 | +13.0 |" in text


def test_a_peer_that_guesses_is_told_from_one_that_knows(rows: list[dict[str, Any]]) -> None:
    for one in rows:
        if one["method"] == "random-forest":
            one["scores"]["shipped"]["balanced_accuracy"] = 0.5
    found = Summary(rows)
    assert found.rival(PLACE) == Column("peer", "random-forest", "")
    assert found.rival(PLACE, able=True) == Column("peer", "spreading", "")
    text = markdown(found, "plot.svg", Path("small.jsonl"))
    assert "in 1 (1 with 4 labels) the best peer" in text
    assert "Beside the best of the other peers: +20.0 points." in text


def test_what_is_lost_is_told_by_its_cause(rows: list[dict[str, Any]]) -> None:
    """Ours 81; the baseline 83.5, for equal shares 90; the best peer guesses, the next has 60."""
    for one in rows:
        if one["method"] == "random-forest":
            one["scores"]["shipped"]["balanced_accuracy"] = 0.5
        if one["method"] == "auto":
            one["scores"]["balanced"] = {"accuracy": 0.9, "balanced_accuracy": 0.9}
    text = markdown(Summary(rows), "plot.svg", Path("small.jsonl"))
    assert "| 4 labels a class, n 1 |  | +6.0 | +2.5 | +9.0 | +15.0 | +32.5 |" in text
    assert "| points, 4 | RandomForest | +6.0 | +2.5 | +9.0 | +15.0 | +32.5 |" in text


def test_a_further_model_of_a_run_has_a_column(rows: list[dict[str, Any]]) -> None:
    rows[3]["scores"]["by shares"] = {"accuracy": 0.9, "balanced_accuracy": 0.9}
    text = markdown(Summary(rows), "plot.svg", Path("small.jsonl"))
    assert "| baseline | method | shipped | by shares | n |" in text


def test_a_package_that_was_not_there_is_told_and_is_no_column(rows: list[dict[str, Any]]) -> None:
    absent = row("setfit", 0) | {"status": "absent", "error": "the package setfit is not installed"}
    found = Summary([*rows, absent])
    assert not found.failed
    assert "setfit" not in {column.method for column in found.columns}
    text = markdown(found, "plot.svg", Path("small.jsonl"))
    assert "- SetFit, 1 fit: absent, the package setfit is not installed" in text


def test_goals_are_held_against_the_sets(rows: list[dict[str, Any]]) -> None:
    more = [one | {"set": "lines"} for one in rows]
    more += [one | {"labels": 25} for one in rows]
    text = markdown(Summary([*rows, *more]), "plot.svg", Path("small.jsonl"))
    assert "+6.0 points on average (95 % interval +6.0 to +6.0, n 2), ahead in 3 of 3 cases" in text
    assert "25 labels +6.0 points" in text
    assert "| tabular | points | 4 | 2 | +6.0 | 2 | +6.0 | −2.5 |" in text


def test_a_kept_promise_is_said(rows: list[dict[str, Any]]) -> None:
    rows[3]["scores"]["baseline"]["accuracy"] = 0.80
    text = markdown(Summary(rows), "plot.svg", Path("small.jsonl"))
    assert "never more than 0.5 points below its supervised baseline, +0.0 on average" in text


def test_budgets_are_told_apart(rows: list[dict[str, Any]]) -> None:
    longer = row("auto", 0, shipped=0.9, method=0.9, baseline=0.8) | {"budget": "5m"}
    found = Summary([*rows, longer])
    assert [found.title(c) for c in found.columns if c.ours] == [
        "Leaven auto, 60s", "Leaven auto, 5m",
    ]  # fmt: skip


def test_the_plot_has_a_dot_a_number_of_labels_and_bars_where_there_is_an_interval(
    rows: list[dict[str, Any]],
) -> None:
    more = [one | {"labels": 25} for one in rows if one["seed"] == 0]
    drawn = draw(Summary([*rows, *more]))
    assert "<title>points with 4 labels a class: +6.0 (n 2)</title>" in drawn
    assert "<title>points with 25 labels a class: +10.0 (n 1)</title>" in drawn
    assert drawn.count('class="few-bar"') == 1
    assert drawn.count('class="more-bar"') == 0
    assert ">RandomForest</text>" in drawn
    with pytest.raises(ValueError, match="no set on which both"):
        draw(Summary(rows[:3]))


def test_results_without_a_good_row_are_refused() -> None:
    with pytest.raises(ValueError, match="no row that went well"):
        Summary([row("auto", 0) | {"status": "timeout"}])
