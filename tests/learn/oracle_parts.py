"""What the oracles of whole methods share: a small network twice, in torch and record by record."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leaven.data.arrays import Batch
from leaven.learn.objective import Draw, Moment
from leaven.learn.task import TASKS

Floats = npt.NDArray[np.float64]

WIDTH, HIDDEN, CLASSES = 5, 3, 4


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def cross_entropy(logits: Floats, target: Floats) -> float:
    """Of one record against probabilities."""
    return -float(sum(t * np.log(p) for t, p in zip(target, softmax(logits), strict=True)))


def certain(label: int, classes: int = CLASSES) -> Floats:
    """The label as probabilities."""
    return np.eye(classes)[label]


def sharpen(guess: Floats, temperature: float) -> Floats:
    powers = guess ** (1 / temperature)
    return powers / powers.sum()


class Small(nn.Module):
    """tanh features and a linear head in float64; what enters is the view as it is."""

    def __init__(self, seed: int, width: int = WIDTH) -> None:
        super().__init__()
        rng = np.random.default_rng((seed, 17))
        self.body = nn.Parameter(torch.tensor(rng.normal(size=(width, HIDDEN))))
        self.matrix = nn.Parameter(torch.tensor(rng.normal(size=(HIDDEN, CLASSES))))
        self.bias = nn.Parameter(torch.tensor(rng.normal(size=CLASSES)))

    def enter(self, batch: Batch) -> Tensor:
        return batch["x"]

    def forward(self, view: Any, features: bool = False) -> Any:
        entered = view if isinstance(view, Tensor) else self.enter(view)
        seen = torch.tanh(entered.flatten(1) @ self.body)
        output = seen @ self.matrix + self.bias
        return (output, seen) if features else output

    def features(self, record: Floats) -> Floats:
        """The same of one record."""
        return np.tanh(record.ravel() @ self.body.detach().numpy())

    def answer(self, record: Floats, bias: Floats | None = None) -> Floats:
        """The logits of one record, perhaps with another bias."""
        own = self.bias.detach().numpy() if bias is None else bias
        return self.features(record) @ self.matrix.detach().numpy() + own


class Views:
    """A modality whose views were made beforehand; each call gives the next of its kind."""

    name = "made"

    def __init__(self, **left: list[Floats]) -> None:
        self.left = {kind: [torch.tensor(view) for view in views] for kind, views in left.items()}

    def weak(self, batch: Batch, spec: Any, rng: torch.Generator) -> Batch:
        return {"x": self.left["weak"].pop(0)}

    def strong(self, batch: Batch, spec: Any, rng: torch.Generator) -> Batch:
        return {"x": self.left["strong"].pop(0)}

    def dials(self, spec: Any) -> tuple[int, int] | None:
        return None


def moment(
    network: nn.Module,
    average: nn.Module,
    views: Any,
    labels: npt.NDArray[np.int64],
    unlabelled: int,
    seed: int = 0,
    progress: float = 0.5,
    state: Any = None,
) -> Moment:
    """A step of a thousand, its generator seeded."""
    rng = torch.Generator().manual_seed(seed)
    records, places = torch.arange(unlabelled), torch.arange(len(labels))
    draw = Draw(views, {}, rng, {}, torch.tensor(labels), {}, places, records)
    networks: tuple[Any, Any] = (network, average)
    return Moment(*networks, draw, TASKS["classification"], round(1000 * progress), 1000, state)


def slope(value: Any, at: Floats, step: float = 1e-5) -> Floats:
    """The gradient of a function of an array, by central differences."""
    found = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        tilt = np.zeros_like(at)
        tilt[place] = step
        found[place] = (value(at + tilt) - value(at - tilt)) / (2 * step)
    return found
