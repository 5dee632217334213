"""Heads of one or two matrices."""

from __future__ import annotations

import torch

from leaven.learn.head import LinearHead
from leaven.learn.heads.committee import CommitteeHead
from leaven.learn.heads.mlp import MLPHead
from leaven.learn.heads.normalised import NormalisedHead
from leaven.operate.export.graph import Value
from leaven.operate.export.head_kinds import HEAD_GRAPHS
from leaven.operate.export.layers import linear

__all__ = ["committee", "mlp", "normalised"]


def mlp(features: Value, head: MLPHead) -> Value:
    """A matrix, the positive part of its answer, and a second matrix."""
    return linear(linear(features, head.first).apply("Relu"), head.last)


def normalised(features: Value, head: NormalisedHead) -> Value:
    """Each feature by its mean and variance, then a matrix."""
    mean, variance = head.norm.running_mean, head.norm.running_var
    assert isinstance(mean, torch.Tensor) and isinstance(variance, torch.Tensor)
    scaled = (features - mean) * (variance + head.norm.eps).rsqrt()
    return linear(scaled, head)


def committee(features: Value, head: CommitteeHead) -> Value:
    """The logarithm of the mean of the members' softmax; members side by side are one matrix."""
    members, classes, width = head.weight.shape
    flat = features @ head.weight.reshape(members * classes, width).T.contiguous()
    said = (flat + head.bias.reshape(-1)).reshape(-1, members, classes)
    shares = said.graph.op("LogSoftmax", said, axis=-1)
    return said.graph.reduced("ReduceLogSumExp", shares, (1,), False) - float(
        torch.tensor(float(members)).log()
    )


HEAD_GRAPHS.add(LinearHead.kind, linear)
HEAD_GRAPHS.add(MLPHead.kind, mlp)
HEAD_GRAPHS.add(NormalisedHead.kind, normalised)
HEAD_GRAPHS.add(CommitteeHead.kind, committee)
