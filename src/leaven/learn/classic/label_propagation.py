"""Label propagation: a random walk from the labels, clamped at every round.

Zhu & Ghahramani 2002, "Learning from labeled and unlabeled data with label propagation", section 2:
F ← D⁻¹ W F, then the labelled rows are put back. After rounds without end this is the harmonic
function that `laplace-learning` solves for; with few labels that function is nearly the same
everywhere, so the walk stops after `rounds` and labels act on their surroundings only. Records that
no label reached by then have the shares of the classes.

Use it where a label should speak for the records near it and not for a whole cluster, and labels
are right.

It fails where labels are so few that most records are farther away than the rounds reach: more
rounds, or `poisson-learning`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from leaven.core.errors import SettingError
from leaven.learn.graphs.solve import Columns, Floats, Solved, by_columns, times
from leaven.learn.graphs.weights import degrees, rescaled
from leaven.learn.method import METHODS
from leaven.learn.propagation_method import PropagationMethod, ties

__all__ = ["LabelPropagation"]


@dataclass(frozen=True)
class LabelPropagation(PropagationMethod):
    """At most `rounds` steps of the walk, fewer when one moves it by `tolerance` or less."""

    rounds: int = 100
    tolerance: float = 1e-6

    name = "label-propagation"
    summary = "labels walk along a graph of nearest neighbours for some rounds, clamped"
    paper = "Zhu & Ghahramani 2002, CMU-CALD-02-107"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounds < 1:
            raise SettingError("rounds", "a number of steps, at least 1", self.rounds)

    def scores(self, graph: sparse.csr_matrix, seeds: Floats) -> Solved:
        """F after the rounds; `residual` is |F' - F| / |F'|, F' a round later.

        A label of weight w below one is put back with the share w only (`ties`).
        """
        degree = degrees(graph)
        clamped, strength, says = ties(seeds, degree)
        total = degree + strength
        share = np.divide(1.0, total, out=np.zeros_like(total), where=(total > 0) & ~clamped)
        walk = times(rescaled(graph, share, np.ones_like(share)))
        held = np.where(clamped, 1, strength * share)[:, None] * says

        def part(columns: Columns) -> tuple[Tensor, int, float]:
            back = torch.from_numpy(np.take(held, columns, 1))
            now, taken = back, 0
            while True:
                ahead = walk(now).add_(back)
                left = float((ahead - now).norm() / ahead.norm().clamp_min(1e-300))
                if taken == self.rounds or left <= self.tolerance:
                    return now, taken, left
                now, taken = ahead, taken + 1

        return by_columns(part, *held.shape)


METHODS.add("label-propagation", LabelPropagation())
