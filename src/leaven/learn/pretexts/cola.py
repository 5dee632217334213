"""COLA: two pieces of one recording find each other among those of others.

Saeed et al. 2021, arXiv:2010.10915, eq. 1 and 2: a learnt product of two projections, each a
layer, normalisation and tanh, says how well two pieces go together. In the paper projections are
512 wide, are normalised record by record, and the first piece asks; ours are 128 wide, are
normalised over the batch, and both ask.

Use it for sounds that go on, such as speech, music and machines, of which any piece tells the
kind.

It fails where a recording's noise, its microphone or its loudness tells it from the others: it
then learns that. And where what matters happens once in a recording.
"""

from __future__ import annotations

from leaven.learn.choices.agreements import Bilinear
from leaven.learn.choices.projections import Squashed
from leaven.learn.choices.views import Pair
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.pretext import PRETEXTS, Pretext

PRETEXTS.add(
    "cola",
    Pretext(
        name="cola",
        summary="two pieces of a recording find each other by a learnt product",
        paper="Saeed et al. 2021, arXiv:2010.10915",
        family="contrastive",
        objective=JointEmbedding(
            views=Pair("contrastive"),
            projector=Squashed(128),
            agreement=Bilinear(),
        ),
        modalities=("audio",),
    ),
)
