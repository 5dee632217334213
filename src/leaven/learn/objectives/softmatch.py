"""SoftMatch: every guess counts, the unsure ones less.

Chen et al. 2023, arXiv:2301.10921, eq. 5 to 8 and section 3.3: truncated Gaussian weights of the
confidence, judged after uniform alignment; the target is made of the guess as it was. At first
nearly every guess of an untrained network has its full weight; in the paper's million steps that
passes, in a thousand it does not, so the unlabelled weight ramps up over the first half.

Use it when FixMatch leaves most records unused (coverage stays low in the log): all count, the
unsure ones less, and none is lost for being just under a threshold.

It fails when the network is sure and wrong: weights follow confidence, and no bar keeps an early
error out. The weights are judged by guesses aligned to even classes, which favours rare classes
beyond their due.
"""

from __future__ import annotations

from leaven.learn.choices.accept import Gaussian
from leaven.learn.choices.align import ToUniform
from leaven.learn.choices.distances import CrossEntropy
from leaven.learn.choices.ramps import CosineRamp
from leaven.learn.choices.targets import Hard
from leaven.learn.choices.teachers import SelfTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "softmatch",
    LoopMethod(
        name="softmatch",
        summary="Gaussian weights of the confidence instead of a threshold",
        paper="Chen et al. 2023, arXiv:2301.10921",
        family="pseudo-labels",
        objective=Consistency(
            teacher=SelfTeacher("weak"),
            align=ToUniform(0.999),
            target=Hard(),
            accept=Gaussian(0.999),
            distance=CrossEntropy("strong"),
            ramp=CosineRamp(0.5),
        ),
    ),
)
