"""Self-training: a classifier learns its own sure guesses, which others of it have made.

The procedure of Yarowsky 1995, with the acceptance and alignment rules of the consistency table.
Guesses are cross-fitted: no model guesses a record that it was taught, and each round guesses all
records anew, so a mistake may be taken back. Unless told otherwise guesses are held to the labels'
class shares and weighed by SoftMatch's Gaussian: a fixed threshold that suits one classifier lets
the first class it is sure of take all records from another's.

Use it where the classifier is right when it is sure: some labels a class, classes with room
between them, a feature for each thing that matters. It takes the classifier as it is.

It fails with so few labels that the first model is sure and wrong, for what it adds then is its
own mistake; look at `--audit` or ask for more certainty. On records between the classes it
learns little, since it is never sure of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from leaven.learn.method import METHODS
from leaven.learn.self_training import SelfTrainingMethod, self_train

__all__ = ["SelfTraining", "self_train"]


@dataclass(frozen=True)
class SelfTraining(SelfTrainingMethod):
    """Around logistic regression."""

    name = "self-training"
    summary = "a linear model learns its own sure guesses, cross-fitted"
    paper = "Yarowsky 1995, ACL 33"
    reads_names = True


METHODS.add("self-training", SelfTraining())
