"""Latent components of word and pair counts, frozen: what graphs and linear models read of text."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder
from leaven.learn.ngrams import NgramBag

__all__ = ["NgramComponents"]


class NgramComponents(Encoder):
    """Latent semantic analysis of tf-idf, rows of unit length."""

    name = "ngram-components"
    modality = "text"
    summary = "256 latent components of tf-idf over words and pairs, frozen"
    ready = True

    def __init__(self, rows: int = 30_000, width: int = 256) -> None:
        super().__init__(rows=rows, width=width)
        self.bag = NgramBag(rows, width)
        self.width = width

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """The same size for all texts."""
        return {}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Vocabulary, idf and components."""
        self.bag.prepare(arrays, index, seed)
        self.config["rows"] = self.bag.rows

    def enter(self, batch: Batch) -> Tensor:
        """(batch, width) from tokens (batch, length)."""
        components: Tensor = self.bag(batch)
        return components


ENCODERS.add(NgramComponents.name, NgramComponents)
