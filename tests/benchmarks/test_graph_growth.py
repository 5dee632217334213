"""The growth benchmark measures points, and stops where a system is too slow."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import graph_growth
from benchmarks.growth_plot import draw


def test_labelled_records_come_first_and_are_as_many_of_each_class():
    features, truth, targets = graph_growth.made(3000)
    assert features.shape == (3000, 128)
    assert features.dtype == np.float32
    assert (targets[:1000] == truth[:1000]).all()
    assert (targets[1000:] == -1).all()
    assert np.bincount(targets[:1000]).tolist() == [100] * 10
    again, *_ = graph_growth.made(3000)
    np.testing.assert_array_equal(features, again)


@pytest.mark.parametrize("system", ["Leaven poisson-learning", "scikit-learn LabelSpreading"])
def test_a_point_is_measured(system: str):
    row = graph_growth.measure(system, 2000)
    assert row["accuracy"] > 0.8
    assert row["seconds"] > 0
    if system.startswith("Leaven"):
        assert row["recall"] == 1
        assert row["residual"] < 1e-5
    assert f"| {system} | 2,000 |" in graph_growth.table([row])


def test_the_picture_has_a_line_a_system_and_names_apart():
    rows = [
        {"system": system, "n": n, "status": "ok", "cpu_seconds": n * factor}
        for system, factor in (("Leaven poisson-learning", 1e-4), ("a peer", 2e-4), ("two", 2e-4))
        for n in (1000, 10_000)[: 1 + (system != "two")]
    ]
    drawn = ET.fromstring(draw([*rows, {"system": "two", "n": 10_000, "status": "over 1 s"}]))
    said = [e.text for e in drawn.iter() if e.tag.endswith("text")]
    assert {"Leaven poisson-learning", "a peer", "two", "1,000", "10,000"} <= set(said)
    dots = [e for e in drawn.iter() if e.tag.endswith("circle")]
    assert len(dots) == 5, "a point that was stopped has no dot"


def test_no_system_has_a_comma_in_its_name():
    assert not [name for name in graph_growth.SYSTEMS if "," in name], "they are joined by commas"


def test_a_system_that_is_too_slow_is_not_asked_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    asked: list[tuple[str, int]] = []

    def point(system: str, n: int, interpreter: str, cap: float) -> dict[str, Any]:
        asked.append((system, n))
        status = "over 1 s" if n > 10 else "ok"
        measured = {"seconds": 1.0, "cpu_seconds": 1.0, "peak_gb": 1.0, "accuracy": 1.0}
        return {"system": system, "n": n, "status": status} | measured

    monkeypatch.setattr(graph_growth, "_point", point)
    out = tmp_path / "growth.jsonl"
    systems = "Leaven label-spreading,GraphLearning poisson"
    order = ["growth", "--sizes", "100,10,1000", "--systems", systems, "--out", str(out)]
    monkeypatch.setattr(sys, "argv", order)
    graph_growth.main()
    graph_growth.main()  # what is in the results is not measured again
    assert asked == [("Leaven label-spreading", 10), ("Leaven label-spreading", 100)]
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["n"] for row in rows] == [10, 100]
    assert "| Leaven label-spreading | 100 | over 1 s |" in capsys.readouterr().out
