"""Classes of given sizes: how far the scores of each must be moved."""

from __future__ import annotations

import numpy as np

from leaven.learn.graphs.solve import Floats

__all__ = ["offsets"]

_SWEEPS = 30
_NEAR = 1e-3  # share of the records by which a class may miss its size


def offsets(scores: Floats, shares: Floats, start: Floats | None = None) -> Floats:
    """(c,) o, so that `argmax(scores + o)` names class j for `shares[j]` of the records.

    The dual of assigning records to classes of given sizes at the largest sum of scores (Jacobs,
    Merkurjev & Esedoglu 2018, section 3), by coordinates: class after class gets the offset under
    which it wins just its number, until no class misses by more than 0.1 % of the records (or one).
    Equal rows cannot be told apart, and -inf in `scores` bars a class: then sizes may be missed.
    """
    moved = np.zeros(len(shares)) if start is None else start.copy()
    if len(shares) < 2 or not len(scores):
        return moved
    sizes = np.rint(shares * len(scores)).astype(int)
    for _ in range(_SWEEPS):
        found = np.bincount((scores + moved).argmax(1), minlength=len(shares))
        if np.abs(found - sizes).max() <= max(_NEAR * len(scores), 1):
            break
        for one in range(len(shares)):
            rivals = np.delete(scores, one, 1) + np.delete(moved, one)
            with np.errstate(invalid="ignore"):  # barred for this class and all others: no rival
                needed = rivals.max(1) - scores[:, one]
            moved[one] = _between(np.where(np.isnan(needed), np.inf, needed), sizes[one])
    moved -= moved.mean()
    return moved


def _between(needed: Floats, size: int) -> float:
    """A number above the `size` smallest of `needed` and below the others."""
    size = min(max(size, 0), len(needed))
    finite = needed[np.isfinite(needed)]
    span = float(np.ptp(finite)) + 1.0 if len(finite) else 1.0
    ordered = np.partition(needed, [max(size - 1, 0), min(size, len(needed) - 1)])
    below = ordered[size - 1] if size else -np.inf
    above = ordered[size] if size < len(needed) else np.inf
    if np.isfinite(below) and np.isfinite(above):
        return float((below + above) / 2)
    if np.isfinite(below):
        return float(below + span)
    return float(above - span) if np.isfinite(above) else 0.0
