"""How unsure probabilities are, record by record, in blocks, and how to say it to a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.wording import percent
from leaven.label.asking.pool import Pool, blocks

__all__ = ["by_record", "entropy", "margin", "split"]

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.floating[Any]]


def entropy(p: Numbers) -> Floats:
    """Shannon entropy in nats along the last axis.

    >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).round(3).tolist()
    [0.693, 0.0]
    """
    p = np.maximum(np.asarray(p, np.float64), 0)
    found: Floats = -(p * np.log(np.where(p > 0, p, 1))).sum(-1)
    return np.maximum(found, 0)


def margin(p: Numbers) -> Floats:
    """1 less the gap between the two likeliest classes; 0 where there is one class.

    >>> margin(np.array([[0.6, 0.3, 0.1]])).round(3).tolist()
    [0.7]
    """
    if p.shape[-1] < 2:
        return np.zeros(p.shape[:-1])
    top = np.partition(np.asarray(p, np.float64), p.shape[-1] - 2, axis=-1)
    return 1 - (top[..., -1] - top[..., -2])


def by_record(p: Numbers, measure: Callable[[Numbers], Floats]) -> Floats:
    """(n,) what `measure` says of p (n, k), or of members (m, n, k), in blocks of records."""
    *_, n, k = p.shape
    found = np.empty(n)
    for part in blocks(n, k * (len(p) if p.ndim == 3 else 1)):
        found[part] = measure(p[..., part, :])
    return found


def split(pool: Pool, row: int, p: Numbers | None = None) -> str:
    """The two likeliest classes of a record, or of p (k,), as "41 % ham, 39 % spam"."""
    if p is None:
        assert pool.probabilities is not None
        p = pool.probabilities[row]
    first = np.argsort(-p, kind="stable")[:2]
    return ", ".join(f"{percent(float(p[c]), 0)} {pool.name(int(c))}" for c in first)
