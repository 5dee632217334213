"""What the tests of the page share: a made story, its records, and what every page keeps."""

from __future__ import annotations

import base64
import io
import itertools
import math
import re
from dataclasses import asdict
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from leaven.evaluate import calibration, comparison, metrics

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
