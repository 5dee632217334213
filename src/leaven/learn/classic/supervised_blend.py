"""The blend's supervised part: the candidates that read labelled records alone, mixed alike.

The same contest on the same folds with the same prior (Yao, Vehtari, Simpson & Gelman 2018),
without the candidates that read unlabelled records.

Use it as the baseline of `blend`; it is also what is left of it where every record has a label.

It fails where labels are too few to tell the classes apart: there unlabelled records must help.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from leaven.learn.blending import BlendMethod
from leaven.learn.method import METHODS

__all__ = ["SupervisedBlend"]


@dataclass(frozen=True)
class SupervisedBlend(BlendMethod):
    """See `BlendMethod`."""

    name = "supervised-blend"
    summary = "several supervised methods, mixed by what is known of each"
    unlabelled = False
    candidates: ClassVar[tuple[str, ...]] = ("logistic", "ridge", "forest", "random-forest")


METHODS.add("supervised-blend", SupervisedBlend())
