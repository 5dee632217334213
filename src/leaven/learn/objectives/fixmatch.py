"""FixMatch: a confident answer on a weak view becomes the label of a strong one.

Sohn et al. 2020, arXiv:2001.07685, eq. 3 and 4: threshold 0.95, weight 1, no ramp-up, the mean
taken over all unlabelled records of the batch.

Use it on images, or wherever strong views keep the class, with ten labels a class or more,
classes about equally frequent, and enough steps for guesses to become sure.

It fails with very few labels: with one a class, the paper's accuracy on CIFAR-10 lies between
49 % and 85 % by which ones were drawn, and a short training can collapse into a few classes. Hard
and rare classes seldom reach the one threshold, and their records are taught as others.
"""

from __future__ import annotations

from leaven.learn.choices.accept import AtLeast
from leaven.learn.choices.distances import CrossEntropy
from leaven.learn.choices.targets import Hard
from leaven.learn.choices.teachers import SelfTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "fixmatch",
    LoopMethod(
        name="fixmatch",
        summary="confident answers on weak views as labels of strong views",
        paper="Sohn et al. 2020, arXiv:2001.07685",
        family="pseudo-labels",
        objective=Consistency(
            teacher=SelfTeacher("weak"),
            target=Hard(),
            accept=AtLeast(0.95),
            distance=CrossEntropy("strong"),
        ),
    ),
)
