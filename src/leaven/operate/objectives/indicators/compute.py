"""Compute that runs away: fits of the loop that take far more than they should, that are begun over
and over, and folders that fill the disk."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from statistics import median
from typing import Any

from leaven.core.budget import Budget
from leaven.core.errors import DataError, LeavenError
from leaven.core.recipe import Recipe
from leaven.core.wording import decimal, duration, many, roughly
from leaven.operate.loop.fits import Fit, fits
from leaven.operate.loop.journal import LOOP, Event, Journal, folded
from leaven.operate.objectives.indicator import (
    COUNT,
    INDICATORS,
    NUMBER,
    Figure,
    FigureIndicator,
    Subject,
)

_PAST = 5  # earlier fits that tell what is usual
_MEGA = 1e6


@dataclass(frozen=True)
class _Kind:
    """One thing that a fit takes: what it is called, and the least that is ever held to be usual,
    under which a multiple says nothing."""

    said: str
    least: float


_KINDS: Mapping[str, _Kind] = {
    "seconds": _Kind("time", 60.0),
    "cpu_seconds": _Kind("CPU time", 60.0),
    "peak_bytes": _Kind("memory", 500 * _MEGA),
    "bytes": _Kind("disk", 50 * _MEGA),
}


def _cost(subject: Subject, _: Mapping[str, Any]) -> Figure:
    """How many times what is usual the fit takes that goes on, or took that ended last.

    Usual is the middle of the earlier fits, and of times the budget where that is more; the worst
    counts.
    """
    history = _history(subject)
    every = fits(history)
    done = [fit for fit in every if fit.finished]
    paused = LOOP in folded(subject.service, history).paused
    goes_on = [fit for fit in every[-1:] if fit.goes_on and not paused]
    if not goes_on and not done:
        raise DataError("No fit of the loop has ended yet.")
    fit = (goes_on or done)[-1]
    spent = _so_far(fit, subject.now) if goes_on else _spent(fit)
    earlier = [_spent(one) for one in done if one.cycle < fit.cycle][-_PAST:]
    usual = {name: median(told) for name in _KINDS if (told := _known(earlier, name))}
    if (budget := _seconds(fit)) is not None:
        # Who has that much time may use a processor all the time.
        usual |= {name: max(budget, usual.get(name, 0.0)) for name in ("seconds", "cpu_seconds")}
    found = [
        (spent[name] / max(usual[name], kind.least), name, kind.said)
        for name, kind in _KINDS.items()
        if name in usual and name in spent
    ]
    if not found:
        raise DataError("There is neither a budget in time nor an earlier fit to hold it against.")
    times, name, said = max(found)
    verb = "has taken" if goes_on else "took"
    note = (
        f"The fit of cycle {fit.cycle} {verb} {_word(name, spent[name])} of {said}; "
        f"{_word(name, usual[name])} would be usual.{_alive(fit, subject.now) if goes_on else ''}"
    )
    return Figure(times, times, times, len(earlier), note)


def _restarts(subject: Subject, _: Mapping[str, Any]) -> Figure:
    """Tries of fits that came to nothing since the last one that was finished."""
    every = fits(_history(subject))
    last = max((i for i, fit in enumerate(every) if fit.finished), default=-1)
    lost = sum(fit.lost for fit in every[last + 1 :])
    said = many(len(every) - last - 1, "cycle has", "cycles have") if lost else ""
    note = f"{said} begun fits since the last that was finished." if lost else ""
    return Figure(lost, lost, lost, lost, note)


def _room(subject: Subject, _: Mapping[str, Any]) -> Figure:
    """How many more runs as large as the largest of the last ones the disk has room for."""
    from leaven.evaluate.folder import folder_bytes

    sizes: list[int] = []
    with suppress(DataError):  # a service without a loop has its live run
        runs = [fit.run for fit in fits(_history(subject)) if fit.run is not None][-_PAST:]
        sizes = [folder_bytes(run) for run in runs if run.is_dir()]
    live = Path(subject.folder)
    if not live.is_dir():
        raise DataError(f"The files of the live run are not at '{live}'.")
    largest = max([folder_bytes(live), *sizes], default=0)
    free = disk_usage(live).free
    room = float(free // max(largest, int(_MEGA)))
    note = f"{_word('bytes', free)} are free at '{live.parent}'; a run takes up to "
    return Figure(room, room, room, 1, f"{note}{_word('bytes', largest)}.")


def _history(subject: Subject) -> list[Event]:
    """What happened in the loop of the service; DataError where there is none."""
    if "loop" not in subject.seen:
        subject.seen["loop"] = Journal(subject.store, subject.service).history()
    found: list[Event] = subject.seen["loop"]
    if not found:
        raise DataError("The service has no loop: leaven loop run.")
    return found


def _spent(fit: Fit) -> dict[str, float]:
    """What a finished fit took, as far as it is known."""
    told = {"seconds": fit.seconds, "cpu_seconds": fit.cpu_seconds}
    assert fit.run is not None
    return _read(fit.run / "run.json", "run") | told


def _so_far(fit: Fit, now: float) -> dict[str, float]:
    """What a fit took that goes on: time since it was begun last, the rest by its own clock."""
    found: dict[str, float] = {}
    for clock in _clocks(fit):
        found |= _read(clock)
        with suppress(OSError):
            files = [one for one in clock.parent.parent.rglob("*") if one.is_file()]
            found["bytes"] = float(sum(one.stat().st_size for one in files))
    return found | {"seconds": max(now - fit.began, 0.0)}


def _read(file: Path, part: str = "") -> dict[str, float]:
    """The figures of a file that the fit keeps; nothing where it is gone."""
    from leaven.evaluate.folder import read_json

    try:
        told = read_json(file)
        told = told[part] if part else told
        return {name: float(told[name]) for name in _KINDS if name in told}
    except (OSError, LeavenError, KeyError, TypeError, ValueError):
        return {}


def _clocks(fit: Fit) -> list[Path]:
    return [] if fit.folder is None else sorted(fit.folder.glob("*/work/clock.json"))


def _alive(fit: Fit, now: float) -> str:
    """When the fit last gave a sign of life."""
    times = []
    for clock in _clocks(fit):
        with suppress(OSError):
            times.append(clock.stat().st_mtime)
    if not times:
        return ""
    return f" Its last sign of life was {roughly(max(now - max(times), 0.0))} ago."


def _known(spent: list[dict[str, float]], name: str) -> list[float]:
    return [one[name] for one in spent if name in one]


def _seconds(fit: Fit) -> float | None:
    """The budget in seconds; None for one in steps."""
    try:
        return Budget.parse(fit.budget or Recipe().budget).seconds
    except LeavenError:
        return None


def _word(name: str, value: float) -> str:
    if name in ("seconds", "cpu_seconds"):
        return duration(value)
    mega = value / _MEGA
    return f"{decimal(mega / 1000)} GB" if mega >= 1000 else f"{decimal(mega)} MB"


INDICATORS.add(
    "fit-cost",
    FigureIndicator(
        "fit-cost",
        "What a fit of the loop takes, in times of what is usual",
        "leaven loop status {service}",
        3,
        measure=_cost,
        most=True,
        unit=NUMBER,
    ),
)

INDICATORS.add(
    "restarts",
    FigureIndicator(
        "restarts",
        "Fits of the loop that were begun and came to nothing",
        "leaven loop status {service}",
        2,
        measure=_restarts,
        most=True,
        unit=COUNT,
    ),
)

INDICATORS.add(
    "disk",
    FigureIndicator(
        "disk",
        "Runs for which the disk has room",
        "leaven releases {service}",
        5,
        measure=_room,
        unit=COUNT,
    ),
)
