"""MoCo v3: each view finds what a slowly following encoder says of the other, within the batch.

Chen et al. 2021, arXiv:2104.02057, algorithm 1: no queue, a predictor on the learning side, both
views ask, the loss times twice the temperature. In the paper the temperature is 0.2 for
transformers and 1 for ResNet-50, the layers 4096 wide and projections 256, the batch 4096.

Use it for transformers, for which it was made, and where the batch is large.

It fails, as SimCLR does, where many records of a batch are nearly the same one.
"""

from __future__ import annotations

from leaven.learn.choices.agreements import InBatch
from leaven.learn.choices.branches import Momentum
from leaven.learn.choices.projections import Perceptron
from leaven.learn.choices.views import Pair
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.pretext import PRETEXTS, Pretext

PRETEXTS.add(
    "moco-v3",
    Pretext(
        name="moco-v3",
        summary="each view finds a following encoder's answer to the other view in the batch",
        paper="Chen et al. 2021, arXiv:2104.02057",
        family="contrastive",
        objective=JointEmbedding(
            views=Pair("contrastive"),
            projector=Perceptron(128, hidden=256, layers=3, norm=True),
            predictor=Perceptron(128, hidden=256, norm=True),
            branch=Momentum(0.99),
            agreement=InBatch(0.2, tempered=True),
        ),
    ),
)
