"""Whether to ship the blend or its supervised part, told by few records left out: ways compared.

    python -m benchmarks.verdicts --data FOLDER [--sets a,b] [--labels 4] [--seeds 0,1]
        [--encoder FOLDER]
    python -m benchmarks.verdicts --page    # results → docs/choice.md

Both are fitted on the labelled records and, for the records left out of folds, on the others; what
they gain on the test records is then held against what the records left out had told. What a
verdict knows of other sets comes from these alone; that it reads probability, and how far it takes
that to stray from accuracy, was found with such cases in view.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import NormalDist, correlation, mean
from typing import TYPE_CHECKING, Any

from benchmarks.page import put, table
from benchmarks.results import read

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from leaven.learn.classic_method import Frozen

__all__ = ["judged", "main"]

OUT = Path("benchmarks/results/verdicts.jsonl")
PAGE = Path("docs/choice.md")
Row = dict[str, Any]
_ARMS = ("blend", "supervised-blend")
#: A loss of more than this many points counts, and at most so likely may one be.
_HARM, _RISK = 0.5, 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit what is missing, then write the page where it is asked for; 0."""
    asked = _parser().parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # before anything that reads it is imported
    if asked.data is not None:
        _fit_missing(asked)
    if asked.page:
        before = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(put(before, "verdicts", _part(read(asked.out))), encoding="utf-8")
    return 0


def _fit_missing(asked: argparse.Namespace) -> None:
    import json

    import torch

    from benchmarks.candidates import encoded
    from benchmarks.sets import list_sets, load

    torch.set_num_threads(1)
    usable, _ = list_sets(asked.data)
    names = [name for name in usable if usable[name]["modality"] != "graph"]
    there = {(row["set"], row["labels"], row["seed"]) for row in read(asked.out)}
    for seed in map(int, asked.seeds.split(",")):
        for name in asked.sets.split(",") if asked.sets else names:
            for per in map(int, asked.labels.split(",")):
                if (name, per, seed) in there:
                    continue
                known, test, truth = encoded(load(asked.data, name, per, seed), asked.encoder)
                row = {"set": name, "labels": per, "seed": seed} | _compared(
                    known, test, truth, name
                )
                with asked.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{name}, {per} a class, seed {seed}: {row['outcome']}", flush=True)


def _compared(known: Frozen, test: Any, truth: npt.NDArray[np.int64], name: str) -> Row:
    """Both arms on the folds and on the test records."""
    from leaven.learn.method import METHODS
    from leaven.learn.out_of_fold import answers, fitted, folds, out_of_fold

    y = known.targets[: known.labelled]
    parts = folds(y, known.seed + 77)
    left_out = {arm: out_of_fold(METHODS[arm], known, parts) for arm in _ARMS}
    said = {arm: answers(fitted(METHODS[arm], known), test).argmax(1) for arm in _ARMS}
    return judged(left_out, y, parts, said, truth, known.modality, name)


def judged(
    left_out: dict[str, Any],
    y: npt.NDArray[np.int64],
    parts: list[npt.NDArray[np.int64]],
    said: dict[str, npt.NDArray[np.int64]],
    truth: npt.NDArray[np.int64],
    modality: str,
    name: str,
) -> Row:
    """What the records left out tell, what the verdict makes of it, and what is true.

    `left_out` are either arm's outputs (n, k) for the labelled records, each by a fit on the other
    `parts`; `said` are its answers (t,) to the test records. `name` is the set's, which the
    experience does not know.
    """
    import numpy as np

    from benchmarks.choosing import ROWS, table_of
    from benchmarks.grid import repository
    from benchmarks.machine import commit
    from leaven.evaluate.calibration import cross_fitted, likelihood
    from leaven.evaluate.comparison import compare
    from leaven.learn.history import gained

    fold = np.zeros(len(y), np.int64)
    for number, part in enumerate(parts):
        fold[part] = number
    ours, theirs = (cross_fitted(left_out[arm], y, fold)[0] for arm in _ARMS)
    known = table_of(read(repository() / ROWS), without=name)
    experience = gained("blend", modality, len(y) / len(np.unique(y)), known)
    names = {"method": _ARMS[0], "baseline": _ARMS[1]}
    gains = likelihood(left_out[_ARMS[0]], y) - likelihood(left_out[_ARMS[1]], y)
    verdict = compare(ours, theirs, y, **names, experience=experience, gains=gains)
    right, also = (p.argmax(1) == y for p in (ours, theirs))
    hits = [said[arm] == truth for arm in _ARMS]
    classes = [truth == k for k in np.unique(truth[truth >= 0])]
    return {
        "modality": modality,
        "n": len(y),
        "won": int((right & ~also).sum()),
        "lost": int((also & ~right).sum()),
        "given": [round(float(gains.mean()), 4), round(float(gains.var(ddof=1)), 6)],
        "outcome": verdict.outcome,
        "shipped": verdict.kept == _ARMS[0],
        "experience": experience and [experience.mean, experience.spread, experience.problems],
        "gain": {
            "accuracy": round(float(hits[0].mean() - hits[1].mean()), 4),
            "balanced_accuracy": round(
                float(np.mean([hits[0][one].mean() - hits[1][one].mean() for one in classes])), 4
            ),
        },
        "commit": commit(),
    }


def _expects(row: Row, seen: float, error: float) -> bool:
    """Whether a reading of this variance, drawn towards experience, lets expect no loss."""
    centre, spread, _ = row["experience"]
    trust = spread**2 / (spread**2 + error)
    value = centre + trust * (seen - centre)
    return value > 0 and NormalDist(value, (trust * error) ** 0.5).cdf(-_HARM / 100) <= _RISK


def _told(row: Row) -> float:
    return float(row["given"][0])


def _oftener(row: Row) -> float:
    return float((row["won"] - row["lost"]) / row["n"])


def _together(rows: list[Row], reading: Callable[[Row], float]) -> float:
    """Correlation of a reading of the records left out with the gain on the test records."""
    return correlation([reading(row) for row in rows], [row["gain"]["accuracy"] for row in rows])


def _right(row: Row) -> bool:
    """By how much oftener it was right."""
    n, won, lost = row["n"], row["won"], row["lost"]
    return _expects(row, _oftener(row), (won + lost + 2) / (n + 3) / n)


def _given(row: Row, apart: float = 0.0) -> bool:
    """By how much more probability it gave to the true labels."""
    n, (seen, variance) = row["n"], row["given"]
    return _expects(row, seen, variance / n * (n - 1) / (n - 3) + apart**2)


_WAYS = {
    "as it ships": lambda row: row["shipped"],
    "never the blend": lambda row: False,
    "always the blend": lambda row: True,
    "whoever is right oftener": lambda row: row["won"] > row["lost"],
    "expected by who is right": _right,
    "expected by probability, as if it were accuracy": _given,
    "the better one on the test records (an oracle)": lambda row: row["gain"]["accuracy"] > 0,
}


def _part(rows: list[Row]) -> str:
    rows = [row for row in rows if row["experience"]]
    lines = []
    for title, ships in _WAYS.items():
        shipped = [row for row in rows if ships(row)]
        gains = [100 * row["gain"]["accuracy"] for row in shipped]
        balanced = [100 * row["gain"]["balanced_accuracy"] for row in shipped]
        lost = [gain for gain in gains if gain < -_HARM]
        figures = [f"{sum(gains) / len(rows):+.2f}", f"{sum(balanced) / len(rows):+.2f}"]
        worst = f"{min(gains):+.1f}" if gains else "–"
        lines.append([title, *figures, str(len(shipped)), str(len(lost)), worst])
    head = ["way", "gain", "balanced", "blend shipped", f"lost over {_HARM}", "worst"]
    sets, seeds = ({row[key] for row in rows} for key in ("set", "seed"))
    labels = ", ".join(str(n) for n in sorted({row["labels"] for row in rows}))
    apart = mean((row["given"][0] - row["gain"]["accuracy"]) ** 2 for row in rows)
    chance = mean(row["given"][1] / row["n"] for row in rows)
    reading = (
        f"Mean gain over the supervised part in points, by accuracy and by balanced accuracy, over "
        f"{len(rows)} cases ({len(sets)} sets, {labels} labels a class, seeds "
        f"{', '.join(map(str, sorted(seeds)))}); how often the blend was shipped, how often that "
        f"lost more than {_HARM} points, and the worst. With the gain in accuracy on test records "
        f"the gain in probability goes together by {_together(rows, _told):.2f} (correlation), "
        f"being right oftener by {_together(rows, _oftener):.2f}. The gain in probability strays "
        f"from that in accuracy by {100 * max(apart - chance, 0) ** 0.5:.1f} points beyond chance "
        "(root mean square), for which the verdict allows."
    )
    return f"{reading}\n\n{table(head, lines, 1)}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.verdicts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help="folder of the sets; nothing is fitted without")
    parser.add_argument("--sets", default="", help="default: all but graphs")
    parser.add_argument("--labels", default="4", help="labels a class; default: 4")
    parser.add_argument("--seeds", default="0,1", help="default: 0,1")
    parser.add_argument("--encoder", default="", help="folder of a sentence encoder, for texts")
    parser.add_argument("--out", type=Path, default=OUT, help=f"default: {OUT}")
    parser.add_argument("--page", action="store_true", help="write docs/choice.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
