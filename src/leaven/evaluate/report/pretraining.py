"""The report of a pretraining: what it is worth, how it learnt, and a map of records."""

from __future__ import annotations

from typing import Any

from leaven.core.wording import count, decimal, percent, points
from leaven.evaluate.report import charts
from leaven.evaluate.report.charts import Interval, Row, Series
from leaven.evaluate.report.clean import clean
from leaven.evaluate.report.map import draw_map, map_kinds
from leaven.evaluate.report.story import View, interval, part
from leaven.evaluate.report.svg import responsive
from leaven.evaluate.report.template import page
from leaven.evaluate.report.view import listed_findings

__all__ = ["pretrained", "render_pretraining"]

_WORDS = {
    "collapsed": "Collapsed",
    "diverged": "Diverged",
    "narrow": "Few directions",
    "idle": "Little learnt",
}


def render_pretraining(story: dict[str, Any]) -> str:
    """The report as one self-contained HTML page; `story` is that of a pretraining run."""
    tidy = clean({k: v for k, v in story.items() if k != "map"})
    shown = [
        {**clean({k: v for k, v in point.items() if k != "shown"}), "shown": point.get("shown")}
        for point in story.get("map") or []
    ]
    return page("pretraining.html.j2", tidy, **_view(tidy, shown))


def pretrained(story: View) -> View | None:
    """What the report of a fit says of the pretraining within it."""
    told = part(story, "pretraining")
    if not told:
        return None
    probe = _probe(told) or {"title": "", "chart": None}
    return {
        **probe,
        "name": part(told, "pretext").get("name"),
        "seen": count(part(told, "seen").get("records")),
        "rule": part(told, "seen").get("rule"),
        "alarms": told.get("alarms") or [],
        "probed": told.get("probed"),
        "report": told.get("report"),
    }


def _view(story: View, shown: list[View]) -> View:
    return {
        "badge": _badge(story),
        "tiles": _tiles(story),
        "starts": _starts(part(story, "comparison")),
        "alarms": _alarms(story),
        "loss": _loss(story),
        "probe": _probe(story),
        "rank": _rank(story),
        "shape": _shape(story),
        "mismatch": _mismatch(part(story, "mismatch")),
        "map": _map(shown),
        "findings": listed_findings(story),
        "labels": None,
    }


def _badge(story: View) -> View:
    sentence = str(story.get("sentence", ""))
    if "It helped" in sentence:
        return {"icon": "✓", "word": "It helped", "tone": "good"}
    if "did not help" in sentence:
        return {"icon": "▼", "word": "It did not help", "tone": "alarm"}
    if "Not shown" in sentence:
        return {"icon": "≈", "word": "Not proven", "tone": "calm"}
    return {"icon": "●", "word": "Pretrained", "tone": "calm"}


def _tiles(story: View) -> list[View]:
    pretext, trained = part(story, "pretext"), part(story, "trained")
    untrained = part(story, "training", "untrained")
    tiles = [
        {"name": "Pretext", "value": pretext.get("name"), "note": pretext.get("summary")},
        {
            "name": "Encoder",
            "value": pretext.get("encoder"),
            "note": f"{count(pretext.get('weights'))} weights",
        },
        {
            "name": "Learnt from",
            "value": count(part(story, "seen").get("records")),
            "note": part(story, "seen").get("rule"),
        },
    ]
    for key, name in (("neighbours", "Neighbour probe"), ("linear", "Linear probe")):
        if trained.get(key) is not None:
            note = f"untrained {percent(untrained.get(key))}"
            tiles.append({"name": name, "value": percent(trained[key]), "note": note})
    return tiles


def _starts(told: View) -> View | None:
    rows = [row for row in told.get("rows") or [] if interval(row.get("accuracy"))]
    if not rows:
        return None
    drawn, table = [], []
    for row in rows:
        known, gap = interval(row["accuracy"]), interval(row.get("difference"))
        assert known is not None
        name = str(row["start"])
        drawn.append(Row(name, known, None, f"{name}: {percent(known.value)}"))
        table.append(
            {
                "name": name,
                "note": row.get("note"),
                "accuracy": percent(known.value),
                "span": _ends(known),
                "difference": "–" if gap is None else points(gap.value),
                "difference_span": "" if gap is None else _ends(gap),
            }
        )
    best = max(rows, key=lambda row: row["accuracy"]["value"])
    title = f"Highest here: {best['start']}, {percent(best['accuracy']['value'])}"
    return {
        "title": title,
        "rows": table,
        "n": told.get("n"),
        "folds": told.get("folds"),
        "steps": told.get("steps"),
        "chart": responsive(lambda w: charts.pairs(drawn, title, w)),
    }


def _ends(known: Interval) -> str:
    if known.low is None or known.high is None:
        return ""
    return f"{points(known.low, sign=False)} to {points(known.high, sign=False)}"


def _alarms(story: View) -> list[View]:
    ended = part(story, "training").get("restarts") or []
    return [
        {
            "word": _WORDS.get(str(alarm.get("kind")), "Alarm"),
            "tone": "error" if alarm in ended else "warning",
            "step": alarm.get("step"),
            "cause": alarm.get("cause"),
            "advice": alarm.get("advice"),
            "change": ", ".join(f"{k} = {v}" for k, v in (alarm.get("mended") or {}).items()),
        }
        for alarm in [*ended, *(story.get("alarms") or [])]
    ]


def _loss(story: View) -> View | None:
    history = part(story, "training").get("history") or []
    line = [(h["step"], h["loss"]) for h in history if h.get("loss") is not None]
    if len(line) < 2:
        return None
    title = f"The loss went from {decimal(line[0][1], 2)} to {decimal(line[-1][1], 2)}"
    return _lines(title, [Series("loss", "ours", line)], 2)


def _probe(story: View) -> View | None:
    line = _points(story, "neighbours")
    if len(line) < 2:
        return None
    title = f"Neighbours name the class of {percent(line[-1][1])} of the labelled records"
    chart = responsive(
        lambda w: charts.lines([Series("neighbour probe", "people", line)], title, w)
    )
    return {"title": title, "chart": chart}


def _rank(story: View) -> View | None:
    line = _points(story, "rank")
    if len(line) < 2:
        return None
    title = (
        f"The features use {decimal(line[-1][1], 1)} directions, {decimal(line[0][1], 1)} at first"
    )
    return _lines(title, [Series("rank", "ours", line)], 1)


def _shape(story: View) -> View | None:
    spread, usage = _points(story, "spread"), _points(story, "usage")
    if len(spread) < 2 or len(usage) < 2:
        return None
    title = f"Spread {decimal(spread[-1][1], 2)}, clusters used {percent(usage[-1][1])}"
    return _lines(title, [Series("spread", "ours", spread), Series("clusters", "pseudo", usage)], 2)


def _lines(title: str, series: list[Series], digits: int) -> View:
    return {
        "title": title,
        "chart": responsive(
            lambda w: charts.lines(
                series,
                title,
                w,
                show=lambda v: decimal(v, digits),
                tick=lambda v: decimal(v, digits if abs(v) < 10 else 0),
            )
        ),
    }


def _points(story: View, name: str) -> list[tuple[float, float]]:
    return [(p["step"], p[name]) for p in story.get("watch") or [] if p.get(name) is not None]


def _mismatch(told: View) -> str | None:
    apart = told.get("separability")
    if apart is None:
        return None
    said = (
        f"A linear classifier tells {count(told.get('labelled'))} labelled records from "
        f"{count(told.get('seen'))} like those learnt from with an area under the curve of "
        f"{decimal(apart, 2)} (0.50 is alike): "
    )
    if apart < 0.75:
        return said + "the two are of one kind."
    return said + (
        "they differ, so what was learnt may not fit the records that matter. Label some of those "
        "that were learnt from, or pretrain on records like the labelled ones."
    )


def _map(shown: list[View]) -> View | None:
    if not shown:
        return None
    kinds = map_kinds(shown)
    key = [(kind, name) for name, kind in kinds.items() if kind != "other"]
    if "other" in kinds.values():
        key.append(("other", "other classes"))
    if any(point.get("label") is None for point in shown):
        key.append(("unlabelled", "no label"))
    return {"key": key, "n": len(shown), "chart": responsive(lambda w: draw_map(shown, w))}
