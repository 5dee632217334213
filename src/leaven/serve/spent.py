"""What a service cost in a time, on its executive board."""

from __future__ import annotations

from typing import Any

from leaven.core.errors import LeavenError
from leaven.core.typed import CONFIG
from leaven.core.wording import decimal
from leaven.evaluate.report.clean import clean
from leaven.evaluate.report.svg import responsive
from leaven.operate.costs.charts import Bar, bars
from leaven.operate.costs.prices import Prices
from leaven.operate.costs.run import run_cost
from leaven.operate.costs.service import Part, Spending, in_words, spending
from leaven.operate.metrics.looking import Period
from leaven.operate.registry import Registry
from leaven.operate.releases import Releases
from leaven.store.store import Store

__all__ = ["spent_chart"]


def spent_chart(store: Store, service: str, period: Period, prices: Prices) -> dict[str, Any]:
    """A chart as those of the boards are: fits, serving, labels and storage, with its finding."""
    try:
        found = spending(store, service, period.since, period.until, prices)
        point = _point(store, service, prices)
    except LeavenError as failed:
        title = "What it cost cannot be told"
        return {"title": title, "chart": "", "key": (), "note": clean(str(failed), 400)}
    title = str(clean(_title(found, prices), 200))
    shown = [_bar(one, found.total is not None, prices) for one in found.parts]
    return {
        "title": title,
        "chart": responsive(lambda width: bars([one for one in shown if one], title, width)),
        "key": (),
        "note": clean(f"{point} {_left_out(found)}".strip(), 600),
    }


def _title(found: Spending, prices: Prices) -> str:
    if found.total is None:
        took = sum(one.amount for one in found.parts if one.unit == "CPU s")
        return f"It took {decimal(took)} CPU seconds in this time"
    per = ""
    if found.per_thousand is not None:
        per = f", {prices.said(found.per_thousand)} per 1000 answers"
    return f"It cost {prices.said(found.total)} in this time{per}"


def _bar(part: Part, priced: bool, prices: Prices) -> Bar | None:
    """A bar in money, or where nothing has a price in CPU seconds; None for what has no place."""
    amount = in_words(part.unit, part.amount)
    if priced:
        if part.cost is None:
            return None
        return Bar(part.name, part.cost, prices.said(part.cost), amount)
    return Bar(part.name, part.amount, amount) if part.unit == "CPU s" else None


def _left_out(found: Spending) -> str:
    amounts = {one.name: in_words(one.unit, one.amount) for one in found.parts}
    told = [f"{name} ({amounts[name]})" for name in found.unpriced]
    if not told:
        return ""
    return f"Without a price in [costs] of {CONFIG}: {', '.join(told)}."


def _point(store: Store, service: str, prices: Prices) -> str:
    """What a point of accuracy of the live run cost."""
    live = Releases(store, service).state().live
    if live is None:
        return ""
    run = Registry(store).get(live.run, live.digest)
    told = run_cost(run.run, run.folder, run.told, prices).point.sentence.rstrip(".")
    return f"The live run’s accuracy: {told}."
