"""Named tensors as safetensors files: whole or not there, and encrypted where there is a key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import safetensors.torch
import torch

from leaven.core.files import reading, writing
from leaven.core.sealing import sealing

__all__ = ["load_arrays", "load_tensors", "save_arrays", "save_tensors"]


def save_tensors(
    path: Path,
    tensors: dict[str, torch.Tensor],
    told: dict[str, str] | None = None,
    *,
    durable: bool = False,
) -> None:
    """Write tensors, and texts `told` beside them; see `leaven.core.files.writing`."""
    with writing(path, durable=durable) as target:
        if sealing():  # the library writes beside its target, and a file in memory has no beside
            target.write_bytes(safetensors.torch.save(tensors, told))
        else:
            safetensors.torch.save_file(tensors, target, told)


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file. Raises SafetensorError, and as `leaven.core.files.reading`."""
    with reading(path) as plain:
        return safetensors.torch.load_file(plain)


def save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Write NumPy arrays as tensors."""
    with writing(path) as target:
        if sealing():
            target.write_bytes(safetensors.numpy.save(dict(arrays)))
        else:
            safetensors.numpy.save_file(dict(arrays), target)


def load_arrays(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """The tensors of a file as NumPy arrays; raises as `load_tensors`."""
    with reading(path) as plain:
        return safetensors.numpy.load_file(plain)
