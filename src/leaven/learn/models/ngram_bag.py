"""A trainable bag of words and pairs for text: needs nothing downloaded, trains in seconds."""

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
    """The bag's latent components, and a hidden layer over them beside.

    Starts as latent semantic analysis of all training texts, so that the first gradient already
    moves along directions that unlabelled text has found.
    """

    name = "ngram-bag"
    modality = "text"
    summary = "trainable bag of words and pairs, started at latent semantic analysis"

    def __init__(self, rows: int = 30_000, width: int = 256, hidden: int = 256) -> None:
        super().__init__(rows=rows, width=width, hidden=hidden)
        self.bag = NgramBag(rows, width).requires_grad_(False)
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

    def forward(self, batch: Batch) -> Tensor:
        """(batch, width) from tokens (batch, length)."""
        components = self.bag(batch) * self.scale
        return torch.cat([components, self.body(components)], 1)


ENCODERS.add(NgramNetwork.name, NgramNetwork)
