"""Lines that come one by one: from a pipe, or from a file that grows.

What is there is taken at once and nothing is waited for, so a single line is answered at once and
many are answered together. Nothing is read while answers wait to be taken: whoever sends waits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from leaven.core.errors import DataError

__all__ = ["LONGEST", "Batch", "followed", "piped"]

#: Bytes of a line; a longer one is answered with an error.
LONGEST = 4 << 20
_BLOCK = 1 << 20
_PAUSE = 0.2  # seconds until a file is looked at again


@dataclass(frozen=True)
class Batch:
    """Lines without their ends, None for one that is too long; blank ones are left out.

    `ends` says of each at which byte of the source the next one begins.
    """

    lines: tuple[bytes | None, ...]
    ends: tuple[int, ...]


class _Cutter:
    """Blocks of bytes to whole lines, of which one may be spread over many blocks.

    Parameters
    ----------
    start : the byte of the source at which the first block begins.
    """

    def __init__(self, start: int = 0) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._at = start

    def lines(self, block: bytes) -> Batch:
        """The lines that end in this block."""
        *ended, rest = block.split(b"\n")
        found: list[tuple[bytes | None, int]] = []
        for line in ended:
            self._hold(line)
            found += self._whole(1)
        self._hold(rest)
        return _batch(found)

    def last(self) -> Batch:
        """What is left at the end, where the last line has no end."""
        return _batch(self._whole(0))

    def _hold(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > LONGEST:
            self._held.clear()
        elif part:
            self._held.append(part)

    def _whole(self, mark: int) -> list[tuple[bytes | None, int]]:
        """The line that is held and where it ended, `mark` bytes on; none where it is blank."""
        line = b"".join(self._held).removesuffix(b"\r") if self._size <= LONGEST else None
        self._at += self._size + mark
        self._held, self._size = [], 0
        return [(line, self._at)] if line is None or line.strip() else []


def _batch(found: list[tuple[bytes | None, int]]) -> Batch:
    return Batch(tuple(line for line, _ in found), tuple(end for _, end in found))


def piped(descriptor: int) -> Iterator[Batch]:
    """The lines of a pipe, socket or file, until it ends."""
    cutter = _Cutter()
    while block := os.read(descriptor, _BLOCK):
        if (batch := cutter.lines(block)).lines:
            yield batch
    if (batch := cutter.last()).lines:
        yield batch


def followed(
    path: Path, start: int = 0, ends: Callable[[], bool] = lambda: False
) -> Iterator[Batch]:
    """The lines of a file from byte `start` on, and those that are written to it later.

    A file that was cut short, or another of the same name, is read from its beginning. A line
    counts when its end is written. Raises DataError where there is no file.

    Parameters
    ----------
    ends : asked whenever there is nothing new; true ends it.
    """
    while True:
        try:
            with path.open("rb") as file:
                identity, size = _identity(path)
                start = start if start <= size else 0
                file.seek(start)
                cutter = _Cutter(start)
                while True:
                    if block := file.read(_BLOCK):
                        if (batch := cutter.lines(block)).lines:
                            yield batch
                        continue
                    if ends():
                        return
                    now, size = _identity(path)
                    if now != identity or size < file.tell():
                        break
                    time.sleep(_PAUSE)
        except FileNotFoundError:
            raise DataError(f"There is no file '{path}' to follow. Check the path.") from None
        start = 0


def _identity(path: Path) -> tuple[tuple[int, int], int]:
    """Which file a path leads to, and its size."""
    found = path.stat()
    return (found.st_dev, found.st_ino), found.st_size
