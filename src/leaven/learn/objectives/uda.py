"""UDA: sharpened answers on weak views are what strong views should answer.

Xie et al. 2020, "Unsupervised data augmentation for consistency training", arXiv:1904.12848,
eq. 1 and section 2.2: temperature 0.4, confidence of 0.8 before sharpening, KL divergence, weight
1. The paper's signal annealing of the labelled loss is left out, as in later comparisons.

Use it on texts whose strong views keep the meaning, and with an encoder that knows the language:
so the paper came near full supervision on IMDb with 20 labels. With 0.8 instead of 0.95 it learns
from unlabelled records sooner than FixMatch.

It fails when strong views change the class, and after a poor start, for at 0.8 more wrong guesses
are taught. With so many classes that few guesses reach 0.8 it is the supervised baseline.
"""

from __future__ import annotations

from leaven.learn.choices.accept import AtLeast
from leaven.learn.choices.distances import Divergence
from leaven.learn.choices.targets import Sharpen
from leaven.learn.choices.teachers import SelfTeacher
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "uda",
    LoopMethod(
        name="uda",
        summary="sharpened answers on weak views as targets of strong views",
        paper="Xie et al. 2020, arXiv:1904.12848",
        family="consistency",
        objective=Consistency(
            teacher=SelfTeacher("weak"),
            target=Sharpen(0.4),
            accept=AtLeast(0.8),
            distance=Divergence("strong"),
        ),
    ),
)
