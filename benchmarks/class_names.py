"""What the words of the classes' names are worth: linear models with and without them.

    python -m benchmarks.class_names --data FOLDER --encoder FOLDER [--sets a,b] [--labels 4,25]
        [--seeds 0,1,2]

Of all sets of texts whose classes have names, features of the frozen sentence encoder; writes its
table to docs/choice.md. Nothing is chosen by the test records.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.page import put, table
from benchmarks.summary import Figure

__all__ = ["main"]

PAGE = Path("docs/choice.md")
_READERS = ("logistic", "ridge", "self-training-ridge")
Gains = dict[tuple[str, int, str], list[float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit all, and write the table; 0."""
    asked = _parser().parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # before anything that reads it is imported
    from benchmarks.sets import list_sets

    usable, _ = list_sets(asked.data)
    names = asked.sets.split(",") if asked.sets else usable
    texts = [name for name in names if usable[name]["modality"] == "text"]
    labels, seeds = ([int(n) for n in text.split(",")] for text in (asked.labels, asked.seeds))
    gains: Gains = {}
    for name in texts:
        for per in labels:
            for seed in seeds:
                for reader, gain in _gains(asked, name, per, seed).items():
                    gains.setdefault((name, per, reader), []).append(gain)
    before = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(put(before, "names", _part(gains, labels, seeds)), encoding="utf-8")
    return 0


def _gains(asked: argparse.Namespace, name: str, per: int, seed: int) -> dict[str, float]:
    """How much more of the test records each reader names rightly with the names; may be empty."""
    from benchmarks.candidates import encoded
    from benchmarks.sets import load
    from leaven.learn.blending import fitted_member
    from leaven.learn.out_of_fold import answers

    known, test, truth = encoded(load(asked.data, name, per, seed), asked.encoder)
    if known.names is None:
        return {}
    found = {}
    for reader in _READERS:
        right = [
            float((answers(fitted_member(reader, one), test).argmax(1) == truth).mean())
            for one in (known, replace(known, names=None))
        ]
        found[reader] = right[0] - right[1]
        print(
            f"{name}, {per} a class, seed {seed}, {reader}: {100 * found[reader]:+.1f}", flush=True
        )
    return found


def _part(gains: Gains, labels: list[int], seeds: list[int]) -> str:
    from benchmarks.machine import commit, machine

    sets = list(dict.fromkeys(name for name, _, _ in gains))
    columns = [(per, reader) for per in labels for reader in _READERS]
    rows: list[list[str]] = []
    for name in sets:
        rows.append([name, *(_told(gains[name, per, reader]) for per, reader in columns)])
    every = [[g for name in sets for g in gains[name, *column]] for column in columns]
    rows.append(["all", *(_told(values) for values in every)])
    reading = (
        "Points of accuracy that the words of the classes' names add, mean over "
        f"{len(seeds)} seed{'' if len(seeds) == 1 else 's'} ± standard deviation, by number of "
        f"labels a class and method (n {len(every[0])} in the last row)."
    )
    made = f"Made on {machine()['cpu']}, commit {commit() or 'none'}."
    head = ["set", *(f"{reader}, {per}" for per, reader in columns)]
    return "\n\n".join([reading, table(head, rows, 1), made])


def _told(gains: list[float]) -> str:
    figure = Figure.of(gains)
    assert figure is not None
    return figure.gain


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.class_names",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--encoder", required=True, help="folder of a sentence encoder")
    parser.add_argument("--sets", default="", help="default: all of texts")
    parser.add_argument("--labels", default="4,25", help="labels a class; default: 4,25")
    parser.add_argument("--seeds", default="0,1,2", help="default: 0,1,2")
    return parser


if __name__ == "__main__":
    sys.exit(main())
