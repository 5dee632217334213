"""A socket to serve on, which listens before anything else is done."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from leaven.core.errors import SettingError

__all__ = ["listening"]

_WAITING = 2048  # connections that nobody has taken yet


def listening(host: str, ports: Sequence[int]) -> socket.socket:
    """A socket on the first of these ports that can be had; 0 is any free one.

    It listens at once, so that who comes early waits instead of failing. SettingError where none
    can be had.
    """
    failed: OSError | OverflowError | None = None
    for port in ports:
        # Only of a socket that names its protocol asyncio turns off the waiting for more to send,
        # which costs an answer 40 ms.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            if os.name == "posix":
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((host, port))
            found.listen(_WAITING)
            return found
        except (OSError, OverflowError) as error:
            found.close()
            failed = error
    raise SettingError(
        "port" if ports[-1] else "host", "one that can be listened on", ports[-1] or host,
        f"{failed}. Name another one, or 0 for any free port.",
    ) from failed  # fmt: skip
