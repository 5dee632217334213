"""Writes the results into the page of benchmarks: what was claimed, the figures, the plot.

    python -m benchmarks.table RESULTS.jsonl [--page docs/benchmarks.md]

The part of the page between `<!-- RESULTS -->` and `<!-- /RESULTS -->` (the name of the file
without its ending) is written anew, the rest is left as it is. The plot lands in a folder beside
the page, `images/RESULTS.svg`.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.claims import claims
from benchmarks.losses import losses
from benchmarks.page import provenance, put, table
from benchmarks.plot import draw
from benchmarks.results import read
from benchmarks.summary import Column, Duel, Figure, Summary, signed

__all__ = ["markdown"]

#: A test part whose largest class is this many times its smallest is judged by both measures.
_UNEQUAL = 1.5

_READING = (
    "Accuracy on the test records in %, mean over {seeds} ± standard deviation. Difference and "
    "gain are taken seed by seed, each with its 95 % interval. The best peer is the one with the "
    "highest mean on the row's own test records: no user could choose so well, which favours the "
    "peers. `–`: no fit went well."
)
_BALANCED = (
    "The mean over classes, where the largest class of the test part is more than "
    f"{_UNEQUAL} times the smallest; the best peer is that by this measure, and Leaven's answers "
    "are those of `leaven predict --decide balanced`."
)
_MODELS = (
    "The same run's supervised baseline, the method's own model, and the model that ships: the "
    "method's where the run's own comparison, on labelled training records alone, shows it to be "
    "better, else the baseline's."
)
_PEERS = (
    "Peers are at their defaults. Tables are standardised and one-hot, texts TF-IDF (100 "
    "components where few dense columns are needed), pictures their pixels (50 principal "
    "components for graphs), series their standardised steps (MiniRocket has its own), sounds the "
    "mean and the deviation of 64 log-mel bands. Features are learnt from all training records. "
    "LabelSpreading and LabelPropagation have 7 neighbours, Poisson learning 10, and its graph "
    "holds the test records too; GCN, APPNP and Poisson learning have a given graph whole"
)
_ENCODER = (
    "`encoder` peers, and Leaven on texts (`encoder=FOLDER`), have the vectors of one frozen "
    "sentence encoder, {encoder}, made once by Leaven's adapter and kept in its store; the seconds "
    "of making them are in no row. Leaven reads the names of the classes of texts as well, where "
    "the set has names; no peer does"
)
_ANSWERS = (
    "Of a table's two classes the one that says no (0, no, false, good, normal) is expected by "
    "Leaven to be three in four where the labels hide the shares; no peer reads that. The rule was "
    "made with earlier rows of these sets in view, its number was not fitted to them"
)
_GRAPH = (
    "In a graph the labels are drawn from all nodes that are not judged; the judged ones, without "
    "theirs, are among the unlabelled"
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
    if found.main and found.duels(found.main):
        plot.parent.mkdir(parents=True, exist_ok=True)
        plot.write_text(draw(found), encoding="utf-8")
    before = page.read_text(encoding="utf-8") if page.exists() else _PAGE
    part = markdown(found, f"images/{name}.svg", asked.results)
    page.write_text(put(before, name, part), encoding="utf-8")
    print(f"{found.headline()}.\nWritten: {page}")
    return 0


def markdown(found: Summary, plot: str, results: Path) -> str:
    """Claim, figures, what the unlabelled records did, cost, and how all of it was made."""
    headline = found.headline()
    parts = [f"## {headline}", claims(found)]
    duels = found.duels(found.main) if found.main else []
    if duels:
        parts += [f"![{headline}]({plot})", _READING.format(seeds=_seeds(found)), _duels(found)]
        if unequal := _balanced(found):
            parts += ["### Balanced accuracy", _BALANCED, unequal]
        parts += ["### By modality", _modalities(found, duels)]
        assert found.main is not None
        parts += ["### Where the points are lost", losses(found, found.main)]
        every = _folded("Every set", _gains(found))
        parts += ["### What the unlabelled records did", _MODELS, every]
    parts += ["### Peers", _peers(found), "### Cost", _cost(found)]
    parts += ["### How it was made", _made(found, results)]
    if found.failed or found.absent:
        parts += ["### What failed", _failures(found)]
    return "\n\n".join(parts)


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def _duels(found: Summary) -> str:
    """A line a place: ours, the best peer, our baseline and the differences."""
    assert found.main is not None
    rows = []
    for duel in found.duels(found.main):
        cells = _duel(found, duel)
        rows.append([*cells, str(duel.baseline or "–"), _apart(duel.lead), _apart(duel.gain)])
    head = ["set", "best peer", "labels", "Leaven", "peer", "baseline", "difference", "gain"]
    return table(head, rows, 2)


def _balanced(found: Summary) -> str:
    """The same by balanced accuracy, of the places where it says something else; may be empty."""
    assert found.main is not None
    duels = found.duels(found.main, "balanced_accuracy")
    unequal = [duel for duel in duels if found.unequal(duel.place, _UNEQUAL)]
    if not unequal:
        return ""
    rows = [[*_duel(found, duel), _apart(duel.lead)] for duel in unequal]
    average = signed(mean(duel.lead.mean for duel in unequal))
    head = ["set", "best peer", "labels", "Leaven", "peer", "difference"]
    return f"On average {average} points, n {len(unequal)}.\n\n{table(head, rows, 2)}"


def _duel(found: Summary, duel: Duel) -> list[str]:
    name, labels = found.title(duel.peer), str(duel.place.labels)
    return [duel.place.set, name, labels, str(duel.ours), str(duel.theirs)]


def _apart(figure: Any) -> str:
    """A difference with its interval, where there is one."""
    if figure is None:
        return "–"
    within = figure.within()
    if within is None:
        return signed(figure.mean)
    return f"{signed(figure.mean)} ({signed(within[0])} to {signed(within[1])})"


def _modalities(found: Summary, duels: list[Duel]) -> str:
    """A line a modality and number of labels: how far ahead on average, and where not."""
    kinds, rows = found.modalities, []
    for kind in dict.fromkeys(kinds.values()):
        for labels in found.labels:
            own = [d for d in duels if kinds[d.place.set] == kind and d.place.labels == labels]
            if own:
                worst = min(own, key=lambda duel: duel.lead.mean)
                ahead = sum(duel.lead.mean > 0 for duel in own)
                gains = [duel.gain.mean for duel in own if duel.gain]
                rows.append(
                    [
                        kind,
                        worst.place.set,
                        str(labels),
                        str(len(own)),
                        signed(mean(duel.lead.mean for duel in own)),
                        str(ahead),
                        signed(worst.lead.mean),
                        signed(mean(gains)) if gains else "–",
                    ]
                )
    head = ["modality", "worst on", "labels", "sets", "difference", "ahead", "worst", "gain"]
    return table(head, rows, 2)


def _gains(found: Summary) -> str:
    """A line a place and method of ours: each model of the run, and the verdicts."""
    names = ["baseline", "method", "shipped"]
    names += [m for m in _models(found) if m not in names]
    rows = []
    for place in found.places:
        for column in (column for column in found.columns if column.ours):
            ships = found.figure(column, place)
            if ships is None:
                continue
            verdicts = ", ".join(f"{v} {n}" for v, n in found.outcomes(column, place).most_common())
            models = [str(found.figure(column, place, name) or "–") for name in names]
            cells = [place.set, found.title(column), verdicts, str(place.labels)]
            rows.append([*cells, *models, str(ships.n)])
    return table(["set", "method", "verdicts", "labels", *names, "n"], rows, 3)


def _models(found: Summary) -> list[str]:
    """The names of all models of Leaven's runs."""
    ours = (row["scores"] for row in found.good if row["kind"] == "ours")
    return list(dict.fromkeys(name for scores in ours for name in scores))


def _peers(found: Summary) -> str:
    """A line a peer: where it was fitted, was the best peer, how far behind it, and behind ours."""
    peers = [column for column in found.columns if not column.ours]
    best = {place: found.rival(place) for place in found.places}
    wins = Counter(best.values())
    rows = []
    for column in peers:
        own = {place: f.mean for place in found.places if (f := found.figure(column, place))}
        behind = [
            top.mean - points
            for place, points in own.items()
            if (rival := best[place]) and (top := found.figure(rival, place))
        ]
        means = [f"{mean(own.values()):.1f}", f"{mean(behind):.1f}"] if own else ["–", "–"]
        cells = [found.title(column), str(len(own)), str(wins[column]), *means]
        rows.append([*cells, *_leads(found, column)])
    head = ["peer", "cases", "best peer in", "mean accuracy there", "points behind the best peer"]
    if found.main:
        head += [f"Leaven above it, {labels} labels" for labels in found.labels]
    return table(head, rows, 1)


def _leads(found: Summary, peer: Column) -> list[str]:
    """How far Leaven is above that peer, of all sets that both were fitted on, by labels."""
    if found.main is None:
        return []
    duels, said = found.duels_with(found.main, peer), []
    for labels in found.labels:
        leads = [duel.lead.mean / 100 for duel in duels if duel.place.labels == labels]
        figure = Figure.of(leads)
        said.append(f"{_apart(figure)}, n {figure.n}" if figure else "–")
    return said


def _cost(found: Summary) -> str:
    rows = []
    for column in found.columns:
        costs = [row["cost"] for row in found.of(column)]
        lost = sum(Column(r["kind"], r["method"], r["budget"]) == column for r in found.failed)
        figures = ["–", "–", "–"]
        if costs:
            figures = [
                f"{median(c['fit_seconds'] + c.get('predict_seconds', 0) for c in costs):.1f}",
                f"{median(cost['cpu_seconds'] for cost in costs):.1f}",
                f"{max(cost['peak_mb'] for cost in costs):.0f}",
            ]
        rows.append([found.title(column), *figures, str(len(costs)), str(lost)])
    head = [
        "method", "median seconds", "median processor seconds", "most memory, MB", "fits", "failed"
    ]  # fmt: skip
    told = (
        "Seconds are of features, fit and test records, on one thread. Peers of a set share a "
        "process, so that their memory is that of the process up to then, and the first one, "
        "LogisticRegression, has the imports in its seconds."
    )
    return f"{table(head, rows, 1)}\n\n{told}"


def _made(found: Summary, results: Path) -> str:
    """Hardware, commit, versions, seeds, sizes, and the command that repeats it."""
    budgets = sorted({row["budget"] for row in found.rows if row["budget"]})
    kinds = {row["kind"]: row["settings"]["timeout"] for row in found.rows}
    limits = ", ".join(
        f"{kinds[kind]:g} s for {name}"
        for kind, name in (("ours", "Leaven"), ("peer", "a peer"))
        if kind in kinds
    )
    settings = found.rows[0]["settings"]
    tested = {row["set"]: row["n"]["test"] for row in found.good}
    facts = provenance(found.rows) | {
        "Seeds": f"{', '.join(map(str, found.seeds))}. Each draws the labelled records and, of "
        f"larger sets, the {settings['most_records']:,} training records",
        "Budget of a fit of Leaven, baseline, comparison and report included": ", ".join(budgets),
        "Most for any fit": limits,
        "Test records": f"at most {settings['most_test']:,}, the same for every fit: "
        + ", ".join(f"{name} {n:,}" for name, n in tested.items()),
    }
    lines = [f"- {name}: {fact}." for name, fact in facts.items() if fact]
    lines.append(f"- {_PEERS}.")
    if settings["encoder"]:
        lines.append(f"- {_ENCODER.format(encoder=settings['encoder'])}.")
    if "tabular" in found.modalities.values():
        lines.append(f"- {_ANSWERS}.")
    if "graph" in found.modalities.values():
        lines.append(f"- {_GRAPH}.")
    command = f"{_command(found, results)}\npython -m benchmarks.table {results}"
    return "\n".join([*lines, "", "```sh", command, "```"])


def _command(found: Summary, results: Path) -> str:
    """The command that makes these results."""
    ours = [column for column in found.columns if column.ours]
    options: dict[str, Any] = {
        "labels": ",".join(map(str, found.labels)),
        "seeds": ",".join(map(str, found.seeds)),
        "methods": ",".join(dict.fromkeys(column.method for column in ours)) or "none",
        "most-test": found.rows[0]["settings"]["most_test"],
    }
    if ours:
        options["budget"] = ours[0].budget
    if found.rows[0]["settings"]["encoder"]:
        options["encoder"] = "ENCODER"
    said = " \\\n  ".join(f"--{name} {value}" for name, value in options.items())
    return f"python -m benchmarks.few_labels --data DATA --out {results} \\\n  {said}"


def _seeds(found: Summary) -> str:
    n = len(found.seeds)
    return f"{n} seed{'' if n == 1 else 's'}"


def _failures(found: Summary) -> str:
    """The fits that failed, those of a peer that failed alike on one line."""
    alike: dict[tuple[str, str], list[str]] = {}
    for row in [*found.failed, *found.absent]:
        where = f"{row['set']} ({row['labels']} labels, seed {row['seed']})"
        title = found.title(Column(row["kind"], row["method"], row["budget"]))
        alike.setdefault((title, f"{row['status']}, {row['error']}"), []).append(where)
    return "\n".join(
        f"- {title}, {len(where)} fit{'' if len(where) == 1 else 's'}: {error}"
        + (f": {', '.join(where)}" if not error.startswith("absent") else "")
        for (title, error), where in alike.items()
    )


if __name__ == "__main__":
    sys.exit(main())
