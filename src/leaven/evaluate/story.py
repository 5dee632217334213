"""What a run tells: one JSON object for the report, the command line and other programs."""

from __future__ import annotations

import os
import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.wording import count
from leaven.data.dataset import Dataset, Finding, Index
from leaven.data.modality import MODALITIES
from leaven.evaluate.audit import audit, share_right
from leaven.evaluate.calibration import adaptive_ece, brier, ece, reliability
from leaven.evaluate.experiment import Experiment
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.metrics import confusion, measure, per_class
from leaven.evaluate.slices import told
from leaven.learn.blending import parted
from leaven.learn.heads.blend import BlendHead
from leaven.learn.method import METHODS
from leaven.learn.predictor import Predictor

__all__ = ["dataset_story", "shown_records", "tell"]

Floats = npt.NDArray[np.float64]

_SHOWN = 12
_CONFIDENT = 0.95
_FEW_CLASSES = 10  # whose shares some thirty records tell
_FEW_STEPS = 200
_STAGE = ("title", "method", "final", "steps", "seconds", "cpu_seconds")
_PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pyarrow", "lightning-fabric")


def dataset_story(dataset: Dataset, findings: Sequence[Finding]) -> dict[str, Any]:
    """What there is: counts, columns, classes, what was rejected and what was noticed."""
    counts = Counter(dataset.labels.drop_null().to_pylist())
    reasons = Counter(dataset.quarantine["reason"].to_pylist())
    return {
        "name": dataset.name,
        "source": dataset.source,
        "hash": dataset.hash,
        "modality": dataset.modality,
        "records": len(dataset),
        "labelled": len(dataset.labelled),
        "unlabelled": len(dataset.unlabelled),
        "classes": list(dataset.classes),
        "class_counts": {name: counts[name] for name in dataset.classes},
        "columns": [asdict(column) for column in dataset.columns],
        "quarantined": dataset.quarantine.num_rows,
        "quarantine_reasons": dict(reasons.most_common()),
        "findings": [asdict(finding) for finding in findings],
        "places": dataset.places(name for finding in findings for name in finding.examples),
    }


def tell(
    found: Experiment, unlabelled: Floats, other: Floats, run: dict[str, Any]
) -> dict[str, Any]:
    """The story of a finished experiment.

    `unlabelled` (u, k) are the shipping model's calibrated probabilities of the unlabelled
    records, `other` (u, k) those of the model it was compared with.
    """
    assert found.verdict is not None
    kept, seed = found.verdict.kept, found.recipe.seed
    targets, classes = found.targets, found.dataset.classes
    measured = {
        arm: _estimates(measure(p, targets, seed=seed)) for arm, p in found.probabilities.items()
    }
    probabilities = found.probabilities[kept]
    rows = per_class(probabilities, targets, classes) if len(targets) else []
    if len(targets):
        base = per_class(found.probabilities[found.baseline], targets, classes)
        rows = [row | {"baseline_recall": b["recall"]} for row, b in zip(rows, base, strict=True)]
    top = unlabelled.max(1) if len(unlabelled) else np.zeros(0)
    counts, edges = np.histogram(top, bins=20, range=(0, 1))
    parts = found.split
    audited = audit(found.dataset, unlabelled, _CONFIDENT)
    return {
        "run": run,
        "dataset": dataset_story(found.dataset, found.findings),
        "recipe": found.recipe.model_dump() | {"reason": found.plan.reason},
        "recipe_toml": found.recipe.to_toml(),
        "split": {
            "rule": parts.rule,
            "reason": parts.reason + _cut(found),
            "train": len(parts.train),
            "calibration": len(parts.calibration),
            "holdout": len(parts.holdout),
            "folds": found.folds,
            "unlabelled": len(parts.unlabelled),
            "proxy": len(parts.proxy),
        },
        "metrics": measured[kept],
        "method_metrics": measured[found.method],
        "per_class": rows,
        "confusion": confusion(probabilities, targets).tolist() if len(targets) else [],
        "baseline": {"method": found.baseline, "metrics": measured[found.baseline]},
        "verdict": asdict(found.verdict),
        "advice": found.advice,
        "growth": found.growth,
        "shares": _shares(found),
        "slices": told(found.slices),
        "calibration": _calibration(found, kept),
        "training": {
            "stages": [{name: record[name] for name in _STAGE} for record in found.records],
            "history": [
                {"stage": record["title"]} | point
                for record in found.records
                for point in record["history"]
                if record["final"]
            ],
            "members": {arm: _members(one) for arm, one in found.predictors.items()},
            "names": {arm: _names(found, arm) for arm in found.predictors},
            "pseudo_labels": _pseudo_labels(found, unlabelled, other),
            "pseudo_history": found.records[-1]["pseudo_history"],
        },
        **({} if audited is None else {"audit": audited}),
        "confidence": {"edges": edges.tolist(), "counts": counts.tolist()},
        "next": _next(found),
        "environment": environment(),
    }


def _members(predictor: Predictor) -> list[dict[str, Any]]:
    """Of a blend each member's method, weight, and the settings that a search chose; else none."""
    head = predictor.network.head
    if not isinstance(head, BlendHead):
        return []
    return [
        origin | {"weight": round(float(weight), 4)}
        for origin, weight in zip(head.origins, head.weights, strict=True)
    ]


def _names(found: Experiment, arm: str) -> list[str]:
    """The words of the classes' names, if this arm took them for records of these classes."""
    predictor = found.predictors[arm]
    asked = [parted(one["method"])[0] for one in _members(predictor)] or [found.arms[arm]]
    if not any(METHODS[name].reads_names for name in asked):
        return []
    return predictor.front.spoken(found.dataset.classes)


def _estimates(figures: dict[str, Estimate]) -> dict[str, Any]:
    return {name: asdict(estimate) for name, estimate in figures.items()}


def _shares(found: Experiment) -> dict[str, Any]:
    """The classes' shares, and what accuracy may be expected under them.

    That is the mean of the recalls, each with its class's share: labels drawn evenly say how often
    a class is found, and the unlabelled records how often it is there.
    """
    if found.shares is None:
        return {}
    assert found.verdict is not None
    shares = asdict(found.shares)
    if found.shares.shifted and len(found.rows):
        k = len(found.dataset.classes)
        kept = found.verdict.kept
        ratio = np.asarray(found.predictors[kept].shares) / np.maximum(found.shares.labelled, 1e-6)
        said = (found.probabilities[kept] * ratio).argmax(1)
        hits = np.bincount(found.targets, said == found.targets, k)
        recall = hits / np.maximum(np.bincount(found.targets, minlength=k), 1)
        shares["accuracy"] = float(np.asarray(found.shares.estimated) @ recall)
    return shares | {"classes": list(found.dataset.classes), "shifted": found.shares.shifted}


def _calibration(found: Experiment, kept: str) -> dict[str, Any]:
    """Before and after the temperature, on records that did not choose it."""
    if not len(found.rows):
        return {}
    raw, calibrated, y = found.uncalibrated[kept], found.probabilities[kept], found.targets
    return {
        "temperature": found.predictors[kept].temperature,
        "before": _errors(raw, y),
        "after": _errors(calibrated, y),
        "bins": reliability(calibrated, y),
    }


def _errors(probabilities: Floats, targets: npt.NDArray[np.int64]) -> dict[str, float]:
    """What calibration is to lower."""
    return {
        "ece": ece(probabilities, targets),
        "adaptive_ece": adaptive_ece(probabilities, targets),
        "brier": brier(probabilities, targets),
    }


def _pseudo_labels(found: Experiment, unlabelled: Floats, other: Floats) -> dict[str, Any]:
    """What the model says of the unlabelled records, and how right it is where a label exists.

    Precision is measured on labelled records that the fits of the evidence had not seen.
    """
    if not len(unlabelled):
        return {}
    assert found.verdict is not None
    said, top = unlabelled.argmax(1), unlabelled.max(1)
    # Where there is a proxy, the two models are compared on it: neither was trained on it.
    apart = np.isin(found.dataset.unlabelled, found.split.proxy)
    watched = apart if apart.any() else ~apart
    k = len(found.dataset.classes)
    shares = np.bincount(said, minlength=k) / len(said)
    given = np.bincount(found.dataset.targets[found.dataset.labelled], minlength=k)
    confidence = np.bincount(said, top, minlength=k) / np.maximum(np.bincount(said, minlength=k), 1)
    judged = found.probabilities[found.verdict.kept]
    right = judged.argmax(1) == found.targets
    return {
        "threshold": _CONFIDENT,
        "coverage": float((top >= _CONFIDENT).mean()),
        "agreement_with_baseline": float((said == other.argmax(1))[watched].mean()),
        "watched": int(watched.sum()),
        "precision": share_right(right[judged.max(1) >= _CONFIDENT]),
        "per_class": [
            {
                "class": name,
                "share": float(shares[i]),
                "labelled_share": float(given[i] / given.sum()),
                "confidence": float(confidence[i]),
            }
            for i, name in enumerate(found.dataset.classes)
        ],
    }


def _cut(found: Experiment) -> str:
    """A sentence where the budget ended before every fold had judged."""
    planned = len(found.split.folds)
    if found.folds == planned:
        return ""
    return f" The budget was enough for {found.folds} of {planned} folds."


def _next(found: Experiment) -> list[str]:
    """What a person should do now, the most useful first."""
    verdict, dataset = found.verdict, found.dataset
    assert verdict is not None
    advice = [f.advice for f in found.findings if f.severity == "error" and f.advice]
    if found.advice.get("alarms"):
        advice += found.advice["reasons"][:1]
    last = found.records[-1]
    if METHODS[last["method"]].stepped and last["steps"] < _FEW_STEPS:
        advice.append(
            f"The budget bought only {last['steps']} steps of {last['method']}, and a network "
            "wants some hundred: give a longer --budget, or take --method poisson-learning."
        )
    within_reach = verdict.needed is not None and verdict.needed <= 10 * len(dataset.labelled)
    if within_reach and verdict.outcome == "unproven":
        advice.append(
            f"Label until there are about {count(verdict.needed)} labelled records, the uncertain "
            "ones first, and fit again: then the comparison can be settled."
        )
    if found.shares and found.shares.untold and len(dataset.classes) <= _FEW_CLASSES:
        advice.append(
            "As many labels of each class do not tell how frequent the classes are. Where you know "
            "it, fit with --share CLASS=0.1; else label some 30 records drawn at random (leaven "
            "query RUN --strategy random --ask 30) and fit again."
        )
    elif len(dataset.classes) and len(dataset.labelled) / len(dataset.classes) < 25:
        advice.append(
            "Label the records that the model doubts, as the report lists them: each is worth "
            "more than a random one."
        )
    if found.growth and found.growth["outcome"] in ("go on", "stop"):
        advice.append(found.growth["sentence"])
    if dataset.quarantine.num_rows:
        advice.append("Mend the rejected records listed in quarantine.parquet.")
    return advice or ["Use the predictions; to improve them, label what the model doubts."]


def shown_records(
    found: Experiment, unlabelled: Index, probabilities: Floats
) -> dict[str, list[dict[str, Any]]]:
    """The unlabelled records the model doubts most, and its most confident mistakes."""
    modality, names = MODALITIES[found.dataset.modality], found.dataset.classes
    assert found.verdict is not None
    shown: dict[str, list[dict[str, Any]]] = {"uncertain": [], "mistakes": []}
    if len(probabilities) and len(names) > 1:
        ranked = np.sort(probabilities, axis=1)
        for i in np.argsort(ranked[:, -1] - ranked[:, -2], kind="stable")[:_SHOWN]:
            first, second = np.argsort(-probabilities[i], kind="stable")[:2]
            shown["uncertain"].append(
                {
                    "id": str(found.dataset.ids[unlabelled[i]]),
                    "prediction": names[first],
                    "confidence": float(probabilities[i, first]),
                    "second": names[second],
                    "second_confidence": float(probabilities[i, second]),
                    "shown": modality.show(found.dataset, int(unlabelled[i])),
                }
            )
    judged = found.probabilities[found.verdict.kept]
    if len(judged):
        said = judged.argmax(1)
        wrong = np.flatnonzero(said != found.targets)
        for i in wrong[np.argsort(-judged.max(1)[wrong], kind="stable")][:_SHOWN]:
            shown["mistakes"].append(
                {
                    "id": str(found.dataset.ids[found.rows[i]]),
                    "label": names[found.targets[i]],
                    "prediction": names[said[i]],
                    "confidence": float(judged[i].max()),
                    "shown": modality.show(found.dataset, int(found.rows[i])),
                }
            )
    return shown


def environment() -> dict[str, Any]:
    """Machine, packages and commit that the figures belong to."""
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": {name: _version(name) for name in ("leaven", *_PACKAGES)},
        "commit": _commit(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of a source checkout; None for an installed package."""
    home = Path(__file__).resolve().parents[3]
    if not (home / ".git").exists():
        return None
    asked = subprocess.run(
        ["git", "-C", str(home), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None
