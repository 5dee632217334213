"""One fit of one method without folds, in a worker that keeps what it has read for the next one.

The method learns from the labelled and the unlabelled training records, and its final averaged
network is scored on the test records. Nothing is chosen by these. Pictures are shrunk first, for
a network that has hundreds of steps learns more of small ones, and each step is cheaper.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.fit import score
from benchmarks.grid import Cell
from benchmarks.machine import machine
from benchmarks.ours import testing, training
from benchmarks.sets import Task, load

if TYPE_CHECKING:
    from leaven.data.arrays import Arrays
    from leaven.data.dataset import Dataset
    from leaven.learn.encoder import Encoder
    from leaven.learn.front import Front
    from leaven.learn.network import Network

__all__ = ["MOST_TEST", "SIDE", "Material", "fit_method", "material", "smaller"]

#: Test records at most; of more, the same ones are drawn for every fit.
MOST_TEST = 5000
#: Pixels of a picture's longer side at most.
SIDE = 16


def fit_method(cell: Cell, steps: int, data: Path) -> dict[str, Any]:
    """The row of a cell; its `status` is ok or error."""
    row = cell.to_row() | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    row["machine"] = machine()
    began = time.monotonic()
    try:
        row |= {"status": "ok"} | _fitted(cell, steps, data)
    except Exception as error:  # noqa: BLE001 - whatever a fit raises is its row in the table
        row |= {"status": "error", "error": f"{type(error).__name__}: {error}"}
    return row | {"wall_seconds": round(time.monotonic() - began, 2)}


@dataclass(frozen=True)
class Material:
    """A set with few labels, decoded; `prepared` keeps the encoder's statistics."""

    train: Dataset
    front: Front
    arrays: Arrays
    test: Dataset
    test_arrays: Arrays
    truth: list[str]
    prepared: dict[bytes, Encoder] = field(default_factory=dict)


def _fitted(cell: Cell, steps: int, data: Path) -> dict[str, Any]:
    """The row's part about the fit."""
    from leaven.learn.method import METHODS, Problem

    known = material(data, cell.set, cell.labels, cell.seed)
    method, train = METHODS[cell.method], known.train
    problem = Problem(
        arrays=known.arrays,
        spec=known.front.arrays_spec,
        modality=known.front.views.name,
        task="classification",
        classes=len(train.classes),
        targets=train.targets,
        train=train.labelled,
        unlabelled=train.unlabelled,
        encoder=method.default_encoder(known.front.views),
        seed=cell.seed,
        steps=steps,
        common=train.unlabelled,
        prepared=known.prepared,
    )
    problem.build_encoder()  # alike for all methods, and so no part of what is measured
    began, used = time.monotonic(), time.process_time()
    network, taken = _last(method.fit(problem))
    cost = {"fit_seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - used}
    return {
        "modality": train.modality,
        "encoder": problem.encoder,
        "steps": taken,
        "n": {
            "labelled": len(train.labelled),
            "unlabelled": len(train.unlabelled),
            "test": len(known.truth),
            "classes": len(train.classes),
        },
        "scores": score(_answers(network, known), known.truth),
        "cost": {name: round(value, 2) for name, value in cost.items()},
    }


@lru_cache(maxsize=1)
def material(data: Path, name: str, labels: int, seed: int) -> Material:
    """The records as they are read for every method."""
    from leaven.learn.front import Front

    task = smaller(load(data, name, labels, seed))
    train = training(task)
    front = Front.describe(train, None)
    test = testing(task, [asdict(column) for column in train.columns])
    (arrays, bad), (test_arrays, unread) = front.decode(train), front.decode(test)
    if len(bad) or len(unread):
        raise ValueError(f"{len(bad)} training and {len(unread)} test records cannot be decoded.")
    return Material(train, front, arrays, test, test_arrays, task.truth)


def smaller(task: Task) -> Task:
    """At most MOST_TEST of the test records, the same for all seeds, and pictures of SIDE."""
    import numpy as np

    count = len(task.truth)
    kept = np.sort(np.random.default_rng(0).permutation(count)[:MOST_TEST])
    truth = [task.truth[i] for i in kept.tolist()]
    if not isinstance(task.test, np.ndarray):
        return replace(task, test=task.test.take(kept), truth=truth)
    return replace(task, train=_shrunk(task.train), test=_shrunk(task.test[kept]), truth=truth)


def _shrunk(pictures: Any) -> Any:
    """uint8 pictures (n, h, w) or (n, h, w, 3), each pixel the mean of those it stands for."""
    import numpy as np
    from PIL import Image

    height, width = pictures.shape[1:3]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return pictures
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    mean = Image.Resampling.BOX
    return np.stack([np.asarray(Image.fromarray(one).resize(size, mean)) for one in pictures])


def _last(fit: Generator[Any, None, Network]) -> tuple[Network, int]:
    """The network that a fit ends in, and the steps that it took."""
    taken = 0
    while True:
        try:
            taken = next(fit).number
        except StopIteration as done:
            return done.value, taken


def _answers(network: Network, known: Material) -> list[str]:
    """The label given to each test record; one that could not be read has an empty one."""
    best = network.logits(known.test_arrays).argmax(1)
    answers = [""] * len(known.truth)
    for number, place in zip(known.test.ids, best, strict=True):
        answers[int(number)] = known.train.classes[place]
    return answers
