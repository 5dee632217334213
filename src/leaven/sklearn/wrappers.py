"""Wrappers: any classifier of scikit-learn's kind, and what it learns from its own guesses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from leaven.learn.choices.choice import PARTS
from leaven.learn.choices.compose import composed, in_words
from leaven.learn.classic import co_training, iterative_refinement, self_training, tri_training
from leaven.learn.wrapped_method import WrapperMethod
from leaven.learn.wrapping import Rounds
from leaven.sklearn.estimator import Floats, Given, Places, WeightedClassifier, returned

__all__ = ["CoTraining", "IterativeRefinement", "SelfTraining", "TriTraining"]

_SHARED: dict[str, list[Any]] = {
    "estimator": [HasMethods(["fit", "predict_proba"]), None],
    "rounds": [Interval(Integral, 1, 10_000, closed="both")],
    "random_state": ["random_state"],
    "n_jobs": [Integral, None],
}
_FOLDS = [Interval(Integral, 0, 1000, closed="both")]
_RULES = [str, list, tuple, HasMethods("__call__"), None]


class _Wrapper(WeightedClassifier):
    """Fits by a function of `leaven.learn` whose settings are the fields of its method.

    Attributes
    ----------
    estimators_ : the fitted estimators; they know classes by their places in `classes_`.
    weights_ : (n,) with which each record counts in the last fit: the given weight where labelled,
        0 for unlabelled ones whose guess is not accepted.
    n_iter_ : rounds.
    """

    _sparse = True
    method: ClassVar[WrapperMethod]
    _wrap: ClassVar[Callable[..., Rounds]]
    #: Parameters that go to the function as they are.
    _plain: ClassVar[tuple[str, ...]] = ()

    estimator: Any
    random_state: Any
    n_jobs: int | None

    def _learn(self, given: Given) -> Places:
        estimator = self.estimator
        if estimator is None:
            estimator = LogisticRegression(max_iter=1000)
        given_to = {name: getattr(self, name) for name in self._plain}
        ours = {"estimator", "n_jobs", "random_state", *self._plain}
        own = {n: _said(n, v) for n, v in self.get_params(deep=False).items() if n not in ours}
        settings = composed(self.method, own)
        given_to |= {name: getattr(settings, name) for name in own}
        rounds = type(self)._wrap(
            estimator,
            given.records,
            given.targets,
            len(self.classes_),
            weights=given.weights,
            seed=given.seed,
            jobs=1 if self.n_jobs is None else self.n_jobs,
            **given_to,
        )
        self._wrapped = wrapped = returned(rounds)
        self.estimators_ = list(wrapped.members)
        self.weights_ = given.spread(wrapped.weights)
        self.n_iter_ = wrapped.rounds
        rest = wrapped.labels < 0
        guess = wrapped.labels.copy()
        if rest.any():
            guess[rest] = wrapped.probabilities(given.records[rest]).argmax(1)
        return guess

    def _probabilities(self, records: Any) -> Floats:
        return self._wrapped.probabilities(records)

    def _takes_gaps(self) -> bool:
        """As the estimator does."""
        return self.estimator is not None and bool(get_tags(self.estimator).input_tags.allow_nan)


class SelfTraining(_Wrapper):
    """A classifier learns its own sure guesses, by any acceptance rule, cross-fitted.

    Yarowsky 1995. Unlike scikit-learn's SelfTrainingClassifier, a record is guessed by a model
    that was not taught it, each round guesses all records anew, and the rule is any of the
    consistency methods'.

    Parameters
    ----------
    estimator : classifier with `predict_proba`; logistic regression if None.
    accept : which guesses count, as `leaven methods --choices` lists the rules, such as
        "AtLeast(0.9)" or "Gaussian", or several, whose weights are multiplied.
    align : what guesses are held to before: by default the classes' shares among the labels;
        None for nothing.
    rounds : at most.
    folds : into which unlabelled records are dealt; 0 lets one model guess all, itself included.
    repeats : how often they are dealt and guessed.
    keep : whether a record that was once accepted stays as it was named.
    weight : factor on the weights of pseudo-labelled records.
    n_jobs : how many fits run at once.
    random_state : None, a seed or a RandomState.

    Attributes
    ----------
    estimators_, weights_, n_iter_, classes_, transduction_, n_features_in_, feature_names_in_ :
        the fitted estimator; how much each record counted; rounds; as for every estimator here.

    >>> import numpy as np
    >>> X = np.array([[0.0], [0.1], [0.2], [0.9], [1.0], [1.1]])
    >>> model = SelfTraining(accept="AtLeast(0.5)", folds=0)
    >>> model.fit(X, [0, -1, -1, -1, 1, -1]).transduction_
    array([0, 0, 0, 1, 1, 1])
    """

    method = self_training.SelfTraining()
    _wrap = staticmethod(self_training.self_train)
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SHARED,
        "accept": _RULES,
        "align": _RULES,
        "folds": _FOLDS,
        "repeats": [Interval(Integral, 1, 100, closed="both")],
        "keep": ["boolean"],
        "weight": [Interval(Real, 0, 1e6, closed="both")],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        accept: Any = "Gaussian",
        align: Any = "ToPrior",
        rounds: int = 10,
        folds: int = 4,
        repeats: int = 1,
        keep: bool = False,
        weight: float = 1.0,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.accept = accept
        self.align = align
        self.rounds = rounds
        self.folds = folds
        self.repeats = repeats
        self.keep = keep
        self.weight = weight
        self.n_jobs = n_jobs
        self.random_state = random_state


class IterativeRefinement(_Wrapper):
    """All records are labelled anew each round, and weighed by certainty and steadiness.

    Amini & Gallinari 2002 beside Nigam et al. 2000; see `leaven.learn`'s method of that name.

    Parameters
    ----------
    estimator : classifier with `predict_proba`; logistic regression if None.
    accept : rules whose product is the certainty of a guess.
    align : what guesses are held to: by default the classes' shares among the labels.
    ramp : how the weight of unlabelled records grows over the rounds; None for at once.
    rounds : that are taken.
    folds : into which unlabelled records are dealt; 0 lets one model guess all.
    weight : of unlabelled records, at the end of the ramp.
    memory : share of the past in how steadily a record was named; 0 forgets.
    doubt : 0 takes labels as they are, 1 weighs down those that other labelled records contradict.
    n_jobs : how many fits run at once.
    random_state : None, a seed or a RandomState.

    Attributes
    ----------
    estimators_, weights_, n_iter_, classes_, transduction_, n_features_in_, feature_names_in_ :
        as for `SelfTraining`.
    """

    method = iterative_refinement.IterativeRefinement()
    _wrap = staticmethod(iterative_refinement.refine)
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SHARED,
        "accept": _RULES,
        "align": _RULES,
        "ramp": _RULES,
        "folds": _FOLDS,
        "weight": [Interval(Real, 0, 1e6, closed="both")],
        "memory": [Interval(Real, 0, 0.999, closed="both")],
        "doubt": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        accept: Any = "Certain",
        align: Any = "ToPrior",
        ramp: Any = "LinearRamp(0.0, 0.5)",
        rounds: int = 10,
        folds: int = 4,
        weight: float = 1.0,
        memory: float = 0.5,
        doubt: float = 0.0,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.accept = accept
        self.align = align
        self.ramp = ramp
        self.rounds = rounds
        self.folds = folds
        self.weight = weight
        self.memory = memory
        self.doubt = doubt
        self.n_jobs = n_jobs
        self.random_state = random_state


class CoTraining(_Wrapper):
    """Two models of two sets of columns label the records that both learn from.

    Blum & Mitchell 1998, table 1.

    Parameters
    ----------
    estimator : classifier with `predict_proba`; logistic regression if None.
    views : two lists of columns of X; None divides the columns by `split`.
    split : "relevance" (both halves tell about as much on the labelled records) or "halves"
        (drawn).
    rounds : at most.
    quota : what either model names a round, as a share of the unlabelled records.
    pool : how many unlabelled records it chooses among; 0 for all.
    n_jobs : how many fits run at once.
    random_state : None, a seed or a RandomState.

    Attributes
    ----------
    columns_ : the columns that each of the two estimators reads.
    estimators_, weights_, n_iter_, classes_, transduction_, n_features_in_, feature_names_in_ :
        as for `SelfTraining`.
    """

    method = co_training.CoTraining()
    _wrap = staticmethod(co_training.co_train)
    _plain = ("views",)
    _least_features = 2
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_SHARED,
        "views": ["array-like", None],
        "split": [StrOptions({"relevance", "halves"})],
        "quota": [Interval(Real, 0, 1, closed="both")],
        "pool": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        views: Sequence[Any] | None = None,
        split: str = "relevance",
        rounds: int = 30,
        quota: float = 0.02,
        pool: int = 0,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.views = views
        self.split = split
        self.rounds = rounds
        self.quota = quota
        self.pool = pool
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _learn(self, given: Given) -> Places:
        guess = super()._learn(given)
        self.columns_ = list(self._wrapped.columns)
        return guess


class TriTraining(_Wrapper):
    """Two of three models, of bootstrap samples, teach the third what they agree on.

    Zhou & Li 2005, table 1.

    Parameters
    ----------
    estimator : classifier with `predict_proba`; logistic regression if None. Trees are more apt:
        their bootstrap samples differ.
    rounds : at most.
    n_jobs : how many fits run at once.
    random_state : None, a seed or a RandomState.

    Attributes
    ----------
    estimators_, weights_, n_iter_, classes_, transduction_, n_features_in_, feature_names_in_ :
        as for `SelfTraining`, with three estimators.
    """

    method = tri_training.TriTraining()
    _wrap = staticmethod(tri_training.tri_train)
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = _SHARED

    def __init__(
        self,
        estimator: Any = None,
        *,
        rounds: int = 30,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.rounds = rounds
        self.n_jobs = n_jobs
        self.random_state = random_state


def _said(name: str, value: Any) -> Any:
    """A parameter as a recipe says it."""
    if name in PARTS:
        return in_words(tuple(value) if isinstance(value, list) else value)
    return value.item() if isinstance(value, np.generic) else value
