"""SimSiam: say what the same network says of another view, which is held still.

Chen and He 2021, arXiv:2011.10566, eq. 1 and 2, algorithm 1: a projector of three layers, the
last one normalised, a predictor with a narrow middle, and no gradient through the target. In the
paper both are 2048 wide, the middle 512.

Use it as the simplest of those that tell no records apart: there is no second encoder, no queue
and no large batch.

It fails more easily than BYOL: with a high learning rate, or without the normalisation, all
records come to one point. Watch the spread of the projections.
"""

from __future__ import annotations

from leaven.learn.choices.agreements import Cosine
from leaven.learn.choices.branches import Stopped
from leaven.learn.choices.projections import Perceptron
from leaven.learn.choices.views import Pair
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.pretext import PRETEXTS, Pretext

PRETEXTS.add(
    "simsiam",
    Pretext(
        name="simsiam",
        summary="predict the network's own answer to the other view, without gradient",
        paper="Chen and He 2021, arXiv:2011.10566",
        family="negative-free",
        objective=JointEmbedding(
            views=Pair("contrastive"),
            projector=Perceptron(256, hidden=256, layers=3, norm=True),
            predictor=Perceptron(256, hidden=64),
            branch=Stopped(),
            agreement=Cosine(),
        ),
    ),
)
