"""Labels that flow along a sparse graph of nearest neighbours."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from sklearn.utils._param_validation import Interval, StrOptions

from leaven.learn.classic import (
    label_propagation,
    label_spreading,
    laplace_learning,
    poisson_learning,
)
from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.encoder import sample
from leaven.learn.graphs.weights import WEIGHTS
from leaven.learn.head import Head
from leaven.learn.method import Step
from leaven.learn.propagation_method import PRIORS
from leaven.sklearn.estimator import Floats, Given, Places, WeightedClassifier, outputs

__all__ = ["LabelPropagation", "LabelSpreading", "LaplaceLearning", "PoissonLearning"]

#: Numbers in a sparse X that is made dense: 400 MB.
_MOST = 100_000_000

_SHARED: dict[str, list[Any]] = {
    "neighbours": [Interval(Integral, 1, None, closed="left")],
    "weights": [StrOptions(set(WEIGHTS))],
    "priors": [StrOptions(set(PRIORS))],
    "n_jobs": [Integral, None],
    "random_state": ["random_state"],
}


class _GraphClassifier(WeightedClassifier):
    """Fits by a method of `leaven.learn`, whose fields are the parameters."""

    _sparse = True
    _threaded = True
    method: ClassVar[Any]
    weights: str

    def _learn(self, given: Given) -> Places:
        settings = self.get_params(deep=False)
        del settings["random_state"], settings["n_jobs"]
        method = replace(self.method, **settings)
        # Labelled records come first. Of more unlabelled ones than the method takes a sample is
        # drawn; the others ask the head, as new records do.
        room = max(method.most - len(given.labelled), 0)
        others = sample(given.unlabelled, room, given.seed)
        used = np.concatenate([given.labelled, others])
        self._look(given.records)
        known = Frozen(
            features=self._features(given.records[used]),
            targets=given.targets[used],
            classes=len(self.classes_),
            seed=given.seed,
            places=np.arange(len(others)),
            weights=given.weights[given.labelled].astype(np.float32),
        )
        last, self._head = _learnt(method, known)
        self.n_iter_ = max(int(last.figures["iterations"]), 1)
        guess = given.targets.copy()
        if last.taught is not None:
            guess[others] = last.taught.guess.numpy().argmax(1)
        left = np.flatnonzero(guess < 0)
        if len(left):
            guess[left] = self._probabilities(given.records[left]).argmax(1)
        return guess

    def _probabilities(self, records: Any) -> Floats:
        features = torch.from_numpy(self._features(records))
        said = outputs(lambda places: self._head(features[places]), len(features))
        probabilities: Floats = torch.from_numpy(said).softmax(-1).numpy()
        return probabilities

    def _look(self, records: Floats) -> None:
        """Find where the records lie, and how far apart.

        Distances are computed in single precision, which far from the origin, or in a very small
        or large unit, would not tell records apart. Angles need their origin, and have no unit.
        """
        self._centre, self._scale = np.zeros(records.shape[1]), 1.0
        if self.weights != "cosine":
            self._centre = records.mean(0, dtype=np.float64)
            self._scale = float(records.std(0, dtype=np.float64).max()) or 1.0

    def _features(self, records: Floats) -> npt.NDArray[np.float32]:
        """(n, d) about the centre, in the unit that was found."""
        return np.ascontiguousarray((records - self._centre) / self._scale, np.float32)

    def _records(self, X: Any, *, reset: bool) -> Any:
        """A dense table; a sparse one is made dense where it is small enough."""
        X = super()._records(X, reset=reset)
        if not sparse.issparse(X):
            return X
        if X.shape[0] * X.shape[1] > _MOST:
            raise ValueError(
                f"A sparse X of {X.shape[0]} x {X.shape[1]} is too large to be made dense, which "
                "neighbours need. Bring it to a few hundred columns with TruncatedSVD, or use "
                "S3VM or SelfTraining, which read sparse records as they are."
            )
        return X.toarray()


def _learnt(method: ClassicMethod, known: Frozen) -> tuple[Step, Head]:
    """The last step of a fit, and the head."""
    fit = method.learn(known)
    step = next(fit)
    while True:
        try:
            step = next(fit)
        except StopIteration as finished:
            return step, finished.value


class LabelSpreading(_GraphClassifier):
    """Labels flow along a graph of nearest neighbours, a share staying with the given ones.

    Zhou et al. 2004. Unlike scikit-learn's class of this name the graph is sparse and
    self-tuning, and the classes keep their shares among the labels.

    Parameters
    ----------
    neighbours : edges a record.
    weights : how a distance becomes the strength of an edge: "self-tuning", "gaussian" or
        "cosine".
    priors : what the shares of the classes are held to: those of the labels ("labelled"), equal
        ones ("uniform"), or "none".
    alpha : the share of its answer that a record takes from its neighbours, below 1.
    n_jobs : threads; None for as many as torch has, -1 for all.
    random_state : None, a seed or a RandomState.

    Attributes
    ----------
    n_iter_ : steps of the solver.
    classes_, transduction_, n_features_in_, feature_names_in_ : as for every estimator here.

    >>> import numpy as np
    >>> X = np.array([[0.0], [0.1], [0.2], [0.9], [1.0], [1.1]])
    >>> LabelSpreading(neighbours=2).fit(X, [0, -1, -1, -1, 1, -1]).transduction_
    array([0, 0, 0, 1, 1, 1])
    """

    method = label_spreading.LabelSpreading()
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SHARED,
        "alpha": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        *,
        neighbours: int = 10,
        weights: str = "self-tuning",
        priors: str = "labelled",
        alpha: float = 0.95,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.neighbours = neighbours
        self.weights = weights
        self.priors = priors
        self.alpha = alpha
        self.n_jobs = n_jobs
        self.random_state = random_state


class LabelPropagation(_GraphClassifier):
    """Labels walk along a graph of nearest neighbours for some rounds, clamped at each.

    Zhu & Ghahramani 2002. Unlike scikit-learn's class of this name the graph is sparse, and the
    walk stops while labels still speak for their surroundings alone.

    Parameters
    ----------
    neighbours, weights, priors, n_jobs, random_state : as for `LabelSpreading`.
    rounds : steps of the walk at most.
    tolerance : it stops before, where no answer moves by more.

    A label whose `sample_weight` is 1 or more is clamped; with a weight below, the record takes
    that share of its answer from the label.

    Attributes
    ----------
    n_iter_ : rounds taken.
    classes_, transduction_, n_features_in_, feature_names_in_ : as for every estimator here.
    """

    method = label_propagation.LabelPropagation()
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SHARED,
        "rounds": [Interval(Integral, 1, None, closed="left")],
        "tolerance": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        neighbours: int = 10,
        weights: str = "self-tuning",
        priors: str = "labelled",
        rounds: int = 100,
        tolerance: float = 1e-6,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.neighbours = neighbours
        self.weights = weights
        self.priors = priors
        self.rounds = rounds
        self.tolerance = tolerance
        self.n_jobs = n_jobs
        self.random_state = random_state


class LaplaceLearning(_GraphClassifier):
    """Every record the weighted mean of its neighbours, labels clamped: the harmonic function.

    Zhu, Ghahramani & Lafferty 2003. For many labels; with few, `PoissonLearning`.

    Parameters
    ----------
    neighbours, weights, priors, n_jobs, random_state : as for `LabelSpreading`.

    `sample_weight` is read as by `LabelPropagation`.

    Attributes
    ----------
    n_iter_, classes_, transduction_, n_features_in_, feature_names_in_ : as for `LabelSpreading`.
    """

    method = laplace_learning.LaplaceLearning()
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = _SHARED

    def __init__(
        self,
        *,
        neighbours: int = 10,
        weights: str = "self-tuning",
        priors: str = "labelled",
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.neighbours = neighbours
        self.weights = weights
        self.priors = priors
        self.n_jobs = n_jobs
        self.random_state = random_state


class PoissonLearning(_GraphClassifier):
    """Labels as sources and sinks on the graph, for one to some ten labels a class.

    Calder, Cook, Thorpe & Slepčev 2020, arXiv:2006.11184.

    Parameters
    ----------
    neighbours, weights, priors, n_jobs, random_state : as for `LabelSpreading`.
    leak : the share of what flows that is lost at every step; 0 is the paper's equation.
    volume : whether each class gets its share of the records (PoissonMBO).

    Attributes
    ----------
    n_iter_, classes_, transduction_, n_features_in_, feature_names_in_ : as for `LabelSpreading`.
    """

    method = poisson_learning.PoissonLearning()
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SHARED,
        "leak": [Interval(Real, 0, 1, closed="left")],
        "volume": ["boolean"],
    }

    def __init__(
        self,
        *,
        neighbours: int = 10,
        weights: str = "self-tuning",
        priors: str = "labelled",
        leak: float = 0.02,
        volume: bool = False,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.neighbours = neighbours
        self.weights = weights
        self.priors = priors
        self.leak = leak
        self.volume = volume
        self.n_jobs = n_jobs
        self.random_state = random_state
