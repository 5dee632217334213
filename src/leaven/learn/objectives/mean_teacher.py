"""Mean Teacher: agree with the average of one's own past weights.

Tarvainen & Valpola 2017, arXiv:1703.01780, section 2: squared difference of probabilities
between student and averaged teacher, each on a view of its own; sigmoid-shaped ramp-up. The
paper's largest weight is 100 for its mean over ten classes (appendix B.1); the mean over classes
makes the term small, so a weight of that order is no oddity.

Use it with some tens of labels a class and where strong views cannot be trusted: soft targets of
an averaged network, no threshold, no class shut out.

It fails with few labels, where its targets are an average of poor guesses (at 250 labels of
CIFAR-10 an error of 32 % against FixMatch's 5 %; Sohn et al. 2020, table 2). With many classes
the mean over them makes the term small, and the weight must grow with their number.
"""

from __future__ import annotations

from leaven.learn.choices.accept import All
from leaven.learn.choices.distances import Squared
from leaven.learn.choices.ramps import ExponentialRamp
from leaven.learn.choices.targets import Soft
from leaven.learn.choices.teachers import AveragedTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "mean-teacher",
    LoopMethod(
        name="mean-teacher",
        summary="agreement with an average of the network's past weights",
        paper="Tarvainen & Valpola 2017, arXiv:1703.01780",
        family="consistency",
        objective=Consistency(
            teacher=AveragedTeacher("weak"),
            target=Soft(),
            accept=All(),
            distance=Squared("weak"),
            weight=50.0,
            ramp=ExponentialRamp(0.4),
        ),
    ),
)
