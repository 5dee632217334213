"""Label spreading on a sparse graph of nearest neighbours.

Zhou et al. 2004, "Learning with local and global consistency", eq. 4, on a self-tuning
neighbour graph. Labels flow along the graph through the unlabelled records; a new record asks
its nearest references. Columns are scaled to the labelled shares of the classes (class mass
normalisation, Zhu, Ghahramani & Lafferty 2003, section 4), or large clusters would drain small
ones.

Use it first with a few labels a class, and wherever neighbours in the features share a class:
digits, small tables, embeddings of a pretrained encoder. It takes seconds.

It fails where classes overlap in the features, or where neighbours share words and not the class,
as in short texts of many intents: errors flow along the graph as labels do, and more labels do
not mend it. It fits on 30,000 records at most.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch

from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.graphs.neighbours import nearest
from leaven.learn.graphs.solve import spread
from leaven.learn.graphs.weights import affinity
from leaven.learn.heads.neighbours import NeighbourHead
from leaven.learn.method import METHODS, Step

__all__ = ["LabelSpreading"]


@dataclass(frozen=True)
class LabelSpreading(ClassicMethod):
    """`neighbours` edges a record; `alpha` the share of its answer a record takes from them."""

    neighbours: int = 15
    alpha: float = 0.9

    name = "label-spreading"
    summary = "labels flow along a graph of nearest neighbours"
    paper = "Zhou et al. 2004, NIPS 16"
    unlabelled = True

    def learn(self, known: Frozen) -> Generator[Step, None, NeighbourHead]:
        """Spread over all records, and keep them as references for new ones."""
        features, targets, classes = known.features, known.targets, known.classes
        position, distance = nearest(features, self.neighbours)
        graph, scale = affinity(position, distance)
        labelled = np.flatnonzero(targets >= 0)
        seeds = np.zeros((len(targets), classes))
        seeds[labelled, targets[labelled]] = 1.0
        scores = spread(graph, seeds, self.alpha).clip(0)
        shares = seeds.sum(0) / len(labelled)
        mass = scores.sum(0)
        scores *= np.divide(shares, mass, out=np.zeros_like(mass), where=mass > 0)
        total = scores.sum(1, keepdims=True)
        scores = np.where(total > 0, scores / np.where(total > 0, total, 1), shares)
        head = NeighbourHead(len(features), features.shape[1], classes, self.neighbours)
        head.reference.copy_(torch.from_numpy(features))
        head.scale.copy_(torch.from_numpy(scale))
        head.scores.copy_(torch.from_numpy(scores))
        guess, ones = scores[known.labelled :], np.ones(len(known.places))
        yield Step(1, 1, taught=known.taught(guess, ones, guess.argmax(1)))
        return head


METHODS.add("label-spreading", LabelSpreading())
