"""How long fits will take, from those that are done."""

from __future__ import annotations

import re
from collections.abc import Iterable
from statistics import median
from typing import Any

from benchmarks.grid import Cell
from benchmarks.peers import PEERS

__all__ = ["expected"]

#: Seconds that a fit of Leaven takes beside its budget: start, reading, test records.
_BESIDE = 12.0
_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}


def expected(due: Iterable[Cell], rows: list[dict[str, Any]], workers: int = 1) -> str:
    """How long the fits will take by so many workers, in words.

    A fit takes what those alike on its set took, else, of a peer, what it took on other sets, else
    a guess from the budget.
    """
    took: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        alike = (row["kind"], row["method"], row["budget"])
        took.setdefault((*alike, row["set"]), []).append(row["wall_seconds"])
        if row["kind"] == "peer":
            took.setdefault(alike, []).append(row["wall_seconds"])
    usual = {alike: median(seconds) for alike, seconds in took.items()}
    seconds, unknown = 0.0, 0
    for cell in due:
        alike = (cell.kind, cell.method, cell.budget)
        one = usual.get((*alike, cell.set), usual.get(alike, _guess(cell)))
        seconds, unknown = seconds + (one or 0), unknown + (one is None)
    said = f"about {_duration(seconds / workers)}"
    return f"{said} and {unknown} of unknown length" if unknown else said


def _guess(cell: Cell) -> float | None:
    """Seconds of a fit of which none alike is done; None for a budget in steps."""
    if cell.kind == "peer":
        return PEERS[cell.method].seconds
    time = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|m|min|h)\s*", cell.budget, re.IGNORECASE)
    return None if time is None else float(time[1]) * _UNITS[time[2].lower()] + _BESIDE


def _duration(seconds: float) -> str:
    """As people say it.

    >>> _duration(50), _duration(8100)
    ('50 s', '2 h 15 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
