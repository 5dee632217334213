"""The short way for what is posted: from the door to the function that reads the request itself.

FastAPI would wrap each request in five layers and look for parameters to fill in, which is a
quarter of what a small model's request costs. Its own routes stay for what they tell in
/openapi.json, and for all that is not posted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from leaven.serve.models.requests import Headed

__all__ = ["Handlers", "Straight"]

#: What answers an error of a kind, the nearest kind first.
Handlers = Mapping[type[Exception], Callable[[Request, Any], Awaitable[Response]]]


_Endpoint = Callable[[Request], Awaitable[Response]]


class Straight:
    """Answers what is posted to a route of an application; all else goes to the application."""

    def __init__(self, app: FastAPI, handlers: Handlers) -> None:
        self._app: ASGIApp = app
        self._handlers = handlers
        self._routes = [
            (Route(one.path, one.endpoint, methods=["POST"]), one.endpoint)
            for one in app.router.routes
            if isinstance(one, APIRoute) and one.methods == {"POST"}
        ]
        self._fixed = {
            route.path: endpoint for route, endpoint in self._routes if not route.param_convertors
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let through."""
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._fixed.get(scope["path"]) or self._matching(scope)
            if endpoint is not None:
                response = await self._answer(endpoint, Headed(scope, receive, send))
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _matching(self, scope: Scope) -> _Endpoint | None:
        """What answers a path with parameters, which the scope then has."""
        for route, endpoint in self._routes:
            match, more = route.matches(scope)
            if match is Match.FULL:
                scope.update(more)
                return endpoint
        return None

    async def _answer(self, endpoint: _Endpoint, request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as failed:
            for kind in type(failed).__mro__:
                if (handler := self._handlers.get(kind)) is not None:
                    return await handler(request, failed)
            raise
