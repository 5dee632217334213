"""Requests that are answered as soon as they came: alike in all to those that take the long way."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from leaven.evaluate.run import Run
from leaven.serve.models.answering import Settings
from leaven.serve.models.heads import BoundedHeads
from leaven.serve.models.limits import Limits
from leaven.serve.models.requests import answered
from leaven.serve.prompt import Reply
from leaven.store.people import People
from leaven.store.store import Store
from tests.serve.models.released import Client, eventually, raw, release, served

BODY = json.dumps({"text": "invoice refund"}).encode()


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of requests for which uvicorn began a task."""
    found: list[str] = []
    begin = HttpToolsProtocol._start_asgi_task

    def noted(self: HttpToolsProtocol, *args: object) -> None:
        found.append(self.scope["path"])
        begin(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(HttpToolsProtocol, "_start_asgi_task", noted)
    return found


@pytest.fixture
def client(texts: Run, store: str) -> Iterator[Client]:
    release(texts, store)
    with served(store) as made:
        made.service.routing.live.seconds = 1e-5  # as it is where nothing else runs
        yield made


def port_of(client: Client) -> int:
    return int(str(client.base_url).rpartition(":")[2])


def asked(path: str = "/predict", body: bytes = BODY, *more: str) -> bytes:
    told = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*told, "", ""]).encode() + body


def answer(client: Client, *pieces: bytes) -> tuple[str, dict[str, str], bytes]:
    """The status line, headers and body of the answer to pieces that are sent one by one."""
    with socket.create_connection(("127.0.0.1", port_of(client)), timeout=10) as line:
        for piece in pieces:
            line.sendall(piece)
            time.sleep(0.001)
        found = b""
        while b"\r\n\r\n" not in found:
            found += line.recv(65536)
        head, _, body = found.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(one.split(": ", 1) for one in lines)
        while len(body) < int(headers["content-length"]):
            body += line.recv(65536)
    return status, headers, body


def test_a_whole_request_takes_no_task_and_is_answered_as_one_that_does(
    client: Client, tasks: list[str]
):
    infer = json.dumps(
        {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["invoice"]}]}
    ).encode()
    for path, body in (("/predict", BODY), ("/v2/models/tickets/infer", infer), ("/predict", b"{")):
        status, headers, told = answer(client, asked(path, body))
        assert tasks == []
        other = answer(client, asked(path, body, "Connection: close"))
        assert tasks == [path]
        tasks.clear()
        assert status == other[0] == f"HTTP/1.1 {'400 Bad Request' if body == b'{' else '200 OK'}"
        assert other[1].pop("connection") == "close"
        assert headers.keys() == other[1].keys()
        assert {name for name in headers if headers[name] != other[1][name]} <= {"date"}
        mine, theirs = json.loads(told), json.loads(other[2])
        assert mine.keys() == theirs.keys()
        if "predictions" in mine:
            first, second = mine["predictions"][0], theirs["predictions"][0]
            assert first.pop("id") != second.pop("id")
            assert first == second
    told = client.get("/metrics").text
    assert 'route="/predict",status="200"} 2' in told
    assert 'route="/predict",status="400"} 2' in told
    assert client.service.answered == 4
    assert client.service.log.flush(5)
    assert client.service.log.written == 4


def test_a_body_that_follows_its_head_takes_no_task_and_a_slow_one_does(
    client: Client, tasks: list[str]
):
    whole = asked()
    at = whole.index(b"\r\n\r\n") + 4
    with socket.create_connection(("127.0.0.1", port_of(client)), timeout=10) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(20):  # of which some come in time, however busy this machine is
            line.sendall(whole[:at])
            line.sendall(whole[at:])
            assert line.recv(65536).startswith(b"HTTP/1.1 200")
        assert len(tasks) < 20
        tasks.clear()
        line.sendall(whole[: at + 5])
        assert eventually(lambda: tasks == ["/predict"])
        line.sendall(whole[at + 5 :])
        assert line.recv(65536).startswith(b"HTTP/1.1 200")


def test_what_asks_to_wait_or_is_not_plain_takes_the_long_way(client: Client, tasks: list[str]):
    for told in (
        asked("/predict", BODY, "Expect: 100-continue", "X-A: b"),
        asked("/predict?a=b"),
        asked("/v2/models/tickets/versions/" + client.service.routing.live.digest + "/infer"),
        asked("/feedback", b"{}"),
        asked().replace(b"HTTP/1.1", b"HTTP/1.0"),
    ):
        assert b"HTTP/1.1 " in raw(port_of(client), told, patience=0.3)
        assert len(tasks) == 1
        tasks.clear()
    client.service.routing.live.seconds = 1.0
    assert client.ask().status_code == 200
    assert len(tasks) == 1


def test_many_in_one_piece_are_answered_in_their_order(client: Client):
    names = [f"r{i}" for i in range(30)]
    pieces = [asked("/predict", BODY, f"X-Request-Id: {name}") for name in names]
    pieces[3] = asked("/predict", b"[]", "X-Request-Id: r3")  # refused at once
    pieces[-1] = asked("/predict", BODY, "X-Request-Id: r29", "Connection: close")
    found = raw(port_of(client), b"".join(pieces))
    told = [json.loads(one.partition(b"\r\n\r\n")[2]) for one in found.split(b"HTTP/1.1 ")[1:]]
    assert [one.get("request") for one in told] == [n if n != "r3" else None for n in names]


def test_what_follows_a_body_does_not_count_as_its_head(client: Client):
    chunks = b"%x\r\n%b\r\n0\r\nX-Request-Id: stolen\r\n\r\n" % (len(BODY), BODY)
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    for more in (b"", b"Connection: close\r\n"):
        found = raw(port_of(client), head + more + b"\r\n" + chunks, patience=0.3)
        assert found.startswith(b"HTTP/1.1 200")
        assert b"stolen" not in found


def test_a_request_counts_once_for_its_rate_and_a_token_is_looked_up_once(
    texts: Run, store: str, tasks: list[str]
):
    release(texts, store)
    secret = People(Store(store)).new_token("a job", "viewer", by="ann")
    few = Settings(limits=Limits(rate=2))  # and four at once
    with served(store, tokens=True, hosts=None, settings=few) as client:
        client.service.routing.live.seconds = 1e-5
        bears = f"Authorization: Bearer {secret}"
        assert answer(client, asked())[0].startswith("HTTP/1.1 401")
        told = [answer(client, asked("/predict", BODY, bears))[0].split()[1] for _ in range(6)]
    assert told.count("200") >= 4
    assert tasks[0] == "/predict"
    assert len(tasks) == 1, "it was known afterwards"


class Line(asyncio.Transport):
    """A connection of which what is written can be looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.closed = b"", False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class App:
    """Takes each request, and answers when it is told to."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("not by ASGI")

    def soon(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        self.replies.append(reply)
        return True


def test_who_was_taken_is_answered_before_the_connection_ends_and_not_after():
    async def one(*, lost: bool) -> tuple[Line, bool]:
        app, line = App(), Line()
        config = uvicorn.Config(app, http=BoundedHeads, lifespan="off", proxy_headers=False)
        config.load()
        protocol = BoundedHeads(config, ServerState(), {}, asyncio.get_running_loop())
        protocol.connection_made(line)
        protocol.data_received(asked())
        if lost:
            line.close()
            protocol.connection_lost(None)
        else:
            protocol.shutdown()
        early = line.closed
        app.replies[0](answered({"a": 1}))
        await asyncio.sleep(0.01)
        return line, early

    line, early = asyncio.run(one(lost=False))
    assert (early, line.closed) == (False, True)
    assert line.sent.startswith(b"HTTP/1.1 200 OK\r\n")
    assert line.sent.endswith(b'\r\n\r\n{"a":1}')
    assert asyncio.run(one(lost=True))[0].sent == b""
