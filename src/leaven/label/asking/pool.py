"""What a strategy looks at: all records, what a model says of them, which have a label."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError
from leaven.data.dataset import Index

__all__ = ["Pool", "blocks"]

#: float32 or float64.
Numbers = npt.NDArray[np.floating[Any]]

_CELLS = 1 << 20  # numbers read at once: 4 MB of float32


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices of `rows` records of `width` numbers, about a million numbers each.

    >>> [(part.start, part.stop) for part in blocks(5, 1 << 19)]
    [(0, 2), (2, 4), (4, 5)]
    """
    step = max(1, _CELLS // max(width, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


@dataclass(frozen=True, eq=False)
class Pool:
    """n records, labelled and not, in one order for all arrays.

    Parameters
    ----------
    labelled : (n,) class positions, -1 where there is no label.
    probabilities : (n, k) what a model says of each record; rows sum to 1.
    embeddings : (n, d) features, of which distances are taken as they are. A memory map is read in
        blocks and never copied whole; any floating type serves, float32 is the quickest.
    members : (m, n, k) probabilities of the models of a committee, or of stochastic passes.
    askable : (n,) which records may be asked about, all by default; those with a label never are.
    names : of the k classes, for the reasons that people read.
    seed : of whatever is drawn.

    Raises SettingError for NaN, for shapes that do not match and for rows that are no distribution.

    >>> pool = Pool(np.array([-1, 0]), probabilities=np.array([[0.5, 0.5], [0.9, 0.1]]))
    >>> len(pool), pool.classes, pool.open.tolist()
    (2, 2, [True, False])
    """

    labelled: Index
    probabilities: Numbers | None = field(default=None, repr=False)
    embeddings: Numbers | None = field(default=None, repr=False)
    members: Numbers | None = field(default=None, repr=False)
    askable: npt.NDArray[np.bool_] | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        labelled = np.asarray(self.labelled)
        if labelled.ndim != 1 or labelled.dtype.kind not in "iu":
            wanted = "(records,) class positions, -1 where there is no label"
            raise SettingError("labelled", wanted, f"{labelled.dtype} of shape {labelled.shape}")
        object.__setattr__(self, "labelled", labelled.astype(np.int64, copy=False))
        n = len(labelled)
        if self.probabilities is not None:
            _check_distributions("probabilities", self.probabilities, (n, None))
        if self.members is not None:
            _check_distributions("members", self.members, (None, n, None))
        if self.embeddings is not None:
            _check_embeddings(self.embeddings, n)
        if self.askable is not None and (
            self.askable.shape != (n,) or self.askable.dtype != np.bool_
        ):
            got = f"{self.askable.dtype} of shape {self.askable.shape}"
            raise SettingError("askable", f"{n} times True or False, one a record", got)
        self._check_classes()

    def _check_classes(self) -> None:
        told = {"names": len(self.names)} if self.names else {}
        for what, array in (("probabilities", self.probabilities), ("members", self.members)):
            if array is not None:
                told[what] = array.shape[-1]
        if len(set(told.values())) > 1:
            raise SettingError("probabilities", "of one number of classes everywhere", told)
        if n := len(self.labelled):
            lowest, highest = int(self.labelled.min()), int(self.labelled.max())
            most = min(told.values(), default=highest + 1)
            if lowest < -1 or highest >= most:
                wanted = f"class positions from 0 to {most - 1}, or -1, of {n} records"
                raise SettingError("labelled", wanted, lowest if lowest < -1 else highest)

    def __len__(self) -> int:
        return len(self.labelled)

    @property
    def classes(self) -> int:
        """How many classes are known of, from what is there; 0 where nothing tells."""
        for array in (self.probabilities, self.members):
            if array is not None:
                return int(array.shape[-1])
        return len(self.names) or int(self.labelled.max(initial=-1)) + 1

    @cached_property
    def open(self) -> npt.NDArray[np.bool_]:
        """(n,) which records may be asked about: askable, and without a label."""
        bare = self.labelled < 0
        return bare if self.askable is None else bare & self.askable

    @cached_property
    def known(self) -> Index:
        """The positions of the labelled records."""
        return np.flatnonzero(self.labelled >= 0)

    def only(self, askable: npt.NDArray[np.bool_]) -> Pool:
        """The same pool, of which no more than these records may be asked about."""
        part = copy(self)  # not `replace`, which would look through all arrays again
        part.__dict__.pop("open", None)
        object.__setattr__(part, "askable", self.open & askable)
        return part

    def name(self, position: int) -> str:
        """What a class is called."""
        return self.names[position] if self.names else f"class {position}"


def _check_distributions(what: str, found: Numbers, shape: tuple[int | None, ...]) -> None:
    """Raises SettingError unless the last axis holds shares that sum to 1."""
    right = found.ndim == len(shape) and all(
        wanted is None or size == wanted for size, wanted in zip(found.shape, shape, strict=True)
    )
    if not right or not found.shape[-1] or (found.ndim == 3 and not len(found)):
        wanted = ", ".join("…" if size is None else str(size) for size in shape)
        raise SettingError(what, f"of shape ({wanted}), the last the classes", found.shape)
    if found.dtype.kind != "f":
        raise SettingError(what, "floating-point numbers", str(found.dtype))
    for layer in found if found.ndim == 3 else (found,):
        for part in blocks(*layer.shape):
            rows = layer[part]
            # A comparison with NaN is false, so this finds what is not a number as well.
            fine = (rows >= -1e-6).all(1) & (np.abs(rows.sum(1, dtype=np.float64) - 1) <= 1e-3)
            if not fine.all():
                row = part.start + int(fine.argmin())
                raise SettingError(
                    what,
                    "rows of shares that sum to 1",
                    f"{layer[row].tolist()} of record {row}",
                    "Apply a softmax to logits first.",
                )


def _check_embeddings(found: Numbers, n: int) -> None:
    """Raises SettingError for another shape, and for numbers whose squares are none."""
    if found.ndim != 2 or len(found) != n or not found.shape[1]:
        raise SettingError("embeddings", f"of shape ({n}, features)", found.shape)
    if found.dtype.kind != "f":
        raise SettingError("embeddings", "floating-point numbers", str(found.dtype))
    for part in blocks(*found.shape):
        with np.errstate(over="ignore", invalid="ignore"):
            block = np.asarray(found[part], np.float32)
            whole = block.ravel() @ block.ravel()
        if not np.isfinite(whole):
            with np.errstate(over="ignore"):
                size = (block**2).sum(1)
            row = part.start + int(size.argmax())  # NaN counts as the largest
            raise SettingError(
                "embeddings",
                "finite numbers whose squares can be summed",
                f"others, of record {row}",
                "Replace what is missing, and standardise the features.",
            )
