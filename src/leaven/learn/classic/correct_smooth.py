"""Correct and Smooth: a plain model's errors spread over the graph, then its answers.

Huang et al. 2021, arXiv:2010.13993, section 2. A linear model on the smoothed features of the
nodes (`graph-hops`) is the base. Its errors at the labelled nodes spread along the edges and are
added to its answers, scaled by the mean error ("autoscale", eq. 5 and 6); then the answers, with
the true labels in the place of the labelled nodes', spread in the same way (eq. 8).

Use it on a graph whose neighbours are of one class more often than not, where a model must be
there in seconds: it trains nothing but a linear model, and answers nodes that come later.

It fails where edges join unlike nodes, and its first half does little where the base knows the
few labelled nodes by heart, for then there is no error to spread. Trained networks gain more from
the features of many nodes.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from leaven.data.modality import Modality
from leaven.learn.choices.choice import within
from leaven.learn.choices.compose import composed
from leaven.learn.encoder import ENCODERS, encode
from leaven.learn.learner import LEARNERS
from leaven.learn.method import METHODS, Method, Problem, Step
from leaven.learn.models.graph_answers import answering, spread_once
from leaven.learn.network import Network

__all__ = ["Corrected", "CorrectSmooth"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Corrected:
    """What the spreading ends in: `values` (n, k), none of them below zero."""

    values: Floats


@dataclass(frozen=True)
class CorrectSmooth(Method):
    """Its fields are the settings.

    `correct` and `smooth` are the shares, in [0, 1), that a node takes from its neighbours in
    each of the `rounds` of the two spreadings; with `correct` 0 nothing is corrected.
    """

    correct: float = 0.9
    smooth: float = 0.9
    rounds: int = 50

    name = "correct-smooth"
    summary = "a linear model's errors, and then its answers, spread over the graph"
    paper = "Huang et al. 2021, arXiv:2010.13993"
    family = "propagation"
    baseline = "logistic"
    unlabelled = True
    stepped = False
    modalities = ("graph",)

    def __post_init__(self) -> None:
        within("correct of correct-smooth", self.correct, 0, 0.999)
        within("smooth of correct-smooth", self.smooth, 0, 0.999)
        within("rounds of correct-smooth", self.rounds, 1, 10_000)

    def default_encoder(self, modality: Modality) -> str:
        """The modality's frozen one."""
        return modality.features

    def check(self, settings: Mapping[str, Any]) -> None:
        """Compose once."""
        composed(self, settings)

    def fit(
        self, problem: Problem, checkpoint: Path | None = None
    ) -> Generator[Step, None, Network]:
        """Fit the base, and say what the spreading teaches the unlabelled nodes."""
        chosen = composed(self, problem.settings)
        network = answering(problem, self.name, asdict(chosen), _base(problem))
        yield spread_once(problem, network)
        return network

    def scores(self, graph: sparse.csr_matrix, seeds: Floats, base: Floats) -> Corrected:
        """Correct and smooth the answers `base` (n, k) over a symmetric graph (n, n).

        `seeds` (n, k) is one-hot at labelled nodes and zero elsewhere.
        """
        known = seeds.sum(1) > 0
        walk = _normalised(graph)
        error = np.where(known[:, None], seeds - base, 0.0)
        spread = _spread(walk, error, self.correct, self.rounds)
        size = np.abs(spread).sum(1, keepdims=True)
        mean = np.abs(error[known]).sum(1).mean() if known.any() else 0.0
        scaled = mean * np.divide(spread, size, out=np.zeros_like(spread), where=size > 1e-12)
        answers = np.where(known[:, None], seeds, base + (scaled if self.correct else 0.0))
        return Corrected(np.maximum(_spread(walk, answers, self.smooth, self.rounds), 0.0))

    def probabilities(self, values: Floats, seeds: Floats) -> Floats:
        """(n, k) of row sum one; even shares where nothing is left."""
        total = values.sum(1, keepdims=True)
        shares: Floats = np.full_like(values, 1 / values.shape[1])
        np.divide(values, total, out=shares, where=total > 0)
        return shares


def _base(problem: Problem) -> Any:
    """Logistic regression on the frozen features of the labelled nodes."""
    kind = ENCODERS["graph-hops"]
    encoder = kind(**kind.configure(problem.spec))
    known = np.sort(np.concatenate([problem.train, problem.unlabelled]))
    encoder.prepare(problem.arrays, known, problem.seed)
    features = encode(encoder, problem.arrays, problem.train, problem.views.plain)
    learner = LEARNERS["logistic"]
    weights = np.ones(len(features), np.float32)
    targets = problem.targets[problem.train]
    fitted = learner.estimator(problem.seed).fit(features, targets, weights)
    return learner.head(fitted, features.shape[1], problem.classes)


def _normalised(graph: sparse.csr_matrix) -> sparse.csr_matrix:
    """D^-½ W D^-½; a node without edges stays by itself."""
    degree = np.asarray(graph.sum(1)).ravel()
    root = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    return (sparse.diags(root) @ graph @ sparse.diags(root)).tocsr()


def _spread(walk: sparse.csr_matrix, start: Floats, share: float, rounds: int) -> Floats:
    """Zᵗ⁺¹ = (1 - share) Z⁰ + share · walk Zᵗ (eq. 4 and 8)."""
    now = start
    for _ in range(rounds):
        now = (1 - share) * start + share * (walk @ now)
    return now


METHODS.add("correct-smooth", CorrectSmooth())
