"""The section on more labels: what it says and shows, and what it does with a damaged story."""

from __future__ import annotations

import re
from dataclasses import asdict

import numpy as np
import pytest
from sklearn.datasets import load_digits

from leaven.evaluate.curves import grow
from leaven.evaluate.report.clean import clean
from leaven.evaluate.report.growth import growth
from leaven.evaluate.report.template import page
from leaven.learn.classic_method import Frozen
from leaven.learn.method import METHODS


@pytest.fixture(scope="module")
def story() -> dict:
    """A story with real curves, through JSON as in a run."""
    pixels, classes = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(classes))[:260]
    targets = np.where(np.arange(260) < 60, classes[order], -1)
    known = Frozen(pixels[order].astype(np.float32), targets, 10, 0, np.arange(200))
    return clean({"growth": asdict(grow(known, METHODS["label-spreading"], seconds=0))})


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("\u202f", " ")


def test_the_finding_is_the_title_and_the_text_alternative(story: dict):
    told = growth(story)
    assert told["title"].startswith("More labels")
    assert "with 60" in told["title"]
    assert "with 110" in told["title"]
    assert told["chart"].count(f'aria-label="{told["title"]}"') == 2  # wide and narrow
    assert told["unlabelled_chart"].count('role="img"') == 2


def test_every_point_says_what_it_is_when_pointed_at(story: dict):
    told = growth(story)
    hovers = re.findall("<title>([^<]+)</title>", told["chart"])
    sizes = [point["size"] for point in story["growth"]["labels"]]
    assert len(hovers) == 2 * (len(sizes) + 1)
    for size in sizes:
        assert any(hover.startswith(f"With {size} labels: ") for hover in hovers)
    assert any(hover.startswith("Forecast for 110 labels: ") for hover in hovers)


def test_nothing_is_drawn_outside_the_picture(story: dict):
    told = growth(story)
    for chart in (told["chart"], told["unlabelled_chart"]):
        for svg in re.findall("<svg.*?</svg>", chart):
            width, height = (
                float(n) for n in re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups()
            )
            for x, y in re.findall(r'cx="([\d.-]+)" cy="([\d.-]+)"', svg):
                assert 0 < float(x) < width
                assert 0 < float(y) < height
            for pair in " ".join(re.findall(r'points="([^"]+)"', svg)).split():
                x, y = (float(n) for n in pair.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height


def test_the_section_shows_advice_chart_table_and_method(story: dict):
    html = page("growth.html.j2", story, growth=growth(story), number=7)
    said = words(html)
    assert story["growth"]["sentence"].replace("\u202f", " ") in said
    assert story["growth"]["note"].replace("\u202f", " ") in said
    assert story["growth"]["unlabelled_sentence"].replace("\u202f", " ") in said
    assert "110 forecast" in said
    assert html.count("<figure>") == 2
    assert 'id="more"' in html


def test_without_curves_the_section_says_what_is_not_known():
    assert growth({}) is None
    assert growth({"growth": None}) is None
    html = page("growth.html.j2", {}, growth=None, number=7)
    assert "Not known" in html


def test_too_few_labels_have_a_sentence_and_no_chart():
    told = growth({"growth": {"sentence": "4 labels are too few.", "outcome": "unknown"}})
    assert told["chart"] is None
    html = page("growth.html.j2", {}, growth=told, number=7)
    assert "4 labels are too few." in html
    assert "<svg" not in html


def test_a_damaged_story_does_not_stop_the_page(story: dict):
    for key in story["growth"]:
        for broken in (None, "text", 3, [], {}, [{"size": "x"}], [{}]):
            told = growth({"growth": story["growth"] | {key: broken}})
            page("growth.html.j2", {}, growth=told, number=7)


def test_text_of_the_story_is_escaped(story: dict):
    told = growth({"growth": story["growth"] | {"note": "<script>alert(1)</script>"}})
    assert "<script" not in page("growth.html.j2", {}, growth=told, number=7)
