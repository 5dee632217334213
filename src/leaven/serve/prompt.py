"""Applications that answer some requests soon: without a task for each, and several together.

The layers of such an application each have two doors. By ASGI any request comes, and may wait. By
`soon` comes one that is there whole; where anything would have to be waited for the layer says
False, has counted nothing, and is asked again by ASGI with the same scope.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["Prompt", "Reply"]

#: Sends an answer; called once.
Reply = Callable[[Response], None]


class Prompt(Protocol):
    """An ASGI application with a short way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, however long it takes."""

    def soon(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Whether it takes the request; then `reply` is called before the loop waits again.

        It never raises.

        Parameters
        ----------
        scope : `method`, `path`, `headers`, `client` and `state` of a request, as ASGI has them.
        """
