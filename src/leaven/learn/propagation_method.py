"""What the methods on neighbour graphs share: the graph, the decision, the head."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from leaven.core.errors import SettingError, UnknownNameError
from leaven.learn.classic_method import ClassicMethod, Frozen, unit
from leaven.learn.graphs.solve import Floats, Solved
from leaven.learn.graphs.weights import WEIGHTS, affinity
from leaven.learn.heads.neighbours import NeighbourHead
from leaven.learn.method import Problem, Step
from leaven.learn.models.graph_answers import answering, spread_once
from leaven.learn.network import Network

__all__ = ["PRIORS", "PropagationMethod", "ties"]

#: What the shares of the classes are held to.
PRIORS = ("labelled", "uniform", "none")
_REFERENCES = 50_000  # records that a head keeps to answer for new ones


@dataclass(frozen=True)
class PropagationMethod(ClassicMethod):
    """Labels flow along a graph of nearest neighbours.

    `neighbours` of each record have an edge to it; `weights` is how a distance becomes the
    strength of an edge (`graphs/weights.py`; with "cosine" records are brought to length one);
    `priors` is what the shares of the classes are held to: those of the labels, equal ones, or
    none.

    A method's own part is `scores`. It serves given graphs as well: any symmetric sparse graph
    without negative weights, in one part or many. On a given graph `neighbours` and `weights` play
    no part.
    """

    neighbours: int = 10
    weights: str = "self-tuning"
    priors: str = "labelled"

    family = "propagation"
    unlabelled = True
    most: ClassVar[int] = 1_000_000

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise SettingError("neighbours", "a number of records, at least 1", self.neighbours)
        if self.weights not in WEIGHTS:
            raise UnknownNameError("weights", self.weights, WEIGHTS)
        if self.priors not in PRIORS:
            raise UnknownNameError("priors", self.priors, PRIORS)

    @abstractmethod
    def scores(self, graph: sparse.csr_matrix, seeds: Floats) -> Solved:
        """Scores (n, c) of all records, where `graph` is (n, n) and `seeds` (n, c).

        A row of `seeds` is one-hot times the weight of the label, zero where there is none.
        """

    def probabilities(self, scores: Floats, seeds: Floats) -> Floats:
        """(n, c) of row sum 1, the decision held to `priors`.

        By class mass normalisation (Zhu, Ghahramani & Lafferty 2003, section 4): each class's
        scores are scaled so that their sum over the records is the class's share. Records that
        nothing reached get the shares.
        """
        shares = self.shares(seeds)
        held = scores.clip(0)
        if self.priors != "none":
            mass = held.sum(0)
            held *= np.divide(shares, mass, out=np.zeros_like(mass), where=mass > 0) * len(held)
        total = held.sum(1, keepdims=True)
        reached = total > 0
        return np.where(reached, held / np.where(reached, total, 1), shares)

    def shares(self, seeds: Floats) -> Floats:
        """(c,) the classes' shares: of the labels, or equal among the classes that have any."""
        mass = seeds.sum(0)
        if not mass.any():
            return np.full(len(mass), 1 / len(mass))
        if self.priors == "uniform":
            mass = (mass > 0).astype(np.float64)
        shares: Floats = mass / mass.sum()
        return shares

    def fit(
        self, problem: Problem, checkpoint: Path | None = None
    ) -> Generator[Step, None, Network]:
        """Along the edges that records come with; where there are none, of a neighbour graph."""
        if problem.modality != "graph":
            return (yield from super().fit(problem, checkpoint))
        network = answering(problem, self.name, problem.settings)
        yield spread_once(problem, network)
        return network

    def learn(self, known: Frozen) -> Generator[Step, None, NeighbourHead]:
        """Spread over all records, and keep some as references for new ones."""
        angles = self.weights == "cosine"
        order, position, distance = known.nearest(self.neighbours, angles)
        graph, scale = affinity(position, distance, self.weights)
        del position, distance
        seeds = _seeds(known)
        solved = self.scores(graph, seeds[order])
        del graph
        found, scales = np.empty_like(seeds), np.empty_like(scale)
        found[order] = self.probabilities(solved.values, seeds[order])
        scales[order] = scale
        guess = found[known.labelled :]
        figures = {
            "iterations": torch.tensor(float(solved.iterations)),
            "residual": torch.tensor(solved.residual),
        }
        taught = known.taught(guess, np.ones(len(guess)), guess.argmax(1))
        yield Step(1, 1, figures=figures, taught=taught)
        kept = _references(known)
        features = unit(known.features[kept]) if angles else known.features[kept]
        return NeighbourHead.of(
            features, scales[kept], found[kept], self.neighbours, angles, known.seed
        )


def ties(
    seeds: Floats, degree: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64], Floats]:
    """How labels of some weight hold their records, for harmonic functions.

    Returns which records are clamped (n,), the strength (n,) of the tie of the others to what
    their label says, and that (n, c). A weight of one or more clamps; with a weight w < 1 a record
    takes the share w of its answer from its label and the rest from its neighbours, which is an
    edge of strength d·w / (1 - w) to a clamped copy (Zhu, Ghahramani & Lafferty 2003, section 5).
    """
    weight = seeds.sum(1)
    says = seeds / np.where(weight > 0, weight, 1)[:, None]
    clamped = weight >= 1
    loose = np.where(clamped, 0, weight)
    strength = np.where(degree > 0, degree, 1) * loose / (1 - loose)
    return clamped, strength, says


def _seeds(known: Frozen) -> Floats:
    """(n, classes) one-hot times weight."""
    seeds = np.zeros((len(known.targets), known.classes))
    labelled = np.flatnonzero(known.targets >= 0)
    seeds[labelled, known.targets[labelled]] = known.weights
    return seeds


def _references(known: Frozen) -> npt.NDArray[np.int64]:
    """The labelled records, and drawn others as far as there is room."""
    labelled, others = known.labelled, len(known.places)
    room = max(_REFERENCES - labelled, 0)
    if others <= room:
        return np.arange(labelled + others)
    drawn = np.random.default_rng(known.seed).choice(others, room, replace=False)
    return np.concatenate([np.arange(labelled), labelled + np.sort(drawn)])
