"""A matrix over features that were brought to one scale."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from leaven.learn.head import HEADS, LinearHead

__all__ = ["NormalisedHead"]


class NormalisedHead(LinearHead):
    """Each feature brought to mean 0 and variance 1, then one matrix.

    In training by the mean and variance of the batch (batch normalisation, Ioffe & Szegedy 2015,
    arXiv:1502.03167, without its scale and offset, which the matrix holds), else by those of
    `norm`. One record alone has no variance: `norm` serves it in training as well.
    """

    kind = "normalised"

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.norm = nn.BatchNorm1d(in_features, affine=False)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, classes)."""
        if self.training and len(features) == 1:
            norm = self.norm
            return super().forward(F.batch_norm(features, norm.running_mean, norm.running_var))
        return super().forward(self.norm(features))


HEADS.add(NormalisedHead.kind, NormalisedHead)
