"""Kernel machines."""

from __future__ import annotations

from leaven.learn.heads.kernel import KernelHead
from leaven.operate.export.graph import Value
from leaven.operate.export.head_kinds import HEAD_GRAPHS

__all__ = ["kernel"]


def kernel(features: Value, head: KernelHead) -> Value:
    """How like the landmarks a record is, then one matrix."""
    marks = head.landmarks
    if head.kernel == "rbf":
        centre = marks.mean(0)
        near, own = marks - centre, features - centre
        square = (own * own).sum(-1, keep=True) + near.square().sum(1)
        apart = (square - own @ (2 * near.T).contiguous()).clip(0.0)
        like = (apart * -float(head.gamma)).apply("Exp")
    else:
        like = (features @ (head.gamma * marks.T).contiguous()) + 1.0
        like = features.graph.op("Pow", like, float(head.degree))
    return like @ head.coefficients + head.bias


HEAD_GRAPHS.add(KernelHead.kind, kernel)
