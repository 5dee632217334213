"""A series in its one form, and read at even places; see `data/series.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["at_places", "parsed", "tidied"]

Values = npt.NDArray[np.float64]


def tidied(values: npt.ArrayLike) -> Values:
    """(channels, steps) of a series in its one form; without steps where nothing was measured.

    >>> tidied([[1, float("inf"), 3, float("nan")]])
    array([[ 1., nan,  3.]])
    """
    found = np.array(values, dtype=np.float64, ndmin=2) + 0.0  # minus zero is zero
    found[~np.isfinite(found)] = np.nan
    measured = np.flatnonzero(~np.isnan(found).all(0))
    return found[:, : measured[-1] + 1 if len(measured) else 0]


def parsed(value: Any) -> Values:
    """(channels, steps) of a list of numbers, or of a list of such lists, one a channel.

    Shorter channels are filled up with missing values. Raises ValueError for anything else.

    >>> parsed([[1, 2], [3]])
    array([[ 1.,  2.],
           [ 3., nan]])
    """
    if not isinstance(value, list):
        raise ValueError("no list of numbers")
    channels = value if any(isinstance(part, list) for part in value) else [value]
    try:
        rows = [np.array(c if c is not None else [], dtype=np.float64) for c in channels]
    except TypeError as error:
        raise ValueError(str(error)) from None
    if any(row.ndim != 1 for row in rows):
        raise ValueError("lists within lists within lists")
    filled = np.full((len(rows), max((len(row) for row in rows), default=0)), np.nan)
    for place, row in enumerate(rows):
        filled[place, : len(row)] = row
    return tidied(filled)


def at_places(row: Values, steps: int) -> tuple[Values, npt.NDArray[np.bool_]]:
    """(steps,) values of a channel at even places, and whether they were measured."""
    known = np.flatnonzero(~np.isnan(row))
    if not len(known):
        return np.zeros(steps), np.zeros(steps, bool)
    places = np.linspace(0, len(row) - 1, steps)
    if len(known) == len(row) == steps:
        return row, np.ones(steps, bool)
    read = np.interp(places, known, row[known], left=0.0, right=0.0)
    return read, ~np.isnan(row[np.rint(places).astype(np.int64)])
