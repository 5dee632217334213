"""What every figure is computed from: probabilities and the true classes, checked once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError

__all__ = ["Floats", "Ints", "check_predictions", "check_targets"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def check_targets(targets: npt.ArrayLike, records: int, classes: int) -> Ints:
    """(n,) class positions in [0, classes); raises SettingError for any other number."""
    y = np.asarray(targets)
    if y.shape != (records,):
        raise SettingError("targets", f"{records} class positions, one a record", y.shape)
    if not records:
        return y.astype(np.int64)
    if y.dtype.kind not in "iu":
        raise SettingError("targets", "whole numbers (class positions)", str(y.dtype))
    if y.min() < 0 or y.max() >= classes:
        outside = int(y.min()) if y.min() < 0 else int(y.max())
        raise SettingError(
            "targets",
            f"class positions from 0 to {classes - 1}",
            outside,
            "Leave out unlabelled records (-1): nothing can be measured on them.",
        )
    return y.astype(np.int64)


def check_predictions(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> tuple[Floats, Ints]:
    """Probabilities (n, k) whose rows sum to 1 and targets (n,), as float64 and int64.

    Raises SettingError for other shapes, for NaN, and for rows that are no distribution.

    >>> p, y = check_predictions([[0.2, 0.8]], [1])
    >>> p.dtype, y.dtype
    (dtype('float64'), dtype('int64'))
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] < 1:
        raise SettingError("probabilities", "an array of shape (records, classes)", p.shape)
    # A comparison with NaN is false, so this also finds what is not a number.
    if not (np.all(p >= -1e-6) and np.all(np.abs(p.sum(axis=1) - 1) <= 1e-3)):
        raise SettingError(
            "probabilities",
            "rows of shares that sum to 1",
            "a row that does not, or holds NaN",
            "Apply a softmax to logits first.",
        )
    return p, check_targets(targets, *p.shape)
