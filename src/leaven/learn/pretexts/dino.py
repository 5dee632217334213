"""DINO: from a small part of a record, name the prototypes that a following encoder names.

Caron et al. 2021, arXiv:2104.14294, algorithm 1: two whole views and several of small parts; the
target is centred by a running mean and sharpened by a low temperature, which together keep all
records from one prototype. In the paper there are 65,536 prototypes, of which ours has 128, and
ten small views, of which ours has four; its last layer rests during the first pass, ours does not.

Use it for transformers on images, whose small views cost a quarter.

It fails with few steps, for the target must become sure of something first; and where a small
part says nothing of the whole.
"""

from __future__ import annotations

from leaven.learn.choices.branches import Momentum
from leaven.learn.choices.grouping import Centred
from leaven.learn.choices.projections import Prototypes
from leaven.learn.choices.views import MultiCrop
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.pretext import PRETEXTS, Pretext

PRETEXTS.add(
    "dino",
    Pretext(
        name="dino",
        summary="small views name the prototypes that a following encoder names in whole ones",
        paper="Caron et al. 2021, arXiv:2104.14294",
        family="negative-free",
        objective=JointEmbedding(
            views=MultiCrop(4),
            projector=Prototypes(128),
            branch=Momentum(0.996),
            agreement=Centred(0.1),
        ),
    ),
)
