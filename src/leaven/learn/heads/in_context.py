"""Labelled records as the context of a network from elsewhere, which the head names and asks."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from leaven.core.errors import DataError
from leaven.learn.head import HEADS, Head
from leaven.learn.in_context import Context
from leaven.learn.learner import UNSEEN

__all__ = ["InContextHead"]

_READY: WeakKeyDictionary[nn.Module, Context] = WeakKeyDictionary()


class InContextHead(Head):
    """Features to the logarithm of what `Context` says of them.

    Buffers: `features` (records, width) and `targets` (records,), the context: the model holds the
    labelled records. The weights that read it are not among them. They are named by their file and
    known again by its SHA-256, so a run answers where that file is.
    """

    kind = "in-context"
    features: Tensor
    targets: Tensor

    def __init__(
        self, records: int, width: int, classes: int, estimators: int, seed: int, weights: str,
        sha256: str,
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes, self.estimators, self.seed = classes, estimators, seed
        self.weights, self.sha256 = weights, sha256
        self.register_buffer("features", torch.zeros(records, width))
        self.register_buffer("targets", torch.zeros(records, dtype=torch.int64))

    @classmethod
    def of(cls, fitted: Context, classes: int) -> InContextHead:
        """Of one that was fitted on classes below `classes`."""
        records, width = fitted.features.shape
        head = cls(
            records, width, classes, fitted.estimators, fitted.seed, fitted.file.name,
            fitted.sha256,
        )  # fmt: skip
        head.features.copy_(torch.from_numpy(np.asarray(fitted.features, np.float32)))
        head.targets.copy_(torch.from_numpy(np.asarray(fitted.targets, np.int64)))
        _READY[head] = fitted
        return head

    @property
    def config(self) -> dict[str, Any]:
        """Sizes, and which weights are asked how."""
        records, width = self.features.shape
        return {
            "records": records, "width": width, "classes": self.classes,
            "estimators": self.estimators, "seed": self.seed, "weights": self.weights,
            "sha256": self.sha256,
        }  # fmt: skip

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return self.classes

    def forward(self, features: Tensor) -> Tensor:
        """(batch, classes) log-probabilities; a class without a record in the context is unseen."""
        asked = self._ready()
        said = np.log(np.maximum(asked.predict_proba(features.cpu().numpy()), np.exp(UNSEEN)))
        outputs = features.new_full((len(features), self.classes), UNSEEN)
        outputs[:, torch.from_numpy(asked.classes_)] = torch.from_numpy(said).to(outputs)
        return outputs

    def _ready(self) -> Context:
        """The context, read by the same weights; DataError where they are others by that name."""
        if self not in _READY:
            asked = Context(self.estimators, self.seed, self.weights)
            if asked.sha256 != self.sha256:
                raise DataError(
                    f"{asked.file} is not the file of that name that the model was made with. "
                    "Put that one there, or fit anew."
                )
            _READY[self] = asked.fit(self.features.cpu().numpy(), self.targets.cpu().numpy())
        return _READY[self]


HEADS.add(InContextHead.kind, InContextHead)
