"""Frozen encoders from elsewhere, by name or folder: records in, features out, once."""

from __future__ import annotations

import hashlib
import importlib
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError, UnknownNameError
from leaven.data.dataset import Dataset, Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, listed
from leaven.learn.feature_store import FeatureStore

__all__ = ["Extractor", "StoredExtractor", "find_extractor", "open_extractor"]

Floats = npt.NDArray[np.float32]

#: What opens a folder or a hub name, by the records' modality; each is one adapter.
_BY_MODALITY = {
    "text": "leaven.learn.extractors.text:SentenceEncoder",
    "image": "leaven.learn.extractors.image:PictureEncoder",
    "audio": "leaven.learn.extractors.audio:SoundEncoder",
    "series": "leaven.learn.extractors.series:SeriesEncoder",
}
#: … and by how a name begins: the adapter, and the modality that it reads.
_BY_PREFIX = {
    "timm/": ("leaven.learn.extractors.timm:TimmEncoder", "image"),
    "aeon/": ("leaven.learn.aeon_rockets:AeonRocket", "series"),
}
#: What reads texts for an encoder that is trained on; `learn/subwords.py` asks for it.
_TOKENS = "leaven.learn.extractors.subwords:SubwordReader"
#: Rungs of Leaven's own encoders, which the plan resolves.
_RUNGS = ("auto", "tiny", "base", "large")
#: Many threads may ask at once: the first one loads, and large packages cannot be imported twice
#: at a time.
_OPENING = threading.Lock()
#: Features are written down after about so many records: what a kill can cost.
_BLOCK = 2048


class Extractor(ABC):
    """Records to features, without labels.

    `description` is plain JSON, enough to `open` the same again: `kind` (the adapter's name in
    this module), `name`, `width`, and `digest`, which tells another encoder of the same name;
    `gives` where that is not `features`, and `inner` where the last so many features are of the
    encoder's inner layers.
    """

    description: dict[str, Any]

    @classmethod
    @abstractmethod
    def find(cls, name: str) -> Extractor:
        """Load by name; SettingError when there is none."""

    @classmethod
    @abstractmethod
    def open(cls, description: dict[str, Any]) -> Extractor:
        """Load what a run was made with; SettingError when it is gone or has changed since."""

    @abstractmethod
    def extract(self, dataset: Dataset, spec: Spec) -> Floats:
        """(n, width) features of all records; zeros for what cannot be read."""

    def prepared(self, dataset: Dataset, spec: Spec) -> Extractor:
        """The extractor for records like these, from which it may learn; labels are not read.

        What it has learnt stands in its description. Most are ready as they are.
        """
        return self


class StoredExtractor(Extractor):
    """One that computes each content once, and keeps the features of those that it has seen."""

    def extract(self, dataset: Dataset, spec: Spec) -> Floats:
        """(n, width) features: those of equal records are computed once, known ones not at all."""
        keys, first, inverse = np.unique(
            self.keys(dataset, spec), return_index=True, return_inverse=True
        )
        store = FeatureStore.of(self.description["digest"], self.description["width"])
        there, features = store.fetch(keys)
        wanted = np.flatnonzero(~there)
        since: list[Index] = []
        for rows, found in self.compute(dataset.select(first[wanted]), spec):
            features[wanted[rows]] = found
            since.append(wanted[rows])
            if sum(map(len, since)) >= _BLOCK:
                _keep(store, keys, features, since)
        _keep(store, keys, features, since)
        return features[inverse.reshape(-1)]

    @abstractmethod
    def compute(self, dataset: Dataset, spec: Spec) -> Iterator[tuple[Index, Floats]]:
        """Positions and their (rows, width) features, batch by batch in any order.

        Positions that are left out have zeros and are not kept.
        """

    def keys(self, dataset: Dataset, spec: Spec) -> npt.NDArray[np.bytes_]:
        """(n,) S64: digests of all that decides a record's features beside the encoder."""
        said = json.dumps(spec, sort_keys=True, default=str)
        return digests(f"{content}\0{said}" for content in dataset.content)


def digests(said: Iterator[str]) -> npt.NDArray[np.bytes_]:
    """(n,) S64 hexadecimal SHA-256 of each."""
    found = [hashlib.sha256(one.encode("utf-8", "surrogatepass")).hexdigest() for one in said]
    return np.array(found, "S64")


def find_extractor(encoder: str, modality: str) -> Extractor | None:
    """The extractor that `--encoder` names: a folder, or a hub name with a slash; else None.

    A name of Leaven's own goes before a folder of that name (write ./name for the folder).
    Raises SettingError when the name is no encoder, no folder and no hub name, or when it does
    not serve the modality; MissingExtraError where the package that reads it is not installed.
    """
    if not encoder or encoder in _RUNGS:
        return None
    if encoder in ENCODERS or ("/" not in encoder and not Path(encoder).is_dir()):
        _check_own(encoder, modality)
        return None
    for prefix, (kind, reads) in _BY_PREFIX.items():
        if encoder.startswith(prefix):
            if modality != reads:
                raise SettingError("encoder", f"one that reads {modality} records", encoder)
            return _adapter(kind).find(encoder)
    if modality not in _BY_MODALITY:
        raise SettingError(
            "encoder",
            f"one of Leaven's own for {modality} records",
            encoder,
            f"Folders and hub names serve {', '.join(_BY_MODALITY)}; see: leaven encoders",
        )
    return _adapter(_BY_MODALITY[modality]).find(encoder)


def open_extractor(description: dict[str, Any]) -> Extractor:
    """The extractor of a saved description; errors as those of `find_extractor`."""
    kinds = [*_BY_MODALITY.values(), *(kind for kind, _ in _BY_PREFIX.values()), _TOKENS]
    named = {kind.partition(":")[2]: kind for kind in kinds}
    with _OPENING:
        return _adapter(named[description["kind"]]).open(description)


def _check_own(encoder: str, modality: str) -> None:
    """That there is such an encoder of Leaven's own, and that it reads these records."""
    if encoder not in listed():
        raise UnknownNameError("encoder", encoder, listed())
    found = ENCODERS[encoder]
    if found.modality != modality:
        raise SettingError(
            "encoder",
            f"one that reads {modality} records ({', '.join(listed(modality))})",
            encoder,
            f"{encoder} reads {found.modality} records.",
        )


def _adapter(kind: str) -> type[Extractor]:
    """The class, its module imported only now."""
    module, _, name = kind.partition(":")
    found: type[Extractor] = getattr(importlib.import_module(module), name)
    return found


def _keep(
    store: FeatureStore, keys: npt.NDArray[np.bytes_], features: Floats, since: list[Index]
) -> None:
    """Write down what was computed since the last time, and empty the list."""
    if since:
        rows = np.concatenate(since)
        store.add(keys[rows], features[rows])
        since.clear()
