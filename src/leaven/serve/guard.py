"""What may pass: hosts that are ours, people who may ask for it, our own pages; nothing large.

Other pages of the same browser can reach the server as well. So a session's cookie is never sent
from another site, a request that changes something carries a token that only our page knows, and
a host name that is not ours is refused (DNS rebinding). Nothing a page loads comes from elsewhere.
What a role may ask for stands in `roles.ROUTES`, and nothing else is asked of anybody; the headers
of answers stand in `safety`.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leaven.core.errors import StoreError
from leaven.serve.entries import Entry, same
from leaven.serve.listening import is_ours
from leaven.serve.roles import ANYBODY, ROUTES, methods
from leaven.store.people import covers

__all__ = ["Guard"]

_LARGEST = 64 * 1024  # bytes of a request
_OPEN = "/static/"


class Guard:
    """An ASGI application that lets through to another what may pass.

    Who asks is told to it as `request.state.visitor`.

    Parameters
    ----------
    hosts : names under which the server is reached, beside `localhost` and addresses in numbers.
    """

    def __init__(self, app: ASGIApp, entry: Entry, hosts: Sequence[str]) -> None:
        self._app, self._entry = app, entry
        self._hosts = {"localhost", *(host.lower().strip("[]") for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        request = Request(scope)
        response = self._outside(request)
        if response is None and not scope["path"].startswith(_OPEN):
            response = await self._judged(request)
        if response is None and scope["method"] not in ("GET", "HEAD"):
            body = await _body(receive)
            if body is None:
                response = _told(413, f"A request has {_LARGEST // 1024} KB at most.")
            else:
                receive = _again(body, receive)
        await (response or self._app)(scope, receive, send)

    def _outside(self, request: Request) -> Response | None:
        """What is answered whoever asks."""
        if not is_ours(request.headers.get("host", ""), self._hosts):
            return _told(421, "This host name is not served here. Open the link as printed.")
        if request.method not in ("GET", "HEAD", "POST"):
            return _told(405, "Only GET, HEAD and POST are served.")
        return None

    async def _judged(self, request: Request) -> Response | None:
        """What is answered to who may not ask this; None lets it through."""
        path, method = request.scope["path"], request.method.replace("HEAD", "GET")
        least = ROUTES.get((method, path))
        try:
            who = await run_in_threadpool(self._entry.who, request)
        except StoreError as failed:
            return _told(503, str(failed))
        if isinstance(who, Response):
            return who
        request.state.visitor = who
        if least == ANYBODY:
            token = self._entry.form_token(request)
            return self._forged(request, token) if method == "POST" else None
        if who is None:
            return self._entry.refused(request)
        if least is None:
            known = methods(path)
            return _told(405 if known else 404, f"'{method}' is not served there.")
        if not covers(who.role, least):
            return _told(403, f"This needs the role {least}. Yours is {who.role}.")
        if method == "POST" and who.page is not None:
            return self._forged(request, who.page)
        return None

    def _forged(self, request: Request, token: str | None) -> Response | None:
        """What is answered to a page that is not ours."""
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers["host"]:
            return _told(403, "This request comes from another page.")
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return _told(403, "This request comes from another page.")
        if not same(request.headers.get("x-leaven-page"), token):
            return _told(403, "This page is older than the server. Load it again.")
        return None


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
