"""What more labels would buy: a learning curve fitted with its uncertainty, and read ahead.

The family is the inverse power law with an asymptote, error(n) = l + b n^-c (POW3 in Viering & Loog
2021, "The Shape of Learning Curves: a Review"; fitted by weighted least squares to forecast what
annotation brings in Figueroa et al. 2012, "Predicting sample size required for classification
performance"). A single best fit is sure of itself where few points allow many curves, so here all
curves of a grid are weighed by how well they agree with the points and by a prior, and what they
say ahead is averaged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaven.evaluate.intervals import Estimate

__all__ = ["Forecast", "forecast"]

Floats = npt.NDArray[np.float64]

#: Exponents weighed, and the middle and width of their prior in logarithms: around that of a mean,
#: a half.
_EXPONENTS = np.geomspace(0.08, 2.0, 24)
_EXPONENT, _EXPONENT_WIDTH = 0.5, 0.7
#: The error that no label removes, as a share of the error now.
_FLOORS = np.linspace(0.0, 1.0, 33)
_ERRORS = 81  # values of the error now
_FAR = 4.5  # of their standard deviations, on either side of the last point
#: How far a true curve strays from the family, for each doubling that it is away from now; as a
#: share of the standard deviation of one answer.
_STRAYS = 0.04
#: The least variance of a model's accuracy by which records taught it, as a share of that of one
#: answer over the number of labels. Measured, it is often nought by chance where labels are few.
_LUCK = 0.5
_DRAWS, _DRAWN = 20_000, 4_000  # curves drawn, and those that make the band


@dataclass(frozen=True)
class Forecast:
    """Accuracy now and with `ahead` more labels, their difference, and the curve (size, estimate).

    Each has a 95 % interval; its `n` is the number of records that the points were judged on.
    `gain` is what one will see, luck with the records drawn included; `expected` is its mean over
    such draws.
    """

    now: Estimate
    then: Estimate
    gain: Estimate
    expected: Estimate
    curve: list[tuple[int, Estimate]]


def forecast(
    sizes: Floats, errors: Floats, covariance: Floats, labelled: int, ahead: int, judged: int,
    luck: float = 0.0, seed: int = 0,
) -> Forecast:  # fmt: skip
    """Read a learning curve at `labelled` and at `labelled + ahead` labels.

    `sizes` (s,) and `errors` (s,) are its points, `covariance` (s, s) that of the errors, and
    `luck` the standard deviation of the error of a model taught by `labelled` records, from one
    draw of these records to another: the interval is of this model, not of the mean of such.

    >>> sizes = np.array([10.0, 20, 40, 80])
    >>> told = forecast(sizes, 0.1 + sizes**-0.5, np.eye(4) * 1e-6, 100, 50, 1000)
    >>> bool(told.gain.low < 0.018 < told.gain.high), round(told.now.value, 2)
    (True, 0.8)
    """
    # Of no error in n records as of half a one: that they are all right is not known.
    typical = min(max(errors[-1], 0.5 / judged), 1 - 0.5 / judged)
    strays = _STRAYS * math.sqrt(typical * (1 - typical))
    grid, weights = _weighed(sizes, errors, covariance, labelled, strays)
    rng = np.random.default_rng(seed)
    drawn = grid[rng.choice(len(grid), _DRAWS, p=weights)]
    to, normal = labelled + ahead, rng.standard_normal((3, _DRAWS))
    now, then = _read(drawn, labelled, labelled), _read(drawn, labelled, to)
    # A curve that strays may rise more steeply or less, but never so far that it falls.
    strayed = strays * math.log2(to / labelled) * normal[0]
    expected = np.abs(now - then + strayed)
    luck = max(luck, math.sqrt(_LUCK * typical * (1 - typical) / labelled))
    kept = labelled / to  # of the records that teach then, the share that teaches now
    lucky = luck * normal[1]
    lucky_then = kept * lucky + luck * math.sqrt(kept * (1 - kept)) * normal[2]
    accuracy, gain = 1 - now + lucky, expected + lucky_then - lucky
    curve = [
        (int(size), _estimate(1 - _read(drawn[:_DRAWN], labelled, size), judged))
        for size in np.unique(np.round(np.geomspace(sizes[0], to, 40)))
    ]
    return Forecast(
        _estimate(accuracy, judged),
        _estimate(accuracy + gain, judged),
        _estimate(gain, judged, -1),
        _estimate(expected, judged),
        curve,
    )


def _weighed(
    sizes: Floats, errors: Floats, covariance: Floats, labelled: int, strays: float
) -> tuple[Floats, Floats]:
    """(g, 3) curves as error now, floor as a share of it and exponent; (g,) their weights.

    A true curve strays from the family by `strays` for each doubling that it is away from now.
    """
    away = np.log2(labelled / sizes)
    noise = covariance + np.diag((strays * away) ** 2 + 1e-8)
    width = np.sqrt(noise[-1, -1] + (0.5 * errors[-1] * (1 - (sizes[-1] / labelled))) ** 2)
    low, high = errors[-1] - _FAR * width, errors[-1] + _FAR * width
    nows = np.linspace(max(low, 1e-4), min(high, 1.0), _ERRORS)
    grid = np.stack(np.meshgrid(nows, _FLOORS, _EXPONENTS, indexing="ij"), -1).reshape(-1, 3)
    missed = np.stack([_read(grid, labelled, size) for size in sizes], 1) - errors
    fits = -0.5 * np.einsum("gs,st,gt->g", missed, np.linalg.inv(noise), missed)
    prior = -0.5 * (np.log(grid[:, 2] / _EXPONENT) / _EXPONENT_WIDTH) ** 2
    weights = np.exp(fits + prior - (fits + prior).max())
    return grid, weights / weights.sum()


def _read(grid: Floats, labelled: int, size: float) -> Floats:
    """(g,) the error of each curve at a number of labels, a share."""
    now, floor, exponent = grid.T
    said: Floats = now * (floor + (1 - floor) * (size / labelled) ** -exponent)
    return np.minimum(said, 1.0)


def _estimate(drawn: Floats, judged: int, least: float = 0.0) -> Estimate:
    low, middle, high = np.clip(np.quantile(drawn, [0.025, 0.5, 0.975]), least, 1.0)
    return Estimate(float(middle), float(low), float(high), judged)
