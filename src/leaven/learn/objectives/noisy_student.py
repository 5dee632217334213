"""Noisy Student: rounds in which a student under noise learns from its former self without.

Xie et al. 2020, arXiv:1911.04252, algorithm 1 and section 3.1: soft targets of a teacher that
sees records as they are, guesses of a confidence of 0.3, classes balanced, the student under
strong views and dropout, three rounds. The paper's student is a new and larger network; here it
goes on from the weights of its teacher, the warm start of the paper's appendix A.2, so that all
rounds share one training of a given length.

Use it with much unlabelled data, strong views that keep the class, and labels enough for a first
round that is already fair; the paper's gains are on ImageNet with all of its labels.

It fails when the first round is poor, for each round is taught the errors of the one before. A
quarter of the training has no unlabelled term, so short trainings lose. Balanced weights suit
unlabelled records whose classes are about equally frequent.
"""

from __future__ import annotations

from leaven.learn.choices.accept import AtLeast
from leaven.learn.choices.distances import CrossEntropy
from leaven.learn.choices.filters import Balanced
from leaven.learn.choices.targets import Soft
from leaven.learn.choices.teachers import FormerTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "noisy-student",
    LoopMethod(
        name="noisy-student",
        summary="rounds of a student under noise and its former self as teacher",
        paper="Xie et al. 2020, arXiv:1911.04252",
        family="pseudo-labels",
        objective=Consistency(
            teacher=FormerTeacher(3),
            target=Soft(),
            accept=(AtLeast(0.3), Balanced()),
            distance=CrossEntropy("strong"),
        ),
    ),
)
