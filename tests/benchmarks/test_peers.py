"""The peers: each learns what it serves, and those written down here do as their papers say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from benchmarks.features import Graph, Views
from benchmarks.graph_peers import normalised
from benchmarks.grid import choose_peers
from benchmarks.peers import PEERS, fit_peer
from benchmarks.poisson_peer import nearest_weights, poisson
from benchmarks.sets import MODALITIES, load

from .conftest import SETS

QUICK = [name for name in choose_peers(["all"]) if name != "minirocket"]


@pytest.mark.parametrize("name", SETS)
def test_every_peer_learns_every_set_that_it_serves(sets: Path, name: str) -> None:
    task = load(sets, name, per=25, seed=0)
    views, modality = Views(task, seed=0), MODALITIES[SETS[name][0]]
    served = [peer for peer in QUICK if modality in PEERS[peer].views]
    assert len(served) >= 7
    for peer in served:
        view = views.get(PEERS[peer].views[modality])
        answers = fit_peer(peer, task, view, seed=0)()["shipped"]
        assert np.mean(np.array(answers) == np.array(task.truth)) > 0.85, peer


def test_minirocket_tells_waves_apart(sets: Path) -> None:
    pytest.importorskip("aeon")
    task = load(sets, "waves", per=4, seed=0)
    answers = fit_peer("minirocket", task, Views(task, 0).get("channels"), seed=0)()["shipped"]
    assert np.mean(np.array(answers) == np.array(task.truth)) > 0.9


def test_encoded_peers_are_there_with_an_encoder_alone() -> None:
    assert not any(PEERS[name].encoded for name in choose_peers(["all"]))
    assert {"encoder-poisson", "setfit"} <= {*choose_peers(["all"], encoded=True)}
    with pytest.raises(ValueError, match="'encoder-logistic' needs a sentence encoder"):
        choose_peers(["encoder-logistic"])


def test_views_are_made_once(sets: Path) -> None:
    views = Views(load(sets, "notes", per=4, seed=0), seed=0)
    assert views.get("words") is views.get("words")
    assert views.get("topics").train.shape[0] == 120
    with pytest.raises(KeyError, match="colours"):
        views.get("colours")


def test_series_of_several_lengths_are_stretched_to_one(sets: Path) -> None:
    task = load(sets, "steps", per=4, seed=0)
    channels = Views(task, 0).get("channels")
    assert channels.train.shape == (120, 2, 40)
    short = next(i for i, series in enumerate(task.train) if series.shape[1] == 32)
    assert np.allclose(channels.train[short][:, [0, -1]], task.train[short][:, [0, -1]])


def test_poisson_learning_is_the_solution_of_its_equation() -> None:
    """Theorem 2.1: the potential solves L u = source, up to a constant a part."""
    features = np.random.default_rng(0).normal(size=(60, 2)) * [3, 1]
    weights = nearest_weights(features).toarray()
    assert np.allclose(weights, weights.T)
    assert not weights.diagonal().any()
    targets = np.full(60, -1)
    targets[[3, 11, 29]] = [0, 1, 2]
    source = np.zeros((60, 3))
    source[[3, 11, 29]] = np.eye(3) - 1 / 3
    potential = np.linalg.pinv(np.diag(weights.sum(1)) - weights) @ source
    degree = weights.sum(1)
    potential -= degree @ potential / degree.sum()  # the walk's own constant
    assert (poisson(sparse.csr_matrix(weights), targets) == potential.argmax(1)).mean() > 0.95


def test_poisson_learning_keeps_parts_of_a_graph_apart() -> None:
    chain = np.zeros((9, 9))
    for i, j in [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (7, 8)]:
        chain[i, j] = chain[j, i] = 1
    targets = np.array([0, -1, -1, 1, -1, 1, -1, -1, -1])
    said = poisson(sparse.csr_matrix(chain), targets)
    assert said[[0, 3]].tolist() == [0, 1]
    assert said[4:7].tolist() == [1, 1, 1], "a part with one label has that label"
    assert said[7:].tolist() == [1, 1], "a part without labels has the most frequent one"


def test_the_graph_of_networks_is_symmetric_and_scaled_by_degrees() -> None:
    graph = Graph(np.eye(3, dtype=np.float32), np.array([[0, 1], [1, 2]]))
    expected = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]]) / np.sqrt(np.outer([2, 3, 2], [2, 3, 2]))
    assert torch.allclose(normalised(graph).to_dense(), torch.from_numpy(expected).float())
