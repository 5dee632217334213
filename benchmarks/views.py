"""What views cost: CPU seconds of weak and strong views beside a whole training step.

    python -m benchmarks.views [--steps 15] [--batches 60]

A step is FixMatch's with the modality's default encoder, on random records in the default batch:
32 labelled records, and 128 unlabelled ones viewed weakly and strongly. The goal is that views
take at most 5 % of it. Seconds are of process time, medians with the range of the middle half,
without reading the records. Other programs lengthen them by the memory they share: take the
figures of an idle machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from leaven.core.recipe import Training
from leaven.data.arrays import Arrays
from leaven.data.modality import MODALITIES, Spec
from leaven.learn.method import METHODS, Problem

_RECORDS = 1000
_LENGTH = 32
_PAST = 3  # first calls allocate and choose kernels


def main() -> None:
    """Measure each kind of record, and tell the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--batches", type=int, default=60)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for name, make in KINDS.items():
        modality, arrays, spec = make(np.random.default_rng(0))
        step = _step(modality, arrays, spec, asked.steps)
        training = Training()
        labelled, ratio = training.labelled_batch, training.unlabelled_ratio
        views = MODALITIES[modality]
        weak = _views(views.weak, arrays, spec, labelled * (1 + ratio), asked.batches)
        strong = _views(views.strong, arrays, spec, labelled * ratio, asked.batches)
        share = (statistics.median(weak) + statistics.median(strong)) / statistics.median(step)
        print(f"{name:16} views {share:6.1%} of a step")
        for what, took in (("step", step), ("weak, 160", weak), ("strong, 128", strong)):
            low, middle, high = (1e3 * value for value in statistics.quantiles(took, n=4))
            print(f"  {what:14} {middle:8.2f} ms  ({low:.2f} to {high:.2f}, n {len(took)})")


def _step(modality: str, arrays: Arrays, spec: Spec, steps: int) -> list[float]:
    """CPU seconds of each training step."""
    targets = np.full(len(arrays), -1, np.int64)
    targets[:100] = np.arange(100) % 10
    method = METHODS["fixmatch"]
    problem = Problem(
        arrays=arrays,
        spec=spec,
        modality=modality,
        task="classification",
        classes=10,
        targets=targets,
        train=np.arange(100),
        unlabelled=np.arange(100, len(arrays)),
        encoder=method.default_encoder(MODALITIES[modality]),
        steps=steps + _PAST,
    )
    fit = method.fit(problem)
    return _seconds(lambda: next(fit), steps)


def _views(
    draw: Callable[..., object], arrays: Arrays, spec: Spec, size: int, batches: int
) -> list[float]:
    """CPU seconds of each view of a batch of this size."""
    rng = torch.Generator().manual_seed(0)
    batch = arrays.batch(np.arange(size))
    return _seconds(lambda: draw(batch, spec, rng), batches)


def _seconds(call: Callable[[], object], times: int) -> list[float]:
    took = []
    for _ in range(times + _PAST):
        began = time.process_time()
        call()
        took.append(time.process_time() - began)
    return took[_PAST:]


Made = tuple[str, Arrays, Spec]


def _pictures(rng: np.random.Generator, channels: int, side: int) -> Made:
    """Blocks of noise, so that neighbouring pixels are alike."""
    small = rng.integers(0, 256, (_RECORDS, channels, side // 4, side // 4), np.uint8)
    pixels = small.repeat(4, 2).repeat(4, 3)
    return "image", Arrays({"pixels": pixels}), _shape(channels, side)


def _shape(channels: int, side: int) -> dict[str, Any]:
    return {"channels": channels, "height": side, "width": side}


def _texts(rng: np.random.Generator) -> Made:
    """Up to 32 words each, a few of them frequent."""
    words = np.minimum(rng.zipf(1.3, (_RECORDS, _LENGTH)), 5000).astype(np.int32)
    words[np.arange(_LENGTH) >= rng.integers(5, _LENGTH, (_RECORDS, 1))] = 0
    return "text", Arrays({"tokens": words}), {"column": "text", "length": _LENGTH}


def _table(rng: np.random.Generator) -> Made:
    """Ten numbers and five categories, a tenth missing."""
    numeric = rng.normal(size=(_RECORDS, 10)).astype(np.float32)
    numeric[rng.random(numeric.shape) < 0.1] = np.nan
    codes = rng.integers(0, 8, (_RECORDS, 5), np.int32)
    levels = {f"c{i}": [str(level) for level in range(1, 8)] for i in range(5)}
    spec = {"numeric": [f"n{i}" for i in range(10)], "datetime": {}, "categorical": levels}
    return "tabular", Arrays({"numeric": numeric, "codes": codes}), {**spec, "text": []}


KINDS: dict[str, Callable[[np.random.Generator], Made]] = {
    "image 28x28x1": lambda rng: _pictures(rng, 1, 28),
    "image 32x32x3": lambda rng: _pictures(rng, 3, 32),
    "text": _texts,
    "table": _table,
}


if __name__ == "__main__":
    main()
