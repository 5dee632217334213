"""VICReg: two views' projections are equal, their numbers vary, and no two vary together.

Bardes et al. 2022, arXiv:2105.04906, eq. 1 to 6, with the weights 25, 25 and 1. In the paper
projections are 8192 wide by three layers; ours are 256.

Use it as Barlow Twins; its three terms are told apart in the log, so that one sees which of them
is not met.

It fails with small batches, where variances are mostly noise; without the variance all records
come to one point.
"""

from __future__ import annotations

from leaven.learn.choices.decorrelating import VarianceCovariance
from leaven.learn.choices.projections import Perceptron
from leaven.learn.choices.views import Pair
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.pretext import PRETEXTS, Pretext

PRETEXTS.add(
    "vicreg",
    Pretext(
        name="vicreg",
        summary="two views' projections are equal, vary, and do not vary together",
        paper="Bardes et al. 2022, arXiv:2105.04906",
        family="negative-free",
        objective=JointEmbedding(
            views=Pair("contrastive"),
            projector=Perceptron(256, hidden=256, layers=3),
            agreement=VarianceCovariance(25),
        ),
    ),
)
