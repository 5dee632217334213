"""The one number that makes a model as sure of itself as it is right.

Source: temperature scaling, Guo et al., "On Calibration of Modern Neural Networks", ICML 2017,
section 4.2.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from leaven.core.errors import SettingError
from leaven.learn.predictions import Floats, check_targets

__all__ = ["HIGHEST", "LOWEST", "apply", "check_logits", "fit_temperature"]

LOWEST, HIGHEST = 0.05, 20.0
#: Spread of log T before any record is seen: T lies in 0.37 to 2.7 with 95 %.
_PRIOR_SPREAD = 0.5


def fit_temperature(logits: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """The temperature T in [0.05, 20] that makes softmax(logits / T) most likely.

    Minimises the summed negative log-likelihood plus a weak log-normal prior on T around 1
    (log T ~ N(0, 0.5²)): a handful of records, all of them right, would otherwise ask for
    boundless confidence. A few hundred records outweigh the prior.

    Parameters
    ----------
    logits : (n, k) scores before the softmax; log-probabilities serve as well.
    targets : (n,) class positions. These records must not be those that are reported on.

    Returns 1.0 where nothing can be learned (no records, one class). Raises SettingError for
    logits that are not finite.

    >>> round(fit_temperature([[0.0, 0.0]] * 5, [0, 1, 0, 1, 1]), 3)
    1.0
    """
    z = check_logits(logits)
    y = check_targets(targets, *z.shape)
    if not len(y) or z.shape[1] < 2:
        return 1.0
    rows = np.arange(len(y))

    def cost(log_t: float) -> float:
        likelihood = log_softmax(z / math.exp(log_t), axis=1)[rows, y].sum()
        return float(-likelihood + log_t**2 / (2 * _PRIOR_SPREAD**2))

    # The prior may add a second valley, so a coarse grid (which holds T = 1) finds the deeper.
    grid = np.concatenate(
        [np.linspace(math.log(LOWEST), 0, 9), np.linspace(0, math.log(HIGHEST), 9)[1:]]
    )
    best = int(np.argmin([cost(float(t)) for t in grid]))
    bounds = (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)]))
    found = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    return math.exp(float(found.x))


def apply(logits: npt.ArrayLike, temperature: float) -> Floats:
    """softmax(logits / temperature), (n, k). The predicted class never changes.

    >>> apply([[2.0, 0.0]], 2.0).round(3)
    array([[0.731, 0.269]])
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise SettingError("temperature", "a number above 0", temperature)
    return np.asarray(softmax(check_logits(logits) / temperature, axis=1), dtype=np.float64)


def check_logits(logits: npt.ArrayLike) -> Floats:
    """(n, k) finite float64."""
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim != 2 or z.shape[1] < 1:
        raise SettingError("logits", "an array of shape (records, classes)", z.shape)
    if not np.isfinite(z).all():
        raise SettingError("logits", "finite numbers", "NaN or infinity", "Clip the scores first.")
    return z
