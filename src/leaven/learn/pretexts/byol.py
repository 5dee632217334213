"""BYOL: say what a slowly following encoder says of another view, and tell no records apart.

Grill et al. 2020, arXiv:2006.07733, eq. 2: a predictor on the learning side, 2 - 2 cos between
what it says and the target, both ways; the decay of the following encoder rises to 1. In the
paper it begins at 0.996 and layers are 4096 wide.

Use it where batches are small, or where records of a batch are often of one kind: nothing tells
it that they differ.

It fails without batch normalisation in projector and predictor, and where the encoder follows
too fast: all records then come to one point. Watch the spread of the projections.
"""

from __future__ import annotations

from leaven.learn.choices.agreements import Cosine
from leaven.learn.choices.branches import Momentum
from leaven.learn.choices.projections import Perceptron
from leaven.learn.choices.views import Pair
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.pretext import PRETEXTS, Pretext

PRETEXTS.add(
    "byol",
    Pretext(
        name="byol",
        summary="predict a following encoder's answer to the other view",
        paper="Grill et al. 2020, arXiv:2006.07733",
        family="negative-free",
        objective=JointEmbedding(
            views=Pair("contrastive"),
            projector=Perceptron(128, hidden=512),
            predictor=Perceptron(128, hidden=512),
            branch=Momentum(0.99),
            agreement=Cosine(),
        ),
    ),
)
