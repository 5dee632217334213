"""A stand-in for `leaven.api`: the same answers in shape, at once, and it remembers its calls."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from leaven.core.errors import DataError, SettingError
from leaven.core.progress import Progress

DATASET = {
    "name": "intents",
    "source": "intents.csv",
    "hash": "c0ffee",
    "modality": "text",
    "records": 9974,
    "labelled": 616,
    "unlabelled": 9358,
    "classes": [f"class {i:02d}" for i in range(20)],
    "class_counts": {f"class {i:02d}": 40 - i for i in range(20)},
    "columns": [{"name": "text", "kind": "text"}],
    "quarantined": 3,
    "quarantine_reasons": {"empty text": 3},
    "places": {"7": "x.csv row 812"},
}
FINDING = {
    "name": "typo",
    "severity": "warning",
    "message": "'positve' occurs once \x1b[31mand [bold]may[/bold] mean 'positive'",
    "count": 1,
    "examples": ["7"],
    "advice": "Correct it.",
}
ACCURACY = {"value": 0.712, "low": 0.689, "high": 0.734, "n": 1541}
STORY: dict[str, Any] = {
    "run": {"id": "a1", "name": "intents-a1", "folder": "runs/intents-a1", "seconds": 150.0},
    "dataset": DATASET,
    "metrics": {
        "accuracy": ACCURACY,
        "ece": {"value": 0.041, "low": 0.03, "high": 0.05, "n": 1541},
        "log_loss": {"value": float("nan"), "low": None, "high": None, "n": 0},
    },
    "baseline": {"method": "supervised", "metrics": {"accuracy": {**ACCURACY, "value": 0.651}}},
    "verdict": {
        "outcome": "better",
        "method": "fixmatch",
        "kept": "fixmatch",
        "sentence": "The unlabelled data helped: +6.1 points (95 %: 3.9 to 8.2). Use it.",
        "difference": {"value": 0.061, "low": 0.039, "high": 0.082, "n": 1541},
        "p_value": 0.0001,
        "needed": None,
    },
    "next": ["Label the 20 records in predictions.parquet with the lowest confidence."],
    "environment": {"python": "3.11"},
}
GAIN = {"value": 0.031, "low": 0.01, "high": 0.052, "n": 300}
ALARM = {
    "kind": "collapsed",
    "step": 12,
    "cause": "all records get the same \x1b[31mprojection",
    "advice": "Begin again with a predictor.",
    "mended": {"predictor": "Perceptron"},
}
PRETRAINING: dict[str, Any] = {
    "sentence": "simclr learnt from 900 records in 40 steps. It helped: +3.1 points.",
    "run": {"id": "p1", "folder": "runs/p1", "seconds": 61.0},
    "training": {"restarts": [ALARM]},
    "alarms": [],
    "comparison": {
        "n": 300,
        "folds": 5,
        "steps": 40,
        "rows": [
            {"start": "from scratch", "note": "mlp", "accuracy": ACCURACY},
            {
                "start": "tuned, self-supervised",
                "note": "mlp",
                "accuracy": ACCURACY,
                "difference": GAIN,
            },
        ],
    },
    "map": [{"x": 0.1}],
}
PRETEXTS = [
    {
        "name": "simclr",
        "family": "contrastive",
        "summary": "each view finds its other",
        "paper": "Chen et al. 2020",
        "modalities": [],
        "row": {"views": "Pair", "agreement": "NTXent(0.2)"},
    },
    {
        "name": "rotation",
        "family": "predictive",
        "summary": "tells the turn",
        "paper": "Gidaris et al. 2018",
        "modalities": ["image"],
        "row": None,
    },
]
METHODS = [
    {
        "name": "fixmatch",
        "family": "consistency",
        "summary": "Hard pseudo-labels from a weak view teach a strong one.",
        "paper": "Sohn et al. 2020",
        "unlabelled": True,
        "row": {"teacher": "self", "target": "hard", "accept": "fixed 0.95"},
    },
    {
        "name": "label-spreading",
        "family": "classic",
        "summary": "Labels flow over a neighbour graph.",
        "paper": "Zhou et al. 2004",
        "unlabelled": True,
        "row": None,
    },
]

CHOICES = [
    {
        "part": part,
        "name": written.partition("(")[0],
        "written": written,
        "summary": summary,
    }
    for part, written, summary in (
        ("teacher", "SelfTeacher(weak)", "The network itself."),
        ("accept", "AtLeast(0.95)", "Records whose largest probability reaches a threshold."),
    )
]


def build(*, outcome: str = "better", clean: bool = False) -> ModuleType:
    """A module to put where `from leaven import api` looks; its `calls` lists the calls."""
    api = ModuleType("leaven.api")
    calls: list[tuple[str, dict[str, Any]]] = []

    def check(data: str, **options: Any) -> dict[str, Any]:
        calls.append(("check", {"data": data, **options}))
        if data == "missing.csv":
            raise DataError("no file 'missing.csv'. Give the path of a table or a folder.")
        if data == "locked.csv":
            raise PermissionError(13, "Permission denied", data)
        findings = [] if clean else [FINDING]
        advice = {"choice": "semi-supervised", "reasons": ["Neighbours agree."], "numbers": {}}
        return {"dataset": DATASET, "findings": findings, "advice": advice}

    def fit(data: str, **options: Any) -> SimpleNamespace:
        calls.append(("fit", {"data": data, **options}))
        if options["budget"] == "soon":
            raise SettingError("budget", "a time or steps, such as 5m", "soon")
        if data == "interrupted.csv":
            raise KeyboardInterrupt
        if data == "slow.csv":
            sys.stderr.write("training\n")
            sys.stderr.flush()
            time.sleep(60)
        print("chatter of another package")
        if options["progress"] is not None:
            figures = {"accuracy": 0.71, "baseline": 0.65, "coverage": 0.38}
            options["progress"](Progress("fixmatch", 3, 4, 130.0, figures))
        story = {**STORY, "verdict": {**STORY["verdict"], "outcome": outcome}}
        return SimpleNamespace(folder=Path(STORY["run"]["folder"]), story=story)

    def compare(runs: list[str]) -> dict[str, Any]:
        calls.append(("compare", {"runs": runs}))
        rows = [
            {
                "run": run,
                "method": "fixmatch",
                "dataset": "intents",
                "accuracy": ACCURACY,
                "baseline": ACCURACY,
                "verdict": "better",
                "seconds": 150.0,
            }
            for run in runs
        ]
        pair = {
            "a": runs[0],
            "b": runs[1],
            "difference": {"value": 0.02, "low": -0.01, "high": 0.05, "n": 300},
            "p_value": 0.2,
            "sentence": "Not shown to be better.",
        }
        return {"rows": rows, "pairs": [pair], "warnings": ["The holdouts differ."]}

    def report(run: str, out: str | None = None) -> Path:
        calls.append(("report", {"run": run, "out": out}))
        return Path(out or f"{run}/report.html")

    def pretrain(data: str, **options: Any) -> SimpleNamespace:
        calls.append(("pretrain", {"data": data, **options}))
        if options["progress"] is not None:
            options["progress"](Progress("pretraining by simclr", 3, 4, 130.0))
        return SimpleNamespace(folder=Path(PRETRAINING["run"]["folder"]), story=PRETRAINING)

    encoder = {
        "name": "ngram-bag",
        "modality": "text",
        "size": "tiny",
        "weights": 1000,
        "ready": False,
        "summary": "n-grams",
    }
    members = {
        "calls": calls,
        "check": check,
        "compare": compare,
        "encoders": lambda: [encoder],
        "fit": fit,
        "methods": lambda: METHODS,
        "choices": lambda: CHOICES,
        "pretexts": lambda: PRETEXTS,
        "pretrain": pretrain,
        "report": report,
    }
    for name, member in members.items():
        setattr(api, name, member)
    return api


def main() -> None:
    """Run the command line on the stand-in."""
    sys.modules["leaven.api"] = build()
    from leaven.cli import main

    main()


if __name__ == "__main__":
    main()
