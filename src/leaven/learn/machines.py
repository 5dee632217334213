"""Large-margin machines in the primal: what the supervised, the S3VM and the LapSVM share.

One decision function f(x) = w·φ(x) + b a class against the rest, with the squared hinge

    (1/Σp) Σ p_i max(0, 1 - y_i f_i)²  +  penalty |w|²  +  what the unlabelled records add,

which is differentiable, so that its minimum is found without a dual (Chapelle 2007, "Training a
support vector machine in the primal", Neural Computation 19). φ comes from `kernels`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.linalg import LinearOperator, cg

from leaven.core.errors import DataError, SettingError
from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.head import Head, LinearHead
from leaven.learn.heads.kernel import KernelHead
from leaven.learn.kernels import Basis, Kernel, basis_of
from leaven.learn.learner import UNSEEN
from leaven.learn.method import Step

__all__ = [
    "Binary",
    "Machine",
    "MachineMethod",
    "Rows",
    "fit_svm",
    "known_of",
    "newton",
    "one_against_rest",
]

Float64 = npt.NDArray[np.float64]

_BLOCK = 4096  # records decided at a time
#: Features up to which a Newton step is solved directly; conjugate gradients above.
DIRECT = 2000
_ROUNDS = 100  # Newton steps at most; some ten are usual
_EXACT = 1e-9  # largest entry of the gradient at the end


@dataclass(frozen=True)
class Machine:
    """What was fitted: decisions of `kernel` values with `landmarks`, or of the records themselves.

    `coefficients` (m or d, classes) and `bias` (classes,); `landmarks` is (m, d), None if linear.
    `iterations` and `objective` are sums over the classes' own problems.
    """

    kernel: Kernel
    landmarks: Any
    coefficients: Float64
    bias: Float64
    iterations: int
    objective: float

    @property
    def sharpness(self) -> float:
        """Factor from decisions to logits.

        Fixed, not fitted: with it a record that lies exactly on its margins, +1 for one class and
        -1 for all others, has a probability of 0.9. Calibration is what held-out records are for.
        """
        return 0.5 * math.log(9 * max(len(self.bias) - 1, 1))

    def decision(self, records: Any) -> Float64:
        """(n, classes) of records (n, d), dense or sparse; the largest is the class.

        Those of two classes are one function and its negative. A class without a labelled record
        has UNSEEN. In blocks, so that memory stays bounded.
        """
        found = np.empty((records.shape[0], len(self.bias)))
        for start in range(0, len(found), _BLOCK):
            part = records[start : start + _BLOCK]
            if self.landmarks is not None:
                part = self.kernel.between(part, self.landmarks)
            found[start : start + _BLOCK] = part @ self.coefficients
        return found + self.bias

    def probabilities(self, records: Any) -> Float64:
        """(n, classes) softmax of the decisions times `sharpness`."""
        output = self.sharpness * self.decision(records)
        likely = np.exp(output - output.max(1, keepdims=True))
        return np.asarray(likely / likely.sum(1, keepdims=True))

    def head(self) -> Head:
        """Its logits as a head: of one matrix if linear, else of landmarks."""
        weight = torch.from_numpy(self.sharpness * self.coefficients)
        bias = torch.from_numpy(self.sharpness * self.bias)
        if self.landmarks is None:
            linear = LinearHead(*weight.shape).requires_grad_(False)
            linear.weight.copy_(weight.T)
            linear.bias.copy_(bias)
            return linear
        marks = self.landmarks.toarray() if sparse.issparse(self.landmarks) else self.landmarks
        kernel, (count, width) = self.kernel, marks.shape
        head = KernelHead(count, width, len(bias), kernel.name, kernel.gamma, kernel.degree)
        head.landmarks.copy_(torch.from_numpy(np.asarray(marks)))
        head.coefficients.copy_(weight)
        head.bias.copy_(bias)
        return head


@dataclass(frozen=True)
class Rows:
    """Features (n, r) less `shift` (r,), with a one at the end that is the bias's.

    The shift is subtracted from the products alone, so that sparse features stay sparse.
    """

    features: Any
    shift: Float64

    def outputs(self, v: Float64) -> Float64:
        """(n,) decisions f of a machine v (r + 1,), its bias last."""
        w = v[:-1].astype(self.features.dtype)
        found: Float64 = np.asarray(self.features @ w, np.float64)
        return found + float(v[-1] - self.shift @ v[:-1])

    def pulled(self, slope: Float64) -> Float64:
        """(r + 1,) gradient with respect to v of a sum whose slopes in f are `slope` (n,)."""
        pull = self.features.T @ slope.astype(self.features.dtype)
        total = slope.sum()
        return np.append(np.asarray(pull, np.float64) - total * self.shift, total)


@dataclass(frozen=True)
class Binary:
    """One class against the rest, fitted: v (r + 1,) with its bias last."""

    v: Float64
    iterations: int
    objective: float


#: From signs (l,) of the labelled records and the place of the class to what was fitted.
Solver = Callable[[Float64, int], Binary]


def fit_svm(
    X: Any,
    targets: npt.NDArray[np.int64],
    classes: int,
    *,
    weights: Any = None,
    kernel: str = "rbf",
    gamma: float = 0.0,
    degree: int = 3,
    penalty: float = 0.01,
    landmarks: int = 500,
    seed: int = 0,
) -> Machine:
    """The supervised machine: squared hinge and penalty, without the unlabelled records.

    X (n, d) dense or scipy-sparse; targets (n,) below `classes`, -1 where unlabelled: those records
    are not looked at, not even for a scale. `weights` (labelled,) in the order of the labelled
    ones. `kernel`, `gamma`, `degree` and `landmarks` as in `kernels.basis_of`.

    Raises SettingError, UnknownNameError for settings, DataError where no record has a label.
    """
    X, targets, weights = known_of(X, targets, classes, weights, penalty)
    X, targets = X[targets >= 0], targets[targets >= 0]
    basis = basis_of(
        X, targets >= 0, kernel=kernel, gamma=gamma, degree=degree, landmarks=landmarks, seed=seed
    )
    features = basis.features(X).astype(np.float64)
    rows = Rows(features, np.zeros(features.shape[1]))
    return one_against_rest(
        basis, rows.shift, targets, classes, lambda y, _: newton(rows, y, weights, penalty)
    )


def known_of(
    X: Any, targets: Any, classes: int, weights: Any, penalty: float
) -> tuple[Any, npt.NDArray[np.int64], Float64]:
    """Records, targets and weights (labelled,) of mean one, once they are known to be usable.

    Records become an array of float32 or float64, or CSR of the same. Raises DataError and
    SettingError.
    """
    X = X.tocsr() if sparse.issparse(X) else np.asarray(X)
    if X.ndim != 2:
        raise DataError(f"Records must be a table of numbers (n, d); these have shape {X.shape}.")
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    if not np.isfinite(X.data if sparse.issparse(X) else X).all():
        raise DataError("Some of the records' numbers are missing or infinite. Fill them in first.")
    targets = np.asarray(targets)
    labelled = targets >= 0
    if targets.shape != (X.shape[0],):
        raise DataError(f"There are {X.shape[0]} records and {targets.size} targets.")
    if not labelled.any():
        raise DataError("No record has a label: a machine needs at least one.")
    if targets.max() >= classes:
        raise SettingError("classes", f"more than {targets.max()}, the largest target", classes)
    if not 0 < penalty < np.inf:
        raise SettingError("penalty", "a positive number", penalty)
    weights = np.ones(labelled.sum()) if weights is None else np.asarray(weights, np.float64)
    if weights.shape != (labelled.sum(),) or not (weights >= 0).all() or not weights.any():
        raise DataError("Weights must be one number a labelled record, none below 0, not all 0.")
    return X, targets.astype(np.int64), weights / weights.mean()


def one_against_rest(
    basis: Basis, shift: Float64, targets: Any, classes: int, solve: Solver
) -> Machine:
    """A machine of all classes from binary ones, fitted on `basis` features less `shift`.

    `targets` (l,) of the labelled records. Two classes that occur share one function, the second's;
    one alone has no rest, and is always named.
    """
    present = np.unique(targets)
    alone = present if len(present) > 2 else present[1:]
    fitted = {
        int(place): solve(np.where(targets == place, 1.0, -1.0), int(place)) for place in alone
    }
    width = len(shift)
    weight, bias = np.zeros((width, classes)), np.full(classes, UNSEEN)
    bias[present] = 0.0
    for place, one in fitted.items():
        weight[:, place], bias[place] = one.v[:-1], one.v[-1] - shift @ one.v[:-1]
    if len(present) == 2:
        weight[:, present[0]], bias[present[0]] = -weight[:, present[1]], -bias[present[1]]
    coefficients, bias = basis.unfold(weight, bias)
    seen = np.isin(np.arange(classes), present)
    return Machine(
        basis.kernel,
        basis.landmarks,
        np.asarray(coefficients, np.float64),
        np.where(seen, bias, UNSEEN),
        sum(one.iterations for one in fitted.values()),
        sum(one.objective for one in fitted.values()),
    )


class MachineMethod(ClassicMethod):
    """A machine of labelled and unlabelled records as a method, fitted at one stroke."""

    family = "machines"
    unlabelled = True
    most = 100_000

    @abstractmethod
    def machine(self, known: Frozen) -> Machine:
        """Fit it."""

    def learn(self, known: Frozen) -> Generator[Step, None, Head]:
        """One step. Each unlabelled record counts one, with the machine's last answer."""
        machine = self.machine(known)
        yield _step_of(machine, known)
        return machine.head()


def _step_of(machine: Machine, known: Frozen) -> Step:
    guess = machine.probabilities(known.features[known.labelled :])
    figures = {
        "objective": torch.tensor(machine.objective),
        "iterations": torch.tensor(float(machine.iterations)),
    }
    taught = known.taught(guess, np.ones(len(guess)), guess.argmax(1))
    return Step(1, 1, figures=figures, taught=taught)


def newton(
    rows: Rows,
    signs: Float64,
    weights: Float64,
    penalty: float,
    smooth: Float64 | LinearOperator | None = None,
    start: Float64 | None = None,
) -> Binary:
    """The minimum of squared hinge + penalty |w|² + v'Mv, with M = `smooth` (r + 1, r + 1).

    `signs` and `weights` are (l,), of `rows`. Newton steps over the records inside the margin
    (Chapelle 2007, section 4; Melacci & Belkin 2011, JMLR 12, algorithm 1), each halved until the
    objective falls: the objective is quadratic in pieces, and the right piece ends the search. The
    step is solved directly up to DIRECT features, else by conjugate gradients, which need M as an
    operator only.
    """
    share = weights / weights.sum()
    ridge = np.full(rows.features.shape[1] + 1, penalty)
    ridge[-1] = 0.0  # the bias costs nothing
    v = np.zeros(len(ridge)) if start is None else start

    def cost(v: Float64) -> float:
        inside = np.maximum(1 - signs * rows.outputs(v), 0)
        bent = 0.0 if smooth is None else v @ (smooth @ v)
        return float(share @ inside**2 + ridge @ v**2 + bent)

    now = cost(v)
    taken = 0
    for taken in range(1, _ROUNDS + 1):
        inside = np.maximum(1 - signs * rows.outputs(v), 0)
        gradient = ridge * v - rows.pulled(share * signs * inside)
        gradient += 0 if smooth is None else smooth @ v
        if np.abs(gradient).max() <= _EXACT:
            break
        step = _step(rows, share * (inside > 0), ridge, smooth, gradient)
        length = 1.0
        while (then := cost(v + length * step)) > now + 2e-4 * length * (gradient @ step):
            length /= 2
            if length < 1e-9:  # no lower point within what floating point can tell apart
                return Binary(v, taken, now)
        v, now = v + length * step, then
    return Binary(v, taken, now)


def _step(rows: Rows, active: Float64, ridge: Float64, smooth: Any, gradient: Float64) -> Float64:
    """(r + 1,) minus the inverse of half the Hessian times half the gradient."""
    size = len(ridge)
    # Without a record inside the margin nothing holds the bias.
    held = ridge + np.append(np.zeros(size - 1), 1e-10)
    used = np.flatnonzero(active)
    if size <= DIRECT + 1:
        near = rows.features[used]
        near = near.toarray() if sparse.issparse(near) else near
        near = np.column_stack([near - rows.shift, np.ones(len(used))])
        hessian = near.T @ (active[used, None] * near) + np.diag(held)
        hessian += 0 if smooth is None else smooth
        return np.asarray(-cho_solve(cho_factor(hessian), gradient))

    def curved(u: Float64) -> Float64:
        bent = rows.pulled(active * rows.outputs(u)) + held * u
        return bent if smooth is None else np.asarray(bent + smooth @ u)

    system = LinearOperator((size, size), matvec=curved, dtype=np.float64)
    step, _ = cg(system, -gradient, rtol=1e-8, maxiter=1000)
    return np.asarray(step)
