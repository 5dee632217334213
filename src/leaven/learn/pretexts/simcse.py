"""SimCSE: a text finds itself among the others, read twice with different dropout.

Gao et al. 2021, arXiv:2104.08821, eq. 4, without labels: the text is the same both times, and
nothing but the encoder's dropout differs. The paper goes on from an encoder that has read much,
with a temperature of 0.05. From nothing that is met by telling single words apart, after which
nothing more is learnt; ours is 0.2. Both readings ask, where the paper's first alone does, and the
projection is one plain layer, where the paper's ends in a tanh.

Use it for texts whose words must not be changed, with an encoder that has dropout.

It fails to bring knowledge of words, of which no part of a text is asked: it evens the directions
of what an encoder knows. Long training on few texts makes each of them a kind of its own.
"""

from __future__ import annotations

from leaven.learn.choices.agreements import InBatch
from leaven.learn.choices.projections import Perceptron
from leaven.learn.choices.views import Pair
from leaven.learn.encoder import SequenceEncoder
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.pretext import PRETEXTS, Pretext

PRETEXTS.add(
    "simcse",
    Pretext(
        name="simcse",
        summary="a text finds itself among others, read twice with different dropout",
        paper="Gao et al. 2021, arXiv:2104.08821",
        family="contrastive",
        objective=JointEmbedding(
            views=Pair("plain", "plain"),
            projector=Perceptron(128, layers=1),
            agreement=InBatch(0.2),
        ),
        modalities=("text",),
        asks=SequenceEncoder,
        encoders={"text": "text-transformer"},
    ),
)
