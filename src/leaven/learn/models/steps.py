"""The steps of series as they are: a frozen encoder for graphs and linear models."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder
from leaven.learn.standard_series import StandardSeries

__all__ = ["Steps"]

_MOST = 512  # numbers of a series: more say little new, and every distance takes longer
_FEWEST = 8  # places in time, however many channels there are


class Steps(Encoder):
    """Each channel less its mean and by its deviation, the means of `places` equal spans of time.

    What tells series apart that are alike in form, and differ in where and how high they go.
    """

    name = "steps"
    modality = "series"
    summary = "the steps themselves, standardised a channel, at most 512 numbers, frozen"
    ready = True
    spans: Tensor

    def __init__(self, channels: int, length: int, places: int) -> None:
        super().__init__(channels=channels, length=length, places=places)
        self.width = channels * places
        self.standard = StandardSeries(channels)
        self.register_buffer("spans", torch.from_numpy(spans(length, places)), persistent=False)

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """Every step, or as many places as make 512 numbers of all channels."""
        length, channels = spec["length"], spec["channels"]
        places = min(length, max(_FEWEST, _MOST // channels))
        return {"channels": channels, "length": length, "places": places}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """The mean and deviation of each channel."""
        self.standard.learn(arrays, index, seed)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, channels · places), channel after channel; 0 where a series has ended."""
        values, _ = self.standard(batch)
        means: Tensor = values.transpose(1, 2) @ self.spans
        return means.flatten(1)


def spans(length: int, places: int) -> npt.NDArray[np.float32]:
    """(length, places) how much each step counts in the mean of each of so many equal spans.

    >>> spans(4, 2).T.tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    edges = np.linspace(0, length, places + 1)
    step = np.arange(length)[:, None]
    within = np.minimum(step + 1, edges[1:]) - np.maximum(step, edges[:-1])
    shares: npt.NDArray[np.float32] = (within.clip(0) * places / length).astype(np.float32)
    return shares


ENCODERS.add(Steps.name, Steps)
