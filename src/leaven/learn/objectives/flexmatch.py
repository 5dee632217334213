"""FlexMatch: FixMatch with a lower threshold for classes that are learnt slowly.

Zhang et al. 2021, arXiv:2110.08263, eq. 5 to 11: threshold 0.95 at most, convex mapping,
threshold warm-up. The thresholds begin at zero and accept every guess of an untrained network; in
the paper's million steps that passes, in a thousand it does not, so the weight ramps up over the
first half.

Use it instead of FixMatch when some classes are harder than others, or when few guesses reach the
threshold in the steps there are; the paper gains most with the fewest labels a class.

It fails where classes are unequally frequent: a rare one counts as badly learnt, its threshold
falls and errors come in (on SVHN the paper itself is behind FixMatch). The counts are of records
visited, so with many more records than the steps can draw they stay those of the warm-up.
"""

from __future__ import annotations

from leaven.learn.choices.accept import LearningStatus
from leaven.learn.choices.distances import CrossEntropy
from leaven.learn.choices.ramps import CosineRamp
from leaven.learn.choices.targets import Hard
from leaven.learn.choices.teachers import SelfTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "flexmatch",
    LoopMethod(
        name="flexmatch",
        summary="thresholds a class, by how many confident guesses each has",
        paper="Zhang et al. 2021, arXiv:2110.08263",
        family="pseudo-labels",
        objective=Consistency(
            teacher=SelfTeacher("weak"),
            target=Hard(),
            accept=LearningStatus(0.95),
            distance=CrossEntropy("strong"),
            ramp=CosineRamp(0.5),
        ),
    ),
)
