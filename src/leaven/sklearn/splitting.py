"""Model selection where most labels are missing: folds of labelled records, scores on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import check_scoring
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import _safe_indexing

from leaven.sklearn.labels import read_labels, unlabelled

__all__ = ["LabelledKFold", "labelled_scorer"]

Places = npt.NDArray[np.int64]


class LabelledKFold(StratifiedKFold):  # type: ignore[misc]  # scikit-learn ships no types
    """Stratified folds of the labelled records; the unlabelled ones are in every training part.

    scikit-learn's own splitters take -1 for a class: they put unlabelled records into the parts
    that judge, where any answer is wrong, and take them from those that teach.

    Parameters
    ----------
    n_splits : how many folds; the most frequent class needs as many labels.
    shuffle, random_state : as for scikit-learn's StratifiedKFold.

    >>> y = [0, 0, 1, 1, -1, -1]
    >>> for train, test in LabelledKFold(n_splits=2).split(y, y):
    ...     print(train, test)
    [1 3 4 5] [0 2]
    [0 2 4 5] [1 3]
    """

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[Places, Places]]:
        """Yield the places of the records of training and of test, fold by fold."""
        _, targets = read_labels(y)
        known, others = np.flatnonzero(targets >= 0), np.flatnonzero(targets < 0)
        for train, test in super().split(np.zeros((len(known), 1)), targets[known]):
            yield np.sort(np.concatenate([known[train], others])), known[test]


def labelled_scorer(scoring: str | Callable[..., Any]) -> Callable[[Any, Any, Any], float]:
    """A scorer that leaves out unlabelled records, for splitters that put them into test folds.

    Parameters
    ----------
    scoring : a name such as "balanced_accuracy", or a scorer.

    The `score` of Leaven's own estimators leaves them out anyway.
    """
    return _LabelledScorer(scoring)


class _LabelledScorer:
    """A class and not a closure, so that it can be sent to other processes."""

    def __init__(self, scoring: str | Callable[..., Any]) -> None:
        self.scoring = scoring

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        known = np.flatnonzero(~unlabelled(y))
        if not len(known):
            raise ValueError("No record to score on: every value of y means unlabelled.")
        # Without the unlabelled ones what is left may be numbers in an array of objects.
        classes, targets = read_labels(_safe_indexing(y, known))
        scorer = check_scoring(estimator, scoring=self.scoring)
        return float(scorer(estimator, _safe_indexing(X, known), classes[targets]))

    def __repr__(self) -> str:
        return f"labelled_scorer({self.scoring!r})"
