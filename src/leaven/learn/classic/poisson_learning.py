"""Poisson learning: labels as sources and sinks on the graph, for few labels a class.

Calder, Cook, Thorpe & Slepčev 2020, "Poisson learning: graph based semi-supervised learning at very
low label rates" (arXiv:2006.11184), eq. 2.3: L u = Σ_j (y_j - ȳ) δ_j with Σ_i d_i u_i = 0, decided
by the largest potential. Labels are not clamped but pour in what flows off at the others, so that u
does not flatten where labels are few. On a graph of several parts the equation stands in each by
itself, ȳ being the mean of the part's labels: a class without a label there cannot be the answer.

Beyond the paper a walker dies with a small chance at every step (`leak`): (L + leak·D) u is on the
left. Where clusters hang together by few edges, what enters one must leave through them, and
potentials are then those of the edges and not of the labels; with a leak most of it stays. It also
takes a tenth of the steps. A leak of zero is the paper's equation.

Use it with one to some ten labels a class, on many records that lie in clusters.

It fails where classes overlap in the features, as all methods on neighbours do; with many labels
`laplace-learning` and `label-spreading` are as good. With `volume` it fails where the shares of the
labels are not those of the records, as when the same number was labelled of each class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from leaven.core.errors import SettingError
from leaven.learn.graphs.solve import Columns, Floats, Solved, by_columns, solve, times
from leaven.learn.graphs.volume import offsets
from leaven.learn.graphs.weights import components, degrees
from leaven.learn.method import METHODS
from leaven.learn.propagation_method import PropagationMethod

__all__ = ["PoissonLearning"]

#: Rounds of the volume-constrained form, and steps of each. The paper takes 40, on 70,000 records;
#: on some thousands these reach from one class into the next.
_OUTER, _INNER = 20, 10


@dataclass(frozen=True)
class PoissonLearning(PropagationMethod):
    """`leak` is the share of what flows that is lost at every step.

    With `volume` every class gets its share of the records (PoissonMBO, algorithm 2). `priors`
    are b in both forms: "labelled" leaves the potentials as they are, "uniform" multiplies them by
    b / ȳ, as in algorithm 1.
    """

    leak: float = 0.02
    volume: bool = False

    name = "poisson-learning"
    summary = "labels as sources and sinks on a graph of nearest neighbours"
    paper = "Calder et al. 2020, arXiv:2006.11184"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.leak < 1:
            raise SettingError("leak", "a number in [0, 1)", self.leak)
        if self.volume and self.priors == "none":
            raise SettingError("priors", "labelled or uniform where volume is true", self.priors)

    def scores(self, graph: sparse.csr_matrix, seeds: Floats) -> Solved:
        """Potentials (n, c), -inf for classes without a label in the record's part of the graph."""
        degree = degrees(graph)
        count, part = components(graph)
        mass = _sums(seeds, part, count)
        weight = seeds.sum(1)
        total = mass.sum(1, keepdims=True)
        mean = mass / np.where(total > 0, total, 1)
        source = seeds - weight[:, None] * mean[part]
        solved = solve(_less(graph, (1 + self.leak) * degree), source)
        values, iterations = solved.values, solved.iterations
        heft = np.bincount(part, degree, count)
        middle = _sums(degree[:, None] * values, part, count)
        values -= (middle / np.where(heft > 0, heft, 1)[:, None])[part]
        shares, labelled = self.shares(seeds), mass.sum(0) / max(weight.sum(), 1e-300)
        values *= np.divide(shares, labelled, out=np.ones_like(shares), where=labelled > 0)
        absent = (mass <= 0)[part]
        if self.volume:
            values, steps = _moved(graph, degree, source, values, absent, shares)
            iterations += steps
        values[absent] = -np.inf
        return Solved(values, iterations, solved.residual)

    def probabilities(self, scores: Floats, seeds: Floats) -> Floats:
        """A softmax of the potentials, in units of half their spread over unlabelled records.

        It keeps the paper's decision, which is the largest potential, and does not depend on the
        unit of the weights, as potentials do. Half the spread had the lowest log loss on most of
        six real sets; the whole is too unsure, a quarter too sure.
        """
        shares = self.shares(seeds)
        reached = np.isfinite(scores).any(1)
        free = scores[reached & (seeds.sum(1) == 0)]
        spread = float(np.sqrt(np.mean(np.square(free[np.isfinite(free)])))) if free.size else 0.0
        lifted = scores[reached]
        lifted -= lifted.max(1, keepdims=True)
        found = np.exp(lifted / (spread / 2 or 1.0))
        result = np.tile(shares, (len(scores), 1))
        result[reached] = found / found.sum(1, keepdims=True)
        return result


def _moved(
    graph: sparse.csr_matrix,
    degree: Floats,
    source: Floats,
    values: Floats,
    absent: npt.NDArray[np.bool_],
    shares: Floats,
) -> tuple[Floats, int]:
    """PoissonMBO (algorithm 2, μ = 1): diffuse with the sources, then give each class its share.

    Its last potentials, moved by the offsets under which the largest are the shares, and the steps
    taken. The paper multiplies potentials by weights between a half and two; ours are moved, for
    potentials have signs, and as far as the shares need.
    """
    apply = times(_less(graph, degree))
    width = 1 / max(float(degree.max(initial=0)), 1e-300)
    now, named, taken = values, np.full(len(values), -1), 0
    reached = ~absent.all(1)
    lift, moved = np.zeros(len(shares)), values

    def diffused(columns: Columns) -> tuple[Tensor, int, float]:
        part, flow = (torch.from_numpy(np.take(block, columns, 1)) for block in (now, source))
        for _ in range(_INNER):
            part = part.sub(apply(part).sub_(flow), alpha=width)
        return part, _INNER, 0.0

    for _ in range(_OUTER):
        potential = by_columns(diffused, *now.shape).values
        taken += _INNER
        potential[absent] = -np.inf
        lift = offsets(potential[reached], shares, lift)
        moved = potential + lift
        again = moved.argmax(1)
        if np.array_equal(again, named):
            break
        named = again
        now = np.zeros_like(source)
        now[np.arange(len(named)), named] = 1.0
    return moved, taken


def _less(graph: sparse.csr_matrix, diagonal: Floats) -> sparse.csr_matrix:
    """The diagonal matrix less the graph's."""
    return (sparse.diags(diagonal, format="csr") - graph).tocsr()


def _sums(values: Floats, part: npt.NDArray[np.int32], count: int) -> Floats:
    """(count, c) the sum of the rows of each part."""
    return np.stack([np.bincount(part, column, count) for column in values.T], 1)


METHODS.add("poisson-learning", PoissonLearning())
