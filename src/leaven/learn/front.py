"""From records of a user to the arrays an encoder reads: modality, spec and frozen extractor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leaven.data.arrays import Arrays
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES, Modality, Rejected, Spec
from leaven.learn.extractor import Extractor, open_extractor

__all__ = ["Front"]


@dataclass(frozen=True)
class Front:
    """How records are decoded, the same at training and at serving.

    Without an extractor the modality decodes them for a trainable encoder. With one, its frozen
    features become records of the modality `embedding`, which the encoder then reads.
    """

    modality: str
    spec: Spec
    extractor: dict[str, Any] | None = None

    @classmethod
    def describe(cls, dataset: Dataset, extractor: Extractor | None) -> Front:
        """Look at the records (never at labels) for what decoding must know."""
        spec = MODALITIES[dataset.modality].describe(dataset)
        return cls(dataset.modality, spec, extractor.description if extractor else None)

    @property
    def views(self) -> Modality:
        """The modality of the arrays that `decode` gives."""
        return MODALITIES["embedding" if self.extractor else self.modality]

    @property
    def arrays_spec(self) -> Spec:
        """The spec of those arrays."""
        return {"width": self.extractor["width"]} if self.extractor else self.spec

    def decode(self, dataset: Dataset) -> tuple[Arrays, Sequence[Rejected]]:
        """All records as arrays; a rejected one keeps a blank place."""
        arrays, rejected = MODALITIES[self.modality].decode(dataset, self.spec)
        if self.extractor is None:
            return arrays, rejected
        features = open_extractor(self.extractor).extract(dataset, self.spec)
        return Arrays({"features": features}), rejected
