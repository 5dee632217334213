"""Texts said otherwise, once before training: what back-translation is for, and the like.

A rewriter is any callable that takes texts and gives as many, each saying the same in other words.
It is called with several copies of a text where several rewritings are wanted, so it should
draw anew for each place of the list, and be a function of the list and its own seed alone.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leaven.core.errors import DataError, SettingError
from leaven.data.words import WORD, clean

__all__ = ["ContextRewriter", "Rewriter", "rewritten"]

Rewriter = Callable[[list[str]], list[str]]

_Ids = npt.NDArray[np.int64]

_SLICE = 2048
_PARTS = re.compile(f"({WORD.pattern})")
#: The first numbers: the end of a text, before its first and after its last word, and marks,
#: which are neighbours and stay what they are.
_NUMBERS = {"\0": 0, "?": 1, "!": 2}
_END = 0


def rewritten(
    texts: Iterable[str | None], rewriter: Rewriter, times: int
) -> Iterator[pa.ChunkedArray]:
    """`times` rewritings of each text, some thousand texts at once; null is an empty text.

    Yields
    ------
    (m · times,) strings: all rewritings of a text, then those of the next.

    Raises
    ------
    SettingError
        `times` is below 1.
    DataError
        The rewriter gave something other than as many strings as it was given.
    """
    if times < 1:
        raise SettingError("times", "a number of rewritings of at least 1", times)
    listed = list(texts)
    for start in range(0, len(listed), _SLICE):
        given = [text or "" for text in listed[start : start + _SLICE] for _ in range(times)]
        yield pa.chunked_array([pa.array(_checked(rewriter, given), pa.large_string())])


def _checked(rewriter: Rewriter, given: list[str]) -> list[str]:
    """What the rewriter says, if it is as many strings."""
    said: object = rewriter(list(given))
    name = getattr(rewriter, "__name__", type(rewriter).__name__)
    wanted = f"the rewriter {name!r} must give a list of {len(given)} texts for as many"
    if isinstance(said, str) or not isinstance(said, Sequence):
        raise DataError(f"{wanted}. Got {type(said).__name__}. Return a list, one text each.")
    if len(said) != len(given):
        raise DataError(f"{wanted}. Got {len(said)}. Give back a text it cannot rewrite as it is.")
    for place, text in enumerate(said):
        if not isinstance(text, str):
            raise DataError(
                f"{wanted}. Got {type(text).__name__} at place {place}. "
                "Give back a text it cannot rewrite as it is."
            )
    return [str(text) for text in said]


class ContextRewriter:
    """Puts, for a share of a text's words, others that stand between the same neighbours elsewhere.

    A masked language model of counts: a word is drawn from p(word | left, right) as the texts it
    was learnt from have it, the word itself left out. Where nothing else stands between these
    neighbours, it backs off to p(word | left) or p(word | right), whichever a fair coin says of
    those that know another word; where neither does, the word stays. Neighbours are those in the
    original text. An end of a text counts as one beside a word on the other side, and not alone.

    The text comes back normalised and lower-cased, as it is read anyway. The same texts in
    the same order and the same seed give the same rewritings.
    """

    def __init__(self, texts: Iterable[str | None], share: float = 0.15, seed: int = 0) -> None:
        if not 0 <= share <= 1:
            raise SettingError("share", "a share of the words in [0, 1]", share)
        self.share, self.seed = share, seed
        self._number = dict(_NUMBERS)
        read = _Read.of(list(texts))
        words = np.array(
            [self._number.setdefault(word, len(self._number)) for word in read.words], np.int64
        )
        self._word = np.array(list(self._number), object)
        inner, left, right = _contexts(words)
        size = len(self._number)
        self._both = _Counts.of(left * size + right, words[inner])
        self._sides = (_Counts.of(left, words[inner]), _Counts.of(right, words[inner]))

    def __call__(self, texts: list[str]) -> list[str]:
        """As many texts, rewritten."""
        read = _Read.of(texts)
        number, size = self._number, len(self._number)
        words = np.array([number.get(word, -1) for word in read.words], np.int64)
        rng = np.random.default_rng((self.seed, zlib.crc32("\0".join(read.words).encode())))
        inner, left, right = _contexts(words)
        own = words[inner]
        known = (left >= 0) & (right >= 0) & (left + right > _END)
        new = self._both.draw(np.where(known, left * size + right, -1), own, rng)
        one, other = (
            counts.draw(np.where(side == _END, -1, side), own, rng)
            for counts, side in zip(self._sides, (left, right), strict=True)
        )
        coin = rng.random(len(inner)) < 0.5
        first, second = np.where(coin, one, other), np.where(coin, other, one)
        new = np.where(new >= 0, new, np.where(first >= 0, first, second))
        text = np.cumsum(words == _END)[inner]
        chosen = inner[_some(text, new >= 0, self.share, rng)]
        place = np.full(len(words), -1)
        place[inner] = new
        read.words[chosen] = self._word[place[chosen]]
        return read.join()


@dataclass
class _Read:
    """Texts in one row of words, a NUL after each text, and what stands between the words."""

    words: npt.NDArray[np.object_]
    gaps: list[str]

    @classmethod
    def of(cls, texts: Sequence[str | None]) -> _Read:
        column = clean(pa.chunked_array([pa.array(texts, pa.large_string())]))
        parts = _PARTS.split("".join(text + "\0" for text in column.to_pylist()))
        return cls(np.array(parts[1::2], object), parts[::2])

    def join(self) -> list[str]:
        """The texts again."""
        parts: list[str] = [""] * (len(self.gaps) + len(self.words))
        parts[::2], parts[1::2] = self.gaps, self.words.tolist()
        return "".join(parts).split("\0")[:-1]


def _contexts(words: _Ids) -> tuple[_Ids, _Ids, _Ids]:
    """Places of the words that may change, new ones among them, and the words beside each."""
    inner = np.flatnonzero((words < 0) | (words >= len(_NUMBERS)))
    before = np.concatenate([[_END], words[:-1]])
    return inner, before[inner], words[np.minimum(inner + 1, len(words) - 1)]


def _some(
    text: _Ids, possible: npt.NDArray[np.bool_], share: float, rng: np.random.Generator
) -> _Ids:
    """Places of `share` of each text's words, in whole words by chance, among the possible ones."""
    luck = np.where(possible, rng.random(len(text)), 2.0)
    order = np.lexsort((luck, text))
    counts = np.bincount(text)
    wanted = np.floor(share * counts + rng.random(len(counts)))
    rank = np.arange(len(text)) - (np.cumsum(counts) - counts)[text[order]]
    chosen = order[rank < wanted[text[order]]]
    return chosen[possible[chosen]]


@dataclass
class _Counts:
    """The words of each context, as often as they stand in it.

    `keys` are the contexts in order, `ends` where each one's words end among `pairs`, which are
    context · size + word in order.
    """

    keys: _Ids
    ends: _Ids
    pairs: _Ids
    size: int

    @classmethod
    def of(cls, context: _Ids, words: _Ids) -> _Counts:
        keys, place, counts = np.unique(context, return_inverse=True, return_counts=True)
        size = int(words.max(initial=0)) + 2
        return cls(keys, np.cumsum(counts), np.sort(place * size + words), size)

    def draw(self, context: _Ids, own: _Ids, rng: np.random.Generator) -> _Ids:
        """A word of each context other than `own`, by its count; -1 where there is none."""
        if not len(self.keys):
            return np.full(len(context), -1)
        place = np.minimum(np.searchsorted(self.keys, context), len(self.keys) - 1)
        known = self.keys[place] == context
        end = self.ends[place]
        begin = np.where(place > 0, self.ends[place - 1], 0)
        # The own word's stretch of the context's words is passed over.
        skipped = np.searchsorted(self.pairs, place * self.size + own)
        skip = np.searchsorted(self.pairs, place * self.size + own, side="right") - skipped
        others = np.where(known, end - begin - skip, 0)
        drawn = begin + (rng.random(len(context)) * others).astype(np.int64)
        drawn += np.where(drawn >= skipped, skip, 0)
        found = self.pairs[np.minimum(drawn, len(self.pairs) - 1)] - place * self.size
        return np.where(others > 0, found, -1)
