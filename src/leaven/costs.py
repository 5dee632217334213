"""The verb that says what runs and services cost, and what that bought."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.core.errors import DataError

if TYPE_CHECKING:
    from leaven.evaluate.run import Run
    from leaven.store.store import Store

__all__ = ["costs"]

_MOST = 50  # runs that are listed where none is named


def costs(
    names: Sequence[str | Path] = (),
    *,
    prices: str | Path | None = None,
    store: str | Path | None = None,
    report: str | Path | None = None,
) -> dict[str, Any]:
    """What runs and services cost: time, memory, storage, labels, and money by its prices.

    Parameters
    ----------
    names : folders of runs, or services of the store; by default all services, or where nothing was
        released the newest runs of `runs`.
    prices : a TOML file with a table `[costs]`, see `leaven.operate.costs.prices.Prices`; by
        default `leaven.toml`. What has no price is told in seconds, bytes and labels.
    store : a file or URL, see `Store`; by default `runs/leaven.db`.
    report : write a page with charts to this file.

    Returns `currency`, `runs` (each as `leaven.operate.costs.run.RunCost`, with what the `next`
    labels buy), `budgets` (of runs of the same data, what the larger budgets bought, and what as
    much again would), `services` (each as `leaven.operate.costs.service.Spending` since
    its beginning, with its `releases`), and `advice`, sentences. Raises RunError for a folder that
    is no run, UnknownNameError for a service that is not there, DataError where there is nothing.
    """
    from leaven.operate.costs.prices import Prices
    from leaven.operate.costs.told import told

    known = Prices.read(prices)
    runs, services, kept = _named(names, store)
    found = told(runs, kept, services, known, time.time())
    if report is not None:
        import leaven
        from leaven.evaluate.folder import write_page
        from leaven.operate.costs.page import rendered

        page = rendered(found, known, time.time(), leaven.__version__)
        found["report"] = str(write_page(page, Path(report).parent, report))
    return found


def _named(
    names: Sequence[str | Path], address: str | Path | None
) -> tuple[list[Run], list[str], Store | None]:
    """Which of the names are runs, and which services; all that there is where none is given."""
    from leaven.evaluate.run import Run
    from leaven.operate.releases import named_service, services
    from leaven.store.store import RUNS, STORE, store_at

    runs = [Run.load(one) for one in names if Path(one).exists()]
    others = [str(one) for one in names if not Path(one).exists()]
    place = str(Path(RUNS) / STORE if address is None else address)
    if not others and (names or not ("://" in place or Path(place).exists())):
        if not names:
            files = sorted(Path(RUNS).glob("*/run.json"), key=lambda one: one.stat().st_mtime)
            runs = [Run.load(one) for one in files[-_MOST:]]
        if not runs:
            raise DataError(f"There is no run in '{RUNS}' and no store '{place}'. Name a run.")
        return runs, [], None
    missing = f"'{others[0]}' is no folder of a run" if others else "Nothing was released yet"
    kept = store_at(address, missing)
    return runs, [named_service(kept, one) for one in others] or services(kept), kept
