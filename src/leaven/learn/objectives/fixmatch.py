"""FixMatch: a confident answer on a weak view becomes the label of a strong one.

Sohn et al. 2020, arXiv:2001.07685, eq. 3 and 4: threshold 0.95, weight 1, no ramp-up, the mean
taken over all unlabelled records of the batch.
"""

from __future__ import annotations

from leaven.learn.choices import AtLeast, CrossEntropy, Hard, SelfTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "fixmatch",
    LoopMethod(
        name="fixmatch",
        summary="confident answers on weak views as labels of strong views",
        paper="Sohn et al. 2020, arXiv:2001.07685",
        objective=Consistency(
            teacher=SelfTeacher("weak"),
            target=Hard(),
            accept=AtLeast(0.95),
            distance=CrossEntropy("strong"),
        ),
    ),
)
