"""MoCo v2: each view finds the other view of its record among the records of many former steps.

Chen et al. 2020, arXiv:2003.04297, over He et al. 2020, arXiv:1911.05722: the targets come from
an encoder that follows slowly, so that a queue of them stays comparable, and the batch may be
small. In the papers the queue holds 65,536 targets, and one view asks for the other; ours holds
4096, at most half of the records, and both views ask.

Use it when memory allows for small batches only.

It fails where there are few records: the queue is then short, or holds what stands for the
record itself.
"""

from __future__ import annotations

from leaven.learn.choices.agreements import Queued
from leaven.learn.choices.branches import Momentum
from leaven.learn.choices.projections import Perceptron
from leaven.learn.choices.views import Pair
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.pretext import PRETEXTS, Pretext

PRETEXTS.add(
    "moco-v2",
    Pretext(
        name="moco-v2",
        summary="each view finds the other view of its record in a queue of former ones",
        paper="Chen et al. 2020, arXiv:2003.04297",
        family="contrastive",
        objective=JointEmbedding(
            views=Pair("contrastive"),
            projector=Perceptron(128),
            branch=Momentum(0.999, rising=False),
            agreement=Queued(0.2),
        ),
    ),
)
