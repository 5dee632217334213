"""Views of series: values and where they were measured, both (n, steps, channels).

Every operation says `draw(series, rng)` and `apply(series, drawn)`; `apply` is a pure function.
Operations on time give each record a place to read from for each of its steps, between 0 and its
last step, so that what lies beyond a shorter record's end stays there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from leaven.data.views.draws import uniform

__all__ = [
    "Crop",
    "Hide",
    "Jitter",
    "MagnitudeWarp",
    "Permute",
    "Scale",
    "Series",
    "Shift",
    "TimeWarp",
    "Window",
    "WindowWarp",
    "lengths",
    "read_at",
]


class Series(NamedTuple):
    """`values` float32 and `there` uint8, 1 where a value was measured."""

    values: Tensor
    there: Tensor


def lengths(there: Tensor) -> Tensor:
    """(n,) steps up to the last at which anything was measured, at least 1.

    >>> lengths(torch.tensor([[[1], [0], [1], [0]]], dtype=torch.uint8))
    tensor([3])
    """
    steps = torch.arange(1, there.shape[1] + 1, device=there.device)
    return (there.amax(2) * steps).amax(1).clamp_min(1)


def read_at(series: Series, places: Tensor) -> Series:
    """The series read at `places` (n, steps), fractions between two steps.

    A value is there where the nearer step's is.
    """
    below = places.floor().long().clamp_(0, series.values.shape[1] - 1)
    above = (below + 1).clamp_(max=series.values.shape[1] - 1)
    share = (places - below)[..., None]
    nearer = torch.where(share[..., 0] < 0.5, below, above)
    channels = series.values.shape[2]

    def taken(of: Tensor, at: Tensor) -> Tensor:
        return of.gather(1, at[..., None].expand(-1, -1, channels))

    low, high = taken(series.values, below), taken(series.values, above)
    return Series(torch.lerp(low, high, share.to(low.dtype)), taken(series.there, nearer))


class _InTime(ABC):
    """An operation that reads each record elsewhere: `draw` gives the places (n, steps)."""

    @abstractmethod
    def draw(self, series: Series, rng: torch.Generator) -> Tensor:
        """(n, steps) places to read from."""

    def apply(self, series: Series, drawn: Tensor) -> Series:
        """The series read at these places; beyond a record's end all stays as it is."""
        steps = torch.arange(series.values.shape[1], device=drawn.device)
        last = lengths(series.there)[:, None] - 1
        within = steps <= last
        places = torch.where(within, torch.minimum(drawn.clamp_min(0), last), steps)
        return read_at(series, places)

    def __call__(self, series: Series, rng: torch.Generator) -> Series:
        """Draw and apply."""
        return self.apply(series, self.draw(series, rng))


@dataclass(frozen=True)
class Shift(_InTime):
    """Move a record by up to `share` of its length either way; its ends are held."""

    share: float

    def draw(self, series: Series, rng: torch.Generator) -> Tensor:
        """(n, steps) places, all moved alike."""
        steps, size = _steps(series), lengths(series.there)[:, None]
        return steps + (uniform((len(size), 1), rng, -self.share, self.share) * size).round()


@dataclass(frozen=True)
class TimeWarp(_InTime):
    """Run through a record at a speed that changes smoothly between `knots` speeds.

    The logarithms of the speeds are normal with deviation `strength` (Um et al. 2017,
    arXiv:1706.00527); the ends stay where they are.
    """

    knots: int
    strength: float

    def draw(self, series: Series, rng: torch.Generator) -> Tensor:
        """(n, steps) places."""
        return _run((self.strength * _curve(series, self.knots, rng)).exp(), series)


@dataclass(frozen=True)
class WindowWarp(_InTime):
    """Run through one window, `share` of a record, at a speed drawn from [1/most, most).

    Le Guennec, Malinowski & Tavenard 2016, Data augmentation for time series classification.
    """

    share: float
    most: float

    def draw(self, series: Series, rng: torch.Generator) -> Tensor:
        """(n, steps) places."""
        bound = torch.tensor(self.most).log().item()
        speed = uniform((len(series.values), 1), rng, -bound, bound).exp()
        inside = _span(series, uniform((len(series.values), 1), rng), self.share)
        return _run(torch.where(inside, speed, 1.0), series)


@dataclass(frozen=True)
class Permute(_InTime):
    """Cut a record into 1 to `most` equal segments and put these into another order (ibid.)."""

    most: int

    def draw(self, series: Series, rng: torch.Generator) -> Tensor:
        """(n, steps) places; as many segments as are drawn for the record, 1 leaves it."""
        n = len(series.values)
        count = (1 + (uniform((n, 1), rng) * self.most).long()).clamp_(max=self.most)
        keys = uniform((n, self.most), rng)
        keys = keys + 2.0 * (torch.arange(self.most, device=rng.device) >= count)  # unused: last
        order = keys.argsort(1)
        size = torch.div(lengths(series.there)[:, None], count, rounding_mode="floor").clamp_min(1)
        steps = _steps(series).long()
        segment = torch.div(steps, size, rounding_mode="floor")
        moved = order.gather(1, segment.clamp(max=self.most - 1)) * size + steps % size
        return torch.where(segment < count, moved, steps).float()


@dataclass(frozen=True)
class Crop:
    """Keep a span of `low` to `high` of a record, moved to its beginning; the rest is gone."""

    low: float
    high: float

    def __call__(self, series: Series, rng: torch.Generator) -> Series:
        """Draw a share and a beginning a record, and cut."""
        n, size = len(series.values), lengths(series.there)[:, None]
        kept = (uniform((n, 1), rng, self.low, self.high) * size).ceil().clamp_min(1)
        start = (uniform((n, 1), rng) * (size - kept + 1)).floor()
        steps = _steps(series)
        found = read_at(series, (steps + start).clamp(max=series.values.shape[1] - 1))
        inside = (steps < kept)[..., None]
        return Series(found.values * inside, found.there * inside)


@dataclass(frozen=True)
class Window:
    """One window of `steps` steps a record, anywhere within it; a shorter record from its start."""

    steps: int

    def __call__(self, series: Series, rng: torch.Generator) -> Series:
        """(n, steps, channels)."""
        room = (lengths(series.there)[:, None] - self.steps).clamp_min(0)
        start = (uniform((len(room), 1), rng) * (room + 1)).floor()
        places = start + torch.arange(self.steps, device=rng.device)
        return read_at(series, places.clamp(max=series.values.shape[1] - 1))


@dataclass(frozen=True)
class Hide:
    """Hide one span, `low` to `high` of a record: the value before it is held, and flagged."""

    low: float
    high: float

    def __call__(self, series: Series, rng: torch.Generator) -> Series:
        """Draw a share and a beginning a record, and hide."""
        n = len(series.values)
        share = uniform((n, 1), rng, self.low, self.high)
        inside = _span(series, uniform((n, 1), rng), share)
        steps = torch.arange(series.values.shape[1], device=rng.device)
        first = torch.where(inside, steps, series.values.shape[1]).amin(1, keepdim=True)
        found = read_at(series, torch.where(inside, (first - 1).clamp_min(0), steps).float())
        return Series(found.values, series.there * ~inside[..., None])


@dataclass(frozen=True)
class Scale:
    """Multiply each channel by a factor from [low, high), drawn a record and channel."""

    low: float
    high: float

    def __call__(self, series: Series, rng: torch.Generator) -> Series:
        """Draw and apply."""
        n, _, channels = series.values.shape
        return series._replace(
            values=series.values * uniform((n, 1, channels), rng, self.low, self.high)
        )


@dataclass(frozen=True)
class MagnitudeWarp:
    """Multiply by a factor that changes smoothly between `knots` factors about 1.

    These are normal with deviation `strength`, the same for all channels (Um et al. 2017).
    """

    knots: int
    strength: float

    def __call__(self, series: Series, rng: torch.Generator) -> Series:
        """Draw and apply."""
        factor = 1 + self.strength * _curve(series, self.knots, rng)
        return series._replace(values=series.values * factor[..., None])


@dataclass(frozen=True)
class Jitter:
    """Add normal noise, `low` to `high` of each channel's own deviation, where there are values."""

    low: float
    high: float

    def __call__(self, series: Series, rng: torch.Generator) -> Series:
        """Draw and apply."""
        values, there = series
        share = uniform((len(values), 1, 1), rng, self.low, self.high)
        noise = torch.randn(values.shape, generator=rng, device=rng.device)
        count = there.sum(1, keepdim=True).clamp_min(1)
        mean = (values * there).sum(1, keepdim=True) / count
        spread = (((values - mean) * there).square().sum(1, keepdim=True) / count).sqrt()
        return series._replace(values=values + share * spread * noise * there)


def _steps(series: Series) -> Tensor:
    """(n, steps) 0, 1, 2, …"""
    n, steps, _ = series.values.shape
    return torch.arange(steps, device=series.values.device).float().expand(n, steps)


def _span(series: Series, where: Tensor, share: Tensor | float) -> Tensor:
    """(n, steps) true within a span of this share of each record, placed by `where` in [0, 1)."""
    size = lengths(series.there)[:, None]
    width = (share * size).round().clamp_min(1)
    start = (where * (size - width + 1)).floor()
    steps = _steps(series)
    return (steps >= start) & (steps < start + width)


def _curve(series: Series, knots: int, rng: torch.Generator) -> Tensor:
    """(n, steps) straight lines between standard normal values at `knots` places."""
    drawn = torch.randn((len(series.values), knots), generator=rng, device=rng.device)
    along = _steps(series) / lengths(series.there)[:, None] * (knots - 1)
    below = along.floor().long().clamp_(0, knots - 2)
    share = (along - below).clamp_(0, 1)
    return torch.lerp(drawn.gather(1, below), drawn.gather(1, below + 1), share)


def _run(speed: Tensor, series: Series) -> Tensor:
    """(n, steps) places of a run at this speed from the first to the last step of each record."""
    last = lengths(series.there)[:, None] - 1
    gone = speed.cumsum(1) - speed[:, :1]
    whole = gone.gather(1, last).clamp_min(1e-6)
    return gone / whole * last
