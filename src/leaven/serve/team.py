"""Signing in and out, invitations, one's own password, and what admins do about people.

    GET, POST /sign-in    a name and a password become a session
    GET, POST /welcome    an invitation becomes a password; its secret is behind the #, where no
                          server, log or other page sees it
    GET, POST /account    another password for who knows the old one
    POST /sign-out        the session ends
    GET /users            who may come in, and POST /users/… and /tokens/… what changes it

Passwords are judged a few at a time, so that a crowd of strangers neither takes all the memory nor
keeps those waiting who are signed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, TypeVar

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from leaven.core.errors import DataError
from leaven.evaluate.report.clean import clean
from leaven.serve.answering import Body, read
from leaven.serve.cards import page
from leaven.serve.entries import SignIn, Visitor
from leaven.store.people import ROLES
from leaven.store.sessions import SignInError

__all__ = ["refused", "routes"]

_JUDGED = 3  # passwords at once
_CHANGES = 50  # that are shown

_Text = Annotated[str, Field(max_length=1000)]
T = TypeVar("T")


class _SignIn(Body):
    name: _Text
    password: _Text


class _Welcome(Body):
    secret: _Text
    password: _Text


class _Account(Body):
    old: _Text
    password: _Text


class _Add(Body):
    name: _Text
    role: _Text


class _Role(Body):
    name: _Text
    role: _Text


class _Name(Body):
    name: _Text


class _Token(Body):
    name: _Text
    role: _Text
    days: float | None = 90


def routes(entry: SignIn, head: Callable[[Request, str], dict[str, Any]]) -> list[Route]:
    """The pages of many people; `head` is what the head of each shows."""
    people, sessions = entry.people, entry.sessions
    few = asyncio.Semaphore(_JUDGED)

    async def judged(work: Callable[[], T]) -> T:
        async with few:
            return await run_in_threadpool(work)

    async def sign_in_page(request: Request) -> Response:
        if request.state.visitor is not None:
            return RedirectResponse("/", status_code=303)
        return entry.form(request, partial(_door, "sign-in"))

    async def sign_in(request: Request) -> Response:
        told = await read(request, _SignIn)
        before, address = entry.before(request), _address(request)
        work = partial(sessions.sign_in, told.name, told.password, address=address, before=before)
        _, cookie = await judged(work)
        response = JSONResponse({"to": "/"})
        entry.let_in(request, response, cookie)
        return response

    async def welcome_page(request: Request) -> Response:
        return entry.form(request, partial(_door, "welcome"))

    async def welcome(request: Request) -> Response:
        told = await read(request, _Welcome)
        name = await judged(partial(people.accept, told.secret, told.password))
        before = entry.before(request)
        cookie = await run_in_threadpool(partial(sessions.begin, name, before=before))
        response = JSONResponse({"to": "/"})
        entry.let_in(request, response, cookie)
        return response

    async def account_page(request: Request) -> Response:
        return _door("account", request.state.visitor.page or "", request.state.visitor)

    async def account(request: Request) -> Response:
        told, visitor = await read(request, _Account), request.state.visitor
        if visitor.cookie is None:
            raise DataError("A token has no password. Sign in with yours.")
        address = _address(request)
        work = partial(
            sessions.change_password, visitor.name, told.old, told.password, address=address
        )
        cookie = await judged(work)
        response = JSONResponse({"to": "/"})
        entry.let_in(request, response, cookie)
        return response

    async def sign_out(request: Request) -> Response:
        if (cookie := request.state.visitor.cookie) is not None:
            await run_in_threadpool(sessions.sign_out, cookie)
        response = JSONResponse({"to": "/sign-in"})
        entry.let_out(request, response)
        return response

    async def users(request: Request) -> Response:
        def render() -> str:
            view: dict[str, Any] = {
                "roles": ROLES,
                "users": [_cleaned(asdict(one)) for one in people.users()],
                "tokens": [_cleaned(asdict(one)) for one in people.tokens()],
                "changes": [_cleaned(asdict(one)) for one in people.history(most=_CHANGES)],
            }
            return page("users.html.j2", **head(request, "/users"), **view)

        return HTMLResponse(await run_in_threadpool(render))

    async def add(request: Request) -> Response:
        told = await read(request, _Add)
        return await changed(
            partial(people.add, told.name, told.role, by=request.state.visitor.name), "invitation"
        )

    async def role(request: Request) -> Response:
        told = await read(request, _Role)
        return await changed(
            partial(people.set_role, told.name, told.role, by=request.state.visitor.name)
        )

    def of_one(work: Callable[..., Any], key: str = "") -> Callable[[Request], Any]:
        async def one(request: Request) -> Response:
            told = await read(request, _Name)
            return await changed(partial(work, told.name, by=request.state.visitor.name), key)

        return one

    async def new_token(request: Request) -> Response:
        told, by = await read(request, _Token), request.state.visitor.name
        work = partial(people.new_token, told.name, told.role, by=by, days=told.days)
        return await changed(work, "token")

    async def changed(work: Callable[[], Any], key: str = "") -> Response:
        found = await run_in_threadpool(work)
        return JSONResponse({key: found} if key else {})

    return [
        Route("/sign-in", sign_in_page),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/welcome", welcome_page),
        Route("/welcome", welcome, methods=["POST"]),
        Route("/account", account_page),
        Route("/account", account, methods=["POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
        Route("/users", users),
        Route("/users/add", add, methods=["POST"]),
        Route("/users/role", role, methods=["POST"]),
        Route("/users/disable", of_one(people.disable), methods=["POST"]),
        Route("/users/enable", of_one(people.enable), methods=["POST"]),
        Route("/users/invite", of_one(people.invite, "invitation"), methods=["POST"]),
        Route("/tokens/new", new_token, methods=["POST"]),
        Route("/tokens/revoke", of_one(people.revoke), methods=["POST"]),
    ]


async def refused(request: Request, error: Exception) -> Response:
    """Who was not let in is told when to try again, where that is later."""
    assert isinstance(error, SignInError)
    told = {"error": str(error)}
    if not error.seconds:
        return JSONResponse(told, status_code=401)
    return JSONResponse(told, 429, {"retry-after": str(int(error.seconds) + 1)})


def _door(kind: str, token: str, visitor: Visitor | None = None) -> Response:
    return HTMLResponse(page("door.html.j2", kind=kind, page_token=token, visitor=visitor))


def _address(request: Request) -> str:
    return request.client.host if request.client else "?"


def _cleaned(told: dict[str, Any]) -> dict[str, Any]:
    return {k: clean(v, 200) if isinstance(v, str) else v for k, v in told.items()}
