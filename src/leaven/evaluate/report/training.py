"""What the unlabelled records did in training: coverage, losses, pseudo-labels, confidence."""

from __future__ import annotations

import math

from leaven.core.wording import MISSING, decimal, percent
from leaven.evaluate.report import charts, findings
from leaven.evaluate.report.charts import Interval, Row, Series
from leaven.evaluate.report.story import View, interval, part
from leaven.evaluate.report.svg import responsive

__all__ = ["confidence", "pseudo_labels", "training"]

_LONGEST_LINE = 200
_MOST_CLASSES_DRAWN = 20


def training(story: View) -> View | None:
    """Coverage, agreement and losses of the stage that learned from unlabelled records."""
    history = [h for h in part(story, "training").get("history") or [] if isinstance(h, dict)]
    stages: dict[str, list[View]] = {}
    for step in history:
        stages.setdefault(str(step.get("stage", "")), []).append(step)
    unlabelled = [s for s in stages if any(h.get("coverage") is not None for h in stages[s])]
    final = [s for s in unlabelled if s.startswith("final")]
    stage = (final or unlabelled or list(stages) or [""])[-1]
    steps = stages.get(stage, [])
    used = _series(steps, (("coverage", "pseudo"), ("agreement", "ours"), ("precision", "people")))
    losses = _series(steps, (("supervised", "people"), ("unlabelled", "pseudo")))
    if not used and not losses:
        return None
    titles = (
        findings.coverage_title(used) if used else "",
        findings.loss_title(losses) if losses else "",
    )
    return {
        "stage": stage,
        "audited": any(s.name == "precision" for s in used),
        "used_title": titles[0],
        "used": used and responsive(lambda w: charts.lines(used, titles[0], w, high=1.0)),
        "loss_title": titles[1],
        "loss": losses
        and responsive(
            lambda w: charts.lines(losses, titles[1], w, show=_two_digits, tick=_two_digits)
        ),
    }


def _series(steps: list[View], keys: tuple[tuple[str, str], ...]) -> list[Series]:
    every = max(1, math.ceil(len(steps) / _LONGEST_LINE))
    series = []
    for key, kind in keys:
        known = [
            (float(h["step"]), float(h[key]))
            for h in steps
            if h.get("step") is not None and h.get(key) is not None
        ]
        # The last point is kept: the titles speak of the end.
        thinned = known[:-1:every] + known[-1:]
        if len(thinned) > 1:
            series.append(Series(key, kind, thinned))
    return series


def pseudo_labels(story: View) -> View | None:
    """What the section on pseudo-labels says; None where the story has nothing on them."""
    pseudo = part(story, "training", "pseudo_labels")
    if not pseudo:
        return None
    rows = [
        Row(
            str(row.get("class", MISSING)),
            None if row.get("share") is None else Interval(row["share"]),
            None if row.get("labelled_share") is None else Interval(row["labelled_share"]),
            f"{row.get('class', MISSING)}: {percent(row.get('share'))} of the pseudo-labels, "
            f"{percent(row.get('labelled_share'))} of the labels, mean confidence "
            f"{percent(row.get('confidence'))}",
        )
        for row in pseudo.get("per_class") or []
    ]
    title = findings.pseudo_labels_title(rows)
    far = sorted(rows, key=lambda r: -abs(_gap(r)))[:_MOST_CLASSES_DRAWN]
    drawn = [row for row in rows if row in far]
    return {
        "coverage": pseudo.get("coverage"),
        "agreement": pseudo.get("agreement_with_baseline"),
        "precision": interval(pseudo.get("precision")),
        "sure": (pseudo.get("precision") or {}).get("n"),
        "threshold": pseudo.get("threshold"),
        "watched": pseudo.get("watched"),
        "title": title,
        "drawn": len(drawn) if len(drawn) < len(rows) else None,
        "chart": responsive(
            lambda w: charts.pairs(drawn, title, w, ours="pseudo", theirs="people", zero=True)
        )
        if drawn
        else None,
    }


def _gap(row: Row) -> float:
    return row.ours.value - row.theirs.value if row.ours and row.theirs else 0.0


def confidence(story: View) -> View | None:
    """How sure the model is of the unlabelled records; None where the story has it not."""
    known = part(story, "confidence")
    edges, counts = known.get("edges") or [], known.get("counts") or []
    if len(counts) < 1 or len(edges) != len(counts) + 1 or None in [*edges, *counts]:
        return None
    title = findings.confidence_title(edges, counts)
    return {
        "title": title,
        "chart": responsive(lambda w: charts.histogram(edges, counts, title, w)),
    }


def _two_digits(value: float | None) -> str:
    return decimal(value, 2)
