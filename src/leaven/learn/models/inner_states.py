"""States of an encoder's layers before the last, standardised: what its features leave out."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, sample

__all__ = ["InnerStates"]


class InnerStates(Encoder):
    """Each number less its mean and by its deviation; the mean square of a record is one.

    Of such states some numbers are large in all texts, and would decide every distance.
    """

    name = "inner-states"
    modality = "embedding"
    summary = "inner states of the encoder that made the embeddings, standardised, frozen"
    listed: ClassVar[bool] = False
    ready = True
    centre: Tensor
    scale: Tensor

    def __init__(self, inner: int) -> None:
        super().__init__(inner=inner)
        self.width = inner
        self.register_buffer("centre", torch.zeros(inner))
        self.register_buffer("scale", torch.ones(inner))

    @classmethod
    def reads(cls, spec: Spec) -> bool:
        """Where an encoder from elsewhere gave them."""
        return bool(spec.get("inner"))

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As wide as they are."""
        return {"inner": spec["inner"]}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Means and deviations of up to 50,000 records."""
        inner = torch.from_numpy(arrays["inner"][sample(index, 50_000, seed)])
        deviation = inner.std(0, correction=0)
        self.centre.copy_(inner.mean(0))
        self.scale.copy_(torch.where(deviation > 1e-6, 1 / deviation, 0.0) / self.width**0.5)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, inner) from inner (batch, inner)."""
        return (batch["inner"] - self.centre) * self.scale


ENCODERS.add(InnerStates.name, InnerStates)
