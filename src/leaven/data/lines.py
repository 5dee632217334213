"""Bytes to lines of text, whatever encoding they are in, without holding the file."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import fsspec
import numpy as np

from leaven.core.errors import DataError
from leaven.data.dataset import Finding

__all__ = ["FIRST", "LONGEST_LINE", "PLAIN_LINE", "Lines", "open_bytes", "rows_that_fit"]

#: A longer line is cut, so that a file without line ends cannot fill the memory; the cut record
#: is then refused by its reader.
LONGEST_LINE = 4 << 20
#: The longest line that `Lines.plain` lets pass.
PLAIN_LINE = 1 << 20
#: Records of a first batch, by which the size of the next is chosen.
FIRST = 1_000
_MOST, _CHARACTERS = 20_000, 32 << 20  # records and characters of a batch, about


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


def rows_that_fit(characters: int, rows: int) -> int:
    """How many records the next batch has, after one of so many characters and records.

    >>> rows_that_fit(50_000, 1000), rows_that_fit(1000 << 20, 1000)
    (20000, 32)
    """
    return int(min(max(_CHARACTERS * rows // max(characters, 1), 1), _MOST))


class _Ahead:
    """A stream of which whole lines can be read ahead and put back."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream, self._back = stream, io.BytesIO()

    def readline(self, limit: int) -> bytes:
        """As that of a file."""
        return self._back.readline(limit) or self._stream.readline(limit)

    def block(self, size: int) -> bytes:
        """About so many bytes, up to the end of a line; fewer at the end of the file."""
        held = self._back.read(size)
        if len(held) < size:
            held += self._stream.read(size - len(held))
        if not held.endswith(b"\n"):
            held += self.readline(LONGEST_LINE)
        return held

    def put_back(self, block: bytes) -> None:
        """Read it again next."""
        self._back = io.BytesIO(block + self._back.read())


class Lines:
    """The lines of a file as text, line ends kept. Iterate it once.

    UTF-8 with or without a mark, UTF-16 with or without one. A line that is not UTF-8 is read
    as Windows-1252 and counted; NUL characters are taken out and counted.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.repaired: list[int] = []
        self.with_nul = 0
        #: Characters read so far.
        self.characters = 0
        plain = "://" not in path and not path.endswith(".gz") and Path(path).is_file()
        self._size = Path(path).stat().st_size if plain else 0
        self._number = 0
        self._ahead: _Ahead | None = None
        self._settled = False

    @property
    def share(self) -> float | None:
        """How much of the file was read; None of one that is packed or elsewhere."""
        return min(self.characters / self._size, 1.0) if self._size else None

    def __iter__(self) -> Iterator[str]:
        with open_bytes(self.path) as stream:
            try:
                yield from self._text(stream)
            except (OSError, EOFError, zlib.error) as error:
                raise DataError(f"{self.path!r} is damaged: {error}.") from error
            finally:
                self._ahead = None

    def _text(self, stream: IO[bytes]) -> Iterator[str]:
        buffered = io.BufferedReader(cast(Any, stream), 1 << 20)
        encoding = _wide_encoding(buffered.peek(4096)[:4096])
        if encoding:
            text = io.TextIOWrapper(buffered, encoding, errors="replace", newline="")
            lines: Iterator[str] = iter(lambda: _bounded(text), "")
        else:
            self._ahead = _Ahead(buffered)
            lines = map(self._decode, self._split(self._ahead))
        for line in lines:
            self.characters += len(line)
            if "\0" in line:
                self.with_nul += 1
                line = line.replace("\0", "")
            yield line

    def plain(self, size: int, delimiter: str) -> bytes:
        """The next lines, about `size` bytes of them, where nothing in them needs a closer look.

        That is no NUL, no lone carriage return, no endless line, and quotes only around whole
        fields, between delimiters, with none and no line end inside. Empty where there is
        something, at the end, within a line that was cut, and in UTF-16 and UTF-32; iterating then
        goes on as if nothing had been asked. What is returned need not be UTF-8: see `put_back`.
        """
        if self._ahead is None or not self._settled:
            return b""
        try:
            block = self._ahead.block(size)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self.path!r} is damaged: {error}.") from error
        if not block:
            return b""
        if not _is_plain(block, delimiter):
            self._ahead.put_back(block)
            return b""
        self._count(block, 1)
        return block

    def put_back(self, block: bytes) -> None:
        """Iterate over it after all: what `plain` returned last."""
        assert self._ahead is not None
        self._ahead.put_back(block)
        self._count(block, -1)

    def _count(self, block: bytes, sign: int) -> None:
        self.characters += sign * len(block)
        self._number += sign * (block.count(b"\n") + (not block.endswith(b"\n")))

    def _split(self, stream: _Ahead) -> Iterator[bytes]:
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
            for left, line in enumerate(whole, 1 - len(whole)):
                if not cut:
                    self._settled = not left and not held
                    yield line[:LONGEST_LINE]
                cut = False
            if len(held) >= LONGEST_LINE:
                self._settled = False
                if not cut:
                    yield held[:LONGEST_LINE]
                held, cut = b"", not held.endswith(b"\r")
        if held and not cut:
            yield held

    def _decode(self, line: bytes) -> str:
        self._number += 1
        if self._number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            return line.decode()
        except UnicodeDecodeError:
            if len(line) >= LONGEST_LINE:  # cut within a character
                return line.decode(errors="replace")
            self.repaired.append(self._number)
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


def _is_plain(block: bytes, delimiter: str) -> bool:
    """See `Lines.plain`."""
    signs = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(signs == ord("\n"))
    longest = np.diff(ends, prepend=-1, append=len(block)).max()
    if b"\0" in block or longest > PLAIN_LINE or block.count(b"\r") != block.count(b"\r\n"):
        return False
    quotes = np.flatnonzero(signs == ord('"'))
    if not len(quotes):
        return True
    if len(quotes) % 2:
        return False
    opens, closes = quotes[::2], quotes[1::2]
    edge = np.frombuffer(b"\n" + block + b"\n", np.uint8)  # what stands beside the outermost
    before, after = edge[opens], edge[closes + 2]
    parted = ((before == ord(delimiter)) | (before == ord("\n"))).all() and (
        (after == ord(delimiter)) | (after == ord("\n")) | (after == ord("\r"))
    ).all()
    return bool(parted and (np.searchsorted(ends, opens) == np.searchsorted(ends, closes)).all())


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


def _bounded(text: io.TextIOWrapper) -> str:
    """As `_split`, for text."""
    line = text.readline(LONGEST_LINE)
    cut = len(line) == LONGEST_LINE and not line.endswith(("\n", "\r"))
    while cut and (rest := text.readline(LONGEST_LINE)):
        cut = not rest.endswith(("\n", "\r"))
    return line
