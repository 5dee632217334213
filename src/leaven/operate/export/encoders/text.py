"""Encoders of texts: tokens (n, any), as long as the longest text that is asked about."""

from __future__ import annotations

import numpy as np
from torch import nn

from leaven.learn.models.ngram_bag import NgramNetwork
from leaven.learn.models.ngram_components import NgramComponents
from leaven.learn.models.text_transformer import TextTransformer, TextTransformerLarge
from leaven.learn.ngrams import NgramBag
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS, Entered
from leaven.operate.export.graph import Value
from leaven.operate.export.layers import attended, linear, normed, split_heads, through, unsupported

__all__ = ["components", "network", "transformer"]

_FIRST, _SECOND, _BUCKETS = 2654435761, 40503, (1 << 20) - 1  # as `NgramBag` spreads pairs


def components(arrays: Entered, encoder: NgramComponents) -> Value:
    """Rows of unit length."""
    return _bag(arrays["tokens"], encoder.bag)


def network(arrays: Entered, encoder: NgramNetwork) -> Value:
    """The components, and the hidden layer beside."""
    entered = _bag(arrays["tokens"], encoder.bag) * float(encoder.scale)
    return entered.graph.concat(entered, through(entered, encoder.body), axis=1)


def _bag(tokens: Value, bag: NgramBag) -> Value:
    """(n, width) the sum of the known words' and pairs' rows, each times its idf, of unit length.

    A word's row is found by two look-ups: its hash leads to its number, and that to its row.
    """
    graph, words = tokens.graph, tokens.cast(np.int64)
    first, second = words.cut(1, 0, -1), words.cut(1, 1)
    mixed = first * np.int64(_FIRST) + second * np.int64(_SECOND)
    pairs = graph.op("Mod", mixed, np.int64(_BUCKETS)) + np.int64(1)
    both = graph.op("And", first.cast(np.bool_), second.cast(np.bool_))
    buckets = graph.concat(words, pairs * both.cast(np.int64), axis=1)
    rows = graph.constant(bag.components * bag.idf[:, None])
    return rows.take(graph.constant(bag.slot).take(buckets)).sum(1).unit()


def transformer(arrays: Entered, encoder: TextTransformer) -> Value:
    """The mean of the words' last states."""
    tokens = arrays["tokens"]
    graph = tokens.graph
    slots = graph.constant(encoder.slot).take(tokens)
    there = graph.op("Greater", slots, np.int32(0)).cast(np.float32)
    length = graph.op("Shape", slots, start=1)
    place = graph.op("Range", np.int64(0), length.squeeze(0), np.int64(1))
    # The first place is always there: attention over nothing is not a number.
    there = graph.op("Max", there, graph.op("Equal", place, np.int64(0)).cast(np.float32))
    states = graph.constant(encoder.embedding.weight).take(slots)
    states = states + graph.constant(encoder.position).take(place)
    mask = graph.where(there.cast(np.bool_), np.float32(0), np.float32(-np.inf)).unsqueeze(1, 2)
    for layer in encoder.body.layers:
        states = _layer(states, layer, mask)
    states = normed(states, encoder.norm)
    share = there / there.sum(1, keep=True)
    return (states * share.unsqueeze(2)).sum(1)


def _layer(states: Value, layer: nn.Module, mask: Value) -> Value:
    """Attention and a perceptron, each of what is normalised, and added."""
    if not isinstance(layer, nn.TransformerEncoderLayer) or not layer.norm_first:
        raise unsupported("layer", type(layer).__name__)
    attention = layer.self_attn
    heads, width = attention.num_heads, attention.embed_dim
    told = normed(states, layer.norm1) @ attention.in_proj_weight.T.contiguous()
    told = told + attention.in_proj_bias
    query, key, value = (
        split_heads(told.cut(2, part * width, (part + 1) * width), heads) for part in range(3)
    )
    mixed = attended(query, key, value, width // heads, mask)
    states = states + linear(mixed, attention.out_proj)
    widened = linear(normed(states, layer.norm2), layer.linear1).apply("Gelu")
    return states + linear(widened, layer.linear2)


ENCODER_GRAPHS.add(NgramComponents.name, components)
ENCODER_GRAPHS.add(NgramNetwork.name, network)
ENCODER_GRAPHS.add(TextTransformer.name, transformer)
ENCODER_GRAPHS.add(TextTransformerLarge.name, transformer)
