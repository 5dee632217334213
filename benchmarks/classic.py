"""The methods without a network beside their peers: graphs, wrappers, machines, in one run.

    python -m benchmarks.classic --data FOLDER [--sets a,b] [--labels 1,4,25] [--seeds 0,1,2]
    python -m benchmarks.classic --page    # results → docs/peers.md

The question: from 1, 4 and 25 labels a class, what do Leaven's classic methods make of the
unlabelled records, and what do scikit-learn's semi-supervised estimators and GraphLearning? Each
cell is one fit on one thread, scored on the test records; nothing is chosen by these. GraphLearning
takes part where GRAPHLEARNING_PYTHON names an interpreter that has it.

A row that is in the results is not made again; one that failed is, with `--retry`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.classic_plot import Line, draw
from benchmarks.fit import score
from benchmarks.grid import Cell, choose_peers, grid
from benchmarks.machine import machine
from benchmarks.method_fit import fit_method, smaller
from benchmarks.page import provenance, put, table
from benchmarks.pool import fit_missing, names, parser
from benchmarks.results import read
from benchmarks.sets import find_set, load
from benchmarks.summary import Column, Figure, Place, Summary, signed

SETS = "pendigits,satimage,mushroom,adult,mnist,ag_news"
OUT = "benchmarks/results/classic.jsonl"
PAGE = "docs/peers.md"

_HEAD = "# Methods without a network, beside their peers\n"
_READING = (
    "Accuracy on the test records in %, mean ± standard deviation over seeds; the highest mean of "
    "a set and number of labels is bold. Where spreads overlap, the order is not settled."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit what is missing, or write the page; 0 when all went well, 1 when some fits failed."""
    asked = _parser().parse_args(arguments)
    if asked.page:
        print(_write_page(asked.out, Path(asked.page)))
        return 0
    try:
        cells = _grid(asked)
    except ValueError as wrong:
        print(f"benchmarks: {wrong}", file=sys.stderr)
        return 2
    return fit_missing(cells, partial(_fit, data=asked.data.resolve()), asked)


def _parser() -> argparse.ArgumentParser:
    made = parser("classic", __doc__, sets=SETS, labels="1,4,25", out=OUT, page=PAGE)
    made.add_argument("--methods", default="all", help="Leaven's; default: all without a loop")
    made.add_argument("--peers", default="all", help="all, none, supervised, semi or names")
    return made


def _grid(asked: argparse.Namespace) -> list[Cell]:
    """All cells, seed by seed, so that an unfinished table already covers every set."""
    peers, methods = choose_peers(names(asked.peers)), _methods(names(asked.methods))
    labels, seeds = (list(map(int, names(text))) for text in (asked.labels, asked.seeds))
    sets = {name: find_set(asked.data, name)["modality"] for name in names(asked.sets)}
    return grid(sets, labels, seeds, methods, peers, budget="")


def _methods(asked: list[str]) -> list[str]:
    """Those asked for; all are those that take no steps and ask for no graph."""
    from leaven.core.errors import UnknownNameError
    from leaven.learn.method import METHODS

    try:
        if asked == ["all"]:
            return [n for n, m in METHODS.items() if not m.stepped and not m.modalities]
        return [name for name in asked if METHODS[name]]
    except UnknownNameError as unknown:
        raise ValueError(str(unknown)) from None


def _fit(cell: Cell, data: Path) -> dict[str, Any]:
    """The row of a cell, one model of which is called `shipped`."""
    if cell.kind == "peer":
        return _fit_peer(cell, data)
    row = fit_method(cell, 1, data)
    if row["status"] == "ok":
        row["scores"] = {"shipped": row["scores"]}
    return row


def _fit_peer(cell: Cell, data: Path) -> dict[str, Any]:
    """A peer's row; its cost is that of features, fit and the test records together."""
    from benchmarks.features import Views, cpu_seconds
    from benchmarks.peers import PEERS, fit_peer

    row = cell.to_row() | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    row["machine"] = machine()
    began = time.monotonic()
    try:
        task = smaller(load(data, cell.set, cell.labels, cell.seed))
        began, used = time.monotonic(), cpu_seconds()
        view = Views(task, cell.seed).get(PEERS[cell.method].views[task.modality])
        said = fit_peer(cell.method, task, view, cell.seed)()["shipped"]
        cost = {"fit_seconds": time.monotonic() - began, "cpu_seconds": cpu_seconds() - used}
        row |= {
            "status": "ok",
            "scores": {"shipped": score(said, task.truth)},
            "n": {"test": len(task.truth)},
            "cost": {name: round(value, 2) for name, value in cost.items()},
        }
    except Exception as error:  # noqa: BLE001 - whatever a fit raises is its row in the table
        row |= {"status": "error", "error": f"{type(error).__name__}: {error}"}
    return row | {"wall_seconds": round(time.monotonic() - began, 2)}


def _write_page(results: Path, page: Path) -> str:
    """Write the page; returns the finding."""
    found = Summary(read(results))
    plot = page.parent / "images" / "classic.svg"
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_text(draw(_lines(found), f"Mean of {len(found.sets)} sets"), encoding="utf-8")
    before = page.read_text(encoding="utf-8") if page.exists() else _HEAD
    page.write_text(put(before, "classic", _markdown(found)), encoding="utf-8")
    return f"{_finding(found)}\nWritten: {page} and {plot}"


def _lines(found: Summary) -> list[Line]:
    """Of each method the means over all sets, for the plot."""
    lines = []
    for column in found.columns:
        means = {n: mean for n in found.labels if (mean := _mean(found, column, n)) is not None}
        if means:
            lines.append((found.title(column), column.ours, means))
    return lines


def _markdown(found: Summary) -> str:
    parts = [
        f"**{_finding(found)}**",
        "![Mean accuracy by method and number of labels](images/classic.svg)",
        _overall(found),
        _measured(found),
        _READING,
    ]
    for name in found.sets:
        parts += [f"## {name}", _of_set(found, name)]
    parts += ["## How it was made", _made(found)]
    if found.failed:
        lines = [f"- {Cell.of(row)}: {row['error']}" for row in found.failed]
        parts += ["## What failed", "\n".join(lines)]
    return "\n\n".join(parts)


def _measured(found: Summary) -> str:
    """In prose: what was fitted on what."""
    labels, settings = ", ".join(map(str, found.labels)), found.rows[0]["settings"]
    side = settings["side"]
    return (
        f"{labels} labels a class, {len(found.seeds)} seeds, the rest of at most "
        f"{settings['most_records']:,} training records unlabelled, pictures of at most "
        f"{side} × {side} pixels. Leaven's methods stand on the modality's frozen features, with "
        "the settings that they have for all sets; peers are at their defaults on TF-IDF, "
        "standardised and one-hot columns, or pixels, of which texts have 100 and pictures 50 "
        "components where a graph is made. CPU seconds of peers include their features and the "
        "test records, those of Leaven do not."
    )


def _of_set(found: Summary, name: str) -> str:
    """A line a method, a column a number of labels."""
    places = [place for place in found.places if place.set == name]
    best = {place: found.best(place, found.columns, "accuracy") for place in places}
    rows = []
    for column in found.columns:
        figures = [(place, found.figure(column, place)) for place in places]
        rows.append([found.title(column), *(_bold(f, best[p] == column) for p, f in figures)])
    return table(["method", *(f"{place.labels} a class" for place in places)], rows, 1)


def _bold(figure: Figure | None, best: bool) -> str:
    if figure is None:
        return "–"
    return f"**{figure}**" if best else str(figure)


def _overall(found: Summary) -> str:
    """A line a method: mean over all sets by number of labels, and the median cost of a fit."""
    rows = []
    for column in found.columns:
        means = [_mean(found, column, labels) for labels in found.labels]
        seconds = [row["cost"]["cpu_seconds"] for row in found.of(column)]
        cells = ["–" if value is None else f"{value:.1f}" for value in means]
        cost = f"{median(seconds):.1f}" if seconds else "–"
        rows.append([found.title(column), *cells, cost])
    return table(["method", *(f"{n} a class" for n in found.labels), "CPU seconds"], rows, 1)


def _mean(found: Summary, column: Column, labels: int) -> float | None:
    """The mean over the sets, None where one is missing."""
    figures = [found.figure(column, Place(name, labels)) for name in found.sets]
    known = [figure.mean for figure in figures if figure is not None]
    return mean(known) if len(known) == len(found.sets) else None


def _finding(found: Summary) -> str:
    """The best of ours and of the peers in the mean of all places, in one sentence."""
    overall = {
        column: mean(whole)
        for column in found.columns
        if None not in (whole := [_mean(found, column, labels) for labels in found.labels])
    }
    ours = max((c for c in overall if c.ours), key=lambda c: overall[c], default=None)
    peer = max((c for c in overall if not c.ours), key=lambda c: overall[c], default=None)
    if ours is None or peer is None:
        return f"Classic methods on {len(found.sets)} sets."
    return (
        f"{found.title(ours)} has the best mean of {len(found.places)} cases among Leaven's "
        f"({overall[ours]:.1f} %), {found.title(peer)} among the peers ({overall[peer]:.1f} %, "
        f"a difference of {signed(overall[ours] - overall[peer])} points)."
    )


def _made(found: Summary) -> str:
    facts = provenance(found.rows)
    facts["Seeds"] = ", ".join(map(str, found.seeds))
    facts["Fits"] = f"{len(found.good)}, and {len(found.failed)} that failed"
    lines = [f"- {name}: {fact}." for name, fact in facts.items()]
    options = {
        "sets": ",".join(found.sets),
        "labels": ",".join(map(str, found.labels)),
        "seeds": ",".join(map(str, found.seeds)),
        "jobs": str(found.rows[0]["settings"]["jobs"]),
    }
    said = " \\\n  ".join(f"--{name} {value}" for name, value in options.items())
    command = f"python -m benchmarks.classic --data DATA \\\n  {said}"
    return "\n".join([*lines, "", "```sh", command, "python -m benchmarks.classic --page", "```"])


if __name__ == "__main__":
    sys.exit(main())
