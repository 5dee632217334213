"""SimCLR: of all views in a batch, each must find the other view of its own record.

Chen et al. 2020, arXiv:2002.05709, eq. 1 and algorithm 1: two views drawn alike, a projector of
two layers that is thrown away afterwards, the normalised temperature-scaled cross-entropy over all
pairs of the batch. In the paper the temperature is 0.1 for ImageNet and 0.5 for CIFAR-10, the
batch 4096; ours are 0.2 and what `training.pretrain_batch` says.

Use it first where views are good: images, and whatever a weak change leaves as it is. The larger
the batch, the more records there are to be told apart.

It fails where two records of a batch are nearly the same one, as in a set with few kinds of
records: telling them apart is then wrong; and where views let the network cheat, as colour does
when it is left alone.
"""

from __future__ import annotations

from leaven.learn.choices.agreements import NTXent
from leaven.learn.choices.projections import Perceptron
from leaven.learn.choices.views import Pair
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.pretext import PRETEXTS, Pretext

PRETEXTS.add(
    "simclr",
    Pretext(
        name="simclr",
        summary="each view finds the other view of its record in the batch",
        paper="Chen et al. 2020, arXiv:2002.05709",
        family="contrastive",
        objective=JointEmbedding(
            views=Pair("contrastive"),
            projector=Perceptron(128),
            agreement=NTXent(0.2),
        ),
    ),
)
