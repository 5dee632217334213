"""FT-Transformer: each cell of a table is a token, and attention mixes the columns."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modalities.tabular import BUCKETS
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder
from leaven.learn.table_scores import TableScores

__all__ = ["FTTransformer"]


class FTTransformer(Encoder):
    """Tokens of the cells and one of the row through pre-norm layers; the row's state.

    Gorishniy et al. 2021, arXiv:2106.11959, section 3.3: a number becomes score · w + b with w and
    b of its column, a category the vector of its level; a vector [CLS] is added that belongs to no
    cell, and its state after the last layer, normalised and through ReLU, is the row's feature.
    Attention with dropout 0.2, feed-forward layers with ReGLU, 4/3 as wide, and dropout 0.1; the
    first layer has no normalisation before its attention (there "first prenormalisation").

    Departures: a missing number has a vector of its own, as has a missing or new category; of a
    text in a cell the 64 word buckets become one token; numbers are the normal scores that
    `TableScores` learns (the paper's quantile transformation). Width and depth are for some
    thousand rows: 64 and 2, not 192 and 3.
    """

    name = "ft-transformer"
    modality = "tabular"
    summary = "attention among the cells of a row, two layers of width 64"
    size = "large"
    start: Tensor

    def __init__(
        self,
        numbers: int,
        texts: int,
        levels: tuple[int, ...],
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
    ) -> None:
        super().__init__(
            numbers=numbers,
            texts=texts,
            levels=list(levels),
            width=width,
            layers=layers,
            heads=heads,
        )
        self.numbers, self.texts, self.width = numbers, texts, width
        self.scores = TableScores(numbers + BUCKETS * texts, ())
        # A part without columns has no tensor, for none could learn.
        self.number = _drawn(width, 3, numbers) if numbers else None
        self.text = _drawn(width, texts, BUCKETS + 1) if texts else None
        self.level = _drawn(width, sum(levels)) if levels else None
        starts = torch.tensor([0, *levels]).cumsum(0)[:-1]
        self.register_buffer("start", starts, persistent=False)
        self.row = _drawn(width)
        self.body = nn.ModuleList(_Layer(width, heads, normed=i > 0) for i in range(layers))
        self.norm = nn.LayerNorm(width)

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """The number of numeric columns, of texts, and of levels a categorical column."""
        return {
            "numbers": len(spec["numeric"]),
            "texts": len(spec["text"]),
            "levels": [len(levels) + 1 for levels in spec["categorical"].values()],
        }

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Quantiles of the numbers."""
        self.scores.prepare(arrays, index, seed)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, columns, width + 1) a token a cell, and last a one: every cell is there."""
        numeric, codes = batch["numeric"], batch["codes"]
        tokens = []
        if self.number is not None:
            absent = numeric[:, : self.numbers].isnan().float()
            scores = self.scores({"numeric": numeric, "codes": codes[:, :0]})[:, : self.numbers]
            told = torch.stack([scores, 1 - absent, absent], 1)
            tokens.append(torch.einsum("bkc,kcd->bcd", told, self.number))
        if self.text is not None:
            bags = numeric[:, self.numbers :].reshape(len(numeric), self.texts, BUCKETS)
            tokens.append(torch.einsum("btk,tkd->btd", F.pad(bags, (0, 1), value=1.0), self.text))
        if self.level is not None:
            tokens.append(self.level[codes.long() + self.start])
        return F.pad(torch.cat(tokens, 1), (0, 1), value=1.0)

    def represent(self, entered: Tensor) -> Tensor:
        """(batch, width) the row's state."""
        cells = entered[..., :-1]
        tokens = torch.cat([self.row.expand(len(cells), 1, -1), cells], 1)
        *lower, top = self.body
        for layer in lower:
            tokens = layer(tokens, tokens)
        # Of the last layer only the row's state is read, so only that is worked out.
        states = top(tokens[:, :1], tokens).squeeze(1)
        features: Tensor = self.norm(states).relu()
        return features

    def layers(self) -> list[nn.Module]:
        """Each layer, the last of them with the norm behind it; the tokens are in no module."""
        *lower, top = self.body
        return [*lower, nn.ModuleList([top, self.norm])]


class _Layer(nn.Module):
    """Attention of some tokens to all, then ReGLU: x·W_1 ⊙ relu(x·W_2), each added to its input."""

    def __init__(self, width: int, heads: int, normed: bool) -> None:
        super().__init__()
        self.heads = heads
        hidden = width * 4 // 3
        self.before = nn.LayerNorm(width) if normed else nn.Identity()
        self.asking = nn.Linear(width, width)
        self.answering = nn.Linear(width, 2 * width)
        self.told = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 2 * hidden)
        self.narrow = nn.Linear(hidden, width)

    def forward(self, some: Tensor, every: Tensor) -> Tensor:
        """(batch, some, width) of the tokens `some`, which are among `every`."""
        keys, values = self.answering(self.before(every)).chunk(2, -1)
        asked = (self.asking(self.before(some)), keys, values)
        query, key, value = (self._by_head(part) for part in asked)
        drop = 0.2 if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=drop)
        some = some + self.told(mixed.transpose(1, 2).flatten(2))
        gate, open_ = self.wide(self.between(some)).chunk(2, -1)
        widened = F.dropout(gate * open_.relu(), 0.1, self.training)
        added: Tensor = some + self.narrow(widened)
        return added

    def _by_head(self, tokens: Tensor) -> Tensor:
        """(batch, heads, tokens, width / heads)."""
        return tokens.reshape(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


def _drawn(width: int, *shape: int) -> nn.Parameter:
    """(*shape, width) uniform within ±1/√width, as the paper's code begins."""
    return nn.Parameter((torch.rand(*shape, width) * 2 - 1) / width**0.5)


ENCODERS.add(FTTransformer.name, FTTransformer)
