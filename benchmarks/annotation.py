"""Does asking help? Labels bought round by round, by each strategy, beside labels at random.

    python -m benchmarks.annotation --data FOLDER [--sets a,b] [--seeds 0,1] [--strategies a,b]
    python -m benchmarks.annotation --page    # results → docs/annotation.md

Each set has a pool of at most 3,000 training records, drawn once, with the frozen features that
`leaven fit` takes for them. A seed draws two labels a class; then labels are bought in five rounds
of four a class, the strategy reading what the model says that was taught the labels so far. With
`--cold` there is no label at first, and three rounds of two a class are asked by strategies that
need no model. After each round three models are fitted and scored on the official test records, of
which at most 2,000 are drawn once and by which nothing is chosen:

- `semi`: poisson-learning on the pool, labelled and not;
- `supervised`: logistic regression on the labels;
- `mixed`: both, half and half, for what `leaven fit` takes where nothing is named is a blend. It
  is the model that strategies read, and the one that the tables are of.

Strategies ask for whole batches (`explore` 0); names that end in `+explore` draw a tenth at random,
as the command does. `typiclust:8:diverse` takes the one below eight labels a class and then the
other; `auto` is the same with four. A row is one curve; those that are in the results are not made
again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from benchmarks.annotation_plot import Line, draw
from benchmarks.machine import commit, machine, versions
from benchmarks.page import provenance, put, table
from benchmarks.results import append, read
from benchmarks.summary import Figure, signed

if TYPE_CHECKING:
    from leaven.learn.classic_method import Frozen
    from leaven.learn.head import Head

__all__ = ["COLD", "SETS", "STRATEGIES", "Curves", "Records", "curve", "records"]

SETS = "medmnist64_modality,fashion_mnist,ag_news,sms_spam,dry_bean,fsdd"
STRATEGIES = (
    "random,typiclust,probcover,k-centre,badge,margin,entropy,least-confidence,diverse,"
    "density-weighted,class-balanced,bald,auto,auto+explore,margin+explore"
)
COLD = "random,typiclust,probcover,k-centre"
OUT = "benchmarks/results/annotation.jsonl"
PAGE = "docs/annotation.md"

_POOL, _TEST = 3000, 2000
_FIRST, _EACH, _ROUNDS = 2, 4, 5  # labels a class at first and a round, and the rounds
_COLD_EACH, _COLD_ROUNDS = 2, 3
_EXPLORE = "+explore"
#: The sets, and the last of their seeds, on which rules were compared before the others.
_CHOSEN, _LAST = ("medmnist64_modality", "ag_news", "dry_bean"), 2

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Row = dict[str, Any]
Key = tuple[str, int, str, str]


@dataclass(frozen=True)
class Records:
    """A set's pool and test records on frozen features; `truth` of both are class positions."""

    name: str
    modality: str
    features: Floats
    targets: Ints
    test: Floats
    truth: Ints
    classes: tuple[str, ...]
    encoder: str
    whole: Frozen


def records(data: Path, name: str) -> Records:
    """The pool and the test records, the same for all seeds."""
    from benchmarks.formats import FORMATS
    from benchmarks.ours import testing, training
    from benchmarks.sets import MODALITIES, Task, find_set
    from leaven.learn.classic_method import Frozen
    from leaven.learn.encoder import ENCODERS, encode
    from leaven.learn.front import Front

    entry = find_set(data, name)
    held = FORMATS[entry["format"]](data, entry)
    named = np.flatnonzero([label is not None for label in held.told])
    random = np.random.default_rng(0)
    kept = np.sort(random.permutation(named)[:_POOL])
    asked = np.sort(random.permutation(len(held.truth))[:_TEST])
    task = Task(
        name,
        MODALITIES[entry["modality"]],
        held.opened(_taken(held.train, kept)),
        [held.told[i] for i in kept.tolist()],
        held.opened(_taken(held.test, asked)),
        [held.truth[i] for i in asked.tolist()],
    )
    pool = training(task)
    front = Front.describe(pool, None)
    pool, arrays = front.readable(pool)
    told = testing(task, [asdict(column) for column in pool.columns])
    told, test = front.readable(told)
    kind = ENCODERS[front.views.features]
    encoder = kind(**kind.configure(front.arrays_spec))
    encoder.prepare(arrays, np.arange(len(pool)), 0)
    plain = front.views.plain
    features = encode(encoder, arrays, np.arange(len(pool)), plain)
    place = {label: i for i, label in enumerate(pool.classes)}
    truth = np.array([place.get(task.truth[int(number)], -1) for number in told.ids])
    none = np.zeros(0, np.int64)
    return Records(
        name, task.modality, features, pool.targets, encode(encoder, test, np.arange(len(told)),
        plain), truth, pool.classes, encoder.name,
        Frozen(features, pool.targets, len(pool.classes), 0, none, modality=front.views.name),
    )  # fmt: skip


def _taken(held: Any, rows: Ints) -> Any:
    return held.take(rows, **({"axis": 0} if hasattr(held, "ndim") else {}))


def curve(known: Records, seed: int, strategy: str, start: str) -> Row:
    """The row of one curve: `points`, each with its labels and the scores of the three models."""
    began = time.process_time()
    cold = start == "cold"
    k = len(known.classes)
    each, rounds = (_COLD_EACH, _COLD_ROUNDS) if cold else (_EACH, _ROUNDS)
    labelled = np.full(len(known.targets), -1, np.int64)
    if not cold:
        first = _first(known, seed)
        labelled[first] = known.targets[first]
    points = []
    heads: dict[str, Head] = {}
    if not cold:
        heads = _fitted(known, labelled)
        points.append(_scored(known, labelled, heads))
    for number in range(rounds):
        rows = _asked(known, labelled, heads, each * k, strategy, 100 * seed + number)
        labelled[rows] = known.targets[rows]
        heads = _fitted(known, labelled)
        points.append(_scored(known, labelled, heads))
    return {
        "set": known.name, "seed": seed, "start": start, "strategy": strategy, "status": "ok",
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "modality": known.modality,
        "encoder": known.encoder,
        "n": {"pool": len(labelled), "test": len(known.truth), "classes": k},
        "points": points, "cpu_seconds": round(time.process_time() - began, 2),
    }  # fmt: skip


def _first(known: Records, seed: int) -> Ints:
    """Two records of each class, drawn by the seed alone."""
    random = np.random.default_rng([seed, 3])
    drawn = [
        random.permutation(np.flatnonzero(known.targets == one))[:_FIRST]
        for one in range(len(known.classes))
    ]
    return np.concatenate(drawn)


def _fitted(known: Records, labelled: Ints) -> dict[str, Head]:
    from leaven.learn.heads.blend import BlendHead
    from leaven.learn.method import METHODS
    from leaven.learn.out_of_fold import fitted

    # A part of the whole, whose graph is made once.
    part = known.whole.without(np.flatnonzero(labelled < 0))
    semi, alone = (fitted(METHODS[name], part) for name in ("poisson-learning", "logistic"))  # type: ignore[arg-type]
    return {
        "mixed": BlendHead.of([semi, alone], [0.5, 0.5], [1.0, 1.0]),
        "semi": semi,
        "supervised": alone,
    }


def _scored(known: Records, labelled: Ints, heads: dict[str, Head]) -> Row:
    """Labels, classes among them, and accuracy and mean recall of each model."""
    from leaven.learn.out_of_fold import answers

    scores = {}
    for name, head in heads.items():
        right = answers(head, known.test).argmax(1) == known.truth
        recalls = [right[known.truth == one].mean() for one in np.unique(known.truth)]
        scores[name] = {
            "accuracy": round(float(right.mean()), 5),
            "balanced": round(float(np.mean(recalls)), 5),
        }
    there = labelled[labelled >= 0]
    return {"labels": len(there), "classes": len(np.unique(there)), "scores": scores}


def _asked(
    known: Records, labelled: Ints, heads: dict[str, Head], count: int, strategy: str, seed: int
) -> Ints:
    from leaven.label.asking.pool import Pool
    from leaven.label.asking.strategies.committee import bagged
    from leaven.label.asking.strategy import STRATEGIES as REGISTRY
    from leaven.label.asking.strategy import ask
    from leaven.learn.out_of_fold import answers
    from leaven.learn.temperature import apply

    named = strategy.removesuffix(_EXPLORE)
    if ":" in named:
        first, turn, then = named.split(":")
        named = first if (labelled >= 0).sum() < int(turn) * len(known.classes) else then
    needs = REGISTRY[named].needs if named != "auto" else ("probabilities",)
    said = members = None
    if heads and "probabilities" in needs:
        said = apply(answers(heads["mixed"], known.features), 1.0)
    if "members" in needs:
        members = bagged(known.features, labelled, len(known.classes), seed=seed)
    pool = Pool(labelled, said, known.features, members, names=known.classes, seed=seed)
    explore = 0.1 if strategy.endswith(_EXPLORE) else 0.0
    return ask(pool, count, named, explore=explore).index


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the curves that are missing, or write the page."""
    asked = _parser().parse_args(arguments)
    if asked.page:
        print(_write_page(read(asked.out), Path(asked.page)))
        return 0
    start = "cold" if asked.cold else "two a class"
    strategies = (asked.strategies or (COLD if asked.cold else STRATEGIES)).split(",")
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    there = {key(row) for row in read(asked.out)}
    context = {"machine": machine(), "commit": commit(), "versions": versions()}
    for name in asked.sets.split(","):
        due = [(s, one) for s in seeds for one in strategies if (name, s, start, one) not in there]
        if not due:
            continue
        known = records(asked.data.resolve(), name)
        for seed, strategy in due:
            row = curve(known, seed, strategy, start) | context
            append(asked.out, row)
            last = row["points"][-1]
            figures = ", ".join(f"{m} {100 * s['accuracy']:.1f}" for m, s in last["scores"].items())
            said = f"{name}, seed {seed}, {strategy}: {figures} at {last['labels']} labels"
            print(f"{said}; {row['cpu_seconds']} s", flush=True)
    return 0


def _write_page(rows: list[Row], page: Path) -> str:
    """Write the figures of the sets that all strategies ran on, and the picture."""
    warm = Curves([row for row in rows if row["start"] != "cold"], SETS.split(","))
    first = Curves([row for row in rows if row["start"] == "cold"], SETS.split(","))
    shown = [name for name in STRATEGIES.split(",") if name in warm.strategies]
    lines = [_line(warm, name) for name in shown if name != "random"]
    said = "Points of accuracy, the mean over five rounds; a ring is a set, a bar the 95 % interval"
    picture = page.parent / "images" / "annotation.svg"
    picture.write_text(draw(lines, "What asking gains over labels at random", said), "utf-8")
    used = [row for row in rows if row["set"] in warm.sets and row["strategy"] in shown]
    cost = sum(row["cpu_seconds"] for row in rows)
    made = provenance(used) | {"CPU seconds of all curves": f"{cost:,.0f}"}
    parts = {
        "annotation": _overall(warm, shown),
        "annotation-sets": _by_set(warm, shown),
        "annotation-cold": _by_set(first, COLD.split(",")),
        "annotation-rule": _rule([row for row in rows if row["start"] != "cold"]),
        "annotation-made": "\n".join(f"- {name}: {fact}." for name, fact in made.items()),
    }
    told = page.read_text(encoding="utf-8") if page.exists() else "# Does asking help?\n"
    for name, part in parts.items():
        told = put(told, name, part)
    page.write_text(told, encoding="utf-8")
    return f"Written: {page} and {picture}, of {len(used)} curves"


class Curves:
    """Curves by set, seed and strategy; a curve's figure is its mean over the rounds."""

    def __init__(self, rows: list[Row], sets: Sequence[str]) -> None:
        self._rows = {(row["set"], row["seed"], row["strategy"]): row for row in rows}
        self.sets = [name for name in sets if any(key[0] == name for key in self._rows)]
        self.strategies = list(dict.fromkeys(key[2] for key in self._rows))

    def gains(
        self, name: str, strategy: str, model: str = "mixed", against: str = "random"
    ) -> list[float]:
        """Of each seed how much higher the curve is than that of labels at random."""
        seeds = sorted({key[1] for key in self._rows if key[0] == name})
        return [
            _height(self._rows[name, seed, strategy], model)
            - _height(self._rows[name, seed, against], model)
            for seed in seeds
            if (name, seed, strategy) in self._rows
        ]

    def figure(self, strategy: str, model: str = "mixed") -> Figure | None:
        """The mean of the sets' gains, its interval that over sets."""
        return Figure.of(
            [mean(g) for name in self.sets if (g := self.gains(name, strategy, model))]
        )

    def needed(self, name: str, strategy: str) -> float | None:
        """The share of the labels bought at random that reaches the same accuracy; None for over 1.

        Of the means over seeds, on straight lines between the rounds.
        """
        goal = self._mean(name, "random")[-1]
        labels, told = self._labels(name, "random"), self._mean(name, strategy)
        for i, value in enumerate(told):
            if value >= goal:
                back = (value - goal) / (value - told[i - 1]) if i else 0.0
                at = labels[i] - back * (labels[i] - labels[i - 1]) if i else labels[0]
                return float((at - labels[0]) / (labels[-1] - labels[0]))
        return None

    def seconds(self, strategy: str) -> float:
        """CPU seconds of a curve, the mean."""
        every = [row["cpu_seconds"] for key, row in self._rows.items() if key[2] == strategy]
        return float(mean(every))

    def _labels(self, name: str, strategy: str) -> list[int]:
        row = next(r for key, r in self._rows.items() if key[0] == name and key[2] == strategy)
        return [point["labels"] for point in row["points"]]

    def _mean(self, name: str, strategy: str) -> list[float]:
        every = [
            [point["scores"]["mixed"]["accuracy"] for point in row["points"]]
            for key, row in self._rows.items()
            if key[0] == name and key[2] == strategy
        ]
        return [mean(values) for values in zip(*every, strict=True)]


def _height(row: Row, model: str) -> float:
    """The mean over the points after a purchase: the area under the curve."""
    bought = row["points"] if row["start"] == "cold" else row["points"][1:]
    return float(mean(point["scores"][model]["accuracy"] for point in bought))


def _line(curves: Curves, strategy: str) -> Line:
    figure = curves.figure(strategy)
    assert figure is not None
    low, high = figure.within() or (figure.mean, figure.mean)
    each = {name: 100 * mean(curves.gains(name, strategy)) for name in curves.sets}
    return Line(strategy, figure.mean, low, high, each)


def _overall(curves: Curves, shown: Sequence[str]) -> str:
    """A line a strategy, the best first."""
    rows = []
    for name in sorted(shown, key=lambda one: -_line(curves, one).mean):
        if name == "random":
            continue
        said = _line(curves, name)
        better = [_sign(curves.gains(one, name)) for one in curves.sets]
        needed = [curves.needed(one, name) for one in curves.sets]
        reached = [share for share in needed if share is not None]
        half = sorted(1.0 if share is None else share for share in needed)
        told = "over 100" if len(reached) * 2 <= len(needed) else f"{100 * median(half):.0f}"
        others = [curves.figure(name, model) for model in ("semi", "supervised")]
        rows.append([
            f"`{name}`", f"{signed(said.mean)} ({signed(said.low)} to {signed(said.high)})",
            *(signed(one.mean) for one in others if one), f"{better.count(1)} / {better.count(-1)}",
            f"{told} ({len(reached)} of {len(needed)})", f"{curves.seconds(name):.1f}",
        ])  # fmt: skip
    head = [
        "strategy", "points over random (95 % over sets)", "`semi` alone", "`supervised` alone",
        "sets better / worse", "labels needed of 100 (sets that get there)", "CPU seconds",
    ]  # fmt: skip
    return table(head, rows, 1)


def _by_set(curves: Curves, shown: Sequence[str]) -> str:
    """A line a strategy, a column a set; bold where the interval over seeds leaves out zero."""
    rows = []
    for name in shown:
        if name == "random" or name not in curves.strategies:
            continue
        gains = [curves.gains(one, name) for one in curves.sets]
        said = [signed(100 * mean(one)) for one in gains]
        cells = [f"**{t}**" if _sign(g) else t for t, g in zip(said, gains, strict=True)]
        rows.append([f"`{name}`", *cells])
    return table(["strategy", *curves.sets], rows, 1)


def _rule(rows: list[Row]) -> str:
    """Other rules less `auto`, where one could choose and on all sets and seeds that were not."""
    parts = [[], []]  # type: list[list[Row]]
    for row in rows:
        parts[row["set"] not in _CHOSEN or row["seed"] > _LAST].append(row)
    curves = [Curves(part, list(dict.fromkeys(row["set"] for row in part))) for part in parts]
    lines = []
    for name in ("typiclust", *(one for one in curves[0].strategies if ":" in one)):
        told = [f"`{name}`"]
        for part in curves:
            there = [one for one in part.sets if part.gains(one, name, against="auto")]
            figure = Figure.of([mean(part.gains(one, name, against="auto")) for one in there])
            low, high = (figure.within() if figure else None) or (0.0, 0.0)
            mean_ = signed(figure.mean) if figure else "–"
            told.append(f"{mean_} ({signed(low)} to {signed(high)}; {len(there)} sets)")
        lines.append(told)
    return table(["rule", "where it was chosen", "on all others"], lines, 1)


def _sign(gains: list[float]) -> int:
    """1 or -1 where the 95 % interval over seeds lies above or below zero, else 0."""
    figure = Figure.of(gains)
    low, high = (figure.within() if figure else None) or (0.0, 0.0)
    return int(low > 0) - int(high < 0)


def key(row: Row) -> Key:
    """What tells one row from another."""
    return row["set"], row["seed"], row["start"], row["strategy"]


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.annotation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--data", type=Path, default=Path("benchmarks/data"))
    made.add_argument("--sets", default=SETS, help=f"default: {SETS}")
    made.add_argument("--seeds", default="0,1,2,3,4")
    made.add_argument("--strategies", default="", help=f"default: {STRATEGIES}; cold: {COLD}")
    made.add_argument("--cold", action="store_true", help="begin without a label")
    made.add_argument("--out", type=Path, default=Path(OUT))
    made.add_argument("--page", nargs="?", const=PAGE, help=f"only write the page; default: {PAGE}")
    return made


if __name__ == "__main__":
    sys.exit(main())
