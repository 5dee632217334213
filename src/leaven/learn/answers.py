"""What several people or rules answered about the same records, checked once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError
from leaven.learn.predictions import Floats, Ints

__all__ = ["Rows", "check_answers", "check_known", "counted", "distinct"]

_LARGEST = 2**62


@dataclass(frozen=True)
class Rows:
    """Equal rows taken together: (u, …) different ones, how many of each, and each row's place."""

    rows: Ints
    times: Floats
    place: Ints


def check_answers(answers: npt.ArrayLike, classes: int | None = None) -> tuple[Ints, int]:
    """Answers (n, m) as int64, one column a person, -1 where there is none; and the classes.

    `classes` is the largest position and one, at least 2, where it is not given. Raises
    SettingError for another shape, for what is no whole number, and for positions outside.

    >>> check_answers([[0, 2], [1, -1]])[1]
    3
    """
    given = np.asarray(answers)
    if given.ndim != 2:
        raise SettingError("answers", "an array of shape (records, people)", given.shape)
    if given.size and given.dtype.kind not in "iu":
        raise SettingError("answers", "whole numbers (class positions)", str(given.dtype))
    codes = given.astype(np.int64)
    top = int(codes.max(initial=-1))
    if classes is None:
        classes = max(top + 1, 2)
    if classes < 2:
        raise SettingError("classes", "a number of classes, at least 2", classes)
    if codes.min(initial=-1) < -1 or top >= classes:
        outside = top if top >= classes else int(codes.min())
        raise SettingError("answers", f"-1, or positions from 0 to {classes - 1}", outside)
    return codes, classes


def check_known(targets: npt.ArrayLike | None, records: int, classes: int) -> Ints:
    """(n,) known classes as int64, -1 where none is known; all -1 for None."""
    if targets is None:
        return np.full(records, -1, np.int64)
    known, _ = check_answers(np.asarray(targets)[..., None], classes)
    if known.shape != (records, 1):
        raise SettingError("targets", f"{records} class positions, one a record", len(known))
    return known[:, 0]


def counted(codes: Ints, classes: int) -> Ints:
    """(n, classes) how many answers name each class."""
    n = len(codes)
    which, who = np.nonzero(codes >= 0)
    at = which * classes + codes[which, who]
    return np.bincount(at, minlength=n * classes).reshape(n, classes).astype(np.int64)


def distinct(rows: Ints) -> Rows:
    """Equal rows of (n, q) numbers taken together.

    Votes repeat: whatever is computed of them is computed of each different row once. The rows come
    in order of their first column, then their second, and so on.

    >>> distinct(np.array([[1, 0], [2, 2], [1, 0]])).times
    array([2., 1.])
    """
    n = len(rows)
    key, size = np.zeros(n, np.int64), 1  # one number a row so far, under `size`
    for column in rows.T if n else ():
        least = int(column.min())
        span = int(column.max()) - least + 1
        if size * span > _LARGEST:
            _, key = np.unique(key, return_inverse=True)
            size = n
        key, size = key * span + (column - least), size * span
    _, first, place, times = np.unique(
        key, return_index=True, return_inverse=True, return_counts=True
    )
    return Rows(rows[first], times.astype(np.float64), place.astype(np.int64))
