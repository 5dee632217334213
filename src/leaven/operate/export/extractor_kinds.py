"""The registry of encoders from elsewhere that can be exported, and what each must say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.registry import Registry
from leaven.learn.front import Front
from leaven.operate.export.encoder_kinds import Entered

__all__ = ["EXTRACTOR_GRAPHS", "Elsewhere", "Inputs"]

#: Types and shapes of a graph's inputs by name; an axis with a name may have any length.
Inputs = dict[str, tuple[npt.DTypeLike, list[int | str]]]


class Elsewhere(ABC):
    """The encoder from elsewhere of a run's front, as part of an exported model.

    All of it raises SettingError for what has no exported form, and for an encoder that is not
    where it was.
    """

    def __init__(self, front: Front) -> None:
        self.front = front

    @abstractmethod
    def reading(self) -> dict[str, Any]:
        """What reads its records without torch must know besides the spec of their modality.

        Plain JSON. `together` is of how many records at most are read and asked at once.
        """

    @abstractmethod
    def inputs(self) -> Inputs:
        """What its records are read as."""

    @abstractmethod
    def extracted(self, arrays: Entered) -> Entered:
        """The arrays that the run's network reads, of those that are read: mostly `features`."""

    @abstractmethod
    def made(self, count: int, rng: np.random.Generator) -> list[Any]:
        """Cells of so many records that are made up, as a request would give them."""


#: Kinds by the names that descriptions of extractors have.
EXTRACTOR_GRAPHS: Registry[type[Elsewhere]] = Registry(
    "exported extractor", "leaven.operate.export.extractors", group="leaven.exported_extractors"
)
