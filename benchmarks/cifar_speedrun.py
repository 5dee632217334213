"""CIFAR-10 with few labels: from cold data to test accuracy, by the wall clock.

    python -m benchmarks.cifar_speedrun --data FOLDER --labels 40 --seeds 0,1,2

Each seed draws a balanced labelled set from the official 50 000 training pictures, all of which
are the unlabelled ones, and trains WRN-28-2 from scratch through the product's own loop. The clock
runs from before the files are read to after the last test answer. Nothing is selected: the test
pictures are looked at once, by the averaged weights after the last step. One JSON line a seed is
printed and appended to `--out`.

The steps are as many as `--minutes` affords, by a probe that is part of the time. Goal: 94 % with
40 labels in 10 minutes of one H200. Written for such a device, it has never been run on one: there
is no figure yet, and its settings follow papers, not trials.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.machine import commit, machine, versions
from benchmarks.results import append
from benchmarks.sets import load
from leaven.core.recipe import Training
from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.learn.encoder import ENCODERS
from leaven.learn.method import METHODS, Problem
from leaven.learn.models.wide_resnet import WideResNet
from leaven.learn.network import Network

__all__ = ["DeviceArrays", "affordable", "main", "run"]

_OUT = Path(__file__).parent / "results" / "cifar_speedrun.jsonl"
_PROBED = 30  # steps, after as many that are not counted
_SPARE = 0.06  # share of the time for the test and for what the probe cannot know
_CHECKED = 100  # steps between two looks at the clock


class DeviceArrays(Arrays):
    """Records that live on the device: a batch is picked there, and only its index is copied."""

    def __init__(self, arrays: Arrays, device: torch.device) -> None:
        super().__init__({name: arrays[name] for name in arrays.names})
        self.tensors = {
            name: torch.from_numpy(np.ascontiguousarray(arrays[name])).to(device)
            for name in arrays.names
        }

    def batch(self, index: Index) -> Batch:
        """The records at `index`, on the device."""
        return {
            name: tensor.index_select(0, torch.from_numpy(index).to(tensor.device))
            for name, tensor in self.tensors.items()
        }


class CompiledWideResNet(WideResNet):
    """The same network, its training passes compiled; one evaluation is not worth the wait."""

    name = "wrn-28-2-compiled"
    summary = "wrn-28-2, compiled"

    def represent(self, entered: Tensor) -> Tensor:
        """(batch, width) as its parent says."""
        features: Tensor = (_compiled() if self.training else WideResNet.represent)(self, entered)
        return features


@cache
def _compiled() -> Any:
    return torch.compile(WideResNet.represent, dynamic=False)


def main(words: Sequence[str] | None = None) -> None:
    """Run each seed; print and write its line."""
    asked = _parser().parse_args(words)
    for seed in (int(one) for one in asked.seeds.split(",")):
        row = run(asked, seed)
        append(asked.out, row)
        print(json.dumps(row), flush=True)
        gc.collect()


def run(asked: argparse.Namespace, seed: int) -> dict[str, Any]:
    """One seed from the files to the test accuracy; its line."""
    clock = [time.perf_counter()]
    if asked.compile:
        ENCODERS.add(CompiledWideResNet.name, CompiledWideResNet)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    problem, test, truth = _read(asked, seed, device)
    clock.append(time.perf_counter())

    limit = clock[0] + 60 * asked.minutes * (1 - _SPARE)
    steps = asked.steps
    if steps is None:
        pace = _probe(replace(problem, steps=2 * _PROBED), asked.method)
        steps = affordable(limit - time.perf_counter(), pace)
    clock.append(time.perf_counter())

    problem = replace(problem, steps=steps)
    network, taken = _train(problem, asked.method, None if asked.steps else limit)
    clock.append(time.perf_counter())

    answers = network.logits(test).argmax(1)
    clock.append(time.perf_counter())
    parts = dict(zip(("read", "probe", "train", "test"), np.diff(clock).tolist(), strict=True))
    return {
        "set": "cifar10",
        "labels": asked.labels,
        "seed": seed,
        "accuracy": round(float((answers == truth).mean()), 5),
        "tested": len(truth),
        "seconds": round(clock[-1] - clock[0], 2),
        "parts": {name: round(seconds, 2) for name, seconds in parts.items()},
        "steps": taken,
        "recipe": {
            "method": asked.method,
            "encoder": problem.encoder,
            "unlabelled": len(problem.unlabelled),
            "training": problem.training.model_dump(),
        },
        "hardware": machine() | _device(),
        "versions": versions(),
        "commit": commit(),
    }


def affordable(seconds: float, pace: float) -> int:
    """How many steps of `pace` seconds fit in; one at least.

    >>> affordable(10.0, 0.25)
    40
    """
    return max(int(seconds / pace), 1)


def _read(
    asked: argparse.Namespace, seed: int, device: torch.device
) -> tuple[Problem, Arrays, Index]:
    """The problem with its records on the device, the test records and their classes."""
    names = _classes(asked.data)
    if asked.labels % len(names):
        raise SystemExit(f"--labels must be a multiple of {len(names)}. Got {asked.labels}.")
    task = load(asked.data, "cifar10", asked.labels // len(names), seed, asked.records)
    targets = np.array([-1 if one is None else names.index(one) for one in task.labels])
    truth = np.array([names.index(one) for one in task.truth])[: asked.tests]
    arrays = DeviceArrays(_arrays(task.train), device)
    height, width = arrays["pixels"].shape[2:]
    problem = Problem(
        arrays=arrays,
        spec={"channels": 3, "height": height, "width": width},
        modality="image",
        task="classification",
        classes=len(names),
        targets=targets,
        train=np.flatnonzero(targets >= 0),
        unlabelled=np.arange(len(targets)),  # with the labelled ones, as in the papers
        encoder=CompiledWideResNet.name if asked.compile else asked.encoder,
        seed=seed,
        training=Training(
            labelled_batch=asked.batch,
            unlabelled_ratio=7,
            rate=asked.rate,
            warm_up=0.02,
            weight_decay=asked.decay,
            labelled_draw="balanced",
        ),
    )
    return problem, _arrays(task.test[: asked.tests]), truth


def _classes(data: Path) -> list[str]:
    """The names of the classes, which the test records share."""
    import pyarrow.parquet as pq

    labels = pq.read_table(data / "cifar10" / "train.parquet", columns=["label"])["label"]
    return sorted({str(label) for label in labels.unique().to_pylist()})


def _arrays(pictures: Any) -> Arrays:
    """(n, h, w, 3) pictures as the encoders read them."""
    return Arrays({"pixels": np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))})


def _probe(problem: Problem, method: str) -> float:
    """Seconds of a step, by steps of a fit that is thrown away."""
    began = 0.0
    for step in METHODS[method].fit(problem):
        if step.number == _PROBED:
            _wait()
            began = time.perf_counter()
    _wait()
    return (time.perf_counter() - began) / (problem.steps - _PROBED)


def _train(problem: Problem, method: str, limit: float | None) -> tuple[Network, int]:
    """The averaged network and the steps it took; fewer than planned where the clock asks."""
    steps, began, taken = METHODS[method].fit(problem), time.perf_counter(), 0
    while True:
        try:
            step = next(steps)
        except StopIteration as done:
            _wait()
            network: Network = done.value
            return network, taken
        taken = step.number
        if limit is not None and taken % _CHECKED == 0 and step.state is not None:
            _wait()
            now = time.perf_counter()
            step.state.total = min(
                step.state.total, taken + affordable(limit - now, (now - began) / taken)
            )


def _wait() -> None:
    """Until the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _device() -> dict[str, str]:
    if not torch.cuda.is_available():
        return {}
    return {"gpu": torch.cuda.get_device_name(), "cuda": str(torch.version.cuda)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="the folder of the sets, with index.json")
    add("--labels", type=int, default=40, help="of all classes together")
    add("--seeds", default="0,1,2")
    add("--minutes", type=float, default=10.0, help="from the files to the accuracy, for each seed")
    add("--steps", type=int, help="instead of what the minutes afford")
    add("--method", default="freematch")
    add("--encoder", default=WideResNet.name)
    add("--compile", action="store_true", help="wrn-28-2 through torch.compile")
    add("--batch", type=int, default=64, help="labelled records a step; 7 times as many unlabelled")
    add("--rate", type=float, default=2e-3)
    add("--decay", type=float, default=0.02)
    add("--records", type=int, default=50_000, help="training records, fewer for a trial")
    add("--tests", type=int, default=10_000, help="test records, fewer for a trial")
    add("--out", type=Path, default=_OUT)
    return parser


if __name__ == "__main__":
    main()
