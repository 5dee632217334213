"""One record's file or bytes, found within the folder that it must lie in."""

from __future__ import annotations

import io
import os
from pathlib import Path

__all__ = ["Unreadable", "source"]


class Unreadable(Exception):
    """A record cannot be used. `reason` is one of a few phrases, `detail` is about this one."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def source(item: str | bytes | None, root: Path | None, what: str) -> io.BytesIO | Path:
    """What is to be opened: bytes as they are, a file name below `root`.

    `what` is the noun for messages. Raises `Unreadable` where there is nothing.
    """
    if item is None:
        raise Unreadable(f"missing {what}", "neither a file name nor bytes are given")
    if isinstance(item, bytes):
        if not item:
            raise Unreadable("empty file", "there are no bytes")
        return io.BytesIO(item)
    if root is None:
        raise Unreadable("missing file", f"{item!r} is relative to a folder, and none is known")
    # Written out without "..", so that no step back can start behind a link.
    path = Path(os.path.normpath(root / item))
    if not path.is_relative_to(root):
        raise Unreadable(
            "outside the folder", f"{item!r} leads out of {root.name!r}; copy it there"
        )
    # A named pipe would wait for ever.
    if not path.is_file():
        found = "is no file" if path.exists() else "does not exist"
        raise Unreadable("missing file", f"{item!r} {found}")
    if not path.stat().st_size:
        raise Unreadable("empty file", f"{item!r} has no bytes")
    return path
