"""Encoders of series: values and what was measured (n, steps, channels)."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from leaven.learn.kernels_of_time import KERNELS, KernelsOfTime
from leaven.learn.models.rocket import Rocket
from leaven.learn.models.steps import Steps
from leaven.learn.models.tcn import TCN, LargeTCN, TinyTCN
from leaven.learn.standard_series import StandardSeries
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS, Entered
from leaven.operate.export.graph import Value
from leaven.operate.export.layers import convolved, linear, through

__all__ = ["rocket", "steps", "tcn"]

_TAPS = 9


def _standard(arrays: Entered, standard: StandardSeries) -> tuple[Value, Value]:
    """(n, steps, channels) values, and whether a step lies within its channel's series."""
    graph, there = arrays["there"].graph, arrays["there"].cast(np.float32)
    begun = graph.op("CumSum", there, np.int64(1)).clip(0.0, 1.0)
    ahead = graph.op("CumSum", there, np.int64(1), reverse=1).clip(0.0, 1.0)
    within = begun * ahead
    return (arrays["values"] - standard.mean) / standard.deviation * within, within


def tcn(arrays: Entered, encoder: TCN) -> Value:
    """The largest state of all steps."""
    values, within = _standard(arrays, encoder.standard)
    graph = values.graph
    inside = within.max(2)  # (n, steps); the first step is always there
    first = np.eye(1, int(arrays["values"].shape[1]), dtype=np.float32)
    inside = graph.op("Max", inside, first)
    there = inside.unsqueeze(1)
    entered = graph.concat(values, arrays["there"].cast(np.float32), axis=2)
    seen = linear(entered, encoder.first).transpose(0, 2, 1) * there
    for block in encoder.blocks:
        seen = _block(seen, there, block)
    absent = graph.op("LessOrEqual", there, np.float32(0))
    return graph.where(absent, np.float32(-np.inf), seen).max(2)


def _block(seen: Value, there: Value, block: nn.Module) -> Value:
    """Twice a GELU and a convolution, and the input beside them."""
    reach = [int(block.dilation)] * 2  # type: ignore[arg-type]
    found = convolved(seen.apply("Gelu"), block.one, reach) * there  # type: ignore[arg-type]
    found = convolved(found.apply("Gelu"), block.two, reach)  # type: ignore[arg-type]
    return (found + through(seen, block.beside)) * there  # type: ignore[arg-type]


def steps(arrays: Entered, encoder: Steps) -> Value:
    """The means of spans of time, channel after channel."""
    values, _ = _standard(arrays, encoder.standard)
    return (values.transpose(0, 2, 1) @ encoder.spans).reshape(0, -1)


def rocket(arrays: Entered, encoder: Rocket) -> Value:
    """Proportions of positive values of the kernels, on their components."""
    values, within = (one.transpose(0, 2, 1) for one in _standard(arrays, encoder.standard))
    length = int(arrays["values"].shape[1])
    read = [(values, length)]
    if len(encoder.kernels) > 1:
        if length == 1:
            read.append((values * 0.0, 1))
        else:
            step = values.cut(2, 1) - values.cut(2, 0, -1)
            read.append((step * within.cut(2, 1) * within.cut(2, 0, -1), length - 1))
    parts = [
        _proportions(series, steps, kernels)  # type: ignore[arg-type]
        for (series, steps), kernels in zip(read, encoder.kernels, strict=True)
    ]
    found = values.graph.concat(*parts, axis=1)
    return (found - encoder.centre) @ encoder.components


def _proportions(series: Value, steps: int, kernels: KernelsOfTime) -> Value:
    """(n, 84 · each) of series (n, channels, steps), see `KernelsOfTime`.

    Sums are made in the order in which the encoder makes them: a bias is a value that a series of
    the training had, and a last bit would decide whether it is exceeded.
    """
    graph, many = series.graph, len(KERNELS)
    columns, at = [], 0
    for place, (dilation, count) in enumerate(kernels.dilations.items()):
        values = _convolved(series, steps, dilation, kernels.chosen[place])
        counted = np.ones((many, steps), bool)
        # Every other pair does not count where the kernel hangs over an end.
        edge = dilation * (_TAPS // 2)
        if 2 * edge < steps:
            inner = slice((place + 1) % 2, None, 2)
            counted[inner, :edge] = counted[inner, steps - edge :] = False
        whole = counted.sum(1).astype(np.float32)
        for number in range(at, at + count):
            above = graph.op("Greater", values, kernels.biases[:, number, None])
            if not counted.all():
                above = graph.op("And", above, counted)
            columns.append((above.cast(np.float32).sum(2) / whole).unsqueeze(2))
        at += count
    return graph.concat(*columns, axis=2).reshape(0, -1)


def _convolved(series: Value, steps: int, dilation: int, chosen: torch.Tensor) -> Value:
    """(n, 84, steps) each kernel's convolution, with nothing beyond the ends.

    Minus the sum of nine shifted copies, plus three times that of three of them, channel by channel
    of those that are chosen (84, channels). A channel of zeros stands in where a kernel has no
    further one.
    """
    graph, channels = series.graph, chosen.shape[1]
    reach = dilation * (_TAPS // 2)
    padded = graph.op("Pad", series, np.array([0, 0, reach, 0, 1, reach]))
    shifted = [padded.cut(2, tap * dilation, tap * dilation + steps) for tap in range(_TAPS)]
    total = shifted[0].apply("Neg")
    for part in shifted[1:]:
        total = total - part
    threefold = graph.concat(*(part * 3.0 for part in shifted), axis=1)
    own = [torch.nonzero(row).ravel().tolist() for row in chosen]
    found: Value | None = None
    for turn in range(max(map(len, own))):
        which = np.array([row[turn] if turn < len(row) else channels for row in own])
        added = [total.take(which, axis=1)]
        added += [threefold.take(taps * (channels + 1) + which, axis=1) for taps in KERNELS.T]
        for one in added:
            found = one if found is None else found + one
    assert found is not None
    return found


ENCODER_GRAPHS.add(Rocket.name, rocket)
ENCODER_GRAPHS.add(Steps.name, steps)
for _kind in (TCN, TinyTCN, LargeTCN):
    ENCODER_GRAPHS.add(_kind.name, tcn)
