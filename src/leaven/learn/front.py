"""From records of a user to the arrays an encoder reads: modality, spec and frozen extractor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from leaven.data.arrays import Arrays
from leaven.data.dataset import Column, Dataset
from leaven.data.modality import MODALITIES, Modality, Rejected, Spec
from leaven.learn.class_names import spoken
from leaven.learn.extractor import Extractor, open_extractor

__all__ = ["Front"]


@dataclass(frozen=True)
class Front:
    """How records are decoded, the same at training and at serving.

    Without an extractor the modality decodes them for a trainable encoder. With one, its frozen
    features become records of the modality `embedding`, which the encoder then reads; one that
    gives tokens reads texts for an encoder that is trained on, and its records stay texts.
    """

    modality: str
    spec: Spec
    extractor: dict[str, Any] | None = None

    @classmethod
    def describe(cls, dataset: Dataset, extractor: Extractor | None) -> Front:
        """Look at the records (never at labels) for what decoding must know."""
        spec = MODALITIES[dataset.modality].describe(dataset)
        if extractor is None:
            return cls(dataset.modality, spec)
        return cls(dataset.modality, spec, extractor.prepared(dataset, spec).description)

    @property
    def views(self) -> Modality:
        """The modality of the arrays that `decode` gives."""
        return MODALITIES["embedding" if self._given == "features" else self.modality]

    @property
    def arrays_spec(self) -> Spec:
        """The spec of those arrays."""
        if self.extractor is None:
            return self.spec
        width, inner = self.extractor["width"], self.extractor.get("inner", 0)
        if self._given != "features":
            return self.spec | {"length": width}
        return {"width": width - inner} | ({"inner": inner} if inner else {})

    def decode(self, dataset: Dataset) -> tuple[Arrays, Sequence[Rejected]]:
        """All records as arrays; a rejected one keeps a blank place."""
        arrays, rejected = MODALITIES[self.modality].decode(dataset, self.spec)
        if self.extractor is None:
            return arrays, rejected
        found = open_extractor(self.extractor).extract(dataset, self.spec)
        inner = self.extractor.get("inner", 0)
        if not inner:
            return Arrays({self._given: found}), rejected
        return Arrays({self._given: found[:, :-inner], "inner": found[:, -inner:]}), rejected

    def readable(self, dataset: Dataset) -> tuple[Dataset, Arrays]:
        """The records that can be decoded, and their arrays; the others are in its quarantine."""
        arrays, rejected = self.decode(dataset)
        if rejected:
            bad = np.array([position for position, _, _ in rejected])
            arrays = arrays.take(np.setdiff1d(np.arange(len(dataset)), bad))
            dataset = dataset.reject(bad, [(reason, detail) for _, reason, detail in rejected])
        return dataset, arrays

    def spoken(self, classes: Sequence[str]) -> list[str]:
        """What the classes are called, in words; empty where that tells nothing.

        Only an encoder that has read many texts knows what words mean.
        """
        return spoken(classes) if (self.modality, self._given) == ("text", "features") else []

    def named(self, classes: Sequence[str]) -> Arrays | None:
        """The same as records of `decode`, one a class; None where there are no such words."""
        words = self.spoken(classes)
        if not words:
            return None
        column = self.spec["column"]
        told = pa.table({column: pa.array(words, pa.string())})
        kept = [Column(column, "text")]
        return self.decode(Dataset.from_frame(told, label=False, modality="text", columns=kept))[0]

    @property
    def _given(self) -> str:
        """The array that the extractor gives: `features` or `tokens`; empty without one."""
        return str(self.extractor.get("gives", "features")) if self.extractor else ""
