"""Who may come in: the link's token, the session, the page's own requests; and nothing large.

The server listens on this machine, where other pages of the same browser can reach it as well.
So a session begins with a token from the terminal that works once, its cookie is never sent from
another site, a request that changes something carries a token that only our page knows, and a
host name that is not ours is refused (DNS rebinding). Nothing a page loads comes from elsewhere.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard"]

_LARGEST = 64 * 1024  # bytes of a request
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; media-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """An ASGI application that lets through to another what may pass.

    Parameters
    ----------
    token : what the link carries, `/?token=…`; it signs one browser in.
    host : the name that the server was told to listen on; it, `localhost` and addresses in
        numbers are the host names that are served.
    refused : the page for who is not signed in, of a sentence.
    open : paths below which anybody may read.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        host: str,
        refused: Callable[[str], Response],
        open: str = "/static/",
    ) -> None:
        self._app, self._refused, self._open = app, refused, open
        self._token: str | None = token
        self._hosts = {"localhost", host.lower().strip("[]")}
        self._session = secrets.token_urlsafe(32)
        self.page_token = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        headers = Headers(scope=scope)
        response = self._turned_away(scope, headers)
        if response is None and scope["method"] not in ("GET", "HEAD"):
            body = await _body(receive)
            if body is None:
                response = _told(413, f"A request has {_LARGEST // 1024} KB at most.")
            else:
                receive = _again(body, receive)
        await (response or self._app)(scope, receive, with_headers)

    def _turned_away(self, scope: Scope, headers: Headers) -> Response | None:
        """What is answered to a request that may not pass; None lets it through."""
        if not self._is_ours(headers.get("host", "")):
            return _told(421, "This host name is not served here. Open the link as printed.")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return _told(405, "Only GET, HEAD and POST are served.")
        if scope["path"].startswith(self._open):
            return None
        cookie = f"leaven-{scope['server'][1] if scope.get('server') else 0}"
        inside = _same(_cookie(headers, cookie), self._session)
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if tokens and scope["path"] == "/" and scope["method"] == "GET":
            return self._signed_in(tokens[0], inside, headers, cookie)
        if not inside:
            return self._refused("This browser is not signed in.")
        if scope["method"] == "POST":
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != headers["host"]:
                return _told(403, "This request comes from another page.")
            if not _same(headers.get("x-leaven-page"), self.page_token):
                return _told(403, "This page is older than the server. Load it again.")
        return None

    def _signed_in(self, token: str, inside: bool, headers: Headers, cookie: str) -> Response:
        if not inside:
            # A browser that guesses what will be opened must not use the link up.
            if "prefetch" in headers.get("sec-purpose", "") or not _same(token, self._token):
                used = "This link is not the one of this server, or has been used already."
                return self._refused(used)
            self._token = None
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(cookie, self._session, httponly=True, samesite="strict", path="/")
        return response

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _same(given: str | None, wanted: str | None) -> bool:
    if given is None or wanted is None:
        return False
    return secrets.compare_digest(given.encode(), wanted.encode())


def _cookie(headers: Headers, name: str) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return found.value if found else None


def _told(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status_code=status)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _LARGEST:
            return None
        if message["type"] != "http.request" or not message.get("more_body"):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read, and then what comes after it."""
    parts = [body]

    async def received() -> Message:
        if parts:
            return {"type": "http.request", "body": parts.pop(), "more_body": False}
        return await receive()

    return received
