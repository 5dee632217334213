"""What the methods on frozen features share: encode all records once, then fit a head."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from leaven.data.modality import Modality
from leaven.learn.choices.compose import composed
from leaven.learn.encoder import encode, sample
from leaven.learn.head import Head
from leaven.learn.method import Method, Problem, Step
from leaven.learn.network import Network
from leaven.learn.objective import PseudoLabels

__all__ = ["ClassicMethod", "Frozen"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Frozen:
    """A problem on the features of a frozen encoder.

    `features` (n, width) of the labelled records first, then of the unlabelled ones that are
    read; `targets` (n,) classes, -1 where unlabelled; `places` (n - labelled,) says which of the
    problem's unlabelled records the latter are. `weights` (labelled,) is how much each labelled
    record counts, one by default.
    """

    features: Floats
    targets: npt.NDArray[np.int64]
    classes: int
    seed: int
    places: npt.NDArray[np.int64]
    weights: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        if not len(self.weights):
            object.__setattr__(self, "weights", np.ones(self.labelled, np.float32))

    @property
    def labelled(self) -> int:
        """How many records, the first ones, have a label."""
        return len(self.targets) - len(self.places)

    def taught(
        self, guess: npt.NDArray[np.floating[Any]], weight: npt.NDArray[np.floating[Any]],
        answers: npt.NDArray[np.int64],
    ) -> PseudoLabels:  # fmt: skip
        """For the log: what the unlabelled records were taught.

        `guess` (u, k) probabilities, `weight` (u,) with which each counted, `answers` (u,) what
        the model that was taught names.
        """
        return PseudoLabels(
            torch.from_numpy(self.places),
            torch.from_numpy(np.asarray(guess, np.float32)),
            torch.from_numpy(np.asarray(weight, np.float32)),
            torch.from_numpy(np.asarray(answers, np.int64)),
        )


class ClassicMethod(Method):
    """A method over the features of a frozen encoder.

    Subclasses are frozen dataclasses: their fields are the settings that a recipe may change.
    """

    baseline = "logistic"
    stepped = False
    #: Records fitted on at most; of more unlabelled ones a sample is drawn.
    most: ClassVar[int] = 30_000

    def default_encoder(self, modality: Modality) -> str:
        """The modality's frozen one."""
        return modality.features

    @abstractmethod
    def learn(self, known: Frozen) -> Generator[Step, None, Head]:
        """Fit a head, and yield a step for each round that it takes."""

    def fit(
        self, problem: Problem, checkpoint: Path | None = None
    ) -> Generator[Step, None, Network]:
        """Encode once, and learn. A baseline follows the settings that it shares."""
        encoder = problem.build_encoder().requires_grad_(False).eval()
        places = np.zeros(0, np.int64)
        if self.unlabelled:
            room = max(self.most - len(problem.train), 0)
            places = sample(np.arange(len(problem.unlabelled)), room, problem.seed)
        used = np.concatenate([problem.train, problem.unlabelled[places]])
        features = encode(encoder, problem.arrays, used, problem.views.plain)
        targets: Any = np.full(len(used), -1, np.int64)
        targets[: len(problem.train)] = problem.targets[problem.train]
        known = Frozen(features, targets, problem.classes, problem.seed, places)
        head = yield from composed(self, self._own(problem.settings)).learn(known)
        return Network(encoder, head).eval()

    def check(self, settings: Mapping[str, Any]) -> None:
        """Compose once."""
        composed(self, settings)

    def _own(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """All settings; of a baseline those that are its own: a kernel, a penalty."""
        if self.unlabelled:
            return settings
        known = {f.name for f in fields(self)} if is_dataclass(self) else ()
        return {name: value for name, value in settings.items() if name in known}
