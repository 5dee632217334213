"""Meta Pseudo Labels against a slow transcription of the paper, in NumPy and float64."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from leaven.core.errors import SettingError
from leaven.core.recipe import Training
from leaven.learn.contracts import made_problem
from leaven.learn.method import METHODS
from leaven.learn.objective import Loss
from leaven.learn.objectives.meta_pseudo_labels import MetaPseudoLabels
from tests.learn.oracle_parts import (
    CLASSES,
    WIDTH,
    Floats,
    Small,
    Views,
    certain,
    cross_entropy,
    moment,
    sharpen,
    slope,
    softmax,
)

L, U = 4, 6
Weights = dict[str, Floats]


def weights_of(network: nn.Module) -> Weights:
    return {name: weight.detach().numpy() for name, weight in network.named_parameters()}


def answer(weights: Weights, record: Floats) -> Floats:
    return np.tanh(record @ weights["body"]) @ weights["matrix"] + weights["bias"]


def mean_loss(weights: Weights, records: Floats, labels: Any) -> float:
    pairs = zip(records, labels, strict=True)
    return float(np.mean([cross_entropy(answer(weights, x), certain(y)) for x, y in pairs]))


def slopes(weights: Weights, records: Floats, labels: Any) -> Weights:
    """The gradient of the mean loss in each weight, by differences."""
    return {
        name: slope(lambda w, name=name: mean_loss({**weights, name: w}, records, labels), weight)
        for name, weight in weights.items()
    }


class Case:
    """Student, teacher and the records of one step; some of the teacher's answers are sure."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.student, self.average = Small(seed), Small(seed + 50)
        self.state: Any = nn.Module()
        self.state.teacher = Small(seed + 100)
        self.state.register_buffer("helped", torch.zeros((), dtype=torch.float64))
        with torch.no_grad():
            self.state.teacher.matrix *= 3
        self.labelled = rng.normal(size=(L, WIDTH))
        self.labels = rng.integers(0, CLASSES, L)
        self.weak, self.strong = rng.normal(size=(2, U, WIDTH))
        self.guess = [softmax(self.state.teacher.answer(x)) for x in self.weak]
        self.pseudo = [int(q.argmax()) for q in self.guess]

    def loss(self, rule: MetaPseudoLabels, progress: float = 0.5) -> Loss:
        views = Views(weak=[self.labelled, self.weak], strong=[self.strong])
        now = moment(
            self.student, self.average, views, self.labels, U, progress=progress, state=self.state
        )
        return rule.loss(now)

    def gain(self, rate: float) -> float:
        """h: the fall of the student's labelled loss by one plain step on the pseudo-labels."""
        before = weights_of(self.student)
        found = slopes(before, self.strong, self.pseudo)
        after = {name: before[name] - rate * found[name] for name in before}
        losses = [mean_loss(w, self.labelled, self.labels) for w in (before, after)]
        return losses[0] - losses[1]

    def uda(self, teacher: Weights, threshold: float, temperature: float) -> float:
        """Xie et al. 2020: KL from the sharpened guess, of those that are sure."""
        total = 0.0
        for q, x in zip(self.guess, self.strong, strict=True):
            if q.max() >= threshold:
                target, said = sharpen(q, temperature), softmax(answer(teacher, x))
                total += float((target * np.log(target / said)).sum())
        return total / U


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_the_loss_is_the_papers(seed: int, decay: float):
    """Three steps, so that the running mean of what helped is more than zero."""
    case = Case(seed)
    rule = MetaPseudoLabels(uda=0.8, threshold=0.7, feedback=2.0, inner_rate=0.3, decay=decay)
    helped, kept = 0.0, min(decay, 0.99)  # a memory of a tenth of the thousand steps at most
    sure = [q.max() >= 0.7 for q in case.guess]
    assert any(sure)
    for _ in range(3):
        loss = case.loss(rule)
        gain = case.gain(0.3)
        teacher = weights_of(case.state.teacher)
        wanted = {
            "supervised": mean_loss(teacher, case.labelled, case.labels),
            "unlabelled": mean_loss(weights_of(case.student), case.strong, case.pseudo),
            "uda": 0.8 * case.uda(teacher, 0.7, 0.4),
            "feedback": 2.0 * (gain - helped) * mean_loss(teacher, case.strong, case.pseudo),
        }
        found = {name: term.item() for name, term in loss.terms.items()}
        assert found == pytest.approx(wanted, rel=1e-6, abs=1e-8)
        assert loss.figures["gain"].item() == pytest.approx(gain, rel=1e-7)
        helped = kept * helped + (1 - kept) * gain
        assert case.state.helped.item() == pytest.approx(helped, rel=1e-7)
        with torch.no_grad():  # the student moves on, so that the next step helps otherwise
            case.student.bias[0] += 0.7


@pytest.mark.parametrize("seed", range(4))
def test_the_gain_is_to_first_order_the_papers_product_of_gradients(seed: int):
    """Pham et al. 2021, section 3: ∇L_labelled · ∇L_unlabelled of the student, times the rate."""
    case, rate = Case(seed), 1e-4
    mine = weights_of(case.student)
    one = slopes(mine, case.strong, case.pseudo)
    other = slopes(mine, case.labelled, case.labels)
    product = sum(float((one[name] * other[name]).sum()) for name in mine)
    found = case.loss(MetaPseudoLabels(inner_rate=rate)).figures["gain"].item()
    assert found == pytest.approx(rate * product, rel=1e-2)


@pytest.mark.parametrize("seed", range(3))
def test_no_gradient_passes_between_student_and_teacher(seed: int):
    case = Case(seed)
    rule = MetaPseudoLabels(threshold=0.7, feedback=3.0, inner_rate=0.3)
    gain = case.gain(0.3)
    teacher = weights_of(case.state.teacher)

    def taught(bias: Floats) -> float:
        """The teacher's loss with guesses, pseudo-labels and h held still."""
        moved = {**teacher, "bias": bias}
        own = mean_loss(moved, case.labelled, case.labels) + case.uda(moved, 0.7, 0.4)
        return own + 3.0 * gain * mean_loss(moved, case.strong, case.pseudo)

    mine = slopes(weights_of(case.student), case.strong, case.pseudo)
    numeric = slope(taught, teacher["bias"])
    case.loss(rule).total.backward()
    for name, weight in case.student.named_parameters():
        assert weight.grad is not None
        np.testing.assert_allclose(weight.grad.numpy(), mine[name], atol=1e-7)
    np.testing.assert_allclose(case.state.teacher.bias.grad.numpy(), numeric, atol=1e-7)
    assert all(weight.grad is None for weight in case.average.parameters())
    assert not case.state.helped.requires_grad


def test_both_begin_with_labels_and_the_student_ends_with_them():
    rule = MetaPseudoLabels(warm_up=0.2, tuned=0.1)
    case = Case(0)
    student, teacher = (
        mean_loss(weights_of(n), case.labelled, case.labels)
        for n in (case.student, case.state.teacher)
    )
    first, last = case.loss(rule, 0.199), case.loss(rule, 0.9)
    found = {name: term.item() for name, term in first.terms.items()}
    assert found == pytest.approx({"supervised": student, "teacher": teacher})
    assert {name: term.item() for name, term in last.terms.items()} == {
        "supervised": pytest.approx(student)
    }
    for progress in (0.2, 0.899):
        assert set(case.loss(rule, progress).terms) == {
            "supervised", "unlabelled", "uda", "feedback",
        }  # fmt: skip


def test_a_step_is_taken_within_the_step_under_bf16_and_leaves_the_network_learning():
    """The loop's wrapper refuses gradients within a step there: the bare network is asked."""
    method = METHODS["meta-pseudo-labels"]
    problem = made_problem(method, steps=4).problem
    problem = replace(problem, training=Training(labelled_batch=8, precision="bf16-mixed"))
    gains = []
    for step in (fit := method.fit(problem)):
        assert step.state is not None
        assert step.state.network.training
        gains += [float(step.figures["gain"])] if step.figures else []
    fit.close()
    assert len(gains) == 3
    assert all(math.isfinite(gain) for gain in gains)
    assert any(gains)


def test_the_teacher_learns_and_is_kept():
    method = METHODS["meta-pseudo-labels"]
    for step in (fit := method.fit(made_problem(method).problem)):
        assert step.state is not None
        assert step.state.objective is not None
        now = {name: t.clone() for name, t in step.state.objective.state_dict().items()}
        if step.number == 1:
            first = now
    fit.close()
    assert "helped" in now
    learnt = [name for name in now if name.endswith(("head.weight", "head.bias"))]
    assert len(learnt) == 2
    assert not any(torch.equal(first[name], now[name]) for name in learnt)


def test_shares_must_be_shares():
    with pytest.raises(SettingError, match="tuned"):
        MetaPseudoLabels(tuned=1.5)
