"""Labels as scikit-learn's users write them: which are missing, and the classes as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

__all__ = ["read_labels", "unlabelled"]


def read_labels(y: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """The classes (k,), sorted, and each record's place among them (n,), -1 where unlabelled.

    Raises ValueError where nothing has a label, and for labels that are measurements or of
    several kinds.

    >>> read_labels(["b", "a", None, "b"])
    (array(['a', 'b'], dtype=object), array([ 1,  0, -1,  1]))
    >>> read_labels([3, -1, 5])
    (array([3, 5]), array([ 0, -1,  1]))
    """
    values = _column(y)
    known = ~unlabelled(values)
    if not known.any():
        raise ValueError(
            "y has no label: every value is -1, None, NaN or empty, which means unlabelled. "
            "Give labels to some records of each class; without any, this is clustering."
        )
    named = values[known]
    if named.dtype.kind == "O" and not all(isinstance(one, str) for one in named):
        if any(isinstance(one, str) for one in named):
            raise ValueError("y must hold words or numbers. Got both of them as labels.")
        named = np.asarray(named.tolist())
    if named.dtype.kind == "f" and not np.isfinite(named).all():
        raise ValueError(
            f"Input y contains infinity or a value too large for dtype('{named.dtype}')."
        )
    check_classification_targets(named)
    classes, places = np.unique(named, return_inverse=True)
    targets = np.full(len(values), -1, np.int64)
    targets[known] = places
    return classes, targets


def unlabelled(y: Any) -> npt.NDArray[np.bool_]:
    """(n,) whether each label is missing.

    In numbers -1 and NaN. In words and mixtures -1, None, NaN, pandas.NA, "" and "-1": NumPy
    turns ["a", -1] into words, so a class cannot be named "-1".

    >>> unlabelled(["a", -1, None, float("nan"), ""]).tolist()
    [False, True, True, True, True]
    >>> unlabelled(np.array(["a", -1])).tolist()
    [False, True]
    """
    values = _column(y)
    if values.dtype.kind == "O":
        return np.array([_is_missing(value) for value in values.tolist()], bool)
    if values.dtype.kind in "US":
        absent = np.array(["", "-1"], values.dtype.kind)
        return np.asarray(np.isin(values, absent))
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values) | (values == -1))
    if values.dtype.kind == "i":
        return np.asarray(values == -1)
    return np.zeros(len(values), bool)


def _column(y: Any) -> npt.NDArray[Any]:
    """(n,) values; of a list with words in it each value as it is."""
    words = isinstance(y, list | tuple) and [isinstance(value, str) for value in y]
    if words and any(words) and not all(words):
        mixed = np.empty(len(y), object)
        mixed[:] = y
        return mixed
    values: npt.NDArray[Any] = column_or_1d(y, warn=True)
    return values


def _is_missing(value: Any) -> bool:
    if value is None or (isinstance(value, str) and value in ("", "-1")):
        return True
    try:
        return bool(value != value) or (not isinstance(value, str | bool) and value == -1)
    except TypeError:  # pandas.NA is neither true nor false
        return True
