"""A method: what turns a problem of few labels into a network, and reports as it goes."""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from leaven.core.errors import SettingError
from leaven.core.recipe import Training
from leaven.core.registry import Registry
from leaven.data.arrays import Arrays
from leaven.data.dataset import Index
from leaven.data.modality import MODALITIES, Modality, Spec
from leaven.learn.adapt import renewed
from leaven.learn.encoder import ENCODERS, Encoder
from leaven.learn.network import Network
from leaven.learn.task import TASKS, Task

if TYPE_CHECKING:
    from leaven.learn.objective import PseudoLabels
    from leaven.learn.state import TrainState

__all__ = ["METHODS", "Method", "Problem", "Step"]


#: Records that statistics can be learnt from without the labelled ones: so many or, where features
#: need no training and so can be shared by all fits, so many times as many as these.
_ENOUGH, _TIMES = 1000, 4


@dataclass(frozen=True)
class Problem:
    """All a method may know. Labels of records outside `train` are not in it.

    `targets` is (n,) with -1 everywhere but at `train`; `unlabelled` are the positions whose
    records may be looked at without a label. `steps` is for methods that train by steps, and
    `settings` replaces fields of their objective by name; `common` are the unlabelled records
    that no fit of the same experiment is barred from, and `prepared` keeps the encoder's
    statistics for the next fit that learns them from the same. `start` is the pretrained encoder
    to begin with, its statistics included. `votes` (n, rules) are what rules say of the records,
    as class positions, -1 where one abstains. `names` are records that say what the classes are
    called, one a class in their order, where that can be read (`Front.named`).
    """

    arrays: Arrays
    spec: Spec
    modality: str
    task: str
    classes: int
    targets: npt.NDArray[np.int64]
    train: Index
    unlabelled: Index
    encoder: str
    seed: int = 0
    steps: int = 1000
    settings: dict[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    common: Index = field(default_factory=lambda: np.zeros(0, np.int64))
    prepared: dict[bytes, Encoder] = field(default_factory=dict, repr=False, compare=False)
    start: Encoder | None = field(default=None, repr=False, compare=False)
    votes: npt.NDArray[np.int16] | None = field(default=None, repr=False, compare=False)
    names: Arrays | None = field(default=None, repr=False, compare=False)

    @property
    def views(self) -> Modality:
        """The modality, which draws the views."""
        return MODALITIES[self.modality]

    @property
    def label(self) -> Task:
        """The task, which knows what a label means, and how far it is spread."""
        return TASKS[self.task].smoothed(self.training.label_smoothing)

    def build_encoder(self) -> Encoder:
        """A new encoder, its statistics learnt from records that the method may look at.

        Those in `common` where they are many, so that the fits on all folds share one
        preparation; else all that this fit is trained on. A copy of `start` where there is one.
        """
        if self.start is not None:
            return renewed(self.start)
        known, kind = self.common, ENCODERS[self.encoder]
        enough = max(min(_ENOUGH, _TIMES * len(self.train)), 1) if kind.ready else _ENOUGH
        if len(known) < enough:
            known = np.sort(np.concatenate([self.train, self.unlabelled]))
        key = hashlib.sha256(f"{self.encoder} {self.seed} ".encode() + known.tobytes()).digest()
        if key not in self.prepared:
            encoder = kind(**kind.configure(self.spec))
            encoder.prepare(self.arrays, known, self.seed)
            self.prepared.clear()  # one is enough, and they may be large
            self.prepared[key] = encoder
        return copy.deepcopy(self.prepared[key])


@dataclass(frozen=True)
class Step:
    """One step of a fit, yielded after it was taken.

    `terms` are the loss's named parts and `figures` what else is worth watching (coverage,
    agreement); both are scalar tensors, read only by who needs them, since reading one waits
    for the device. `taught` is what the unlabelled records of the step were taught, if they were;
    `state` is what a checkpoint saves, None for methods without steps.
    """

    number: int
    total: int
    terms: dict[str, Tensor] = field(default_factory=dict)
    figures: dict[str, Tensor] = field(default_factory=dict)
    taught: PseudoLabels | None = None
    state: TrainState | None = None


class Method(ABC):
    """A named way to learn. One instance each, registered in METHODS."""

    name: str
    summary: str
    paper: str
    family: str
    #: Name of the supervised method it is compared with, trained alike on the same encoder.
    baseline: str
    #: Whether it reads unlabelled records.
    unlabelled: bool
    #: Whether its time grows with `Problem.steps`.
    stepped: bool
    #: Whether it learns from what rules say of records, see `Problem.votes`.
    reads_votes: bool = False
    #: Whether it takes what the classes are called for a record of each, see `Problem.names`.
    reads_names: bool = False
    #: The extra that installs what it needs; empty where that is always there.
    extra: str = ""
    #: The modalities whose records it can learn from; empty for all.
    modalities: tuple[str, ...] = ()

    @property
    def row(self) -> dict[str, str] | None:
        """Its choices in words, where it is composed of choices."""
        return None

    @abstractmethod
    def default_encoder(self, modality: Modality) -> str:
        """The encoder it uses when none is named."""

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise SettingError or UnknownNameError for settings that `fit` could not follow."""
        if settings:
            raise SettingError(
                "objective", f"no settings, for {self.name} has none", ", ".join(settings)
            )

    @abstractmethod
    def fit(
        self, problem: Problem, checkpoint: Path | None = None
    ) -> Generator[Step, None, Network]:
        """Yield each step; return the fitted network. Continues from `checkpoint` if it exists."""


METHODS: Registry[Method] = Registry("method", "leaven.learn.objectives", "leaven.learn.classic")
