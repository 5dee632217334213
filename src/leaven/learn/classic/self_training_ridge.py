"""Self-training around ridge regression.

As `self-training`: guesses are cross-fitted, judged by a rule of the consistency table and made
anew each round (Yarowsky 1995). What the ridge says of records left out sets how sure it is.

Use it on the many features of random convolutions, where series of a class lie together.

It fails where classes are of very unlike size and labels are drawn evenly: its guesses then spread
the small classes over the large.
"""

from __future__ import annotations

from dataclasses import dataclass

from leaven.learn.method import METHODS
from leaven.learn.self_training import SelfTrainingMethod

__all__ = ["SelfTrainingRidge"]


@dataclass(frozen=True)
class SelfTrainingRidge(SelfTrainingMethod):
    """Around a ridge."""

    name = "self-training-ridge"
    baseline = "ridge"
    learner = "ridge"
    summary = "a ridge learns its own sure guesses, cross-fitted"
    paper = "Yarowsky 1995, ACL 33"
    reads_names = True


METHODS.add("self-training-ridge", SelfTrainingRidge())
