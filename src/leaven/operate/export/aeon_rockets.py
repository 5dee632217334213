"""The ROCKET family of aeon as nodes: what its transforms make of series of one length.

Where a bias is a value that a convolution takes, as on a level stretch, a last bit decides whether
it is exceeded. So sums are made in aeon's order; what looks odd here is how aeon (1.6) computes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.learn.aeon_rockets import AeonRocket
from leaven.operate.export.graph import Value

__all__ = ["features"]

Learnt = Mapping[str, npt.NDArray[Any]]

_TAPS, _MIDDLE = 9, 4
_TRIPLES = np.array(list(itertools.combinations(range(_TAPS), 3)))  # (84, 3): where a weight is 2
_BLOCK, _LANES = 128, 8  # of numbers that NumPy sums pairwise, and how many sums it keeps in one


def features(values: Value, encoder: AeonRocket) -> Value:
    """(n, width) standardised features of series (n, steps, channels)."""
    learnt = encoder.learnt
    found = _KINDS[encoder.kind](values.transpose(0, 2, 1), int(values.shape[1]), learnt)
    # Means are doubles: features that hardly vary need their last digits.
    coarse = learnt["mean"].astype(np.float32)
    return (found - coarse - (learnt["mean"] - coarse)) / learnt["scale"]


def _minirocket(series: Value, steps: int, learnt: Learnt) -> Value:
    """How often each kernel exceeds its biases."""
    told = _kernels(learnt, "parameters")
    [found] = _pooled(series, steps, told, told, lambda *half: [_proportion(*half)])
    return found


def _multirocket(series: Value, steps: int, learnt: Learnt) -> Value:
    """Four features of each kernel and bias, of series and of their differences."""
    told, of_steps = (_kernels(learnt, name) for name in ("parameter", "parameter1"))
    differences = series.cut(2, 1) - series.cut(2, 0, -1)
    return series.graph.concat(
        *_pooled(series, steps, told, told, _four),
        *_pooled(differences, steps - 1, of_steps, told, _four, early=1),
        axis=1,
    )


def _rocket(series: Value, steps: int, learnt: Learnt) -> Value:
    """How often each random kernel is above zero, and its largest value."""
    scaled, graph = _scaled(series, steps), series.graph
    weights, lengths, biases, dilations, paddings, counts, channels = (
        learnt[f"kernels.{place}"] for place in range(7)
    )
    full = np.zeros((len(lengths), int(learnt["shape"][0]), 11), np.float32)
    first = at = 0
    for kernel, (length, count) in enumerate(zip(lengths, counts, strict=True)):
        own = weights[at : at + count * length].reshape(count, length)
        full[kernel, channels[first : first + count], :length] = own
        first, at = first + count, at + count * length
    alike: dict[tuple[int, int, int], list[int]] = {}
    for kernel, shape in enumerate(zip(lengths, dilations, paddings, strict=True)):
        alike.setdefault((int(shape[0]), int(shape[1]), int(shape[2])), []).append(kernel)
    parts = []
    for (length, dilation, padding), kernels in alike.items():
        states = graph.op(
            "Conv", scaled, full[kernels][:, :, :length], biases[kernels], exact=True,
            kernel_shape=[length], dilations=[dilation], pads=[padding, padding],
        )  # fmt: skip
        above = graph.op("Greater", states, np.float32(0)).cast(np.float32)
        parts.append(graph.concat(above.mean(2, keep=True), states.max(2, keep=True), axis=2))
    order = np.argsort(np.concatenate(list(alike.values())))
    return graph.concat(*parts, axis=1).take(order, axis=1).reshape(0, -1)


@dataclass(frozen=True)
class _Kernels:
    """Dilations, how many biases each kernel has of each, and the channels that they sum."""

    many: int  # channels of the series
    dilations: list[int]
    counts: list[int]
    biases: npt.NDArray[np.float32]
    channels: list[list[int]]  # of all kernels of the first dilation, then of the next


def _kernels(learnt: Learnt, name: str) -> _Kernels:
    """As aeon's transform holds them; those of one channel may not say which they sum."""
    held = [learnt[f"{name}.{place}"] for place in range(5) if f"{name}.{place}" in learnt]
    dilations, counts, biases = held[-3:]
    channels = [[0]] * (len(_TRIPLES) * len(dilations))
    if len(held) == 5:
        ends = np.cumsum(held[0])[:-1]
        channels = [part.tolist() for part in np.split(held[1], ends)]
    many = int(learnt["shape"][0])
    return _Kernels(many, dilations.tolist(), counts.tolist(), biases, channels)


#: (values (n, kernels, 1, steps), biases (kernels, each, 1), steps) to (n, kernels, each) features.
_Pooling = Callable[[Value, npt.NDArray[np.float32], int], list[Value]]


def _pooled(
    series: Value, steps: int, told: _Kernels, sums: _Kernels, pooling: _Pooling, early: int = 0
) -> list[Value]:
    """For each feature of the pooling (n, all biases).

    Parameters
    ----------
    sums : the kernels whose channels are summed.
    early : steps by which the taps before the middle come too early.
    """
    graph, each = series.graph, len(_TRIPLES)
    columns: list[list[Value]] = []
    at = 0
    for place, (dilation, count) in enumerate(zip(told.dilations, told.counts, strict=True)):
        chosen = sums.channels[each * place : each * (place + 1)]
        values = _convolved(series, told.many, steps, dilation, chosen, early).unsqueeze(2)
        biases = told.biases[at : at + each * count].reshape(each, count, 1)
        edge, halves = _MIDDLE * dilation, []
        for parity in (0, 1):
            # Every other kernel does not count where it hangs over an end.
            half, long = values.cut(1, parity, None, 2), steps
            if (place + parity) % 2:
                half, long = half.cut(3, edge, -edge), steps - 2 * edge
            halves.append([one.unsqueeze(2) for one in pooling(half, biases[parity::2], long)])
        pairs = zip(*halves, strict=True)
        columns.append([graph.concat(*pair, axis=2).reshape(0, each * count) for pair in pairs])
        at += each * count
    return [graph.concat(*column, axis=1) for column in zip(*columns, strict=True)]


def _convolved(
    series: Value, many: int, steps: int, dilation: int, chosen: Sequence[list[int]], early: int
) -> Value:
    """(n, 84, steps) each kernel's convolution of series (n, many channels, steps).

    Minus the sum of nine shifted copies, and three times three of them, channel by channel. A
    channel of zeros in front stands in where a kernel has no further one.
    """
    graph, reach = series.graph, dilation * _MIDDLE
    padded = graph.op("Pad", series, np.array([0, 1, reach, 0, 0, reach]))
    starts = [tap * dilation + early * (tap < _MIDDLE) for tap in range(_TAPS)]
    shifted = [padded.cut(2, start, start + steps) for start in starts]
    total = shifted[_MIDDLE].apply("Neg")
    for tap in range(_TAPS):
        if tap != _MIDDLE:
            total = total - shifted[tap]
    # (n, taps beside each other, steps), each of all channels.
    threefold = graph.concat(*(part * 3.0 for part in shifted), axis=1)
    found: Value | None = None
    for turn in range(max(map(len, chosen))):
        which = np.array([own[turn] + 1 if turn < len(own) else 0 for own in chosen])
        one = total.take(which, axis=1)
        for taps in _TRIPLES.T:
            one = one + threefold.take(taps * (many + 1) + which, axis=1)
        found = one if found is None else found + one
    assert found is not None
    return found


def _proportion(values: Value, biases: npt.NDArray[np.float32], steps: int) -> Value:
    """How many of the steps exceed a bias."""
    return values.graph.op("Greater", values, biases).cast(np.float32).sum(3) / float(steps)


def _four(values: Value, biases: npt.NDArray[np.float32], steps: int) -> list[Value]:
    """Proportion, longest stretch without a value below, mean and mean place of those above.

    A stretch begins at a value below, or at the first one, and ends at the next below, or at the
    last one; to values above their bias is added.
    """
    graph = values.graph
    places = np.arange(steps, dtype=np.float32)
    above, below = (graph.op(kind, values, biases) for kind in ("Greater", "Less"))
    counted = above.cast(np.float32)
    count = counted.sum(3)
    some = count.clip(1.0)
    sums = graph.where(above, values + biases, np.float32(0)).sum(3)
    at = (counted * places).sum(3) / some
    at = graph.where(graph.op("Equal", count, np.float32(0)), np.float32(-1), at)
    # For each step the last one before it that lies below: the largest of all before.
    before = graph.op("Pad", below.cast(np.float32) * places, np.array([0, 0, 0, 1, 0, 0, 0, -1]))
    reach = 1
    while reach < steps:
        moved = graph.op("Pad", before, np.array([0, 0, 0, reach, 0, 0, 0, -reach]))
        before = graph.op("Max", before, moved)
        reach *= 2
    stretch = (before.apply("Neg") + places).max(3)
    return [count / float(steps), stretch, sums / some, at]


def _scaled(series: Value, steps: int) -> Value:
    """Each channel less its mean, by its deviation where it has one."""
    graph = series.graph
    off = series - _summed(series, steps) / float(steps)
    deviation = (_summed(off * off, steps) / float(steps)).apply("Sqrt")
    level = graph.op("Equal", deviation, np.float32(0))
    return off / graph.where(level, np.float32(1), deviation)


def _summed(values: Value, count: int) -> Value:
    """(n, channels, 1) the sum over the last axis in the order in which NumPy makes it.

    The mean of a level channel may miss its value by a last bit, which is then all its deviation.
    """
    if count > _BLOCK:
        half = count // 2 - count // 2 % _LANES
        return _summed(values.cut(2, 0, half), half) + _summed(values.cut(2, half), count - half)
    whole = count - count % _LANES
    singles = [values.cut(2, place, place + 1) for place in range(whole, count)]
    if whole:
        lanes = values.cut(2, 0, _LANES)
        for place in range(_LANES, whole, _LANES):
            lanes = lanes + values.cut(2, place, place + _LANES)
        for _ in range(3):
            lanes = lanes.cut(2, 0, None, 2) + lanes.cut(2, 1, None, 2)
        singles.insert(0, lanes)
    total = singles[0]
    for one in singles[1:]:
        total = total + one
    return total


_KINDS: dict[str, Callable[[Value, int, Learnt], Value]] = {
    "minirocket": _minirocket, "multirocket": _multirocket, "rocket": _rocket,
}  # fmt: skip
