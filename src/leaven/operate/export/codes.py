"""Codes of patches, components of them, and means over parts, see `learn/patch_codes.py`."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from leaven.learn.patch_codes import PatchCodes, SoftComponents
from leaven.operate.export.graph import Value

__all__ = ["area", "averages", "coded", "rooted", "softened"]

_FLOOR = 1e-3  # as `patch_codes.rooted` has it


def averages(places: int, parts: int) -> npt.NDArray[np.float32]:
    """(parts, places) the matrix of adaptive means, as torch divides places among parts."""
    found = np.zeros((parts, places), np.float32)
    for part in range(parts):
        start, end = part * places // parts, math.ceil((part + 1) * places / parts)
        found[part, start:end] = 1 / (end - start)
    return found


def area(maps: Value, shape: tuple[int, int], wanted: tuple[int, int]) -> Value:
    """(n, c, *wanted) means over areas of maps (n, c, *shape)."""
    if shape == wanted:
        return maps
    rows, columns = (averages(*pair) for pair in zip(shape, wanted, strict=True))
    return maps.graph.constant(rows) @ (maps @ np.ascontiguousarray(columns.T))


def coded(maps: Value, codes: PatchCodes, down: Value, along: torch.Tensor) -> Value:
    """(n, 2 · atoms, regions down, regions along) pooled codes of maps, see `PatchCodes`.

    `down` is (regions, places), or (n, 1, regions, places).
    """
    graph, filters = maps.graph, codes.filters
    even = torch.full((1, *filters.shape[1:]), 1 / filters[0].numel())
    mean = graph.op("Conv", maps, even)
    variance = (graph.op("Conv", maps * maps, even) - mean * mean).clip(0.0)
    scale = graph.op("Reciprocal", (variance + codes.contrast).apply("Sqrt"))
    far = graph.op("Conv", maps, filters) * scale - codes.biases.reshape(-1, 1, 1)
    beyond = [(far - codes.threshold), (far.apply("Neg") - codes.threshold)]
    each = graph.concat(*(one.apply("Relu") for one in beyond), axis=1)
    return graph.op("MatMul", down, each @ along.T.contiguous())


def rooted(values: Value) -> Value:
    """Square roots, less steep at 0."""
    return (values + _FLOOR).apply("Sqrt") - math.sqrt(_FLOOR)


def softened(values: Value, components: SoftComponents) -> Value:
    """(n, width) softened components of values (n, inputs)."""
    return (values - components.centre) @ components.components
