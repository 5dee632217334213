"""TabPFN on the labelled records of a table, with weights from elsewhere.

A transformer that was trained on millions of made tables reads the labelled records and a new one
at once, and names its class; nothing is fitted (Hollmann et al. 2023, arXiv:2207.01848; 2025,
Nature 637).

Use it on tables of up to some thousand labelled records, where the package and its weights are
installed: `pip install 'leaven[tabpfn]'`, then put the weights where the package keeps them (their
licence is not Leaven's; that of newer ones forbids commercial use). `blend`, and with it `auto`,
then takes it for one more candidate on tables.

It fails with more than ten classes. Each record costs a pass of the transformer over all labelled
ones: on a processor some 25 seconds a thousand records of 40 columns, so that a blend with a budget
of minutes asks it about small tables alone, or on a GPU. The model cannot be exported: `leaven
distil` makes a small one of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from leaven.core.errors import MissingExtraError
from leaven.learn.classic_method import Frozen
from leaven.learn.in_context import Context, installed, weights
from leaven.learn.learner_method import LearnerMethod
from leaven.learn.learners.tabpfn import TabPFN
from leaven.learn.method import METHODS

__all__ = ["TabPFNMethod"]

#: What the published networks are made for; more records it does not read without a GPU.
_CLASSES, _COLUMNS, _RECORDS = 10, 500, 1000


@dataclass(frozen=True)
class TabPFNMethod(LearnerMethod):
    """The settings of the learner."""

    estimators: int = TabPFN.estimators

    name = baseline = "tabpfn"
    summary = "a network trained on made tables that reads labelled records as its context"
    paper = "Hollmann et al. 2023, arXiv:2207.01848"
    extra = "tabpfn"
    modalities = ("tabular", "embedding")

    def check(self, settings: Mapping[str, Any]) -> None:
        """As others, and that the package and weights are there, before any time is spent."""
        super().check(settings)
        Context(self.estimators, 0)

    def suits(self, known: Frozen) -> bool:
        """Whether it is there, and reads a table of such a size."""
        small = known.classes <= _CLASSES and known.features.shape[1] <= _COLUMNS
        small = small and known.labelled <= _RECORDS
        if known.modality != "tabular" or not small or not installed():
            return False
        with suppress(MissingExtraError):  # it is there, and is another version
            return bool(weights())
        return False


METHODS.add("tabpfn", TabPFNMethod())
