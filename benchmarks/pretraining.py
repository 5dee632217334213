"""What pretraining is worth: from scratch, frozen and tuned, on images, texts and tables.

    python -m benchmarks.pretraining --data FOLDER [--only fashion_mnist,adult] [--seeds 3]

FOLDER is that of the other benchmarks (see `sets`). For each set and seed one encoder is pretrained
on 10,000 training records without labels, and then fitted with 4 or 25 labels a class, beside the
same encoder from scratch, the same encoder as it is drawn, and features that need no network.
Steps, rates and pretexts stand below and were not chosen by the test records, which are read for
the scores alone. `series` and `audio` are benchmarks of their own.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from benchmarks.machine import commit, machine
from benchmarks.page import put, table
from benchmarks.results import append, read
from benchmarks.sets import load

if TYPE_CHECKING:
    from leaven.learn.encoder import Encoder
    from leaven.learn.method import Problem

OUT = Path("benchmarks/results/pretraining.jsonl")
PAGE = "docs/pretraining.md"

_TUNE = 400  # steps of a fit that trains the encoder, for all alike
_TEST = 4000  # test records at most


@dataclass(frozen=True)
class Row:
    """A set, and how its encoder is pretrained."""

    pretext: str
    encoder: str
    steps: int


ROWS = {
    "fashion_mnist": Row("simclr", "small-convnet", 300),
    "cifar10": Row("simclr", "small-convnet", 300),
    "ag_news": Row("masked-language", "text-transformer", 600),
    "pendigits": Row("scarf", "tabular-mlp", 600),
    "adult": Row("scarf", "tabular-mlp", 600),
}

#: Arms in the order of the table.
ARMS = ("from scratch", "untrained, frozen", "plain features", "pretrained, frozen", "pretrained")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit what is missing and tell all rows; 0."""
    asked = _parser().parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # before anything that reads it is imported
    import torch

    torch.set_num_threads(1)
    names = list(ROWS) if asked.only is None else asked.only.split(",")
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        print(f"benchmarks: sets are {', '.join(ROWS)}; got {unknown[0]}", file=sys.stderr)
        return 2
    done = {(row["set"], row["seed"]) for row in read(asked.out)}
    for seed in range(asked.seeds):
        for name in names:
            if (name, seed) not in done:
                for row in _fits(asked.data, name, seed, asked.share):
                    append(asked.out, row)
    rows = read(asked.out)
    print(_told(rows))
    if asked.page:
        page = Path(PAGE)
        text = put(page.read_text(encoding="utf-8"), "pretraining", _part(rows))
        page.write_text(text, encoding="utf-8")
    return 0


def _fits(data: Path, name: str, seed: int, share: float) -> list[dict[str, Any]]:
    """All rows of a set and a seed; the pretraining is shared by both numbers of labels."""
    known = ROWS[name]
    rows: list[dict[str, Any]] = []
    encoder: Encoder | None = None
    for per in (4, 25):
        problem, test, truth = _problem(data, name, per, seed, known)
        if encoder is None:
            encoder, cpu = _pretrained(problem, known, share)
        steps = max(1, round(_TUNE * share))
        arms = _arms(problem, encoder, steps)
        for arm in ARMS:
            began = time.process_time()
            method, changed = arms[arm]
            network = _last(_method(method).fit(changed))
            spent = time.process_time() - began
            said = network.logits(test, None).argmax(1)
            rows.append(
                {
                    "set": name,
                    "labels": per,
                    "seed": seed,
                    "arm": arm,
                    "pretext": known.pretext,
                    "encoder": known.encoder,
                    "pretraining_steps": max(1, round(known.steps * share)),
                    "steps": steps,
                    "accuracy": float((said == truth).mean()),
                    "n": len(truth),
                    "unlabelled": len(problem.unlabelled),
                    "pretraining_cpu_seconds": round(cpu, 1),
                    "cpu_seconds": round(spent, 1),
                    "at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "machine": machine(),
                    "commit": commit(),
                }
            )
    return rows


def _problem(data: Path, name: str, per: int, seed: int, known: Row) -> Any:
    """The training records as a problem, the decoded test records, and their classes (n,)."""
    import numpy as np

    from leaven.core.recipe import Training
    from leaven.data.dataset import Dataset
    from leaven.data.modality import MODALITIES
    from leaven.learn.method import Problem
    from leaven.learn.plan import suited

    task = load(data, name, per, seed)
    if task.modality == "image":
        train = Dataset.from_arrays(task.train, task.labels)
        test = Dataset.from_arrays(task.test[:_TEST])
    else:
        kind = task.modality
        labelled = task.train.append_column("few_labels", [task.labels])
        train = Dataset.from_frame(labelled, label="few_labels", modality=kind)
        test = Dataset.from_frame(
            task.test.slice(0, _TEST), label=False, modality=kind, columns=train.columns
        )
    views = MODALITIES[task.modality]
    spec = views.describe(train)
    arrays, _ = views.decode(train, spec)
    place = {label: i for i, label in enumerate(train.classes)}
    truth = np.array([place[label] for label in task.truth[:_TEST]])
    problem = Problem(
        arrays=arrays,
        spec=spec,
        modality=task.modality,
        task="classification",
        classes=len(train.classes),
        targets=train.targets,
        train=train.labelled,
        unlabelled=train.unlabelled,
        encoder=known.encoder,
        seed=seed,
        common=train.unlabelled,
        training=suited(Training(), known.encoder),
    )
    return problem, views.decode(test, spec)[0], truth


def _pretrained(problem: Problem, known: Row, share: float) -> tuple[Encoder, float]:
    """The encoder, from records without labels, and the CPU seconds it took."""
    import numpy as np

    from leaven.learn.plan import suited
    from leaven.learn.pretext import PRETEXTS

    pretext = PRETEXTS[known.pretext]
    began = time.process_time()
    blind = replace(
        problem,
        targets=np.full_like(problem.targets, -1),
        train=np.zeros(0, np.int64),
        steps=max(1, round(known.steps * share)),
        training=suited(problem.training, known.encoder, pretext.trained_by),
    )
    return _last(pretext.fit(blind)).encoder, time.process_time() - began


def _arms(problem: Problem, encoder: Encoder, steps: int) -> dict[str, tuple[str, Problem]]:
    """Each arm's method and problem: a linear head on all, the encoder trained where it says so."""
    import torch

    from leaven.data.modality import MODALITIES

    torch.manual_seed(problem.seed)
    drawn = problem.build_encoder()
    plain = MODALITIES[problem.modality].features
    short = replace(problem, steps=steps)
    return {
        "from scratch": ("supervised", short),
        "untrained, frozen": ("logistic", replace(problem, start=drawn)),
        "plain features": ("logistic", replace(problem, encoder=plain)),
        "pretrained, frozen": ("logistic", replace(problem, start=encoder)),
        "pretrained": ("supervised", replace(short, start=encoder)),
    }


def _method(name: str) -> Any:
    from leaven.learn.method import METHODS

    return METHODS[name]


def _last(fit: Any) -> Any:
    """The network that a fit ends in."""
    while True:
        try:
            next(fit)
        except StopIteration as done:
            return done.value


def _lines(rows: list[dict[str, Any]]) -> list[list[str]]:
    lines = []
    for name, known in ROWS.items():
        for per in (4, 25):
            found = {
                arm: [100 * r["accuracy"] for r in rows
                      if (r["set"], r["labels"], r["arm"]) == (name, per, arm)]
                for arm in ARMS
            }  # fmt: skip
            if not found[ARMS[0]]:
                continue
            cells = [_cell(found[arm]) for arm in ARMS]
            seeds = str(len(found[ARMS[0]]))
            lines.append([name, known.pretext, known.encoder, str(per), *cells, seeds])
    return lines


def _cell(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.1f}" if values else "–"
    return f"{mean(values):.1f} ± {stdev(values):.1f}"


_HEADS = ["set", "pretext", "encoder", "labels a class", *ARMS, "seeds"]


def _told(rows: list[dict[str, Any]]) -> str:
    return table(_HEADS, _lines(rows), 4)


def _part(rows: list[dict[str, Any]]) -> str:
    """The table with what must be known of it."""
    steps = sorted({(r["set"], r["pretraining_steps"]) for r in rows})
    cpu = sorted({r["set"]: r["pretraining_cpu_seconds"] for r in rows}.items())
    told = ", ".join(f"{name} {count}" for name, count in steps)
    spent = ", ".join(f"{name} {seconds:.0f}" for name, seconds in cpu)
    lead = (
        "Accuracy on at most 4,000 official test records in %, mean ± standard deviation over "
        "seeds; the seed draws the labels, the 10,000 training records and all else."
    )
    tail = (
        f"Steps of pretraining: {told}; of a fit that trains the encoder: "
        f"{max(r['steps'] for r in rows)}. CPU seconds of one pretraining, other work on the "
        f"machine: {spent}."
    )
    seen = rows[0]["machine"]
    commits = ", ".join(sorted({str(row["commit"]) for row in rows}))
    where = f"{seen['cpu']}, {seen['cores']} cores, {seen['memory_gb']} GB, {seen['system']}"
    facts = (
        f"- Hardware: {where}.\n- Commit: {commits}.\n- When: {max(r['at'] for r in rows)[:10]}."
    )
    return f"{lead}\n\n{_told(rows)}\n\n{tail}\n\n{facts}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.pretraining", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the sets")
    parser.add_argument("--only", help="sets, separated by commas")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of all steps, for a quick look")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--page", action="store_true", help=f"write the table into {PAGE}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
