"""The noun between records and heads: an encoder turns a batch of records into features."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from leaven.core.files import scratch
from leaven.core.registry import Registry
from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.remembered import fixed, remembered

__all__ = [
    "ENCODERS",
    "IN_MEMORY",
    "Encoder",
    "SequenceEncoder",
    "encode",
    "listed",
    "sample",
]

#: Bytes of features that are held in memory; more are laid on disk.
IN_MEMORY = 2**31


class Encoder(nn.Module, ABC):
    """Features of records, (batch, width).

    What an encoder learns without labels (means, idf, components) it learns in `prepare` and
    keeps in buffers or parameters, so that it is saved with the weights.
    """

    name: ClassVar[str]
    modality: ClassVar[str]
    summary: ClassVar[str]
    #: Whether it may be chosen by name; some are a part of their method.
    listed: ClassVar[bool] = True
    #: Whether its features mean something before any training; the classic methods need that.
    ready: ClassVar[bool] = False
    #: Whether the loop may run it under bf16 (pays for convolutions and attention only).
    mixed: ClassVar[bool] = False
    #: Its rung among those of its modality: `tiny`, `base` or `large`; most have none.
    size: ClassVar[str] = ""
    #: Factor on the learning rate of its parameters.
    rate: ClassVar[float] = 1.0
    #: Settings of `Training` that suit it, in the place of those that a recipe leaves as they are.
    trained_by: ClassVar[Mapping[str, Any]] = {}
    width: int

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def reads(cls, spec: Spec) -> bool:
        """Whether records of this spec have what it reads; most read what all records have."""
        return True

    @classmethod
    @abstractmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """The constructor's arguments (plain JSON) for records of this spec."""

    def configured(self, spec: Spec) -> dict[str, Any]:
        """Its configuration as plain JSON, with all that follows from a spec put in anew."""
        told: dict[str, Any] = json.loads(json.dumps(self.configure(spec)))
        return self.config | told

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Learn statistics from the training records at `index`. Labels are not given."""

    @abstractmethod
    def enter(self, batch: Batch) -> Tensor:
        """(batch, …) a view as real numbers: what methods mix, perturb and reconstruct.

        Rows may be as long as the longest record of the batch: views that are to be mixed are
        concatenated first.
        """

    def represent(self, entered: Tensor) -> Tensor:
        """(batch, width) features of what has entered; frozen encoders add nothing."""
        return entered

    def forward(self, batch: Batch) -> Tensor:
        """(batch, width) features of a view."""
        return self.represent(self.enter(batch))

    def side_by_side(self) -> list[Encoder]:
        """The encoders whose features, one after the other, are its own; mostly itself."""
        return [self]

    @property
    def columns(self) -> Mapping[str, tuple[int, int]]:
        """Columns of features of one kind: the first and the one behind the last, by name.

        The first block has no name; nothing where all features are of one kind.
        """
        return {}

    def layers(self) -> list[nn.Module]:
        """What learns, in groups from the input to the output, for lower rates and freezing."""
        return [module for module in self.children() if any(True for _ in module.parameters())]


class SequenceEncoder(Encoder, ABC):
    """An encoder whose features are pooled from a state at each place: words, steps, frames.

    What has entered is (batch, places, inputs + 1); the last column says how much of a place is
    there, see `TextTransformer`. Objectives that ask about single places need one of these.
    """

    @abstractmethod
    def states(self, entered: Tensor, causal: bool = False) -> Tensor:
        """(batch, places, width) a state a place; if `causal`, of that place and those before."""

    def pool(self, states: Tensor, entered: Tensor) -> Tensor:
        """(batch, width) the mean state, each place by how much of it is there."""
        there = entered[..., -1].clamp(0, 1)
        share = there / there.sum(1, keepdim=True)
        mean: Tensor = (states.float() * share.unsqueeze(-1)).sum(1)
        return mean

    def represent(self, entered: Tensor) -> Tensor:
        """(batch, width) pooled states."""
        return self.pool(self.states(entered), entered)


ENCODERS: Registry[type[Encoder]] = Registry("encoder", "leaven.learn.models")


def listed(modality: str = "") -> list[str]:
    """The encoders that may be chosen, of one modality or of all."""
    return [
        name
        for name, kind in ENCODERS.items()
        if kind.listed and (not modality or kind.modality == modality)
    ]


@torch.inference_mode()
def encode(
    encoder: nn.Module, arrays: Arrays, index: Index, plain: Any, block: int = 1024
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(len(index), width) features or logits of the records at `index`, in evaluation mode.

    `plain` is the modality's unchanged view. Works in blocks, so that memory stays bounded (in one
    where records share a graph, which is read whole for each); a result of more than `IN_MEMORY`
    bytes is a map of a file that goes with it. Features of a fixed encoder are made once where the
    arrays remember them.
    """
    if isinstance(encoder, Encoder):
        parts = encoder.side_by_side()
        if len(parts) > 1:
            found = _room(len(index), encoder.width)
            start = 0
            for part in parts:
                columns = slice(start, start + part.width)
                found[:, columns] = encode(part, arrays, index, plain, block)
                start += part.width
            return found
        if fixed(encoder):
            name = f"{encoder.name} {json.dumps(encoder.config, sort_keys=True)}"
            known = remembered(
                name, encoder, arrays, index, encoder.width,
                lambda rows: _encode(encoder, arrays, rows, plain, block),
            )  # fmt: skip
            if known is not None:
                return known
    return _encode(encoder, arrays, index, plain, block)


def _encode(
    encoder: nn.Module, arrays: Arrays, index: Index, plain: Any, block: int
) -> np.ndarray[Any, np.dtype[np.float32]]:
    if arrays.shared:
        block = max(block, len(index))
    device = next(iter([*encoder.parameters(), *encoder.buffers()])).device
    was_training = encoder.training
    encoder.eval()
    found = np.zeros((0, 0), np.float32)
    for start in range(0, len(index), block):
        batch = arrays.batch(index[start : start + block])
        part = encoder(plain({name: t.to(device) for name, t in batch.items()})).float().cpu()
        if not start:
            found = _room(len(index), part.shape[1])
        found[start : start + block] = part.numpy()
    encoder.train(was_training)
    return found


def _room(n: int, width: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(n, width) to write into, in memory or, where it would be too much, on disk."""
    if n * width * 4 <= IN_MEMORY:
        return np.empty((n, width), np.float32)
    with scratch("leaven-features-") as file:
        return np.memmap(file, np.float32, "w+", shape=(n, width))


def sample(index: Index, most: int, seed: int) -> Index:
    """At most `most` of the positions, drawn once; enough for statistics of a large set."""
    if len(index) <= most:
        return index
    return np.sort(np.random.default_rng(seed).choice(index, most, replace=False))
