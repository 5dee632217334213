"""Texts as numbers without a vocabulary: each word is a hash, the same on every machine.

Texts are put in Unicode form NFKC and lower-cased. A word is a run of letters, marks and digits,
with inner apostrophes (don't) and inner points or commas between digits (3.14). A character of a
script that writes no spaces (Chinese, Japanese, Thai, Lao, Burmese, Khmer) and an emoji are words
of their own. Of the punctuation only ? and ! are kept: they tell questions and moods apart.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leaven.data.portable.words import MASK, MOST_CHARACTERS, VOCABULARY, WORD, Codes

__all__ = ["MASK", "VOCABULARY", "WORD", "clean", "word_codes"]

#: Texts are read together in slices of this many, joined by NUL, which no slice's text contains.
_SLICE = 4096


def word_codes(
    texts: pa.ChunkedArray,
) -> Iterator[tuple[slice, npt.NDArray[np.int32], npt.NDArray[np.int64]]]:
    """Read texts slice by slice; null is an empty text.

    Parameters
    ----------
    texts : (n,) strings.

    Yields
    ------
    rows : the slice of the texts.
    codes : (words,) the codes of all words of the slice, in reading order, 1 … VOCABULARY - 2.
    ends : (texts of the slice,) where in `codes` each text ends.

    >>> texts = pa.chunked_array([["Don't pay 3.14!", None, "don't"]])
    >>> [(codes.tolist(), ends.tolist()) for _, codes, ends in word_codes(texts)]
    [([74003, 995877, 4653, 788922, 74003], [4, 4, 5])]
    """
    codes = Codes()
    for start in range(0, len(texts), _SLICE):
        rows = slice(start, min(start + _SLICE, len(texts)))
        joined = "\0".join(clean(texts[rows]).to_pylist()) + "\0"
        flat = np.fromiter(map(codes.__getitem__, WORD.findall(joined)), np.int32)
        breaks = np.flatnonzero(flat == 0)
        yield rows, flat[flat != 0], breaks - np.arange(len(breaks))


def clean(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts bounded in length, normalised, lower-cased and without NUL; null is an empty text."""
    texts = pc.fill_null(texts.cast(pa.large_string()), "")
    head = pc.utf8_slice_codeunits(texts, 0, MOST_CHARACTERS * 3 // 4)
    tail = pc.utf8_slice_codeunits(texts, -MOST_CHARACTERS // 4)
    ends = pc.binary_join_element_wise(head, tail, pa.scalar(" ", pa.large_string()))
    texts = pc.if_else(pc.greater(pc.utf8_length(texts), MOST_CHARACTERS), ends, texts)
    texts = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    texts = pc.replace_substring(texts, "\0", " ")
    return pc.replace_substring(texts, "\u2019", "'")
