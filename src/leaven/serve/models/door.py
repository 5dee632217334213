"""Who may ask: on this machine anybody, from elsewhere programs with a token.

Other pages of a browser on this machine reach the server as well. So a host name that is not ours
is refused (DNS rebinding), and so is what a page from elsewhere sends.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leaven.core.errors import StoreError
from leaven.serve.listening import is_ours
from leaven.serve.models.limits import Refused
from leaven.serve.models.requests import refusal
from leaven.store.people import People, Token, covers

__all__ = ["Door", "LEAST", "least_role"]

#: The role that a path needs at least; paths that are not here need `viewer`.
LEAST = {"/feedback": "annotator"}
_OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
_FRESH, _STALE = 5.0, 600.0  # seconds for which a token is believed; while the store is down
_MOST = 1000  # tokens that are remembered


def least_role(path: str) -> str:
    """The role that a path needs.

    >>> least_role("/predict"), least_role("/feedback")
    ('viewer', 'annotator')
    """
    return LEAST.get(path.rstrip("/") or "/", "viewer")


class Door:
    """An ASGI application that lets through to another what may pass, with headers of safety.

    Parameters
    ----------
    people : whose tokens let in; None lets anybody in.
    hosts : names under which it is reached, beside `localhost` and addresses in numbers; None
        takes any, for who has a token comes from no other page.
    """

    def __init__(
        self,
        app: ASGIApp,
        people: People | None,
        hosts: Sequence[str] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._people, self._clock = app, people, clock
        self._hosts = None if hosts is None else {"localhost", *(one.lower() for one in hosts)}
        self._known: dict[bytes, tuple[float, Token]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        try:
            headers = Headers(scope=scope)
            self._check_page(headers)
            if self._people is not None and scope["path"] not in _OPEN:
                token = await self._token(headers, self._people)
                least = least_role(scope["path"])
                if not covers(token.role, least):
                    raise Refused(403, f"This needs the role {least}. The token's is {token.role}.")
                scope.setdefault("state", {})["person"] = token.name
        except Refused as refused:
            await refusal(refused)(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    def _check_page(self, headers: Headers) -> None:
        """Refused for what another page sends, or sends to another name."""
        host = headers.get("host", "")
        if self._hosts is not None and not is_ours(host, self._hosts):
            raise Refused(421, "This host name is not served here.")
        origin = headers.get("origin")
        try:
            elsewhere = origin is not None and urlsplit(origin).netloc != host
        except ValueError:
            elsewhere = True
        if elsewhere or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refused(403, "This request comes from another page.")

    async def _token(self, headers: Headers, people: People) -> Token:
        """The token of a request; believed for some seconds, and longer while the store is down."""
        kind, _, secret = headers.get("authorization", "").partition(" ")
        secret = secret.strip()
        if kind.lower() != "bearer" or not secret or len(secret) > 200:
            raise Refused(401, "Say who asks: Authorization: Bearer TOKEN (leaven tokens new).")
        key = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
        at, token = self._known.get(key, (float("-inf"), None))
        now = self._clock()
        if token is not None and now - at < _FRESH:
            return token
        try:
            found = await asyncio.to_thread(people.bearer, secret)
        except StoreError:
            if token is not None and now - at < _STALE:
                return token
            raise Refused(503, "Tokens cannot be looked up. Try again.", retry=5) from None
        if found is None:
            self._known.pop(key, None)
            raise Refused(401, "This token does not hold (any more). Ask an admin for another.")
        while len(self._known) >= _MOST:
            self._known.pop(next(iter(self._known)))
        self._known[key] = (now, found)
        return found
