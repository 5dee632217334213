"""What a record is: how it is decoded once, viewed in batches, and shown to a person."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from leaven.core.errors import SettingError
from leaven.core.registry import Registry
from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Dataset
from leaven.data.views.learned import Steering

__all__ = ["MODALITIES", "Modality", "Rejected", "Shown", "Spec"]

#: What decoding must know to treat new records as it treated the first: image size, categories.
#: Plain JSON, stored beside the model.
Spec = dict[str, Any]

#: Position of a record that cannot be decoded, with a reason and a detail.
Rejected = tuple[int, str, str]

#: How a page shows one record: {"kind": "image", "png": base64}, {"kind": "text", "text": …}
#: {"kind": "audio", "png": base64, "wav": base64, "seconds": s, "text": in words}
#: or {"kind": "row", "cells": [{"name": …, "value": …}, …]}.
Shown = dict[str, Any]


class Modality(ABC):
    """One kind of record. Stateless: what must be remembered is in the spec.

    Views draw one random parameter a record, all records of a batch at once, from a generator
    that lives on the batch's device; they return the arrays the encoder reads and no others.
    """

    name: ClassVar[str]
    #: Default trainable encoder, and default frozen one for the methods that work on features.
    encoder: ClassVar[str]
    features: ClassVar[str]
    #: Further frozen ones by what a block of their features is called (`logistic@raw`), and the one
    #: of all of them side by side, which blends read.
    beside: ClassVar[Mapping[str, str]] = {}
    blocks: ClassVar[str] = ""

    @abstractmethod
    def describe(self, dataset: Dataset) -> Spec:
        """What decoding must know, found from the records (labels are not read)."""

    @abstractmethod
    def decode(self, dataset: Dataset, spec: Spec) -> tuple[Arrays, Sequence[Rejected]]:
        """All records as arrays; a rejected record keeps a blank place in them."""

    @abstractmethod
    def plain(self, batch: Batch) -> Batch:
        """The records as the encoder reads them, unchanged."""

    @abstractmethod
    def weak(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """A view that keeps the label almost surely."""

    @abstractmethod
    def strong(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """A view that is hard and still keeps the label for a person."""

    def contrastive(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """A view for self-supervised learning, of which two of one record are told to be one.

        It may change what no label should hang on, more than a strong view does.
        """
        return self.strong(batch, spec, rng)

    def local(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """The same of a small part of each record; its arrays may be smaller (multi-crop)."""
        return self.contrastive(batch, spec, rng)

    def dials(self, spec: Spec) -> tuple[int, int] | None:
        """What can be steered in the strong view: operations, and bins of magnitude of each.

        None where nothing can; then `steered` raises SettingError.
        """
        return None

    def steered(
        self, batch: Batch, spec: Spec, rng: torch.Generator, rates: torch.Tensor | None
    ) -> tuple[Batch, Steering]:
        """A strong view, its magnitudes drawn by rates of the shape `dials(spec)`; what was drawn.

        The caller keeps the rates, all one at first; `Steering.learn` gives the next. Without
        rates all bins are drawn alike: so are the labelled records viewed that rates are learnt
        from.
        """
        raise SettingError("modality", "one whose strong view can be steered: image", self.name)

    @abstractmethod
    def show(self, dataset: Dataset, position: int) -> Shown:
        """One record, small, for a page."""


MODALITIES: Registry[Modality] = Registry(
    "modality", "leaven.data.modalities", group="leaven.modalities"
)
