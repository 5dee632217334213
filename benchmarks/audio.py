"""Spoken words from few labels: frozen features, networks and a pretrained one, beside peers.

    python -m benchmarks.audio --data FOLDER [--sets fsdd] [--labels 4,25] [--seeds 0,1,2] [--page]

FOLDER holds `fsdd/` and `speech_commands/` as Parquet of FLAC bytes, with `train` and `test`. Each
cell is one fit on one thread, of so many labels a class and the rest of the training records
unlabelled. The test records are read for the scores alone; with `--by train` a fifth of the
training records judges in their place, so that settings can be chosen without them.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from benchmarks.machine import commit, machine, versions
from benchmarks.page import provenance, put, table
from benchmarks.results import append, read

if TYPE_CHECKING:
    import numpy as np

    from leaven.data.arrays import Arrays
    from leaven.learn.encoder import Encoder
    from leaven.learn.method import Problem

OUT = Path("benchmarks/results/audio.jsonl")
PAGE = Path("docs/audio.md")
SETS = "fsdd,speech_commands"
_NOTE = "log-mel, mean and deviation"


@dataclass(frozen=True)
class Arm:
    """A row of the page: method, encoder, steps, and the pretext that the encoder begins with.

    A `frozen` encoder is a network whose features are taken as they are.
    """

    method: str
    encoder: str
    steps: int = 1
    pretext: str = ""
    frozen: bool = False


#: Peers are scikit-learn's, on the mean and the deviation of each mel band over time.
PEERS = ("scikit-learn logistic regression", "scikit-learn SVC")
ARMS = {
    "logistic": Arm("logistic", "mel-components"),
    "poisson-learning": Arm("poisson-learning", "mel-components"),
    "laplace-learning": Arm("laplace-learning", "mel-components"),
    "untrained": Arm("logistic", "mel-cnn", frozen=True),
    "supervised": Arm("supervised", "mel-cnn", 300),
    "freematch": Arm("freematch", "mel-cnn", 300),
    "pretrained": Arm("logistic", "mel-cnn", pretext="simclr", frozen=True),
    "fine-tuned": Arm("supervised", "mel-cnn", 300, pretext="simclr"),
}
_PRETRAINING = 300  # steps
#: Records a step in pretraining, and unlabelled ones for a labelled one: what minutes allow.
_BATCH, _RATIO = 64, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit what is missing and tell all rows; 0, or 2 where the arguments cannot be used."""
    asked = _parser().parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # before anything that reads it is imported
    import torch

    torch.set_num_threads(1)
    known = [*PEERS, *ARMS]
    rows = known if asked.only is None else asked.only.split(",")
    if unknown := [name for name in rows if name not in known]:
        print(f"benchmarks: rows are {', '.join(known)}; got {unknown[0]}", file=sys.stderr)
        return 2
    labels, seeds = (
        [int(part) for part in text.split(",")] for text in (asked.labels, asked.seeds)
    )
    done = {_key(row) for row in read(asked.out)}
    for name in asked.sets.split(","):
        for seed in seeds:
            for arm in rows:
                for per in labels:
                    if (name, per, seed, arm, asked.by) not in done:
                        append(asked.out, _fit(asked.data, name, per, seed, arm, asked.by))
    found = [row for row in read(asked.out) if row["by"] == asked.by]
    print(_told(found))
    if asked.page:
        before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else "# Sounds from few labels\n"
        PAGE.write_text(put(before, "audio", _part(found)), encoding="utf-8")
    return 0


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("set", "labels", "seed", "row", "by"))


@dataclass(frozen=True)
class _Set:
    """Training records that may teach and records that judge, decoded, with their classes."""

    spec: dict[str, Any]
    classes: int
    arrays: Arrays
    targets: np.ndarray[Any, Any]
    judges: Arrays
    truth: np.ndarray[Any, Any]


@cache
def _load(data: Path, name: str, by: str) -> _Set:
    import numpy as np

    from leaven.data.dataset import Dataset
    from leaven.data.modality import MODALITIES

    parts = {
        part: Dataset.read(data / name / f"{part}.parquet", label="label_name")
        for part in (("train",) if by == "train" else ("train", "test"))
    }
    train = parts["train"]
    audio = MODALITIES["audio"]
    if by == "train":
        judging = np.random.default_rng(0).permutation(len(train)) < len(train) // 5
        parts = {
            "train": train.select(np.flatnonzero(~judging)),
            "test": train.select(np.flatnonzero(judging)),
        }
    spec = audio.describe(parts["train"])
    place = {label: i for i, label in enumerate(train.classes)}
    decoded, targets = {}, {}
    for part, records in parts.items():
        decoded[part], rejected = audio.decode(records, spec)
        if rejected:
            raise SystemExit(f"{name} {part}: {len(rejected)} sounds cannot be read")
        targets[part] = np.array([place[label] for label in records.labels.to_pylist()])
    return _Set(
        spec, len(place), decoded["train"], targets["train"], decoded["test"], targets["test"]
    )


def _fit(data: Path, name: str, per: int, seed: int, arm: str, by: str) -> dict[str, Any]:
    """The row of one fit."""
    import numpy as np

    found = _load(data, name, by)
    rng = np.random.default_rng(seed)
    train = np.sort(
        np.concatenate(
            [
                rng.permutation(np.flatnonzero(found.targets == label))[:per]
                for label in range(found.classes)
            ]
        )
    )
    start = None
    if arm in ARMS and ARMS[arm].pretext:
        start, pretrained = _pretrained(data, name, seed, ARMS[arm], by)
    began = time.process_time()
    said = _peer(found, train, arm) if arm in PEERS else _ours(found, train, seed, ARMS[arm], start)
    return {
        "set": name,
        "labels": per,
        "seed": seed,
        "row": arm,
        "by": by,
        "n": len(found.truth),
        "unlabelled": len(found.targets) - len(train),
        "accuracy": float((said == found.truth).mean()),
        "cpu_seconds": round(time.process_time() - began, 2),
        "pretraining_cpu_seconds": round(pretrained, 2) if start is not None else 0.0,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
    }


def _peer(found: _Set, train: np.ndarray[Any, Any], arm: str) -> Any:
    """(n,) what a classifier of scikit-learn says of the records that judge."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    model = LogisticRegression(max_iter=1000) if "logistic" in arm else SVC()
    fitted = make_pipeline(StandardScaler(), model)
    fitted.fit(_told_plainly(found.arrays)[train], found.targets[train])
    return fitted.predict(_told_plainly(found.judges))


def _told_plainly(arrays: Arrays) -> Any:
    """(n, 128) mean and deviation of each mel band over the frames that are there."""
    import numpy as np

    pairs = zip(arrays["mel"].astype(np.float32), arrays["length"], strict=True)
    return np.stack([np.r_[mel[:n].mean(0), mel[:n].std(0)] for mel, n in pairs])


def _ours(
    found: _Set, train: np.ndarray[Any, Any], seed: int, arm: Arm, start: Encoder | None
) -> Any:
    """(n,) what a method of Leaven says of the records that judge."""
    import numpy as np
    import torch

    from leaven.learn.method import METHODS

    problem = _problem(found, train, seed, arm, max(arm.steps, 1))
    if arm.frozen and start is None:
        torch.manual_seed(seed)
        start = problem.build_encoder()
    network = _last(METHODS[arm.method].fit(replace(problem, start=start)))
    return np.asarray(network.logits(found.judges)).argmax(1)


_kept: dict[tuple[Any, ...], tuple[Any, float]] = {}


def _pretrained(data: Path, name: str, seed: int, arm: Arm, by: str) -> tuple[Encoder, float]:
    """The encoder that a pretext ends in, and the CPU seconds that it took: once for all labels."""
    import numpy as np

    from leaven.learn.pretext import PRETEXTS

    key = (name, seed, arm.encoder, arm.pretext, by)
    if key not in _kept:
        nobody = np.zeros(0, np.int64)
        problem = _problem(_load(data, name, by), nobody, seed, arm, _PRETRAINING)
        began = time.process_time()
        network = _last(PRETEXTS[arm.pretext].fit(problem))
        _kept[key] = network.encoder, time.process_time() - began
    return _kept[key]


def _problem(found: _Set, train: np.ndarray[Any, Any], seed: int, arm: Arm, steps: int) -> Problem:
    """What a fit may know: labels of `train`, and the other training records without theirs."""
    import numpy as np

    from leaven.core.recipe import Training
    from leaven.learn.method import Problem
    from leaven.learn.plan import suited

    targets = np.full(len(found.targets), -1)
    targets[train] = found.targets[train]
    training = Training(pretrain_batch=_BATCH, unlabelled_ratio=_RATIO)
    return Problem(
        arrays=found.arrays,
        spec=found.spec,
        modality="audio",
        task="classification",
        classes=found.classes,
        targets=targets,
        train=train,
        unlabelled=np.setdiff1d(np.arange(len(targets)), train),
        encoder=arm.encoder,
        seed=seed,
        steps=steps,
        training=suited(training, arm.encoder),
    )


def _last(fit: Any) -> Any:
    """The network that a fit ends in."""
    while True:
        try:
            next(fit)
        except StopIteration as done:
            return done.value


def _told(rows: list[dict[str, Any]]) -> str:
    """A line an arm, a column a set and number of labels, and the CPU seconds of a fit."""
    places = list(dict.fromkeys((row["set"], row["labels"]) for row in rows))
    lines = []
    for name in (*PEERS, *ARMS):
        own = [row for row in rows if row["row"] == name]
        if not own:
            continue
        cells = [_named(name), _encoder(name)]
        for place in places:
            scores = [100 * r["accuracy"] for r in own if (r["set"], r["labels"]) == place]
            spread = f" ± {stdev(scores):.1f}" if len(scores) > 1 else ""
            cells.append(f"{mean(scores):.1f}{spread}" if scores else "–")
        seconds = mean(row["cpu_seconds"] for row in own)
        before = mean(row["pretraining_cpu_seconds"] for row in own)
        cells.append(f"{seconds:.1f}" + (f" + {before:.0f}" if before else ""))
        lines.append(cells)
    head = ["method", "features", *(f"{name}, {per}" for name, per in places), "CPU seconds"]
    return table(head, lines, 2)


def _named(row: str) -> str:
    if row in PEERS:
        return row
    arm = ARMS[row]
    return f"`{arm.method}`" + (f", {arm.steps} steps" if arm.steps > 1 else "")


def _encoder(row: str) -> str:
    if row in PEERS:
        return _NOTE
    arm = ARMS[row]
    state = f", after {_PRETRAINING} steps of `{arm.pretext}`" if arm.pretext else ""
    if arm.frozen:
        state = f"{state or ', untrained'}, frozen"
    return f"`{arm.encoder}`{state}"


def _part(rows: list[dict[str, Any]]) -> str:
    """The part of the page."""
    tests = ", ".join({row["set"]: f"{row['n']} of {row['set']}" for row in rows}.values())
    seeds = ", ".join(str(seed) for seed in sorted({row["seed"] for row in rows}))
    facts = [f"- {name}: {fact}." for name, fact in provenance(rows).items()]
    reading = (
        f"Accuracy in % on the test records ({tests}), mean ± standard deviation over the seeds "
        f"{seeds}; a column is a set and the number of labels a class, the other training records "
        "are unlabelled. A seed draws the labels and the weights. Every fit is on one thread, "
        "without folds; CPU seconds are of the fit and the test records, and behind the plus of "
        "the pretraining, which serves all numbers of labels."
    )
    sets = (
        "FSDD has ten spoken digits of six speakers, all of whom teach. Speech Commands has ten "
        "words, other words and silence; its test records are from other speakers."
    )
    settings = (
        f"Networks see 32 labelled and {32 * _RATIO} unlabelled records a step, pretraining "
        f"{_BATCH}. Settings were chosen on training records alone (with `--by train` a fifth of "
        "them judges); those of the methods are the ones they have for all records."
    )
    command = "```sh\npython -m benchmarks.audio --data DATA --page\n```"
    return "\n\n".join([reading, sets, _told(rows), settings, command, "\n".join(facts)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audio", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--labels", default="4,25", help="labels a class, joined by commas")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default=None, help="rows, joined by commas")
    parser.add_argument("--by", choices=("test", "train"), default="test", help="who judges")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--page", action="store_true", help=f"write {PAGE}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
