"""What MLflow is told of a run: parameters, metrics, tags and the dataset, as plain values.

Nothing here knows MLflow. Names stay within what it takes for keys: letters, digits and `_-. /`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaven.evaluate.run import Run

__all__ = ["dataset", "history", "metrics", "parameters", "tags"]

_LONGEST = 5000  # signs of a tag's value that all versions of MLflow keep
_DIGEST = 36  # signs of a dataset's digest


def parameters(run: Run) -> dict[str, str]:
    """The recipe, one line a setting: `training.rate` for a setting of a part."""
    recipe = {name: told for name, told in run.story["recipe"].items() if name != "reason"}
    return {_key(name): str(told) for name, told in _flat(recipe)}


def metrics(run: Run) -> dict[str, float]:
    """Figures of the model that ships with their interval and n, and the baseline's beside them.

    `accuracy`, `accuracy.low`, `accuracy.high`, `accuracy.n`, `baseline.accuracy` and so on, and
    `difference` for the paired comparison.
    """
    story = run.story
    figures = dict(story["metrics"])
    figures |= {f"baseline.{name}": told for name, told in story["baseline"]["metrics"].items()}
    if story["verdict"]["difference"]:
        figures["difference"] = story["verdict"]["difference"]
    found = {}
    for name, figure in figures.items():
        for end in ("value", "low", "high", "n"):
            if figure[end] is not None and math.isfinite(figure[end]):
                found[_key(name if end == "value" else f"{name}.{end}")] = float(figure[end])
    return found


def history(run: Run) -> Iterator[tuple[str, float, int]]:
    """The course of the training: (name, value, step), the name with its stage before it."""
    for point in run.story["training"]["history"]:
        stage, step = point["stage"], int(point["step"])
        for name, value in point.items():
            is_figure = name not in ("stage", "step") and isinstance(value, int | float)
            if is_figure and math.isfinite(value):
                yield _key(f"{stage}/{name}"), float(value), step


def tags(run: Run, digest: str, signed: bool) -> dict[str, str]:
    """What a run is found and traced by; `mlflow.note.content` is what MLflow shows on top."""
    story, verdict = run.story, run.story["verdict"]
    told = {
        "leaven.run": story["run"]["id"],
        "leaven.digest": digest,
        "leaven.signed": str(signed).lower(),
        "leaven.version": story["run"]["leaven"],
        "leaven.data": story["dataset"]["hash"],
        "leaven.modality": story["dataset"]["modality"],
        "leaven.verdict": verdict["outcome"],
        "leaven.kept": verdict["kept"],
        "leaven.baseline": verdict["baseline"],
        "leaven.commit": story["environment"]["commit"] or "",
        "leaven.command": story["run"]["command"],
        "mlflow.note.content": verdict["sentence"],
    }
    return {name: str(value)[:_LONGEST] for name, value in told.items()}


def dataset(run: Run) -> dict[str, str]:
    """`name`, `digest`, `source_type`, `source` and `profile` of the data."""
    told = run.story["dataset"]
    source = str(told["source"] or "")
    counts = ("records", "labelled", "unlabelled", "quarantined", "class_counts")
    return {
        "name": told["name"][:500],
        "digest": told["hash"][:_DIGEST],
        "source_type": "http" if source.startswith(("http://", "https://")) else "local",
        "source": json.dumps({"uri": source}),
        "profile": json.dumps({name: told[name] for name in counts} | {"hash": told["hash"]}),
    }


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _key(name: str) -> str:
    """The name as MLflow takes it.

    >>> _key("final fixmatch/coverage: weak")
    'final fixmatch/coverage- weak'
    """
    return re.sub(r"[^\w\-. /]", "-", name, flags=re.ASCII)[:250]
