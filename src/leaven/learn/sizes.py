"""Encoders by size: which one `tiny`, `base`, `large` and `auto` name for a kind of records."""

from __future__ import annotations

import torch

from leaven.core.errors import SettingError
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, listed

__all__ = ["AUTO", "SIZES", "fitting", "named", "rungs", "sized", "weights"]

#: The rungs of a modality's encoders, from below.
SIZES = ("tiny", "base", "large")
#: What leaves the choice of a rung to `fitting`.
AUTO = "auto"

#: Below both, the smallest encoder; from both on, the largest: (labels, records).
_FEW, _MANY = (100, 5_000), (2_000, 50_000)

#: Records as they often are, by modality: what an encoder's weights are counted for.
_USUAL: dict[str, Spec] = {
    "audio": {"rate": 16_000, "seconds": 4.0, "mels": 64, "frames": 400},
    "embedding": {"width": 384},
    "graph": {"width": 500},
    "image": {"channels": 3, "height": 32, "width": 32},
    "series": {"channels": 3, "length": 256},
    "tabular": {
        "numeric": [f"number {i}" for i in range(10)],
        "datetime": {},
        "categorical": {f"name {i}": [f"level {j}" for j in range(8)] for i in range(5)},
        "text": [],
    },
    "text": {"length": 64},
}


def rungs(modality: str, asks: type[Encoder] | None = None) -> dict[str, str]:
    """The name of the encoder on each rung that the modality has, from below.

    With `asks` only those of this kind that learn.
    """
    every = {name: ENCODERS[name] for name in listed(modality)}
    found = {
        kind.size: name
        for name, kind in every.items()
        if asks is None or (issubclass(kind, asks) and not kind.ready)
    }
    return {size: found[size] for size in SIZES if size in found}


def sized(modality: str, size: str, asks: type[Encoder] | None = None) -> str:
    """The encoder on a rung, see `rungs`; SettingError where the modality has none there."""
    there = rungs(modality, asks)
    if size not in there:
        told = ", ".join(f"{rung} ({name})" for rung, name in there.items()) or "none"
        raise SettingError("encoder", f"a size that {modality} records have: {told}", size)
    return there[size]


def named(
    encoder: str,
    modality: str,
    labels: int,
    records: int,
    asks: type[Encoder] | None = None,
) -> tuple[str, str]:
    """The encoder that a name, a size or `auto` means, and why if it was chosen here.

    See `sized` and `fitting`, which raise SettingError; any other name is returned as it is.
    """
    if encoder == AUTO:
        return fitting(modality, labels, records, asks)
    return (sized(modality, encoder, asks) if encoder in SIZES else encoder), ""


def fitting(
    modality: str, labels: int, records: int, asks: type[Encoder] | None = None
) -> tuple[str, str]:
    """The encoder that suits so many labels among so many records, and why it was chosen.

    The smallest under 100 labels and 5,000 records: more weights would learn the few labels by
    heart, and there is little else to learn from. The largest from 2,000 labels and 50,000 records
    on, else `base`; of a rung that is not there, the nearest below it, or else above.
    """
    there = rungs(modality, asks)
    if labels < _FEW[0] and records < _FEW[1]:
        wanted = 0
    elif labels >= _MANY[0] and records >= _MANY[1]:
        wanted = len(SIZES) - 1
    else:
        wanted = SIZES.index("base")
    order = [*SIZES[wanted::-1], *SIZES[wanted + 1 :]]
    size = next((rung for rung in order if rung in there), "")
    if not size:
        raise SettingError("encoder", f"the name of one; {modality} records have no sizes", AUTO)
    name = there[size]
    return name, f"{name} is the {size} encoder, for {labels:,} labels among {records:,} records"


def weights(name: str) -> int | None:
    """How many weights of the encoder learn, for records as they often are; 0 for a frozen one.

    None for a modality of which that is not known here.
    """
    kind = ENCODERS[name]
    if kind.modality not in _USUAL:
        return None
    with torch.device("meta"):
        encoder = kind(**kind.configure(_USUAL[kind.modality]))
    return sum(p.numel() for p in encoder.parameters() if p.requires_grad)
