"""Writes the results into the page of benchmarks: what was claimed, the figures, the plot.

    python -m benchmarks.table RESULTS.jsonl [--page docs/benchmarks.md]

The part of the page between `<!-- RESULTS -->` and `<!-- /RESULTS -->` (the name of the file
without its ending) is written anew, the rest is left as it is. The plot lands in a folder beside
the page, `images/RESULTS.svg`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.page import provenance, put, table
from benchmarks.plot import draw
from benchmarks.results import read
from benchmarks.summary import Column, Place, Summary, signed

__all__ = ["markdown"]

#: Points by which the model that ships may be below its baseline, on average over seeds.
_TOLERANCE = 0.5

_READING = (
    "Accuracy on the test records in %, mean over {seeds} ± standard deviation; the highest mean "
    "of a row is bold. Where the spreads overlap, the order is not settled."
)
_MODELS = (
    "The same run's supervised baseline, the method's own model, and the model that ships: the "
    "method's where the run's own comparison, on labelled training records alone, shows it to be "
    "better, else the baseline's."
)
_PEERS = (
    "Peers: scikit-learn's defaults on TF-IDF, standardised and one-hot columns, or pixels; "
    "LabelSpreading has 7 neighbours."
)
_PAGE = """# Benchmarks

Every figure here is made by `python -m benchmarks`; nothing is chosen by the test records.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write page and plot; 2 where there are no results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--page", type=Path, default=Path("docs/benchmarks.md"))
    asked = parser.parse_args(arguments)
    try:
        found = Summary(read(asked.results))
    except ValueError as wrong:
        print(f"benchmarks: {asked.results}: {wrong}", file=sys.stderr)
        return 2
    name, page = asked.results.stem, asked.page
    plot = page.parent / "images" / f"{name}.svg"
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_text(draw(found), encoding="utf-8")
    before = page.read_text(encoding="utf-8") if page.exists() else _PAGE
    part = markdown(found, f"images/{name}.svg", asked.results)
    page.write_text(put(before, name, part), encoding="utf-8")
    print(f"{found.headline()}.\nWritten: {page} and {plot}")
    return 0


def markdown(found: Summary, plot: str, results: Path) -> str:
    """Claim, figures, what the unlabelled records did, cost, and how all of it was made."""
    headline = found.headline()
    parts = [
        f"## {headline}",
        _claims(found),
        f"![{headline}]({plot})",
        _READING.format(seeds=_seeds(found)),
        _accuracy(found, "accuracy"),
        "<details><summary>Balanced accuracy</summary>\n\n"
        + _accuracy(found, "balanced_accuracy")
        + "\n\n</details>",
    ]
    if any(column.ours for column in found.columns):
        parts += [
            "### What the unlabelled records did",
            _MODELS,
            _gains(found),
        ]
    parts += ["### Cost", _cost(found), "### How it was made", _made(found, results)]
    if found.failed:
        parts += ["### What failed", _failures(found)]
    return "\n\n".join(parts)


def _claims(found: Summary) -> str:
    """Whether what Leaven promises holds in these results."""
    said = []
    for column in (column for column in found.columns if column.ours):
        gains = [(g.mean, place) for place in found.places if (g := found.gain(column, place))]
        if not gains:
            continue
        below = [(points, place) for points, place in gains if points < -_TOLERANCE]
        title, least = found.title(column), min(gains, key=lambda pair: pair[0])
        verdict = f"never more than {_TOLERANCE} points below"
        if below:
            missed = "; ".join(f"{signed(points)} on {place}" for points, place in below)
            verdict = (
                f"more than {_TOLERANCE} points below in {len(below)} of {len(gains)} ({missed})"
            )
        said.append(
            f"- {title}: the model that ships is {verdict} its supervised baseline, "
            f"{signed(mean(points for points, _ in gains))} on average, "
            f"{signed(least[0])} at worst ({least[1]})."
        )
        ahead = found.ahead(column)
        if ahead:
            points, place = min(ahead, key=lambda pair: pair[0])
            said.append(
                f"- {title} against the peer that is best on each row's test records: "
                f"{signed(mean(p for p, _ in ahead))} points on average, "
                f"{signed(points)} at worst ({place})."
            )
    return "\n".join(said) or "These results are the peers' alone."


def _accuracy(found: Summary, metric: str) -> str:
    """A line a place, a column a method."""
    rows = []
    for place in found.places:
        best = found.best(place, found.columns, metric)
        cells = [
            _cell(found, column, place, metric, bold=column == best) for column in found.columns
        ]
        rows.append([place.set, str(place.labels), *cells])
    rows += _means(found, metric)
    return table(["set", "labels", *map(found.title, found.columns)], rows, 1)


def _cell(found: Summary, column: Column, place: Place, metric: str, bold: bool) -> str:
    """A figure, with its n where seeds are missing; a dash where nothing went well."""
    figure = found.figure(column, place, metric=metric)
    if figure is None:
        return "–"
    short = "" if figure.n == len(found.seeds) else f" (n {figure.n})"
    return f"**{figure}**{short}" if bold else f"{figure}{short}"


def _means(found: Summary, metric: str) -> list[list[str]]:
    """The mean of all lines, for columns of which none is missing."""
    if len(found.places) < 2:
        return []
    cells = []
    for column in found.columns:
        figures = [found.figure(column, place, metric=metric) for place in found.places]
        known = [figure.mean for figure in figures if figure is not None]
        cells.append(f"{mean(known):.1f}" if len(known) == len(figures) else "–")
    return [["mean of all", "", *cells]]


def _gains(found: Summary) -> str:
    """A line a place and method of ours: baseline, method, gain, what ships, and the verdicts."""
    rows = []
    for place in found.places:
        for column in (column for column in found.columns if column.ours):
            ships = found.figure(column, place)
            if ships is None:
                continue
            gain = found.gain(column, place, "method")
            verdicts = found.outcomes(column, place)
            rows.append(
                [
                    place.set,
                    found.title(column),
                    ", ".join(f"{name} {count}" for name, count in verdicts.most_common()),
                    str(place.labels),
                    str(found.figure(column, place, "baseline")),
                    str(found.figure(column, place, "method")),
                    signed(gain.mean) if gain else "–",
                    str(ships),
                    str(ships.n),
                ]
            )
    head = ["set", "method", "verdicts", "labels", "baseline", "method", "gain", "ships", "n"]
    return table(head, rows, 3)


def _cost(found: Summary) -> str:
    rows = []
    for column in found.columns:
        costs = [row["cost"] for row in found.of(column)]
        lost = sum(Column(r["kind"], r["method"], r["budget"]) == column for r in found.failed)
        figures = ["–", "–", "–"]
        if costs:
            figures = [
                f"{median(cost['fit_seconds'] for cost in costs):.1f}",
                f"{median(cost['cpu_seconds'] for cost in costs):.1f}",
                f"{max(cost['peak_mb'] for cost in costs):.0f}",
            ]
        rows.append([found.title(column), *figures, str(len(costs)), str(lost)])
    head = [
        "method", "median seconds", "median processor seconds", "most memory, MB", "fits", "failed"
    ]  # fmt: skip
    return table(head, rows, 1)


def _made(found: Summary, results: Path) -> str:
    """Hardware, commit, versions, seeds, sizes, and the command that repeats it."""
    budgets = sorted({row["budget"] for row in found.rows if row["budget"]})
    sizes = {row["set"]: row["n"] for row in found.good}
    timeout = max(row["settings"]["timeout"] for row in found.rows)
    facts = provenance(found.rows) | {
        "Seeds": f"{', '.join(map(str, found.seeds))}. Each draws the labelled records and, of "
        f"larger sets, the {found.rows[0]['settings']['most_records']:,} training records",
        "Budget of a fit of Leaven, baseline, comparison and report included": ", ".join(budgets),
        "Most for any fit": f"{timeout:g} s",
        "Test records": ", ".join(f"{name} {n['test']:,}" for name, n in sizes.items()),
    }
    lines = [f"- {name}: {fact}." for name, fact in facts.items() if fact]
    command = f"{_command(found, results)}\npython -m benchmarks.table {results}"
    return "\n".join([*lines, f"- {_PEERS}", "", "```sh", command, "```"])


def _command(found: Summary, results: Path) -> str:
    """The command that makes these results."""
    peers = [column.method for column in found.columns if not column.ours]
    ours = [column for column in found.columns if column.ours]
    options: dict[str, Any] = {
        "sets": ",".join(found.sets),
        "labels": ",".join(map(str, found.labels)),
        "seeds": ",".join(map(str, found.seeds)),
        "methods": ",".join(dict.fromkeys(column.method for column in ours)) or "none",
        "peers": ",".join(peers) or "none",
    }
    if ours:
        options["budget"] = ours[0].budget
    said = " \\\n  ".join(f"--{name} {value}" for name, value in options.items())
    return f"python -m benchmarks --data DATA --out {results} \\\n  {said}"


def _seeds(found: Summary) -> str:
    n = len(found.seeds)
    return f"{n} seed{'' if n == 1 else 's'}"


def _failures(found: Summary) -> str:
    return "\n".join(
        f"- {row['set']}, {row['labels']} labels a class, seed {row['seed']}, {row['method']}: "
        f"{row['status']}, {row['error']}"
        for row in found.failed
    )


if __name__ == "__main__":
    sys.exit(main())
