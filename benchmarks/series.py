"""Time series with few labels: random convolutions, learnt representations, and two peers.

    python -m benchmarks.series --data FOLDER [--only ridge,ts2vec] [--labels 4,25] [--seeds 3]
    python -m benchmarks.series --page    # results → docs/series.md

FOLDER holds `.npz` files with `x_train`, `x_test` (n, channels, steps) and `y_train`, `y_test`:
the UCR archive's own parts. Of the training part 4 and 25 series a class, drawn evenly by the seed,
have a label; the rest are unlabelled; the test part is for the scores alone. Each cell is one fit
on one thread. Settings were chosen on the training parts of seven of the sets
(TwoPatterns, ECG5000, SyntheticControl, OSULeaf, JapaneseVowels, Adiac, Wafer).

MiniRocket with a ridge classifier is aeon's where AEON_PYTHON names an interpreter that has it.
A cell that is in the results is not fitted again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import commit, machine
from benchmarks.page import put, table
from benchmarks.results import append, read

if TYPE_CHECKING:
    from leaven.learn.method import Problem

OUT = Path("benchmarks/results/series.jsonl")
PAGE = Path("docs/series.md")

#: Ours: method, encoder, pretext, steps of the method or of the pretext.
OURS = {
    "ridge": ("ridge", "rocket", "", 1),
    "self-training": ("self-training-ridge", "rocket", "", 1),
    "poisson-learning": ("poisson-learning", "rocket", "", 1),
    "by folds": ("by folds", "rocket", "", 1),
    "tcn": ("supervised", "tcn", "", 150),
    "untrained": ("ridge", "tcn", "", 1),
    "ts2vec": ("ridge", "tcn", "ts2vec", 200),
}
#: What `by folds` chooses from; the first stands unless another is better by a standard error.
CHOSEN_FROM = ("ridge", "self-training-ridge", "poisson-learning")
PEERS = ("1-NN", "MiniRocket + ridge")

_TOLD = {
    "ridge": "`ridge` on `rocket`",
    "self-training": "`self-training-ridge` on `rocket`",
    "poisson-learning": "`poisson-learning` on `rocket`",
    "by folds": "whichever of these three is right on labelled training series left out",
    "tcn": "`supervised` on `tcn`",
    "untrained": "`ridge` on `tcn` as it is drawn",
    "ts2vec": "`ridge` on `tcn`, pretrained by `ts2vec`",
    "1-NN": "1-NN (scikit-learn)",
    "MiniRocket + ridge": "MiniRocket + ridge (aeon)",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit what is missing and tell the table; 0."""
    asked = _parser().parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # before anything that reads it is imported
    names = [*OURS, *PEERS] if asked.only is None else asked.only.split(",")
    unknown = [name for name in names if name not in (*OURS, *PEERS)]
    if unknown:
        listed = ", ".join((*OURS, *PEERS))
        print(f"benchmarks: rows are {listed}; got {unknown[0]}", file=sys.stderr)
        return 2
    if asked.data is not None:
        _fit_missing(asked, names)
    rows = read(asked.out)
    print(_told(rows))
    if asked.page:
        before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else "# Time series\n"
        PAGE.write_text(put(before, "series", _part(rows)), encoding="utf-8")
    return 0


def _fit_missing(asked: argparse.Namespace, names: list[str]) -> None:
    import torch

    torch.set_num_threads(1)
    done = {(row["set"], row["row"], row["labels"], row["seed"]) for row in read(asked.out)}
    for path in sorted(asked.data.glob("*.npz")):
        name = path.stem.removeprefix("ucr_")
        if asked.sets is not None and name not in asked.sets.split(","):
            continue
        held = None
        for row in names:
            for per in map(int, asked.labels.split(",")):
                for seed in range(asked.seeds):
                    if (name, row, per, seed) not in done:
                        held = held or _Set(path)
                        append(asked.out, held.fit(row, per, seed) | {"set": name})


class _Set:
    """One set, decoded once."""

    def __init__(self, path: Path) -> None:
        from leaven.data.dataset import Dataset
        from leaven.data.modality import MODALITIES

        with np.load(path, allow_pickle=False) as found:
            self.train, self.test = found["x_train"], found["x_test"]
            named = np.concatenate([found["y_train"], found["y_test"]])
        _, codes = np.unique(named, return_inverse=True)
        self.targets, self.truth = codes[: len(self.train)], codes[len(self.train) :]
        views = MODALITIES["series"]
        known, asked = (Dataset.from_arrays(x, modality="series") for x in (self.train, self.test))
        self.spec = views.describe(known)
        self.arrays, self.asked = (views.decode(d, self.spec)[0] for d in (known, asked))
        self.encoders: dict[tuple[str, int], Any] = {}

    def fit(self, row: str, per: int, seed: int) -> dict[str, Any]:
        """The row of one fit."""
        labelled = self._drawn(per, seed)
        began = _cpu_seconds()
        said, own = (self._ours if row in OURS else self._peer)(row, labelled, seed)
        return {
            "row": row,
            "labels": per,
            "seed": seed,
            "labelled": len(labelled),
            "n": {"train": len(self.train), "test": len(self.test)},
            "accuracy": float((said == self.truth).mean()),
            "cpu_seconds": round(_cpu_seconds() - began + own, 2),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "commit": commit(),
        }

    def _drawn(self, per: int, seed: int) -> Any:
        """`per` of each class, all of a class that has fewer."""
        rng = np.random.default_rng(seed)
        found = []
        for kind in range(int(self.targets.max()) + 1):
            own = np.flatnonzero(self.targets == kind)
            found.append(rng.choice(own, min(per, len(own)), replace=False))
        return np.sort(np.concatenate(found))

    def _ours(self, row: str, labelled: Any, seed: int) -> tuple[Any, float]:
        """(n,) classes of the test series, and seconds spent on what other rows share."""
        from leaven.learn.method import METHODS

        method, encoder, pretext, steps = OURS[row]
        problem = self._problem(encoder, labelled, seed, steps)
        key, own = (pretext or encoder, seed), 0.0
        if method != "supervised":
            if key not in self.encoders:
                began = _cpu_seconds()
                self.encoders[key] = self._made(problem, pretext), _cpu_seconds() - began
            elif not pretext:
                own = self.encoders[key][1]  # each row's cost is as if it were alone
            problem = _with(problem, start=self.encoders[key][0])
        if method == "by folds":
            method = self._chosen(problem)
        network = _last(METHODS[method].fit(problem))
        return network.logits(self.asked).argmax(1), own

    def _chosen(self, problem: Problem) -> str:
        """The method that is right most often on labelled series left out, on the same features.

        Three times four folds of the labelled training series. Another than the first is taken
        where it is right more often by one standard error of the difference.
        """
        from sklearn.model_selection import RepeatedStratifiedKFold

        from leaven.data.arrays import Arrays
        from leaven.learn.encoder import encode
        from leaven.learn.method import METHODS

        every = np.arange(len(self.targets))
        features = encode(problem.start, self.arrays, every, problem.views.plain)
        narrow = _with(
            problem,
            arrays=Arrays({"features": features}),
            spec={"width": features.shape[1]},
            modality="embedding",
            encoder="standardised",
            start=None,
        )
        labelled = problem.train
        y = self.targets[labelled]
        folds = max(2, min(4, int(np.bincount(y)[np.unique(y)].min())))
        split = RepeatedStratifiedKFold(n_splits=folds, n_repeats=3, random_state=problem.seed)
        right = {name: np.zeros(len(y)) for name in CHOSEN_FROM}
        for train, held in split.split(labelled, y):
            targets = np.full(len(self.targets), -1)
            targets[labelled[train]] = y[train]
            one = _with(
                narrow,
                targets=targets,
                train=labelled[train],
                unlabelled=np.setdiff1d(every, labelled),
            )
            for name in CHOSEN_FROM:
                said = _last(METHODS[name].fit(one)).logits(one.arrays, labelled[held]).argmax(1)
                right[name][held] += (said == y[held]) / 3
        first = CHOSEN_FROM[0]
        best = max(CHOSEN_FROM, key=lambda name: right[name].mean())
        gap = right[best] - right[first]
        error = gap.std(ddof=1) / len(gap) ** 0.5
        return best if gap.mean() > error else first

    def _made(self, problem: Problem, pretext: str) -> Any:
        """The encoder with its statistics, pretrained on the training part without labels."""
        from leaven.core.recipe import Training
        from leaven.learn.pretext import PRETEXTS

        if not pretext:
            return problem.build_encoder()
        chosen = PRETEXTS[pretext]
        blind = _with(
            problem,
            targets=np.full(len(self.targets), -1),
            train=np.zeros(0, np.int64),
            unlabelled=np.arange(len(self.train)),
            training=Training(**chosen.trained_by),
        )
        return _last(chosen.fit(blind)).encoder

    def _problem(self, encoder: str, labelled: Any, seed: int, steps: int) -> Problem:
        from leaven.core.recipe import Training
        from leaven.learn.method import Problem
        from leaven.learn.plan import suited

        targets = np.full(len(self.targets), -1)
        targets[labelled] = self.targets[labelled]
        return Problem(
            arrays=self.arrays,
            spec=self.spec,
            modality="series",
            task="classification",
            classes=int(max(self.targets.max(), self.truth.max())) + 1,
            targets=targets,
            train=labelled,
            unlabelled=np.setdiff1d(np.arange(len(self.train)), labelled),
            encoder=encoder,
            seed=seed,
            steps=steps,
            training=suited(Training(), encoder),
        )

    def _peer(self, row: str, labelled: Any, seed: int) -> tuple[Any, float]:
        targets = self.targets[labelled]
        if row == "1-NN":
            from sklearn.neighbors import KNeighborsClassifier

            flat = [x.reshape(len(x), -1) for x in (self.train[labelled], self.test)]
            return KNeighborsClassifier(1).fit(flat[0], targets).predict(flat[1]), 0.0
        from benchmarks.aeon_peer import aeon_says

        return aeon_says(self.train, labelled, targets, self.test, seed), 0.0


def _with(problem: Problem, **changed: Any) -> Problem:
    from dataclasses import replace

    return replace(problem, **changed)


def _last(fit: Any) -> Any:
    """The network that a fit ends in."""
    while True:
        try:
            next(fit)
        except StopIteration as done:
            return done.value


def _cpu_seconds() -> float:
    """This process's and its children's."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _told(rows: list[dict[str, Any]]) -> str:
    """A table for each number of labels: sets by rows, mean and deviation over seeds."""
    parts = []
    for per in sorted({row["labels"] for row in rows}):
        own = [row for row in rows if row["labels"] == per]
        names = [name for name in (*OURS, *PEERS) if any(row["row"] == name for row in own)]
        sets = sorted({row["set"] for row in own})
        score = {
            (one, name): [100 * r["accuracy"] for r in own if (r["set"], r["row"]) == (one, name)]
            for one in sets
            for name in names
        }
        lines = [[one, *_cells([score[one, name] for name in names])] for one in sets]
        most = max(sum(bool(score[one, name]) for one in sets) for name in names)
        wide = [n for n in names if sum(bool(score[one, n]) for one in sets) == most]
        whole = [one for one in sets if all(score[one, name] for name in wide)]
        means = [
            f"{mean(mean(score[one, name]) for one in whole):.1f}" if name in wide else "–"
            for name in names
        ]
        lines.append([f"mean of {len(whole)}", *means])
        cost = [mean(row["cpu_seconds"] for row in own if row["row"] == name) for name in names]
        lines.append(["CPU seconds a fit", *(f"{value:.1f}" for value in cost)])
        parts.append(f"**{per} labels a class**\n\n" + table(["set", *names], lines, 1))
    return "\n\n".join(parts)


def _cells(scores: list[list[float]]) -> list[str]:
    """Mean and deviation of each; the highest mean is bold."""
    best = max((mean(one) for one in scores if one), default=0.0)
    cells = []
    for one in scores:
        if not one:
            cells.append("–")
            continue
        spread = f" ± {stdev(one):.1f}" if len(one) > 1 else ""
        bold = "**" if mean(one) >= best - 0.05 else ""
        cells.append(f"{bold}{mean(one):.1f}{bold}{spread}")
    return cells


def _wins(rows: list[dict[str, Any]], per: int) -> str:
    """On how many sets each of ours is above both peers."""
    own = [row for row in rows if row["labels"] == per]
    sets = sorted({row["set"] for row in own})
    score: Callable[[str, str], list[float]] = lambda one, name: [  # noqa: E731
        row["accuracy"] for row in own if (row["set"], row["row"]) == (one, name)
    ]
    lines = []
    for name in OURS:
        both = [one for one in sets if score(one, name) and all(score(one, p) for p in PEERS)]
        if both:
            won = sum(
                mean(score(one, name)) > max(mean(score(one, p)) for p in PEERS) for one in both
            )
            lines.append(f"- {_TOLD[name]}: {won} of {len(both)}")
    return "\n".join(lines)


def _part(rows: list[dict[str, Any]]) -> str:
    """The part of the page."""
    where = rows[0]["machine"]
    return (
        "Accuracy in % on the archive's test parts, mean ± standard deviation over at most "
        f"{len({row['seed'] for row in rows})} draws of the labels (of one where no deviation "
        "stands); the rest of each training part "
        "is unlabelled. The highest mean of a line is bold; where spreads overlap, the order is "
        f"not settled. One thread of {where['cpu']}. Rows: "
        + "; ".join(f"{name}: {said}" for name, said in _TOLD.items())
        + f".\n\n{_told(rows)}\n\nSets on which both peers are beaten, at "
        f"{min(row['labels'] for row in rows)} labels a class:\n\n"
        f"{_wins(rows, min(row['labels'] for row in rows))}\n\n"
        "```sh\npython -m benchmarks.series --data DATA --page\n```"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.series", description=__doc__)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--only", default=None, help="rows, joined by commas")
    parser.add_argument("--sets", default=None, help="sets, joined by commas; default: all")
    parser.add_argument("--labels", default="4,25")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--page", action="store_true", help=f"write {PAGE}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
