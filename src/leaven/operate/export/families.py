"""Transformers of the Hugging Face family as nodes: BERT and its kin, each layer the same three.

Which families there are, where each keeps its layers, and how it tells places apart stands in
`_BLOCKS` and `_ENTERED`; all of them normalise after they add.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from leaven.learn.adapt import Bottleneck
from leaven.operate.export.graph import Value
from leaven.operate.export.layers import attended, linear, normed, split_heads, unsupported

__all__ = ["KNOWN", "layers", "places", "transformed", "vectors", "written"]


@dataclass(frozen=True)
class _Block:
    """The layers of one block, by what they do."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    mixed: nn.Linear
    between: nn.LayerNorm
    widened: nn.Linear
    narrowed: nn.Linear
    after: nn.LayerNorm


def _bert(layer: Any) -> _Block:
    own, told = layer.attention.self, layer.attention.output
    return _Block(
        own.query, own.key, own.value, told.dense, told.LayerNorm,
        layer.intermediate.dense, layer.output.dense, layer.output.LayerNorm,
    )  # fmt: skip


def _mpnet(layer: Any) -> _Block:
    own = layer.attention.attn
    return _Block(
        own.q, own.k, own.v, own.o, layer.attention.LayerNorm,
        layer.intermediate.dense, layer.output.dense, layer.output.LayerNorm,
    )  # fmt: skip


def _distilbert(layer: Any) -> _Block:
    own, wide = layer.attention, layer.ffn
    return _Block(
        own.q_lin, own.k_lin, own.v_lin, own.out_lin, layer.sa_layer_norm,
        wide.lin1, wide.lin2, layer.output_layer_norm,
    )  # fmt: skip


#: Where a family keeps the layers of a block, by the type that its configuration names.
_BLOCKS: dict[str, Callable[[Any], _Block]] = {
    "bert": _bert, "electra": _bert, "roberta": _bert, "xlm-roberta": _bert, "camembert": _bert,
    "mpnet": _mpnet, "distilbert": _distilbert,
}  # fmt: skip
#: Families that number the places of a text from behind the number of their padding.
_SHIFTED = ("roberta", "xlm-roberta", "camembert", "mpnet")
#: The families, for documentation.
KNOWN = tuple(_BLOCKS)


def written(model: Any) -> bool:
    """Whether a model is of a family that is written out here, with what it is built of."""
    config = model.config
    known = config.model_type in _BLOCKS and not getattr(config, "is_decoder", False)
    return known and _nonlinearity(config) in _NONLINEAR


def vectors(tokens: Value, model: Any) -> Value:
    """(n, length, width) the words' vectors of tokens (n, length) int64."""
    table: nn.Embedding = model.get_input_embeddings()
    return tokens.graph.constant(table.weight).take(tokens)


def places(tokens: Value, model: Any, counted: Value | None = None) -> Value:
    """(1, length) or (n, length) int64: which row of the table of places each token reads.

    Parameters
    ----------
    counted : (n, length) int64, where the family passes over its padding token as it counts, one
        for a token of the text. Without it each place counts.
    """
    graph = tokens.graph
    first = _padding(model) + 1 if model.config.model_type in _SHIFTED else 0
    if counted is None or not first:
        length = graph.op("Shape", tokens, start=1).squeeze(0)
        own = graph.op("Range", np.int64(0), length, np.int64(1)).unsqueeze(0)
        return own + np.int64(first) if first else own
    other = graph.op("Not", graph.op("Equal", tokens, np.int64(first - 1))).cast(np.int64)
    kept = other * counted
    return graph.op("CumSum", kept, np.int64(1)) * kept + np.int64(first - 1)


def transformed(
    entered: Value, place: Value, there: Value, model: Any, adapters: Iterable[Bottleneck] = ()
) -> Value:
    """(n, length, width) the last states of words' vectors, see `layers`."""
    return layers(entered, place, there, model, adapters)[-1]


def layers(
    entered: Value, place: Value, there: Value, model: Any, adapters: Iterable[Bottleneck] = ()
) -> list[Value]:
    """(n, length, width) what enters the first layer, then the states that each layer gives.

    Parameters
    ----------
    entered : (n, length, width) the words' vectors.
    place : which row of the table of places each reads.
    there : (n, length) float32, 1 for a token and 0 for padding.
    adapters : that follow blocks; the layer of the first block is 1, as its encoder counts them.

    The model must be `written`. Raises SettingError for one whose layers are not where they were.
    """
    kind = model.config.model_type
    try:
        return _states(entered, place, there, model, {one.config["layer"]: one for one in adapters})
    except AttributeError as odd:  # another release of the library may call its layers otherwise
        raise unsupported("encoder", f"{kind}, whose layers are not as expected ({odd})") from odd


def _states(
    entered: Value, place: Value, there: Value, model: Any, following: Mapping[int, Bottleneck]
) -> list[Value]:
    graph, kind, table = entered.graph, model.config.model_type, model.embeddings
    states = entered + graph.constant(table.position_embeddings.weight).take(place)
    if getattr(table, "token_type_embeddings", None) is not None:
        states = states + table.token_type_embeddings.weight[0]
    states = normed(states, table.LayerNorm)
    if getattr(model, "embeddings_project", None) is not None:
        states = linear(states, model.embeddings_project)
    mask = graph.where(there.cast(np.bool_), np.float32(0), np.float32(-np.inf)).unsqueeze(1, 2)
    body = model.transformer if kind == "distilbert" else model.encoder
    if kind == "mpnet":
        mask = mask + _distances(states, body, model.config)
    given = [states]
    for number, layer in enumerate(body.layer, 1):
        states = _block(states, _BLOCKS[kind](layer), mask, model.config)
        if (adapter := following.get(number)) is not None:
            inner = linear(states, adapter.down).apply("Gelu")
            states = states + linear(inner, adapter.up)
        given.append(states)
    return given


def _block(states: Value, block: _Block, mask: Value, config: Any) -> Value:
    """Self-attention and a perceptron, each added and then normalised."""
    heads = config.num_attention_heads
    query, key, value = (
        split_heads(linear(states, layer), heads) for layer in (block.query, block.key, block.value)
    )
    seen = attended(query, key, value, block.query.out_features // heads, mask)
    states = normed(linear(seen, block.mixed) + states, block.between)
    inner = _NONLINEAR[_nonlinearity(config)](linear(states, block.widened))
    return normed(linear(inner, block.narrowed) + states, block.after)


#: What a layer's numbers go through, by the name that configurations have for it.
_NONLINEAR: dict[str, Callable[[Value], Value]] = {
    "gelu": lambda value: value.apply("Gelu"),
    "relu": lambda value: value.apply("Relu"),
} | dict.fromkeys(
    ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"),
    lambda value: value.graph.op("Gelu", value, approximate="tanh"),
) | dict.fromkeys(("silu", "swish"), lambda value: value * value.apply("Sigmoid"))  # fmt: skip


def _nonlinearity(config: Any) -> str:
    told = config.activation if config.model_type == "distilbert" else config.hidden_act
    return str(told)


def _distances(states: Value, body: Any, config: Any) -> Value:
    """(1, heads, length, length) what MPNet adds for how far a token stands from another."""
    import torch

    graph, most = states.graph, int(config.max_position_embeddings)
    apart = body.relative_position_bucket(torch.arange(1 - most, most))
    told = body.relative_attention_bias.weight[apart]  # (2 · most - 1, heads)
    length = graph.op("Shape", states, start=1, end=2).squeeze(0)
    place = graph.op("Range", np.int64(0), length, np.int64(1))
    far = place.unsqueeze(0) - place.unsqueeze(1) + np.int64(most - 1)
    return graph.constant(told).take(far).transpose(2, 0, 1).unsqueeze(0)


def _padding(model: Any) -> int:
    """The number of the padding token, as the family's table of places has it."""
    if model.config.model_type == "mpnet":
        return int(model.embeddings.padding_idx)
    return int(model.config.pad_token_id)
