"""Encoders of series by competing kernels, and by quantiles of intervals."""

from __future__ import annotations

import numpy as np
import torch

from leaven.learn.models.hydra import CLEAR, Hydra
from leaven.learn.models.intervals import Intervals, quantiles, starts
from leaven.operate.export.codes import rooted
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS, Entered
from leaven.operate.export.encoders.series import even
from leaven.operate.export.graph import Value

__all__ = ["hydra", "intervals"]

_TAPS, _SMOOTH = 9, 5  # as `Hydra` and `Intervals` have them


def hydra(arrays: Entered, encoder: Hydra) -> Value:
    """Roots of the sums of the best answers, on their components."""
    series, steps = even(arrays, encoder)
    graph, channels = series.graph, int(encoder.config["channels"])
    changes = _changes(series) if steps > 1 else series * 0.0
    columns = []
    for number, (dilation, of_changes) in enumerate(encoder.passes):
        values = changes if of_changes else series
        if channels > 1:
            chosen = torch.zeros(encoder.a_pass, channels)
            chosen.scatter_(1, encoder.chosen[number], 1.0)
            values = graph.op("MatMul", chosen, values)
        reach = dilation * (_TAPS // 2)
        answers = graph.op(
            "Conv", values, encoder.weights[number], kernel_shape=[_TAPS], pads=[reach, reach],
            dilations=[dilation], group=encoder.a_pass if channels > 1 else 1,
        ).reshape(0, encoder.a_pass, encoder.kernels, -1)  # fmt: skip
        best, clear = _best(answers)
        columns.append((best * answers.apply("Relu") * clear).sum(3).reshape(0, -1))
        best, clear = _best(answers.apply("Neg"))
        columns.append((best * clear).sum(3).reshape(0, -1))
    return (rooted(graph.concat(*columns, axis=1)) - encoder.centre) @ encoder.components


def _best(answers: Value) -> tuple[Value, Value]:
    """Of answers (n, groups, kernels, steps) 1 for the largest, and how clear it is."""
    graph = answers.graph
    two, _ = graph.ops("TopK", 2, answers, np.array([2], np.int64), axis=2)
    most = two.cut(2, 0, 1)
    clear = ((most - two.cut(2, 1, 2)) / CLEAR).clip(high=1.0)
    return graph.op("Equal", answers, most).cast(np.float32), clear


def intervals(arrays: Entered, encoder: Intervals) -> Value:
    """Standardised quantiles of all intervals."""
    series, steps = even(arrays, encoder)
    graph, parts = series.graph, []
    for values, length in _readings(series, steps):
        for level in range(encoder.depth):
            first, size = starts(length, level)
            places = (first[:, None] + torch.arange(size)).numpy()
            ordered, _ = graph.ops(
                "TopK", 2, values.take(places, axis=2), np.array([size], np.int64), largest=0
            )
            parts.append((ordered @ quantiles(size, encoder.each)).reshape(0, -1))
    return (graph.concat(*parts, axis=1) - encoder.centre) * encoder.scale


def _readings(series: Value, steps: int) -> list[tuple[Value, int]]:
    """The series, its differences, those of them, its frequencies, and how long each is."""
    found, graph = [(series, steps)], series.graph
    if steps > 1:
        first = _changes(series)
        smooth = first
        if steps - 1 >= _SMOOTH:
            edge = _SMOOTH // 2
            padded = graph.op("Pad", first, np.array([0, 0, edge, 0, 0, edge]), mode="edge")
            smooth = graph.op("AveragePool", padded, kernel_shape=[_SMOOTH])
        found.append((smooth, steps - 1))
        if steps > 2:
            found.append((_changes(first), steps - 2))
    waves = np.exp(-2j * np.pi * np.outer(np.arange(steps), np.arange(steps // 2 + 1)) / steps)
    real, imaginary = series @ waves.real, series @ waves.imag
    size = (real * real + imaginary * imaginary).apply("Sqrt")
    return [*found, (size, steps // 2 + 1)]


def _changes(series: Value) -> Value:
    return series.cut(2, 1) - series.cut(2, 0, -1)


ENCODER_GRAPHS.add(Hydra.name, hydra)
ENCODER_GRAPHS.add(Intervals.name, intervals)
