"""The rows' losses against slow transcriptions of the papers' formulas, in NumPy and float64."""

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
from leaven.evaluate.pseudo_log import PseudoLog
from leaven.learn.choices.distances import CrossEntropy, Divergence, Squared
from leaven.learn.choices.ramps import CosineRamp, ExponentialRamp, LinearRamp
from leaven.learn.choices.targets import Hard, Sharpen, Soft
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS, Problem
from leaven.learn.objective import Draw, Loss, Moment
from leaven.learn.task import TASKS
from leaven.learn.train import LoopMethod

Floats = npt.NDArray[np.float64]

LABELLED, UNLABELLED, CLASSES = 6, 20, 4
STEPS = 1000


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def supervised(logits: Floats, labels: npt.NDArray[np.int64]) -> float:
    """Mean cross-entropy, one record at a time."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        total += -math.log(softmax(row)[label])
    return total / len(logits)


class Step:
    """What one step of an oracle gets: logits (rows are records), labels, progress."""

    def __init__(self, case: Case, progress: float) -> None:
        self.student, self.teacher = case.student, case.teacher
        self.labelled, self.labels = case.labelled, case.labels
        self.guess = [softmax(row) for row in case.teacher]
        self.views = [[softmax(row) for row in view] for view in case.views]
        self.progress = progress


def strong_loss(step: Step, guess: list[Floats], accepted: list[float]) -> float:
    """FixMatch's mean: rejected records count in the number, not in the sum."""
    total = 0.0
    for row, q, weight in zip(step.student, guess, accepted, strict=True):
        total += weight * -math.log(softmax(row)[q.argmax()])
    return total / len(step.student)


def cosine(progress: float) -> float:
    """AdaMatch's μ(t), over the first half."""
    return 0.5 - math.cos(min(math.pi, 2 * math.pi * progress)) / 2


def fixmatch(step: Step) -> float:
    """Sohn et al. 2020, eq. 4."""
    return strong_loss(step, step.guess, [float(q.max() >= 0.95) for q in step.guess])


def pseudo_label(step: Step) -> float:
    """Lee 2013, eq. 15 and 16 with T1 = 0 and T2 = 0.4 of the training, above 0.95 only."""
    return min(step.progress / 0.4, 1.0) * fixmatch(step)


def squared(step: Step) -> float:
    """Mean over records of the mean over classes of (p - q)²; the ramp of Laine & Aila."""
    total = 0.0
    for own, q in zip(step.student, step.guess, strict=True):
        for a, b in zip(softmax(own), q, strict=True):
            total += (a - b) ** 2 / CLASSES
    ramp = math.exp(-5 * (1 - min(step.progress / 0.4, 1.0)) ** 2)
    return 50.0 * ramp * total / len(step.student)


def uda(step: Step) -> float:
    """Xie et al. 2020, eq. 1 with section 2.2: T = 0.4, β = 0.8 before sharpening, KL."""
    total = 0.0
    for row, q in zip(step.student, step.guess, strict=True):
        if q.max() >= 0.8:
            powers = q ** (1 / 0.4)
            sharp, p = powers / powers.sum(), softmax(row)
            total += sum(s * math.log(s / o) for s, o in zip(sharp, p, strict=True) if s > 0)
    return total / len(step.student)


def flexmatch(step: Step) -> float:
    """Zhang et al. 2021, eq. 5 to 9 at the first step: nobody has a status, so β = 0."""
    return cosine(step.progress) * strong_loss(step, step.guess, [1.0] * len(step.guess))


def freematch(step: Step) -> float:
    """Wang et al. 2023, eq. 5 to 8 after one update from 1/k, decay 0.99 (1 - 10/1000)."""
    mean = sum(q.max() for q in step.guess) / len(step.guess)
    tau = 0.99 / CLASSES + 0.01 * mean
    shares = 0.99 / CLASSES + 0.01 * sum(step.guess) / len(step.guess)
    accepted = [float(q.max() >= tau * shares[q.argmax()] / max(shares)) for q in step.guess]
    return cosine(step.progress) * strong_loss(step, step.guess, accepted)


def softmatch(step: Step) -> float:
    """Chen et al. 2023, eq. 5 to 8 with uniform alignment; one update from 1/k and 1."""
    mean = 0.99 / CLASSES + 0.01 * sum(step.guess) / len(step.guess)
    aligned = [q / mean / (q / mean).sum() for q in step.guess]
    sure = [q.max() for q in aligned]
    average = sum(sure) / len(sure)
    mu = 0.99 / CLASSES + 0.01 * average
    variance = 0.99 + 0.01 * sum((c - average) ** 2 for c in sure) / (len(sure) - 1)
    weights = [1.0 if c >= mu else math.exp(-((c - mu) ** 2) / (2 * variance)) for c in sure]
    return cosine(step.progress) * strong_loss(step, step.guess, weights)


def adamatch(step: Step) -> float:
    """Berthelot et al. 2022, eq. 2 and 3."""
    own = [softmax(row) for row in step.labelled]
    ratio = (sum(own) / len(own)) / (sum(step.guess) / len(step.guess))
    aligned = [q * ratio / (q * ratio).sum() for q in step.guess]
    bound = 0.9 * sum(p.max() for p in own) / len(own)
    accepted = [float(q.max() >= bound) for q in aligned]
    return cosine(step.progress) * strong_loss(step, aligned, accepted)


def dash(step: Step) -> float:
    """Xu et al. 2021, algorithm 1, with the loss bound ln k that no warm-up has changed."""
    fallen = int((step.progress - 0.05) / 0.95 * 20)
    bound = max(1.0001 * 1.27**-fallen * math.log(CLASSES), 0.05)
    return strong_loss(step, step.guess, [float(-math.log(q.max()) <= bound) for q in step.guess])


def grand(step: Step) -> float:
    """Feng et al. 2020, eq. 5 and section 3.2: the mean of four views, T = 0.5, squared distance.

    The weight 7 is of the mean over classes; the ramp is Laine & Aila's.
    """
    total = 0.0
    for record, row in enumerate(step.student):
        mean = sum(view[record] for view in step.views) / 4
        sharp = mean**2 / (mean**2).sum()
        total += ((softmax(row) - sharp) ** 2).sum() / CLASSES
    ramp = math.exp(-5 * (1 - min(step.progress / 0.4, 1.0)) ** 2)
    return 7.0 * ramp * total / len(step.student)


ORACLES: dict[str, Callable[[Step], float]] = {
    "fixmatch": fixmatch,
    "pseudo-label": pseudo_label,
    "mean-teacher": squared,
    "pi-model": squared,
    "uda": uda,
    "flexmatch": flexmatch,
    "freematch": freematch,
    "softmatch": softmatch,
    "adamatch": adamatch,
    "dash": dash,
    "grand": grand,
}

#: Rows whose teacher remembers more than one step; their memory has tests in test_choices.py.
REMEMBERING = {"temporal-ensembling", "noisy-student"}


class Ready(nn.Module):
    """A network whose outputs, and features, are the view itself."""

    def forward(self, batch: Batch, features: bool = False) -> Any:
        return (batch["logits"], batch["logits"]) if features else batch["logits"]


class Views:
    """A modality whose views are logits that were made beforehand, each call the next."""

    def __init__(self, weak: list[Tensor], strong: list[Tensor]) -> None:
        self.left = {"weak": weak, "strong": strong}

    def weak(self, batch: Batch, spec: Any, rng: torch.Generator) -> Batch:
        return {"logits": self.left["weak"].pop(0)}

    def strong(self, batch: Batch, spec: Any, rng: torch.Generator) -> Batch:
        return {"logits": self.left["strong"].pop(0)}


def objective_of(name: str) -> Consistency:
    method = METHODS[name]
    assert isinstance(method, LoopMethod)
    assert isinstance(method.objective, Consistency)
    return method.objective


def problem(labels: npt.NDArray[np.int64]) -> Any:
    """As much of a problem as states ask for."""
    made: Any = object.__new__(Problem)
    for name, value in {
        "classes": CLASSES,
        "unlabelled": np.arange(UNLABELLED),
        "train": np.arange(len(labels)),
        "targets": labels,
    }.items():
        object.__setattr__(made, name, value)
    return made


class Case:
    """Random logits, some of the teacher's confident, and the loss a method makes of them."""

    def __init__(self, name: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.labelled = 2 * rng.normal(size=(LABELLED, CLASSES))
        self.labels = rng.integers(0, CLASSES, LABELLED)
        self.student = 2 * rng.normal(size=(UNLABELLED, CLASSES))
        self.teacher = 4 * rng.normal(size=(UNLABELLED, CLASSES))
        self.views = [self.teacher * factor for factor in (1.0, 0.7, 0.4, -0.2)]
        self.name = name
        if name == "pseudo-label":  # one view serves both
            self.teacher = self.student = 4 * rng.normal(size=(UNLABELLED, CLASSES))

    def loss(self, progress: float) -> tuple[Loss, Tensor, Tensor]:
        """The loss, and the leaves of the student's and of the teacher's logits."""
        objective = objective_of(self.name)
        first = torch.tensor(self.labelled)
        student = torch.tensor(self.student, requires_grad=True)
        teacher = torch.tensor(self.teacher, requires_grad=True)
        weak, strong = [first], []
        if objective.distance is not None:
            (weak if objective.distance.view == "weak" else strong).append(student)
        if self.name == "grand":
            strong += [torch.tensor(view) for view in self.views]
        elif objective.teacher is not None and self.name != "pseudo-label":
            weak.append(teacher)
        modality: Any = Views(weak, strong)
        targets, records = torch.tensor(self.labels), torch.arange(UNLABELLED)
        draw = Draw(
            modality, {}, torch.Generator(), {}, targets, {}, torch.arange(LABELLED), records
        )
        ready: Any = Ready()
        state = objective.state(problem(self.labels), ready)
        state = state.double() if state is not None else None
        step = round(progress * STEPS)
        loss = objective.loss(
            Moment(ready, ready, draw, TASKS["classification"], step, STEPS, state)
        )
        assert not weak
        assert not strong
        return loss, student, teacher


def test_every_row_has_an_oracle():
    rows = {
        name
        for name, method in METHODS.items()
        if isinstance(method, LoopMethod)
        and isinstance(method.objective, Consistency)
        and method.unlabelled
    }
    assert rows == set(ORACLES) | REMEMBERING


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("progress", [0.1, 0.4, 0.9])
@pytest.mark.parametrize("name", list(ORACLES))
def test_loss_is_the_papers(name: str, progress: float, seed: int):
    case = Case(name, seed)
    loss, _, _ = case.loss(progress)
    assert loss.terms["supervised"].item() == pytest.approx(supervised(case.labelled, case.labels))
    wanted = ORACLES[name](Step(case, progress))
    assert wanted > 0
    assert loss.terms["unlabelled"].item() == pytest.approx(wanted, rel=1e-9)
    others = sum(v.item() for n, v in loss.terms.items() if n not in ("supervised", "unlabelled"))
    first = supervised(case.labelled, case.labels)
    assert loss.total.item() == pytest.approx(wanted + first + others)


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
            step = Step(case, 0.5)
            step.student = case.student.copy()
            step.student[place] += sign * tiny
            values.append(ORACLES[name](step))
        numeric[place] = (values[0] - values[1]) / (2 * tiny)
    np.testing.assert_allclose(student.grad.numpy(), numeric, atol=2e-8)


@pytest.mark.parametrize("seed", range(3))
def test_fairness_is_the_papers(seed: int):
    """Wang et al. 2023, eq. 9 to 11, after one update from even shares."""
    case = Case("freematch", seed)
    loss, _, _ = case.loss(0.5)
    step = Step(case, 0.5)
    mean = sum(q.max() for q in step.guess) / UNLABELLED
    guessed = 0.99 / CLASSES + 0.01 * sum(step.guess) / UNLABELLED
    tau = 0.99 / CLASSES + 0.01 * mean
    kept = [
        softmax(row)
        for row, q in zip(case.student, step.guess, strict=True)
        if q.max() >= tau * guessed[q.argmax()] / guessed.max()
    ]
    named = np.zeros(CLASSES)
    for q in step.guess:
        named[q.argmax()] += 1 / UNLABELLED
    named = 0.99 / CLASSES + 0.01 * named
    shares = np.zeros(CLASSES)
    for p in kept:
        shares[p.argmax()] += 1 / len(kept)
    # A class that no accepted answer names has one answer's share, or the ratio is infinite.
    now = (sum(kept) / len(kept)) / np.maximum(shares, 1 / len(kept))
    past = guessed / named
    cross = -sum(a * math.log(b) for a, b in zip(past / past.sum(), now / now.sum(), strict=True))
    assert loss.terms["fairness"].item() == pytest.approx(-0.01 * cross, rel=1e-9)


def test_what_was_taught_is_told():
    case = Case("fixmatch", 3)
    loss, _, _ = case.loss(0.5)
    sure = np.mean([softmax(row).max() >= 0.95 for row in case.teacher])
    agree = np.mean(case.teacher.argmax(1) == case.student.argmax(1))
    entropy = np.mean([-(q * np.log(q)).sum() for q in map(softmax, case.teacher)])
    assert 0 < sure < 1
    assert loss.taught is not None
    assert loss.taught.records.tolist() == list(range(UNLABELLED))
    log = PseudoLog(CLASSES)
    log.add(1, loss.taught)
    told = log.point(1, 1)
    assert told["coverage"] == pytest.approx(sure, abs=1e-6)
    assert told["agreement"] == pytest.approx(agree, abs=1e-6)
    assert told["entropy"] == pytest.approx(entropy, abs=1e-6)
    assert not loss.taught.guess.requires_grad
    assert not loss.taught.weight.requires_grad


def test_supervised_is_the_mean_cross_entropy():
    case = Case("supervised", 1)
    loss, _, _ = case.loss(0.5)
    assert list(loss.terms) == ["supervised"]
    assert loss.total.item() == pytest.approx(supervised(case.labelled, case.labels))


def test_targets_are_certain_sharpened_or_as_they_were():
    guess = torch.tensor([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])
    assert Hard()(guess).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert Soft()(guess) is guess
    powers = guess.numpy() ** 2
    np.testing.assert_allclose(
        Sharpen(0.5)(guess).numpy(), powers / powers.sum(1, keepdims=True), rtol=1e-6
    )
    assert Sharpen(0.5)(torch.tensor([[1.0, 0.0]])).tolist() == [[1.0, 0.0]]


def test_distances_are_the_formulas():
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(8, 3)), rng.dirichlet(np.ones(3), 8)
    pairs = [(t, softmax(row)) for row, t in zip(logits, target, strict=True)]
    output, goal = torch.tensor(logits), torch.tensor(target)
    for distance, wanted in (
        (CrossEntropy(), [-(t * np.log(p)).sum() for t, p in pairs]),
        (Divergence(), [(t * np.log(t / p)).sum() for t, p in pairs]),
        (Squared(), [((p - t) ** 2).mean() for t, p in pairs]),
    ):
        np.testing.assert_allclose(distance(output, goal).numpy(), wanted)
    certain = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
    assert Divergence()(output[:1], certain).item() == pytest.approx(-math.log(pairs[0][1][1]))


def test_distances_hold_for_logits_that_overflow():
    output = torch.tensor([[1e4, 0.0, -1e4], [-1e4, 1e4, 0.0]])
    goal = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    assert CrossEntropy()(output, goal).tolist() == [1e4, 0.0]
    assert Divergence()(output, goal).tolist() == [1e4, 0.0]
    assert Squared()(output, goal).isfinite().all()


@pytest.mark.parametrize(
    ("ramp", "points"),
    [
        (LinearRamp(), {0.0: 0.0, 0.1: 0.25, 0.4: 1.0, 1.0: 1.0}),
        (LinearRamp(0.2, 0.6), {0.0: 0.0, 0.2: 0.0, 0.4: 0.5, 0.6: 1.0, 0.9: 1.0}),
        (ExponentialRamp(0.4), {0.0: math.exp(-5), 0.2: math.exp(-1.25), 0.4: 1.0, 0.9: 1.0}),
        (CosineRamp(0.5), {0.0: 0.0, 0.25: 0.5, 0.5: 1.0, 0.9: 1.0}),
    ],
)
def test_ramps_pass_through_their_points(
    ramp: Callable[[float], float], points: dict[float, float]
):
    for progress, factor in points.items():
        assert ramp(progress) == pytest.approx(factor)
    grown = [ramp(t) for t in np.linspace(0, 1, 101)]
    assert (np.diff(grown) >= 0).all()
