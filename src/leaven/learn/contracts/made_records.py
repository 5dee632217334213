"""Small sets whose kinds are known, one a modality, on which pretexts are checked.

Each function gives a dataset without labels and (n,) the kind of each record. A kind is what two
views of a record have in common, and what a network that has learnt nothing cannot well tell.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leaven.data.dataset import Dataset

__all__ = ["MADE_RECORDS", "Made"]

Made = tuple[Dataset, npt.NDArray[np.int64]]

_KINDS = 4


def _vectors(n: int, seed: int) -> Made:
    """Four points in a plane, told by 64 instruments with much noise of their own."""
    rng = np.random.default_rng((seed, 1))
    kinds = np.arange(n) % _KINDS
    corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])[kinds]
    told = corners @ rng.normal(size=(2, 64)) * 0.2 + rng.normal(size=(n, 64))
    return Dataset.from_arrays(told.astype(np.float32), modality="embedding"), kinds


def _pictures(n: int, seed: int) -> Made:
    """A cross, a frame, a bar or a corner, anywhere, on a ground of any brightness."""
    rng = np.random.default_rng((seed, 2))
    kinds = np.arange(n) % _KINDS
    shapes = np.zeros((_KINDS, 7, 7))
    shapes[0, 3] = shapes[0, :, 3] = 1
    shapes[1, [0, -1]] = shapes[1, :, [0, -1]] = 1
    shapes[2, :, 2:5] = 1
    shapes[3, -1] = shapes[3, :, 0] = 1
    ground = rng.uniform(40, 160, (n, 1, 1))
    pixels = ground + rng.normal(0, 25, (n, 16, 16))
    for picture, kind, (down, right) in zip(
        pixels, kinds, rng.integers(0, 10, (n, 2)), strict=True
    ):
        picture[down : down + 7, right : right + 7] += 90 * shapes[kind]
    return Dataset.from_arrays(pixels.clip(0, 255).astype(np.uint8)), kinds


def _texts(n: int, seed: int) -> Made:
    """Six words of a subject in an order that its words have, among six that any text may hold."""
    rng = np.random.default_rng((seed, 3))
    kinds = np.arange(n) % _KINDS
    texts = []
    for kind in kinds:
        first = int(rng.integers(0, 60))
        subject = [f"word{kind}x{(first + step) % 60}" for step in range(6)]
        common = [f"common{rng.integers(0, 12)}" for _ in range(6)]
        texts.append(" ".join(w for pair in zip(subject, common, strict=True) for w in pair))
    return Dataset.from_arrays(texts, modality="text"), kinds


def _rows(n: int, seed: int) -> Made:
    """Ten numbers and four names that hang on the kind and, each by itself, say little of it."""
    rng = np.random.default_rng((seed, 4))
    kinds = np.arange(n) % _KINDS
    corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])[kinds]
    numbers = corners @ rng.normal(size=(2, 10)) * 0.5 + rng.normal(size=(n, 10))
    columns = {f"number{i}": pa.array(numbers[:, i]) for i in range(10)}
    for i in range(4):
        other = rng.random(n) < 0.5
        named = np.where(other, rng.integers(0, _KINDS, n), (kinds + i) % _KINDS)
        columns[f"name{i}"] = pa.array([f"name {value}" for value in named])
    return Dataset.from_frame(pa.table(columns), label=False, modality="tabular"), kinds


def _sounds(n: int, seed: int) -> Made:
    """A tone that rises, falls, beats or has an overtone, of any pitch, anywhere in noise."""
    rng = np.random.default_rng((seed, 6))
    kinds = np.arange(n) % _KINDS
    time = np.arange(2_800) / 16_000  # 0.175 seconds
    sounds = []
    for kind in kinds:
        pitch, loud = rng.uniform(400, 900), 10 ** rng.uniform(-2, -1)
        slope = 4_000 * ((kind == 0) - 1.0 * (kind == 1))
        phase = 2 * np.pi * (pitch + (1_400 if kind == 1 else 0) + slope * time) * time
        tone = np.sin(phase) * (1 + (kind == 2) * np.sign(np.sin(2 * np.pi * 30 * time)))
        tone = tone + (kind == 3) * np.sin(4.1 * phase)
        sound = 0.7 * rng.normal(size=4_800)
        start = int(rng.integers(0, 2_000))
        sound[start : start + len(tone)] += tone
        sounds.append((loud * sound).astype(np.float32))
    return Dataset.from_arrays(sounds, modality="audio"), kinds


def _series(n: int, seed: int) -> Made:
    """A swing of one of four periods, begun anywhere, under noise and a slope of its own."""
    rng = np.random.default_rng((seed, 7))
    kinds = np.arange(n) % _KINDS
    steps = np.arange(64)
    turns = steps / np.array([5.0, 6.5, 8.5, 11.0])[kinds][:, None] + rng.uniform(0, 1, (n, 1))
    slope = rng.normal(0, 1, (n, 1)) * (steps / 32 - 1)
    values = np.sin(2 * np.pi * turns) + slope + rng.normal(0, 0.8, (n, 64))
    return Dataset.from_arrays(values.astype(np.float32), modality="series"), kinds


#: By modality: (number of records, seed) to a set and the kinds of its records.
MADE_RECORDS: dict[str, Callable[[int, int], Made]] = {
    "audio": _sounds,
    "embedding": _vectors,
    "image": _pictures,
    "series": _series,
    "tabular": _rows,
    "text": _texts,
}
