"""Records far from those that are chosen, one after the other, without asking all each time.

Greedy covering (k-centre) and k-means++ (BADGE) both choose, again and again, by the distance of
each record to the nearest one chosen. It only falls, so one computed some choices ago is an upper
bound of what it is now, and only a record whose bound leads has to be looked at: the lazy greedy
algorithm (Minoux 1978). The choice is exactly that of the plain algorithm, which computes n
distances a choice.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from leaven.data.dataset import Index
from leaven.label.asking.pool import Numbers, blocks

__all__ = ["Euclidean", "Frontier", "Gradients", "Geometry", "centre"]

Floats = npt.NDArray[np.float32]
Rows = slice | Index

_AT_ONCE = 2048  # records brought up to date together
_CENTRES = 256  # centres that are held against a block of records …
_FIRST = 32  # … and of those known before, against all
_NONE = np.float32(1e-6)  # of a record's squared length: no distance, but for rounding


class Geometry(Protocol):
    """Squared distances between n records."""

    def __len__(self) -> int: ...

    @property
    def width(self) -> int:
        """Numbers of a record."""

    def nearest(self, rows: Rows, centres: Index) -> Floats:
        """(rows,) squared distance of each record to the nearest of some others."""


def centre(embeddings: Numbers) -> npt.NDArray[np.float64]:
    """(d,) the mean record."""
    total = np.zeros(embeddings.shape[1])
    for part in blocks(*embeddings.shape):
        block = np.asarray(embeddings[part], np.float32)
        total += np.ones(len(block), np.float32) @ block
    return total / max(len(embeddings), 1)


class Euclidean:
    """|x - c|² = |x - o|² - 2 x·(c - o) + 2 o·(c - o) + |c - o|², o the mean record.

    From o the numbers are small, and little is lost where the records lie far from zero.
    """

    def __init__(self, embeddings: Numbers) -> None:
        self._all = embeddings
        self.mean = centre(embeddings).astype(np.float32)
        #: (n,) squared distances from the mean record.
        self.norms = np.empty(len(embeddings), np.float32)
        for part in blocks(*embeddings.shape):
            block = np.asarray(embeddings[part], np.float32) - self.mean
            self.norms[part] = np.einsum("ij,ij->i", block, block)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def width(self) -> int:
        """Numbers of a record."""
        return int(self._all.shape[1])

    def squared(self, rows: Rows, centres: Index) -> Floats:
        """(rows, centres) squared distances, zero between a record and itself but for rounding."""
        return self.squared_to(rows, np.asarray(self._all[centres], np.float32))

    def squared_to(self, rows: Rows, points: Floats) -> Floats:
        """(rows, points) squared distances of records to points (m, d)."""
        found = self._products(rows, points)
        np.subtract(self.norms[rows][:, None], found, out=found)
        np.maximum(found, 0, out=found)
        return found

    def nearest(self, rows: Rows, centres: Index) -> Floats:
        """(rows,) squared distance of each record to the nearest of some others."""
        found = self._products(rows, np.asarray(self._all[centres], np.float32))
        return _apart(self.norms[rows], found.max(1))

    def _products(self, rows: Rows, points: Floats) -> Floats:
        """(rows, points) 2 (x - o)·(c - o) - |c - o|²."""
        away = points - self.mean
        length = np.einsum("ij,ij->i", away, away)
        away *= 2
        found: Floats = np.asarray(self._all[rows], np.float32) @ away.T
        found -= np.asarray(away @ self.mean + length, np.float32)
        return found


class Gradients:
    """Squared distances between outer products a ⊗ x, of which none is ever made.

    |a⊗x - b⊗y|² = |a|²|x|² + |b|²|y|² - 2 (a·b)(x·y).
    """

    def __init__(self, factors: Floats, embeddings: Numbers) -> None:
        self._factors, self._all = factors, embeddings
        #: (n,) squared lengths.
        self.norms = np.empty(len(embeddings), np.float32)
        for part in blocks(*embeddings.shape):
            x, a = np.asarray(embeddings[part], np.float32), factors[part]
            self.norms[part] = np.einsum("ij,ij->i", x, x) * np.einsum("ij,ij->i", a, a)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def width(self) -> int:
        """Numbers of a record."""
        return int(self._all.shape[1] + self._factors.shape[1])

    def nearest(self, rows: Rows, centres: Index) -> Floats:
        """(rows,) squared distance of each record to the nearest of some others."""
        x = np.asarray(self._all[rows], np.float32)
        found: Floats = x @ np.asarray(self._all[centres], np.float32).T
        found *= self._factors[rows] @ (2 * self._factors[centres]).T
        found -= self.norms[centres]
        return _apart(self.norms[rows], found.max(1))


def _apart(norms: Floats, alike: Floats) -> Floats:
    found = norms - alike
    return np.where(found > _NONE * norms, found, np.float32(0))


class Frontier:
    """How far each open record is from the nearest centre, as far as that has to be known.

    `centres` are the records chosen before, whose order does not matter.
    """

    def __init__(self, geometry: Geometry, open: npt.NDArray[np.bool_], centres: Index) -> None:
        self._geometry = geometry
        self._centres: list[int] = centres.tolist()
        self._seen = np.zeros(len(geometry), np.int32)  # centres that the bound of a record knows
        self._bound = np.where(open, np.float32(np.inf), np.float32(-1))
        if self._centres:
            self._pass(min(len(self._centres), _FIRST))

    def add(self, row: int) -> None:
        """One more centre, of which nobody is to be asked again."""
        self._centres.append(row)
        self._bound[row] = -1
        if len(self._centres) == 1:
            self._pass(1)

    def furthest(self, luck: Floats | None = None) -> tuple[int, float] | None:
        """The open record of largest squared distance, and the distance; of equals the first.

        With `luck` (n,) positive, that of the largest product of both. None where no record is at
        any distance of the centres.
        """
        score = self._bound if luck is None else self._bound * luck
        at_once = _AT_ONCE
        while True:
            best = int(score.argmax())
            if score[best] <= 0:
                return None
            if self._seen[best] == len(self._centres):
                return best, float(self._bound[best])
            self._update(np.array([best]), score, luck)
            rivals = np.flatnonzero(score > score[best])
            rivals = rivals[self._seen[rivals] < len(self._centres)]
            if len(rivals) > at_once:
                rivals = np.sort(rivals[np.argpartition(-score[rivals], at_once)[:at_once]])
            if len(rivals):
                self._update(rivals, score, luck)
            at_once *= 2

    def _update(self, rows: Index, score: Floats, luck: Floats | None) -> None:
        """Bring some records up to date, and their scores with them."""
        for since in range(int(self._seen[rows].min()), len(self._centres), _CENTRES):
            part = np.array(self._centres[since : since + _CENTRES])
            for piece in blocks(len(rows), self._geometry.width + len(part)):
                some = rows[piece]
                found = self._geometry.nearest(some, part)
                self._bound[some] = np.minimum(self._bound[some], found)
        self._seen[rows] = len(self._centres)
        score[rows] = self._bound[rows] if luck is None else self._bound[rows] * luck[rows]

    def _pass(self, known: int) -> None:
        """Bring all records up to date with the first `known` centres, in the order of the file."""
        first = int(self._seen.min())
        for part in blocks(len(self._geometry), self._geometry.width + _CENTRES):
            for since in range(first, known, _CENTRES):
                near = np.array(self._centres[since : min(since + _CENTRES, known)])
                found = self._geometry.nearest(part, near)
                np.minimum(self._bound[part], found, out=self._bound[part])
        self._seen = np.maximum(self._seen, np.int32(known))
