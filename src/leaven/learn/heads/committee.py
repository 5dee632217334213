"""Several linear heads, whose probabilities are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.learn.head import HEADS, Head, LinearHead

__all__ = ["CommitteeHead"]


class CommitteeHead(Head):
    """Features to the logarithm of the mean of the members' softmax.

    Parameters: `weight` (members, classes, width), zero in columns that a member does not read,
    and `bias` (members, classes).
    """

    kind = "committee"

    def __init__(self, members: int, width: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(members, classes, width))
        self.bias = nn.Parameter(torch.zeros(members, classes))

    @classmethod
    def of(
        cls, heads: Sequence[Head], columns: Sequence[npt.NDArray[np.int64]], width: int
    ) -> CommitteeHead:
        """Of linear heads, each of which reads some columns of `width`.

        Raises SettingError for a head that is not linear.
        """
        committee = cls(len(heads), width, heads[0].outputs)
        with torch.no_grad():
            for number, (head, own) in enumerate(zip(heads, columns, strict=True)):
                if not isinstance(head, LinearHead):
                    raise SettingError("learner", "one with a linear head", head.kind)
                committee.weight[number][:, torch.from_numpy(own)] = head.weight
                committee.bias[number] = head.bias
        return committee

    @property
    def config(self) -> dict[str, Any]:
        """Sizes of the parameters."""
        members, classes, width = self.weight.shape
        return {"members": members, "width": width, "classes": classes}

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return self.bias.shape[1]

    def forward(self, features: Tensor) -> Tensor:
        """(batch, classes) log-probabilities."""
        said = torch.einsum("bw,mkw->bmk", features, self.weight) + self.bias
        mean: Tensor = said.log_softmax(-1).logsumexp(1) - np.log(len(self.bias))
        return mean


HEADS.add(CommitteeHead.kind, CommitteeHead)
