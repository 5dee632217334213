"""Who may ask, and how often: on this machine anybody, from elsewhere programs with a token.

Other pages of a browser on this machine reach the server as well. So a host name that is not ours
is refused (DNS rebinding), and so is what a page from elsewhere sends. What a token's role may ask
for stands in `roles.MODELS`, and nothing else is asked of anybody.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from leaven.core.errors import StoreError
from leaven.serve.listening import is_ours
from leaven.serve.models.limits import Refused
from leaven.serve.models.rates import Rate
from leaven.serve.models.requests import headers_of, refusal
from leaven.serve.prompt import Prompt, Reply
from leaven.serve.roles import ANYBODY, MODELS, methods, template
from leaven.store.people import People, Token, covers
from leaven.store.throttle import near

__all__ = ["Door"]

_FRESH, _STALE = 5.0, 600.0  # seconds for which a token is believed; while the store is down
_PATIENCE = 1.0  # seconds for the store to know a token
_MOST = 1000  # tokens that are remembered
_PASSED = "leaven.passed"  # what the scope of a request has once it was let through
_NOBODY: tuple[float, Token | None] = (float("-inf"), None)
_METRICS = ("GET", "/metrics")
_SENT_ON = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_PAGES = "/dashboards"  # what people open in a browser
_LONGEST = 800  # characters of a name and password
#: Tokens that nobody knows, a second and at once, for which one address has the store asked.
_GUESSES = (1.0, 20.0)


class Door:
    """An application that lets through to another what may pass.

    Parameters
    ----------
    people : whose tokens let in; None lets anybody in.
    hosts : names under which it is reached, beside `localhost` and addresses in numbers; None
        takes any, for who has a token comes from no other page.
    rate : requests a second of one token, or where there are none of one address; inf for any.
    local_metrics : /metrics needs no token from this machine, if no proxy has sent the request on.
    """

    def __init__(
        self,
        app: Prompt,
        people: People | None,
        hosts: Sequence[str] | None,
        rate: float = math.inf,
        local_metrics: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._people, self._clock = app, people, clock
        ours = None if hosts is None else {"localhost", *(one.lower() for one in hosts)}
        self._is_ours = None if ours is None else lru_cache(128)(partial(is_ours, ours=ours))
        self._local_metrics = local_metrics
        self._known: dict[bytes, tuple[float, Token]] = {}
        self._away_until = float("-inf")
        self._rate, self._guesses = Rate(rate, clock=clock), Rate(*_GUESSES, clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        try:
            while not self._lets_through(scope):
                await self._look_up(scope)
        except Refused as refused:
            await _refusal(refused, scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def soon(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """As the other does; False also where a token must be looked up."""
        try:
            if not self._lets_through(scope):
                return False
        except Refused as refused:
            reply(_refusal(refused, scope))
            return True
        return self._app.soon(scope, body, reply)

    def _lets_through(self, scope: Scope) -> bool:
        """Whether this may pass: Refused where not, False where its token must be looked up.

        What has passed passes again, and counts once.
        """
        if _PASSED in scope:
            return True
        headers, asked = headers_of(scope), _asked(scope)
        self._check_page(headers)
        if MODELS.get(asked) != ANYBODY:
            who = self._name(scope, headers, asked)
            if who is None:
                return False
            if seconds := self._rate.wait(who):
                raise Refused(429, "Too many requests. Ask less often.", retry=seconds)
        scope[_PASSED] = True
        return True

    def _name(self, scope: Scope, headers: Mapping[str, str], asked: tuple[str, str]) -> str | None:
        """The name of who asks, None for a token that must be looked up; Refused for who may not
        ask this."""
        exempt = self._local_metrics and asked == _METRICS and _is_from_here(scope, headers)
        if self._people is None or exempt:
            return _peer(scope)
        token = self._believed(_key(_secret(scope)))
        if token is None:
            return None
        if (least := MODELS.get(asked)) is None:
            status = 405 if methods(asked[1], MODELS) else 404
            raise Refused(status, "This is not served here. See /openapi.json.")
        if not covers(token.role, least):
            raise Refused(403, f"This needs the role {least}. The token's is {token.role}.")
        scope.setdefault("state", {})["person"] = token.name
        return token.name

    def _check_page(self, headers: Mapping[str, str]) -> None:
        """Refused for what another page sends, or sends to another name."""
        host = headers.get("host", "")
        if self._is_ours is not None and not self._is_ours(host):
            raise Refused(421, "This host name is not served here.")
        origin = headers.get("origin")
        try:
            elsewhere = origin is not None and urlsplit(origin).netloc != host
        except ValueError:
            elsewhere = True
        if elsewhere or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refused(403, "This request comes from another page.")

    def _believed(self, key: bytes) -> Token | None:
        """The token of a key that needs no looking up: for some seconds, and longer while the
        store is down."""
        at, token = self._known.get(key, _NOBODY)
        now = self._clock()
        return token if now - at < (_STALE if now < self._away_until else _FRESH) else None

    async def _look_up(self, scope: Scope) -> None:
        """Ask the store whose token it is, and believe it; Refused where nobody's."""
        assert self._people is not None
        secret, peer = _secret(scope), _peer(scope)
        key, now = _key(secret), self._clock()
        at, token = self._known.get(key, _NOBODY)
        if token is None and (seconds := self._guesses.left(peer)):
            raise Refused(429, "Too many tokens that do not hold.", retry=seconds)
        try:
            async with asyncio.timeout(_PATIENCE):
                found = await asyncio.to_thread(self._people.bearer, secret)
        except (StoreError, TimeoutError):
            if token is not None and now - at < _STALE:
                # Not each request is to wait for a store that does not answer.
                self._away_until = self._clock() + _FRESH
                return
            raise Refused(503, "Tokens cannot be looked up. Try again.", retry=5) from None
        if found is None:
            self._known.pop(key, None)
            self._guesses.wait(peer)
            raise Refused(401, "This token does not hold (any more). Ask an admin for another.")
        while len(self._known) >= _MOST:
            self._known.pop(next(iter(self._known)))
        self._known[key] = (now, found)


def _is_from_here(scope: Scope, headers: Mapping[str, str]) -> bool:
    """Whether a program of this machine asks, and not a proxy on it for somebody else."""
    try:
        is_here = ipaddress.ip_address((scope.get("client") or ("",))[0]).is_loopback
    except ValueError:
        is_here = False
    return is_here and not any(name in headers for name in _SENT_ON)


def _secret(scope: Scope) -> str:
    """The token that a request bears; of a page also as the password of a browser (RFC 7617)."""
    headers, is_page = headers_of(scope), scope["path"].startswith(_PAGES)
    kind, _, secret = headers.get("authorization", "").partition(" ")
    secret = secret.strip()
    if is_page and kind.lower() == "basic" and len(secret) <= _LONGEST:
        try:
            secret = base64.b64decode(secret, validate=True).decode().partition(":")[2]
            kind = "bearer"
        except ValueError:
            secret = ""
    if kind.lower() != "bearer" or not secret or len(secret) > 200:
        raise Refused(401, "Say who asks: Authorization: Bearer TOKEN (leaven tokens new).")
    return secret


@lru_cache(1024)
def _near(address: str) -> str:
    return near(address)


def _peer(scope: Scope) -> str:
    """The address of who asks, see `near`."""
    return _near((scope.get("client") or ("unknown",))[0])


def _key(secret: str) -> bytes:
    """What a token is known by here: it is not kept itself."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _refusal(refused: Refused, scope: Scope) -> Response:
    """The answer to who may not pass; a page has the browser ask for a password."""
    answer = refusal(refused)
    if refused.status == 401 and scope["path"].startswith(_PAGES):
        answer.headers["www-authenticate"] = 'Basic realm="Leaven", charset="UTF-8"'
    return answer


def _asked(scope: Scope) -> tuple[str, str]:
    """The method and path of a request, as `MODELS` has them."""
    return scope["method"], template(scope["path"])
