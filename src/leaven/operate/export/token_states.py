"""The states of a text's tokens by a model of the Hugging Face family, traced.

For families that `families.py` does not write out; those it does make smaller graphs, sooner.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leaven.operate.export.graph import Value
from leaven.operate.export.traced import traced

__all__ = ["of_tokens", "of_vectors"]

_FREE = {0: "n", 1: "words"}
_SHAPE = (2, 7)  # of the example


def of_tokens(ids: Value, there: Value, model: Any, name: str) -> Value:
    """(n, length, width) of numbers of tokens (n, length); `there` is 1 for one, 0 for padding.

    Both are int64. Raises SettingError, which names the encoder, where it cannot be traced.
    """
    words = int(model.get_input_embeddings().num_embeddings)
    example = torch.arange(_SHAPE[0] * _SHAPE[1]).reshape(_SHAPE) % words
    return _states(ids, there, model, "input_ids", example, name)


def of_vectors(vectors: Value, there: Value, model: Any, name: str) -> Value:
    """The same of the words' vectors (n, length, width)."""
    width = int(model.get_input_embeddings().embedding_dim)
    example = torch.rand(*_SHAPE, width, generator=torch.Generator().manual_seed(0))
    return _states(vectors, there, model, "inputs_embeds", example, name)


def _states(
    read: Value, there: Value, model: Any, called: str, example: Tensor, name: str
) -> Value:
    known = torch.ones(_SHAPE, dtype=torch.int64)
    known[1, -2:] = 0
    return traced(
        read.graph, _Model(model, called), {"read": read, "there": there},
        {"read": example, "there": known}, {"read": _FREE, "there": _FREE}, name,
    )  # fmt: skip


class _Model(nn.Module):
    """The model, asked by position."""

    def __init__(self, model: nn.Module, called: str) -> None:
        super().__init__()
        self.model, self.called = model, called

    def forward(self, read: Tensor, there: Tensor) -> Tensor:
        """(n, length, width)."""
        seen = self.model(**{self.called: read, "attention_mask": there})
        return torch.as_tensor(seen.last_hidden_state).float()
