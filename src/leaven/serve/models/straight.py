"""The short ways for what is posted: from the door to the function that reads the request itself.

FastAPI would wrap each request in five layers and look for parameters to fill in, which is a
quarter of what a small model's request costs. Its own routes stay for what they tell in
/openapi.json, and for all that is not posted. Shorter still is `soon`, for what waits for nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from leaven.serve.models.requests import Headed
from leaven.serve.prompt import Reply

__all__ = ["Handler", "Handlers", "Soon", "Straight"]

#: What answers an error.
Handler = Callable[[Request, Any], Response]
#: The same by kinds of errors, of which the nearest counts.
Handlers = Mapping[type[Exception], Handler]
#: What answers a request with this body soon, see `Prompt`: with a reply, or a failure.
Soon = Callable[[Request, bytes, Callable[[Response | Exception], None]], bool]

_Endpoint = Callable[[Request], Awaitable[Response]]


class Straight:
    """Answers what is posted to a route of an application; all else goes to the application.

    Parameters
    ----------
    handlers : for errors of its routes.
    soon : what answers soon, by path; such a path has a route as well.
    """

    def __init__(
        self,
        app: FastAPI,
        handlers: Handlers,
        soon: Mapping[str, Soon] = MappingProxyType({}),
    ) -> None:
        self._app: ASGIApp = app
        self._handlers, self._soon = handlers, soon
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

    def soon(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """See `Prompt`. It takes what is posted to some paths."""
        endpoint = self._soon.get(scope["path"])
        if endpoint is None or scope["method"] != "POST":
            return False
        request = Headed(scope)

        def heard(said: Response | Exception) -> None:
            reply(said if isinstance(said, Response) else self._failed(request, said))

        try:
            return endpoint(request, body, heard)
        except Exception as failed:  # noqa: BLE001 - it is told to who asked, and to the log
            heard(failed)
            return True

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
        except Exception as failed:  # noqa: BLE001 - the same
            return self._failed(request, failed)

    def _failed(self, request: Request, failed: Exception) -> Response:
        """The answer to a request that failed; raises the failure where nothing handles it."""
        for kind in type(failed).__mro__:
            if (handler := self._handlers.get(kind)) is not None:
                return handler(request, failed)
        raise failed
