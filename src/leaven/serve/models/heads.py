"""HTTP by httptools, with a bound on what is no body, which uvicorn's own use of it lacks."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HEAD", "WHOLE", "BoundedHeads"]

#: Bytes that the head of a request may have, and all else between two pieces of its body.
HEAD = 1 << 16
#: What the scope of a request has once all of it has come.
WHOLE = "leaven.whole"


class BoundedHeads(HttpToolsProtocol):
    """Ends a connection that sends a head, a trailer or the like without end: it would be kept."""

    _since = 0  # bytes since something was a whole head, or part of a body

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._since += len(data)
        super().data_received(data)
        if self._since > HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        """See httptools: the head of a request is whole."""
        self._since = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """See httptools: a piece of a body came."""
        self._since = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See httptools: a request is whole."""
        self._since = 0
        self.scope[WHOLE] = True  # type: ignore[literal-required]
        super().on_message_complete()
