"""A server on loopback that takes what web hooks send, or refuses it as the test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What came: path, headers and body of each request, in order.

    `answers` are the statuses of the next requests, 200 once there is none left; `block` is waited
    for before an answer; `location` is where a redirect leads.
    """

    url: str = ""
    came: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    location: str = ""
    block: threading.Event | None = None
    arrived: threading.Event = field(default_factory=threading.Event)

    @property
    def told(self) -> list[Any]:
        """The bodies."""
        return [json.loads(body) for _, _, body in self.came]

    @property
    def events(self) -> list[list[tuple[str, str, str]]]:
        """Of each message the objectives, their severities, and what is said of them."""
        return [
            [(one["slo"], one["severity"], one["event"]) for one in message["news"]]
            for message in self.told
        ]


def listening() -> Iterator[Receiver]:
    """A fixture: a receiver, until whoever asked for it is done."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.arrived.set()
            if made.block is not None:
                made.block.wait(30)
            status = made.answers.pop(0) if made.answers else 200
            if status == 200:
                made.came.append((self.path, dict(self.headers), body))
            self.send_response(status)
            if made.location:
                self.send_header("Location", made.location)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
