"""Ways to a verdict compared: figures that are checked by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import verdicts
from benchmarks.setfit_peer import SetFit
from leaven.learn.out_of_fold import folds


def row(gain: float, given: float, won: int, lost: int, shipped: bool) -> dict[str, Any]:
    return {
        "set": "points", "labels": 4, "seed": 0, "n": 16, "won": won, "lost": lost,
        "given": [given, 0.01], "shipped": shipped, "experience": [0.02, 0.05, 9],
        "gain": {"accuracy": gain, "balanced_accuracy": gain / 2},
    }  # fmt: skip


def test_each_way_is_judged_by_what_it_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(0.10, 0.12, 2, 0, True), row(-0.04, -0.06, 1, 0, False)]
    out, page = tmp_path / "rows.jsonl", tmp_path / "page.md"
    out.write_text("".join(json.dumps(one) + "\n" for one in rows))
    page.write_text("# Page\n")
    monkeypatch.setattr(verdicts, "PAGE", page)
    assert verdicts.main(["--out", str(out), "--page"]) == 0
    text = page.read_text()
    assert "| as it ships | +5.00 | +2.50 | 1 | 0 | +10.0 |" in text
    assert "| always the blend | +3.00 | +1.50 | 2 | 1 | -4.0 |" in text
    assert "| never the blend | +0.00 | +0.00 | 0 | 0 | – |" in text
    assert "| whoever is right oftener | +3.00 | +1.50 | 2 | 1 | -4.0 |" in text
    assert "| expected by probability, as if it were accuracy | +5.00 |" in text
    # Both gains stray by 2 points, of which each has 2.5 by chance.
    assert "by 0.0 points beyond chance" in text


def test_a_case_tells_what_was_seen_and_what_is_true() -> None:
    rng = np.random.default_rng(0)
    y, truth = np.repeat([0, 1], 8), np.repeat([0, 1], 50)
    sure = 4.0 * np.eye(2)[y]
    left_out = {"blend": sure, "supervised-blend": rng.normal(size=(16, 2))}
    said = {"blend": truth, "supervised-blend": np.zeros(100, np.int64)}
    found = verdicts.judged(left_out, y, folds(y, 0), said, truth, "tabular", "points")
    assert found["gain"] == {"accuracy": 0.5, "balanced_accuracy": 0.5}
    assert (found["n"], found["lost"]) == (16, 0)
    assert found["won"] == int((left_out["supervised-blend"].argmax(1) != y).sum())
    assert found["given"][0] > 0.2
    assert found["shipped"]


SETFIT = """
class SetFitModel:
    @classmethod
    def from_pretrained(cls, folder):
        assert folder == "encoder"
        return cls()

    def predict(self, texts):
        return [self.known.get(text[:3], 0) for text in texts]


class TrainingArguments:
    def __init__(self, **how):
        pass


class Trainer:
    def __init__(self, model, args, train_dataset):
        self.model, self.data = model, train_dataset

    def train(self):
        self.model.known = {t[:3]: l for t, l in zip(self.data["text"], self.data["label"])}
"""
DATASETS = """
class Dataset:
    from_dict = staticmethod(dict)
"""


def test_setfit_of_another_interpreter_labels_what_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "setfit.py").write_text(SETFIT)
    (tmp_path / "datasets.py").write_text(DATASETS)
    monkeypatch.setenv("SETFIT_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    peer = SetFit(0, "encoder").fit(["ünd so", "far away"], [0, 1])
    assert peer.predict(["far off", "ünder"]) == [1, 0]
