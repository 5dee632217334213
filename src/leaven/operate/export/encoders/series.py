"""Encoders of series: values and what was measured (n, steps, channels)."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from leaven.learn.kernels_of_time import KERNELS, KernelsOfTime
from leaven.learn.models.hydra import Hydra
from leaven.learn.models.intervals import Intervals
from leaven.learn.models.rocket import Rocket
from leaven.learn.models.steps import Steps
from leaven.learn.models.tcn import TCN, LargeTCN, TinyTCN
from leaven.learn.standard_series import StandardSeries
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS, Entered
from leaven.operate.export.graph import Value
from leaven.operate.export.layers import convolved, linear, through

__all__ = ["even", "rocket", "standard", "steps", "tcn"]

_TAPS = 9


def standard(arrays: Entered, standard: StandardSeries) -> tuple[Value, Value]:
    """(n, steps, channels) values, and whether a step lies within its channel's series."""
    graph, there = arrays["there"].graph, arrays["there"].cast(np.float32)
    begun = graph.op("CumSum", there, np.int64(1)).clip(0.0, 1.0)
    ahead = graph.op("CumSum", there, np.int64(1), reverse=1).clip(0.0, 1.0)
    within = begun * ahead
    return (arrays["values"] - standard.mean) / standard.deviation * within, within


def tcn(arrays: Entered, encoder: TCN) -> Value:
    """The largest state of all steps."""
    values, within = standard(arrays, encoder.standard)
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
    values, _ = standard(arrays, encoder.standard)
    return (values.transpose(0, 2, 1) @ encoder.spans).reshape(0, -1)


def rocket(arrays: Entered, encoder: Rocket) -> Value:
    """Proportions of positive values of the kernels, on their components."""
    values, within = (one.transpose(0, 2, 1) for one in standard(arrays, encoder.standard))
    graph, length = values.graph, int(arrays["values"].shape[1])
    own = _own_steps(within, length)
    read = _with_differences(values, within, own, length, encoder)
    if encoder.usual:
        values, within = (_stretched(one, own, length, encoder) for one in (values, within))
        whole = own * 0.0 + float(encoder.usual)
        read += _with_differences(values, within.apply("Floor"), whole, encoder.usual, encoder)
    parts = [
        _proportions(*series, kernels)  # type: ignore[arg-type]
        for series, kernels in zip(read, encoder.kernels, strict=True)
    ]
    return (graph.concat(*parts, axis=1) - encoder.centre) @ encoder.components


def _with_differences(
    values: Value, within: Value, own: Value, steps: int, encoder: Rocket
) -> list[tuple[Value, Value, int]]:
    """What kernels read: (n, channels, steps), the own steps of each (n, 1, 1), and `steps`."""
    read = [(values, own, steps)]
    if not encoder.config["differences"]:
        return read
    if steps == 1:
        return [*read, (values * 0.0, own, 1)]
    one = values.cut(2, 1) - values.cut(2, 0, -1)
    within = within.cut(2, 1) * within.cut(2, 0, -1)
    return [*read, (one * within, (own - 1.0).clip(1.0), steps - 1)]


def even(arrays: Entered, encoder: Hydra | Intervals) -> tuple[Value, int]:
    """(n, channels, steps) standardised values of series of one length, and how many steps."""
    values, within = (one.transpose(0, 2, 1) for one in standard(arrays, encoder.standard))
    length = int(arrays["values"].shape[1])
    if not encoder.usual:
        return values, length
    return _stretched(values, _own_steps(within, length), length, encoder), encoder.usual


def _own_steps(within: Value, length: int) -> Value:
    """(n, 1, 1) how many steps each series has itself."""
    places = np.arange(1, length + 1, dtype=np.float32)
    return (within.max(1) * places).max(1).clip(1.0).unsqueeze(1, 2)


def _stretched(
    values: Value, own: Value, length: int, encoder: Rocket | Hydra | Intervals
) -> Value:
    """(n, channels, usual) the series' own steps, at so many even places; see `stretched`."""
    graph, channels = values.graph, int(encoder.config["channels"])
    ramp = torch.linspace(0, 1, encoder.usual).numpy()
    place = (own - 1.0) * ramp
    before = place.apply("Floor")
    first = before.cast(np.int64) + np.zeros((1, channels, 1), np.int64)
    low = graph.op("GatherElements", values, first, axis=2)
    after = graph.op("Min", first + np.int64(1), np.int64(length - 1))
    high = graph.op("GatherElements", values, after, axis=2)
    return low + (place - before) * (high - low)


def _proportions(series: Value, own: Value, steps: int, kernels: KernelsOfTime) -> Value:
    """(n, 84 · each) of series (n, channels, steps), of own steps (n, 1, 1); see `KernelsOfTime`.

    Sums are made in the order in which the encoder makes them: a bias is a value that a series of
    the training had, and a last bit would decide whether it is exceeded.
    """
    graph, many = series.graph, len(KERNELS)
    place = np.arange(steps, dtype=np.float32)
    columns, at = [], 0
    for order, (dilation, count) in enumerate(kernels.dilations.items()):
        values = _convolved(series, steps, dilation, kernels.chosen[order])
        # Every other pair does not count where the kernel hangs over an end.
        edge = np.zeros((many, 1), np.float32)
        edge[(order + 1) % 2 :: 2] = dilation * (_TAPS // 2)
        low = graph.op("Greater", own, 2 * edge).cast(np.float32) * edge
        high = own - low
        before, behind = graph.op("Less", place, low), graph.op("GreaterOrEqual", place, high)
        values = graph.where(graph.op("Or", before, behind), np.float32(-np.inf), values)
        whole = (high - low).reshape(0, -1)
        for number in range(at, at + count):
            above = graph.op("Greater", values, kernels.biases[:, number, None])
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
