"""What a service cost in a time, split into what it was spent on, and what each release did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leaven.core.errors import LeavenError
from leaven.core.wording import count, seconds, size
from leaven.evaluate.folder import folder_bytes
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.run import Run
from leaven.evaluate.side_by_side import side_by_side
from leaven.operate.costs import ledger
from leaven.operate.costs.bought import PerPoint, per_point
from leaven.operate.costs.prices import Prices
from leaven.operate.costs.run import RunCost, computing, run_cost
from leaven.operate.metrics.standing import version
from leaven.operate.registry import Registered
from leaven.operate.releases import Event, Releases
from leaven.store.store import Store

__all__ = ["PARTS", "Part", "ReleaseCost", "Spending", "in_words", "release_costs", "spending"]

#: What a service is spent on.
PARTS = ("fits", "serving", "labels", "storage")


@dataclass(frozen=True)
class Part:
    """One thing that was spent on: `amount` of the `unit`, and its money where it has a price."""

    name: str
    amount: float
    unit: str
    cost: float | None


@dataclass(frozen=True)
class Spending:
    """What a service took from `since` to `until` (seconds since 1970), and its money.

    `total` is what is known of the parts' money; `unpriced` are parts whose money is not.
    `per_thousand` is the total over a thousand records answered; None where nothing is priced, or
    nothing was answered.
    """

    since: float
    until: float
    parts: tuple[Part, ...]
    answered: float
    total: float | None
    unpriced: tuple[str, ...]
    per_thousand: float | None


@dataclass(frozen=True)
class ReleaseCost:
    """What a release cost: its fit (`fitted`), and while it was live serving and labels.

    `live` are the times in which it was live, the last one open where it is. `gain` is its accuracy
    over the live run `before` it, on the records that judged both, and `point` what a point of that
    cost: the fit, and the labels that were bought while the former was live.
    """

    run: str
    version: str
    live: tuple[tuple[float, float], ...]
    fitted: RunCost
    cpu_seconds: float
    answered: float
    answers: Mapping[str, int]
    serving: float | None
    labels: float | None
    per_thousand: float | None
    before: str
    gain: Estimate | None
    point: PerPoint


def in_words(unit: str, amount: float) -> str:
    """An amount of a part's unit.

    >>> in_words("labels", 3), in_words("bytes", 2e6).replace("\u202f", " ")
    ('3', '2.0 MB')
    """
    return {"CPU s": seconds, "bytes": size, "labels": count}[unit](amount)


def spending(store: Store, service: str, since: float, until: float, prices: Prices) -> Spending:
    """What a service took in that time.

    A fit counts when it was known, storage is that of the runs that had been released by its end.
    """
    history = Releases(store, service).history()
    made = [one for one in ledger.fits(store, service, history) if since <= one.at < until]
    cpu, gpu = sum(one.cpu_seconds for one in made), sum(one.gpu_seconds for one in made)
    took = ledger.served(store, service, since, until)
    serving, answered = sum(one.cpu_seconds for one in took), sum(one.answered for one in took)
    there = ledger.registered(store, [one for one in history if one.at < until])
    answers = ledger.bought(store, ledger.queues_of(service, there), since, until)
    kept = sum(_size(one) for one in there)
    parts = (
        Part("fits", cpu, "CPU s", prices.compute(cpu, gpu)),
        Part("serving", serving, "CPU s", prices.compute(serving)),
        Part("labels", float(sum(answers.values())), "labels", prices.labels(answers)),
        Part("storage", float(kept), "bytes", prices.storage(kept, until - since)),
    )
    known = [one.cost for one in parts if one.cost is not None and one.amount]
    total = sum(known) if known else None
    per = None if total is None or not answered else 1000 * total / answered
    unpriced = tuple(one.name for one in parts if one.cost is None)
    return Spending(since, until, parts, answered, total, unpriced, per)


def release_costs(store: Store, service: str, now: float, prices: Prices) -> list[ReleaseCost]:
    """What each release of a service cost up to now, those that were ever live, in their order."""
    history = Releases(store, service).history()
    runs = {(one.run, one.digest): one for one in ledger.registered(store, history)}
    queues = ledger.queues_of(service, list(runs.values()))
    took = {(one.run, one.version): one for one in ledger.served(store, service, 0.0, now)}
    found: list[ReleaseCost] = []
    before: Registered | None = None
    spans = _live(history, now)
    for key, live in spans.items():
        run = runs[key]
        fitted = run_cost(run.run, run.folder, run.told, prices)
        answers: dict[str, int] = {}
        for span in live:
            for who, n in ledger.bought(store, queues, *span).items():
                answers[who] = answers.get(who, 0) + n
        mine = took.get((run.run, version(run.digest)))
        cpu = 0.0 if mine is None else mine.cpu_seconds
        answered = 0.0 if mine is None else mine.answered
        serving = prices.compute(cpu)
        per = None if serving is None or not answered else 1000 * serving / answered
        gain, point = _against(run, before, fitted, found[-1] if found else None, prices)
        told = (cpu, answered, answers, serving, prices.labels(answers), per)
        former = "" if before is None else before.run
        found.append(
            ReleaseCost(run.run, version(run.digest), live, fitted, *told, former, gain, point)
        )
        before = run
    return found


def _live(
    history: Sequence[Event], now: float
) -> dict[tuple[str, str], tuple[tuple[float, float], ...]]:
    """When each run was live, in the order in which they first were."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    became = [one for one in history if one.kind == "live"]
    for i, one in enumerate(became):
        until = became[i + 1].at if i + 1 < len(became) else now
        found.setdefault((one.run, one.digest), []).append((one.at, until))
    return {key: tuple(spans) for key, spans in found.items()}


def _against(
    run: Registered,
    before: Registered | None,
    fitted: RunCost,
    former: ReleaseCost | None,
    prices: Prices,
) -> tuple[Estimate | None, PerPoint]:
    """The gain over the live run before, and what a point of it cost."""
    if before is None or former is None:
        return None, PerPoint(None, None, None, "the first that was live")
    cost, said = computing(prices, fitted.cpu_seconds, fitted.gpu_seconds)
    if cost is not None and prices.cpu_hour is not None:
        cost = None if former.labels is None else cost + former.labels
    try:
        pairs = side_by_side([Run.load(before.folder), Run.load(run.folder)])["pairs"]
    except (LeavenError, OSError) as gone:
        return None, PerPoint(None, None, None, f"cannot be told: {gone}")
    gain = Estimate(**pairs[0]["difference"]) if pairs else None
    return gain, per_point(cost, said, gain, "the live run before")


def _size(run: Registered) -> int:
    """Bytes of a run that is kept: as it was made, or measured for one that did not say."""
    size = run.told["cost"].get("bytes")
    return int(size) if size is not None else folder_bytes(run.folder)
