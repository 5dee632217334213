"""Features of frozen encoders, kept on disk by content: a second run computes only what is new.

One folder an encoder, named by its digest, of files with keys and features; each is written
beside and renamed, so a killed process leaves old or new, and two may write at once. Whatever is
wrong with the folder, the outcome is that features are computed anew.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError

from leaven.core.errors import SealedError
from leaven.core.files import cache_folder
from leaven.learn.tensor_file import load_arrays, save_arrays

__all__ = ["MOST", "FeatureStore"]

#: Bytes that all encoders' features may take together; the files used longest ago go first.
MOST = 2 * 2**30
_FILES = 32  # more files of an encoder are joined to one
_ABANDONED = 3600.0  # seconds after which an unfinished file has no writer any more

Keys = npt.NDArray[np.bytes_]
Floats = npt.NDArray[np.float32]


class FeatureStore:
    """The features of one encoder by key.

    Parameters
    ----------
    folder : the encoder's own, below that of all encoders; None keeps nothing.
    width : numbers a feature.
    most : bytes that all encoders' files may take together.
    """

    def __init__(self, folder: Path | None, width: int, most: int = MOST) -> None:
        self.folder, self.width, self.most = folder, width, most

    @classmethod
    def of(cls, digest: str, width: int) -> FeatureStore:
        """That of the encoder with this digest, in the user's cache."""
        cache = cache_folder()
        return cls(cache and cache / "features" / digest, width)

    def fetch(self, keys: Keys) -> tuple[npt.NDArray[np.bool_], Floats]:
        """(n,) which of the keys are known, and (n, width) their features, zeros for the others.

        `keys` are sorted, each once.
        """
        there, features = np.zeros(len(keys), bool), np.zeros((len(keys), self.width), np.float32)
        for path in self._files():
            if there.all():
                break
            known, kept = self._read(path)
            place = np.minimum(np.searchsorted(keys, known), max(len(keys) - 1, 0))
            hit = np.flatnonzero(keys[place] == known) if len(keys) else place[:0]
            if len(hit):
                there[place[hit]], features[place[hit]] = True, kept[hit]
                with suppress(OSError):
                    os.utime(path)
        return there, features

    def add(self, keys: Keys, features: Floats) -> None:
        """Write down; nothing happens where the folder cannot be written."""
        if self.folder is None or not len(keys):
            return
        with suppress(OSError, SafetensorError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(keys, features)
            if len(files := self._files()) > _FILES:
                self._join(files)
            self._bound()

    def _files(self) -> list[Path]:
        """The encoder's files, newest first."""
        if self.folder is None:
            return []
        return [path for _, _, path in sorted(_found(self.folder, "*.safetensors"), reverse=True)]

    def _read(self, path: Path) -> tuple[Keys, Floats]:
        """Keys and features of a file; none of one that is damaged, which is removed."""
        try:
            held = load_arrays(path)
            keys = np.frombuffer(np.ascontiguousarray(held["keys"]), "S64")
            features = held["features"].astype(np.float32)
            if features.shape != (len(keys), self.width) or not np.isfinite(features).all():
                raise ValueError(f"features of shape {features.shape}")
        except (FileNotFoundError, SealedError):  # another process removed it, or has its key
            pass
        except (OSError, SafetensorError, KeyError, ValueError):
            with suppress(OSError):
                path.unlink()
        else:
            return keys, features
        return np.zeros(0, "S64"), np.zeros((0, self.width), np.float32)

    def _write(self, keys: Keys, features: Floats) -> None:
        assert self.folder is not None
        path = self.folder / f"{uuid.uuid4().hex}.safetensors"
        held: dict[str, npt.NDArray[Any]] = {
            "keys": np.frombuffer(keys.astype("S64").tobytes(), np.uint8).reshape(-1, 64),
            "features": np.ascontiguousarray(features, np.float32),
        }
        save_arrays(path, held)

    def _join(self, files: list[Path]) -> None:
        """One file in the place of many; two processes that do it at once write it twice.

        What another encryption key has written stays.
        """
        parts = {path: part for path in files if len((part := self._read(path))[0])}
        if not parts:
            return
        known = np.concatenate([part[0] for part in parts.values()])
        keys, first = np.unique(known, return_index=True)
        self._write(keys, np.concatenate([part[1] for part in parts.values()])[first])
        for path in parts:
            path.unlink(missing_ok=True)

    def _bound(self) -> None:
        """Remove what was used longest ago until the rest is small enough; abandoned writes too."""
        assert self.folder is not None
        for written, _, path in _found(self.folder.parent, "*/*.part"):
            if time.time() - written > _ABANDONED:
                path.unlink(missing_ok=True)
        held = sorted(_found(self.folder.parent, "*/*.safetensors"))
        total = sum(size for _, size, _ in held)
        for _, size, path in held:
            if total <= self.most:
                break
            path.unlink(missing_ok=True)
            total -= size


def _found(folder: Path, pattern: str) -> Iterator[tuple[float, int, Path]]:
    """Time, size and path of files that are still there."""
    for path in folder.glob(pattern):
        with suppress(OSError):
            stat = path.stat()
            yield stat.st_mtime, stat.st_size, path
