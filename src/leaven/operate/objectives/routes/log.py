"""A route into a log: one line of JSON a message, on standard error or at the end of a file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Literal

from leaven.operate.objectives.message import Message
from leaven.operate.objectives.routes.route import RouteBase, RouteError

__all__ = ["LogRoute"]


class LogRoute(RouteBase):
    """Writes to `file`, on the disk before it counts as told, or to standard error."""

    kind: Literal["log"]
    file: str = ""

    def send(self, message: Message, now: float) -> None:
        """Write the line in one piece, so that those of two processes do not mix."""
        line = json.dumps(message.public(), ensure_ascii=True, sort_keys=True) + "\n"
        if not self.file:
            sys.stderr.write(line)
            sys.stderr.flush()
            return
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            place = os.open(Path(self.file).expanduser(), flags, 0o640)
            try:
                os.write(place, line.encode())
                os.fsync(place)
            finally:
                os.close(place)
        except OSError as failed:
            said = f"The log '{self.file}' cannot be written: {failed.strerror}."
            raise RouteError(said, again=False) from failed
