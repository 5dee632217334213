"""Methods on given graphs against their closed forms, in float64, part by part of the graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from leaven.core.errors import SettingError, UnknownNameError
from leaven.learn import propagation_method
from leaven.learn.classic_method import Frozen
from leaven.learn.graphs import solve as solve_module
from leaven.learn.graphs.neighbours import nearest
from leaven.learn.graphs.solve import solve
from leaven.learn.graphs.volume import offsets
from leaven.learn.graphs.weights import affinity, components
from leaven.learn.heads.neighbours import NeighbourHead
from leaven.learn.method import METHODS

Floats = npt.NDArray[np.float64]
NAMES = ("label-propagation", "label-spreading", "laplace-learning", "poisson-learning")


def method(name: str, **settings: Any) -> Any:
    """A method with settings."""
    one: Any = METHODS[name]
    return replace(one, **settings)


def random_problem(
    n: int, density: float, classes: int, labels: int, soft: bool, seed: int
) -> tuple[Floats, Floats]:
    """Symmetric weights, with parts and lone records where the density is low; seeds."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.uniform(0.2, 1, (n, n)) * (rng.random((n, n)) < density), 1)
    seeds = np.zeros((n, classes))
    rows = rng.permutation(n)[:labels]
    seeds[rows, rng.integers(classes, size=len(rows))] = (
        rng.choice([0.0, 0.3, 0.8, 1.0, 2.0], len(rows)) if soft else 1.0
    )
    return upper + upper.T, seeds


def parts(weights: Floats) -> list[list[int]]:
    """The connected parts, by walking."""
    left, found = set(range(len(weights))), []
    while left:
        reached, edge = set(), {min(left)}
        while edge:
            reached |= edge
            edge = {int(j) for i in edge for j in np.flatnonzero(weights[i])} - reached
        found.append(sorted(reached))
        left -= reached
    return found


def harmonic(weights: Floats, seeds: Floats) -> Floats:
    """u_i = w_i y_i + (1 - w_i) Σ_j p_ij u_j, part by part; zero in parts without a label."""
    found = np.zeros_like(seeds)
    for part in parts(weights):
        inside = weights[np.ix_(part, part)]
        weight = seeds[part].sum(1)
        if not weight.any():
            continue
        system, right = np.eye(len(part)), np.zeros((len(part), seeds.shape[1]))
        for i in range(len(part)):
            if weight[i] > 0:
                right[i] = min(weight[i], 1) * seeds[part[i]] / weight[i]
            if inside[i].sum() > 0:
                system[i] -= (1 - min(weight[i], 1)) * inside[i] / inside[i].sum()
            elif weight[i] > 0:  # alone with its label
                right[i] = seeds[part[i]] / weight[i]
        found[part] = np.linalg.solve(system, right)
    return found


def walked(weights: Floats, seeds: Floats, rounds: int) -> Floats:
    """Label propagation, record by record; a label of weight one is put back."""
    now = np.where(seeds.sum(1, keepdims=True) >= 1, seeds, 0)
    for _ in range(rounds):
        before = now.copy()
        for i, row in enumerate(weights):
            if seeds[i].sum() == 0:
                total = sum(row)
                now[i] = sum(row[j] * before[j] for j in range(len(row))) / total if total else 0
    return now


def poisson(weights: Floats, seeds: Floats, leak: float) -> Floats:
    """(L + leak·D) u = Σ_j w_j (y_j - ȳ) δ_j with Σ d_i u_i = 0, in each part by itself."""
    found = np.full(seeds.shape, -np.inf)
    for part in parts(weights):
        inside = weights[np.ix_(part, part)]
        degree, mass = inside.sum(1), seeds[part].sum(0)
        if not mass.any():
            continue
        source = np.array([y - y.sum() * mass / mass.sum() for y in seeds[part]])
        u = np.linalg.pinv(np.diag((1 + leak) * degree) - inside, rcond=1e-12) @ source
        if degree.any():
            u -= degree @ u / degree.sum()
        found[np.ix_(part, np.flatnonzero(mass))] = u[:, mass > 0]
    return found


PROBLEMS = {
    "n": st.integers(1, 16),
    "density": st.sampled_from([0.05, 0.15, 0.4, 1.0]),
    "classes": st.integers(2, 4),
    "labels": st.integers(0, 8),
    "seed": st.integers(0, 999),
}


@settings(max_examples=40, deadline=None)
@given(soft=st.booleans(), **PROBLEMS)
def test_laplace_learning_is_the_harmonic_function(soft: bool, **sizes: Any):
    weights, seeds = random_problem(soft=soft, **sizes)
    solved = method("laplace-learning").scores(sparse.csr_matrix(weights), seeds)
    np.testing.assert_allclose(solved.values, harmonic(weights, seeds), atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(rounds=st.integers(1, 6), **PROBLEMS)
def test_label_propagation_is_the_walk(rounds: int, **sizes: Any):
    weights, seeds = random_problem(soft=False, **sizes)
    walker = method("label-propagation", rounds=rounds, tolerance=0.0)
    solved = walker.scores(sparse.csr_matrix(weights), seeds)
    np.testing.assert_allclose(solved.values, walked(weights, seeds, rounds), atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(soft=st.booleans(), **PROBLEMS)
def test_label_propagation_ends_at_the_harmonic_function(soft: bool, **sizes: Any):
    weights, seeds = random_problem(soft=soft, **sizes)
    walker = method("label-propagation", rounds=20_000, tolerance=1e-10)
    solved = walker.scores(sparse.csr_matrix(weights), seeds)
    np.testing.assert_allclose(solved.values, harmonic(weights, seeds), atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(soft=st.booleans(), leak=st.sampled_from([0.0, 0.02, 0.5]), **PROBLEMS)
def test_poisson_learning_is_the_papers_equation(soft: bool, leak: float, **sizes: Any):
    weights, seeds = random_problem(soft=soft, **sizes)
    learner = method("poisson-learning", leak=leak)
    solved = learner.scores(sparse.csr_matrix(weights), seeds)
    wanted = poisson(weights, seeds, leak)
    np.testing.assert_allclose(solved.values, wanted, atol=1e-4)
    held = learner.probabilities(solved.values, seeds)
    reached = np.isfinite(wanted).any(1)
    best = solved.values[reached].max(1)
    named = held[reached].argmax(1)
    np.testing.assert_allclose(solved.values[reached, named], best)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    priors=st.sampled_from(["labelled", "uniform", "none"]),
    volume=st.booleans(),
    **PROBLEMS,
)
def test_all_give_probabilities_on_any_graph(name: str, priors: str, volume: bool, **sizes: Any):
    weights, seeds = random_problem(soft=True, **sizes)
    asked: dict[str, Any] = {"priors": priors}
    if name == "poisson-learning":
        asked["volume"] = volume and priors != "none"
    learner = method(name, **asked)
    solved = learner.scores(sparse.csr_matrix(weights), seeds)
    held = learner.probabilities(solved.values, seeds)
    assert held.shape == seeds.shape
    assert (held >= 0).all()
    np.testing.assert_allclose(held.sum(1), 1)
    lost = [part for part in parts(weights) if not seeds[part].any()]
    for part in lost:
        np.testing.assert_allclose(held[part], np.tile(learner.shares(seeds), (len(part), 1)))
    if seeds.any():
        assert not held[:, seeds.sum(0) == 0].any(), "a class without a label is no answer"
    if name != "label-propagation":
        assert solved.residual < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_a_label_of_weight_zero_is_none(name: str):
    weights, seeds = random_problem(30, 0.2, 3, 9, False, 0)
    silent = seeds.copy()
    silent[np.flatnonzero(seeds.sum(1))[:3]] = 0
    faint = np.where(silent.any(1, keepdims=True), seeds, 1e-12 * seeds)
    graph, learner = sparse.csr_matrix(weights), method(name)
    np.testing.assert_allclose(
        learner.scores(graph, faint).values, learner.scores(graph, silent).values, atol=1e-5
    )


@pytest.mark.parametrize("priors", ["labelled", "uniform"])
@pytest.mark.parametrize("name", ["label-propagation", "label-spreading", "laplace-learning"])
def test_class_masses_are_the_priors(name: str, priors: str):
    weights, seeds = random_problem(40, 0.2, 3, 12, False, 1)
    learner = method(name, priors=priors)
    scores = learner.scores(sparse.csr_matrix(weights), seeds).values
    share = seeds.sum(0) / 12 if priors == "labelled" else np.full(3, 1 / 3)
    scaled = np.stack([scores[:, j] * share[j] / scores[:, j].sum() for j in range(3)], 1)
    np.testing.assert_allclose(scaled.sum(0), share)
    np.testing.assert_allclose(
        learner.probabilities(scores, seeds), scaled / scaled.sum(1, keepdims=True)
    )


def test_poissons_priors_multiply_the_potentials():
    weights, seeds = random_problem(20, 1.0, 2, 7, False, 2)
    counts = seeds.sum(0)
    assert counts[0] != counts[1]
    plain = method("poisson-learning").scores(sparse.csr_matrix(weights), seeds).values
    equal = method("poisson-learning", priors="uniform")
    found = equal.scores(sparse.csr_matrix(weights), seeds).values
    np.testing.assert_allclose(found, plain * 0.5 / (counts / 7), atol=1e-9)


def test_poissons_probabilities_know_no_unit_of_weights():
    weights, seeds = random_problem(40, 0.2, 3, 9, False, 3)
    learner, found = method("poisson-learning"), []
    for unit in (1.0, 1e-3, 1e4):
        scores = learner.scores(sparse.csr_matrix(unit * weights), seeds).values
        found.append(learner.probabilities(scores, seeds))
    np.testing.assert_allclose(found[1], found[0], atol=1e-4)
    np.testing.assert_allclose(found[2], found[0], atol=1e-4)


def test_poissons_probabilities_are_about_as_sure_as_right():
    features, truth = clouds([300, 300, 300], 3.0, 1)
    rng = np.random.default_rng(1)
    seeds = np.zeros((900, 3))
    for one in range(3):
        seeds[rng.permutation(np.flatnonzero(truth == one))[:5], one] = 1
    learner = method("poisson-learning")
    scores = learner.scores(affinity(*nearest(features, 10))[0], seeds).values
    held = learner.probabilities(scores, seeds)
    right = (held.argmax(1) == truth).mean()
    assert right > 0.85
    assert held.max(1).mean() == pytest.approx(right, abs=0.12)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 300), classes=st.integers(1, 6), seed=st.integers(0, 999))
def test_offsets_give_every_class_its_size(n: int, classes: int, seed: int):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, classes)) * rng.uniform(0.1, 10, classes)
    shares = rng.dirichlet(np.ones(classes))
    named = (scores + offsets(scores, shares)).argmax(1)
    # Sizes are rounded, each by half at most, and then one may be missed.
    missed = np.abs(np.bincount(named, minlength=classes) - shares * n)
    assert missed.max() <= 1.5 + classes / 2


def test_offsets_leave_barred_classes_barred():
    scores = np.random.default_rng(0).normal(size=(200, 3))
    scores[:80, 1] = -np.inf
    scores[80:90, :2] = -np.inf
    moved = offsets(scores, np.array([0.3, 0.5, 0.2]))
    assert np.isfinite(moved).all()
    named = (scores + moved).argmax(1)
    assert np.isfinite(scores[np.arange(200), named]).all()
    assert np.bincount(named).tolist() == pytest.approx([60, 100, 40], abs=2)


def clouds(sizes: list[int], apart: float, seed: int) -> tuple[npt.NDArray[np.float32], Any]:
    """Round clouds in five dimensions; the records and their classes."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    centre = apart * np.eye(len(sizes), 5)
    return (centre[truth] + rng.normal(size=(len(truth), 5))).astype(np.float32), truth


def test_the_volume_constraint_is_met_and_helps():
    features, truth = clouds([300, 80, 40], 2.6, 0)
    rng = np.random.default_rng(0)
    seeds = np.zeros((420, 3))
    for one, number in enumerate((15, 4, 2)):  # labelled in the classes' shares
        seeds[rng.permutation(np.flatnonzero(truth == one))[:number], one] = 1
    graph, _ = affinity(*nearest(features, 8))
    count, _ = components(graph)
    assert count == 1
    gains = []
    for volume in (False, True):
        learner = method("poisson-learning", volume=volume)
        solved = learner.scores(graph, seeds)
        named = learner.probabilities(solved.values, seeds).argmax(1)
        gains.append((named == truth).mean())
    np.testing.assert_allclose(np.bincount(named) / 420, np.array([15, 4, 2]) / 21, atol=0.005)
    assert gains[1] > gains[0]


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 40),
    classes=st.integers(1, 12),
    singular=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_residual_is_true_and_below_the_tolerance(
    n: int, classes: int, singular: bool, seed: int
):
    rng = np.random.default_rng(seed)
    weights, _ = random_problem(n, 0.3, 2, 0, False, seed)
    matrix = np.diag(weights.sum(1) + (0 if singular else 0.1)) - weights
    right = matrix @ rng.normal(size=(n, classes))
    right[:, 0] = 0
    solved = solve(sparse.csr_matrix(matrix), right, 1e-8)
    left = np.linalg.norm(right - matrix @ solved.values, axis=0)
    size = np.linalg.norm(right, axis=0)
    relative = np.divide(left, size, out=np.zeros(classes), where=size > 1e-12)
    assert solved.residual < 2e-8
    assert relative.max() == pytest.approx(solved.residual, abs=1e-9)
    assert not solved.values[:, 0].any()


def test_wide_problems_are_solved_in_parts_and_alike(monkeypatch: pytest.MonkeyPatch):
    weights, seeds = random_problem(50, 0.2, 9, 40, False, 4)
    matrix = sparse.csr_matrix(np.diag(weights.sum(1) + 1) - weights)
    whole = solve(matrix, seeds)
    monkeypatch.setattr(solve_module, "_ENTRIES", 100)
    np.testing.assert_allclose(solve(matrix, seeds).values, whole.values, atol=1e-6)
    stopped = solve(matrix, seeds, most=1)
    assert stopped.iterations == 1
    assert stopped.residual > 1e-3, "what was not reached is said"


@pytest.mark.parametrize("kind", ["self-tuning", "gaussian", "cosine"])
def test_weights_are_their_formulas(kind: str):
    rng = np.random.default_rng(5)
    features = rng.normal(size=(30, 3))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    position, distance = nearest(features.astype(np.float32), 4)
    graph, scale = affinity(position, distance, kind)
    assert graph.dtype == np.float32
    assert graph.indices.dtype == np.int32
    far = ((features[:, None] - features[None]) ** 2).sum(-1)
    kth = np.sort(far, axis=1)[:, 4]
    wanted = np.zeros((30, 30))
    for i, row in enumerate(position):
        for j in row:
            weight = {
                "self-tuning": np.exp(-far[i, j] / np.sqrt(kth[i] * kth[j])),
                "gaussian": np.exp(-far[i, j] / np.median(kth)),
                "cosine": max(features[i] @ features[j], 0),
            }[kind]
            wanted[i, j] = wanted[j, i] = weight
    np.testing.assert_allclose(graph.toarray(), wanted, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(scale, np.sqrt(kth), rtol=1e-3)
    assert not graph.diagonal().any()
    assert (graph != graph.T).nnz == 0
    if kind == "gaussian":
        narrow, _ = affinity(position, distance, kind, bandwidth=0.1)
        i, j = 0, int(position[0, 0])
        assert narrow[i, j] == pytest.approx(np.exp(-far[i, j] / 0.01), rel=1e-2)


def learnt(name: str, known: Frozen, **settings: Any) -> tuple[NeighbourHead, Any]:
    """The head and the only step."""
    learning = method(name, **settings).learn(known)
    step = next(learning)
    with pytest.raises(StopIteration) as done:
        next(learning)
    head: NeighbourHead = done.value.value
    return head, step


def frozen(apart: float = 6.0, seed: int = 0, per: int = 3) -> tuple[Frozen, Any]:
    """Three clouds, `per` labels each; the truth of all records in their order."""
    features, truth = clouds([120, 100, 80], apart, seed)
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(truth == one))[:per] for one in range(3)]
    order = np.concatenate([*drawn, np.setdiff1d(np.arange(300), np.concatenate(drawn))])
    targets = np.full(300, -1)
    targets[: 3 * per] = truth[order[: 3 * per]]
    return Frozen(features[order], targets, 3, seed, np.arange(300 - 3 * per)), truth[order]


@pytest.mark.parametrize("weights", ["self-tuning", "gaussian", "cosine"])
@pytest.mark.parametrize("name", NAMES)
def test_clouds_are_told_apart_and_the_step_tells_how(name: str, weights: str):
    known, truth = frozen()
    head, step = learnt(name, known, weights=weights)
    assert (step.taught.guess.argmax(1).numpy() == truth[9:]).mean() > 0.97
    # Three parts of one class each have no sources: nothing is left for Poisson learning to solve.
    assert step.figures["iterations"] >= (0 if name == "poisson-learning" else 1)
    assert step.figures["residual"] < (0.5 if name == "label-propagation" else 1e-5)
    features, others = clouds([40, 40, 40], 6.0, 9)
    assert (head(torch.from_numpy(features)).argmax(1).numpy() == others).mean() > 0.95
    again = type(head)(**head.config)
    again.load_state_dict(head.state_dict())
    assert torch.equal(again(torch.from_numpy(features)), head(torch.from_numpy(features)))


@pytest.mark.parametrize("name", NAMES)
def test_the_head_keeps_the_labelled_records_and_some_others(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    known, _ = frozen()
    monkeypatch.setattr(propagation_method, "_REFERENCES", 60)
    head, _ = learnt(name, known)
    assert head.reference.shape == (60, 5)
    np.testing.assert_array_equal(head.reference[:9].numpy(), known.features[:9])
    features, others = clouds([40, 40, 40], 6.0, 9)
    assert (head(torch.from_numpy(features)).argmax(1).numpy() == others).mean() > 0.95


def test_records_ask_in_blocks_and_get_the_same_answer():
    known, _ = frozen()
    head, _ = learnt("label-spreading", known)
    features = torch.from_numpy(np.tile(known.features, (2, 1)))
    whole = head(features)
    assert len(whole) == 600
    torch.testing.assert_close(whole[300:], whole[:300])
    torch.testing.assert_close(whole[290:310], head(features[290:310]))
    assert head(features[:0]).shape == (0, 3)


def test_a_record_alone_is_its_label():
    known = Frozen(np.ones((1, 4), np.float32), np.array([1]), 3, 0, np.zeros(0, np.int64))
    for name in NAMES:
        head, _ = learnt(name, known)
        assert head.scores.tolist() == [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("label-spreading", {"alpha": 1.0}),
        ("label-spreading", {"neighbours": 0}),
        ("label-spreading", {"weights": "gausian"}),
        ("laplace-learning", {"priors": "labeled"}),
        ("label-propagation", {"rounds": 0}),
        ("poisson-learning", {"leak": -0.1}),
        ("poisson-learning", {"volume": True, "priors": "none"}),
    ],
)
def test_settings_that_cannot_be_followed_are_refused(name: str, wrong: dict[str, Any]):
    with pytest.raises(SettingError) as refused:
        METHODS[name].check(wrong)
    if isinstance(refused.value, UnknownNameError):
        assert "Did you mean" in str(refused.value)
