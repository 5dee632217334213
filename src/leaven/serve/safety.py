"""The headers of safety, on whatever a server of ours answers.

They say to a browser what it must not do with an answer: guess its kind, keep it, show it within
another page, tell other sites of it, or run anything that we did not write. See the OWASP Secure
Headers Project. `Strict-Transport-Security` is not among them: it would bind all ports of a host
name, so it is for the proxy that owns the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leaven.serve.prompt import Prompt, Reply

__all__ = ["ANSWERS", "BOARDS", "PAGES", "Safe"]

#: What pages may load: our own scripts and styles, and pictures and sounds that stand in the page.
PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; media-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: What dashboards may load: our style, and no script at all.
BOARDS = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
#: What the answers to programs may load, should a browser show one.
ANSWERS = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_ALL = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


class Safe:
    """An ASGI application that gives another's answers these headers.

    Parameters
    ----------
    policy : of the content, `PAGES` or `ANSWERS`.
    under : other policies, by the beginning of the paths that they are for.
    """

    def __init__(self, app: ASGIApp, policy: str, under: Mapping[str, str] | None = None) -> None:
        self._app = app
        self._headers = _headers(policy)
        self._under = {begin: _headers(other) for begin, other in (under or {}).items()}
        self._ours = frozenset(name for name, _ in self._headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the other does."""
        ours = self._for(scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [one for one in message["headers"] if one[0].lower() not in self._ours]
                message["headers"] = others + ours
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)

    def soon(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """As the other does, which must be a `Prompt`."""

        def with_headers(answer: Response) -> None:
            answer.raw_headers += self._for(scope)
            reply(answer)

        return cast(Prompt, self._app).soon(scope, body, with_headers)

    def _for(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        ours = self._headers
        for begin, headers in self._under.items():
            if scope.get("path", "").startswith(begin):
                ours = headers
        return ours


def _headers(policy: str) -> list[tuple[bytes, bytes]]:
    told = {"content-security-policy": policy, **_ALL}
    return [(name.encode(), value.encode()) for name, value in told.items()]
