"""DeepCluster: cluster all records by what the network says of them, and learn the clusters.

Caron et al. 2018, arXiv:1807.05520, eq. 2: with each pass over the records they are clustered
anew by k-means, and the cluster is the label until the next pass. Ours departs from it as the
same authors did later (DeepCluster-v2, arXiv:2006.09882, appendix): what is clustered are the
projections as they last were in training, by their direction, so that no pass is spent on
looking; and the clusters' centres are the classifier, where the paper begins one anew each time.
No principal components are taken. There are 16 clusters, of the paper's 10,000.

Use it where records fall into kinds, some of them larger than others.

It fails where the first clusters are of what is easy to see, such as the brightness of a picture:
it then learns that better and better. It keeps a vector of every record.
"""

from __future__ import annotations

from leaven.learn.choices.branches import Stopped
from leaven.learn.choices.grouping import Clustered
from leaven.learn.choices.projections import Perceptron
from leaven.learn.choices.views import Pair
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.pretext import PRETEXTS, Pretext

PRETEXTS.add(
    "deepcluster",
    Pretext(
        name="deepcluster",
        summary="name the cluster of the record, clustered anew with each pass",
        paper="Caron et al. 2018, arXiv:1807.05520",
        family="clustering",
        objective=JointEmbedding(
            views=Pair("contrastive"),
            projector=Perceptron(64),
            branch=Stopped(),
            agreement=Clustered(16),
        ),
    ),
)
