"""What the methods on frozen features share: encode all records once, then fit at one stroke."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.data.modality import Modality
from leaven.learn.encoder import encode, sample
from leaven.learn.method import Method, Problem, Step
from leaven.learn.network import LinearHead, NeighbourHead, Network

__all__ = ["ClassicMethod"]


class ClassicMethod(Method):
    """A method over the features of a frozen encoder."""

    family = "classic"
    baseline = "logistic"
    stepped = False
    #: Records fitted on at most; of more unlabelled ones a sample is drawn.
    most = 30_000

    def default_encoder(self, modality: Modality) -> str:
        """The modality's frozen one."""
        return modality.features

    @abstractmethod
    def head(
        self,
        features: npt.NDArray[np.float32],
        targets: npt.NDArray[np.int64],
        classes: int,
        seed: int,
    ) -> LinearHead | NeighbourHead:
        """Fit on features (n, width) and targets (n,), -1 where unlabelled."""

    def fit(
        self, problem: Problem, checkpoint: Path | None = None
    ) -> Generator[Step, None, Network]:
        """Encode, fit the head, and yield the single step."""
        encoder = problem.build_encoder().requires_grad_(False).eval()
        used = problem.train
        if self.unlabelled:
            room = max(self.most - len(problem.train), 0)
            others = sample(problem.unlabelled, room, problem.seed)
            used = np.concatenate([problem.train, others])
        features = encode(encoder, problem.arrays, used, problem.views.plain)
        targets: Any = np.full(len(used), -1, np.int64)
        targets[: len(problem.train)] = problem.targets[problem.train]
        head = self.head(features, targets, problem.classes, problem.seed)
        yield Step(1, 1)
        return Network(encoder, head).eval()
