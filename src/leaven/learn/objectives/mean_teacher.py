"""Mean Teacher: agree with the average of one's own past weights.

Tarvainen & Valpola 2017, arXiv:1703.01780, section 2: squared difference of probabilities
between student and averaged teacher, each on a view of its own; sigmoid-shaped ramp-up. The
paper's largest weight is 100 for its mean over ten classes (appendix B.1); the mean over classes
makes the term small, so a weight of that order is no oddity.
"""

from __future__ import annotations

from leaven.learn.choices import All, AveragedTeacher, ExponentialRamp, Soft, Squared
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "mean-teacher",
    LoopMethod(
        name="mean-teacher",
        summary="agreement with an average of the network's past weights",
        paper="Tarvainen & Valpola 2017, arXiv:1703.01780",
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
