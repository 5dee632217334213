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
        "n": {"test": 40}, "cost": {"fit_seconds": 1.0, "cpu_seconds": 1.0, "peak_mb": 200.0},
        "run": {"outcome": "better"}, "commit": "abc", "versions": {"leaven": "0.1"},
        "machine": {"cpu": "X", "cores": 2, "memory_gb": 4, "system": "Linux", "load": 0.5},
        "settings": {"timeout": 900.0, "most_records": 10000}, "at": "2026-01-01T00:00:00",
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
    assert found.ahead(AUTO) == [(pytest.approx(6.0), PLACE)]
    assert found.headline() == (
        "Leaven auto is 6.0 points above the best scikit-learn peer on points with 4 labels a class"
    )


def test_the_last_row_of_a_fit_counts(rows: list[dict[str, Any]]) -> None:
    found = Summary([*rows, row("spreading", 0, shipped=0.99)])
    assert str(found.figure(Column("peer", "spreading", ""), PLACE)) == "99.0"


def test_a_broken_promise_and_failures_are_on_the_page(rows: list[dict[str, Any]]) -> None:
    failed = row("spreading", 1) | {"status": "error", "error": "ValueError: no luck"}
    text = markdown(Summary([*rows, failed]), "plot.svg", Path("small.jsonl"))
    assert "more than 0.5 points below in 1 of 1 (−2.5 on points with 4 labels a class)" in text
    assert "- points, 4 labels a class, seed 1, spreading: error, ValueError: no luck" in text
    assert "| points | 4 | 75.0 ± 7.1 | 60.0 (n 1) | **81.0 ± 1.4** |" in text
    assert "| LabelSpreading | 1.0 | 1.0 | 200 | 1 | 1 |" in text


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


def test_the_plot_shows_each_figure_and_bars_only_where_there_is_a_spread(
    rows: list[dict[str, Any]],
) -> None:
    drawn = draw(Summary(rows))
    assert "<title>81.0 ± 1.4 (n 2)</title>" in drawn
    assert "<title>60.0 (n 1)</title>" in drawn
    assert drawn.count('class="peer-bar"') == 1


def test_results_without_a_good_row_are_refused() -> None:
    with pytest.raises(ValueError, match="no row that went well"):
        Summary([row("auto", 0) | {"status": "timeout"}])
