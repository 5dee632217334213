"""The page: whole in itself, readable by anyone, and safe with whatever the data holds."""

from __future__ import annotations

import base64
import copy
import hashlib
import html
import io
import itertools
import math
import os
import re
import shutil
import subprocess
from dataclasses import asdict
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from leaven.evaluate import calibration, comparison, metrics
from leaven.evaluate.report import charts, render
from leaven.evaluate.report.svg import Scale, fit

HOSTILE = (
    "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e{{ 7*7 }}\x00\ud800"
)


def a_png() -> str:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 90).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def figures(p, y):
    return {k: asdict(e) for k, e in metrics.measure(p, y, resamples=50).items()}


def a_point(step: int, shares: np.ndarray) -> dict:
    """One point of the log of pseudo-labels; `shares` (4, k) are its figures."""
    names = ("share", "coverage", "agreement", "precision")
    told = {name: values.tolist() for name, values in zip(names, shares, strict=True)}
    told["precision"][0] = None
    return {
        "step": step,
        **told,
        "audited": [5] * len(shares[0]),
        "all": {"coverage": 0.612, "agreement": 0.5, "entropy": 0.4, "precision": 0.9},
    }


def a_story(k: int = 4, n: int = 240, names: list[str] | None = None) -> dict:
    rng = np.random.default_rng(0)
    y = rng.integers(k, size=n)
    names = names or [f"class {i}" for i in range(k)]

    def model(skill):
        scores = rng.normal(size=(n, k))
        scores[np.arange(n), y] += skill
        return calibration.apply(scores, 1.0)

    ours, theirs = model(2.5), model(1.2)
    verdict = comparison.compare(ours, theirs, y, method="fixmatch", baseline="supervised")
    rows = metrics.per_class(ours, y, names)
    for row, other in zip(rows, metrics.per_class(theirs, y, names), strict=True):
        row["baseline_recall"] = other["recall"]
    history = [
        {
            "stage": "final fixmatch",
            "step": 10 * i,
            "loss": 2 / (i + 1),
            "supervised": 1 / (i + 1),
            "unlabelled": 0.5,
            "coverage": i / 50,
            "agreement": 0.5 + i / 100,
            "precision": 0.9,
            "audited": 30,
        }
        for i in range(50)
    ]
    error = {"ece": calibration.ece(ours, y), "brier": calibration.brier(ours, y)}
    counts, edges = np.histogram(ours.max(axis=1), bins=20, range=(0, 1))
    return {
        "run": {
            "id": "r1",
            "name": "demo",
            "created": "2025-11-20T10:04:31+00:00",
            "leaven": "0.1.0",
            "seconds": 131.2,
            "cpu_seconds": 240.0,
            "folder": "runs/demo",
            "command": "leaven fit data.csv --label y",
        },
        "dataset": {
            "name": "demo",
            "source": "data.csv",
            "hash": "9f2b7c1e" * 8,
            "modality": "text",
            "records": 5240,
            "labelled": 240,
            "unlabelled": 5000,
            "classes": names,
            "class_counts": {c: int((y == i).sum()) for i, c in enumerate(names)},
            "columns": [{"name": "text", "kind": "text"}],
            "quarantined": 3,
            "quarantine_reasons": {"empty": 3},
            "findings": [
                {
                    "name": "near_duplicates",
                    "severity": "warning",
                    "message": "14 records are near-copies of another.",
                    "count": 14,
                    "examples": ["a", "b"],
                    "advice": "Keep one of each.",
                }
            ],
            "advice": {"choice": "likely", "reasons": ["Neighbours agree."], "numbers": {"x": 1.0}},
        },
        "recipe": {"method": "fixmatch"},
        "recipe_toml": "seed = 0\n",
        "split": {
            "rule": "stratified holdout",
            "reason": "enough labels",
            "train": 100,
            "calibration": 40,
            "holdout": 100,
            "folds": 0,
            "unlabelled": 5000,
            "proxy": 200,
        },
        "metrics": figures(ours, y),
        "method_metrics": figures(ours, y),
        "per_class": rows,
        "confusion": metrics.confusion(ours, y).tolist(),
        "baseline": {"method": "supervised", "metrics": figures(theirs, y)},
        "verdict": asdict(verdict),
        "calibration": {
            "temperature": 1.3,
            "before": error,
            "after": error,
            "bins": calibration.reliability(ours, y),
        },
        "training": {
            "history": history,
            "pseudo_history": [a_point(50 * i, rng.random((4, k))) for i in range(1, 11)],
            "pseudo_labels": {
                "per_class": [
                    {"class": c, "share": 1 / k, "labelled_share": 1 / k, "confidence": 0.9}
                    for c in names
                ],
                "coverage": 0.9,
                "agreement_with_baseline": 0.8,
                "precision": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 100},
            },
        },
        "audit": {
            "records": 400,
            "unknown": 1,
            "threshold": 0.95,
            "precision": {"value": 0.97, "low": 0.95, "high": 0.98, "n": 312},
            "accuracy": {"value": 0.91, "low": 0.88, "high": 0.93, "n": 400},
        },
        "confidence": {"edges": edges.tolist(), "counts": counts.tolist()},
        "next": ["Use the model."],
        "environment": {
            "python": "3.11",
            "torch": "2",
            "platform": "Linux",
            "cpu": "x",
            "cores": 2,
            "gpu": None,
            "packages": {"numpy": "2"},
            "commit": "abc",
        },
        "cost": {"seconds": 131.2, "cpu_seconds": 240.0, "steps": {"final": 500}},
    }


def some_records(names: list[str], text: str = "a record") -> dict:
    kinds = [
        {"kind": "image", "png": a_png()},
        {"kind": "text", "text": text},
        {"kind": "row", "cells": [{"name": text, "value": text, "unusual": True}] * 40},
        {"kind": "vector", "values": [0.0, 1.0, math.nan, 0.5]},
    ]
    return {
        "uncertain": [
            {
                "id": f"u{i}",
                "prediction": names[0],
                "confidence": 0.5,
                "second": names[-1],
                "second_confidence": 0.4,
                "shown": shown,
            }
            for i, shown in enumerate(kinds)
        ],
        "mistakes": [
            {
                "id": f"m{i}",
                "label": names[0],
                "prediction": names[-1],
                "confidence": 0.9,
                "shown": shown,
            }
            for i, shown in enumerate(kinds)
        ],
    }


class Page(HTMLParser):
    """What the tests ask of a page; checks on the way that tags are nested and closed."""

    VOID = ("meta", "link", "img", "wbr", "line", "rect", "circle", "polyline")

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def all(self, *names):
        return [attrs for tag, attrs in self.tags if tag in names]

    @property
    def text(self):
        return re.sub(r"[\s\u202f]+", " ", " ".join(self.words))


def check(source: str) -> Page:
    """Every page, whatever it shows, keeps these."""
    page = Page(source)
    assert not page.all("script", "iframe", "object", "form", "base")
    assert all(a["src"].startswith("data:image/png;base64,") for a in page.all("img"))
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on") or a == "style"]
    assert not re.search(r"https?:|url\(|@import|//[a-z]", source)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [a["href"][1:] for a in page.all("a")]
    assert set(targets) <= set(ids)
    assert all("scope" in a for a in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(a["role"] == "img" and a["aria-label"] for a in page.all("svg"))
    for drawn in re.findall(r"<svg.*?</svg>", source, re.DOTALL):
        ElementTree.fromstring(drawn)
    assert not re.search(r'="[^"]*\b(nan|inf|None)\b[^"]*"', source)
    assert not re.search(r"\b(nan|None|Undefined)\b", page.text)
    source.encode("utf-8")
    return page


def test_the_page_says_it_in_the_order_of_a_reader():
    story = a_story()
    source = render(story, some_records(story["dataset"]["classes"]))
    page = check(source)
    headings = [
        "The unlabelled data helped",
        "The figures against the baseline",
        "What the model is unsure of",
        "Did the unlabelled data help?",
        "Can its confidence be believed?",
        "The data",
        "What more labels would buy",
        "How it was made",
    ]
    told = [re.sub("<.*?>", "", h) for h in re.findall("<h2.*?</h2>", source)]
    assert [h in t for h, t in zip(headings, told, strict=True)] == [True] * 8
    accuracy = story["metrics"]["accuracy"]
    assert f"{100 * accuracy['value']:.1f} %" in page.text
    assert f"{100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f}" in page.text
    assert "leaven fit data.csv --label y" in page.text
    assert "5 240 text records" in page.text
    assert "2 min 11 s" in page.text
    assert "Look at this: 14 records are near-copies" in page.text.replace(" :", ":")


def test_every_mistake_of_the_worst_list_links_to_its_record():
    story = a_story(2, names=["a", "b"])
    page = check(render(story, some_records(["a", "b"])))
    assert "mistake-1" in [a["href"][1:] for a in page.all("a")]


def test_the_policy_lets_nothing_in_but_the_style():
    source = render(a_story(), {})
    policy = Page(source).all("meta")[1]["content"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    style = re.search(r"<style>(.*?)</style>", source, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy


def test_hostile_text_stays_text():
    names = [f"{HOSTILE} {i}" for i in range(3)]
    story = a_story(3, names=names)
    story["run"] |= {"name": HOSTILE, "command": HOSTILE, "id": HOSTILE, "leaven": HOSTILE}
    story["dataset"] |= {
        "name": HOSTILE,
        "source": HOSTILE,
        "columns": [{"name": HOSTILE, "kind": HOSTILE}],
        "quarantine_reasons": {HOSTILE: 3},
        "findings": [
            {"severity": HOSTILE, "message": HOSTILE, "examples": [HOSTILE], "advice": HOSTILE}
        ],
    }
    story["verdict"] |= {"method": HOSTILE, "baseline": HOSTILE, "sentence": HOSTILE}
    story["recipe_toml"] = HOSTILE
    story["next"] = [HOSTILE]
    story["training"]["history"] = [{**h, "stage": HOSTILE} for h in story["training"]["history"]]
    source = render(story, some_records(names, HOSTILE))
    page = check(source)
    assert "<script" not in source
    assert "alert(1)" in page.text
    assert "{{ 7*7 }}" in page.text
    assert "\u202e" not in source
    assert "\x00" not in source


def test_an_image_that_is_none_is_not_embedded():
    for png in ('" onerror="alert(1)', "PHN2Zz4=", a_png() + '"', "iVBORw0KGgo" + "A" * 3_000_000):
        shown = {"kind": "image", "png": png}
        source = render({}, {"uncertain": [{"id": "x", "prediction": "a", "shown": shown}]})
        page = check(source)
        assert not page.all("img")
        assert "cannot be shown" in page.text


def test_any_part_may_be_missing():
    check(render({}, {}))
    whole = a_story()
    records = some_records(whole["dataset"]["classes"])
    for key in whole:
        check(render({k: v for k, v in whole.items() if k != key}, records))
        if isinstance(whole[key], dict):
            check(render({**whole, key: {}}, records))


@pytest.mark.parametrize("seed", range(40))
def test_anything_at_any_depth_may_be_missing_or_none(seed):
    rng = np.random.default_rng(seed)

    def thinned(value):
        if isinstance(value, dict):
            kept = {k: thinned(v) for k, v in value.items() if rng.random() > 0.1}
            return {k: None if rng.random() < 0.05 else v for k, v in kept.items()}
        return [thinned(v) for v in value] if isinstance(value, list) else value

    story = a_story(3, n=60)
    check(render(thinned(story), thinned(some_records(["a", "b"]))))


def test_numbers_that_are_none():
    def without_numbers(value):
        if isinstance(value, dict):
            return {k: without_numbers(v) for k, v in value.items()}
        if isinstance(value, list):
            return [without_numbers(v) for v in value]
        return math.nan if isinstance(value, float) else value

    story = a_story()
    records = some_records(story["dataset"]["classes"])
    check(render(without_numbers(story), without_numbers(records)))


def test_no_holdout_says_so():
    story = a_story()
    for key in ("metrics", "method_metrics", "per_class", "confusion", "calibration", "baseline"):
        del story[key]
    story["verdict"] = asdict(comparison.unmeasured(method="fixmatch", baseline="supervised"))
    page = check(render(story, {}))
    assert "Not measured" in page.text
    assert "no labelled records were left to measure on" in page.text


def test_checks_that_were_not_run_are_not_said_to_be_passed():
    assert "No checks were recorded" in check(render({}, {})).text
    assert "found nothing wrong" in check(render({"dataset": {"findings": []}}, {})).text


@pytest.mark.parametrize("outcome", ["better", "unproven", "worse", "unmeasured", "supervised", ""])
def test_every_outcome_has_a_word(outcome):
    story = a_story()
    story["verdict"]["outcome"] = outcome
    page = check(render(story, {}))
    badge = [a for a in page.all("span") if "badge" in (a.get("class") or "")]
    assert len(badge) == 1


def test_the_model_that_ships_is_marked():
    story = a_story()
    story["verdict"]["kept"] = "supervised"
    source = render(story, {})
    assert re.search(r'class="number theirs">supervised\s*<span class="ships">', source)
    story["verdict"]["kept"] = "fixmatch"
    assert re.search(r'class="number ours">fixmatch\s*<span class="ships">', render(story, {}))


@pytest.mark.parametrize("k", [1, 2, 31, 150])
def test_few_and_many_classes(k):
    story = a_story(k, n=600)
    source = render(story, {})
    check(source)
    assert len(source) < 2_000_000


def test_empty_and_single_step_histories():
    for history in ([], [{"stage": "final", "step": 0, "loss": 1.0, "coverage": 0.1}]):
        story = a_story()
        story["training"] = {"history": history, "pseudo_labels": {}}
        check(render(story, {}))


def test_long_text_is_cut():
    story = a_story()
    story["dataset"]["name"] = "x" * 100_000
    source = render(story, some_records(["a", "b"], "word " * 100_000))
    assert len(check(source).text) < 200_000


def test_unicode_classes():
    names = ["日本語のとても長い分類名です", "שלום", "naïve 🥐", "emoji‍👩‍🔬"]
    page = check(render(a_story(4, names=names), some_records(names)))
    assert all(name in page.text for name in names)


def test_the_input_is_left_as_it_was():
    story = a_story()
    records = some_records(["a", "b"])
    before = copy.deepcopy((story, records["mistakes"][:3]))
    render(story, records)
    assert (story, records["mistakes"][:3]) == before


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


CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


def browse(tmp_path, pages: dict[str, str], width: int = 360) -> tuple[dict[str, int], str]:
    """The widest content of each page in a frame of `width`, and what the console said."""
    frames = "".join(
        f'<iframe name="{name}" width="{width}" height="900" srcdoc="{html.escape(page)}"></iframe>'
        for name, page in pages.items()
    )
    script = """onload = () => { for (const f of document.querySelectorAll("iframe"))
        document.body.append(`[${f.name}=${f.contentDocument.documentElement.scrollWidth}]`) }"""
    harness = tmp_path / "harness.html"
    harness.write_text(
        f"<!doctype html><meta charset=utf-8><script>{script}</script>{frames}", encoding="utf-8"
    )
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1600,1000",
            "--dump-dom",
            harness.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.findall(r"\[(\w+)=(\d+)\]", done.stdout)
    said = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return {name: int(size) for name, size in found}, said


@pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium to look with"
)
def test_in_a_browser(tmp_path):
    assert CHROMIUM, "CI must have Chromium"
    names = ["x" * 400, "日本語のとても長い分類名です", "a b c"]
    pages = {
        "usual": render(a_story(), some_records(["a", "b"])),
        "hostile": render(a_story(3, names=names), some_records(names, "y" * 5000)),
        "many": render(a_story(150, n=600), {}),
        "empty": render({}, {}),
    }
    widths, said = browse(tmp_path, pages)
    assert widths == dict.fromkeys(pages, 360)
    assert said == ""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to look with")
def test_the_browser_test_would_notice(tmp_path):
    source = render({}, {})
    wide = source.replace("<header>", '<header><svg width="900" height="9"></svg><pre>')
    wide = wide.replace("max-width: 100%; height: auto;", "")
    styled = source.replace("<header>", '<header><b style="color:red">x</b>')
    widths, said = browse(tmp_path, {"wide": wide, "styled": styled, "fine": source})
    assert widths["fine"] == 360
    assert widths["wide"] > 360
    assert "style" in said.lower()
