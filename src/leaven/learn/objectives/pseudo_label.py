"""Pseudo-Label: train on the network's own confident answers.

Lee 2013, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural
Networks", eq. 15 and 16. The paper accepts every answer and lets a ramped-up weight hold the
early ones back; we keep its ramp and also ask for 0.95, as later comparisons do. Its weight of 3
belongs to a loss without a threshold; ours is 1.
"""

from __future__ import annotations

from leaven.learn.choices import AtLeast, CrossEntropy, Hard, LinearRamp, SelfTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "pseudo-label",
    LoopMethod(
        name="pseudo-label",
        summary="the network's own confident answers as labels",
        paper="Lee 2013, ICML workshop on challenges in representation learning",
        objective=Consistency(
            teacher=SelfTeacher("same"),
            target=Hard(),
            accept=AtLeast(0.95),
            distance=CrossEntropy("weak"),
            ramp=LinearRamp(0.0, 0.4),
        ),
    ),
)
