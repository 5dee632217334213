"""TabPFN as a learner: labelled records are the context of a network trained elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leaven.core.errors import SettingError
from leaven.learn.heads.in_context import InContextHead
from leaven.learn.in_context import Context
from leaven.learn.learner import LEARNERS, Learner

__all__ = ["TabPFN"]


@LEARNERS.register("tabpfn")
@dataclass(frozen=True)
class TabPFN(Learner):
    """Asked `estimators` times, each time with the columns and classes in another order.

    It cannot be told that some records count more than others.
    """

    estimators: int = 4

    name = "tabpfn"

    def __post_init__(self) -> None:
        if self.estimators < 1:
            raise SettingError("estimators", "a whole number, at least 1", self.estimators)

    def estimator(self, seed: int) -> Any:
        """See `Context`."""
        return Context(self.estimators, seed)

    def head(self, fitted: Any, width: int, classes: int) -> InContextHead:
        """The context, and which weights read it."""
        return InContextHead.of(fitted, classes)
