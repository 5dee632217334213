"""HTTP by httptools: heads within bounds, and requests that are answered as soon as they came.

uvicorn makes a task for each request, which calls the application through all its layers, and sends
head and body one after the other. For an answer that waits for nothing this is as much work as the
answer itself. So a request that has come whole is first shown to the application's `soon`, which
takes it or does not; its answer is sent in one piece. Many programs send the head by itself, so the
body may follow a moment later. All others take uvicorn's way, where there is room for what must
wait: large bodies, slow ones, askers that do not read, requests one behind the other.
"""

from __future__ import annotations

from asyncio import TimerHandle
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from leaven.serve.models.requests import WHOLE

__all__ = ["HEAD", "BoundedHeads"]

#: Bytes that the head of a request may have, and all else between two pieces of its body.
HEAD = 1 << 16
_SMALL = 1 << 16  # bytes of a body that is held until it is whole
_MOMENT = 0.005  # seconds for which it is


class BoundedHeads(HttpToolsProtocol):
    """Ends a connection that sends a head, a trailer or the like without end: it would be kept."""

    _since = 0  # bytes since something was a whole head, or part of a body
    _may = False  # whether the next request of this piece may be shown to `soon`
    _held: bytearray | None = None  # the body of a request that uvicorn does not know of yet
    _moment: TimerHandle | None = None  # until it is told of it
    _is_owed = False  # whether `soon` has taken a request that is not answered yet

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._soon = getattr(self.config.loaded_app, "soon", None)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._since += len(data)
        # One of a piece: who sends many in one must not keep the others waiting.
        self._may = self._soon is not None and not self._is_owed
        super().data_received(data)
        if self._held is not None:
            if len(self._held) > _SMALL:
                self._let_go()
            elif self._moment is None:
                self._moment = self.loop.call_later(_MOMENT, self._let_go)
        if self._since > HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        """See httptools: the head of a request is whole."""
        self._since = 0
        if self._may and self._is_plain():
            self._may, self._held = False, bytearray()
            self.scope["method"], self.scope["path"] = "POST", self.url.decode("latin-1")
        else:
            super().on_headers_complete()
        self.headers = []  # what follows a body is no head: it must not say who asks

    def on_body(self, body: bytes) -> None:
        """See httptools: a piece of a body came."""
        self._since = 0
        if self._held is not None:
            self._held += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """See httptools: a request is whole."""
        self._since = 0
        self.scope[WHOLE] = True  # type: ignore[literal-required]
        if self._held is not None:
            assert self._soon is not None
            self._is_owed = True
            if self._soon(self.scope, bytes(self._held), self._reply):
                self._forget()
                return
            self._is_owed = False
            self._let_go()
        super().on_message_complete()

    def shutdown(self) -> None:
        """See uvicorn: end the connection, once what came is answered."""
        if self._is_owed:
            self.loop.call_soon(self.shutdown)
            return
        self._let_go()
        super().shutdown()

    def _is_plain(self) -> bool:
        """Whether a request is one that may be answered soon, as far as its head tells."""
        parser = self.parser
        return (
            parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self.expect_100_continue
        )

    def _let_go(self) -> None:
        """Let uvicorn have the request that was held, as if it came now."""
        held = self._held
        self._forget()
        if held is None or self.transport.is_closing():
            return
        super().on_headers_complete()
        if held:
            super().on_body(bytes(held))

    def _forget(self) -> None:
        """Hold no request any more."""
        self._held = None
        if self._moment is not None:
            self._moment.cancel()
            self._moment = None

    def _reply(self, answer: Response) -> None:
        """Send an answer in one piece, and wait for the next request."""
        self._is_owed = False
        if not self.transport.is_closing():
            told = [STATUS_LINE[answer.status_code]]
            for name, value in (*self.server_state.default_headers, *answer.raw_headers):
                told += (name, b": ", value, b"\r\n")
            self.transport.write(b"".join((*told, b"\r\n", answer.body)))
        if answer.background is not None:
            task = self.loop.create_task(answer.background())
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)
        if self.cycle is None or self.cycle.response_complete:  # nothing came behind it
            self.on_response_complete()
