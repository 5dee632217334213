"""A server that answers what a test tells it to: errors, redirects, nonsense, nothing at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Heard", "hostile"]

#: Method, path, headers, body.
Heard = tuple[str, str, dict[str, str], bytes]
Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def hostile(answer: Callable[[Heard], Answer | None]) -> Iterator[tuple[str, list[Heard]]]:
    """Its address, and what it heard; None closes the connection without a word."""
    heard: list[Heard] = []

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            head = {name.lower(): value for name, value in self.headers.items()}
            heard.append((self.command, self.path, head, self.rfile.read(length)))
            told = answer(heard[-1])
            if told is None:
                self.close_connection = True
                return
            status, headers, body = told
            self.send_response(status)
            for name, value in ({"content-length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _any

        def log_message(self, *told: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
