"""The words of a text and their numbers, for one text and without Arrow; see `data/words.py`."""

from __future__ import annotations

import re
import unicodedata
import zlib

__all__ = ["MASK", "MOST_CHARACTERS", "VOCABULARY", "WORD", "Codes", "clean", "codes_of"]

#: Codes run from 1 to VOCABULARY - 2; 0 is free for padding.
VOCABULARY = 1 << 20
#: The code that stands for a word left out; no word has it.
MASK = VOCABULARY - 1
#: A text of more characters keeps its two ends: at most 256 words of it are ever read.
MOST_CHARACTERS = 20_000

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


class Codes(dict[str, int]):
    """Codes of the words met so far; a new word's is worked out and kept."""

    def __missing__(self, word: str) -> int:
        if len(self) >= 1 << 20:  # texts full of identifiers must not fill the memory
            self.clear()
        code = (
            0
            if word == "\0"
            else 1 + zlib.crc32(word.encode("utf-8", "surrogatepass")) % (VOCABULARY - 1)
        )
        code = min(code, MASK - 1)  # rather share a word's code than the mask's
        self[word] = code
        return code


class _Lower(dict[int, int]):
    """Each character's small letter by itself, as Arrow has it: no final sigma, no two for one."""

    def __missing__(self, code: int) -> int:
        small = chr(code).lower()
        self[code] = found = ord(small) if len(small) == 1 else ord("i")  # the dotted capital I
        return found


_KNOWN = Codes()
_LOWER = _Lower()


def clean(text: str) -> str:
    """A text bounded in length, normalised, lower-cased and without NUL.

    >>> clean("Don\u2019t pay")
    "don't pay"
    """
    if len(text) > MOST_CHARACTERS:
        text = f"{text[: MOST_CHARACTERS * 3 // 4]} {text[-(MOST_CHARACTERS // 4) :]}"
    if text.isascii():
        return text.lower().replace("\0", " ")
    text = unicodedata.normalize("NFKC", text).translate(_LOWER)
    return text.replace("\0", " ").replace("\u2019", "'")


def codes_of(text: str) -> list[int]:
    """The codes of a text's words, in reading order.

    >>> codes_of("Don't pay 3.14!")
    [74003, 995877, 4653, 788922]
    """
    return [_KNOWN[word] for word in WORD.findall(clean(text))]
