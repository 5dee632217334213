"""AdaMatch: one recipe for semi-supervised learning and for domain adaptation.

Berthelot et al. 2022, arXiv:2106.04732, section 3: guesses aligned to the mean answer on labelled
records, a threshold relative to the confidence there (0.9 of it), cosine ramp-up over the first
half. Its random interpolation between logits of a joint and of a separate pass concerns batch
statistics alone; our default encoders normalise each record by itself, the two passes are equal,
and so it is left out.

Use it when labelled and unlabelled records come from different sources (another camera, another
year): alignment and threshold follow what the network says of the labelled ones.

It fails when the classes have other shares among the unlabelled records than among the labelled,
for it draws the guesses to the latter. With a few labels, learnt by heart, confidence there is
soon one, and the relative threshold is a fixed one of 0.9.
"""

from __future__ import annotations

from leaven.learn.choices.accept import Relative
from leaven.learn.choices.align import ToLabelled
from leaven.learn.choices.distances import CrossEntropy
from leaven.learn.choices.ramps import CosineRamp
from leaven.learn.choices.targets import Hard
from leaven.learn.choices.teachers import SelfTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "adamatch",
    LoopMethod(
        name="adamatch",
        summary="thresholds relative to labelled confidence, aligned guesses",
        paper="Berthelot et al. 2022, arXiv:2106.04732",
        family="pseudo-labels",
        objective=Consistency(
            teacher=SelfTeacher("weak"),
            align=ToLabelled(),
            target=Hard(),
            accept=Relative(0.9),
            distance=CrossEntropy("strong"),
            ramp=CosineRamp(0.5),
        ),
    ),
)
