"""A blend of methods with and without unlabelled records, on the same frozen features.

p(y | x) = Σ w_c p_c(y | x), with the weights under which the mixture gives most to labels of
records left out (stacking of predictive distributions; Yao, Vehtari, Simpson & Gelman 2018,
arXiv:1704.02030), from a prior that the benchmark has learnt on other sets, times the odds of
agreeing with the others. Nothing is picked: candidates that err on different records are better
together.

Use it where you do not know which method suits: it is what `auto` takes.

It fails where all candidates fail, and it costs as much as all of them together; where one method
is known to be right, that one alone is smaller and as good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from leaven.learn.blending import BlendMethod
from leaven.learn.method import METHODS

__all__ = ["Blend"]


@dataclass(frozen=True)
class Blend(BlendMethod):
    """See `BlendMethod`."""

    name = "blend"
    summary = "several methods, mixed by what is known of each"
    unlabelled = True
    reads_votes = True
    voted: ClassVar[tuple[str, ...]] = ("weak-labels",)
    candidates: ClassVar[tuple[str, ...]] = (
        "logistic",
        "ridge",
        "forest",
        "random-forest",
        "poisson-learning",
        "label-spreading",
        "self-training-ridge",
    )


METHODS.add("blend", Blend())
