"""Records decoded once: named arrays of equal length, in memory or memory-mapped on disk.

Where there is a key, what lies on disk is encrypted, and mapped from memory.

Arrays whose name begins with `SHARED` are no rows of records but what all records share, such as
the edges of a graph: every batch has them whole.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from leaven.core.errors import DataError
from leaven.core.files import read_bytes, reading, write_bytes, writing

__all__ = ["SHARED", "Arrays", "Batch", "Remembered"]

#: How the name of an array begins that all records share.
SHARED = "@"

#: What a view takes and gives, and what an encoder reads: named tensors of equal first size, and
#: shared ones.
Batch = dict[str, torch.Tensor]

#: Features of the records (n, width), and which parts of them are known.
Remembered = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]


class Arrays:
    """Named arrays whose first axis counts the records, and shared ones.

    `remembered` are features that fixed encoders made of these records, by what tells one encoder
    from another; None where none are kept, see `leaven.learn.remembered`.

    >>> arrays = Arrays({"numeric": np.zeros((5, 2), np.float32)})
    >>> len(arrays), arrays.batch(np.array([0, 3]))["numeric"].shape
    (5, torch.Size([2, 2]))
    """

    def __init__(self, named: Mapping[str, npt.NDArray[np.generic]]) -> None:
        sizes = {name: len(a) for name, a in named.items() if not name.startswith(SHARED)}
        if len(set(sizes.values())) != 1:
            raise DataError(f"arrays of one set must have equal length. Got {sizes}.")
        self._named = dict(named)
        self._size = next(iter(sizes.values()))
        self.remembered: dict[bytes, Remembered] | None = None

    def __len__(self) -> int:
        """The number of records (not of arrays)."""
        return self._size

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        return self._named[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order given."""
        return tuple(self._named)

    def batch(self, index: npt.NDArray[np.int64]) -> Batch:
        """The records at `index` as tensors on the CPU, copied out of the map.

        Shared arrays come whole and uncopied.
        """
        return {
            name: torch.from_numpy(np.ascontiguousarray(array))
            for name, array in self._at(index).items()
        }

    def take(self, index: npt.NDArray[np.int64]) -> Arrays:
        """The records at `index`, in memory; what records share stays whole."""
        return Arrays(self._at(index))

    @property
    def shared(self) -> bool:
        """Whether there is something that all records share."""
        return any(name.startswith(SHARED) for name in self._named)

    def _at(self, index: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.generic]]:
        return {
            name: array if name.startswith(SHARED) else array[index]
            for name, array in self._named.items()
        }

    def beside(self, named: Mapping[str, npt.NDArray[np.generic]]) -> Arrays:
        """The same records with further arrays."""
        return Arrays(self._named | dict(named))

    def save(self, folder: Path) -> None:
        """Write one `.npy` an array; the index file comes last, so a cut-off write is no set."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self._named.items():
            try:
                with writing(folder / f"{name}.npy") as target, target.open("wb") as file:
                    np.save(file, array, allow_pickle=False)
            except OSError as error:  # NumPy tells how many bytes were written, and not why
                why = "The decoded records cannot be written; is the disk full?"
                raise OSError(error.errno or errno.ENOSPC, why, str(folder)) from error
        write_bytes(folder / "arrays.json", json.dumps(sorted(self._named)).encode())

    @classmethod
    def open(cls, folder: Path) -> Arrays | None:
        """Map what `save` wrote; None where there is nothing whole. What is shared is read."""
        index = folder / "arrays.json"
        if not index.exists():
            return None
        named = {}
        for name in json.loads(read_bytes(index)):
            mode: Literal["r"] | None = None if name.startswith(SHARED) else "r"
            with reading(folder / f"{name}.npy") as plain:
                named[name] = np.load(plain, mmap_mode=mode, allow_pickle=False)
        return cls(named)
