"""What a fixed encoder says of records, kept with the decoded records as long as they are there.

The fits of an experiment share an encoder that learnt its statistics once and has no weights: each
would compute the same features again. They are kept in blocks of neighbouring records, which are
always computed whole. So a record's features are the same to the bit, whatever was asked for
before: also after a run was cut off.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from torch import nn

from leaven.data.arrays import Arrays, Remembered
from leaven.data.dataset import Index

__all__ = ["fixed", "remembered"]

_BLOCK = 256  # records
_MOST = 50_000  # records, of more nothing is kept
_BYTES = 2**28  # of features of one encoder
_ENCODERS = 5  # whose features are kept; the one that was kept first goes first
#: Where that many records must be computed for each that is asked for, they are not worth it.
_DEAR = 4

Floats = npt.NDArray[np.float32]


def fixed(encoder: nn.Module) -> bool:
    """Whether nothing of an encoder can be trained: its features follow from its buffers alone."""
    return next(encoder.parameters(), None) is None


def remembered(
    name: str,
    encoder: nn.Module,
    arrays: Arrays,
    index: Index,
    width: int,
    compute: Callable[[Index], Floats],
) -> Floats | None:
    """(len(index), width) features, computed only where they are not known.

    `name` and the tensors of `encoder` tell it from others. None where nothing is kept: of records
    that nobody asked to remember, of many, of those that share a graph, and for a few that lie
    scattered among others.
    """
    blocks = np.unique(index // _BLOCK)
    if (
        arrays.remembered is None
        or arrays.shared
        or len(arrays) > min(_MOST, _BYTES // (4 * width))
        or len(blocks) * _BLOCK > _DEAR * len(index) + _BLOCK
    ):
        return None
    features, known = _kept(arrays.remembered, _digest(name, encoder), len(arrays), width)
    for block in blocks[~known[blocks]].tolist():
        rows = np.arange(block * _BLOCK, min((block + 1) * _BLOCK, len(arrays)))
        features[rows] = compute(rows)
        known[block] = True
    return np.asarray(features[index])


def _kept(remembered: dict[bytes, Remembered], key: bytes, records: int, width: int) -> Remembered:
    """Features (records, width), and which blocks of them are known."""
    if key not in remembered:
        while len(remembered) >= _ENCODERS:
            remembered.pop(next(iter(remembered)))
        blocks = -(-records // _BLOCK)
        remembered[key] = np.empty((records, width), np.float32), np.zeros(blocks, bool)
    return remembered[key]


def _digest(name: str, encoder: nn.Module) -> bytes:
    told = hashlib.blake2b(name.encode())
    for key, tensor in encoder.state_dict().items():
        told.update(key.encode())
        told.update(tensor.detach().cpu().contiguous().numpy().data)
    return told.digest()
