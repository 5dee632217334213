"""Pi-model: agree with oneself on another view of the same record.

Laine & Aila 2017, arXiv:1610.02242, section 2.1 and algorithm 1: squared difference of the
probabilities of two noisy evaluations, exponential ramp-up. The paper lets the gradient into both
evaluations; here the teacher's has none, which is half of that gradient in expectation, since the
two are alike. The weight, 50 on a mean over classes, makes up for it.

Use it where weak views surely keep the class and some tens of labels a class are there: it is a
cheap regulariser, with no threshold to set and no memory.

It fails with a few labels a class, where it holds the network to its early errors: in USB (Wang
et al. 2022, arXiv:2208.07204) it is among the weakest. Where two weak views hardly differ, its
term is next to zero.
"""

from __future__ import annotations

from leaven.learn.choices.accept import All
from leaven.learn.choices.distances import Squared
from leaven.learn.choices.ramps import ExponentialRamp
from leaven.learn.choices.targets import Soft
from leaven.learn.choices.teachers import SelfTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "pi-model",
    LoopMethod(
        name="pi-model",
        summary="agreement with oneself on another weak view",
        paper="Laine & Aila 2017, arXiv:1610.02242",
        family="consistency",
        objective=Consistency(
            teacher=SelfTeacher("weak"),
            target=Soft(),
            accept=All(),
            distance=Squared("weak"),
            weight=50.0,
            ramp=ExponentialRamp(0.4),
        ),
    ),
)
