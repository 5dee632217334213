"""The ROCKET family of aeon as frozen encoders of series: `aeon/minirocket` and its kin.

Dempster et al. 2020, arXiv:1910.13051 (ROCKET) and 2021, arXiv:2012.08791 (MiniRocket); Tan et al.
2022, arXiv:2102.00457 (MultiRocket). Leaven's own `rocket` needs no further package and gives
components; these give all features, standardised, as aeon computes them.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import MissingExtraError, SettingError, UnknownNameError
from leaven.data.dataset import Dataset, Index
from leaven.data.modality import MODALITIES, Spec
from leaven.learn.extractor import Extractor, StoredExtractor

__all__ = ["AeonRocket"]

Floats = npt.NDArray[np.float32]

_PREFIX = "aeon/"
#: Of each: aeon's class, the attributes that it learns, and how many features it gives.
_FAMILY = {
    "rocket": ("Rocket", ("kernels",), 20_000),
    "minirocket": ("MiniRocket", ("parameters",), 9_996),
    "multirocket": ("MultiRocket", ("parameter", "parameter1"), 49_728),
}
_SEED = 84
_MOST = 2000  # series from which biases, means and deviations are learnt
_BATCH = 512
_SHORTEST = 10


class AeonRocket(StoredExtractor):
    """All features of one of the family, each less its mean, by its deviation and √width.

    What it learns from series (biases, means, deviations) stands in the description as text.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description

    @classmethod
    def find(cls, name: str) -> AeonRocket:
        """By name; UnknownNameError for another, MissingExtraError without aeon."""
        kind = name.removeprefix(_PREFIX)
        if kind not in _FAMILY:
            raise UnknownNameError("encoder", name, [_PREFIX + one for one in _FAMILY])
        _transform(kind)
        width = _FAMILY[kind][2]
        return cls({"kind": cls.__name__, "name": name, "width": width, "digest": name})

    @classmethod
    def open(cls, description: dict[str, Any]) -> AeonRocket:
        """What a run was made with; MissingExtraError without aeon."""
        cls.find(description["name"])
        return cls(description)

    def prepared(self, dataset: Dataset, spec: Spec) -> Extractor:
        """Fitted on up to 2,000 of the series; SettingError where they have less than 10 steps."""
        if spec["length"] < _SHORTEST:
            wanted = f"an encoder for series of {spec['length']} steps"
            fix = f"Those of aeon read {_SHORTEST} steps or more; rocket reads any."
            raise SettingError("encoder", wanted, self.description["name"], fix)
        series = _read(dataset, spec)[1]
        kept = np.sort(np.random.default_rng(_SEED).permutation(len(series))[:_MOST])
        kind = self.kind
        transform = _transform(kind)
        found = np.asarray(transform.fit_transform(series[kept]), np.float64)
        deviation = found.std(0)
        scale = np.where(deviation > 1e-6, deviation, np.inf) * found.shape[1] ** 0.5
        learnt = {"mean": found.mean(0), "scale": scale, "shape": np.array(series.shape[1:])}
        for name in _FAMILY[kind][1]:
            for place, part in enumerate(getattr(transform, name)):
                learnt[f"{name}.{place}"] = np.asarray(part)
        stream = io.BytesIO()
        np.savez_compressed(stream, **learnt)
        text = base64.b64encode(stream.getvalue()).decode()
        digest = hashlib.sha256(b"".join(part.tobytes() for part in learnt.values())).hexdigest()
        told = {"width": found.shape[1], "digest": digest, "learnt": text}
        return AeonRocket(self.description | told)

    def compute(self, dataset: Dataset, spec: Spec) -> Iterator[tuple[Index, Floats]]:
        """Batch by batch, in order."""
        rows, series = _read(dataset, spec)
        transform = self._transform()
        mean, scale = self.learnt["mean"], self.learnt["scale"]
        for start in range(0, len(rows), _BATCH):
            found = np.asarray(transform.transform(series[start : start + _BATCH]), np.float64)
            yield rows[start : start + _BATCH], ((found - mean) / scale).astype(np.float32)

    @property
    def kind(self) -> str:
        """`rocket`, `minirocket` or `multirocket`."""
        return str(self.description["name"].removeprefix(_PREFIX))

    @cached_property
    def learnt(self) -> dict[str, npt.NDArray[Any]]:
        """What `prepared` learnt: parts of aeon's attributes, and `mean`, `scale` and `shape`."""
        packed = io.BytesIO(base64.b64decode(self.description["learnt"]))
        with np.load(packed, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}

    def _transform(self) -> Any:
        """aeon's transform with what was learnt."""
        transform = _transform(self.kind)
        # Fitted on noise for all that hangs on the shape alone; then given what it had learnt.
        noise = np.random.default_rng(_SEED).normal(size=(2, *self.learnt["shape"]))
        transform.fit(noise.astype(np.float32))
        for name in _FAMILY[self.kind][1]:
            own = [part for part in self.learnt if part.startswith(f"{name}.")]
            ordered = sorted(own, key=lambda part: int(part.rpartition(".")[2]))
            setattr(transform, name, tuple(self.learnt[part] for part in ordered))
        return transform


def _transform(kind: str) -> Any:
    """A new one of aeon's transforms."""
    try:
        from aeon.transformations.collection import convolution_based
    except ImportError as missing:
        raise MissingExtraError("series", f"the encoder {_PREFIX}{kind}") from missing
    return getattr(convolution_based, _FAMILY[kind][0])(random_state=_SEED)


def _read(dataset: Dataset, spec: Spec) -> tuple[Index, Floats]:
    """Positions of the records that can be read, and their series (n, channels, length)."""
    arrays, rejected = MODALITIES["series"].decode(dataset, spec)
    rows = np.setdiff1d(np.arange(len(dataset)), [row for row, _, _ in rejected])
    values = np.asarray(arrays["values"], np.float32)[rows]
    return rows, np.ascontiguousarray(values.transpose(0, 2, 1))
