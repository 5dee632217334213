"""What it is worth to know how frequent the classes are, where as many of each were labelled.

    python -m benchmarks.known_shares --data FOLDER [--sets a,b] [--labels 4] [--more 30]
        [--seeds 11,12]

`leaven fit` as a user calls it on tables of unequal classes: with few labels of each class; with
the true shares given besides; with more labels, as many of each class; and with as many more of
records drawn at random. Writes its table to docs/choice.md. Nothing is chosen by the test records.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.page import put, table
from benchmarks.summary import Figure

if TYPE_CHECKING:
    from benchmarks.sets import Task

__all__ = ["main"]

PAGE = Path("docs/choice.md")
_RECORDS, _TEST = 6000, 3000
_UNEQUAL = 1.5  # times as many test records of the largest class as of the smallest
_WAYS = ("as many of each", "shares given", "more of each", "more at random")
Right = dict[str, list[dict[str, float]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit all, and write the table; 0."""
    asked = _parser().parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # before anything that reads it is imported
    from benchmarks.sets import list_sets

    usable, _ = list_sets(asked.data)
    names = asked.sets.split(",") if asked.sets else usable
    right: Right = {}
    for name in (one for one in names if usable[one]["modality"] == "tabular"):
        for seed in map(int, asked.seeds.split(",")):
            found = _right(asked, name, seed)
            if found:
                right.setdefault(name, []).append(found)
                told = ", ".join(f"{way} {100 * share:.1f}" for way, share in found.items())
                print(f"{name}, seed {seed}: {told}", flush=True)
    before = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(put(before, "shares", _part(right, asked)), encoding="utf-8")
    return 0


def _right(asked: argparse.Namespace, name: str, seed: int) -> dict[str, float]:
    """The share of test records that are named rightly, each way; empty where classes are alike."""
    import numpy as np

    from benchmarks.sets import load

    whole = load(asked.data, name, 10**9, seed, 10**9, _TEST)  # every record with its label
    drawn = np.random.default_rng(seed).permutation(len(whole.labels))
    labels = np.array(whole.labels, object)
    classes = np.unique(whole.truth)
    counts = Counter(whole.truth)
    if max(counts.values()) < _UNEQUAL * min(counts.values()) or None in whole.labels:
        return {}

    def of_each(many: int) -> list[int]:
        return [int(i) for one in classes for i in drawn[labels[drawn] == one][:many]]

    few = of_each(asked.labels)
    more = of_each(asked.labels + -(-asked.more // len(classes)))
    evenly = set(more)
    others = [i for i in drawn.tolist() if i not in evenly]
    kept = sorted([*more, *others][:_RECORDS])
    open_to_all = set(kept) - set(few)
    at_random = [i for i in drawn.tolist() if i in open_to_all][: asked.more]
    shares = {one: counts[one] / len(whole.truth) for one in classes.tolist()}
    known = {
        _WAYS[0]: (few, None),
        _WAYS[1]: (few, shares),
        _WAYS[2]: (more, None),
        _WAYS[3]: (few + at_random, None),
    }
    return {
        way: _fitted(_with(whole, kept, set(chosen)), told, seed)
        for way, (chosen, told) in known.items()
    }


def _with(whole: Task, kept: Sequence[int], known: set[int]) -> Task:
    """The records `kept`, those `known` with their labels."""
    labels = [whole.labels[i] if i in known else None for i in kept]
    return replace(whole, train=whole.train.take(kept), labels=labels)


def _fitted(task: Task, shares: dict[str, float] | None, seed: int) -> float:
    from benchmarks.ours import fit_ours

    with tempfile.TemporaryDirectory() as home:
        _, answer = fit_ours("auto", task, "10m", seed, Path(home), shares=shares)
        said = answer()["shipped"]
    return sum(map(str.__eq__, said, task.truth)) / len(said)


def _part(right: Right, asked: argparse.Namespace) -> str:
    from benchmarks.machine import commit, machine

    first, *others = _WAYS
    rows: list[list[str]] = []
    for name, found in right.items():
        plain = [100 * one[first] for one in found]
        rows.append([name, f"{sum(plain) / len(plain):.1f}", *_gains(found, others)])
    every = [one for found in right.values() for one in found]
    whole = sum(100 * one[first] for one in every) / len(every)
    rows.append(["all", f"{whole:.1f}", *_gains(every, others)])
    reading = (
        f"Test records that are named rightly in %, with {asked.labels} labels of each class, and "
        f"the points that are gained ± standard deviation: with the true shares given (--share), "
        f"with some {asked.more} more labels, as many of each class, and with {asked.more} more of "
        f"records drawn at random. Tables of unequal classes, n {len(every)} "
        f"({len(right)} sets, seeds {asked.seeds})."
    )
    made = f"Made on {machine()['cpu']}, commit {commit() or 'none'}."
    return "\n\n".join([reading, table(["set", *_WAYS], rows, 1), made])


def _gains(found: list[dict[str, float]], ways: Sequence[str]) -> list[str]:
    figures = [Figure.of([one[way] - one[_WAYS[0]] for one in found]) for way in ways]
    return [figure.gain for figure in figures if figure]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.known_shares",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--sets", default="", help="default: all tables of unequal classes")
    parser.add_argument("--labels", type=int, default=4, help="labels a class; default: 4")
    parser.add_argument("--more", type=int, default=30, help="labels that are added; default: 30")
    parser.add_argument("--seeds", default="11,12", help="default: 11,12")
    return parser


if __name__ == "__main__":
    sys.exit(main())
