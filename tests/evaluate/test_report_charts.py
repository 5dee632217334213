"""What the page draws and says of it: axes, bars, times of pseudo-labels, titles."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.evaluate.report import charts, render
from leaven.evaluate.report.svg import Scale, fit
from tests.evaluate.report_parts import a_point, a_story, check


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_ticks_are_few_and_inside(a, b):
    scale = Scale(min(a, b), max(a, b), 0, 100)
    reach = abs(a - b)
    assert 1 <= len(scale.ticks) <= 7 or reach < 1e-6
    assert all(0 <= scale(t) <= 100.0001 for t in scale.ticks)


@settings(max_examples=50)
@given(st.text(max_size=60), st.floats(20, 300))
def test_fitted_text_is_a_beginning(content, room):
    cut = fit(content, room)
    assert content.startswith(cut.removesuffix("…"))
    assert len(cut) <= room / 7 + 1


def test_bars_start_at_zero():
    drawn = str(charts.bars([("a", 10), ("b", 5), ("c", 0)], "labels", "people", 720))
    widths = [float(w) for w in re.findall(r'<rect [^>]*width="([\d.]+)"', drawn)]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    assert widths[2] == 0


def test_titles_are_computed_from_the_numbers():
    story = a_story(3, names=["ham", "rye", "bun"])
    story["confusion"] = [[10, 7, 0], [0, 20, 0], [1, 0, 9]]
    story["confidence"] = {"edges": [0.0, 0.5, 0.9, 1.0], "counts": [1, 2, 3]}
    story["dataset"]["class_counts"] = {"ham": 4, "rye": 25, "bun": 9}
    text = check(render(story, {})).text
    assert "Most often mistaken: ham taken for rye, 7 of 17" in text
    assert "50.0 % of the unlabelled records have a confidence of 90 % or more" in text
    assert "Labels a class: from 4 (ham) to 25 (rye)" in text
    assert "At the end 98.0 % of the unlabelled records were learned from" in text


def with_points(coverage: list[list[float | None]], precision: list[list[float | None]]) -> str:
    """The page of a story whose classes a, b, … fared like this, a list a point."""
    story = a_story(len(coverage[0]), names=[chr(97 + i) for i in range(len(coverage[0]))])
    story["training"]["pseudo_history"] = [
        {
            "step": 50 * (i + 1),
            "coverage": accepted,
            "precision": right,
            "audited": [40] * len(right),
            "all": {"coverage": 0.612, "precision": 0.9},
        }
        for i, (accepted, right) in enumerate(zip(coverage, precision, strict=True))
    ]
    return check(render(story, {})).text


def test_the_class_that_fares_worst_is_named():
    text = with_points([[0.9, 0.9, 0.9], [0.8, 0.03, 0.7]], [[1.0, 1.0, None], [1.0, 0.95, 0.4]])
    assert "At the end b is accepted in 3.0 % of its guesses, all classes in 61.2 %" in text
    assert "At the end 40.0 % of the guesses accepted as c were right on 40 records" in text
    assert "of all 90.0 %" in text


@pytest.mark.parametrize(
    ("accepted", "said"),
    [
        ([0.8, None, 0.7], "At the end no record was taken for b"),
        ([None, 0.2, None], "At the end no record was taken for 2 of 3 classes, such as a"),
        ([0.8, 0.0, 0.0], "At the end no guess was accepted for 2 of 3 classes, such as b"),
        ([0.612, 0.612, 0.615], "At the end every class is accepted alike, in 61.2 %"),
    ],
)
def test_classes_that_learn_nothing_are_named(accepted, said):
    assert said in with_points([[0.5] * 3, accepted], [[1.0] * 3] * 2)


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ([None, None], "At the end no accepted guess was of an audited record"),
        ([0.89, 0.95], "At the end 90.0 % of those audited were right; no class stands out"),
    ],
)
def test_chance_is_not_told_of_a_class(right, said):
    story = a_story(2, names=["a", "b"])
    for i, point in enumerate(points := story["training"]["pseudo_history"]):
        point["precision"] = right if point is points[-1] else [0.5 + i / 100, 0.6]
    if right == [None, None]:
        del points[-1]["all"]["precision"]
    assert said in check(render(story, {})).text


def test_twenty_of_many_classes_are_drawn_the_worst_first():
    shares = np.linspace(1, 0.01, 77)
    story = a_story(77, n=600)
    story["training"]["pseudo_history"] = [a_point(s, np.tile(shares, (4, 1))) for s in (50, 100)]
    source = render(story, {})
    assert "The 20 classes accepted least" in check(source).text
    label = "At the end class 76 is accepted in 1.0"
    drawn = re.findall(rf'<svg[^>]*aria-label="{label}.*?</svg>', source, re.DOTALL)
    assert len(drawn) == 2, "wide and narrow"
    names = re.findall(r'<text x="0.0"[^>]*>([^<]*)</text>', drawn[0])
    assert names == [f"class {i}" for i in range(76, 56, -1)]
    assert drawn[0].count("<title>") == 40


def test_a_fuller_colour_is_a_larger_share_and_a_dash_is_none():
    row = charts.Timeline("a", [None, 0.0, 0.4, 1.0])
    drawn = str(charts.timelines([row], [1, 2, 3, 4], "a", "pseudo", 720))
    cells = re.findall(r"<g><title>(.*?)</title>(.*?)</g>", drawn)
    assert "<line" in cells[0][1]
    faint = [re.search(r'fill-opacity="([\d.]+)"', cell) for _, cell in cells[1:]]
    assert [match and float(match[1]) for match in faint] == [0.08, pytest.approx(0.522), None]
    assert cells[2][0] == "a to step 3: 40.0\u202f%"


def test_the_audit_is_told():
    story = a_story()
    text = check(render(story, {})).text
    assert "at least 95 % sure of 312 of the 400 unlabelled records" in text
    assert "97.0 % (95 %: 95.0 to 98.0) of these are right" in text
    assert "91.0 % (95 %: 88.0 to 93.0) of all" in text
    assert "1 of them is no class of the model" in text
    assert "90.0 % of those audited were right" in text
    story["audit"]["precision"] = None
    assert "sure of none of the 400 unlabelled" in check(render(story, {})).text
    del story["audit"]
    assert "Audit:" not in check(render(story, {})).text
