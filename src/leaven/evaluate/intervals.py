"""Figures with their uncertainty: Wilson intervals and the bootstrap."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from leaven.learn.predictions import Floats

__all__ = ["Estimate", "percentiles", "resampled_sums", "wilson"]

_Z95 = 1.959963984540054
#: Cells of one block of resamples: 8 MB of counts, whatever the number of records.
_BLOCK_CELLS = 1_000_000


@dataclass(frozen=True)
class Estimate:
    """A figure, the ends of its 95 % interval, and the records it was measured on."""

    value: float
    low: float
    high: float
    n: int


def wilson(successes: npt.ArrayLike, trials: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Ends of the 95 % Wilson score interval of a share (Wilson 1927), elementwise.

    Unlike the bootstrap it has a width when all or none succeed; no trials give 0 and 1.

    >>> low, high = wilson(8, 10)
    >>> round(float(low), 3), round(float(high), 3)
    (0.49, 0.943)
    """
    n = np.asarray(trials, dtype=np.float64)
    safe = np.maximum(n, 1)
    won = np.asarray(successes, dtype=np.float64)
    share = won / safe
    scale = 1 + _Z95**2 / safe
    centre = (share + _Z95**2 / (2 * safe)) / scale
    half = _Z95 * np.sqrt(share * (1 - share) / safe + _Z95**2 / (4 * safe**2)) / scale
    # At both ends the formula gives 0 and 1 but for rounding, which must not exclude the share.
    return np.where(won > 0, centre - half, 0.0), np.where(won < n, centre + half, 1.0)


def resampled_sums(
    *columns: Floats | sparse.csr_array, seed: int = 0, resamples: int = 1000
) -> list[Floats]:
    """Column sums of each (n, m) matrix over bootstrap resamples of its rows: (resamples, m).

    All matrices see the same resamples. A resample is the row of counts that says how often
    each record was drawn, so a sum is a matrix product; blocks of resamples bound the memory.
    """
    n = columns[0].shape[0]
    rng = np.random.default_rng(seed)
    flipped = [sparse.csr_array(c.T) if sparse.issparse(c) else c for c in columns]
    blocks: list[list[Floats]] = [[] for _ in columns]
    size = max(1, _BLOCK_CELLS // max(n, 1))
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = rng.integers(n, size=(rows, n)) + np.arange(rows)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(float)
        for matrix, sums in zip(flipped, blocks, strict=True):
            product = (matrix @ counts.T).T if sparse.issparse(matrix) else counts @ matrix
            sums.append(np.asarray(product, dtype=np.float64))
    return [np.concatenate(sums) for sums in blocks]


def percentiles(value: float, resampled: Floats, n: int) -> Estimate:
    """The 95 % percentile interval (Efron 1979) around `value`; undefined resamples are left out.

    Where the bootstrap is biased (a calibration error grows by resampling) the interval is
    widened until it holds the value.
    """
    defined = resampled[np.isfinite(resampled)]
    if not len(defined) or not math.isfinite(value):
        return Estimate(value, value, value, n)
    low, high = (float(q) for q in np.quantile(defined, [0.025, 0.975]))
    return Estimate(value, min(low, value), max(high, value), n)
