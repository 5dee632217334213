"""Series: scaled in time for a network, which is traced; or aeon's kernels."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leaven.learn.aeon_rockets import AeonRocket
from leaven.learn.extractor import open_extractor
from leaven.learn.extractors.series import Loaded, SeriesEncoder, features
from leaven.operate.export import aeon_rockets
from leaven.operate.export.encoder_kinds import Entered
from leaven.operate.export.extractor_kinds import EXTRACTOR_GRAPHS, Elsewhere, Inputs
from leaven.operate.export.graph import Value
from leaven.operate.export.traced import traced

__all__ = ["Forecasters", "Rockets"]

_TOGETHER = 16  # series that are asked at once: more fill the memory and gain nothing on a core
_ALONE = ("timesfm",)  # families whose code cannot be traced for any number of series


class _OfSeries(Elsewhere):
    """What both kinds are asked about."""

    @property
    def _together(self) -> int:
        return _TOGETHER

    def reading(self) -> dict[str, Any]:
        """Nothing but how many are asked at once."""
        return {"together": self._together}

    def inputs(self) -> Inputs:
        """Values, and where there are some."""
        spec = self.front.spec
        shape: list[int | str] = ["n", spec["length"], spec["channels"]]
        if self._together == 1:
            shape[0] = 1
        return {"values": (np.float32, shape), "there": (np.uint8, shape)}

    def made(self, count: int, rng: np.random.Generator) -> list[Any]:
        """Random walks of all lengths but one step: of that some networks scale up the rounding."""
        most, channels = self.front.spec["length"], self.front.spec["channels"]
        lengths = rng.integers(min(2, most), most + 1, count)
        return [rng.normal(size=(channels, long)).cumsum(1).tolist() for long in lengths]


class Forecasters(_OfSeries):
    """A network of the Hugging Face family: the mean of its states over time."""

    @cached_property
    def loaded(self) -> Loaded:
        """The network, and how many steps and channels it reads."""
        encoder = open_extractor(self.front.extractor or {})
        assert isinstance(encoder, SeriesEncoder)
        return encoder.loaded

    @property
    def _together(self) -> int:
        return 1 if self.loaded.model.config.model_type in _ALONE else _TOGETHER

    def extracted(self, arrays: Entered) -> Entered:
        """Its features of the series, channel beside channel."""
        loaded, alone = self.loaded, self._together == 1
        scaled = _scaled(arrays["values"], arrays["there"], loaded.steps)
        shape = (1 if alone else 2, loaded.steps, self.front.spec["channels"])
        example = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        found = traced(
            scaled.graph, _Network(loaded), {"values": scaled}, {"values": example},
            {"values": {} if alone else {0: "n"}}, str((self.front.extractor or {})["name"]),
        )  # fmt: skip
        return {"features": found}


class Rockets(_OfSeries):
    """One of aeon's ROCKET family."""

    def inputs(self) -> Inputs:
        """Values, which are 0 where there are none."""
        return {"values": super().inputs()["values"]}

    def extracted(self, arrays: Entered) -> Entered:
        """Its features."""
        encoder = AeonRocket(self.front.extractor or {})
        return {"features": aeon_rockets.features(arrays["values"], encoder)}


class _Network(nn.Module):
    """From series to features."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__()
        self.model, self._channels = loaded.model, loaded.channels

    def forward(self, values: Tensor) -> Tensor:
        """(n, width · c) of (n, steps, c)."""
        return features(self.model, values, self._channels)


def _scaled(values: Value, there: Value, steps: int) -> Value:
    """(n, steps, c) of series (n, length, c): from their first step to the last that is measured.

    On a line between neighbours, as torch interpolates where ends lie on ends.
    """
    graph, length = values.graph, int(values.shape[1])
    measured = there.cast(np.float32).max(2) * np.arange(length, dtype=np.float32)
    last = measured.max(1, keep=True)  # (n, 1)
    places = last / float(max(steps - 1, 1)) * np.arange(steps, dtype=np.float32)
    low = graph.op("Min", places.apply("Floor"), last)
    share = (places - low).clip(0.0, 1.0).unsqueeze(2)
    high = graph.op("Min", low + np.float32(1), last)
    first, second = (
        graph.op("GatherND", values, place.cast(np.int64).unsqueeze(2), batch_dims=1)
        for place in (low, high)
    )
    return first * (share * -1.0 + 1.0) + second * share


EXTRACTOR_GRAPHS.add(SeriesEncoder.__name__, Forecasters)
EXTRACTOR_GRAPHS.add(AeonRocket.__name__, Rockets)
