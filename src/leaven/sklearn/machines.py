"""Large-margin machines that read unlabelled records."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from leaven.learn.classic import lapsvm, s3vm
from leaven.learn.classic_method import ClassicMethod
from leaven.learn.machines import Machine
from leaven.sklearn.estimator import Floats, Given, Places, WeightedClassifier

__all__ = ["S3VM", "LapSVM"]

_POSITIVE = Interval(Real, 0, None, closed="neither")
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
_COUNT = Interval(Integral, 1, None, closed="left")
_SHARED: dict[str, list[Any]] = {
    "kernel": [StrOptions({"linear", "rbf", "poly"})],
    "gamma": [_NOT_NEGATIVE],
    "degree": [_COUNT],
    "penalty": [_POSITIVE],
    "landmarks": [_COUNT],
    "n_jobs": [Integral, None],
    "random_state": ["random_state"],
}


class _MachineClassifier(WeightedClassifier):
    """Fits by a function of `leaven.learn` whose settings are the fields of its method."""

    _sparse = True
    _threaded = True
    method: ClassVar[ClassicMethod]
    _machine_of: ClassVar[Callable[..., Machine]]

    def decision_function(self, X: Any) -> Floats:
        """Decisions: (n,) of two classes, above 0 for the second; else (n, k), the largest wins."""
        check_is_fitted(self)
        records = self._records(X, reset=False)
        decision = self._machine.decision(records)
        return decision[:, 1] if len(self.classes_) == 2 else decision

    def _learn(self, given: Given) -> Places:
        settings = self.get_params(deep=False)
        del settings["random_state"], settings["n_jobs"]
        self._machine = type(self)._machine_of(
            given.records,
            given.targets,
            len(self.classes_),
            weights=given.weights[given.labelled],
            seed=given.seed,
            **settings,
        )
        self.n_iter_ = self._machine.iterations
        guess: Places = self._machine.decision(given.records).argmax(1)
        return guess

    def _probabilities(self, records: Any) -> Floats:
        return self._machine.probabilities(records)


class S3VM(_MachineClassifier):
    """A large-margin machine whose boundary keeps away from unlabelled records.

    Gieseke et al. 2014, with the annealing of Chapelle & Zien 2005; a class against the rest.

    Parameters
    ----------
    kernel : "linear", "rbf" or "poly".
    gamma : of the kernel; 0 is one over the mean squared length of the centred records.
    degree : of "poly".
    penalty : of the squared weights.
    unlabelled_weight : of the unlabelled records' loss; 0 is the supervised machine.
    balance : the shares of the classes that unlabelled records are held to: "labelled" (those of
        the labels), "none", or as many shares as there are classes, in the order of `classes_`.
    landmarks : how many records span the kernel's space at most.
    n_jobs : threads; None for as many as torch has, -1 for all.
    random_state : None, a seed or a RandomState, of the landmarks.

    Attributes
    ----------
    n_iter_ : steps of the optimiser, over all classes.
    classes_, transduction_, n_features_in_, feature_names_in_ : as for every estimator here.

    >>> import numpy as np
    >>> X = np.array([[-2.0], [-1.8], [-1.6], [-1.4], [0.6], [0.8], [1.0], [1.2]])
    >>> y = ["low", None, None, None, None, None, None, "high"]
    >>> S3VM(kernel="linear").fit(X, y).predict([[-1.5], [0.5]])
    array(['low', 'high'], dtype=object)
    """

    method = s3vm.S3VM()
    _machine_of = staticmethod(s3vm.fit_s3vm)
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SHARED,
        "unlabelled_weight": [_NOT_NEGATIVE],
        "balance": [StrOptions({"labelled", "none"}), "array-like"],
    }

    def __init__(
        self,
        *,
        kernel: str = "linear",
        gamma: float = 0.0,
        degree: int = 3,
        penalty: float = 0.1,
        unlabelled_weight: float = 1.0,
        balance: Any = "labelled",
        landmarks: int = 500,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.penalty = penalty
        self.unlabelled_weight = unlabelled_weight
        self.balance = balance
        self.landmarks = landmarks
        self.n_jobs = n_jobs
        self.random_state = random_state


class LapSVM(_MachineClassifier):
    """A large-margin machine that changes little from neighbour to neighbour.

    Belkin, Niyogi & Sindhwani 2006, solved in the primal (Melacci & Belkin 2011).

    Parameters
    ----------
    kernel, gamma, degree, penalty, landmarks, random_state : as for `S3VM`.
    smoothness : weight of the change along the graph; 0 is the supervised machine.
    neighbours : edges a record.
    normalised : whether the graph's Laplacian is normalised by the degrees.

    Sparse X: neighbours are those of largest cosine, among 30,000 records at most.

    Attributes
    ----------
    n_iter_, classes_, transduction_, n_features_in_, feature_names_in_ : as for `S3VM`.
    """

    method = lapsvm.LapSVM()
    _machine_of = staticmethod(lapsvm.fit_lapsvm)
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SHARED,
        "smoothness": [_NOT_NEGATIVE],
        "neighbours": [_COUNT],
        "normalised": ["boolean"],
    }

    def __init__(
        self,
        *,
        kernel: str = "rbf",
        gamma: float = 0.0,
        degree: int = 3,
        penalty: float = 0.01,
        smoothness: float = 1.0,
        neighbours: int = 10,
        normalised: bool = False,
        landmarks: int = 500,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.penalty = penalty
        self.smoothness = smoothness
        self.neighbours = neighbours
        self.normalised = normalised
        self.landmarks = landmarks
        self.n_jobs = n_jobs
        self.random_state = random_state
