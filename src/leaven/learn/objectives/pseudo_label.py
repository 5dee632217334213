"""Pseudo-Label: train on the network's own confident answers.

Lee 2013, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural
Networks", eq. 15 and 16. The paper accepts every answer and lets a ramped-up weight hold the
early ones back; we keep its ramp and also ask for 0.95, as later comparisons do. Its weight of 3
belongs to a loss without a threshold; ours is 1.

Use it where no strong view keeps the class, as in many tables and embeddings: it needs the weak
view alone, costs one pass, and is the plain control of all that add to it.

It fails by confirming itself: guess and answer are of the same view, so a confident error is
taught as it is, and the term adds little but confidence. Unlabelled records of classes that have
no label get one all the same, which costs accuracy (Oliver et al. 2018, arXiv:1804.09170, section
4.4).
"""

from __future__ import annotations

from leaven.learn.choices.accept import AtLeast
from leaven.learn.choices.distances import CrossEntropy
from leaven.learn.choices.ramps import LinearRamp
from leaven.learn.choices.targets import Hard
from leaven.learn.choices.teachers import SelfTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "pseudo-label",
    LoopMethod(
        name="pseudo-label",
        summary="the network's own confident answers as labels",
        paper="Lee 2013, ICML workshop on challenges in representation learning",
        family="pseudo-labels",
        objective=Consistency(
            teacher=SelfTeacher("same"),
            target=Hard(),
            accept=AtLeast(0.95),
            distance=CrossEntropy("weak"),
            ramp=LinearRamp(0.0, 0.4),
        ),
    ),
)
