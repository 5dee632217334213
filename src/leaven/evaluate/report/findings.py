"""Titles of the charts: what the numbers say, as a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leaven.core.wording import count, many, percent, points
from leaven.evaluate.report.charts import Row, Series, Timeline

__all__ = [
    "accepted_title",
    "calibration_title",
    "classes_title",
    "confidence_title",
    "confusion_title",
    "coverage_title",
    "labels_title",
    "loss_title",
    "metrics_title",
    "pseudo_labels_title",
    "right_title",
]


def metrics_title(rows: Sequence[Row], method: str, baseline: str) -> str:
    """How the two models' first figure, accuracy, compares."""
    first = rows[0]
    if first.ours is None or first.theirs is None:
        known = first.ours or first.theirs
        return f"{first.name}: {percent(known.value if known else None)}"
    gap = points(first.ours.value - first.theirs.value)
    return (
        f"{first.name}: {method} {percent(first.ours.value)}, {baseline} "
        f"{percent(first.theirs.value)} ({gap} points)"
    )


def classes_title(rows: Sequence[Row]) -> str:
    """The class that is found least often."""
    known = [row for row in rows if row.ours]
    if not known:
        return "No class was measured"
    weakest = min(known, key=lambda row: row.ours.value if row.ours else 1.0)
    found = percent(weakest.ours.value if weakest.ours else None)
    return f"Found least often: {_short(weakest.name)}, {found} of its records"


def confusion_title(worst: Sequence[dict[str, Any]]) -> str:
    """The most frequent mistake."""
    if not worst:
        return "No record was taken for another class"
    first = worst[0]
    return (
        f"Most often mistaken: {_short(first['true'])} taken for {_short(first['predicted'])}, "
        f"{count(first['n'])} of {count(first['of'])}"
    )


def coverage_title(series: Sequence[Series]) -> str:
    """How many unlabelled records were used at the end."""
    ends = {s.name: s.points[-1][1] for s in series}
    if "coverage" not in ends:
        return f"At the end {percent(ends['agreement'])} of the pseudo-labels agreed"
    title = f"At the end {percent(ends['coverage'])} of the unlabelled records were learned from"
    if "agreement" in ends:
        title += f"; {percent(ends['agreement'])} agreed"
    if "precision" in ends:
        title += f"; {percent(ends['precision'])} of those audited were right"
    return title


def accepted_title(rows: Sequence[Timeline], together: float | None) -> str:
    """The class accepted least at the end, the first of `rows`, beside all `together`."""
    k, first, least = count(len(rows)), _short(rows[0].name), rows[0].values[-1]
    for share, told in ((None, "no record was taken for"), (0, "no guess was accepted for")):
        several = [row for row in rows if row.values[-1] == share]
        if len(several) == 1:
            return f"At the end {told} {first}"
        if several:
            return f"At the end {told} {count(len(several))} of {k} classes, such as {first}"
    title = f"At the end {first} is accepted in {percent(least)} of its guesses"
    if together is None or least is None:
        return title
    if together - least < 0.005:
        return f"At the end every class is accepted alike, in {percent(together)} of its guesses"
    return f"{title}, all classes in {percent(together)}"


def right_title(
    rows: Sequence[Timeline], together: float | None, records: float | None, apart: bool
) -> str:
    """How often the first of `rows` was right at the end, on so many `records`.

    `together` is the share of all classes; `apart` says whether the first is shown to be below.
    """
    if together is None:
        return "At the end no accepted guess was of an audited record"
    if together == 1:
        return "At the end every accepted guess of an audited record was right"
    if not apart:
        return f"At the end {percent(together)} of those audited were right; no class stands out"
    on = f" on {many(int(records), 'record', 'records')}" if records else ""
    title = f"At the end {percent(rows[0].values[-1])} of the guesses accepted as "
    return f"{title}{_short(rows[0].name)} were right{on}, of all {percent(together)}"


def loss_title(series: Sequence[Series]) -> str:
    """Whether the losses fell."""
    parts = []
    for s in series:
        first, last = s.points[0][1], s.points[-1][1]
        if abs(last - first) < 0.005:
            parts.append(f"{s.name} loss stayed at {last:.2f}")
        else:
            moved = "fell" if last < first else "rose"
            parts.append(f"{s.name} loss {moved} from {first:.2f} to {last:.2f}")
    title = "; ".join(parts)
    return title[:1].upper() + title[1:]


def pseudo_labels_title(rows: Sequence[Row]) -> str:
    """The class whose share among the pseudo-labels departs most from its share of labels."""
    both = [(r.name, r.ours.value - r.theirs.value) for r in rows if r.ours and r.theirs]
    if not both:
        return "Shares of the classes among the pseudo-labels"
    name, gap = max(both, key=lambda pair: abs(pair[1]))
    if abs(gap) < 0.005:
        return "Pseudo-labels are shared out among the classes as the labels are"
    return f"Furthest from its share of the labels: {_short(name)}, {points(gap)} points"


def calibration_title(bins: Sequence[dict[str, Any]]) -> str:
    """Whether the model claims more than it is right, over all bins."""
    known = [b for b in bins if b.get("n")]
    total = sum(b["n"] for b in known)
    gap = sum(b["n"] * (b["confidence"] - b["accuracy"]) for b in known) / total
    if abs(gap) < 0.01:
        return "On the whole the model is right as often as it claims"
    side = "less" if gap > 0 else "more"
    amount = points(abs(gap), sign=False)
    return f"On the whole the model is right {side} often than it claims, by {amount} points"


def confidence_title(edges: Sequence[float], counts: Sequence[float]) -> str:
    """The share of unlabelled records predicted with a confidence of 90 % or more."""
    total = sum(counts)
    sure = sum(n for low, n in zip(edges, counts, strict=False) if low >= 0.9 - 1e-9)
    if not total:
        return "No unlabelled record was predicted"
    return f"{percent(sure / total)} of the unlabelled records have a confidence of 90 % or more"


def labels_title(counts: dict[str, float]) -> str:
    """How evenly the labels are shared out."""
    least, most = min(counts, key=lambda c: counts[c]), max(counts, key=lambda c: counts[c])
    if counts[least] == counts[most]:
        noun = "label" if counts[most] == 1 else "labels"
        return f"Every class has {count(counts[most])} {noun}"
    return (
        f"Labels a class: from {count(counts[least])} ({_short(least)}) "
        f"to {count(counts[most])} ({_short(most)})"
    )


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"
