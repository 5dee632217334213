"""The tokens of a model from elsewhere, by the tokenizers package; see `learn/extractors/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Subwords"]


class Subwords:
    """Reads a text as the tokeniser of an encoder does.

    Parameters
    ----------
    told : `tokenizer`, what the file `tokenizer.json` of the encoder holds; `most` tokens that a
        text may have, of a longer one the first; `special`, whether the tokens that stand around
        every text are put there; `blank`, the token of a text without any, or -1; `letters` that
        are read of a text at most; `lower`, whether it is lower-cased.

    Raises ImportError where the package is not installed.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(told["tokenizer"])
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(told["most"])
        self._special, self._blank = bool(told["special"]), int(told["blank"])
        self._letters, self._lower = int(told["letters"]), bool(told["lower"])

    def __call__(self, text: str) -> list[int]:
        """Each token's number and one: 0 is free for padding."""
        part = text[: self._letters].encode("utf-8", "replace").decode()  # no half characters
        read = self._tokenizer.encode(
            part.lower() if self._lower else part, add_special_tokens=self._special
        )
        found = [one + 1 for one in read.ids]
        return found or ([self._blank + 1] if self._blank >= 0 else [])
