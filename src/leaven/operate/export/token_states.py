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


def of_tokens(ids: Value, there: Value, model: Any, name: str, layers: int) -> list[Value]:
    """(n, length, width) what enters the first of so many layers, then what each layer gives.

    Of numbers of tokens (n, length); `there` is 1 for one, 0 for padding; both are int64. Raises
    SettingError, which names the encoder, where it cannot be traced.
    """
    words = int(model.get_input_embeddings().num_embeddings)
    example = torch.arange(_SHAPE[0] * _SHAPE[1]).reshape(_SHAPE) % words
    states = _states(ids, there, _Layers(model), "input_ids", example, name)
    return [states.take(layer) for layer in range(layers + 1)]


def of_vectors(vectors: Value, there: Value, model: Any, name: str) -> Value:
    """The same of the words' vectors (n, length, width)."""
    width = int(model.get_input_embeddings().embedding_dim)
    example = torch.rand(*_SHAPE, width, generator=torch.Generator().manual_seed(0))
    return _states(vectors, there, _Model(model), "inputs_embeds", example, name)


def _states(
    read: Value, there: Value, model: nn.Module, called: str, example: Tensor, name: str
) -> Value:
    known = torch.ones(_SHAPE, dtype=torch.int64)
    known[1, -2:] = 0
    return traced(
        read.graph, model, {called: read, "there": there},
        {called: example, "there": known}, {called: _FREE, "there": _FREE}, name,
    )  # fmt: skip


class _Model(nn.Module):
    """The model, asked for its last states."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs_embeds: Tensor, there: Tensor) -> Tensor:
        """(n, length, width)."""
        seen = self.model(inputs_embeds=inputs_embeds, attention_mask=there)
        return torch.as_tensor(seen.last_hidden_state).float()


class _Layers(nn.Module):
    """The model, asked for the states of all layers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, there: Tensor) -> Tensor:
        """(layers + 1, n, length, width)."""
        seen = self.model(input_ids=input_ids, attention_mask=there, output_hidden_states=True)
        return torch.stack([*seen.hidden_states[:-1], seen.last_hidden_state]).float()
