"""Layers that many networks consist of, as nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.operate.export.graph import Value

__all__ = [
    "attended",
    "by_channel",
    "convolved",
    "linear",
    "normed",
    "split_heads",
    "through",
    "unsupported",
]


def unsupported(what: str, name: str) -> SettingError:
    """The error for a part that has no form in ONNX here."""
    return SettingError(
        "run", "one whose model can be exported", name,
        f"This {what} has no exported form. leaven serve and leaven predict load the run by torch.",
    )  # fmt: skip


def linear(value: Value, layer: nn.Linear) -> Value:
    """(…, outputs) of (…, inputs)."""
    found = value @ layer.weight.T.contiguous()
    return found if layer.bias is None else found + layer.bias


def normed(value: Value, layer: nn.LayerNorm) -> Value:
    """Layer normalisation over the last axis."""
    return value.graph.op(
        "LayerNormalization", value, layer.weight, layer.bias, axis=-1, epsilon=float(layer.eps)
    )


def convolved(
    value: Value, layer: nn.Conv1d | nn.Conv2d, padding: list[int] | None = None
) -> Value:
    """A convolution; `padding` in the place of its own: starts of the axes, then ends."""
    own = [int(side) for side in layer.padding] * 2
    return value.graph.op(
        "Conv", value, layer.weight, layer.bias,
        kernel_shape=list(layer.kernel_size), strides=list(layer.stride),
        dilations=list(layer.dilation), group=layer.groups, pads=padding or own,
    )  # fmt: skip


def by_channel(told: Tensor) -> Tensor:
    """(channels, 1, 1) of (channels,), as maps are multiplied by it."""
    return told.detach().reshape(-1, 1, 1)


def through(value: Value, module: nn.Module) -> Value:
    """What a module of well-known layers makes of a value, as it does in evaluation mode."""
    known = _KNOWN.get(type(module))
    if known is not None:
        return known(value, module)
    if isinstance(module, nn.Sequential):
        for part in module:
            value = through(value, part)
        return value
    raise unsupported("layer", type(module).__name__)


def split_heads(value: Value, heads: int) -> Value:
    """(batch, heads, places, width / heads) of (batch, places, width)."""
    return value.reshape(0, 0, heads, -1).transpose(0, 2, 1, 3)


def attended(
    query: Value, key: Value, value: Value, width: int, mask: Value | None = None
) -> Value:
    """(batch, places, width) softmax(query keyᵀ / √d) value, of (batch, heads, places, d) each.

    `width` is d; `mask` (batch, 1, 1, places) is added, minus infinity for what is not there.
    """
    likeness = (query * float(width) ** -0.5) @ key.transpose(0, 1, 3, 2)
    shares = (likeness if mask is None else likeness + mask).softmax()
    seen: Value = shares @ value
    return seen.transpose(0, 2, 1, 3).reshape(0, 0, -1)


def _grouped(value: Value, layer: nn.GroupNorm) -> Value:
    """One group: an instance normalisation of all channels as one."""
    if layer.num_groups != 1:
        raise unsupported("layer", f"GroupNorm of {layer.num_groups} groups")
    graph, one = value.graph, np.ones(1, np.float32)
    shape = graph.op("Shape", value)
    flat = graph.op(
        "InstanceNormalization", value.reshape(0, 1, -1), one, 0 * one, epsilon=float(layer.eps)
    )
    back = graph.op("Reshape", flat, shape)
    return back * by_channel(layer.weight) + by_channel(layer.bias)


def _batch_normed(value: Value, layer: nn.BatchNorm2d) -> Value:
    return value.graph.op(
        "BatchNormalization", value, layer.weight, layer.bias, layer.running_mean,
        layer.running_var, epsilon=float(layer.eps),
    )  # fmt: skip


def _leaky(value: Value, layer: nn.LeakyReLU) -> Value:
    return value.graph.op("LeakyRelu", value, alpha=float(layer.negative_slope))


def _same(value: Value, layer: nn.Module) -> Value:
    return value


_KNOWN: dict[type[nn.Module], Callable[[Value, Any], Value]] = {
    nn.Linear: linear,
    nn.LayerNorm: normed,
    nn.Conv1d: convolved,
    nn.Conv2d: convolved,
    nn.GroupNorm: _grouped,
    nn.BatchNorm2d: _batch_normed,
    nn.LeakyReLU: _leaky,
    nn.ReLU: lambda value, layer: value.apply("Relu"),
    nn.GELU: lambda value, layer: value.apply("Gelu"),
    nn.Dropout: _same,
    nn.Identity: _same,
}
