"""CoMatch, SimMatch and CR-Match against slow transcriptions of their papers, in float64."""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.learn.objective import Loss, Moment, Objective
from leaven.learn.objectives.comatch import CoMatch
from leaven.learn.objectives.crmatch import CRMatch
from leaven.learn.objectives.simmatch import SimMatch
from tests.learn.oracle_parts import (
    CLASSES,
    HIDDEN,
    WIDTH,
    Floats,
    Small,
    Views,
    certain,
    cross_entropy,
    moment,
    slope,
    softmax,
)

L, U, SIZE = 4, 6, 5

#: Labels by record, and which of the records are labelled; a place is a place among the latter.
TARGETS = np.array([-1, 2, 0, -1, 1, 1, 3, 0, -1])
TRAIN = np.array([1, 2, 4, 5, 6, 7])


class Case:
    """A network, a teacher, and the random views of one step after another."""

    def __init__(self, seed: int, shape: tuple[int, ...] = (WIDTH,)) -> None:
        self.rng, self.shape = np.random.default_rng(seed), shape
        self.network = Small(seed, math.prod(shape))
        self.average = Small(seed + 100, math.prod(shape))
        with torch.no_grad():  # so that some answers are sure
            self.network.matrix.mul_(2)
            self.average.matrix.mul_(2)

    def step(self, strong: int, repeated: bool = False) -> Step:
        return Step(self, strong, repeated)


class Step:
    """The views of a step: records anew each time, moved away for the strong ones."""

    def __init__(self, case: Case, strong: int, repeated: bool) -> None:
        rng = case.rng
        self.places = rng.choice(len(TRAIN), L, replace=repeated)
        if repeated:
            self.places[1] = self.places[0]
        self.labels = TARGETS[TRAIN[self.places]]
        self.labelled = 2 * rng.normal(size=(L, *case.shape))
        self.weak = 2 * rng.normal(size=(U, *case.shape))
        self.strong = [self.weak + rng.normal(size=self.weak.shape) for _ in range(strong)]
        self.case, self.views = case, Views(weak=[self.labelled, self.weak], strong=self.strong)

    def moment(self, state: Any, seed: int = 0) -> Moment:
        case = self.case
        now = moment(case.network, case.average, self.views, self.labels, U, seed, state=state)
        now.draw.places = torch.tensor(self.places)
        return now

    @property
    def supervised(self) -> float:
        """Mean cross-entropy of the labelled records."""
        return float(np.mean([cross_entropy(self.case.network.answer(x), certain(y)) for x, y in zip(self.labelled, self.labels, strict=True)]))  # fmt: skip  # noqa: E501


def state_of(rule: Objective, ratio: int = 2, side: int = 0) -> Any:
    """The method's state in float64, made from as much of a problem as it asks for."""
    problem: Any = SimpleNamespace(
        modality="image" if side else "embedding",
        spec={"height": side, "width": side},
        classes=CLASSES,
        targets=TARGETS,
        train=TRAIN,
        training=SimpleNamespace(labelled_batch=L, unlabelled_ratio=ratio),
    )
    network: Any = SimpleNamespace(encoder=SimpleNamespace(width=HIDDEN))
    torch.manual_seed(3)
    state = rule.state(problem, network)
    assert state is not None
    return state.double()


def weights_of(module: nn.Module) -> list[Floats]:
    return [weights.detach().numpy().copy() for weights in module.parameters()]


def project(weights: list[Floats], features: Floats, offset: Floats | None = None) -> Floats:
    """The unit vector of one record; perhaps with another bias in the last layer."""
    first, bias, second, last = weights
    inner = first @ features + bias
    inner = np.array([value if value > 0 else 0.1 * value for value in inner])
    outer = second @ inner + (last if offset is None else offset)
    return outer / math.sqrt(sum(outer**2))


def shares(query: Floats, keys: list[Floats], temperature: float) -> list[float]:
    """Each key's part of the sum of exp(cosine / temperature)."""
    powers = [math.exp(float(query @ key) / temperature) for key in keys]
    return [power / sum(powers) for power in powers]


def aligned(said: list[Floats], means: list[Floats]) -> list[Floats]:
    """Held to the labels' shares, by the mean guess of the last 32 steps; this one's is noted."""
    means.append(sum(said) / len(said))
    mean = sum(means[-32:]) / len(means[-32:])
    counts = np.array([1 + sum(TARGETS[TRAIN] == k) for k in range(CLASSES)])
    ratio = counts / counts.sum() / mean
    return [row * ratio / (row * ratio).sum() for row in said]


def entropy(target: list[float] | Floats, said: list[float] | Floats) -> float:
    """H(target, said) of two distributions."""
    return -sum(t * math.log(s) for t, s in zip(target, said, strict=True) if t > 0)


def taught_soft(step: Step, guesses: list[Floats], threshold: float, bias: Any = None) -> float:
    """Mean of the accepted records' cross-entropy of the first strong view with the guess."""
    total = 0.0
    for x, q in zip(step.strong[0], guesses, strict=True):
        if q.max() >= threshold:
            total += cross_entropy(step.case.network.answer(x, bias), q)
    return total / U


def gradient(term: Tensor, of: Tensor) -> Floats:
    (found,) = torch.autograd.grad(term, of, retain_graph=True)
    return found.numpy()


def compare(loss: Loss, wanted: dict[str, float], guesses: list[Floats]) -> None:
    """Terms and guesses; the prior of the alignment is single precision."""
    found = {name: term.item() for name, term in loss.terms.items()}
    assert found == pytest.approx(wanted, rel=1e-6)
    assert loss.taught is not None
    np.testing.assert_allclose(loss.taught.guess.numpy(), guesses, rtol=1e-6)


# --- CoMatch -----------------------------------------------------------------------------------


def guess_graph(guesses: list[Floats], edge: float) -> list[list[float]]:
    """Ŵq: a record with itself 1, others as far as their guesses agree, and enough."""
    rows = []
    for b, one in enumerate(guesses):
        row = []
        for j, other in enumerate(guesses):
            near = sum(p * q for p, q in zip(one, other, strict=True))
            row.append(1.0 if b == j else near if near >= edge else 0.0)
        rows.append([value / sum(row) for value in row])
    return rows


def embedding_graph(one: list[Floats], other: list[Floats], temperature: float) -> list[list[float]]:  # fmt: skip  # noqa: E501
    """Ŵz: a record's first strong view with its second, with the first of others."""
    rows = []
    for b, z in enumerate(one):
        keys = [other[b] if b == j else one[j] for j in range(len(one))]
        rows.append(shares(z, keys, temperature))
    return rows


def contrast(step: Step, weights: list[Floats], graph: list[list[float]], offset: Any) -> float:
    """Mean cross-entropy of the rows of two graphs, with weights 1.5 and 0.7."""
    seen, total = step.case.network.features, 0.0
    one, other = ([project(weights, seen(x), offset) for x in view] for view in step.strong)
    for row, told in zip(graph, embedding_graph(one, other, 0.2), strict=True):
        total += entropy(row, told)
    return 1.5 * 0.7 * total / U


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("ratio", "smooth"), [(1, 0.9), (2, 0.6)])
def test_comatch_is_the_papers(seed: int, ratio: int, smooth: float):
    """Six steps of ten records each, of which the memory holds sixteen, or 24."""
    rule = CoMatch(
        weight=1.5, contrast=0.7, threshold=0.6, smooth=smooth, edge=0.4, batches=2, size=SIZE
    )
    case, state = Case(seed), state_of(rule, ratio)
    means: list[Floats] = []
    memory: list[tuple[Floats, Floats]] = []
    accepted, edges = 0, 0
    for _ in range(6):
        with torch.no_grad():
            state["projection"][0].weight.mul_(1.1)  # what is in memory was projected before
        step, weights = case.step(strong=2), weights_of(state["projection"])
        loss = rule.loss(step.moment(state))

        own = aligned([softmax(case.network.answer(x)) for x in step.weak], means)
        keys = [project(weights, case.network.features(x)) for x in step.weak]
        guesses = []
        for z, p in zip(keys, own, strict=True):
            near = shares(z, [key for key, _ in memory], 0.2)
            lent = [a * value for a, (_, value) in zip(near, memory, strict=True)]
            guesses.append(smooth * p + (1 - smooth) * sum(lent) if memory else p)
        graph = guess_graph(guesses, 0.4)

        moved = partial(contrast, step, weights, graph)
        wanted = {"unlabelled": 1.5 * taught_soft(step, guesses, 0.6), "contrast": moved(None)}
        compare(loss, {"supervised": step.supervised, **wanted}, guesses)
        # The guesses take no gradient: they stay while what is taught by them is moved.
        last = state["projection"][2].bias
        numeric = slope(moved, last.detach().numpy())
        np.testing.assert_allclose(gradient(loss.terms["contrast"], last), numeric, atol=1e-6)
        labelled = [project(weights, case.network.features(x)) for x in step.labelled]
        memory += list(zip(keys, own, strict=True))
        memory += [(z, certain(y)) for z, y in zip(labelled, step.labels, strict=True)]
        memory = memory[-2 * L * (1 + ratio) :]
        accepted += sum(q.max() >= 0.6 for q in guesses)
        edges += sum(value > 0 for row in graph for value in row) - U
        assert loss.figures["neighbours"].item() == pytest.approx(
            sum(value > 0 for row in graph for value in row) / U - 1
        )
    assert 0 < accepted < 6 * U
    assert 0 < edges < 6 * U * (U - 1)


# --- SimMatch ----------------------------------------------------------------------------------


def instance(
    step: Step, weights: list[Floats], keys: list[Floats], targets: list[list[float]], offset: Any
) -> float:
    """Mean cross-entropy of shares of the labelled records, with weights 1.5 and 0.7."""
    total = 0.0
    for x, q in zip(step.strong[0], targets, strict=True):
        z = project(weights, step.case.network.features(x), offset)
        total += entropy(q, shares(z, keys, 0.3))
    return 1.5 * 0.7 * total / U


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("decay", "used"), [(0.5, 0.5), (0.9999, 0.99)])
def test_simmatch_is_the_papers(seed: int, decay: float, used: float):
    """Five steps that repeat records; of a thousand steps a decay above 0.99 is cut to it."""
    rule = SimMatch(
        weight=1.5, instance=0.7, threshold=0.6, smooth=0.7, temperature=0.3, decay=decay, size=SIZE
    )
    case, state = Case(seed), state_of(rule)
    slow = weights_of(state["average"])
    means: list[Floats] = []
    memory: dict[int, Floats] = {}
    accepted, unseen = 0, 0
    for _ in range(5):
        with torch.no_grad():
            state["projection"][0].weight.mul_(1.1)
        step, weights = case.step(strong=1, repeated=True), weights_of(state["projection"])
        loss = rule.loss(step.moment(state))

        slow = [used * old + (1 - used) * new for old, new in zip(slow, weights, strict=True)]
        visits = zip(step.places, step.labelled, strict=True)
        vectors = [(place, project(slow, case.average.features(x))) for place, x in visits]
        for place in step.places:
            mean = sum(z for other, z in vectors if other == place)
            memory[place] = mean / np.linalg.norm(mean)
        known = sorted(memory)
        keys = [memory[place] for place in known]
        labels = [TARGETS[TRAIN[place]] for place in known]
        own = aligned([softmax(case.average.answer(x)) for x in step.weak], means)
        guesses, targets = [], []
        for x, p in zip(step.weak, own, strict=True):
            near = shares(project(slow, case.average.features(x)), keys, 0.3)
            folded = np.zeros(CLASSES)
            for share, label in zip(near, labels, strict=True):
                folded[label] += share
            guesses.append(0.7 * p + 0.3 * folded)
            raw = [share * p[label] for share, label in zip(near, labels, strict=True)]
            targets.append([value / sum(raw) for value in raw])

        moved = partial(instance, step, weights, keys, targets)
        wanted = {"unlabelled": 1.5 * taught_soft(step, guesses, 0.6), "instance": moved(None)}
        compare(loss, {"supervised": step.supervised, **wanted}, guesses)
        last = state["projection"][2].bias
        numeric = slope(moved, last.detach().numpy())
        np.testing.assert_allclose(gradient(loss.terms["instance"], last), numeric, atol=1e-6)
        for found, mean in zip(weights_of(state["average"]), slow, strict=True):
            np.testing.assert_allclose(found, mean, rtol=1e-9)
        accepted += sum(q.max() >= 0.6 for q in guesses)
        unseen += len(TRAIN) - len(known)
    assert 0 < accepted < 5 * U
    assert unseen > 0


# --- CR-Match ----------------------------------------------------------------------------------


def crmatch_terms(
    rule: CRMatch, step: Step, state: Any, turns: list[int] | None
) -> dict[str, float]:
    """Each record's loss; without `turns` there is no rotation."""
    network, total = step.case.network, {"unlabelled": 0.0, "apart": 0.0, "rotation": 0.0}
    matrix, offset = weights_of(state.project)
    for place, (calm, wild) in enumerate(zip(step.weak, step.strong[0], strict=True)):
        guess = softmax(network.answer(calm))
        if guess.max() >= rule.threshold:
            total["unlabelled"] += cross_entropy(network.answer(wild), certain(int(guess.argmax())))
            one, other = (matrix @ network.features(x) + offset for x in (wild, calm))
            cosine = float(one @ other) / math.sqrt(float(one @ one) * float(other @ other))
            total["apart"] += rule.apart * max(0.0, cosine)
        if turns is not None:
            head, bias = weights_of(state.turns)
            seen = network.features(np.rot90(calm, turns[place], (1, 2)))
            told = cross_entropy(head @ seen + bias, certain(turns[place]))
            total["rotation"] += rule.rotation * told
    terms = {name: rule.weight * value / U for name, value in total.items()}
    if turns is None:
        del terms["rotation"]
    return terms


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pictures", [False, True])
def test_crmatch_is_the_papers(seed: int, pictures: bool):
    case = Case(seed, (1, 3, 3) if pictures else (WIDTH,))
    step = case.step(strong=1)
    guesses = [softmax(case.network.answer(x)) for x in step.weak]
    threshold = float(np.median([q.max() for q in guesses]))
    rule = CRMatch(weight=1.5, apart=0.7, rotation=0.4, threshold=threshold, size=SIZE)
    state = state_of(rule, side=3 if pictures else 0)
    loss = rule.loss(step.moment(state, seed))
    rng = torch.Generator().manual_seed(seed)
    turns = torch.randint(4, (U,), generator=rng).tolist() if pictures else None
    found = {name: term.item() for name, term in loss.terms.items()}
    wanted = {"supervised": step.supervised, **crmatch_terms(rule, step, state, turns)}
    assert found == pytest.approx(wanted, rel=1e-9)
    assert loss.taught is not None
    np.testing.assert_allclose(loss.taught.guess.numpy(), guesses, rtol=1e-9)
    assert loss.taught.weight.tolist() == [float(q.max() >= threshold) for q in guesses]
    assert loss.taught.weight.sum() == U / 2


def test_crmatch_pushes_only_where_features_are_alike():
    """At right angles and beyond there is no loss; the gradient is the strong view's alone."""
    rule, case = CRMatch(threshold=0.0, size=SIZE), Case(0)
    state = state_of(rule)
    with torch.no_grad():
        state.project.bias.zero_()
    step = case.step(strong=1)
    step.views.left["strong"][0] = -step.views.left["weak"][1]  # tanh is odd: features opposed
    loss = rule.loss(step.moment(state))
    assert loss.terms["apart"].item() == 0
    assert not gradient(loss.terms["apart"], state.project.weight).any()
    step = case.step(strong=1)
    matrix = weights_of(state.project)[0]
    loss = rule.loss(step.moment(state))

    def apart(bias: Floats) -> float:
        total = 0.0
        for calm, wild in zip(step.weak, step.strong[0], strict=True):
            other = matrix @ case.network.features(calm)  # stays as it was
            one = matrix @ case.network.features(wild) + bias
            total += max(0.0, float(one @ other) / np.linalg.norm(one) / np.linalg.norm(other))
        return total / U

    numeric = slope(apart, np.zeros(SIZE))
    assert np.abs(numeric).max() > 1e-3
    np.testing.assert_allclose(
        gradient(loss.terms["apart"], state.project.bias), numeric, atol=1e-7
    )


def test_crmatch_without_rotation_has_no_head_for_it():
    assert state_of(CRMatch(rotation=0.0), side=3).turns is None
    assert state_of(CRMatch(), side=3).turns is not None


# --- all three ---------------------------------------------------------------------------------

RULES = {"comatch": (CoMatch, 2), "simmatch": (SimMatch, 1), "crmatch": (CRMatch, 1)}


@pytest.mark.parametrize("name", RULES)
def test_the_weak_view_and_the_teacher_take_no_gradient(name: str):
    kind, strong = RULES[name]
    rule: Any = kind(threshold=0.0)
    case, state = Case(0), state_of(rule)
    step = case.step(strong)
    given = {kind: list(views) for kind, views in step.views.left.items()}
    for view in (*given["weak"], *given["strong"]):
        view.requires_grad_()
    loss = rule.loss(step.moment(state))
    assert step.views.left == {"weak": [], "strong": []}
    loss.total.backward()
    labelled, weak = given["weak"]
    assert weak.grad is None or not weak.grad.any()
    for view in (labelled, *given["strong"]):
        assert view.grad is not None
        assert view.grad.any()
    assert all(weights.grad is None for weights in case.average.parameters())
    trained = [weights for weights in state.parameters() if weights.requires_grad]
    assert trained
    assert all(weights.grad is not None and weights.grad.any() for weights in trained)
    assert loss.taught is not None
    noted = (loss.taught.guess, loss.taught.weight, loss.taught.answers, *loss.figures.values())
    assert not any(value.requires_grad for value in (*noted, *state.buffers()))


@pytest.mark.parametrize("name", RULES)
def test_weight_zero_is_supervised_and_leaves_the_state_alone(name: str):
    rule: Any = RULES[name][0](weight=0.0)
    state, step = state_of(rule), Case(0).step(0)
    before = {place: tensor.clone() for place, tensor in state.state_dict().items()}
    loss = rule.loss(step.moment(state))
    assert list(loss.terms) == ["supervised"]
    assert loss.total.item() == pytest.approx(step.supervised, rel=1e-9)
    assert len(step.views.left["weak"]) == 1  # the unlabelled records were not looked at
    assert all(torch.equal(before[place], kept) for place, kept in state.state_dict().items())


@pytest.mark.parametrize("name", RULES)
def test_settings_out_of_range_are_refused(name: str):
    with pytest.raises(SettingError, match=f"threshold of {name}"):
        RULES[name][0](threshold=1.5)
