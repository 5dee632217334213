"""Dash: the loss that a guess may have falls over the training.

Xu et al. 2021, arXiv:2109.00650, eq. 8 and algorithm 1; see `FallingLoss` for the schedule.

Use it as FixMatch, when guesses are good early: the bar is loose at first, by the loss that
labelled records have, and grows strict, so that more records count in the first half.

It fails when the loss in the warm-up is no guide: with a few labels it is nearly zero once they
are learnt by heart, with many classes still high, and the first bound then accepts next to
nothing or next to everything.
"""

from __future__ import annotations

from leaven.learn.choices.accept import FallingLoss
from leaven.learn.choices.distances import CrossEntropy
from leaven.learn.choices.targets import Hard
from leaven.learn.choices.teachers import SelfTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "dash",
    LoopMethod(
        name="dash",
        summary="accepts guesses under a loss that falls over the training",
        paper="Xu et al. 2021, arXiv:2109.00650",
        family="pseudo-labels",
        objective=Consistency(
            teacher=SelfTeacher("weak"),
            target=Hard(),
            accept=FallingLoss(),
            distance=CrossEntropy("strong"),
        ),
    ),
)
