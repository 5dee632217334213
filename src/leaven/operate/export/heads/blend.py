"""A mixture of heads."""

from __future__ import annotations

from leaven.learn.heads.blend import BlendHead
from leaven.operate.export.graph import Value
from leaven.operate.export.head_kinds import HEAD_GRAPHS, headed

__all__ = ["blend"]

_FLOOR = 1e-7  # as `BlendHead` has it


def blend(features: Value, head: BlendHead) -> Value:
    """The logarithm of a weighted mean of the members' softmax; without weight none is asked."""
    parts = []
    for member, weight, temperature in zip(
        head.heads, head.weights.tolist(), head.temperatures.tolist(), strict=True
    ):
        if weight > 0:
            outputs = headed(features, member)
            parts.append((outputs / temperature).softmax() * weight)
    mixed = parts[0] if len(parts) == 1 else features.graph.op("Sum", *parts)
    return ((mixed + _FLOOR) / (1 + _FLOOR * head.outputs)).apply("Log")


HEAD_GRAPHS.add(BlendHead.kind, blend)
