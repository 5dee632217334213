"""GRAND: several strong views agree with the sharpened mean of such views.

Feng et al. 2020, arXiv:2005.11079, section 3.2 and eq. 5: the answers to several random views of
the graph are averaged and sharpened with temperature 0.5, and each view's answer is drawn towards
that by the squared difference. The paper averages four views and lets the gradient into all of
them; here four views make the mean, a fifth learns from it, and weak views of the labelled nodes
give the labelled loss. The paper sums over the classes where we take the mean, so that our weight
is its own, 1, times some seven classes; it rises along an exponential ramp.

Use it on a given graph whose neighbours are of one class more often than not: its strong views
leave half of the nodes without features, so that nodes learn to be told by their neighbourhood.
With the encoder `grand` it is the paper's model; `appnp`, `gcn` and `gat` serve as well.

It fails where strong views do not keep the class, for nothing is rejected: on pictures and texts
rows with a threshold do better. It passes each record through the network five times a step.
"""

from __future__ import annotations

from leaven.learn.choices.accept import All
from leaven.learn.choices.distances import Squared
from leaven.learn.choices.ramps import ExponentialRamp
from leaven.learn.choices.targets import Sharpen
from leaven.learn.choices.teachers import RepeatedTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "grand",
    LoopMethod(
        name="grand",
        summary="strong views agree with the sharpened mean of several of them",
        paper="Feng et al. 2020, arXiv:2005.11079",
        family="consistency",
        objective=Consistency(
            teacher=RepeatedTeacher(4, "strong"),
            target=Sharpen(0.5),
            accept=All(),
            distance=Squared("strong"),
            weight=7.0,
            ramp=ExponentialRamp(0.4),
        ),
    ),
)
