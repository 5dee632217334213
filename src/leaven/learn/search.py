"""Which settings are worth trying, and in which order: the tree-structured Parzen estimator.

Bergstra, Bardenet, Bengio & Kégl 2011, "Algorithms for hyper-parameter optimization", NIPS 24,
section 4. Imports optuna (extra `tune`), nobody else does. Nothing is stored and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from leaven.core.errors import MissingExtraError
from leaven.learn.choices.compose import in_words

__all__ = ["SPACE", "Range", "Search", "Setting", "need_optuna", "space_of"]

Setting = int | float | str


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, tried evenly over the logarithm; whole ones if `low` is."""

    low: float
    high: float


#: Of each setting, by its name in whichever method has it, what may be tried beside its own value.
#: Trees are not among them: more of them are hardly ever worse, only slower.
SPACE: Mapping[str, Range | tuple[Setting, ...]] = {
    "strength": Range(0.01, 1000.0),
    "leaves": Range(8, 512),
    "least": Range(1, 16),
    "penalty": Range(0.0001, 10.0),
    "neighbours": Range(3, 50),
    "weights": ("self-tuning", "gaussian", "cosine"),
    "priors": ("labelled", "uniform", "none"),
    "alpha": (0.5, 0.8, 0.9, 0.95, 0.99),
    "leak": Range(0.001, 0.5),
    "weight": Range(0.1, 2.0),
    "accept": ("AtLeast(0.8)", "AtLeast(0.95)", "Relative(0.9)"),
}


def space_of(method: object) -> dict[str, Setting]:
    """The settings of a method that `SPACE` has, with their present values as a recipe says them.

    >>> from leaven.learn.method import METHODS
    >>> space_of(METHODS["logistic"]), space_of(METHODS["ridge"])
    ({'strength': 10.0}, {})
    """
    if not is_dataclass(method) or isinstance(method, type):
        return {}
    own = {f.name: getattr(method, f.name) for f in fields(method) if f.name in SPACE}
    return {
        name: value if isinstance(value, Setting) else in_words(value)
        for name, value in own.items()
    }


def need_optuna() -> Any:
    """The package; MissingExtraError where it is not installed."""
    try:
        import optuna
    except ImportError as absent:
        raise MissingExtraError("tune", "a search for settings") from absent
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Search:
    """Settings to try, one after the other; `own` are the first.

    The same `seed` and the same answers give the same settings. The first third is drawn, the rest
    follows what was found. Raises MissingExtraError without optuna.

    >>> search = Search({"strength": 10.0}, trials=3, seed=0)
    >>> search.ask()
    {'strength': 10.0}
    >>> search.tell(0.7)
    >>> 0.01 <= search.ask()["strength"] <= 1000
    True
    """

    def __init__(self, own: Mapping[str, Setting], trials: int, seed: int) -> None:
        self._optuna = need_optuna()
        distributions = self._optuna.distributions
        self._space = {name: _distribution(distributions, SPACE[name], own[name]) for name in own}
        sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(trials // 3, 4))
        self._study = self._optuna.create_study(direction="minimize", sampler=sampler)
        self._study.enqueue_trial(dict(own))
        self._trial: Any = None

    def ask(self) -> dict[str, Setting]:
        """What to try next."""
        self._trial = self._study.ask(self._space)
        return {name: _short(value) for name, value in self._trial.params.items()}

    def tell(self, surprise: float) -> None:
        """How well what was asked for did; less is better."""
        self._study.tell(self._trial, surprise)


def _short(value: Setting) -> Setting:
    """Three digits of a number are enough to follow it, and to be read."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _distribution(kinds: Any, told: Range | tuple[Setting, ...], own: Setting) -> Any:
    """Optuna's word for it, wide enough for the method's own value."""
    if isinstance(told, tuple):
        return kinds.CategoricalDistribution(told if own in told else (*told, own))
    assert not isinstance(own, str)
    low, high = min(told.low, own), max(told.high, own)
    whole = isinstance(own, int)
    return (kinds.IntDistribution if whole else kinds.FloatDistribution)(low, high, log=True)
