"""What is posted goes straight to its function; all else, and every error, as FastAPI has it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message

from leaven.serve.models.straight import Straight


class Narrow(ValueError):
    """A kind of a kind that has a handler."""


def application() -> FastAPI:
    app = FastAPI()

    @app.post("/models/{name}/ask")
    async def ask(request: Request) -> Response:
        told = await request.body()
        if told == b"narrow":
            raise Narrow("too narrow")
        if told == b"broken":
            raise KeyError("broken")
        return PlainTextResponse(request.path_params["name"] + told.decode())

    @app.get("/models")
    async def models() -> list[str]:
        return ["a"]

    return app


def posted(method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and body of an answer."""

    def said(request: Request, error: Any) -> Response:
        return PlainTextResponse(f"said: {error}", 422)

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "headers": [], "query_string": b"",
        "root_path": "", "scheme": "http", "server": ("localhost", 80), "http_version": "1.1",
    }  # fmt: skip
    asyncio.run(Straight(application(), {ValueError: said})(scope, receive, send))
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


def test_what_is_posted_is_answered_with_its_parameters():
    assert posted("POST", "/models/tickets/ask", b"!") == (200, b"tickets!")
    assert posted("POST", "/models/{name}/ask", b"!") == (200, b"{name}!")


def test_errors_go_to_the_nearest_handler_and_others_out():
    assert posted("POST", "/models/tickets/ask", b"narrow") == (422, b"said: too narrow")
    with pytest.raises(KeyError):
        posted("POST", "/models/tickets/ask", b"broken")


def test_all_else_is_the_applications():
    assert posted("GET", "/models") == (200, b'["a"]')
    assert posted("POST", "/models")[0] == 405
    assert posted("POST", "/elsewhere")[0] == 404
    assert posted("GET", "/models/tickets/ask")[0] == 405


def test_what_waits_for_nothing_is_answered_soon_and_errors_are_too():
    def hello(request: Request, body: bytes, heard: Any) -> bool:
        if body == b"waits":
            return False
        if body == b"narrow":
            raise Narrow("too narrow")
        if body == b"late":
            heard(Narrow("narrow in the end"))
        else:
            heard(PlainTextResponse(request.headers["a"] + body.decode()))
        return True

    def said(request: Request, error: Any) -> Response:
        return PlainTextResponse(f"said: {error}", 422)

    straight = Straight(application(), {ValueError: said}, {"/hello": hello})
    answers: list[Response] = []

    def soon(method: str, path: str, body: bytes) -> bool:
        scope = {"type": "http", "method": method, "path": path, "headers": [(b"a", b"b")]}
        return straight.soon(scope, body, answers.append)

    assert [soon("POST", "/hello", b) for b in (b"!", b"narrow", b"late")] == [True] * 3
    assert [one.body for one in answers] == [b"b!", b"said: too narrow", b"said: narrow in the end"]
    assert not soon("POST", "/hello", b"waits")
    assert not soon("POST", "/models/tickets/ask", b"")
    assert not soon("GET", "/hello", b"!")
    assert len(answers) == 3
