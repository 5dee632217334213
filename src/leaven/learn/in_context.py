"""TabPFN: a network, trained elsewhere on made tables, that reads labelled records as its context.

Hollmann et al. 2023, arXiv:2207.01848, and 2025, Nature 637. Nothing is trained here. The package
and its weights are other people's, under licences of their own (newer weights are not for
commercial use). Leaven fetches neither: it asks what the user has put where the package keeps it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import DataError, MissingExtraError
from leaven.core.files import first_digest

__all__ = ["Context", "installed", "weights"]

Floats = npt.NDArray[np.floating[Any]]
Index = npt.NDArray[np.int64]

#: What a classifier's weights are called, of all versions; from 3.5 on one file has all tasks.
_NAMES = ("tabpfn-*classifier*.ckpt", "tabpfn-*classifier*.safetensors", "tabpfn-v3.5*.safetensors")


def installed() -> bool:
    """Whether the package is there; it takes seconds to import, so it is not."""
    return importlib.util.find_spec("tabpfn") is not None


def weights() -> list[Path]:
    """The weights that lie where the package keeps them, by name; those of later versions last.

    Raises MissingExtraError without the package.
    """
    folder = _folder()
    found = {path for name in _NAMES for path in folder.glob(name)} if folder.is_dir() else set()
    return sorted(found)


class Context:
    """A classifier with scikit-learn's methods, of which `fit` only keeps what it is given.

    Parameters
    ----------
    estimators : how often it is asked, with the columns and classes in another order each time.
    seed : of these orders.
    name : the file of the weights; empty for the last of `weights`.

    Raises MissingExtraError without the package, DataError where there are no such weights, and
    later for weights that the package cannot use.
    """

    classes_: Index
    features: Floats
    targets: Index

    def __init__(self, estimators: int, seed: int, name: str = "") -> None:
        self.estimators, self.seed = estimators, seed
        self.file = _found(name)

    @property
    def sha256(self) -> str:
        """Of the weights' file."""
        told = self.file.stat()
        return _digest(self.file, told.st_size, told.st_mtime_ns)

    def fit(self, features: Floats, targets: Index, sample_weight: Floats | None = None) -> Context:
        """Keep (n, width) features and (n,) classes; that some count more it cannot be told."""
        from tabpfn import TabPFNClassifier

        self.features, self.targets = features, targets
        with self._told():
            self._asked = TabPFNClassifier(
                n_estimators=self.estimators, model_path=self.file, random_state=self.seed
            ).fit(features, targets)
        self.classes_ = np.asarray(self._asked.classes_, np.int64)
        return self

    def predict_proba(self, features: Floats) -> npt.NDArray[np.float64]:
        """(n, classes that were seen) probabilities."""
        if not len(features):
            return np.zeros((0, len(self.classes_)))
        with self._told():
            return np.asarray(self._asked.predict_proba(features), np.float64)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """DataError for whatever the package raises, with the file that it was given."""
        try:
            yield
        except Exception as failed:
            said = " ".join(str(failed).split())[:300]
            raise DataError(
                f"TabPFN cannot be asked with {self.file}: {type(failed).__name__}: {said}. Put "
                "other weights there, or take them away: blends do without."
            ) from failed


@lru_cache(maxsize=4)  # many heads of a blend are made with one file of a hundred megabytes
def _digest(file: Path, size: int, changed: int) -> str:
    return first_digest(file)


def _folder() -> Path:
    """Where the package keeps weights."""
    try:
        from tabpfn.model_loading import get_cache_dir
    except ImportError as missing:
        raise MissingExtraError("tabpfn", "the method 'tabpfn'") from missing
    return Path(get_cache_dir())


def _found(name: str) -> Path:
    there = weights()
    chosen = [path for path in there if path.name == name] if name else there
    if chosen:
        return chosen[-1]
    what = f"the weights {name!r} of TabPFN are" if name else "TabPFN's weights for classes are"
    others = f" There are: {', '.join(path.name for path in there)}." if there else ""
    raise DataError(
        f"{what} not in {_folder()}.{others} Leaven fetches nothing: read their licence and put "
        "them there, or say with TABPFN_MODEL_CACHE_DIR where they are."
    )
