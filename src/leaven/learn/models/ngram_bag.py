"""A small network over words and pairs of words: needs nothing downloaded, trains in seconds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder
from leaven.learn.ngrams import NgramBag

__all__ = ["NgramNetwork"]


class NgramNetwork(Encoder):
    """The latent components of the bag, frozen, and a hidden layer over them beside.

    The components come from all training texts, so that the first gradient already moves along
    directions that unlabelled text has found. Trained, their 30,000 rows would fit the few labels
    by heart and take most of a step's time.
    """

    name = "ngram-bag"
    modality = "text"
    summary = "a hidden layer of 256 over the latent components of words and pairs"
    size = "tiny"

    def __init__(self, rows: int = 30_000, width: int = 256, hidden: int = 256) -> None:
        super().__init__(rows=rows, width=width, hidden=hidden)
        self.bag = NgramBag(rows, width)
        self.scale = width**0.5
        self.body = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.GELU()
        )
        self.width = width + hidden

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """The same size for all texts."""
        return {}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Vocabulary, idf and components."""
        self.bag.prepare(arrays, index, seed)
        self.config["rows"] = self.bag.rows

    def enter(self, batch: Batch) -> Tensor:
        """(batch, components) of the bag, from tokens (batch, length)."""
        components: Tensor = self.bag(batch) * self.scale
        return components

    def represent(self, entered: Tensor) -> Tensor:
        """(batch, width) the components and the hidden layer."""
        return torch.cat([entered, self.body(entered)], 1)


ENCODERS.add(NgramNetwork.name, NgramNetwork)
