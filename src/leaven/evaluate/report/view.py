"""From a run's story to what the page's template shows: numbers in words, charts drawn.

Any part of the story may be missing; its figure is then None and the template says so.
"""

from __future__ import annotations

import math

from leaven.core.wording import MISSING, count, decimal, percent, points, span
from leaven.evaluate.report import charts, findings
from leaven.evaluate.report.advice import advice
from leaven.evaluate.report.by_class import by_class
from leaven.evaluate.report.charts import Interval, Row
from leaven.evaluate.report.growth import growth
from leaven.evaluate.report.slices import shares, slices
from leaven.evaluate.report.story import View, interval, part
from leaven.evaluate.report.svg import responsive
from leaven.evaluate.report.training import confidence, pseudo_labels, training

__all__ = ["listed_findings", "view"]

_FIGURES = (
    ("accuracy", "Accuracy", "Share of records whose predicted class is the true one.", True),
    ("balanced_accuracy", "Balanced accuracy", "Mean over classes of the share found.", True),
    ("macro_f1", "Macro F1", "Mean over classes of F1, which joins precision and recall.", True),
    ("auroc", "AUROC", "Chance that a record of a class outranks one of another.", True),
    ("log_loss", "Log loss", "Surprise at the true class, in nats. Lower is better.", False),
    ("brier", "Brier score", "Squared distance from the truth, 0 to 2. Lower is better.", False),
    ("ece", "Calibration error", "Mean gap of confidence and accuracy. Lower is better.", True),
)
_CHARTED = ("accuracy", "balanced_accuracy", "macro_f1", "auroc")
_OUTCOMES = {
    "better": ("✓", "Better", "good"),
    "likely": ("↗", "Likely better", "good"),
    "unproven": ("≈", "Not proven", "calm"),
    "worse": ("▼", "Worse", "alarm"),
    "unmeasured": ("?", "Not measured", "calm"),
    "supervised": ("●", "Supervised", "calm"),
}
_SEVERITIES = {
    "error": ("✕", "Mend first"),
    "warning": ("!", "Look at this"),
    "info": ("i", "Note"),
}
_MOST_CLASSES_DRAWN = 20
_MOST_ROWS = 500
_LONGEST_HEADLINE = 90


def view(story: View, shown: View) -> View:
    """What the template needs beside the story itself. Both are cleaned already."""
    verdict = part(story, "verdict")
    method = verdict.get("method") or part(story, "recipe").get("method") or "this model"
    baseline = verdict.get("baseline") or part(story, "baseline").get("method") or "supervised"
    names = {"method": str(method), "baseline": str(baseline)}
    mistakes, confusion = _mistakes(story, shown)
    return {
        **names,
        "verdict": _verdict(verdict, **names),
        "tiles": _tiles(story, verdict),
        "advice": advice(story),
        "figures": _figures(story, verdict, **names),
        "per_class": _per_class(story),
        "confusion": confusion,
        "mistakes": mistakes,
        "uncertain": _cards(shown.get("uncertain") or []),
        "training": training(story),
        "pseudo_labels": pseudo_labels(story),
        "by_class": by_class(story),
        "audit": _audit(story),
        "confidence": confidence(story),
        "calibration": _calibration(story),
        "labels": _labels(story),
        "growth": growth(story),
        "slices": slices(story),
        "shares": shares(story),
        "findings": listed_findings(story),
        "margin": _margin(story),
    }


def _verdict(verdict: View, method: str, baseline: str) -> View:
    icon, word, tone = _OUTCOMES.get(str(verdict.get("outcome")), _OUTCOMES["unmeasured"])
    gap = interval(verdict.get("difference"))
    headline = str(verdict.get("sentence") or "No verdict was recorded for this run.")
    advice = ""
    if len(headline) > _LONGEST_HEADLINE:
        headline, stop, advice = headline.partition(". ")
        headline += stop.rstrip()
    return {
        "icon": icon,
        "word": word,
        "tone": tone,
        "headline": headline,
        "advice": advice,
        "chart": gap and responsive(lambda w: charts.difference(gap, method, baseline, w)),
    }


def _tiles(story: View, verdict: View) -> list[View]:
    """The numbers a manager asks for."""
    tiles = []
    for key, name, show in (
        ("accuracy", "Accuracy", percent),
        ("ece", "Calibration error", percent),
    ):
        known = interval(part(story, "metrics").get(key))
        if known:
            note = span(known.low, known.high) if known.low is not None else ""
            tiles.append({"name": name, "value": show(known.value), "note": note})
    under = part(story, "shares").get("accuracy")
    if under is not None:
        note = "at the classes' estimated shares"
        tiles.append({"name": "To be expected", "value": percent(under), "note": note})
    data = part(story, "dataset")
    if data.get("labelled") is not None:
        note = f"{count(len(data.get('classes') or []))} classes"
        tiles.append({"name": "Labelled", "value": count(data["labelled"]), "note": note})
    if data.get("unlabelled") is not None:
        note = "records"
        tiles.append({"name": "Unlabelled", "value": count(data["unlabelled"]), "note": note})
    if verdict.get("kept"):
        tiles.insert(0, {"name": "Ships", "value": verdict["kept"], "note": "in this run"})
    return tiles


def _figures(story: View, verdict: View, method: str, baseline: str) -> View | None:
    """Both models' figures; where no comparison was made, those of the one that ships."""
    ours = part(story, "method_metrics") or part(story, "metrics")
    theirs = part(story, "baseline", "metrics") if method != baseline else {}
    rows, drawn, n = [], [], None
    for key, name, meaning, share in _FIGURES:
        mine, other = interval(ours.get(key)), interval(theirs.get(key))
        if mine is None and other is None:
            continue
        cells = [_figure(i, share) for i in (mine, other)]
        n = n or part(ours, key).get("n") or part(theirs, key).get("n")
        rows.append({"name": name, "meaning": meaning, "cells": cells})
        if key in _CHARTED:
            note = f"{name}: {method} {cells[0]['value']}, {baseline} {cells[1]['value']}"
            drawn.append(Row(name, mine, other, note))
    if not rows:
        return None
    title = findings.metrics_title(drawn, method, baseline) if drawn else "Figures"
    return {
        "rows": rows,
        "n": count(n),
        "compared": bool(theirs),
        "ours_ships": verdict.get("kept") in (None, method),
        "title": title,
        "chart": responsive(lambda w: charts.pairs(drawn, title, w)) if drawn else None,
    }


def _figure(known: Interval | None, share: bool) -> View:
    show = percent if share else _three
    if known is None:
        return {"value": show(None), "span": ""}
    if known.low is None or known.high is None:
        return {"value": show(known.value), "span": ""}
    ends = (points(known.low, sign=False), points(known.high, sign=False))
    if not share:
        ends = (_three(known.low), _three(known.high))
    return {"value": show(known.value), "span": f"{ends[0]} to {ends[1]}"}


def _three(value: float | None) -> str:
    return decimal(value, 3)


def _per_class(story: View) -> View | None:
    table = [row for row in story.get("per_class") or [] if isinstance(row, dict)]
    if not table:
        return None
    rows = []
    for row in table:
        recall = row.get("recall")
        ours = (
            None
            if recall is None
            else Interval(recall, row.get("recall_low"), row.get("recall_high"))
        )
        other = row.get("baseline_recall")
        name = str(row.get("class", MISSING))
        note = f"{name}: found {percent(recall)} of {count(row.get('n'))}"
        rows.append(Row(name, ours, None if other is None else Interval(other), note))
        row["class"] = name
        row["recall_ends"] = _figure(ours, share=True)["span"]
    drawn = rows
    if len(rows) > _MOST_CLASSES_DRAWN:
        known = sorted((r for r in rows if r.ours), key=lambda r: r.ours.value if r.ours else 1)
        weakest = {id(row) for row in known[:_MOST_CLASSES_DRAWN]}
        drawn = [row for row in rows if id(row) in weakest]
    title = findings.classes_title(rows)
    return {
        "title": title,
        "rows": table[:_MOST_ROWS],
        "left_out": len(table[_MOST_ROWS:]),
        "drawn": len(drawn) if len(drawn) < len(rows) else None,
        "compared": any(row.theirs for row in rows),
        "chart": responsive(lambda w: charts.pairs(drawn, title, w, zero=True)) if drawn else None,
    }


def _mistakes(story: View, shown: View) -> tuple[list[View], View | None]:
    """Cards of mistaken records, and the confusion whose worst cells link to them."""
    cards = _cards(shown.get("mistakes") or [])
    anchors: dict[tuple[str, str], str] = {}
    for number, card in enumerate(cards):
        card["anchor"] = f"mistake-{number + 1}"
        anchors.setdefault((str(card.get("label")), str(card.get("prediction"))), card["anchor"])
    matrix = story.get("confusion") or []
    classes = [str(c) for c in part(story, "dataset").get("classes") or []]
    if len(classes) != len(matrix):
        classes = [str(i) for i in range(len(matrix))]
    k = len(classes)
    if not k or any(len(row) != k for row in matrix) or not sum(map(sum, matrix)):
        return cards, None
    cells = sorted(
        ((matrix[i][j], i, j) for i in range(k) for j in range(k) if i != j and matrix[i][j]),
        key=lambda cell: (-cell[0], cell[1:]),
    )
    worst = [
        {
            "true": classes[i],
            "predicted": classes[j],
            "n": n,
            "of": sum(matrix[i]),
            "anchor": anchors.get((classes[i], classes[j])),
        }
        for n, i, j in cells[:8]
    ]
    return cards, {
        "title": findings.confusion_title(worst),
        "worst": worst,
        "pairs": len(cells),
        "chart": responsive(lambda w: charts.heatmap(matrix, classes, 480 if w > 500 else w)),
    }


def _cards(records: list[View]) -> list[View]:
    """Shown records; a vector gets its line, a series one a channel."""
    for card in records:
        record = part(card, "shown")
        if record.get("kind") == "vector":
            record["chart"] = charts.sparkline(record["values"])
        elif record.get("kind") == "series":
            rows = [(channel["name"], channel["values"]) for channel in record["channels"]]
            record["chart"] = charts.channels(rows)
    return records


def _calibration(story: View) -> View | None:
    known = part(story, "calibration")
    if not known:
        return None
    wanted = ("n", "low", "high", "confidence", "accuracy", "accuracy_low", "accuracy_high")
    bins = [b for b in known.get("bins") or [] if all(b.get(key) is not None for key in wanted)]
    bins = [b for b in bins if b["n"]]
    title = findings.calibration_title(bins) if bins else ""
    return {
        "temperature": decimal(known.get("temperature"), 2),
        "rows": [
            (name, show(_value(known, "before", key)), show(_value(known, "after", key)))
            for name, key, show in (
                ("Calibration error", "ece", percent),
                ("Brier score", "brier", _three),
            )
        ],
        "title": title,
        "chart": responsive(lambda w: charts.reliability(bins, title, w)) if bins else None,
    }


def _value(known: View, when: str, key: str) -> float | None:
    """A figure that may come alone or with its interval."""
    figure = part(known, when).get(key)
    return figure.get("value") if isinstance(figure, dict) else figure


def _audit(story: View) -> View | None:
    """How right it is on unlabelled records whose true labels were kept aside."""
    known = part(story, "audit")
    every, sure = interval(known.get("accuracy")), interval(known.get("precision"))
    if every is None or every.low is None or every.high is None:
        return None
    if sure is not None and (sure.low is None or sure.high is None):
        sure = None
    return {
        "records": part(known, "accuracy").get("n"),
        "sure": part(known, "precision").get("n"),
        "accuracy": every,
        "precision": sure,
        "threshold": known.get("threshold"),
        "unknown": known.get("unknown"),
    }


def _labels(story: View) -> View | None:
    counts = {str(c): n for c, n in part(story, "dataset", "class_counts").items() if n is not None}
    if not counts:
        return None
    title = findings.labels_title(counts)
    rows = list(counts.items())
    if len(rows) > _MOST_CLASSES_DRAWN:
        least = set(sorted(counts, key=lambda c: counts[c])[:_MOST_CLASSES_DRAWN])
        rows = [(c, n) for c, n in rows if c in least]
    return {
        "title": title,
        "drawn": len(rows) if len(rows) < len(counts) else None,
        "chart": responsive(lambda w: charts.bars(rows, title, "people", w)),
    }


def listed_findings(story: View) -> list[View]:
    """Checks, the gravest first."""
    found = [f for f in part(story, "dataset").get("findings") or [] if isinstance(f, dict)]
    order = list(_SEVERITIES)
    for finding in found:
        severity = finding.get("severity") if finding.get("severity") in order else "info"
        finding["severity"] = severity
        finding["icon"], finding["word"] = _SEVERITIES[str(severity)]
    return sorted(found, key=lambda f: order.index(f["severity"]))


def _margin(story: View) -> list[View]:
    """How the interval of the accuracy shrinks with the records it is measured on."""
    accuracy = part(story, "metrics", "accuracy")
    n, value = accuracy.get("n"), accuracy.get("value")
    if not n or value is None:
        return []
    # Wilson's half width at the share seen: it does not vanish at 0 and 1.
    z = 1.96
    return [
        {
            "n": count(m),
            "half": points(
                z * math.sqrt(value * (1 - value) / m + z**2 / (4 * m**2)) / (1 + z**2 / m),
                sign=False,
            ),
            "now": m == n,
        }
        for m in (n, 2 * n, 4 * n, 10 * n)
    ]
