"""Barlow Twins: over the batch, each number of a projection agrees with itself and no other.

Zbontar et al. 2021, arXiv:2103.03230, eq. 1: the cross-correlation of two views' projections is
drawn to the identity matrix. In the paper projections are 8192 wide by three layers, and the
weight of the redundancy is 0.0051; ours are 256 wide, and it is 0.02, for there are fewer pairs.

Use it with batches of any size; no record is told from another, and nothing follows.

It fails with narrow projections, and with batches so small that correlations are mostly noise.
"""

from __future__ import annotations

from leaven.learn.choices.decorrelating import CrossCorrelation
from leaven.learn.choices.projections import Perceptron
from leaven.learn.choices.views import Pair
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.pretext import PRETEXTS, Pretext

PRETEXTS.add(
    "barlow-twins",
    Pretext(
        name="barlow-twins",
        summary="two views' projections have the identity for their cross-correlation",
        paper="Zbontar et al. 2021, arXiv:2103.03230",
        family="negative-free",
        objective=JointEmbedding(
            views=Pair("contrastive"),
            projector=Perceptron(256, hidden=256, layers=3),
            agreement=CrossCorrelation(0.02),
        ),
    ),
)
