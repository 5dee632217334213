"""A random forest on frozen features: bootstrapped trees that split where it is best.

Breiman 2001, "Random Forests", Machine Learning 45.

Use it on tables where single columns decide: its thresholds are searched for, those of `forest`
drawn.

It fails with a label or two a class and on embeddings, as all trees do.
"""

from __future__ import annotations

from leaven.learn.learner_method import LearnerMethod
from leaven.learn.method import METHODS

METHODS.add("random-forest", LearnerMethod("random-forest", "bootstrapped trees, best splits"))
