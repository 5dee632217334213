"""How often a confidence is right, by the records that judged a run, and so how accurate it is now.

An estimate of accuracy without labels takes what the model says of itself (Guillory et al.,
"Predicting with Confidence on Unseen Distributions", ICCV 2021), set right by the judged records:
in bins of about equally many of them, a confidence c is right with chance c + g, where g is the gap
of its bin. The gap is uncertain as a Beta posterior of the bin's share of right answers is. The
interval of the estimate holds that, and that so many records are right a little more or less often
by chance.

It rests on one assumption: that a confidence means what it meant when the run was judged. Records
of other kinds, in another mix, are seen; that labels come to mean something else is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from leaven.core.errors import DataError, SettingError
from leaven.evaluate.intervals import Estimate

__all__ = ["Calibration"]

Floats = npt.NDArray[np.float64]

_Z95 = 1.959963984540054
_PER_BIN, _MOST_BINS = 40, 10
#: Judged records that the model's own word, less the gap of all, counts as in each bin.
_PRIOR = 2.0
_LEAST = 20


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a confidence is worth, by judged records.

    `edges` (bins - 1,) part the confidences; of each bin `gap` (bins,) is what is added to a
    confidence, `error` (bins,) its standard error, and `judged` (n,) are the confidences of the
    judged records.
    """

    edges: Floats
    gap: Floats
    error: Floats
    judged: Floats

    @classmethod
    def of(cls, confidence: npt.ArrayLike, right: npt.ArrayLike) -> Calibration:
        """From judged records: (n,) confidences in [0, 1] and whether each was right.

        Raises DataError for fewer than 20.
        """
        sure, hits = _shares("confidence", confidence), np.asarray(right, np.float64)
        n = len(sure)
        if hits.shape != (n,):
            raise SettingError("right", f"{n} times true or false", hits.shape)
        if n < _LEAST:
            raise DataError(
                f"{n} judged records cannot tell what a confidence is worth: {_LEAST} are needed. "
                "Fit with more labels."
            )
        bins = int(np.clip(n // _PER_BIN, 1, _MOST_BINS))
        edges = np.unique(np.quantile(sure, np.arange(1, bins) / bins))
        place = np.searchsorted(edges, sure, side="right")
        many = np.bincount(place, minlength=len(edges) + 1).astype(np.float64)
        said = np.bincount(place, sure, len(edges) + 1) / np.maximum(many, 1)
        found = np.bincount(place, hits, len(edges) + 1)
        before = np.clip(said + hits.mean() - sure.mean(), 0.01, 0.99)
        a, b = found + _PRIOR * before, many - found + _PRIOR * (1 - before)
        return cls(edges, a / (a + b) - said, np.sqrt(a * b / (a + b + 1)) / (a + b), sure)

    def bins_of(self, confidence: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """(n,) the bin of each confidence."""
        return np.searchsorted(self.edges, np.asarray(confidence), side="right").astype(np.int64)

    def expected(self, confidence: npt.ArrayLike) -> Floats:
        """(n,) with what chance each answer is right."""
        sure = _shares("confidence", confidence)
        return np.asarray(np.clip(sure + self.gap[self.bins_of(sure)], 0, 1), np.float64)

    def estimate(self, confidence: npt.ArrayLike) -> Estimate:
        """The accuracy on records of which none has a label, by their (n,) confidences.

        Raises DataError where there are none.
        """
        sure = _shares("confidence", confidence)
        if not len(sure):
            raise DataError("No record was answered, so there is no accuracy to estimate.")
        chance, n = self.expected(sure), len(sure)
        value, error = float(chance.mean()), self.error * self._shares(sure)
        spread = float(error @ error) + float(chance @ (1 - chance)) / n**2
        return Estimate(value, *_interval(value, spread), n)

    def change(self, confidence: npt.ArrayLike) -> Estimate:
        """The same less what the judged records were: by how much the accuracy has changed.

        The gaps are the same on both sides, so it is known more closely than either accuracy.
        """
        sure = _shares("confidence", confidence)
        now, then = self.expected(sure), self.expected(self.judged)
        value = float(now.mean() - then.mean())
        error = self.error * (self._shares(sure) - self._shares(self.judged))
        wide = _Z95 * math.sqrt(error @ error + now.var() / len(now) + then.var() / len(then))
        return Estimate(value, value - wide, value + wide, len(sure))

    def _shares(self, sure: Floats) -> Floats:
        """(bins,) the share of these confidences in each bin."""
        found = np.bincount(self.bins_of(sure), minlength=len(self.gap)) / len(sure)
        return np.asarray(found, np.float64)


def _interval(mean: float, variance: float) -> tuple[float, float]:
    """The middle 95 % of the Beta distribution of this mean and variance."""
    room = mean * (1 - mean)
    if room <= 0 or variance <= 0:
        return mean, mean
    total = max(room / variance - 1, 1e-3)
    low, high = beta.ppf([0.025, 0.975], mean * total, (1 - mean) * total)
    return float(low), float(high)


def _shares(name: str, given: npt.ArrayLike) -> Floats:
    found = np.asarray(given, np.float64)
    if found.ndim != 1 or not np.all((found >= -1e-9) & (found <= 1 + 1e-6)):
        raise SettingError(name, "a list of numbers from 0 to 1", given)
    return np.clip(found, 0, 1)
