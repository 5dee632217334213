"""JSON sent to a configured address: no redirect, no proxy, little read, not for long."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from leaven.core.errors import SettingError
from leaven.operate.objectives.routes.route import RouteError

__all__ = ["check_url", "post"]

_SAID = 200  # bytes of an answer that are repeated
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


def check_url(url: str) -> str:
    """The address; SettingError for one that is none, or that holds a password."""
    wanted = "http://HOST/… or https://HOST/…, without name or password"
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and parts.hostname and not parts.fragment
        is_one = is_one and (parts.port is None or parts.port > 0)
    except ValueError:
        is_one = False
    if not is_one or "@" in parts.netloc or not url.isascii() or any(c <= " " for c in url):
        raise SettingError("url", wanted, url.partition("://")[0] + "://…")
    return url


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout: float) -> None:
    """Send it; RouteError for anything but an answer from 200 to 299.

    The answer of another host is never asked for: a redirect is refused, as it would carry the
    message, and its signature, elsewhere.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    made: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        made = http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context)
    else:
        made = http.client.HTTPConnection(host, parts.port, timeout=timeout)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    told = {"Content-Type": "application/json", "User-Agent": "leaven", **headers}
    try:
        made.request("POST", path, body, told)
        answer = made.getresponse()
        status, said = answer.status, answer.read(_SAID)
    except (OSError, http.client.HTTPException, UnicodeError) as failed:
        reason = f"{type(failed).__name__}: {failed}".rstrip(": ")
        raise RouteError(f"{host} cannot be reached: {reason}.", again=True) from failed
    finally:
        made.close()
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise RouteError(
            f"{host} answered {status} and sends elsewhere, which is not followed. Configure the "
            "address that takes messages itself.",
            again=False,
        )
    text = said.decode("utf-8", "replace").strip()
    raise RouteError(f"{host} answered {status}: {text}".rstrip(": "), again=status in _LATER)
