"""Temporal Ensembling: agree with the mean of one's own past answers to the same record.

Laine & Aila 2017, arXiv:1610.02242, section 2.2 and algorithm 2: decay 0.6, start-up corrected,
squared difference, exponential ramp-up. The paper updates all targets at the end of an epoch;
here each record's is updated when the record is visited, which is the same but for the order
within an epoch. A record counts from its second visit on. In a training of few epochs the means
are of a much younger network: the weight is smaller and the ramp longer than the paper's (which
grows over 80 of 300 epochs).

Use it when each unlabelled record is visited many times, so few records and many steps, and when
some labels may be wrong: the mean of many answers is steadier than the last one, and the paper
finds it tolerant of wrong labels.

It fails when the records are many for the steps: one that is visited three times is taught what
the untrained network said of it. Its memory grows with records times classes.
"""

from __future__ import annotations

from leaven.learn.choices.accept import All
from leaven.learn.choices.distances import Squared
from leaven.learn.choices.ramps import ExponentialRamp
from leaven.learn.choices.targets import Soft
from leaven.learn.choices.teachers import PastTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "temporal-ensembling",
    LoopMethod(
        name="temporal-ensembling",
        summary="agreement with the mean of one's past answers to a record",
        paper="Laine & Aila 2017, arXiv:1610.02242",
        family="consistency",
        objective=Consistency(
            teacher=PastTeacher(0.6),
            target=Soft(),
            accept=All(),
            distance=Squared("weak"),
            weight=10.0,
            ramp=ExponentialRamp(0.8),
        ),
    ),
)
