"""The two ways in: one link for the one person on this machine, or names and passwords for many.

Either says who asks. In both a request that changes something carries a token that only our own
page can know, for a browser sends its cookie whoever made the page.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Protocol
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from leaven.store.people import People
from leaven.store.sessions import Sessions

__all__ = ["Entry", "OneLink", "SignIn", "Visitor", "page_token", "same"]


@dataclass(frozen=True)
class Visitor:
    """Who asks, as what. `page` is the token of their page, None for a program, which has none."""

    name: str
    role: str
    page: str | None
    cookie: str | None = None


class Entry(Protocol):
    """A way in."""

    def who(self, request: Request) -> Visitor | Response | None:
        """Who asks; a response where that is all; None for who is not signed in."""
        ...

    def refused(self, request: Request) -> Response:
        """What who is not signed in is told."""
        ...

    def form_token(self, request: Request) -> str | None:
        """What a form carries that anybody may send."""
        ...


class OneLink:
    """One person, whom a link from the terminal lets in, once, and who is everything there.

    Parameters
    ----------
    token : what the link carries, `/?token=…`.
    refused : the page for who is not signed in, of a sentence.
    """

    def __init__(self, token: str, person: str, refused: Callable[[str], Response]) -> None:
        self._token: str | None = token
        self._refused = refused
        self._session = secrets.token_urlsafe(32)
        self._visitor = Visitor(person, "admin", secrets.token_urlsafe(32))

    def who(self, request: Request) -> Visitor | Response | None:
        """The person, where the browser is the one that the link was opened in."""
        cookie = f"leaven-{_port(request)}"
        inside = same(_cookie(request, cookie), self._session)
        tokens = parse_qs(request.scope["query_string"].decode("latin-1")).get("token")
        if tokens and request.scope["path"] == "/" and request.method == "GET":
            return self._signed_in(tokens[0], inside, request, cookie)
        return self._visitor if inside else None

    def refused(self, request: Request) -> Response:
        """Where to find the link."""
        return self._refused("This browser is not signed in.")

    def form_token(self, request: Request) -> str | None:
        """There are no such forms here."""
        return None

    def _signed_in(self, token: str, inside: bool, request: Request, cookie: str) -> Response:
        if not inside:
            # A browser that guesses what will be opened must not use the link up.
            is_guess = "prefetch" in request.headers.get("sec-purpose", "")
            if is_guess or not same(token, self._token):
                used = "This link is not the one of this server, or has been used already."
                return self._refused(used)
            self._token = None
        response = RedirectResponse("/", status_code=303)
        secure = request.scope["scheme"] == "https"
        response.set_cookie(
            cookie, self._session, httponly=True, samesite="strict", path="/", secure=secure
        )
        return response


class SignIn:
    """Many people, each by name and password, and programs by their tokens."""

    def __init__(self, people: People) -> None:
        self.people, self.sessions = people, Sessions(people)
        self._key = secrets.token_bytes(32)  # of forms, which do not outlive the server

    def who(self, request: Request) -> Visitor | None:
        """Whose session or token it is. A program that names its token is not asked for cookies."""
        if (given := request.headers.get("authorization")) is not None:
            kind, _, secret = given.partition(" ")
            token = self.people.bearer(secret.strip()) if kind.lower() == "bearer" else None
            return Visitor(token.name, token.role, None) if token else None
        cookie = _cookie(request, self._name(request))
        signed = self.sessions.who(cookie) if cookie else None
        if cookie is None or signed is None:
            return None
        return Visitor(signed.name, signed.role, page_token(cookie), cookie)

    def refused(self, request: Request) -> Response:
        """The way to the sign-in, of a page; a sentence, of anything else."""
        if request.method in ("GET", "HEAD") and "authorization" not in request.headers:
            return RedirectResponse("/sign-in", status_code=303)
        return JSONResponse({"error": "Sign in first."}, 401, {"www-authenticate": "Bearer"})

    def form_token(self, request: Request) -> str | None:
        """It hangs on a cookie that the form came with, and on this server's key."""
        door = _cookie(request, self._name(request, "door"))
        return self._door(door) if door else None

    def form(self, request: Request, render: Callable[[str], Response]) -> Response:
        """A page that anybody may load, of the token of its form."""
        door = secrets.token_urlsafe(32)
        response = render(self._door(door))
        self._set(response, request, door, "door")
        return response

    def let_in(self, request: Request, response: Response, cookie: str) -> None:
        """Give a browser its session."""
        self._set(response, request, cookie)
        self._drop(response, request, "door")

    def let_out(self, request: Request, response: Response) -> None:
        """Take it away again."""
        self._drop(response, request)

    def before(self, request: Request) -> str | None:
        """The session that this browser has had so far, be it as it may."""
        return _cookie(request, self._name(request))

    def _door(self, door: str) -> str:
        return hmac.new(self._key, door.encode(), hashlib.sha256).hexdigest()

    def _name(self, request: Request, kind: str = "in") -> str:
        """Of each port another; a name that begins so is set by this host alone, encrypted."""
        host = "__Host-" if request.scope["scheme"] == "https" else ""
        return f"{host}leaven-{kind}-{_port(request)}"

    def _set(self, response: Response, request: Request, value: str, kind: str = "in") -> None:
        response.set_cookie(
            self._name(request, kind), value, httponly=True, samesite="strict", path="/",
            secure=request.scope["scheme"] == "https",
        )  # fmt: skip

    def _drop(self, response: Response, request: Request, kind: str = "in") -> None:
        response.delete_cookie(
            self._name(request, kind), httponly=True, samesite="strict", path="/",
            secure=request.scope["scheme"] == "https",
        )  # fmt: skip


def page_token(cookie: str) -> str:
    """What our page knows of its session and no other: it cannot read the cookie either.

    It follows from the cookie, so that a page outlives the server as its session does.
    """
    return hmac.new(cookie.encode(), b"page", hashlib.sha256).hexdigest()


def same(given: str | None, wanted: str | None) -> bool:
    """Whether both are there and equal, in a time that does not tell how far."""
    if given is None or wanted is None:
        return False
    return secrets.compare_digest(given.encode(), wanted.encode())


def _cookie(request: Request, name: str) -> str | None:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return found.value if found else None


def _port(request: Request) -> int:
    server = request.scope.get("server")
    return server[1] if server else 0
