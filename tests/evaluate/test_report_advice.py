"""The block on advice: its finding, its figures, its chart, and that any of it may be missing."""

from __future__ import annotations

import html
import re
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_breast_cancer

from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.evaluate.report import render
from leaven.evaluate.report.advice import advice
from leaven.learn.assumptions import advise

HOSTILE = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e{{ 7*7 }}\x00"


@pytest.fixture(scope="module")
def told() -> dict:
    """Advice on a real table whose labelled records were not drawn alike."""
    x, y = load_breast_cancer(return_X_y=True)
    chosen = np.random.default_rng(0).permutation(np.argsort(-x[:, 4])[:300])[:120]
    kept = np.isin(np.arange(len(y)), chosen)
    names = load_breast_cancer().feature_names
    frame = pa.table(
        {str(name): x[:, i] for i, name in enumerate(names)}
        | {"label": [str(v) if k else None for v, k in zip(y, kept, strict=True)]}
    )
    dataset = Dataset.from_frame(frame, label="label")
    modality = MODALITIES[dataset.modality]
    spec = modality.describe(dataset)
    arrays, _ = modality.decode(dataset, spec)
    return asdict(advise(dataset, arrays, spec))


def text(source: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", source, flags=re.DOTALL)
    return re.sub(r"[\s\u202f]+", " ", html.unescape(re.sub(r"<[^>]*>", " ", body)))


def block(source: str) -> str:
    found = re.search(r'<section id="advice".*?</section>', source, re.DOTALL)
    assert found
    return found[0]


def test_the_block_says_the_finding_first(told):
    source = render({"advice": told}, {})
    assert source.index('id="verdict-title"') < source.index('id="advice"')
    assert source.index('id="advice"') < source.index('id="figures"')
    said = text(block(source))
    assert "Before training the data asked for labels first" in said
    assert "Advice: label more" in said
    assert "shift" in said
    assert "differ most in mean smoothness" in said
    first = told["label_next"][0]
    assert told["places"][first] in said
    assert f'title="{first}"' in block(source)
    assert "What was measured before training" in said
    assert 'href="#advice"' in source


def test_without_advice_there_is_no_block():
    for story in ({}, {"advice": None}, {"advice": {}}, {"advice": "x"}):
        source = render(story, {})
        assert 'id="advice"' not in source
        assert 'href="#advice"' not in source


def test_the_dots_are_where_the_figures_are(told):
    source = block(render({"advice": told}, {}))
    wide, narrow = re.findall(r"<svg.*?</svg>", source, re.DOTALL)
    assert 'width="720"' in wide
    assert 'width="328"' in narrow
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', wide)]
    distances = [2 * told["numbers"]["separability"] - 1]
    distances += [column["distance"] for column in told["columns"][:8]]
    assert len(places) == len(distances)
    left, right = 190, 720 - 56
    assert places == pytest.approx([left + d * (right - left) for d in distances], abs=0.1)


def test_alike_sets_are_said_to_be_alike():
    evidence = [
        {"name": "labelled against unlabelled", "said": "alike", "verdict": "good",
         "value": 0.47, "low": 0.41, "high": 0.53, "p": 0.4, "n": 400},
        {"name": "wrong labels", "said": "few", "verdict": "good", "value": 0.01, "low": 0.0,
         "high": 0.04, "p": None, "n": 100},
    ]  # fmt: skip
    shown = advice({"advice": {"choice": "semi-supervised", "evidence": evidence}})
    assert shown["chart_title"] == "Labelled and unlabelled records look alike"
    assert shown["rows"][0]["value"] == "0.470"
    assert shown["rows"][1]["ends"].replace("\u202f", " ") == "0.0 % to 4.0 %"
    said = text(block(render({"advice": {"choice": "semi-supervised", "evidence": evidence}}, {})))
    assert "no alarm" in said
    assert "promised that unlabelled records help" in said


@pytest.mark.parametrize("seed", range(15))
def test_anything_may_be_missing_or_odd(told, seed):
    rng = np.random.default_rng(seed)

    def thinned(value):
        if isinstance(value, dict):
            kept = {k: thinned(v) for k, v in value.items() if rng.random() > 0.15}
            return {k: None if rng.random() < 0.1 else v for k, v in kept.items()}
        if isinstance(value, list | tuple):
            return [thinned(v) for v in value]
        return float("nan") if isinstance(value, float) and rng.random() < 0.1 else value

    said = text(render({"advice": thinned(told) | {"choice": "label more"}}, {}))
    assert "labels first" in said
    assert not re.search(r"\b(nan|None|Undefined)\b", said)


def test_hostile_names_stay_text(told):
    column = told["columns"][0] | {"name": HOSTILE, "said": HOSTILE}
    story = told | {
        "choice": HOSTILE, "reasons": [HOSTILE], "alarms": [HOSTILE], "classes": [HOSTILE],
        "label_next": [HOSTILE], "check_labels": [HOSTILE], "columns": [column],
        "places": {HOSTILE: HOSTILE},
        "evidence": [told["evidence"][0], {"name": HOSTILE, "said": HOSTILE, "verdict": HOSTILE}],
    }  # fmt: skip
    source = render({"advice": story}, {})
    assert "<script" not in source
    assert "<img" not in source
    assert "{{ 7*7 }}" in text(source)
    assert "\u202e" not in source
