"""Texts as numbers without a vocabulary: each word is a hash, the same on every machine.

Texts are put in Unicode form NFKC and lower-cased. A word is a run of letters, marks and digits,
with inner apostrophes (don't) and inner points or commas between digits (3.14). A character of a
script that writes no spaces (Chinese, Japanese, Thai, Lao, Burmese, Khmer) and an emoji are words
of their own. Of the punctuation only ? and ! are kept: they tell questions and moods apart.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["MASK", "VOCABULARY", "WORD", "clean", "word_codes"]

#: Codes run from 1 to VOCABULARY - 2; 0 is free for padding.
VOCABULARY = 1 << 20
#: The code that stands for a word left out; no word has it.
MASK = VOCABULARY - 1

_SINGLE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao; Burmese; Khmer
    "\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Japanese, Chinese
    "\u2600-\u27bf\U0001f300-\U0001faff"  # symbols, emoji
)
# Everything but space, controls, ASCII and general punctuation, and the scripts above. Python's
# \w lacks the marks that carry vowels in Hindi, Tamil and others, and would cut words there.
_LETTER = (
    r"[^\s\x00-/:-@\[-`{-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb-\u00bf\u00d7\u00f7"
    r"\u060c\u061b\u061f\u06d4\u0964\u0965\u2000-\u206f\u20a0-\u20bf\u2190-\u25ff\u2e00-\u2e7f"
    rf"\u3000-\u303f\ufe00-\ufe0f\ufe30-\ufe6f\ufeff\ufffd{_SINGLE}]"
)
#: One word of a cleaned text; NUL is a word of its own, and parts texts that were joined.
WORD = re.compile(rf"[\0?!{_SINGLE}]|{_LETTER}+(?:(?:'|(?<=\d)[.,](?=\d)){_LETTER}+)*")

#: Texts are read together in slices of this many, joined by NUL, which no slice's text contains.
_SLICE = 4096
# A text of more characters keeps its two ends: at most 256 words of it are ever read.
_CHARACTERS = 20_000


class _Codes(dict[str, int]):
    """Codes of the words met so far; a new word's is worked out and kept."""

    def __missing__(self, word: str) -> int:
        if len(self) >= 1 << 20:  # texts full of identifiers must not fill the memory
            self.clear()
        code = 0 if word == "\0" else 1 + zlib.crc32(word.encode()) % (VOCABULARY - 1)
        code = min(code, MASK - 1)  # rather share a word's code than the mask's
        self[word] = code
        return code


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
    codes = _Codes()
    for start in range(0, len(texts), _SLICE):
        rows = slice(start, min(start + _SLICE, len(texts)))
        joined = "\0".join(clean(texts[rows]).to_pylist()) + "\0"
        flat = np.fromiter(map(codes.__getitem__, WORD.findall(joined)), np.int32)
        breaks = np.flatnonzero(flat == 0)
        yield rows, flat[flat != 0], breaks - np.arange(len(breaks))


def clean(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts bounded in length, normalised, lower-cased and without NUL; null is an empty text."""
    texts = pc.fill_null(texts.cast(pa.large_string()), "")
    head = pc.utf8_slice_codeunits(texts, 0, _CHARACTERS * 3 // 4)
    tail = pc.utf8_slice_codeunits(texts, -_CHARACTERS // 4)
    ends = pc.binary_join_element_wise(head, tail, pa.scalar(" ", pa.large_string()))
    texts = pc.if_else(pc.greater(pc.utf8_length(texts), _CHARACTERS), ends, texts)
    texts = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    texts = pc.replace_substring(texts, "\0", " ")
    return pc.replace_substring(texts, "\u2019", "'")
