"""Losses against slow transcriptions of the papers' formulas, in NumPy and float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from leaven.data.arrays import Batch
from leaven.learn.choices import (
    All,
    AtLeast,
    CrossEntropy,
    ExponentialRamp,
    Hard,
    LinearRamp,
    Soft,
    Squared,
)
from leaven.learn.method import METHODS
from leaven.learn.objective import Draw, Loss, Moment
from leaven.learn.task import TASKS
from leaven.learn.train import LoopMethod

Floats = npt.NDArray[np.float64]

LABELLED, UNLABELLED, CLASSES = 6, 20, 4


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def supervised(logits: Floats, labels: npt.NDArray[np.int64]) -> float:
    """Mean cross-entropy, one record at a time."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        total += -math.log(softmax(row)[label])
    return total / len(logits)


def fixmatch(student: Floats, teacher: Floats, progress: float) -> float:
    """Sohn et al. 2020, eq. 4: rejected records count in the mean."""
    total = 0.0
    for strong, weak in zip(student, teacher, strict=True):
        guess = softmax(weak)
        if guess.max() >= 0.95:
            total += -math.log(softmax(strong)[guess.argmax()])
    return total / len(student)


def pseudo_label(student: Floats, teacher: Floats, progress: float) -> float:
    """Lee 2013, eq. 15 and 16 with T1 = 0 and T2 = 0.4 of the training, above 0.95 only."""
    alpha = min(progress / 0.4, 1.0)
    return alpha * fixmatch(student, teacher, progress)


def mean_teacher(student: Floats, teacher: Floats, progress: float) -> float:
    """Tarvainen & Valpola 2017, section 2; the ramp of Laine & Aila 2017, section 4."""
    total = 0.0
    for own, other in zip(student, teacher, strict=True):
        for p, q in zip(softmax(own), softmax(other), strict=True):
            total += (p - q) ** 2 / CLASSES
    ramp = math.exp(-5 * (1 - min(progress / 0.4, 1.0)) ** 2)
    return 50.0 * ramp * total / len(student)


ORACLES: dict[str, Callable[[Floats, Floats, float], float]] = {
    "fixmatch": fixmatch,
    "pseudo-label": pseudo_label,
    "mean-teacher": mean_teacher,
}


class Ready(nn.Module):
    """A network whose outputs are the view itself."""

    def forward(self, batch: Batch) -> Tensor:
        return batch["logits"]


class Views:
    """A modality whose views are logits that were made beforehand, each call the next."""

    def __init__(self, weak: list[Tensor], strong: list[Tensor]) -> None:
        self.left = {"weak": weak, "strong": strong}

    def weak(self, batch: Batch, spec: Any, rng: torch.Generator) -> Batch:
        return {"logits": self.left["weak"].pop(0)}

    def strong(self, batch: Batch, spec: Any, rng: torch.Generator) -> Batch:
        return {"logits": self.left["strong"].pop(0)}


class Case:
    """Random logits, some of the teacher's confident, and the loss a method makes of them."""

    def __init__(self, name: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.labelled = rng.normal(size=(LABELLED, CLASSES))
        self.labels = rng.integers(0, CLASSES, LABELLED)
        self.student = 2 * rng.normal(size=(UNLABELLED, CLASSES))
        self.teacher = 4 * rng.normal(size=(UNLABELLED, CLASSES))
        self.name = name
        if name == "pseudo-label":  # one view serves both
            self.teacher = self.student = 4 * rng.normal(size=(UNLABELLED, CLASSES))

    def loss(self, progress: float) -> tuple[Loss, Tensor, Tensor]:
        """The loss, and the leaves of the student's and of the teacher's logits."""
        method = METHODS[self.name]
        assert isinstance(method, LoopMethod)
        first = torch.tensor(self.labelled)
        student = torch.tensor(self.student, requires_grad=True)
        teacher = torch.tensor(self.teacher, requires_grad=True)
        weak, strong = [first], []
        if self.name == "fixmatch":
            weak, strong = [first, teacher], [student]
        elif self.name == "mean-teacher":
            weak = [first, student, teacher]
        elif self.name == "pseudo-label":
            weak = [first, student]
        modality: Any = Views(weak, strong)
        targets = torch.tensor(self.labels)
        draw = Draw(modality, {}, torch.Generator(), {}, targets, {})
        task = TASKS["classification"]
        loss = method.objective.loss(Moment(Ready(), Ready(), draw, task, progress))
        assert not weak
        assert not strong
        return loss, student, teacher


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("progress", [0.1, 0.4, 0.9])
@pytest.mark.parametrize("name", list(ORACLES))
def test_loss_is_the_papers(name: str, progress: float, seed: int):
    case = Case(name, seed)
    loss, _, _ = case.loss(progress)
    assert loss.terms["supervised"].item() == pytest.approx(supervised(case.labelled, case.labels))
    wanted = ORACLES[name](case.student, case.teacher, progress)
    assert wanted > 0
    assert loss.terms["unlabelled"].item() == pytest.approx(wanted, rel=1e-9)
    assert loss.total.item() == pytest.approx(wanted + supervised(case.labelled, case.labels))


@pytest.mark.parametrize("name", list(ORACLES))
def test_gradient_is_the_students_alone(name: str):
    """Differences of the formula, with the teacher held still, give the gradient."""
    case = Case(name, 0)
    loss, student, teacher = case.loss(0.5)
    loss.terms["unlabelled"].backward()
    assert teacher.grad is None
    assert student.grad is not None
    numeric, tiny = np.zeros_like(case.student), 1e-6
    for place in np.ndindex(case.student.shape):
        values = []
        for sign in (1, -1):
            moved = case.student.copy()
            moved[place] += sign * tiny
            values.append(ORACLES[name](moved, case.teacher, 0.5))
        numeric[place] = (values[0] - values[1]) / (2 * tiny)
    np.testing.assert_allclose(student.grad.numpy(), numeric, atol=1e-8)


def test_coverage_and_agreement_are_what_they_say():
    case = Case("fixmatch", 3)
    loss, _, _ = case.loss(0.5)
    sure = np.mean([softmax(row).max() >= 0.95 for row in case.teacher])
    agree = np.mean(case.teacher.argmax(1) == case.student.argmax(1))
    assert 0 < sure < 1
    assert loss.figures["coverage"].item() == pytest.approx(sure)
    assert loss.figures["agreement"].item() == pytest.approx(agree)


def test_supervised_is_the_mean_cross_entropy():
    case = Case("supervised", 1)
    loss, _, _ = case.loss(0.5)
    assert list(loss.terms) == ["supervised"]
    assert loss.total.item() == pytest.approx(supervised(case.labelled, case.labels))


def test_thresholds_accept_from_the_threshold_on():
    guess = torch.tensor(
        [[0.95, 0.05], [0.94, 0.06], [0.05, 0.95], [0.5, 0.5]], dtype=torch.float64
    )
    assert AtLeast(0.95)(guess).tolist() == [1, 0, 1, 0]
    assert All()(guess).tolist() == [1, 1, 1, 1]


def test_targets_are_certain_or_as_they_were():
    guess = torch.tensor([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])
    assert Hard()(guess).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert Soft()(guess) is guess


def test_distances_are_the_formulas():
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(8, 3)), rng.dirichlet(np.ones(3), 8)
    cross = [-(t * np.log(softmax(row))).sum() for row, t in zip(logits, target, strict=True)]
    square = [((softmax(row) - t) ** 2).mean() for row, t in zip(logits, target, strict=True)]
    output, goal = torch.tensor(logits), torch.tensor(target)
    np.testing.assert_allclose(CrossEntropy()(output, goal).numpy(), cross)
    np.testing.assert_allclose(Squared()(output, goal).numpy(), square)


def test_distances_hold_for_logits_that_overflow():
    output = torch.tensor([[1e4, 0.0, -1e4], [-1e4, 1e4, 0.0]])
    goal = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    assert CrossEntropy()(output, goal).tolist() == [1e4, 0.0]
    assert Squared()(output, goal).isfinite().all()


@pytest.mark.parametrize(
    ("ramp", "points"),
    [
        (LinearRamp(), {0.0: 0.0, 0.1: 0.25, 0.4: 1.0, 1.0: 1.0}),
        (LinearRamp(0.2, 0.6), {0.0: 0.0, 0.2: 0.0, 0.4: 0.5, 0.6: 1.0, 0.9: 1.0}),
        (ExponentialRamp(0.4), {0.0: math.exp(-5), 0.2: math.exp(-1.25), 0.4: 1.0, 0.9: 1.0}),
    ],
)
def test_ramps_pass_through_their_points(
    ramp: Callable[[float], float], points: dict[float, float]
):
    for progress, factor in points.items():
        assert ramp(progress) == pytest.approx(factor)
    grown = [ramp(t) for t in np.linspace(0, 1, 101)]
    assert (np.diff(grown) >= 0).all()
