"""TS2Vec's loss against a transcription of the paper's, its crops, and what it shows of a step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.learn.contracts.pretexts import made_pretraining
from leaven.learn.pretext import PRETEXTS
from leaven.learn.pretexts.ts2vec import TS2Vec, _crops, _hidden, hierarchical


def plain_instance(one: np.ndarray, other: np.ndarray, there: np.ndarray) -> float:
    """Eq. 2, averaged over both crops, all steps and all series; step by step."""
    n, steps, _ = one.shape
    costs = []
    for first, second in ((one, other), (other, one)):
        for t in range(steps):
            for i in range(n):
                if not there[i, t]:
                    continue
                total = 0.0
                for j in range(n):
                    if there[j, t]:
                        total += np.exp(first[i, t] @ second[j, t])
                        total += np.exp(first[i, t] @ first[j, t]) if i != j else 0.0
                costs.append(np.log(total) - first[i, t] @ second[i, t])
    return float(np.mean(costs))


def plain_temporal(one: np.ndarray, other: np.ndarray, there: np.ndarray) -> float:
    """Eq. 1, likewise."""
    n, steps, _ = one.shape
    costs = []
    for first, second in ((one, other), (other, one)):
        for i in range(n):
            for t in range(steps):
                if not there[i, t]:
                    continue
                total = 0.0
                for s in range(steps):
                    if there[i, s]:
                        total += np.exp(first[i, t] @ second[i, s])
                        total += np.exp(first[i, t] @ first[i, s]) if s != t else 0.0
                costs.append(np.log(total) - first[i, t] @ second[i, t])
    return float(np.mean(costs))


def plain_hierarchical(
    one: np.ndarray, other: np.ndarray, there: np.ndarray
) -> list[tuple[float, float]]:
    """Algorithm 1: both contrasts, then maximum pooling of two steps, until one is left."""
    levels = []
    while one.shape[1] > 1:
        levels.append((plain_instance(one, other, there), plain_temporal(one, other, there)))
        half = one.shape[1] // 2
        pooled = []
        for states in (one, other):
            left = np.where(there[..., None], states, -np.inf)
            most = np.maximum(left[:, 0 : 2 * half : 2], left[:, 1 : 2 * half : 2])
            pooled.append(np.where(np.isfinite(most), most, 0.0))
        one, other = pooled
        there = there[:, 0 : 2 * half : 2] | there[:, 1 : 2 * half : 2]
    return [*levels, (plain_instance(one, other, there), 0.0)]


@pytest.mark.parametrize(
    ("n", "steps", "ends"),
    [(3, 8, None), (4, 7, None), (3, 9, [9, 4, 1]), (2, 1, None), (2, 5, [2, 5])],
)
def test_loss_is_the_papers(n: int, steps: int, ends: list[int] | None):
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, n, steps, 4))
    there = np.arange(steps) < np.array(ends or [steps] * n)[:, None]
    found = hierarchical(*(torch.from_numpy(x) for x in (one, other, there)))
    wanted = plain_hierarchical(one, other, there)
    np.testing.assert_allclose(
        [(float(a), float(b)) for a, b in found], wanted, rtol=1e-9, atol=1e-9
    )


def test_loss_is_finite_and_its_gradient_too_where_steps_are_missing():
    states = torch.randn(2, 3, 8, 4, requires_grad=True)
    there = torch.arange(8) < torch.tensor([8, 3, 1])[:, None]
    levels = hierarchical(states[0], states[1], there)
    sum(a + b for a, b in levels).backward()
    assert states.grad is not None
    assert bool(states.grad.isfinite().all())
    assert not states.grad[:, 1, 3:].any()


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_crops_overlap_where_they_say(seed: int, steps: int, longest: int):
    rng = torch.Generator().manual_seed(seed)
    places = torch.arange(steps).float().expand(5, steps)[..., None]
    one, other, shared = _crops(places, rng, longest)
    assert 1 <= shared <= min(steps, longest)
    assert torch.equal(one[:, -shared:], other[:, :shared])
    for crop in (one, other):
        assert bool((crop.diff(dim=1) == 1).all())
        assert crop.shape[1] <= min(steps, longest)


def test_crops_begin_elsewhere_for_each_record():
    rng = torch.Generator().manual_seed(3)
    places = torch.arange(200).float().expand(50, 200)[..., None]
    one, _, _ = _crops(places, rng, 50)
    assert len(one[:, 0].unique()) > 10


def test_hiding_leaves_what_says_that_there_is_a_step():
    entered = torch.ones(40, 50, 3)
    found = _hidden(entered, 0.5, torch.Generator().manual_seed(0))
    assert bool((found[..., -1] == 1).all())
    assert torch.equal(found[..., 0], found[..., 1])
    assert 0.45 < float(found[..., 0].mean()) < 0.55
    assert torch.equal(_hidden(entered, 0.0, torch.Generator()), entered)


def test_weights_of_the_two_contrasts_are_in_the_terms():
    problem = made_pretraining(PRETEXTS["ts2vec"], steps=1).problem
    terms = {}
    for share in (0.25, 0.5):
        changed = PRETEXTS["ts2vec"].__class__(
            **(vars(PRETEXTS["ts2vec"]) | {"objective": TS2Vec(instance=share)})
        )
        terms[share] = next(changed.fit(problem)).terms
    assert float(terms[0.5]["instance"]) == pytest.approx(2 * float(terms[0.25]["instance"]))
    assert float(terms[0.25]["temporal"]) == pytest.approx(1.5 * float(terms[0.5]["temporal"]))
