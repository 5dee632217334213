"""Ids that name one record each among any number of records, in little memory.

How often each id occurred is kept as sorted arrays of 64-bit numbers and counts, twelve bytes an
id, which are merged when they are of like size: a look-up is a few binary searches, whatever came
before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Numbering", "keys_of"]

Keys = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int32]


class Numbering:
    """Calls the second record of an id id-2, the third id-3, in the order in which they come.

    Two ids of the same 64-bit number count as one, which at a hundred million ids happens with a
    chance of 0.0003 and costs no more than a suffix.
    """

    def __init__(self) -> None:
        self._held: list[tuple[Keys, Counts]] = []

    def add(self, keys: Keys) -> None:
        """Count these as they occurred; what `unique` returned, where its ids are already used."""
        found, counts = np.unique(keys, return_counts=True)
        if not len(found):
            return
        self._held.append((found, counts.astype(np.int32)))
        while len(self._held) > 1 and len(self._held[-2][0]) <= 2 * len(self._held[-1][0]):
            self._held.append(_merged(self._held.pop(), self._held.pop()))

    def unique(self, ids: Sequence[str], keys: Keys, given: bool) -> tuple[list[str], Keys]:
        """The ids, with suffixes where they must have one, and all keys that this uses up.

        Parameters
        ----------
        keys : (n,) of the ids, see `keys_of`.
        given : whether they are the data's own, among which there may be one such as id-2.
        """
        order = np.argsort(keys, kind="stable")
        distinct, first, counts = np.unique(keys[order], return_index=True, return_counts=True)
        rank = np.empty(len(keys), np.int64)
        rank[order] = np.arange(len(keys)) - np.repeat(first, counts)
        before = np.zeros(len(keys), np.int64)
        before[order] = np.repeat(self._times(distinct), counts)
        numbers = before + rank + 1
        found, used = list(ids), keys
        again = np.flatnonzero(numbers > 1).tolist()
        if given and again:
            found, used = self._among_given(ids, keys, numbers, again)
        else:
            for place in again:
                found[place] = f"{ids[place]}-{numbers[place]}"
        self.add(used)
        return found, used

    def _among_given(
        self, ids: Sequence[str], keys: Keys, numbers: npt.NDArray[np.int64], again: list[int]
    ) -> tuple[list[str], Keys]:
        """Suffixes that make no id which is there, or was made before."""
        found, taken = list(ids), set(keys.tolist())
        made = []
        for place in again:
            number = int(numbers[place])
            key = keys_of([f"{ids[place]}-{number}"])
            while int(key[0]) in taken or self._times(key)[0]:
                number += 1
                key = keys_of([f"{ids[place]}-{number}"])
            found[place] = f"{ids[place]}-{number}"
            taken.add(int(key[0]))
            made.append(key)
        return found, np.concatenate([keys, *made])

    def _times(self, keys: Keys) -> npt.NDArray[np.int64]:
        """(n,) how often each occurred so far."""
        times = np.zeros(len(keys), np.int64)
        for held, counts in self._held:
            at = np.minimum(np.searchsorted(held, keys), len(held) - 1)
            times += np.where(held[at] == keys, counts[at], 0)
        return times


def _merged(one: tuple[Keys, Counts], other: tuple[Keys, Counts]) -> tuple[Keys, Counts]:
    keys = np.concatenate([one[0], other[0]])
    order = np.argsort(keys, kind="stable")  # of two sorted runs: one pass
    keys, counts = keys[order], np.concatenate([one[1], other[1]])[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return keys[starts], np.add.reduceat(counts, starts)


def keys_of(ids: Sequence[str]) -> Keys:
    """(n,) 64-bit digests."""
    packed = b"".join(
        hashlib.blake2b(one.encode("utf-8", "surrogatepass"), digest_size=8).digest() for one in ids
    )
    return np.frombuffer(packed, "<u8").astype(np.uint64)
