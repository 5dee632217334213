"""How the learning rate moves over a training."""

from __future__ import annotations

import math

from leaven.core.recipe import Training

__all__ = ["rate_factor"]

#: `staged`: a tenth of the rate from each of these shares of the training on.
_STAGES = (0.5, 0.75)


def rate_factor(step: int, total: int, training: Training) -> float:
    """The factor on the peak rate at a step: a linear warm-up, then the schedule.

    `cosine` falls to zero along a half wave, in `restarts` equal cycles (Loshchilov & Hutter 2017,
    arXiv:1608.03983, section 3, without growing cycles); `staged` has a tenth of the rate from a
    half of the steps on, and a hundredth from three quarters (He et al. 2016, section 4.2);
    `constant` stays.

    >>> staged = Training(schedule="staged", warm_up=0)
    >>> [rate_factor(step, 100, staged) for step in (0, 49, 50, 75)]
    [1.0, 1.0, 0.1, 0.01]
    >>> twice = Training(restarts=2, warm_up=0)
    >>> [round(rate_factor(step, 101, twice), 2) for step in (1, 26, 50, 51, 76)]
    [1.0, 0.5, 0.0, 1.0, 0.5]
    """
    start = max(int(total * training.warm_up), 1)
    if step < start:
        return (step + 1) / start
    if training.schedule == "constant":
        return 1.0
    if training.schedule == "staged":
        return float(10.0 ** -sum(step >= share * total for share in _STAGES))
    done = (step - start) / max(total - start, 1) * training.restarts
    return 0.5 * (1 + math.cos(math.pi * (done - int(done))))
