"""What is told of costs: plain values for the terminal, the page and other programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from leaven.core.typed import CONFIG
from leaven.evaluate.run import Run
from leaven.evaluate.spending import HOUR
from leaven.operate.costs.ahead import budgets, next_compute, next_labels, steps
from leaven.operate.costs.ledger import fits
from leaven.operate.costs.prices import Prices
from leaven.operate.costs.run import run_cost
from leaven.operate.costs.service import release_costs, spending
from leaven.operate.releases import Releases
from leaven.store.store import Store

__all__ = ["told"]


def told(
    runs: Sequence[Run], store: Store | None, services: Sequence[str], prices: Prices, now: float
) -> dict[str, Any]:
    """What these runs, and services of the store, cost up to now; see `leaven.costs.costs`."""
    of_runs = [_run(one, prices) for one in runs]
    of_services = [] if store is None else [_service(store, one, prices, now) for one in services]
    found: dict[str, Any] = {"currency": prices.currency, "runs": of_runs}
    found |= {"budgets": _budgets(runs, prices), "services": of_services}
    return found | {"advice": _advice(found, prices)}


def _run(run: Run, prices: Prices) -> dict[str, Any]:
    cost = run_cost(str(run.story["run"]["id"]), run.folder, run.story, prices)
    more = next_labels(run, prices)
    told = {"bought": cost.bought, "next": None if more is None else asdict(more)}
    return asdict(cost) | told


def _budgets(runs: Sequence[Run], prices: Prices) -> list[dict[str, Any]]:
    """What larger budgets bought, once for the runs of the same data."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for run in runs:
        others = budgets(run)
        key = tuple(str(one.story["run"]["id"]) for one in others)
        if key not in found and len(others) > 1:
            more = next_compute(others, prices)
            found[key] = {
                "dataset": run.story["dataset"]["name"], "runs": list(key),
                "steps": [asdict(one) for one in steps(others, prices)],
                "next": None if more is None else asdict(more),
            }  # fmt: skip
    return list(found.values())


def _service(store: Store, service: str, prices: Prices, now: float) -> dict[str, Any]:
    history = Releases(store, service).history()
    first = min([history[0].at, *(one.at for one in fits(store, service, history))])
    began = first - first % HOUR  # what serving took is known by the hour
    releases = [asdict(one) for one in release_costs(store, service, now, prices)]
    spent = asdict(spending(store, service, began, now, prices))
    return {"service": service} | spent | {"releases": releases}


def _advice(found: dict[str, Any], prices: Prices) -> list[str]:
    """How to set the prices that are missing, and what else would tell more."""
    missing = [
        name
        for name, price, needed in (
            ("cpu_hour", prices.cpu_hour, True),
            ("gpu_hour", prices.gpu_hour, any(one["gpu_seconds"] for one in found["runs"])),
            ("gigabyte_month", prices.gigabyte_month, True),
            ("label", prices.label, True),
        )
        if price is None and needed
    ]
    said = []
    if missing:
        names = ", ".join(f"{one} = …" for one in missing)
        said.append(f"What has no price is told without money. In {CONFIG}, under [costs]: {names}")
    if found["runs"] and not found["budgets"]:
        said.append(
            "Fit the same data with another --budget to see what more computing buys: "
            "three budgets tell what as much again is expected to."
        )
    return said
