"""FreeMatch: thresholds that follow the network's own confidence, and a fairness term.

Wang et al. 2023, arXiv:2205.07246, eq. 5 to 12. The fairness term's weight is set by data set in
the paper, between 0.001 and 0.05; ours is 0.01. The threshold begins at 1/k and accepts nearly
every guess of an untrained network; in the paper's million steps that passes, in a thousand it
does not, so the weight ramps up over the first half.

Use it with very few labels a class and classes about equally frequent: the threshold starts low
and rises with the network, so that unlabelled records count early and nothing is set by hand.

It fails after a poor start, since it accepts most guesses of a young network, more so when steps
are few. Its fairness term spreads the answers over all classes, which is wrong where the
unlabelled records hold few of some.
"""

from __future__ import annotations

from leaven.learn.choices.accept import SelfAdaptive
from leaven.learn.choices.distances import CrossEntropy
from leaven.learn.choices.fairness import SelfAdaptiveFairness
from leaven.learn.choices.ramps import CosineRamp
from leaven.learn.choices.targets import Hard
from leaven.learn.choices.teachers import SelfTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "freematch",
    LoopMethod(
        name="freematch",
        summary="thresholds that follow the network's confidence; fairness",
        paper="Wang et al. 2023, arXiv:2205.07246",
        family="pseudo-labels",
        objective=Consistency(
            teacher=SelfTeacher("weak"),
            target=Hard(),
            accept=SelfAdaptive(0.999),
            distance=CrossEntropy("strong"),
            ramp=CosineRamp(0.5),
            fairness=SelfAdaptiveFairness(0.01),
        ),
    ),
)
