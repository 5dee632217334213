"""A socket to serve on, which listens before anything else is done, and what it is reached by."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from leaven.core.errors import SettingError

__all__ = ["check_tls", "is_local", "is_ours", "listening"]

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


def is_local(host: str) -> bool:
    """Whether a host is reached from this machine alone."""
    return host in ("127.0.0.1", "localhost", "::1")


def is_ours(host: str, ours: Collection[str]) -> bool:
    """Whether a request's host header is one of our names, or an address in numbers.

    Other names may lead here as well (DNS rebinding).

    >>> is_ours("localhost:8080", {"localhost"}), is_ours("[::1]", ()), is_ours("a.example", ())
    (True, True, False)
    """
    try:
        parts = urlsplit(f"//{host}")
        name = parts.hostname or ""
        if parts.netloc != host or parts.username is not None:
            return False  # a path or a user in it would make other addresses of ours
        if name not in ours:
            ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def check_tls(cert: str | Path | None, key: str | Path | None) -> None:
    """SettingError for what is no certificate with its key."""
    if cert is None and key is None:
        return
    if cert is None:
        raise SettingError("tls_cert", "given with its key", None)
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    except OSError as failed:
        said = getattr(failed, "reason", None) or failed.strerror or str(failed)
        raise SettingError(
            "tls_cert", "a PEM file of a certificate, with its key", str(cert), f"{said}."
        ) from failed
