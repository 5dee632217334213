"""Bytes to lines of text, whatever encoding they are in, without holding the file."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

import fsspec

from leaven.core.errors import DataError
from leaven.data.dataset import Finding

__all__ = ["LONGEST_LINE", "Lines", "open_bytes"]

#: A longer line is cut, so that a file without line ends cannot fill the memory; the cut record
#: is then refused by its reader.
LONGEST_LINE = 4 << 20


def open_bytes(path: str) -> IO[bytes]:
    """Open a local path or an fsspec URL; `.gz` is unpacked as it is read.

    Raises DataError if it cannot be opened.
    """
    try:
        opened = cast(IO[bytes], fsspec.open(path, "rb").open())
    except FileNotFoundError:
        raise DataError(f"There is no file {path!r}. Check the path.") from None
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"{path!r} cannot be opened: {error}.") from error
    return cast(IO[bytes], gzip.open(opened)) if path.endswith(".gz") else opened


class Lines:
    """The lines of a file as text, line ends kept. Iterate it once.

    UTF-8 with or without a mark, UTF-16 with or without one. A line that is not UTF-8 is read
    as Windows-1252 and counted; NUL characters are taken out and counted.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.repaired: list[int] = []
        self.with_nul = 0

    def __iter__(self) -> Iterator[str]:
        with open_bytes(self.path) as stream:
            try:
                yield from self._text(stream)
            except (OSError, EOFError, zlib.error) as error:
                raise DataError(f"{self.path!r} is damaged: {error}.") from error

    def _text(self, stream: IO[bytes]) -> Iterator[str]:
        buffered = io.BufferedReader(cast(Any, stream), 1 << 20)
        encoding = _wide_encoding(buffered.peek(4096)[:4096])
        if encoding:
            text = io.TextIOWrapper(buffered, encoding, errors="replace", newline="")
            lines: Iterator[str] = iter(lambda: _bounded(text), "")
        else:
            lines = (self._decode(i, line) for i, line in enumerate(_split(buffered), 1))
        for line in lines:
            if "\0" in line:
                self.with_nul += 1
                line = line.replace("\0", "")
            yield line

    def _decode(self, number: int, line: bytes) -> str:
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            return line.decode()
        except UnicodeDecodeError:
            if len(line) >= LONGEST_LINE:  # cut within a character
                return line.decode(errors="replace")
            self.repaired.append(number)
            try:
                return line.decode("cp1252")
            except UnicodeDecodeError:
                return line.decode("latin-1")

    def findings(self, source: str) -> list[Finding]:
        """What had to be mended, once all lines were read."""
        found = []
        if self.repaired:
            found.append(
                Finding(
                    "encoding",
                    "warning",
                    f"{len(self.repaired)} lines of {source} are not UTF-8; they were read as "
                    "Windows-1252.",
                    len(self.repaired),
                    tuple(f"{source} line {line}" for line in self.repaired[:5]),
                    "Look at them, and save the file as UTF-8 if characters are wrong.",
                )
            )
        if self.with_nul:
            found.append(
                Finding(
                    "nul-characters",
                    "warning",
                    f"{self.with_nul} lines of {source} held NUL characters; they were removed.",
                    self.with_nul,
                    (source,),
                    "Such lines often come from a crash of the program that wrote the file.",
                )
            )
        return found


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32 if a file that begins with `head` is written so, else None."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    half = max(len(head) // 2, 1)
    if head[1::2].count(0) > 0.4 * half:
        return "utf-16-le"
    return "utf-16-be" if head[::2].count(0) > 0.4 * half else None


def _split(stream: io.BufferedReader) -> Iterator[bytes]:
    """Lines of bytes, each cut at LONGEST_LINE; a lone carriage return ends one too.

    Where that stood inside a quoted field, the parser of the table joins the lines again.
    """
    held, cut = b"", False  # a line not ended yet; whether what follows is the end of a cut one
    while part := stream.readline(LONGEST_LINE):
        held += part
        if b"\r" in held.removesuffix(b"\r\n"):
            *whole, held = held.splitlines(keepends=True)
        else:
            whole = []
        if held.endswith(b"\n"):
            whole, held = [*whole, held], b""
        for line in whole:
            if not cut:
                yield line[:LONGEST_LINE]
            cut = False
        if len(held) >= LONGEST_LINE:
            if not cut:
                yield held[:LONGEST_LINE]
            held, cut = b"", not held.endswith(b"\r")
    if held and not cut:
        yield held


def _bounded(text: io.TextIOWrapper) -> str:
    """As `_split`, for text."""
    line = text.readline(LONGEST_LINE)
    cut = len(line) == LONGEST_LINE and not line.endswith(("\n", "\r"))
    while cut and (rest := text.readline(LONGEST_LINE)):
        cut = not rest.endswith(("\n", "\r"))
    return line
