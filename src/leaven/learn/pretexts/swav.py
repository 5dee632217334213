"""SwAV: name the prototypes that another view is given, all of them given equally often.

Caron et al. 2020, arXiv:2006.09882, eq. 1 to 5: the codes of a batch come from three rounds of
Sinkhorn-Knopp, so that they use all prototypes; each view names the codes of the others. In the
paper there are 3000 prototypes and, for small batches, a queue of former projections. Ours has 64
prototypes, fewer than a batch has records, and no queue.

Use it where records fall into kinds of about the same size.

It fails where kinds are very uneven, for prototypes are filled evenly all the same, and with a
batch that has not several records for each prototype.
"""

from __future__ import annotations

from leaven.learn.choices.branches import Stopped
from leaven.learn.choices.grouping import Swapped
from leaven.learn.choices.projections import Prototypes
from leaven.learn.choices.views import MultiCrop
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.pretext import PRETEXTS, Pretext

PRETEXTS.add(
    "swav",
    Pretext(
        name="swav",
        summary="each view names the prototypes that another view is given, evenly filled",
        paper="Caron et al. 2020, arXiv:2006.09882",
        family="clustering",
        objective=JointEmbedding(
            views=MultiCrop(4),
            projector=Prototypes(64),
            branch=Stopped(),
            agreement=Swapped(0.1),
        ),
    ),
)
