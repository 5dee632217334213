"""A game day: drills played one after the other, each in a set-up of its own."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from leaven.core.errors import LeavenError
from leaven.core.progress import Listener, Progress
from leaven.data.dataset import Dataset
from leaven.evaluate.run import Run
from leaven.operate.gameday.databases import LitePlace, place_of
from leaven.operate.gameday.drill import DRILLS, Drill
from leaven.operate.gameday.judging import judged, overall, summed
from leaven.operate.gameday.local import DETECTED, INJECTED, MENDED, Local, Release
from leaven.operate.gameday.processes import Group
from leaven.operate.gameday.traffic import Traffic
from leaven.operate.gameday.world import World, known_data

__all__ = ["play"]

_ENTRIES = 100  # that are told of a drill; the logs in its folder have all

Words = Mapping[str, Sequence[str]]


def play(
    names: Sequence[str],
    folder: Path,
    release: Release,
    *,
    data: Dataset | None = None,
    store: str | None = None,
    seed: int = 0,
    words: Words | None = None,
    progress: Listener | None = None,
) -> dict[str, Any]:
    """Play these drills in an empty folder, and tell what was kept.

    Parameters
    ----------
    release : see `Local`.
    data : records with labels; `known_data` if not given.
    store : see `place_of`.
    words : see `Local`.

    Returns `at`, `outcome`, `sentence`, `seed`, `data`, `store`, `machine`, `load`, and `drills`,
    see `_played`. Raises LeavenError where the set-up cannot be made; what goes wrong within a
    drill is its finding.
    """
    at, load, drills = time.time(), os.getloadavg()[0], [DRILLS[name] for name in names]
    environment = {"LEAVEN_CACHE": str(folder / "cache"), "PYTHONUNBUFFERED": "1",
                   "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}  # fmt: skip

    def tell(number: int, message: str) -> None:
        if progress is not None:
            stage = drills[number].name if number >= 0 else "set-up"
            progress(Progress(stage, max(number, 0), len(drills), message=message))

    tell(-1, "reading the data")
    world = World.make(folder, data or known_data(), seed)
    with ExitStack() as stack:
        place = place_of(store)
        stack.callback(place.close)
        group = Group(folder, environment)
        stack.callback(group.close)
        runs = {}
        for kind in sorted({kind for drill in drills for kind in drill.runs}):
            tell(-1, f"fitting the {kind} run")
            runs[kind] = world.fitted(group, folder, kind, seed)
        world = world.with_runs(runs)
        told = []
        for number, drill in enumerate(drills):
            home, its = folder / "drills" / drill.name, LitePlace() if drill.lite else place
            home.mkdir(parents=True)
            with ExitStack() as own:
                database = its.make(home)
                own.callback(database.close)
                mine = Group(home, environment)
                own.callback(mine.close)
                local = Local(home, world, database, mine, release, seed, words or {},
                              partial(tell, number))  # fmt: skip
                own.callback(local.close)
                told.append(_played(drill, local) | {"store": its.kind})
    outcomes = [one["outcome"] for drill in told for one in drill["promises"]]
    known = next(iter(runs.values()), None)
    machine = Run.load(known).story["environment"] if known else {}
    return {
        "at": at, "outcome": overall(outcomes), "sentence": summed(outcomes), "seed": seed,
        "data": {"name": world.name, "records": len(world.records), "classes": [*world.classes]},
        "store": place.kind, "load": load, "drills": told,
        "machine": {name: machine.get(name) for name in ("cpu", "cores", "platform")},
    }  # fmt: skip


def _played(drill: Drill, local: Local) -> dict[str, Any]:
    """Play it: `name`, `says`, `outcome`, `sentence`, `promises` (see `Held`), `problem` (why it
    ended early), `entries` (in seconds from its beginning), `answers` (of each second how many
    predictions were answered, and how many failed), `detected` and `mended` (seconds from the
    fault, None where it was not), and the `seconds` that it took."""
    began, problem = time.time(), ""
    try:
        drill.play(local)
    except LeavenError as failed:
        problem = str(failed)
    except Exception as failed:  # noqa: BLE001 - whatever it is, it is what was found
        problem = f"{type(failed).__name__}: {failed}"
    held = [judged(one, local.seen.get(one.name), problem) for one in drill.promises]
    outcomes = [one.outcome for one in held]
    injected = _first(local, INJECTED)
    return {
        "name": drill.name, "says": drill.says, "problem": problem,
        "outcome": overall(outcomes), "sentence": summed(outcomes),
        "promises": [one.told() for one in held],
        "entries": [
            {"at": one.at - began, "kind": one.kind, "what": one.what}
            for one in local.entries[:_ENTRIES]
        ],
        "answers": _by_second(local.traffic, began),
        "detected": _between(injected, _first(local, DETECTED)),
        "mended": _between(injected, _first(local, MENDED)),
        "seconds": time.time() - began,
    }  # fmt: skip


def _first(local: Local, kind: str) -> float | None:
    return next((one.at for one in local.entries if one.kind == kind), None)


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start


def _by_second(traffic: Sequence[Traffic], began: float) -> list[list[int]]:
    """A row a second from the beginning: predictions that were answered, and that failed."""
    rows: Counter[tuple[int, bool]] = Counter()
    for one in (answer for each in traffic for answer in each.answers):
        rows[int(one.sent - began), one.status != 200] += 1
    last = max((second for second, _ in rows), default=-1)
    return [[rows[second, False], rows[second, True]] for second in range(last + 1)]
