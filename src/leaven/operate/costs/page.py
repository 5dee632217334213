"""The page of what runs and services cost: charts, tables, and what more would buy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from leaven.core.wording import MISSING, count, gained, many, money, percent, points, seconds, size
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.report.clean import clean
from leaven.evaluate.report.svg import responsive
from leaven.evaluate.report.template import page
from leaven.operate.costs.charts import Bar, Taken, bars, taken
from leaven.operate.costs.prices import Prices
from leaven.operate.costs.service import in_words

__all__ = ["rendered"]

_DRAWN = 20  # bars of a chart
_NAME = 9  # letters of a run's name that have room beside a bar


def rendered(told: Mapping[str, Any], prices: Prices, at: float, leaven: str) -> str:
    """One self-contained HTML page of what `leaven.operate.costs.told.told` gives."""
    runs, services = told["runs"], told["services"]
    counts = [many(len(runs), "run", "runs")] if runs else []
    counts += [many(len(services), "service", "services")] if services else []
    story = {
        "about": " and ".join(counts), "created": _day(at), "leaven": leaven,
        "advice": [clean(one, 400) for one in told["advice"]],
    }  # fmt: skip
    return page(
        "costs.html.j2",
        story,
        services=[_service(one, prices) for one in services],
        runs=[_run(one, prices) for one in runs],
        figures=[one for one in (_spent(runs, prices), _accurate(runs, prices)) if one],
        more=_more(told),
    )


def _service(one: Mapping[str, Any], prices: Prices) -> dict[str, Any]:
    shown = [_bar(part, prices) for part in one["parts"]]
    drawn = [bar for bar in shown if bar is not None]
    name = clean(one["service"], 80)
    title = f"{name}: its money is not known"
    if one["total"] is not None:
        title = f"{name} cost {prices.said(one['total'])}"
        if one["per_thousand"] is not None:
            title += f", {prices.said(one['per_thousand'])} per 1000 answers"
    return {
        "title": title, "since": _day(one["since"]), "answered": count(one["answered"]),
        "chart": responsive(lambda width: bars(drawn, title, width)) if drawn else "",
        "parts": [
            {
                "name": part["name"], "amount": in_words(part["unit"], part["amount"]),
                "money": prices.said(part["cost"]),
            }
            for part in one["parts"]
        ],
        "releases": [_release(release, prices) for release in one["releases"]],
    }  # fmt: skip


def _bar(part: Mapping[str, Any], prices: Prices) -> Bar | None:
    if part["cost"] is None:
        return None
    return Bar(
        part["name"],
        part["cost"],
        prices.said(part["cost"]),
        in_words(part["unit"], part["amount"]),
    )


def _release(one: Mapping[str, Any], prices: Prices) -> dict[str, str]:
    return {
        "run": clean(one["run"], 80), "since": _day(one["live"][0][0]),
        "fit": _both(one["fitted"]["cpu_seconds"], one["fitted"]["compute"], prices),
        "serving": _both(one["cpu_seconds"], one["serving"], prices),
        "answered": count(one["answered"]), "per": prices.said(one["per_thousand"]),
        "labels": count(sum(one["answers"].values())), "paid": prices.said(one["labels"]),
        "gain": gained(one["gain"]), "point": clean(one["point"]["sentence"], 300),
    }  # fmt: skip


def _run(one: Mapping[str, Any], prices: Prices) -> dict[str, str]:
    seen = one["accuracy"]
    return {
        "run": clean(one["run"], 80), "cpu": seconds(one["cpu_seconds"]),
        "gpu": seconds(one["gpu_seconds"]), "memory": size(one["peak_bytes"]),
        "files": size(one["bytes"]), "given": count(one["given"]), "bought": count(one["bought"]),
        "compute": prices.said(one["compute"]), "labels": prices.said(one["labels"]),
        "total": prices.said(one["total"]), "gain": gained(one["gain"]),
        "accuracy": MISSING if seen is None else f"{percent(seen['value'])} ({_ends(seen)})",
        "point": clean(one["point"]["sentence"], 400),
    }  # fmt: skip


def _spent(runs: Sequence[Mapping[str, Any]], prices: Prices) -> dict[str, Any] | None:
    """What each run took: in money where all have it, else in CPU seconds."""
    known = [one for one in runs if one["cpu_seconds"] is not None]
    if not known:
        return None
    priced = all(one["total"] is not None for one in known)
    by = "total" if priced else "cpu_seconds"
    dearest = max(known, key=lambda one: one[by])
    said = prices.said if priced else seconds
    name = clean(dearest["run"], 40)
    title = f"{name} cost {said(dearest[by])}" if priced else f"{name} took {said(dearest[by])}"
    if len(known) > 1:
        title += ", the most"
    shown = [
        Bar(
            _end(one["run"]), one[by], said(one[by]),
            f"{clean(one['run'], 80)}, {seconds(one['cpu_seconds'])} of CPU",
        )
        for one in known[:_DRAWN]
    ]  # fmt: skip
    note = "Computing and labels." if priced else "CPU seconds."
    return _figure(title, note, responsive(lambda width: bars(shown, title, width)))


def _accurate(runs: Sequence[Mapping[str, Any]], prices: Prices) -> dict[str, Any] | None:
    """Accuracy by what computing cost; None below two runs."""
    priced = prices.cpu_hour is not None
    by = "compute" if priced else "cpu_seconds"
    known = [one for one in runs if one["accuracy"] is not None and one[by] is not None]
    if len(known) < 2:
        return None
    said = prices.said if priced else seconds
    best = max(known, key=lambda one: one["accuracy"]["value"])
    title = f"The most accurate took {said(best[by])}: {percent(best['accuracy']['value'])}"
    marks = [
        Taken(clean(one["run"], 80), one[by], said(one[by]), Estimate(**one["accuracy"]))
        for one in known
    ]
    unit = f"computing, {prices.currency or 'money'}" if priced else "CPU seconds"
    show = money if priced else count
    chart = responsive(lambda width: taken(marks, title, width, show, clean(unit, 40)))
    return _figure(title, "With 95 % intervals. Runs of other data cannot be compared.", chart)


def _more(told: Mapping[str, Any]) -> list[dict[str, str]]:
    """What more of something bought, or is expected to buy."""
    every = [(one["run"], one["next"]) for one in told["runs"] if one["next"]]
    for group in told["budgets"]:
        every += [(group["dataset"], one) for one in group["steps"]]
        every += [(group["dataset"], group["next"])] if group["next"] else []
    return [
        {
            "of": clean(name, 80), "what": one["what"], "gain": gained(one["gain"]),
            "point": one["point"]["sentence"],
        }
        for name, one in every
    ]  # fmt: skip


def _figure(title: str, note: str, chart: Any) -> dict[str, Any]:
    return {"title": title, "note": note, "chart": chart}


def _both(took: float | None, cost: float | None, prices: Prices) -> str:
    return seconds(took) if cost is None else f"{seconds(took)}, {prices.said(cost)}"


def _end(run: str) -> str:
    """The end of a run's name, by which runs of the same data differ."""
    name = str(clean(run, 200))
    return name if len(name) <= _NAME else f"…{name[-_NAME:]}"


def _ends(seen: Mapping[str, Any]) -> str:
    return f"{points(seen['low'], sign=False)} to {points(seen['high'], sign=False)}"


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
