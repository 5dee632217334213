"""Neighbours against brute force, label spreading against its closed form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from leaven.learn.classic_method import Frozen
from leaven.learn.graphs.neighbours import nearest
from leaven.learn.graphs.weights import affinity
from leaven.learn.heads import neighbours
from leaven.learn.heads.neighbours import NeighbourHead
from leaven.learn.method import METHODS

Floats = npt.NDArray[np.float64]


def closed_form(weights: Floats, seeds: Floats, alpha: float) -> Floats:
    """(I - αS)⁻¹ Y with a dense inverse; an isolated record has an empty row in S."""
    degree = weights.sum(1)
    root = np.array([d**-0.5 if d > 0 else 0.0 for d in degree])
    smooth = root[:, None] * weights * root[None, :]
    return np.linalg.inv(np.eye(len(weights)) - alpha * smooth) @ seeds


def spread(graph: sparse.csr_matrix, seeds: Floats, alpha: float) -> Floats:
    """What label spreading scores."""
    method: Any = METHODS["label-spreading"]
    found: Floats = replace(method, alpha=alpha).scores(graph, seeds).values
    return found


def blocks(sizes: list[int], seed: int) -> Floats:
    """Symmetric weights of several components, without edges from one to another."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    weights, first = np.zeros((n, n)), 0
    for size in sizes:
        part = rng.random((size, size)) * (rng.random((size, size)) < 0.6)
        part = np.triu(part, 1)
        weights[first : first + size, first : first + size] = part + part.T
        first += size
    return weights


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.95, 0.99])
@pytest.mark.parametrize("sizes", [[12], [1, 9, 1], [6, 6, 6], [1, 1, 1]])
def test_spreading_is_the_closed_form(sizes: list[int], alpha: float):
    weights = blocks(sizes, seed=len(sizes))
    seeds = np.zeros((len(weights), 3))
    seeds[[0, len(weights) - 1], [0, 1]] = 1.0
    found = spread(sparse.csr_matrix(weights), seeds, alpha)
    np.testing.assert_allclose(found, closed_form(weights, seeds, alpha), atol=1e-4)
    assert np.isfinite(found).all()
    assert not found[:, 2].any(), "a class without a label has no score"


def test_labels_stay_in_their_component_and_isolated_records_at_their_seed():
    weights = blocks([5, 5, 1], seed=0)
    seeds = np.zeros((11, 2))
    seeds[0, 0] = seeds[10, 1] = 1.0
    found = spread(sparse.csr_matrix(weights), seeds, 0.9)
    assert not found[5:10].any()
    np.testing.assert_allclose(found[10], [0, 1])


def learnt(name: str, features: Floats, targets: npt.NDArray[np.int64], classes: int) -> Any:
    """The head that a classic method learns; the labelled records are put first for it."""
    order = np.argsort(targets < 0, kind="stable")
    features, targets = features[order].astype(np.float32), targets[order]
    known = Frozen(features, targets, classes, 0, np.arange((targets < 0).sum()))
    learning = METHODS[name].learn(known)  # type: ignore[attr-defined]
    while True:
        try:
            next(learning)
        except StopIteration as done:
            return done.value


def brute(features: Floats, k: int) -> list[list[tuple[float, int]]]:
    """The k nearest others of each record, by all distances."""
    found = []
    for i, own in enumerate(features):
        far = [(((own - other) ** 2).sum(), j) for j, other in enumerate(features) if j != i]
        found.append(sorted(far)[:k])
    return found


@pytest.mark.parametrize("k", [1, 5, 30, 100])
def test_nearest_are_those_of_brute_force(k: int):
    features = np.random.default_rng(k).normal(size=(40, 6)).astype(np.float32)
    position, distance = nearest(features, k)
    wanted = brute(features.astype(np.float64), k)
    assert position.shape == distance.shape == (40, min(k, 39))
    for row, far, pairs in zip(position, distance, wanted, strict=True):
        assert row.tolist() == [j for _, j in pairs]
        np.testing.assert_allclose(far, [d for d, _ in pairs], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("k", [1, 4, 7])
def test_copies_are_neighbours_but_never_of_themselves(k: int):
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(5, 3)), 8, axis=0).astype(np.float32)
    position, distance = nearest(features, k)
    for row, near in enumerate(position):
        assert row not in near
        assert len(set(near)) == k
        assert set(near // 8) == {row // 8}, "seven copies are nearer than all others"
    np.testing.assert_allclose(distance, 0, atol=1e-4)


def test_affinity_is_the_self_tuning_formula():
    features = np.random.default_rng(1).normal(size=(15, 2)).astype(np.float32)
    position, distance = nearest(features, 4)
    graph, scale = affinity(position, distance)
    far = ((features[:, None] - features[None]) ** 2).sum(-1)
    wanted = np.zeros((15, 15))
    for i, row in enumerate(position):
        for j in row:
            wanted[i, j] = wanted[j, i] = np.exp(-far[i, j] / (scale[i] * scale[j]))
    np.testing.assert_allclose(graph.toarray(), wanted, rtol=1e-3)
    np.testing.assert_allclose(scale, [np.sqrt(np.sort(row)[4]) for row in far], rtol=1e-3)


@pytest.mark.parametrize("spoilt", ["copies", "all equal", "far away", "no label near", "few"])
def test_label_spreading_gives_probabilities_whatever_the_records(spoilt: str):
    rng = np.random.default_rng(2)
    features = np.concatenate([rng.normal(size=(30, 4)), rng.normal(size=(30, 4)) + 8])
    targets = np.full(60, -1)
    targets[[0, 1, 30]] = [0, 0, 1]
    if spoilt == "copies":
        features[5:25] = features[5]
    if spoilt == "all equal":
        features[:] = 1.0
    if spoilt == "far away":
        features[7] = 1e6
    if spoilt == "no label near":
        targets[30], targets[2] = -1, 1
    if spoilt == "few":
        features, targets = features[[0, 30]], targets[[0, 30]]
    head = learnt("label-spreading", features, targets, 3)
    assert head.scores.isfinite().all()
    np.testing.assert_allclose(head.scores.sum(1).numpy(), 1, rtol=1e-5)
    outputs = head(torch.from_numpy(features.astype(np.float32)))
    assert outputs.isfinite().all()
    np.testing.assert_allclose(outputs.exp().sum(1).numpy(), 1, rtol=1e-4)
    if spoilt in ("copies", "far away", "few"):
        labelled = np.flatnonzero(targets >= 0)
        assert outputs[labelled].argmax(1).tolist() == targets[labelled].tolist()


def test_a_small_class_is_not_drained_by_a_large_cluster():
    rng = np.random.default_rng(3)
    centres = np.repeat([[0.0, 0.0], [6.0, 0.0]], [180, 20], axis=0)
    features = (centres + rng.normal(size=(200, 2))).astype(np.float32)
    targets = np.full(200, -1)
    targets[[0, 1, 180, 181]] = [0, 0, 1, 1]
    head = learnt("label-spreading", features, targets, 2)
    back = np.argsort(np.argsort(targets < 0, kind="stable"))
    said = head.scores.argmax(1).numpy()[back]
    assert (said[:180] == 0).mean() > 0.95
    assert (said[180:] == 1).mean() > 0.95


def test_a_new_record_asks_its_nearest_references():
    rng = np.random.default_rng(4)
    reference, scores = rng.normal(size=(12, 3)), rng.dirichlet(np.ones(2), 12)
    scale, k = rng.uniform(0.5, 1.5, 12), 4
    head = NeighbourHead(12, 3, 2, k)
    for name, value in {"reference": reference, "scale": scale, "scores": scores}.items():
        getattr(head, name).copy_(torch.from_numpy(value))
    record = rng.normal(size=3)
    far = np.linalg.norm(reference - record, axis=1)
    near = np.argsort(far)[:k]
    weights = np.exp(-(far[near] ** 2) / (far[near[-1]] * scale[near]))
    mixed = (weights[:, None] * scores[near]).sum(0) / weights.sum()
    wanted = np.log((mixed + 1e-4) / (1 + 2e-4))
    found = head(torch.from_numpy(record[None].astype(np.float32)))
    np.testing.assert_allclose(found[0].numpy(), wanted, rtol=1e-4)


@pytest.mark.parametrize("present", [[0, 1, 2], [0, 2], [1]])
def test_logistic_outputs_are_scikit_learns(present: list[int]):
    rng = np.random.default_rng(5)
    targets = np.repeat(present, 10)
    features = (rng.normal(size=(len(targets), 4)) + targets[:, None]).astype(np.float32)
    head = learnt("logistic", features, targets, 3)
    with torch.no_grad():
        found = head(torch.from_numpy(features)).double().softmax(1).numpy()
    if len(present) == 1:
        assert (found[:, present[0]] > 0.999).all()
        return
    scale = np.sqrt((features**2).sum(1).mean())
    model = LogisticRegression(C=10.0, max_iter=1000).fit(features / scale, targets)
    np.testing.assert_allclose(found[:, present], model.predict_proba(features / scale), atol=1e-3)
    absent = sorted({0, 1, 2} - set(present))
    assert (found[:, absent] < 1e-3).all()


def test_of_many_references_those_in_near_cells_answer(monkeypatch: pytest.MonkeyPatch):
    """And answer as all of them would, but for a few records; the same after saving, and alone."""
    rng = np.random.default_rng(6)
    centres = 3 * rng.normal(size=(40, 8))
    reference = (centres[np.arange(4000) % 40] + rng.normal(size=(4000, 8))).astype(np.float32)
    reference[1000:1030] = reference[1000]  # copies, more than are asked
    scale = rng.uniform(0.5, 1.5, 4000).astype(np.float32)
    scores = rng.dirichlet(np.ones(3), 4000)
    asked = torch.from_numpy(np.concatenate([reference[:40], centres.astype(np.float32)]))
    copy = torch.from_numpy(reference[1000:1001])
    every = NeighbourHead.of(reference, scale, scores, 10)
    assert not len(every.centres)
    monkeypatch.setattr(neighbours, "_EXACT", 500)
    monkeypatch.setattr(neighbours, "_CANDIDATES", 1000)
    head = NeighbourHead.of(reference, scale, scores, 10)
    assert len(head.centres) > 10
    one, other = head(asked), every(asked)
    assert one.isfinite().all()
    assert head(copy).exp().sum().item() == pytest.approx(1, rel=1e-4)
    same = (one - other).abs().max(1).values < 1e-3
    assert same.float().mean() > 0.9
    torch.testing.assert_close(head(asked[7:8]), one[7:8], rtol=1e-4, atol=1e-5)
    again = NeighbourHead(**head.config)
    again.load_state_dict(head.state_dict())
    assert torch.equal(again(asked), one)
    monkeypatch.setattr(neighbours, "_CANDIDATES", 10**9)  # every cell is near
    torch.testing.assert_close(head(asked), other, rtol=1e-3, atol=1e-4)
