"""Encoders of tables: numbers (n, p) with NaN where missing, and codes of levels (n, q)."""

from __future__ import annotations

import numpy as np
import torch

from leaven.data.modalities.tabular import BUCKETS
from leaven.learn.models.ft_transformer import FTTransformer
from leaven.learn.models.tabular_mlp import TabularMLP
from leaven.learn.models.tabular_standard import TabularStandard
from leaven.learn.table_scores import TableScores
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS, Entered
from leaven.operate.export.graph import Graph, Value
from leaven.operate.export.layers import attended, linear, normed, split_heads, through

__all__ = ["ft_transformer", "mlp", "standard"]

_LAST = 64  # place of the last quantile


def standard(arrays: Entered, encoder: TabularStandard) -> Value:
    """The table's scores."""
    return _scored(arrays, encoder.scores)


def mlp(arrays: Entered, encoder: TabularMLP) -> Value:
    """The scores, and the hidden layers beside."""
    entered = _scored(arrays, encoder.scores)
    return entered.graph.concat(entered, through(entered, encoder.body), axis=1)


def _scored(arrays: Entered, scores: TableScores) -> Value:
    """(n, width) see `TableScores`."""
    numeric, codes = arrays["numeric"], arrays["codes"]
    graph, parts = numeric.graph, []
    if scores.grid.shape[0]:
        absent = numeric.apply("IsNaN")
        parts += [_numbers(numeric, absent, scores), absent.cast(np.float32) * scores.missing]
    if scores.levels:
        column = np.repeat(np.arange(len(scores.levels)), scores.levels)
        level = np.concatenate([np.arange(size) for size in scores.levels]).astype(np.int32)
        one_hot = graph.op("Equal", codes.take(column, axis=1), level).cast(np.float32)
        deviation = (scores.share * (1 - scores.share)).sqrt().sqrt()
        parts.append((one_hot - scores.share) / deviation)
    return graph.concat(*parts, axis=1)


def _numbers(numeric: Value, absent: Value, scores: TableScores) -> Value:
    """(n, p) the normal scores of numbers, 0 where missing: a piecewise-linear function.

    Where a number lies among the quantiles is found by counting those below it.
    """
    graph = numeric.graph
    known = graph.where(absent, np.float32(0), numeric)
    grid, each = scores.grid, known.unsqueeze(2)
    low = graph.op("Less", scores.grid, each).cast(np.float32).sum(2).clip(None, float(_LAST))
    high = graph.op("LessOrEqual", scores.grid, each).cast(np.float32).sum(2) - 1.0
    high = high.clip(0.0)
    inside = graph.op(
        "And", graph.op("Greater", low, high), graph.op("Greater", low, np.float32(0))
    )
    left = graph.where(inside, low - 1.0, low)
    above, below = (_entry(graph, grid, place) for place in (low, left))
    part = (known - below) / (above - below).clip(1e-12)
    middle = (low + graph.op("Max", high, low)) * 0.5
    at = graph.where(inside, left + part, middle)
    floor = at.apply("Floor").clip(0.0, float(_LAST - 1))
    step = floor.cast(np.int64)
    values = graph.constant(scores.scores)  # type: ignore[arg-type]
    first = values.take(step, exact=True)
    found = first + (at - floor) * (values.take(step + np.int64(1), exact=True) - first)
    return graph.where(absent, np.float32(0), found)


def _entry(graph: Graph, grid: torch.Tensor, place: Value) -> Value:
    """(n, p) each column's entry of a grid (p, q) at its place (n, p)."""
    start = np.arange(grid.shape[0]) * grid.shape[1]
    return graph.constant(grid.reshape(-1)).take(place.cast(np.int64) + start, exact=True)


def ft_transformer(arrays: Entered, encoder: FTTransformer) -> Value:
    """The row's state."""
    tokens = _tokens(arrays, encoder)
    graph = tokens.graph
    row = encoder.row.detach().reshape(1, 1, -1)
    many = graph.concat(graph.op("Shape", tokens, end=1), np.array([1, 1]), axis=0)
    states = graph.concat(graph.op("Expand", row, many), tokens, axis=1)
    *lower, top = encoder.body
    for layer in lower:
        states = _attention(states, states, layer)
    last = _attention(states.cut(1, 0, 1), states, top).squeeze(1)
    return normed(last, encoder.norm).apply("Relu")


def _tokens(arrays: Entered, encoder: FTTransformer) -> Value:
    """(n, cells, width)."""
    numeric, codes = arrays["numeric"], arrays["codes"]
    graph, tokens = numeric.graph, []
    if encoder.number is not None:
        own = numeric.cut(1, 0, encoder.numbers)
        absent = own.apply("IsNaN")
        gone = absent.cast(np.float32).unsqueeze(2)
        scores = _of_columns(own, absent, encoder).unsqueeze(2)
        weight, bias, missing = encoder.number.detach()
        tokens.append(scores * weight + (gone * -1.0 + 1.0) * bias + gone * missing)
    if encoder.text is not None:
        for place, weight in enumerate(encoder.text.detach()):
            start = encoder.numbers + place * BUCKETS
            bag = numeric.cut(1, start, start + BUCKETS)
            tokens.append((bag @ weight[:-1] + weight[-1]).unsqueeze(1))
    if encoder.level is not None:
        row = codes.cast(np.int64) + encoder.start
        tokens.append(graph.constant(encoder.level).take(row))
    return graph.concat(*tokens, axis=1)


def _of_columns(own: Value, absent: Value, encoder: FTTransformer) -> Value:
    """Scores of the first columns, the numbers."""
    scores = TableScores(encoder.numbers, ())
    scores.grid.copy_(encoder.scores.grid[: encoder.numbers])
    return _numbers(own, absent, scores)


def _attention(some: Value, every: Value, layer: torch.nn.Module) -> Value:
    """Attention of some tokens to all, then ReGLU, each added to its input."""
    told = layer.get_submodule
    heads, width = int(layer.heads), int(layer.asking.in_features)  # type: ignore[arg-type, union-attr]
    before = told("before")
    both = linear(through(every, before), layer.answering)  # type: ignore[arg-type]
    query = split_heads(linear(through(some, before), layer.asking), heads)  # type: ignore[arg-type]
    key, value = (
        split_heads(both.cut(2, part * width, (part + 1) * width), heads) for part in range(2)
    )
    some = some + linear(attended(query, key, value, width // heads), layer.told)  # type: ignore[arg-type]
    wide = linear(through(some, told("between")), layer.wide)  # type: ignore[arg-type]
    hidden = int(layer.narrow.in_features)  # type: ignore[union-attr, arg-type]
    gated = wide.cut(2, 0, hidden) * wide.cut(2, hidden).apply("Relu")
    return some + linear(gated, layer.narrow)  # type: ignore[arg-type]


ENCODER_GRAPHS.add(TabularStandard.name, standard)
ENCODER_GRAPHS.add(TabularMLP.name, mlp)
ENCODER_GRAPHS.add(FTTransformer.name, ft_transformer)
