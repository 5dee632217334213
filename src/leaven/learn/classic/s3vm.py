"""S3VM: a large-margin machine whose boundary keeps away from unlabelled records.

Gieseke, Airola, Pahikkala & Kramer 2014, "Fast and simple gradient-based optimization for
semi-supervised support vector machines", Neurocomputing 123, with the surrogate exp(-3 f²) for the
unlabelled loss and the annealing of Chapelle & Zien 2005, "Semi-supervised classification by low
density separation", sections 3.2 and 3.3. Per class against the rest, with the squared hinge in
place of their modified logistic loss, so that the supervised machine beside it is the same code:

    (1/Σp) Σ p_i max(0, 1 - y_i f_i)²  +  penalty |w|²  +  unlabelled_weight · (1/u) Σ exp(-3 f_j²)

under the balance constraint that the mean decision on unlabelled records is the labelled records'
mean sign, without which all of them would go to one side. It is met exactly: features are centred
on the unlabelled records and the bias is fixed.

Use it on wide features such as those of texts, where classes are clouds with thin space between
them, and their shares among the labels are those among the unlabelled records.

It fails where classes touch, for then the thinnest space is elsewhere, and where the shares of the
few labels are far from the true ones; give `balance` from Python in that case. The objective has
many minima, and the one that is found depends on the start, which is the supervised machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from leaven.core.errors import SettingError
from leaven.learn.classic_method import Frozen
from leaven.learn.kernels import basis_of
from leaven.learn.machines import (
    Binary,
    Machine,
    MachineMethod,
    Rows,
    fit_svm,
    known_of,
    newton,
    one_against_rest,
)
from leaven.learn.method import METHODS

__all__ = ["S3VM", "fit_s3vm", "objective"]

Float64 = npt.NDArray[np.float64]

#: s in exp(-s f²): Chapelle & Zien's.
_STEEPNESS = 3.0
#: Factors on the unlabelled weight, one stage each, from almost none to all of it.
_STAGES = tuple(2.0**-power for power in (10, 8, 6, 4, 2, 0))


def fit_s3vm(
    X: Any,
    targets: npt.NDArray[np.int64],
    classes: int,
    *,
    weights: Any = None,
    kernel: str = "linear",
    gamma: float = 0.0,
    degree: int = 3,
    penalty: float = 0.1,
    unlabelled_weight: float = 1.0,
    balance: str | Sequence[float] = "labelled",
    landmarks: int = 500,
    seed: int = 0,
) -> Machine:
    """A machine from labelled and unlabelled records.

    X (n, d) dense or scipy-sparse; targets (n,) below `classes`, -1 where unlabelled; `weights`
    (labelled,) in the order of the labelled ones. `kernel` is "linear", "rbf" or "poly"; `gamma`,
    `degree` and `landmarks` as in `kernels.basis_of`. `balance` is "labelled" (the classes have
    their shares among the labels), "none" (no constraint: the bias is free), or the classes' shares
    as `classes` numbers.

    `unlabelled_weight` zero, or no unlabelled record, is exactly the supervised machine. Raises
    SettingError, UnknownNameError for settings, DataError for records without a label.
    """
    X, targets, weights = known_of(X, targets, classes, weights, penalty)
    if not 0 <= unlabelled_weight < np.inf:
        raise SettingError("unlabelled_weight", "a number of at least 0", unlabelled_weight)
    labelled = targets >= 0
    shares = _shares(balance, targets[labelled], weights, classes)
    kernels = {"kernel": kernel, "gamma": gamma, "degree": degree, "landmarks": landmarks}
    if not unlabelled_weight or labelled.all():
        return fit_svm(X, targets, classes, weights=weights, penalty=penalty, seed=seed, **kernels)  # type: ignore[arg-type]
    basis = basis_of(X, labelled, seed=seed, **kernels)  # type: ignore[arg-type]
    others = basis.features(X[~labelled])
    shift = np.asarray(others.mean(0, dtype=np.float64)).ravel()
    known = Rows(basis.features(X[labelled]).astype(np.float64), shift)
    unknown = Rows(others, shift)
    present = np.unique(targets[labelled])

    def solve(signs: Float64, place: int) -> Binary:
        level = None if shares is None else 2 * shares[place] / shares[present].sum() - 1
        return _descend(known, signs, weights, unknown, penalty, unlabelled_weight, level)

    return one_against_rest(basis, shift, targets[labelled], classes, solve)


def objective(
    v: Float64, known: Rows, signs: Float64, share: Float64, unknown: Rows, penalty: float,
    unlabelled: float,
) -> tuple[float, Float64]:  # fmt: skip
    """The objective at v (r + 1,), bias last, and its gradient (r + 1,).

    `signs` (l,) of the labelled records and `share` (l,) their weights of sum one.
    """
    inside = np.maximum(1 - signs * known.outputs(v), 0)
    f = unknown.outputs(v)
    near = np.exp(-_STEEPNESS * f**2) * (unlabelled / len(f))
    w = np.append(v[:-1], 0.0)
    cost = share @ inside**2 + near.sum() + penalty * w @ w
    gradient = known.pulled(-2 * share * signs * inside) + 2 * penalty * w
    gradient += unknown.pulled(-2 * _STEEPNESS * f * near)
    return float(cost), gradient


def _descend(
    known: Rows, signs: Float64, weights: Float64, unknown: Rows, penalty: float,
    unlabelled: float, level: float | None,
) -> Binary:  # fmt: skip
    """L-BFGS from the supervised machine, the unlabelled weight growing stage by stage.

    With a `level` the bias is that: features are centred on the unlabelled records, so that it is
    their mean decision.
    """
    supervised = newton(known, signs, weights, penalty)
    v, taken, cost = supervised.v, supervised.iterations, supervised.objective
    share = weights / weights.sum()
    if level is not None:
        v = np.append(v[:-1], level)
    for factor in _STAGES:

        def told(free: Float64, weight: float = factor * unlabelled) -> tuple[float, Float64]:
            whole = free if level is None else np.append(free, level)
            cost, gradient = objective(whole, known, signs, share, unknown, penalty, weight)
            return cost, gradient[: len(free)]

        free = v if level is None else v[:-1]
        found = minimize(
            told, free, jac=True, method="L-BFGS-B",
            options={"maxcor": 20, "maxiter": 200, "gtol": 1e-6, "ftol": 1e-9},
        )  # fmt: skip
        v = found.x if level is None else np.append(found.x, level)
        taken, cost = taken + int(found.nit), float(found.fun)
    return Binary(v, taken, cost)


def _shares(
    balance: str | Sequence[float], targets: Any, weights: Float64, classes: int
) -> Float64 | None:
    """(classes,) shares of the classes, or None where nothing is asked of them."""
    if isinstance(balance, str):
        if balance not in ("labelled", "none"):
            raise SettingError("balance", "labelled, none, or a share for each class", balance)
        if balance == "none":
            return None
        return np.asarray(np.bincount(targets, weights, classes) / weights.sum())
    shares = np.asarray(balance, np.float64)
    right = shares.shape == (classes,) and (shares > 0).all() and np.isclose(shares.sum(), 1)
    if not right:
        raise SettingError(
            "balance", f"{classes} shares above 0 that add up to 1", tuple(shares.ravel().tolist())
        )
    return shares


@dataclass(frozen=True)
class S3VM(MachineMethod):
    """The settings of `fit_s3vm`."""

    kernel: str = "linear"
    gamma: float = 0.0
    degree: int = 3
    penalty: float = 0.1
    unlabelled_weight: float = 1.0
    balance: str = "labelled"
    landmarks: int = 500

    name = "s3vm"
    summary = "large-margin boundary that keeps away from unlabelled records"
    paper = "Gieseke et al. 2014, Neurocomputing 123"
    baseline = "svm-linear"

    def machine(self, known: Frozen) -> Machine:
        """By `fit_s3vm`."""
        return fit_s3vm(
            known.features, known.targets, known.classes,
            weights=known.weights, seed=known.seed, **asdict(self),
        )  # fmt: skip


METHODS.add("s3vm", S3VM())
