"""SCARF: a row of a table finds itself, six tenths of its cells taken from other rows.

Bahri et al. 2022, arXiv:2106.15147, algorithm 1: a share of the cells gets the values that other
rows have in the same columns, and the row is to be found by what is left. In the paper the share
is 0.6 and the temperature 1, values come from the whole table, and whole rows find changed ones;
ours come from the rows of the batch, and both find each other.

Use it for tables with many columns that tell of one another.

It fails with few columns, where six tenths of them leave next to nothing, and where columns are
independent.
"""

from __future__ import annotations

from leaven.learn.choices.agreements import InBatch
from leaven.learn.choices.projections import Perceptron
from leaven.learn.choices.views import Pair
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.pretext import PRETEXTS, Pretext

PRETEXTS.add(
    "scarf",
    Pretext(
        name="scarf",
        summary="a row finds itself with 60 % of its cells from other rows",
        paper="Bahri et al. 2022, arXiv:2106.15147",
        family="contrastive",
        objective=JointEmbedding(
            views=Pair("plain", "contrastive"),
            projector=Perceptron(128, hidden=256),
            agreement=InBatch(1.0),
        ),
        modalities=("tabular",),
    ),
)
