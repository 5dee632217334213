"""Transformers for text that start from nothing: a small one, and one of four layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, SequenceEncoder, sample

__all__ = ["TextTransformer", "TextTransformerLarge"]


class TextTransformer(SequenceEncoder):
    """Two pre-norm layers over the most common words; the mean of the words that are there.

    Order matters to it, which it does not to a bag. It starts from nothing, so it wants some
    hundred labels or a pretraining stage before it beats the bag.

    Words have slots: 0 for no word, 1 for a word that is not among the common ones, and from 2 on
    the common ones, the most frequent first.
    """

    name = "text-transformer"
    modality = "text"
    summary = "two layers of width 128 over 20,000 words, from scratch"
    mixed = True
    size = "base"
    slot: Tensor

    def __init__(
        self, length: int, words: int = 20_000, width: int = 128, layers: int = 2, heads: int = 4
    ) -> None:
        super().__init__(length=length, words=words, width=width, layers=layers, heads=heads)
        self.words, self.width = words, width
        self.register_buffer("slot", torch.zeros(1 << 20, dtype=torch.int32))
        self.embedding = nn.Embedding(words + 2, width, padding_idx=0)  # 1: unknown word
        self.position = nn.Parameter(torch.randn(length, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, 0.1, "gelu", batch_first=True, norm_first=True
        )
        self.body = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.embedding.weight, std=0.5)

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As long as the records."""
        return {"length": spec["length"]}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """The most common words of up to 50,000 texts."""
        tokens = torch.from_numpy(arrays["tokens"][sample(index, 50_000, seed)].ravel().copy())
        counts = torch.bincount(tokens[tokens > 0].long(), minlength=1 << 20)
        top = counts.topk(self.words)
        kept = top.indices[top.values > 1]
        self.slot.fill_(1)
        self.slot[0] = 0
        self.slot[kept] = torch.arange(2, len(kept) + 2, dtype=torch.int32)

    @property
    def known(self) -> int:
        """How many words have a slot of their own: the slots 2 … known + 1."""
        return max(int(self.slot.max()) - 1, 0)

    def slots(self, batch: Batch) -> Tensor:
        """(batch, longest) slots of the words, from tokens (batch, length).

        As long as the longest text of the batch: no work on common padding.
        """
        longest = max(int((batch["tokens"] > 0).sum(1).max()), 1)
        return self.slot[batch["tokens"][:, :longest].long()].long()

    def embed(self, slots: Tensor) -> Tensor:
        """(batch, longest, width + 1) words' vectors, and last whether there is a word."""
        there = (slots > 0).float()
        there[:, 0] = 1.0  # attention over nothing is not a number
        return torch.cat([self.embedding(slots), there.unsqueeze(-1)], -1)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, longest, width + 1) see `embed`."""
        return self.embed(self.slots(batch))

    def states(self, entered: Tensor, causal: bool = False) -> Tensor:
        """(batch, places, width) of each word.

        In a mixture of two texts of different length the places of the longer one's end are
        there in part.
        """
        vectors, there = entered[..., :-1], entered[..., -1]
        length = entered.shape[1]
        ahead = None
        if causal:
            ahead = torch.ones(length, length, dtype=torch.bool, device=entered.device).triu(1)
        states: Tensor = self.body(
            vectors + self.position[:length], mask=ahead, src_key_padding_mask=there <= 0
        )
        normed: Tensor = self.norm(states)
        return normed

    def layers(self) -> list[nn.Module]:
        """The words, then each layer, the last of them with the norm behind it."""
        *lower, top = self.body.layers
        return [self.embedding, *lower, nn.ModuleList([top, self.norm])]


class TextTransformerLarge(TextTransformer):
    """The same with four layers of width 256: for pretraining on many texts."""

    name = "text-transformer-large"
    summary = "four layers of width 256 over 20,000 words, from scratch"
    size = "large"

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As long as the records."""
        return {"length": spec["length"], "width": 256, "layers": 4, "heads": 8}


ENCODERS.add(TextTransformer.name, TextTransformer)
ENCODERS.add(TextTransformerLarge.name, TextTransformerLarge)
