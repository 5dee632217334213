"""What a unit more buys: labels by the run's own forecast, computing by runs with other budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from leaven.core.errors import RunError
from leaven.core.wording import many
from leaven.evaluate.folder import read_json
from leaven.evaluate.forecast import forecast
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.run import Run
from leaven.evaluate.side_by_side import judged_right, side_by_side
from leaven.operate.costs.bought import PerPoint, per_point
from leaven.operate.costs.prices import Prices
from leaven.operate.costs.run import computing

__all__ = ["More", "budgets", "next_compute", "next_labels", "steps"]

_LEAST = 3  # budgets of which a curve can be fitted
_APART = 1.25  # times as much computing is another budget, and no chance
_MOST = 50  # runs that are looked at


@dataclass(frozen=True)
class More:
    """What more of something bought, or is expected to buy.

    `amount` is how much more of the `unit` (`label` or `CPU s`), `cost` its money where there is a
    price, `gain` in accuracy, a share. `point` is what a point of it costs.
    """

    unit: str
    what: str
    amount: float
    cost: float | None
    gain: Estimate
    point: PerPoint


def next_labels(run: Run, prices: Prices) -> More | None:
    """The next labels, by the learning curve that the run measured; None where it could not."""
    growth = run.story.get("growth") or {}
    if not growth.get("expected"):
        return None
    ahead, gain = int(growth["ahead"]), Estimate(**growth["expected"])
    cost = None if prices.label is None else prices.label * ahead
    said = prices.said if cost is not None else (lambda n: many(round(n), "label", "labels"))
    point = per_point(float(ahead) if cost is None else cost, said, gain, "now")
    return More("label", f"the next {many(ahead, 'label', 'labels')}", ahead, cost, gain, point)


def budgets(run: Run) -> list[Run]:
    """Runs of the same data and seed beside this one, itself among them, by what they took.

    Of several with the same budget the newest counts, and none that took hardly more than another.
    """
    told = run.story
    found: dict[str, tuple[str, Path]] = {}
    for file in sorted(run.folder.resolve().parent.glob("*/run.json"))[:_MOST]:
        try:
            other = read_json(file)
            alike = all(other["dataset"][n] == told["dataset"][n] for n in ("hash", "classes"))
            if alike and other["recipe"]["seed"] == told["recipe"]["seed"]:
                made = other["run"]["created"], file.parent
                budget = other["recipe"]["budget"]
                found[budget] = max(found.get(budget, made), made)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a damaged run is told of where it is opened
    found[told["recipe"]["budget"]] = (told["run"]["created"], run.folder)
    runs = []
    for _, folder in found.values():
        try:
            runs.append(Run.load(folder))
        except RunError:
            continue
    apart: list[Run] = []
    for one in sorted(runs, key=_took):
        if not apart or _took(one) >= _APART * _took(apart[-1]):
            apart.append(one)
    return apart


def steps(runs: Sequence[Run], prices: Prices) -> list[More]:
    """What each larger budget bought over the one below it, on the records that judged both."""
    found = []
    for less, more in pairwise(runs):
        pairs = side_by_side([less, more])["pairs"]
        if pairs:
            what = f"{more.story['recipe']['budget']} instead of {less.story['recipe']['budget']}"
            gain = Estimate(**pairs[0]["difference"])
            found.append(_more(what, _took(more) - _took(less), gain, prices, "the smaller budget"))
    return found


def next_compute(runs: Sequence[Run], prices: Prices) -> More | None:
    """What as much computing again is expected to buy; None below three budgets, and where the
    largest was not shown to be better than the smallest: then nothing is known to go on.

    The curve is the one by which labels are forecast, an inverse power of what was spent.
    """
    if len(runs) < _LEAST or _took(runs[0]) < 1:
        return None
    pairs = side_by_side([runs[0], runs[-1]])["pairs"]
    if not pairs or pairs[0]["difference"]["low"] <= 0:
        return None
    right = [judged_right(run) for run in runs]
    shared = sorted(set.intersection(*(set(one) for one in right)))
    took = np.array([_took(run) for run in runs])
    if len(shared) < 2:
        return None
    wrong = np.array([[not one[key] for key in shared] for one in right], np.float64)
    covariance = np.atleast_2d(np.cov(wrong)) / len(shared) + np.eye(len(runs)) * 1e-6
    last = round(took[-1])
    told = forecast(took, wrong.mean(1), covariance, last, last, len(shared)).expected
    return _more("as much computing again", last, told, prices, "now")


def _more(what: str, seconds: float, gain: Estimate, prices: Prices, over: str) -> More:
    cost, said = computing(prices, seconds, None)
    money = cost if prices.cpu_hour is not None else None
    return More("CPU s", what, seconds, money, gain, per_point(cost, said, gain, over))


def _took(run: Run) -> float:
    return float(run.story["cost"]["cpu_seconds"])
